"""Hypothesis strategies for queries, each as a text with the tree it must read as, and for runs to answer them over."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from gittrack.frame import RunRecord
from gittrack.model import Failure, Input, MetricSummary, Run, SourceLink, Status
from gittrack.query.tree import (
    Among,
    And,
    Compare,
    Condition,
    Flag,
    Holds,
    Key,
    Like,
    Missing,
    Not,
    Number,
    Or,
    SortKey,
    Text,
    Value,
)

NOW = 1_770_000_000_000_000
DAY = 86_400_000_000

# Keys that are awkward to write, or that end like a field.
KEYS = ["a", "a.min", "a.min.min", "lr", "b/c.x-1", "val loss", "tick`y", 'say "x"', "语言", "1st", "and", "x.", "(y)"]
TEXTS = [
    *["", "a", "b", "ab", "a_b", "a%", "A", "it's", 'say "x"', "back\\slash", "a\nb", "é", "É", "语言", "end\\"],
    *["true", "True", "false", "null", "nan", "inf", "-inf", "0.1", "1", "1.", "+5", " 5", "1e400", "0x1f", "1_0"],
    *["9007199254740993", "sha256:ab", "train"],
]
NUMBERS = [
    *[0, 1, -1, 3, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1, 2**63 - 1, 2**63, 2**70, 2**70 + 1, -(2**70)],
    *[0.0, -0.0, 0.1, 1.0, 0.5, 1e-5, 1e300, 2.0**53, 2.0**70, math.nan, math.inf, -math.inf, 10**320, -(10**320)],
]
HASHES = ["ab" * 20, "abcd" + "0" * 36, "0" * 40]
IDS = ["ab" * 16, "abcd" + "0" * 28, "f" * 32]

floats = st.sampled_from([float(number) for number in NUMBERS if isinstance(number, float) or abs(number) < 2**80])
steps = st.sampled_from([0, 1, 5, 2**53 + 1, 2**63 - 1, -(2**63)])
times = st.integers(NOW - 3 * DAY, NOW + DAY) | st.sampled_from([0, NOW, NOW - NOW % DAY, NOW - NOW % DAY - 1])
scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS))
texts = st.sampled_from(TEXTS)
keys = st.sampled_from(KEYS)

summaries = st.builds(
    MetricSummary,
    count=st.integers(1, 9),
    first=floats,
    first_step=steps,
    last=floats,
    last_step=steps,
    min=floats,
    min_step=steps,
    max=floats,
    max_step=steps,
    mean=floats,
)
inputs = st.builds(
    Input,
    name=st.sampled_from(["train", "a.path", "my data"]),
    path=texts,
    kind=st.sampled_from(["file", "directory"]),
    digest=texts,
    size=st.sampled_from([0, 1, 3, 2**53 + 1]),
    context=texts,
)
sources = st.builds(
    SourceLink,
    commit=st.none() | st.sampled_from(HASHES),
    branch=st.none() | texts,
    dirty=st.booleans(),
    captured=st.sampled_from(["worktree", "none"]),
    tree=st.none() | st.sampled_from(HASHES),
)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    return Run(
        id=draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        name=draw(texts) or "x",
        experiment=draw(st.sampled_from(["churn", "my-model"])),
        revision=draw(st.integers(1, 3)),
        status=draw(st.sampled_from(Status)),
        started=draw(times),
        ended=draw(st.none() | times),
        parent=draw(st.none() | st.sampled_from(IDS)),
        user=draw(texts),
        note=draw(texts),
        command=draw(st.sampled_from([(), ("python", "a b.py")])),
        exit_code=draw(st.none() | st.integers(-1, 2)),
        tags=draw(st.dictionaries(keys, texts, max_size=3)),
        removed=draw(st.none() | times),
        failure=draw(st.none() | st.builds(Failure, type=st.just("ValueError"), message=texts)),
        inputs=draw(st.lists(inputs, max_size=2, unique_by=lambda entry: entry.name).map(tuple)),
        source=draw(sources),
    )


records = st.builds(
    RunRecord,
    run=runs(),
    params=st.dictionaries(keys, scalars, max_size=4),
    summary=st.dictionaries(keys, summaries, max_size=3),
    artifacts=st.just({}),
    commit=st.none() | st.sampled_from(HASHES),
    tree=st.none() | st.sampled_from(HASHES),
    live=st.booleans(),
)
fleets = st.lists(records, max_size=7, unique_by=lambda record: record.run.id)

Written = tuple[str, Any]

spaces = st.sampled_from([" ", "  ", "\n", "\t"])


@st.composite
def words(draw: st.DrawFn, *parts: str) -> str:
    """Return keywords in any case, with space around and between them."""
    cased = [draw(st.sampled_from([part, part.lower(), part.capitalize()])) for part in parts]
    return "".join(draw(spaces) + word for word in cased) + draw(spaces)


@st.composite
def written_names(draw: st.DrawFn, names: st.SearchStrategy[str] = keys) -> tuple[str, str, bool]:
    """Return a key as it is written, itself, and whether it was quoted."""
    name = draw(names)
    plain = not any(char in " '\"`(),=<>!" for char in name)
    style = draw(st.sampled_from(["plain", "ticks", "quotes"] if plain else ["ticks", "quotes"]))
    if style == "plain":
        return name, name, False
    if style == "ticks":
        return "`" + name.replace("`", "``") + "`", name, True
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"', name, True


@st.composite
def written_keys(draw: st.DrawFn, group: str) -> tuple[str, Key]:
    text, name, exact = draw(
        written_names(st.sampled_from(["train", "a.path", "my data"]) if group == "inputs" else keys)
    )
    heads = {
        "metrics": ["metrics", "metric"],
        "params": ["params", "param", "parameter", "parameters", "`params`"],
        "tags": ["tags", "tag"],
        "inputs": ["input", "inputs"],
    }[group]
    head = draw(st.sampled_from(heads))
    fields = {
        "metrics": ["min", "max", "mean", "first", "last", "count", "step", "max_step"],
        "inputs": ["size", "path"],
    }
    if group in fields and draw(st.booleans()):
        field = draw(st.sampled_from(fields[group]))
        if not exact:
            return f"{head}.{text}.{field}", Key(group, f"{name}.{field}")  # type: ignore[arg-type]
        spelled = {"step": "last_step"}.get(field, field)
        return f"{head}.{text}.{field}", Key(group, name, spelled, exact=True)  # type: ignore[arg-type]
    return f"{head}.{text}", Key(group, name, exact=exact)  # type: ignore[arg-type]


@st.composite
def written_texts(draw: st.DrawFn, values: st.SearchStrategy[str] = texts) -> tuple[str, Text]:
    value = draw(values)
    quote = draw(st.sampled_from("'\""))
    inner = draw(st.sampled_from([quote * 2, "\\" + quote]))
    # A backslash is doubled where it would otherwise speak for what follows it.
    return quote + value.replace("\\", "\\\\").replace(quote, inner) + quote, Text(value)


@st.composite
def written_numbers(draw: st.DrawFn) -> tuple[str, Number]:
    value = draw(st.sampled_from(NUMBERS) | st.integers(-20, 20) | st.floats(-2, 2))
    text = repr(value)
    sign = "+" if draw(st.booleans()) and text[0] not in "-" else ""
    return sign + draw(st.sampled_from([text, text.upper()])), Number(value)


written_flags = st.sampled_from([("true", Flag(True)), ("FALSE", Flag(False)), ("True", Flag(True))])


def any_values() -> st.SearchStrategy[tuple[str, Value]]:
    return st.one_of(written_numbers(), written_texts(), written_flags)


@st.composite
def time_values(draw: st.DrawFn) -> tuple[str, Value]:
    words = ["today", "yesterday", "now", "2 days ago", "1h30m ago", "an hour ago", "2026-02-02", "2026-02-01 13:20"]
    words += ["2026-02-02T02:40:00Z", "2026-02-02 03:40:00.5+01:00", "0001-01-01", "9999-12-31"]
    number = st.sampled_from([NOW // 1000, 0, -5, NOW / 1000, 1e300]).map(lambda value: (repr(value), Number(value)))
    return draw(written_texts(st.sampled_from(words)) | number)


ATTRIBUTES: dict[str, tuple[list[str], st.SearchStrategy[tuple[str, Value]]]] = {
    "id": (["id", "run_id", "attributes.run_id"], written_texts(st.sampled_from(["ABCD", "0000", "abc", "f" * 32]))),
    "name": (["name", "run_name", "attributes.`Run name`", "run.name"], written_texts()),
    "status": (
        ["status", "attr.Status"],
        written_texts(st.sampled_from(["finished", "FAILED", "Running", "SCHEDULED"])),
    ),
    "experiment": (["experiment"], written_texts(st.sampled_from(["churn", "My Model", "other"]))),
    "started": (["started", "start_time", "attribute.created"], time_values()),
    "ended": (["ended", "end_time"], time_values()),
    "removed": (["removed"], time_values()),
    "duration": (
        ["duration"],
        written_numbers() | written_texts(st.sampled_from(["90s", "1.5h", "2d 1h", "-3", "0.1s"])),
    ),
    "user": (["user", "user_id"], written_texts()),
    "note": (["note"], written_texts()),
    "command": (["command"], written_texts(st.sampled_from(["python 'a b.py'", "python"]))),
    "exit_code": (["exit_code"], written_numbers()),
    "revision": (["revision"], written_numbers()),
    "live": (["live"], written_flags),
    "failure": (["failure"], written_texts()),
    "parent": (["parent"], written_texts(st.sampled_from(["abcd", "AB", IDS[0]]))),
    "commit": (["commit"], written_texts(st.sampled_from(["abcd", "abc", HASHES[2], "xyz1"]))),
    "tree": (["tree"], written_texts(st.sampled_from(["abab", HASHES[1]]))),
    "source.commit": (
        ["source.commit", "source", "attributes.source.commit"],
        written_texts(st.sampled_from(["ABAB"])),
    ),
    "source.branch": (["source.branch", "branch"], written_texts()),
    "source.dirty": (["source.dirty"], written_flags),
    "source.captured": (["source.captured"], written_texts(st.sampled_from(["worktree", "none"]))),
}
TEXTUAL = {"id", "name", "status", "user", "note", "command", "failure", "commit", "source.branch", "source.captured"}
OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, Text]:
    parts = st.sampled_from(["%", "_", "a", "b", "A", "é", "0.1", "t", "\\%", "\\_", "\\\\", "\n", "e", "1", "语"])
    value = "".join(draw(st.lists(parts, max_size=5)))
    return "'" + value.replace("'", "''") + "'", Text(value)


@st.composite
def subjects(draw: st.DrawFn) -> tuple[str, Key, st.SearchStrategy[tuple[str, Value]], str]:
    """Return a key as written, the key, the values it is compared with, and what it can do besides."""
    group = draw(
        st.sampled_from(["params", "params", "metrics", "tags", "inputs", "datasets", "attributes", "attributes"])
    )
    if group == "attributes":
        name = draw(st.sampled_from(sorted(ATTRIBUTES)))
        spellings, values = ATTRIBUTES[name]
        abilities = "like" if name in TEXTUAL else "hold flag" if name in ("live", "source.dirty") else ""
        return (
            draw(st.sampled_from(spellings)),
            Key("attributes", name),
            values,
            "hold" if name == "removed" else abilities,
        )
    if group == "datasets":
        field = draw(st.sampled_from(["name", "digest", "context", "size"]))
        values = written_numbers() if field == "size" else written_texts()
        return (
            f"{draw(st.sampled_from(['dataset', 'datasets']))}.{field}",
            Key("datasets", "", field, exact=True),
            values,
            ("" if field == "size" else "like"),
        )
    text, key = draw(written_keys(group))
    if group == "metrics":
        spelled = written_texts(st.sampled_from(["0.1", "nan", "-inf", "3"]))
        return text, key, written_numbers() | spelled, ""
    if group == "inputs":
        sized = key.field == "size" or key.name.endswith(".size")
        return text, key, written_numbers() if sized else written_texts(), "" if sized else "like"
    return text, key, any_values(), "hold like"


@st.composite
def tests(draw: st.DrawFn) -> Written:
    text, key, values, abilities = draw(subjects())
    forms = ["compare", "compare", "compare", "in", "between", "null", *abilities.replace("flag", "").split()]
    form = draw(st.sampled_from(forms))
    negative = draw(st.booleans())
    gap = draw(st.sampled_from(["", " "]))
    wrap = (lambda condition: Not(condition)) if negative else (lambda condition: condition)
    nots = ["NOT"] if negative else []
    if form == "hold":
        return text, Holds(key)
    if form == "like":
        fold = draw(st.booleans())
        written, pattern = draw(patterns())
        return text + draw(words(*nots, "ILIKE" if fold else "LIKE")) + written, wrap(Like(key, pattern, fold))
    if form == "null":
        return (text + draw(words("IS", *nots, "NULL"))).rstrip(), wrap(Missing(key))
    if form == "in":
        chosen = draw(st.lists(values, min_size=1, max_size=3))
        listed = (gap + "," + gap).join(written for written, _ in chosen)
        return text + draw(words(*nots, "IN")) + f"({gap}{listed})", wrap(
            Among(key, tuple(value for _, value in chosen))
        )
    first, second = draw(values), draw(values)
    flags = "flag" in abilities or any(isinstance(value, Flag) for _, value in (first, second))
    if form == "between" and not flags:
        condition = And((Compare(key, ">=", first[1]), Compare(key, "<=", second[1])))
        return text + draw(words(*nots, "BETWEEN")) + first[0] + draw(words("AND")) + second[0], wrap(condition)
    sign = draw(st.sampled_from(["=", "!=", "=="] if flags else sorted(OPERATORS)))
    return text + gap + sign + gap + first[0], Compare(key, OPERATORS[sign], first[1])  # type: ignore[arg-type]


@st.composite
def joined(draw: st.DrawFn, children: st.SearchStrategy[Written]) -> Written:
    form = draw(st.sampled_from(["not", "and", "or", "group"]))
    if form == "not":
        text, condition = draw(children)
        return draw(words("NOT")) + f"({text})", Not(condition)
    if form == "group":
        text, condition = draw(children)
        return f"( {text})", condition
    parts = draw(st.lists(children, min_size=2, max_size=3))
    keyword = draw(words(form.upper()))
    return keyword.join(f"({text})" for text, _ in parts), (And if form == "and" else Or)(
        tuple(part for _, part in parts)
    )


conditions: st.SearchStrategy[tuple[str, Condition]] = st.recursive(tests(), joined, max_leaves=5)


@st.composite
def orders(draw: st.DrawFn) -> tuple[str, tuple[SortKey, ...]]:
    texts, ranks = [], []
    for _ in range(draw(st.integers(0, 3))):
        text, key, _, _ = draw(subjects().filter(lambda subject: subject[1].group != "datasets"))
        descending = draw(st.booleans())
        signed = draw(st.booleans())
        texts.append(
            ("-" if descending else draw(st.sampled_from(["", "+"]))) + text
            if signed
            else text + (draw(words("DESC")) if descending else draw(st.just("") | words("ASC")))
        )
        ranks.append(SortKey(key, descending))
    return draw(st.sampled_from([",", ", ", " , "])).join(texts), tuple(ranks)

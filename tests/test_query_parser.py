"""What the language reads as what, and what it says of mistakes: where they are and what would be right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from snapshots.invocation import read

from gittrack.errors import InvalidInput
from gittrack.query import Key, parse_query, parse_sort, write_key
from gittrack.query.times import Moment, make_moment, parse_duration, parse_moment
from gittrack.query.tree import And, Compare, Flag, Holds, Like, Missing, Not, Number, Or, SortKey, Test, Text

ROOT = Path(__file__).resolve().parent.parent
HELP = (ROOT / "gittrack/query/help.txt").read_text(encoding="utf-8")


def parse_one(text: str) -> Test:
    condition = parse_query(text).condition
    assert condition is not None
    assert not isinstance(condition, (And, Or, Not))
    return condition


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("metrics.auc", Key("metrics", "auc")),
        ("metric.auc.min", Key("metrics", "auc.min")),
        ("metrics.`auc`.min", Key("metrics", "auc", "min", exact=True)),
        ("metrics.`auc`.step", Key("metrics", "auc", "last_step", exact=True)),
        ("metrics.`auc.min`", Key("metrics", "auc.min", exact=True)),
        ("metrics.`auc`.other", Key("metrics", "auc.other", exact=True)),
        ("metrics.opt.`a b`.c.max", Key("metrics", "opt.a b.c.max", exact=True)),
        ("metrics.opt.`a b`.max", Key("metrics", "opt.a b", "max", exact=True)),
        ('params."l""r"', Key("params", 'l"r', exact=True)),
        (r'params."l\"r\\"', Key("params", 'l"r\\', exact=True)),
        ("param.`l``r`", Key("params", "l`r", exact=True)),
        ("parameter.a-b/c:d@1", Key("params", "a-b/c:d@1")),
        ("parameters.1st", Key("params", "1st")),
        ("`params`.lr", Key("params", "lr")),
        ("`params.lr`", Key("any", "params.lr", exact=True)),
        ("tag.mlflow.user", Key("attributes", "user")),
        ("tags.语言", Key("tags", "语言")),
        ("input.train.size", Key("inputs", "train.size")),
        ("inputs.`train`.size", Key("inputs", "train", "size", exact=True)),
        ("dataset.name", Key("datasets", "", "name", exact=True)),
        ("datasets.Digest", Key("datasets", "", "digest", exact=True)),
        ("status", Key("attributes", "status")),
        ("run_id", Key("attributes", "id")),
        ("run_name", Key("attributes", "name")),
        ("tags.`mlflow.source.git.commit`", Key("attributes", "source.commit")),
        ("attribute.`Run name`", Key("attributes", "name")),
        ("attributes.start_time", Key("attributes", "started")),
        ("attr.Created", Key("attributes", "started")),
        ("run.end_time", Key("attributes", "ended")),
        ("user_id", Key("attributes", "user")),
        ("source.commit", Key("attributes", "source.commit")),
        ("attributes.source.dirty", Key("attributes", "source.dirty")),
        ("branch", Key("attributes", "source.branch")),
        ("auc", Key("any", "auc")),
        ("val.auc.min", Key("any", "val.auc.min")),
        ("`val auc`", Key("any", "val auc", exact=True)),
        ("not-a-number", Key("any", "not-a-number")),
        ("android", Key("any", "android")),
        ("null", Key("any", "null")),
    ],
)
def test_a_key_is_read(text: str, key: Key) -> None:
    assert parse_one(f"{text} IS NULL") == Missing(key)
    assert parse_sort(f"-{text}") == (SortKey(key, descending=True),)


@pytest.mark.parametrize("key", ["metrics.a.min", "params.`a b`", "metrics.`a.min`", "input.`x`.size", "tags.`a``b`"])
def test_a_key_is_written_as_it_is_read(key: str) -> None:
    assert write_key(parse_query(f"{key} IS NULL").keys[0]) == key.replace("`x`", "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", Number(1)),
        ("+1", Number(1)),
        ("-2.5e-3", Number(-0.0025)),
        (".5", Number(0.5)),
        ("5.", Number(5.0)),
        ("1E3", Number(1000.0)),
        ("9007199254740993", Number(2**53 + 1)),
        ("INF", Number(float("inf"))),
        ("-infinity", Number(float("-inf"))),
        ("true", Flag(True)),
        ("FALSE", Flag(False)),
        ("'a'", Text("a")),
        ('"a"', Text("a")),
        ("''", Text("")),
        ("'it''s'", Text("it's")),
        (r"'it\'s'", Text("it's")),
        ("'say \"x\"'", Text('say "x"')),
        (r'"a\"b"', Text('a"b')),
        (r"'C:\new'", Text(r"C:\new")),
        (r"'ends\\'", Text("ends\\")),
        ("'two\nlines'", Text("two\nlines")),
    ],
)
def test_a_value_is_read(text: str, value: Number | Flag | Text) -> None:
    for gap in ("", " ", "\n"):
        test = parse_one(f"params.x{gap}={gap}{text}")
        assert test == Compare(Key("params", "x"), "=", value)
        assert isinstance(test, Compare)
        assert type(test.value.value) is type(value.value)


def test_nan_is_a_number() -> None:
    test = parse_one("metrics.x = NaN")
    assert isinstance(test, Compare)
    assert isinstance(test.value, Number)
    assert test.value.value != test.value.value


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("'a%'", "a%"), (r"'\%'", r"\%"), (r"'a\\'", r"a\\"), ("'it''s'", "it's"), (r"'\''", "'"), ('"a\\_"', r"a\_")],
)
def test_the_backslashes_of_a_pattern_are_its_own(text: str, pattern: str) -> None:
    assert parse_one(f"tags.x LIKE {text}") == Like(Key("tags", "x"), Text(pattern), fold=False)


def test_not_binds_before_and_and_and_before_or() -> None:
    a, b, c, d = (Holds(Key("params", name)) for name in "abcd")
    text = "NOT params.a AND params.b OR params.c and params.d"
    assert parse_query(text).condition == Or((And((Not(a), b)), And((c, d))))
    assert parse_query("params.a and (params.b OR NOT (params.c))").condition == And((a, Or((b, Not(c)))))
    assert parse_query("not not params.a").condition == Not(Not(a))


def test_between_takes_its_own_and() -> None:
    key = Key("metrics", "a")
    between = And((Compare(key, ">=", Number(1)), Compare(key, "<=", Number(2))))
    text = "metrics.a BETWEEN 1 AND 2 AND metrics.a NOT BETWEEN 1 AND 2"
    assert parse_query(text).condition == And((between, Not(between)))


def test_an_empty_query_holds_for_all_and_an_empty_order_has_no_key() -> None:
    assert parse_query("").condition is None
    assert parse_query(" \n").condition is None
    assert parse_sort(" ") == ()


def test_an_order_has_signs_or_words() -> None:
    auc, lr, name = (
        SortKey(Key("metrics", "auc"), True),
        SortKey(Key("params", "lr")),
        SortKey(Key("attributes", "name")),
    )
    assert parse_sort("-metrics.auc, params.lr ASC,name") == (auc, lr, name)
    assert parse_sort("metrics.auc DESC, +params.lr , run_name asc") == (auc, lr, name)
    assert parse_sort("metrics.auc desc,`a,b`") == (auc, SortKey(Key("any", "a,b", exact=True)))


def test_a_query_tells_its_keys_once_each() -> None:
    keys = parse_query("metrics.a > 1 AND (params.b = 2 OR NOT metrics.a < 0) AND live").keys
    assert keys == (Key("metrics", "a"), Key("params", "b"), Key("attributes", "live"))


COMPARISON = "a comparison (=, !=, <, <=, >, >=, IN, BETWEEN, LIKE, IS), AND, OR or the end"
VALUE = "a number, a text in quotes, true or false"
TIMES = "started >= '2026-01-31 09:30' or '7 days ago'"
SPANS = "duration > 90 or '1h30m'"
KEY = "a key such as metrics.auc, params.lr or status"


@pytest.mark.parametrize(
    ("text", "mark", "message", "hint"),
    [
        ("metrics.auc => 0.9", "=>", "there is no comparison '=>'", ">="),
        ("metrics.auc >> 0.9", ">>", "there is no comparison '>>'", None),
        ("status = FINISHED", "FIN", f"expected {VALUE}, not 'FINISHED'", "'FINISHED'"),
        ("metrics.auc > 0.5x", "0.5", f"expected {VALUE}, not '0.5x'", "'0.5x'"),
        ("a IN ()", ")", f"expected {VALUE}, not ')'", None),
        ("a IN (1 2)", "2", "expected a comma or the closing parenthesis, not '2'", None),
        ("a IN 1", "1", "expected a list in parentheses, not '1'", None),
        ("metrics.auc 0.9", "0.9", f"expected {COMPARISON}, not '0.9'", None),
        ("a = 1 b = 2", "b", "expected AND, OR or the end, not 'b'", None),
        ("(a = 1 b = 2)", "b", "expected AND, OR or the closing parenthesis, not 'b'", None),
        ("live && a = 1", "&&", f"expected {COMPARISON}, not '&&'", "AND"),
        ("a = 1 || a = 2", "||", "expected AND, OR or the end, not '||'", "OR"),
        ("! live", "!", f"expected {KEY}, not '!'", "NOT"),
        ("1st > 2", "1st", f"expected {KEY}, not '1st'", "metrics.1st or params.1st"),
        ("AND a = 1", "AND", f"expected {KEY}, not 'AND'", None),
        ("a BETWEEN 1 OR 2", "OR", "expected AND, not 'OR'", None),
        ("a NOT 'x%'", "'x", "expected IN, BETWEEN or LIKE, not \"'x%'\"", None),
        ("a LIKE 5", "5", "expected a text in quotes, not '5'", "'5'"),
        ("a IS 5", "5", "expected NULL or NOT NULL, not '5'", None),
        ("a = 1)", ")", "this parenthesis was not opened", None),
        ("name = 'abc", "'abc", "the quote ' is not closed", None),
        ('name = "abc', '"abc', 'the quote " is not closed', None),
        ("metrics.`abc > 1", "`", "the quote ` is not closed", None),
        ("name = 5", "5", "name is a text, which stands in quotes", "'5'"),
        ("name IN ('a', 5)", "5", "name is a text, which stands in quotes", "'5'"),
        ("metrics.auc > 'high'", "'high'", "metrics.auc is a number, and this is none", "metrics.auc > 0.5"),
        ("metrics.auc LIKE '0%'", "'0%'", "metrics.auc is no text, which LIKE needs", None),
        ("metrics.auc", "metrics", "metrics.auc is not true or false by itself: compare it", "metrics.auc > 0"),
        ("name AND live", "name", "name is not true or false by itself: compare it", "name IS NOT NULL"),
        ("live > true", "true", "true and false have no order", "live = true"),
        ("params.x < true", "true", "true and false have no order", "params.x = true"),
        ("live = 1", "1", "live is true or false", "live = true"),
        ("duration > '5 parsecs'", "'5", "duration is a number of seconds, and this is none", SPANS),
        ("started > '2026-02-30'", "'2", "started is a time, and this is none", TIMES),
        ("started > inf", "inf", "started is a time, and this is none", TIMES),
        ("status = 'finishd'", "'fin", "no run can have the status 'finishd'", "FINISHED"),
        ("params.lr = null", "null", "nothing compares with null", "IS NULL or IS NOT NULL"),
        ("attributes.statsu = 'x'", "attr", "runs have no attribute 'statsu'", "status or started"),
        ("dataset.nam = 'x'", "dataset", "datasets have no 'nam'", "dataset.name"),
        ("params. = 1", "params.", "a name is missing after params.", None),
        ("metrics.语言 >> 1", ">>", "there is no comparison '>>'", None),
        ("a = " + "9" * 1001, "9", "a number has at most 1,000 digits", None),
        ("a LIKE '" + "x" * 1001 + "'", "'x", "a pattern has at most 1,000 characters", None),
        ("name = '\ud800'", "\ud800", "this is not a character", None),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(text: str, mark: str, message: str, hint: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_query(text)
    said, line, caret = caught.value.message.split("\n")
    assert (said, caught.value.hint) == (message, hint)
    before = text[: text.index(mark)]
    assert caret == " " * (2 + len(before) + len(re.findall("[语言]", before))) + "^"  # each takes two cells
    assert line.startswith("  " + text[:8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics.auc >", f"the query ends where {VALUE} should follow"),
        ("metrics.auc > 1 AND  ", f"the query ends where {KEY} should follow"),
        ("(metrics.auc > 1", "a parenthesis is not closed"),
        ("a IN (1,", f"the query ends where {VALUE} should follow"),
        ("a IN (1", "the query ends where a comma or the closing parenthesis should follow"),
    ],
)
def test_a_query_that_breaks_off_is_pointed_at_behind_its_end(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_query(text)
    assert caught.value.message == f"{message}\n  {text.rstrip()}\n  {' ' * len(text.rstrip())}^"


def test_of_a_long_query_the_part_around_the_mistake_is_shown() -> None:
    text = "metrics.auc > 1 AND " * 30 + "metrics.auc >\n\t! 1" + " AND metrics.auc > 1" * 30
    with pytest.raises(InvalidInput) as caught:
        parse_query(text)
    _, line, caret = caught.value.message.split("\n")
    assert line == "  ….auc > 1 AND metrics.auc > 1 AND metrics.auc >  ! 1 AND metrics.auc > 1 …"
    assert line[len(caret) - 1] == "!"
    assert len(line) < 80


def test_length_and_depth_are_capped() -> None:
    with pytest.raises(InvalidInput, match=r"a query of 10,001 characters is too long: 10,000 is the limit"):
        parse_query(" " * 10_001)
    assert parse_query("(" * 64 + "live" + ")" * 64).condition == Holds(Key("attributes", "live"))
    for text in ("(" * 65 + "live" + ")" * 65, "NOT " * 65 + "live", "NOT (" * 33 + "live" + ")" * 33):
        with pytest.raises(InvalidInput, match="nested more than 64 deep"):
            parse_query(text)
    many = parse_query(" OR ".join(["metrics.a = 1"] * 580)).condition
    assert isinstance(many, Or)
    assert len(many.parts) == 580


DAY = 86_400_000_000
NOW = 20_484 * DAY + 9 * 3_600_000_000  # 2026-01-31 09:00 UTC


@pytest.mark.parametrize(
    ("text", "first", "length"),
    [
        ("2026-01-31", 20_484 * DAY, DAY),
        ("1970-01-01 00:01", 60_000_000, 60_000_000),
        ("1970-01-01T00:01:05Z", 65_000_000, 1_000_000),
        ("1970-01-01t00:01:05.25 utc", 65_250_000, 10_000),
        ("1970-01-01 00:00:00.123456789", 123_456, 1),
        ("1970-01-01 01:00+01:00", 0, 60_000_000),
        ("1970-01-01 01:00-0130", 9_000_000_000, 60_000_000),
        ("0001-01-01", -719_162 * DAY, DAY),
        ("now", NOW, 1),
        ("Today", 20_484 * DAY, DAY),
        ("yesterday", 20_483 * DAY, DAY),
        ("7 days ago", NOW - 7 * DAY, 1),
        ("7d ago", NOW - 7 * DAY, 1),
        ("1h30m ago", NOW - 5_400_000_000, 1),
        ("1.5 Hours  ago", NOW - 5_400_000_000, 1),
        ("a week ago", NOW - 7 * DAY, 1),
        ("an hour ago", NOW - 3_600_000_000, 1),
    ],
)
def test_a_moment_is_read(text: str, first: int, length: int) -> None:
    assert parse_moment(text, now=NOW) == Moment(first, first + length)


@pytest.mark.parametrize(
    "text",
    [
        *["", "soon", "2026-02-30", "2026-13-01", "26-01-31", "2026-01-31 25:00", "2026-01-31 09", "0000-01-01"],
        *["7 ago", "7 moons ago", "days ago", "a moon ago", "1970-01-01 00:00+24:00", "1970-01-01 00:00+01:60"],
        "٢٠٢٦-٠١-٣١",
    ],
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert parse_moment(text, now=NOW) is None


def test_a_number_is_a_millisecond() -> None:
    assert make_moment(1_769_850_000_123) == Moment(1_769_850_000_123_000, 1_769_850_000_124_000)
    assert make_moment(0.5) == Moment(500, 1500)
    assert make_moment(float("inf")) is None
    assert make_moment(1e308) is None
    assert make_moment(10**400) == Moment(10**403, 10**403 + 1000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5 h", 5400), ("2d 1h", 176_400), ("250ms", 0.25)],
        *[("0.1s", 0.1), ("1 week", 604_800), ("1", None), ("", None), ("1x", None), ("-5s", None), ("s", None)],
    ],
)
def test_a_duration_is_read(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def find_examples(heading: str) -> list[str]:
    """Return the left side of each indented line below a heading of the help text."""
    section = HELP.split(f"\n{heading}\n", 1)[1] if heading != "The query language" else HELP.split("\n\n", 1)[1]
    section = re.split(r"\n\n[A-Z][a-z ]+\n\n", section, maxsplit=1)[0]
    lines = re.findall(r"^  \S.*$", section, re.MULTILINE)
    return [re.split(" {3,}", line[2:])[0] for line in lines]


QUERIES = [
    example
    for heading in ("The query language", "Tests", "Values", "What a run lacks")
    for example in find_examples(heading)
]


def test_the_help_has_examples() -> None:
    assert len(QUERIES) == 30
    assert QUERIES[0] == "metrics.auc > 0.9 AND params.model = 'svm'"


@pytest.mark.parametrize("query", QUERIES)
def test_every_example_of_the_help_is_a_query(query: str) -> None:
    assert parse_query(query).condition is not None


def test_the_orders_of_the_help_are_orders() -> None:
    first, second = find_examples("Order")
    assert parse_sort(first) == (SortKey(Key("metrics", "auc"), True), SortKey(Key("params", "lr")))
    assert parse_sort(second) == (SortKey(Key("metrics", "auc"), True),)


def test_every_attribute_stands_in_the_help() -> None:
    from gittrack.query.vocabulary import ALIASES, ATTRIBUTES, DATASET_FIELDS, METRIC_FIELDS

    keys = HELP.partition("\nTests\n")[0]
    words = set(re.findall(r"[\w.]+\w", keys)) | set(re.findall(r"\.(\w+)", keys))
    assert {*ATTRIBUTES, *DATASET_FIELDS, *METRIC_FIELDS} - words == {"last_step"}
    assert set(ALIASES) - words == {"run_uuid", "source"}


def test_the_help_is_the_readme_s_text_and_a_topic() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## The query language\n")[2].partition("\n## ")[0]
    fence = re.search(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert fence is not None
    assert fence.group(1) == HELP.partition("\n\n")[2]
    assert read("help", "query").out == HELP


def test_reading_a_query_imports_neither_pyarrow_nor_pandas() -> None:
    code = "import sys, gittrack.query as query; print('lark' in sys.modules); query.parse_query('live')"
    code += "; print(*{'pyarrow', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n\n"

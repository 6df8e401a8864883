"""Owns the columns a list of runs can have: what each is called, what stands in it, which are telling.

A column is named by an attribute (`status`), or by `params.NAME`, `metrics.NAME`, `metrics.NAME.min`, `tags.NAME`.
Knows nothing of commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..compare import ABSENT, Value, align_values, find_best, guess_goal, is_same, rank_metrics
from ..errors import InvalidInput
from .amounts import format_age, format_duration, format_metrics, format_params, format_utc
from .table import Cell, Column
from .terminal import Screen
from .text import clean, clip

if TYPE_CHECKING:
    from ..frame import Frame
    from ..stored_run import StoredRun

Kind = Literal["text", "moment", "duration", "status", "param", "metric"]

MAX_CHOSEN_PARAMS = 8
MAX_CHOSEN_METRICS = 6
STATISTICS = ("count", "first", "first_step", "last", "last_step", "max", "max_step", "mean", "min", "min_step")

# Keys between commas; one in backticks or double quotes may hold some.
_LISTED = r"""(?:`[^`]*`|"[^"]*"|[^,`"])+"""
_SAMPLED = 500
_NAME_WIDTH = 28
_TEXT_WIDTH = 20
_TITLE_WIDTH = 20


@dataclass(frozen=True)
class Source:
    """Where a column's values come from. `read` gives a run's value, ABSENT where it has none."""

    title: str
    kind: Kind
    read: Callable[[StoredRun], Value]
    style: str = ""


def _attribute(title: str, kind: Kind, read: Callable[[StoredRun], Value], style: str = "") -> Source:
    return Source(title, kind, read, style)


def _or_absent(value: str | int | None) -> Value:
    return ABSENT if value is None or value == "" else value


ATTRIBUTES: dict[str, Source] = {
    "id": _attribute("RUN", "text", lambda run: run.id[:8], "id"),
    "name": _attribute("NAME", "text", lambda run: run.name),
    "experiment": _attribute("EXPERIMENT", "text", lambda run: run.experiment),
    "status": _attribute("STATUS", "status", lambda run: find_status(run)),
    "started": _attribute("STARTED", "moment", lambda run: run.started, "dim"),
    "ended": _attribute("ENDED", "moment", lambda run: _or_absent(run.ended), "dim"),
    "duration": _attribute("TIME", "duration", lambda run: _or_absent(run.duration)),
    "revision": _attribute("REVISION", "param", lambda run: run.revision),
    "commit": _attribute("COMMIT", "text", lambda run: _or_absent(run.commit and run.commit[:8]), "id"),
    "source": _attribute("SOURCE", "text", lambda run: _or_absent(say_source(run))),
    "branch": _attribute("BRANCH", "text", lambda run: _or_absent(run.source.branch)),
    "user": _attribute("USER", "text", lambda run: _or_absent(run.snapshot.run.user)),
    "host": _attribute("HOST", "text", lambda run: _or_absent(run.snapshot.run.host)),
    "parent": _attribute("PARENT", "text", lambda run: _or_absent(run.parent and run.parent[:8]), "id"),
    "command": _attribute("COMMAND", "text", lambda run: _or_absent(shlex.join(run.command))),
    "exit_code": _attribute("EXIT", "param", lambda run: _or_absent(run.snapshot.run.exit_code)),
    "note": _attribute("NOTE", "text", lambda run: _or_absent(run.note)),
    "artifacts": _attribute("ARTIFACTS", "param", lambda run: len(run.artifacts())),
}


# What else a query can name; not worth listing with the others.
MORE_ATTRIBUTES: dict[str, Source] = {
    "live": _attribute("LIVE", "param", lambda run: run.live),
    "removed": _attribute("REMOVED", "moment", lambda run: _or_absent(run.removed), "dim"),
    "incomplete": _attribute("INCOMPLETE", "text", lambda run: _or_absent(run.snapshot.run.incomplete)),
    "failure": _attribute("FAILURE", "text", lambda run: run.failure.type if run.failure else ABSENT),
    "reproduces": _attribute("REPRODUCES", "text", lambda run: _or_absent(run.snapshot.run.reproduces), "id"),
    "source.commit": _attribute("SOURCE", "text", lambda run: _or_absent(run.source.commit), "id"),
    "source.branch": _attribute("BRANCH", "text", lambda run: _or_absent(run.source.branch)),
    "source.dirty": _attribute("DIRTY", "param", lambda run: run.source.dirty),
    "source.tree": _attribute("TREE", "text", lambda run: _or_absent(run.source.tree), "id"),
    "source.captured": _attribute("CAPTURED", "text", lambda run: run.source.captured),
    "source.directory": _attribute("DIRECTORY", "text", lambda run: run.source.directory),
    "source.remote": _attribute("REMOTE", "text", lambda run: _or_absent(run.source.remote)),
}


def find_status(run: StoredRun) -> str:
    """Return a run's status as one word: its own, or `removed`."""
    return "removed" if run.removed is not None else str(run.status)


def say_source(run: StoredRun) -> str:
    """Return the commit a run stood on, in 8 digits, with a `+` where the files differed from it."""
    source = run.source
    return (source.commit[:8] + ("+" if source.dirty else "")) if source.commit else ""


def resolve_columns(text: str, frame: Frame) -> list[str]:
    """Return the names of the columns that text lists, as `ls --columns` is given them, by the keys runs of frame have.

    A key is spelled as in a query, or just as it is where it has no comma. Raises InvalidInput with the close keys.
    """
    return [_resolve(piece.strip(), frame) for piece in re.findall(_LISTED, text) if piece.strip()]


def _resolve(piece: str, frame: Frame) -> str:
    from ..query import Key, find_column, get_column, parse_sort

    if piece in ATTRIBUTES or piece in MORE_ATTRIBUTES:
        return piece
    group, _, name = piece.partition(".")
    spelled = [Key("metrics", piece, exact=True), Key("params", piece, exact=True), Key("tags", piece, exact=True)]
    if group in ("params", "metrics", "tags") and name:
        spelled = [Key(group, name, exact=True)]  # type: ignore[arg-type]  # it is one of its words
    found = [column for key in spelled if (column := find_column(key, frame)) is not None]
    if len(found) != 1:
        ranks = parse_sort(piece)
        found = [get_column(rank.key, frame, text=piece) for rank in ranks]
    if found[0].table == "runs" and found[0].key not in ATTRIBUTES and found[0].key not in MORE_ATTRIBUTES:
        raise InvalidInput(f"there is no column of {found[0].key!r}", hint="gittrack help columns")
    return found[0].name


def find_source(key: str, runs: Sequence[StoredRun]) -> Source:
    """Return the source of the column that key names: an attribute, or `params.X`, `metrics.X`, `tags.X`, `input.X`.

    A bare name is a param, metric or tag that one of the runs has, else a column without values.
    """
    if key in ATTRIBUTES or key in MORE_ATTRIBUTES:
        return ATTRIBUTES.get(key) or MORE_ATTRIBUTES[key]
    known = gather_keys(runs)
    if key not in known:
        bare = [f"{prefix}.{key}" for prefix in ("params", "metrics", "tags") if f"{prefix}.{key}" in known]
        for candidate in (key, f"metrics.{key}"):
            metric, _, statistic = candidate.rpartition(".")
            if not bare and metric.startswith("metrics.") and statistic in STATISTICS:
                whole = metric.removeprefix("metrics.")
                # Where none of the runs has it, a name that ends as a statistic does is taken for one.
                if metric in known or candidate == key:
                    return _make_statistic(whole, statistic)
        key = bare[0] if bare else key
    return _make_source(key)


def gather_keys(runs: Sequence[StoredRun]) -> list[str]:
    """Return `params.NAME`, `metrics.NAME` and `tags.NAME` for everything that the runs have."""
    keys = dict.fromkeys(f"params.{name}" for run in runs for name in run.params)
    keys.update(dict.fromkeys(f"metrics.{name}" for run in runs for name in run.summary))
    keys.update(dict.fromkeys(f"tags.{name}" for run in runs for name in run.tags))
    return list(keys)


def _make_source(key: str) -> Source:
    prefix, _, name = key.partition(".")
    if prefix == "params":
        return Source(name, "param", lambda run: run.params.get(name, ABSENT))
    if prefix == "tags":
        return Source(name, "text", lambda run: run.tags.get(name, ABSENT))
    if prefix == "input":
        return _make_input_source(name)
    if prefix != "metrics":
        return Source(key, "text", lambda run: ABSENT)
    return Source(name, "metric", lambda run: run.summary[name].last if name in run.summary else ABSENT)


def _make_input_source(key: str) -> Source:
    name, _, field = key.rpartition(".")

    def read(run: StoredRun) -> Value:
        found = next((getattr(entry, field) for entry in run.inputs if entry.name == name), None)
        return ABSENT if found is None else found

    return Source(key, "text" if field != "size" else "param", read)


def _make_statistic(metric: str, statistic: str) -> Source:
    return Source(
        f"{metric}.{statistic}",
        "metric",
        lambda run: getattr(run.summary[metric], statistic) if metric in run.summary else ABSENT,
    )


def choose_columns(
    runs: Sequence[StoredRun], *, with_experiment: bool, first: Sequence[str] = (), among: Frame | None = None
) -> list[str]:
    """Return the columns that tell these runs apart: attributes, params that differ, the main metrics.

    `first` are metrics or params that must be among them, such as the one the list is sorted by. Where the runs are
    the first of more, those `among`, params that differ there count.
    """
    differing = {row.key for row in align_values([run.params for run in runs]) if row.differs or len(runs) == 1}
    if among is not None:
        differing |= find_differing(among) & {name for run in runs for name in run.params}
    params = sorted(differing)
    metrics = rank_metrics([run.summary for run in runs])
    chosen = [f"params.{name}" for name in params[:MAX_CHOSEN_PARAMS]]
    chosen += [f"metrics.{name}" for name in metrics[:MAX_CHOSEN_METRICS]]
    chosen_names = set(chosen)
    wanted = [
        key
        for key in first
        if key not in ATTRIBUTES and chosen_names.isdisjoint((key, f"params.{key}", f"metrics.{key}"))
    ]
    experiment = ["experiment"] if with_experiment else []
    extra = [key for key in first if key in ATTRIBUTES]
    columns = ["id", "name", *experiment, "status", "started", "duration", *extra, *chosen, *wanted]
    return list(dict.fromkeys(columns))


def find_differing(frame: Frame) -> set[str]:
    """Return the params that are not the same in all of a frame's runs, as far as its first rows tell."""
    from ..query import Column as Place
    from ..query import read_values

    sample = frame.take(frame.rows[:_SAMPLED])
    found = set()
    for name in sample.list_keys("params"):
        first, *rest = read_values(Place("params", name, "", "param"), sample)
        if not all(is_same(first, value) for value in rest):
            found.add(name)
    return found


def make_columns(keys: Sequence[str], runs: Sequence[StoredRun], screen: Screen, *, now: int) -> list[Column]:
    """Return the named columns with the runs' cells. Columns given by hand and chosen ones have the same looks."""
    sources = [find_source(key, runs) for key in keys]
    titles = [source.title for source in sources]
    columns = []
    for key, source, rank in zip(keys, sources, _rank(keys, sources), strict=True):
        title = key if titles.count(source.title) > 1 else source.title
        columns.append(_make_column(source, title, runs, screen, rank=rank, now=now))
    return columns


def _rank(keys: Sequence[str], sources: Sequence[Source]) -> list[int]:
    """Return how soon each column is left out: the run's id never, then by turns a metric and a param."""
    fixed = {"id": 0, "status": 20, "name": 30, "experiment": 65, "started": 75, "duration": 95}
    turns = {"metric": 10, "param": 40}
    ranks = []
    for key, source in zip(keys, sources, strict=True):
        if key in fixed:
            ranks.append(fixed[key])
        else:
            kind = "metric" if source.kind == "metric" else "param"
            ranks.append(turns[kind])
            turns[kind] = max(turns[kind], 30) + 20
    return ranks


def _make_column(
    source: Source, title: str, runs: Sequence[StoredRun], screen: Screen, *, rank: int, now: int
) -> Column:
    values = [source.read(run) for run in runs]
    title = clean(title)
    if screen.interactive:
        title = clip(title, _TITLE_WIDTH, keep="end")
    if source.kind == "metric":
        return _make_metric_column(source.title, title, values, rank=rank)
    if source.kind == "status":
        return Column(title, tuple(Cell(str(value), _find_style(str(value))) for value in values), rank=rank)
    texts = format_values(source.kind, values, interactive=screen.interactive, now=now)
    cells = tuple(Cell(text, source.style) for text in texts)
    if source.kind == "param":
        numeric = all(value is ABSENT or _is_number(value) for value in values)
        align: Literal["left", "right", "point"] = "point" if numeric else "left"
        return Column(title, cells, rank=rank, align=align, least=None if numeric else 6, most=_TEXT_WIDTH)
    if source.kind == "text":
        least = 12 if source.title == "NAME" else 8
        return Column(title, cells, rank=rank, least=least, most=_NAME_WIDTH)
    return Column(title, cells, rank=rank, align="right" if source.kind == "duration" else "left")


def _find_style(status: str) -> str:
    return status if status in ("FINISHED", "RUNNING", "FAILED", "KILLED") else "dim"


def _make_metric_column(metric: str, title: str, values: Sequence[Value], *, rank: int) -> Column:
    numbers = [float(value) if _is_number(value) else None for value in values]  # type: ignore[arg-type]
    best = find_best(numbers, goal=guess_goal(metric))
    texts = format_metrics(numbers)
    cells = tuple(Cell(text, "best" if index in best else "") for index, text in enumerate(texts))
    return Column(title, cells, rank=rank, align="point")


def format_values(kind: Kind, values: Sequence[Value], *, interactive: bool, now: int) -> list[str]:
    """Return the values of a column as texts: ages for people, UTC times for programs."""
    if kind == "moment":
        return ["" if not isinstance(value, int) else _say_moment(value, interactive, now) for value in values]
    if kind == "duration":
        return [format_duration(value) if isinstance(value, int) else "" for value in values]
    if kind == "param":
        return format_params(values)
    return [clean(value) if isinstance(value, str) else "" for value in values]


def _say_moment(moment: int, interactive: bool, now: int) -> str:
    return format_age(moment, now=now) if interactive else format_utc(moment)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

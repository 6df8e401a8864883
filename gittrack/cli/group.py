"""Shows groups of runs: `gittrack ls --group`, a line for each setting with how its metrics came out.

Knows nothing of how runs are found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..canonical import format_time, spell_float
from ..compare import ABSENT, Value, guess_goal, order_metrics
from ..errors import InvalidInput
from ..group import Group, Spread, group_runs
from .amounts import format_duration, format_metrics, format_params, format_utc
from .table import Cell, Column
from .text import clean

if TYPE_CHECKING:
    from ..frame import Frame

MAX_CHOSEN_METRICS = 3

_TIMES = ("time", "mark")
_SECONDS = "seconds"


@dataclass(frozen=True)
class Grouping:
    """The groups of some runs: what they were grouped by, the metrics that were measured, and the runs' ids.

    `kinds` are those of the keys, as queries know them: of a `time` the values are UTC microseconds, of `seconds` such.
    """

    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    ids: tuple[str, ...]


def group_frame(frame: Frame, by: str, *, metrics: str | None = None, sort: str | None = None) -> Grouping:
    """Return a frame's runs in groups by the keys that `by` lists, such as `params.lr,model`.

    `metrics` lists what to measure (default: the main metrics), `sort` is a key of either, `-` in front for the largest
    first; without it the best group by the first metric comes first, where its name tells what is better. Raises
    InvalidInput for a key that no run has.
    """
    from ..query import find_column, get_column, parse_sort, read_numbers_of, read_values

    keys = [get_column(rank.key, frame, text=rank.text) for rank in parse_sort(by)]
    if metrics is None:
        chosen = [f"metrics.`{name}`" for name in order_metrics(frame.list_keys("metrics"))[:MAX_CHOSEN_METRICS]]
    else:
        chosen = [metrics]
    measured = [get_column(rank.key, frame, text=rank.text) for text in chosen for rank in parse_sort(text)]
    names = [column.name.removeprefix("metrics.") for column in measured]
    groups = group_runs(
        [read_values(column, frame) for column in keys],
        {name: read_numbers_of(column, frame) for name, column in zip(names, measured, strict=True)},
    )
    if sort is not None:
        for rank in reversed(parse_sort(sort)):
            column = find_column(rank.key, frame)
            if column in measured:
                groups = _sort_by_mean(groups, names[measured.index(column)], descending=rank.descending)
            elif column in keys:
                groups = _sort_by_key(groups, keys.index(column), descending=rank.descending)
            else:
                listed = ", ".join(column.name for column in (*keys, *measured))
                raise InvalidInput(f"groups cannot be sorted by {sort!r:.100}, only by {listed:.300}")
    elif names and (goal := guess_goal(names[0])) is not None:
        groups = _sort_by_mean(groups, names[0], descending=goal == "max")
    ids = frame.take(frame.rows).get_attribute("id").to_pylist()
    return Grouping(
        tuple(column.name for column in keys),
        tuple(column.kind for column in keys),
        tuple(names),
        tuple(groups),
        tuple(ids),
    )


def _sort_by_mean(groups: Sequence[Group], metric: str, *, descending: bool) -> list[Group]:
    def order(group: Group) -> tuple[bool, float]:
        mean = group.spreads[metric].mean
        missing = mean is None or math.isnan(mean)
        return missing, 0.0 if mean is None or missing else -mean if descending else mean

    return sorted(groups, key=order)


def _sort_by_key(groups: Sequence[Group], position: int, *, descending: bool) -> list[Group]:
    def order(group: Group) -> tuple[bool, float, str]:
        value = group.values[position]
        number = isinstance(value, (int, float))
        return (False, float(value), "") if number else (True, 0.0, str(value))  # type: ignore[arg-type]

    present = [group for group in groups if group.values[position] is not ABSENT]
    missing = [group for group in groups if group.values[position] is ABSENT]
    return sorted(present, key=order, reverse=descending) + missing


def make_group_columns(grouping: Grouping) -> list[Column]:
    """Return the groups as columns: the keys, how many runs, and of each metric mean ± std, least and greatest."""
    columns = []
    for position, (key, kind) in enumerate(zip(grouping.keys, grouping.kinds, strict=True)):
        values = [group.values[position] for group in grouping.groups]
        texts = _say_keys(values, kind)
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        numeric = numbers and kind not in (*_TIMES, _SECONDS)
        cells = tuple(Cell(text or "-", "" if text else "dim") for text in texts)
        title = clean(key.partition(".")[2] if key.startswith(("params.", "tags.")) else key)
        columns.append(Column(title, cells, align="point" if numeric else "left", least=None if numeric else 6))
    counts = tuple(Cell(str(len(group.members))) for group in grouping.groups)
    columns.append(Column("RUNS", counts, align="right"))
    for rank, metric in enumerate(grouping.metrics):
        spreads = [group.spreads[metric] for group in grouping.groups]
        columns += _make_spread_columns(clean(metric), spreads, [len(g.members) for g in grouping.groups], rank=rank)
    return columns


def _say_keys(values: Sequence[Value], kind: str) -> list[str]:
    """Return keys as people read them; times as UTC, so that two lines never say the same for being of one age."""
    if kind in _TIMES:
        return [format_utc(value) if isinstance(value, int) else "" for value in values]
    if kind == _SECONDS:
        return [format_duration(round(value * 1e6)) if isinstance(value, (int, float)) else "" for value in values]
    return format_params(values)


def _make_spread_columns(metric: str, spreads: Sequence[Spread], counts: Sequence[int], *, rank: int) -> list[Column]:
    means = format_metrics([spread.mean for spread in spreads])
    texts = []
    for spread, mean, runs in zip(spreads, means, counts, strict=True):
        text = mean if spread.std is None else f"{mean} ± {spread.std:.2g}"
        # A mean over fewer runs than the group has must not pass for one over all of them.
        texts.append(f"{text} (n={spread.count})" if spread.count != runs and spread.count else text)
    lows, highs = (format_metrics([getattr(spread, end) for spread in spreads]) for end in ("min", "max"))
    first = 10 * rank + 10
    return [
        Column(metric, tuple(map(Cell, texts)), rank=first),
        Column("min" if rank == 0 else f"{metric} min", tuple(map(Cell, lows)), rank=first + 5, align="point"),
        Column("max" if rank == 0 else f"{metric} max", tuple(map(Cell, highs)), rank=first + 6, align="point"),
    ]


def _spell_key(value: Value, kind: str) -> object:
    if kind in _TIMES and isinstance(value, int):
        return format_time(value)
    return spell_float(value) if isinstance(value, float) else value


def grouping_record(grouping: Grouping) -> list[dict[str, object]]:
    """Return groups as JSON-ready values; a key that a group's runs lack is not among its `keys`."""
    return [
        {
            "keys": {
                key: _spell_key(value, kind)
                for key, kind, value in zip(grouping.keys, grouping.kinds, group.values, strict=True)
                if value is not ABSENT
            },
            "runs": [grouping.ids[position] for position in group.members],
            "metrics": {
                metric: {
                    "count": spread.count,
                    **{
                        name: None if value is None else spell_float(value)
                        for name in ("mean", "std", "min", "max")
                        for value in (getattr(spread, name),)
                    },
                }
                for metric, spread in group.spreads.items()
            },
        }
        for group in grouping.groups
    ]

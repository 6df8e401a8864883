"""Groups runs by the values of some of their keys, and says of each group how a metric came out.

What repeated seeds are for: count, mean, spread and extremes of each setting. Pure: values in, values out. Knows
nothing of how runs are found or shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .compare import Value


@dataclass(frozen=True)
class Spread:
    """How one metric came out in several runs.

    `count` is how many runs have a value that is not NaN; the others count for nothing here. `std` is the sample
    standard deviation (divided by count - 1), None for fewer than two values or an infinite one; the rest is None for
    none at all.
    """

    count: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Group:
    """The runs that have the same values: `members` are their positions, `spreads` is by metric."""

    values: tuple[Value, ...]
    members: tuple[int, ...]
    spreads: Mapping[str, Spread]


def group_runs(keys: Sequence[Sequence[Value]], metrics: Mapping[str, Sequence[float | None]]) -> list[Group]:
    """Return the groups of runs with equal keys, in order of first appearance.

    `keys` and `metrics` are columns: each has one entry a run. Numbers are compared as numbers, all else by type, as
    `compare.is_same` does; a run without a key is of another group than one whose param is null.
    """
    found: dict[tuple[object, ...], list[int]] = {}
    for position, values in enumerate(zip(*keys, strict=True)):
        found.setdefault(tuple(map(_identify, values)), []).append(position)
    return [
        Group(
            values=tuple(column[members[0]] for column in keys),
            members=tuple(members),
            spreads={metric: measure([values[position] for position in members]) for metric, values in metrics.items()},
        )
        for members in found.values()
    ]


def measure(values: Sequence[float | None]) -> Spread:
    """Return how the values that are there, and are not NaN, came out; sums are exact, so their order is all one."""
    present = [value for value in values if value is not None and not math.isnan(value)]
    if not present:
        return Spread(0)
    if min(present) == max(present):  # said exactly: a rounded mean would make a spread of nothing
        level = math.isfinite(present[0]) and len(present) > 1
        return Spread(len(present), present[0], 0.0 if level else None, present[0], present[0])
    mean = find_mean(present)
    std = None
    if math.isfinite(mean):
        # By way of the largest difference, so that no square overflows or vanishes.
        differences = [abs(value - mean) for value in present]
        largest = max(differences)
        scaled = math.fsum((difference / largest) ** 2 for difference in differences)
        std = largest * math.sqrt(scaled / (len(present) - 1))
    return Spread(len(present), mean, std, min(present), max(present))


def find_mean(values: Sequence[float]) -> float:
    """Return the mean of one value or more; infinite, or NaN for both infinities, where a value is infinite."""
    infinite = {value for value in values if math.isinf(value)}
    if infinite:
        return infinite.pop() if len(infinite) == 1 else math.nan
    scale = max(map(abs, values))
    if scale < 1e300:
        return math.fsum(values) / len(values)
    return math.fsum(value / scale for value in values) / len(values) * scale


def _identify(value: Value) -> object:
    """Return what two values share if and only if they are the same."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, (int, float)):
        return (float, "nan") if value != value else (float, value)
    return type(value), value

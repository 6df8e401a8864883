"""The mean of several curves and how far they lie apart, at places on the x axis they have in common.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..group import measure

Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Band:
    """Mean, mean minus and plus one standard deviation, and the number of curves, at each x.

    The deviation is that of a sample (n - 1); where one curve is alone it is 0. `least` is the least value there.
    """

    xs: list[float]
    means: list[float]
    lowers: list[float]
    uppers: list[float]
    counts: list[int]
    least: list[float]


def average_curves(curves: Sequence[Curve], *, limit: int = 500) -> Band:
    """Return the band of curves, at most `limit` (2 or more) places long.

    Each curve counts where it has points, and on the straight line between them; before its first and after its last
    one it does not. Values that are not finite are passed over; of several at one x the last counts.
    """
    cleaned = [known for known in (_sort(xs, ys) for xs, ys in curves) if known]
    grid = _choose_grid(cleaned, limit=limit)
    columns: list[list[float]] = [[] for _ in grid]
    for known in cleaned:
        _add(known, grid, columns)
    band = Band([], [], [], [], [], [])
    for x, values in zip(grid, columns, strict=True):
        spread = measure(values)
        mean, deviation = spread.mean or 0.0, spread.std or 0.0
        band.xs.append(x)
        band.means.append(mean)
        band.lowers.append(mean - deviation)
        band.uppers.append(mean + deviation)
        band.counts.append(spread.count)
        band.least.append(min(values))
    return band


def _sort(xs: Sequence[float], ys: Sequence[float]) -> dict[float, float]:
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y) and math.isfinite(x)]
    pairs.sort(key=lambda pair: pair[0])
    return dict(pairs)


def _choose_grid(curves: Sequence[dict[float, float]], *, limit: int) -> list[float]:
    """Return every x of any curve; where these are too many, so many of them, evenly chosen, with both ends."""
    grid = sorted(set().union(*curves))
    if len(grid) <= limit:
        return grid
    last = len(grid) - 1
    return [grid[last * number // (limit - 1)] for number in range(limit)]


def _add(curve: dict[float, float], grid: Sequence[float], columns: list[list[float]]) -> None:
    xs, ys = list(curve), list(curve.values())
    right = 0
    for x, column in zip(grid, columns, strict=True):
        if x < xs[0] or x > xs[-1]:
            continue
        while xs[right] < x:
            right += 1
        if xs[right] == x:
            column.append(ys[right])
        else:
            share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
            column.append(ys[right - 1] * (1 - share) + ys[right] * share)

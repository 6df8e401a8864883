"""Chooses the points of a long curve that are drawn, so that nothing which shows is lost.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .smoothing import are_finite

_PER_BUCKET = 3


def thin(values: Sequence[float], *, limit: int) -> list[int]:
    """Return the positions of at most `limit` values (8 or more) that draw the same curve, in order.

    The curve is cut into stretches of as many points; of each the least and the greatest value are kept, and the first
    gap (a value that is not finite). The first and the last point of all are kept too.
    """
    count = len(values)
    if count <= limit:
        return list(range(count))
    buckets = (limit - 2) // _PER_BUCKET
    find = _find_extremes if are_finite(values) else _find_telling
    kept = {0, count - 1}
    for number in range(buckets):
        start, end = count * number // buckets, count * (number + 1) // buckets
        kept.update(start + position for position in find(values[start:end]))
    return sorted(kept)


def _find_extremes(values: Sequence[float]) -> list[int]:
    return [values.index(min(values)), values.index(max(values))]


def _find_telling(values: Sequence[float]) -> list[int]:
    if all(map(math.isfinite, values)):
        return _find_extremes(values)
    finite = [position for position, value in enumerate(values) if math.isfinite(value)]
    gap = next(position for position, value in enumerate(values) if not math.isfinite(value))
    if not finite:
        return [gap]
    return [min(finite, key=values.__getitem__), max(finite, key=values.__getitem__), gap]

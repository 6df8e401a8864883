"""What stands on the x axis of a curve (step, time, wall time, another metric), and where it puts each point.

Pure. Knows nothing of runs beyond the moment one started.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..errors import InvalidInput
from .points import Points

AxisKind = Literal["step", "time", "wall", "metric"]

_METRIC = "metrics."
_SECOND = 1_000_000
_UNITS = ((3 * 86_400.0, 86_400.0, "d"), (2 * 3600.0, 3600.0, "h"), (180.0, 60.0, "min"), (0.0, 1.0, "s"))


@dataclass(frozen=True)
class Axis:
    """What x is: `step`, `time` (seconds since the run started), `wall` (UTC microseconds), or a metric."""

    kind: AxisKind = "step"
    metric: str = ""

    @property
    def title(self) -> str:
        """What the axis is called, without its unit."""
        return {"step": "step", "time": "time since start", "wall": "time (UTC)"}.get(self.kind, self.metric)


@dataclass(frozen=True)
class Placed:
    """The points of one curve: x and y, and how many points have no place on the axis."""

    xs: list[float]
    ys: list[float]
    left_out: int = 0


def parse_axis(text: str) -> Axis:
    """Return the axis that a word names; any other word is a metric, as is what follows `metrics.`."""
    name = text.removeprefix(_METRIC)
    if not name:
        raise InvalidInput("an x axis is step, time, wall or a metric, not an empty word")
    if text == "step":
        return Axis("step")
    if text in ("time", "relative"):
        return Axis("time")
    if text == "wall":
        return Axis("wall")
    return Axis("metric", name)


def place_points(points: Points, axis: Axis, *, started: int, along: Points | None = None) -> Placed:
    """Return where a metric's points stand.

    `started` is when the run began, in UTC microseconds. `along` are the points of the metric that is on the axis; a
    run that lacks it has no curve. On the axes of time, points stand in the order of their times, else of their steps.
    """
    values = points.values.tolist()
    if axis.kind == "step":
        return Placed(list(map(float, points.steps)), values)
    if axis.kind == "metric":
        return _place_along(points, along) if along is not None else Placed([], [], len(points))
    if axis.kind == "time":
        xs = [(time - started) / _SECOND for time in points.times]
    else:
        xs = list(map(float, points.times))
    if xs != sorted(xs):
        order = sorted(range(len(xs)), key=xs.__getitem__)
        return Placed([xs[index] for index in order], [values[index] for index in order])
    return Placed(xs, values)


def choose_unit(longest: float) -> tuple[float, str]:
    """Return the seconds in the unit that a duration of so many seconds is best said in, and the unit's name."""
    return next((size, name) for least, size, name in _UNITS if longest >= least or name == "s")


def _place_along(points: Points, along: Points) -> Placed:
    """Place points by another metric: its value at the same step, or on the straight line between its steps.

    A metric that only rises, such as an epoch, goes on at its outer slopes, so that what was logged before its first
    point or after its last one has a place. Beside any other metric such points are left out.
    """
    knots = {step: value for step, value in zip(along.steps, along.values, strict=True) if math.isfinite(value)}
    steps, marks = list(knots), list(knots.values())
    rising = len(marks) > 1 and all(later >= earlier for earlier, later in pairwise(marks))
    placed = Placed([], [])
    left_out = 0
    for step, value in zip(points.steps, points.values, strict=True):
        x = knots.get(step)
        if x is None:
            x = _interpolate(steps, marks, step, beyond=rising)
        if x is None:
            left_out += 1
        else:
            placed.xs.append(x)
            placed.ys.append(value)
    return Placed(placed.xs, placed.ys, left_out)


def _interpolate(steps: Sequence[int], marks: Sequence[float], step: int, *, beyond: bool) -> float | None:
    right = bisect_right(steps, step)
    if not 0 < right < len(steps):
        if not beyond:
            return None
        right = min(max(right, 1), len(steps) - 1)
    share = (step - steps[right - 1]) / (steps[right] - steps[right - 1])
    return marks[right - 1] + share * (marks[right] - marks[right - 1])

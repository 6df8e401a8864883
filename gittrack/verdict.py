"""Judges whether a run that repeats another came to the same metrics: the same bits, within a tolerance, or off.

Pure: values in, values out. Knows nothing of how a run is repeated.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .compare import is_machine_metric
from .model import MetricSummary

Outcome = Literal["same", "close", "off", "missing", "new", "machine"]
Verdict = Literal["same", "close", "off", "none"]

Series = tuple[Sequence[int], Sequence[float]]


@dataclass(frozen=True)
class MetricVerdict:
    """What became of one metric: its last value then and now (None where there is none), and how far it is off.

    `off` is the largest difference between two points of one step; None where there are none to compare. `counts` are
    the numbers of points. A metric of the outcome `machine`, such as a time, is measured and cannot come out again: it
    does not count; neither does a `new` one.
    """

    metric: str
    outcome: Outcome
    old: float | None
    new: float | None
    off: float | None
    counts: tuple[int, int]


def judge_metrics(
    old: Mapping[str, MetricSummary],
    new: Mapping[str, MetricSummary],
    *,
    read_old: Callable[[str], Series],
    read_new: Callable[[str], Series],
    tolerance: float,
) -> tuple[MetricVerdict, ...]:
    """Return a verdict for every metric of either run, sorted by name.

    Every point counts, in the order of steps; its time does not. `tolerance` is relative to the largest value that
    either series has. The series, as steps and values, are read one metric at a time.
    """
    verdicts = []
    for metric in sorted({*old, *new}):
        left, right = old.get(metric), new.get(metric)
        values = (None if left is None else left.last, None if right is None else right.last)
        counts = (0 if left is None else left.count, 0 if right is None else right.count)
        off: float | None = None
        outcome: Outcome
        if left is None or right is None:
            outcome = "new" if left is None else "missing"
        else:
            outcome, off = _judge_series(read_old(metric), read_new(metric), tolerance)
        if outcome != "same" and is_machine_metric(metric):
            outcome = "machine"
        verdicts.append(MetricVerdict(metric, outcome, *values, off, counts))
    return tuple(verdicts)


def _judge_series(old: Series, new: Series, tolerance: float) -> tuple[Outcome, float | None]:
    if list(old[0]) != list(new[0]):
        return "off", None
    if array("d", old[1]).tobytes() == array("d", new[1]).tobytes():
        return "same", 0.0
    pairs = [pair for pair in zip(old[1], new[1], strict=True) if not _is_equal(*pair)]
    if any(not math.isfinite(value) for pair in pairs for value in pair):
        return "off", math.inf
    off = max((abs(left - right) for left, right in pairs), default=0.0)
    scale = max((abs(value) for side in (old[1], new[1]) for value in side if math.isfinite(value)), default=0.0)
    return ("close" if off <= tolerance * scale else "off"), off


def _is_equal(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def sum_up(verdicts: Iterable[MetricVerdict]) -> Verdict:
    """Return what the worst of the metrics that count came to; none where there is none of them."""
    outcomes = {verdict.outcome for verdict in verdicts} - {"machine", "new"}
    if outcomes & {"off", "missing"}:
        return "off"
    return "close" if "close" in outcomes else "same" if outcomes else "none"

"""Smooths the values of a curve: an exponential moving average, or a running mean.

Pure. Values that are not finite stay where they are and take no part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from ..errors import InvalidInput


def are_finite(values: Sequence[float]) -> bool:
    """Tell quickly whether all values are finite; False too where their sum is beyond what a float holds."""
    return math.isfinite(sum(values))


def check_smoothing(amount: float) -> float:
    """Return how much is smoothed if that can be: 0 for not at all, a weight below 1, or a whole number of points."""
    if math.isfinite(amount) and (0 <= amount < 1 or (amount >= 1 and amount == int(amount))):
        return amount
    raise InvalidInput(
        f"cannot smooth by {amount:g}: give a weight from 0 up to 1 (an exponential moving average), or a whole number "
        "of points (a running mean)",
        hint="--smooth 0.6 or --smooth 25",
    )


def smooth(values: Sequence[float], amount: float) -> list[float]:
    """Return values smoothed by an amount as check_smoothing has it."""
    check_smoothing(amount)
    if amount < 1:
        return average_exponentially(values, weight=amount) if amount else list(values)
    return average_running(values, points=int(amount))


def average_exponentially(values: Sequence[float], *, weight: float) -> list[float]:
    """Return the exponential moving average of values, with TensorBoard's correction of its start.

    Each average is the earlier one, times the weight, plus the value, times what is left of 1. It begins at 0, so it is
    divided by what the weights add up to: the first average is the first value. Values that are all the same stay.
    """
    finite = values if are_finite(values) else [value for value in values if math.isfinite(value)]
    if not finite or min(finite) == max(finite):
        return list(values)
    averages = iter(_average(finite, weight))
    return (
        list(averages) if finite is values else [next(averages) if math.isfinite(value) else value for value in values]
    )


def _average(values: Sequence[float], weight: float) -> list[float]:
    averages = []
    rest = 1 - weight
    sum_, total = 0.0, 0.0
    for value in values:
        sum_ = weight * sum_ + rest * value
        total = weight * total + rest
        averages.append(sum_ / total)
    return averages


def average_running(values: Sequence[float], *, points: int) -> list[float]:
    """Return the mean of so many finite values around each one, itself in the middle; of fewer at both ends.

    Sums are only ever added up, never taken down again, so one huge value leaves no error behind it.
    """
    finite = [value for value in values if math.isfinite(value)]
    before = points // 2
    # Each window is the end of one block and the start of the next: a sum from the right, and a sum from the left.
    padded = [0.0] * before + finite + [0.0] * points
    blocks = [padded[start : start + points] for start in range(0, len(padded), points)]
    from_left = [sum_ for block in blocks for sum_ in accumulate(block)]
    from_right = [sum_ for block in blocks for sum_ in reversed(list(accumulate(reversed(block))))]
    means = []
    for index in range(len(finite)):
        end = index + points - 1
        total = from_left[end] if index % points == 0 else from_right[index] + from_left[end]
        means.append(total / (min(index - before + points, len(finite)) - max(index - before, 0)))
    rest = iter(means)
    return [next(rest) if math.isfinite(value) else value for value in values]

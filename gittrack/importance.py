"""Says which params move a metric: by rank correlation for numbers, by the variance they explain for categories.

A first look, one param at a time: it sees no interplay of params, and says nothing of causes. Pure: values in, values
out. Knows nothing of how runs are found or shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from .compare import ABSENT, Value
from .group import group_runs

Kind = Literal["number", "category"]

# A number with no more values than these, most of which repeat, may as well be a category.
_FEW_VALUES = 10


@dataclass(frozen=True)
class Importance:
    """How strongly one param goes with a metric.

    `explained` is between 0 and 1: the share of the variance of the metric's ranks that goes with the param. For a
    number that is the square of Spearman's `correlation` (-1 to 1, ties get their mean rank); for a category, whose
    `correlation` is None, epsilon squared: the share between its values, less what as many random groups would show. A
    rank correlation does not see a hump, a metric that is best in the middle; so a number with at most 10 values, of
    which more than half are those of two runs or more, has the larger of the two.
    `runs` have both param and metric; `distinct` is how many values of the param are among them.
    """

    param: str
    kind: Kind
    explained: float
    correlation: float | None
    runs: int
    distinct: int


def rank_params(params: Mapping[str, Sequence[Value]], metric: Sequence[float | None]) -> list[Importance]:
    """Return the params that differ between runs, the most telling first.

    `params` and `metric` are columns: each has one entry a run. Runs without the metric, or with NaN, are left out; so
    is a param that is the same in all that have it, or that fewer than three runs have. A param with a value that is
    no number is a category; so is a boolean.
    """
    found = []
    for param, values in params.items():
        pairs = [
            (value, float(outcome))
            for value, outcome in zip(values, metric, strict=True)
            if value is not ABSENT and outcome is not None and not math.isnan(outcome)
        ]
        importance = _weigh(param, [value for value, _ in pairs], [outcome for _, outcome in pairs])
        if importance is not None:
            found.append(importance)
    return sorted(found, key=lambda importance: (-importance.explained, importance.param))


def _weigh(param: str, values: Sequence[Value], outcomes: Sequence[float]) -> Importance | None:
    groups = [group.members for group in group_runs([values], {})]
    if len(values) < 3 or len(groups) < 2:
        return None
    ranks = rank_values(outcomes)
    numbers = [float(value) for value in values if _is_number(value)]
    if len(numbers) == len(values):
        correlation = correlate(rank_values(numbers), ranks)
        explained = max(correlation**2, explain(groups, ranks) if _repeats(groups) else 0.0)
        return Importance(param, "number", explained, correlation, len(values), len(groups))
    return Importance(param, "category", explain(groups, ranks), None, len(values), len(groups))


def _repeats(groups: Sequence[Sequence[int]]) -> bool:
    """Tell whether the values of a number are few, and most of them those of several runs."""
    return len(groups) <= _FEW_VALUES and 2 * sum(len(members) > 1 for members in groups) > len(groups)


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def rank_values(values: Sequence[float]) -> list[float]:
    """Return each value's rank, from 1; equal values share the mean of theirs. NaN must not be among them."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for position in order[first : last + 1]:
            ranks[position] = (first + last) / 2 + 1
        first = last + 1
    return ranks


def correlate(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Pearson's correlation of two finite columns; 0 where one of them does not vary."""
    left_mean, right_mean = math.fsum(left) / len(left), math.fsum(right) / len(right)
    both = math.fsum((x - left_mean) * (y - right_mean) for x, y in zip(left, right, strict=True))
    own = math.fsum((x - left_mean) ** 2 for x in left) * math.fsum((y - right_mean) ** 2 for y in right)
    return max(-1.0, min(1.0, both / math.sqrt(own))) if own > 0 else 0.0


def explain(groups: Sequence[Sequence[int]], outcomes: Sequence[float]) -> float:
    """Return epsilon squared: the share of the variance of outcomes that lies between groups of their positions.

    Adjusted for the number of groups, so that a param that is different in each run explains nothing; never below 0.
    """
    count = len(outcomes)
    mean = math.fsum(outcomes) / count
    total = math.fsum((outcome - mean) ** 2 for outcome in outcomes)
    spare = count - len(groups)
    if total <= 0 or spare <= 0:
        return 0.0
    within = 0.0
    for members in groups:
        own = math.fsum(outcomes[position] for position in members) / len(members)
        within += math.fsum((outcomes[position] - own) ** 2 for position in members)
    return max(0.0, 1 - (within / spare) / (total / (count - 1)))

"""What groups of runs say of a metric, against the standard library's statistics."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare import ABSENT, Value, is_same
from gittrack.group import Spread, group_runs, measure

moderate = st.floats(-1e6, 1e6)
scalars: st.SearchStrategy[Value] = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, -2.0, math.nan, math.inf, ABSENT, "1", "a"])
)


def test_repeated_seeds_are_one_group() -> None:
    lr: list[Value] = [0.1, 0.1, 0.01, 0.1]
    model: list[Value] = ["svm", "svm", "svm", "tree"]
    groups = group_runs([lr, model], {"auc": [0.9, 0.8, 0.5, None]})
    assert [(group.values, group.members) for group in groups] == [
        ((0.1, "svm"), (0, 1)),
        ((0.01, "svm"), (2,)),
        ((0.1, "tree"), (3,)),
    ]
    first, second, third = (group.spreads["auc"] for group in groups)
    assert (first.count, first.min, first.max) == (2, 0.8, 0.9)
    assert first.mean == pytest.approx(0.85)
    assert first.std == pytest.approx(statistics.stdev([0.9, 0.8]))
    assert second == Spread(1, 0.5, None, 0.5, 0.5)
    assert third == Spread(0)


@given(st.lists(st.tuples(scalars, scalars), max_size=30))
def test_runs_are_together_if_and_only_if_their_values_are_the_same(rows: list[tuple[Value, Value]]) -> None:
    groups = group_runs([[row[0] for row in rows], [row[1] for row in rows]], {})
    owner = {position: number for number, group in enumerate(groups) for position in group.members}
    assert sorted(owner) == list(range(len(rows)))
    for left, first in enumerate(rows):
        for right, second in enumerate(rows):
            same = all(is_same(x, y) for x, y in zip(first, second, strict=True))
            assert (owner[left] == owner[right]) is same


@given(st.lists(moderate, min_size=2, max_size=50))
def test_spreads_agree_with_the_standard_library(values: list[float]) -> None:
    spread = measure([*values, None, math.nan])
    assert spread.count == len(values)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert spread.std == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)
    assert (spread.min, spread.max) == (min(values), max(values))


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([math.inf, 1.0], Spread(2, math.inf, None, 1.0, math.inf)),
        ([1.7e308, 1.7e308], Spread(2, 1.7e308, 0.0, 1.7e308, 1.7e308)),
        ([5e-324, 5e-324], Spread(2, 5e-324, 0.0, 5e-324, 5e-324)),
        ([0.2, 0.2, 0.2], Spread(3, 0.2, 0.0, 0.2, 0.2)),
        ([math.nan], Spread(0)),
    ],
)
def test_odd_numbers(values: list[float], spread: Spread) -> None:
    assert measure(values) == spread


def test_both_infinities_have_no_mean() -> None:
    spread = measure([math.inf, -math.inf])
    assert spread.mean is not None
    assert math.isnan(spread.mean)
    assert (spread.std, spread.min, spread.max) == (None, -math.inf, math.inf)

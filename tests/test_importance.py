"""Which params move a metric: known cases, and SciPy's own figures where the definitions are the same."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare import ABSENT, Value
from gittrack.importance import Importance, correlate, explain, rank_params, rank_values


def test_a_param_that_orders_the_metric_explains_all_of_it() -> None:
    params: dict[str, list[Value]] = {
        "lr": [0.1, 0.01, 0.001, 0.0001],
        "seed": [3, 1, 2, 4],
        "same": [1, 1, 1, 1],
        "rare": [1, 2, ABSENT, ABSENT],
    }
    found = rank_params(params, [0.2, 0.5, 0.9, 1.0])
    assert [entry.param for entry in found] == ["lr", "seed"]
    assert found[0] == Importance("lr", "number", 1.0, -1.0, 4, 4)
    assert found[1].correlation == pytest.approx(0.4)


def test_a_category_explains_the_variance_between_its_values() -> None:
    metric: list[float | None] = [1.0, 1.1, 1.2, 5.0, 5.1, 5.2, None, math.nan]
    params: dict[str, list[Value]] = {
        "model": ["a", "a", "a", "b", "b", "b", "a", "b"],
        "host": ["h1", "h2", "h1", "h2", "h1", "h2", "h1", "h1"],
        "uid": ["1", "2", "3", "4", "5", "6", "7", "8"],
        "flag": [True, False, True, True, False, False, True, True],
    }
    found = {entry.param: entry for entry in rank_params(params, metric)}
    assert next(iter(found)) == "model"
    # Ranks 1..6: 17.5 in all, 2 within each group of three; 1 - (4 / 4) / (17.5 / 5)
    assert found["model"] == Importance("model", "category", pytest.approx(1 - 1 / 3.5), None, 6, 2)
    assert found["host"].explained == 0.0
    assert found["uid"].explained == 0.0
    assert found["flag"].kind == "category"


def test_a_text_among_numbers_makes_a_category() -> None:
    found = rank_params({"depth": [1, 2, "none", 1]}, [1.0, 2.0, 3.0, 1.0])
    assert (found[0].kind, found[0].distinct) == ("category", 3)


def test_a_hump_is_seen_where_values_repeat() -> None:
    lr: list[Value] = [1, 1, 2, 2, 3, 3]
    # Ranks 1, 2, 5, 6, 3, 4: 17.5 in all, 0.5 within each pair; 1 - (1.5 / 3) / (17.5 / 5)
    hump = rank_params({"lr": lr}, [0.1, 0.2, 0.8, 0.9, 0.3, 0.4])[0]
    assert hump == Importance("lr", "number", pytest.approx(1 - 0.5 / 3.5), hump.correlation, 6, 3)
    assert hump.correlation == pytest.approx(8 / math.sqrt(16 * 17.5))
    # A line is told by its ranks, and values that are each one run's alone tell no share between them.
    assert rank_params({"lr": lr}, [1.0, 1.1, 2.0, 2.1, 3.0, 3.1])[0].explained == pytest.approx(16 / 17.5)
    assert rank_params({"lr": [1, 2, 3, 4, 4]}, [1.0, 5.0, 5.1, 1.1, 1.2])[0].explained < 0.1
    many: list[Value] = [value for value in range(11) for _ in range(2)]
    metric = [5.0 - abs(float(value) - 5) for value in range(11) for _ in range(2)]
    assert rank_params({"lr": many}, metric)[0].explained == pytest.approx(0, abs=1e-9)


numbers = st.lists(st.tuples(st.integers(-5, 5), st.floats(-100, 100)), min_size=3, max_size=40)


@pytest.fixture(scope="module")
def scipy_stats() -> ModuleType:
    module: ModuleType = pytest.importorskip("scipy.stats")
    return module


@given(pairs=numbers)
def test_spearman_agrees_with_scipy(scipy_stats: ModuleType, pairs: list[tuple[int, float]]) -> None:
    left, right = [float(pair[0]) for pair in pairs], [pair[1] for pair in pairs]
    assert rank_values(left) == scipy_stats.rankdata(left).tolist()
    if len(set(left)) > 1 and len(set(right)) > 1:
        expected = float(scipy_stats.spearmanr(left, right).statistic)
        assert correlate(rank_values(left), rank_values(right)) == pytest.approx(expected, abs=1e-9)


@given(numbers)
def test_what_is_explained_is_a_share(pairs: list[tuple[int, float]]) -> None:
    groups: dict[int, list[int]] = {}
    for position, (key, _) in enumerate(pairs):
        groups.setdefault(key, []).append(position)
    assert 0 <= explain(list(groups.values()), [outcome for _, outcome in pairs]) <= 1
    assert explain([list(range(len(pairs)))], [outcome for _, outcome in pairs]) <= 1e-9

"""What the comparison of runs decides: which values are the same, which goal a metric has, who is best."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare import (
    ABSENT,
    Goal,
    Row,
    align_inputs,
    align_metrics,
    align_values,
    find_best,
    flatten_environment,
    guess_goal,
    is_same,
    judge_data,
    rank_metrics,
)
from gittrack.model import Input, MetricSummary, Scalar

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def summarize(last: float) -> MetricSummary:
    return MetricSummary(1, last, 0, last, 0, last, 0, last, 0, last)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (0.0, -0.0, True),
        (math.nan, math.nan, True),
        (2**53 + 1, float(2**53), False),
        (1, "1", False),
        (1, True, False),
        (0, False, False),
        (1.0, True, False),
        (True, True, True),
        ("a", "a", True),
        ("a", "A", False),
        (None, None, True),
        (None, ABSENT, False),
        (None, "", False),
        (ABSENT, ABSENT, True),
        (math.inf, -math.inf, False),
    ],
)
def test_values_are_compared_by_type_and_numbers_as_numbers(left: Scalar, right: Scalar, same: bool) -> None:
    assert is_same(left, right) is same
    assert is_same(right, left) is same


@given(scalars, scalars, scalars)
def test_being_the_same_is_an_equivalence(first: Scalar, second: Scalar, third: Scalar) -> None:
    assert is_same(first, first)
    assert is_same(first, second) == is_same(second, first)
    if is_same(first, second) and is_same(second, third):
        assert is_same(first, third)


def test_rows_have_a_value_for_every_run_and_know_whether_they_differ() -> None:
    rows = align_values([{"b": 1, "a": None}, {"b": 1.0}])
    assert rows == [Row("a", (None, ABSENT)), Row("b", (1, 1.0))]
    assert [row.differs for row in rows] == [True, False]
    assert align_values([]) == []
    assert align_values([{"a": 1}])[0].differs is False


@pytest.mark.parametrize(
    ("values", "goal", "best"),
    [
        ((0.1, 0.2, 0.3), "min", {0}),
        ((0.1, 0.2, 0.3), "max", {2}),
        ((0.1, 0.1, 0.3), "min", {0, 1}),
        ((0.1, 0.1), "min", set()),
        ((0.1, 0.2), None, set()),
        ((math.nan, 0.2), "min", {1}),
        ((math.nan, 0.2), "max", {1}),
        ((math.nan, math.nan), "max", set()),
        ((None, 0.2), "min", set()),
        ((None, 0.2, 0.1), "min", {2}),
        ((-math.inf, 0.0), "min", {0}),
        ((), "min", set()),
    ],
)
def test_the_best_is_found(values: tuple[float | None, ...], goal: Goal | None, best: set[int]) -> None:
    assert find_best(values, goal=goal) == best


@given(st.lists(st.none() | st.floats(), max_size=6), st.sampled_from(["min", "max"]))
def test_nan_and_nothing_are_never_best(values: list[float | None], goal: Goal) -> None:
    for index in find_best(values, goal=goal):
        value = values[index]
        assert value is not None
        assert not math.isnan(value)
        others = [other for other in values if other is not None and not math.isnan(other)]
        assert value == (min(others) if goal == "min" else max(others))


@pytest.mark.parametrize(
    ("goal", "names"),
    [
        (
            "min",
            "loss val_loss valLoss train/loss rmse test_error error_rate nll perplexity latency_ms p95_latency "
            "epoch_time accuracy_loss neg_log_likelihood false_positive_rate fpr WER log_loss seconds_per_epoch loss2",
        ),
        (
            "max",
            "accuracy val_acc valAcc roc_auc ROC-AUC F1 f1_macro R2 mAP mAP50 acc@1 hits@10 top5_acc reward "
            "episode_return neg_mean_squared_error log_likelihood samples_per_second tokens/s it/s win_rate "
            "true_positive_rate BLEU val/IoU psnr",
        ),
        (None, "lr learning_rate epoch step grad_norm mystery beta 損失 x1 _ temperature"),
    ],
)
def test_the_goal_is_guessed_from_the_name(goal: Goal | None, names: str) -> None:
    assert {name: guess_goal(name) for name in names.split()} == dict.fromkeys(names.split(), goal)


@given(st.text(max_size=300))
def test_every_name_has_a_goal_or_none(name: str) -> None:
    assert guess_goal(name) in ("min", "max", None)


def test_metrics_are_aligned_and_a_goal_that_was_set_counts_over_a_guess() -> None:
    summaries = [{"loss": summarize(0.5), "x": summarize(1.0)}, {"loss": summarize(0.7)}]
    loss, x = align_metrics(summaries)
    assert (loss.metric, loss.values, loss.goal, loss.best, loss.differs) == ("loss", (0.5, 0.7), "min", {0}, True)
    assert (x.metric, x.values, x.goal, x.best, x.differs) == ("x", (1.0, None), None, frozenset(), True)
    (loss, _) = align_metrics(summaries, goals={"loss": "max"})
    assert (loss.goal, loss.best) == ("max", {1})
    (nan,) = align_metrics([{"a": summarize(math.nan)}, {"a": summarize(math.nan)}])
    assert nan.differs is False


def test_an_environment_becomes_flat_facts() -> None:
    environment = {"python": {"version": "3.11"}, "gpu": {"models": ["A", "B"]}, "cpu": {"count": 8}, "odd": object}
    facts = flatten_environment(environment)
    assert facts["python.version"] == "3.11"
    assert facts["gpu.models"] == "A, B"
    assert facts["cpu.count"] == 8
    assert isinstance(facts["odd"], str)


def test_the_most_telling_metrics_come_first() -> None:
    one = summarize(1.0)
    summaries = [
        {"gpu_memory": one, "epoch": one, "loss": one, "val_loss": one, "accuracy": one, "epoch_time": one},
        {"epoch": one, "accuracy": one},
    ]
    assert rank_metrics(summaries) == ["accuracy", "val_loss", "loss", "epoch", "epoch_time", "gpu_memory"]
    assert rank_metrics([]) == []


def data(digest: str = "", size: int | None = 5, path: str = "data.csv", **facts: str) -> Input:
    return Input("train", path, "file", digest, size, "", tuple(sorted(facts.items())))


@pytest.mark.parametrize(
    ("left", "right", "judged"),
    [
        (data("sha256:aa"), data("sha256:aa", path="elsewhere.csv"), "same"),
        (data("sha256:aa"), data("sha256:bb"), "other"),
        (data("sha256:aa"), data("md5:bb"), "unknown"),
        (data("sha256:aa", 5), data("md5:bb", 6), "other"),
        (data("sha256:aa", 5), data("sha256:bb", 6, "", origin="memory"), "unknown"),
        (data("sha256:aa", 5, "", origin="memory"), data("sha256:bb", 5, "", origin="memory"), "other"),
        (data('etag:"a"', path="http://a/x?sig=1"), data('etag:"a"', path="http://a/x?sig=2"), "same"),
        (data('etag:"a"', path="http://a/x"), data('etag:"b"', path="http://a/x"), "other"),
        (data('etag:"a"', path="http://a/x"), data('etag:"a"', path="http://b/x"), "unknown"),
        (data('etag:"a"', path="http://a/x"), data('etag:"b"', path="http://b/x"), "unknown"),
        (data("", None, "http://a/x"), data("", None, "http://a/x"), "same"),
        (data("", None, "http://a/x"), data("", None, "http://b/x"), "unknown"),
        (data("", 5, "http://a/x", modified="1"), data("", 5, "http://a/x", modified="2"), "unknown"),
        (data("", None, "http://a/x"), data("sha256:aa"), "unknown"),
    ],
)
def test_the_same_data_or_other(left: Input, right: Input, judged: str) -> None:
    assert judge_data([left], [right]) == judge_data([right], [left]) == judged
    (row,) = align_inputs([[left], [right]])
    assert row.differs == (judged != "same")


def test_several_data_of_one_name_count_in_any_order() -> None:
    one, two = data("sha256:aa"), data("sha256:bb", path="b")
    assert judge_data([one, two], [two, one]) == "same"
    assert judge_data([one, two], [two]) == "other"
    assert judge_data([], []) == "same"


def test_data_is_aligned_by_name() -> None:
    train, valid = data("sha256:aa"), Input("valid", "v.csv", "file", "sha256:cc", 1)
    rows = align_inputs([[train], [valid, train], []])
    assert [(row.name, row.entries, row.differs) for row in rows] == [
        ("train", ((train,), (train,), ()), True),
        ("valid", ((), (valid,), ()), True),
    ]

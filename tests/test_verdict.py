"""Whether a repeated run came to the same metrics, and why not: pure judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gittrack.cause import Cause, find_causes
from gittrack.compare import is_machine_metric
from gittrack.model import Input, LeftOut, MetricSummary, Run, Snapshot, SourceLink, Status
from gittrack.verdict import MetricVerdict, judge_metrics, sum_up

Values = Mapping[str, Sequence[float]]


def summarise(values: Sequence[float]) -> MetricSummary:
    return MetricSummary(len(values), values[0], 0, values[-1], len(values) - 1, min(values), 0, max(values), 0, 0.0)


def judge(old: Values, new: Values, tolerance: float = 1e-6) -> dict[str, MetricVerdict]:
    verdicts = judge_metrics(
        {metric: summarise(values) for metric, values in old.items()},
        {metric: summarise(values) for metric, values in new.items()},
        read_old=lambda metric: (range(len(old[metric])), old[metric]),
        read_new=lambda metric: (range(len(new[metric])), new[metric]),
        tolerance=tolerance,
    )
    return {verdict.metric: verdict for verdict in verdicts}


@pytest.mark.parametrize(
    ("old", "new", "outcome", "off"),
    [
        ([1.0, 0.5], [1.0, 0.5], "same", 0.0),
        ([1.0, 0.5], [1.0 + 5e-7, 0.5], "close", 5e-7),  # a point in the middle counts as the last one does
        ([1.0, 0.5], [1.0, 0.5 + 2e-6], "off", 2e-6),
        ([1000.0, 0.0], [1000.0, 1e-4], "close", 1e-4),  # relative to the largest value of the series
        ([0.0], [1e-17], "off", 1e-17),
        ([0.0], [-0.0], "close", 0.0),
        ([math.nan, 1.0], [math.nan, 1.0], "same", 0.0),
        ([math.nan], [1.0], "off", math.inf),
        ([math.inf], [math.inf], "same", 0.0),
        ([math.inf], [1.0], "off", math.inf),
        ([1.0, 2.0], [1.0], "off", None),
    ],
)
def test_a_metric_is_judged_by_all_its_points(
    old: list[float], new: list[float], outcome: str, off: float | None
) -> None:
    verdict = judge({"loss": old}, {"loss": new})["loss"]
    assert verdict.outcome == outcome
    assert verdict.off == (None if off is None else pytest.approx(off, rel=1e-3))
    assert verdict.counts == (len(old), len(new))


def test_what_is_missing_new_or_of_the_machine() -> None:
    found = judge(
        {"auc": [1.0], "fit_seconds": [1.0], "loss": [2.0]}, {"loss": [2.0], "fit_seconds": [9.0], "f1": [1.0]}
    )
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        "auc": "missing",
        "f1": "new",
        "fit_seconds": "machine",
        "loss": "same",
    }
    assert sum_up(found.values()) == "off"
    assert sum_up([found["loss"], found["f1"], found["fit_seconds"]]) == "same"
    assert sum_up([found["f1"], found["fit_seconds"]]) == "none"
    assert sum_up(judge({"a": [1.0], "b": [1.0]}, {"a": [1.0], "b": [1.0 + 1e-9]}).values()) == "close"


def test_figures_of_the_machine_by_their_names() -> None:
    assert all(map(is_machine_metric, ("fit_seconds", "system/cpu", "samples_per_second", "epoch_time")))
    assert not any(map(is_machine_metric, ("loss", "auc", "percentile", "images_per_class")))


def make_run(**facts: Any) -> Run:
    return Run("a" * 32, "one", "churn", 1, Status.FINISHED, 1, 2, **facts)


BASE = Snapshot(
    make_run(command=("python", "train.py", "--lr", "0.1"), source=SourceLink(tree="1" * 40, captured="worktree")),
    params={"lr": 0.1, "seed": 3},
    environment={"python": {"version": "3.11.2"}, "cpu": {"count": 2}, "packages": {"numpy": "1.26.0", "rich": "13"}},
)


def test_causes_stand_in_the_order_of_their_likelihood() -> None:
    data = Input("train", "data.csv", "file", "sha256:" + "1" * 64, 4)
    old = replace(BASE, run=replace(BASE.run, inputs=(data,)))
    new = Snapshot(
        replace(
            BASE.run,
            command=("/usr/bin/python", "train.py", "--lr", "0.2"),
            source=SourceLink(tree="2" * 40, captured="worktree"),
            inputs=(replace(data, digest="sha256:" + "2" * 64),),
        ),
        params={"lr": 0.2, "seed": 3, "more": None},
        environment={"python": {"version": "3.12.1"}, "cpu": {"count": 4}, "packages": {"numpy": "2.0.0", "tqdm": "4"}},
    )
    assert find_causes(old, new, files=["train.py"]) == (
        Cause("code", ("train.py",)),
        Cause("command", ("0.1 → 0.2",)),
        Cause("params", ("lr 0.1 → 0.2", "more none → None")),
        Cause("data", ("train: other content",)),
        Cause(
            "packages", ("python.version 3.11.2 → 3.12.1", "numpy 1.26.0 → 2.0.0", "rich 13 → none", "tqdm none → 4")
        ),
        Cause("hardware", ("cpu.count 2 → 4",)),
    )
    assert find_causes(old, new)[0] == Cause("code", ("the files",))


def test_where_nothing_differs_it_is_chance_or_what_nobody_recorded() -> None:
    assert find_causes(BASE, BASE) == (Cause("randomness", ()),)
    left_out = tuple(LeftOut(f"data/{number}.bin", 1, "too-large") for number in range(4))
    source = SourceLink(tree="1" * 40, captured="commit", left_out=left_out)
    blind = replace(BASE, run=replace(BASE.run, source=source))
    assert find_causes(BASE, blind)[0].details == (
        "only the commit's code was recorded",
        "files left out of the record: data/0.bin, data/1.bin, data/2.bin, …",
    )
    bare = replace(BASE, run=replace(BASE.run, source=SourceLink()))
    assert find_causes(bare, bare) == (Cause("randomness", ("the code was not recorded",)),)
    assert find_causes(BASE, bare)[0] == Cause("code", ("the code of one of them was not recorded",))


def test_an_environment_that_one_side_lacks_says_nothing() -> None:
    assert find_causes(BASE, replace(BASE, environment={})) == (Cause("randomness", ()),)

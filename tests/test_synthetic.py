"""The invented stores that benches run on are stores like any other: gittrack reads them, and git finds no fault."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from bench.driven.trackers import list_installed
from bench.process import TrackerProcess
from bench.scratch import run_git
from bench.synthetic_runs import METRICS, edit_snapshot, make_snapshot, write_lines
from bench.synthetic_store import EDITED_EVERY, get_store, make_store

from gittrack.model import Status
from gittrack.tracker import Tracker

RUNS = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "code", runs=RUNS, experiments=2)


def test_git_finds_no_fault(store: Path) -> None:
    run_git(store, "fsck", "--strict", "--no-dangling")
    assert len(list((store / ".git/objects/pack").glob("*.pack"))) == 1
    records = RUNS + math.ceil(RUNS / EDITED_EVERY) + 2
    assert int(run_git(store, "rev-list", "--count", "--glob=refs/heads/gittrack")) == records


def test_gittrack_reads_what_was_invented(store: Path) -> None:
    with Tracker.open(store) as tracker:
        runs = {run.id: run for run in tracker.list_runs()}
        assert [experiment.name for experiment in tracker.list_experiments()] == ["Sweep 0", "Sweep 1"]
        assert len(runs) == RUNS
        assert tracker.damaged == []
        for number in range(RUNS):
            wanted = make_snapshot(number, experiments=2)
            if number % EDITED_EVERY == 0:
                wanted = edit_snapshot(wanted)
            found = runs[wanted.run.id]
            assert repr(found.snapshot.summary) == repr(dict(sorted(wanted.summary.items())))  # by repr: NaN among them
            assert found.params == wanted.params
            assert found.environment == wanted.environment
            assert found.artifacts() == wanted.artifacts
            assert (found.revision, found.tags, found.status) == (
                wanted.run.revision,
                wanted.run.tags,
                wanted.run.status,
            )
            assert found.series("loss").num_rows == 100 if "loss" in found.summary else True
            assert run_git(store, "rev-parse", f"{found.commit}:source") == found.source.tree


def test_invented_runs_differ_and_are_always_the_same() -> None:
    runs = [make_snapshot(number) for number in range(2000)]
    assert repr(runs) == repr([make_snapshot(number) for number in range(2000)])
    assert len({run.run.id for run in runs}) == 2000
    assert {run.run.status for run in runs} == {Status.FINISHED, Status.FAILED, Status.KILLED}
    assert {len(run.params) for run in runs} == {20}
    assert max(len(run.summary) for run in runs) == len(METRICS) == 10
    assert {type(value) for run in runs for value in run.params.values()} == {str, int, float, bool, type(None)}
    assert any(math.isnan(run.summary["loss"].last) for run in runs if "loss" in run.summary)


def test_a_store_is_made_once_for_several_benches(tmp_path: Path) -> None:
    store = get_store(3, directory=tmp_path)
    assert get_store(3, directory=tmp_path) == store
    assert get_store(2, directory=tmp_path) != store


def test_peers_are_given_the_same_runs(tmp_path: Path) -> None:
    lines = tmp_path / "runs.jsonl"
    write_lines(lines, 30)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["id"] for row in rows] == [make_snapshot(number).run.id for number in range(30)]
    assert rows[3]["params"] == make_snapshot(3).params
    name = "MLflow (SQLite)"
    if name not in list_installed():
        pytest.skip("MLflow is not installed here")
    import sys

    with TrackerProcess(name, sys.executable, tmp_path, files=1) as process:
        assert process.do("load", file=str(lines))["count"] == 30
        assert process.do("search", question="list_recent")["found"] == 30

"""A second process does its part of a long reading; whatever becomes of it, the index is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stores import check_index, make_snapshot, open_history, record, record_many
from test_index import break_blob, count_rows, shelf_of

from gittrack.history import History
from gittrack.index import Index, growth
from gittrack.index import share as share_module
from gittrack.index.share import Share, ShareFailed, start_share


@pytest.fixture(autouse=True)
def in_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "FEW", 2)
    monkeypatch.setattr(growth, "LEAST", 6)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list of whether each share that was collected was good."""
    seen: list[bool] = []
    collect = Share.collect

    def watch(self: Share) -> object:
        try:
            found = collect(self)
        except ShareFailed:
            seen.append(False)
            raise
        seen.append(True)
        return found

    monkeypatch.setattr(Share, "collect", watch)
    return seen


def test_two_processes_read_as_one_does(repo: Path, collected: list[bool]) -> None:
    record_many(repo, range(30))
    told: list[tuple[int, int]] = []
    with open_history(repo) as history:
        check_index(Index(history, progress=lambda done, total: told.append((done, total))), history)
        check_index(Index(history), history)
        assert collected == [True]
        assert sorted(count_rows(repo)) == [15, 15]
        for number in range(40):
            record(history, make_snapshot(number, revision=2))
        check_index(Index(history), history)
    assert told[-1][0] == told[-1][1]
    assert collected == [True, True]


def test_what_the_second_process_cannot_read_is_named(repo: Path, collected: list[bool]) -> None:
    with open_history(repo) as history:
        commits = [record(history, make_snapshot(number)) for number in range(12)]
    for commit in (commits[1], commits[10]):
        break_blob(repo, commit.id, "params.json")
    with open_history(repo) as history:
        index = Index(history)
        check_index(index, history)
        assert len(index.read()[0].damages) == 2
    assert collected == [True]


def test_another_namespace(repo: Path, collected: list[bool]) -> None:
    record_many(repo, range(12))
    subprocess.run(["git", "update-ref", "refs/runs/churn", "refs/heads/gittrack/churn"], cwd=repo, check=True)
    with open_history(repo) as history:
        assert Index(History(history.store, "refs/runs")).refresh().count == 12
    assert collected == [True]


@pytest.mark.parametrize(
    "program",
    [
        "exit 1",
        "echo nonsense",
        "echo '{\"damages\": []}'",
        "echo '{}'; kill -9 $$",
        "exit 0",
    ],
)
def test_a_second_process_that_fails_is_made_up_for(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[bool], program: str
) -> None:
    record_many(repo, range(12))
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\n{program}\n")
    broken.chmod(0o755)
    with open_history(repo) as history:
        with monkeypatch.context() as context:
            context.setattr(sys, "executable", str(broken))
            check_index(Index(history), history)
        check_index(Index(history), history)
    assert collected == [False]


def test_a_second_process_that_does_not_end_is_not_waited_for(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[bool]
) -> None:
    record_many(repo, range(12))
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(share_module, "PATIENCE", 0.2)
    with open_history(repo) as history:
        check_index(Index(history), history)
    assert collected == [False]


@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_where_no_second_process_can_be_started_one_does_it_all(
    repo: Path, monkeypatch: pytest.MonkeyPatch, collected: list[bool], executable: str
) -> None:
    record_many(repo, range(12))
    monkeypatch.setattr(sys, "executable", executable)
    with open_history(repo) as history:
        check_index(Index(history), history)
    assert collected == []


def test_on_one_processor_one_process_does_it_all(
    repo: Path, monkeypatch: pytest.MonkeyPatch, collected: list[bool]
) -> None:
    record_many(repo, range(12))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    with open_history(repo) as history:
        check_index(Index(history), history)
    assert collected == []


def test_where_nothing_can_be_written_one_process_does_it_all(repo: Path, collected: list[bool]) -> None:
    record_many(repo, range(12))
    shelf_of(repo).parent.parent.mkdir(parents=True)
    shelf_of(repo).parent.write_text("in the way")
    with open_history(repo) as history:
        check_index(Index(history), history)
    assert collected == []


def test_a_cancelled_process_is_gone(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    with open_history(repo) as history:
        share = start_share(history, tmp_path, [])
        assert share is not None
        share.cancel()
        share.cancel()
        assert share._process.returncode == -signal.SIGKILL


def test_an_interrupted_reading_leaves_no_process(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    record_many(repo, range(12))
    monkeypatch.setattr(sys, "executable", str(slow))

    def interrupt(done: int, total: int) -> None:
        if done > 6:
            while not (tmp_path / "pid").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with open_history(repo) as history, pytest.raises(KeyboardInterrupt):
        Index(history, progress=interrupt).refresh()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert share_module.LEAST > 1000

"""The index of a store: it says what the history says, whatever happens to the branches and to its own files."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import git
from stores import (
    START,
    check_index,
    edit_experiment,
    make_repository,
    make_snapshot,
    open_history,
    record,
    record_many,
)

from gittrack import layout
from gittrack.errors import Corrupt
from gittrack.history import History
from gittrack.index import Index, growth
from gittrack.index.manifest import VERSION
from gittrack.index.shelf import FAN, LOCK, MANIFEST
from gittrack.journal.lock import hold
from gittrack.model import Pointer
from gittrack.store import Commit, Store
from gittrack.tracker import Tracker


def index_of(directory: Path) -> Path:
    return layout.index_directory(directory / ".git", VERSION)


def shelf_of(directory: Path, slug: str = "churn") -> Path:
    return layout.shelf_directory(index_of(directory), slug, layout.DEFAULT_NAMESPACE)


def read_manifest(directory: Path, slug: str = "churn") -> dict[str, Any]:
    text = (shelf_of(directory, slug) / MANIFEST).read_bytes().partition(b"\n")[2]
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def count_rows(directory: Path) -> list[int]:
    return [segment["rows"] for segment in read_manifest(directory)["segments"]]


class Reads:
    """Counts what is read of a store's objects while it watches."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = store._find_object

        def find_object(id: str, *, limit: int | None) -> Any:
            self.count += 1
            return read(id, limit=limit)

        monkeypatch.setattr(store, "_find_object", find_object)


def test_a_new_index_says_what_the_history_says(repo: Path) -> None:
    with open_history(repo) as history:
        check_index(Index(history), history)
        for number in range(12):
            record(history, make_snapshot(number, slug="churn" if number % 4 else "other"))
        check_index(Index(history), history)
        check_index(Index(history), history)


def test_only_what_is_new_is_read(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_history(repo) as history:
        for number in range(30):
            record(history, make_snapshot(number))
        index = Index(history)
        index.refresh()
        reads = Reads(history.store, monkeypatch)
        assert index.refresh() is index.refresh()
        assert index.refresh().count == 30
        assert Index(history).refresh().count == 30
        assert reads.count == 0
        record(history, make_snapshot(30))
        reads.count = 0
        assert index.refresh().count == 31
        assert reads.count < 10
        reads.count = 0
        assert Index(history).refresh().count == 31
        assert reads.count == 0


def test_a_list_of_runs_reads_nothing_of_the_store(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_many(repo, range(30))
    with Tracker.open(repo) as tracker:
        assert tracker.load_frame().count == 30
    with Tracker.open(repo) as tracker:
        reads = Reads(tracker.store, monkeypatch)
        runs = tracker.list_runs("churn", limit=20)
        assert [(run.name, run.status, run.params["seed"]) for run in runs][:2] == [
            ("run-29", "FINISHED", 29),
            ("run-28", "FINISHED", 28),
        ]
        assert [run.metrics.get("loss") for run in runs][-1] is None  # number 10 has none
        assert tracker.count_runs("churn") == 30
        assert [experiment.slug for experiment in tracker.list_experiments()] == ["churn"]
        assert reads.count == 0
        assert tracker.get_run("latest").name == "run-29"
        assert 0 < reads.count < 12


def test_a_later_revision_hides_the_earlier_one(repo: Path) -> None:
    with open_history(repo) as history:
        for number in range(3):
            record(history, make_snapshot(number))
        index = Index(history)
        index.refresh()
        record(history, make_snapshot(1, revision=2))
        check_index(index, history)
        check_index(Index(history), history)
        frame = index.refresh()
        assert frame.height == 4
        assert frame.count == 3


def test_an_earlier_revision_that_arrives_late_stays_hidden(repo: Path) -> None:
    with open_history(repo) as history:
        record(history, make_snapshot(1, revision=5))
        index = Index(history)
        index.refresh()
        for revision in (2, 4):
            record(history, make_snapshot(1, revision=revision))
        check_index(index, history)
        assert index.refresh().height == 1


@pytest.mark.parametrize("later", ["time", "hash"])
def test_equal_revisions_go_by_time_and_then_by_hash(repo: Path, later: str) -> None:
    with open_history(repo) as history:
        for note in ("a", "b", "c"):
            snapshot = make_snapshot(1)
            when = START + (ord(note) * 1_000_000 if later == "time" else 0)
            record(history, replace(snapshot, run=replace(snapshot.run, note=note)), time=when)
            check_index(Index(history), history)
        check_index(Index(history), history)


def test_merges_and_other_commits_carry_no_run(repo: Path) -> None:
    with open_history(repo) as history:
        record(history, make_snapshot(1))
        index = Index(history)
        index.refresh()
        tip = git(repo, "rev-parse", "gittrack/churn")
        side = git(repo, "commit-tree", "-p", tip, "-m", "mine", f"{tip}^{{tree}}")
        merge = git(repo, "commit-tree", "-p", tip, "-p", side, "-m", "Merge", f"{tip}^{{tree}}")
        git(repo, "update-ref", "refs/heads/gittrack/churn", merge)
        check_index(index, history)
        check_index(Index(history), history)
        assert read_manifest(repo)["heads"] == [merge]


def test_remote_tracking_branches_count(repo: Path, tmp_path: Path) -> None:
    record_many(repo, range(3))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo), str(clone))
    with open_history(clone) as history:
        index = Index(history)
        check_index(index, history)
        assert index.refresh().count == 3
        record(history, make_snapshot(10))
        record_many(repo, range(3, 6))
        git(clone, "fetch", "-q")
        check_index(index, history)
        assert index.refresh().count == 7
        check_index(Index(history), history)
        assert len(read_manifest(clone)["heads"]) == 2
        git(clone, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")
        check_index(index, history)
        assert index.refresh().count == 4


def test_a_tracking_branch_that_lags_behind_is_no_head(repo: Path) -> None:
    record_many(repo, range(4))
    git(repo, "update-ref", "refs/remotes/origin/gittrack/churn", "refs/heads/gittrack/churn~2")
    with open_history(repo) as history:
        index = Index(history)
        check_index(index, history)
        assert len(read_manifest(repo)["heads"]) == 1
        git(repo, "update-ref", "refs/remotes/origin/gittrack/churn", "refs/heads/gittrack/churn")
        check_index(index, history)
        check_index(Index(history), history)


@pytest.mark.parametrize("target", ["~1", "~3", "rewritten", "deleted", "emptied"])
def test_a_branch_that_was_rewritten_is_read_anew(repo: Path, target: str) -> None:
    record_many(repo, range(5))
    record_many(repo, range(3), slug="other")
    with open_history(repo) as history:
        indexes = [Index(history), Index(history)]
        for index in indexes:
            index.refresh()
        branch = "refs/heads/gittrack/churn"
        if target == "deleted":
            git(repo, "update-ref", "-d", branch)
        elif target == "rewritten":
            tree = git(repo, "rev-parse", f"{branch}~1^{{tree}}")
            message = git(repo, "log", "-1", "--format=%B", f"{branch}~1")
            new = git(repo, "commit-tree", "-p", f"{branch}~3", "-F", "-", tree, stdin=message.encode())
            git(repo, "update-ref", branch, new)
        elif target == "emptied":
            git(repo, "update-ref", branch, git(repo, "rev-list", "--max-parents=0", branch))
        else:
            git(repo, "update-ref", branch, f"{branch}{target}")
        for index in (*indexes, Index(history)):
            check_index(index, history)


def test_a_shallow_clone_that_is_deepened_is_read_anew(repo: Path, tmp_path: Path) -> None:
    record_many(repo, range(6))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "2", "--no-single-branch", f"file://{repo}", str(clone))
    with open_history(clone) as history:
        index = Index(history)
        check_index(index, history)
        assert index.refresh().count == 2
        git(clone, "fetch", "-q", "--unshallow")
        check_index(index, history)
        assert index.refresh().count == 6
        check_index(Index(history), history)


def test_experiments_and_their_records(repo: Path) -> None:
    with open_history(repo) as history:
        record(history, make_snapshot(1))
        index = Index(history)
        check_index(index, history)
        for removed in (5, None, 7):
            edit_experiment(history, "churn", removed=removed)
            check_index(index, history)
            check_index(Index(history), history)
        assert index.read("churn")[0].experiment.removed == 7
        assert index.read("nothing") == []
        assert index.refresh("nothing").height == 0


def test_segments_are_merged_when_there_are_many(repo: Path) -> None:
    with open_history(repo) as history:
        index = Index(history)
        written = 0
        seen: set[str] = set()
        for number in range(70):
            record(history, make_snapshot(number))
            assert index.refresh().count == number + 1
            segments = {segment["name"]: segment["rows"] for segment in read_manifest(repo)["segments"]}
            written += sum(rows for name, rows in segments.items() if name not in seen)
            seen |= segments.keys()
            assert len(segments) <= 3 * (FAN - 1) + 1
        assert sum(count_rows(repo)) == 70
        assert written <= 70 * 5
        for number in range(0, 70, 2):
            record(history, make_snapshot(number, revision=2))
        check_index(index, history)
        check_index(Index(history), history)
        assert sum(count_rows(repo)) < 105  # most of what is hidden is gone


def test_files_that_nobody_names_are_deleted_when_they_are_old(repo: Path) -> None:
    record_many(repo, range(2))
    with open_history(repo) as history:
        index = Index(history)
        index.refresh()
        young, old = shelf_of(repo) / "young.segment", shelf_of(repo) / "old.segment"
        stranger = shelf_of(repo) / "notes.txt"
        for path in (young, old, stranger):
            path.write_bytes(b"x")
        for path in (old, stranger):
            os.utime(path, (time.time() - 7200,) * 2)
        record(history, make_snapshot(5))
        index.refresh()
        assert (young.exists(), old.exists(), stranger.exists()) == (True, False, True)


def test_an_experiment_that_is_gone_leaves_the_index_after_a_month(repo: Path) -> None:
    record_many(repo, range(2))
    record_many(repo, range(2), slug="other")
    with open_history(repo) as history:
        Index(history).refresh()
        for slug in ("churn", "other"):
            git(repo, "update-ref", "-d", f"refs/heads/gittrack/{slug}")
        os.utime(shelf_of(repo, "other") / MANIFEST, (time.time() - 40 * 86_400,) * 2)
        assert Index(history).refresh().height == 0
        assert shelf_of(repo).exists()
        assert not shelf_of(repo, "other").exists()


def test_the_index_can_be_deleted_at_any_moment(repo: Path) -> None:
    record_many(repo, range(6))
    with open_history(repo) as history:
        index = Index(history)
        frame = index.refresh()
        shutil.rmtree(index_of(repo))
        assert sorted(frame.get_attribute("name").to_pylist()) == [f"run-{number}" for number in range(6)]
        check_index(index, history)
        record(history, make_snapshot(9))
        check_index(index, history)
        assert sum(count_rows(repo)) == 7  # what was in memory is on disk again
        check_index(Index(history), history)


def damage(path: Path, how: str, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "truncated":
        del data[chance.randrange(len(data)) :]
    elif how == "longer":
        data += b"\0"
    elif how == "zeros":
        data[:] = bytes(len(data))
    else:
        data.clear()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "truncated", "longer", "zeros", "empty", "gone"])
@pytest.mark.parametrize("which", ["manifest", "segment"])
def test_damage_to_any_file_is_said_once_and_repaired_from_git(repo: Path, how: str, which: str) -> None:
    with open_history(repo) as history:
        index = Index(history)
        for number in range(6):
            record(history, make_snapshot(number))
            index.refresh()
        for seed in range(8):
            chance = random.Random(seed)
            files = sorted(shelf_of(repo).glob("*.segment")) if which == "segment" else [shelf_of(repo) / MANIFEST]
            named = {segment["name"] for segment in read_manifest(repo)["segments"]}
            path = chance.choice([file for file in files if file.name in named or which == "manifest"])
            if how == "gone":
                path.unlink()
            else:
                damage(path, how, chance)
            notes: list[str] = []
            check_index(Index(history, note=notes.append), history)
            expected = 0 if (how, which) == ("gone", "manifest") else 1
            assert len(notes) == expected, notes
            assert all("churn was damaged, and is rebuilt from git" in note for note in notes)
            check_index(Index(history, note=notes.append), history)
            assert len(notes) == expected, "said again, though it was repaired"


def test_damage_that_keeps_the_time_of_the_file_is_seen(repo: Path) -> None:
    record_many(repo, range(6))
    with open_history(repo) as history:
        Index(history).refresh()
        (path,) = shelf_of(repo).glob("*.segment")
        status = path.stat()
        damage(path, "flipped", random.Random(1))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        notes: list[str] = []
        check_index(Index(history, note=notes.append), history)
        assert len(notes) == 1


def test_an_index_that_was_copied_is_checked_and_taken(repo: Path, tmp_path: Path) -> None:
    record_many(repo, range(6))
    with open_history(repo) as history:
        Index(history).refresh()
    copy = tmp_path / "copy"
    shutil.copytree(repo, copy)
    with open_history(copy) as history:
        reads: list[str] = []
        check_index(Index(history, note=reads.append), history)
        assert reads == []
        assert len(list(shelf_of(copy).glob("*.segment"))) == 1


def test_a_manifest_of_another_experiment_is_not_taken(repo: Path) -> None:
    record_many(repo, range(3))
    record_many(repo, range(3, 6), slug="other")
    with open_history(repo) as history:
        Index(history).refresh()
        shutil.rmtree(shelf_of(repo))
        shutil.copytree(shelf_of(repo, "other"), shelf_of(repo))
        notes: list[str] = []
        check_index(Index(history, note=notes.append), history)
        assert len(notes) == 1


@pytest.mark.parametrize("obstacle", ["file", "directory", "full"])
def test_where_nothing_can_be_written_the_index_is_in_memory(repo: Path, obstacle: str) -> None:
    record_many(repo, range(4))
    place = index_of(repo)
    if obstacle == "file":
        place.parent.mkdir(parents=True)
        place.write_text("in the way")
    elif obstacle == "directory":
        (shelf_of(repo) / LOCK).mkdir(parents=True)
    else:
        (shelf_of(repo) / MANIFEST).mkdir(parents=True)
    with open_history(repo) as history:
        notes: list[str] = []
        index = Index(history, note=notes.append)
        check_index(index, history)
        record(history, make_snapshot(7))
        check_index(index, history)
        check_index(Index(history), history)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_in_a_read_only_repository_the_index_is_in_memory(repo: Path) -> None:
    record_many(repo, range(4))
    (repo / ".git" / "gittrack").chmod(0o555)
    try:
        with open_history(repo) as history:
            check_index(Index(history), history)
            assert not index_of(repo).exists()
    finally:
        (repo / ".git" / "gittrack").chmod(0o755)


def test_whoever_does_not_get_the_lock_writes_nothing(repo: Path) -> None:
    record_many(repo, range(4))
    with open_history(repo) as history:
        Index(history).refresh()
        record(history, make_snapshot(4))
        before = (shelf_of(repo) / MANIFEST).read_bytes()
        with hold(shelf_of(repo) / LOCK, 1):
            index = Index(history)
            check_index(index, history)
            assert (shelf_of(repo) / MANIFEST).read_bytes() == before
        record(history, make_snapshot(5))
        check_index(index, history)
        assert sum(count_rows(repo)) == 6


READER = """
import sys, time
from pathlib import Path
from stores import check_index, make_snapshot, open_history, record
from gittrack.index import Index

own, runs, place = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
with open_history(place) as history:
    index = Index(history, note=print)
    for number in range(own * runs, own * runs + runs):
        record(history, make_snapshot(number))
        seen = {run for run in index.refresh().get_attribute("name").to_pylist()}
        assert {f"run-{known}" for known in range(own * runs, number + 1)} <= seen
    check = Index(history, note=print).refresh()
    assert check.count >= runs
"""


def test_several_processes_refresh_at_once(repo: Path) -> None:
    record_many(repo, range(100, 101))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(own), "12", str(repo)],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for own in range(4)
    ]
    outputs = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert outputs == [""] * 4, "an index was taken for damaged"
    with open_history(repo) as history:
        check_index(Index(history), history)
        assert Index(history).refresh().count == 49


def test_another_process_may_have_been_quicker(repo: Path) -> None:
    with open_history(repo) as history:
        record(history, make_snapshot(0))
        first, second = Index(history), Index(history)
        for number in range(1, 20):
            record(history, make_snapshot(number, slug="churn"))
            (first if number % 2 else second).refresh()
            if number % 3 == 0:
                check_index(first, history)
                check_index(second, history)
        assert sum(count_rows(repo)) == 20


@pytest.fixture
def in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "FEW", 2)


def test_much_is_read_through_git(repo: Path, in_bulk: None) -> None:
    record_many(repo, range(40))
    told: list[tuple[int, int]] = []
    with open_history(repo) as history:
        index = Index(history, progress=lambda done, total: told.append((done, total)))
        check_index(index, history)
        for number in (3, 50, 7, 51):
            record(history, make_snapshot(number, revision=2))
        check_index(index, history)
        check_index(Index(history), history)
    assert told[-1][0] == told[-1][1]
    assert all(0 <= done <= total for done, total in told)


def test_many_artifacts_in_many_directories(repo: Path, in_bulk: None) -> None:
    with open_history(repo) as history:
        for number in range(4):
            artifacts = {
                f"{'d/' * (place % 5)}file-{place}": Pointer(f"{place:064x}", place + 1) for place in range(number * 9)
            }
            record(history, replace(make_snapshot(number), artifacts=artifacts))
        check_index(Index(history), history)


def test_without_git_all_is_read_through_the_store(
    repo: Path, in_bulk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_many(repo, range(12))
    with open_history(repo) as history:
        with monkeypatch.context() as context:
            context.setenv("PATH", str(tmp_path))
            index = Index(history)
            assert index.refresh().count == 12
        check_index(index, history)


def test_where_git_fails_all_is_read_through_the_store(
    repo: Path, in_bulk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_many(repo, range(12))
    broken = tmp_path / "bin" / "git"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'not today' >&2\nexit 3\n")
    broken.chmod(0o755)
    with open_history(repo) as history:
        with monkeypatch.context() as context:
            context.setenv("PATH", str(broken.parent), prepend=os.pathsep)
            assert Index(history).refresh().count == 12
        check_index(Index(history), history)


def test_git_that_ends_in_the_middle_is_made_up_for(
    repo: Path, in_bulk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_many(repo, range(12))
    real = shutil.which("git")
    broken = tmp_path / "bin" / "git"
    broken.parent.mkdir()
    broken.write_text(
        f'#!/bin/sh\ncase "$*" in\n*cat-file*) {real} "$@" | head -c 3000 ;;\n*) exec {real} "$@" ;;\nesac\n'
    )
    broken.chmod(0o755)
    with open_history(repo) as history:
        with monkeypatch.context() as context:
            context.setenv("PATH", str(broken.parent), prepend=os.pathsep)
            assert Index(history).refresh().count == 12
        check_index(Index(history), history)


def break_blob(repo: Path, commit: str, path: str) -> Path:
    blob = git(repo, "rev-parse", f"{commit}:{path}")
    file = repo / ".git/objects" / blob[:2] / blob[2:]
    file.rename(file.with_suffix(".away"))
    return file


@pytest.mark.parametrize("few", [2, 400])
@pytest.mark.parametrize("path", ["run.json", "params.json", "summary.json", "environment.json", "artifacts/a/b.txt"])
def test_a_run_that_cannot_be_read_is_named_until_it_can(
    repo: Path, path: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "FEW", few)
    with open_history(repo) as history:
        commits = [record(history, make_snapshot(number)) for number in range(8)]
        odd = make_snapshot(1, revision=2)  # all its files are its own, so that no other run is damaged along with it
        odd = replace(odd, environment={"odd": True}, summary={"odd": odd.summary["loss"]}, params={"odd": None})
        commits.append(record(history, odd))
        if "/" in path:
            odd = replace(odd, artifacts={"a/b.txt": Pointer("1" * 64, 77)})
            commits.append(record(history, replace(odd, run=replace(odd.run, revision=3))))
    file = break_blob(repo, commits[-1].id, path)
    with open_history(repo) as history:
        index = Index(history)
        check_index(index, history)
        assert index.refresh().count == 7
        assert [error.message for error in index.read()[0].damages if file.name in error.message]
        check_index(Index(history), history)
        file.with_suffix(".away").rename(file)
        check_index(Index(history), history)
        check_index(Index(history), history)
        assert Index(history).refresh().count == 8


def test_a_damaged_revision_speaks_until_a_later_one_does(repo: Path) -> None:
    with open_history(repo) as history:
        record(history, make_snapshot(1))
        index = Index(history)
        check_index(index, history)
        commit = record(history, make_snapshot(1, revision=3))
        break_blob(repo, commit.id, "run.json")
        check_index(index, history)
        assert index.refresh().count == 0
        record(history, make_snapshot(1, revision=2))
        check_index(index, history)
        assert index.refresh().count == 0
        record(history, make_snapshot(1, revision=4))
        check_index(index, history)
        assert index.refresh().count == 1
        check_index(Index(history), history)


def write_commit(history: History, files: dict[str, bytes], message: str, parent: str) -> str:
    from stores import AUTHOR

    tree = history.store.write_tree(files)
    return history.store.write_commit(tree=tree, parents=(parent,), author=AUTHOR, time=1, message=message)


@pytest.mark.parametrize("few", [1, 400])
def test_records_that_nobody_honest_writes(repo: Path, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from gittrack.message import write_run_message
    from gittrack.snapshot import encode_snapshot

    monkeypatch.setattr(growth, "FEW", few)
    with open_history(repo) as history:
        tip = record(history, make_snapshot(1)).id
        good = make_snapshot(2)
        files, message = encode_snapshot(good), write_run_message(good)
        changes: list[tuple[dict[str, bytes], str]] = [
            ({"run.json": b"[]"}, "is no object"),
            ({"run.json": files["run.json"].replace(b'"format": 1', b'"format": 99')}, "is of a later format"),
            ({"run.json": files["run.json"].replace(b'"name"', b'"id": 1, "name"')}, "has a key twice"),
            ({"run.json": files["run.json"].replace(b'"started": "2023', b'"started": "20x3')}, "has no time"),
            ({"params.json": b'{"a": NaN}'}, "has a bare NaN"),
            ({"params.json": b'{"a": [1]}'}, "has a list"),
            ({"params.json": b'{"a": 1, "a" : 2}'}, "has a key twice, far apart"),
            ({"params.json": b"{}\xff"}, "is no Unicode"),
            ({"params.json": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"}, "is nested"),
            ({"summary.json": b'{"loss": {"count": 1}}'}, "lacks numbers"),
            ({"summary.json": files["summary.json"].replace(b'"count": 3', b'"count": true')}, "counts with a bool"),
            ({"environment.json": b"no"}, "has no environment"),
            ({"artifacts/x": b"not a pointer"}, "has content in the tree"),
            ({"artifacts/" + "d/" * 40 + "x": b""}, "is deep"),
        ]
        for number, (change, why) in enumerate(changes):
            made = message.replace(good.run.id, f"{number + 10:032x}")
            own = {path: data.replace(good.run.id.encode(), b"%032x" % (number + 10)) for path, data in files.items()}
            tip = write_commit(history, {**own, **change}, made + "", tip)
            git(repo, "update-ref", "refs/heads/gittrack/churn", tip)
            index = Index(history)
            check_index(index, history)
            assert index.refresh().count == 1, why
            assert len(index.read()[0].damages) == number + 1


@pytest.mark.parametrize("few", [1, 400])
def test_odd_records_that_are_good(repo: Path, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from gittrack.message import write_run_message
    from gittrack.snapshot import encode_snapshot

    monkeypatch.setattr(growth, "FEW", few)
    with open_history(repo) as history:
        tip = record(history, make_snapshot(1)).id
        good = make_snapshot(2)
        files, message = encode_snapshot(good), write_run_message(good)
        huge = files["summary.json"].replace(b'"count": 3', b'"count": %d' % 2**80)
        changes: list[dict[str, bytes]] = [
            {"params.json": b'{"a" : 1, "b":\t"NaN", "d": {"string": "NaN"}, "e": 1e999, "\\u0066": "\\ud800"}'},
            {"summary.json": huge.replace(b'"last": ', b'"more": 1, "last": ')},
            {"summary.json": files["summary.json"].replace(b'"first": 1.0', b'"first": 1')},
            {"summary.json": files["summary.json"].replace(b'"loss"', b'"a\\":b"')},
            {"run.json": files["run.json"].replace(b'"name"', b'"later": {"x": [1]},\n "name"')},
        ]
        for number, change in enumerate(changes):
            own = {path: data.replace(good.run.id.encode(), b"%032x" % (number + 10)) for path, data in files.items()}
            change = {
                path: data.replace(good.run.id.encode(), b"%032x" % (number + 10)) for path, data in change.items()
            }
            tip = write_commit(history, {**own, **change}, message.replace(good.run.id, f"{number + 10:032x}"), tip)
            git(repo, "update-ref", "refs/heads/gittrack/churn", tip)
            index = Index(history)
            assert index.refresh().count == number + 2
            assert index.read()[0].damages == ()
            if number == 0:
                check_index(index, history)


def test_a_message_that_speaks_of_another_run_is_damage(repo: Path) -> None:
    from gittrack.message import write_run_message
    from gittrack.snapshot import encode_snapshot

    with open_history(repo) as history:
        tip = record(history, make_snapshot(1)).id
        tip = write_commit(history, encode_snapshot(make_snapshot(2)), write_run_message(make_snapshot(3)), tip)
        git(repo, "update-ref", "refs/heads/gittrack/churn", tip)
        index = Index(history)
        assert index.refresh().count == 1
        assert "its message is about run" in index.read()[0].damages[0].message


def test_a_tree_with_more_paths_than_atoms_is_refused(repo: Path) -> None:
    from gittrack.message import write_run_message
    from gittrack.snapshot import encode_snapshot
    from gittrack.store import TreeEntry

    with open_history(repo) as history:
        tip = record(history, make_snapshot(1)).id
        below = history.store.write_tree({"x": b""})
        for _ in range(30):
            below = history.store.write_tree({f"{name}": TreeEntry(0o40000, below) for name in range(10)})
        bomb = {**encode_snapshot(make_snapshot(2)), "artifacts": TreeEntry(0o40000, below)}
        tree = history.store.write_tree(bomb)
        message = write_run_message(make_snapshot(2))
        git(repo, "update-ref", "refs/heads/gittrack/churn", commit_tree(history, tree, message, tip))
        index = Index(history)
        assert index.refresh().count == 1
        assert "too deep, or too many" in index.read()[0].damages[0].message


def commit_tree(history: History, tree: str, message: str, parent: str) -> str:
    from stores import AUTHOR

    return history.store.write_commit(tree=tree, parents=(parent,), author=AUTHOR, time=1, message=message)


def test_a_history_that_cannot_be_walked_is_named_and_the_rest_is_served(repo: Path) -> None:
    record_many(repo, range(4))
    record_many(repo, range(4, 6), slug="other")
    with open_history(repo) as history:
        index = Index(history)
        index.refresh()
        lost = git(repo, "rev-parse", "gittrack/churn")
        record(history, make_snapshot(9))
    (repo / ".git/objects" / lost[:2] / lost[2:]).unlink()
    with open_history(repo) as history:
        for known in (Index(history), Index(history)):
            found = {entry.slug: entry for entry in known.read()}
            assert found["other"].frame.count == 2
            assert found["churn"].frame.count == 5  # what is above the gap, and what was known below it
        shutil.rmtree(index_of(repo))
        found = {entry.slug: entry for entry in Index(history).read()}
        assert found["other"].frame.count == 2
        assert found["churn"].frame.count == 0
        assert lost in found["churn"].damages[0].message
        assert isinstance(found["churn"].damages[0], Corrupt) or "no commit" in found["churn"].damages[0].message


def test_a_sha256_repository(tmp_path: Path, in_bulk: None) -> None:
    place = tmp_path / "wide"
    place.mkdir()
    git(place, "init", "-q", "--object-format=sha256")
    record_many(place, range(8))
    with open_history(place) as history:
        index = Index(history)
        check_index(index, history)
        record(history, make_snapshot(3, revision=2))
        check_index(index, history)
        check_index(Index(history), history)


def test_refs_of_another_namespace_have_an_index_of_their_own(repo: Path) -> None:
    record_many(repo, range(3))
    git(repo, "update-ref", "refs/runs/churn", "refs/heads/gittrack/churn~1")
    with open_history(repo) as history:
        other = History(history.store, "refs/runs")
        for _ in range(2):
            assert Index(history).refresh().count == 3
            assert Index(other).refresh().count == 2


def test_names_of_shelves_are_short_and_distinct() -> None:
    index = Path("/index")
    names = [
        layout.shelf_directory(index, slug, layout.DEFAULT_NAMESPACE).name
        for slug in ("churn", "语言-模型", "语言-模型2", "x" * 100, "语" * 100)
    ]
    assert len(set(names)) == 5
    assert all(len(name.encode()) < 100 and name.isascii() for name in names)
    assert names[0].startswith("churn-")


def test_importing_the_index_loads_no_library() -> None:
    program = (
        "import sys, gittrack.index; print([name for name in ('pyarrow', 'dulwich', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def make_plain(directory: Path) -> Commit:
    with open_history(make_repository(directory)) as history:
        return record(history, make_snapshot(1))


def test_a_bare_repository(tmp_path: Path) -> None:
    make_plain(tmp_path / "plain")
    git(tmp_path, "clone", "-q", "--bare", str(tmp_path / "plain"), str(tmp_path / "bare.git"))
    with open_history(tmp_path / "bare.git") as history:
        check_index(Index(history), history)
        assert layout.index_directory(tmp_path / "bare.git", VERSION).exists()


def test_what_was_deleted_is_in_no_frame_whatever_copies_are_around(tmp_path: Path) -> None:
    from clones import Clone, number_id

    from gittrack.deletion import delete_runs, redact_run

    late = 4_000_000_000_000_000
    branch, copy = "refs/heads/gittrack/churn", "refs/remotes/origin/gittrack/churn"
    ada = Clone(tmp_path / "ada", "none")
    for number in (1, 2, 3):
        ada.record(number_id(number), params={"key": f"s3cret{number}"})

    def list_shown() -> list[tuple[str, int]]:
        """Return the runs as an index that goes on shows them, which a new one must show as well."""
        with ada.open() as tracker:
            shown = [(run.id[-1], run.revision) for run in tracker.list_runs(removed=True, sort="id")]
            fresh = Index(tracker.history)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(fresh), "directory", tmp_path / f"index-{os.urandom(4).hex()}")
                frame = fresh.refresh("churn")
            assert sorted(frame.get_attribute("id").to_pylist()) == sorted(number_id(int(run)) for run, _ in shown)
            branches = tracker.history.get_branch("churn")
            assert sorted(entry.trailers.run_id for entry in branches.revisions) == [
                number_id(int(r)) for r, _ in shown
            ]
            assert tracker.damaged == []
        return shown

    assert list_shown() == [("1", 1), ("2", 1), ("3", 1)]
    git(ada.directory, "update-ref", copy, branch)
    ada.edit(number_id(2), removed=True)
    with ada.open() as tracker:
        delete_runs(tracker, now=late)
    assert list_shown() == [("1", 1), ("3", 1)]
    ada.record(number_id(4))
    assert list_shown() == [("1", 1), ("3", 1), ("4", 1)]
    with ada.open() as tracker:
        redact_run(tracker, number_id(1), places=["params.key"], texts=(), now=late)
    assert list_shown() == [("1", 2), ("3", 1), ("4", 1)]
    new = git(ada.directory, "rev-parse", branch)
    old = git(ada.directory, "rev-parse", copy)
    git(ada.directory, "update-ref", branch, old)
    git(ada.directory, "update-ref", "-d", copy)
    assert list_shown() == [("1", 1), ("2", 1), ("3", 1)], "the list went with the line that had it"
    git(ada.directory, "update-ref", copy, new)
    assert list_shown() == [("1", 2), ("3", 1), ("4", 1)], "a plain git fetch brought it"
    git(ada.directory, "update-ref", "refs/remotes/other/gittrack/churn", old)
    assert list_shown() == [("1", 2), ("3", 1), ("4", 1)]
    git(ada.directory, "update-ref", "-d", branch)
    assert list_shown() == [("1", 2), ("3", 1), ("4", 1)]

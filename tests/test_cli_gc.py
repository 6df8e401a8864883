"""`gittrack gc` and `gittrack redact`: what they say before and after, what they refuse, and what a kill leaves."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call, read, spawn_in_terminal
from sweeps import sweep_kills

import gittrack
from gittrack import layout
from gittrack.cli.amounts import format_utc
from gittrack.tracker import Tracker

DAY = 86_400 * 1_000_000


@pytest.fixture
def runs(repo: Path) -> dict[str, str]:
    """Record three runs, and return their ids by name."""
    ids = {}
    for name in ("first", "second", "third"):
        with gittrack.start_run("churn", name=name, params={"key": f"s3cret-{name}", "lr": 0.1}) as run:
            run.log({"loss": 1.0}, step=0)
            run.log_text(f"model of {name}\n", "model.txt")
        ids[name] = run.id
    return ids


def remove(name: str, *, days_ago: float) -> int:
    """Mark a run removed as if that had been some days ago; return when."""
    moment = time.time_ns() // 1000 - int(days_ago * DAY)
    with Tracker.open() as tracker, pytest.MonkeyPatch.context() as patch:
        patch.setattr("gittrack.tracker.time_ns", lambda: moment * 1000)
        tracker.edit_run(name, removed=True)
    return moment


def names() -> list[str]:
    return sorted(run["name"] for run in read("ls", "--removed", "--json").json("runs"))


def test_gc_shows_first_and_deletes_when_told(runs: dict[str, str], repo: Path) -> None:
    old, recent = remove("first", days_ago=40), remove("second", days_ago=3)
    tip = git(repo, "rev-parse", "gittrack/churn")
    shown = call("gc")
    assert (shown.code, shown.lines) == (
        0,
        [
            "RUN       NAME   EXPERIMENT  REMOVED               REVISIONS  ARTIFACTS",
            f"{runs['first'][:8]}  first  churn       {format_utc(old)}          2       15 B",
        ],
    )
    assert shown.err.splitlines() == [
        "note: would delete 1 run for good",
        "note: would condemn 1 file (15 B) that nothing else needs",
        "note: 1 run was removed only lately",
        "hint: gittrack gc --now",
        "hint: nothing was deleted; to do it: gittrack gc --yes",
    ]
    assert git(repo, "rev-parse", "gittrack/churn") == tip
    done = call("gc", "--yes")
    assert (done.code, done.lines) == (0, shown.lines)
    assert done.err.splitlines() == [
        "note: deleted 1 run of churn for good: its history begins anew, as epoch 1",
        "note: 1 file (15 B) condemned: a gc in 14 days deletes what nothing needs by then",
        "hint: gittrack gc --now --yes  # at once",
        "note: remotes keep it until you push, other clones until they pull; copies and backups are beyond reach",
        "hint: gittrack push churn",
        "note: here, git itself keeps the old commits for a while (reflogs, unreachable objects)",
        "hint: git reflog expire --expire=now --expire-unreachable=now gittrack/churn && git gc --prune=now",
    ]
    assert names() == ["second", "third"]
    again = call("gc")
    assert (again.code, again.out) == (0, "")
    assert "note: there is nothing to delete" in again.err
    assert "1 file (15 B) condemned and not yet deleted" in again.err
    assert recent > old
    git(repo, "fsck", "--strict")
    assert git(repo, "status", "--porcelain") == ""


def test_the_advice_really_takes_it_from_the_disk(runs: dict[str, str], repo: Path) -> None:
    call("rm", "first")
    err = call("gc", "--now", "--yes").err
    command = next(line for line in err.splitlines() if line.startswith("hint: git reflog")).removeprefix("hint: ")
    subprocess.run(["bash", "-ec", command], check=True, cwd=repo)
    everything = git(repo, "cat-file", "--batch-all-objects", "--batch")
    assert "s3cret-first" not in everything
    assert "s3cret-second" in everything


@pytest.mark.parametrize(("age", "gone"), [("12h", True), ("2d", True), ("4d", False), ("0s", True)])
def test_gc_takes_an_age(runs: dict[str, str], age: str, gone: bool) -> None:
    remove("first", days_ago=3)
    call("gc", "--older-than", age, "--yes")
    assert ("first" not in names()) is gone


def test_gc_now_deletes_content_as_well(runs: dict[str, str], repo: Path) -> None:
    remove("first", days_ago=0)
    shown = call("gc", "--now")
    assert "hint: nothing was deleted; to do it: gittrack gc --now --yes" in shown.err
    done = call("gc", "--now", "--yes")
    assert "note: deleted 1 file (15 B) of content" in done.err.splitlines()
    assert len([path for path in (repo / ".git/lfs/objects").rglob("*") if path.is_file()]) == 2
    assert read("artifact", "cat", "second", "model.txt").out == "model of second\n"


def test_gc_keeps_to_the_experiments_named(runs: dict[str, str], repo: Path) -> None:
    with gittrack.start_run("other", name="elsewhere"):
        pass
    remove("first", days_ago=40)
    remove("elsewhere", days_ago=40)
    assert [run["name"] for run in read("gc", "other", "--json").json("gc")["runs"]] == ["elsewhere"]
    call("gc", "other", "--yes")
    assert names() == ["first", "second", "third"]
    answer = call("gc", "nowhere")
    assert (answer.code, answer.out) == (3, "")


def test_gc_speaks_json(runs: dict[str, str]) -> None:
    moment = remove("first", days_ago=40)
    run = {
        "id": runs["first"],
        "name": "first",
        "experiment": "churn",
        "removed": gittrack.canonical.format_time(moment),
        "revisions": 2,
        "artifacts": 15,
    }
    empty = {"files": 0, "bytes": 0}
    one = {"files": 1, "bytes": 15}
    assert read("gc", "--json").json("gc") == {
        "done": False,
        "runs": [run],
        "content": {"unneeded": one, "condemned": empty, "due": empty},
    }
    assert read("gc", "--yes", "--json").json("gc") == {
        "done": True,
        "runs": [run],
        "content": {"deleted": empty, "condemned": one},
    }
    assert read("gc", "--now", "--json").json("gc")["content"] == {"unneeded": empty, "condemned": one, "due": one}


@pytest.mark.parametrize("words", [("--now", "--older-than", "1d"), ("--older-than", "soon"), ("--older-than", "-3d")])
def test_gc_refuses_what_makes_no_sense(repo: Path, words: tuple[str, ...]) -> None:
    answer = call("gc", *words)
    assert answer.code == 2
    assert "hint: gittrack gc" in answer.err


def test_gc_leaves_a_run_that_is_being_recorded(runs: dict[str, str]) -> None:
    remove("first", days_ago=40)
    live = gittrack.start_run(run_id=runs["first"])
    try:
        assert "note: 1 removed run is being recorded again: not deleted" in call("gc").err.splitlines()
        call("gc", "--yes")
        assert "first" in names()
    finally:
        live.end()


def test_redact_shows_asks_and_does(runs: dict[str, str], repo: Path) -> None:
    words = ("redact", "second", "--param", "key", "--artifact", "model.txt")
    refused = call(*words)
    assert (refused.code, refused.lines) == (
        4,
        ["params.key: replaced by [redacted]", "artifacts/model.txt: taken out"],
    )
    assert "error: nothing was redacted: this cannot be undone, and nobody can be asked here" in refused.err
    code, screen = spawn_in_terminal(*words, keys=b"n\n")
    assert code == 4
    assert "for good? [y/N]" in screen
    assert read("show", "second", "--json").json("run")["params"]["key"] == "s3cret-second"
    code, screen = spawn_in_terminal(*words, keys=b"y\n")
    assert code == 0, screen
    found = read("show", "second", "--json").json("run")
    assert (found["revision"], found["params"]) == (2, {"key": "[redacted]", "lr": 0.1})
    assert (found["artifacts"], found["redacted"]) == ({}, ["params.key", "artifacts/model.txt"])
    assert "redacted    params.key, artifacts/model.txt" in read("show", "second").out
    assert len(read("show", "second", "--revisions").lines) == 2
    history = git(repo, "rev-list", "--objects", "--no-object-names", "gittrack/churn")
    text = git(repo, "cat-file", "--batch", stdin=history.encode())
    assert "s3cret-second" not in text
    assert "s3cret-first" in text
    git(repo, "fsck", "--strict")
    for index in layout.index_directories(repo / ".git"):
        assert not any(b"s3cret-second" in file.read_bytes() for file in index.rglob("*") if file.is_file())


def test_redact_says_what_it_cannot_do(runs: dict[str, str]) -> None:
    done = call("redact", "second", "--text", "s3cret-second", "--artifact", "model.txt", "--yes")
    assert done.code == 0
    for line in (
        "warning: a secret that was recorded may have been read: revoke it",
        "note: remotes keep it until you push, other clones until they pull; copies and backups are beyond reach",
        "note: the old content of artifacts is condemned, and still here",
        "hint: gittrack gc --now --yes",
        "note: only this run was searched; others may hold the text, too",
    ):
        assert line in done.err.splitlines()


def test_redact_speaks_json(runs: dict[str, str]) -> None:
    answer = read("redact", "second", "--metric", "loss", "--text", "s3cret-second", "--yes", "--json")
    assert answer.json("redacted") == {
        "run": runs["second"],
        "revision": 2,
        "changes": [
            {"place": "metrics.loss", "effect": "removed", "count": 1},
            {"place": "params.key", "effect": "replaced", "count": 1},
        ],
    }
    assert read("show", "second", "--json").json("run")["summary"] == {}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--param", "nothing"), 3),
        (("--tag", "nothing"), 3),
        (("--metric", "nothing"), 3),
        (("--artifact", "nothing"), 3),
        (("--source", "nothing"), 3),
        (("--note",), 3),
        (("--text", "stands nowhere"), 3),
        (("--text", "s3c"), 2),
        ((), 2),
    ],
)
def test_redact_refuses_what_is_not_there(runs: dict[str, str], repo: Path, words: tuple[str, ...], code: int) -> None:
    tip = git(repo, "rev-parse", "gittrack/churn")
    answer = call("redact", "second", *words, "--yes")
    assert answer.code == code
    assert "hint: gittrack" in answer.err or code == 2
    assert git(repo, "rev-parse", "gittrack/churn") == tip


def test_redact_refuses_a_run_that_is_being_recorded(runs: dict[str, str]) -> None:
    live = gittrack.start_run(run_id=runs["second"])
    try:
        answer = call("redact", "second", "--param", "key", "--yes")
        assert answer.code == 4
        assert "is being recorded" in answer.err
    finally:
        live.end()


def test_redact_refuses_a_run_that_was_edited_on_two_sides(runs: dict[str, str], repo: Path) -> None:
    local, copy = "refs/heads/gittrack/churn", "refs/remotes/origin/gittrack/churn"
    before = git(repo, "rev-parse", local)
    call("tag", "second", "here=yes")
    there = git(repo, "rev-parse", local)
    git(repo, "update-ref", local, before)
    call("tag", "second", "there=yes")
    git(repo, "update-ref", copy, there)
    tip = git(repo, "rev-parse", local)
    answer = call("redact", "second", "--param", "key", "--yes")
    assert answer.code == 4
    assert "edited on two sides" in answer.err
    assert "hint: gittrack pull" in answer.err.splitlines()
    assert git(repo, "rev-parse", local) == tip
    git(repo, "update-ref", "-d", copy)
    assert call("redact", "second", "--param", "key", "--yes").code == 0


def test_redacting_twice_adds_up(runs: dict[str, str]) -> None:
    call("redact", "second", "--param", "key", "--yes")
    call("note", "second", "s3cret again")
    call("redact", "second", "--note", "--yes")
    found = read("show", "second", "--json").json("run")
    assert (found["revision"], found["note"], found["redacted"]) == (4, "[redacted]", ["params.key", "note"])
    assert len(read("show", "second", "--revisions").lines) == 2


def sweep(repo: Path, directory: Path, scenario: str) -> list[dict]:
    """Return what a kill at each step of a scenario left."""
    points = sweep_kills(repo, directory, program="crash_deletion.py", scenario=scenario)
    assert len([point for point in points if point["killed"]]) >= max(40, 0.9 * len(points))
    for point in points:
        for found in (point["found"], point["then"]):
            assert found is not None, point
            assert (found["fsck"], found["damaged"], found["status"]) == ("", [], ""), point
            assert found["contents"]["shared"], point
            assert found["contents"]["user's"], point
    return points


KEPT = {"params": {"key": "hunter2-hunter2", "lr": 0.1}, "loss": [1.0]}
THIRD = {"revision": 1, **KEPT, "artifacts": {"third.txt": "third"}}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_gc_killed_at_every_step_leaves_the_old_or_the_new_branch(repo: Path, fast_directory: Path) -> None:
    whole = {"revision": 1, **KEPT, "artifacts": {"own.txt": "own hunter2-hunter2", "shared.txt": "shared"}}
    states = set()
    for point in sweep(repo, fast_directory, "gc"):
        found, then = point["found"], point["then"]
        for runs in (found["runs"], then["runs"]):
            assert (runs["kept"], runs["third"]) == (whole, THIRD), point
        old = "gone" in found["runs"]
        states.add(old)
        assert found["gone in history"] is old, point
        if old:
            assert found["runs"]["gone"]["artifacts"]["only.txt"] == "only gone", point
        assert then["runs"].keys() == {"kept", "third"}, point
        assert not then["gone in history"], point
        assert not then["contents"]["only gone"], point
        assert (then["aside"], then["locks"]) == ([], []), point
    assert states == {True, False}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_redact_killed_at_every_step_leaves_the_old_or_the_new_run(repo: Path, fast_directory: Path) -> None:
    old = {"revision": 1, **KEPT, "artifacts": {"own.txt": "own hunter2-hunter2", "shared.txt": "shared"}}
    new = {
        "revision": 2,
        "params": {"key": "[redacted]", "lr": "[redacted]"},
        "loss": [1.0],
        "artifacts": {"own.txt": "own [redacted]", "shared.txt": "shared"},
    }
    states = set()
    for point in sweep(repo, fast_directory, "redact"):
        found = point["found"]
        assert found["runs"]["kept"] in (old, new), point
        assert found["runs"]["third"] == THIRD, point
        assert found["revisions"] == [found["runs"]["kept"]["revision"]], point
        states.add(found["runs"]["kept"] == new)
    assert states == {True, False}

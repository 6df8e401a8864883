"""A remote may hold anything: what is unfit is named and kept out, the good runs beside it arrive."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from clones import Clone, number_id, tip_of
from conftest import git
from effort import choose
from hubs import make_hub

from gittrack.message import write_run_message
from gittrack.model import Run, Snapshot, Status
from gittrack.snapshot import encode_snapshot

GOOD, LATER, BAD = number_id(1), number_id(2), number_id(3)
EVIL = "evil\x1b[31m\x1b]0;title\x07\u202etxt"

File = tuple[str, str, str]


def write_object(hub: Path, kind: str, data: bytes) -> str:
    """Write an object into a repository whatever it is; git itself would refuse some."""
    raw = f"{kind} {len(data)}\0".encode() + data
    id = hashlib.sha1(raw).hexdigest()
    path = hub / "objects" / id[:2] / id[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(raw, 1))
    return id


def write_tree(hub: Path, files: Sequence[File]) -> str:
    """Write a tree with these entries (mode, name, id), in Git's order or in none."""
    return write_object(
        hub,
        "tree",
        b"".join(f"{mode} ".encode() + os.fsencode(name) + b"\0" + bytes.fromhex(id) for mode, name, id in files),
    )


def list_good_files(hub: Path, *, name: str = "bad", run_id: str = BAD) -> list[File]:
    """Return the entries of a good run's tree."""
    run = Run(run_id, name, "churn", 1, Status.FINISHED, 5, 9)
    files = encode_snapshot(Snapshot(run))
    return [("100644", path, write_object(hub, "blob", data)) for path, data in sorted(files.items())]


def write_commit(hub: Path, tree: str, *, message: str = "", run_id: str = BAD) -> str:
    """Put a commit with this tree on the hub's branch, by hand; return it."""
    run = Run(run_id, "bad", "churn", 1, Status.FINISHED, 5, 9)
    message = message or write_run_message(Snapshot(run))
    person = "Mallory <m@example.com> 1770000500 +0000"
    text = f"tree {tree}\nparent {tip_of(hub)}\nauthor {person}\ncommitter {person}\n\n{message}"
    commit = write_object(hub, "commit", text.encode("utf-8", "surrogateescape"))
    git(hub, "update-ref", "refs/heads/gittrack/churn", commit)
    return commit


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a bare repository with a good run."""
    hub = make_hub(tmp_path / "srv" / "hub.git")
    ada = Clone(tmp_path / "ada", str(hub))
    ada.record(GOOD)
    ada.push()
    return hub


@pytest.fixture
def bob(hub: Path, tmp_path: Path) -> Clone:
    """Return a clone of it."""
    return Clone(tmp_path / "bob", str(hub))


def add_good_run(hub: Path, directory: Path) -> None:
    """Put one more good run on top, by plain git: gittrack would not build on what is there."""
    eve = Clone(directory / "eve", str(hub))
    git(eve.directory, "fetch", "-q", "origin", "+refs/heads/gittrack/*:refs/heads/gittrack/*")
    eve.record(LATER)
    git(eve.directory, "push", "-q", "origin", "gittrack/churn")


def entry(mode: str, name: str, content: bytes = b"x") -> Callable[[Path], str]:
    """Return what writes a run's tree with one entry more."""

    def write(hub: Path) -> str:
        kind = {"40000": "tree", "160000": ""}.get(mode, "blob")
        id = write_object(hub, kind, content if kind == "blob" else b"") if kind else "1" * 40
        files = [file for file in list_good_files(hub) if file[1] != name]
        return write_tree(
            hub, sorted([*files, (mode, name, id)], key=lambda file: file[1] + "/" * (file[0] == "40000"))
        )

    return write


def below(directory: str, mode: str, name: str, content: bytes = b"x") -> Callable[[Path], str]:
    """Return what writes a run's tree with one entry in one of its directories."""

    def write(hub: Path) -> str:
        id = "1" * 40 if mode == "160000" else write_object(hub, "blob", content)
        inner = write_tree(hub, [(mode, name, id)])
        files = [*list_good_files(hub), ("40000", directory, inner)]
        return write_tree(hub, sorted(files, key=lambda file: file[1] + "/" * (file[0] == "40000")))

    return write


def deep(hub: Path) -> str:
    inner = write_tree(hub, [("100644", "file", write_object(hub, "blob", b"x"))])
    for _ in range(40):
        inner = write_tree(hub, [("40000", "d", inner)])
    files = [*list_good_files(hub), ("40000", "artifacts", inner)]
    return write_tree(hub, sorted(files, key=lambda file: file[1]))


def twice(hub: Path) -> str:
    files = list_good_files(hub)
    return write_tree(hub, sorted([*files, files[-1]], key=lambda file: file[1]))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"1" * 64 + b"\nsize 5\n"
KEPT_OUT = {
    "another file": (entry("100644", "README"), "it holds 'README', which does not belong there"),
    "escape sequences": (entry("100644", EVIL), "it holds 'evil"),
    "a name of 4,000 characters": (entry("100644", "x" * 4000), "(4000 characters), which does not belong there"),
    "a backslash": (entry("100644", "..\\x"), "which does not belong there"),
    "a symbolic link": (entry("120000", "params.json", b"/etc/passwd"), "params.json is a symbolic link"),
    "a symbolic link for a directory": (entry("120000", "metrics", b"/etc"), "metrics is a symbolic link"),
    "a submodule": (entry("160000", "source"), "source is a submodule"),
    "a directory for a file": (entry("40000", "run.json"), "run.json is a directory"),
    "an executable": (entry("100755", "run.json", b"#!/bin/sh"), "run.json is executable"),
    "a link among artifacts": (below("artifacts", "120000", "a", b"/etc/passwd"), "artifacts/'a' is a symbolic link"),
    "a drive among artifacts": (below("artifacts", "100644", "C:x", POINTER), "not a usable artifact path"),
    "a device among artifacts": (below("artifacts", "100644", "nul", POINTER), "not a usable artifact path"),
    "a large pointer": (below("artifacts", "100644", "a", b"x" * 2000), "'artifacts/a' has 2000 bytes, more than 1024"),
    "a link among parts": (
        below("metrics", "120000", "0001.parquet", b"/etc"),
        "metrics/0001.parquet is a symbolic link",
    ),
    "a stranger among parts": (below("metrics", "100644", "x.parquet"), "metrics/ holds 'x.parquet'"),
    "a gap among parts": (below("metrics", "100644", "0002.parquet"), "parts that are not numbered 1 to 1"),
    "deep directories": (deep, "it is over 32 directories deep"),
    "no run": (lambda hub: write_tree(hub, []), "run.json is missing"),
}


@pytest.mark.parametrize("case", KEPT_OUT)
def test_an_unfit_record_is_named_and_kept_out(case: str, hub: Path, bob: Clone, tmp_path: Path) -> None:
    write, reason = KEPT_OUT[case]
    commit = write_commit(hub, write(hub))
    add_good_run(hub, tmp_path)
    (found,) = bob.fetch().branches
    assert (found.change, found.there) == ("new", None)
    (refused,) = found.refused
    assert refused.commit == commit
    assert reason in refused.reason
    assert refused.reason.isprintable()
    with bob.open() as tracker:
        shown = {run.id for run in tracker.list_runs() if run.params is not None}
        if "among parts" not in case:
            assert shown == {GOOD, LATER}
            assert any(commit[:12] in damage.message for damage in tracker.damaged)
    git(bob.directory, "fsck", "--strict")
    bob.record(number_id(9))
    assert bob.push()["churn"].result == "pushed"


REFUSED_BY_GIT = {
    "..": (entry("100644", ".."), "hasDotdot"),
    ".git": (entry("40000", ".git"), "hasDotgit"),
    ".GIT": (below("artifacts", "100644", ".GIT"), "hasDotgit"),
    "git~1": (below("source", "100644", "git~1"), "hasDotgit"),
    "a slash": (entry("100644", "/etc/passwd"), "fullPathname"),
    "an entry that stands twice": (twice, "duplicateEntries"),
    "an order that is none": (lambda hub: write_tree(hub, list_good_files(hub)[::-1]), "treeNotSorted"),
    "a link to settings of submodules": (below("source", "120000", ".gitmodules"), "gitmodulesSymlink"),
}


@pytest.mark.parametrize("case", REFUSED_BY_GIT)
def test_what_git_refuses_never_comes_in(case: str, hub: Path, bob: Clone, tmp_path: Path) -> None:
    write, reason = REFUSED_BY_GIT[case]
    commit = write_commit(hub, write(hub))
    add_good_run(hub, tmp_path)
    (found,) = bob.fetch().branches
    assert found.there == tip_of(hub)
    assert found.tip != found.there
    (refused,) = found.refused
    assert (refused.commit, refused.name) == (commit, "bad")
    assert reason in refused.reason
    assert set(bob.look()["runs"]) == {GOOD, LATER}
    git(bob.directory, "fsck", "--strict", "--full")
    assert git(bob.directory, "cat-file", "--batch-check", stdin=commit.encode()).endswith(" missing")
    assert not (bob.directory / ".git/gittrack/quarantine").exists() or not list(
        (bob.directory / ".git/gittrack/quarantine").iterdir()
    )
    assert git(bob.directory, "for-each-ref", "refs/gittrack") == ""
    assert [branch.change for branch in bob.fetch().branches] == ["same"]
    other = Clone(tmp_path / "other", str(hub))
    assert other.fetch().branches[0].tip == found.tip


def test_nothing_is_built_on_what_git_refuses_until_its_owner_takes_it_off(
    hub: Path, bob: Clone, tmp_path: Path
) -> None:
    write_commit(hub, REFUSED_BY_GIT[".git"][0](hub))
    add_good_run(hub, tmp_path)
    bob.record(number_id(9))
    there = tip_of(hub)
    done = bob.push()["churn"]
    assert (done.result, tip_of(hub)) == ("refused", there)
    assert done.failure is not None
    assert done.failure.message.startswith("churn on origin holds commits that git refuses, such as ")
    assert done.failure.hint is not None
    git(bob.directory, *done.failure.hint.removeprefix("git ").removesuffix("  # without them").split())
    assert bob.push()["churn"].result == "pushed"
    assert set(bob.look()["runs"]) == {GOOD, LATER, number_id(9)}
    git(hub, "gc", "-q", "--prune=now")
    git(hub, "fsck", "--strict")


def test_other_experiments_arrive_beside_what_git_refuses(hub: Path, bob: Clone, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "cleo", str(hub))
    clone.record(number_id(7), experiment="other")
    clone.push()
    write_commit(hub, REFUSED_BY_GIT["a slash"][0](hub))
    found = {branch.slug: branch for branch in bob.fetch().branches}
    assert found["other"].there is None
    assert found["other"].tip == tip_of(hub, "other")
    assert set(bob.look()["runs"]) == {GOOD, number_id(7)}


def test_what_git_refuses_below_a_merge(hub: Path, bob: Clone, tmp_path: Path) -> None:
    bad = write_commit(hub, REFUSED_BY_GIT[".git"][0](hub))
    git(hub, "update-ref", "refs/heads/gittrack/churn", f"{bad}~1")
    add_good_run(hub, tmp_path)
    good = tip_of(hub)
    person = "Mallory <m@example.com> 1770000600 +0000"
    tree = git(hub, "rev-parse", f"{bad}^{{tree}}")
    text = f"tree {tree}\nparent {bad}\nparent {good}\nauthor {person}\ncommitter {person}\n\nmerge\n"
    git(hub, "update-ref", "refs/heads/gittrack/churn", write_object(hub, "commit", text.encode()))
    (found,) = bob.fetch().branches
    assert {entry.commit for entry in found.refused} == {bad, tip_of(hub)}
    assert set(bob.look()["runs"]) == {GOOD, LATER}
    git(bob.directory, "fsck", "--strict")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("x\n\nRun: ../../etc/passwd\nRevision: 1\nStatus: FINISHED\nFormat: 1\n", "not a run id"),
        (f"x\n\nRun: {BAD}\nRevision: one\nStatus: FINISHED\nFormat: 1\n", "trailers are damaged"),
        (f"x\n\nRun: {BAD}\nRevision: 1\nStatus: FINISHED\nFormat: 7\n", "written in format 7"),
    ],
)
def test_a_message_that_makes_no_sense(message: str, reason: str, hub: Path, bob: Clone, tmp_path: Path) -> None:
    commit = write_commit(hub, write_tree(hub, list_good_files(hub)), message=message)
    add_good_run(hub, tmp_path)
    (found,) = bob.fetch().branches
    (refused,) = found.refused
    assert refused.commit == commit
    assert reason in refused.reason
    with bob.open() as tracker:
        assert {run.id for run in tracker.list_runs()} == {GOOD, LATER}
        assert [damage.message for damage in tracker.damaged] == [refused.reason]


def test_a_commit_of_somebody_is_let_be(hub: Path, bob: Clone, tmp_path: Path) -> None:
    readme = write_tree(hub, [("100644", "README", write_object(hub, "blob", b"about this branch"))])
    write_commit(hub, readme, message="Explain the branch\n")
    add_good_run(hub, tmp_path)
    (found,) = bob.fetch().branches
    assert found.refused == ()
    assert set(bob.look()["runs"]) == {GOOD, LATER}


def write_large_run(hub: Path, name: str, data: bytes) -> None:
    files = [file for file in list_good_files(hub) if file[1] != name]
    files.append(("100644", name, write_object(hub, "blob", data)))
    write_commit(hub, write_tree(hub, sorted(files, key=lambda file: file[1])))


CONTENTS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "a large file": lambda: ("params.json", bytes(choose(100, 1024) << 20)),
    "a file just small enough": lambda: ("params.json", b'{"a": "' + b"x" * ((32 << 20) - 100) + b'"}'),
    "many values": lambda: ("summary.json", b"[" + b'{"":0},' * 4_000_000 + b"0]"),
    "deep values": lambda: ("run.json", b"[" * 10_000_000),
    "no text": lambda: ("run.json", b"\xff" * 1000),
}


# In a process of its own: one that is forked begins with all that the process of the tests has come to hold.
READING = """
import json, pickle, sys
clone = pickle.load(sys.stdin.buffer)
from memory import measure_peak, measure_peak_of_children
clone.fetch()
with clone.open() as tracker:
    shown = [run.id for run in tracker.list_runs()]
print(json.dumps([shown, measure_peak() >> 20, measure_peak_of_children() >> 20]))
"""


@pytest.mark.parametrize("case", CONTENTS)
def test_memory_stays_bounded(case: str, hub: Path, bob: Clone, tmp_path: Path) -> None:
    write_large_run(hub, *CONTENTS[case]())
    add_good_run(hub, tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", READING], input=pickle.dumps(bob), capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    shown, own, git_peak = json.loads(done.stdout)
    assert {GOOD, LATER} <= set(shown)
    assert (own < 512, git_peak < 512) == (True, True), (own, git_peak)


def test_a_bomb_among_the_parts_is_refused_when_it_is_read(hub: Path, bob: Clone, tmp_path: Path) -> None:
    from gittrack.errors import Corrupt

    write_commit(hub, below("metrics", "100644", "0001.parquet", b"PAR1" + bytes(1000) + b"PAR1")(hub))
    assert bob.fetch().branches[0].refused == ()
    with bob.open() as tracker, pytest.raises(Corrupt, match="not a metrics part"):
        tracker.get_run(BAD).series()
    with bob.open() as tracker:
        assert {run.id for run in tracker.list_runs()} == {GOOD, BAD}

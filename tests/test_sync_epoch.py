"""Deletion travels: what one clone deleted for good goes everywhere, stays away, and takes nothing else with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clones import SECOND, Clone, check_hub, number_id, tip_of
from conftest import git
from hubs import make_hub

from gittrack import layout
from gittrack.content import ContentStore
from gittrack.deletion import delete_runs, redact_run
from gittrack.errors import Corrupt, Unsupported
from gittrack.garbage import collect, read_condemned
from gittrack.model import Pointer
from gittrack.revision import append_run, stage_snapshot
from gittrack.sync.pushing import Plan
from gittrack.sync.standing import compare_experiments

ONE, TWO, THREE, FOUR = map(number_id, (1, 2, 3, 4))
LATE = 4_000_000_000 * SECOND


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return make_hub(tmp_path / "srv" / "hub.git")


@pytest.fixture
def ada(hub: Path, tmp_path: Path) -> Clone:
    """Whoever deletes: three runs that she has pushed, and everybody has."""
    clone = Clone(tmp_path / "ada", str(hub))
    for run_id in (ONE, TWO, THREE):
        clone.record(run_id, params={"key": f"s3cret{int(run_id)}"})
    clone.push()
    return clone


@pytest.fixture
def bob(ada: Clone, hub: Path, tmp_path: Path) -> Clone:
    """Somebody who has it all on a branch of his own."""
    clone = join_team(tmp_path / "bob", hub)
    clone.clock = ada.clock + 60 * SECOND
    return clone


def join_team(directory: Path, hub: Path) -> Clone:
    clone = Clone(directory, str(hub))
    clone.fetch()
    git(directory, "update-ref", "refs/heads/gittrack/churn", "refs/remotes/origin/gittrack/churn")
    return clone


def delete(clone: Clone, *run_ids: str) -> None:
    for run_id in run_ids:
        clone.edit(run_id, removed=True)
    with clone.open() as tracker:
        done = delete_runs(tracker, ["churn"], now=LATE, period=0, grace=0)
    assert sorted(run.id for run in done.runs) == sorted(run_ids)


def redact(clone: Clone, run_id: str, *places: str) -> None:
    with clone.open() as tracker:
        redact_run(tracker, run_id, places=places, texts=(), now=clone.tick())


def list_runs(clone: Clone) -> set[str]:
    """Return the runs a clone shows."""
    with clone.open() as tracker:
        shown = {run.id for run in tracker.list_runs("churn", removed=True)}
        assert shown == set(tracker.history.get_branch("churn").known)
    return shown


def list_on(directory: Path, *revisions: str) -> set[str]:
    """Return the runs that have a record among some commits."""
    form = "--format=%(trailers:key=Run,valueonly,separator=)"
    return set(git(directory, "log", form, *revisions, "--").split())


def holds(directory: Path, text: str, *revisions: str) -> bool:
    """Tell whether anything reachable from some commits holds a text."""
    listing = git(directory, "rev-list", "--objects", "--no-object-names", *revisions)
    return text in git(directory, "cat-file", "--batch", stdin=listing.encode())


def settle(*clones: Clone) -> dict[str, Any]:
    """Sync clones until all have everything; fail unless they show the same then, and return that."""
    for clone in (*clones, *clones):
        assert {done.result for done in clone.push().values()} <= {"pushed", "current"}
    for clone in clones:
        clone.pull()
    seen = [clone.look() for clone in clones]
    assert all(view == seen[0] for view in seen)
    assert len({clone.tip() for clone in clones}) == 1
    return seen[0]


def put(clone: Clone, run_id: str, text: str) -> Pointer:
    """Add an artifact to a run, as a process that resumed it would."""
    with clone.open() as tracker:
        with tracker.content.hold():
            pointer = tracker.content.put_bytes(text.encode())
        attach(clone, run_id, pointer)
        return pointer


def attach(clone: Clone, run_id: str, pointer: Pointer) -> None:
    with clone.open() as tracker:
        found = tracker.get_run(run_id)
        commit = tracker.store.get_commit(found.commit or "")
        run = replace(found.snapshot.run, revision=found.revision + 1)
        snapshot = replace(found.snapshot, run=run, artifacts={**found.snapshot.artifacts, "model.bin": pointer})
        parts = tracker.history.find_parts(commit)
        staged = stage_snapshot(tracker.store, snapshot, parts=parts, source=None, previous=(commit.tree,))
        append_run(tracker.history, staged, tracker.make_stamp(0))


def download(clone: Clone, text: str) -> None:
    """Get a content, as git-lfs would."""
    with clone.open() as tracker:
        tracker.content.put_bytes(text.encode())


def is_here(clone: Clone, text: str) -> bool:
    oid = hashlib.sha256(text.encode()).hexdigest()
    return (clone.directory / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).exists()


def list_condemned(clone: Clone) -> set[str]:
    with clone.open() as tracker:
        return set(read_condemned(tracker.store))


def test_a_deleted_run_goes_from_the_hub_and_from_every_clone(
    ada: Clone, bob: Clone, hub: Path, tmp_path: Path
) -> None:
    cleo = Clone(tmp_path / "cleo", str(hub))
    cleo.fetch()  # has no branch of her own
    delete(ada, TWO)
    done = ada.push()["churn"]
    assert (done.result, done.runs, done.failure) == ("pushed", 0, None)
    assert list_on(hub, "gittrack/churn") == {ONE, THREE}
    assert not holds(hub, "s3cret2", "gittrack/churn")
    for clone in (bob, cleo):
        assert TWO in list_runs(clone)
        (found,) = clone.fetch().branches
        assert (found.change, found.runs, found.deleted, found.refused) == ("epoch", 0, 1, ())
        assert list_runs(clone) == {ONE, THREE}
        assert [found.change for found in clone.fetch().branches] == ["same"]
    assert git(cleo.directory, "for-each-ref", "refs/heads") == "", "nobody asked for a branch of hers"
    assert bob.tip() != tip_of(hub)
    bob.pull()
    assert bob.tip() == tip_of(hub) == ada.tip()
    assert bob.look() == ada.look() == cleo.look()
    check_hub(hub)


def test_who_pushes_without_having_looked_follows_first(ada: Clone, bob: Clone, hub: Path) -> None:
    delete(ada, TWO)
    ada.push()
    tip = tip_of(hub)
    seen: list[Plan] = []
    done = bob.push(approve=seen.extend)["churn"]
    assert (done.result, done.runs, done.merged) == ("current", 0, ())
    assert seen == [], "there is nothing to be asked about"
    assert tip_of(hub) == bob.tip() == tip


def test_how_a_clone_stands_to_an_epoch_is_told_by_what_is_new(ada: Clone, bob: Clone) -> None:
    bob.record(FOUR)
    ada.edit(ONE, note="x")
    delete(ada, TWO)
    ada.push()
    bob.fetch()
    with bob.open() as tracker:
        (standing,) = compare_experiments(bob.link(tracker))
        assert (standing.ahead, standing.behind) == ({FOUR}, {ONE})
        assert list_on(bob.directory, "--no-walk", *standing.unshared) == {FOUR}
    bob.push()
    with bob.open() as tracker:
        (standing,) = compare_experiments(bob.link(tracker))
        assert (standing.ahead, standing.behind, standing.unshared) == (frozenset(), frozenset(), ())


def test_a_run_that_was_never_pushed_is_kept(ada: Clone, bob: Clone, hub: Path) -> None:
    bob.record(FOUR)
    delete(ada, TWO)
    ada.push()
    tip = tip_of(hub)
    bob.fetch()
    assert list_runs(bob) == {ONE, THREE, FOUR}
    seen: list[Plan] = []
    done = bob.push(approve=seen.extend)["churn"]
    assert (done.result, done.runs) == ("pushed", 1)
    (plan,) = seen
    assert list_on(bob.directory, "--no-walk", *(commit.id for commit in plan.commits)) == {FOUR}
    assert not plan.first
    git(hub, "merge-base", "--is-ancestor", tip, tip_of(hub))
    assert list_on(hub, "gittrack/churn") == {ONE, THREE, FOUR}
    assert settle(ada, bob)["runs"].keys() == {ONE, THREE, FOUR}


def test_an_edit_that_the_deleter_had_not_seen_is_kept_and_one_she_had_is_not(ada: Clone, bob: Clone) -> None:
    bob.edit(ONE, note="seen")
    bob.push()
    ada.pull()
    bob.edit(TWO, note="not seen")
    delete(ada, ONE, TWO)
    ada.push()
    bob.fetch()
    assert list_runs(bob) == {TWO, THREE}
    bob.pull()
    runs = settle(ada, bob)["runs"]
    assert runs.keys() == {TWO, THREE}
    assert runs[TWO]["note"] == "not seen"
    assert [point["value"] for point in runs[TWO]["points"]] == [1.0, 0.5]
    assert "removed" not in runs[TWO]


def test_edits_of_other_runs_on_both_sides_are_joined_on_the_epoch(ada: Clone, bob: Clone) -> None:
    bob.edit(ONE, tags={"bob": "1"}, note="bob's")
    ada.edit(ONE, tags={"ada": "1"}, note="ada's")
    delete(ada, TWO)
    ada.push()
    assert bob.push()["churn"].merged == ("run-0000",)
    run = settle(ada, bob)["runs"][ONE]
    assert run["tags"] == {"ada": "1", "bob": "1"}
    assert sorted(run["note"].split("\n\n")) == ["ada's", "bob's"]


def test_edits_of_a_deleted_run_by_two_who_had_not_heard_are_joined_without_what_they_were_made_from(
    ada: Clone, bob: Clone, hub: Path, tmp_path: Path
) -> None:
    cleo = join_team(tmp_path / "cleo", hub)
    cleo.clock = bob.clock + 60 * SECOND
    ada.edit(TWO, tags={"old": "1"})
    ada.push()
    for clone in (bob, cleo):
        clone.pull()
    bob.edit(TWO, tags={"bob": "1", "old": None})
    cleo.resume(TWO, [0.25])
    delete(ada, TWO)
    ada.push()
    bob.push()
    assert cleo.push()["churn"].merged == ("run-0000",)
    run = settle(ada, bob, cleo)["runs"][TWO]
    assert run["tags"] == {"bob": "1", "old": "1"}, "nothing tells any more who had it first"
    assert [point["value"] for point in run["points"]] == [1.0, 0.5, 0.25]


def test_who_only_looks_keeps_what_the_new_line_is_without(ada: Clone, bob: Clone, hub: Path, tmp_path: Path) -> None:
    """Somebody forced the epoch over a run that only readers had got."""
    cleo = Clone(tmp_path / "cleo", str(hub))
    bob.record(FOUR)
    bob.push()
    cleo.fetch()
    delete(ada, TWO)
    git(ada.directory, "push", "-q", "--force", "origin", "gittrack/churn")
    assert [found.change for found in cleo.fetch().branches] == ["epoch"]
    assert list_runs(cleo) == {ONE, THREE, FOUR}
    assert list_on(cleo.directory, "refs/heads/gittrack/churn") == {ONE, THREE, FOUR}
    assert cleo.push()["churn"].result == "pushed"
    assert list_on(hub, "gittrack/churn") == {ONE, THREE, FOUR}
    assert settle(ada, bob, cleo)["runs"].keys() == {ONE, THREE, FOUR}


@pytest.mark.parametrize("branch", [True, False])
def test_a_remote_that_is_behind_brings_no_run_back(
    ada: Clone, bob: Clone, hub: Path, tmp_path: Path, branch: bool
) -> None:
    """The hub was put back to what it was before, from a backup."""
    old = tip_of(hub)
    cleo = join_team(tmp_path / "cleo", hub) if branch else Clone(tmp_path / "cleo", str(hub))
    cleo.fetch()
    delete(ada, TWO)
    ada.push()
    cleo.fetch()
    git(hub, "update-ref", "refs/heads/gittrack/churn", old)
    assert [found.change for found in cleo.fetch().branches] == ["rewritten"]
    assert list_runs(cleo) == {ONE, THREE}
    assert cleo.push()["churn"].result == "pushed"
    assert list_on(hub, "gittrack/churn") == {ONE, THREE}
    assert settle(ada, bob, cleo)["runs"].keys() == {ONE, THREE}


def test_another_remote_that_has_not_heard_hears_it_with_the_next_push(ada: Clone, hub: Path, tmp_path: Path) -> None:
    backup = make_hub(tmp_path / "backup.git")
    git(ada.directory, "remote", "add", "backup", str(backup))
    ada.push(remote="backup")
    delete(ada, TWO)
    ada.push()
    assert [found.change for found in ada.fetch(remote="backup").branches] == ["same"]
    ada.pull(remote="backup")
    assert list_runs(ada) == {ONE, THREE}
    assert ada.tip() == tip_of(hub), "the old line adds nothing"
    ada.push(remote="backup")
    assert tip_of(backup) == tip_of(hub)


def test_a_redaction_goes_everywhere_and_into_edits_made_by_who_had_not_heard(
    ada: Clone, bob: Clone, hub: Path
) -> None:
    bob.edit(ONE, tags={"bob": "was here"})
    bob.resume(ONE, [0.25])
    redact(ada, ONE, "params.key")
    ada.push()
    assert not holds(hub, "s3cret1", "gittrack/churn")
    (found,) = bob.fetch().branches
    assert (found.change, found.runs, found.deleted) == ("epoch", 1, 0)
    bob.push()
    assert not holds(hub, "s3cret1", "gittrack/churn")
    assert not holds(bob.directory, "s3cret1", "gittrack/churn")
    run = settle(ada, bob)["runs"][ONE]
    assert run["params"]["key"] == "[redacted]"
    assert run["tags"] == {"bob": "was here"}
    assert [point["value"] for point in run["points"]] == [1.0, 0.5, 0.25]
    assert settle(ada, bob)["runs"][TWO]["params"]["key"] == "s3cret2"


def test_a_redaction_outlives_the_run_that_was_redacted(ada: Clone, bob: Clone, hub: Path) -> None:
    bob.edit(ONE, note="ada has not seen this")
    redact(ada, ONE, "params.key")
    delete(ada, ONE)
    delete(ada, TWO)
    ada.push()
    files = git(hub, "ls-tree", "--name-only", git(hub, "rev-list", "--max-parents=0", "gittrack/churn")).splitlines()
    assert files == ["dropped.json", "redacted.json"]
    assert bob.fetch().branches[0].refused == ()
    bob.push()
    run = settle(ada, bob)["runs"][ONE]
    assert (run["note"], run["params"]["key"]) == ("ada has not seen this", "[redacted]")
    assert not holds(hub, "s3cret1", "gittrack/churn")


def test_what_the_index_kept_of_a_redacted_run_goes_when_it_is_followed(ada: Clone, bob: Clone) -> None:
    bob.look()
    redact(ada, ONE, "params.key")
    ada.push()
    with bob.open() as tracker:
        indexes = layout.index_directories(tracker.repository.common_directory)
    (live,) = (layout.live_cache_path(index, ONE) for index in indexes)
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_bytes(b"what a journal said: s3cret1")
    bob.fetch()
    bob.look()
    files = [file for index in indexes for file in index.rglob("*") if file.is_file()]
    assert files
    assert not live.exists()
    assert not [file for file in files if b"s3cret1" in file.read_bytes()]


def test_content_of_what_others_deleted_is_condemned_here_as_well(
    ada: Clone, bob: Clone, hub: Path, tmp_path: Path
) -> None:
    gone, shared = put(ada, TWO, "weights of two"), put(ada, ONE, "weights of all")
    attach(ada, THREE, shared)
    ada.push()
    cleo = Clone(tmp_path / "cleo", str(hub))
    bob.pull()
    cleo.fetch()
    for clone in (bob, cleo):
        download(clone, "weights of two")
        download(clone, "weights of all")
    delete(ada, ONE, TWO)
    ada.push()
    bob.pull()
    cleo.fetch()  # who has no branch follows by looking
    for clone in (bob, cleo):
        assert list_condemned(clone) == {gone.oid, shared.oid}
        with clone.open() as tracker:
            history = tracker.history
            done = collect(
                history,
                ContentStore.of(tracker.repository),
                now=LATE,
                grace=0,
                find_dropped=lambda slug, history=history: history.get_branch(slug).dropped,
            )
        assert done.deleted == (gone,)
        assert done.needed == (shared,)
        assert not is_here(clone, "weights of two")
        assert is_here(clone, "weights of all")


def test_content_of_what_the_remote_never_had_is_condemned_when_the_branch_follows(
    ada: Clone, bob: Clone, tmp_path: Path
) -> None:
    """Bob has the run from somewhere else than the remote whose epoch he follows."""
    pointer = put(ada, TWO, "weights of two")
    other = make_hub(tmp_path / "other.git")
    for clone in (ada, bob):
        git(clone.directory, "remote", "add", "other", str(other))
    ada.push()
    bob.pull()
    download(bob, "weights of two")
    delete(ada, TWO)
    ada.push(remote="other")
    (found,) = bob.fetch(remote="other").branches
    assert (found.change, found.deleted) == ("new", 0)
    assert list_condemned(bob) == set()
    bob.pull(remote="other")
    assert list_condemned(bob) == {pointer.oid}
    assert list_on(bob.directory, "refs/heads/gittrack/churn") == {ONE, THREE}


def test_who_records_while_another_deletes_loses_nothing(ada: Clone, bob: Clone, hub: Path) -> None:
    """Bob gets in between ada's look and her push: the lease fails, and she begins again with his run."""
    delete(ada, TWO)
    moved: list[str] = []

    def interfere(plans: Sequence[Plan]) -> None:
        if not moved:
            bob.record(FOUR)
            bob.edit(TWO, note="not seen")
            bob.push()
            moved.append(tip_of(hub))

    done = ada.push(approve=interfere)["churn"]
    assert (done.result, done.rounds) == ("pushed", 2)
    runs = settle(ada, bob)["runs"]
    assert runs.keys() == {ONE, TWO, THREE, FOUR}
    assert runs[TWO]["note"] == "not seen"
    assert list_on(hub, "gittrack/churn") == {ONE, TWO, THREE, FOUR}


def test_who_deletes_while_another_records_is_followed(ada: Clone, bob: Clone, hub: Path) -> None:
    bob.record(FOUR)
    done: list[str] = []

    def interfere(plans: Sequence[Plan]) -> None:
        if not done:
            delete(ada, TWO)
            done.append(ada.push()["churn"].result)

    pushed = bob.push(approve=interfere)["churn"]
    assert (pushed.result, pushed.rounds, pushed.runs) == ("pushed", 2, 1)
    assert list_on(hub, "gittrack/churn") == {ONE, THREE, FOUR}
    assert settle(ada, bob)["runs"].keys() == {ONE, THREE, FOUR}


def test_two_who_delete_at_once(ada: Clone, bob: Clone, hub: Path) -> None:
    delete(bob, THREE)
    done: list[str] = []

    def interfere(plans: Sequence[Plan]) -> None:
        if not done:
            delete(ada, TWO)
            done.append(ada.push()["churn"].result)

    assert bob.push(approve=interfere)["churn"].result == "pushed"
    assert settle(ada, bob)["runs"].keys() == {ONE}
    tip = tip_of(hub)
    settle(bob, ada)
    assert tip_of(hub) == tip


def test_an_epoch_sends_commits_and_no_files_that_the_remote_has(ada: Clone, bob: Clone, hub: Path) -> None:
    git(hub, "config", "receive.unpackLimit", "1")
    git(bob.directory, "config", "pack.window", "0")  # else what a delta is made against stands in the pack, too
    before = set((hub / "objects" / "pack").glob("*.idx"))
    bob.record(FOUR)
    delete(bob, TWO)
    bob.push()
    (index,) = set((hub / "objects" / "pack").glob("*.idx")) - before
    sent = [line.split(" ")[1] for line in git(hub, "show-index", stdin=index.read_bytes()).splitlines()]
    kinds = git(hub, "cat-file", "--batch-check=%(objecttype)", stdin="\n".join(sent).encode()).split()
    line = git(hub, "rev-list", "gittrack/churn").split()
    assert kinds.count("commit") == len(line) == 5, "the epoch, the experiment, and three runs"
    four = git(hub, "rev-list", "--objects", "--no-object-names", f"{line[0]}^{{tree}}").split()
    dropped = git(hub, "rev-list", "--objects", "--no-object-names", f"{line[-1]}^{{tree}}").split()
    assert set(sent) <= {*line, *four, *dropped}
    check_hub(hub)


def test_a_remote_that_takes_no_rewriting_refuses_an_epoch_and_stays_as_it_was(ada: Clone, hub: Path) -> None:
    git(hub, "config", "receive.denyNonFastForwards", "true")
    before = tip_of(hub)
    delete(ada, TWO)
    done = ada.push()["churn"]
    assert done.result == "refused"
    assert done.failure is not None
    assert "denying non-fast-forward" in done.failure.message
    assert tip_of(hub) == before
    assert list_runs(ada) == {ONE, THREE}


@pytest.mark.parametrize(
    "fault", ["not a list", "no redactions", "another file", "executable", "nothing", "epoch 0", "newer"]
)
def test_an_epoch_that_cannot_be_read_is_named_and_takes_nothing_away(
    ada: Clone, bob: Clone, hub: Path, fault: str
) -> None:
    ada.record(FOUR, experiment="other")
    ada.push("other")
    text = b"no list\n" if fault == "not a list" else f'{{\n"{TWO}": ["0123456789abcdef"]\n}}\n'.encode()
    blob = git(hub, "hash-object", "-w", "--stdin", stdin=text)
    mode = "100755" if fault == "executable" else "100644"
    files = "" if fault == "nothing" else f"{mode} blob {blob}\tdropped.json\n"
    files += f"100644 blob {blob}\textra\n" if fault == "another file" else ""
    wrong = git(hub, "hash-object", "-w", "--stdin", stdin=b'{"params": ["key"]}\n')
    files += f"100644 blob {wrong}\tredacted.json\n" if fault == "no redactions" else ""
    number, version = int(fault != "epoch 0"), 2 if fault == "newer" else 1
    message = f"epoch\n\nEpoch: {number}\nExperiment: churn\nFormat: {version}"
    bad = git(hub, "commit-tree", git(hub, "mktree", stdin=files.encode()), "-m", message)
    git(hub, "update-ref", "refs/heads/gittrack/churn", bad)
    found = bob.fetch().get("churn")
    assert found is not None
    assert [entry.commit for entry in found.refused] == [bad]
    assert list_runs(bob) >= {ONE, TWO, THREE}
    bob.record(number_id(5), experiment="other")
    done = bob.push()
    assert done["other"].result == "pushed"
    if fault == "another file":  # its list can be read all the same
        assert done["churn"].result == "pushed"
    else:
        assert done["churn"].result == "refused"
        assert tip_of(hub) == bad
        with pytest.raises((Corrupt, Unsupported)):
            bob.pull()
    assert list_on(bob.directory, "refs/heads/gittrack/churn") == {ONE, TWO, THREE}

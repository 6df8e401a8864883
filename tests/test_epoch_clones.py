"""Epochs in real repositories: what git thinks of them, what readers see, and clones that delete apart."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clones import SECOND, Clone, number_id
from conftest import git

from gittrack import layout
from gittrack.deletion import delete_runs, redact_run
from gittrack.epoch import has_epoch, join_epochs, read_line
from gittrack.errors import Unsupported
from gittrack.history import History
from gittrack.merge import Node, find_heads
from gittrack.tracker import Tracker

REF = "refs/heads/gittrack/churn"
LATE = 4_000_000_000 * SECOND


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    directory = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", str(directory))
    return directory


@pytest.fixture
def pair(tmp_path: Path, hub: Path) -> tuple[Clone, Clone]:
    """Two clones that know the same three runs, each of two revisions."""
    ada, bob = Clone(tmp_path / "ada", str(hub)), Clone(tmp_path / "bob", str(hub))
    for number in range(1, 4):
        ada.record(number_id(number), params={"key": f"s3cret{number}", "lr": 0.1}, note=f"note {number}")
        ada.edit(number_id(number), tags={"kind": "first"})
    git(ada.directory, "push", "-q", "origin", REF)
    git(bob.directory, "fetch", "-q", "origin", f"{REF}:{REF}")
    bob.clock = ada.clock
    return ada, bob


def remove_and_delete(clone: Clone, *numbers: int) -> None:
    for number in numbers:
        clone.edit(number_id(number), removed=True)
    with clone.open() as tracker:
        done = delete_runs(tracker, now=LATE)
    assert sorted(run.id for run in done.runs) == [number_id(number) for number in numbers]


def redact(clone: Clone, number: int, *places: str, texts: Sequence[str] = ()) -> None:
    with clone.open() as tracker:
        redact_run(tracker, number_id(number), places=places, texts=texts, now=clone.tick())


def join(clone: Clone, other: Clone) -> str:
    """Let a clone follow another one, as syncing does; return its new tip."""
    name = f"refs/remotes/{other.directory.name}/gittrack/churn"
    git(clone.directory, "fetch", "-q", str(other.directory), f"+{REF}:{name}")
    with clone.open() as tracker:
        store, ours = tracker.store, tracker.store.find_ref(REF)
        theirs = store.find_ref(name)
        assert ours is not None
        assert theirs is not None
        joined = join_epochs(tracker.history, "churn", ours=ours, theirs=theirs)
        assert joined.tip == ours or store.move_ref(REF, old=ours, new=joined.tip, message="test")
        assert join_epochs(tracker.history, "churn", ours=joined.tip, theirs=theirs).tip == joined.tip
    git(clone.directory, "fsck", "--strict", "--no-dangling")
    git(clone.directory, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")  # as if it had followed, too
    return joined.tip


def keys(clone: Clone) -> set[Any]:
    with clone.open() as tracker:
        tip = tracker.store.find_ref(REF)
        assert tip is not None
        return {record.key for record in read_line(tracker.history, tip).records}


def list_runs(clone: Clone) -> list[str]:
    with clone.open() as tracker:
        return sorted(revision.trailers.run_id for revision in tracker.history.get_branch("churn").revisions)


def holds(clone: Clone, text: str) -> bool:
    """Tell whether anything reachable from the branch holds a text, or the text's run."""
    listing = git(clone.directory, "rev-list", "--objects", "--no-object-names", REF)
    data = git(clone.directory, "cat-file", "--batch", stdin=listing.encode())
    return text in data


def test_a_branch_begins_anew_without_the_run_and_with_all_else_as_it_was(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    before = {line.split()[2]: line for line in git(ada.directory, "log", "--format=%T %at %H", REF).splitlines()}
    messages = set(git(ada.directory, "log", "-z", "--format=%T%n%an <%ae> %ad%n%B", REF).split("\0"))
    remove_and_delete(ada, 2)
    assert list_runs(ada) == [number_id(1), number_id(3)]
    first, *rest = git(ada.directory, "log", "--reverse", "--format=%H %P|%s", REF).splitlines()
    assert first.split("|")[0].split()[1:] == []
    assert first.endswith("|epoch 1 of churn: 1 run deleted or redacted so far")
    assert len(rest) == 5, "the experiment's record, and two revisions of two runs"
    after = set(git(ada.directory, "log", "-z", "--format=%T%n%an <%ae> %ad%n%B", REF).split("\0"))
    left_out = {text for text in messages if f"Run: {number_id(2)}" in text}
    assert messages - after == left_out
    assert len(left_out) == 2
    assert not set(git(ada.directory, "rev-list", REF).split()) & before.keys(), "no commit of the old history is left"
    assert not holds(ada, f'"id": "{number_id(2)}"')
    git(ada.directory, "fsck", "--strict")
    git(ada.directory, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(ada.directory, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")
    git(ada.directory, "gc", "-q", "--prune=now")
    everything = git(ada.directory, "cat-file", "--batch-all-objects", "--batch")
    assert "s3cret2" not in everything
    assert "s3cret1" in everything
    assert ada.look()["runs"].keys() == {number_id(1), number_id(3)}


def test_clones_that_delete_the_same_apart_make_the_same_commits(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    ada.edit(number_id(1), removed=True)
    ada.edit(number_id(2), removed=True)
    git(bob.directory, "fetch", "-q", str(ada.directory), f"{REF}:{REF}")
    for clone, wait in ((ada, 0), (bob, 100 * SECOND)):
        git(clone.directory, "config", "user.name", f"whoever {wait}")
        with clone.open() as tracker:
            delete_runs(tracker, now=LATE + wait)
    assert ada.tip() == bob.tip()


def test_an_old_copy_of_a_branch_does_not_bring_a_run_back(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    old = ada.tip()
    remove_and_delete(ada, 2)
    for name in ("origin", "backup"):
        git(ada.directory, "update-ref", f"refs/remotes/{name}/gittrack/churn", old)
    assert list_runs(ada) == [number_id(1), number_id(3)]
    with ada.open() as tracker:
        assert tracker.history.list_run_revisions("churn", number_id(2)) == []
        assert tracker.history.get_branch("churn").known.keys() == {number_id(1), number_id(3)}
        branch = tracker.history.get_branch("churn")
        assert (branch.epoch, len(branch.dropped)) == (1, 3)
        assert branch.damaged == ()
        again = delete_runs(tracker, now=LATE)
    assert (again.runs, again.epochs) == ((), ())


def test_who_has_not_heard_loses_nothing_of_their_own(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    bob.record(number_id(4), params={"key": "bob's own"})
    bob.edit(number_id(3), note="bob's note")
    bob.edit(number_id(2), tags={"bob": "was here"})
    remove_and_delete(ada, 1, 2)
    old = bob.look()["runs"]
    join(bob, ada)
    assert list_runs(bob) == [number_id(2), number_id(3), number_id(4)], "nobody had seen bob's edit of run 2"
    new = bob.look()["runs"]
    assert new == {run_id: old[run_id] for run_id in (number_id(2), number_id(3), number_id(4))}
    assert not holds(bob, f'"id": "{number_id(1)}"')
    join(ada, bob)
    assert keys(ada) == keys(bob)
    assert ada.look() == bob.look()


def test_clones_that_delete_different_runs_apart_converge(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    ada.record(number_id(5))
    bob.record(number_id(6))
    remove_and_delete(ada, 1)
    remove_and_delete(bob, 2)
    copy = Clone(ada.directory.parent / "copy", "none")
    git(copy.directory, "fetch", "-q", str(ada.directory), f"{REF}:{REF}")
    assert join(bob, ada) == join(copy, bob), "the same, whoever does it"
    assert join(ada, bob) == bob.tip()
    assert list_runs(ada) == [number_id(3), number_id(5), number_id(6)]
    for clone in (ada, bob):
        assert not holds(clone, f'"id": "{number_id(1)}"')
        assert not holds(clone, f'"id": "{number_id(2)}"')
    with ada.open() as tracker:
        assert read_line(tracker.history, ada.tip()).number == 2


def test_an_edit_by_who_had_not_heard_does_not_bring_a_secret_back(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    bob.edit(number_id(1), tags={"bob": "was here"})
    bob.resume(number_id(1), [0.25])
    bob.edit(number_id(1), note="bob's note")
    gone = git(ada.directory, "log", "--format=%T", f"--grep=Run: {number_id(1)}", REF).split()
    redact(ada, 1, "params.key")
    assert not holds(ada, "s3cret1")
    join(bob, ada)
    assert not any(holds(bob, tree) for tree in gone), "nothing tells where a server may still have it"
    assert not holds(bob, "s3cret1")
    assert holds(bob, "s3cret2")
    with bob.open() as tracker:
        revisions = tracker.history.list_run_revisions("churn", number_id(1))
        nodes = [
            Node(entry.commit.tree, entry.trailers.revision, entry.commit.time, "", entry.trailers.previous)
            for entry in revisions
        ]
        heads = {head.tree for head in find_heads(nodes)}
        runs = [tracker.history.load_snapshot(entry.commit) for entry in revisions]
    assert [run.params["key"] for run in runs] == ["[redacted]"] * 4
    assert {run.run.redacted for run in runs} == {("params.key",)}
    assert [entry.trailers.revision for entry in revisions if entry.commit.tree in heads] == [5, 3], "both sides count"
    assert runs[0].run.note == "bob's note"
    assert runs[0].run.tags["bob"] == "was here"
    assert runs[0].summary["loss"].count == 3
    chain = [entry for entry in revisions if entry.trailers.previous]
    trees = {entry.commit.tree for entry in revisions}
    assert len(chain) == 4
    assert sum(set(entry.trailers.previous) <= trees for entry in chain) == 2, (
        "each still names the one it was made from"
    )
    join(ada, bob)
    assert keys(ada) == keys(bob)


def test_clones_that_redact_different_places_apart_hide_both(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    redact(ada, 1, "params.key")
    redact(bob, 1, "note")
    assert ada.tip() != bob.tip()
    with ada.open() as tracker:
        roots = [git(clone.directory, "rev-list", "--max-parents=0", REF) for clone in (ada, bob)]
        assert roots[0] != roots[1], "else they would be merged as if they knew of each other"
        assert has_epoch(tracker.store.walk((ada.tip(),)))
    join(bob, ada)
    assert not holds(bob, "s3cret1")
    assert not holds(bob, "note 1")
    assert join(ada, bob) == bob.tip()


def test_a_text_is_taken_out_of_every_place(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gittrack

    (repo / "train.py").write_text("KEY = 'hunter2-hunter2'\n")
    (repo / "data.bin").write_bytes(b"\0hunter2-hunter2")
    (repo / "sub").mkdir()
    (repo / "sub" / "run.sh").write_text("echo hunter2-hunter2\n")
    (repo / "sub" / "run.sh").chmod(0o755)
    secret = "hunter2-hunter2"
    with gittrack.start_run("churn", params={"a": f"x{secret}", secret: 1, "lr": 0.5}, tags={"t": secret}) as run:
        run.set_note(f"see {secret}")
        run.log({"loss": 1.0, f"m-{secret}": 2.0}, step=0)
        run.log_text(f"first\n{secret}\nlast {secret}", "log.txt")
        (repo / "model.bin").write_bytes(b"\0\1" + secret.encode())
        run.log_artifact(repo / "model.bin")
        run.log_text("nothing here", "clean.txt")
    with Tracker.open() as tracker:
        found = tracker.get_run("latest")
        done = redact_run(tracker, found.id, places=(), texts=[secret], now=LATE)
        after = tracker.get_run(found.id)
        assert after.revision == 2
        assert after.params == {"a": "x[redacted]", "[redacted]": 1, "lr": 0.5}
        assert (after.tags, after.note) == ({"t": "[redacted]"}, "see [redacted]")
        assert list(after.summary) == ["loss"]
        assert after.series().num_rows == 1
        assert sorted(after.artifacts()) == ["clean.txt", "log.txt"]
        assert after.open_artifact("log.txt").read() == b"first\n[redacted]\nlast [redacted]"
        assert {change.place: (change.effect, change.count) for change in done.changes} == {
            "tags.t": ("replaced", 1),
            "note": ("replaced", 1),
            "params.a": ("replaced", 1),
            "params.[redacted]": ("replaced", 1),
            "metrics.[redacted]": ("removed", 1),
            "artifacts/log.txt": ("replaced", 2),
            "artifacts/model.bin": ("removed", 1),
            "source/train.py": ("replaced", 1),
            "source/data.bin": ("removed", 1),
            "source/sub/run.sh": ("replaced", 1),
        }
        assert secret not in str(after.to_dict())
    tree = git(repo, "ls-tree", "-r", REF)
    assert "source/data.bin" not in tree
    assert "100755" in next(line for line in tree.splitlines() if line.endswith("sub/run.sh"))
    assert git(repo, "show", f"{REF}:source/train.py") == "KEY = '[redacted]'"
    listing = git(repo, "rev-list", "--objects", "--no-object-names", REF)
    assert secret not in git(repo, "cat-file", "--batch", stdin=listing.encode())
    git(repo, "fsck", "--strict")
    assert git(repo, "status", "--porcelain").count("train.py") == 1, "the working tree is as it was"
    assert (repo / "train.py").read_text() == "KEY = 'hunter2-hunter2'\n"


def test_merges_are_flattened_and_other_peoples_commits_kept(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    ada.record(number_id(7))
    bob.record(number_id(8))
    git(ada.directory, "fetch", "-q", str(bob.directory), REF)
    tree = git(ada.directory, "rev-parse", f"{REF}^{{tree}}")
    merged = git(ada.directory, "commit-tree", tree, "-p", REF, "-p", "FETCH_HEAD", "-m", "merged by hand")
    own = git(ada.directory, "commit-tree", tree, "-p", merged, "-m", "a commit of somebody's own")
    git(ada.directory, "update-ref", REF, own)
    remove_and_delete(ada, 3)
    assert git(ada.directory, "rev-list", "--min-parents=2", REF) == ""
    assert list_runs(ada) == [number_id(number) for number in (1, 2, 7, 8)]
    subjects = git(ada.directory, "log", "--format=%s", REF).splitlines()
    assert subjects.count("a commit of somebody's own") == 1
    assert "merged by hand" not in subjects


def test_a_run_that_came_back_is_deleted_again(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    remove_and_delete(ada, 2)
    git(ada.directory, "fetch", "-q", str(bob.directory), f"{REF}:refs/remotes/bob/gittrack/churn")
    tree = git(ada.directory, "rev-parse", f"{REF}^{{tree}}")
    merged = git(ada.directory, "commit-tree", tree, "-p", REF, "-p", "refs/remotes/bob/gittrack/churn", "-m", "plain")
    git(ada.directory, "update-ref", REF, merged)
    assert list_runs(ada) == [number_id(1), number_id(3)]
    assert holds(ada, f'"id": "{number_id(2)}"')
    with ada.open() as tracker:
        assert delete_runs(tracker, now=LATE).epochs == (("churn", 2),)
        assert delete_runs(tracker, now=LATE).epochs == ()
    assert not holds(ada, f'"id": "{number_id(2)}"')
    assert list_runs(ada) == [number_id(1), number_id(3)]


def test_part_of_a_history_is_not_written_again(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    ada, _ = pair
    ada.edit(number_id(1), removed=True)
    shallow = tmp_path / "shallow"
    git(tmp_path, "init", "-q", str(shallow))
    git(shallow, "fetch", "-q", "--depth=2", f"file://{ada.directory}", f"{REF}:{REF}")
    with Tracker.open(shallow) as tracker:
        before = tracker.store.find_ref(REF)
        with pytest.raises(Unsupported, match="shallow"):
            delete_runs(tracker, now=LATE)
        assert tracker.store.find_ref(REF) == before


def test_the_index_answers_right_after_a_branch_began_anew(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    git(ada.directory, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")
    with ada.open() as tracker:
        assert len(tracker.list_runs()) == 3
        tracker.edit_run(number_id(2), removed=True)
        delete_runs(tracker, now=LATE)
        assert [run.id for run in tracker.list_runs(removed=True)] == [number_id(3), number_id(1)]
        tracker.edit_run(number_id(3), name="renamed")
        assert tracker.get_run("renamed").id == number_id(3)
        redact_run(tracker, number_id(1), places=["params.key"], texts=(), now=LATE)
        assert tracker.get_run(number_id(1)).params["key"] == "[redacted]"
        assert tracker.list_runs(query="params.key = 's3cret1'").frame.count == 0
    with ada.open() as tracker:
        assert sorted(run.id for run in tracker.list_runs(removed=True)) == [number_id(1), number_id(3)]
        indexes = layout.index_directories(tracker.repository.common_directory)
    for index in indexes:
        for file in index.rglob("*"):
            assert not file.is_file() or b"s3cret2" not in file.read_bytes()


def test_a_run_that_is_resumed_outlives_the_commit_it_was_resumed_from(repo: Path) -> None:
    import gittrack

    with gittrack.start_run("churn", name="kept") as run:
        run.log({"loss": 1.0}, step=0)
    with gittrack.start_run("churn", name="gone"):
        pass
    resumed = gittrack.start_run(run_id=run.id)
    resumed.log({"loss": 0.5}, step=1)
    with Tracker.open() as tracker:
        tracker.edit_run("gone", removed=True)
        delete_runs(tracker, now=LATE)
    git(repo, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    resumed.end()
    with Tracker.open() as tracker:
        (found,) = tracker.list_runs()
        assert (found.name, found.revision) == ("kept", 2)
        assert found.series("loss")["value"].to_pylist() == [1.0, 0.5]


def test_a_run_with_a_journal_is_never_deleted(repo: Path) -> None:
    import gittrack

    live = gittrack.start_run("churn", name="live")
    live.checkpoint()
    with Tracker.open() as tracker:
        tracker.edit_run(live.id, removed=True)
    live.checkpoint()
    with Tracker.open() as tracker:
        assert delete_runs(tracker, now=LATE).runs == ()
    live.end()
    with Tracker.open() as tracker:
        assert [run.name for run in delete_runs(tracker, now=LATE).runs] == ["live"]


def test_a_removed_experiment_goes_with_the_runs_it_had_then(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    with ada.open() as tracker:
        tracker.edit_experiment("churn", removed=True)
        moment = tracker.get_experiment("churn").removed
    assert moment is not None
    ada.clock = moment + 60 * SECOND
    ada.record(number_id(9))
    with ada.open() as tracker:
        done = delete_runs(tracker, now=LATE)
        assert sorted(run.id for run in done.runs) == [number_id(number) for number in (1, 2, 3)]
        assert tracker.get_experiment("churn").removed == moment
    assert list_runs(ada) == [number_id(9)]


def test_who_only_fetched_can_delete_too(pair: tuple[Clone, Clone], tmp_path: Path, hub: Path) -> None:
    ada, _ = pair
    ada.edit(number_id(1), removed=True)
    git(ada.directory, "push", "-q", "origin", REF)
    reader = Clone(tmp_path / "reader", str(hub))
    git(reader.directory, "fetch", "-q", "origin")
    with reader.open() as tracker:
        assert delete_runs(tracker, now=LATE).runs == (), "without being named, only what has a branch here"
        assert [run.id for run in delete_runs(tracker, ["churn"], now=LATE).runs] == [number_id(1)]
    assert list_runs(reader) == [number_id(2), number_id(3)]


def test_history_reads_a_damaged_list_as_damage(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    blob = git(ada.directory, "hash-object", "-w", "--stdin", stdin=b"no json")
    tree = git(ada.directory, "mktree", stdin=f"100644 blob {blob}\tdropped.json\n".encode())
    commit = git(ada.directory, "commit-tree", tree, "-m", "epoch 1\n\nEpoch: 1\nExperiment: churn\nFormat: 1")
    git(ada.directory, "update-ref", "refs/remotes/evil/gittrack/churn", commit)
    with ada.open() as tracker:
        branch = History(tracker.store).get_branch("churn")
        assert len(branch.damaged) == 1
        assert "dropped.json" in branch.damaged[0].message
        assert len(branch.revisions) == 3
    shutil.rmtree(ada.directory / ".git" / "gittrack")

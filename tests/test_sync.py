"""Whoever has synced sees the same runs: edits made apart are joined, nothing that was pushed is ever lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from children import Child
from clones import Clone, check_hub, number_id, tip_of
from conftest import git
from effort import choose
from hubs import make_hub

import gittrack
from gittrack.errors import Conflict
from gittrack.layout import incoming_refs
from gittrack.message import write_merge_message, write_run_message
from gittrack.model import Pointer, Status
from gittrack.sync.pushing import Plan, refuse_all

ONE, TWO, THREE = map(number_id, (1, 2, 3))


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a new bare repository."""
    return make_hub(tmp_path / "srv" / "hub.git")


@pytest.fixture
def ada(hub: Path, tmp_path: Path) -> Clone:
    """Return a clone of the hub."""
    return Clone(tmp_path / "ada", str(hub))


@pytest.fixture
def bob(hub: Path, tmp_path: Path) -> Clone:
    """Return another one, whose clock runs half a minute ahead."""
    clone = Clone(tmp_path / "bob", str(hub))
    clone.clock += 30_500_000
    return clone


def settle(*clones: Clone) -> dict[str, Any]:
    """Sync clones until all have everything; fail unless they show the same then, and return that."""
    for clone in (*clones, *clones):
        clone.push()
    for clone in clones:
        clone.pull()
    seen = [clone.look() for clone in clones]
    assert all(view == seen[0] for view in seen)
    assert len({clone.tip() for clone in clones}) == 1
    for clone in clones:
        git(clone.directory, "fsck", "--strict")
    return seen[0]


def count(clone: Clone, *revisions: str) -> int:
    return int(git(clone.directory, "rev-list", "--count", *revisions))


def test_lines_that_grew_apart_are_joined_by_one_merge(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    ada.record(TWO)
    bob.record(THREE)
    assert ada.push()["churn"].runs == 1
    done = bob.push()["churn"]
    assert (done.result, done.runs, done.merged, done.rounds) == ("pushed", 1, (), 1)
    ada.pull()
    assert ada.tip() == bob.tip() == tip_of(hub)
    message = git(hub, "log", "-1", "--format=%B", "gittrack/churn")
    assert message.strip() == write_merge_message("churn").strip()
    newer, older = git(hub, "log", "-1", "--format=%P", "gittrack/churn").split()
    assert int(git(hub, "log", "-1", "--format=%ct", newer)) >= int(git(hub, "log", "-1", "--format=%ct", older))
    assert git(hub, "rev-parse", f"{newer}^{{tree}}") == git(hub, "rev-parse", "gittrack/churn^{tree}")
    assert set(ada.look()["runs"]) == {ONE, TWO, THREE}
    assert ada.look() == bob.look()


def test_a_run_edited_on_both_sides_keeps_what_both_said(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    ada.edit(ONE, tags={"a": "1", "both": "ada"}, note="Ada was here.", name="adas")
    bob.edit(ONE, tags={"b": "2", "both": "bob"}, note="Bob was here.")
    ada.push()
    assert bob.push()["churn"].merged == ("adas",)
    run = settle(ada, bob)["runs"][ONE]
    assert run["tags"] == {"a": "1", "b": "2", "both": "bob"}
    assert (run["name"], run["note"]) == ("adas", "Ada was here.\n\nBob was here.")
    before = tip_of(hub)
    settle(ada, bob)
    assert tip_of(hub) == before
    check_hub(hub)


def test_whoever_joins_writes_the_same_tree(ada: Clone, bob: Clone, hub: Path, tmp_path: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    ada.edit(ONE, tags={"a": "1"}, removed=True)
    bob.edit(ONE, tags={"b": "2"})
    ada.resume(ONE, [0.25])
    bob.resume(ONE, [0.2, 0.1])
    trees = []
    for first, second in ((ada, bob), (bob, ada)):
        other = make_hub(tmp_path / f"{first.directory.name}.git")
        for clone in (first, second):
            git(clone.directory, "remote", "add", first.directory.name, str(other))
        git(first.directory, "push", "-q", first.directory.name, "gittrack/churn")
        git(second.directory, "fetch", "-q", first.directory.name)
        tip = git(second.directory, "rev-parse", "gittrack/churn")
        second.push(remote=first.directory.name)
        trees.append(git(other, "rev-parse", "gittrack/churn^{tree}"))
        git(second.directory, "update-ref", "refs/heads/gittrack/churn", tip)
        git(second.directory, "update-ref", "-d", f"refs/remotes/{first.directory.name}/gittrack/churn")
    assert trees[0] == trees[1]


def test_a_run_resumed_on_both_sides_has_all_points(ada: Clone, bob: Clone) -> None:
    ada.record(ONE, losses=[3.0, 2.0])
    ada.push()
    bob.pull()
    ada.resume(ONE, [1.5], tags={"who": "ada"})
    bob.resume(ONE, [1.25, 0.75], status=Status.FAILED)
    run = settle(ada, bob)["runs"][ONE]
    assert sorted(point["value"] for point in run["points"]) == [0.75, 1.25, 1.5, 2.0, 3.0]
    summary = run["summary"]["loss"]
    assert (summary["count"], summary["mean"], summary["min"], summary["last_step"]) == (5, 8.5 / 5, 0.75, 3)
    assert run["status"] == "FAILED"
    tree = git(ada.directory, "ls-tree", "--name-only", ada.tip(), "metrics/").splitlines()
    assert tree == ["metrics/0001.parquet", "metrics/0002.parquet", "metrics/0003.parquet"]


def test_an_edit_that_knew_of_the_other_is_no_conflict(ada: Clone, bob: Clone) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    ada.edit(ONE, tags={"stage": "good"})
    ada.push()
    bob.fetch()
    bob.edit(ONE, tags={"stage": None, "seen": "yes"})  # on the local line, of a revision that is only on the other
    assert bob.push()["churn"].merged == ()
    run = settle(ada, bob)["runs"][ONE]
    assert run["tags"] == {"seen": "yes"}


def test_an_edit_made_while_a_run_was_being_resumed_is_not_lost(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    os.chdir(ada.directory)
    resumed = gittrack.start_run(run_id=ONE)
    bob.edit(ONE, note="watch this one")
    bob.push()
    ada.pull()
    resumed.log({"loss": 0.1}, step=9)
    resumed.end()
    assert ada.push()["churn"].merged == ("run-0000",)
    run = settle(ada, bob)["runs"][ONE]
    assert (run["note"], run["summary"]["loss"]["last"]) == ("watch this one", 0.1)
    assert count(ada, ada.tip(), "--merges") == 0


def test_a_checkpointed_run_and_an_edit_of_it(ada: Clone, bob: Clone) -> None:
    os.chdir(ada.directory)
    with gittrack.start_run("churn") as run:
        run.log({"loss": 1.0}, step=0)
        run.checkpoint()
        ada.push()
        bob.pull()
        bob.edit(run.id, tags={"watched": "yes"})
        bob.push()
        run.log({"loss": 0.5}, step=1)
        run.checkpoint()
        ada.push()
        run.log({"loss": 0.25}, step=2)
    found = settle(ada, bob)["runs"][run.id]
    assert (found["status"], found["tags"]) == ("FINISHED", {"watched": "yes"})
    assert [point["value"] for point in found["points"]] == [1.0, 0.5, 0.25]


def test_removed_and_restored_by_the_last_writer(ada: Clone, bob: Clone) -> None:
    ada.record(ONE)
    ada.record(TWO)
    ada.push()
    bob.pull()
    ada.edit(ONE, removed=True)
    bob.edit(ONE, tags={"x": "1"})
    bob.edit(TWO, removed=True)
    settle(ada, bob)
    assert settle(ada, bob)["runs"][ONE]["removed"]
    ada.edit(TWO, removed=False)
    bob.edit(TWO, name="still gone")
    run = settle(ada, bob)["runs"][TWO]
    assert "removed" not in run
    assert run["name"] == "still gone"


def test_an_experiment_created_twice_becomes_one_with_two_roots(ada: Clone, bob: Clone, hub: Path) -> None:
    with ada.open() as tracker:
        tracker.create_experiment("Wild Ideas", description="bold", tags={"a": "1"})
    ada.record(ONE, experiment="wild-ideas")
    bob.record(TWO, experiment="wild-ideas")
    with bob.open() as tracker:
        tracker.edit_experiment("wild-ideas", tags={"b": "2"})
    ada.push()
    assert bob.push()["wild-ideas"].merged == ("experiment Wild Ideas",)
    ada.pull()
    assert ada.look() == bob.look()
    (experiment,) = ada.look()["experiments"]
    assert (experiment["name"], experiment["description"]) == ("Wild Ideas", "bold")
    assert experiment["tags"] == {"a": "1", "b": "2"}
    assert len(git(hub, "rev-list", "--max-parents=0", "gittrack/wild-ideas").split()) == 2
    check_hub(hub)


def test_three_who_edit_one_run(ada: Clone, bob: Clone, hub: Path, tmp_path: Path) -> None:
    cleo = Clone(tmp_path / "cleo", str(hub))
    ada.record(ONE)
    ada.push()
    for clone in (bob, cleo):
        clone.pull()
    for clone in (ada, bob, cleo):
        clone.edit(ONE, tags={clone.directory.name: "1", "last": clone.directory.name}, note=clone.directory.name)
    for clone in (cleo, ada, bob):
        clone.push()
    run = settle(ada, bob, cleo)["runs"][ONE]
    assert run["tags"] == {"ada": "1", "bob": "1", "cleo": "1", "last": "bob"}
    assert sorted(run["note"].split("\n\n")) == ["ada", "bob", "cleo"]


def test_artifacts_and_params_of_both_sides_are_kept(ada: Clone, bob: Clone) -> None:
    from dataclasses import replace

    from gittrack.revision import append_run, stage_snapshot

    ada.record(ONE, params={"seed": 1})
    ada.push()
    bob.pull()
    for clone, digit in ((ada, "1"), (bob, "2")):
        with clone.open() as tracker:
            found = tracker.get_run(ONE)
            commit = tracker.store.get_commit(found.commit or "")
            snapshot = replace(
                found.snapshot,
                run=replace(found.snapshot.run, revision=2),
                params={"seed": 1, "lr": float(digit)},
                artifacts={"model.bin": Pointer(digit * 64, 3), f"{digit}.txt": Pointer("3" * 64, 3)},
            )
            parts = tracker.history.find_parts(commit)
            staged = stage_snapshot(tracker.store, snapshot, parts=parts, source=None, previous=(commit.tree,))
            append_run(tracker.history, staged, tracker.make_stamp(clone.tick()))
    run = settle(ada, bob)["runs"][ONE]
    assert sorted(run["artifacts"]) == ["1.txt", "2.txt", "model.bin", "model~11111111.bin"]
    assert run["artifacts"]["model.bin"]["oid"] == "2" * 64
    assert run["params"]["lr"] == 2.0
    assert sorted(run["params"].values()) == [1, 1.0, 2.0]


def test_nothing_is_pushed_before_it_is_approved(ada: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.record(TWO, experiment="other")
    seen: list[Plan] = []

    def look(plans: Sequence[Plan]) -> None:
        seen.extend(plans)
        refuse_all(plans)

    with pytest.raises(Conflict, match="sharing churn, other has to be agreed to first"):
        ada.push(approve=look)
    assert [(plan.slug, len(plan.commits), plan.first) for plan in seen] == [("churn", 2, True), ("other", 2, True)]
    assert git(hub, "for-each-ref") == ""
    ada.push()
    ada.record(THREE)
    seen.clear()
    with pytest.raises(Conflict):
        ada.push(approve=look)
    assert [(plan.slug, len(plan.commits), plan.first) for plan in seen] == [("churn", 1, False)]


def test_a_push_with_nothing_new_asks_nobody(ada: Clone) -> None:
    ada.record(ONE)
    ada.push()
    assert ada.push(approve=refuse_all)["churn"].result == "current"


def test_a_push_takes_in_what_others_pushed(ada: Clone, bob: Clone) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    bob.record(TWO)
    bob.record(THREE, experiment="theirs")
    bob.push()
    assert ada.push()["churn"].result == "current"
    assert ada.tip() == bob.tip()


def test_a_push_to_an_address_with_other_runs_says_so(ada: Clone, bob: Clone, hub: Path, tmp_path: Path) -> None:
    other = make_hub(tmp_path / "other.git")
    git(bob.directory, "remote", "set-url", "origin", str(other))
    bob.record(TWO)
    bob.push()
    before = tip_of(other)
    ada.record(ONE)
    git(ada.directory, "config", "remote.origin.pushurl", str(other))
    pushed = ada.push()["churn"]
    assert pushed.result == "refused"
    assert pushed.failure is not None
    assert "is another where pushes to origin go" in pushed.failure.message
    assert pushed.failure.hint == "git remote get-url --push --all -- origin"
    assert tip_of(other) == before
    git(ada.directory, "config", "--unset", "remote.origin.pushurl")
    assert ada.push()["churn"].result == "pushed"


def test_only_the_named_experiments_are_fetched_and_pushed(ada: Clone, bob: Clone, hub: Path) -> None:
    for number, slug in enumerate(["churn", "churn2", "other"]):
        ada.record(number_id(number), experiment=slug)
    assert list(ada.push("churn", "other")) == ["churn", "other"]
    ada.push("churn2")
    assert [branch.slug for branch in bob.fetch("other").branches] == ["other"]
    assert {branch.slug for branch in bob.fetch("churn").branches} == {"churn", "churn2"}
    assert bob.fetch("nothing").branches == ()
    assert sorted(git(hub, "for-each-ref", "--format=%(refname:lstrip=3)").split()) == ["churn", "churn2", "other"]


def test_what_a_fetch_found_is_told(ada: Clone, bob: Clone) -> None:
    ada.record(ONE)
    ada.record(TWO)
    ada.push()
    assert [(found.slug, found.change, found.runs) for found in bob.fetch().branches] == [("churn", "new", 2)]
    assert [(found.change, found.runs) for found in bob.fetch().branches] == [("same", 0)]
    ada.edit(ONE, note="x")
    ada.push()
    assert [(found.change, found.runs) for found in bob.fetch().branches] == [("forward", 1)]
    assert git(bob.directory, "for-each-ref", incoming_refs()) == ""


def test_a_branch_deleted_on_the_remote_is_pushed_again_only_on_purpose(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    git(hub, "update-ref", "-d", "refs/heads/gittrack/churn")
    assert [found.change for found in bob.fetch().branches] == ["deleted"]
    assert set(bob.look()["runs"]) == {ONE}
    ada.record(TWO)
    assert ada.push()["churn"].result == "deleted"
    assert git(hub, "for-each-ref") == ""
    assert ada.push(revive=True)["churn"].result == "pushed"
    assert tip_of(hub) == ada.tip()


def test_a_branch_that_was_rewritten_loses_nothing_here(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.record(TWO)
    ada.push()
    bob.fetch()  # has no branch of its own
    git(hub, "update-ref", "refs/heads/gittrack/churn", tip_of(hub) + "~1")
    ada.record(THREE)
    (found,) = ada.fetch().branches
    assert found.change == "rewritten"
    (found,) = bob.fetch().branches
    assert found.change == "rewritten"
    assert set(bob.look()["runs"]) == {ONE, TWO}
    assert bob.push()["churn"].result == "pushed"
    assert settle(ada, bob)["runs"].keys() == {ONE, TWO, THREE}


def test_a_branch_that_was_only_copied_anew_is_followed(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.record(TWO)
    ada.push()
    bob.fetch()
    commits = git(hub, "rev-list", "--reverse", "gittrack/churn").split()
    parent: list[str] = []
    for commit in commits:
        message = git(hub, "log", "-1", "--format=%B", commit)
        tree = git(hub, "rev-parse", f"{commit}^{{tree}}")
        args = [word for id in parent for word in ("-p", id)]
        parent = [git(hub, "-c", "user.name=x", "-c", "user.email=y", "commit-tree", tree, *args, "-m", message)]
    git(hub, "update-ref", "refs/heads/gittrack/churn", parent[0])
    (found,) = bob.fetch().branches
    assert found.change == "rewritten"
    assert git(bob.directory, "for-each-ref", "refs/heads/gittrack") == ""
    assert set(bob.look()["runs"]) == {ONE, TWO}


def test_runs_recorded_during_a_push_are_kept(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)

    def record_more(plans: Sequence[Plan]) -> None:
        ada.record(TWO)

    ada.push(approve=record_more)
    assert set(ada.look()["runs"]) == {ONE, TWO}
    assert ada.push()["churn"].result == "pushed"
    bob.pull()
    assert set(bob.look()["runs"]) == {ONE, TWO}
    bob.record(THREE)
    bob.push()

    def record_beside(plans: Sequence[Plan]) -> None:
        ada.record(number_id(5))

    ada.record(number_id(4))
    ada.push(approve=record_beside)
    assert set(settle(ada, bob)["runs"]) == {ONE, TWO, THREE, number_id(4), number_id(5)}


def test_a_push_killed_after_the_remote_accepted_is_repeated_safely(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    bob.record(TWO)
    bob.push()
    ada.record(THREE)
    hook = hub / "hooks/post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $VICTIM\n")
    hook.chmod(0o755)
    before = ada.tip()

    def push_and_die() -> None:
        os.environ["VICTIM"] = str(os.getpid())
        ada.push()

    child = Child(push_and_die)
    _, status = os.waitpid(child.pid, 0)
    assert os.WTERMSIG(status) == 9
    hook.unlink()
    assert ada.tip() == before
    assert tip_of(hub) != before
    assert ada.push()["churn"].result == "current"
    assert ada.tip() == tip_of(hub)
    assert set(settle(ada, bob)["runs"]) == {ONE, TWO, THREE}


def test_two_remotes_are_kept_apart(ada: Clone, bob: Clone, hub: Path, tmp_path: Path) -> None:
    backup = make_hub(tmp_path / "backup.git")
    git(ada.directory, "remote", "add", "team/backup", str(backup))
    ada.record(ONE)
    bob.record(TWO)
    bob.push()
    ada.push()
    ada.push(remote="team/backup")
    assert tip_of(backup) == tip_of(hub) == ada.tip()
    git(backup, "update-ref", "-d", "refs/heads/gittrack/churn")
    assert ada.push()["churn"].result == "current"
    assert ada.push(remote="team/backup")["churn"].result == "deleted"


def test_a_merge_by_plain_git_carries_no_run(ada: Clone, bob: Clone, hub: Path) -> None:
    ada.record(ONE)
    ada.push()
    bob.pull()
    ada.record(TWO)
    bob.record(THREE)
    ada.push()
    git(bob.directory, "fetch", "-q")
    bob_tree = bob.directory.parent / "tree"
    git(bob.directory, "worktree", "add", "-q", str(bob_tree), "gittrack/churn")
    git(bob_tree, "merge", "-q", "-X", "ours", "-m", "Merge remote-tracking branch", "origin/gittrack/churn")
    git(bob_tree, "push", "-q", "origin", "gittrack/churn")
    assert set(settle(ada, bob)["runs"]) == {ONE, TWO, THREE}


def test_the_message_of_a_merge_is_no_record() -> None:
    from gittrack.message import parse_message
    from gittrack.model import Run, Snapshot

    assert parse_message(write_merge_message("churn"), where="x") is None
    run = Run(ONE, "n", "churn", 3, Status.FINISHED, 5)
    said = parse_message(write_run_message(Snapshot(run), previous=("a" * 40, "b" * 40)), where="x")
    assert said is not None
    assert said.previous == ("a" * 40, "b" * 40)


def count_objects(hub: Path) -> int:
    """Return how many objects the hub has, packed or not."""
    found = dict(line.split(": ") for line in git(hub, "count-objects", "-v").splitlines())
    return int(found["count"]) + int(found["in-pack"])


@pytest.fixture
def code(ada: Clone) -> list[str]:
    """Give a clone a history of code that is on the hub, in 20 files; return its commits, the newest last."""
    commits = []
    for version in range(12):
        for number in range(20):
            file = ada.directory / f"package_{number % 4}/module_{number}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"version = {version if number == version else 0}\nnumber = {number}\n")
        git(ada.directory, "add", "-A")
        git(ada.directory, "commit", "-qm", f"version {version}")
        commits.append(git(ada.directory, "rev-parse", "HEAD"))
    git(ada.directory, "push", "-q", "origin", "main")
    return commits


def test_code_that_the_remote_has_is_not_sent_again(ada: Clone, bob: Clone, hub: Path, code: list[str]) -> None:
    os.chdir(ada.directory)
    for commit in code:
        git(ada.directory, "checkout", "-q", commit)
        with gittrack.start_run("churn") as run:
            run.log({"loss": 1.0}, step=0)
    (ada.directory / "package_0/module_0.py").write_text("changed = True\n")
    with gittrack.start_run("churn") as run:
        run.log({"loss": 1.0}, step=0)
    before = count_objects(hub)
    everything = set(git(ada.directory, "rev-list", "--objects", "--no-object-names", "gittrack/churn").split())
    known = set(git(hub, "rev-list", "--objects", "--no-object-names", "--all").split())
    assert ada.push()["churn"].result == "pushed"
    assert count_objects(hub) - before == len(everything - known)
    check_hub(hub)
    bob.pull()
    assert len(bob.look()["runs"]) == 13


def test_code_that_the_remote_lacks_is_sent(ada: Clone, bob: Clone, hub: Path, code: list[str]) -> None:
    os.chdir(ada.directory)
    (ada.directory / "new.py").write_text("new = True\n")
    git(ada.directory, "add", "-A")
    git(ada.directory, "commit", "-qm", "not pushed")
    with gittrack.start_run("churn"):
        pass
    before = count_objects(hub)
    everything = set(git(ada.directory, "rev-list", "--objects", "--no-object-names", "gittrack/churn").split())
    known = set(git(hub, "rev-list", "--objects", "--no-object-names", "--all").split())
    ada.push()
    assert count_objects(hub) - before == len(everything - known)
    assert git(hub, "for-each-ref", "--format=%(refname)", "refs/heads").split() == [
        "refs/heads/gittrack/churn",
        "refs/heads/main",
    ]
    check_hub(hub)
    bob.pull()
    (run,) = bob.look()["runs"].values()
    assert git(bob.directory, "show", f"{run['source']['tree']}:new.py") == "new = True"


def test_no_commit_of_the_code_is_sent_along(ada: Clone, hub: Path, code: list[str]) -> None:
    git(hub, "update-ref", "refs/heads/main", code[3])
    git(ada.directory, "update-ref", "-d", "refs/remotes/origin/main")
    os.chdir(ada.directory)
    with gittrack.start_run("churn"):
        pass
    git(hub, "gc", "-q", "--prune=now")
    ada.push()
    assert git(hub, "cat-file", "--batch-check", stdin=f"{code[-1]}\n".encode()).endswith(" missing")
    assert git(hub, "cat-file", "-t", code[3]) == "commit"
    check_hub(hub)


def test_a_crowd_that_pushes_at_once_gets_everything_in(hub: Path, tmp_path: Path) -> None:
    crowd, each = choose(6, 32), choose(2, 10)
    clones = [Clone(tmp_path / f"clone-{number}", str(hub)) for number in range(crowd)]
    for number, clone in enumerate(clones):
        for run in range(each):
            clone.record(number_id(1 + number * each + run))
    children = [Child(lambda clone=clone: clone.push()["churn"].result, seconds=900) for clone in clones]  # type: ignore[misc]
    assert [child.result() for child in children] == ["pushed"] * crowd
    clones[0].pull()
    assert set(clones[0].look()["runs"]) == {number_id(1 + number) for number in range(crowd * each)}
    assert clones[0].tip() == tip_of(hub)
    check_hub(hub)

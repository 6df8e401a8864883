"""Several hands on one run: joiners at its end, checkpoints by turns, edits, resumes at once; nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import git

import gittrack
from gittrack import checkpoint
from gittrack.errors import Conflict, InvalidInput, NotFound


def start(code: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import gittrack, os, sys, time\n" + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def tell(child: subprocess.Popen[str]) -> str:
    """Let a child go on that waits for a line, and return its next line."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return child.stdout.readline()


JOINER = """
run = gittrack.join_run(sys.argv[1] if len(sys.argv) > 1 else os.environ["RUN"])
print("in", flush=True)
sys.stdin.readline()
for step in range(100): run.log({"y": step}, step=step)
run.set_tag("k", "v"); run.log_param("late", 1)
run.end()
print("left", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("moment", ["gather_tables", "stage_snapshot", "append_run"])
@pytest.mark.parametrize("what", ["everything", "tags only"])
def test_what_a_joiner_writes_while_the_owner_commits_is_kept(
    repo: Path, monkeypatch: pytest.MonkeyPatch, what: str, moment: str
) -> None:
    owner = gittrack.start_run()
    owner.log({"x": 1.0})
    code = JOINER if what == "everything" else JOINER.replace("for step in range(100)", "for step in range(0)")
    child = start(code, RUN=owner.id)
    assert child.stdout is not None
    assert child.stdout.readline() == "in\n"
    step = getattr(checkpoint, moment)

    def take_the_step_while_the_joiner_writes(*args: object, **named: object) -> object:
        monkeypatch.setattr(checkpoint, moment, step)
        assert tell(child) == "left\n"
        return step(*args, **named)

    monkeypatch.setattr(checkpoint, moment, take_the_step_while_the_joiner_writes)
    owner.end()
    child.communicate("\n", timeout=30)
    found = gittrack.get_run(owner.id)
    assert (found.status, found.tags, found.params) == ("FINISHED", {"k": "v"}, {"late": 1})
    assert found.summary["x"].count == 1
    if what == "everything":
        assert found.series("y")["value"].to_pylist() == [float(step) for step in range(100)]
    assert list((repo / ".git/gittrack/runs").iterdir()) == []


def test_processes_checkpoint_one_run_by_turns(repo: Path) -> None:
    run = gittrack.start_run()
    run.log({"x": 0.0}, step=0)
    run.checkpoint()
    code = """
    run = gittrack.join_run(os.environ["RUN"])
    for step in range(3):
        run.log({"c": step}, step=step)
        run.checkpoint()
    run.end()
    """
    child = start(code, RUN=run.id)
    assert child.communicate(timeout=60)[1] == ""
    for step in range(1, 6):
        run.log({"x": float(step)}, step=step)
    run.end()
    found = gittrack.get_run(run.id)
    assert (found.status, found.revision) == ("FINISHED", 5)
    assert found.series("x")["value"].to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert found.series("c")["value"].to_pylist() == [0.0, 1.0, 2.0]


def test_an_edit_comes_after_what_a_dead_journal_says(repo: Path) -> None:
    with gittrack.Tracker.open() as tracker:
        code = """
        run = gittrack.start_run(); run.log({"x": 0}); run.checkpoint()
        for step in range(1, 100): run.log({"x": step})
        print(run.id, flush=True); sys.stdin.readline()
        """
        child = start(code)
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        child.kill()
        child.communicate()
        edited = tracker.edit_run(run_id, tags={"k": "v"})
    assert (edited.status, edited.revision, edited.tags) == ("KILLED", 3, {"k": "v"})
    assert edited.summary["x"].count == 100


def test_an_edit_of_a_run_that_a_joiner_has_not_left_yet(repo: Path) -> None:
    owner = gittrack.start_run()
    child = start(JOINER, RUN=owner.id)
    assert child.stdout is not None
    assert child.stdout.readline() == "in\n"
    owner.end()
    with gittrack.Tracker.open() as tracker:
        edited = tracker.edit_run(owner.id, note="seen", tags={"e": "1"})
        assert (edited.note, edited.tags) == ("seen", {"e": "1"})
    assert tell(child) == "left\n"
    child.communicate("\n", timeout=30)
    found = gittrack.get_run(owner.id)
    assert (found.note, found.tags, found.summary["y"].count) == ("seen", {"e": "1", "k": "v"}, 100)


def test_edits_at_once_are_all_kept(repo: Path) -> None:
    with gittrack.start_run(name="target"):
        pass
    code = "with gittrack.Tracker.open() as t: t.edit_run('target', tags={os.environ['TAG']: 'x'})"
    children = [start(code, TAG=f"t{number}") for number in range(6)]
    for child in children:
        assert child.communicate(timeout=60)[1] == ""
    found = gittrack.get_run("target")
    assert (found.revision, found.tags) == (7, {f"t{number}": "x" for number in range(6)})


def test_resumes_at_once_lose_nothing(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        run.log({"x": 0.0}, step=0)
    code = """
    with gittrack.start_run(run_id=os.environ["RUN"]) as run:
        for step in range(5): run.log({"x": int(os.environ["N"])}, step=1 + step)
    """
    children = [start(code, RUN=run.id, N=str(number)) for number in range(1, 5)]
    for child in children:
        assert child.communicate(timeout=60)[1] == ""
    found = gittrack.get_run(run.id)
    assert found.status == "FINISHED"
    assert sorted(found.series("x")["value"].to_pylist()) == [0.0] + [float(n) for n in range(1, 5) for _ in range(5)]
    assert list((repo / ".git/gittrack/runs").iterdir()) == []
    git(repo, "fsck", "--strict", "--no-dangling")


def test_an_artifact_cannot_lie_below_another(repo: Path) -> None:
    with gittrack.start_run() as run:
        run.log_text("a", "model")
        with pytest.raises(Conflict, match="cannot lie beside 'model'"):
            run.log_text("b", "model/config.json")
        run.log_text("c", "plots/a.txt")
        with pytest.raises(Conflict, match="cannot lie beside"):
            run.log_text("d", "plots")
        run.log_text("a2", "model")
    assert sorted(gittrack.get_run(run.id).artifacts()) == ["model", "plots/a.txt"]


def test_nothing_is_recorded_that_could_not_be_read(repo: Path) -> None:
    with gittrack.start_run(name="good") as run:
        with pytest.raises(InvalidInput):
            run.end(exit_code="3")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            run.log_text("x", "a/" * 40 + "x")
        with pytest.raises(InvalidInput, match="characters long in all"):
            run.log_params({f"p{number}": "x" * 99_000 for number in range(300)})
        with pytest.raises(InvalidInput):
            run.log_input(repo / "train.py", name=5)  # type: ignore[arg-type]
    with gittrack.Tracker.open() as tracker:
        edited = tracker.edit_run("good", tags={"k": 5})  # type: ignore[dict-item]
        assert edited.tags == {"k": "5"}
        with pytest.raises(InvalidInput):
            tracker.create_experiment("x", description=5)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            tracker.edit_run("good", name="a  RUNNING b")
    assert [found.name for found in gittrack.runs()] == ["good"]


def test_a_run_id_from_the_environment_names_one_run(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_RUN_ID", "ab" * 16)
    with gittrack.start_run("outer", params={"lr": 1}) as outer:
        assert outer.id == "ab" * 16
        with gittrack.start_run("inner", nested=True) as inner:
            assert (inner.id != outer.id, inner.experiment) == (True, "inner")
    with gittrack.start_run("second", params={"lr": 2}) as second:
        assert second.id != outer.id
    assert [gittrack.get_run(run.id).parent for run in (outer, inner, second)] == [None, outer.id, outer.id]


def test_a_start_that_fails_leaves_nothing(repo: Path) -> None:
    for arguments in ({"tags": {"": 1}}, {"note": 5}, {"tags": [1]}, {"name": "a  b"}, {"params": {"": 1}}):
        with pytest.raises(InvalidInput):
            gittrack.start_run("e", **arguments)  # type: ignore[arg-type]
    with gittrack.start_run("e", params={"lr": 1}) as run:
        pass
    with pytest.raises(Conflict, match="params are set once"):
        gittrack.start_run(run_id=run.id, params={"lr": 2})
    assert gittrack.active_run() is None
    assert [(found.id, found.revision, found.status) for found in gittrack.runs()] == [(run.id, 1, "FINISHED")]


def test_a_live_run_that_was_read_says_when_it_has_ended(repo: Path) -> None:
    run = gittrack.start_run()
    run.log({"x": 1.0})
    found = gittrack.get_run(run.id)
    run.end()
    with pytest.raises(NotFound, match="has ended since it was read"):
        found.series("x")


def test_an_error_from_before_the_run_is_not_its_failure(repo: Path) -> None:
    child = start(
        """
        import code
        code.InteractiveInterpreter(locals={}).runsource("1/0")
        gittrack.start_run().log({"x": 1})
        """
    )
    child.communicate(timeout=60)
    (found,) = gittrack.runs()
    assert (found.status, found.failure) == ("FINISHED", None)


def give_odd_input(run: gittrack.ActiveRun) -> None:
    run.log_text("x", Path("a/b.txt"))  # type: ignore[arg-type]
    run.log_artifact("train.py", Path("code"))  # type: ignore[arg-type]
    run.log_text("\ud800", "surrogate.txt")
    run.set_note("\ud800")
    for action in (
        lambda: run.log(None),
        lambda: run.log(5),
        lambda: run.set_note(None),
        lambda: run.set_tags(None),
        lambda: run.set_tag("k", 10**5000),
        lambda: run.log_param("k", [10**5000]),
        lambda: run.log_text(b"x", "x.txt"),
        lambda: gittrack.start_run(nested=True, parent=5),
    ):
        with pytest.raises((InvalidInput, NotFound)):
            action()


def test_odd_input_is_told_in_one_error(repo: Path) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    def train() -> None:
        with gittrack.start_run() as run:
            give_odd_input(run)
            raise Odd

    with pytest.raises(Odd):
        train()
    found = gittrack.get_run("latest")
    assert sorted(found.artifacts()) == ["a/b.txt", "code/train.py", "surrogate.txt"]
    assert found.failure is not None
    assert found.failure.type == "Odd"


def test_a_deleted_directory_is_said_to_be_one(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "gone").mkdir()
    monkeypatch.chdir(repo / "gone")
    (repo / "gone").rmdir()
    with pytest.raises(NotFound, match="has been deleted"):
        gittrack.start_run()
    with pytest.raises(NotFound, match="has been deleted"):
        gittrack.runs()

"""Runs survive how processes end: exit, exceptions, signals, kill -9, fork; and several processes share one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import git

import gittrack


def start(code: str, **variables: str) -> subprocess.Popen[str]:
    """Start a Python child in the current directory; it can print "ready" to be waited for."""
    return subprocess.Popen(
        [sys.executable, "-c", "import gittrack, os, signal, sys, time\n" + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def finish(child: subprocess.Popen[str], *, code: int) -> str:
    out, errors = child.communicate(timeout=60)
    assert child.returncode == code, errors
    return out


def await_ready(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n", child.communicate()[1]


def the_run() -> gittrack.Run:
    (run,) = gittrack.runs()
    return run


def test_exit_without_end_run(repo: Path) -> None:
    finish(start("gittrack.start_run(); gittrack.log({'loss': 1.0})"), code=0)
    assert (the_run().status, the_run().metrics) == ("FINISHED", {"loss": 1.0})


def test_uncaught_exception_without_a_with_block(repo: Path) -> None:
    finish(start("gittrack.start_run(); gittrack.log({'loss': 1.0}); raise ValueError('no data')"), code=1)
    run = the_run()
    assert (run.status, run.metrics) == ("FAILED", {"loss": 1.0})
    assert run.failure is not None
    assert (run.failure.type, run.failure.message) == ("ValueError", "no data")


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_signals_end_the_run_as_killed(repo: Path, number: int, code: int, block: bool) -> None:
    body = "with gittrack.start_run():" if block else "gittrack.start_run()\nif True:"
    child = start(f"{body}\n    gittrack.log({{'loss': 1.0}}); print('ready', flush=True); time.sleep(60)")
    await_ready(child)
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode in (code, 1, 130)  # python itself does not always die by SIGINT
    assert (the_run().status, the_run().metrics) == ("KILLED", {"loss": 1.0})
    assert the_run().ended is not None


def test_a_handler_of_the_users_own_is_kept(repo: Path) -> None:
    child = start(
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        with gittrack.start_run():
            gittrack.log({'loss': 1.0}); print('ready', flush=True); time.sleep(60)
        """
    )
    await_ready(child)
    child.terminate()
    finish(child, code=7)
    assert the_run().status == "FAILED"


def test_kill_9_loses_nothing_that_was_acknowledged(repo: Path) -> None:
    child = start(
        """
        run = gittrack.start_run('churn', params={'lr': 0.1}, tags={'a': 'b'})
        run.log_text('kept', 'note.txt')
        for step in range(10**9):
            run.log({'loss': step / 2, 'acc': step}, step=step)
            if step % 1000 == 0:
                os.write(1, b'%d\\n' % step)
        """
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 20_000:
            break
    child.kill()
    acknowledged = max([int(line), *map(int, child.stdout.read().split()[:-1])])
    child.wait()
    with gittrack.Tracker.open() as tracker:
        (run,) = tracker.recovered
    assert run.status == "KILLED"
    steps = run.series("loss")["step"].to_pylist()
    assert steps == list(range(len(steps)))
    assert len(steps) > acknowledged
    assert run.series("acc")["value"].to_pylist() == [float(step) for step in steps]
    assert (run.params, run.tags) == ({"lr": 0.1}, {"a": "b"})
    assert run.open_artifact("note.txt").read() == b"kept"
    assert run.started < (run.ended or 0) <= time.time_ns() // 1000
    assert list((repo / ".git/gittrack/runs").iterdir()) == []
    git(repo, "fsck", "--strict")


def test_the_next_start_run_recovers_dead_runs_too(repo: Path) -> None:
    child = start("gittrack.start_run(name='dead'); print('ready', flush=True); time.sleep(60)")
    await_ready(child)
    child.kill()
    child.wait()
    with gittrack.start_run(name="next"):
        pass
    assert git(repo, "log", "--format=%s", "gittrack/default").splitlines() == [
        "next  FINISHED",
        "dead  KILLED",
        "experiment default",
    ]


def test_a_live_run_is_left_alone(repo: Path) -> None:
    child = start("gittrack.start_run(); print('ready', flush=True); time.sleep(60)")
    await_ready(child)
    with gittrack.Tracker.open() as tracker:
        assert tracker.recovered == []
        (run,) = tracker.list_runs()
        assert (run.live, run.status) == (True, "RUNNING")
        edited = tracker.edit_run(run.id, tags={"seen": "yes"}, note="noted")
        assert (edited.tags, edited.note) == ({"seen": "yes"}, "noted")
    child.terminate()
    child.communicate()
    assert (the_run().status, the_run().tags, the_run().note) == ("KILLED", {"seen": "yes"}, "noted")


def test_forked_children_log_into_the_run(repo: Path) -> None:
    finish(
        start(
            """
            with gittrack.start_run() as run:
                run.log({'loss': 0.0}, step=0)
                for number in range(1, 4):
                    child = os.fork()
                    if child == 0:
                        for step in range(100):
                            gittrack.log({'child': number}, step=step)
                        run.end()
                        os._exit(0)
                    os.waitpid(child, 0)
                run.log({'loss': 1.0}, step=1)
            """
        ),
        code=0,
    )
    run = the_run()
    assert (run.status, run.revision) == ("FINISHED", 1)
    assert run.summary["child"].count == 300
    assert run.series("loss")["value"].to_pylist() == [0.0, 1.0]


def test_a_forked_child_that_exits_does_not_end_the_run(repo: Path) -> None:
    finish(
        start(
            """
            run = gittrack.start_run()
            child = os.fork()
            if child == 0:
                sys.exit(0)
            os.waitpid(child, 0)
            run.log({'loss': 1.0})
            run.end()
            """
        ),
        code=0,
    )
    assert (the_run().metrics, the_run().status) == ({"loss": 1.0}, "FINISHED")


def test_multiprocessing_workers(repo: Path) -> None:
    Path("work.py").write_text(
        textwrap.dedent(
            """
            import gittrack, multiprocessing, sys

            def work(number):
                gittrack.log({'worker': number}, step=number)

            if __name__ == '__main__':
                with gittrack.start_run():
                    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                        pool.map(work, range(20))
            """
        )
    )
    subprocess.run([sys.executable, "work.py", "fork"], check=True, timeout=60)
    assert sorted(the_run().series("worker")["value"].to_pylist()) == [float(number) for number in range(20)]


def test_processes_join_by_environment_variable(repo: Path) -> None:
    with gittrack.start_run("churn", name="shared", params={"a": 1}) as run:
        children = [
            start(
                f"""
                with gittrack.start_run(params={{'rank.{rank}': {rank}}}) as run:
                    run.log({{'loss': {rank}}}, step={rank})
                    try:
                        run.log_param('a', 2)
                    except gittrack.Conflict:
                        print('conflict seen')
                """,
                GITTRACK_RUN_ID=run.id,
            )
            for rank in range(4)
        ]
        for child in children:
            assert finish(child, code=0) == "conflict seen\n"
    found = gittrack.get_run("shared")
    assert found.params == {"a": 1, "rank.0": 0, "rank.1": 1, "rank.2": 2, "rank.3": 3}
    assert found.series("loss")["value"].to_pylist() == [0.0, 1.0, 2.0, 3.0]
    assert (found.status, found.revision) == ("FINISHED", 1)


def test_a_joined_program_says_what_it_runs_on(repo: Path) -> None:
    with gittrack.start_run() as run:
        (repo / "extra-1.5.dist-info").mkdir()
        finish(start("gittrack.start_run().end()", GITTRACK_RUN_ID=run.id, PYTHONPATH=str(repo)), code=0)
    packages = gittrack.get_run(run.id).environment["packages"]
    assert isinstance(packages, dict)
    assert packages["extra"] == "1.5"


def test_a_second_run_of_a_joined_process_is_a_child_run(repo: Path) -> None:
    with gittrack.start_run() as run:
        child = start(
            """
            for number in range(3):
                with gittrack.start_run() as run:
                    run.log({'x': number})
            """,
            GITTRACK_RUN_ID=run.id,
        )
        finish(child, code=0)
    assert gittrack.get_run(run.id).metrics == {"x": 0.0}
    assert [found.parent for found in gittrack.runs()] == [run.id, run.id, None]


def test_a_process_that_outlives_the_owner_keeps_its_points(repo: Path) -> None:
    owner = gittrack.start_run()
    child = start(
        """
        run = gittrack.start_run()
        run.log({'late': 1.0}, step=0)
        print('ready', flush=True)
        sys.stdin.readline() if False else time.sleep(1)
        run.log({'late': 2.0}, step=1)
        run.end()
        """,
        GITTRACK_RUN_ID=owner.id,
    )
    await_ready(child)
    owner.end()
    first = the_run()
    assert (first.status, first.revision, first.metrics) == ("FINISHED", 1, {"late": 1.0})
    finish(child, code=0)
    last = the_run()
    assert (last.status, last.revision) == ("FINISHED", 2)
    assert last.series("late")["value"].to_pylist() == [1.0, 2.0]
    assert list((repo / ".git/gittrack/runs").iterdir()) == []


def test_sixteen_processes_finish_at_once_and_half_are_killed(repo: Path) -> None:
    code = """
        print('ready', flush=True)
        for number in range(6):
            with gittrack.start_run('many', name=f'{NAME}-{number}') as run:
                run.log({'x': number})
        with gittrack.start_run('many', name=f'{NAME}-last') as run:
            run.log({'x': 99})
            print('logged', flush=True)
            if NAME % 2:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    children = [start(textwrap.dedent(code).replace("NAME", str(number))) for number in range(16)]
    for number, child in enumerate(children):
        finish(child, code=-9 if number % 2 else 0)
    runs = gittrack.runs("many")
    assert sorted(run.name for run in runs) == sorted(
        f"{name}-{number}" for name in range(16) for number in [*range(6), "last"]
    )
    assert sum(run.status == "KILLED" for run in runs) == 8
    assert {run.revision for run in runs} == {1}
    assert all(run.metrics["x"] == 99 for run in runs if run.name.endswith("last"))
    git(repo, "fsck", "--strict", "--no-dangling")
    assert git(repo, "rev-list", "--count", "gittrack/many") == str(16 * 7 + 1)
    assert list((repo / ".git").rglob("*.lock")) == []
    assert list((repo / ".git/gittrack/runs").iterdir()) == []

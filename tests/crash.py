"""Kills a recording process at each step of its write path, as strace sees it, and looks at what is left.

Run as a program with a directory for its work and a scenario's name; prints one JSON line a point. It never records or
reads a run itself: forked children do, so that each starts from the same clean state.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet

import gittrack
import gittrack.recorder
import gittrack.shortcuts
import gittrack.store.dulwich_store
import gittrack.tracker

CALLS = "openat,write,fsync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,ftruncate,fallocate,link,linkat"
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)")
_WAIT = 30.0
# Every action here takes a second; one that takes this long waits for something that never comes.
_PATIENCE = 120.0


def say(word: str) -> None:
    """Acknowledge to the parent that what came before is recorded."""
    os.write(1, word.encode() + b"\n")


def record_and_end() -> None:
    """Record a run in a dirty working tree and end it."""
    run = gittrack.start_run("churn", name="crash", params={"lr": 0.1})
    say("started")
    run.log({"loss": 1.0}, step=0)
    say("row 0")
    run.log_text("kept", "a.txt")
    say("artifact")
    run.set_tag("k", "v")
    say("tag")
    run.log({"loss": 0.5, "acc": 0.25}, step=1)
    say("row 1")
    run.end()
    say("ended")


def record_with_checkpoints() -> None:
    """Record a run that is committed twice before its end."""
    run = gittrack.start_run("churn", name="crash", params={"lr": 0.1})
    say("started")
    run.log({"loss": 1.0}, step=0)
    say("row 0")
    run.checkpoint()
    run.log_text("kept", "a.txt")
    say("artifact")
    run.log({"loss": 0.5, "acc": 0.25}, step=1)
    say("row 1")
    run.checkpoint()
    run.set_tag("k", "v")
    say("tag")
    run.end()
    say("ended")


def recover() -> None:
    """Commit what a dead process left."""
    with gittrack.Tracker.open():
        pass


def leave_a_dead_journal() -> None:
    """Record a run and die without ending it."""
    record = gittrack.start_run("churn", name="crash", params={"lr": 0.1})
    record.log({"loss": 1.0}, step=0)
    record.log_text("kept", "a.txt")
    record.set_tag("k", "v")
    record.log({"loss": 0.5, "acc": 0.25}, step=1)
    os.kill(os.getpid(), signal.SIGKILL)


ALL = ("started", "row 0", "artifact", "tag", "row 1")
SCENARIOS: dict[str, tuple[Callable[[], None] | None, Callable[[], None], tuple[str, ...]]] = {
    "end": (None, record_and_end, ()),
    "checkpoint": (None, record_with_checkpoints, ()),
    "recover": (leave_a_dead_journal, recover, ALL),
}


def look() -> dict[str, object]:
    """Return what the next command finds: the runs, and what else is left."""
    for path in [*Path(".git/gittrack/runs").glob(".new-*"), *Path(".git/gittrack/runs").glob(".old-*")]:
        # As if the minutes had passed after which a journal being made or deleted is taken for a dead process's.
        os.utime(path, (time.time() - 3600,) * 2)
    with gittrack.Tracker.open() as tracker:
        found = [
            {
                "status": str(run.status),
                "params": dict(run.params),
                "tags": dict(run.tags),
                "loss": run.series("loss").select(["step", "value"]).to_pylist() if "loss" in run.summary else [],
                "acc": run.series("acc").select(["step", "value"]).to_pylist() if "acc" in run.summary else [],
                "count": {metric: summary.count for metric, summary in run.summary.items()},
                "artifacts": {path: run.open_artifact(path).read().decode() for path in run.artifacts()},
                "incomplete": run.snapshot.run.incomplete,
                "dirty": run.source.dirty,
            }
            for run in tracker.list_runs()
        ]
        damaged = [error.message for error in tracker.damaged]
    fsck = subprocess.run(["git", "fsck", "--strict", "--no-dangling"], capture_output=True, text=True, check=False)
    journals = Path(".git/gittrack/runs")
    return {
        "runs": found,
        "damaged": damaged,
        "fsck": "" if fsck.returncode == 0 else fsck.stdout + fsck.stderr,
        "journals": sorted(path.name for path in journals.iterdir()) if journals.exists() else [],
        "locks": sorted(str(path) for path in Path(".git").rglob("*.lock")),
        "live refs": subprocess.run(["git", "for-each-ref", "refs/gittrack"], capture_output=True, text=True).stdout,
        "status": subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout,
    }


def in_child(action: Callable[[], None], directory: Path, *, output: Path, trace: tuple[str, ...] | None) -> int:
    """Run an action in a forked child, under strace with these arguments if any; return its wait status."""
    child = os.fork()
    if child == 0:
        os.chdir(directory)
        faulthandler.register(signal.SIGUSR1)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        if trace is not None:
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            action()
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(3)
        os._exit(0)
    if trace is None:
        return await_end(child)
    os.waitpid(child, os.WUNTRACED)
    tracer = subprocess.Popen(["strace", "-qq", "-p", str(child), *trace])
    deadline = time.monotonic() + _WAIT
    while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise SystemExit("strace could not attach")
        time.sleep(0.001)
    os.kill(child, signal.SIGCONT)
    try:
        return await_end(child)
    except Stalled:
        tracer.kill()
        raise
    finally:
        tracer.wait(_WAIT)


class Stalled(Exception):
    """A child that did not end; says what it was doing."""


def await_end(child: int) -> int:
    """Return a child's wait status; kills it and raises Stalled where it does not end."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    listing = subprocess.run(["ps", "-e", "-o", "pid,ppid,stat,wchan:30,args"], capture_output=True, text=True)
    os.kill(child, signal.SIGUSR1)  # which tells, on stderr, where each thread is
    time.sleep(1.0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Stalled(f"child {child} did not end in {_PATIENCE:.0f} s\n{listing.stdout}")


def kill_at(point: tuple[str, int], action: Callable[[], None], work: Path, *, output: Path) -> int:
    """Run an action on a new copy of the template until it makes a call for the n-th time; return its wait status."""
    name, number = point
    shutil.rmtree(work / "copy", ignore_errors=True)
    shutil.copytree(work / "template", work / "copy", symlinks=True)
    inject = ("-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}")
    return in_child(action, work / "copy", output=output, trace=inject)


def find_points(log: Path) -> list[tuple[str, int, str]]:
    """Return each call of the write path: its name, which one of that name it is, and its arguments' beginning."""
    counts: dict[str, int] = {}
    points = []
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, arguments = match.groups()
        counts[name] = counts.get(name, 0) + 1
        reading = name == "openat" and "O_CREAT" not in arguments
        if not reading and not arguments.startswith("1, "):
            points.append((name, counts[name], arguments[:100]))
    return points


def main(work: Path, scenario: str) -> None:
    """Sweep one scenario: trace it once, then kill it at each point of its own copy of the repository."""
    prepare, action, promised = SCENARIOS[scenario]
    template, output, log = work / "template", work / "output", work / "trace"
    if prepare is not None:
        in_child(prepare, template, output=output, trace=None)
    shutil.copytree(template, work / "traced", symlinks=True)
    status = in_child(action, work / "traced", output=output, trace=("-o", str(log), "-e", f"trace={CALLS}"))
    if status != 0:
        raise SystemExit(f"the scenario itself ended with status {status}")
    for name, number, arguments in find_points(log):
        status = kill_at((name, number), action, work, output=output)
        said = [*promised, *output.read_text().splitlines()]
        look_status = in_child(lambda: say(json.dumps(look())), work / "copy", output=output, trace=None)
        answer = output.read_text()
        print(
            json.dumps(
                {
                    "point": f"{name} {number}: {arguments}",
                    "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
                    "said": said,
                    "found": json.loads(answer) if look_status == 0 else None,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    assert pyarrow.parquet
    main(Path(sys.argv[1]), sys.argv[2])

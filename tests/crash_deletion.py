"""Kills `gittrack gc` and `gittrack redact` at each step of their write path, and looks at what is left; as crash.py.

Run as a program with a directory for its work and a scenario's name; prints one JSON line a point.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import crash
import pyarrow.parquet

import gittrack
import gittrack.cli.gc
import gittrack.cli.redact
import gittrack.deletion
import gittrack.store.dulwich_store
import gittrack.tracker
from gittrack.cli import main as command

SECRET = "hunter2-hunter2"
USERS = b"the user's own content\n"


def prepare() -> None:
    """Record three runs, one of them removed, beside a Git LFS file of the user's own whose content a run has too."""
    for name, texts in {
        "gone": ["only gone", "shared"],
        "kept": ["shared", f"own {SECRET}"],
        "third": ["third"],
    }.items():
        with gittrack.start_run("churn", name=name, params={"key": SECRET, "lr": 0.1}) as run:
            run.log({"loss": 1.0}, step=0)
            for text in texts:
                run.log_text(text, f"{text.split()[0]}.txt")
            if name == "gone":
                Path("own.bin").write_bytes(USERS)
                run.log_artifact("own.bin")
                Path("own.bin").unlink()
    with gittrack.Tracker.open() as tracker:
        tracker.edit_run("gone", removed=True)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{name_content(USERS)}\nsize {len(USERS)}\n"
    Path("own.bin").write_text(pointer)
    for words in (["add", "own.bin"], ["commit", "-qm", "data"]):
        subprocess.run(["git", *words], check=True, capture_output=True)


def name_content(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gc() -> None:
    """Delete what is removed, and its content, at once."""
    call("gc", "--now", "--yes")


def redact() -> None:
    """Redact a run."""
    call("redact", "kept", "--param", "lr", "--text", SECRET, "--yes")


def call(*words: str) -> None:
    """Run a command; what it prints is no matter here."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        if command(words) != 0:
            raise SystemExit(f"{words} failed")


SCENARIOS = {"gc": gc, "redact": redact}


def look(again: Callable[[], None] | None) -> dict[str, object]:
    """Return what the next command finds, after the action was repeated if it is given."""
    if again is not None:
        again()
    with gittrack.Tracker.open() as tracker:
        runs = {
            run.name: {
                "revision": run.revision,
                "params": dict(run.params),
                "loss": run.series("loss")["value"].to_pylist(),
                "artifacts": {path: run.open_artifact(path).read().decode() for path in run.artifacts()},
            }
            for run in tracker.list_runs(removed=True)
        }
        damaged = [error.message for error in tracker.damaged]
        revisions = [run.revision for run in tracker.list_revisions(tracker.get_run("kept").id)]
    fsck = subprocess.run(["git", "fsck", "--strict", "--no-dangling"], capture_output=True, text=True, check=False)
    listing = subprocess.run(
        ["git", "rev-list", "--objects", "--no-object-names", "gittrack/churn"], capture_output=True, check=True
    )
    history = subprocess.run(["git", "cat-file", "--batch"], input=listing.stdout, capture_output=True, check=True)
    contents = {path.name for path in Path(".git/lfs/objects").rglob("*") if path.is_file()}
    aside = Path(".git/lfs/gittrack-condemned")
    return {
        "runs": runs,
        "revisions": revisions,
        "damaged": damaged,
        "fsck": "" if fsck.returncode == 0 else fsck.stdout + fsck.stderr,
        "gone in history": b'"name": "gone"' in history.stdout,
        "secrets in history": history.stdout.count(SECRET.encode()),
        "contents": {
            name: name_content(data) in contents
            for name, data in {"only gone": b"only gone", "shared": b"shared", "user's": USERS}.items()
        },
        "aside": sorted(path.name for path in aside.iterdir()) if aside.exists() else [],
        "locks": sorted(str(path) for path in Path(".git").rglob("*.lock")),
        "status": subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout,
    }


def main(work: Path, scenario: str) -> None:
    """Sweep one scenario: trace it once, then kill it at each point of its own copy of the repository."""
    action = SCENARIOS[scenario]
    template, output, log, copy = work / "template", work / "output", work / "trace", work / "copy"
    crash.in_child(prepare, template, output=output, trace=None)
    shutil.copytree(template, work / "traced", symlinks=True)
    arguments = ("-o", str(log), "-e", f"trace={crash.CALLS}")
    if crash.in_child(action, work / "traced", output=output, trace=arguments) != 0:
        raise SystemExit("the scenario itself failed")
    for name, number, text in crash.find_points(log):
        if "/dev/null" in text or "/tmp/" in text:
            continue
        status = crash.kill_at((name, number), action, work, output=output)
        answers = []
        for again in (None, gc if scenario == "gc" else None):
            looked = crash.in_child(lambda a=again: crash.say(json.dumps(look(a))), copy, output=output, trace=None)
            answers.append(json.loads(output.read_text()) if looked == 0 else None)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        point = f"{name} {number}: {text}"
        print(json.dumps({"point": point, "killed": killed, "found": answers[0], "then": answers[1]}), flush=True)


if __name__ == "__main__":
    assert pyarrow.parquet
    main(Path(sys.argv[1]), sys.argv[2])

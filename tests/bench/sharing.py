"""What sharing costs: a first push beside plain git's, one new run onto very many, a clone, a crowd that pushes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .process import find_installed
from .report import Options, Report, run_benches
from .scratch import hermetic_environment, make_repository, run_git, scratch_directory
from .synthetic_store import get_store

MEGA = 1 << 20
COMMITS = 40
ENTRY = "import sys; from gittrack.cli import main; sys.exit(main())"

# Records runs as a sweep does, which changes a file now and then and commits it more seldom.
RECORD = """
import gittrack, subprocess, sys
experiment, runs, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(runs):
    if commits and number % max(runs // commits, 1) == 0:
        open("sweep.py", "w").write(f"version = {number}\\n")
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run(["git", "commit", "-qm", f"version {number}"], check=True)
    if commits and number % 7 == 3:
        open("sweep.py", "a").write(f"tried = {number}\\n")
    with gittrack.start_run(experiment, params={"number": number}) as run:
        run.log({"loss": 1 / (number + 1)}, step=0)
"""


class Place:
    """A directory with a home of its own, in which git and gittrack are run as whole processes."""

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.python = python
        self.environment = hermetic_environment(root / "home")

    def run(self, directory: Path, *words: str) -> None:
        """Run a gittrack command line."""
        self.python_run(directory, ENTRY, *words)

    def python_run(self, directory: Path, program: str, *words: str) -> None:
        """Run a Python program; raises where it fails."""
        command = [self.python, "-c", program, *words]
        done = subprocess.run(command, cwd=directory, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")

    def make_hub(self, name: str) -> Path:
        """Return a new bare repository."""
        hub = self.root / name
        hub.mkdir()
        run_git(hub, "init", "-q", "--bare")
        return hub

    def clone(self, name: str, hub: Path) -> Path:
        """Return a new repository with the hub as its remote, agreed to share with."""
        directory = self.root / name
        directory.mkdir(parents=True)
        run_git(directory, "init", "-q")
        self.follow(directory, hub)
        return directory

    def follow(self, directory: Path, hub: Path) -> None:
        """Let a repository's remote be the hub, agreed to share with."""
        remotes = run_git(directory, "remote").split()
        run_git(directory, "remote", *(("set-url", "origin") if "origin" in remotes else ("add", "origin")), str(hub))
        run_git(directory, "config", "gittrack.sharedWith", str(hub))


def measure(options: Options) -> Report:
    """Push, fetch and clone over a path on this machine, so that what is measured is work and no network."""
    report = Report("sharing: through a bare repository on this machine")
    python = find_installed(options.pythons[:1])["gittrack"]
    with scratch_directory() as directory:
        _measure_first_push(report, Place(directory, python), options)
    with scratch_directory() as directory:
        _measure_large_source(report, Place(directory, python), options)
    with scratch_directory() as directory:
        _measure_many(report, Place(directory, python), options)
    with scratch_directory() as directory:
        _measure_clone(report, Place(directory, python), options)
    with scratch_directory() as directory:
        _measure_crowd(report, Place(directory, python), options)
    return report


def _time(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _count(hub: Path) -> tuple[int, int]:
    """Return how many objects a repository holds, and their bytes on disk."""
    found = dict(line.split(": ") for line in run_git(hub, "count-objects", "-v").splitlines())
    return int(found["count"]) + int(found["in-pack"]), (int(found["size"]) + int(found["size-pack"])) * 1024


def _measure_first_push(report: Report, place: Place, options: Options) -> None:
    runs = options.size(300, 8)
    code = make_repository(place.root / "code", options.size(1000, 5))
    place.python_run(code, RECORD, "sweep", str(runs), str(options.size(COMMITS, 2)))
    ways: dict[str, Callable[[], object]] = {
        "gittrack push": lambda: place.run(code, "push"),
        "plain git push": lambda: run_git(code, "push", "-q", "origin", "gittrack/sweep"),
    }
    own = set(run_git(code, "rev-list", "--objects", "--no-object-names", "gittrack/sweep").split())
    needed = len(own - set(run_git(code, "rev-list", "--objects", "--no-object-names", "HEAD").split()))
    for name, push in ways.items():
        hub = place.make_hub(f"{name.replace(' ', '-')}.git")
        place.follow(code, hub)
        run_git(code, "push", "-q", "origin", "HEAD")
        objects, size = _count(hub)
        seconds = _time(push)
        after, size_after = _count(hub)
        sent = f"{runs} runs, first push: {name}"
        limit = needed if name == "gittrack push" else None
        report.add(f"{sent}, objects sent", "objects", [after - objects], at_most=limit)
        report.add(f"{sent}, on the remote's disk", "kB", [(size_after - size) / 1e3])
        report.add(sent, "s", [seconds])
    report.remarks.append(f"of {len(own):,} objects of the branch the remote lacks {needed:,}")


def _measure_large_source(report: Report, place: Place, options: Options) -> None:
    """Push the first run of code with a large tree that the remote has."""
    code = make_repository(place.root / "code", options.size(1000, 5))
    size = options.size(1 << 30, 1 << 16)
    for number in range(16):
        (code / f"large_{number:02d}.bin").write_bytes(os.urandom(size // 16))
    run_git(code, "add", "-A")
    run_git(code, "commit", "-qm", "large")
    hub = place.make_hub("hub.git")
    place.follow(code, hub)
    run_git(code, "push", "-q", "origin", "HEAD")
    place.python_run(code, RECORD, "sweep", "1", "0")
    before = _count(hub)
    seconds = _time(lambda: place.run(code, "push"))
    after = _count(hub)
    what = f"a run of code of {size / MEGA:,.0f} MiB, first push"
    report.add(what, "s", [seconds])
    report.add(f"{what}, sent", "kB", [(after[1] - before[1]) / 1e3], at_most=None if options.tiny else 1000)


def _measure_many(report: Report, place: Place, options: Options) -> None:
    many, rounds = options.size(100_000, 60), options.size(5, 2)
    store = get_store(many, directory=options.stores)
    code = place.root / "code"
    shutil.copytree(store, code)  # since runs are recorded into it
    ref = run_git(code, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/gittrack").split()[0]
    hub = place.root / "hub.git"
    run_git(place.root, "clone", "-q", "--bare", str(code), str(hub))
    place.follow(code, hub)
    place.run(code, "fetch")
    ways: dict[str, Callable[[], object]] = {
        "plain git push": lambda: run_git(code, "push", "-q", "origin", f"gittrack/{ref}"),
        "gittrack push": lambda: place.run(code, "push"),
        "gittrack fetch, nothing new": lambda: place.run(code, "fetch"),
        "plain git fetch, nothing new": lambda: run_git(code, "fetch", "-q", "origin"),
        "gittrack status": lambda: place.run(code, "status"),
        "gittrack version, to compare": lambda: place.run(code, "version"),
    }
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, act in ways.items():
            if name.endswith("push"):
                place.python_run(code, RECORD, ref, "1", "0")
            samples[name].append(_time(act))
    for name, seconds in samples.items():
        more = " of one new run" if name.endswith("push") else ""
        report.add(f"{many:,} runs: {name}{more}", "s", seconds)
    extra = [ours - plain for ours, plain in zip(samples["gittrack push"], samples["plain git push"], strict=True)]
    limit = (None, None) if options.tiny else (0.5, 0.2)
    report.add(f"{many:,} runs: gittrack push more than plain git push", "s", extra, at_most=limit[0])
    idle = [
        ours - start
        for ours, start in zip(
            samples["gittrack fetch, nothing new"], samples["gittrack version, to compare"], strict=True
        )
    ]
    report.add(f"{many:,} runs: gittrack fetch without its own start", "s", idle, at_most=limit[1])


def _measure_clone(report: Report, place: Place, options: Options) -> None:
    many = options.size(10_000, 40)
    store = get_store(many, directory=options.stores)
    for kind, words in (("blobless", ()), ("full", ("--full",))):
        target = place.root / kind
        seconds = _time(lambda t=target, w=words: place.run(place.root, "clone", f"file://{store}", str(t), *w))  # type: ignore[misc]
        listing = _time(lambda t=target: place.run(t, "ls"))  # type: ignore[misc]
        report.add(f"{many:,} runs: gittrack clone, {kind}", "s", [seconds])
        report.add(f"{many:,} runs: first gittrack ls, {kind}", "s", [listing])
        limit = 15.0 if kind == "blobless" and not options.tiny else None
        report.add(f"{many:,} runs: both, {kind}", "s", [seconds + listing], at_most=limit)
    plain = _time(lambda: run_git(place.root, "clone", "-q", "--bare", f"file://{store}", str(place.root / "plain")))
    report.add(f"{many:,} runs: plain git clone --bare, code included", "s", [plain])


def _measure_crowd(report: Report, place: Place, options: Options) -> None:
    """Let many clones push to one experiment at once; beside it, one clone that pushes as many runs."""
    crowd, each = options.size(32, 3), options.size(10, 2)
    hub = place.make_hub("hub.git")
    clones = [place.clone(f"clone-{number}", hub) for number in range(crowd)]
    alone = place.clone("alone", place.make_hub("other.git"))
    for clone in clones:
        place.python_run(clone, RECORD, "sweep", str(each), "0")
    place.python_run(alone, RECORD, "sweep", str(crowd * each), "0")
    began = time.perf_counter()
    command = [place.python, "-c", ENTRY, "push"]
    pushes = [
        subprocess.Popen(command, cwd=clone, env=place.environment, stderr=subprocess.PIPE, text=True)
        for clone in clones
    ]
    said = [process.communicate()[1] for process in pushes]
    seconds = time.perf_counter() - began
    failed = [text for process, text in zip(pushes, said, strict=True) if process.returncode]
    report.remarks += [f"a push failed: {text}" for text in failed]
    form = "--format=%(trailers:key=Run,valueonly,separator=%x2C)"
    arrived = set(run_git(hub, "log", form, "gittrack/sweep").split())
    report.add(f"{crowd} clones × {each} runs: pushed at once", "s", [seconds])
    report.add(f"{crowd} clones × {each} runs: arrived", "runs", [len(arrived)], at_least=crowd * each)
    report.add(f"1 clone × {crowd * each} runs: pushed", "s", [_time(lambda: place.run(alone, "push"))])


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""Many processes that end runs of one experiment at once: all runs are there, and what it costs beside one process."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from .process import TrackerProcess, find_installed
from .report import Options, Report, run_benches
from .scratch import FILES, make_repository, run_git, scratch_directory

REF = "refs/heads/gittrack/bench"


def measure(options: Options) -> Report:
    """Record the same number of tiny runs by many processes at once and by one, each in a repository of its own."""
    report = Report("contention: tiny runs into one experiment")
    processes, runs = options.size(16, 3), options.size(50, 2)
    python = find_installed(options.pythons[:1])["gittrack"]
    seconds = {}
    for count, each in ((processes, runs), (1, processes * runs)):
        with scratch_directory() as directory:
            repository = make_repository(directory / "code", options.size(FILES, 5))
            seconds[count] = _record_at_once(repository, python, count, each, report)
            _check(repository, count, count * each, report)
    total = processes * runs
    report.add(f"{processes} processes × {runs} runs", "ms a run", [seconds[processes] / total * 1e3])
    report.add(f"1 process × {total} runs", "ms a run", [seconds[1] / total * 1e3])
    report.add(f"{processes} processes ÷ 1 process", "×", [seconds[processes] / seconds[1]])
    return report


def _record_at_once(repository: Path, python: str, count: int, each: int, report: Report) -> float:
    with contextlib.ExitStack() as stack:
        children = []
        for number in range(count):
            place = repository.parent / f"{number:02d}"
            place.mkdir()
            child = TrackerProcess("gittrack", python, place, repository=repository)
            children.append(stack.enter_context(child))
            child.do("open")
        began = time.perf_counter()
        for child in children:
            child.send("tiny", count=each)
        answers = [child.receive() for child in children]
        seconds = time.perf_counter() - began
        noises = [child.log.read_text(errors="replace").strip() for child in children]
    report.add(
        f"{count} process{'es' if count > 1 else ''}: one end()",
        "ms",
        [phases[2] * 1e3 for answer in answers for phases in answer["phases"]],
    )
    report.remarks += [f"a process said: {noise.splitlines()[-1]}" for noise in noises if noise]
    return seconds


def _check(repository: Path, count: int, runs: int, report: Report) -> None:
    trailers = run_git(repository, "log", "--format=%(trailers:key=Run,valueonly,separator=%x2C)", REF).split()
    report.add(f"by {count}: runs in the experiment", "runs", [len(trailers)], at_least=runs)
    report.add(f"by {count}: runs that are there twice", "runs", [len(trailers) - len(set(trailers))], at_most=0)
    place = repository / ".git"
    locks = [path for path in place.rglob("*.lock") if path.is_file()]
    report.add(f"by {count}: stale locks", "files", [len(locks)], at_most=0)
    journals = place / "gittrack" / "runs"
    left = list(journals.iterdir()) if journals.is_dir() else []
    report.add(f"by {count}: journals left", "runs", [len(left)], at_most=0)
    run_git(repository, "fsck", "--strict")


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""What it takes to find runs among many, in a process that has asked before; beside MLflow with the same runs.

A question is a filter on a metric and a param, sorted by a metric, the first hundred with all they have; the newest
hundred; all runs as a pandas frame.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from .process import TrackerFailed, TrackerProcess, find_installed
from .report import Options, Report, run_benches
from .scratch import scratch_directory
from .synthetic_runs import write_lines
from .synthetic_store import get_store

MILLI = 1e3
PEER = "MLflow (SQLite)"
QUESTIONS = {"find": "filter, sort, first 100", "list_recent": "newest 100", "read_frame": "all to pandas"}
TARGETS = {"find": 15.0, "read_frame": 500.0}
TIMES = {"find": 50.0, "read_frame": 100.0}


def measure(options: Options) -> Report:
    """Ask each question many times over stores of several sizes, and the peer over the smallest."""
    report = Report("search: questions to many runs, warm, in process")
    few, many, most = options.size(10_000, 50), options.size(100_000, 60), options.size(1_000_000, 70)
    own = _measure_own(report, few, options, targets={})
    _measure_peer(report, few, options, own)
    _measure_own(report, many, options, targets={} if options.tiny else TARGETS)
    _measure_own(report, most, options, targets={}, search="invented")
    report.remarks.append(f"{most:,} runs are held in memory without a store: only the questions are measured there")
    return report


def _measure_own(
    report: Report, runs: int, options: Options, *, targets: dict[str, float], search: str = "gittrack"
) -> dict[str, list[float]]:
    samples = {}
    with _open("gittrack", runs, options, search=search) as process:
        for question, what in QUESTIONS.items():
            first = process.do("search", question=question)["seconds"]
            taken = process.do("search", question=question, count=options.size(30, 2))["seconds"]
            samples[question] = [seconds * MILLI for seconds in taken]
            report.add(f"{runs:,} runs: {what}", "ms", samples[question], at_most=targets.get(question))
            report.add(f"{runs:,} runs: {what}, for the first time", "ms", [seconds * MILLI for seconds in first])
    return samples


def _measure_peer(report: Report, runs: int, options: Options, own: dict[str, list[float]]) -> None:
    if not options.wants(PEER):
        return
    try:
        with _open(PEER, runs, options, search=PEER) as process:
            for question, what in QUESTIONS.items():
                count = options.size(3 if question == "read_frame" else 10, 1)
                process.do("search", question=question)
                taken = [seconds * MILLI for seconds in process.do("search", question=question, count=count)["seconds"]]
                times = statistics.median(taken) / statistics.median(own[question])
                report.add(f"{runs:,} runs: {what}: {PEER}", "ms", taken, times=times)
                at_least = None if options.tiny else TIMES.get(question)
                report.add(f"{runs:,} runs: {what}: {PEER} ÷ gittrack", "×", [times], at_least=at_least)
    except TrackerFailed as error:
        report.remarks.append(f"{PEER} is left out: {error}")


@contextlib.contextmanager
def _open(name: str, runs: int, options: Options, *, search: str) -> Iterator[TrackerProcess]:
    """Give a child that holds so many runs."""
    pythons = find_installed(options.pythons if name != "gittrack" else options.pythons[:1])
    if name not in pythons:
        raise TrackerFailed("mlflow is not installed")
    with scratch_directory() as directory:
        lines = directory / "runs"
        repository: Path | None = None
        if search == "gittrack":
            repository = get_store(runs, directory=options.stores)
        elif search == "invented":
            lines.write_text(str(runs))
        else:
            write_lines(lines, runs)
        with TrackerProcess(name, pythons[name], directory, files=2, repository=repository) as process:
            loaded = process.do("load", file=str(lines), search=search)
            if loaded["count"] != runs:
                raise RuntimeError(f"{name} holds {loaded['count']} runs, not {runs}")
            process.settle()
            yield process


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

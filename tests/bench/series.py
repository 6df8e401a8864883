"""What it takes to read series: one of 100,000 points, beside peers, and the curves of 20 runs of 10,000 points each.

In a process that has read before, as a notebook or a page has; gittrack reads from the Git store and checks the
object's id, the part's checksum and its pages' each time.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from .process import TrackerFailed, find_installed, open_trackers
from .report import Options, Report, run_benches
from .scratch import run_git, scratch_directory

MILLI = 1e3
ROUNDS = 15
NAMES = ("gittrack", "json.dumps + write", "sacred", "tensorboardX", "MLflow (file store)", "MLflow (SQLite)")
ALONE, CURVES = 15.0, 300.0


def measure(options: Options) -> Report:
    """Read one long series from each tracker, then the series of many runs."""
    report = Report("series: reading what was recorded, warm, in process")
    with scratch_directory() as directory:
        measure_one(report, options, directory)
    with scratch_directory() as directory:
        measure_many(report, options, directory)
    return report


def measure_one(report: Report, options: Options, directory: Path) -> None:
    """Read one series again and again, the trackers in turns; then from a store that git has packed."""
    points = options.size(100_000, 200)
    what = f"a series of {points:,} points"
    names = [name for name in NAMES if options.wants(name)]
    with open_trackers(names, find_installed(options.pythons), directory, files=2) as (processes, missing):
        samples: dict[str, list[float]] = {}
        for name, process in list(processes.items()):
            try:
                process.do("fill", points=points)
                if process.do("history", question="read")["found"] != points:
                    raise TrackerFailed(f"it did not give back {points} points")
            except TrackerFailed as error:
                if name == "gittrack":
                    raise
                missing[name] = str(error)
                del processes[name]
                continue
            process.settle()
            samples[name] = []
        for number in range(options.size(ROUNDS, 1)):
            for name, process in processes.items():
                slow = number >= 3 and statistics.median(samples[name]) > MILLI
                if not slow:
                    (seconds,) = process.do("history", question="read")["seconds"]
                    samples[name].append(seconds * MILLI)
        own = statistics.median(samples["gittrack"])
        for name, taken in samples.items():
            target = ALONE if name == "gittrack" and not options.tiny else None
            report.add(f"{what}: {name}", "ms", taken, times=statistics.median(taken) / own, at_most=target)
        process = processes["gittrack"]
        run_git(process.repository, "gc", "-q")
        taken = process.do("history", question="read", count=options.size(ROUNDS, 1))["seconds"]
        packed = [seconds * MILLI for seconds in taken]
        report.add(f"{what}: gittrack after git gc", "ms", packed, at_most=None if options.tiny else ALONE)
    report.remarks += [f"{name} is left out: {reason}" for name, reason in missing.items()]


def measure_many(report: Report, options: Options, directory: Path) -> None:
    """Make the curves of many runs as a plot does: read, smoothed, thinned to what is drawn."""
    runs, points = options.size(20, 2), options.size(10_000, 100)
    pythons = find_installed(options.pythons[:1])
    with open_trackers(["gittrack"], pythons, directory, files=2) as (processes, _):
        process = processes["gittrack"]
        process.do("fill", points=points, runs=runs)
        process.do("history", question="draw")
        taken = process.do("history", question="draw", count=options.size(ROUNDS, 1))["seconds"]
    target = None if options.tiny else CURVES
    report.add(f"curves of {runs} runs of {points:,} points", "ms", [one * MILLI for one in taken], at_most=target)


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""What a whole tiny run costs: start, 20 params, 10 metrics, end, in a clean repository of 1,000 files.

Gittrack's run is committed durably and holds the source; the peers' are neither, except where the name says so. With
`--profile`: where gittrack's time goes, phase by phase, seen from outside.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from .driven.trackers import TRACKERS
from .process import TrackerFailed, find_installed, open_trackers
from .report import Options, Report, run_benches
from .scratch import FILES, scratch_directory

MILLI = 1e3
PHASES = ("start + 20 params", "10 metrics", "end")


def measure(options: Options) -> Report:
    """Measure tiny runs in turns: in each round every tracker records one."""
    report = Report("tiny run: start + 20 params + 10 metrics + end")
    files = options.size(FILES, 10)
    names = [name for name in TRACKERS if options.wants(name)]
    with (
        scratch_directory() as directory,
        open_trackers(names, find_installed(options.pythons), directory, files=files) as (processes, missing),
    ):
        runs: dict[str, list[list[float]]] = {name: [] for name in processes}
        processor: dict[str, list[float]] = {name: [] for name in processes}
        first: dict[str, float] = {}
        floor: list[float] = []
        for number in range(options.size(40, 2) + 1):
            floor.append(_time_durable_file(directory) * MILLI)
            for name, process in list(processes.items()):
                try:
                    answer = process.do("tiny")
                except TrackerFailed as error:
                    missing[name] = str(error)
                    del processes[name], runs[name]
                    continue
                process.settle()
                if number == 0:
                    first[name] = answer["seconds"] * MILLI
                else:
                    runs[name] += answer["phases"]
                    processor[name].append(answer["processor"] * MILLI)
        _report_runs(report, runs, first, floor)
        _report_processor(report, {name: processor[name] for name in runs})
        if options.profile:
            profile = processes["gittrack"].do("tiny", count=options.size(30, 2), profile=True)
            report.remarks += _tell_profile(profile)
    report.remarks += [f"{name} is left out: {reason}" for name, reason in missing.items()]
    return report


def _time_durable_file(directory: Path) -> float:
    began = time.perf_counter()
    descriptor = os.open(directory / "floor", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, b"x" * 4096)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return time.perf_counter() - began


def _report_runs(
    report: Report, runs: dict[str, list[list[float]]], first: dict[str, float], floor: list[float]
) -> None:
    totals = {name: [sum(phases) * MILLI for phases in taken] for name, taken in runs.items()}
    middle = statistics.median(totals["gittrack"])
    for name, taken in totals.items():
        at_most = 20.0 if name == "gittrack" else None
        report.add(f"a tiny run: {name}", "ms", taken, times=statistics.median(taken) / middle, at_most=at_most)
    for number, phase in enumerate(PHASES):
        report.add(f"gittrack's phase: {phase}", "ms", [phases[number] * MILLI for phases in runs["gittrack"]])
    report.add("gittrack: the first run of a process", "ms", [first["gittrack"]])
    report.add("floor: 4 KiB written and fsynced once", "ms", floor[1:])


def _report_processor(report: Report, processor: dict[str, list[float]]) -> None:
    """What a run uses, and not what it waits for: a busy machine and a slow disk change it little."""
    middle = statistics.median(processor["gittrack"])
    for name, taken in processor.items():
        times = statistics.median(taken) / middle
        report.add(f"processor time of a tiny run, with the processes it ran: {name}", "ms", taken, times=times)


def _tell_profile(profile: dict[str, Any]) -> list[str]:
    lines = []
    for phase, seconds in profile["phases"].items():
        lines.append(f"{phase}: {seconds * MILLI:.2f} ms a run")
        for name, (calls, spent) in sorted(profile["doors"][phase].items(), key=lambda item: -item[1][1]):
            lines.append(f"  {name}: {calls:.1f} calls, {spent * MILLI:.2f} ms")
        lines.append("  under the profiler, which adds its own weight: cumulative ms, own ms, calls, function")
        for row in profile["functions"][phase]:
            lines.append(
                f"  {row['cumulative'] * MILLI:8.2f} {row['own'] * MILLI:8.3f} {row['calls']:8.1f}  {row['function']}"
            )
    return lines


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

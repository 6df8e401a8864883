"""What one call costs on the hot path: a row of ten metrics, and a single metric; beside peers and a floor.

Also: whether a call costs more when the run holds a million rows, and whether memory grows with them.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from .driven.trackers import TRACKERS
from .process import TrackerFailed, TrackerProcess, find_installed, open_trackers
from .report import Options, Report, run_benches
from .scratch import scratch_directory

ROUND_SECONDS = 0.15
MICRO = 1e6
MEGA = 1 << 20
CALLS = {"rows": "a row of 10 metrics", "singles": "a single metric"}
TIMES_TARGETS = {"tensorboardX": 100, "MLflow (file store)": 200, "MLflow (SQLite)": 1000}


def measure(options: Options) -> Report:
    """Measure the calls, then growth."""
    report = Report("hot path: microseconds a call")
    with scratch_directory() as directory:
        measure_calls(report, options, directory / "calls")
    with scratch_directory() as directory:
        measure_growth(report, options, directory / "growth")
    return report


def measure_calls(report: Report, options: Options, directory: Path) -> None:
    """Time both kinds of call in rounds; in each round every tracker has its turn."""
    names = [name for name in TRACKERS if options.wants(name) and name != "DVCLive + DVC experiment"]
    pythons = find_installed(options.pythons)
    with open_trackers(names, pythons, directory, files=options.size(20, 2)) as (processes, missing):
        for name, process in list(processes.items()):
            try:
                process.do("start")
            except TrackerFailed as error:
                missing[name] = str(error)
                del processes[name]
        for command in CALLS:
            _report_calls(report, command, *_take_rounds(processes, missing, command, options))
        own = {"gittrack": processes["gittrack"]}
        middles, _ = _take_rounds(own, missing, "module_rows", options)
        report.add("a row of 10 metrics: gittrack.log, which finds the active run", "µs", middles["gittrack"])
        for process in processes.values():
            process.do("end")
    report.remarks += [f"{name} is left out: {reason}" for name, reason in missing.items()]


Samples = dict[str, list[float]]


def _take_rounds(
    processes: dict[str, TrackerProcess], missing: dict[str, str], command: str, options: Options
) -> tuple[Samples, Samples]:
    """Return, by tracker and round, the microseconds of the block of calls in the middle, and of all calls a call."""
    counts = dict.fromkeys(processes, 5)
    middles: Samples = {name: [] for name in processes}
    means: Samples = {name: [] for name in processes}
    for number in range(-3, options.size(15, 1)):  # those below zero warm up and find how many calls fill a round
        for name, process in list(processes.items()):
            try:
                answer = process.do(command, count=counts[name])
            except TrackerFailed as error:
                missing[name] = str(error)
                del processes[name], middles[name], means[name]
                continue
            process.settle()
            mean = answer["seconds"] / counts[name]
            if number >= 0:
                middles[name].append(answer["middle"] * MICRO)
                means[name].append(mean * MICRO)
            elif not options.tiny:
                counts[name] = max(5, min(int(ROUND_SECONDS / mean), counts[name] * 40))
    return middles, means


def _report_calls(report: Report, command: str, samples: Samples, means: Samples) -> None:
    what = CALLS[command]
    own = samples["gittrack"]
    middle = statistics.median(own)
    for name, taken in samples.items():
        target = {"rows": 4.0, "singles": 2.5}[command] if name == "gittrack" else None
        report.add(f"{what}: {name}", "µs", taken, times=statistics.median(taken) / middle, at_most=target)
    report.add(f"{what}: gittrack, the mean of all calls with every interruption", "µs", means["gittrack"])
    if command != "rows":
        return
    peers = {name: taken for name, taken in samples.items() if name not in ("gittrack", "json.dumps + write")}
    ratios = {name: [theirs / ours for theirs, ours in zip(taken, own, strict=True)] for name, taken in samples.items()}
    if peers:
        fastest = min(peers, key=lambda name: statistics.median(peers[name]))
        report.add(f"{what}: fastest peer ({fastest}) ÷ gittrack", "×", ratios[fastest], at_least=4)
    for name, target in TIMES_TARGETS.items():
        if name in ratios:
            report.add(f"{what}: {name} ÷ gittrack", "×", ratios[name], at_least=target)


def measure_growth(report: Report, options: Options, directory: Path) -> None:
    """Log a million rows (ten million points) in one run, and compare its first rows with its last."""
    rows, block = options.size(1_000_000, 2000), options.size(5000, 100)
    pythons = find_installed(options.pythons[:1])
    with open_trackers(["gittrack"], pythons, directory, files=2) as (processes, _):
        process = processes["gittrack"]
        process.do("start")
        process.do("rows", count=block)
        grown = process.do("growth", rows=rows, block=block)
        slow = process.do("slowest", rows=options.size(100_000, 1000))
    each = [seconds * MICRO for seconds in grown["blocks"]]
    part = max(1, len(each) // 10)
    first = report.add(f"gittrack: the first {part * block:,} of {rows:,} rows", "µs", each[:part])
    last = report.add(f"gittrack: the last {part * block:,} of {rows:,} rows", "µs", each[-part:])
    report.add("gittrack: last ÷ first", "×", [last.median / first.median], at_most=1.25)
    report.add("gittrack: one call in 1,000 takes longer than", "µs", [slow["p999"] * MICRO])
    report.add("gittrack: the slowest of 100,000 calls", "µs", [slow["max"] * MICRO])
    _report_memory(report, grown["memory"])


def _report_memory(report: Report, taken: list[dict[str, int]]) -> None:
    """The journal's window moves on through its file, so memory goes up and down: the highest points are compared."""
    quarter = max(1, len(taken) // 4)
    for name in (name for name in taken[0] if name not in ("rows", "Peak")):
        sizes = [memory[name] / MEGA for memory in taken]
        report.add(f"gittrack: {name} over {taken[-1]['rows']:,} rows", "MiB", sizes)
        grown = max(sizes[-quarter:]) - max(sizes[:quarter])
        report.add(f"gittrack: {name}, last quarter over first quarter", "MiB", [grown], at_most=2)


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""What is left on the disk: bytes a metric point, and bytes a tiny run; beside peers given the same points."""

from __future__ import annotations

import sys
from pathlib import Path

from .driven.trackers import TRACKERS
from .process import TrackerFailed, TrackerProcess, find_installed, open_trackers
from .report import Options, Report, run_benches
from .scratch import FILES, measure_blocks, measure_packed_size, measure_size, run_git, scratch_directory

METRICS = 10
PEER_SECONDS = 25.0  # a slow peer is given the points it takes in this time: its bytes a point do not change
TINY_RUNS = 100
PEER_TINY_RUNS = 20


def measure(options: Options) -> Report:
    """Give every tracker ten noisy series, then tiny runs, and measure what its directory has grown by."""
    report = Report("storage: bytes on disk after the run has ended, and after git gc")
    pythons = find_installed(options.pythons)
    names = [name for name in TRACKERS if options.wants(name) and name != "DVCLive + DVC experiment"]
    with (
        scratch_directory() as directory,
        open_trackers(names, pythons, directory, files=options.size(FILES, 5)) as (processes, missing),
    ):
        for name, process in processes.items():
            try:
                if name == "gittrack":
                    _measure_own_points(report, process, options)
                else:
                    _measure_points(report, process, options)
            except TrackerFailed as error:
                missing[name] = str(error)
        for name, process in processes.items():
            if name not in missing:
                _measure_tiny_runs(report, process, options)
    report.remarks += [f"{name} is left out: {reason}" for name, reason in missing.items()]
    return report


def _measure_own_points(report: Report, process: TrackerProcess, options: Options) -> None:
    rows = options.size(10_000, 200)
    for timed, pace in ((False, "as fast as it logs"), (True, "a step each 50 ± 5 ms")):
        process.do("tiny")  # the experiment is there, and the environment's blob with it
        before = measure_packed_size(process.repository)
        process.do("start")
        process.do("distinct", count=rows, limit=600.0, timed=timed)
        process.do("end")
        grown = measure_packed_size(process.repository) - before
        points = rows * METRICS
        target = 9.0 if not options.tiny else None
        report.add(f"a point: gittrack after git gc, {pace}", "bytes", [grown / points], at_most=target)
        report.add(f"a point: gittrack's Parquet alone, {pace}", "bytes", [_find_parquet_size(process) / points])


def _find_parquet_size(process: TrackerProcess) -> int:
    ref = run_git(process.repository, "for-each-ref", "--format=%(refname)", "refs/heads/gittrack/").splitlines()[0]
    listing = run_git(process.repository, "ls-tree", "-r", "-l", ref, "metrics/")
    return sum(int(line.split()[3]) for line in listing.splitlines())


def _measure_points(report: Report, process: TrackerProcess, options: Options) -> None:
    before = measure_size(process.data)
    process.do("start")
    rows = process.do("distinct", count=options.size(10_000, 100), limit=PEER_SECONDS)["rows"]
    process.do("end")
    process.settle()
    grown = measure_size(process.data) - before
    report.add(f"a point: {process.name} ({rows * METRICS:,} points)", "bytes", [grown / (rows * METRICS)])


def _measure_tiny_runs(report: Report, process: TrackerProcess, options: Options) -> None:
    own = process.name == "gittrack"
    runs = options.size(TINY_RUNS if own else PEER_TINY_RUNS, 3)
    process.do("tiny")
    process.settle()
    before = measure_packed_size(process.repository) if own else measure_size(process.data)
    blocks = measure_blocks(process.repository / ".git")
    process.do("tiny", count=runs)
    process.settle()
    if not own:
        grown = measure_size(process.data) - before
        report.add(f"a tiny run: {process.name}", "bytes", [grown / runs])
        return
    loose = measure_size(process.repository / ".git") - before
    blocks = measure_blocks(process.repository / ".git") - blocks
    packed = measure_packed_size(process.repository) - before
    target = 4096.0 if not options.tiny else None
    report.add("a tiny run: gittrack before git gc", "bytes", [loose / runs])
    report.add("a tiny run: gittrack before git gc, in whole blocks", "bytes", [blocks / runs])
    report.add("a tiny run: gittrack after git gc", "bytes", [packed / runs], at_most=target)
    report.add("a tiny run: gittrack after git gc --aggressive", "bytes", [_repack(process, before) / runs])


def _repack(process: TrackerProcess, before: int) -> int:
    repository: Path = process.repository
    run_git(repository, "gc", "-q", "--aggressive")
    return measure_size(repository / ".git") - before


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

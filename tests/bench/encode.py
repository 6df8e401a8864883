"""What the end of a long run costs: seconds, and memory above what the process held before."""

from __future__ import annotations

import sys

from .process import TrackerProcess, find_installed
from .report import Options, Report, run_benches
from .scratch import scratch_directory

METRICS = 10
MEGA = 1 << 20


def measure(options: Options) -> Report:
    """End runs of a million and of ten million points, each in a process of its own."""
    report = Report("encode: end_run of a long run")
    python = find_installed(options.pythons[:1])["gittrack"]
    for points in (options.size(1_000_000, 1000), options.size(10_000_000, 10_000)):
        with scratch_directory() as directory:
            seconds, peaks = [], []
            for number in range(options.size(3, 1)):
                place = directory / str(number)
                place.mkdir()
                with TrackerProcess("gittrack", python, place, files=2) as process:
                    process.do("open")
                    process.do("tiny")
                    process.do("start")
                    process.do("rows", count=points // METRICS)
                    answer = process.do("end")
                seconds.append(answer["seconds"])
                peaks.append(answer["peak"] / MEGA)
        report.add(f"end of {points:,} points", "s", seconds)
        report.add(f"end of {points:,} points, a million points", "s", [one / points * 1e6 for one in seconds])
        report.add(f"peak memory above before, {points:,} points", "MiB", peaks)
    return report


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""What the index costs: from nothing, with one new run, with nothing new; and `gittrack ls` as a whole process."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .process import CHECKOUT, TrackerProcess, find_installed
from .report import Options, Report, run_benches
from .scratch import hermetic_environment, measure_size, scratch_directory
from .synthetic_store import get_store

MILLI = 1e3
MEGA = 1 << 20
QUERY = "metrics.auc > 0.6 and params.model = 'cnn'"


def measure(options: Options) -> Report:
    """Measure a store of many runs, and the commands on one of few beside it."""
    report = Report("index: bringing it up to date, and whole processes")
    few, many = options.size(1000, 20), options.size(100_000, 60)
    python = find_installed(options.pythons[:1])["gittrack"]
    with scratch_directory() as directory:
        place = directory / "code"
        shutil.copytree(get_store(many, directory=options.stores), place)  # since runs are recorded into it
        _measure_cold(report, python, place, directory, many, options)
        _measure_refresh(report, python, place, directory, many, options)
        for runs, repository in ((many, place), (few, get_store(few, directory=options.stores))):
            _measure_commands(report, python, repository, directory / "home", runs, options)
    return report


def _measure_cold(report: Report, python: str, repository: Path, directory: Path, runs: int, options: Options) -> None:
    seconds, used, peaks = [], [], []
    for number in range(options.size(3, 1)):
        shutil.rmtree(repository / ".git" / "gittrack" / "index", ignore_errors=True)
        place = directory / f"cold-{number}"
        place.mkdir()
        with TrackerProcess("gittrack", python, place, repository=repository) as process:
            loaded = process.do("load", file="", search="gittrack")
        seconds.append(loaded["seconds"])
        used.append(loaded["processor"])
        peaks.append(loaded["peak"] / MEGA)
    targets = (None, None) if options.tiny else (20.0, 1024.0)
    report.add(f"{runs:,} runs: index from nothing", "s", seconds, at_most=targets[0])
    report.add(f"{runs:,} runs: index from nothing, processor time with that of git", "s", used)
    report.add(f"{runs:,} runs: peak memory, with that of git", "MiB", peaks, at_most=targets[1])
    size = measure_size(repository / ".git" / "gittrack" / "index")
    report.add(f"{runs:,} runs: index on disk, a run", "bytes", [size / runs])


def _measure_refresh(
    report: Report, python: str, repository: Path, directory: Path, runs: int, options: Options
) -> None:
    """Ask one process again and again, while another one records runs."""
    after_one, nothing_new, recorded = [], [], 0
    (directory / "reader").mkdir()
    (directory / "writer").mkdir()
    with (
        TrackerProcess("gittrack", python, directory / "reader", repository=repository) as reader,
        TrackerProcess("gittrack", python, directory / "writer", repository=repository) as writer,
    ):
        writer.do("open")
        loaded = reader.do("load", file="", search="gittrack")
        report.add(f"{runs:,} runs: a new process opens the index", "ms", [loaded["seconds"] * MILLI])
        for _ in range(options.size(20, 2)):
            writer.do("tiny")
            recorded += 1
            answer = reader.do("search", question="refresh")
            after_one.append(answer["seconds"][0] * MILLI)
            if answer["found"] != loaded["count"] + recorded:
                raise RuntimeError(f"the index holds {answer['found']} runs, not {loaded['count'] + recorded}")
            nothing_new += [seconds * MILLI for seconds in reader.do("search", question="refresh", count=5)["seconds"]]
    at_most = None if options.tiny else 20.0
    report.add(f"{runs:,} runs: refresh after one new run", "ms", after_one, at_most=at_most)
    report.add(f"{runs:,} runs: refresh with nothing new", "ms", nothing_new)


def _measure_commands(report: Report, python: str, repository: Path, home: Path, runs: int, options: Options) -> None:
    """Time whole processes, in turns."""
    program = Path(python).with_name("gittrack")
    start = [str(program)] if program.exists() else [python, "-c", "from gittrack.cli import main; main()"]
    commands = {
        "gittrack --help": ["--help"],
        "gittrack ls": ["ls"],
        "gittrack ls QUERY": ["ls", QUERY, "--sort", "-metrics.auc", "-n", "100"],
    }
    samples: dict[str, list[float]] = {what: [] for what in commands}
    processor: dict[str, list[float]] = {what: [] for what in commands}
    environment = {**hermetic_environment(home), "PYTHONPATH": str(CHECKOUT)}
    for number in range(options.size(10, 1) + 1):
        for what, words in commands.items():
            used, began = _count_processor_seconds(), time.perf_counter()
            done = subprocess.run([*start, *words], cwd=repository, env=environment, capture_output=True, check=False)
            seconds = time.perf_counter() - began
            if done.returncode != 0:
                raise RuntimeError(f"{what}: {done.stderr.decode(errors='replace')[-500:]}")
            if number:  # the round before the first fills the caches
                samples[what].append(seconds * MILLI)
                processor[what].append((_count_processor_seconds() - used) * MILLI)
    for what, taken in samples.items():
        at_most = 600.0 if what == "gittrack ls QUERY" and not options.tiny else None
        report.add(f"{runs:,} runs: {what}, a whole process", "ms", taken, at_most=at_most)
    for what, taken in processor.items():
        report.add(f"{runs:,} runs: {what}, processor time", "ms", taken)


def _count_processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

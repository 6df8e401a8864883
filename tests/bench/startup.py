"""What a whole process costs: `import gittrack` over bare Python, `gittrack --help`, and `gittrack ls` of 50 runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from .driven.trackers import TRACKERS
from .process import CHECKOUT, TrackerProcess, find_installed
from .report import Options, Report, run_benches
from .scratch import hermetic_environment, scratch_directory

MILLI = 1e3
BARE = "bare Python"
IMPORT = "import gittrack"


def measure(options: Options) -> Report:
    """Time each command as a whole process, in turns, beside an interpreter that does nothing."""
    report = Report("start-up: whole processes")
    runs = options.size(50, 2)
    with scratch_directory() as directory:
        python = find_installed(options.pythons)["gittrack"]
        with TrackerProcess("gittrack", python, directory, files=options.size(1000, 2)) as process:
            process.do("open")
            process.do("tiny", count=runs)
        commands = _list_commands(python, options, runs)
        samples: dict[str, list[float]] = {what: [] for what in commands}
        environment = {**hermetic_environment(directory / "home"), "PYTHONPATH": str(CHECKOUT)}
        for number in range(options.size(15, 1) + 1):
            for what, command in commands.items():
                seconds = _time_process(command, process.repository, environment)
                if number:  # the round before the first fills the caches
                    samples[what].append(seconds * MILLI)
    bare = statistics.median(samples[BARE])
    for what, taken in samples.items():
        at_most = 120.0 if what == "gittrack --help" else None
        report.add(what, "ms", taken, at_most=at_most)
    for what, taken in samples.items():
        if what != BARE and what.startswith("import "):
            over = [one - other for one, other in zip(taken, samples[BARE], strict=True)]
            report.add(f"{what}, over bare Python", "ms", over, at_most=40.0 if what == IMPORT else None)
    report.remarks.append(f"bare Python takes {bare:.0f} ms here")
    return report


def _list_commands(python: str, options: Options, runs: int) -> dict[str, list[str]]:
    commands = {
        BARE: [python, "-c", "pass"],
        IMPORT: [python, "-c", "import gittrack"],
        "import gittrack; gittrack.start_run": [python, "-c", "import gittrack; gittrack.start_run"],
        "gittrack --help": [*_find_program(python), "--help"],
        f"gittrack ls of {runs} runs": [*_find_program(python), "ls"],
    }
    installed = find_installed(options.pythons)
    for name, tracker in TRACKERS.items():
        if name in installed and options.wants(name) and tracker.package not in ("json", "gittrack"):
            commands[f"import {tracker.package}"] = [installed[name], "-c", f"import {tracker.package}"]
    return commands


def _find_program(python: str) -> list[str]:
    installed = Path(python).with_name("gittrack")
    return [str(installed)] if installed.exists() else [python, "-c", "from gittrack.cli import main; main()"]


def _time_process(command: list[str], directory: Path, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')[-500:]}")
    return seconds


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

"""The whole gate: lint, format, types, tests. `python -m tests` runs each, and fails if any of them does.

Each file of tests has a process of its own, one per core at a time, so none disturbs another, and what fails or does
not end is told at once; such a file is run once more, alone. Arguments are handed to pytest: `python -m tests -k
journal` is the gate with a smaller last step, `python -m tests tests/test_store.py` has these files in one process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.effort import NIGHTLY
from tests.stall import end_all

ROOT = Path(__file__).resolve().parent.parent

CHECKS = (
    ("lint", "ruff", "check", "."),
    ("format", "ruff", "format", "--check", "."),
    ("types", "mypy"),
)
# The longest file takes a fifth of this on two slow cores.
LONGEST = None if NIGHTLY else 1500.0
_NOTHING_COLLECTED = 5


def main(arguments: list[str]) -> int:
    """Run every step, also after one has failed; return 0 only where all passed."""
    failed = [name for name, *command in CHECKS if not step(name, lambda command=command: run_module(command))]
    if not step("tests", lambda: run_tests(arguments)):
        failed.append("tests")
    print(f"gate: {'failed at ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


def step(name: str, action: Callable[[], bool]) -> bool:
    """Run one step and tell how it went and how long it took."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    good = action()
    print(f"== {name}: {'ok' if good else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
    return good


def run_module(command: list[str]) -> bool:
    """Run a module of this interpreter with its arguments; tell whether it succeeded."""
    print("$", *command, flush=True)
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode == 0


def run_tests(arguments: list[str]) -> bool:
    """Run pytest on each file of tests, or once where the arguments name files; tell whether all passed."""
    if any(Path(word.partition("::")[0]).exists() for word in arguments):
        return run_module(["pytest", *arguments])
    files = sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: (not holds_slow_tests(path), path))
    printing = Lock()

    def run(file: Path) -> int:
        status, output = run_file(file, arguments)
        with printing:
            print(f"{file.name:<36} {summarize(output)}", flush=True)
            if status not in (0, _NOTHING_COLLECTED):
                print(output, flush=True)
        return status

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        statuses = dict(zip(files, pool.map(run, files), strict=True))
    bad = [file for file, status in statuses.items() if status not in (0, _NOTHING_COLLECTED)]
    if bad:
        print("again, alone, what failed while others ran beside it:", flush=True)
    # Real servers, clocks and disks are tested here, on machines that may be very busy: once may be chance, twice not.
    statuses |= {file: run(file) for file in bad}
    if better := [file.name for file in bad if statuses[file] == 0]:
        print("FLAKY, passed only the second time:", *better, flush=True)
    if worse := [file.name for file in bad if statuses[file] != 0]:
        print("failed:", *worse, flush=True)
    return not worse and 0 in statuses.values()


def run_file(file: Path, arguments: list[str]) -> tuple[int, str]:
    """Return pytest's exit code for one file, and all it printed; 124 where it had to be ended."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "--no-header", *arguments, str(file)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            status, told = process.wait(LONGEST), ""
        except subprocess.TimeoutExpired:
            status, told = 124, f"\n{end_all(process)}\nno end in {LONGEST} s: what ran is above\n"
        output.seek(0)
        return status, output.read().decode(errors="replace") + told


def summarize(output: str) -> str:
    """Return the line in which pytest counts; processes that outlive it may write behind it."""
    lines = [line.strip("= ") for line in output.splitlines() if re.search(r"\d+ \w+.* in [\d.]+s", line)]
    return lines[-1] if lines else "did not come to an end"


def holds_slow_tests(file: Path) -> bool:
    """Tell whether any test in a file is marked as slow; such files start first, or the last would run alone."""
    return "mark.slow" in file.read_text()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

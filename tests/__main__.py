"""The whole gate: lint, format, types, tests. `python -m tests` runs each, and fails if any of them does.

Arguments are handed to pytest, so `python -m tests -k journal` is the gate with a smaller last step. Tests that do not
come to an end are ended, and the gate says what every process of theirs was doing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.effort import NIGHTLY

ROOT = Path(__file__).resolve().parent.parent

STEPS = (
    ("lint", "ruff", "check", "."),
    ("format", "ruff", "format", "--check", "."),
    ("types", "mypy"),
    ("tests", "pytest", "-n", "auto", "--dist", "worksteal"),
)
# The whole gate takes a quarter of this on two slow cores.
LONGEST = None if NIGHTLY else 3600.0


def main(arguments: list[str]) -> int:
    """Run every step, also after one has failed; return 0 only where all passed."""
    failed = []
    for name, *command in STEPS:
        extra = arguments if name == "tests" else []
        print(f"== {name}: {' '.join([*command, *extra])}", flush=True)
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", *command, *extra], cwd=ROOT)
        try:
            status = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            print(f"\n== {name}: no end in {LONGEST} s; what runs is:", flush=True)
            status = end_all(process)
        print(f"== {name}: {'ok' if status == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
        if status != 0:
            failed.append(name)
    print(f"gate: {'failed at ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


def end_all(process: subprocess.Popen[bytes]) -> int:
    """Print what a process and all under it are doing, each thread of those that can tell, and kill them."""
    tree = [process.pid]
    for pid in tree:
        print(describe(pid), flush=True)
        tree += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in read(task).split()]
    for pid in tree[1:]:
        if heeds_sigusr1(pid):
            send(pid, signal.SIGUSR1)  # conftest has Python tell where each of its threads is
            time.sleep(1.0)
    for pid in reversed(tree):
        send(pid, signal.SIGKILL)
    return process.wait()


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def describe(pid: int) -> str:
    """Return a process's id, state, what it waits for in the kernel, and its command line."""
    state = next((line.split()[1] for line in read(Path(f"/proc/{pid}/status")).splitlines() if "State:" in line), "?")
    words = read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")
    return f"{pid:>8} {state} {read(Path(f'/proc/{pid}/wchan')):<20} {words[:200]}"


def heeds_sigusr1(pid: int) -> bool:
    """Tell whether SIGUSR1 has a handler in this process; others would die of it and say nothing."""
    for line in read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
    return False


def read(path: Path) -> str:
    """Return a file of /proc as text; empty where its process is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

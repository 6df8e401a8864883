"""What processes that do not end are doing, and their end. Knows Linux's /proc; where there is none, it tells less."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


def end_all(process: subprocess.Popen[bytes]) -> str:
    """Kill a process and all under it; return what each was doing.

    Those that heed SIGUSR1 first write where each of their threads is, to where conftest told them.
    """
    tree = [process.pid]
    for pid in tree:
        tree += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in read(task).split()]
    told = "\n".join(describe(pid) for pid in tree)
    for pid in tree:
        if heeds_sigusr1(pid):
            send(pid, signal.SIGUSR1)
            time.sleep(1.0)
    for pid in reversed(tree):
        send(pid, signal.SIGKILL)
    process.wait()
    return told


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


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def read(path: Path) -> str:
    """Return a file of /proc as text; empty where its process is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

"""Owns one measured process: it drives one tracker at the command of `process.py`, and answers with seconds.

Started as `python tests/bench/driven TRACKER DIRECTORY` by any interpreter; standard library only. One JSON object a
line comes in on standard input, one goes back on what was standard output; what the tracker prints goes to standard
error.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from histories import HISTORIES
from searches import SEARCHES
from trackers import TRACKERS, Gittrack, Row, Tracker, list_installed

METRICS = tuple(f"metric_{number}" for number in range(10))
PARAMS = {f"param_{number}": (0.1 * number, number, f"value {number}")[number % 3] for number in range(20)}
CYCLE = 1000
BLOCKS = 300


def make_rows(count: int, seed: int = 0) -> list[Row]:
    """Return rows of ten noisy series: a falling curve each, with gaussian noise in every digit."""
    chance = random.Random(seed)
    return [
        {key: (1 + number) * (0.1 + 1 / (1 + step / 100)) + chance.gauss(0, 0.05) for number, key in enumerate(METRICS)}
        for step in range(count)
    ]


def make_timestamps(count: int) -> list[int]:
    """Return the end times of `count` training steps of 50 ms, give or take 5 ms: UTC microseconds."""
    chance = random.Random(1)
    now, times = 1_750_000_000_000_000, []
    for _ in range(count):
        now += round(chance.gauss(50_000, 5_000))
        times.append(now)
    return times


def read_memory() -> dict[str, int]:
    """Return this process's memory in bytes: resident, proportional, private dirty, anonymous, and the peak resident.

    Empty where the system has no /proc.
    """
    memory = {}
    try:
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split(":")
            memory[name] = int(value.split()[0]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                memory["Peak"] = int(line.split()[1]) * 1024
    except OSError:
        return {}
    return {name: memory[name] for name in ("Rss", "Pss", "Private_Dirty", "Anonymous", "Peak") if name in memory}


def count_processor_seconds() -> float:
    """Return the processor time used so far by all threads of this process and by the children it has waited for."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def reset_peak() -> None:
    """Make the peak resident size start again from what is resident now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


class MemoryWatch:
    """Looks, ten times a second while it is entered, how much memory this process and its children have.

    `peak` is the largest sum of their resident sizes in bytes; 0 where the system has no /proc.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        size = os.sysconf("SC_PAGE_SIZE")
        while not self._done.wait(0.1):
            self.peak = max(self.peak, sum(_count_pages(pid) for pid in ("self", *_list_children())) * size)


def _list_children() -> list[str]:
    own, children = str(os.getpid()), []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if (directory / "stat").read_text().rpartition(")")[2].split()[1] == own:
                    children.append(directory.name)
    return children


def _count_pages(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


class Commands:
    """The commands a parent may give, one method each; each returns its JSON-ready answer."""

    def __init__(self, tracker: Tracker, directory: Path) -> None:
        self._tracker = tracker
        self._directory = directory
        self._rows = make_rows(CYCLE)
        self._values = [row[METRICS[0]] for row in self._rows]
        self._step = 0

    def open(self) -> dict[str, Any]:
        """Import the tracker's package and prepare its directory."""
        began = time.perf_counter()
        self._tracker.open(self._directory)
        return {"seconds": time.perf_counter() - began}

    def start(self) -> dict[str, Any]:
        """Start a run with no params."""
        self._step = 0
        began = time.perf_counter()
        self._tracker.start({})
        return {"seconds": time.perf_counter() - began}

    def end(self) -> dict[str, Any]:
        """End the run; tells the peak of resident memory that this call reached above what was resident before."""
        reset_peak()
        before, began = read_memory(), time.perf_counter()
        self._tracker.end()
        seconds, after = time.perf_counter() - began, read_memory()
        return {"seconds": seconds, "peak": after.get("Peak", 0) - before.get("Rss", 0), "memory": after}

    def rows(self, count: int) -> dict[str, Any]:
        """Log `count` rows of ten metrics, the same thousand again and again."""
        return self._repeat(count, self._rows, self._tracker.log_rows)

    def module_rows(self, count: int) -> dict[str, Any]:
        """Log `count` rows of ten metrics by the function of the module, which finds the active run."""
        assert isinstance(self._tracker, Gittrack)
        return self._repeat(count, self._rows, self._tracker.log_rows_by_module)

    def singles(self, count: int) -> dict[str, Any]:
        """Log `count` values of one metric."""
        return self._repeat(count, self._values, lambda part, step: self._tracker.log_singles("single", part, step))

    def _repeat(self, count: int, data: list[Any], log: Callable[[list[Any], int], None]) -> dict[str, Any]:
        """Tell the seconds of all calls, and the seconds a call of the block of calls in the middle.

        Of a round's many blocks most are not interrupted by another process, which all of them together always are.
        """
        size = max(1, min(CYCLE // 2, count // BLOCKS))
        blocks: list[float] = []
        total, at = 0.0, 0
        for done in range(0, count, size):
            part = data[at : at + min(size, count - done)]
            began = time.perf_counter()
            log(part, self._step)
            seconds = time.perf_counter() - began
            total += seconds
            blocks.append(seconds / len(part))
            self._step += len(part)
            at = (at + size) % (CYCLE - size + 1)
        return {"seconds": total, "middle": statistics.median(blocks)}

    def distinct(self, count: int, limit: float, timed: bool = False) -> dict[str, Any]:
        """Log up to `count` rows that are all different, for about `limit` seconds; tells how many it logged."""
        rows = make_rows(count, seed=3 if timed else 2)  # not the same values twice: git would store them once
        timestamps = make_timestamps(count) if timed else None
        done, began = 0, time.perf_counter()
        while done < count and time.perf_counter() - began < limit:
            part = rows[done : done + 100]
            if timestamps is not None:
                assert isinstance(self._tracker, Gittrack)
                self._tracker.log_timed_rows(part, done, timestamps[done : done + 100])
            else:
                self._tracker.log_rows(part, done)
            done += len(part)
        return {"rows": done, "seconds": time.perf_counter() - began}

    def growth(self, rows: int, block: int) -> dict[str, Any]:
        """Log `rows` rows; tells the middle seconds a row of each block of rows, and memory at each twentieth."""
        blocks, memory = [], []
        every = max(1, rows // block // 20)
        for number in range(rows // block):
            blocks.append(self.rows(block)["middle"])
            if (number + 1) % every == 0:
                memory.append({"rows": (number + 1) * block, **read_memory()})
        return {"blocks": blocks, "memory": memory}

    def slowest(self, rows: int) -> dict[str, Any]:
        """Log `rows` rows one by one; tells the seconds of the call in the middle, at 99.9 %, and of the slowest."""
        clock, log, times = time.perf_counter, self._tracker.log_rows, []
        for number in range(rows):
            part = [self._rows[number % CYCLE]]
            began = clock()
            log(part, self._step + number)
            times.append(clock() - began)
        self._step += rows
        times.sort()
        return {"median": times[rows // 2], "p999": times[rows * 999 // 1000], "max": times[-1]}

    def load(self, file: str, search: str = "") -> dict[str, Any]:
        """Make the tracker hold the runs of a file; tells how many, and the peak of memory, its children's too."""
        self._search = SEARCHES[search or self._tracker.name]()
        with MemoryWatch() as watch:
            used, began = count_processor_seconds(), time.perf_counter()
            count = self._search.load(self._directory, Path(file))
            seconds, used = time.perf_counter() - began, count_processor_seconds() - used
        return {"count": count, "seconds": seconds, "processor": used, "peak": watch.peak}

    def search(self, question: str, count: int = 1) -> dict[str, Any]:
        """Ask `count` times for runs, by one of the questions of a Search; tells seconds each, and how many came."""
        return _time(getattr(self._search, question), count)

    def fill(self, points: int, runs: int = 1) -> dict[str, Any]:
        """Record runs with one metric of so many points each."""
        self._history = HISTORIES[type(self._tracker)](self._tracker, self._directory)
        for run in range(runs):
            self._history.fill(points, run)
        return {"runs": runs}

    def history(self, question: str, count: int = 1) -> dict[str, Any]:
        """Ask `count` times for series, by one of the questions of a History; tells seconds each, and how many came."""
        return _time(getattr(self._history, question), count)

    def tiny(self, count: int = 1, profile: bool = False) -> dict[str, Any]:
        """Record `count` tiny runs: start, 20 params, 10 metrics, end.

        Tells the seconds of each phase of each run, and the processor seconds a run of this process and what it ran.
        """
        if profile:
            return self._profile_tiny(count)
        clock, phases, used = time.perf_counter, [], count_processor_seconds()
        for _ in range(count):
            times = [clock()]
            self._tracker.start(PARAMS)
            times.append(clock())
            self._tracker.log_rows(self._rows[:1], 0)
            times.append(clock())
            self._tracker.end()
            times.append(clock())
            phases.append([after - before for before, after in pairwise(times)])
        used = count_processor_seconds() - used
        return {"seconds": sum(map(sum, phases)), "phases": phases, "processor": used / count}

    def _profile_tiny(self, count: int) -> dict[str, Any]:
        from spans import profile_tiny_runs

        return profile_tiny_runs(self._tracker, PARAMS, self._rows[:1], count)


def _time(ask: Callable[[], int], count: int) -> dict[str, Any]:
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        found = ask()
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "found": found}


def main(arguments: list[str]) -> int:
    """Answer commands until standard input ends."""
    if arguments == ["--installed"]:
        print(json.dumps(list_installed()))
        return 0
    name, directory = arguments
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    commands = Commands(TRACKERS[name](), Path(directory))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(commands, asked.pop("do"))(**asked)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # not the exit handlers of the trackers: nothing is measured any more

"""Owns the breakdown of a tiny run: where its time goes, seen from outside the product.

Wraps the doors to the operating system that cost most (fsync, starting a process and waiting for it) and runs the
standard profiler over each phase. Standard library only.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PHASES = ("start", "log", "end")
TOP = 18


class Doors:
    """Counts and times the calls of some functions of the standard library while it is entered."""

    DOORS: tuple[tuple[Any, str], ...] = (
        (os, "fsync"),
        (os, "fdatasync"),
        (os, "rename"),
        (os, "replace"),
        (subprocess.Popen, "__init__"),
        (subprocess.Popen, "communicate"),
        (subprocess.Popen, "wait"),
    )

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self._depth = 0
        self._kept: list[tuple[Any, str, Any]] = []

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.calls[name] = self.calls.get(name, 0) + 1
                    self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

        return timed

    def __enter__(self) -> Doors:
        for owner, name in self.DOORS:
            original = getattr(owner, name, None)
            if original is None:
                continue
            self._kept.append((owner, name, original))
            label = f"{owner.__name__}.{name}"
            setattr(owner, name, self._wrap(label, original))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, original in self._kept:
            setattr(owner, name, original)
        self._kept.clear()


def profile_tiny_runs(
    tracker: Any, params: Mapping[str, object], rows: Sequence[Mapping[str, float]], count: int
) -> dict[str, Any]:
    """Record `count` tiny runs twice, once with timed doors, once under the profiler.

    Returns, per run: each door's calls and seconds by phase, each phase's functions with most cumulative seconds, and
    the functions with most seconds of their own.
    """
    steps: dict[str, Callable[[], None]] = {
        "start": lambda: tracker.start(params),
        "log": lambda: tracker.log_rows(rows, 0),
        "end": tracker.end,
    }
    doors: dict[str, dict[str, list[float]]] = {}
    phases = dict.fromkeys(PHASES, 0.0)
    spans = {phase: Doors() for phase in PHASES}
    for _ in range(count):
        for phase, step in steps.items():
            with spans[phase]:
                began = time.perf_counter()
                step()
                phases[phase] += time.perf_counter() - began
    for phase, span in spans.items():
        doors[phase] = {name: [span.calls[name] / count, span.seconds[name] / count] for name in span.calls}
    profiles = {phase: cProfile.Profile() for phase in PHASES}
    for _ in range(count):
        for phase, step in steps.items():
            profiles[phase].runcall(step)
    return {
        "phases": {phase: seconds / count for phase, seconds in phases.items()},
        "doors": doors,
        "functions": {phase: _list_functions(profile, count) for phase, profile in profiles.items()},
    }


def _list_functions(profile: cProfile.Profile, count: int) -> list[dict[str, Any]]:
    stats: Any = pstats.Stats(profile)
    rows = [
        {
            "function": f"{_shorten(file)}:{line}({name})",
            "calls": calls / count,
            "own": own / count,
            "cumulative": cumulative / count,
        }
        for (file, line, name), (_, calls, own, cumulative, _) in stats.stats.items()
    ]
    by_own = sorted(rows, key=lambda row: -row["own"])[:TOP]
    by_cumulative = sorted(rows, key=lambda row: -row["cumulative"])[: 2 * TOP]
    kept = {row["function"]: row for row in by_own + by_cumulative}
    return sorted(kept.values(), key=lambda row: -row["cumulative"])


def _shorten(file: str) -> str:
    return "/".join(Path(file).parts[-2:]) if file.startswith("/") else file

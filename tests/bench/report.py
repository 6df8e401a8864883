"""Owns what a bench gives back: figures with their targets, printed as a table or as JSON; and the options."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .scratch import find_file_system, scratch_directory


@dataclass(frozen=True)
class Figure:
    """One measured thing: its samples in `unit`, and what its median must be.

    `times` is how many times gittrack's own median this one is, where that is worth a column. `at_most` and
    `at_least` are targets for the median.
    """

    what: str
    unit: str
    samples: tuple[float, ...]
    times: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool | None:
        """Whether the median meets the target; None where there is none."""
        if self.at_most is not None:
            return self.median <= self.at_most
        if self.at_least is not None:
            return self.median >= self.at_least
        return None

    @property
    def target(self) -> str:
        """The target in words, or an empty string."""
        if self.at_most is not None:
            return f"≤ {show_number(self.at_most)}"
        return f"≥ {show_number(self.at_least)}" if self.at_least is not None else ""


@dataclass
class Report:
    """A bench's figures in the order they are to be read, and remarks: peers left out, and why."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, what: str, unit: str, samples: Sequence[float], **rest: float | None) -> Figure:
        """Add a figure and return it."""
        figure = Figure(what, unit, tuple(samples), **rest)
        self.figures.append(figure)
        return figure

    def get(self, what: str) -> Figure:
        """Return the figure called `what`; raises KeyError where there is none."""
        for figure in self.figures:
            if figure.what == what:
                return figure
        raise KeyError(what)

    def to_dict(self) -> dict[str, Any]:
        """Return the report JSON-ready."""
        return {
            "title": self.title,
            "figures": [
                {
                    "what": figure.what,
                    "unit": figure.unit,
                    "median": figure.median,
                    "min": min(figure.samples),
                    "max": max(figure.samples),
                    "samples": len(figure.samples),
                    "times_gittrack": figure.times,
                    "target": figure.target,
                    "holds": figure.holds,
                }
                for figure in self.figures
            ],
            "remarks": self.remarks,
        }

    def to_text(self) -> str:
        """Return the report as a table for a terminal."""
        heads = ("what", "unit", "median", "min", "max", "× gittrack", "target", "holds")
        rows = [
            (
                figure.what,
                figure.unit,
                show_number(figure.median),
                show_number(min(figure.samples)),
                show_number(max(figure.samples)),
                "" if figure.times is None else show_number(figure.times),
                figure.target,
                {True: "yes", False: "NO", None: ""}[figure.holds],
            )
            for figure in self.figures
        ]
        widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
        lines = [f"== {self.title}"]
        for row in [heads, *rows]:
            cells = [
                cell.ljust(width) if column in (0, 1) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *(f"note: {remark}" for remark in self.remarks)])


def show_number(value: float) -> str:
    """Return value with three significant digits, without an exponent, and with thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}" if abs(value) >= 0.1 else f"{value:.3g}"


@dataclass(frozen=True)
class Options:
    """What a bench is asked to do: its size, the interpreters to look for trackers in, and which trackers.

    `stores` is a directory where invented stores are kept from one call to the next.
    """

    tiny: bool = False
    pythons: tuple[str, ...] = (sys.executable,)
    only: tuple[str, ...] = ()
    profile: bool = False
    stores: Path | None = None

    def size(self, full: int, tiny: int) -> int:
        """Return one of two sizes."""
        return tiny if self.tiny else full

    def wants(self, name: str) -> bool:
        """Tell whether the tracker called name is to be measured: gittrack always is."""
        return not self.only or name == "gittrack" or any(word.lower() in name.lower() for word in self.only)


Measure = Callable[[Options], Report]


def run_benches(benches: Sequence[Measure], arguments: Sequence[str] | None = None) -> int:
    """Run benches by the words of a command line, print what they found, and return 0."""
    parser = argparse.ArgumentParser(description="Measure gittrack beside peers and floors.")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: shows that it runs, measures nothing")
    parser.add_argument("--profile", action="store_true", help="tell where the time goes, where the bench can")
    parser.add_argument("--peers", action="append", default=[], metavar="PYTHON", help="an interpreter that has peers")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="only trackers with this word")
    parser.add_argument("--stores", type=Path, metavar="DIR", help="keep invented stores in DIR, for the next call too")
    asked = parser.parse_args(arguments)
    options = Options(asked.tiny, (sys.executable, *asked.peers), tuple(asked.only), asked.profile, asked.stores)
    documents = []
    if not asked.json:
        print(describe_machine())
    for measure in benches:
        report = measure(options)
        documents.append(report.to_dict())
        if not asked.json:
            print("\n" + report.to_text(), flush=True)
    if asked.json:
        print(json.dumps({"machine": describe_machine(), "benches": documents}, indent=2))
    return 0


def describe_machine() -> str:
    """Return a line about where this runs: figures mean nothing without it."""
    with scratch_directory() as directory:
        kind = find_file_system(directory)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores{load}, scratch on {kind or 'unknown'}"

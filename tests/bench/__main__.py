"""Runs all benches, or those named: `python tests/bench [NAME …] [--json] [--tiny] [--peers PYTHON]`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = (
    "hot_path",
    "tiny_run",
    "startup",
    "storage",
    "contention",
    "encode",
    "series",
    "index",
    "search",
    "sharing",
    "artifacts",
    "check",
)


def main(arguments: list[str]) -> int:
    """Import the benches that were named and run them."""
    root = str(Path(__file__).resolve().parent.parent)
    if not __package__:  # started as a directory: its files must not stand in for modules of those names
        sys.path[0] = root
    package = __package__ or "bench"
    named = [word for word in arguments if word in NAMES]
    rest = [word for word in arguments if word not in NAMES]
    report = importlib.import_module(f"{package}.report")
    benches = [importlib.import_module(f"{package}.{name}").measure for name in named or NAMES]
    return int(report.run_benches(benches, rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

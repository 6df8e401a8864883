"""Measures the memory a process took, for tests that bound it."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_UNIT = 1 if sys.platform == "darwin" else 1024


def measure_peak() -> int:
    """Return the most memory this program has held, in bytes.

    Linux counts what a process held before it became this program as its own in getrusage: a child of a large process
    seems as large.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(peak) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def measure_peak_of_children() -> int:
    """Return the most memory that any child of this process held that has ended, in bytes; at least this one's own."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT

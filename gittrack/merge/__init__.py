"""Brings together what was said of one run, or of one experiment, by people who did not know of each other.

Three-way, deterministic and commutative: the same revisions in any order give the same bytes. Values in, values out:
knows nothing of branches, commits' messages, files or clocks. FORMAT.md, section 11.1, states the rules.
"""

from __future__ import annotations

from .experiment import ExperimentVersion, merge_experiments
from .lineage import Node, find_base, find_heads
from .run import MergedRun, RunVersion, merge_runs

__all__ = [
    "ExperimentVersion",
    "MergedRun",
    "Node",
    "RunVersion",
    "find_base",
    "find_heads",
    "merge_experiments",
    "merge_runs",
]

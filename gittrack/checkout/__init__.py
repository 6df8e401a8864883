"""Writes a tree of the store into a new directory: source code of whoever recorded the run, trusted in nothing.

No filter, hook, attribute or configuration has a part in it, nothing is executed, and nothing is written outside of
the new directory. Knows nothing of runs.
"""

from __future__ import annotations

from .plan import Plan, plan_checkout
from .writing import CheckedOut, check_target, write_checkout

__all__ = ["CheckedOut", "Plan", "check_target", "plan_checkout", "write_checkout"]

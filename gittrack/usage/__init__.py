"""Finds out what recorded runs take: which objects and which content each needs, and how many bytes that is.

`census` reads what every run names, `measure` adds up the bytes. Reads alone.
"""

from __future__ import annotations

from .census import RunNeeds, find_sharers, read_census
from .measure import Amount, Group, Usage, list_kinds, measure_usage

__all__ = [
    "Amount",
    "Group",
    "RunNeeds",
    "Usage",
    "find_sharers",
    "list_kinds",
    "measure_usage",
    "read_census",
]

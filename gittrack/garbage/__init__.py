"""Owns the end of content that no run refers to any more: it is condemned first, and deleted only later.

`condemned` keeps the list of what was condemned, `references` finds out who still needs it, `collection` deletes. Only
content that a deleted run named is ever on the list; what else lies beside it is not gittrack's to judge.
"""

from __future__ import annotations

from .collection import Collected, collect, find_shared
from .condemned import Condemned, condemn, list_contents, read_condemned
from .references import References, Unsure

__all__ = [
    "Collected",
    "Condemned",
    "References",
    "Unsure",
    "collect",
    "condemn",
    "find_shared",
    "list_contents",
    "read_condemned",
]

"""Checks whether runs are still what was recorded: every object, pointer, metric part, and the content of artifacts.

`findings` says what can be found, `objects` and `run` look, `copies` finds out who still has what is damaged here.
Reads alone, and repairs nothing.
"""

from __future__ import annotations

from .copies import Copies, find_copies, list_questionable
from .findings import Absent, Finding, Verdict, list_sections
from .run import Verifier, list_revisions, verify_content

__all__ = [
    "Absent",
    "Copies",
    "Finding",
    "Verdict",
    "Verifier",
    "find_copies",
    "list_questionable",
    "list_revisions",
    "list_sections",
    "verify_content",
]

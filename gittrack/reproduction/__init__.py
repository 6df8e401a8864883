"""What it takes to run a recorded run again: its data, its packages, and what is known of the difference to now.

Nothing here starts a program of the run's. Knows nothing of terminals.
"""

from __future__ import annotations

from .data import FoundInput, find_inputs, link_data
from .packages import Requirements, find_requirements
from .source import find_changed_files

__all__ = [
    "FoundInput",
    "Requirements",
    "find_changed_files",
    "find_inputs",
    "find_requirements",
    "link_data",
]

"""Names the environment variables by which programs inside a command find its run, or learn that there is none."""

from __future__ import annotations

from ..settings import RUN_ID_VARIABLE

__all__ = ["EXPERIMENT_VARIABLE", "RUN_ID_VARIABLE", "STORE_VARIABLE", "UNTRACKED_VARIABLE"]

STORE_VARIABLE = "GITTRACK_STORE"
EXPERIMENT_VARIABLE = "GITTRACK_EXPERIMENT"
# Set where the command runs, but nothing of it is recorded, because the tracker is at fault.
UNTRACKED_VARIABLE = "GITTRACK_UNTRACKED"

"""Epochs: how runs are deleted for good from a history that otherwise only grows, and how other clones follow.

`line` reads what a branch holds, `plan` decides (pure) which records stay and on what they are written again, `rewrite`
writes that, `traces` deletes what the index keeps of the rest. Knows nothing of who asks, of remotes and of content.
FORMAT.md, section 11.2.
"""

from __future__ import annotations

from .line import REDACTED_FILE, Line, Record, has_epoch, load_redacted, read_line
from .plan import Plan, Replay, begin_epoch, follow
from .rewrite import JoinedEpochs, find_redacted, join_epochs, rewrite_branch, write_plan
from .traces import forget_index

__all__ = [
    "REDACTED_FILE",
    "JoinedEpochs",
    "Line",
    "Plan",
    "Record",
    "Replay",
    "begin_epoch",
    "find_redacted",
    "follow",
    "forget_index",
    "has_epoch",
    "join_epochs",
    "load_redacted",
    "read_line",
    "rewrite_branch",
    "write_plan",
]

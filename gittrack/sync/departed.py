"""Lets go here of what others have deleted for good: its content is condemned, and the index forgets it.

Knows nothing of how lines are joined.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ..content import ContentStore
from ..dropped import Dropped
from ..epoch import forget_index, has_epoch
from ..errors import GittrackError
from ..garbage import condemn, list_contents
from ..history import History
from ..store import Commit
from .link import Link

Departed = Sequence[tuple[str, str]]


def read_dropped(history: History, commits: Iterable[Commit]) -> Dropped:
    """Return what the first commits of epochs among these list as deleted for good; a damaged one lists nothing."""
    dropped = Dropped()
    for commit in commits:
        if has_epoch([commit]):
            with suppress(GittrackError):
                dropped |= history.load_dropped(commit)
    return dropped


def condemn_departed(link: Link, departed: Departed) -> None:
    """Condemn the content of revisions (run and tree) that were deleted for good; safe to repeat.

    To be called before the refs move: what is condemned too early is found to be needed, what is never condemned stays
    for ever. In a partial clone nothing is ever deleted, and to look would fetch what was left out.
    """
    if departed and not link.repository.is_partial:
        commits = (Commit("", tree, (), "", 0, "") for _, tree in departed)
        pointers = list_contents(link.history, commits)
        condemn(link.store, ContentStore.of(link.repository), pointers, now=time.time_ns() // 1000)


def forget_departed(link: Link, slug: str, departed: Departed) -> None:
    """Delete what the index keeps of revisions that were deleted for good; to be called when the refs have moved."""
    if departed:
        forget_index(link.history, slug, sorted({run_id for run_id, _ in departed}))

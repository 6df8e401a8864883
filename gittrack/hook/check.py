"""Judges what is staged: whether it touches a guarded path, and if so, which run vouches for it.

Where no guarded path is staged, nothing but the index is looked at: no run is read and no library loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..guard import TABLE, Guard
from ..repository import Repository
from ..vouching import Verdict
from .project import FILE, find_staged_guard
from .proposal import Index, workbench, write_tree
from .verified import write_verified

if TYPE_CHECKING:
    from ..tracker import Tracker

OpenTracker = Callable[[], AbstractContextManager["Tracker"]]


def find_guard(code: Repository, environ: Mapping[str, str]) -> Guard | None:
    """Return what is guarded by what is staged; raises InvalidInput for settings that cannot be read."""
    index = Index.find(code, environ)
    assert code.worktree is not None
    return find_staged_guard(index.git, code.worktree)


def check_staged(code: Repository, open_tracker: OpenTracker, *, environ: Mapping[str, str], now: int) -> Verdict:
    """Return whether what is staged in a working tree may be committed. `now` is in UTC microseconds.

    `environ` says which index git is committing. What passes is remembered for the hooks that follow. Raises
    Unsupported in a bare repository, GitFailed for an index that holds unresolved conflicts.
    """
    index = Index.find(code, environ)
    guard = find_guard(code, environ)
    if guard is None:
        return Verdict(waived=f"nothing is guarded: [{TABLE}] in {FILE} says no paths")
    changed = index.list_changes(guard)
    if not changed:
        return Verdict(waived="no guarded path is staged")
    for commit in index.list_merged():
        if not index.list_changes(guard, since=commit):
            return Verdict(changed, waived=f"the guarded paths are taken as they are in {commit[:12]}, which is merged")
    from .evidence import Evidence

    with open_tracker() as tracker, workbench(code, tracker.repository, index=index.file) as git:
        evidence = Evidence(tracker, guard, git)
        tree = write_tree(git)
        run, nearest, notes = evidence.find_run(tree, now=now, head=index.find_head())
    if run is not None:
        write_verified(code, tree=tree, run_id=run.witness.id)
    else:
        unstaged = index.list_unstaged(guard)
        if unstaged:
            notes.append(
                f"a run now would not vouch, since on disk is not what is staged: {', '.join(unstaged)}"
                " (git stash push --keep-index --include-untracked puts the rest aside)"
            )
    return Verdict(changed, run, nearest, notes=tuple(notes), experiment=guard.experiment)

"""What gittrack does in each of Git's hooks, besides the check: the trailer, the reminder, the runs that go along.

None of it ends a commit or a push.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..git import Git
from ..repository import Repository
from ..vouching import Verdict
from .audit import Audit, find_need, get_commit
from .check import OpenTracker, check_staged, find_guard
from .message import drop_trailer, list_named_runs, read_pushes, write_trailer
from .proposal import Index, workbench, write_tree
from .verified import find_verified, forget_verified

if TYPE_CHECKING:
    from ..tracker import Tracker

_UNDER_WAY = ("rebase-merge", "rebase-apply")
_PICKING = ("CHERRY_PICK_HEAD", "REVERT_HEAD", "sequencer")


def sign_message(
    code: Repository, open_tracker: OpenTracker, file: Path, *, source: str, environ: Mapping[str, str], now: int
) -> str | None:
    """Let the message of the commit that is being made name the run that vouches for it; return that run's id.

    Where guarded paths are staged and no run vouches, a message that an amended commit brings along names none any
    more. In a rebase messages stay as they are. `source` is what git tells its hook of where the message comes from.
    """
    if is_under_way(code):
        return None
    index = Index.find(code, environ)
    guard = find_guard(code, environ)
    if guard is None or not index.list_changes(guard):
        return None
    with workbench(code, code, index=index.file) as git:
        run_id = find_verified(code, write_tree(git))
    if run_id is None:
        verdict = check_staged(code, open_tracker, environ=environ, now=now)
        run_id = verdict.run.witness.id if verdict.run else None
    if run_id is not None:
        write_trailer(Git(code.directory), file, run_id)
    elif source == "commit":
        drop_trailer(file)
    return run_id


def review_commit(code: Repository, open_tracker: OpenTracker) -> Verdict | None:
    """Return the verdict on the commit that was just made, where it was not checked before; None where it was.

    That is so for one made with --no-verify. In a rebase and the like nothing is looked at.
    """
    git = Git(code.directory)
    tree = git.run("rev-parse", "--verify", "HEAD^{tree}").decode().strip()
    run_id = find_verified(code, tree)
    forget_verified(code)
    if run_id is not None or is_under_way(code) or any((code.git_directory / name).exists() for name in _PICKING):
        return None
    with workbench(code, code) as bench:
        commit = get_commit(bench, "HEAD")
        if not find_need(bench, commit).changed:
            return None
    with open_tracker() as tracker, workbench(code, tracker.repository) as bench:
        return Audit(tracker, bench).judge_commit(commit)


def find_experiments(tracker: Tracker, code: Repository, lines: str, *, remote: str) -> tuple[list[str], list[str]]:
    """Return the experiments of the runs that the pushed commits name, and the named runs that are not here.

    `lines` are what git tells its hook of what is pushed to `remote`.
    """
    found: dict[str, None] = {}
    missing = []
    for run_id in list_named_runs(Git(code.directory), read_pushes(lines), remote=remote):
        slug = tracker.collection.find_slug(run_id)
        if slug is None:
            missing.append(run_id)
        else:
            found[slug] = None
    return list(found), missing


def is_under_way(code: Repository) -> bool:
    """Tell whether a rebase is under way in a working tree."""
    return any((code.git_directory / name).exists() for name in _UNDER_WAY)

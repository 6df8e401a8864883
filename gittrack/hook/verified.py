"""Owns the note that one hook leaves the next: which tree was checked last in a working tree, and which run vouches.

It saves the check from being made twice for one commit. A cache: it can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .. import layout
from ..repository import Repository


def write_verified(repository: Repository, *, tree: str, run_id: str) -> None:
    """Remember that a run vouches for a tree; where that cannot be written, nothing is remembered."""
    file = _find_file(repository)
    temporary = file.with_name(f"{file.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        temporary.write_text(f"{tree} {run_id}\n", encoding="ascii")
        os.replace(temporary, file)


def find_verified(repository: Repository, tree: str) -> str | None:
    """Return the run that vouches for a tree, where that is the one that was checked last."""
    try:
        known, run_id = _find_file(repository).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return run_id if known == tree and layout.is_run_id(run_id) else None


def forget_verified(repository: Repository) -> None:
    """Forget what was checked last."""
    with contextlib.suppress(OSError):
        _find_file(repository).unlink()


def _find_file(repository: Repository) -> Path:
    # Each working tree has an index of its own, and so a note of its own.
    return layout.gittrack_directory(repository.git_directory) / "verified"

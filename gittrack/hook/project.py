"""Owns where the guard of a commit is read: pyproject.toml at the root, as it is committed.

So a commit is judged by the settings it carries, in the hook and when somebody looks again later.
"""

from __future__ import annotations

from pathlib import Path

from ..git import Git, GitFailed
from ..guard import Guard, read_guard
from ..settings import parse_project

FILE = "pyproject.toml"


def find_staged_guard(git: Git, worktree: Path) -> Guard | None:
    """Return the guard that the index says; where the file is not in the index, what it says on disk.

    None where nothing is guarded. Raises InvalidInput for a file or a setting that cannot be read.
    """
    raw = _find_blob(git, f":{FILE}")
    if raw is None:
        try:
            raw = (worktree / FILE).read_bytes()
        except OSError:
            return None
    return _parse(raw, where=FILE)


def find_committed_guard(git: Git, commit: str) -> Guard | None:
    """Return the guard that a commit carries, or None; raises InvalidInput as above."""
    raw = _find_blob(git, f"{commit}:{FILE}")
    return None if raw is None else _parse(raw, where=f"{FILE} of {commit[:12]}")


def _find_blob(git: Git, name: str) -> bytes | None:
    try:
        return git.run("cat-file", "blob", name)
    except GitFailed:
        return None


def _parse(raw: bytes, *, where: str) -> Guard | None:
    # Most commits guard nothing, and a TOML parser takes longer to load than everything else.
    if b"gittrack" not in raw or b"check" not in raw:
        return None
    table = parse_project(Path(where), raw)
    return read_guard(table["check"], where=where) if table and "check" in table else None

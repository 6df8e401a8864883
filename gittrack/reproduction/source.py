"""Says in which files the source of a run differed from its commit."""

from __future__ import annotations

import os

from ..errors import GittrackError
from ..git import Git
from ..model import SourceLink
from ..store import Store

_LETTERS = {"A": "new", "D": "deleted", "M": "changed", "T": "changed"}


def find_changed_files(store: Store, source: SourceLink, tree: str) -> list[tuple[str, str]] | None:
    """Return the paths in which a source tree differs from its commit, each with `new`, `deleted` or `changed`.

    None where that cannot be told: the commit is not here any more, or git is not.
    """
    if source.commit is None:
        return None
    try:
        before = store.get_commit(source.commit).tree
        git = Git(store.repository.git_directory)
        output = git.run("diff-tree", "-r", "-z", "--name-status", "--no-renames", before, tree, "--")
    except GittrackError:
        return None
    words = os.fsdecode(output).split("\0")
    return [(path, _LETTERS.get(letter[:1], "changed")) for letter, path in zip(words[::2], words[1::2], strict=False)]

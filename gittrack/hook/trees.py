"""Compares source trees on the guarded paths: one tree with very many others, in one conversation with git."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..git import Git, GitFailed
from ..guard import Guard
from ..vouching import Change, Difference

_COMPARE = ("diff-tree", "--stdin", "-r", "-z", "--name-status", "--no-renames", "--ignore-submodules=none")
_CHANGES: dict[str, Change] = {"A": "extra", "D": "missing"}
_TREE = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
# So many trees are compared one by one where git stumbles over one among them.
_MOST_SINGLE = 200

Differences = Mapping[str, tuple[Difference, ...]]


def compare_trees(git: Git, reference: str, trees: Iterable[str], guard: Guard) -> dict[str, tuple[Difference, ...]]:
    """Return how each tree differs from the reference on the guarded paths, nothing where it does not.

    A tree that cannot be read, since it or a part of it is not here, is left out.
    """
    wanted = [tree for tree in dict.fromkeys(trees) if _TREE.fullmatch(tree)]
    try:
        return _compare(git, reference, wanted, guard)
    except GitFailed:
        pass
    found = {}
    for tree in _list_present(git, wanted)[:_MOST_SINGLE]:
        try:
            found.update(_compare(git, reference, [tree], guard))
        except GitFailed:
            continue
    return found


def _compare(git: Git, reference: str, trees: Sequence[str], guard: Guard) -> dict[str, tuple[Difference, ...]]:
    if not trees:
        return {}
    asked = "".join(f"{reference} {tree}\n" for tree in trees).encode("ascii")
    return _parse(git.run(*_COMPARE, "--", *guard.pathspecs, input=asked))


def _parse(output: bytes) -> dict[str, tuple[Difference, ...]]:
    """Read what git says: for each pair a line that names both, then status and path by turns, each with a NUL."""
    found: dict[str, list[Difference]] = {}
    fields = output.split(b"\0")
    here: list[Difference] = []
    for status, path in zip(fields[::2], [*fields[1::2], b""], strict=False):
        *pairs, letter = status.decode("ascii").split("\n")
        for pair in pairs:
            here = found.setdefault(pair.partition(" ")[2], [])
        if letter:
            here.append(Difference(os.fsdecode(path), _CHANGES.get(letter, "other")))
    return {tree: tuple(differences) for tree, differences in found.items()}


def _list_present(git: Git, trees: Sequence[str]) -> list[str]:
    asked = "".join(f"{tree}\n" for tree in trees).encode("ascii")
    answers = git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", input=asked).decode("ascii")
    return [tree for tree, line in zip(trees, answers.splitlines(), strict=True) if line.endswith(" tree")]

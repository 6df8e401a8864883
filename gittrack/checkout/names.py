"""Judges the names and links of a tree that came from elsewhere: which mean a Git directory, which are one name to some
file systems, which links lead out of the tree.

Pure. Knows nothing of stores and files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from ..folding import drop_unseen, fold

_MAX_HOPS = 40


def is_git_name(name: str) -> bool:
    """Tell whether a file name means `.git` on any file system: `.GIT`, `git~1`, `.git.`, `.git::$DATA` and such."""
    text = unicodedata.normalize("NFKC", drop_unseen(name)).lower()
    return text.partition(":")[0].rstrip(". ") in (".git", "git~1") or text.startswith(".git\\")


def find_collisions(paths: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of paths, of files and directories, that are one path to some file systems.

    Of two such directories what is below them is not listed again. Sorted.
    """
    groups: dict[str, dict[str, str]] = {}
    for path in paths:
        groups.setdefault(fold(path), {}).setdefault(path.rpartition("/")[2], path)
    return tuple(sorted(tuple(sorted(group.values())) for group in groups.values() if len(group) > 1))


class Links:
    """The symbolic links of a tree: the target of each by its path."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self.targets = targets
        self._folded = {fold(path): target for path, target in targets.items()}

    def leads_outside(self, path: str) -> bool:
        """Tell whether whoever follows a link of the tree may come out of the tree, by other links of it as well."""
        place = path.split("/")[:-1]
        todo = [path.rpartition("/")[2]]
        for _ in range(_MAX_HOPS):
            target = self._follow(place, todo)
            if target is None:
                return False
            if target.startswith("/") or "\0" in target:
                return True
            todo += reversed(target.split("/"))
            if not self._climb(place, todo):
                return True
        return True

    def _follow(self, place: list[str], todo: list[str]) -> str | None:
        """Go on to the next link on the way and return its target; None where the way ends without one."""
        while todo:
            place.append(todo.pop())
            where = "/".join(place)
            target = self.targets.get(where, self._folded.get(fold(where)))
            if target is not None:
                place.pop()
                return target
            if not self._climb(place, todo):
                return "/"
        return None

    @staticmethod
    def _climb(place: list[str], todo: list[str]) -> bool:
        """Take the next steps that are no names; tell whether they stayed in the tree."""
        while todo and todo[-1] in ("", ".", ".."):
            if todo.pop() == "..":
                if not place:
                    return False
                place.pop()
        return True

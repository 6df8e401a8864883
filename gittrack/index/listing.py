"""Finds the artifacts of several runs in the directories of their trees, a level of directories at a time.

Pure: directories are asked for by id and handed in. Knows nothing of where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import layout
from ..admission import find_artifact_fault
from ..history import MAX_ARTIFACT_DEPTH
from ..model import Pointer
from .reader import Tree

# A run that has more is looked at by itself.
_MOST_ENTRIES = 200_000


class Listing:
    """The artifacts of runs, by their trees; None stands for a run that is not plain to read, and becomes one.

    `wanted` are the ids of the directories that the next call of `descend` needs: none where all was found.
    """

    def __init__(self, trees: Sequence[Tree | None]) -> None:
        self._found: list[Tree | None] = [None if tree is None else {} for tree in trees]
        self._seen = [0] * len(trees)
        self._depth = 0
        self._pending = [
            (number, "", tree[layout.ARTIFACTS_DIRECTORY].id)
            for number, tree in enumerate(trees)
            if tree is not None and layout.ARTIFACTS_DIRECTORY in tree
        ]

    @property
    def wanted(self) -> set[str]:
        """The ids of the directories to be looked into next."""
        return {id for _, _, id in self._pending}

    @property
    def files(self) -> set[str]:
        """The ids of the files that were found, whose content is a pointer."""
        return {entry.id for found in self._found if found for entry in found.values()}

    @property
    def count(self) -> int:
        """How many artifacts were found."""
        return sum(len(found) for found in self._found if found)

    def descend(self, directories: Mapping[str, Tree]) -> None:
        """Look into the directories that were wanted, of which those are missing that cannot be read."""
        pending, self._pending = self._pending, []
        for number, prefix, id in pending:
            directory, found = directories.get(id), self._found[number]
            if found is None:
                continue
            self._seen[number] += 1 if directory is None else len(directory)
            if directory is None or self._depth > MAX_ARTIFACT_DEPTH or self._seen[number] > _MOST_ENTRIES:
                self._found[number] = None
                continue
            for name, entry in directory.items():
                if find_artifact_fault(prefix + name, entry) is not None:
                    self._found[number] = None
                    break
                if entry.is_tree:
                    self._pending.append((number, f"{prefix}{name}/", entry.id))
                else:
                    found[prefix + name] = entry
        self._pending = [place for place in self._pending if self._found[place[0]] is not None]
        self._depth += 1

    def resolve(self, pointers: Mapping[str, Pointer]) -> list[dict[str, Pointer] | None]:
        """Return each run's artifacts by path, None for a run one of whose pointers is missing."""
        return [
            None
            if found is None or not all(entry.id in pointers for entry in found.values())
            else {path: pointers[entry.id] for path, entry in found.items()}
            for found in self._found
        ]

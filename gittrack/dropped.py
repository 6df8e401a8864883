"""Which revisions of which runs were deleted for good: the list that an epoch's first commit carries, and its spelling.

A revision is listed by a mark, a digest of its run and its tree, and not by its number: two people who edit one run
apart give the same number to different revisions, and only the ones that were seen are deleted. Nor by the tree's own
id: that would hand out the address at which a server may still keep what was deleted. Pure; FORMAT.md, section 11.2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from . import layout
from .canonical import decode_object, encode_rows
from .errors import Corrupt

_MARK_LENGTH = 16
_MARK = re.compile(f"[0-9a-f]{{{_MARK_LENGTH}}}")


def make_mark(run_id: str, tree: str) -> str:
    """Return the mark of the revision of a run that has this tree: 16 hex digits."""
    return hashlib.sha256(f"{run_id}:{tree}".encode()).hexdigest()[:_MARK_LENGTH]


def hide_previous(tree: str, previous: str) -> str:
    """Return what a revision with this tree names in place of a deleted one that it was made from.

    An id as long as theirs, and of nothing: it tells that the revision was made from another, and not from which.
    """
    return hashlib.sha256(f"{tree}:{previous}".encode()).hexdigest()[: len(previous)]


@dataclass(frozen=True)
class Dropped:
    """Revisions that count as if they did not exist, wherever they come from: by run id, their marks."""

    marks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def holds(self, run_id: str, tree: str) -> bool:
        """Tell whether the revision of a run that has this tree is dropped."""
        marks = self.marks.get(run_id)
        return marks is not None and make_mark(run_id, tree) in marks

    def add(self, revisions: Iterable[tuple[str, str]]) -> Dropped:
        """Return the list with more revisions in it, each a run's id and a tree."""
        marks = {run_id: set(known) for run_id, known in self.marks.items()}
        for run_id, tree in revisions:
            marks.setdefault(run_id, set()).add(make_mark(run_id, tree))
        return Dropped({run_id: frozenset(known) for run_id, known in marks.items()})

    def __or__(self, other: Dropped) -> Dropped:
        """Return what either list holds."""
        if not other.marks or not self.marks:
            return self if not other.marks else other
        runs = {*self.marks, *other.marks}
        return Dropped(
            {run_id: self.marks.get(run_id, frozenset()) | other.marks.get(run_id, frozenset()) for run_id in runs}
        )

    def __len__(self) -> int:
        """Return how many revisions are listed."""
        return sum(map(len, self.marks.values()))


def encode_dropped(dropped: Dropped) -> bytes:
    """Return dropped.json: one run a line, sorted; equal lists give equal bytes."""
    return encode_rows({run_id: sorted(marks) for run_id, marks in dropped.marks.items()})


def decode_dropped(data: bytes, *, where: str) -> Dropped:
    """Return the list that encode_dropped wrote; raises Corrupt, naming `where`, for anything else."""
    marks = {}
    for run_id, listed in decode_object(data, where=where).items():
        if not layout.is_run_id(run_id):
            raise Corrupt(f"{where}: not a run id: {run_id!r:.60}")
        if not isinstance(listed, list) or not listed or not all(map(_is_mark, listed)):
            raise Corrupt(f"{where}: {run_id} should have a list of marks, {_MARK_LENGTH} hex digits each")
        marks[run_id] = frozenset(listed)
    return Dropped(marks)


def _is_mark(value: object) -> bool:
    return isinstance(value, str) and _MARK.fullmatch(value) is not None

"""Owns what the index knows of one experiment: pieces of rows, the commits they cover, and which rows speak.

Values that are replaced, never changed. Knows nothing of files and of how commits are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..dropped import Dropped
from ..frame import Block, Frame, compact_frame
from ..frame.arrays import make_mask
from ..layout import is_run_id
from ..model import Experiment
from .finding import Damage, Finding, Harvest, Order
from .sorted_table import SortedTable, build_commit_table, build_row_table, find_row, join_commit_tables


@dataclass(frozen=True)
class StoredSegment:
    """A piece's file: its name, its size and crc32, and where in it each part lies (offset and length in bytes).

    `stamp` is the inode, the modification and the change time (nanoseconds) the file had when its crc32 was last seen
    to be right. `rows` is the number of runs in it.
    """

    name: str
    size: int
    crc: int
    stamp: tuple[int, int, int]
    rows: int
    parts: dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Piece:
    """A segment of an experiment: rows, the commits it covers (also those without a row), and where each run's row is.

    `hidden` has a byte for each row, 1 where a later revision elsewhere speaks for the run; empty: none. `file` is None
    for a piece that is only in memory.
    """

    block: Block
    commits: SortedTable
    rows: SortedTable
    hidden: bytes = b""
    file: StoredSegment | None = None

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.block.height

    def get_order(self, row: int) -> Order:
        """Return the order of the revision that a row holds."""
        revision, time, commit = (
            self.block.get_attribute(name)[row].as_py() for name in ("revision", "commit_time", "commit")
        )
        return revision, time, commit


@dataclass(frozen=True)
class Record:
    """The experiment's own record, as the greatest commit that holds one has it."""

    order: Order
    experiment: Experiment


@dataclass(frozen=True, eq=False)
class State:
    """The index of one experiment at some moment.

    `tips` are the commits its branches stood at then, sorted, and `shallow` names the edge of a shallow clone. The
    pieces cover all commits reachable from `heads`, of which none is reachable from another. `record` is None where no
    record of the experiment was found or it could not be read. `dropped` is what the epochs among the commits list as
    deleted; no row is of such a revision.
    """

    slug: str
    tips: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    shallow: str = ""
    record: Record | None = None
    pieces: tuple[Piece, ...] = ()
    damages: tuple[Damage, ...] = ()
    dropped: Dropped = field(default_factory=Dropped)

    @property
    def experiment(self) -> Experiment:
        """The experiment, as far as it is known."""
        return Experiment(self.slug, self.slug) if self.record is None else self.record.experiment

    @cached_property
    def frame(self) -> Frame:
        """All rows, with those visible that speak for their runs."""
        pieces = [piece for piece in self.pieces if piece.height]
        segments = [piece.block for piece in pieces]
        if not any(piece.hidden for piece in pieces):
            return Frame(segments)
        flags = b"".join(piece.hidden or bytes(piece.height) for piece in pieces)
        return Frame(segments, make_mask(flags.translate(_INVERT)))

    def covers(self, commit_id: str) -> bool:
        """Tell whether a commit is covered."""
        key = bytes.fromhex(commit_id)
        return any(piece.commits.find(key) is not None for piece in self.pieces)

    def find_row(self, run_id: str) -> int | None:
        """Return the row of the frame that speaks for a run, if one does."""
        if not is_run_id(run_id):
            return None
        above = 0
        for piece in self.pieces:
            row = find_row(piece.rows, run_id)
            if row is not None and not (piece.hidden and piece.hidden[row]):
                return above + row
            above += piece.height
        return None

    def is_at(self, tips: tuple[str, ...], shallow: str) -> bool:
        """Tell whether nothing has moved since."""
        return self.tips == tips and self.shallow == shallow


_INVERT = bytes([1]) + bytes(255)


def make_piece(block: Block, commits: Iterable[str], *, width: int) -> Piece:
    """Return a piece in memory; `width` is the bytes of a commit's id."""
    return Piece(
        block,
        build_commit_table(commits, width=width),
        build_row_table(block.get_attribute("id").to_pylist()),
    )


def merge_pieces(pieces: Sequence[Piece], *, width: int) -> Piece:
    """Return pieces as one, in memory, without the rows that are hidden."""
    block = compact_frame(State("", pieces=tuple(pieces)).frame)
    commits = join_commit_tables((piece.commits for piece in pieces), width=width)
    return Piece(block, commits, build_row_table(block.get_attribute("id").to_pylist()))


def find_heads(state: State, harvest: Harvest, tips: Iterable[str]) -> tuple[str, ...]:
    """Return the heads of a state once it covers what was harvested from these tips."""
    old, new = set(state.heads), set(harvest.commits)
    return tuple(sorted(tip for tip in set(tips) - harvest.parents if tip in new or tip in old))


def is_continued(state: State, harvest: Harvest) -> bool:
    """Tell whether everything the state covers can be reached from where the harvest began."""
    return harvest.met.issuperset(state.heads)


def is_touched(state: State, harvest: Harvest, dropped: Dropped) -> bool:
    """Tell whether a revision that speaks, in the state or among the findings of a harvest, is dropped."""
    if any(dropped.holds(finding.run_id, finding.tree) for finding in harvest.findings.values()):
        return True
    trees = state.frame.get_attribute("tree")
    rows = ((run_id, state.find_row(run_id)) for run_id in dropped.marks)
    return any(row is not None and dropped.holds(run_id, trees[row].as_py()) for run_id, row in rows)


def settle(state: State, findings: Iterable[Finding]) -> tuple[State, list[Finding]]:
    """Decide between what is known and what was found: which of the findings speak, and which rows no longer do.

    Returns the state with those rows hidden, and without the damages that are superseded; and the findings left.
    """
    speaking: list[Finding] = []
    hidden = {number: bytearray(piece.hidden or piece.height) for number, piece in enumerate(state.pieces)}
    damages = {damage.run_id: damage for damage in state.damages if damage.run_id is not None}
    changed = set()
    for finding in findings:
        damage = damages.get(finding.run_id)
        if damage is not None and damage.order is not None and damage.order > finding.order:
            continue
        place = _find_speaking(state, hidden, finding.run_id)
        if place is not None and state.pieces[place[0]].get_order(place[1]) >= finding.order:
            continue
        if place is not None:
            hidden[place[0]][place[1]] = 1
            changed.add(place[0])
        damages.pop(finding.run_id, None)
        speaking.append(finding)
    pieces = tuple(
        replace(piece, hidden=bytes(hidden[number])) if number in changed else piece
        for number, piece in enumerate(state.pieces)
    )
    kept = tuple(entry for entry in state.damages if entry.run_id is None or damages.get(entry.run_id) is entry)
    return replace(state, pieces=pieces, damages=kept), speaking


def _find_speaking(state: State, hidden: dict[int, bytearray], run_id: str) -> tuple[int, int] | None:
    """Return the piece and row that speak for a run, if any."""
    for number, piece in enumerate(state.pieces):
        row = find_row(piece.rows, run_id)
        if row is not None and not hidden[number][row]:
            return number, row
    return None

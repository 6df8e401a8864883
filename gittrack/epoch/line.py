"""Reads a line: everything that can be reached from one tip of an experiment, with the merges left out.

Reads commits through the store. Knows nothing of what is to be done with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..admission import FILE_MODE, MAX_RECORD_SIZE
from ..canonical import decode_object
from ..dropped import Dropped
from ..errors import Corrupt, Unsupported
from ..history import History
from ..layout import is_run_id
from ..message import RunTrailers, parse_epoch, parse_message
from ..store import Commit

REDACTED_FILE = "redacted.json"

Key = tuple[str, int, str, str]
Redactions = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Record:
    """A commit that carries a record, or one that somebody else put on the branch: then `revision` is 0.

    `run_id` is empty but for a run. `time` is in UTC seconds; `commit` is the id it has on the line it was read from.
    """

    run_id: str
    revision: int
    tree: str
    time: int
    author: str
    message: str
    commit: str = field(default="", compare=False)

    @property
    def key(self) -> Key:
        """What makes two commits the same record: their run, revision and tree, whoever wrote them on what line."""
        return (self.run_id, self.revision, self.tree, "" if self.revision else self.message)

    @property
    def order(self) -> tuple[int, str, int, str, str, str]:
        """Sort key: in this order, and so the same in every clone, records are written again."""
        return (self.time, self.run_id, self.revision, self.tree, self.message, self.author)


@dataclass(frozen=True)
class Line:
    """What can be reached from a tip: the highest epoch, what is listed as dropped, and the records, in any order.

    `redacted` is what the epochs list as redacted, also in runs of which nothing is left. The first commits of epochs
    are not among the records.
    """

    tip: str
    number: int = 0
    dropped: Dropped = field(default_factory=Dropped)
    records: tuple[Record, ...] = ()
    redacted: Redactions = field(default_factory=dict)


def read_line(history: History, tip: str) -> Line:
    """Return the line that ends in tip.

    Raises Unsupported where only part of it is here (a shallow clone), or a record in it is of a newer format: such
    a line cannot be written again.
    """
    store = history.store
    records, number, dropped = [], 0, Dropped()
    redacted: Redactions = {}
    for commit in store.walk((tip,)):
        if not commit.parents and store.get_commit(commit.id).parents:
            raise Unsupported(
                "the history of this experiment is cut short here (a shallow clone), and cannot be written again",
                hint="git fetch --unshallow",
            )
        epoch = parse_epoch(commit.message, where=f"commit {commit.id[:12]}")
        if epoch is not None:
            number = max(number, epoch.number)
            dropped |= history.load_dropped(commit)
            redacted = unite_redactions(redacted, load_redacted(history, commit))
            continue
        record = _read_record(commit)
        if record is not None:
            records.append(record)
    return Line(tip, number, dropped, tuple(records), redacted)


def load_redacted(history: History, commit: Commit) -> Redactions:
    """Return what the first commit of an epoch lists as redacted: places by run. Raises Corrupt where it is damaged."""
    where = f"commit {commit.id[:12]}:{REDACTED_FILE}"
    entry = history.store.get_tree(commit.tree).get(REDACTED_FILE)
    if entry is None:
        return {}
    if entry.mode != FILE_MODE:
        raise Corrupt(f"{where} is not a plain file")
    redacted = {}
    for run_id, places in decode_object(history.store.get_blob(entry.id, limit=MAX_RECORD_SIZE), where=where).items():
        if not is_run_id(run_id) or not isinstance(places, list) or not all(isinstance(text, str) for text in places):
            raise Corrupt(f"{where}: {run_id!r:.60} should be a run's id, with a list of places")
        redacted[run_id] = frozenset(places)
    return redacted


def unite_redactions(*lists: Redactions) -> Redactions:
    """Return what any of some lists says was redacted."""
    runs = sorted({run_id for listed in lists for run_id in listed})
    return {run_id: frozenset().union(*(listed.get(run_id, ()) for listed in lists)) for run_id in runs}


def has_epoch(commits: Iterable[Commit]) -> bool:
    """Tell whether one of some commits is the first of an epoch; cheap enough to be asked of all that arrives."""
    for commit in commits:
        try:
            if parse_epoch(commit.message, where=commit.id) is not None:
                return True
        except (Corrupt, Unsupported):
            return True  # to be read, and refused, with its whole line
    return False


def _read_record(commit: Commit) -> Record | None:
    """Return the record a commit is; a merge is none, and one that makes no sense is kept as somebody's own commit."""
    run_id, revision = "", 0
    try:
        trailers = parse_message(commit.message, where=f"commit {commit.id[:12]}")
    except Corrupt:
        trailers = None
    if isinstance(trailers, RunTrailers):
        run_id, revision = trailers.run_id, trailers.revision
    elif trailers is not None:
        revision = trailers.revision
    elif len(commit.parents) > 1:
        return None
    return Record(run_id, revision, commit.tree, commit.time, commit.author, commit.message, commit.id)

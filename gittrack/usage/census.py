"""Owns the census: of every run, the objects of its records, metrics and source, and the content of its artifacts.

A run is what the revision that speaks for it has in its tree. What cannot be read is left out: to say so is not the
census's business. Knows nothing of sizes on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from .. import layout
from ..errors import GittrackError
from ..history import History, Revision
from ..index.reader import GitReader
from ..model import Pointer
from ..pointer import decode_pointer
from ..store import TreeEntry

_CHUNK = 1000
_MAX_DEPTH = 40

Report = Callable[[int, int], None]
Tree = Mapping[str, TreeEntry]


@dataclass(frozen=True)
class RunNeeds:
    """What one run needs: object ids by section, and content by artifact path.

    `records` are the run's own small files, its pointers and its directories, `source` is the id of the tree of its
    source, which is not looked into, and `source_commit` the commit that the code stood on.
    """

    run_id: str
    name: str
    experiment: str
    records: frozenset[str]
    metrics: frozenset[str]
    source: str | None
    source_commit: str | None
    artifacts: Mapping[str, Pointer]


@dataclass
class _Draft:
    """A run while its tree is being read: the directories that are still to be looked into, with their places."""

    revision: Revision
    records: set[str] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)
    source: str | None = None
    pointers: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, str]] = field(default_factory=list)

    def take(self, place: str, id: str, tree: Tree | None) -> None:
        """Take in what is directly in a directory of the run."""
        self.records.add(id)
        for name, entry in (tree or {}).items():
            path = f"{place}/{name}" if place else name
            top = path.partition("/")[0]
            if path == layout.SOURCE_DIRECTORY:
                self.source = entry.id
            elif entry.is_tree:
                self.pending.append((path, entry.id))
            elif top == layout.METRICS_DIRECTORY:
                self.metrics.add(entry.id)
            else:
                self.records.add(entry.id)
                if top == layout.ARTIFACTS_DIRECTORY:
                    self.pointers[path.partition("/")[2]] = entry.id

    def finish(self, known: Mapping[str, Pointer]) -> RunNeeds:
        """Return the run; a pointer that could not be read names nothing."""
        trailers = self.revision.trailers
        return RunNeeds(
            trailers.run_id,
            trailers.name,
            trailers.experiment,
            frozenset(self.records),
            frozenset(self.metrics),
            self.source,
            trailers.source_commit,
            {path: known[id] for path, id in sorted(self.pointers.items()) if id in known},
        )


def read_census(history: History, *, report: Report = lambda done, total: None) -> list[RunNeeds]:
    """Return what every run needs, of all experiments, removed ones included; newest first within each experiment.

    `report` is told how many runs are done, of how many. Raises StoreFailed where git does not do what it is asked,
    Unsupported where there is none.
    """
    revisions = [entry for branch in _list_branches(history) for entry in branch]
    found: list[RunNeeds] = []
    known: dict[str, Pointer] = {}
    remaining = iter(revisions)
    with GitReader(history.store) as reader:
        while chunk := [_Draft(entry) for entry in islice(remaining, _CHUNK)]:
            report(len(found), len(revisions))
            _read_trees(reader, chunk)
            _read_pointers(reader, {id for draft in chunk for id in draft.pointers.values()}, known)
            found += [draft.finish(known) for draft in chunk]
    report(len(revisions), len(revisions))
    return found


def find_sharers(census: Iterable[RunNeeds], oids: Iterable[str]) -> dict[str, list[RunNeeds]]:
    """Return which runs name some contents, by oid."""
    sharers: dict[str, list[RunNeeds]] = {oid: [] for oid in oids}
    for needs in census:
        for oid in {pointer.oid for pointer in needs.artifacts.values()} & sharers.keys():
            sharers[oid].append(needs)
    return sharers


def _list_branches(history: History) -> Iterator[tuple[Revision, ...]]:
    for slug, tips in history.find_tips().items():
        with suppress(GittrackError):
            yield history.get_branch(slug, tips=tips).revisions


def _read_trees(reader: GitReader, drafts: Sequence[_Draft]) -> None:
    for draft in drafts:
        draft.pending.append(("", draft.revision.commit.tree))
    for _ in range(_MAX_DEPTH):
        wanted = list(dict.fromkeys(id for draft in drafts for _, id in draft.pending))
        if not wanted:
            return
        reader.ask(wanted, ())
        trees = reader.receive().trees
        for draft in drafts:
            pending, draft.pending = draft.pending, []
            for place, id in pending:
                draft.take(place, id, trees.get(id))


def _read_pointers(reader: GitReader, ids: Iterable[str], known: dict[str, Pointer]) -> None:
    wanted = [id for id in ids if id not in known]
    reader.ask((), wanted)
    for id, data in reader.receive().files.items():
        with suppress(GittrackError):
            known[id] = decode_pointer(data)

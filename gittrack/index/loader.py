"""Lays the runs that were found out as rows of segments, a bounded number of them at a time.

Records as gittrack writes them are read quickly; whatever is not, the strict decoder reads or refuses. Knows nothing
of how the rows are kept.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from .. import layout
from ..admission import find_parts_fault, find_run_fault
from ..canonical import decode_object
from ..errors import Corrupt, GittrackError
from ..frame import Block, SegmentBuilder
from ..history import History
from ..model import Pointer, Run
from ..pointer import decode_pointer
from .finding import Damage, Finding
from .listing import Listing
from .reader import ObjectReader, Objects, Tree
from .record import read_metrics, read_params, read_run, split_metrics
from .summaries import SummaryBatch

# So many runs are read together, fewer where they have many artifacts, and so many such chunks are under way at once.
_LONGEST_CHUNK = 128
_SHORTEST_CHUNK = 4
_MOST_ARTIFACTS = 20_000
_WINDOW = 3

_MOST_REMEMBERED = 20_000

# A segment is full with so many rows, or bytes of text and numbers: what is larger is made by merging, which takes less
# memory than building it does.
_MOST_ROWS = 16_384
_MOST_WEIGHT = 192 << 20

_JSON_FILES = (layout.RUN_FILE, layout.PARAMS_FILE, layout.SUMMARY_FILE)

Artifacts = dict[str, Pointer]


class Wanted(NamedTuple):
    """Trees and files, by id, that a chunk needs to go on."""

    trees: Sequence[str]
    files: Sequence[str]


Steps = Generator[Wanted, Objects, None]


class Loader:
    """Loads the trees of findings, and hands on what it has whenever a segment is full.

    `damages` collects the findings that no decoder could read.
    """

    def __init__(self, history: History, reader: ObjectReader, *, emit: Callable[[Block], None]) -> None:
        self._history = history
        self._reader = reader
        self._emit = emit
        self._builder = SegmentBuilder()
        self._environments: set[str] = set()
        self._pointers: dict[str, Pointer] = {}
        self._directories: dict[str, Tree] = {}
        self._most = _LONGEST_CHUNK
        self.damages: list[Damage] = []

    def load(self, findings: Sequence[Finding], *, advance: Callable[[int], None]) -> None:
        """Lay all findings out that can be read, about in their order.

        `advance` is told each time how many more are done.
        """
        underway: deque[tuple[Steps, int]] = deque()
        start = 0
        while True:
            while start < len(findings) and len(underway) < _WINDOW:
                chunk = findings[start : start + self._most]
                start += len(chunk)
                steps = self._load_chunk(chunk)
                self._reader.ask(*next(steps))
                underway.append((steps, len(chunk)))
            if not underway:
                break
            # The answers come in the order of the questions, so it is always the turn of whoever asked longest ago.
            steps, length = underway.popleft()
            try:
                self._reader.ask(*steps.send(self._reader.receive()))
            except StopIteration:
                advance(length)
            else:
                underway.append((steps, length))
        self._hand_on()

    def _load_chunk(self, findings: Sequence[Finding]) -> Steps:
        """Load some findings, in steps: each yields what is wanted to go on, and is sent what of it can be read."""
        objects = yield Wanted([finding.tree for finding in findings], ())
        trees = [objects.trees.get(finding.tree) for finding in findings]
        listing = Listing(trees)
        parts = {id for tree in trees if (id := _find_parts(tree)) is not None}
        known = self._recall(parts | listing.wanted)
        objects = yield Wanted(list((parts | listing.wanted) - known.keys()), self._list_files(trees))
        files = objects.files
        known.update(self._keep(objects.trees))
        good_parts = {id for id in parts if id in known and find_parts_fault(known[id]) is None}
        while listing.wanted:
            listing.descend(known)
            known = self._recall(listing.wanted)
            if len(known) < len(listing.wanted):
                objects = yield Wanted(list(listing.wanted - known.keys()), ())
                known.update(self._keep(objects.trees))
        pointers = {id: self._pointers[id] for id in listing.files if id in self._pointers}
        if len(pointers) < len(listing.files):
            objects = yield Wanted((), list(listing.files - pointers.keys()))
            pointers.update(self._read_pointers(objects.files))
        self._most = max(_SHORTEST_CHUNK, min(_LONGEST_CHUNK, _MOST_ARTIFACTS * len(findings) // (listing.count + 1)))
        plain = [
            tree if _find_parts(tree) in good_parts or (tree and layout.METRICS_DIRECTORY not in tree) else None
            for tree in trees
        ]
        self._lay_out(findings, plain, files, listing.resolve(pointers))

    def _list_files(self, trees: Iterable[Tree | None]) -> list[str]:
        """Return the ids of the JSON files of some runs, without environments that were found to be good."""
        wanted: dict[str, None] = {}
        for tree in trees:
            if tree is not None:
                wanted.update((tree[name].id, None) for name in _JSON_FILES if name in tree)
                environment = tree.get(layout.ENVIRONMENT_FILE)
                if environment is not None and environment.id not in self._environments:
                    wanted[environment.id] = None
        return list(wanted)

    def _recall(self, ids: set[str]) -> dict[str, Tree]:
        """Return those of some directories that were read before: runs share many of theirs."""
        return {id: self._directories[id] for id in ids if id in self._directories}

    def _keep(self, trees: dict[str, Tree]) -> dict[str, Tree]:
        _make_room(self._directories)
        self._directories.update(trees)
        return trees

    def _read_pointers(self, files: dict[str, bytes]) -> dict[str, Pointer]:
        pointers: dict[str, Pointer] = {}
        for id, data in files.items():
            with suppress(Corrupt):
                pointers[id] = decode_pointer(data)
        _make_room(self._pointers)
        self._pointers.update(pointers)
        return pointers

    def _lay_out(
        self,
        findings: Sequence[Finding],
        trees: Sequence[Tree | None],
        files: dict[str, bytes],
        artifacts: Sequence[Artifacts | None],
    ) -> None:
        """Add a row for each finding; one whose tree or artifacts are None is read strictly."""
        found = (
            files.get(tree[layout.SUMMARY_FILE].id) if tree and layout.SUMMARY_FILE in tree else None for tree in trees
        )
        summaries = SummaryBatch([None if data is None else split_metrics(data) for data in found])
        taken: list[tuple[int, int]] = []
        for number, (finding, tree, listed) in enumerate(zip(findings, trees, artifacts, strict=True)):
            split = summaries.lines[number] is not None
            if tree is None or listed is None or not self._add(finding, tree, files, listed, split=split):
                self._add_strictly(finding)
            elif split:
                taken.append((number, self._builder.height - 1))
            if self._builder.height >= _MOST_ROWS or self._builder.weight >= _MOST_WEIGHT:
                summaries.put(self._builder, taken)
                taken.clear()
                self._hand_on()
        summaries.put(self._builder, taken)

    def _hand_on(self) -> None:
        if self._builder.height:
            self._emit(self._builder.finish())
            self._builder = SegmentBuilder()

    def _add(self, finding: Finding, tree: Tree, files: dict[str, bytes], artifacts: Artifacts, *, split: bool) -> bool:
        """Add a row, if the run is plain to read, and tell whether it was; with `split`, its metrics come later."""

        def read(name: str) -> bytes | None:
            entry = tree.get(name)
            return b"{}" if entry is None else files.get(entry.id)

        if find_run_fault(tree) is not None:
            return False
        data, params_data = read(layout.RUN_FILE), read(layout.PARAMS_FILE)
        summary_data = b"{}" if split else read(layout.SUMMARY_FILE)
        if data is None or params_data is None or summary_data is None:
            return False
        commit_time = finding.order[1]
        run = read_run(data, commit=finding.commit, commit_time=commit_time, tree=finding.tree)
        params, metrics = read_params(params_data), read_metrics(summary_data)
        if run is None or params is None or metrics is None or not self._has_good_environment(tree, files):
            return False
        if (run.id, run.revision) != (finding.run_id, finding.order[0]):
            return False
        builder = self._builder
        if isinstance(run, Run):
            builder.add_run(run, commit=finding.commit, commit_time=commit_time, tree=finding.tree)
        else:
            builder.add_row(run.values, run.tags, weight=len(data))
        builder.add_params(params)
        for key, numbers in metrics.items():
            builder.add_metric(key, numbers)
        builder.add_artifacts(artifacts)
        return True

    def _has_good_environment(self, tree: Tree, files: dict[str, bytes]) -> bool:
        entry = tree.get(layout.ENVIRONMENT_FILE)
        if entry is None or entry.id in self._environments:
            return True
        try:
            decode_object(files[entry.id], where=layout.ENVIRONMENT_FILE)
        except (KeyError, Corrupt):
            return False
        _make_room(self._environments)
        self._environments.add(entry.id)
        return True

    def _add_strictly(self, finding: Finding) -> None:
        try:
            commit = self._history.store.get_commit(finding.commit)
            snapshot = self._history.load_snapshot(commit)
            if (snapshot.run.id, snapshot.run.revision) != (finding.run_id, finding.order[0]):
                raise Corrupt(
                    f"commit {finding.commit[:12]}: its message is about run {finding.run_id}, revision "
                    f"{finding.order[0]}, its {layout.RUN_FILE} about {snapshot.run.id}, {snapshot.run.revision}"
                )
        except GittrackError as error:
            self.damages.append(Damage.of(finding, error))
            return
        builder = self._builder
        builder.add_run(snapshot.run, commit=finding.commit, commit_time=finding.order[1], tree=finding.tree)
        builder.add_params(snapshot.params)
        builder.add_summary(snapshot.summary)
        builder.add_artifacts(snapshot.artifacts)


def _find_parts(tree: Tree | None) -> str | None:
    """Return the id of a run's directory of metric parts, if it has one."""
    entry = None if tree is None else tree.get(layout.METRICS_DIRECTORY)
    return None if entry is None else entry.id


def _make_room(known: set[str] | dict[str, Pointer] | dict[str, Tree]) -> None:
    """Forget what is known rather than let it grow without end."""
    if len(known) > _MOST_REMEMBERED:
        known.clear()


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no garbage be collected meanwhile: what is made here is made by the million, and forms no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

"""Lays the runs that were found out as rows of segments, a bounded number of them at a time.

Records as gittrack writes them are read quickly; whatever is not, the strict decoder reads or refuses. Knows nothing
of how the rows are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import layout
from ..admission import MAX_POINTER_SIZE, find_artifact_fault, find_parts_fault, find_run_fault
from ..canonical import decode_object
from ..errors import Corrupt, GittrackError
from ..frame import Block, SegmentBuilder
from ..history import MAX_ARTIFACT_DEPTH, History
from ..model import Pointer, Run
from ..pointer import decode_pointer
from ..store import TreeEntry
from .finding import Damage, Finding
from .reader import ObjectReader
from .record import read_metrics, read_params, read_run, split_metrics
from .summaries import SummaryBatch

_LONGEST_CHUNK = 2000
_SHORTEST_CHUNK = 16
_MOST_ARTIFACTS = 50_000
_MOST_DIRECTORY_ENTRIES = 200_000
_MOST_REMEMBERED = 20_000

# A segment is full with so many rows, or bytes of text and numbers.
_MOST_ROWS = 32_768
_MOST_WEIGHT = 192 << 20

# What is larger is read by itself, and no more than so much of a chunk is held at once.
_LARGEST_QUICK_FILE = 4 << 20
_MOST_CHUNK_BYTES = 128 << 20

_JSON_FILES = (layout.RUN_FILE, layout.PARAMS_FILE, layout.SUMMARY_FILE)

Artifacts = dict[str, Pointer]
Tree = dict[str, TreeEntry]


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
        self._artifacts_seen = 0
        self.damages: list[Damage] = []

    def load(self, findings: Sequence[Finding], *, advance: Callable[[int], None]) -> None:
        """Lay all findings out that can be read, in their order; `advance` is told each time how many more are done."""
        start, length = 0, _LONGEST_CHUNK // 4
        while start < len(findings):
            before = self._artifacts_seen
            chunk = findings[start : start + length]
            self._load_chunk(chunk)
            advance(len(chunk))
            start += len(chunk)
            artifacts = (self._artifacts_seen - before) / len(chunk)
            length = max(_SHORTEST_CHUNK, min(_LONGEST_CHUNK, int(_MOST_ARTIFACTS / (artifacts + 1))))
        self._hand_on()

    def _load_chunk(self, findings: Sequence[Finding]) -> None:
        trees = list(self._reader.read_trees([finding.tree for finding in findings]))
        files = self._read_files(trees)
        parts = self._check_parts(trees)
        artifacts = self._read_artifacts(trees)
        summaries = self._read_summaries(trees, files)
        taken: list[tuple[int, int]] = []
        for number, (finding, tree) in enumerate(zip(findings, trees, strict=True)):
            listed = artifacts[number]
            if (
                tree is None
                or listed is None
                or _find_directory(tree) not in parts
                or not self._add(finding, tree, files, listed, split=summaries.lines[number] is not None)
            ):
                self._add_strictly(finding)
            elif summaries.lines[number]:
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

    def _read_summaries(self, trees: Sequence[Tree | None], files: dict[str, bytes]) -> SummaryBatch:
        found = (
            files.get(tree[layout.SUMMARY_FILE].id) if tree and layout.SUMMARY_FILE in tree else None for tree in trees
        )
        return SummaryBatch([None if data is None else split_metrics(data) for data in found])

    def _read_files(self, trees: Sequence[Tree | None]) -> dict[str, bytes]:
        wanted: dict[str, None] = {}
        for tree in trees:
            if tree is None:
                continue
            wanted.update((tree[name].id, None) for name in _JSON_FILES if name in tree)
            environment = tree.get(layout.ENVIRONMENT_FILE)
            if environment is not None and environment.id not in self._environments:
                wanted[environment.id] = None
        ids, files, held = list(wanted), {}, 0
        for id, data in zip(ids, self._reader.read_blobs(ids, limit=_LARGEST_QUICK_FILE), strict=True):
            if data is not None and held + len(data) <= _MOST_CHUNK_BYTES:
                files[id] = data
                held += len(data)
        return files

    def _check_parts(self, trees: Sequence[Tree | None]) -> set[str | None]:
        """Return the ids of those directories of metric parts that are as they should be; None stands for no such."""
        wanted = {_find_directory(tree) for tree in trees}
        known = self._read_directories({id for id in wanted if id is not None})
        return {None, *(id for id, directory in known.items() if find_parts_fault(directory) is None)}

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
        _remember(self._environments)
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

    def _read_artifacts(self, trees: Sequence[Tree | None]) -> list[Artifacts | None]:
        """Return the artifacts of each run, None where not all are plain; level by level, so that few questions do."""
        entries: list[Tree | None] = [None if tree is None else {} for tree in trees]
        pending = [
            (number, "", tree[layout.ARTIFACTS_DIRECTORY].id)
            for number, tree in enumerate(trees)
            if tree is not None and layout.ARTIFACTS_DIRECTORY in tree
        ]
        depth, seen = 0, dict.fromkeys((number for number, _, _ in pending), 0)
        while pending:
            known = self._read_directories({id for _, _, id in pending})
            below: list[tuple[int, str, str]] = []
            for number, prefix, id in pending:
                directory, found = known.get(id), entries[number]
                seen[number] += 0 if directory is None else len(directory)
                if directory is None or depth > MAX_ARTIFACT_DEPTH or seen[number] > _MOST_DIRECTORY_ENTRIES:
                    entries[number] = None
                    continue
                for name, entry in directory.items() if found is not None else ():
                    if find_artifact_fault(prefix + name, entry) is not None:
                        entries[number] = None
                        break
                    if entry.is_tree:
                        below.append((number, f"{prefix}{name}/", entry.id))
                    elif found is not None:
                        found[prefix + name] = entry
            pending = [place for place in below if entries[place[0]] is not None]
            depth += 1
        self._artifacts_seen += sum(len(found) for found in entries if found)
        return self._resolve(entries)

    def _resolve(self, entries: Sequence[Tree | None]) -> list[Artifacts | None]:
        pointers = self._read_pointers({entry.id for found in entries if found for entry in found.values()})
        resolved: list[Artifacts | None] = []
        for found in entries:
            if found is None or not all(entry.id in pointers for entry in found.values()):
                resolved.append(None)
            else:
                resolved.append({path: pointers[entry.id] for path, entry in found.items()})
        return resolved

    def _read_directories(self, wanted: set[str]) -> dict[str, Tree]:
        _remember(self._directories)
        new = [id for id in wanted if id not in self._directories]
        for id, tree in zip(new, self._reader.read_trees(new), strict=True):
            if tree is not None:
                self._directories[id] = tree
        return {id: self._directories[id] for id in wanted if id in self._directories}

    def _read_pointers(self, wanted: set[str]) -> dict[str, Pointer]:
        _remember(self._pointers)
        new = [id for id in wanted if id not in self._pointers]
        for id, data in zip(new, self._reader.read_blobs(new, limit=MAX_POINTER_SIZE), strict=True):
            if data is not None:
                try:
                    self._pointers[id] = decode_pointer(data)
                except Corrupt:
                    continue
        return self._pointers


def _find_directory(tree: Tree | None) -> str | None:
    """Return the id of a run's directory of metric parts, if it has one."""
    entry = None if tree is None else tree.get(layout.METRICS_DIRECTORY)
    return None if entry is None else entry.id


def _remember(known: set[str] | dict[str, Pointer] | dict[str, Tree]) -> None:
    """Forget what is known rather than let it grow without end."""
    if len(known) > _MOST_REMEMBERED:
        known.clear()

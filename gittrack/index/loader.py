"""Lays the runs that were found out as rows of segments, a bounded number of them at a time.

Records as gittrack writes them are read quickly; whatever is not, the strict decoder reads or refuses. Knows nothing
of how the rows are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
from .record import read_metrics, read_params, read_run

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
        self._directories: dict[str, dict[str, TreeEntry]] = {}
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
        if self._builder.height:
            self._emit(self._builder.finish())
            self._builder = SegmentBuilder()

    def _load_chunk(self, findings: Sequence[Finding]) -> None:
        trees = dict(zip(findings, self._reader.read_trees([finding.tree for finding in findings]), strict=True))
        files = self._read_files(trees.values())
        parts = self._check_parts(trees.values())
        artifacts = self._read_artifacts(trees)
        for finding, tree in trees.items():
            if (
                tree is None
                or finding not in artifacts
                or _find_directory(tree) not in parts
                or not self._add(finding, tree, files, artifacts[finding])
            ):
                self._add_strictly(finding)
            if self._builder.height >= _MOST_ROWS or self._builder.weight >= _MOST_WEIGHT:
                self._emit(self._builder.finish())
                self._builder = SegmentBuilder()

    def _read_files(self, trees: Iterable[dict[str, TreeEntry] | None]) -> dict[str, bytes]:
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

    def _check_parts(self, trees: Iterable[dict[str, TreeEntry] | None]) -> set[str | None]:
        """Return the ids of those directories of metric parts that are as they should be; None stands for no such."""
        wanted = {_find_directory(tree) for tree in trees}
        known = self._read_directories({id for id in wanted if id is not None})
        return {None, *(id for id, directory in known.items() if find_parts_fault(directory) is None)}

    def _add(self, finding: Finding, tree: dict[str, TreeEntry], files: dict[str, bytes], artifacts: Artifacts) -> bool:
        """Add a row, if the run is plain to read, and tell whether it was."""

        def read(name: str) -> bytes | None:
            entry = tree.get(name)
            return b"{}" if entry is None else files.get(entry.id)

        if find_run_fault(tree) is not None:
            return False
        data, params_data, summary_data = (read(name) for name in _JSON_FILES)
        if data is None or params_data is None or summary_data is None:
            return False
        run = read_run(data, where=finding.commit)
        params, metrics = read_params(params_data), read_metrics(summary_data)
        if run is None or params is None or metrics is None or not self._has_good_environment(tree, files):
            return False
        if not _is_about(finding, run):
            return False
        builder = self._builder
        builder.add_run(run, commit=finding.commit, commit_time=finding.order[1], tree=finding.tree)
        builder.add_params(params)
        for key, numbers in metrics.items():
            builder.add_metric(key, numbers)
        builder.add_artifacts(artifacts)
        return True

    def _has_good_environment(self, tree: dict[str, TreeEntry], files: dict[str, bytes]) -> bool:
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
            if not _is_about(finding, snapshot.run):
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

    def _read_artifacts(self, trees: dict[Finding, dict[str, TreeEntry] | None]) -> dict[Finding, Artifacts]:
        """Return the artifacts of each run that has only plain ones; level by level, so that few questions do."""
        entries: dict[Finding, dict[str, TreeEntry]] = {}
        pending: list[tuple[Finding, str, str]] = []
        for finding, tree in trees.items():
            if tree is None:
                continue
            entries[finding] = {}
            if layout.ARTIFACTS_DIRECTORY in tree:
                pending.append((finding, "", tree[layout.ARTIFACTS_DIRECTORY].id))
        depth, seen = 0, dict.fromkeys(entries, 0)
        while pending:
            known = self._read_directories({id for _, _, id in pending})
            below: list[tuple[Finding, str, str]] = []
            for finding, prefix, id in pending:
                directory = known.get(id)
                seen[finding] += 0 if directory is None else len(directory)
                if directory is None or depth > MAX_ARTIFACT_DEPTH or seen[finding] > _MOST_DIRECTORY_ENTRIES:
                    entries.pop(finding, None)
                if directory is None or finding not in entries:
                    continue
                for name, entry in directory.items():
                    if find_artifact_fault(prefix + name, entry) is not None:
                        entries.pop(finding)
                        break
                    if entry.is_tree:
                        below.append((finding, f"{prefix}{name}/", entry.id))
                    else:
                        entries[finding][prefix + name] = entry
            pending = below
            depth += 1
        self._artifacts_seen += sum(map(len, entries.values()))
        return self._resolve(entries)

    def _resolve(self, entries: dict[Finding, dict[str, TreeEntry]]) -> dict[Finding, Artifacts]:
        pointers = self._read_pointers({entry.id for listed in entries.values() for entry in listed.values()})
        resolved: dict[Finding, Artifacts] = {}
        for finding, listed in entries.items():
            try:
                resolved[finding] = {path: pointers[entry.id] for path, entry in listed.items()}
            except KeyError:
                continue
        return resolved

    def _read_directories(self, wanted: set[str]) -> dict[str, dict[str, TreeEntry]]:
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


def _find_directory(tree: dict[str, TreeEntry] | None) -> str | None:
    """Return the id of a run's directory of metric parts, if it has one."""
    entry = None if tree is None else tree.get(layout.METRICS_DIRECTORY)
    return None if entry is None else entry.id


def _is_about(finding: Finding, run: Run) -> bool:
    return (run.id, run.revision) == (finding.run_id, finding.order[0])


def _remember(known: set[str] | dict[str, Pointer] | dict[str, dict[str, TreeEntry]]) -> None:
    """Forget what is known rather than let it grow without end."""
    if len(known) > _MOST_REMEMBERED:
        known.clear()

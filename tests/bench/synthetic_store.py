"""Owns writing invented runs as a store: a repository whose packs hold format-1 commits, made as fast as Python can.

The bytes are those of gittrack's own encoders; only the packing is done here, since recording a hundred thousand runs
one by one would take an hour. Every run has its own files, tree and commit; environments, attributes, the metric part
and the source trees are shared, as they are in a real sweep.
"""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from gittrack import layout
from gittrack.message import write_experiment_message, write_run_message
from gittrack.model import Snapshot
from gittrack.repository import Ident
from gittrack.snapshot import encode_experiment, encode_snapshot
from gittrack.store.encoding import (
    FILE_MODE,
    TREE_MODE,
    Kind,
    TreeEntry,
    format_commit,
    format_tree,
    hash_object,
)

from .scratch import make_repository, run_git
from .synthetic_runs import SOURCES, STEPS, edit_snapshot, make_experiment, make_snapshot

EDITED_EVERY = 50
AUTHOR = Ident("Bench", "bench@example.com")

_CHUNK = 2_500
_KINDS: dict[Kind, int] = {"commit": 1, "tree": 2, "blob": 3}


@dataclass(frozen=True)
class Staged:
    """A run that is written up to its tree: what its commit needs."""

    experiment: int
    tree: str
    time: int
    message: str


class PackWriter:
    """Writes objects into a new pack of a repository, each once and whole; the pack is there when the block ends."""

    def __init__(self, repository: Path, name: str) -> None:
        self._repository = repository
        self._path = repository / ".git" / "objects" / "pack" / f"tmp_{name}.pack"
        self._ids: set[str] = set()

    def __enter__(self) -> PackWriter:
        self._file: BinaryIO = self._path.open("w+b")
        self._file.write(bytes(12))
        return self

    def add(self, kind: Kind, data: bytes) -> str:
        """Write an object, unless this pack has it, and return its id."""
        id = hash_object(kind, data, "sha1")
        if id not in self._ids:
            self._ids.add(id)
            self._file.write(_write_head(_KINDS[kind], len(data)) + zlib.compress(data, 1))
        return id

    def add_tree(self, entries: dict[str, TreeEntry]) -> TreeEntry:
        """Write a tree and return it as an entry."""
        return TreeEntry(TREE_MODE, self.add("tree", format_tree(entries)))

    def add_file(self, data: bytes) -> TreeEntry:
        """Write a file and return it as an entry."""
        return TreeEntry(FILE_MODE, self.add("blob", data))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file as file:
            file.seek(0)
            file.write(struct.pack(">4sII", b"PACK", 2, len(self._ids)))
            file.seek(0)
            digest = hashlib.sha1(usedforsecurity=False)
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            file.write(digest.digest())
        pack = self._path.rename(self._path.with_name(f"pack-{digest.hexdigest()}.pack"))
        run_git(self._repository, "index-pack", str(pack))


def _write_head(kind: int, size: int) -> bytes:
    """Return the head of a pack entry, as gitformat-pack(5) has it."""
    head = [kind << 4 | size & 15]
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head)


_kept: dict[tuple[int, int], Path] = {}


def get_store(runs: int, *, experiments: int = 1, directory: Path | None = None) -> Path:
    """Return a store with so many runs, made once a process, or once in `directory` where one is given.

    Whoever asks must leave its commits and refs as they are. One without a directory of its own goes when Python ends.
    """
    wanted = (runs, experiments)
    if wanted not in _kept:
        above = directory or Path(tempfile.mkdtemp(prefix="gittrack-bench-"))
        if directory is None:
            atexit.register(shutil.rmtree, above, ignore_errors=True)
        place = above / f"store-{runs}-{experiments}"
        if not (place / "code" / ".git" / "packed-refs").exists():  # which is written last
            shutil.rmtree(place, ignore_errors=True)
            make_store(place / "code", runs=runs, experiments=experiments, processes=os.cpu_count() or 1)
        _kept[wanted] = place / "code"
    return _kept[wanted]


def make_store(directory: Path, *, runs: int, experiments: int = 1, processes: int = 1) -> Path:
    """Make a repository of code in directory whose experiments hold so many runs, and return it.

    A fiftieth of the runs is there in two revisions. One pack without deltas, with a commit graph, as `git gc` leaves
    it but for the deltas. With several processes they are forked: nothing else may be going on then.
    """
    repository = make_repository(directory.resolve(), files=3)
    sources = _write_shared(repository)
    chunks = [(repository, first, min(first + _CHUNK, runs), experiments, sources) for first in range(0, runs, _CHUNK)]
    if processes > 1:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            tips = _write_commits(repository, pool.map(_write_chunk, chunks), experiments)
    else:
        tips = _write_commits(repository, map(_write_chunk, chunks), experiments)
    for number, tip in enumerate(tips):
        run_git(repository, "update-ref", layout.branch_ref(make_experiment(number).slug), tip)
    run_git(repository, "repack", "-a", "-d", "-q", "--window=0")
    run_git(repository, "commit-graph", "write", "--reachable")
    run_git(repository, "pack-refs", "--all")
    return repository


@dataclass(frozen=True)
class _Shared:
    """What the runs have in common: their environment, the entry of `metrics/`, the source trees they stood on."""

    environment: TreeEntry
    metrics: TreeEntry
    sources: tuple[TreeEntry, ...]


def _write_shared(repository: Path) -> _Shared:
    with PackWriter(repository, "shared") as pack:
        sources = []
        for number in range(SOURCES):
            module = pack.add_file(f"LAYERS = {number}\n".encode() * 40)
            sources.append(pack.add_tree({"train.py": module, "README": pack.add_file(b"a model\n")}))
        name = Path(layout.part_path(1)).name
        environment = pack.add_file(encode_snapshot(make_snapshot(0))[layout.ENVIRONMENT_FILE])
        return _Shared(environment, pack.add_tree({name: pack.add_file(_encode_part())}), tuple(sources))


def _encode_part() -> bytes:
    from array import array

    from gittrack.series import Columns, build_table, encode_part

    steps = array("q", range(STEPS))
    timestamps = array("q", (1_700_000_000_000_000 + step * 50_000 for step in range(STEPS)))
    values = array("d", (1 / (1 + step) for step in range(STEPS)))
    return encode_part(build_table({"loss": Columns(steps, timestamps, values)}))


def _write_chunk(chunk: tuple[Path, int, int, int, _Shared]) -> list[Staged]:
    """Write the files and trees of some runs into a pack of their own, and return what their commits need."""
    repository, first, end, experiments, shared = chunk
    staged = []
    with PackWriter(repository, f"runs-{first}") as pack:
        for number in range(first, end):
            source = shared.sources[number % SOURCES]
            snapshot = make_snapshot(number, experiments=experiments, tree=source.id, part=layout.part_path(1))
            entries = {
                layout.ENVIRONMENT_FILE: shared.environment,
                layout.METRICS_DIRECTORY: shared.metrics,
                layout.SOURCE_DIRECTORY: source,
            }
            staged.append(_stage(pack, snapshot, number % experiments, entries))
            if number % EDITED_EVERY == 0:
                staged.append(_stage(pack, edit_snapshot(snapshot), number % experiments, entries))
    return staged


def _stage(pack: PackWriter, snapshot: Snapshot, experiment: int, shared: Mapping[str, TreeEntry]) -> Staged:
    entries = dict(shared)
    artifacts = {}
    files = encode_snapshot(replace(snapshot, environment={}))  # to encode it again would cost more than all else
    del files[layout.ENVIRONMENT_FILE]
    for path, data in files.items():
        above, _, name = path.rpartition("/")
        (artifacts if above else entries)[name] = pack.add_file(data)
    if artifacts:
        entries[layout.ARTIFACTS_DIRECTORY] = pack.add_tree(artifacts)
    ended = snapshot.run.ended or snapshot.run.started
    return Staged(experiment, pack.add_tree(entries).id, ended // 1_000_000, write_run_message(snapshot))


def _write_commits(repository: Path, chunks: Iterable[list[Staged]], experiments: int) -> list[str]:
    """Write the commits of all experiments, each a chain that begins with the experiment's record; return the tips."""
    with PackWriter(repository, "commits") as pack:
        tips, clocks = [], []
        for number in range(experiments):
            experiment = make_experiment(number)
            files = {path: pack.add_file(data) for path, data in encode_experiment(experiment).items()}
            clocks.append(experiment.created // 1_000_000)
            record = Staged(number, pack.add_tree(files).id, clocks[-1], write_experiment_message(experiment))
            tips.append(_write_commit(pack, record, (), clocks[-1]))
        for staged in _flatten(chunks):
            clock = clocks[staged.experiment] = max(clocks[staged.experiment], staged.time)
            tips[staged.experiment] = _write_commit(pack, staged, (tips[staged.experiment],), clock)
    return tips


def _flatten(chunks: Iterable[list[Staged]]) -> Iterator[Staged]:
    for chunk in chunks:
        yield from chunk


def _write_commit(pack: PackWriter, staged: Staged, parents: tuple[str, ...], time: int) -> str:
    return pack.add(
        "commit",
        format_commit(tree=staged.tree, parents=parents, author=AUTHOR, time=time, message=staged.message),
    )

"""Looks through what arrived from elsewhere before it is let in, and names the records that are not fit to be read.

A record that is not stays in the history, since the commits after it are built on it, but no reader shows its run: they
ask `admission` the same questions. Reads names, kinds and sizes, and no content but the lists an epoch begins with;
nothing of `source/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from .. import layout
from ..admission import (
    FILE_MODE,
    find_artifact_fault,
    find_experiment_fault,
    find_parts_fault,
    find_run_fault,
    find_size_fault,
)
from ..epoch import REDACTED_FILE, load_redacted
from ..errors import GittrackError
from ..git import Git
from ..history import History
from ..index.reader import GitReader
from ..message import EpochTrailers, ExperimentTrailers, RunTrailers, parse_epoch, parse_message
from ..store import Commit, Store, TreeEntry

_CHUNK = 2000
_MAX_ARTIFACTS = 100_000


@dataclass(frozen=True)
class Refused:
    """A record that is kept out: its commit, the run (or experiment) its message names, if any, and the reason."""

    commit: str
    name: str
    reason: str


@dataclass(frozen=True)
class Inspection:
    """What a look through new commits found: the ids of the runs they speak of, and what is kept out."""

    runs: frozenset[str]
    refused: tuple[Refused, ...]


@dataclass
class _Record:
    commit: Commit
    trailers: RunTrailers | ExperimentTrailers | EpochTrailers
    files: dict[str, TreeEntry]
    fault: str | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        if isinstance(self.trailers, EpochTrailers):
            return f"epoch {self.trailers.number}"
        return (
            self.trailers.name if isinstance(self.trailers, RunTrailers) else f"experiment {self.trailers.experiment}"
        )


def inspect(store: Store, git: Git, commits: Iterable[Commit]) -> Inspection:
    """Look through commits, a bounded number at a time; raises StoreFailed where git cannot read them."""
    runs: set[str] = set()
    refused: list[Refused] = []
    remaining = iter(commits)
    with GitReader(store) as reader:
        while chunk := list(islice(remaining, _CHUNK)):
            records = list(_read_messages(chunk, refused))
            runs.update(record.trailers.run_id for record in records if isinstance(record.trailers, RunTrailers))
            _check_trees(reader, records)
            if not store.repository.is_partial:  # to ask for the size of what is not here would fetch it
                _check_sizes(git, records)
            _check_lists(History(store), records)
            faults = [(found, found.fault) for found in records]
            refused += [Refused(found.commit.id, found.name, fault) for found, fault in faults if fault is not None]
    return Inspection(frozenset(runs), tuple(refused))


def read_trees(reader: GitReader, ids: Sequence[str]) -> dict[str, dict[str, TreeEntry]]:
    """Return what is directly in each tree that can be read, by its id."""
    if not ids:
        return {}
    reader.ask(ids, ())
    return reader.receive().trees


def _read_messages(commits: Sequence[Commit], refused: list[Refused]) -> Iterator[_Record]:
    for commit in commits:
        try:
            where = f"commit {commit.id[:12]}"
            trailers = parse_message(commit.message, where=where) or parse_epoch(commit.message, where=where)
        except GittrackError as error:
            refused.append(Refused(commit.id, "", error.message))
            continue
        if trailers is not None:
            yield _Record(commit, trailers, {})


def _check_trees(reader: GitReader, records: Sequence[_Record]) -> None:
    directories: list[tuple[_Record, str, str]] = []
    trees = read_trees(reader, [record.commit.tree for record in records])
    for record in records:
        tree = trees.get(record.commit.tree)
        if tree is None:
            record.fault = "its tree cannot be read"
        elif isinstance(record.trailers, ExperimentTrailers):
            record.fault = find_experiment_fault(tree)
        elif isinstance(record.trailers, EpochTrailers):
            record.fault = _find_epoch_fault(tree)
        else:
            record.fault = find_run_fault(tree)
        for name, entry in {} if tree is None or record.fault else tree.items():
            if not entry.is_tree:
                record.files[name] = entry
            elif name != layout.SOURCE_DIRECTORY:
                directories.append((record, name, entry.id))
    while directories:  # which ends, since the path of an artifact has only so many directories
        directories = list(_check_level(reader, directories))


def _check_level(
    reader: GitReader, directories: Sequence[tuple[_Record, str, str]]
) -> Iterator[tuple[_Record, str, str]]:
    """Look into some directories of records, and yield those that are in them."""
    trees = read_trees(reader, list(dict.fromkeys(id for _, _, id in directories)))
    for record, path, id in directories:
        tree = trees.get(id)
        if record.fault is not None:
            continue
        if tree is None:
            record.fault = f"{path} cannot be read"
        elif path == layout.METRICS_DIRECTORY:
            record.fault = find_parts_fault(tree)
        for name, entry in (tree or {}).items():
            place = f"{path}/{name}"
            if path.partition("/")[0] == layout.ARTIFACTS_DIRECTORY and record.fault is None:
                record.fault = find_artifact_fault(place[len(layout.ARTIFACTS_DIRECTORY) + 1 :], entry)
            if record.fault is None and len(record.files) > _MAX_ARTIFACTS:
                record.fault = f"it holds more than {_MAX_ARTIFACTS} files"
            if record.fault is not None:
                break
            if entry.is_tree:
                yield record, place, entry.id
            else:
                record.files[place] = entry


def _find_epoch_fault(tree: Mapping[str, TreeEntry]) -> str | None:
    good = layout.DROPPED_FILE in tree and tree.keys() <= {layout.DROPPED_FILE, REDACTED_FILE}
    if not good or any(entry.mode != FILE_MODE for entry in tree.values()):
        return f"it should hold files {layout.DROPPED_FILE} and {REDACTED_FILE}, and nothing else"
    return None


def _check_lists(history: History, records: Sequence[_Record]) -> None:
    """Read what epochs list as deleted and redacted: readers and all who follow them have to."""
    for record in records:
        if isinstance(record.trailers, EpochTrailers) and record.fault is None:
            try:
                history.load_dropped(record.commit)
                load_redacted(history, record.commit)
            except GittrackError as error:
                record.fault = error.message


def _check_sizes(git: Git, records: Sequence[_Record]) -> None:
    ids = dict.fromkeys(entry.id for record in records if record.fault is None for entry in record.files.values())
    sizes = dict(zip(ids, _read_sizes(git, list(ids)), strict=True))
    for record in records:
        for path, entry in {} if record.fault is not None else record.files.items():
            size = sizes[entry.id]
            record.fault = f"{path} is missing" if size is None else find_size_fault(path, size)
            if record.fault is not None:
                break


def _read_sizes(git: Git, ids: Sequence[str]) -> Iterator[int | None]:
    """Yield the size of each file, or None where there is no file of that id."""
    if not ids:
        return
    asked = "".join(f"{id}\n" for id in ids).encode()
    form = "--batch-check=%(objecttype) %(objectsize)"
    with git.answer("--no-replace-objects", "cat-file", form, "--buffer", input=asked) as answer:
        for _ in ids:
            kind, _, size = answer.stdout.readline().partition(b" ")
            yield int(size) if kind == b"blob" and size.strip().isdigit() else None

"""Writes runs straight onto branches, and reads every one of them back the slow way: what an index is held against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import frames
import pyarrow as pa
from conftest import git

from gittrack.errors import GittrackError
from gittrack.frame import RunRecord
from gittrack.history import History
from gittrack.index import Index, IndexedExperiment
from gittrack.model import Experiment, MetricSummary, Pointer, Run, Snapshot, Status
from gittrack.repository import Ident, find_repository
from gittrack.revision import Stamp, append_experiment, append_run, stage_snapshot
from gittrack.store import Commit, open_store

START = 1_700_000_000_000_000
AUTHOR = Ident("Test", "test@example.com")


@contextmanager
def open_history(directory: Path) -> Iterator[History]:
    """Open the history of a repository."""
    repository = find_repository(directory)
    assert repository is not None
    with open_store(repository) as store:
        yield History(store)


def make_snapshot(number: int, *, slug: str = "churn", revision: int = 1) -> Snapshot:
    """Return a small run, told from others by its number."""
    run = Run(
        id=f"{number:032x}",
        name=f"run-{number}",
        experiment=slug,
        revision=revision,
        status=Status.FINISHED,
        started=START + number * 1_000_000,
        ended=START + number * 1_000_000 + 5,
        tags={"stage": "dev"} if number % 2 else {},
        note=f"looked at {revision} times" if revision > 1 else "",
    )
    loss = MetricSummary(3, 1.0, 0, 1 / (number + revision), 2, 0.0, 1, 1.0, 0, 0.5)
    artifacts = {"model.pt": Pointer(f"{number:064x}", 5), "a/b.txt": Pointer("e" * 64, 7)} if number % 3 == 1 else {}
    return Snapshot(run, {"lr": number / 10, "seed": number}, {"loss": loss} if number % 5 else {}, artifacts)


def record(history: History, snapshot: Snapshot, *, time: int | None = None) -> Commit:
    """Put a revision of a run on its experiment's branch, at a time in microseconds."""
    when = START + snapshot.run.revision * 7_000_000 if time is None else time
    staged = stage_snapshot(history.store, snapshot, parts={}, source=None)
    return append_run(history, staged, Stamp(AUTHOR, when))


def record_many(directory: Path, numbers: range, *, slug: str = "churn") -> None:
    """Put one revision of each of some runs on a branch."""
    with open_history(directory) as history:
        for number in numbers:
            record(history, make_snapshot(number, slug=slug))


def edit_experiment(history: History, slug: str, *, removed: int | None, time: int = START) -> None:
    """Write the next record of an experiment."""

    def change(known: Experiment | None) -> Experiment:
        known = known or Experiment(slug, slug, revision=0)
        return replace(known, revision=known.revision + 1, removed=removed)

    append_experiment(history, slug, Stamp(AUTHOR, time), change=change)


@dataclass(frozen=True)
class Scanned:
    """All there is to know of an experiment, by reading every commit."""

    experiment: Experiment
    records: list[RunRecord]
    damaged: list[str]


def scan(history: History) -> dict[str, Scanned]:
    """Return every experiment with the run that speaks at each id, sorted by id, without any index."""
    history = History(history.store, history.namespace)  # it must not remember anything
    found = {}
    for branch in history.list_branches():
        records, damaged = [], [error.message for error in branch.damaged]
        for entry in branch.revisions:
            try:
                snapshot = history.load_snapshot(entry.commit)
            except GittrackError as error:
                damaged.append(error.message)
                continue
            records.append(
                RunRecord(
                    snapshot.run,
                    snapshot.params,
                    snapshot.summary,
                    snapshot.artifacts,
                    commit=entry.commit.id,
                    commit_time=entry.commit.time,
                    tree=entry.commit.tree,
                )
            )
        records.sort(key=lambda record: record.run.id)
        found[branch.slug] = Scanned(branch.experiment, records, sorted(damaged))
    return found


def check_experiment(found: IndexedExperiment, expected: Scanned) -> None:
    """Check every cell of an experiment's frame, its own record and its damages against a full reading."""
    frame = found.frame
    ids = frame.get_attribute("id").to_pylist()
    rows = sorted(frame.rows.to_pylist(), key=lambda row: ids[row])
    assert [ids[row] for row in rows] == [record.run.id for record in expected.records]
    frames.check(frame.take(pa.array(rows, pa.int64())), expected.records)
    assert found.experiment == expected.experiment
    assert sorted(error.message for error in found.damages) == expected.damaged
    for record in expected.records:
        row = found.find_row(record.run.id)
        assert row is not None
        assert ids[row] == record.run.id
        assert frame.visible[row].as_py()


def check_index(index: Index, history: History) -> None:
    """Check an index, brought up to date, against a full reading of the history."""
    expected = scan(history)
    found = {entry.slug: entry for entry in index.read()}
    assert list(found) == list(expected)
    for slug, entry in found.items():
        check_experiment(entry, expected[slug])
    frame = index.refresh()
    assert frame.count == sum(len(scanned.records) for scanned in expected.values())


def make_repository(directory: Path) -> Path:
    """Return a new repository with one commit in it."""
    directory.mkdir(parents=True)
    git(directory, "init", "-q")
    git(directory, "commit", "-q", "--allow-empty", "-m", "first")
    return directory

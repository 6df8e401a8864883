"""Clones of a hub for tests: repositories in which runs are recorded, edited and synced, and looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from conftest import git

from gittrack.model import Run, Snapshot, Status
from gittrack.repository import find_repository, read_config
from gittrack.revision import Stamp, append_run, stage_snapshot
from gittrack.series import Columns, SummaryBuilder, build_table, encode_part
from gittrack.settings import Settings
from gittrack.sync.fetching import Fetched, FetchReport, fetch
from gittrack.sync.link import Link
from gittrack.sync.pushing import Plan, Pushed, pull, push
from gittrack.tracker import Tracker
from gittrack.transport import find_remote

T = TypeVar("T")
SECOND = 1_000_000
START = 1_770_000_000 * SECOND


def approve(plans: Sequence[Plan]) -> None:
    """Agree to whatever is about to be pushed."""


class Clone:
    """One person's repository, with the hub as its remote `origin`. Every method stands on its own, like a command."""

    def __init__(self, directory: Path, hub: str) -> None:
        self.directory = directory
        self.clock = START
        directory.mkdir(parents=True)
        git(directory, "init", "-q")
        git(directory, "config", "user.name", directory.name)
        git(directory, "remote", "add", "origin", hub)

    @contextmanager
    def open(self) -> Iterator[Tracker]:
        """Open the store."""
        repository = find_repository(self.directory)
        assert repository is not None
        with Tracker(repository, Settings(), code=repository) as tracker:
            author = tracker.make_stamp(0).author
            tracker.make_stamp = lambda now: Stamp(author, self.tick())  # type: ignore[method-assign]
            yield tracker

    def link(self, tracker: Tracker, remote: str = "origin", purpose: str = "fetch") -> Link:
        """Return the way to a remote."""
        found = find_remote(remote, read_config(tracker.repository), why="a test")
        return Link(tracker.history, found, tracker.make_stamp(0).author, purpose)

    def tick(self) -> int:
        """Return a time one second after the last one, in UTC microseconds."""
        self.clock += SECOND
        return self.clock

    def record(
        self,
        run_id: str,
        *,
        experiment: str = "churn",
        name: str = "",
        params: Mapping[str, Any] | None = None,
        losses: Sequence[float] = (1.0, 0.5),
        source: str | None = None,
        **facts: Any,
    ) -> str:
        """Record a finished run with a metric, as a process would have; return its commit."""
        with self.open() as tracker:
            now = self.tick()
            run = Run(run_id, name or f"run-{run_id[:4]}", experiment, 1, Status.FINISHED, now, now + 5, **facts)
            return self._write(tracker, Snapshot(run, params or {}), losses, parts={}, source=source)

    def resume(self, run_id: str, losses: Sequence[float], **facts: Any) -> str:
        """Add points to a recorded run, as a process that resumed it would; return the commit."""
        with self.open() as tracker:
            found = tracker.get_run(run_id)
            commit = tracker.store.get_commit(found.commit or "")
            run = replace(found.snapshot.run, revision=found.revision + 1, ended=self.tick(), **facts)
            parts = tracker.history.find_parts(commit)
            snapshot = replace(found.snapshot, run=run)
            return self._write(tracker, snapshot, losses, parts=parts, source=None, previous=(commit.tree,))

    def _write(
        self,
        tracker: Tracker,
        snapshot: Snapshot,
        losses: Sequence[float],
        *,
        parts: Mapping[str, Any],
        source: str | None,
        previous: Sequence[str] = (),
    ) -> str:
        from array import array

        from gittrack.checkpoint import read_parts

        builder = SummaryBuilder()
        for table in read_parts(tracker.store, parts, metric=None):
            builder.add(table)
        known = builder.build().get("loss")
        start = 0 if known is None else known.last_step + 1
        steps = array("q", range(start, start + len(losses)))
        table = build_table({"loss": Columns(steps, array("q", [self.clock] * len(losses)), array("d", losses))})
        builder.add(table)
        everything = {**parts, f"metrics/{len(parts) + 1:04d}.parquet": encode_part(table)}
        snapshot = replace(snapshot, summary=builder.build())
        staged = stage_snapshot(tracker.store, snapshot, parts=everything, source=source, previous=previous)
        return append_run(tracker.history, staged, tracker.make_stamp(0)).id

    def edit(self, run_id: str, **changes: Any) -> None:
        """Change what is said about a run."""
        with self.open() as tracker:
            tracker.edit_run(run_id, **changes)

    def fetch(self, *slugs: str, remote: str = "origin") -> FetchReport:
        """Fetch."""
        with self.open() as tracker:
            return fetch(self.link(tracker, remote), slugs or None)

    def pull(self, *slugs: str, remote: str = "origin") -> tuple[tuple[Fetched, ...], dict[str, tuple[str, ...]]]:
        """Fetch and join."""
        with self.open() as tracker:
            return pull(self.link(tracker, remote, "pull"), slugs or None)

    def push(
        self,
        *slugs: str,
        remote: str = "origin",
        revive: bool = False,
        approve: Callable[[Sequence[Plan]], None] = approve,
    ) -> dict[str, Pushed]:
        """Push until it is in; what became of each experiment."""
        with self.open() as tracker:
            link = self.link(tracker, remote, "push")
            chosen = slugs or tuple(link.list_local())
            return {done.slug: done for done in push(link, chosen, approve=approve, revive=revive)}

    def look(self) -> dict[str, Any]:
        """Return all that is shown of every visible run, and of the experiments."""
        with self.open() as tracker:
            runs = {run.id: self.describe(run) for run in tracker.list_runs(removed=True)}
            experiments = [vars(entry) | {"tags": dict(entry.tags)} for entry in tracker.list_experiments(removed=True)]
            assert tracker.damaged == []
        return {"runs": runs, "experiments": experiments}

    @staticmethod
    def describe(run: Any) -> dict[str, Any]:
        """Return all that is shown of a run, but for which commit speaks for it."""
        facts = run.to_dict()
        del facts["commit"], facts["revision"]
        return facts | {"points": run.series().to_pylist() if run.summary else []}

    def tip(self, slug: str = "churn") -> str:
        """Return the tip of a local branch."""
        return git(self.directory, "rev-parse", f"refs/heads/gittrack/{slug}")


def tip_of(hub: Path, slug: str = "churn") -> str:
    """Return the tip of a branch of the hub."""
    return git(hub, "rev-parse", f"refs/heads/gittrack/{slug}")


def check_hub(hub: Path) -> None:
    """Fail unless everything in the hub is whole."""
    git(hub, "fsck", "--strict", "--full")


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Return once condition holds; fails the test where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def number_id(number: int) -> str:
    """Return a run id that reads as a number."""
    return f"{number:032x}"


def in_directory(directory: Path, action: Callable[[], T]) -> T:
    """Return what action returns when this process stands in directory."""
    before = os.getcwd()
    os.chdir(directory)
    try:
        return action()
    finally:
        os.chdir(before)

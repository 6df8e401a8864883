"""What reading gives: the handle of one recorded run.

Points and contents are read when asked for. Knows nothing of how a run is found or written.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from .canonical import format_time, spell_float
from .errors import NotFound
from .facts import RunFacts, make_facts
from .model import Failure, Input, MetricSummary, Pointer, Run, Scalar, Snapshot, SourceLink, Status
from .snapshot import run_record, summary_record

if TYPE_CHECKING:
    import pyarrow as pa


class RunReader(Protocol):
    """Where a run's points and contents come from: the store, or the journal of a live run."""

    def read_points(self, metric: str | None) -> pa.Table:
        """Return the points of all metrics, or the columns step, timestamp and value of one metric at least."""

    def find_content(self, pointer: Pointer) -> Path | None:
        """Return the local file that holds an artifact's content, if it is here."""

    def fetch_content(self, pointer: Pointer) -> Path | None:
        """Return that file when the content was fetched, None where nobody has it; raises RemoteFailed."""


class StoredRun:
    """A recorded run, as it stood when it was read.

    Times are UTC microseconds. `commit` is the commit that speaks for the run, None for a live run without one. `live`
    tells that a process is recording it right now.
    """

    def __init__(self, snapshot: Snapshot, reader: RunReader, *, commit: str | None, live: bool = False) -> None:
        self.commit = commit
        self.live = live
        self._facts = make_facts(snapshot.run, snapshot.params, snapshot.summary)
        self._whole: tuple[Snapshot, RunReader] | None = (snapshot, reader)
        self._load: Callable[[], StoredRun] | None = None

    @classmethod
    def of_facts(cls, facts: RunFacts, *, commit: str, load: Callable[[], StoredRun]) -> StoredRun:
        """Return the run of which these facts are known; `load` is called for whatever else it is asked."""
        run = cls.__new__(cls)
        run.commit, run.live, run._facts, run._whole, run._load = commit, False, facts, None, load
        return run

    @property
    def snapshot(self) -> Snapshot:
        """All that is known of the run but its points and contents.

        Raises Corrupt or NotFound where that cannot be read, as does everything below that says more of a run than a
        list of runs shows.
        """
        return self._get_whole()[0]

    @property
    def _reader(self) -> RunReader:
        return self._get_whole()[1]

    def _get_whole(self) -> tuple[Snapshot, RunReader]:
        if self._whole is None:
            assert self._load is not None
            self._whole = self._load()._get_whole()
        return self._whole

    @property
    def id(self) -> str:
        """The run's 32 hex digits."""
        return self._facts.id

    @property
    def name(self) -> str:
        """The run's human name, such as `brave-otter-41`."""
        return self._facts.name

    @property
    def experiment(self) -> str:
        """The slug of the run's experiment."""
        return self._facts.experiment

    @property
    def revision(self) -> int:
        """Which snapshot of the run this is, counted from 1."""
        return self._facts.revision

    @property
    def status(self) -> Status:
        """RUNNING, FINISHED, FAILED or KILLED."""
        return self._facts.status

    @property
    def started(self) -> int:
        """When the run began, in UTC microseconds."""
        return self._facts.started

    @property
    def ended(self) -> int | None:
        """When the run ended, in UTC microseconds; None while it runs."""
        return self._facts.ended

    @property
    def duration(self) -> int | None:
        """How long the run took, in microseconds; None while it runs."""
        return None if self.ended is None else self.ended - self.started

    @property
    def params(self) -> Mapping[str, Scalar]:
        """The run's inputs, typed."""
        return self._facts.params

    @property
    def summary(self) -> Mapping[str, MetricSummary]:
        """Per metric: count, first, last, min, max, mean, and the steps of first, last, min and max."""
        return self._facts.summary

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return {metric: summary.last for metric, summary in self.summary.items()}

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's tags."""
        return self._facts.tags

    @property
    def note(self) -> str:
        """The run's note, as written."""
        return self._facts.note

    @property
    def parent(self) -> str | None:
        """The id of the run this one is nested under, if any."""
        return self._facts.parent

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that ran, secrets replaced."""
        return self.snapshot.run.command

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The data files and directories the run read, with their digests."""
        return self.snapshot.run.inputs

    @property
    def failure(self) -> Failure | None:
        """The exception that ended the run, if one did."""
        return self.snapshot.run.failure

    @property
    def source(self) -> SourceLink:
        """The code that ran."""
        return self.snapshot.run.source

    @property
    def environment(self) -> Mapping[str, object]:
        """Python, platform, hardware and packages, JSON-ready."""
        return self.snapshot.environment

    @property
    def removed(self) -> int | None:
        """When the run was marked removed, in UTC microseconds, or None."""
        return self._facts.removed

    def with_run(self, run: Run) -> StoredRun:
        """Return the same run with other facts, such as an edit that waits in its journal."""
        return StoredRun(replace(self.snapshot, run=run), self._reader, commit=self.commit, live=self.live)

    def series(self, metric: str | None = None) -> pa.Table:
        """Return a metric's points as a table of step int64, timestamp (us, UTC) and value float64, sorted.

        Without `metric`, the points of all metrics, with a first column metric (dictionary<string>). Raises NotFound
        for a metric the run does not have.
        """
        if metric is not None and metric not in self.summary:
            known = ", ".join(sorted(self.summary)) or "none"
            raise NotFound(f"run {self.name} has no metric {metric!r} (it has: {known:.300})")
        table = self._reader.read_points(metric)
        return table if metric is None else table.select(["step", "timestamp", "value"])

    def artifacts(self) -> Mapping[str, Pointer]:
        """Return the run's artifacts: their paths, and the sha256 and size of each one's content."""
        return self.snapshot.artifacts

    def artifact_file(self, path: str) -> Path:
        """Return the local file with an artifact's content, to be read only; raises NotFound where it is not here."""
        pointer = self.snapshot.artifacts.get(path)
        if pointer is None:
            raise NotFound(f"run {self.name} has no artifact {path!r:.200}", hint=f"gittrack artifact ls {self.name}")
        file = self._reader.find_content(pointer)
        if file is None:
            raise NotFound(
                f"the content of artifact {path!r:.200} ({pointer.size} bytes, sha256 {pointer.oid[:12]}…) is not on "
                "this machine",
                hint=f"gittrack artifact get {self.name} {path}",
            )
        return file

    def open_artifact(self, path: str) -> BinaryIO:
        """Open an artifact's content for reading, as bytes.

        Content that is not here is fetched first from where it is kept for others. Raises NotFound where nobody has it,
        RemoteFailed where that cannot be asked.
        """
        pointer = self.snapshot.artifacts.get(path)
        if pointer is not None and self._reader.find_content(pointer) is None:
            self._reader.fetch_content(pointer)
        return self.artifact_file(path).open("rb")

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON-ready values: times as ISO 8601 UTC, non-finite numbers as "NaN" and the like."""
        record = run_record(self.snapshot.run)
        record.pop("format")
        record["commit"] = self.commit
        record["live"] = self.live
        record["duration"] = None if self.duration is None else self.duration / 1e6
        record["params"] = {
            key: spell_float(value) if isinstance(value, float) else value for key, value in sorted(self.params.items())
        }
        record["summary"] = {metric: summary_record(value) for metric, value in sorted(self.summary.items())}
        record["artifacts"] = {path: vars(pointer) for path, pointer in sorted(self.snapshot.artifacts.items())}
        record["environment"] = self.environment
        return record

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.id[:8]} {self.experiment} {self.status}>"

    def _repr_html_(self) -> str:
        facts = {"experiment": self.experiment, "status": str(self.status), "started": format_time(self.started)}
        sections = [_html_table(f"{self.name} ({self.id[:8]})", facts)]
        sections.append(_html_table("params", dict(sorted(self.params.items()))))
        sections.append(_html_table("metrics", dict(sorted(self.metrics.items()))))
        sections.append(_html_table("artifacts", {path: p.size for path, p in sorted(self.snapshot.artifacts.items())}))
        return "".join(section for section in sections if section)


def _html_table(caption: str, entries: Mapping[str, object]) -> str:
    if not entries:
        return ""
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{show_value(value)}</td></tr>" for key, value in entries.items()
    )
    return f"<table><caption>{html.escape(caption)}</caption>{rows}</table>"


def show_value(value: object) -> str:
    """Return a value as HTML."""
    return html.escape(f"{value:.6g}" if isinstance(value, float) else str(value))

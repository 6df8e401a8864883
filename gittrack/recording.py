"""A run that is being recorded: what the `run` of `with start_run() as run` can do.

Checks what it is given at once; a fault of the tracker itself (full disk, permissions) warns once and never stops the
training. Knows nothing of which run is active, signals or process exit: `recorder` owns those.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, SupportsFloat

from . import checkpoint, layout
from .canonical import read_timestamp
from .draft import (
    artifact_event,
    attributes_event,
    base_event,
    check_artifact,
    check_params,
    describe_base,
    end_event,
    failure_event,
    incomplete_event,
    input_event,
    output_event,
    params_event,
    scrubbed_event,
    tags_event,
)
from .errors import Conflict, InvalidInput, StoreFailed
from .inputs import describe_input
from .journal import is_live, sync_points
from .labels import check_note, make_tags
from .model import Fact, Failure, Input, Pointer, Snapshot, Status
from .params import flatten_params
from .run_artifacts import ArtifactRecorder
from .sink import DroppedMetrics, MetricSink, MetricValues, RefusedMetrics

if TYPE_CHECKING:
    from .content import ContentStore
    from .draft import Draft, Event
    from .journal import JournalWriter
    from .scrub import Scrubber
    from .tracker import Tracker


class TrackingWarning(UserWarning):
    """The tracker failed to record something; training goes on and the run is marked incomplete."""


class ActiveRun(ArtifactRecorder):
    """A run being recorded. Safe for threads and for forked children.

    The process that started the run owns it: ending it there commits it. In a process that joined it, ending only
    leaves. As a context manager it ends FINISHED, or FAILED with the traceback kept, or KILLED when interrupted.
    """

    def __init__(
        self,
        journal: JournalWriter | None,
        *,
        run_id: str,
        name: str,
        experiment: str,
        owner: bool,
        scrubber: Scrubber,
        open_tracker: Callable[[], AbstractContextManager[Tracker]],
        on_end: Callable[[ActiveRun], None],
    ) -> None:
        self.id = run_id
        self.name = name
        self.experiment = experiment
        self.owner = owner
        self.ended = False
        self.terminated = False
        self.error_at_start: object = None
        self._journal = journal
        self.scrubber = scrubber
        self._open_tracker = open_tracker
        self._on_end = on_end
        self._previous: checkpoint.Previous | None = None
        self._warned = False
        self._commit_lock = threading.RLock()
        self._sink: MetricSink = journal or DroppedMetrics()

    def __repr__(self) -> str:
        return f"<ActiveRun {self.name} {self.id[:8]} {self.experiment}{' (ended)' if self.ended else ''}>"

    def log(self, metrics: MetricValues, *, step: int | None = None, timestamp: int | datetime | None = None) -> None:
        """Record one point of each metric, at one step and time; it survives `kill -9` once this returns.

        Values are anything float() takes but text; NaN and infinities are kept. `step` is one more than the last of the
        same metrics where it is None, from 0. `timestamp` is UTC microseconds or an aware datetime, now where it is
        None. Raises InvalidInput, with nothing recorded, for a value that is no number or a name over 250 characters,
        empty or with control characters; Conflict after the run's end.
        """
        try:
            self._sink.log(metrics, step, timestamp if timestamp is None else read_timestamp(timestamp))
        except OSError as error:
            self.report_fault("metrics", error)
        except (TypeError, AttributeError):
            if isinstance(metrics, Mapping):
                raise
            raise InvalidInput(
                f"metrics must be a mapping of names to numbers, not {type(metrics).__name__}",
                hint='run.log({"loss": 0.5})',
            ) from None

    log_metrics = log

    def log_metric(
        self,
        key: str,
        value: SupportsFloat,
        *,
        step: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> None:
        """Record one point of one metric, as `log` does."""
        try:
            self._sink.log_one(key, value, step, timestamp if timestamp is None else read_timestamp(timestamp))
        except OSError as error:
            self.report_fault("metrics", error)

    def log_param(self, key: str, value: object) -> None:
        """Set a param, once: the same value again is fine, another raises Conflict."""
        self.log_params({key: value})

    def log_params(self, params: object) -> None:
        """Set params from a mapping (nested ones are joined with dots), a dataclass or an argparse Namespace.

        All or none: raises Conflict where one is set already to something else, InvalidInput for a bad name or value.
        """
        flat = {key: self.scrubber.value(key, value, where="params") for key, value in flatten_params(params).items()}
        if not flat:
            return

        def decide(draft: Draft) -> Event | None:
            new = check_params(draft, flat)
            return params_event(new) if new else None

        self._decide(decide)

    def set_tag(self, key: str, value: object) -> None:
        """Set a tag; a later value replaces an earlier one."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; values become text. Raises InvalidInput for a bad name."""
        texts = {key: self.scrubber.value(key, text, where="tags") for key, text in make_tags(tags).items()}
        if texts:
            self._append(tags_event(texts))

    def set_note(self, text: str) -> None:
        """Set the run's note, replacing what it was."""
        check_note(text)
        self._append(attributes_event(note=self.scrubber.text(text, where="note")))

    def log_input(self, data: object, *, name: str | None = None, context: str = "") -> None:
        """Record data that the run reads: a path, a URL, or a table or an array in memory; nothing is copied.

        Kept are a digest, the size, and where it lives; data that DVC or Git LFS tracks need not be here. Of `s3://`
        and `http(s)://` the server is asked for seconds at most, and a warning says where it does not answer. Equal
        data has equal digests. Raises NotFound where there is no such file, InvalidInput for what is no data.
        """
        self._check_open()
        with self._guard("input"):
            entry = describe_input(data, name=name, context=context, warn=self._warn_of_input)
            self._append(input_event(self._clean_input(entry)))

    def _warn_of_input(self, text: str) -> None:
        warnings.warn(self.scrubber.text(text), TrackingWarning, stacklevel=5)

    def _clean_input(self, entry: Input) -> Input:
        def clean(value: Fact) -> Fact:
            return self.scrubber.text(value, where="inputs") if isinstance(value, str) else value

        name, context = (self.scrubber.text(text, where="inputs") for text in (entry.name, entry.context))
        path = self.scrubber.url(entry.path, where="inputs")
        facts = tuple((key, clean(value)) for key, value in entry.facts)
        return replace(entry, name=name, path=path, context=context, facts=facts)

    def keep_output(self, path: str, file: str) -> None:
        """Say that `file` in the journal's directory becomes the artifact `path` when the run ends, however it ends."""
        self._append(output_event(layout.check_artifact_path(path), file))

    @property
    def journal_directory(self) -> Path | None:
        """Where the run is kept until it is committed; None where the tracker could not start."""
        return self._journal.directory if self._journal else None

    def checkpoint(self) -> None:
        """Commit what is there so far as a revision with status RUNNING; only new points are written.

        Durable when it returns. A fault of the store warns, and the run goes on.
        """
        self._check_open()
        try:
            self._commit()
        except (OSError, StoreFailed) as error:
            warnings.warn(
                f"gittrack could not commit a checkpoint of run {self.name}: {error}. The run goes on.",
                TrackingWarning,
                stacklevel=2,
            )

    def fail(self, error: BaseException) -> None:
        """Keep an exception, with its traceback, as what ended the run."""
        message = _spell_error(error)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        clean = self.scrubber.text
        failure = Failure(type(error).__name__, clean(message, where="failure"), clean(text, where="failure"))
        self._append(failure_event(failure))

    def end(self, status: str | Status = Status.FINISHED, *, exit_code: int | None = None) -> None:
        """End the run and commit it; durable when it returns. Ending it again does nothing.

        Raises InvalidInput for a status other than FINISHED, FAILED and KILLED. Where the store cannot be written
        now, this warns and the next gittrack command commits the run from its journal.
        """
        status = _final_status(status)
        if exit_code is not None and type(exit_code) is not int:
            raise InvalidInput(f"an exit code is a whole number, not {exit_code!r:.60}")
        with self._commit_lock:
            if self.ended:
                return
            self.ended = True
            self._sink = RefusedMetrics(self.refuse)
            try:
                self._finish(status, exit_code)
            except (OSError, StoreFailed) as error:
                warnings.warn(
                    f"gittrack could not commit run {self.name} now: {error}. Nothing of it is lost: the next gittrack "
                    "command commits it.",
                    TrackingWarning,
                    stacklevel=2,
                )
            finally:
                self._on_end(self)

    def continue_from(self, commit: str, base: Snapshot) -> None:
        """Continue another revision than the run was resumed from: one that somebody committed at the same moment."""
        if self._journal is not None:
            self._journal.append(base_event(commit), *describe_base(base), tags_event(base.run.tags))

    def discard(self) -> None:
        """Drop a run that could not be started as asked: a new journal is deleted, somebody else's is left."""
        self.ended = True
        self._sink = RefusedMetrics(self.refuse)
        self._on_end(self)
        if self._journal is not None:
            if self.owner:
                self._journal.delete()
            self._journal.close()

    def after_fork(self) -> None:
        """In a forked child, become a process that joined: the parent's files and locks are let go of untouched."""
        self.owner = False
        self._commit_lock = threading.RLock()
        if not self.ended and self._journal is not None:
            self._journal.after_fork()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and error.code in (0, None) and not self.terminated):
            self.end(Status.FINISHED)
        elif self.terminated or isinstance(error, KeyboardInterrupt):
            self.end(Status.KILLED)
        else:
            if not self.ended:
                self.fail(error)
            self.end(Status.FAILED)

    def _finish(self, status: Status, exit_code: int | None) -> None:
        journal = self._journal
        if journal is None:
            return
        try:
            self._report_scrubbed()
            if self.owner:
                sync_points(journal.directory)
                journal.append(end_event(status, time=time_ns() // 1000, exit_code=exit_code))
                with self._open_tracker() as tracker:
                    checkpoint.keep_outputs(tracker.content, journal.directory, journal.refresh(), log=journal.events)
                    if self._commit_last(tracker, journal):
                        checkpoint.release_source(tracker.history, journal.draft)
                        journal.delete()
                    tracker.push_later(self.experiment)
                    tracker.pack()
            ended = journal.refresh().ended
        finally:
            journal.close()
        # Whoever leaves last settles what processes that joined wrote after the owner's end.
        if ended and journal.directory.exists() and not is_live(journal.directory):
            with self._open_tracker() as tracker:
                tracker.recover()

    def _commit(self) -> None:
        self._report_scrubbed()
        with self._commit_lock, self._open_tracker() as tracker:
            self._commit_with(tracker)

    def _commit_last(self, tracker: Tracker, journal: JournalWriter) -> bool:
        """Commit the run, and tell whether nobody else can write any more, so that the journal can go."""
        if journal.try_own():
            self._commit_draft(tracker, journal)
            return True
        self._commit_with(tracker)
        if not journal.try_own():
            return False
        # What others did while that was committed still counts.
        if not checkpoint.is_settled(tracker.history, journal.directory, journal.refresh(), self._previous):
            self._commit_draft(tracker, journal)
        return True

    def _commit_with(self, tracker: Tracker) -> None:
        journal = self._journal
        if journal is not None:
            with journal.hold_commits():
                self._commit_draft(tracker, journal)

    def _commit_draft(self, tracker: Tracker, journal: JournalWriter) -> None:
        """Commit what there is; nobody else may commit this run meanwhile."""
        draft = journal.refresh()
        known = self._previous.intent if self._previous else None
        if known is None or draft.intents[-1:] != [known]:  # another process has committed, or nobody yet
            self._previous = checkpoint.find_previous(tracker.history, draft)
        self._previous = checkpoint.commit_draft(
            tracker.history,
            journal.directory,
            draft,
            previous=self._previous,
            stamp=tracker.make_stamp(time_ns() // 1000),
            log=journal.events,
        )

    def _report_scrubbed(self) -> None:
        journal = self._journal
        if journal is not None and self.scrubber.scrubbed:
            journal.append(scrubbed_event(self.scrubber.scrubbed))

    def _keep(self, path: str, put: Callable[[ContentStore], Pointer]) -> None:
        def decide(draft: Draft) -> Event:
            check_artifact(draft, path)
            return artifact_event(path, pointer)

        self._check_open()
        with self._guard(f"artifact {path}"):
            journal = self._journal
            if journal is not None:
                with journal.content.hold():
                    pointer = put(journal.content)
                    journal.decide(decide)

    def _append(self, event: Event) -> None:
        self._check_open()
        with self._guard(str(event["kind"])):
            if self._journal is not None:
                self._journal.append(event)

    def _decide(self, decide: Callable[[Draft], Event | None]) -> None:
        self._check_open()
        with self._guard("params"):
            if self._journal is not None:
                self._journal.decide(decide)

    def _check_open(self) -> None:
        if self.ended:
            self.refuse()

    def refuse(self) -> None:
        """Raise the Conflict that recording after the run's end gets."""
        raise Conflict(
            f"run {self.name} has ended; nothing more can be recorded in it",
            hint=f'gittrack.start_run(run_id="{self.id}")',
        )

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, StoreFailed) as error:
            self.report_fault(what, error)

    def report_fault(self, what: str, error: Exception) -> None:
        """Say once, loudly, that recording failed, and note it in the run if that is still possible."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"gittrack could not record {what} of run {self.name}: {error}. Training goes on; the run is marked "
                "incomplete.",
                TrackingWarning,
                stacklevel=4,
            )
            if self._journal is not None:
                try:
                    self._journal.append(incomplete_event(f"{what}: {error}"))
                except OSError:
                    return


def _spell_error(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"(a {type(error).__name__} that cannot be written as text)"


def _final_status(status: str | Status) -> Status:
    known = {"FINISHED": Status.FINISHED, "FAILED": Status.FAILED, "KILLED": Status.KILLED}
    try:
        return known[str(status).upper()]
    except KeyError:
        raise InvalidInput(f"a run ends FINISHED, FAILED or KILLED, not {status!r:.60}") from None

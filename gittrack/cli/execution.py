"""One command being run and recorded: what is recorded of it, and what its ending means for the run.

A fault of the tracker is said, and never stops the command or changes its exit code. Knows nothing of which command it
is and why.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .. import layout
from ..errors import Conflict, GittrackError, InvalidInput, NotFound, StoreFailed, Unsupported
from ..model import Scalar, SourceLink, Status
from ..params import flatten_params
from ..place import find_place
from ..recorder import start_run
from ..recording import ActiveRun
from .amounts import format_duration
from .faults import say_faults
from .output import OutputFile
from .process import CommandUnusable, Ending, leave_outer_run, run_command
from .session import Session
from .signals import SignalRelay
from .values import read_metrics_file, read_params_file
from .variables import EXPERIMENT_VARIABLE, RUN_ID_VARIABLE, STORE_VARIABLE, UNTRACKED_VARIABLE

OUTPUT = "output.log"

# The exit statuses by which a shell says that a signal stopped what it ran.
_STOPPED_CODES = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, 9, signal.SIGTERM)}


@dataclass(frozen=True)
class Repetition:
    """What is known of a command that repeats a run: that run's id, its code, and the directory to run in.

    `params` are recorded at the end of a run that finished, where the command has not set them itself. `variables` are
    added to its environment. Its output goes to standard error.
    """

    run_id: str
    source: SourceLink
    directory: Path
    params: Mapping[str, Scalar]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """What the command line asks to record beside the command itself."""

    experiment: str | None
    name: str | None
    params: dict[str, Scalar]
    tags: dict[str, str]
    note: str | None
    params_file: Path | None
    metrics_file: Path | None
    repeats: Repetition | None = None


class Execution:
    """One command being run and recorded."""

    def __init__(self, session: Session, request: Request, *, quiet: bool) -> None:
        self._session = session
        self._request = request
        self._quiet = quiet
        self.run: ActiveRun | None = None

    def execute(self, program: str, command: tuple[str, ...]) -> Ending:
        """Start a run, run the command, record how it ended, and return that."""
        with say_faults(self._warn):
            run = self.run = self._start(command)
            try:
                # From here on no signal ends this process before the command has ended and is recorded.
                with SignalRelay() as relay:
                    directory = None if run is None else run.journal_directory
                    if run is None or directory is None:
                        if self._request.repeats is not None:
                            raise StoreFailed("nothing was run: what came of it could not be recorded")
                        return run_command(
                            program, command, variables={UNTRACKED_VARIABLE: "1"}, keep=None, relay=relay
                        )
                    return self._execute_tracked(run, directory, program, command, relay=relay)
            finally:
                if run is not None:
                    self._attempt(lambda: run.end(Status.KILLED))  # does nothing where the run has ended

    def _start(self, command: tuple[str, ...]) -> ActiveRun | None:
        """Return the run, or None where the tracker is at fault.

        What the user can mend is raised: nothing has begun, so nothing is lost.
        """
        request = self._request
        repeats = request.repeats
        outer = leave_outer_run()
        try:
            return start_run(
                request.experiment,
                name=request.name,
                params=request.params,
                tags=request.tags,
                note=request.note,
                parent=outer if outer is not None and layout.is_run_id(outer) else None,
                store=self._session.store,
                command=command,
                reproduces=None if repeats is None else repeats.run_id,
                source=None if repeats is None else repeats.source,
            )
        except (NotFound, InvalidInput, Conflict, Unsupported):
            raise
        except Exception as error:
            self._warn(f"gittrack could not start a run: {error}. The command runs, and nothing of it is recorded.")
            return None

    def _execute_tracked(
        self, run: ActiveRun, directory: Path, program: str, command: tuple[str, ...], *, relay: SignalRelay
    ) -> Ending:
        variables = {
            RUN_ID_VARIABLE: run.id,
            STORE_VARIABLE: str(find_place(self._session.store).repository.directory),
            EXPERIMENT_VARIABLE: run.experiment,
        }
        repeats = self._request.repeats
        variables.update({} if repeats is None else repeats.variables)
        old_metrics = _identify(self._request.metrics_file)
        self._attempt(lambda: run.keep_output(OUTPUT, OUTPUT))
        output = OutputFile(directory / OUTPUT, run.scrubber, where=f"artifacts.{OUTPUT}")
        began = time.monotonic()
        try:
            with _standing_in(None if repeats is None else repeats.directory):
                ending = run_command(
                    program, command, variables=variables, keep=output.write, relay=relay, aside=repeats is not None
                )
        except CommandUnusable as error:
            code = error.exit_code
            self._attempt(lambda: run.end(Status.FAILED, exit_code=code))
            raise
        finally:
            output.close()
        seconds = time.monotonic() - began
        if output.fault is not None:
            self._warn(f"of the output, only the beginning is kept: {output.fault}")
            run.report_fault(OUTPUT, output.fault)
        if ending.held:
            self._note("something that the command left running still prints; that is not kept any more")
        self._record_files(run, old_metrics)
        status = judge_ending(ending, stopped_by=relay.stopped_by)
        if repeats is not None and status is Status.FINISHED:
            self._complete_params(run, repeats.params)
        self._attempt(lambda: run.end(status, exit_code=ending.code))
        self._say_end(run, status, seconds)
        return ending

    def _record_files(self, run: ActiveRun, old_metrics: object) -> None:
        params, metrics = self._request.params_file, self._request.metrics_file
        if params is not None:
            self._attempt(lambda: self._record_params(run, params))
        if metrics is not None and old_metrics is not None and _identify(metrics) == old_metrics:
            self._warn(f"left out: the metrics in {metrics} are older than this run; the command did not write them")
        elif metrics is not None:
            self._attempt(lambda: _record_metrics(run, metrics))

    def _record_params(self, run: ActiveRun, file: Path) -> None:
        """Record a file's params; one that was given another value already keeps that one."""
        for name, value in flatten_params(read_params_file(file)).items():
            try:
                run.log_param(name, value)
            except Conflict as error:
                self._warn(f"{file}: {error.message}")

    def _complete_params(self, run: ActiveRun, params: Mapping[str, Scalar]) -> None:
        """Record those params that the command itself has not set: they were given beside it."""
        for name, value in params.items():
            with contextlib.suppress(Conflict):
                self._attempt(partial(run.log_param, name, value), passing=(Conflict,))

    def _attempt(self, record: Callable[[], None], *, passing: tuple[type[GittrackError], ...] = ()) -> None:
        """Do a part of the recording; where it fails, say so and go on, but for the errors that are to pass."""
        try:
            record()
        except passing:
            raise
        except GittrackError as error:
            self._warn(f"not recorded: {error.message}", hint=error.hint)
        except Exception as error:
            self._warn(f"not recorded: {type(error).__name__}: {error}")

    def _say_end(self, run: ActiveRun, status: Status, seconds: float) -> None:
        took = format_duration(round(seconds * 1_000_000))
        # A name that somebody chose may have been chosen before; a made-up one is as good as unique.
        ref = run.name if self._request.name is None else run.id[:8]
        self._note(f"run {run.name} {status} in {took} ({run.id[:8]}): gittrack show {ref}")

    def _note(self, text: str) -> None:
        if not self._quiet:
            with _survive_closed_error():
                self._session.terminal.note(text)

    def _warn(self, text: str, *, hint: str | None = None) -> None:
        with _survive_closed_error():
            self._session.terminal.warn(text, hint=hint)


def judge_ending(ending: Ending, *, stopped_by: int | None) -> Status:
    """Return the status of a run whose command ended so; `stopped_by` is a signal that asked it to stop, if any.

    A command that ends with 0 has finished, even if it was asked to. One that a signal ended, by its own account or
    that of a shell in between, or that ends with another status after it was asked to, was killed.
    """
    if ending.code == 0:
        return Status.FINISHED
    if ending.signal is not None or stopped_by is not None or ending.code in _STOPPED_CODES:
        return Status.KILLED
    return Status.FAILED


def _record_metrics(run: ActiveRun, file: Path) -> None:
    for step, values in read_metrics_file(file):
        run.log(values, step=step)


def _identify(file: Path | None) -> tuple[int, ...] | None:
    """Return what changes when a file is written, or None where there is no such file."""
    try:
        found = None if file is None else file.stat()
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@contextlib.contextmanager
def _standing_in(directory: Path | None) -> Iterator[None]:
    """Stand in another directory meanwhile: what is started then stands there too."""
    before = os.getcwd() if directory is not None else ""
    if directory is not None:
        os.chdir(directory)
    try:
        yield
    finally:
        if directory is not None:
            os.chdir(before)


@contextlib.contextmanager
def _survive_closed_error() -> Iterator[None]:
    """Let a reader of standard error that went away change nothing, this process's exit code included."""
    try:
        yield
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

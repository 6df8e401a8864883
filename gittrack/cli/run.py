"""`gittrack run`: records a command in any language as a run, and ends as the command ends.

Decides what is recorded of a command, and what its ending means for the run. A fault of the tracker is said, and never
stops the command or changes its exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from .. import layout
from ..errors import Conflict, GittrackError, InvalidInput, NotFound, Unsupported
from ..model import Scalar, Status
from ..params import flatten_params
from ..place import find_place
from ..recorder import start_run
from ..recording import ActiveRun
from .amounts import format_duration
from .command import Command, complete_experiment, pass_session
from .faults import say_faults
from .output import OutputFile
from .process import CommandUnusable, Ending, end_like, find_command, leave_outer_run, run_command
from .session import Session
from .signals import SignalRelay
from .terminal import Terminal
from .values import find_command_params, parse_params, read_metrics_file, read_params_file, split_assignments
from .variables import EXPERIMENT_VARIABLE, RUN_ID_VARIABLE, STORE_VARIABLE, UNTRACKED_VARIABLE

OUTPUT = "output.log"

# The exit statuses by which a shell says that a signal stopped what it ran.
_STOPPED_CODES = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, 9, signal.SIGTERM)}

_HELP = """Run a command and record it as a run.

The command's output passes through as it comes and is kept as the artifact output.log. Its exit code, and the signals
on the way to it, pass through as well. It sees GITTRACK_RUN_ID: start_run() in a Python program joins the run, and
`gittrack record` adds to it from any other.

Options after the command's name are the command's own.

Values are typed: 3, 0.1, 1e-4, true, null and nan are what they look like, "1.10" in quotes is text.
"""


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


@click.command(
    "run",
    cls=Command,
    help=_HELP,
    short_help="Run a command and record it as a run.",
    context_settings={"allow_interspersed_args": False},
    examples=(
        "gittrack run -- python train.py --lr 0.1",
        "gittrack run -e churn -p lr=0.1 --metrics-file metrics.json -- ./train.sh",
        "gittrack run --params-from-args -- Rscript fit.R --trees 500",
    ),
)
@click.option(
    "-e",
    "--experiment",
    metavar="EXPERIMENT",
    shell_complete=complete_experiment,
    help="The experiment that the run belongs to; created where it is new.",
)
@click.option("-n", "--name", metavar="NAME", help="The run's name, instead of a made-up one.")
@click.option("-p", "--param", "params", metavar="NAME=VALUE", multiple=True, help="A param; may be repeated.")
@click.option("-t", "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="A tag; may be repeated.")
@click.option("--note", metavar="TEXT", help="A note.")
@click.option(
    "--params-from-args",
    is_flag=True,
    help="Make params of the command's own --name value, --name=value, --name and name=value.",
)
@click.option(
    "--params-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Params in JSON, YAML or TOML, read when the command has ended.",
)
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Metrics in JSON, JSON Lines, YAML or TOML that the command writes, read when it has ended.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings.")
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def run(
    session: Session,
    experiment: str | None,
    name: str | None,
    params: tuple[str, ...],
    tags: tuple[str, ...],
    note: str | None,
    params_from_args: bool,
    params_file: Path | None,
    metrics_file: Path | None,
    quiet: bool,
    command: tuple[str, ...],
) -> None:
    """Record a command; this process then ends as the command did."""
    program = find_command(command[0])
    given = _find_params(command, session.terminal) if params_from_args else {}
    given.update(parse_params(params))
    request = Request(
        experiment=experiment,
        name=name,
        params=given,
        tags=split_assignments(tags),
        note=note,
        params_file=params_file,
        metrics_file=metrics_file,
    )
    end_like(_Execution(session, request, quiet=quiet).execute(program, command))


def _find_params(command: Sequence[str], terminal: Terminal) -> dict[str, Scalar]:
    """Return those params of a command's own words that a run can take; the others must not stop it."""
    found: dict[str, Scalar] = {}
    for name, value in find_command_params(command).items():
        try:
            found.update(flatten_params({name: value}))
        except InvalidInput as error:
            terminal.warn(f"left out of the params: {error.message}")
    return found


class _Execution:
    """One command being run and recorded."""

    def __init__(self, session: Session, request: Request, *, quiet: bool) -> None:
        self._session = session
        self._request = request
        self._quiet = quiet

    def execute(self, program: str, command: tuple[str, ...]) -> Ending:
        """Start a run, run the command, record how it ended, and return that."""
        with say_faults(self._warn):
            run = self._start(command)
            try:
                # From here on no signal ends this process before the command has ended and is recorded.
                with SignalRelay() as relay:
                    directory = None if run is None else run.journal_directory
                    if run is None or directory is None:
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
        old_metrics = _identify(self._request.metrics_file)
        self._attempt(lambda: run.keep_output(OUTPUT, OUTPUT))
        output = OutputFile(directory / OUTPUT, run.scrubber, where=f"artifacts.{OUTPUT}")
        began = time.monotonic()
        try:
            ending = run_command(program, command, variables=variables, keep=output.write, relay=relay)
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

    def _attempt(self, record: Callable[[], None]) -> None:
        """Do a part of the recording; where it fails, say so and go on."""
        try:
            record()
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
def _survive_closed_error() -> Iterator[None]:
    """Let a reader of standard error that went away change nothing, this process's exit code included."""
    try:
        yield
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

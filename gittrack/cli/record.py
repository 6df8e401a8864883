"""`gittrack record`: lets a shell script, or a program in any language, add to the run that it is part of.

Each call joins the live run, writes and leaves; many at once are safe. Imports little, as a script may call it often.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from .. import layout
from ..errors import Conflict, NotFound, StoreFailed
from ..recorder import join_run
from ..recording import ActiveRun
from .command import CommandGroup, F, complete_run, pass_session
from .faults import say_faults
from .session import Session
from .values import parse_number, parse_params, split_assignments
from .variables import RUN_ID_VARIABLE, UNTRACKED_VARIABLE

# A value may begin with a minus sign.
_VALUES = {"ignore_unknown_options": True}


_GROUP_HELP = """Record metrics, params, tags, files or data inside a run.

For shell scripts and programs in any language that `gittrack run` runs: the run is the one that GITTRACK_RUN_ID names,
unless --run names another one that is being recorded.
"""


@click.group(
    "record",
    cls=CommandGroup,
    help=_GROUP_HELP,
    short_help="Record metrics, params, tags, files or data inside a run.",
)
def record() -> None:
    """Record something from inside a run."""


def _run_option(command: F) -> F:
    """Declare which run is meant: `ref`, and `untracked` where the command runs unrecorded."""
    untracked = click.option("--untracked", is_flag=True, envvar=UNTRACKED_VARIABLE, hidden=True)
    run = click.option(
        "--run",
        "ref",
        metavar="RUN",
        envvar=RUN_ID_VARIABLE,
        shell_complete=complete_run,
        help="The run, which some process is recording right now; by default the one this is part of.",
    )
    return run(untracked(command))


@record.command("metric", context_settings=_VALUES, short_help="Record a value of one or several metrics.")
@click.option(
    "--step", type=int, metavar="N", help="The step; without it, one more than the last of these metrics, from 0."
)
@click.argument("words", metavar="NAME VALUE | NAME=VALUE...", nargs=-1, required=True)
@_run_option
@pass_session
def metric(session: Session, words: tuple[str, ...], step: int | None, ref: str | None, untracked: bool) -> None:
    """Record a value of one or several metrics.

    Without --step, the calls of several processes are numbered one after the other; points that a Python program
    records beside them are not counted any more after the first such call.
    """
    texts = split_assignments(_join_pair(words))
    values = {name: parse_number(name, text) for name, text in texts.items()}
    for name in values:
        layout.check_key(name, kind="metric")
    with _join(session, ref, untracked=untracked) as run:
        directory = None if run is None else run.journal_directory
        if run is None or directory is None:
            return
        from .steps import note_step, take_step

        if step is not None:
            run.log(values, step=step)
            note_step(directory, values, step)
        else:
            with take_step(directory, values) as next_step:
                run.log(values, step=next_step)


@record.command("param", context_settings=_VALUES, short_help="Set params, each once.")
@click.argument("words", metavar="NAME VALUE | NAME=VALUE...", nargs=-1, required=True)
@_run_option
@pass_session
def param(session: Session, words: tuple[str, ...], ref: str | None, untracked: bool) -> None:
    """Set params, each once. Values are typed as `gittrack run -p` has them."""
    params = parse_params(_join_pair(words))
    with _join(session, ref, untracked=untracked) as run:
        if run is not None:
            run.log_params(params)


@record.command("tag", context_settings=_VALUES, short_help="Set tags.")
@click.argument("words", metavar="NAME VALUE | NAME=VALUE...", nargs=-1, required=True)
@_run_option
@pass_session
def tag(session: Session, words: tuple[str, ...], ref: str | None, untracked: bool) -> None:
    """Set tags; a later value replaces an earlier one."""
    tags = split_assignments(_join_pair(words))
    with _join(session, ref, untracked=untracked) as run:
        if run is not None:
            run.set_tags(tags)


@record.command("artifact", short_help="Keep a file or directory.")
@click.option("--as", "name", metavar="NAME", help="Keep it under this name.")
@click.option("--dir", "directory", metavar="DIR", default="", help="Keep it below this directory of the artifacts.")
@click.argument("path", type=click.Path(path_type=Path))
@_run_option
@pass_session
def artifact(session: Session, path: Path, name: str | None, directory: str, ref: str | None, untracked: bool) -> None:
    """Keep a file, or a directory with everything in it. The content is copied now."""
    with _join(session, ref, untracked=untracked) as run:
        if run is not None:
            run.log_artifact(path, directory, name=name)


@record.command("input", short_help="Record data that the run reads.")
@click.option("--name", metavar="NAME", help="What the data is called, by default the last part of its path or URL.")
@click.option("--context", metavar="TEXT", default="", help="What it is for, such as training.")
@click.argument("data", metavar="PATH|URL")
@_run_option
@pass_session
def data_input(session: Session, data: str, name: str | None, context: str, ref: str | None, untracked: bool) -> None:
    """Record data that the run reads, by digest and size: a file, a directory, or an s3:// or http(s):// URL.

    Nothing is copied. Of what DVC or Git LFS tracks their digest is taken, also where the data itself is not here.
    """
    with _join(session, ref, untracked=untracked) as run:
        if run is not None:
            run.log_input(data, name=name, context=context)


@record.command("note", short_help="Set the note.")
@click.argument("words", metavar="TEXT...", nargs=-1, required=True)
@_run_option
@pass_session
def note(session: Session, words: tuple[str, ...], ref: str | None, untracked: bool) -> None:
    """Set the run's note, replacing what it was; several words are joined with spaces."""
    with _join(session, ref, untracked=untracked) as run:
        if run is not None:
            run.set_note(" ".join(words))


@contextlib.contextmanager
def _join(session: Session, ref: str | None, *, untracked: bool) -> Iterator[ActiveRun | None]:
    """Give the live run that is meant, and leave it afterwards.

    None where nothing is recorded of the command that this is part of, or where the run cannot be written to: that is
    said, and is no error, for it must not end a script.
    """
    if untracked:
        yield None
        return
    if not ref:
        raise Conflict(f"no run to record into: {RUN_ID_VARIABLE} is not set", hint="gittrack run -- COMMAND")
    warn = session.terminal.warn
    with say_faults(warn):
        run = None
        try:
            run = join_run(ref if layout.is_run_id(ref) else _find_id(session, ref), store=session.store)
        except (OSError, StoreFailed) as error:
            warn(f"not recorded: {error}")
        try:
            yield run
        except (OSError, StoreFailed) as error:
            warn(f"not recorded: {error}")
        finally:
            if run is not None:
                run.end()


def _find_id(session: Session, ref: str) -> str:
    with session.open_tracker(recover=False) as tracker:
        found = tracker.get_run(ref)
    if not found.live:
        raise NotFound(f"run {found.name} has ended: no process records it any more", hint="gittrack ls")
    return found.id


def _join_pair(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return assignments, also where there is one that was written as two words."""
    return (f"{words[0]}={words[1]}",) if len(words) == 2 and "=" not in words[0] else words

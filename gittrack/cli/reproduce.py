"""The `reproduce` command: a recorded run is shown, run again in a fresh directory, recorded and judged."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import Conflict, Corrupt, InvalidInput
from ..model import Scalar, SourceLink
from ..reproduction import Requirements, find_changed_files, find_inputs, find_requirements, link_data
from .amounts import count
from .command import Command, json_option, pass_session, run_argument
from .execution import Execution, Repetition, Request
from .failure import NotReproduced
from .judgement import judge_runs, judgement_record, render_judgement
from .packages import EnvironmentKind, Installer, find_installer, make_environment, make_variables
from .preview import Preparation, find_unknown_words, render_preview
from .process import end_like, find_command, hide_secrets
from .session import Session
from .signals import STOP_SIGNALS
from .values import parse_value, replace_command_params, split_assignments

if TYPE_CHECKING:
    from ..checkout import CheckedOut
    from ..stored_run import StoredRun
    from ..tracker import Tracker

_PYTHON = re.compile(r"python[0-9.]*")

_HELP = """Run a recorded run again, and compare its metrics.

The run's source goes into a fresh directory, which is removed at the end. First is shown what will run: source,
command, environment, data, secrets; nothing of the run is executed before you agree to that. What comes of it is a new
run that says which one it reproduces. Then every metric is compared, point by point, and where they differ, the
likeliest cause is named.

Data that the run read in your working tree, and that is not part of the source, is linked into the directory. A command
behind -- is run in place of the recorded one.
"""


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    kind: EnvironmentKind
    params: dict[str, str]
    links: tuple[str, ...]
    without: frozenset[str]
    command: tuple[str, ...]


@click.command(
    "reproduce",
    cls=Command,
    help=_HELP,
    short_help="Run a recorded run again, and compare its metrics.",
    context_settings={"allow_interspersed_args": True},
    examples=(
        "gittrack reproduce latest",
        "gittrack reproduce brave-otter-41 --env venv --tolerance 1e-3 --yes",
        "gittrack reproduce latest --param lr=0.2",
        "gittrack reproduce latest -- python train.py --api-key KEY",
    ),
)
@run_argument()
@click.option(
    "--env",
    "kind",
    type=click.Choice(["uv", "venv", "current", "none"]),
    default="current",
    show_default=True,
    help="Install the recorded packages by uv or venv, or use what is there; none does not even compare it.",
)
@click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="Another value for what the command says.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    help="How far a metric may be off, relative to its largest value.",
)
@click.option("--link", "links", metavar="PATH", multiple=True, help="Link PATH of your working tree in as well.")
@click.option("--without", metavar="PACKAGE", multiple=True, help="Do not install PACKAGE, with --env uv or venv.")
@click.option(
    "--directory", metavar="DIR", type=click.Path(path_type=Path), help="Run in DIR, which must be new, and keep it."
)
@click.option("--metrics-file", metavar="FILE", type=click.Path(path_type=Path), help="As of gittrack run.")
@click.option("--params-file", metavar="FILE", type=click.Path(path_type=Path), help="As of gittrack run.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option()
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@pass_session
def reproduce(
    session: Session,
    run: str,
    kind: EnvironmentKind,
    params: tuple[str, ...],
    tolerance: float,
    links: tuple[str, ...],
    without: tuple[str, ...],
    directory: Path | None,
    metrics_file: Path | None,
    params_file: Path | None,
    yes: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Run a recorded run again and judge what came of it."""
    wishes = Wishes(kind, split_assignments(params), links, frozenset(without), command)
    with _make_place() as place:
        with session.open_tracker() as tracker:
            found = tracker.get_run(run)
            prepared = _prepare(tracker, found, wishes, directory or place / "source")
            original = _find_original(tracker, found)
            session.terminal.explain(render_preview(prepared, session.terminal.error_screen))
        try:
            _ask(session, prepared, yes=yes)
        except BaseException:
            shutil.rmtree(prepared.done.directory, ignore_errors=True)
            raise
        link_data(prepared.inputs, links, directory=prepared.directory, original=original)
        installer = prepared.installer
        programs = None if installer is None else make_environment(installer, prepared.needed, place / "env")
        request = _make_request(prepared, wishes, programs, files=(params_file, metrics_file))
        program = _find_program(prepared.words[0], prepared.directory, programs)
        execution = Execution(session, request, quiet=False)
        ending = execution.execute(program, prepared.words)
    if ending.signal in STOP_SIGNALS or execution.run is None:
        end_like(ending)
    else:
        _judge(session, found.id, execution.run.id, tolerance, as_json=as_json)


@contextlib.contextmanager
def _make_place() -> Iterator[Path]:
    """Lend a directory for all that is needed meanwhile, outside of any repository."""
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="gittrack-")))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _prepare(tracker: Tracker, run: StoredRun, wishes: Wishes, target: Path) -> Preparation:
    if run.live:
        raise Conflict(f"run {run.name} has not ended yet", hint=f"gittrack watch {run.id[:8]}")
    words = wishes.command or run.command
    if not words:
        raise InvalidInput(
            f"run {run.name} has no command that could be run again", hint=f"gittrack reproduce {run.id[:8]} -- COMMAND"
        )
    words = replace_command_params(words, wishes.params)
    needed = find_requirements(run.environment, without=wishes.without)
    installer = find_installer(wishes.kind, needed)
    done = tracker.checkout_source(run, target)
    try:
        return _look_around(tracker, run, wishes, done, words=words, installer=installer, needed=needed)
    except BaseException:
        shutil.rmtree(done.directory, ignore_errors=True)
        raise


def _look_around(
    tracker: Tracker,
    run: StoredRun,
    wishes: Wishes,
    done: CheckedOut,
    *,
    words: tuple[str, ...],
    installer: Installer | None,
    needed: Requirements,
) -> Preparation:
    """Find out all that is to be shown of a run whose source was written."""
    directory = _find_directory(done.directory, run.source)
    words = _settle_words(words, directory, installer)
    found = find_inputs(run.inputs, directory=directory, root=done.directory, original=_find_original(tracker, run))
    return Preparation(
        run=run,
        done=done,
        directory=directory,
        words=words,
        shown=hide_secrets(words),
        program=_find_program(words[0], directory, None) if installer is None else "",
        changed=find_changed_files(tracker.store, run.source, done.plan.tree),
        inputs=found,
        links=wishes.links,
        needed=needed,
        installer=installer,
        compares=wishes.kind != "none",
    )


def _find_directory(root: Path, source: SourceLink) -> Path:
    """Return the directory of the source tree that the command stood in; it may have been an empty one."""
    directory = Path(os.path.realpath(root / source.directory.replace("\0", "/..")))
    if "\0" in source.directory or not directory.is_relative_to(os.path.realpath(root)):
        raise Corrupt(f"the run's directory is not one of its source: {source.directory!r:.200}")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _find_original(tracker: Tracker, run: StoredRun) -> Path | None:
    """Return where the user's working tree has the directory that the command stood in."""
    worktree = None if tracker.code is None else tracker.code.worktree
    return None if worktree is None else Path(os.path.normpath(worktree / run.source.directory))


def _settle_words(words: tuple[str, ...], directory: Path, installer: Installer | None) -> tuple[str, ...]:
    """Return a command whose Python is one that will be there: by its bare name where its path was another machine's.

    Python looks for its packages by the name that it is called by, so that this is more than a matter of words.
    """
    word = words[0]
    name = os.path.basename(word)
    if _PYTHON.fullmatch(name) is None:
        return words
    if installer is not None:
        return (name, *words[1:])
    if os.path.dirname(word) and os.path.lexists(directory / word):
        return words
    return (name if shutil.which(name) else sys.executable, *words[1:])


def _find_program(word: str, directory: Path, programs: Path | None) -> str:
    """Return what the first word of a command means in a directory; raises CommandUnusable where it is nothing."""
    if programs is not None and not os.path.dirname(word):
        for name in [word, "python"] if _PYTHON.fullmatch(word) else [word]:
            if os.access(programs / name, os.X_OK):
                return str(programs / name)
    return find_command(str(directory / word) if os.path.dirname(word) else word)


def _ask(session: Session, prepared: Preparation, *, yes: bool) -> None:
    """Return when somebody has agreed to run what was shown; raises Conflict where nobody has, or a secret lacks."""
    again = f"gittrack reproduce {prepared.run.id[:8]}"
    unknown = find_unknown_words(prepared.words)
    if unknown:
        raise Conflict(
            f"nothing was run: {count(len(unknown), 'word')} of the command held a secret, which was not recorded",
            hint=f"{again} --param NAME=VALUE  # or the whole command behind --",
        )
    if yes:
        return
    if not (session.terminal.error_screen.interactive and sys.stdin.isatty()):
        raise Conflict("nothing was run: that has to be agreed to first", hint=f"{again} --yes")
    if not click.confirm("Run this? It is somebody's program, and can do what you can", err=True):
        raise Conflict("nothing was run", hint=again)


def _make_request(
    prepared: Preparation, wishes: Wishes, programs: Path | None, *, files: Sequence[Path | None]
) -> Request:
    run = prepared.run
    params: dict[str, Scalar] = dict(run.params)
    for name, text in wishes.params.items():
        known = next((key for key in run.params if key.replace("-", "_") == name.replace("-", "_")), name)
        params[known] = parse_value(text)
    params_file, metrics_file = (None if file is None else prepared.directory / file for file in files)
    return Request(
        experiment=run.experiment,
        name=None,
        params={},
        tags={},
        note=None,
        params_file=params_file,
        metrics_file=metrics_file,
        repeats=Repetition(
            run_id=run.id,
            source=replace(run.source, tree=prepared.done.plan.tree),
            directory=prepared.directory,
            params=params,
            variables=make_variables(programs),
        ),
    )


def _judge(session: Session, old: str, new: str, tolerance: float, *, as_json: bool) -> None:
    with session.open_tracker() as tracker:
        judgement = judge_runs(tracker.get_run(old), tracker.get_run(new), tolerance=tolerance)
    if as_json:
        session.write_json("reproduction", judgement_record(judgement))
    else:
        session.terminal.write(render_judgement(judgement, session.terminal.screen))
    if judgement.verdict in ("off", "failed"):
        raise NotReproduced

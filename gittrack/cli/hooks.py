"""The `hooks` commands: put gittrack into Git's hooks, take it out, say how that stands; and what the hooks call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import GittrackError
from .amounts import count
from .command import CommandGroup, json_option, pass_session
from .failure import REFUSED
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean

if TYPE_CHECKING:
    from ..hook.installation import Hook, HooksDirectory
    from .terminal import Screen

_STATES = {
    "installed": "installed",
    "outdated": "installed by another gittrack or Python",
    "missing": "not installed",
    "foreign": "not gittrack's",
}


def render_hooks(hooks: Sequence[Hook], screen: Screen) -> list[str]:
    """Return hooks as a table."""
    columns = [
        Column("HOOK", tuple(Cell(hook.name, "key") for hook in hooks)),
        Column("STATE", tuple(Cell(_STATES[hook.state]) for hook in hooks), rank=1, least=8),
        Column("", tuple(Cell("runs the one before it first" if hook.kept else "", "dim") for hook in hooks), rank=2),
    ]
    return lay_out(columns, screen).lines


@click.group("hooks", cls=CommandGroup, no_args_is_help=True)
def hooks() -> None:
    """Install, remove or show Git's hooks that gittrack has.

    pre-commit refuses what no run vouches for (gittrack check), prepare-commit-msg names the run in the message,
    post-commit reminds of a commit without one, pre-push pushes the runs that the pushed commits name.
    """


@hooks.command("install", examples=("gittrack hooks install", "gittrack hooks install --shared"))
@click.option("--shared", is_flag=True, help="Also where other repositories use the same hooks.")
@pass_session
def install(session: Session, shared: bool) -> None:
    """Install the hooks; those that are there already are kept, and run first."""
    from ..hook.installation import KEPT
    from ..hook.installation import install as install_hooks

    directory = _find_directory()
    written = install_hooks(directory, shared=shared)
    if not written:
        session.terminal.note(f"all hooks are in {directory.path} already")
        return
    session.terminal.note(f"{count(len(written), 'hook')} written to {directory.path} ({directory.why})")
    kept = [hook.name for hook in written if hook.kept]
    if kept:
        session.terminal.note(f"{', '.join(kept)} was there before: it is kept as *{KEPT}, and runs first")


@hooks.command("uninstall", examples=("gittrack hooks uninstall",))
@pass_session
def uninstall(session: Session) -> None:
    """Remove the hooks, and put back what was there before."""
    from ..hook.installation import uninstall as uninstall_hooks

    directory = _find_directory()
    changed = uninstall_hooks(directory)
    back = [hook.name for hook in changed if hook.kept]
    said = f"{count(len(changed), 'hook')} taken out of {directory.path}" if changed else "no hook of gittrack is here"
    session.terminal.note(f"{said}; back is: {', '.join(back)}" if back else said)


@hooks.command("status", examples=("gittrack hooks status", "gittrack hooks status --json"))
@json_option()
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Show which hooks are installed, and where."""
    from ..hook.installation import list_hooks

    directory = _find_directory()
    found = list_hooks(directory.path)
    if as_json:
        records = [{"name": hook.name, "state": hook.state, "kept": hook.kept} for hook in found]
        session.write_json("hooks", records, directory=str(directory.path), why=directory.why, shared=directory.shared)
        return
    session.terminal.write(render_hooks(found, session.terminal.screen))
    if any(hook.state in ("missing", "outdated") for hook in found):
        session.terminal.hint("gittrack hooks install")


@hooks.command("run", hidden=True, examples=("gittrack hooks run pre-commit",))
@click.argument("name")
@click.argument("words", nargs=-1)
@pass_session
def run(session: Session, name: str, words: tuple[str, ...]) -> int:
    """Run gittrack's part of a hook, as git calls it."""
    from ..hook.installation import check_name

    if check_name(name) == "pre-commit":
        return _run_check(session)
    try:
        if name == "prepare-commit-msg":
            _sign(session, *words)
        elif name == "post-commit":
            _remind(session)
        elif name == "pre-push":
            _push(session, *words)
    except GittrackError as error:  # git goes on all the same
        session.terminal.warn(f"{name}: {error.message}", hint=error.hint)
    return 0


def _find_directory() -> HooksDirectory:
    from ..hook.installation import find_directory
    from ..repository import get_current_directory, get_repository

    return find_directory(get_repository(get_current_directory()))


def _run_check(session: Session) -> int:
    from .check import run_check

    return 0 if run_check(session, quiet=True).passes else REFUSED


def _sign(session: Session, file: str = "", source: str = "", *_: str) -> None:
    from ..git import find_hook_variables
    from ..hook.duties import sign_message
    from ..repository import get_current_directory, get_repository

    opener = partial(session.open_tracker, recover=False)
    code = get_repository(get_current_directory())
    sign_message(code, opener, Path(file), source=source, environ=find_hook_variables(), now=session.now)


def _remind(session: Session) -> None:
    from ..hook.duties import review_commit
    from ..repository import get_current_directory, get_repository
    from .verdict import say_paths, suggest_command

    code = get_repository(get_current_directory())
    verdict = review_commit(code, partial(session.open_tracker, recover=False))
    if verdict is not None and not verdict.passes:
        session.terminal.warn(
            f"no run vouches for this commit's {say_paths(verdict.changed)}; one that is logged before the audit does",
            hint=suggest_command(verdict),
        )


def _push(session: Session, remote: str = "", address: str = "", *_rest: str) -> None:
    """Push the experiments that pushed commits speak of, if that was agreed to; asks nobody, since git is waiting."""
    from ..hook.duties import find_experiments
    from ..sync.pushing import find_pushable, push
    from .consent import Consent
    from .content_shared import make_upload, tell_upload
    from .push import describe_pushed
    from .transfer import open_link

    lines = sys.stdin.read()
    with session.open_tracker(recover=False) as tracker:
        code = tracker.code
        if code is None or remote == address:
            return
        experiments, missing = find_experiments(tracker, code, lines, remote=remote)
        apart = code.common_directory != tracker.repository.common_directory
    for run_id in missing:
        session.terminal.warn(f"a pushed commit names run {run_id[:8]}, which is not here", hint="gittrack fetch")
    if not experiments:
        return
    with open_link(session, () if apart else (remote,), purpose="push", silent=True) as (tracker, link, _names):
        upload = make_upload(session, tracker, link)
        consent = Consent(session, link, upload=upload, silent=True)
        results = push(link, find_pushable(link, experiments), approve=consent, upload=upload)
        for result in results:
            if result.failure is not None:
                session.terminal.warn(f"{clean(result.slug)}: {result.failure.message}", hint=result.failure.hint)
            elif result.result == "pushed":
                session.terminal.note(describe_pushed(result, link.remote.name))
        tell_upload(session, upload, remote=link.remote.name)

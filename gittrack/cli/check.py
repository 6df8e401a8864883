"""The `check` command: whether a run vouches for what is staged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from .command import Command, json_option, pass_session
from .failure import REFUSED
from .session import Session

if TYPE_CHECKING:
    from ..vouching import Verdict


@click.command("check", cls=Command, examples=("gittrack check", "gittrack check --json"))
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where no run is needed.")
@json_option()
@pass_session
def check(session: Session, quiet: bool, as_json: bool) -> int:
    """Check that a run vouches for what is staged.

    What is staged on the guarded paths ([tool.gittrack.check] in pyproject.toml) must be what a finished run had there,
    byte for byte; else the exit code is 9. This is what the pre-commit hook runs. git commit --no-verify skips it, and
    gittrack audit sees that later.
    """
    return 0 if run_check(session, quiet=quiet, as_json=as_json).passes else REFUSED


def run_check(session: Session, *, quiet: bool = False, as_json: bool = False) -> Verdict:
    """Check what is staged here, say what came of it, and return that."""
    from ..git import find_hook_variables
    from ..hook.check import check_staged
    from ..repository import get_current_directory, get_repository

    code = get_repository(get_current_directory())
    opener = partial(session.open_tracker, recover=False)
    verdict = check_staged(code, opener, environ=find_hook_variables(), now=session.now)
    if as_json:
        from .verdict import describe_verdict

        session.write_json("check", describe_verdict(verdict))
    elif not verdict.waived:
        _say(session, verdict)
    elif not quiet:
        session.terminal.note(verdict.waived)
    return verdict


def _say(session: Session, verdict: Verdict) -> None:
    from .verdict import list_reasons, say_paths, say_run, suggest_command

    terminal = session.terminal
    for note in verdict.notes:
        terminal.note(note)
    if verdict.run is not None:
        terminal.write([f"{say_run(verdict.run, now=session.now)}, vouches for {say_paths(verdict.changed)}"])
        return
    terminal.error(
        f"no run vouches for {say_paths(verdict.changed)}",
        details=list_reasons(verdict.nearest, now=session.now),
        hint=suggest_command(verdict),
    )
    terminal.hint("git commit --no-verify skips this, as does SKIP=gittrack-check with pre-commit; an audit tells")

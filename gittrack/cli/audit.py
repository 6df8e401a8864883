"""The `audit` command: whether a run vouches for each commit of a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..canonical import format_time
from .amounts import count
from .command import Command, json_option, pass_session
from .failure import REFUSED
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean
from .verdict import describe_verdict, list_reasons, say_paths, suggest_command

if TYPE_CHECKING:
    from ..hook.audit import Judged
    from .terminal import Screen


@click.command("audit", cls=Command, examples=("gittrack audit origin/main..HEAD", "gittrack audit HEAD~5.. --json"))
@click.argument("range")
@json_option()
@pass_session
def audit(session: Session, range: str, as_json: bool) -> int:
    """Check that a run vouches for each commit of a RANGE.

    Every commit is judged by the [tool.gittrack.check] it carries, as gittrack check would have judged it, and so is
    one that was made with --no-verify; else the exit code is 9. A run that was logged after the commit vouches as well.
    """
    from ..hook.audit import Audit
    from ..hook.proposal import workbench
    from ..repository import get_current_directory, get_repository

    code = get_repository(get_current_directory())
    with session.open_tracker(recover=False) as tracker, workbench(code, tracker.repository) as git:
        judged = list(Audit(tracker, git).judge(range))
    failed = [entry for entry in judged if not entry.verdict.passes]
    if as_json:
        session.write_json("audit", {"ok": not failed, "commits": [judged_record(entry) for entry in judged]})
        return REFUSED if failed else 0
    session.terminal.write(render_audit(judged, session.terminal.screen))
    for entry in failed:
        session.terminal.error(
            f"no run vouches for {say_paths(entry.verdict.changed)} in {entry.commit.id[:10]}",
            details=list_reasons(entry.verdict.nearest, now=session.now),
        )
    if failed:
        command = suggest_command(failed[-1].verdict)
        session.terminal.hint(f"git checkout {failed[-1].commit.id[:10]} && {command} && gittrack push")
        return REFUSED
    needed = sum(bool(entry.verdict.run) for entry in judged)
    session.terminal.note(f"{count(len(judged), 'commit')}, {needed} of them with a run behind, none without")
    return 0


def judged_record(entry: Judged) -> dict[str, Any]:
    """Return a commit and what is to be said of it as JSON-ready values."""
    commit = entry.commit
    return {
        "commit": commit.id,
        "subject": commit.subject,
        "time": format_time(commit.time),
        "named": list(commit.named),
        **describe_verdict(entry.verdict),
    }


def render_audit(judged: Sequence[Judged], screen: Screen) -> list[str]:
    """Return commits as a table, with the run that vouches for each."""
    columns = [
        Column("COMMIT", tuple(Cell(entry.commit.id[:10], "id") for entry in judged)),
        Column("RUN", tuple(_say_run(entry) for entry in judged), rank=1, least=8),
        Column("SUBJECT", tuple(Cell(clean(entry.commit.subject)) for entry in judged), rank=2, least=8),
        Column("", tuple(Cell(clean("; ".join(entry.verdict.notes)), "dim") for entry in judged), rank=3, least=8),
    ]
    return lay_out(columns, screen).lines if judged else []


def _say_run(entry: Judged) -> Cell:
    run = entry.verdict.run
    if run is not None:
        return Cell(f"{clean(run.witness.name)} {run.witness.id[:8]}", "key")
    return Cell(entry.verdict.waived, "dim") if entry.verdict.passes else Cell("none", "error")

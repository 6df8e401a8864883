"""The `artifact` commands about content on this machine: free the room it takes, and check it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import Conflict
from .amounts import count, format_size
from .chosen import PATHS, choose, find_artifacts, limit_options, raise_damage, read_limits
from .command import Command, json_option, pass_session, run_argument
from .progress import Progress
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean
from .verify import raise_verdict, render_verdict, tell_absent, verdict_record

if TYPE_CHECKING:
    from ..deletion import Local

_MOST_NAMES = 3


def render_local(contents: Sequence[Local], screen: Screen) -> list[str]:
    """Return content on this machine as a table: its paths, its size, and who else has it."""
    columns = [
        Column("PATH", tuple(Cell(clean(", ".join(entry.paths))) for entry in contents), least=12),
        Column("SIZE", tuple(Cell(format_size(entry.pointer.size)) for entry in contents), rank=1, align="right"),
        Column("COPY", tuple(Cell(clean(entry.copy)) for entry in contents), rank=2),
        Column("ALSO IN", tuple(Cell(clean(_say_names(entry.shared)), "dim") for entry in contents), rank=4),
        Column(
            "",
            tuple(Cell(f"stays: {clean(entry.kept)}" if entry.kept else "", "warning") for entry in contents),
            rank=3,
        ),
    ]
    return lay_out(columns, screen).lines


def _say_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def local_record(entry: Local) -> dict[str, object]:
    """Return a content on this machine as JSON-ready values."""
    return {
        "paths": list(entry.paths),
        "oid": entry.pointer.oid,
        "size": entry.pointer.size,
        "copy": entry.copy or None,
        "also_in": list(entry.shared),
        "kept": entry.kept or None,
    }


@click.command(
    "rm-content",
    cls=Command,
    examples=(
        "gittrack artifact rm-content latest",
        "gittrack artifact rm-content latest checkpoints/ --yes",
        "gittrack artifact rm-content latest '*.pt' --exclude best.pt --dry-run",
    ),
)
@run_argument()
@PATHS
@limit_options()
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--even-last-copy", is_flag=True, help="Delete also what no remote is known to have: it is gone then.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option()
@pass_session
def rm_content(
    session: Session,
    run: str,
    paths: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_size: str | None,
    dry_run: bool,
    even_last_copy: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete artifacts' content from this machine; a remote keeps it.

    The run stays as it is, and content that is asked for again is fetched again. Shows what would be deleted, and asks.
    What the remote does not say it has stays, and so does what a run that is being recorded needs. Content that other
    runs have as well is one file: it is gone from this machine for them too.
    """
    from ..deletion import delete_local_content, survey_local_content

    limits = read_limits(include, exclude, max_size)
    terminal = session.terminal
    with session.open_tracker() as tracker:
        found = find_artifacts(tracker, run)
        chosen = choose(found, paths, limits)
        with Progress(terminal, "looking for runs that share it") as progress:
            survey = survey_local_content(
                tracker,
                found.run_id,
                chosen,
                last_copy=even_last_copy,
                interactive=terminal.error_screen.interactive,
                report=progress,
            )
        doomed = [entry for entry in survey if not entry.kept]
        if not as_json:
            _tell_plan(session, survey, doomed)
        sure = bool(doomed) and not dry_run and (yes or _ask(session, doomed))
        deleted = delete_local_content(tracker, doomed) if sure else []
    if as_json:
        files = [local_record(entry) for entry in survey]
        session.write_json("content", {"done": sure, "files": files, "deleted": [e.pointer.oid for e in deleted]})
    elif sure:
        size = format_size(sum(entry.pointer.size for entry in deleted))
        terminal.note(f"deleted {count(len(deleted), 'content')}, {size}", hint=f"gittrack artifact get {run}")
    elif doomed:
        terminal.hint(f"nothing was deleted; to do it: {_find_command(run, paths, include, exclude, max_size)}")
    kept = [entry for entry in survey if entry.kept]
    if kept:
        raise Conflict(
            f"{count(len(kept), 'content')} of {len(survey)} of run {found.name} stayed: {kept[0].kept}",
            hint="gittrack push --content",
        )


def _tell_plan(session: Session, survey: Sequence[Local], doomed: Sequence[Local]) -> None:
    terminal = session.terminal
    if not survey:
        terminal.note("none of this content is on this machine")
        return
    terminal.write(render_local(survey, terminal.screen))
    shared = sum(bool(entry.shared) for entry in doomed)
    if shared:
        terminal.note(
            f"{count(shared, 'content is', 'contents are')} other runs' as well, and gone from here for them too"
        )
    if doomed:
        size = format_size(sum(entry.pointer.size for entry in doomed))
        terminal.note(f"would delete {count(len(doomed), 'content')}, {size}, from this machine")


def _ask(session: Session, doomed: Sequence[Local]) -> bool:
    """Ask whether to delete, where there is somebody to ask."""
    if not (session.terminal.error_screen.interactive and sys.stdin.isatty()):
        return False
    last = sum(not entry.copy for entry in doomed)
    warning = f" {last} of them are nowhere else!" if last else ""
    return click.confirm(f"Delete {count(len(doomed), 'content')} from this machine?{warning}", err=True)


def _find_command(
    run: str, paths: Sequence[str], include: Sequence[str], exclude: Sequence[str], max_size: str | None
) -> str:
    words = ["gittrack", "artifact", "rm-content", run, *paths]
    words += [word for pattern in include for word in ("--include", pattern)]
    words += [word for pattern in exclude for word in ("--exclude", pattern)]
    words += ["--max-size", max_size] if max_size is not None else []
    return shlex.join([*words, "--yes"])


@click.command(
    "verify", cls=Command, examples=("gittrack artifact verify latest", "gittrack artifact verify latest '*.pt'")
)
@run_argument()
@PATHS
@limit_options()
@click.option("--offline", is_flag=True, help="Ask no remote who has what is not here.")
@json_option()
@pass_session
def verify_artifacts(
    session: Session,
    run: str,
    paths: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_size: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Check artifacts of a run: read their content, and compare it.

    Says of what is damaged which remote has a copy. Content that is only with a remote is no damage. See also: gittrack
    verify.
    """
    from ..integrity import check_artifacts

    limits = read_limits(include, exclude, max_size)
    terminal = session.terminal
    with session.open_tracker() as tracker, Progress(terminal, "verifying") as progress:
        found = find_artifacts(tracker, run)
        chosen = choose(found, paths, limits)
        done = check_artifacts(
            tracker,
            found.run_id,
            found.name,
            chosen,
            faults=found.faults or {},
            offline=offline,
            interactive=terminal.error_screen.interactive,
            report=progress,
        )
    (verdict,) = done.verdicts
    if as_json:
        session.write_json("verified", [verdict_record(verdict)], content_remote=done.copies.remote or None)
    else:
        if verdict.findings:
            terminal.write(render_verdict(verdict, terminal.screen))
        tell_absent(session, done.verdicts, done.copies)
        size = format_size(sum(p.size for p in chosen.values()) - sum(entry.pointer.size for entry in verdict.absent))
        if not verdict.findings:
            terminal.note(f"{count(verdict.contents, 'content')} of run {found.name} good, {size} read")
    raise_damage(session, found)
    raise_verdict(done.verdicts, hint=None)

"""The `du` command: what runs take on this machine and elsewhere, and what could be freed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import GittrackError
from .amounts import count, format_size
from .command import Command, experiment_option, json_option, pass_session
from .progress import Progress
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..deletion import Survey
    from ..sync.holdings import Holdings
    from ..tracker import Tracker
    from ..usage import Amount, Group, RunNeeds, Usage
    from ..usage.measure import Kind

_MOST_RUNS = 10
_MOST_KINDS = 8


def render_groups(title: str, groups: Sequence[Group], total: Amount | None, screen: Screen) -> list[str]:
    """Return runs or experiments with what they take, the total below them, as a table."""
    names = [clean(group.name) for group in groups] + (["total"] if total else [])
    amounts = [group.amount for group in groups] + ([total] if total else [])
    counted = any(group.runs != 1 for group in groups) or title == "EXPERIMENT"

    def column(name: str, sizes: Sequence[int], rank: int, style: str = "") -> Column:
        cells = tuple(Cell(format_size(size) if size else "-", style) for size in sizes)
        return Column(name, cells, rank=rank, align="right")

    columns = [Column(title, tuple(Cell(name) for name in names), least=8)]
    if counted:
        runs = [str(group.runs) for group in groups] + ([str(sum(g.runs for g in groups))] if total else [])
        columns.append(Column("RUNS", tuple(Cell(text) for text in runs), rank=5, align="right"))
    columns += [
        column("ARTIFACTS", [amount.artifacts for amount in amounts], 1),
        column("HERE", [amount.here for amount in amounts], 2),
        column("METRICS", [amount.metrics for amount in amounts], 3),
        column("SOURCE", [amount.source for amount in amounts], 4),
        column("RECORDS", [amount.records for amount in amounts], 6, "dim"),
    ]
    return lay_out(columns, screen).lines


def render_kinds(kinds: Sequence[Kind], screen: Screen) -> list[str]:
    """Return the content of artifacts by the ending of their paths, as a table."""
    columns = [
        Column("KIND", tuple(Cell(clean(kind.suffix) or "(none)") for kind in kinds), least=6),
        Column("CONTENTS", tuple(Cell(str(kind.contents)) for kind in kinds), rank=2, align="right"),
        Column("ARTIFACTS", tuple(Cell(format_size(kind.size)) for kind in kinds), rank=1, align="right"),
        Column(
            "HERE", tuple(Cell(format_size(kind.here) if kind.here else "-") for kind in kinds), rank=2, align="right"
        ),
    ]
    return lay_out(columns, screen).lines


def amount_record(amount: Amount) -> dict[str, int]:
    """Return what something takes as JSON-ready values."""
    return {
        "local": amount.local,
        "artifacts": amount.artifacts,
        "artifacts_here": amount.here,
        "metrics": amount.metrics,
        "source": amount.source,
        "records": amount.records,
    }


def group_record(group: Group) -> dict[str, object]:
    """Return a run or an experiment with what it takes as JSON-ready values."""
    return {
        "id": group.id,
        "name": group.name,
        "experiment": group.experiment,
        "runs": group.runs,
        "shared": group.shared,
        **amount_record(group.amount),
    }


@click.command(
    "du", cls=Command, examples=("gittrack du", "gittrack du -e churn --runs", "gittrack du --remote --json")
)
@experiment_option()
@click.option("--runs", "by_run", is_flag=True, help="List every run, the largest first.")
@click.option("--remote", "ask", is_flag=True, help="Ask the remote what it has of the content.")
@json_option()
@pass_session
def du(session: Session, experiment: str | None, by_run: bool, ask: bool, as_json: bool) -> None:
    """Show how much room runs take, here and elsewhere.

    ARTIFACTS is all content that runs name, HERE what of it is on this machine; the others are Git objects on this
    disk, of each run as it stands now. What several share counts once in every line, so a total may be less than the
    sum of its lines; source that your own branches hold as well counts as nothing. Says what gittrack gc would free.
    """
    from ..deletion import survey_deletion
    from ..usage import list_kinds, measure_usage, read_census

    terminal = session.terminal
    with session.open_tracker() as tracker, Progress(terminal, "measuring") as progress:
        chosen = None if experiment is None else tracker.get_experiment(experiment).slug
        census = read_census(tracker.history, report=progress)
        if chosen is not None:
            census = [needs for needs in census if needs.experiment == chosen]
        usage = measure_usage(tracker.history, tracker.content, census)
        kinds = list_kinds(census, usage.absent)
        holdings, unknown = _ask(session, tracker, census, ask=ask)
        survey = survey_deletion(tracker, [] if chosen is None else [chosen], now=session.now)
    if as_json:
        _write_json(session, usage, kinds, survey, holdings)
    else:
        _tell(session, usage, kinds, by_run=by_run)
        _tell_elsewhere(session, usage, holdings)
        _tell_gc(session, usage, survey)
    if unknown:
        terminal.warn(f"the remote could not be asked what it has: {unknown.message}", hint=unknown.hint)


def _ask(
    session: Session, tracker: Tracker, census: Sequence[RunNeeds], *, ask: bool
) -> tuple[Holdings | None, GittrackError | None]:
    """Return what the remote says it has of all content, if it is to be asked, and why it did not say."""
    if not ask:
        return None, None
    from ..sync.holdings import ask_holdings

    pointers = {pointer for needs in census for pointer in needs.artifacts.values()}
    try:
        interactive = session.terminal.error_screen.interactive
        return ask_holdings(tracker.repository, pointers, settings=tracker.settings, interactive=interactive), None
    except GittrackError as error:
        return None, error


def _tell(session: Session, usage: Usage, kinds: Sequence[Kind], *, by_run: bool) -> None:
    terminal = session.terminal
    if not usage.runs:
        terminal.note("there are no runs")
        return
    terminal.write([*render_groups("EXPERIMENT", usage.experiments, usage.total, terminal.screen), ""])
    shown = usage.runs if by_run else usage.runs[:_MOST_RUNS]
    terminal.write(render_groups("RUN", shown, None, terminal.screen))
    if len(shown) < len(usage.runs):
        terminal.note(f"{len(usage.runs) - len(shown)} smaller runs are not listed", hint="gittrack du --runs")
    if kinds:
        terminal.write(["", *render_kinds(kinds[:_MOST_KINDS], terminal.screen)])
    shared = sum(group.shared for group in usage.runs)
    if shared:
        terminal.note("content that several runs share counts once in every line and in the total")
    terminal.note(f"{format_size(usage.total.local)} on this machine in all")


def _tell_elsewhere(session: Session, usage: Usage, holdings: Holdings | None) -> None:
    terminal = session.terminal
    if usage.absent:
        size = format_size(sum(pointer.size for pointer in usage.absent))
        hint = None if holdings else "gittrack du --remote  # asks the remote what it has"
        terminal.note(f"{count(len(usage.absent), 'content')}, {size}, not on this machine", hint=hint)
    if holdings is None:
        return
    if not holdings.remote:
        terminal.note("there is no remote for content")
        return
    size = format_size(sum(pointer.size for pointer in holdings.held))
    terminal.note(f"{holdings.remote} has {count(len(holdings.held), 'content')} of these, {size}")
    lost = [pointer for pointer in usage.absent if pointer not in holdings.held]
    if lost:
        size = format_size(sum(pointer.size for pointer in lost))
        terminal.warn(f"{count(len(lost), 'content')}, {size}, neither here nor with {holdings.remote}")


def _measure_gc(usage: Usage, survey: Survey) -> dict[str, int]:
    """Return what gc would free: content at once, content after its time of grace, and Git objects of deleted runs."""
    doomed = {run.id for run in survey.runs}
    amounts = [group.amount for group in usage.runs if group.id in doomed]
    return {
        "runs": len(survey.runs),
        "content_now": sum(entry.pointer.size for entry in survey.due),
        "content_later": sum(pointer.size for pointer in survey.unneeded)
        + sum(entry.pointer.size for entry in survey.condemned if entry not in survey.due),
        "objects": sum(amount.metrics + amount.records for amount in amounts),
    }


def _tell_gc(session: Session, usage: Usage, survey: Survey) -> None:
    terminal = session.terminal
    free = _measure_gc(usage, survey)
    if survey.unsure:
        terminal.warn(f"what content gc would free cannot be told: {survey.unsure}")
    if not any(free.values()):
        terminal.note("gittrack gc would free nothing")
        return
    parts = [f"{format_size(free['content_now'])} of content"]
    if free["content_later"]:
        parts.append(f"{format_size(free['content_later'])} of content 14 days later")
    if free["runs"]:
        parts.append(
            f"{format_size(free['objects'])} of {count(free['runs'], 'removed run')}, as git drops old commits"
        )
    terminal.note(f"gittrack gc would free {', '.join(parts)}", hint="gittrack gc")


def _write_json(
    session: Session, usage: Usage, kinds: Sequence[Kind], survey: Survey, holdings: Holdings | None
) -> None:
    remote = None
    if holdings is not None and holdings.remote:
        sizes = [pointer.size for pointer in holdings.held]
        remote = {"name": holdings.remote, "files": len(sizes), "bytes": sum(sizes)}
    absent = [pointer.size for pointer in usage.absent]
    session.write_json(
        "usage",
        {
            "total": amount_record(usage.total),
            "experiments": [group_record(group) for group in usage.experiments],
            "runs": [group_record(group) for group in usage.runs],
            "kinds": [
                {"suffix": kind.suffix, "files": kind.contents, "bytes": kind.size, "here": kind.here} for kind in kinds
            ],
            "not_here": {"files": len(absent), "bytes": sum(absent)},
            "remote": remote,
            "gc": _measure_gc(usage, survey),
        },
    )

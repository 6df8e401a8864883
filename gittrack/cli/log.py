"""The `log` command: the history of runs, newest first, as git shows commits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..compare import rank_metrics
from .amounts import describe_moment, format_duration, format_metric
from .columns import find_status
from .command import (
    Command,
    complete_experiment,
    json_option,
    pager_option,
    pass_session,
)
from .session import Session
from .show import describe_source, fold, render_facts, say_status
from .terminal import Screen
from .text import clean, clean_lines, clip, count_cells

if TYPE_CHECKING:
    from ..stored_run import StoredRun

_MAX_METRICS = 6


def render_history(runs: Sequence[StoredRun], screen: Screen, *, now: int) -> list[str]:
    """Return a block of lines for every run, blocks parted by an empty line."""
    lines: list[str] = []
    for run in runs:
        lines += [""] if lines else []
        lines += _render_block(run, screen, now=now)
    return lines


def _render_block(run: StoredRun, screen: Screen, *, now: int) -> Iterator[str]:
    yield f"{screen.paint('run ' + run.id, 'id')}"
    facts = [
        ("Name:", f"{clean(run.name)}, {say_status(run, Screen())}"),
        ("Experiment:", clean(run.experiment)),
        ("Date:", describe_moment(run.started, now=now, interactive=screen.interactive)),
    ]
    if run.duration is not None:
        facts.append(("Took:", format_duration(run.duration)))
    facts.append(("Source:", describe_source(run)))
    if run.command:
        facts.append(("Command:", clean(shlex.join(run.command))))
    if run.tags:
        facts.append(("Tags:", ", ".join(clean(f"{key}={value}") for key, value in sorted(run.tags.items()))))
    yield from render_facts(facts, screen)
    room = None if screen.width is None else screen.width - 4
    body = [piece for line in clean_lines(run.note) for piece in fold(line, room)]
    metrics = say_metrics(run)
    if metrics:
        body = [*([*body, ""] if body else []), *fold(metrics, room)]
    if body:
        yield ""
        yield from ("    " + line if line else "" for line in body)


def say_metrics(run: StoredRun, room: int | None = None) -> str:
    """Return the main metrics' last values in one line, as many as fit: `accuracy=0.9130 loss=0.2310`."""
    said = ""
    for name in rank_metrics([run.summary])[:_MAX_METRICS]:
        more = f"{said} {clean(name)}={format_metric(run.summary[name].last)}".lstrip()
        if room is not None and count_cells(more) > room:
            break
        said = more
    return said


def render_lines(runs: Sequence[StoredRun], screen: Screen) -> list[str]:
    """Return one line for every run: id, name, status, and the main metrics as far as they fit."""
    most = None if screen.width is None else min(28, max(4, screen.width - 9 - 2 - 8))
    names = [clean(run.name) if most is None else clip(clean(run.name), most) for run in runs]
    widest = max(map(count_cells, names), default=0)
    lines = []
    for run, name in zip(runs, names, strict=True):
        status = find_status(run)
        head = f"{screen.paint(run.id[:8], 'id')} {name}{' ' * (widest - count_cells(name))}"
        room = None if screen.width is None else screen.width - (9 + widest + 2 + 8 + 2)
        status = screen.paint(status, _find_style(status)) + " " * (8 - len(status))
        lines.append(f"{head}  {status}  {say_metrics(run, room)}".rstrip())
    return lines


def _find_style(status: str) -> str:
    return "dim" if status == "removed" else status


@click.command("log", cls=Command, examples=("gittrack log churn --oneline", "gittrack log -n 3"))
@click.argument("experiment", required=False, shell_complete=complete_experiment)
@click.option("--oneline", is_flag=True, help="Show each run in one line.")
@click.option("-n", "--limit", metavar="N", type=click.IntRange(min=1), help="Show N runs at most.")
@click.option("--removed", is_flag=True, help="Show removed runs too.")
@pager_option()
@json_option()
@pass_session
def log(
    session: Session,
    experiment: str | None,
    oneline: bool,
    limit: int | None,
    removed: bool,
    no_pager: bool,
    as_json: bool,
) -> None:
    """Show the history of runs, newest first."""
    terminal = session.terminal
    with session.open_tracker() as tracker:
        runs = tracker.list_runs(experiment, removed=removed, limit=limit)
        if as_json:
            session.write_json("runs", [run.to_dict() for run in runs])
            return
        if not runs:
            terminal.note("no runs here yet", hint="gittrack run -- python train.py")
            return
        screen = terminal.screen
        lines = render_lines(runs, screen) if oneline else render_history(runs, screen, now=session.now)
        terminal.page(lines, use_pager=not no_pager)

"""The `ls` command: runs as a table, with the columns that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .amounts import count
from .columns import choose_columns, make_columns, sort_runs
from .command import Command, experiment_option, json_option, pass_session
from .session import Session
from .table import Layout, lay_out
from .terminal import Screen
from .text import clip

if TYPE_CHECKING:
    from ..stored_run import StoredRun

DEFAULT_LIMIT = 20


def lay_out_runs(
    runs: Sequence[StoredRun], screen: Screen, *, now: int, columns: Sequence[str] = (), first: Sequence[str] = ()
) -> Layout:
    """Return runs as a table: the given columns, or the ones that tell the runs apart."""
    if not columns:
        several = len({run.experiment for run in runs}) > 1
        columns = choose_columns(runs, with_experiment=several, first=first)
    return lay_out(make_columns(columns, runs, screen, now=now), screen)


@click.command(
    "ls",
    cls=Command,
    examples=(
        "gittrack ls -e churn --sort -auc -n 5",
        "gittrack ls --columns id,name,params.lr,metrics.loss.min,tags.stage",
    ),
)
@experiment_option()
@click.option("--columns", metavar="KEY,...", help="Show these columns: attributes, params.X, metrics.X[.min], tags.X.")
@click.option("--sort", metavar="KEY", help="Sort by a column; -KEY for the largest first. Default: newest first.")
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(min=1), help=f"Show N runs at most; {DEFAULT_LIMIT} by default."
)
@click.option("--all", "everything", is_flag=True, help="Show all runs, however many.")
@click.option("--removed", is_flag=True, help="Show removed runs too.")
@json_option()
@pass_session
def ls(
    session: Session,
    experiment: str | None,
    columns: str | None,
    sort: str | None,
    limit: int | None,
    everything: bool,
    removed: bool,
    as_json: bool,
) -> None:
    """List the recent runs as a table."""
    chosen = [key.strip() for key in (columns or "").split(",") if key.strip()]
    if limit is None and not everything:
        limit = DEFAULT_LIMIT
    with session.open_tracker() as tracker:
        # One more than is shown, so that it is known whether there are more.
        enough = limit + 1 if limit is not None and sort is None else None
        runs: Sequence[StoredRun] = tracker.list_runs(experiment, removed=removed, limit=enough)
        if sort is not None and runs:
            runs = sort_runs(runs, sort)
        shown = runs if limit is None else runs[:limit]
        if as_json:
            session.write_json("runs", [run.to_dict() for run in shown])
        else:
            first = [sort.lstrip("-")] if sort else []
            _write_table(session, shown, columns=chosen, first=first, more=len(runs) > len(shown))


def _write_table(
    session: Session, runs: Sequence[StoredRun], *, columns: Sequence[str], first: Sequence[str], more: bool
) -> None:
    terminal = session.terminal
    if not runs:
        terminal.note("no runs here yet", hint="gittrack run -- python train.py")
        return
    layout = lay_out_runs(runs, terminal.screen, now=session.now, columns=columns, first=first)
    terminal.write(layout.lines)
    if terminal.screen.interactive:
        if layout.left_out:
            left_out = f"{count(len(layout.left_out), 'column')} left out: {', '.join(layout.left_out)}"
            terminal.note(clip(left_out, (terminal.screen.width or 80) - len("note: ")))
        if more:
            terminal.note("there are more runs", hint="gittrack ls --all")

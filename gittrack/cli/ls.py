"""The `ls` command: the runs a query finds as a table, with the columns that tell them apart, or in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import time_ns
from typing import TYPE_CHECKING

import click

from ..errors import InvalidInput
from .amounts import count
from .columns import ATTRIBUTES, choose_columns, make_columns, resolve_columns
from .command import Command, experiment_option, json_option, pass_session
from .redraw import redraw
from .selection import load_selection
from .session import Session
from .table import Layout, lay_out
from .terminal import Screen
from .text import clip

if TYPE_CHECKING:
    from ..frame import Frame
    from ..run_table import RunTable
    from ..stored_run import StoredRun
    from ..tracker import Tracker
    from .room import Room

DEFAULT_LIMIT = 20
WATCH_SECONDS = 2.0
# So many runs tell which params differ.
_SAMPLED = 500


def lay_out_runs(
    runs: Sequence[StoredRun],
    screen: Screen,
    *,
    now: int,
    columns: Sequence[str] = (),
    first: Sequence[str] = (),
    among: Frame | None = None,
) -> Layout:
    """Return runs as a table: the given columns, or the ones that tell these runs, and those they are among, apart."""
    if not columns:
        several = len({run.experiment for run in runs}) > 1
        columns = choose_columns(runs, with_experiment=several, first=first, among=among)
    return lay_out(make_columns(columns, runs, screen, now=now), screen)


@dataclass(frozen=True)
class Listing:
    """Which runs are wanted, in which order, and how many of them (None: all)."""

    query: str | None
    experiment: str | None
    removed: bool
    sort: str | None
    descending: bool
    limit: int | None

    def list_runs(self, tracker: Tracker) -> tuple[RunTable, RunTable]:
        """Return the runs that are to be shown, in order, and with them as many more as tell which columns do."""
        from ..query import parse_sort

        keys = [replace(key, descending=key.descending != self.descending) for key in parse_sort(self.sort or "")]
        most = None if self.limit is None else max(self.limit + 1, _SAMPLED)
        runs = tracker.list_runs(self.experiment, query=self.query, sort=keys, removed=self.removed, limit=most)
        return runs[: self.limit], runs

    def lay_out(self, runs: RunTable, screen: Screen, *, now: int, columns: Sequence[str], among: RunTable) -> Layout:
        """Return those runs as a table that shows, among others, what they are sorted by."""
        from ..query import find_column, parse_sort

        found = [find_column(key.key, runs.frame) for key in parse_sort(self.sort or "")]
        first = [column.name for column in found if column and (column.table != "runs" or column.name in ATTRIBUTES)]
        return lay_out_runs(runs, screen, now=now, columns=columns, first=first, among=among.frame)


@click.command(
    "ls",
    cls=Command,
    examples=(
        "gittrack ls -e churn --sort auc --desc -n 5",
        "gittrack ls \"auc > 0.9 AND model = 'svm' AND started > '7 days ago'\"",
        "gittrack ls --group params.lr,params.model",
        "gittrack ls --columns id,name,params.lr,metrics.loss.min,tags.stage",
    ),
)
@click.argument("query", required=False)
@experiment_option()
@click.option("--columns", metavar="KEY,...", help="Show these columns: attributes, params.X, metrics.X[.min], tags.X.")
@click.option("--sort", metavar="KEY,...", help="Sort by a column; -KEY for the largest first.")
@click.option("--desc", "descending", is_flag=True, help="Turn the order of --sort round.")
@click.option("--group", metavar="KEY,...", help="Show a line for each setting, such as params.lr,params.model.")
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(min=1), help=f"Show N lines at most; {DEFAULT_LIMIT} by default."
)
@click.option("--all", "everything", is_flag=True, help="Show all runs, however many.")
@click.option("--removed", is_flag=True, help="Show removed runs too.")
@click.option("--watch", is_flag=True, help="Go on showing the present state, until Ctrl-C.")
@json_option()
@pass_session
def ls(
    session: Session,
    query: str | None,
    experiment: str | None,
    columns: str | None,
    sort: str | None,
    descending: bool,
    group: str | None,
    limit: int | None,
    everything: bool,
    removed: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """List runs as a table: the recent ones, or those a QUERY finds.

    With --group, a line for each setting: how many runs it has (repeated seeds), and of each metric mean ± standard
    deviation, least and greatest. What a QUERY can say: gittrack help query.
    """
    if descending and sort is None:
        raise InvalidInput("--desc turns the order of --sort round", hint="gittrack ls --sort KEY --desc")
    if watch and (as_json or group is not None):
        raise InvalidInput("--watch shows runs, to people: it goes with neither --json nor --group", hint="gittrack ls")
    most = limit or (None if everything else DEFAULT_LIMIT)
    listing = Listing(query, experiment, removed, sort, descending, most)
    if group is not None:
        _list_groups(session, listing, group, metrics=columns, as_json=as_json)
        return
    with session.open_tracker() as tracker:
        if watch:
            _watch(session, tracker, listing, columns or "")
            return
        runs, among = listing.list_runs(tracker)
        if as_json:
            session.write_json("runs", [run.to_dict() for run in runs])
        elif not runs:
            _say_none(session, listing)
        else:
            names = resolve_columns(columns or "", tracker.load_frame(experiment, removed=removed))
            layout = listing.lay_out(runs, session.terminal.screen, now=session.now, columns=names, among=among)
            session.terminal.write(layout.lines)
            _say_left_out(session, layout)
        # Nobody who said how many is surprised that there are more; a program would take the first 20 for all.
        if len(among) > len(runs) and (limit is None or session.terminal.screen.interactive):
            session.terminal.note("there are more runs", hint="gittrack ls --all")


def _list_groups(session: Session, listing: Listing, by: str, *, metrics: str | None, as_json: bool) -> None:
    from .group import group_frame, grouping_record, make_group_columns

    sort = listing.sort
    if sort is not None and listing.descending:
        sort = sort[1:] if sort.startswith("-") else f"-{sort}"
    with session.open_tracker() as tracker:
        frame = load_selection(tracker, listing.query, experiment=listing.experiment, removed=listing.removed)
        if not frame.count and not as_json:
            _say_none(session, listing)
            return
        grouping = group_frame(frame, by, metrics=metrics, sort=sort) if frame.count else None
    if grouping is None or as_json:
        session.write_json("groups", grouping_record(grouping) if grouping else [])
        return
    shown = replace(grouping, groups=grouping.groups[: listing.limit])
    session.terminal.write(lay_out(make_group_columns(shown), session.terminal.screen).lines)
    more = len(grouping.groups) - len(shown.groups)
    if more and session.terminal.screen.interactive:
        session.terminal.note(f"there are {count(more, 'more group')}", hint="gittrack ls --all --group …")


def _watch(session: Session, tracker: Tracker, listing: Listing, columns: str) -> None:
    def draw(room: Room) -> Sequence[str]:
        now = time_ns() // 1000
        runs, among = listing.list_runs(tracker)
        shown = runs if room.rows is None else runs[: max(room.rows - 1, 1)]
        if not shown:
            return ["no runs yet" if listing.query is None else "no run fulfils that yet"]
        try:
            names = resolve_columns(columns, tracker.load_frame(listing.experiment, removed=listing.removed))
        except InvalidInput:  # a run may be about to record it
            names = [name.strip() for name in columns.split(",")]
        return listing.lay_out(shown, room.screen, now=now, columns=names, among=among).lines

    redraw(session.terminal, draw, seconds=WATCH_SECONDS)


def _say_none(session: Session, listing: Listing) -> None:
    if listing.query is None:
        session.terminal.note("no runs here yet", hint="gittrack run -- python train.py")
    else:
        session.terminal.note("no run fulfils that", hint="gittrack ls")


def _say_left_out(session: Session, layout: Layout) -> None:
    terminal = session.terminal
    if terminal.screen.interactive and layout.left_out:
        left_out = f"{count(len(layout.left_out), 'column')} left out: {', '.join(layout.left_out)}"
        terminal.note(clip(left_out, (terminal.screen.width or 80) - len("note: ")))

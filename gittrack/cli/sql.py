"""The `sql` command: a query over the tables of runs, by DuckDB."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidInput
from .amounts import format_param
from .command import Command, experiment_option, json_option, pass_session
from .export import open_output
from .progress import Progress
from .selection import load_selection
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..exchange.sql import Result

_WIDEST = 60


def render_result(result: Result, screen: Screen) -> list[str]:
    """Return a result as the lines of a table; numbers are aligned, a null is said to be one."""
    return lay_out([_make_column(name, values, screen) for name, values in result.list_columns()], screen).lines


def _make_column(name: str, values: Sequence[Any], screen: Screen) -> Column:
    numeric = not any(isinstance(value, (str, bool)) for value in values)
    return Column(
        clean(name),
        tuple(_make_cell(value, screen) for value in values),
        align="point" if numeric else "left",
        least=None if numeric else 8,
        most=_WIDEST if screen.interactive else None,
    )


def _make_cell(value: str | float | bool | None, screen: Screen) -> Cell:
    if value is None:
        return Cell("NULL", "dim")
    if isinstance(value, float):
        return Cell(format_param(value) if screen.interactive else repr(value))
    return Cell(format_param(value))


@click.command(
    "sql",
    cls=Command,
    examples=(
        "gittrack sql 'SELECT name, \"metrics.auc\" FROM runs ORDER BY 2 DESC LIMIT 5'",
        "gittrack sql -e churn --csv 'SELECT run_id, max(value) FROM points GROUP BY 1'",
        "gittrack sql 'DESCRIBE runs'",
    ),
)
@click.argument("sql")
@experiment_option()
@click.option("--where", "query", metavar="QUERY", help="Only the runs that QUERY finds, as in gittrack ls QUERY.")
@click.option("--removed", is_flag=True, help="Show removed runs too.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option()
@click.option("--no-pager", "no_pager", is_flag=True, help="Do not use a pager.")
@pass_session
def sql(
    session: Session,
    sql: str,
    experiment: str | None,
    query: str | None,
    removed: bool,
    as_csv: bool,
    as_json: bool,
    no_pager: bool,
) -> None:
    """Query runs with SQL, by DuckDB.

    The tables are runs (a column for each attribute, params.NAME, metrics.NAME, tags.NAME), params, metrics, points,
    tags, artifacts and inputs; gittrack sql 'DESCRIBE runs' lists the columns of one. SQL is read from standard
    input where it is -. It only reads, and only runs.
    """
    if as_csv and as_json:
        raise InvalidInput("--csv and --json exclude each other")
    from ..exchange.points import read_points
    from ..exchange.sql import query_tables
    from ..exchange.tables import RunTables

    text = sys.stdin.read() if sql == "-" else sql
    with session.open_tracker() as tracker, Progress(session.terminal, "reading points", things="runs") as progress:
        frame = load_selection(tracker, query, experiment=experiment, removed=removed)
        tables = RunTables(frame, read_points=partial(read_points, tracker, progress=progress))
        found = query_tables(tables, text)
    _write(session, found, as_csv=as_csv, as_json=as_json, use_pager=not no_pager)


def _write(session: Session, found: Result, *, as_csv: bool, as_json: bool, use_pager: bool) -> None:
    terminal = session.terminal
    if as_json:
        session.write_json("rows", found.to_rows())
    elif as_csv:
        from ..exchange.formats import write_table

        with open_output(terminal, None, format="csv") as sink:
            write_table(found.stream(), sink, format="csv")
    else:
        terminal.page(render_result(found, terminal.screen), use_pager=use_pager)

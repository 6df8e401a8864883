"""The `importance` command: which params move a metric, as far as one param at a time tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..compare import order_metrics
from ..errors import InvalidInput, NotFound
from .command import Command, experiment_option, json_option, pass_session
from .selection import load_selection
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean

if TYPE_CHECKING:
    from ..frame import Frame
    from ..importance import Importance

_BAR_WIDTH = 10


@click.command(
    "importance",
    cls=Command,
    examples=("gittrack importance auc -e churn", "gittrack importance metrics.loss.min \"status = 'FINISHED'\""),
)
@click.argument("metric")
@click.argument("query", required=False)
@experiment_option()
@json_option()
@pass_session
def importance(session: Session, metric: str, query: str | None, experiment: str | None, as_json: bool) -> None:
    """Show which params go with a metric.

    For a number: Spearman's rank correlation, and its square as the share explained. For a category: the share of the
    variance of the metric's ranks that lies between its values, adjusted for how many there are. A rank correlation
    does not see a hump (best in the middle): for a number with 10 values at most, most of them repeated, the share
    between its values counts where that is larger. A first look: it sees no interplay of params, and proves no cause.
    """
    with session.open_tracker() as tracker:
        frame = load_selection(tracker, query, experiment=experiment, removed=False)
        found = rank_frame(frame, metric) if frame.count else []
        if as_json:
            session.write_json("importance", [vars(entry) for entry in found])
        elif not frame.count:
            session.terminal.note("no runs to learn from", hint="gittrack ls")
        elif not found:
            params = ",".join(f"params.{name}" for name in list(frame.list_keys("params"))[:5])
            raise NotFound(
                f"no param differs between three or more runs that have {metric!r:.100}: there is nothing to compare",
                hint=f"gittrack ls --columns name,{params or 'status'}",
            )
        else:
            session.terminal.write(lay_out(_make_columns(found), session.terminal.screen).lines)


def rank_frame(frame: Frame, metric: str) -> list[Importance]:
    """Return the params of a frame's runs by how they go with a metric, given as a sort key such as `loss.min`.

    A run's `duration` is as good as a metric. Raises InvalidInput where no run has the metric, or it is none.
    """
    from ..importance import rank_params
    from ..query import Column as Place
    from ..query import get_column, parse_sort, read_numbers_of, read_values

    rank = parse_sort(metric)[0]
    column = get_column(rank.key, frame, text=rank.text)
    if column.table != "metrics" and column.key != "duration":
        known = order_metrics(frame.list_keys("metrics"))
        raise InvalidInput(
            f"{metric!r:.100} is not a metric", hint=f"gittrack importance {known[0]}" if known else None
        )
    outcomes = read_numbers_of(column, frame)
    places = {name: Place("params", name, "", "param") for name in frame.list_keys("params")}
    return rank_params({name: read_values(place, frame) for name, place in places.items()}, outcomes)


def _make_columns(found: Sequence[Importance]) -> list[Column]:
    bars = [Cell("█" * round(entry.explained * _BAR_WIDTH), "best") for entry in found]
    correlations = [Cell("" if entry.correlation is None else f"{entry.correlation:+.2f}") for entry in found]
    return [
        Column("PARAM", tuple(Cell(clean(entry.param)) for entry in found), least=12),
        Column("EXPLAINED", tuple(Cell(f"{entry.explained:.0%}") for entry in found), rank=10, align="right"),
        Column("", tuple(bars), rank=60),
        Column("SPEARMAN", tuple(correlations), rank=20, align="right"),
        Column("KIND", tuple(Cell(entry.kind, "dim") for entry in found), rank=50),
        Column("VALUES", tuple(Cell(str(entry.distinct)) for entry in found), rank=40, align="right"),
        Column("RUNS", tuple(Cell(str(entry.runs)) for entry in found), rank=30, align="right"),
    ]

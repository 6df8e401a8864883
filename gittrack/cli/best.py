"""The `best` command: the runs with the best value of a metric."""

from __future__ import annotations

import click

from ..compare import Goal, guess_goal, order_metrics
from ..errors import InvalidInput
from .columns import resolve_columns
from .command import Command, experiment_option, json_option, pass_session
from .ls import lay_out_runs
from .selection import load_runs, load_selection
from .session import Session

DEFAULT_LIMIT = 5


@click.command(
    "best",
    cls=Command,
    examples=(
        "gittrack best auc -e churn",
        "gittrack best loss.min \"params.model = 'svm'\" --min",
        "gittrack best f1 --id",
    ),
)
@click.argument("metric")
@click.argument("query", required=False)
@experiment_option()
@click.option("--min", "goal", flag_value="min", help="Less is better.")
@click.option("--max", "goal", flag_value="max", help="More is better.")
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    help=f"Show N runs; {DEFAULT_LIMIT} by default.",
)
@click.option("--columns", metavar="KEY,...", help="Show these columns, as gittrack ls does.")
@click.option("--id", "only_id", is_flag=True, help="Print the best run's id alone.")
@json_option()
@pass_session
def best(
    session: Session,
    metric: str,
    query: str | None,
    experiment: str | None,
    goal: Goal | None,
    limit: int,
    columns: str | None,
    only_id: bool,
    as_json: bool,
) -> None:
    """Show the best runs by a metric, the best first.

    Whether less or more is better is told by the metric's name (less of a loss or error, more of an accuracy or score);
    --min and --max say it for other names. METRIC may be loss.min or the like; runs without it, or with NaN, are left
    out.
    """
    from ..query import SortKey, filter_frame, get_column, parse_query, parse_sort, sort_rows, write_key

    with session.open_tracker() as tracker:
        frame = load_selection(tracker, query, experiment=experiment, removed=False)
        if not frame.count:
            if as_json:
                session.write_json("runs", [])
            else:
                said = "no runs here" if query is None else "no run fulfils that"
                session.terminal.note(said, hint="gittrack ls")
            return
        ranks = parse_sort(metric)
        column = get_column(ranks[0].key, frame, text=metric)
        if len(ranks) != 1 or column.table != "metrics":
            known = order_metrics(frame.list_keys("metrics"))
            raise InvalidInput(f"{metric!r:.100} is not a metric", hint=f"gittrack best {known[0]}" if known else None)
        goal = goal or guess_goal(column.key)
        if goal is None:
            raise InvalidInput(
                f"whether less or more of {column.key!r:.100} is better, its name does not tell",
                hint=f"gittrack best {metric} --min, or --max",
            )
        key = ranks[0].key
        # NaN has no place in an order, so it is not among the best either.
        present = filter_frame(parse_query(f"{write_key(key)} >= -inf"), frame, now=session.now)
        rows = sort_rows(frame, (SortKey(key, goal == "max", metric),), present, limit=limit)
        chosen = frame.take(rows)
        if only_id:
            session.terminal.write(chosen.get_attribute("id").to_pylist()[:1])
            return
        runs = load_runs(tracker, chosen)
        if as_json:
            session.write_json("runs", [run.to_dict() for run in runs], goal=goal)
        else:
            screen = session.terminal.screen
            names = resolve_columns(columns or "", frame)
            session.terminal.write(
                lay_out_runs(runs, screen, now=session.now, columns=names, first=[column.name], among=frame).lines
            )

"""The `plot` command: metrics of runs as curves, dots or parallel axes, in the terminal or in a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Ambiguous, InvalidInput, NotFound
from .command import Command, complete_run, experiment_option, json_option, pass_session
from .failure import find_close
from .selection import is_query, load_selection
from .session import Session

if TYPE_CHECKING:
    from ..plotting import Picture
    from ..stored_run import StoredRun
    from ..tracker import Tracker

_PIXELS_WIDE = 1000


@dataclass(frozen=True)
class Choice:
    """What the words of a command line come to: metrics and runs."""

    metrics: list[str]
    runs: list[StoredRun]


def choose(
    tracker: Tracker,
    words: Sequence[str],
    *,
    refs: Sequence[str],
    experiment: str | None,
    limit: int,
) -> Choice:
    """Return the metrics and runs that are meant.

    `words` are metrics, then runs or queries: the first that is a metric of no run begins those. `refs` are runs too.
    Where no run is named, all are meant; of all, and of those a query finds, the newest that have one of the metrics,
    `limit` at most. Where no metric is named, the most telling one is meant. Raises NotFound and InvalidInput.
    """
    from ..plotting import choose_metrics

    named = [tracker.get_run(ref, experiment=experiment) for ref in refs]
    if named:
        known: Collection[str] = {metric for run in named for metric in run.summary}
    else:
        known = load_selection(tracker, None, experiment=experiment, removed=False).list_keys("metrics")
    split = next((position for position, word in enumerate(words) if word not in known), len(words))
    metrics = list(dict.fromkeys(words[:split]))
    for word in words[split:]:
        if is_query(word):
            named += _find_runs(tracker, word, metrics, experiment=experiment, limit=limit)
        else:
            named.append(_get_run(tracker, word, experiment=experiment, metrics=known))
    if not refs and not words[split:]:
        named = _find_runs(tracker, None, metrics, experiment=experiment, limit=limit)
    runs = list({run.id: run for run in named}.values())
    return Choice(metrics or choose_metrics(runs, most=1), runs)


def _find_runs(
    tracker: Tracker,
    query: str | None,
    metrics: Sequence[str],
    *,
    experiment: str | None,
    limit: int,
) -> list[StoredRun]:
    """Return the newest runs, of all or of a query's, that have one of the metrics, or else the most telling one."""
    from ..plotting import read_newest

    frame = load_selection(tracker, query, experiment=experiment, removed=False)
    which = "run" if query is None else f"run that {query!r:.200} finds"
    return read_newest(tracker, frame, metrics, limit=limit, which=which)


def _get_run(tracker: Tracker, word: str, *, experiment: str | None, metrics: Collection[str]) -> StoredRun:
    try:
        return tracker.get_run(word, experiment=experiment)
    except Ambiguous:
        raise
    except (NotFound, InvalidInput) as error:
        close = find_close(word, sorted(metrics))
        raise NotFound(
            f"{word!r:.100} is neither a metric of these runs nor a run: {error.message}",
            hint=" or ".join(close) or error.hint,
        ) from None


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture to a file in the format that its ending names; raises InvalidInput, Unsupported or OSError."""
    from ..attachment import render_figure
    from ..figure import build_figure

    figure = build_figure(picture)
    if path.suffix.lower() not in (".html", ".json"):
        figure.update_layout(width=_PIXELS_WIDE)
    path.write_bytes(render_figure(figure, path.name))


def _complete_word(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the metrics and runs that a word may be completed to."""
    try:
        with context.ensure_object(Session).open_tracker(recover=False) as tracker:
            metrics = {metric for run in tracker.list_runs(limit=20) for metric in run.summary}
    except Exception:  # a shell's completion has nowhere to say what went wrong
        return []
    found = [metric for metric in sorted(metrics) if metric.startswith(incomplete)]
    return found + complete_run(context, param, incomplete)


@click.command(
    "plot",
    cls=Command,
    examples=(
        "gittrack plot loss val_loss latest latest~1 --smooth 0.6",
        "gittrack plot loss -e churn --group params.lr --log y -o loss.html",
        "gittrack plot auc \"params.model = 'svm'\" --x params.lr --log x",
        "gittrack plot auc --kind parcoords -o sweep.png",
    ),
)
@click.argument("words", nargs=-1, metavar="[METRIC]... [RUN|QUERY]...", shell_complete=_complete_word)
@click.option("-r", "--run", "refs", metavar="RUN", multiple=True, shell_complete=complete_run, help="Plot this run.")
@experiment_option()
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(min=1), help="Plot N runs at most; 10 where none is named."
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write .html, .png, .svg, .pdf.")
@click.option("--kind", type=click.Choice(["line", "scatter", "parcoords"]), help="Curves, unless --x is a param.")
@click.option("--x", "x", metavar="X", help="step (the default), time, wall, a metric such as epoch, or params.NAME.")
@click.option("--smooth", "smoothing", metavar="W", type=float, default=0.0, help="A weight below 1, or N points.")
@click.option("--log", "log", type=click.Choice(["x", "y"]), multiple=True, help="Make this axis logarithmic.")
@click.option("--group", metavar="KEY,...", help="Average runs with the same params: mean and one deviation.")
@click.option("--title", metavar="TEXT", help="Write this above the plot.")
@json_option()
@pass_session
def plot(
    session: Session,
    /,
    words: tuple[str, ...],
    refs: tuple[str, ...],
    experiment: str | None,
    limit: int | None,
    output: str | None,
    group: str | None,
    as_json: bool,
    **look: Any,
) -> None:
    """Plot metrics of runs, in the terminal or to a file.

    Words are metrics first, then runs or queries; without those, the newest runs that have the metric; without a
    metric, the most telling one. --smooth 0.6 is an exponential moving average as TensorBoard has it, --smooth 25 a
    running mean.
    """
    from ..figure import picture_record
    from ..plotting import make_picture, make_plan

    keys = tuple(key.strip() for key in (group or "").split(",") if key.strip())
    plan = make_plan(group=keys, **look)
    with session.open_tracker() as tracker:
        choice = choose(tracker, words, refs=refs, experiment=experiment, limit=limit or plan.limit)
        picture = make_picture(choice.runs, choice.metrics, plan)
    if as_json:
        session.write_json("plot", picture_record(picture))
        return
    if output is not None:
        write_picture(picture, Path(output))
    else:
        from .canvas import render_picture
        from .room import measure_room

        session.terminal.write(render_picture(picture, measure_room(kept=2)))
    for note in picture.notes:
        session.terminal.note(note)

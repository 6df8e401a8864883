"""The `watch` command: a live run's curves and current values, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING

import click

from ..compare import guess_goal, rank_metrics
from ..errors import NotFound
from .amounts import format_duration, format_metric, format_param, format_utc
from .canvas import render_curves
from .command import Command, complete_run, experiment_option, pass_session
from .failure import find_close
from .redraw import redraw
from .room import Room
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean, clip

if TYPE_CHECKING:
    from ..figure import Look
    from ..follower import RunFollower

DEFAULT_SECONDS = 1.0
_MOST_PANELS = 3
_MOST_VALUES = 10
_ROWS_A_PANEL = 12


@dataclass
class Watch:
    """What is shown of a run that is followed: the named metrics, else the most telling ones.

    `warn` is told once which of the named metrics the run lacks, when it has others, where no screen shows it.
    """

    follower: RunFollower
    metrics: tuple[str, ...]
    look: Look
    warn: Callable[[NotFound], None] | None = None
    ended: bool = False
    lines: Sequence[str] = ()

    def draw(self, room: Room) -> Sequence[str] | None:
        """Return what is to be shown now: a picture for a person, a line for each change else; None after the end."""
        if self.ended:
            return None
        changed = self.follower.look()
        self.ended = not self.follower.live
        now = time_ns() // 1000
        if self.warn is not None and not self.ended and not room.screen.interactive:
            missing = find_missing(self.follower, self.metrics)
            if missing is not None:
                self.warn(missing)
                self.warn = None
        if room.screen.interactive:
            self.lines = render_watch(self.follower, self.metrics, self.look, room, now=now)
        elif changed:
            self.lines = [say_change(self.follower, self.metrics, now=now)]
        return self.lines


def find_missing(follower: RunFollower, metrics: Sequence[str]) -> NotFound | None:
    """Return what is to be said of named metrics that a run does not have, though it has others; None else."""
    known = sorted(follower.summary)
    missing = [metric for metric in metrics if metric not in follower.summary]
    if not known or not missing:
        return None
    close = dict.fromkeys(name for metric in missing for name in find_close(metric, known))
    names = " and no ".join(repr(metric) for metric in missing)
    name = follower.run.name or follower.run.id[:8]
    yet = " so far" if follower.live else ""
    return NotFound(
        f"{name!r:.100} has no metric {names:.300}{yet}",
        hint=" or ".join(close) or f"gittrack show {follower.run.id[:8]}",
    )


def render_watch(follower: RunFollower, metrics: Sequence[str], look: Look, room: Room, *, now: int) -> list[str]:
    """Return a run's state as lines: who it is, its curves, and a table of current values."""
    from ..figure import Trace, make_chart

    run = follower.run
    head = _render_head(follower, room, now=now)
    ranked = list(metrics) or rank_metrics([follower.summary])
    shown = [metric for metric in ranked if metric in follower.series]
    missing = find_missing(follower, metrics)
    if missing is not None:
        head.append(clip(clean(f"{missing.message}; hint: {missing.hint}"), room.width))
    if not shown:
        return [*head, "", "no points yet" + (f" of {clean(', '.join(metrics))}" if metrics else "")]
    rows = room.rows or 0
    values = _render_values(follower, shown[: max(3, min(_MOST_VALUES, rows // 4))], room)
    around = len(head) + len(values) + 2
    drawn = shown if metrics else [metric for metric in shown if guess_goal(metric)] or shown[:1]
    panels = drawn[: max(1, min(_MOST_PANELS, (rows - around) // _ROWS_A_PANEL))]
    chart = make_chart([Trace(run.id, run.name, run.started, follower.series)], panels, look)
    return [*head, *render_curves(chart, room, around=around, headed=True), *values]


def _render_head(follower: RunFollower, room: Room, *, now: int) -> list[str]:
    run, screen = follower.run, room.screen
    took = (now if run.ended is None else run.ended) - run.started
    words = [
        screen.paint(clean(run.name), "heading"),
        screen.paint(run.id[:8], "id"),
        screen.paint(str(run.status), str(run.status)),
        clean(run.experiment),
        format_duration(took),
    ]
    plain = "  ".join([clean(run.name), run.id[:8], str(run.status), clean(run.experiment), format_duration(took)])
    head = ["  ".join(words) if len(plain) <= room.width else clip(plain, room.width)]
    if follower.params:
        params = "  ".join(f"{clean(key)}={format_param(value)}" for key, value in sorted(follower.params.items()))
        head.append(screen.paint(clip(params, room.width), "dim"))
    return head


def _render_values(follower: RunFollower, metrics: Sequence[str], room: Room) -> list[str]:
    summaries = [follower.summary[metric] for metric in metrics]

    def column(title: str, texts: Sequence[str], *, rank: int, style: str = "") -> Column:
        return Column(title, tuple(Cell(text, style) for text in texts), rank=rank, align="right")

    names = tuple(Cell(clean(metric), "key") for metric in metrics)
    columns = [
        Column("METRIC", names, least=8, most=32),
        column("LAST", [format_metric(summary.last) for summary in summaries], rank=1),
        column("STEP", [str(summary.last_step) for summary in summaries], rank=2),
        column("MIN", [format_metric(summary.min) for summary in summaries], rank=3),
        column("MAX", [format_metric(summary.max) for summary in summaries], rank=4),
        column("POINTS", [str(summary.count) for summary in summaries], rank=5, style="dim"),
    ]
    return lay_out(columns, room.screen).lines


def say_change(follower: RunFollower, metrics: Sequence[str], *, now: int) -> str:
    """Return a run's state in one line: the time, its status, its step, and the last value of each metric."""
    ranked = list(metrics) or rank_metrics([follower.summary])[:_MOST_VALUES]
    known = {metric: follower.summary[metric] for metric in ranked if metric in follower.summary}
    words = [format_utc(now), str(follower.run.status)]
    if known:
        words.append(f"step={max(summary.last_step for summary in known.values())}")
    words += [f"{clean(metric)}={format_metric(summary.last)}" for metric, summary in known.items()]
    return "  ".join(words)


@click.command(
    "watch",
    cls=Command,
    examples=("gittrack watch", "gittrack watch brave-otter-41 -m loss -m val_loss --log y"),
)
@click.argument("run", required=False, metavar="[RUN]", shell_complete=complete_run)
@experiment_option()
@click.option(
    "-m", "--metric", "metrics", metavar="METRIC", multiple=True, help="Show this metric; by default the main ones."
)
@click.option(
    "--x", "x", metavar="X", default="step", help="step (the default), time, wall, or a metric such as epoch."
)
@click.option("--smooth", "smoothing", metavar="W", type=float, default=0.0, help="A weight below 1, or N points.")
@click.option("--log", "log", type=click.Choice(["x", "y"]), multiple=True, help="Make this axis logarithmic.")
@click.option(
    "--every",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=DEFAULT_SECONDS,
    help="Look so often; every second by default.",
)
@pass_session
def watch(
    session: Session,
    run: str | None,
    experiment: str | None,
    metrics: tuple[str, ...],
    x: str,
    smoothing: float,
    log: tuple[str, ...],
    seconds: float,
) -> None:
    """Follow a live run until it ends.

    By default the one that started last. On a terminal its curves and values are drawn anew; in a pipe there is a line
    for each change. Ctrl-C ends it, and does nothing to the run.
    """
    from ..figure import Look, check_smoothing, parse_axis
    from ..follower import RunFollower, find_live_runs

    look = Look(parse_axis(x), check_smoothing(smoothing), frozenset(log))  # type: ignore[arg-type]
    with session.open_tracker() as tracker:
        if run is None:
            live = find_live_runs(tracker, experiment=experiment)
            if not live:
                raise NotFound("no run is live", hint="gittrack run -- python train.py")
            run = live[0]
        follower = RunFollower(tracker, tracker.get_run(run, experiment=experiment))
        watched = Watch(follower, metrics, look, lambda error: session.terminal.warn(error.message, hint=error.hint))
        redraw(session.terminal, watched.draw, seconds=seconds)
        missing = find_missing(follower, metrics)
        if missing is not None:
            raise missing

"""Owns what a chart of curves is, and makes one of runs' points: placed, smoothed, averaged by group, thinned.

Pure: what draws it, in a terminal or on a page, need only know the values here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import InvalidInput
from ..group import measure
from .axis import Axis, Placed, choose_unit, place_points
from .band import average_curves
from .points import Points
from .smoothing import are_finite, smooth
from .thinning import thin

Side = Literal["x", "y"]


@dataclass(frozen=True)
class Trace:
    """A run as a chart sees it: the points of its metrics, and the group it is averaged with, if any."""

    run_id: str
    name: str
    started: int
    series: Mapping[str, Points]
    group: str = ""


@dataclass(frozen=True)
class Line:
    """One curve: its name, x and y. A y that is not finite is a gap.

    `number` chooses its look: lines of one run or group have the same in every panel. `raw` are the values before they
    were smoothed. `lowers` and `uppers` are the edges of a band around it, `counts` the runs it is the mean of. `last`
    is the value at its end as it was recorded, also where that cannot be drawn; of a mean, the mean's.
    """

    name: str
    number: int
    xs: Sequence[float]
    ys: Sequence[float]
    run_ids: tuple[str, ...] = ()
    raw: Sequence[float] = ()
    lowers: Sequence[float] = ()
    uppers: Sequence[float] = ()
    counts: Sequence[int] = ()
    last: float | None = None

    def pick(self, positions: Sequence[int]) -> Line:
        """Return the line with the points at some positions only."""

        def choose(column: Sequence[float]) -> list[float]:
            return [column[position] for position in positions] if column else []

        return replace(
            self,
            xs=choose(self.xs),
            ys=choose(self.ys),
            raw=choose(self.raw),
            lowers=choose(self.lowers),
            uppers=choose(self.uppers),
            counts=[self.counts[position] for position in positions] if self.counts else (),
        )


@dataclass(frozen=True)
class Panel:
    """The curves of one metric."""

    metric: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Chart:
    """Panels above each other with one x axis.

    On an axis of kind `time` x is in `unit`s, on one of kind `wall` in UTC microseconds. `notes` tell what could not be
    drawn.
    """

    title: str
    panels: tuple[Panel, ...]
    axis: Axis
    unit: str = ""
    log: frozenset[Side] = frozenset()
    smoothed: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def x_title(self) -> str:
        """What the x axis is called, with its unit."""
        return f"{self.axis.title} ({self.unit})" if self.unit else self.axis.title

    def thin(self, limit: int) -> Chart:
        """Return the chart with at most so many points a line, chosen so that it looks the same."""
        panels = [
            replace(panel, lines=tuple(line.pick(thin(line.ys, limit=limit)) for line in panel.lines))
            for panel in self.panels
        ]
        return replace(self, panels=tuple(panels))


@dataclass(frozen=True)
class Look:
    """How curves are to be made: the x axis, the smoothing (see `smooth`), the logarithmic axes, whether by group."""

    axis: Axis = field(default_factory=Axis)
    smoothing: float = 0.0
    log: frozenset[Side] = frozenset()
    grouped: bool = False
    title: str = ""


def make_chart(traces: Sequence[Trace], metrics: Sequence[str], look: Look) -> Chart:
    """Return a chart with a panel for each metric, and in it a line for each run that has it, or for each group.

    Raises InvalidInput where none of the runs has one of the metrics, or the metric on the x axis.
    """
    if look.axis.kind == "metric" and not any(look.axis.metric in trace.series for trace in traces):
        raise InvalidInput(f"none of these runs has the metric {look.axis.metric!r:.100} that is to be the x axis")
    names = list(dict.fromkeys(trace.group if look.grouped else trace.run_id for trace in traces))
    numbers = {name: number for number, name in enumerate(names)}
    notes = _Notes()
    panels = []
    for metric in metrics:
        having = [trace for trace in traces if metric in trace.series]
        if not having:
            raise InvalidInput(f"none of these runs has a metric {metric!r:.100}")
        lines = [_make_line(trace, metric, look, notes, numbers) for trace in having]
        panels.append(Panel(metric, tuple(_average(lines, look) if look.grouped else lines)))
    unit, panels = _say_time(panels) if look.axis.kind == "time" else ("", panels)
    return Chart(look.title, tuple(panels), look.axis, unit, look.log, look.smoothing, notes.list())


@dataclass
class _Notes:
    """Counts what cannot be drawn, metric by metric."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, metric: str, reason: str, count: int) -> None:
        if count:
            self.counts[metric, reason] = self.counts.get((metric, reason), 0) + count

    def list(self) -> tuple[str, ...]:
        return tuple(
            f"{count} point{'s' if count > 1 else ''} of {metric} not drawn: {reason}"
            for (metric, reason), count in self.counts.items()
        )


def _make_line(trace: Trace, metric: str, look: Look, notes: _Notes, numbers: Mapping[str, int]) -> Line:
    along = trace.series.get(look.axis.metric)
    points = trace.series[metric]
    placed = place_points(points, look.axis, started=trace.started, along=along)
    notes.add(metric, f"there is no {look.axis.title} beside them", placed.left_out)
    placed = _make_drawable(placed, metric, look.log, notes)
    name, number = (
        (trace.group, numbers[trace.group]) if look.grouped else (trace.name or trace.run_id[:8], numbers[trace.run_id])
    )
    last = points.values[-1] if len(points) else None
    line = Line(name, number, placed.xs, placed.ys, run_ids=(trace.run_id,), last=last)
    if not look.smoothing:
        return line
    return replace(line, ys=smooth(line.ys, look.smoothing), raw=() if look.grouped else line.ys)


def _make_drawable(placed: Placed, metric: str, log: frozenset[Side], notes: _Notes) -> Placed:
    """Return the points with a gap where y, and without those where x, cannot be drawn."""
    xs, ys = placed.xs, placed.ys
    if not are_finite(ys):
        notes.add(metric, "they are infinite", sum(map(math.isinf, ys)))
        ys = [y if math.isfinite(y) else math.nan for y in ys]
    if "y" in log:
        notes.add(metric, "a log axis has no place for what is not positive", sum(y <= 0 for y in ys))
        ys = [y if y > 0 else math.nan for y in ys]
    if "x" in log:
        notes.add(metric, "a log axis has no place for an x that is not positive", sum(x <= 0 for x in xs))
        kept = [position for position, x in enumerate(xs) if x > 0]
        xs, ys = [xs[position] for position in kept], [ys[position] for position in kept]
    return Placed(xs, ys)


def _average(lines: Sequence[Line], look: Look) -> Iterator[Line]:
    """Yield one line for each group: the mean of its runs, with a band of one standard deviation."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.name, []).append(line)
    for name, members in groups.items():
        band = average_curves([(line.xs, line.ys) for line in members])
        lowers = band.lowers
        if "y" in look.log:  # where the band's edge is not positive, it goes down to the group's least value
            lowers = [lower if lower > 0 else least for lower, least in zip(lowers, band.least, strict=True)]
        yield Line(
            name or "(none)",
            members[0].number,
            band.xs,
            band.means,
            run_ids=tuple(run_id for line in members for run_id in line.run_ids),
            lowers=lowers,
            uppers=band.uppers,
            counts=band.counts,
            last=band.means[-1] if band.means else measure([line.last for line in members]).mean,
        )


def _say_time(panels: Sequence[Panel]) -> tuple[str, list[Panel]]:
    """Return the unit for durations as long as these, and the panels with x in it."""
    size, unit = choose_unit(max((line.xs[-1] for panel in panels for line in panel.lines if line.xs), default=0.0))
    if size == 1:
        return unit, list(panels)
    return unit, [
        replace(panel, lines=tuple(replace(line, xs=[x / size for x in line.xs]) for line in panel.lines))
        for panel in panels
    ]

"""Puts pictures of runs on the terminal: title, panels, what is on the axes, and a legend with the last values.

Pure but for plotext's canvas: a picture in, lines out. Knows nothing of commands.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..compare import find_best, guess_goal
from ..errors import Unsupported
from ..figure import (
    Chart,
    Panel,
    Parallel,
    Scatter,
    Surface,
    draw_panel,
    draw_scatter,
    find_letter,
    find_terminal_color,
)
from .amounts import format_metric, format_metrics
from .room import Room
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean, clip, count_cells

PANEL_HEIGHT = 16
_LEAST_HEIGHT = 7
_MOST_HEIGHT = 28
_POINTS_A_CELL = 8
_SWATCH = "──"
_NAME_WIDTH = 32


def render_picture(picture: Chart | Scatter | Parallel, room: Room) -> list[str]:
    """Return a picture as lines for a terminal, none wider than the room; Unsupported for one only a page can show."""
    if isinstance(picture, Parallel):
        raise Unsupported(
            "parallel coordinates do not fit into a terminal",
            hint="gittrack plot METRIC --kind parcoords -o plot.html",
        )
    return _render_chart(picture, room) if isinstance(picture, Chart) else _render_scatter(picture, room)


def _render_chart(chart: Chart, room: Room) -> list[str]:
    legend = _make_legend(chart, room)
    title = room.screen.paint(clip(clean(chart.title), room.width), "heading")
    return [title, *render_curves(chart, room, around=len(legend) + 1, headed=len(chart.panels) > 1), *legend]


def render_curves(chart: Chart, room: Room, *, around: int, headed: bool) -> list[str]:
    """Return the panels of a chart and what is on their x axis, where so many rows are taken by other things.

    `headed` panels have their metric above them.
    """
    surface = _make_surface(room, panels=len(chart.panels), around=around + 1 + headed * len(chart.panels))
    thinned = chart.thin(surface.width * _POINTS_A_CELL)
    lines = []
    for panel in thinned.panels:
        if headed:
            lines.append(room.screen.paint(clip(clean(panel.metric), room.width), "key"))
        lines += draw_panel(panel, thinned, surface)
    return [*lines, _center(chart.x_title, room)]


def _make_surface(room: Room, *, panels: int, around: int) -> Surface:
    """Return the surface of each of some panels, where so many rows are taken by other things."""
    height = PANEL_HEIGHT
    if room.rows is not None:
        height = min(max((room.rows - around) // panels, _LEAST_HEIGHT), _MOST_HEIGHT)
    return Surface(room.width, height, room.screen.color, room.unicode)


def _render_scatter(scatter: Scatter, room: Room) -> list[str]:
    lines = [room.screen.paint(clip(clean(scatter.title), room.width), "heading")]
    groups = {dots.number: dots.name for panel in scatter.panels for dots in panel.dots}
    legend = []
    if len(groups) > 1:
        width = room.width - len(_SWATCH) - 1
        legend = [f"{_paint_swatch(number, room)} {clip(clean(name), width)}" for number, name in groups.items()]
    surface = _make_surface(room, panels=len(scatter.panels), around=len(legend) + 1 + 2 * len(scatter.panels))
    for panel in scatter.panels:
        lines.append(room.screen.paint(clip(clean(panel.y.title), room.width), "key"))
        lines += draw_scatter(panel, scatter, surface)
        lines.append(_center(panel.x.title, room))
    return [*lines, *legend]


def _center(text: str, room: Room) -> str:
    text = clip(clean(text), room.width)
    return (" " * ((room.width - count_cells(text)) // 2) + text).rstrip()


def _make_legend(chart: Chart, room: Room) -> list[str]:
    """Return a line for each run or group: how it is drawn, its name, and where each metric stands at its end."""
    lines = {line.number: line for panel in chart.panels for line in panel.lines}
    numbers = sorted(lines)
    names = Column(
        "GROUP" if any(line.counts for line in lines.values()) else "RUN",
        tuple(Cell(clean(lines[number].name)) for number in numbers),
        least=8,
        most=_NAME_WIDTH,
    )
    grouped = any(line.counts for line in lines.values())
    ids = [lines[number].run_ids for number in numbers]
    more = Column(
        "n" if grouped else "ID",
        tuple(Cell(str(len(run_ids)) if grouped else run_ids[0][:8], "" if grouped else "id") for run_ids in ids),
        rank=90,
        align="right" if grouped else "left",
    )
    columns = [
        names,
        more,
        *(_make_values(panel, numbers, room, rank=rank) for rank, panel in enumerate(chart.panels, 1)),
    ]
    screen = Screen(room.width - len(_SWATCH) - 1 if room.screen.width else None, room.screen.color)
    head, *rows = lay_out(columns, screen).lines
    margin = " " * (len(_SWATCH) + 1)
    return [
        margin + head,
        *(
            f"{_paint_swatch(number, room, alone=len(numbers) == 1)} {row}"
            for number, row in zip(numbers, rows, strict=True)
        ),
    ]


def _make_values(panel: Panel, numbers: Sequence[int], room: Room, *, rank: int) -> Column:
    """Return the column of a metric: the last value of each line, the best one marked."""
    lines = {line.number: line for line in panel.lines}
    ends = [lines[number].last if number in lines else None for number in numbers]
    texts = format_metrics(ends)
    sign = "±" if room.unicode else "+-"
    best = find_best(ends, goal=guess_goal(panel.metric))
    cells = []
    for index, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        line = lines.get(number)
        if line is not None and line.counts and line.counts[-1] > 1:
            text = f"{text} {sign} {format_metric(line.uppers[-1] - line.ys[-1])}"
        cells.append(Cell(text, "best" if index in best else ""))
    return Column(clip(clean(panel.metric), 20, keep="end"), tuple(cells), rank=rank, align="right")


def _paint_swatch(number: int, room: Room, *, alone: bool = False) -> str:
    swatch = _SWATCH if room.unicode else "--"
    if room.screen.color or alone:
        return click.style(swatch, fg=find_terminal_color(number)) if room.screen.color else swatch
    return f"{find_letter(number):<{len(_SWATCH)}}"

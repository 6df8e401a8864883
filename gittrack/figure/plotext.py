"""Draws the panels of a chart as lines of text, with plotext.

Titles and names are for the caller to write, who knows the terminal; of what runs said only a category's texts stand
beside an axis, without what is not printable. plotext has one canvas for all, so this is not safe for threads.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Unsupported
from .chart import Chart, Line, Panel
from .palette import find_letter, find_terminal_color
from .samples import Dimension, Scatter, ScatterPanel
from .ticks import Ticks, choose_log_ticks, choose_moments, choose_ticks

LEAST_WIDTH, LEAST_HEIGHT = 20, 5
_CELLS_A_TICK_X, _CELLS_A_TICK_Y = 12, 3
_LONGEST_TEXT = 12
_LEAST_RANGE = 1e-300
_BRAILLE, _DOT = "braille", "•"
_FRAME = str.maketrans("┌┐└┘─│┤┬├┴┼", "++++-|++" + "+++")


@dataclass(frozen=True)
class Surface:
    """Where a panel is drawn: its width and height in cells, and what can be written there.

    Without colours each curve is drawn with a letter of its own; without `unicode` the frame is of ASCII characters.
    """

    width: int
    height: int
    colored: bool = False
    unicode: bool = True


def draw_panel(panel: Panel, chart: Chart, surface: Surface) -> list[str]:
    """Return a panel of curves as lines of text, none wider than the surface."""
    canvas = _Canvas(log_x="x" in chart.log, log_y="y" in chart.log)
    alone = len(panel.lines) == 1
    for line in reversed(panel.lines):  # the first of them on top
        canvas.add_line(line, alone=alone, surface=surface)
    return canvas.draw(surface, moments=chart.axis.kind == "wall")


def draw_scatter(panel: ScatterPanel, scatter: Scatter, surface: Surface) -> list[str]:
    """Return a panel of dots as lines of text, none wider than the surface."""
    canvas = _Canvas(log_x="x" in scatter.log and not panel.x.texts, log_y="y" in scatter.log and not panel.y.texts)
    alone = len(panel.dots) == 1
    for dots in reversed(panel.dots):
        mark = _DOT if surface.unicode and (alone or surface.colored) else "*" if alone else find_letter(dots.number)
        canvas.add(dots.xs, dots.ys, mark=mark, number=dots.number, joined=False)
    return canvas.draw(surface, x=panel.x, y=panel.y)


@dataclass
class _Stroke:
    xs: list[float]
    ys: list[float]
    mark: str
    number: int
    joined: bool


@dataclass
class _Canvas:
    """What is to be drawn, on axes that are linear: those of log axes hold logarithms."""

    log_x: bool
    log_y: bool
    strokes: list[_Stroke] = field(default_factory=list)

    def add_line(self, line: Line, *, alone: bool, surface: Surface) -> None:
        plain = not surface.colored and not alone
        mark = find_letter(line.number) if plain else _BRAILLE if surface.unicode else "*"
        for edge in (line.lowers, line.uppers):
            if edge:
                self.add(line.xs, edge, mark="." if plain else mark, number=line.number, joined=False)
        for start, end in _find_pieces(line.ys):
            self.add(line.xs[start:end], line.ys[start:end], mark=mark, number=line.number, joined=True)

    def add(self, xs: Sequence[float], ys: Sequence[float], *, mark: str, number: int, joined: bool) -> None:
        across = [math.log10(x) for x in xs] if self.log_x else list(xs)
        up = [math.log10(y) for y in ys] if self.log_y else list(ys)
        self.strokes.append(_Stroke(across, up, mark, number, joined))

    def draw(
        self, surface: Surface, *, moments: bool = False, x: Dimension | None = None, y: Dimension | None = None
    ) -> list[str]:
        width, height = max(surface.width, LEAST_WIDTH), max(surface.height, LEAST_HEIGHT)
        left, right = _find_range([value for stroke in self.strokes for value in stroke.xs])
        low, high = _find_range([value for stroke in self.strokes for value in stroke.ys])
        rows = max(2, (height - 3) // _CELLS_A_TICK_Y + 1)
        up = _choose(low, high, at_most=rows, log=self.log_y, dimension=y)
        columns = max(2, (width - 2 - max(map(len, up.texts), default=0)) // _CELLS_A_TICK_X)
        if moments:
            across = choose_moments(left, right, at_most=columns)
        else:
            across = _choose(left, right, at_most=columns, log=self.log_x, dimension=x)
        plot = _load_plotext()
        plot.clear_figure()
        plot.limit_size(False, False)
        plot.plot_size(width, height)
        plot.theme("clear")
        plot.xlim(0, 1)
        plot.ylim(0, 1)
        plot.xticks(_scale(across.positions, left, right), list(across.texts))
        plot.yticks(_scale(up.positions, low, high), list(up.texts))
        for stroke in self.strokes:
            xs, ys = _scale(stroke.xs, left, right), _scale(stroke.ys, low, high)
            draw = plot.plot if stroke.joined else plot.scatter
            draw(xs, ys, marker=stroke.mark, color=find_terminal_color(stroke.number))
        text = plot.build()
        plot.clear_figure()
        lines = (text if surface.colored else plot.uncolorize(text)).rstrip("\n").split("\n")
        return [line.rstrip() if surface.unicode else line.translate(_FRAME).rstrip() for line in lines]


def _load_plotext() -> Any:
    try:
        import plotext
    except ImportError:
        raise Unsupported(
            "plots in the terminal need the plotext package", hint='pip install "plotext>=5.3,<6"'
        ) from None
    if not hasattr(plotext, "plot_size"):
        raise Unsupported(
            f"plots in the terminal need plotext 5, and this is plotext {plotext.__version__}",
            hint='pip install "plotext>=5.3,<6"',
        )
    return plotext


def _find_pieces(ys: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch of values without a gap."""
    start = None
    for position, y in enumerate(ys):
        if math.isfinite(y) and start is None:
            start = position
        elif not math.isfinite(y) and start is not None:
            yield start, position
            start = None
    if start is not None:
        yield start, len(ys)


def _find_range(values: Sequence[float]) -> tuple[float, float]:
    """Return where an axis begins and ends; around a single value there is room on both sides."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if high / 2 - low / 2 > _LEAST_RANGE:
        return low, high
    room = abs(low) / 10 or 1.0
    return max(low - room, -sys.float_info.max), min(high + room, sys.float_info.max)


def _scale(values: Sequence[float], low: float, high: float) -> list[float]:
    """Return values as shares of the way from low to high; in halves, for the way may be longer than a float tells."""
    return [(value / 2 - low / 2) / (high / 2 - low / 2) for value in values]


def _choose(low: float, high: float, *, at_most: int, log: bool, dimension: Dimension | None) -> Ticks:
    if dimension is not None and dimension.texts:
        step = -(-len(dimension.texts) // at_most)
        return Ticks(dimension.positions[::step], tuple(map(_make_printable, dimension.texts[::step])))
    return choose_log_ticks(low, high, at_most=at_most) if log else choose_ticks(low, high, at_most=at_most)


def _make_printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:_LONGEST_TEXT]

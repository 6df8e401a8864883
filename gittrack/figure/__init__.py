"""The figures of runs: what is drawn (`chart`, `samples`), and what draws it (`plotly` on a page, `plotext` as text).

Everything a chart needs is computed here once, for the terminal, the notebook and the page alike: where points stand
(`axis`), `smoothing`, bands (`band`), which points are drawn (`thinning`), what is written along an axis (`ticks`).
Values in, values out: knows nothing of how runs are found. plotly and plotext are imported when something is drawn.
"""

from __future__ import annotations

from .axis import Axis, parse_axis
from .chart import Chart, Line, Look, Panel, Side, Trace, make_chart
from .palette import find_letter, find_terminal_color
from .plotext import Surface, draw_panel, draw_scatter
from .plotly import build_figure
from .points import Points, make_points, read_points
from .record import picture_record
from .samples import (
    Dimension,
    Dots,
    Parallel,
    Sample,
    Scatter,
    ScatterPanel,
    find_varying,
    make_parallel,
    make_scatter,
)
from .smoothing import check_smoothing

__all__ = [
    "Axis",
    "Chart",
    "Dimension",
    "Dots",
    "Line",
    "Look",
    "Panel",
    "Parallel",
    "Points",
    "Sample",
    "Scatter",
    "ScatterPanel",
    "Side",
    "Surface",
    "Trace",
    "build_figure",
    "check_smoothing",
    "draw_panel",
    "draw_scatter",
    "find_letter",
    "find_terminal_color",
    "find_varying",
    "make_chart",
    "make_parallel",
    "make_points",
    "make_scatter",
    "parse_axis",
    "picture_record",
    "read_points",
]

"""Makes plotly figures of charts: curves with bands, scatters, parallel coordinates.

One look for all of them, here alone. A figure loads nothing from the network. plotly takes texts for a kind of HTML, so
what runs said is escaped. Knows nothing of where figures are written to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import Unsupported
from .chart import Chart, Line, Panel
from .palette import find_color, find_dash
from .samples import Dimension, Dots, Parallel, Scatter, ScatterPanel

PIXELS_A_PANEL = 320
MOST_POINTS = 4000
_COLOR_SCALE = "Viridis"
_LONGEST_TEXT = 60


def build_figure(picture: Chart | Scatter | Parallel) -> Any:
    """Return the plotly figure (`plotly.graph_objects.Figure`) of a chart; raises Unsupported without plotly.

    A line of more than MOST_POINTS points is thinned; extremes and gaps stay.
    """
    if isinstance(picture, Chart):
        return _draw_chart(picture.thin(MOST_POINTS))
    return _draw_scatter(picture) if isinstance(picture, Scatter) else _draw_parallel(picture)


def _load() -> tuple[Any, Any]:
    try:
        import plotly.graph_objects
        import plotly.subplots
    except ImportError:
        raise Unsupported("figures on a page need the plotly package", hint='pip install "gittrack[plot]"') from None
    return plotly.graph_objects, plotly.subplots.make_subplots


def _draw_chart(chart: Chart) -> Any:
    graph, _ = _load()
    figure = _make_panels(len(chart.panels))
    named: set[int] = set()
    for row, panel in enumerate(chart.panels, 1):
        for line in panel.lines:
            for trace in _draw_line(graph, line, panel, chart, named=line.number not in named):
                figure.add_trace(trace, row=row, col=1)
            named.add(line.number)
        figure.update_yaxes(title_text=escape(panel.metric), row=row, col=1)
        if "y" in chart.log:
            figure.update_yaxes(type="log", row=row, col=1)
    figure.update_xaxes(title_text=escape(chart.x_title), row=len(chart.panels), col=1)
    if chart.axis.kind == "wall":
        figure.update_xaxes(type="date")
    elif "x" in chart.log:
        figure.update_xaxes(type="log")
    return _finish(figure, chart.title, chart.notes, legend=len(named) > 1, hovermode="closest")


def _draw_line(graph: Any, line: Line, panel: Panel, chart: Chart, *, named: bool) -> Iterable[Any]:
    """Yield the traces of a line: its band and the values before smoothing behind it, then the line itself."""
    color, group = find_color(line.number), str(line.number)
    xs = _to_milliseconds(line.xs) if chart.axis.kind == "wall" else list(line.xs)
    behind = {"legendgroup": group, "showlegend": False, "hoverinfo": "skip", "mode": "lines"}
    if line.lowers:
        yield graph.Scatter(x=xs, y=list(line.lowers), line={"width": 0}, **behind)
        fill = _fade(color, 0.2)
        yield graph.Scatter(x=xs, y=list(line.uppers), line={"width": 0}, fill="tonexty", fillcolor=fill, **behind)
    if line.raw:
        yield graph.Scatter(x=xs, y=_to_gaps(line.raw), line={"color": _fade(color, 0.3), "width": 1}, **behind)
    yield graph.Scatter(
        x=xs,
        y=_to_gaps(line.ys),
        name=escape(line.name),
        mode="lines" if len(line.xs) > 1 else "markers",
        line={"color": color, "dash": find_dash(line.number), "width": 2},
        marker={"color": color},
        legendgroup=group,
        showlegend=named,
        customdata=_gather_custom(line),
        hovertemplate=_write_hover(line, panel, chart),
    )


def _gather_custom(line: Line) -> list[list[float | None]] | None:
    if line.counts:
        deviations = [upper - mean for upper, mean in zip(line.uppers, line.ys, strict=True)]
        return [[deviation, count] for deviation, count in zip(deviations, line.counts, strict=True)]
    return [[value] for value in _to_gaps(line.raw)] if line.raw else None


def _write_hover(line: Line, panel: Panel, chart: Chart) -> str:
    x = "%{x|%Y-%m-%d %H:%M:%S}" if chart.axis.kind == "wall" else "%{x:.6~g}"
    run = f" ({line.run_ids[0][:8]})" if len(line.run_ids) == 1 and not line.counts else ""
    lines = [f"<b>{_escape_hover(line.name)}</b>{run}", f"{_escape_hover(chart.x_title)} {x}"]
    value = f"{_escape_hover(panel.metric)} %{{y:.6~g}}"
    if line.counts:
        lines.append(f"{value} ± %{{customdata[0]:.3~g}}, n = %{{customdata[1]}}")
    elif line.raw:
        lines += [f"{value} (smoothed)", "not smoothed: %{customdata[0]:.6~g}"]
    else:
        lines.append(value)
    return "<br>".join(lines) + "<extra></extra>"


def _draw_scatter(scatter: Scatter) -> Any:
    graph, _ = _load()
    figure = _make_panels(len(scatter.panels), shared=False)
    named: set[int] = set()
    for row, panel in enumerate(scatter.panels, 1):
        for dots in panel.dots:
            figure.add_trace(_draw_dots(graph, dots, panel, named=dots.number not in named), row=row, col=1)
            named.add(dots.number)
        figure.update_xaxes(**_describe_axis(panel.x, log="x" in scatter.log), row=row, col=1)
        figure.update_yaxes(**_describe_axis(panel.y, log="y" in scatter.log), row=row, col=1)
    return _finish(figure, scatter.title, scatter.notes, legend=len(named) > 1, hovermode="closest")


def _draw_dots(graph: Any, dots: Dots, panel: ScatterPanel, *, named: bool) -> Any:
    hover = [f"<b>{escape(name)}</b> ({run_id[:8]})" for name, run_id in zip(dots.names, dots.run_ids, strict=True)]
    x, y = (_escape_hover(dimension.title) for dimension in (panel.x, panel.y))
    return graph.Scatter(
        x=list(dots.xs),
        y=list(dots.ys),
        name=escape(dots.name),
        mode="markers",
        marker={"color": find_color(dots.number), "size": 9, "line": {"width": 1, "color": "white"}},
        legendgroup=str(dots.number),
        showlegend=named,
        text=hover,
        hovertemplate=f"%{{text}}<br>{x} %{{x}}<br>{y} %{{y:.6~g}}<extra></extra>",
    )


def _describe_axis(dimension: Dimension, *, log: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {"title_text": escape(dimension.title)}
    if dimension.texts:
        axis.update(tickvals=list(dimension.positions), ticktext=[escape(text) for text in dimension.texts])
    elif log:
        axis["type"] = "log"
    return axis


def _draw_parallel(parallel: Parallel) -> Any:
    graph, _ = _load()
    last = parallel.dimensions[-1]
    dimensions = []
    for dimension in parallel.dimensions:
        entry: dict[str, Any] = {"label": escape(dimension.title), "values": list(dimension.values)}
        if dimension.texts:
            texts = [escape(text) for text in dimension.texts]
            entry.update(tickvals=list(dimension.positions), ticktext=texts)
        dimensions.append(entry)
    color = {"title": {"text": escape(last.title)}}
    figure = graph.Figure(
        graph.Parcoords(
            dimensions=dimensions,
            line={
                "color": list(last.values),
                "colorscale": _COLOR_SCALE,
                "showscale": True,
                "colorbar": color,
            },
            labelangle=-20 if len(dimensions) > 6 else 0,
        )
    )
    _finish(figure, parallel.title, parallel.notes, legend=False, hovermode=False)
    figure.update_layout(height=560, margin={"l": 90, "r": 60, "t": 150}, title={"y": 0.97, "yanchor": "top"})
    return figure


def _make_panels(count: int, *, shared: bool = True) -> Any:
    _, make_subplots = _load()
    spacing = min(0.08, 0.3 / count) if shared else min(0.15, 0.5 / count)
    figure = make_subplots(rows=count, cols=1, shared_xaxes=shared, vertical_spacing=spacing)
    figure.update_layout(height=100 + PIXELS_A_PANEL * count)
    return figure


def _finish(figure: Any, title: str, notes: Sequence[str], *, legend: bool, hovermode: Any) -> Any:
    figure.update_layout(
        template="plotly_white",
        title={"text": escape(title)},
        showlegend=legend,
        legend={"groupclick": "togglegroup", "tracegroupgap": 0},
        hovermode=hovermode,
        hoverlabel={"namelength": -1},
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(exponentformat="e", automargin=True)
    if notes:
        text = "<br>".join(escape(note) for note in notes)
        figure.add_annotation(
            text=text,
            xref="paper",
            yref="paper",
            x=0,
            y=-0.02,
            yanchor="top",
            yshift=-40,
            showarrow=False,
            align="left",
        )
    return figure


def escape(text: str) -> str:
    """Return what a run said so that plotly shows it as it is, in one line and not without end."""
    line = "".join(char if char.isprintable() else " " for char in text)
    line = line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_hover(text: str) -> str:
    return escape(text).replace("%", "&#37;")


def _fade(color: str, opacity: float) -> str:
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _to_gaps(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _to_milliseconds(moments: Sequence[float]) -> list[float]:
    return [moment / 1000 for moment in moments]

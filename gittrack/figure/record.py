"""Charts as JSON-ready values, for programs that draw them themselves.

Pure. A number that JSON has no word for is "NaN", "Infinity" or "-Infinity".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..canonical import spell_float
from .chart import Chart, Line
from .samples import Parallel, Scatter


def picture_record(picture: Chart | Scatter | Parallel) -> dict[str, Any]:
    """Return what a picture shows: `curves`, `dots` or `columns`, and `notes` of what could not be drawn.

    An x on an axis of wall time is UTC microseconds.
    """
    if isinstance(picture, Chart):
        record = _chart_record(picture)
    else:
        record = _scatter_record(picture) if isinstance(picture, Scatter) else _parallel_record(picture)
    return {**record, "title": picture.title, "notes": list(picture.notes)}


def _chart_record(chart: Chart) -> dict[str, Any]:
    return {
        "kind": "line",
        "x": f"metrics.{chart.axis.metric}" if chart.axis.kind == "metric" else chart.axis.kind,
        "unit": chart.unit,
        "smoothing": chart.smoothed,
        "curves": [
            {"metric": panel.metric, **_line_record(line, whole=chart.axis.kind == "step")}
            for panel in chart.panels
            for line in panel.lines
        ],
    }


def _line_record(line: Line, *, whole: bool) -> dict[str, Any]:
    xs = [int(x) for x in line.xs] if whole else _spell(line.xs)
    record = {"name": line.name, "runs": list(line.run_ids), "x": xs, "y": _spell(line.ys)}
    if line.counts:
        record.update(lower=_spell(line.lowers), upper=_spell(line.uppers), n=list(line.counts))
    elif line.raw:
        record["raw"] = _spell(line.raw)
    return record


def _scatter_record(scatter: Scatter) -> dict[str, Any]:
    dots = [
        {
            "x": _spell([panel.x.said[position]])[0],
            "y": _spell([panel.y.said[position]])[0],
            "x_key": panel.x.key,
            "y_key": panel.y.key,
            "group": group.name,
            "name": name,
            "run": run_id,
        }
        for panel in scatter.panels
        for group in panel.dots
        for position, name, run_id in zip(group.positions, group.names, group.run_ids, strict=True)
    ]
    return {"kind": "scatter", "dots": dots}


def _parallel_record(parallel: Parallel) -> dict[str, Any]:
    columns = {dimension.key: _spell(dimension.said) for dimension in parallel.dimensions}
    return {"kind": "parcoords", "runs": list(parallel.run_ids), "columns": columns}


def _spell(values: Iterable[Any]) -> list[Any]:
    return [spell_float(value) if isinstance(value, float) else value for value in values]

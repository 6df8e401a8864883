"""The `compare` command: several runs side by side, what differs, and who is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ..canonical import spell_float
from ..compare import (
    ABSENT,
    Goal,
    InputRow,
    MetricRow,
    Row,
    align_inputs,
    align_metrics,
    align_values,
    flatten_environment,
)
from ..errors import InvalidInput
from ..snapshot import input_record
from .amounts import count, format_age, format_duration, format_metrics, format_params, format_utc
from .columns import find_status, say_source
from .command import Command, experiment_option, json_option, pass_session, run_argument
from .data import say_data
from .failure import find_close
from .selection import find_runs, is_query
from .session import Session
from .table import GAP, Cell, Column, lay_out
from .terminal import STYLES, Screen
from .text import clean, clip, count_cells

if TYPE_CHECKING:
    from ..stored_run import StoredRun

ARROWS: dict[Goal | None, str] = {"min": " ↓", "max": " ↑", None: ""}

_LABEL_WIDTH = 28
_VALUE_WIDTH = 32
_PACKAGES = "packages."
_LEGEND = "  (* best, ↓ less is better, ↑ more is better)"


@dataclass(frozen=True)
class Comparison:
    """What several runs have, row by row; `equal` rows are left out unless they were asked for."""

    runs: tuple[StoredRun, ...]
    params: tuple[Row, ...]
    metrics: tuple[MetricRow, ...]
    tags: tuple[Row, ...]
    inputs: tuple[InputRow, ...]
    environment: tuple[Row, ...]


def compare_runs(runs: Sequence[StoredRun], *, goals: Mapping[str, Goal] | None = None) -> Comparison:
    """Return everything that can be compared of the runs, equal rows included."""
    return Comparison(
        runs=tuple(runs),
        params=tuple(align_values([run.params for run in runs])),
        metrics=tuple(align_metrics([run.summary for run in runs], goals=goals)),
        tags=tuple(align_values([run.tags for run in runs])),
        inputs=tuple(align_inputs([run.inputs for run in runs])),
        environment=tuple(align_values([flatten_environment(run.environment) for run in runs])),
    )


@dataclass(frozen=True)
class _Line:
    label: Cell
    cells: tuple[Cell, ...]
    heading: str = ""


def render_comparison(comparison: Comparison, screen: Screen, *, everything: bool, now: int) -> list[str]:
    """Return the comparison as tables of runs side by side: as many tables as the width needs, none cut off."""
    fit = Fit.of(screen)
    lines = _make_lines(comparison, screen, fit, everything=everything, now=now)
    widths = [max(count_cells(line.cells[index].text) for line in lines) for index in range(len(comparison.runs))]
    rendered: list[str] = []
    for block in _split(max(count_cells(line.label.text) for line in lines), widths, screen.width):
        rendered += ([""] if rendered else []) + _render_block(lines, block, screen)
    return rendered


@dataclass(frozen=True)
class Fit:
    """How wide labels and values may be, so that at least two runs stand beside each other; None for no limit."""

    label: int | None
    value: int | None

    @classmethod
    def of(cls, screen: Screen) -> Fit:
        """Return what fits a screen."""
        if screen.width is None:
            return cls(None, None)
        label = min(_LABEL_WIDTH, max(10, screen.width // 3))
        return cls(label, min(_VALUE_WIDTH, max(8, (screen.width - label - 2 * len(GAP)) // 2)))

    def clip_label(self, text: str) -> str:
        """Return a label as far as it fits; its end tells more than its start."""
        return text if self.label is None else clip(text, self.label - 2, keep="end")

    def clip_value(self, text: str) -> str:
        """Return a value as far as it fits."""
        return text if self.value is None else clip(text, self.value)


def _split(label: int, widths: Sequence[int], room: int | None) -> list[list[int]]:
    """Return the runs' positions in blocks that fit beside the labels, at least one in each."""
    blocks: list[list[int]] = [[]]
    used = label
    for index, width in enumerate(widths):
        if room is not None and blocks[-1] and used + len(GAP) + width > room:
            blocks.append([])
            used = label
        blocks[-1].append(index)
        used += len(GAP) + width
    return blocks


def _render_block(lines: Sequence[_Line], indexes: Sequence[int], screen: Screen) -> list[str]:
    columns = [Column("", tuple(line.label for line in lines))]
    columns += [Column("", tuple(line.cells[index] for line in lines)) for index in indexes]
    rendered: list[str] = []
    for line, text in zip(lines, lay_out(columns, screen, header=False).lines, strict=True):
        if line.heading:
            heading = line.heading if screen.width is None else clip(line.heading, screen.width)
            rendered += ["", screen.paint(heading, "heading")]
        rendered.append(text)
    return rendered


def _make_lines(comparison: Comparison, screen: Screen, fit: Fit, *, everything: bool, now: int) -> list[_Line]:
    packages = [
        Row(row.key.removeprefix(_PACKAGES), row.values)
        for row in comparison.environment
        if row.key.startswith(_PACKAGES)
    ]
    facts = [row for row in comparison.environment if not row.key.startswith(_PACKAGES)]
    return [
        *_make_head(comparison.runs, screen, fit, everything=everything, now=now),
        *_make_section("params", comparison.params, fit, everything=everything),
        *_make_metrics(comparison.metrics, fit, everything=everything),
        *_make_section("tags", comparison.tags, fit, everything=everything),
        *_make_inputs(comparison.inputs, fit, everything=everything),
        *_make_section("environment", facts, fit, everything=everything),
        *_make_section("packages", packages, fit, everything=everything),
    ]


def _make_head(runs: Sequence[StoredRun], screen: Screen, fit: Fit, *, everything: bool, now: int) -> list[_Line]:
    def say_start(run: StoredRun) -> str:
        return format_age(run.started, now=now) if screen.interactive else format_utc(run.started)

    rows: list[tuple[str, Callable[[StoredRun], str], bool]] = [
        ("experiment", lambda run: clean(run.experiment), False),
        ("status", find_status, True),
        ("started", say_start, True),
        ("took", lambda run: format_duration(run.duration), True),
        ("source", lambda run: clean(say_source(run)), False),
    ]
    head = [
        _Line(Cell(""), tuple(Cell(fit.clip_value(clean(run.name)), "heading") for run in runs)),
        _Line(Cell("run", "dim"), tuple(Cell(run.id[:8], "id") for run in runs)),
    ]
    for label, say, always in rows:
        texts = [say(run) for run in runs]
        if always or everything or len(set(texts)) > 1:
            cells = tuple(Cell(fit.clip_value(text), text if text in STYLES else "") for text in texts)
            head.append(_Line(Cell(label, "dim"), cells))
    return head


def _make_section(title: str, rows: Sequence[Row], fit: Fit, *, everything: bool) -> list[_Line]:
    shown = [row for row in rows if everything or row.differs]
    lines = []
    for index, row in enumerate(shown):
        texts = format_params(row.values)
        cells = tuple(
            Cell("-", "dim") if value is ABSENT else Cell(fit.clip_value(text))
            for value, text in zip(row.values, texts, strict=True)
        )
        heading = "" if index else _say_heading(title, shown, rows)
        lines.append(_Line(_make_label(row.key, "", fit), cells, heading))
    return lines


def _make_metrics(rows: Sequence[MetricRow], fit: Fit, *, everything: bool) -> list[_Line]:
    shown = [row for row in rows if everything or row.differs]
    lines = []
    for index, row in enumerate(shown):
        cells = []
        for position, (value, text) in enumerate(zip(row.values, format_metrics(row.values), strict=True)):
            if value is None:
                cells.append(Cell("-", "dim"))
            else:
                cells.append(Cell(f"{text} *", "best") if position in row.best else Cell(text))
        heading = "" if index else _say_heading("metrics", shown, rows) + _LEGEND
        lines.append(_Line(_make_label(row.metric, ARROWS[row.goal], fit), tuple(cells), heading))
    return lines


def _make_inputs(rows: Sequence[InputRow], fit: Fit, *, everything: bool) -> list[_Line]:
    shown = [row for row in rows if everything or row.differs]
    lines = []
    for index, row in enumerate(shown):
        texts = [say_data(entries) for entries in row.entries]
        cells = tuple(Cell(fit.clip_value(text)) if text else Cell("-", "dim") for text in texts)
        lines.append(_Line(_make_label(row.name, "", fit), cells, "" if index else _say_heading("inputs", shown, rows)))
    return lines


def _say_heading(title: str, shown: Sequence[object], rows: Sequence[object]) -> str:
    equal = len(rows) - len(shown)
    return title + (f" ({equal} equal not shown)" if equal else "")


def _make_label(key: str, mark: str, fit: Fit) -> Cell:
    return Cell("  " + fit.clip_label(clean(key) + mark), "key")


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as JSON-ready values; a run that lacks a value is not among its keys."""
    ids = [run.id for run in comparison.runs]
    return {
        "runs": [
            {"id": run.id, "name": run.name, "experiment": run.experiment, "status": str(run.status)}
            for run in comparison.runs
        ],
        "params": _rows_record(ids, comparison.params),
        "metrics": {
            row.metric: {
                "goal": row.goal,
                "best": [ids[index] for index in sorted(row.best)],
                "differs": row.differs,
                "values": {
                    run_id: spell_float(value)
                    for run_id, value in zip(ids, row.values, strict=True)
                    if value is not None
                },
            }
            for row in comparison.metrics
        },
        "tags": _rows_record(ids, comparison.tags),
        "inputs": {
            row.name: {
                "differs": row.differs,
                "values": {
                    run_id: [input_record(entry) for entry in entries]
                    for run_id, entries in zip(ids, row.entries, strict=True)
                    if entries
                },
            }
            for row in comparison.inputs
        },
        "environment": _rows_record(ids, comparison.environment),
    }


def _rows_record(ids: Sequence[str], rows: Sequence[Row]) -> dict[str, object]:
    return {
        row.key: {
            "differs": row.differs,
            "values": {
                run_id: spell_float(value) if isinstance(value, float) else value
                for run_id, value in zip(ids, row.values, strict=True)
                if value is not ABSENT
            },
        }
        for row in rows
    }


def choose_goals(minimize: Sequence[str], maximize: Sequence[str], runs: Sequence[StoredRun]) -> dict[str, Goal]:
    """Return the goals that a person set; raises InvalidInput for a metric that none of the runs has, or set twice."""
    known = sorted({metric for run in runs for metric in run.summary})
    for metric in (*minimize, *maximize):
        if metric not in known:
            close = find_close(metric, known)
            raise InvalidInput(f"none of these runs has a metric {metric!r:.100}", hint=" or ".join(close) or None)
        if metric in minimize and metric in maximize:
            raise InvalidInput(f"metric {metric!r:.100} cannot have both goals")
    goals: dict[str, Goal] = dict.fromkeys(minimize, "min")
    goals.update(dict.fromkeys(maximize, "max"))
    return goals


@click.command(
    "compare",
    cls=Command,
    examples=(
        "gittrack compare latest latest~1",
        "gittrack compare brave-otter-41 3f9a1c2e --max reward --all",
        "gittrack compare \"params.model = 'svm' AND metrics.auc > 0.9\"",
    ),
)
@run_argument("runs", many=True)
@experiment_option()
@click.option("--all", "everything", is_flag=True, help="Show what is equal, too.")
@click.option("--min", "minimize", metavar="METRIC", multiple=True, help="Less of this metric is better.")
@click.option("--max", "maximize", metavar="METRIC", multiple=True, help="More of this metric is better.")
@json_option()
@pass_session
def compare(
    session: Session,
    runs: tuple[str, ...],
    experiment: str | None,
    everything: bool,
    minimize: tuple[str, ...],
    maximize: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare params and metrics of several runs.

    A RUN may be a query that finds several. Which value is the best is told by a metric's name: less of a loss or
    error, more of an accuracy or score. --min and --max say it for other names.
    """
    with session.open_tracker() as tracker:
        found = find_runs(tracker, runs, experiment=experiment)
    if len(found) < 2:
        queries = [word for word in runs if is_query(word)]
        finding = f": {queries[0]!r:.100} finds {count(len(found), 'run')}" if len(runs) == 1 and queries else ""
        if queries and len(runs) > 1:
            finding = f": these words find {count(len(found), 'run')} in all"
        raise InvalidInput(f"a comparison needs at least two runs{finding}", hint="gittrack compare latest latest~1")
    comparison = compare_runs(found, goals=choose_goals(minimize, maximize, found))
    if as_json:
        session.write_json("comparison", comparison_record(comparison))
        return
    screen = session.terminal.screen
    session.terminal.write(render_comparison(comparison, screen, everything=everything, now=session.now))

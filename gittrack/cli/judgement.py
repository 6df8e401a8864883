"""Says whether a run that repeats another came to the same result: a table of metrics, a sentence, the likely cause."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..canonical import spell_float
from ..cause import Cause, find_causes
from ..verdict import MetricVerdict, Series, judge_metrics, sum_up
from .amounts import count, format_metrics
from .causes import cause_records, render_causes
from .show import fold, say_status
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..stored_run import StoredRun

Outcome = Literal["same", "close", "off", "failed", "none"]

_WORDS = {
    "same": "same bits",
    "close": "within tolerance",
    "off": "off",
    "missing": "missing",
    "new": "new",
    "machine": "not judged",
}
_STYLES = {"same": "added", "close": "added", "off": "deleted", "missing": "deleted"}


@dataclass(frozen=True)
class Judgement:
    """What came of repeating a run: `failed` where it did not end as the run did, `none` where there are no metrics."""

    old: StoredRun
    new: StoredRun
    verdict: Outcome
    tolerance: float
    metrics: tuple[MetricVerdict, ...]
    causes: tuple[Cause, ...]


def judge_runs(old: StoredRun, new: StoredRun, *, tolerance: float) -> Judgement:
    """Return what came of repeating a run; causes are looked for unless every bit is the same."""
    metrics = judge_metrics(
        old.summary,
        new.summary,
        read_old=lambda metric: _read_series(old, metric),
        read_new=lambda metric: _read_series(new, metric),
        tolerance=tolerance,
    )
    verdict: Outcome = sum_up(metrics) if new.status == old.status else "failed"
    causes = () if verdict in ("same", "none") else find_causes(old.snapshot, new.snapshot)
    if verdict == "failed":  # what it did not come to record is no cause of that
        causes = tuple(cause for cause in causes if cause.kind not in ("params", "data", "randomness"))
    return Judgement(old, new, verdict, tolerance, metrics, causes)


def _read_series(run: StoredRun, metric: str) -> Series:
    table = run.series(metric)
    return table.column("step").to_pylist(), table.column("value").to_pylist()


def render_judgement(judgement: Judgement, screen: Screen) -> list[str]:
    """Return the verdict in lines that are safe to print."""
    lines = _render_metrics(judgement, screen)
    said = fold(_sum_up(judgement), screen.width)
    style = "deleted" if judgement.verdict in ("off", "failed") else "added" if judgement.metrics else "heading"
    lines += ([""] if lines else []) + [screen.paint(line, style) for line in said]
    causes = render_causes(judgement.causes, screen)
    return lines + ([""] if causes else []) + causes


def _render_metrics(judgement: Judgement, screen: Screen) -> list[str]:
    metrics = judgement.metrics
    if not metrics:
        return []
    texts = [format_metrics([entry.old, entry.new]) for entry in metrics]
    columns = [
        Column("METRIC", tuple(Cell(clean(entry.metric), "key") for entry in metrics), least=8),
        Column("RECORDED", tuple(Cell(text[0]) for text in texts), rank=2, align="point"),
        Column("NOW", tuple(Cell(text[1]) for text in texts), rank=1, align="point"),
        Column("OFF BY", tuple(Cell(_say_off(entry)) for entry in metrics), rank=3, align="right"),
        Column("", tuple(Cell(_WORDS[entry.outcome], _STYLES.get(entry.outcome, "dim")) for entry in metrics)),
    ]
    return lay_out(columns, screen).lines


def _say_off(entry: MetricVerdict) -> str:
    if entry.counts[0] != entry.counts[1] and 0 not in entry.counts:
        return f"{entry.counts[1]} points, not {entry.counts[0]}"
    if entry.off is None or entry.off == 0:
        return ""
    return "inf" if math.isinf(entry.off) else f"{entry.off:.2g}"


def _sum_up(judgement: Judgement) -> str:
    old, new = judgement.old, judgement.new
    who = f"{clean(new.name)} ({new.id[:8]})"
    counted = [entry for entry in judgement.metrics if entry.outcome not in ("machine", "new")]
    bad = [entry for entry in counted if entry.outcome in ("off", "missing")]
    close = [entry for entry in counted if entry.outcome == "close"]
    if judgement.verdict == "failed":
        return f"{who} did not end as {clean(old.name)}: {say_status(new, Screen())}, not {say_status(old, Screen())}"
    if judgement.verdict == "none":
        return f"{who} repeats {clean(old.name)}, and ended the same way; there are no metrics to compare"
    if judgement.verdict == "off":
        return f"{who} does not reproduce {clean(old.name)}: {len(bad)} of {count(len(counted), 'metric')} off"
    if judgement.verdict == "close":
        within = f"{len(close)} within {judgement.tolerance:g}, the others by the same bits"
        return f"{who} reproduces {clean(old.name)}: of {count(len(counted), 'metric')}, {within}"
    return f"{who} reproduces {clean(old.name)}: the same bits in {count(len(counted), 'metric')}"


def judgement_record(judgement: Judgement) -> dict[str, object]:
    """Return a judgement as JSON-ready values."""

    def spell(value: float | None) -> object:
        return None if value is None else spell_float(value)

    return {
        "run": judgement.old.id,
        "reproduced_by": judgement.new.id,
        "status": str(judgement.new.status),
        "verdict": judgement.verdict,
        "tolerance": judgement.tolerance,
        "metrics": {
            entry.metric: {
                "verdict": entry.outcome,
                "old": spell(entry.old),
                "new": spell(entry.new),
                "off": spell(entry.off),
                "points": list(entry.counts),
            }
            for entry in judgement.metrics
        },
        "causes": cause_records(judgement.causes),
    }

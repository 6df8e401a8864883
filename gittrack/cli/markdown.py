"""Writes a report on a range of commits as Markdown, for a comment on a pull request or a job's summary.

Whatever runs and commits say of themselves is made harmless: it can neither format, link, nor mention anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .amounts import count, format_change, format_metrics, format_params, format_utc
from .text import clean, clean_lines

if TYPE_CHECKING:
    from ..group import Spread
    from ..hook.audit import Judged
    from ..hook.report import MetricLine, RangeReport
    from ..stored_run import StoredRun

_MOST_ROWS = 30
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")
_SIGNS = {
    "better": "🟢 better",
    "worse": "🔴 worse",
    "within noise": "⚪ within noise",
    "same": "same",
    "other": "other",
    "new": "new",
    "gone": "no value",
}


def escape(text: str) -> str:
    """Return text from elsewhere as one line of Markdown that shows just that."""
    return "".join(_ENTITIES.get(char) or _SPECIAL.sub(r"\\\1", char) for char in clean(text))


def render_report(report: RangeReport, images: Mapping[str, str]) -> list[str]:
    """Return a report as lines of Markdown; `images` are the addresses of plots, by metric."""
    lines = [f"### Runs behind {report.start[:10]}..{report.tip[:10]}", "", *_say_verdict(report.judged)]
    if report.runs:
        lines += ["", *_write_runs(report)]
    if report.metrics:
        lines += ["", *_write_metrics(report)]
    if report.params:
        lines += ["", *_write_params(report)]
    for metric, address in images.items():
        lines += ["", f"![{escape(metric)}]({address})"]
    if report.code:
        lines += ["", *_fold("Code", ["```", *(line.replace("`", "'") for line in clean_lines(report.code)), "```"])]
    return lines


def _say_verdict(judged: Sequence[Judged]) -> list[str]:
    needed = [entry for entry in judged if entry.verdict.changed]
    missing = [entry for entry in needed if not entry.verdict.passes]
    if not missing:
        said = "each with a run behind it" if needed else "none of which changes a guarded path"
        return [f"✅ {count(len(needed) or len(judged), 'commit')}, {said}."]
    lines = [f"❌ {count(len(missing), 'commit')} of {len(judged)} without a run:", ""]
    lines += [f"- {entry.commit.id[:10]} {escape(entry.commit.subject)}" for entry in missing[:_MOST_ROWS]]
    return [*lines, f"- and {len(missing) - _MOST_ROWS} more"] if len(missing) > _MOST_ROWS else lines


def _write_runs(report: RangeReport) -> list[str]:
    more = f", the newest {len(report.runs)}" if report.count > len(report.runs) else ""
    head = f"{count(report.count, 'run')} of what stands at the tip{more}:"
    return [head, "", *_write_table(("Run", "Experiment", "Ended", "Took"), map(_describe_run, report.runs))]


def _describe_run(run: StoredRun) -> tuple[str, ...]:
    from .amounts import format_duration

    ended = format_utc(run.ended) if run.ended is not None else ""
    return f"{escape(run.name)} `{run.id[:8]}`", escape(run.experiment), ended, format_duration(run.duration)


def _write_metrics(report: RangeReport) -> list[str]:
    if report.base is None:
        against = "There is no run of what this starts from to compare with."
    else:
        against = f"Beside the best of {count(report.base_count, 'run')} of {report.base[0][:10]}:"
    rows = (_describe_metric(line) for line in report.metrics[:_MOST_ROWS])
    return [against, "", *_write_table(("Metric", "Base", "Here", "Change", ""), rows)]


def _describe_metric(line: MetricLine) -> tuple[str, ...]:
    base, here = line.base, line.here
    means = [None if side is None else side.mean for side in (base, here)]
    old, new = format_metrics(means)
    change = format_change(means[0], means[1]) if means[0] is not None and means[1] is not None else ""
    arrow = {"max": " ↑", "min": " ↓"}.get(line.goal or "", "")
    sign = _SIGNS[line.judgement]
    if line.judgement in ("better", "worse") and line.noise is None:
        sign += ", noise unknown"
    return f"{escape(line.metric)}{arrow}", _say_side(old, base), _say_side(new, here), change, sign


def _say_side(mean: str, spread: Spread | None) -> str:
    if spread is None or spread.count < 2:
        return mean
    return (
        f"{mean} ± {spread.std:.2g} ({spread.count} runs)"
        if spread.std is not None
        else f"{mean} ({spread.count} runs)"
    )


def _write_params(report: RangeReport) -> list[str]:
    rows = []
    for row in report.params[:_MOST_ROWS]:
        old, new = format_params(row.values)
        rows.append((escape(row.key), escape(old), escape(new)))
    return ["Params that differ from the newest run of the base:", "", *_write_table(("Param", "Base", "Here"), rows)]


def _write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _fold(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]

"""The `report` command: what runs say about a range of commits, for a comment on a pull request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .audit import judged_record
from .command import Command, json_option, pass_session
from .session import Session

if TYPE_CHECKING:
    from ..group import Spread
    from ..hook.report import MetricLine, RangeReport

_MOST_IMAGES = 3
_MOST_CURVES = 3


@click.command(
    "report",
    cls=Command,
    examples=(
        "gittrack report origin/main..HEAD",
        "gittrack report main...HEAD --images plots --image-url https://example.com",
    ),
)
@click.argument("range")
@click.option("--format", "shape", type=click.Choice(["markdown"]), default="markdown", help="What to write: Markdown.")
@click.option("--images", metavar="DIR", type=click.Path(file_okay=False), help="Plot series into DIR, as PNG.")
@click.option("--image-url", metavar="URL", help="Where DIR will be found; by default where it is.")
@json_option()
@pass_session
def report(session: Session, range: str, shape: str, images: str | None, image_url: str | None, as_json: bool) -> None:
    """Write what runs say about a RANGE of commits, as Markdown.

    For a pull request's comment: the runs of what stands at its end, their metrics beside the best of what it starts
    from with the noise between seeds, params and code that differ. Only gittrack audit judges by its exit code.
    """
    from ..hook.proposal import workbench
    from ..hook.report import gather_report
    from ..repository import get_current_directory, get_repository
    from .markdown import render_report

    code = get_repository(get_current_directory())
    with session.open_tracker(recover=False) as tracker, workbench(code, tracker.repository) as git:
        found = gather_report(tracker, git, range)
        drawn = {} if images is None else _draw(found, Path(images), address=image_url or images)
    if as_json:
        session.write_json("report", report_record(found))
    else:
        session.terminal.write(render_report(found, drawn))


def report_record(found: RangeReport) -> dict[str, Any]:
    """Return a report as JSON-ready values."""
    return {
        "start": found.start,
        "tip": found.tip,
        "commits": [judged_record(entry) for entry in found.judged],
        "runs": [run.to_dict() for run in found.runs],
        "base": None if found.base is None else {"commit": found.base[0], "runs": found.base_count},
        "metrics": [_describe_metric(line) for line in found.metrics],
        "params": {row.key: [_spell(value) for value in row.values] for row in found.params},
        "code": found.code,
    }


def _describe_metric(line: MetricLine) -> dict[str, Any]:
    return {
        "metric": line.metric,
        "goal": line.goal,
        "here": _describe_spread(line.here),
        "base": _describe_spread(line.base),
        "noise": _spell(line.noise),
        "judgement": line.judgement,
    }


def _describe_spread(spread: Spread | None) -> dict[str, Any] | None:
    return None if spread is None else {name: _spell(value) for name, value in vars(spread).items()}


def _spell(value: object) -> object:
    from ..canonical import spell_float
    from ..compare import ABSENT

    if value is ABSENT:
        return None
    return spell_float(value) if isinstance(value, float) else value


def _draw(found: RangeReport, directory: Path, *, address: str) -> dict[str, str]:
    """Plot the first metrics that are series, of the newest runs here and of the base's newest; return addresses."""
    from ..plotting import make_picture, make_plan
    from .plot import write_picture

    runs = [*found.runs[:_MOST_CURVES], *([found.base[1]] if found.base else [])]
    series = [line.metric for line in found.metrics if any(_is_series(run.summary, line.metric) for run in runs)]
    drawn: dict[str, str] = {}
    directory.mkdir(parents=True, exist_ok=True)
    for metric in series[:_MOST_IMAGES]:
        name = f"{len(drawn) + 1}-{re.sub('[^A-Za-z0-9_-]+', '-', metric).strip('-')}.png"
        with_it = list({run.id: run for run in runs if metric in run.summary}.values())
        write_picture(make_picture(with_it, [metric], make_plan(title=metric)), directory / name)
        drawn[metric] = f"{address.rstrip('/')}/{name}"
    return drawn


def _is_series(summary: Any, metric: str) -> bool:
    return metric in summary and summary[metric].count > 1

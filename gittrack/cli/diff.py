"""The `diff` command: what changed from one run to another, in params, metrics, environment and code, and why."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ..cause import Cause, find_causes, has_changed
from ..compare import ABSENT, InputRow, MetricRow, Row, align_values, find_best
from ..errors import NotFound
from .amounts import format_change, format_duration, format_metrics, format_params
from .causes import cause_records, render_causes
from .columns import find_status, say_source
from .command import Command, json_option, pager_option, pass_session, run_argument
from .compare import ARROWS, Comparison, compare_runs, comparison_record
from .data import say_changes, say_data
from .session import Session
from .show import fold
from .table import GAP, Cell, Column, lay_out
from .terminal import Screen
from .text import clean, clip, count_cells, reveal

if TYPE_CHECKING:
    from ..stored_run import StoredRun
    from ..tracker import Tracker

_PACKAGES = "packages."
_CODE_HEADINGS = ("diff --git ", "index ", "--- ", "+++ ", "new file ", "deleted file ", "similarity ", "rename ")
_MARKS = {"+": "added", "-": "deleted", "~": "id"}


def render_diff(
    comparison: Comparison, code: bytes | None, screen: Screen, *, causes: Sequence[Cause] = ()
) -> list[str]:
    """Return what changed from the first run to the second; `code` is git's diff, None where there is none to have.

    `causes` are why a metric changed.
    """
    old, new = comparison.runs
    lines = [_render_end("from", old, screen), _render_end("to", new, screen)]
    facts = [row for row in comparison.environment if not row.key.startswith(_PACKAGES)]
    packages = [
        Row(row.key.removeprefix(_PACKAGES), row.values)
        for row in comparison.environment
        if row.key.startswith(_PACKAGES)
    ]
    sections = {
        "run": find_run_changes(old, new),
        "tags": comparison.tags,
        "params": comparison.params,
    }
    for title, rows in sections.items():
        lines += _render_section(title, rows, screen)
    lines += _render_inputs(comparison.inputs, screen)
    lines += _render_metrics(comparison.metrics, screen)
    lines += ["", *render_causes(causes, screen)] if causes else []
    for title, rows in {"environment": facts, "packages": packages}.items():
        lines += _render_section(title, rows, screen)
    if code is not None:
        lines += ["", screen.paint("code", "heading" if code else "dim") + ("" if code else ": the same")]
        lines += render_code(code, screen)
    return lines


def _render_end(word: str, run: StoredRun, screen: Screen) -> str:
    name = clean(run.name)
    if screen.width is not None:
        name = clip(name, screen.width - len("from  (12345678)"))
    return f"{screen.paint(word, 'heading')}{' ' * (5 - len(word))}{name} ({screen.paint(run.id[:8], 'id')})"


def find_run_changes(old: StoredRun, new: StoredRun) -> list[Row]:
    """Return the rows of what the two runs themselves were: experiment, status, time, commit, command, exit code."""

    def describe(run: StoredRun) -> dict[str, str]:
        facts = {
            "experiment": run.experiment,
            "status": find_status(run),
            "took": format_duration(run.duration),
            "source": say_source(run),
            "command": shlex.join(run.command),
            "parent": (run.parent or "")[:8],
            "note": run.note,
        }
        return {key: value for key, value in facts.items() if value}

    described = [describe(old), describe(new)]
    rows = {row.key: row for row in align_values(described)}
    return [rows[key] for key in dict.fromkeys((*described[0], *described[1]))]


def _render_section(title: str, rows: Sequence[Row], screen: Screen) -> list[str]:
    changed = [row for row in rows if row.differs]
    if not changed:
        return []
    wide = [row for row in changed if screen.width is not None and _measure(row) > screen.width]
    table = iter(_lay_out_changes([row for row in changed if row not in wide], screen))
    lines = ["", screen.paint(title, "heading")]
    for row in changed:
        lines += _render_below(row, screen) if row in wide else [next(table)]
    return lines


def _measure(row: Row) -> int:
    return sum(map(count_cells, (clean(row.key), *format_params(row.values)))) + 2 + 1 + 3 * len(GAP)


def _lay_out_changes(rows: Sequence[Row], screen: Screen) -> list[str]:
    texts = [format_params(row.values) for row in rows]
    marks = [_find_mark(row.values[0] is ABSENT, row.values[1] is ABSENT) for row in rows]
    columns = [
        Column("", tuple(Cell(mark, _MARKS[mark]) for mark in marks)),
        Column("", tuple(Cell(clean(row.key)) for row in rows), least=8),
        Column("", tuple(Cell(text[0], "deleted") for text in texts), least=8),
        Column("", tuple(Cell(text[1], "added") for text in texts), least=8),
    ]
    return lay_out(columns, screen, indent="  ", header=False).lines


def _render_below(row: Row, screen: Screen) -> list[str]:
    """Return a row whose values are too long to stand side by side: one below the other, whole."""
    mark = _find_mark(row.values[0] is ABSENT, row.values[1] is ABSENT)
    room = max(10, (screen.width or 80) - 7)
    lines = [f"  {screen.paint(mark, _MARKS[mark])}  {clip(clean(row.key), room)}"]
    for sign, style, value, text in zip("-+", ("deleted", "added"), row.values, format_params(row.values), strict=True):
        pieces = [] if value is ABSENT else fold(text, room)
        signs = [sign, *" " * (len(pieces) - 1)]
        lines += ["     " + screen.paint(f"{mark} {piece}", style) for mark, piece in zip(signs, pieces, strict=False)]
    return lines


def _render_inputs(rows: Sequence[InputRow], screen: Screen) -> list[str]:
    changed = [row for row in rows if row.differs]
    if not changed:
        return []
    marks = [_find_mark(not row.entries[0], not row.entries[1]) for row in changed]
    columns = [
        Column("", tuple(Cell(mark, _MARKS[mark]) for mark in marks)),
        Column("", tuple(Cell(clean(row.name)) for row in changed), least=8),
        Column("", tuple(Cell(say_data(row.entries[0]), "deleted") for row in changed), least=8),
        Column("", tuple(Cell(say_data(row.entries[1]), "added") for row in changed), least=8),
        Column("", tuple(Cell(verdict) for verdict in say_changes(changed)), rank=1),
    ]
    return ["", screen.paint("inputs", "heading"), *lay_out(columns, screen, indent="  ", header=False).lines]


def _find_mark(is_new: bool, is_gone: bool) -> str:
    return "+" if is_new else ("-" if is_gone else "~")


def _render_metrics(rows: Sequence[MetricRow], screen: Screen) -> list[str]:
    changed = [row for row in rows if row.differs]
    if not changed:
        return []
    texts = [format_metrics(row.values) for row in changed]
    marks = [_find_mark(row.values[0] is None, row.values[1] is None) for row in changed]
    changes = [_say_change(row) for row in changed]
    columns = [
        Column("", tuple(Cell(mark, _MARKS[mark]) for mark in marks)),
        Column("", tuple(Cell(clean(row.metric) + ARROWS[row.goal]) for row in changed), least=8),
        Column("", tuple(Cell(text[0]) for text in texts), align="point"),
        Column("", tuple(Cell(text[1]) for text in texts), align="point"),
        Column("", tuple(Cell(change) for change, _ in changes), align="right", rank=1),
        Column("", tuple(Cell(verdict, _VERDICTS.get(verdict, "")) for _, verdict in changes), rank=2),
    ]
    return ["", screen.paint("metrics", "heading"), *lay_out(columns, screen, indent="  ", header=False).lines]


_VERDICTS = {"better": "added", "worse": "deleted"}


def _say_change(row: MetricRow) -> tuple[str, str]:
    old, new = row.values
    if old is None or new is None:
        return "", ""
    best = find_best((old, new), goal=row.goal)
    return format_change(old, new), {frozenset({1}): "better", frozenset({0}): "worse"}.get(best, "")


def render_code(code: bytes, screen: Screen) -> list[str]:
    """Return git's diff line by line, safe to print, in git's own colours."""
    lines = code.decode("utf-8", "replace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [screen.paint(reveal(line), _find_code_style(line)) for line in lines]


def _find_code_style(line: str) -> str:
    if line.startswith(_CODE_HEADINGS):
        return "heading"
    if line.startswith("@@"):
        return "key"
    return {"+": "added", "-": "deleted"}.get(line[:1], "")


def find_code(tracker: Tracker, old: StoredRun, new: StoredRun, session: Session, *, stat: bool) -> bytes | None:
    """Return git's diff of the two runs' code; None, with a note, where one of them has none."""
    width = session.terminal.screen.width or 80
    try:
        return tracker.diff_source(old, new, arguments=(f"--stat={width}",) if stat else ())
    except NotFound as error:
        session.terminal.note(error.message)
        return None


def find_metric_causes(tracker: Tracker, comparison: Comparison) -> tuple[Cause, ...]:
    """Return why a metric of the second run is not that of the first, the likeliest first; nothing where none is."""
    if not has_changed(comparison.metrics):
        return ()
    old, new = comparison.runs
    files = b""
    with contextlib.suppress(NotFound):
        files = tracker.diff_source(old, new, arguments=("--name-only", "-z", "--no-renames"))
    paths = [os.fsdecode(path) for path in files.split(b"\0") if path]
    return find_causes(old.snapshot, new.snapshot, files=paths)


def diff_record(comparison: Comparison, code: bytes | None, *, causes: Sequence[Cause] = ()) -> Mapping[str, object]:
    """Return what changed as JSON-ready values, in the shape of a comparison without its equal rows, and the code."""
    record = comparison_record(comparison)
    for section in ("params", "metrics", "tags", "inputs", "environment"):
        rows = record[section]
        assert isinstance(rows, dict)
        record[section] = {key: row for key, row in rows.items() if row["differs"]}
    record["causes"] = cause_records(causes)
    record["code"] = None if code is None else code.decode("utf-8", "replace")
    return record


@click.command(
    "diff",
    cls=Command,
    examples=("gittrack diff latest~1 latest", "gittrack diff --code latest~1 latest > change.patch"),
)
@run_argument("old")
@run_argument("new")
@click.option("--stat", is_flag=True, help="Sum the code's changes up by file.")
@click.option("--code", "code_only", is_flag=True, help="Only the code; into a file or pipe as a patch, byte for byte.")
@pager_option()
@json_option()
@pass_session
def diff(session: Session, old: str, new: str, stat: bool, code_only: bool, no_pager: bool, as_json: bool) -> None:
    """Show what changed from one run to another, code included.

    Where a metric changed, the likely cause is named: code first, then command, params, data, packages, hardware.
    """
    terminal = session.terminal
    with session.open_tracker() as tracker:
        before, after = tracker.get_run(old), tracker.get_run(new)
        code = find_code(tracker, before, after, session, stat=stat)
        comparison = compare_runs([before, after])
        causes = () if code_only and not as_json else find_metric_causes(tracker, comparison)
    if code_only and not as_json:
        if terminal.screen.interactive:
            terminal.page(render_code(code or b"", terminal.screen), use_pager=not no_pager)
        else:
            terminal.write_bytes(code or b"")
        return
    if as_json:
        session.write_json("diff", diff_record(comparison, code, causes=causes))
    else:
        terminal.page(render_diff(comparison, code, terminal.screen, causes=causes), use_pager=not no_pager)

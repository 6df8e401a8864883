"""The `show` command: everything about one run, readable."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ..model import Scalar
from .amounts import count, describe_moment, format_duration, format_metrics, format_param, format_size
from .command import Command, json_option, pager_option, pass_session, run_argument
from .data import say_digest, say_more, say_place, say_size
from .session import Session
from .table import GAP, Cell, Column, lay_out
from .terminal import Screen
from .text import clean, clean_lines, clip, count_cells, take

if TYPE_CHECKING:
    from ..stored_run import StoredRun

TRACEBACK_LINES = 16
_MAX_PACKAGES = 6
_MAX_ARTIFACTS = 30
_NOTABLE_PACKAGES = ("torch", "tensorflow", "jax", "scikit-learn", "xgboost", "lightgbm", "transformers", "numpy")


def render_run(run: StoredRun, screen: Screen, *, now: int) -> list[str]:
    """Return the lines that say everything about a run; parts it does not have are left out."""
    blocks = [
        _render_head(run, screen, now=now),
        _render_note(run.note, screen),
        _render_failure(run, screen),
        _render_params(run.params, screen),
        _render_metrics(run, screen),
        _render_artifacts(run, screen),
        _render_inputs(run, screen),
        _render_left_out(run, screen),
    ]
    lines: list[str] = []
    for block in blocks:
        if block:
            lines += ([""] if lines else []) + block
    return lines


def _render_head(run: StoredRun, screen: Screen, *, now: int) -> list[str]:
    title = screen.paint(run.id, "id")
    name = screen.paint(clean(run.name), "heading")
    lines = [f"{screen.paint('run', 'heading')} {title}", f"{name}  {say_status(run, screen)}"]
    if screen.width is None or screen.width >= 80:
        lines = [f"{screen.paint('run', 'heading')} {title}  {name}  {say_status(run, screen)}"]
    return lines + list(render_facts(list(find_facts(run, now=now, interactive=screen.interactive)), screen))


def say_status(run: StoredRun, screen: Screen) -> str:
    """Return a run's status in its colour, with what else a reader must know: live, removed, its exit code."""
    said = screen.paint(str(run.status), str(run.status))
    more = []
    if run.live:
        more.append("live")
    elif str(run.status) == "RUNNING":
        more.append("checkpoint")
    exit_code = run.snapshot.run.exit_code
    if exit_code:
        more.append(f"exit {exit_code}")
    if run.removed is not None:
        more.append("removed")
    return said + (f" ({', '.join(more)})" if more else "")


def find_facts(run: StoredRun, *, now: int, interactive: bool) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of a run in one line each, as a word and a text that is safe to print."""
    record = run.snapshot.run
    yield "experiment", clean(run.experiment)
    yield "started", describe_moment(run.started, now=now, interactive=interactive)
    if run.duration is not None:
        yield "took", format_duration(run.duration)
    elif run.live:
        yield "runs for", format_duration(now - run.started)
    if run.command:
        yield "command", clean(shlex.join(run.command))
    yield "source", describe_source(run)
    if record.user or record.host:
        yield "by", clean("@".join(filter(None, (record.user, record.host))))
    if run.environment:
        yield "on", describe_environment(run.environment)
    if run.parent:
        yield "parent", clean(run.parent)
    if record.reproduces:
        yield "reproduces", clean(record.reproduces)
    if run.tags:
        yield "tags", ", ".join(clean(f"{key}={value}") for key, value in sorted(run.tags.items()))
    if run.commit:
        yield "commit", f"{clean(run.commit)} (revision {run.revision})"
    if record.incomplete:
        yield "incomplete", clean(record.incomplete)
    if record.scrubbed:
        yield "scrubbed", clean(", ".join(record.scrubbed))
    if record.redacted:
        yield "redacted", clean(", ".join(record.redacted))


def describe_source(run: StoredRun) -> str:
    """Return in one line which code ran."""
    source = run.source
    if source.commit is None:
        return "no commit" if source.captured != "none" else "not captured"
    where = clean(source.commit[:12]) + (f" on {clean(source.branch)}" if source.branch else "")
    parts = [where, "with changes" if source.dirty else "clean"]
    if source.captured == "commit":
        parts.append("only the commit's files are kept")
    if source.left_out:
        parts.append(f"{count(len(source.left_out), 'file')} left out")
    return ", ".join(parts)


def describe_environment(environment: Mapping[str, object]) -> str:
    """Return an environment in one line: Python, the system, the hardware, the notable packages."""

    def find(section: str, key: str) -> str:
        part = environment.get(section)
        value = part.get(key) if isinstance(part, Mapping) else None
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value))
        return "" if value is None else str(value)

    packages = environment.get("packages")
    parts = [
        f"Python {find('python', 'version')}" if find("python", "version") else "",
        find("platform", "name") or " ".join(filter(None, (find("platform", "system"), find("platform", "release")))),
        f"{find('cpu', 'count')} CPUs" if find("cpu", "count") else "",
        find("gpu", "models"),
    ]
    if isinstance(packages, Mapping) and packages:
        notable = [f"{name} {packages[name]}" for name in _NOTABLE_PACKAGES if name in packages][:_MAX_PACKAGES]
        parts += [*notable, count(len(packages), "package")]
    return clean(", ".join(filter(None, parts)))


def render_facts(facts: Sequence[tuple[str, str]], screen: Screen, *, indent: str = "") -> Iterator[str]:
    """Yield a line for every word and text, texts below each other; long ones go on below where a person reads."""
    widest = max((count_cells(word) for word, _ in facts), default=0)
    for word, text in facts:
        head = indent + screen.paint(word, "warning" if word == "incomplete" else "dim")
        lead = " " * (widest - count_cells(word)) + GAP
        room = None if screen.width is None else max(10, screen.width - len(indent) - widest - len(GAP))
        first, *rest = fold(text, room)
        yield head + lead + first
        yield from (indent + " " * (widest + len(GAP)) + line for line in rest)


def fold(text: str, room: int | None) -> list[str]:
    """Return text in lines of at most `room` cells, broken at spaces where there are any; whole without a width."""
    if room is None or count_cells(text) <= room:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if count_cells(joined) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
        while count_cells(word) > room:
            piece = take(word, room) or word[0]
            lines.append(piece)
            word = word[len(piece) :]
        line = word
    return [*lines, line] if line else lines


def _heading(title: str, screen: Screen) -> str:
    return screen.paint(title, "heading")


def _render_note(note: str, screen: Screen) -> list[str]:
    room = None if screen.width is None else screen.width - 2
    lines = [piece for line in clean_lines(note) for piece in fold(line, room)]
    return [_heading("note", screen), *(f"  {line}".rstrip() for line in lines)] if lines else []


def _render_failure(run: StoredRun, screen: Screen) -> list[str]:
    failure = run.failure
    if failure is None:
        return []
    room = None if screen.width is None else screen.width - 2
    lines = [screen.paint("failure", "error")]
    traceback = clean_lines(failure.traceback)
    if len(traceback) > TRACEBACK_LINES:
        lines.append("  " + screen.paint(f"… {count(len(traceback) - TRACEBACK_LINES, 'line')} above (--json)", "dim"))
        traceback = traceback[-TRACEBACK_LINES:]
    if traceback:
        return lines + [f"  {_cut(line, room)}".rstrip() for line in traceback]
    message = f"{failure.type}: {failure.message}" if failure.message else failure.type
    return lines + ["  " + line for line in fold(clean(message), room)]


def _cut(line: str, room: int | None) -> str:
    return line if room is None else clip(line, room)


def _render_params(params: Mapping[str, Scalar], screen: Screen) -> list[str]:
    if not params:
        return []
    facts = [(clean(key), format_param(value)) for key, value in sorted(params.items())]
    return [_heading(f"params ({len(params)})", screen), *render_facts(facts, screen, indent="  ")]


def _render_metrics(run: StoredRun, screen: Screen) -> list[str]:
    if not run.summary:
        return []
    names = sorted(run.summary)
    rows = [run.summary[name] for name in names]
    numbers = [format_metrics([row.last, row.min, row.max]) for row in rows]
    steps = [[str(step) for step in (row.last_step, row.min_step, row.max_step)] for row in rows]
    columns = [Column("metric", tuple(Cell(clean(name), "key") for name in names), least=8, title_style="dim")]
    for index, (title, rank) in enumerate((("last", 1), ("min", 2), ("max", 3))):
        cells = tuple(Cell(number[index], "heading" if index == 0 else "") for number in numbers)
        columns.append(Column(title, cells, rank=rank, align="point", title_style="dim"))
        at = tuple(Cell(f"@{step[index]}", "dim") for step in steps)
        columns.append(Column("step", at, rank=rank + 4, title_style="dim"))
    points = tuple(Cell(str(row.count)) for row in rows)
    columns.append(Column("points", points, rank=4, align="right", title_style="dim"))
    return [_heading(f"metrics ({len(names)})", screen), *lay_out(columns, screen, indent="  ").lines]


def _render_artifacts(run: StoredRun, screen: Screen) -> list[str]:
    artifacts = run.artifacts()
    if not artifacts:
        return []
    total = format_size(sum(pointer.size for pointer in artifacts.values()))
    paths = sorted(artifacts)
    hidden = len(paths) - _MAX_ARTIFACTS if screen.interactive else 0
    shown = paths[:_MAX_ARTIFACTS] if hidden > 0 else paths
    columns = [
        Column("", tuple(Cell(clean(path)) for path in shown), least=8),
        Column("", tuple(Cell(format_size(artifacts[path].size)) for path in shown), rank=1, align="right"),
    ]
    lines = lay_out(columns, screen, indent="  ", header=False).lines
    if hidden > 0:
        lines.append("  " + screen.paint(f"… {hidden} more: gittrack artifact ls {run.id[:8]}", "dim"))
    return [_heading(f"artifacts ({len(paths)}, {total})", screen), *lines]


def _render_inputs(run: StoredRun, screen: Screen) -> list[str]:
    inputs = run.inputs
    if not inputs:
        return []
    columns = [
        Column("", tuple(Cell(clean(entry.name), "key") for entry in inputs), least=8),
        Column("", tuple(Cell(say_place(entry)) for entry in inputs), rank=2, least=8),
        Column("", tuple(Cell(say_size(entry)) for entry in inputs), rank=1, align="right"),
        Column("", tuple(Cell(say_digest(entry, digits=12), "dim") for entry in inputs), rank=3),
        Column("", tuple(Cell(clean(entry.context)) for entry in inputs), rank=4),
        Column("", tuple(Cell(say_more(entry), "dim") for entry in inputs), rank=5),
    ]
    return [_heading(f"inputs ({len(inputs)})", screen), *lay_out(columns, screen, indent="  ", header=False).lines]


def _render_left_out(run: StoredRun, screen: Screen) -> list[str]:
    left_out = run.source.left_out
    if not left_out:
        return []
    columns = [
        Column("", tuple(Cell(clean(entry.path)) for entry in left_out), least=8),
        Column("", tuple(Cell(format_size(entry.size)) for entry in left_out), rank=2, align="right"),
        Column("", tuple(Cell(entry.reason, "dim") for entry in left_out), rank=1),
    ]
    return [
        _heading(f"left out of the source ({len(left_out)})", screen),
        *lay_out(columns, screen, indent="  ", header=False).lines,
    ]


@click.command("show", cls=Command, examples=("gittrack show latest", "gittrack show brave-otter-41 --json"))
@run_argument()
@click.option("--revisions", is_flag=True, help="List every revision of the run instead.")
@pager_option()
@json_option()
@pass_session
def show(session: Session, run: str, revisions: bool, no_pager: bool, as_json: bool) -> None:
    """Show everything about a run."""
    terminal = session.terminal
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        if revisions:
            entries = tracker.list_revisions(found.id)
            if as_json:
                session.write_json("revisions", [entry.to_dict() for entry in entries])
            else:
                terminal.write(render_revisions(entries, terminal.screen))
        elif as_json:
            session.write_json("run", found.to_dict())
        else:
            terminal.page(render_run(found, terminal.screen, now=session.now), use_pager=not no_pager)


def render_revisions(entries: Sequence[StoredRun], screen: Screen) -> list[str]:
    """Return the revisions of a run as a table, the one that speaks for it first."""
    columns = [
        Column("REVISION", tuple(Cell(str(entry.revision)) for entry in entries), align="right"),
        Column("COMMIT", tuple(Cell(clean(entry.commit or "")[:12], "id") for entry in entries), rank=1),
        Column("STATUS", tuple(Cell(str(entry.status), str(entry.status)) for entry in entries), rank=2),
        Column("NAME", tuple(Cell(clean(entry.name)) for entry in entries), rank=3, least=12),
        Column("TAGS", tuple(Cell(_say_tags(entry)) for entry in entries), rank=4, least=12),
        Column("NOTE", tuple(Cell(clean(entry.note)) for entry in entries), rank=5, least=12),
    ]
    return lay_out(columns, screen).lines


def _say_tags(run: StoredRun) -> str:
    said = [clean(f"{key}={value}") for key, value in sorted(run.tags.items())]
    return ", ".join(said + (["removed"] if run.removed is not None else []))

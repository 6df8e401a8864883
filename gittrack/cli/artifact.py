"""The `artifact` commands that list a run's output files, write them below a directory, and print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import Conflict, Corrupt, InvalidInput, StoreFailed
from .amounts import count, format_size
from .artifact_content import rm_content, verify_artifacts
from .artifact_open import open_artifact
from .chosen import (
    PATHS,
    Artifacts,
    choose,
    choose_paths,
    fetch_missing,
    find_artifacts,
    limit_options,
    raise_damage,
    read_limits,
)
from .command import CommandGroup, json_option, pass_session, run_argument
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..delivery import Delivered
    from ..model import Pointer
    from ..tracker import Tracker

_CHUNK = 1 << 20


def render_artifacts(rows: Sequence[tuple[str, int, str, bool]], screen: Screen) -> list[str]:
    """Return artifacts as a table; each row is path, size, oid, and whether the content is on this machine."""
    columns = [
        Column("PATH", tuple(Cell(clean(path)) for path, *_ in rows), least=12),
        Column("SIZE", tuple(Cell(format_size(size)) for _, size, *_ in rows), rank=1, align="right"),
        Column("SHA256", tuple(Cell(oid[:12], "dim") for _, _, oid, _ in rows), rank=3),
    ]
    if not all(here for *_, here in rows):
        columns.append(Column("", tuple(Cell("" if here else "not here", "warning") for *_, here in rows), rank=2))
    return lay_out(columns, screen).lines


@click.group("artifact", cls=CommandGroup)
def artifact() -> None:
    """List, fetch, open or check a run's output files."""


@artifact.command("ls", examples=("gittrack artifact ls latest", "gittrack artifact ls latest plots/ '*.csv'"))
@run_argument()
@PATHS
@json_option()
@pass_session
def ls(session: Session, run: str, paths: tuple[str, ...], as_json: bool) -> None:
    """List a run's artifacts with their sizes.

    PATH names one, a directory of them, or is a pattern: '*.png' fits at any depth, 'plots/*.png' there, '**' any
    directories.
    """
    with session.open_tracker() as tracker:
        found = find_artifacts(tracker, run)
        chosen = choose_paths(found.pointers, paths, run=found.name)
        here = {path: tracker.content.find(found.pointers[path]) is not None for path in chosen}
    rows = [(path, found.pointers[path].size, found.pointers[path].oid, here[path]) for path in chosen]
    if as_json:
        keys = ("path", "size", "oid", "here")
        session.write_json("artifacts", [dict(zip(keys, row, strict=True)) for row in rows])
    elif rows:
        session.terminal.write(render_artifacts(rows, session.terminal.screen))
    else:
        session.terminal.note(f"run {found.name} has no artifacts")
    raise_damage(session, found)


@artifact.command(
    "get",
    examples=(
        "gittrack artifact get latest model.pkl",
        "gittrack artifact get latest -o results",
        "gittrack artifact get latest '*.csv' --exclude 'tmp-*' --max-size 20m",
    ),
)
@run_argument()
@PATHS
@limit_options()
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Write below DIR instead of here.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there already.")
@pass_session
def get(
    session: Session,
    run: str,
    paths: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_size: str | None,
    output: Path,
    force: bool,
) -> None:
    """Fetch artifacts into a directory, under their own paths.

    PATH names an artifact, a directory of them, or is a pattern as for gittrack artifact ls; without one, all are
    fetched. Contents are verified while they are written; a file that differs and is there already is only overwritten
    with --force. Nothing is written outside the directory: what cannot be written safely is refused and named, and the
    rest is fetched.
    """
    from ..delivery import Item, deliver, find_unsafe

    limits = read_limits(include, exclude, max_size)
    with session.open_tracker() as tracker:
        found = find_artifacts(tracker, run)
        chosen = choose(found, paths, limits)
        unsafe = find_unsafe(chosen)
        pointers = {path: pointer for path, pointer in chosen.items() if path not in unsafe}
        fetch_missing(session, tracker, pointers)
        if not force:
            _check_conflict(pointers, output)
        items = [Item(path, pointer, _find_file(tracker, pointers.get(path))) for path, pointer in chosen.items()]
        done = deliver(items, output, replace=force)
    _tell_delivered(session, done, output)
    _raise_refused(session, found, done)


def _check_conflict(pointers: Mapping[str, Pointer], output: Path) -> None:
    from ..delivery import find_conflict

    path = find_conflict(pointers.items(), output)
    if path is not None:
        raise Conflict(f"{str(output / path)!r} is there already, with other content", hint="add --force, or -o DIR")


def _find_file(tracker: Tracker, pointer: Pointer | None) -> Path:
    """Return where a content is; nowhere for what is not to be written."""
    file = None if pointer is None else tracker.content.find(pointer)
    return Path() if file is None else file


def _tell_delivered(session: Session, done: Delivered, output: Path) -> None:
    terminal = session.terminal
    size = format_size(sum(item.pointer.size for item in done.written))
    if done.written:
        terminal.note(f"wrote {count(len(done.written), 'file')}, {size}, below {output}/")
    if done.there:
        terminal.note(f"{count(len(done.there), 'file is', 'files are')} there already, with the same content")
    terminal.write(clean(str(output / item.path)) for item in done.written)


def _raise_refused(session: Session, found: Artifacts, done: Delivered) -> None:
    """Name every artifact that was not written, and raise for the worst reason."""
    for refused in done.refused:
        session.terminal.warn(f"artifact {clean(refused.path)!r:.200} was not written: {refused.error.message}")
    raise_damage(session, found)
    if done.refused:
        worst = next(
            (entry.error for kind in (Corrupt, StoreFailed) for entry in done.refused if isinstance(entry.error, kind)),
            done.refused[0].error,
        )
        total = len(done.refused) + len(done.written) + len(done.there)
        raise type(worst)(
            f"{len(done.refused)} of {count(total, 'artifact')} of run {found.name} could not be written",
            hint=worst.hint,
        )


@artifact.command("cat", examples=("gittrack artifact cat latest output.log | less",))
@run_argument()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@pass_session
def cat(session: Session, run: str, paths: tuple[str, ...]) -> None:
    """Print artifacts' contents, byte for byte."""
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        unknown = [path for path in paths if path not in found.artifacts()]
        if unknown and any(path.startswith(unknown[0].rstrip("/") + "/") for path in found.artifacts()):
            raise InvalidInput(f"{unknown[0]!r:.200} is a directory of artifacts", hint=f"gittrack artifact ls {run}")
        if unknown:
            choose_paths(found.artifacts(), unknown, run=found.name)
            raise InvalidInput(f"{unknown[0]!r:.200} is a pattern, not a path", hint=f"gittrack artifact ls {run}")
        fetch_missing(session, tracker, {path: found.artifacts()[path] for path in paths})
        for path in paths:
            with found.open_artifact(path) as content:
                while chunk := content.read(_CHUNK):
                    session.terminal.write_bytes(chunk)


for command in (open_artifact, rm_content, verify_artifacts):
    artifact.add_command(command)

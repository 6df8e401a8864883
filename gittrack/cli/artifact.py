"""The `artifact` commands: a run's output files, listed, fetched and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InvalidInput, NotFound
from .amounts import count, format_size
from .command import CommandGroup, json_option, pass_session, run_argument
from .content_transfer import ContentTransfer
from .failure import find_close
from .fetched import Target, plan_targets, write_target
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..model import Pointer
    from ..stored_run import StoredRun
    from ..tracker import Tracker

_CHUNK = 1 << 20


def choose_paths(known: Sequence[str], wanted: Sequence[str], *, run: str) -> list[str]:
    """Return the artifact paths that are wanted: each names one, or a directory of them; all where none is named.

    Raises NotFound for a name that is neither.
    """
    if not wanted:
        return sorted(known)
    chosen: dict[str, None] = {}
    for name in wanted:
        below = name.rstrip("/") + "/"
        matches = [path for path in sorted(known) if path == name or path.startswith(below)]
        if not matches:
            close = find_close(name, sorted(known))
            raise NotFound(
                f"run {run} has no artifact {name!r:.200}", hint=close[0] if close else f"gittrack artifact ls {run}"
            )
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def is_here(run: StoredRun, path: str) -> bool:
    """Tell whether an artifact's content is on this machine."""
    try:
        run.artifact_file(path)
    except NotFound:
        return False
    return True


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


def fetch_missing(session: Session, tracker: Tracker, artifacts: Mapping[str, Pointer]) -> None:
    """Fetch the content of artifacts that is not here, with a progress bar.

    Raises NotFound, naming the first artifact, where nobody has the content of one, and what its transfer failed with.
    """
    missing = {pointer: path for path, pointer in artifacts.items() if tracker.content.find(pointer) is None}
    if not missing:
        return
    terminal = session.terminal
    with ContentTransfer(terminal.error_screen, "fetching content") as transfer:
        done = tracker.fetch_contents(missing, report=transfer, asking=terminal.error_screen.interactive)
    if done.moved:
        terminal.note(f"fetched {count(len(done.moved), 'file')}, {format_size(sum(p.size for p in done.moved))}")
    for failed in done.failed[1:]:
        terminal.warn(f"artifact {clean(missing[failed.pointer])}: {failed.error.message}")
    if done.failed:
        raise done.failed[0].error
    if done.missing:
        pointer = done.missing[0]
        raise NotFound(
            f"the content of artifact {missing[pointer]!r:.200} ({format_size(pointer.size)}, sha256 "
            f"{pointer.oid[:12]}) is neither on this machine nor with the remote",
            hint="git lfs push --all origin  # where the run was recorded",
        )


@click.group("artifact", cls=CommandGroup)
def artifact() -> None:
    """List, fetch or print a run's output files."""


@artifact.command("ls", examples=("gittrack artifact ls latest", "gittrack artifact ls latest plots/"))
@run_argument()
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@json_option()
@pass_session
def ls(session: Session, run: str, paths: tuple[str, ...], as_json: bool) -> None:
    """List a run's artifacts with their sizes."""
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        artifacts = found.artifacts()
        chosen = choose_paths(list(artifacts), paths, run=found.name)
        here = {path: is_here(found, path) for path in chosen}
    rows = [(path, artifacts[path].size, artifacts[path].oid, here[path]) for path in chosen]
    if as_json:
        keys = ("path", "size", "oid", "here")
        session.write_json("artifacts", [dict(zip(keys, row, strict=True)) for row in rows])
    elif rows:
        session.terminal.write(render_artifacts(rows, session.terminal.screen))
    else:
        session.terminal.note(f"run {found.name} has no artifacts")


@artifact.command(
    "get", examples=("gittrack artifact get latest model.pkl", "gittrack artifact get latest plots/ -o results")
)
@run_argument()
@click.argument("paths", metavar="[PATH]...", nargs=-1)
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
def get(session: Session, run: str, paths: tuple[str, ...], output: Path, force: bool) -> None:
    """Fetch artifacts into a directory, under their own paths.

    PATH names an artifact or a directory of them; without one, all are fetched. Contents are verified while they are
    written; a file that differs and is there already is only overwritten with --force.
    """
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        artifacts = found.artifacts()
        chosen = choose_paths(list(artifacts), paths, run=found.name)
        fetch_missing(session, tracker, {path: artifacts[path] for path in chosen})
        targets = plan_targets(
            [(path, artifacts[path], found.artifact_file(path)) for path in chosen], output, force=force
        )
        for target in targets:
            write_target(target)
    _say_written(session, targets, kept=len(chosen) - len(targets), output=output)


def _say_written(session: Session, targets: Sequence[Target], *, kept: int, output: Path) -> None:
    size = format_size(sum(target.pointer.size for target in targets))
    if targets:
        session.terminal.note(f"wrote {count(len(targets), 'file')}, {size}, below {output}/")
    if kept:
        session.terminal.note(f"{count(kept, 'file is', 'files are')} there already, with the same content")
    session.terminal.write(clean(str(target.file)) for target in targets)


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
            choose_paths(list(found.artifacts()), unknown, run=found.name)
        fetch_missing(session, tracker, {path: found.artifacts()[path] for path in paths})
        for path in paths:
            with found.open_artifact(path) as content:
                while chunk := content.read(_CHUNK):
                    session.terminal.write_bytes(chunk)

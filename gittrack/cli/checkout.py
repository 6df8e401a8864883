"""The `checkout` command: a run's source code in a directory of its own, and words for what of it is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .amounts import count, format_size
from .command import Command, json_option, pass_session, run_argument
from .session import Session
from .text import clean

if TYPE_CHECKING:
    from ..checkout import CheckedOut
    from ..repository import Repository
    from ..stored_run import StoredRun

MOST_LISTED = 20

_REASONS = {
    "too-large": "it was too large",
    "total-too-large": "there was too much of it",
    "too-many": "there were too many files",
    "secret-name": "its name is that of a secret",
    "secret-content": "it held a secret",
    "unreadable": "it could not be read",
    "special-file": "it was no ordinary file",
}


def choose_directory(run: StoredRun, repository: Repository) -> Path:
    """Return where a run's source goes that nobody named a place for: beside the working tree or bare repository."""
    name = run.name if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,80}", run.name, re.ASCII) else run.id[:8]
    place = repository.worktree or repository.common_directory
    if place.name == ".git":  # seen from inside the Git directory
        place = place.parent
    return place.with_name(f"{place.name.removesuffix('.git')}-{name}")


def list_gaps(run: StoredRun, done: CheckedOut) -> Iterator[tuple[str, str]]:
    """Yield each path of a run's source that is not as it was when the run began, and why; as it was recorded."""
    for entry in run.source.left_out:
        yield entry.path, f"not recorded, {_REASONS.get(entry.reason, entry.reason)} ({format_size(entry.size)})"
    for place in run.snapshot.run.redacted:
        if place.startswith("source/"):
            yield place.removeprefix("source/"), "taken out of the run after it was recorded"
    for path, pointer in done.pointers:
        yield path, f"a Git LFS pointer, its content ({format_size(pointer.size)}) is not on this machine"
    for path, commit in done.plan.submodules:
        yield path, f"a submodule at {commit[:12]}, an empty directory here"
    for path, target in done.plan.outside:
        yield path, f"a link that leads out of the tree, to {target}"


def describe_gaps(run: StoredRun, done: CheckedOut) -> list[str]:
    """Return sentences that are safe to print on what of a source tree is missing or otherwise than it was."""
    gaps = list(list_gaps(run, done))
    lines = [f"{clean(path)}: {clean(why)}" for path, why in gaps[:MOST_LISTED]]
    if len(gaps) > MOST_LISTED:
        lines.append(f"and {len(gaps) - MOST_LISTED} more that are not there or not as they were")
    if run.source.captured == "commit":
        lines.append("only the commit's files were recorded; what was changed since is not among them")
    for paths in done.plan.collisions[:MOST_LISTED]:
        lines.append(f"one name on some file systems: {', '.join(map(clean, paths))}")
    return lines


def checkout_record(run: StoredRun, done: CheckedOut) -> dict[str, object]:
    """Return what was written as JSON-ready values."""
    return {
        "run": run.id,
        "directory": str(done.directory),
        "tree": done.plan.tree,
        "files": done.files,
        "bytes": done.size,
        "missing": [{"path": path, "why": why} for path, why in list_gaps(run, done)],
        "collisions": [list(paths) for paths in done.plan.collisions],
    }


@click.command(
    "checkout",
    cls=Command,
    examples=("gittrack checkout latest", "gittrack checkout brave-otter-41 /tmp/otter"),
)
@run_argument()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@json_option()
@pass_session
def checkout(session: Session, run: str, directory: Path | None, as_json: bool) -> None:
    """Write a run's source code into a new directory.

    The files are those that were on disk when the run began, committed or not; nothing of them is run, and neither
    your working tree nor HEAD is touched. DIR must be new or empty; without it, it is made beside the working tree.
    What is not there, or not as it was, is said.
    """
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        done = tracker.checkout_source(found, directory or choose_directory(found, tracker.code or tracker.repository))
    if as_json:
        session.write_json("checkout", checkout_record(found, done))
        return
    for line in describe_gaps(found, done):
        session.terminal.warn(line)
    session.terminal.note(f"wrote {count(done.files, 'file')}, {format_size(done.size)}, of run {clean(found.name)}")
    session.terminal.write([clean(str(done.directory))])

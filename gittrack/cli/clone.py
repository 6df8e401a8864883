"""The `clone` command: the runs of a remote, on a machine that has no checkout of the code."""

from __future__ import annotations

import re
from pathlib import Path

import click

from .. import layout
from .amounts import count
from .command import Command, json_option, pass_session
from .fetch import fetched_record
from .session import Session
from .text import clean
from .transfer import Transfer


def choose_directory(url: str) -> str:
    """Return the name of the directory that a clone goes to: the last part of the address, with `.git`."""
    last = re.split(r"[/:]", url.rstrip("/").removesuffix("/.git"))[-1].removesuffix(".git")
    return f"{last or 'runs'}.git"


@click.command(
    "clone",
    cls=Command,
    examples=("gittrack clone git@example.com:team/model.git", "gittrack clone /srv/model.git runs.git --full"),
)
@click.argument("url", metavar="URL")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path())
@click.option("--full", is_flag=True, help="Get all points and sources now, and not when they are needed.")
@json_option()
@pass_session
def clone(session: Session, url: str, directory: str | None, full: bool, as_json: bool) -> None:
    """Get the experiments of a repository, and nothing else of it.

    Makes a bare repository. Where the server allows it, points and sources stay there until they are looked at.
    """
    from ..repository import find_ident, read_config
    from ..sync.cloning import clone_store

    target = Path(directory if directory is not None else choose_directory(url))
    terminal = session.terminal
    with Transfer(terminal.error_screen) as transfer:
        repository, report = clone_store(
            url,
            target,
            namespace=layout.DEFAULT_NAMESPACE,
            author=find_ident(read_config(None)),
            everything=full,
            interactive=terminal.error_screen.interactive,
            report=transfer,
        )
    if as_json:
        records = [fetched_record(branch) for branch in report.branches]
        session.write_json("cloned", records, directory=str(repository.directory), partial=repository.is_partial)
        return
    for branch in report.branches:
        terminal.note(f"{branch.slug}: {count(branch.runs, 'run')}")
        for refused in branch.refused:
            terminal.warn(f"{branch.slug}: record {refused.name} is kept out: {refused.reason}")
    if not report.branches:
        terminal.note(f"there are no experiments at {clean(url)} yet")
    terminal.hint(f"to look at them: gittrack ls -C {clean(str(target))}")

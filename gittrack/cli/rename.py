"""The `rename` command: a run's human name."""

from __future__ import annotations

import click

from .command import Command, pass_session, run_argument
from .session import Session


@click.command("rename", cls=Command, examples=("gittrack rename latest baseline",))
@run_argument()
@click.argument("name")
@pass_session
def rename(session: Session, run: str, name: str) -> None:
    """Give a run another name."""
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        renamed = tracker.edit_run(found.id, name=name)
    session.terminal.note(f"run {found.id[:8]} is now called {renamed.name}, no longer {found.name}")

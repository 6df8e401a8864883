"""The `recover` command: commits the journals of processes that died."""

from __future__ import annotations

import click

from .command import Command, json_option, pass_session
from .session import Session


@click.command("recover", cls=Command, examples=("gittrack recover",))
@json_option()
@pass_session
def recover(session: Session, as_json: bool) -> None:
    """Keep the runs of processes that died; normally automatic.

    Every command that reads or writes runs does this first.
    """
    with session.open_tracker() as tracker:
        recovered = list(tracker.recovered)
    if as_json:
        session.write_json("runs", [run.to_dict() for run in recovered])
    elif not recovered:
        session.terminal.note("there is nothing to recover")

"""The `remote` command: which remote runs are shared through, and why that one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import GittrackError
from .command import Command, json_option, pass_session
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean
from .transfer import show_address

if TYPE_CHECKING:
    from ..transport import Remote
    from .terminal import Screen


def describe_addresses(remote: Remote) -> str:
    """Return where a remote is, and where pushes go if that is elsewhere."""
    fetched, pushed = show_address(remote.url), show_address(remote.push_url)
    return fetched if fetched == pushed else f"{fetched} (pushes go to {pushed})"


def render_remotes(remotes: Sequence[Remote], used: Remote | None, screen: Screen) -> list[str]:
    """Return the remotes as a table that says which one is used."""
    why = [f"used: {used.why}" if used is not None and remote.name == used.name else "" for remote in remotes]
    columns = [
        Column("REMOTE", tuple(Cell(clean(remote.name), "key") for remote in remotes), least=8),
        Column("ADDRESS", tuple(Cell(describe_addresses(remote)) for remote in remotes), rank=2, least=12),
        Column("", tuple(Cell(clean(text), "dim") for text in why), rank=1, least=8),
    ]
    return lay_out(columns, screen).lines


@click.command("remote", cls=Command, examples=("gittrack remote", "gittrack init --remote team"))
@json_option()
@pass_session
def remote(session: Session, as_json: bool) -> None:
    """Say which remote runs are shared through, and why.

    The one that is set (gittrack init --remote NAME), else the one your branch follows, else origin, else the only one.
    """
    from ..repository import read_config
    from ..sync.agreement import is_agreed
    from ..sync.link import connect
    from ..transport import find_remote, list_remotes

    with session.open_tracker(recover=False) as tracker:
        config = read_config(tracker.repository)
        author = tracker.make_stamp(session.now).author
        found = [find_remote(name, config, why="") for name in list_remotes(config)]
        problem: GittrackError | None = None
        used: Remote | None = None
        try:
            used = connect(tracker.history, tracker.settings, author=author).remote
        except GittrackError as error:
            problem = error
        agreed = {entry.name: is_agreed(tracker.repository, entry) for entry in found}
    if as_json:
        records = [
            {
                "name": entry.name,
                "url": show_address(entry.url),
                "push_url": show_address(entry.push_url),
                "used": used is not None and entry.name == used.name,
                "why": used.why if used is not None and entry.name == used.name else None,
                "shared": agreed[entry.name],
            }
            for entry in found
        ]
        session.write_json("remotes", records)
    elif found:
        session.terminal.write(render_remotes(found, used, session.terminal.screen))
    if problem is not None and not as_json:
        session.terminal.note(problem.message, hint=problem.hint)

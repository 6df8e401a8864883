"""The `tag` command: a run's tags, read and changed."""

from __future__ import annotations

import click

from ..errors import InvalidInput
from .command import Command, json_option, pass_session, run_argument
from .session import Session
from .text import clean
from .values import split_assignments


@click.command("tag", cls=Command, examples=("gittrack tag latest stage=prod", "gittrack tag brave-otter-41 -d stage"))
@run_argument()
@click.argument("tags", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-d", "--delete", "deleted", metavar="KEY", multiple=True, help="Take a tag off.")
@json_option()
@pass_session
def tag(session: Session, run: str, tags: tuple[str, ...], deleted: tuple[str, ...], as_json: bool) -> None:
    """Set or take off a run's tags.

    Without tags, prints those the run has.
    """
    changes: dict[str, str | None] = dict(split_assignments(tags))
    for key in deleted:
        if key in changes:
            raise InvalidInput(f"tag {key!r:.100} cannot be both set and taken off")
        changes[key] = None
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        missing = [key for key in deleted if key not in found.tags]
        if missing:
            raise InvalidInput(f"run {found.name} has no tag {missing[0]!r:.100}", hint=f"gittrack tag {found.id[:8]}")
        if changes:
            found = tracker.edit_run(found.id, tags=changes)
            session.terminal.note(f"changed the tags of run {found.name} ({found.id[:8]})")
    if as_json:
        session.write_json("tags", dict(sorted(found.tags.items())))
    elif not changes:
        session.terminal.write(clean(f"{key}={value}") for key, value in sorted(found.tags.items()))

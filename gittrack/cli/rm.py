"""The `rm` and `restore` commands: mark runs removed, and bring them back."""

from __future__ import annotations

from collections.abc import Sequence

import click

from .command import Command, pass_session, run_argument
from .session import Session


def mark_runs(session: Session, refs: Sequence[str], *, removed: bool) -> None:
    """Mark the runs removed, or not removed; nothing is changed where one of them does not exist."""
    word = "removed" if removed else "restored"
    changed = []
    with session.open_tracker() as tracker:
        found = {run.id: run for run in [tracker.get_run(ref) for ref in refs]}
        for run in found.values():
            if (run.removed is not None) == removed:
                session.terminal.note(f"run {run.name} ({run.id[:8]}) is {'' if removed else 'not '}removed already")
                continue
            tracker.edit_run(run.id, removed=removed)
            changed.append(run.id[:8])
            session.terminal.note(f"{word} run {run.name} ({run.id[:8]})")
    if changed and removed:
        session.terminal.hint(f"to undo: gittrack restore {' '.join(changed)}")


@click.command("rm", cls=Command, examples=("gittrack rm latest", "gittrack rm brave-otter-41 3f9a1c2e"))
@run_argument("runs", many=True)
@pass_session
def rm(session: Session, runs: tuple[str, ...]) -> None:
    """Mark runs removed; nothing is deleted.

    Removed runs are not listed any more. gittrack restore brings them back.
    """
    mark_runs(session, runs, removed=True)


@click.command("restore", cls=Command, examples=("gittrack restore brave-otter-41",))
@run_argument("runs", many=True)
@pass_session
def restore(session: Session, runs: tuple[str, ...]) -> None:
    """Bring removed runs back."""
    mark_runs(session, runs, removed=False)

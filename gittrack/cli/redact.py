"""The `redact` command: take something out of a run that should never have been recorded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..errors import Conflict, InvalidInput
from .amounts import count
from .command import Command, json_option, pass_session, run_argument
from .gc import say_what_remains
from .session import Session
from .text import clean

if TYPE_CHECKING:
    from ..redaction import Change, Redaction

_MANY = 20


def describe_change(change: Change) -> str:
    """Return one change of a redaction in a line."""
    times = f" ({count(change.count, 'time')})" if change.count > 1 else ""
    return clean(f"{change.place}: {'taken out' if change.effect == 'removed' else 'replaced by [redacted]'}{times}")


@click.command(
    "redact",
    cls=Command,
    examples=(
        "gittrack redact latest --param api_key",
        "gittrack redact brave-otter-41 --artifact customers.csv --source notes.txt",
        "gittrack redact 3f9a1c2e --text hunter2 --yes",
    ),
)
@run_argument()
@click.option("--param", "params", metavar="NAME", multiple=True, help="Replace a param's value.")
@click.option("--tag", "tags", metavar="NAME", multiple=True, help="Replace a tag's value.")
@click.option("--note", is_flag=True, help="Replace the note.")
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="Take a metric out, with all its points.")
@click.option("--artifact", "artifacts", metavar="PATH", multiple=True, help="Take an artifact out.")
@click.option("--source", "sources", metavar="PATH", multiple=True, help="Take a file out of the source.")
@click.option(
    "--text",
    "texts",
    metavar="TEXT",
    multiple=True,
    help="Replace a text wherever it stands, in text files too; a binary file that holds it is taken out.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option()
@pass_session
def redact(
    session: Session,
    run: str,
    params: tuple[str, ...],
    tags: tuple[str, ...],
    note: bool,
    metrics: tuple[str, ...],
    artifacts: tuple[str, ...],
    sources: tuple[str, ...],
    texts: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Take something out of a run, and out of its history.

    The run's next revision is without it, and all earlier ones are deleted for good; the experiment's history begins
    anew. Whoever has a copy still has it. A secret that was recorded is known: revoke it.
    """
    from ..deletion import redact_run, survey_redaction

    places = [
        *(f"params.{name}" for name in params),
        *(f"tags.{name}" for name in tags),
        *(["note"] if note else []),
        *(f"metrics.{name}" for name in metrics),
        *(f"artifacts/{path}" for path in artifacts),
        *(f"source/{path}" for path in sources),
    ]
    if not places and not texts:
        raise InvalidInput("redact needs to be told what to take out", hint=f"gittrack redact {run} --param NAME")
    terminal = session.terminal
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        redaction = survey_redaction(tracker, found.id, places=places, texts=texts)
        if not as_json:
            terminal.note(f"redacting run {found.name} ({found.id[:8]}), revision {found.revision}:")
            _tell_changes(session, redaction)
        if not yes:
            _ask(session, found.id[:8])
        done = redact_run(tracker, found.id, places=places, texts=texts, now=session.now)
    if as_json:
        changes = [{"place": c.place, "effect": c.effect, "count": c.count} for c in done.changes]
        session.write_json("redacted", {"run": done.run_id, "revision": done.revision, "changes": changes})
        return
    terminal.note(
        f"redacted run {found.name} ({found.id[:8]}): it is at revision {done.revision}, the earlier ones are deleted; "
        f"the history of {done.experiment} begins anew, as epoch {done.epoch}"
    )
    terminal.warn("a secret that was recorded may have been read: revoke it")
    if texts:
        terminal.note("only this run was searched; others may hold the text, too")
    if any(change.place.startswith("artifacts/") for change in done.changes):
        terminal.note("the old content of artifacts is condemned, and still here", hint="gittrack gc --now --yes")
    say_what_remains(terminal, [done.experiment], tracker=tracker)


def _tell_changes(session: Session, redaction: Redaction) -> None:
    lines = [describe_change(change) for change in redaction.changes]
    session.terminal.write(lines[:_MANY])
    if len(lines) > _MANY:
        session.terminal.write([f"and {len(lines) - _MANY} more"])
    if redaction.unseen:
        session.terminal.warn(
            f"not searched, since the content is not here: {', '.join(redaction.unseen[:5])}",
            hint="gittrack pull --content --all",
        )
    if redaction.snapshot.run.source.commit and any(c.place.startswith("source/") for c in redaction.changes):
        session.terminal.warn(
            f"your own history may hold the file too: commit {redaction.snapshot.run.source.commit[:12]} is not touched"
        )


def _ask(session: Session, run_id: str) -> None:
    if not (session.terminal.error_screen.interactive and sys.stdin.isatty()):
        raise Conflict("nothing was redacted: this cannot be undone, and nobody can be asked here", hint="add --yes")
    if not click.confirm("Redact it, and delete the earlier revisions for good?", err=True):
        raise Conflict("nothing was redacted", hint=f"gittrack show {run_id}")

"""What the commands that share content have in common: its upload and its eager fetch, shown and told.

Knows nothing of refs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InvalidInput
from .amounts import count, format_size
from .content_transfer import ContentTransfer
from .session import Session
from .text import clean
from .transfer import Transfer

if TYPE_CHECKING:
    from ..artifact_choice import Limits
    from ..content_remote import Transferred
    from ..model import Pointer
    from ..sync.downloading import Arrivals
    from ..sync.link import Link
    from ..sync.uploading import Upload
    from ..tracker import Tracker

F = TypeVar("F", bound=Callable[..., Any])


def make_upload(session: Session, tracker: Tracker, link: Link) -> Upload:
    """Return what sends the content of a push, and shows how far it is."""
    from ..sync.uploading import Upload

    return Upload(link, tracker.content, tracker.settings, show=lambda: show_transfer(session, link, "sending content"))


@contextmanager
def show_transfer(session: Session, link: Link, what: str) -> Iterator[ContentTransfer]:
    """Show how far a transfer of content is, in place of git's own."""
    if isinstance(link.report, Transfer):
        link.report.stop()
    with ContentTransfer(session.terminal.error_screen, what) as transfer:
        yield transfer


def tell_upload(session: Session, upload: Upload, *, remote: str) -> None:
    """Say what content went, and which did not, and why."""
    terminal = session.terminal
    if upload.sent:
        terminal.note(f"sent {_count(upload.sent)} to {clean(upload.place.address if upload.place else '')}")
    if upload.missing:
        terminal.note(f"{_count(upload.missing)} is neither here nor there, and is left to where it was made")
    if upload.kept and not upload.is_off:
        why = upload.reason or f"{remote} keeps none"
        terminal.warn(
            f"{_count(upload.kept)} stayed here: {clean(why)}",
            hint=f"git config gittrack.contentRemote s3://BUCKET/PATH && gittrack push --content {remote}",
        )


def upload_record(upload: Upload) -> dict[str, int]:
    """Return what became of the content of a push as JSON-ready values."""
    return {
        "sent": len(upload.sent),
        "bytes": sum(pointer.size for pointer in upload.sent),
        "there": len(upload.there),
        "missing": len(upload.missing),
        "kept": len(upload.kept),
    }


def _count(pointers: Sequence[Pointer]) -> str:
    return f"the content of {count(len(pointers), 'artifact')} ({format_size(sum(p.size for p in pointers))})"


def content_options(command: F) -> F:
    """Declare the options by which content is fetched at once."""
    options = (
        click.option("--content", is_flag=True, help="Get the content of their artifacts too, now."),
        click.option("--all", "everything", is_flag=True, help="With --content: of all runs, not just new ones."),
        click.option(
            "--include", metavar="GLOB", multiple=True, help="With --content: only artifacts such as '*.png' or plots/."
        ),
        click.option("--exclude", metavar="GLOB", multiple=True, help="With --content: no such artifacts."),
        click.option("--max-size", metavar="SIZE", help="With --content: none larger than SIZE, such as 500k or 20m."),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Eager:
    """The content that a fetch or pull gets at once, if it was asked to. To be made before it."""

    def __init__(self, session: Session, tracker: Tracker, link: Link, options: Mapping[str, Any]) -> None:
        self._session = session
        self._tracker = tracker
        self._link = link
        self._choice = _read_choice(options)
        self._arrivals: Arrivals | None = None
        self._done: Transferred | None = None
        self._paths: Mapping[Pointer, str] = {}
        if options["content"]:
            from ..sync.downloading import Arrivals

            self._arrivals = Arrivals(link, everything=options["everything"])

    def fetch(self, arrived: Sequence[str], *, named: Sequence[str]) -> None:
        """Fetch what is wanted of the experiments that the remote has; `named` are those that were asked for."""
        if self._arrivals is None:
            return
        from ..sync.contents import fetch_contents

        tracker, link = self._tracker, self._link
        self._paths = self._arrivals.list_wanted(arrived, self._choice)
        with show_transfer(self._session, link, "fetching content") as report:
            self._done = fetch_contents(
                tracker.repository,
                tracker.content,
                self._paths,
                settings=tracker.settings,
                remote=link.remote,
                report=report,
                interactive=link.interactive,
            )
        if not self._done.failed:
            self._arrivals.finish(named or None)

    def record(self) -> dict[str, dict[str, int]]:
        """Return what became of the content as JSON-ready values; nothing where none was asked for."""
        done = self._done
        if done is None:
            return {}
        size = sum(pointer.size for pointer in done.moved)
        numbers = {"fetched": len(done.moved), "bytes": size, "missing": len(done.missing), "failed": len(done.failed)}
        return {"content": numbers}

    def tell(self) -> None:
        """Say what content came, and what the remote does not have."""
        done, terminal = self._done, self._session.terminal
        if done is None:
            return
        if done.moved:
            terminal.note(f"fetched {_count(done.moved)}")
        elif not done.missing and not done.failed:
            terminal.note("all content that was asked for is here")
        if done.missing:
            path = clean(self._paths[done.missing[0]])
            terminal.warn(f"{_count(done.missing)} is not there yet, the first is {path}")

    def check(self) -> None:
        """Raise what the first content could not be fetched for; the others are here."""
        if self._done is None or not self._done.failed:
            return
        first = self._done.failed[0]
        for failed in self._done.failed[1:]:
            self._session.terminal.warn(f"artifact {clean(self._paths[failed.pointer])}: {failed.error.message}")
        raise type(first.error)(
            f"artifact {clean(self._paths[first.pointer])}: {first.error.message}",
            hint=f"{self._link.again} --content  # what is here is not fetched again",
        )


def _read_choice(options: Mapping[str, Any]) -> Limits:
    from ..artifact_choice import Limits, parse_size

    given = {"--all": options["everything"], "--include": options["include"], "--exclude": options["exclude"]}
    given["--max-size"] = options["max_size"]
    misplaced = [name for name, value in given.items() if value]
    if misplaced and not options["content"]:
        raise InvalidInput(f"{misplaced[0]} is about content, which is not asked for", hint="add --content")
    limit = None if options["max_size"] is None else parse_size(options["max_size"])
    return Limits(tuple(options["include"]), tuple(options["exclude"]), limit)

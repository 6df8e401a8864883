"""Sends the content of runs that are about to be pushed, before the refs say that they are there.

Knows nothing of how content remotes work, and of who agreed to what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import cached_property

from ..content import ContentStore
from ..content_remote import (
    NO_REMOTE,
    ContentFailed,
    ContentPlace,
    NoContentServer,
    Progress,
    Transferred,
    send_content,
)
from ..errors import GittrackError, InvalidInput, StoreFailed, Unsupported
from ..model import Pointer
from ..settings import Settings
from ..transport import TransportFailed
from .artifacts import ArtifactReader, list_contents
from .contents import find_place
from .ledger import Ledger
from .link import Link
from .pushing import Plan

# Gives what is told how far the transfers are, for as long as they last.
Show = Callable[[], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True)
class Offer:
    """Content that a push would send, as far as it is not there: how many, their bytes, and the address it goes to."""

    count: int
    size: int
    place: str | None


class Upload:
    """The content of one push. Called with what is about to be pushed, once for each round; each content goes once.

    `sent` went, `there` was there already, `missing` is neither here nor there. `kept` is here and stays here, since
    there is no place for it; `reason` then says why.
    """

    def __init__(self, link: Link, content: ContentStore, settings: Settings, *, show: Show) -> None:
        self._link = link
        self._content = content
        self._settings = settings
        self._show = show
        self._reader = ArtifactReader(link.store)
        self._settled: set[Pointer] = set()
        self.sent: list[Pointer] = []
        self.there: list[Pointer] = []
        self.missing: list[Pointer] = []
        self.kept: list[Pointer] = []
        self.reason = ""

    @cached_property
    def place(self) -> ContentPlace | None:
        """Where content goes; raises InvalidInput for an address that cannot be used."""
        link = self._link
        return find_place(link.repository, self._settings, lambda: link.remote, uploads=True)

    @property
    def is_off(self) -> bool:
        """Whether the user has said that no content is shared."""
        return self._settings.content_remote == NO_REMOTE

    def offer(self, plans: Sequence[Plan]) -> Offer:
        """Return what a push of these plans would send at most."""
        here = [pointer for pointer in self._list(plans) if self._content.find(pointer) is not None]
        place = self.place if here else None
        return Offer(len(here), sum(pointer.size for pointer in here), None if place is None else place.address)

    def __call__(self, plans: Sequence[Plan]) -> Mapping[str, GittrackError]:
        """Send what the plans' runs need and the place lacks; return which experiments must not be pushed, and why.

        Content that is neither here nor there holds nobody up: it was made elsewhere. Safe to repeat, after whatever
        end. Ctrl-C passes through.
        """
        wanted = {plan.slug: [entry for entry in self._list([plan]) if entry not in self._settled] for plan in plans}
        everything = list(dict.fromkeys(pointer for pointers in wanted.values() for pointer in pointers))
        if not everything:
            return {}
        try:
            done = self._send(everything)
        except GittrackError as error:
            return {slug: self._explain(error, len(pointers)) for slug, pointers in wanted.items() if pointers}
        failures = {failed.pointer: failed.error for failed in done.failed}
        refused: dict[str, GittrackError] = {}
        for slug, pointers in wanted.items():
            failed = [pointer for pointer in pointers if pointer in failures]
            if failed:
                refused[slug] = self._explain(failures[failed[0]], len(failed))
        return refused

    def plan_all(self, slugs: Iterable[str]) -> list[Plan]:
        """Return all that the local branches of experiments hold, as if it were to be pushed."""
        local, graph = self._link.list_local(), self._link.graph
        return [Plan(slug, tuple(graph.list_new([local[slug]], known=())), False) for slug in slugs if slug in local]

    def _list(self, plans: Sequence[Plan]) -> list[Pointer]:
        return list_contents(self._reader.read(commit for plan in plans for commit in plan.commits))

    def _send(self, pointers: Sequence[Pointer]) -> Transferred:
        place = self.place
        if place is None:
            self._keep(pointers, "")
            return Transferred()
        try:
            with closing(place.open(interactive=self._link.interactive)) as remote, self._show() as report:
                done = send_content(remote, self._content, pointers, report=report)
        except NoContentServer as error:
            self._keep(pointers, error.message)
            return Transferred()
        self._settled.update(done.moved, done.there, done.missing)
        self.sent += done.moved
        self.there += done.there
        self.missing += done.missing
        absent = (*done.missing, *(failed.pointer for failed in done.failed))
        Ledger(self._link.repository.common_directory, place.address).learn(
            there=(*done.moved, *done.there), absent=absent
        )
        return done

    def _keep(self, pointers: Sequence[Pointer], reason: str) -> None:
        self._settled.update(pointers)
        self.kept += [pointer for pointer in pointers if self._content.find(pointer) is not None]
        self.reason = reason

    def _explain(self, error: GittrackError, number: int) -> GittrackError:
        """Return why an experiment must not be pushed: what its runs name would be nowhere that others can reach."""
        again = self._link.again
        passing = isinstance(error, ContentFailed) and error.retry_after is not None
        what = "an artifact" if number == 1 else f"{number:,} artifacts"
        message = f"not pushed, since the content of {what} could not be sent: {error.message}"
        if passing:
            hint = f"{again}  # what has been sent is not sent again"
            return TransportFailed(message, reason="unreachable", hint=hint)
        message += f"; {again} --no-content shares the runs without it"
        for kind in (InvalidInput, Unsupported, StoreFailed):
            if isinstance(error, kind):
                return kind(message, hint=error.hint or again)
        return TransportFailed(message, reason="refused", hint=error.hint or again)

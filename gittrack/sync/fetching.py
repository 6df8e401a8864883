"""Fetches a remote's experiments: into refs of their own, looked through, and only then where readers find them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from .. import layout
from ..epoch import has_epoch
from ..errors import Corrupt, StoreFailed, Unsupported
from ..transport import TransportFailed, drop_arrivals, fetch_branches, fetch_objects
from ..transport.fetch import list_arrived
from .arrival import Refused, inspect
from .departed import Departed, condemn_departed, forget_departed, read_dropped
from .joining import Joined, join, list_records
from .link import Link
from .promised import list_promised_records
from .salvage import Salvaged, remove_stale, salvage

# Refs of a fetch that died are swept by a later one, once it is certain that nothing works with them any more.
_STALE_AGE = 86_400.0
_MOVE_ATTEMPTS = 20

Change = Literal["same", "new", "forward", "epoch", "rewritten", "deleted"]


@dataclass(frozen=True)
class Fetched:
    """What a fetch found of one experiment.

    `change` is what happened to the remote's branch since the last look: `epoch` means that something was deleted for
    good, `rewritten` that commits were taken out of it in any other way, `deleted` that it is gone; after these two the
    runs known here are kept. `runs` counts those that the new commits say something new of, `deleted` those that an
    epoch left nothing of; `refused` are the records among the commits that are kept out. `there` is the tip of the
    remote's branch where it holds objects that git refuses: `tip` is then what was saved of it, and nothing can be
    pushed on top of it.
    """

    slug: str
    change: Change
    tip: str | None
    runs: int = 0
    refused: tuple[Refused, ...] = ()
    there: str | None = None
    deleted: int = 0


@dataclass(frozen=True)
class _Rewriting:
    """What a branch that is not the old one's descendant means: the revisions (run and tree) that are gone for good,
    the number of runs of which nothing is left, and of those that it says something new of, where that is known."""

    change: Change
    departed: Departed = ()
    deleted: int = 0
    runs: int | None = None


@dataclass(frozen=True)
class FetchReport:
    """What a fetch found: by experiment, and the branches below the namespace that can be none."""

    branches: tuple[Fetched, ...]
    ignored: tuple[str, ...] = ()

    def get(self, slug: str) -> Fetched | None:
        """Return what was found of one experiment, if it was asked about."""
        return next((branch for branch in self.branches if branch.slug == slug), None)


def fetch(link: Link, slugs: Iterable[str] | None = None) -> FetchReport:
    """Bring the local copies of a remote's experiments up to date: of these, or of all there are.

    Moves no local branch, unless the remote's was rewritten: what was only there, and was not deleted for good, is then
    kept on it. Atomic for each experiment, and safe to repeat. Raises TransportFailed with nothing changed.
    """
    wanted = None if slugs is None else tuple(dict.fromkeys(slugs))
    if wanted == ():
        return FetchReport(())
    known = link.list_tracked()
    with _arrival(link, wanted) as arrived:
        ignored = tuple(sorted(name for name in arrived if not layout.is_slug(name)))
        slugs = [name for name in sorted(arrived) if layout.is_slug(name)]
        found = [_take_in(link, slug, arrived[slug], known.get(slug)) for slug in slugs]
    gone = [slug for slug in known if slug not in arrived and (wanted is None or slug in wanted)]
    found += [Fetched(slug, "deleted", None) for slug in gone]
    return FetchReport(tuple(sorted(found, key=lambda branch: branch.slug)), ignored)


@contextmanager
def _arrival(link: Link, slugs: Sequence[str] | None) -> Iterator[dict[str, Salvaged]]:
    """Fetch branches and yield what came, by name; it is gone afterwards, but for what was let in."""
    patterns = ["*"] if slugs is None else [f"{slug}*" for slug in slugs]
    token = f"{int(time.time())}-{os.urandom(6).hex()}"
    _sweep(link)
    try:
        try:
            tips = fetch_branches(link.wire, patterns, namespace=link.history.namespace, token=token).tips
            arrived = {name: Salvaged(tip, tip, ()) for name, tip in tips.items()}
        except TransportFailed as error:
            if error.reason != "damaged" or link.repository.is_partial:
                raise
            arrived = salvage(link, patterns, token=token)
        yield arrived
    finally:
        drop_arrivals(link.git, [token])


def _sweep(link: Link) -> None:
    """Drop what a fetch left that was killed a day ago or more."""
    tokens = {name.partition("/")[0] for name in list_arrived(link.git, "")}
    stale = [token for token in tokens if _find_age(token) > _STALE_AGE]
    if stale:
        drop_arrivals(link.git, stale)
    remove_stale(layout.quarantine_directory(link.repository.common_directory), before=time.time() - _STALE_AGE)


def _find_age(token: str) -> float:
    made = token.partition("-")[0]
    return time.time() - int(made) if made.isdecimal() else 0.0


def _take_in(link: Link, slug: str, arrived: Salvaged, old: str | None) -> Fetched:
    """Look through what is new of a branch, and let the tracking ref follow it."""
    tip, there = arrived.tip, arrived.there if arrived.there != arrived.tip else None
    if tip is None or tip == old:
        return Fetched(slug, "same", tip, 0, arrived.refused, there)
    known = (*link.list_local().values(), *link.list_tracked().values())
    if link.repository.is_partial:
        commits = link.graph.list_new([tip], known=known)
        fetch_objects(link.wire, list_promised_records(link.store, commits))
    inspection = inspect(link.store, link.git, link.graph.list_new([tip], known=known))
    found = _Rewriting("new" if old is None else "forward")
    if old is not None and not link.graph.is_ancestor(old, tip):
        found = _judge_rewriting(link, slug, old, tip)
    condemn_departed(link, found.departed)
    _track(link, slug, tip)
    forget_departed(link, slug, found.departed)
    refused = (*arrived.refused, *inspection.refused)
    runs = len(inspection.runs) if found.runs is None else found.runs
    return Fetched(slug, found.change, tip, runs, refused, there, found.deleted)


def _track(link: Link, slug: str, tip: str) -> None:
    """Let the local copy of a remote's branch be tip, whatever it is now: the remote has said so."""
    ref = link.tracking(slug)
    for _ in range(_MOVE_ATTEMPTS):
        old = link.store.find_ref(ref)
        if old == tip or link.store.move_ref(ref, old=old, new=tip, message="gittrack: fetch"):
            return
    raise StoreFailed(f"{ref} kept moving while it was being updated", hint=f"gittrack fetch {link.remote.name}")


def _judge_rewriting(link: Link, slug: str, old: str, tip: str) -> _Rewriting:
    """Tell an epoch, which the branch here follows when it is joined, from a mistake.

    What the branch no longer has, though nobody deleted it for good, is put on the local branch; so is the list of what
    somebody did delete, where that is what is gone.
    """
    apart = link.graph.compare(old, tip)
    is_epoch = has_epoch(apart.theirs)
    dropped, forgotten = read_dropped(link.history, apart.theirs), read_dropped(link.history, apart.ours)
    had = {(record.subject, record.commit.tree) for record in list_records(apart.ours)}
    has = {(record.subject, record.commit.tree) for record in list_records(apart.theirs)}
    departed = sorted((run_id, tree) for run_id, tree in had if dropped.holds(run_id, tree))
    if had - has - set(departed) or forgotten | dropped != dropped:
        kept = old
        if is_epoch:
            with suppress(Corrupt, Unsupported):  # whose epoch cannot be followed: what was there stays as it was
                kept = join(link.history, link.graph, slug, ours=old, theirs=tip, author=link.author).tip
        advance(link, slug, kept)
    if not is_epoch:
        return _Rewriting("rewritten")
    deleted = {run_id for run_id, _ in departed} - {run_id for run_id, _ in has}
    return _Rewriting("epoch", departed, len(deleted), len({run_id for run_id, _ in has - had} - {""}))


def advance(link: Link, slug: str, tip: str) -> tuple[str, ...]:
    """Let the local branch contain tip: forward, or by joining the two; return the names of runs that were merged.

    Content of what others deleted for good is condemned here as well. Durable when it returns, and safe beside
    processes that record into the branch at the same moment.
    """
    for _ in range(_MOVE_ATTEMPTS):
        local = link.find_local(slug)
        if local == tip:
            return ()
        joined = Joined(tip)
        if local is not None:
            if link.graph.is_ancestor(tip, local):
                return ()
            joined = join(link.history, link.graph, slug, ours=local, theirs=tip, author=link.author)
            condemn_departed(link, joined.dropped)
        if link.store.move_ref(link.branch(slug), old=local, new=joined.tip, message="gittrack: sync"):
            forget_departed(link, slug, joined.dropped)
            return joined.merged
    raise StoreFailed(f"{link.branch(slug)} kept moving while it was being joined", hint="gittrack pull")

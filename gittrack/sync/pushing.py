"""Pushes experiments: join with what is there, push if nothing moved meanwhile, and again until it is in.

Nothing on the remote is ever forced away, but for what was deleted for good: the branch of a new epoch has everything
else that is there, and takes its place only if it has not moved. The local branch follows only when the remote has
accepted, so a push that is cut short, at whatever point, leaves the old or the new state, and the next one goes on from
there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .. import layout
from ..errors import Conflict, Corrupt, GittrackError, RemoteFailed, StoreFailed, Unsupported
from ..store import Commit
from ..transport import Outcome, PushedRef, TransportFailed, push_branches
from .fetching import Fetched, FetchReport, advance, fetch
from .graph import Apart
from .joining import Joined, join, list_records
from .link import Link
from .source_bases import graft_sources
from .whereabouts import follow_address, remember_gone

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 8.0
_GROWTH = 2.0
# Somebody else gets in whenever one push does not, so a crowd is through after as many rounds as it has members.
_LONGEST_WAIT = 900.0
# A remote that refuses a push as if its branch had moved, when it has not, has another reason.
_MOST_FALSE_ALARMS = 5

Result = Literal["pushed", "current", "deleted", "refused"]


@dataclass(frozen=True)
class Plan:
    """One experiment's part in a push: the commits that the remote lacks, newest first, as far as is known here.

    `first` tells that the remote has no such experiment yet.
    """

    slug: str
    commits: tuple[Commit, ...]
    first: bool


@dataclass(frozen=True)
class Pushed:
    """What became of one experiment.

    `pushed`: the remote has all of it now, `runs` of them new to it; `current`: it had already; `deleted`: its branch
    was deleted there, so nothing was pushed; `refused`: `failure` says why. `merged` names the runs that
    were edited on both sides.
    """

    slug: str
    result: Result
    runs: int = 0
    merged: tuple[str, ...] = ()
    failure: GittrackError | None = None
    rounds: int = 1


# Is shown what is about to be sent; raises to stop all of it, or returns which experiments must not go, and why.
Approve = Callable[[Sequence[Plan]], Mapping[str, GittrackError] | None]


@dataclass
class _Push:
    """Where one experiment stands during a push."""

    slug: str
    local: str
    expected: str | None = None
    candidate: str = ""
    runs: int = 0
    merged: tuple[str, ...] = ()
    rounds: int = 0
    false_alarms: int = 0
    done: Pushed | None = None
    commits: Sequence[Commit] = field(default_factory=tuple)
    replaced: Sequence[str] = ()

    def finish(self, result: Result, failure: GittrackError | None = None) -> None:
        self.done = Pushed(self.slug, result, self.runs, self.merged, failure, max(self.rounds, 1))


def push(
    link: Link, slugs: Iterable[str], *, approve: Approve, upload: Approve | None = None, revive: bool = False
) -> tuple[Pushed, ...]:
    """Push the local branches of experiments until each is in, up to date or refused; return what became of each.

    `approve` is shown what is about to be sent, before the first byte of it; it raises to stop, or returns which
    experiments must not go. `upload` is handed the same afterwards, and again where there is more to send by then: it
    sends the content that the runs need, before any ref moves. `revive` pushes an experiment again whose branch was
    deleted on the remote. Safe to repeat at any time, also where the remote accepted and its answer was lost. Raises
    RemoteFailed where the remote cannot be used; what was accepted before stays so.
    """
    local = link.list_local()
    waiting = [_Push(slug, local[slug]) for slug in dict.fromkeys(slugs) if slug in local]
    everything = list(waiting)
    follow_address(link)
    approved = False
    started, pause = time.monotonic(), _FIRST_PAUSE
    while waiting:
        report = fetch(link, [entry.slug for entry in waiting])
        for entry in waiting:
            _prepare(link, entry, report.get(entry.slug), revive=revive)
        waiting = [entry for entry in waiting if entry.done is None]
        if waiting and not approved:
            waiting = _pass(waiting, approve)
            approved = True
        if waiting and upload is not None:
            waiting = _pass(waiting, upload)
        _send(link, waiting)
        waiting = [entry for entry in waiting if entry.done is None]
        if waiting and time.monotonic() - started > _LONGEST_WAIT:
            raise RemoteFailed(
                f"{link.remote.name} has been busy with pushes of others for {_LONGEST_WAIT / 60:.0f} minutes; "
                "nothing is lost",
                hint=link.again,
            )
        if waiting:
            time.sleep(_chance.uniform(0, pause))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    results = tuple(entry.done for entry in everything if entry.done is not None)
    gone = [result.slug for result in results if result.result == "deleted"]
    remember_gone(link, gone, looked=[result.slug for result in results if result.result != "refused"])
    return results


def _pass(entries: Sequence[_Push], gate: Approve) -> list[_Push]:
    """Show a gate what is about to be sent, and return what may go on."""
    plans = [Plan(entry.slug, tuple(entry.commits), entry.expected is None) for entry in entries]
    refused = gate(plans) or {}
    for entry in entries:
        if entry.slug in refused:
            entry.finish("refused", refused[entry.slug])
    return [entry for entry in entries if entry.done is None]


def _prepare(link: Link, entry: _Push, found: Fetched | None, *, revive: bool) -> None:
    """Find out what to push of an experiment; it is done where there is nothing to push."""
    remote = found.tip if found is not None else None
    if found is not None and found.there is not None:
        entry.finish("refused", _explain_unfit(link, entry.slug, found))
        return
    if remote is None and link.find_tracked(entry.slug) is not None and not revive:
        entry.finish("deleted")
        return
    if entry.rounds and remote == entry.expected:
        entry.false_alarms += 1
    entry.rounds += 1
    entry.expected = remote
    entry.local = link.find_local(entry.slug) or entry.local
    if remote is None:
        entry.candidate, entry.commits = entry.local, tuple(link.graph.list_new([entry.local], known=()))
    else:
        try:
            _join_remote(link, entry, remote)
        except (Corrupt, Unsupported) as error:  # an epoch that cannot be followed; the other experiments can be pushed
            entry.finish("refused", TransportFailed(error.message, reason="damaged", hint=error.hint))
    entry.runs = len({record.subject for record in list_records(entry.commits)} - {""})


def _join_remote(link: Link, entry: _Push, remote: str) -> None:
    """Let the candidate be the local branch joined with the remote's; it is done where the remote has all of that."""
    apart = link.graph.compare(entry.local, remote)
    entry.commits = apart.ours
    joined = Joined(remote)
    if apart.ours:
        joined = join(link.history, link.graph, entry.slug, ours=entry.local, theirs=remote, author=link.author)
    if joined.tip == remote:
        advance(link, entry.slug, remote)
        entry.finish("pushed" if entry.rounds > 1 else "current")
        return
    entry.candidate, entry.merged = joined.tip, joined.merged
    entry.replaced = tuple(commit.id for commit in apart.theirs) if joined.anew else ()
    if joined.anew:
        entry.commits = _list_unknown(link, joined.tip, remote, apart)
    elif not link.graph.is_ancestor(remote, entry.candidate):
        raise StoreFailed(f"{link.branch(entry.slug)} was joined wrongly; nothing was pushed", hint="git fsck")


def _list_unknown(link: Link, tip: str, remote: str, apart: Apart) -> tuple[Commit, ...]:
    """Return what an epoch tells the remote: its commits without those records that were written on it again."""
    known = {(record.subject, record.commit.tree) for record in list_records(apart.theirs)}
    new = list(link.graph.list_new([tip], known=[remote]))
    again = {r.commit.id for r in list_records(new) if (r.subject, r.commit.tree) in known}
    return tuple(commit for commit in new if commit.id not in again)


def _explain_unfit(link: Link, slug: str, found: Fetched) -> TransportFailed:
    """Return why nothing can be pushed on top of a branch with bad objects, and how its owner takes them off it."""
    name, ref = link.remote.name, link.branch(slug)
    hint = f"git push --force-with-lease={ref}:{found.there} {name} {link.tracking(slug)}:{ref}  # without them"
    return TransportFailed(
        f"{slug} on {name} holds commits that git refuses, such as {found.refused[0].commit[:12]}; "
        "nothing is pushed on top of them",
        reason="damaged",
        hint=hint,
    )


def _send(link: Link, entries: Sequence[_Push]) -> None:
    """Push what is prepared over one connection, and let the refs here follow what was accepted."""
    if not entries:
        return
    refs = {link.branch(entry.slug): entry for entry in entries}
    commits = [commit for entry in entries for commit in entry.commits]
    replaced = [id for entry in entries for id in entry.replaced]
    with graft_sources(link, commits, replaced=replaced) as grafts:
        pushed = [PushedRef(ref, entry.candidate, entry.expected) for ref, entry in refs.items()]
        answers = push_branches(link.wire, pushed, grafts=grafts)
    for ref, entry in refs.items():
        answer = answers[ref]
        if answer.outcome is Outcome.DONE:
            _follow(link, entry)
            entry.finish("pushed")
        elif answer.outcome is Outcome.REFUSED:
            entry.finish("refused", answer.failure)
        elif entry.false_alarms >= _MOST_FALSE_ALARMS:
            apart = link.remote.pushes_elsewhere
            entry.finish("refused", _explain_apart(link, entry.slug) if apart else answer.failure)


def _explain_apart(link: Link, slug: str) -> TransportFailed:
    """Return why a push can't be joined with what is at an address that nothing is fetched from."""
    name = link.remote.name
    return TransportFailed(
        f"{slug} is another where pushes to {name} go than where {name} is fetched from; a push can only be joined "
        "with what was fetched",
        reason="refused",
        hint=f"git remote get-url --push --all -- {name}",
    )


def _follow(link: Link, entry: _Push) -> None:
    """Let the tracking ref and the local branch follow a push that was accepted."""
    ref = link.tracking(entry.slug)
    now = link.store.find_ref(ref)
    if now != entry.candidate and (now in (None, entry.expected) or link.graph.is_ancestor(now, entry.candidate)):
        link.store.move_ref(ref, old=now, new=entry.candidate, message="gittrack: push")
    advance(link, entry.slug, entry.candidate)


def look(link: Link, slugs: Iterable[str] | None = None) -> FetchReport:
    """Fetch, as `fetch` does, and keep in mind where the remote is and what is gone from it."""
    slugs = None if slugs is None else tuple(slugs)
    report = follow_address(link)
    if report is None:
        report = fetch(link, slugs)
        remember_gone(link, [branch.slug for branch in report.branches if branch.change == "deleted"], looked=slugs)
    return report


def pull(link: Link, slugs: Iterable[str] | None = None) -> tuple[tuple[Fetched, ...], dict[str, tuple[str, ...]]]:
    """Fetch, and let the local branches contain what came: forward, or by joining.

    Returns what was fetched, and for each experiment whose local branch moved the names of the runs that were merged.
    Branches that do not exist here are left to their tracking copies, which readers see as well. Raises Corrupt and
    Unsupported for an epoch that cannot be followed, when all other experiments have been seen to.
    """
    report = look(link, slugs)
    local = link.list_local()
    merged = {}
    failures = []
    for branch in report.branches:
        if branch.tip is not None and branch.slug in local:
            try:
                names = advance(link, branch.slug, branch.tip)
            except (Corrupt, Unsupported) as error:  # an epoch that cannot be followed
                failures.append(error)
                continue
            if link.find_local(branch.slug) != local[branch.slug]:
                merged[branch.slug] = names
    if failures:
        raise failures[0]
    return report.branches, merged


def refuse_all(plans: Sequence[Plan]) -> None:
    """Approve nothing: for those who must not push before a person has agreed."""
    raise Conflict(
        f"nothing was pushed: sharing {', '.join(plan.slug for plan in plans)} has to be agreed to first",
        hint="gittrack push",
    )


def find_pushable(link: Link, names: Iterable[str]) -> list[str]:
    """Return the slugs of experiments that have a local branch, of those named or of all; raises Conflict otherwise."""
    local = link.list_local()
    slugs = [layout.make_slug(name) for name in names] or list(local)
    for slug in slugs:
        if slug not in local:
            raise Conflict(f"experiment {slug!r} has nothing that was recorded here", hint="gittrack experiment ls")
    return slugs

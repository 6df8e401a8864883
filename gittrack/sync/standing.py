"""How the branches here and a remote's stand to each other, as of the last look at it. Asks nobody over the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..epoch import has_epoch
from ..message import RunTrailers
from ..store import Commit
from .departed import read_dropped
from .graph import Apart
from .joining import list_records
from .link import Link
from .whereabouts import has_moved, list_gone


@dataclass(frozen=True)
class Standing:
    """One experiment: the ids of the runs whose revisions the remote lacks, and of those the branch here lacks.

    `remote` tells whether the remote had the experiment when it was last looked at, `local` whether there is a branch
    here; without one, the runs of the remote are shown from its copy, and nothing has to be pulled. `unshared` are the
    commits of the runs that the remote lacks. `gone` tells that it had the experiment, and has no more.
    """

    slug: str
    local: bool
    remote: bool
    ahead: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    unshared: tuple[str, ...] = ()
    gone: bool = False


def compare_experiments(link: Link) -> list[Standing]:
    """Return how each experiment stands, sorted by slug."""
    local, tracked = link.list_local(), link.list_tracked()
    gone = set(local) if has_moved(link) else list_gone(link)
    there = {slug: tip for slug, tip in tracked.items() if slug not in gone}
    found = [_compare(link, slug, local.get(slug), there.get(slug)) for slug in sorted({*local, *tracked})]
    return [replace(entry, gone=entry.slug in gone and entry.slug in tracked) for entry in found]


def list_unshared(link: Link) -> list[Standing]:
    """Return how each experiment stands where no remote is known: all of it is here alone."""
    return [_compare(link, slug, tip, None) for slug, tip in link.list_local().items()]


def _compare(link: Link, slug: str, here: str | None, there: str | None) -> Standing:
    if here is None:
        return Standing(slug, local=False, remote=there is not None)
    if there is None:
        ahead, behind = _find_runs(link.graph.list_new([here], known=())), {}
    else:
        apart = link.graph.compare(here, there)
        ahead, behind = _find_runs(apart.ours), _find_runs(apart.theirs)
        if has_epoch((*apart.ours, *apart.theirs)):
            ahead, behind = _compare_epochs(link, apart)
    return Standing(
        slug,
        local=True,
        remote=there is not None,
        ahead=frozenset(ahead.values()),
        behind=frozenset(behind.values()),
        unshared=tuple(ahead),
    )


def _compare_epochs(link: Link, apart: Apart) -> tuple[dict[str, str], dict[str, str]]:
    """Return the runs that either side lacks, by commit, where one was written again: without what both have.

    What was deleted for good is lacked by nobody.
    """
    dropped = read_dropped(link.history, (*apart.ours, *apart.theirs))
    sides = []
    for mine, others in ((apart.ours, apart.theirs), (apart.theirs, apart.ours)):
        known = {(record.subject, record.commit.tree) for record in list_records(others)}
        found = [record for record in list_records(mine) if (record.subject, record.commit.tree) not in known]
        left = [record.commit for record in found if not dropped.holds(record.subject, record.commit.tree)]
        sides.append(_find_runs(left))
    return sides[0], sides[1]


def _find_runs(commits: Iterable[Commit]) -> dict[str, str]:
    """Return the runs that commits speak of, by commit."""
    records = list_records(commits)
    return {record.commit.id: record.subject for record in records if isinstance(record.trailers, RunTrailers)}

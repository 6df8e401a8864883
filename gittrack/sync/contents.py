"""Fetches artifacts' content from where it is kept for others: what is asked for, and nothing else.

Knows nothing of how content remotes work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

from ..content import ContentStore
from ..content_remote import ContentPlace, Progress, Transferred, fetch_content, find_content_place
from ..errors import NotFound
from ..model import Pointer
from ..repository import Repository, read_config
from ..settings import Settings
from ..transport import Remote, choose_remote
from .ledger import Ledger
from .link import find_head_branch

Report = Callable[[Progress], None]


def fetch_contents(
    repository: Repository,
    content: ContentStore,
    pointers: Iterable[Pointer],
    *,
    settings: Settings,
    remote: Remote | None = None,
    report: Report | None = None,
    interactive: bool = False,
) -> Transferred:
    """Fetch from where it is kept for others what is not here of some content.

    `remote` is the Git remote whose place is meant, where it is not the one that runs are shared through.
    Verified before it is kept; safe to repeat, and goes on where an earlier attempt was cut off. Raises NotFound where
    there is no place to ask, and what `fetch_content` raises.
    """
    wanted = [pointer for pointer in dict.fromkeys(pointers) if content.find(pointer) is None]
    if not wanted:
        return Transferred()
    place = find_place(repository, settings, lambda: remote or find_shared_remote(repository, settings), uploads=False)
    if place is None:
        raise NotFound(
            "the content is not on this machine, and there is no remote that could have it", hint="gittrack remote"
        )
    with closing(place.open(interactive=interactive)) as opened:
        done = fetch_content(opened, content, wanted, report=report or _ignore)
    Ledger(repository.common_directory, place.address).learn(there=done.moved, absent=done.missing)
    return done


def find_place(
    repository: Repository, settings: Settings, find_remote: Callable[[], Remote | None], *, uploads: bool
) -> ContentPlace | None:
    """Return where the content of a repository's runs is kept for others, or None; raises InvalidInput."""
    return find_content_place(repository, find_remote, setting=settings.content_remote, uploads=uploads)


def _ignore(_: Progress) -> None:
    """Tell nobody how far it is."""


def find_shared_remote(repository: Repository, settings: Settings) -> Remote | None:
    """Return the remote that runs are shared through, or None where there is none, or several."""
    config = read_config(repository)
    try:
        origin = settings.origin.get("remote", "the settings")
        return choose_remote(config, setting=settings.remote, origin=origin, branch=find_head_branch(repository))
    except NotFound:
        return None

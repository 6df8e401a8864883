"""Fetches artifacts' content from where it is kept for others: what is asked for, and nothing else.

Knows nothing of how content remotes work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

from ..content import ContentStore
from ..content_remote import Progress, Transferred, fetch_content, find_content_remote
from ..errors import NotFound
from ..model import Pointer
from ..repository import Repository, read_config
from ..settings import Settings
from ..transport import Remote, choose_remote
from .link import find_head_branch

Report = Callable[[Progress], None]


def fetch_contents(
    repository: Repository,
    content: ContentStore,
    pointers: Iterable[Pointer],
    *,
    settings: Settings,
    report: Report | None = None,
    interactive: bool = False,
) -> Transferred:
    """Fetch from where it is kept for others what is not here of some content.

    Verified before it is kept; safe to repeat, and goes on where an earlier attempt was cut off. Raises NotFound where
    there is no place to ask, and what `fetch_content` raises.
    """
    wanted = [pointer for pointer in dict.fromkeys(pointers) if content.find(pointer) is None]
    if not wanted:
        return Transferred()
    place = find_content_remote(
        repository,
        lambda: _find_remote(repository, settings),
        setting=settings.content_remote,
        uploads=False,
        interactive=interactive,
    )
    if place is None:
        raise NotFound(
            "the content is not on this machine, and there is no remote that could have it", hint="gittrack remote"
        )
    with closing(place):
        return fetch_content(place, content, wanted, report=report or _ignore)


def _ignore(_: Progress) -> None:
    """Tell nobody how far it is."""


def _find_remote(repository: Repository, settings: Settings) -> Remote | None:
    config = read_config(repository)
    try:
        origin = settings.origin.get("remote", "the settings")
        return choose_remote(config, setting=settings.remote, origin=origin, branch=find_head_branch(repository))
    except NotFound:
        return None

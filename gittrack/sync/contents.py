"""Moves artifacts' content between this machine and where it is kept for others: what runs need, and nothing else.

Bytes go before the refs that need them. Knows nothing of how content remotes work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

from ..content import ContentStore
from ..content_remote import Progress, Transferred, fetch_content, find_content_remote, send_content
from ..errors import NotFound
from ..garbage import list_contents
from ..model import Pointer
from ..repository import Repository, read_config
from ..settings import Settings
from ..store import Commit
from ..transport import Remote, choose_remote, find_remote
from .link import Link, find_head_branch

Report = Callable[[Progress], None]


def fetch_contents(
    repository: Repository,
    content: ContentStore,
    pointers: Iterable[Pointer],
    *,
    settings: Settings,
    report: Report | None = None,
    interactive: bool = False,
    remote: str | None = None,
) -> Transferred:
    """Fetch from where it is kept for others what is not here of some content.

    `remote` names the Git remote to ask; None for the one that runs are shared through. Verified before it is kept;
    safe to repeat, and goes on where an earlier attempt was cut off. Raises NotFound where there is no place to ask,
    and what `fetch_content` raises.
    """
    wanted = [pointer for pointer in dict.fromkeys(pointers) if content.find(pointer) is None]
    if not wanted:
        return Transferred()
    place = find_content_remote(
        repository,
        lambda: _find_remote(repository, settings, remote),
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


def send_contents(
    link: Link, content: ContentStore, commits: Iterable[Commit], *, settings: Settings, report: Report
) -> Transferred:
    """Send the content that some commits need, as far as it is on this machine, to where it is kept for others.

    Nothing is sent where that is nowhere. Safe to repeat; raises what `send_content` raises.
    """
    pointers = list_contents(link.history, commits)
    place = find_content_remote(
        link.repository,
        lambda: link.remote,
        setting=settings.content_remote,
        uploads=True,
        interactive=link.interactive,
    )
    if place is None or not pointers:
        return Transferred()
    with closing(place):
        return send_content(place, content, pointers, report=report)


def _ignore(_: Progress) -> None:
    """Tell nobody how far it is."""


def _find_remote(repository: Repository, settings: Settings, name: str | None) -> Remote | None:
    config = read_config(repository)
    if name is not None:
        return find_remote(name, config, why="it was named")
    try:
        origin = settings.origin.get("remote", "the settings")
        return choose_remote(config, setting=settings.remote, origin=origin, branch=find_head_branch(repository))
    except NotFound:
        return None

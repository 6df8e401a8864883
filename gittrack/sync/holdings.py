"""Asks the place where content is kept for others what it has of some content. Moves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from ..content_remote import find_content_remote
from ..errors import NotFound
from ..model import Pointer
from ..repository import Repository, read_config
from ..settings import Settings
from ..transport import Remote, choose_remote
from .link import find_head_branch

_BATCH = 100


@dataclass(frozen=True)
class Holdings:
    """What a content remote has of what was asked; without a `remote` there is none to ask."""

    remote: str = ""
    held: frozenset[Pointer] = frozenset()


def ask_holdings(
    repository: Repository, pointers: Iterable[Pointer], *, settings: Settings, interactive: bool = False
) -> Holdings:
    """Return what the content remote says it has of some content, each asked once.

    `interactive` lets git ask the person at the terminal for a password. Raises RemoteFailed where it cannot be asked.
    """
    remaining = iter(dict.fromkeys(pointer for pointer in pointers if pointer.size))

    def find_remote() -> Remote | None:
        config = read_config(repository)
        origin = settings.origin.get("remote", "the settings")
        try:
            return choose_remote(config, setting=settings.remote, origin=origin, branch=find_head_branch(repository))
        except NotFound:
            return None

    place = find_content_remote(
        repository, find_remote, setting=settings.content_remote, uploads=False, interactive=interactive
    )
    if place is None:
        return Holdings()
    held: set[Pointer] = set()
    with closing(place):
        while batch := list(islice(remaining, _BATCH)):
            held.update(place.list_whole(batch))
        return Holdings(place.name, frozenset(held))

"""Asks the place where content is kept for others what it has of some content. Moves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from ..model import Pointer
from ..repository import Repository
from ..settings import Settings
from .contents import find_place, find_shared_remote

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

    place = find_place(repository, settings, lambda: find_shared_remote(repository, settings), uploads=False)
    if place is None:
        return Holdings()
    held: set[Pointer] = set()
    with closing(place.open(interactive=interactive)) as opened:
        while batch := list(islice(remaining, _BATCH)):
            held.update(opened.list_whole(batch))
        return Holdings(opened.name, frozenset(held))

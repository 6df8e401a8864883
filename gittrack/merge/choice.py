"""The rules for single values: which of two is taken, and how two texts, lists or sets of tags become one.

Pure, and symmetric but for the order in which two writers are handed in: the earlier one first. Knows nothing of runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Written(Protocol):
    """A revision, as far as the order of writers goes: its commit's time (UTC seconds) and its commit's id."""

    @property
    def time(self) -> int:
        """The commit's time, in UTC seconds."""

    @property
    def commit(self) -> str:
        """The commit's id."""


W = TypeVar("W", bound=Written)


def order_writers(one: W, other: W) -> tuple[W, W]:
    """Return two revisions, the last writer's second: later commit time, then larger commit id."""
    return (one, other) if (one.time, one.commit) <= (other.time, other.commit) else (other, one)


def choose(base: T, earlier: T, later: T) -> T:
    """Return the value of the side that changed it; where both did, to different values, the last writer's."""
    return earlier if later == base else later


def join_texts(base: str, earlier: str, later: str, *, separator: str) -> str:
    """Return the text of the side that changed it; where both did, both texts, unless one of them holds the other."""
    if later == base or (earlier != base and later in earlier):
        return earlier
    if earlier == base or earlier in later:
        return later
    return f"{earlier}{separator}{later}"


def join_tags(base: Mapping[str, str], earlier: Mapping[str, str], later: Mapping[str, str]) -> dict[str, str]:
    """Return the union of tags, key by key; one that a side took off and the other left alone is gone."""
    joined = {}
    for key in sorted({*earlier, *later}):
        value = choose(base.get(key), earlier.get(key), later.get(key))
        if value is None and earlier.get(key) != base.get(key):
            value = earlier.get(key)  # one side took the tag off, the other gave it a new value
        if value is not None:
            joined[key] = value
    return joined


def join_lists(base: Iterable[K], earlier: Iterable[K], later: Iterable[K]) -> tuple[K, ...]:
    """Return the union of two lists: the one that holds the other as it is, else base's entries, then the new ones.

    Of those, the earlier writer's come first. Nothing stands twice.
    """
    known, first, second = (tuple(dict.fromkeys(entries)) for entries in (base, earlier, later))
    if set(first) <= set(second):
        return second
    if set(second) <= set(first):
        return first
    everything = {*first, *second}
    kept = (entry for entry in known if entry in everything)
    return tuple(dict.fromkeys((*kept, *first, *second)))

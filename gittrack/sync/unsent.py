"""Which content that is on this machine nobody else can get yet, as far as is known here. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..content import ContentStore
from ..model import Pointer
from .artifacts import ArtifactReader
from .ledger import Ledger
from .link import Link
from .standing import Standing

# Under which what is known is kept where there is no place at all: that there is nothing to send.
_NOWHERE = "nowhere"


@dataclass(frozen=True)
class Content:
    """Artifact contents: how many, and their bytes."""

    count: int
    size: int


@dataclass(frozen=True)
class Unsent:
    """Content that is here and not known to be at the place: of runs that are not pushed, and of those that are."""

    waiting: Content = Content(0, 0)
    stranded: Content = Content(0, 0)


def measure_unsent(link: Link, content: ContentStore, standings: Iterable[Standing], *, place: str | None) -> Unsent:
    """Return which content of the experiments that are here is not known to be at a place, which is named by address.

    Content that is not here is nobody's to send from here, and does not count. Where nothing is left to be sent of an
    experiment that is noted, so that only what is new since has to be looked through the next time.
    """
    ledger = Ledger(link.repository.common_directory, place or _NOWHERE)
    reader, seen, local = ArtifactReader(link.store), ledger.list_seen(), link.list_local()
    waiting: dict[str, Pointer] = {}
    stranded: dict[str, Pointer] = {}
    settled = {}
    for standing in standings:
        tip = local.get(standing.slug)
        if tip is None or seen.get(standing.slug) == tip:
            continue
        known = link.graph.find_present([seen[standing.slug]] if standing.slug in seen else [])
        unshared, left = frozenset(standing.unshared), False
        for named in reader.read(link.graph.list_new([tip], known=known)):
            for pointer in named.pointers.values():
                if pointer.size and pointer.oid not in ledger.known and content.find(pointer) is not None:
                    left = True
                    (waiting if named.commit in unshared else stranded)[pointer.oid] = pointer
        if not left:
            settled[standing.slug] = tip
    if settled:
        ledger.note_seen(settled)
    for oid in waiting:
        stranded.pop(oid, None)
    return Unsent(_sum(waiting.values()), _sum(stranded.values()))


def _sum(pointers: Iterable[Pointer]) -> Content:
    sizes = [pointer.size for pointer in pointers]
    return Content(len(sizes), sum(sizes))

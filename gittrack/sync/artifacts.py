"""Reads which content the artifacts of many runs name, in bulk. Knows nothing of where content is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from .. import layout
from ..admission import find_artifact_fault, find_run_fault
from ..errors import Corrupt
from ..index.reader import GitReader
from ..message import RunTrailers
from ..model import Pointer
from ..pointer import decode_pointer
from ..store import Commit, Store
from .arrival import read_trees
from .joining import list_records

_CHUNK = 500

# What stands in an artifacts directory: contents by path below it; None where it holds what no reader would show.
_Listing = dict[str, Pointer]


@dataclass(frozen=True)
class NamedArtifacts:
    """The artifacts that one revision of a run names, by path. `order` is greater for the revision that speaks."""

    commit: str
    run_id: str
    order: tuple[int, int, str]
    pointers: Mapping[str, Pointer]


class ArtifactReader:
    """Reads artifacts, and remembers their directories, which the revisions of a run mostly share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listings: dict[str, _Listing | None] = {}

    def read(self, commits: Iterable[Commit]) -> Iterator[NamedArtifacts]:
        """Yield the artifacts of the runs among commits that have any; what readers would not show is passed over."""
        remaining = iter(commits)
        with GitReader(self._store) as reader:
            while chunk := list(islice(remaining, _CHUNK)):
                records = [record for record in list_records(chunk) if isinstance(record.trailers, RunTrailers)]
                trees = read_trees(reader, list(dict.fromkeys(record.commit.tree for record in records)))
                places = {}
                for id, tree in trees.items():
                    if find_run_fault(tree) is None and layout.ARTIFACTS_DIRECTORY in tree:
                        places[id] = tree[layout.ARTIFACTS_DIRECTORY].id
                self._list(reader, set(places.values()))
                for record in records:
                    pointers = self._listings.get(places.get(record.commit.tree, ""))
                    if pointers:
                        commit = record.commit
                        order = (record.trailers.revision, commit.time, commit.id)
                        yield NamedArtifacts(commit.id, record.subject, order, pointers)

    def _list(self, reader: GitReader, roots: Iterable[str]) -> None:
        """Look into artifacts directories that were not looked into before."""
        new = [id for id in roots if id not in self._listings]
        blobs: dict[str, dict[str, str]] = {root: {} for root in new}
        unfit: set[str] = set()
        level = [(root, "", root) for root in new]
        while level:  # which ends, since the path of an artifact has only so many directories
            trees = read_trees(reader, list(dict.fromkeys(id for _, _, id in level)))
            below = []
            for root, prefix, id in level:
                if id not in trees:
                    unfit.add(root)
                for name, entry in trees.get(id, {}).items():
                    path = prefix + name
                    if find_artifact_fault(path, entry) is not None:
                        unfit.add(root)
                    elif entry.is_tree:
                        below.append((root, f"{path}/", entry.id))
                    else:
                        blobs[root][path] = entry.id
            level = [entry for entry in below if entry[0] not in unfit]
        pointers = _read_pointers(reader, {id for found in blobs.values() for id in found.values()})
        for root, found in blobs.items():
            fit = root not in unfit and all(id in pointers for id in found.values())
            self._listings[root] = {path: pointers[id] for path, id in found.items()} if fit else None


def _read_pointers(reader: GitReader, ids: Iterable[str]) -> dict[str, Pointer]:
    asked = list(ids)
    found: dict[str, Pointer] = {}
    for start in range(0, len(asked), _CHUNK):
        reader.ask((), asked[start : start + _CHUNK])
        for id, data in reader.receive().files.items():
            try:
                found[id] = decode_pointer(data)
            except Corrupt:
                continue
    return found


def list_contents(named: Iterable[NamedArtifacts]) -> list[Pointer]:
    """Return the contents that artifacts name, each once; the empty one needs no place, and is left out."""
    return list(dict.fromkeys(pointer for entry in named for pointer in entry.pointers.values() if pointer.size))

"""Which objects a partial clone should ask for at once: the files that say what a run is, and none of the large ones.

A store cloned without contents would else fetch them one by one as they are read: metric parts and sources are what is
left to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from .. import layout
from ..admission import list_sized
from ..epoch import REDACTED_FILE, has_epoch
from ..index.reader import GitReader
from ..store import Commit, Store
from .arrival import read_trees
from .joining import list_records

_CHUNK = 2000


def list_promised_records(store: Store, commits: Iterable[Commit]) -> list[str]:
    """Return the ids of the record files, the artifact pointers and the lists of epochs in commits, each once."""
    wanted: dict[str, None] = {}
    seen: set[str] = set()
    remaining = iter(commits)
    with GitReader(store) as reader:
        while chunk := list(islice(remaining, _CHUNK)):
            directories: dict[str, None] = {}
            epochs = [commit for commit in chunk if has_epoch([commit])]
            for tree in read_trees(reader, [commit.tree for commit in epochs]).values():
                lists = (layout.DROPPED_FILE, REDACTED_FILE)
                wanted.update((entry.id, None) for name, entry in tree.items() if name in lists)
            for tree in read_trees(reader, [record.commit.tree for record in list_records(chunk)]).values():
                wanted.update((tree[name].id, None) for name in list_sized(tree))
                artifacts = tree.get(layout.ARTIFACTS_DIRECTORY)
                directories.update({artifacts.id: None} if artifacts is not None and artifacts.is_tree else {})
            while directories := {id: None for id in directories if id not in seen}:
                seen.update(directories)
                below = read_trees(reader, list(directories)).values()
                entries = [entry for tree in below for entry in tree.values()]
                wanted.update((entry.id, None) for entry in entries if not entry.is_tree)
                directories = {entry.id: None for entry in entries if entry.is_tree}
    return list(wanted)

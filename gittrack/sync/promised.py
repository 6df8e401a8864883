"""Which objects a partial clone should ask for at once: the files that say what a run is, and none of the large ones.

A store cloned without contents would else fetch them one by one as they are read.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..admission import list_sized
from ..index.reader import GitReader
from ..store import Commit, Store
from .joining import list_records


def list_promised_records(store: Store, commits: Iterable[Commit]) -> list[str]:
    """Return the ids of the record files in the trees of commits, each once."""
    reader = GitReader(store)
    trees = reader.read_trees([record.commit.tree for record in list_records(commits)])
    wanted = (tree[name].id for tree in trees if tree is not None for name in list_sized(tree))
    return list(dict.fromkeys(wanted))

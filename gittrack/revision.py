"""Makes a snapshot the next revision on its experiment's branch, step by replayable step.

Objects before refs: everything a commit names is on disk before the branch moves. Knows nothing of journals or params.
"""

from __future__ import annotations

import random
import time as clock
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from . import layout
from .errors import Conflict, StoreFailed
from .history import History
from .message import write_experiment_message, write_run_message
from .model import Experiment, Snapshot
from .snapshot import encode_experiment, encode_snapshot
from .store import Commit, Ident, Store, TreeEntry

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_MOVE_ATTEMPTS = 50


@dataclass(frozen=True)
class Stamp:
    """Who writes a commit, and when: `time` is UTC microseconds."""

    author: Ident
    time: int


@dataclass(frozen=True)
class StagedTree:
    """A run's tree that is written, with the commit message that goes with it. Nothing refers to it yet."""

    snapshot: Snapshot
    tree: str
    message: str


def stage_snapshot(
    store: Store,
    snapshot: Snapshot,
    *,
    parts: Mapping[str, bytes | TreeEntry],
    source: str | None,
    previous: Iterable[str] = (),
) -> StagedTree:
    """Write a snapshot's tree; it is on disk once `append_run` has put it on a branch.

    `parts` maps every metric part's tree path to its bytes, or to the entry of an earlier revision that already holds
    it; `source` is the id of the run's source tree; `previous` are the trees of the revisions this one was made from.
    Equal input gives an equal tree, so this is safe to repeat.
    """
    snapshot = replace(snapshot, parts=tuple(parts))
    files: dict[str, bytes | TreeEntry] = {**encode_snapshot(snapshot), **parts}
    if source is not None:
        files[layout.SOURCE_DIRECTORY] = TreeEntry(0o40000, source)
    tree = store.write_tree(files)
    return StagedTree(snapshot, tree, write_run_message(snapshot, previous=previous))


def append_run(history: History, staged: StagedTree, stamp: Stamp, *, experiment_name: str = "") -> Commit:
    """Put a staged tree on its experiment's branch and return the commit; durable when it returns.

    The branch is created, with the experiment's own record first, where it is missing.
    """
    slug = staged.snapshot.run.experiment
    with history.store.lock():
        tip = _find_base(history, slug)
        if tip is None:
            experiment = Experiment(slug, experiment_name or slug, created=stamp.time)
            tip = _write_record(history.store, experiment, parents=(), stamp=stamp)
        return _move(history, slug, tip, lambda parent: _commit(history.store, staged, parent, stamp))


def append_experiment(
    history: History, slug: str, stamp: Stamp, *, change: Callable[[Experiment | None], Experiment]
) -> Experiment:
    """Write an experiment's next record: `change` is given the present one, or None, and returns what it becomes."""
    with history.store.lock():
        tip = _find_base(history, slug)
        known = None if tip is None else history.get_branch(slug)
        experiment = change(None if known is None else known.experiment)
        previous = (known.record,) if known is not None and known.record is not None else ()
        if tip is None:
            _create(history, slug, _write_record(history.store, experiment, parents=(), stamp=stamp))
        else:
            _move(
                history,
                slug,
                tip,
                lambda parent: _write_record(
                    history.store, experiment, parents=(parent,), stamp=stamp, previous=previous
                ),
            )
    return experiment


def _find_base(history: History, slug: str) -> str | None:
    """Return the commit a new record goes on: the local tip, else a tracking copy's, so that history is not forked."""
    local = history.store.find_ref(layout.branch_ref(slug, history.namespace))
    return local if local is not None else next(iter(history.find_tips().get(slug, ())), None)


def _commit(store: Store, staged: StagedTree, parent: str, stamp: Stamp) -> str:
    return store.write_commit(
        tree=staged.tree,
        parents=(parent,),
        author=stamp.author,
        time=stamp.time // 1_000_000,
        message=staged.message,
    )


def _write_record(
    store: Store, experiment: Experiment, *, parents: tuple[str, ...], stamp: Stamp, previous: tuple[str, ...] = ()
) -> str:
    return store.write_commit(
        tree=store.write_tree(encode_experiment(experiment)),
        parents=parents,
        author=stamp.author,
        time=stamp.time // 1_000_000,
        message=write_experiment_message(experiment, previous=previous),
    )


def _create(history: History, slug: str, commit: str) -> None:
    history.store.sync()
    if not history.store.move_ref(layout.branch_ref(slug, history.namespace), old=None, new=commit, message="gittrack"):
        raise Conflict(f"experiment {slug!r} was created by someone else at this moment", hint="gittrack experiment ls")


def _move(history: History, slug: str, tip: str, write: Callable[[str], str]) -> Commit:
    store, ref = history.store, layout.branch_ref(slug, history.namespace)
    for attempt in range(_MOVE_ATTEMPTS):
        old = store.find_ref(ref)
        new = write(tip if old is None else old)
        store.sync()
        if store.move_ref(ref, old=old, new=new, message="gittrack: record"):
            return store.get_commit(new)
        # Only plain git can be in the way here (a fetch or push into this branch): gittrack itself holds the lock.
        clock.sleep(_chance.uniform(0, 0.005 * (attempt + 1)))
    raise StoreFailed(f"{ref} kept moving while a run was being recorded", hint="gittrack recover")

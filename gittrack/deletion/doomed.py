"""Finds the runs that were marked removed long enough ago, and everything that is known of them.

Reads alone. A run is never doomed while a journal of it exists, be its process alive or dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import layout
from ..epoch import Line, Record, read_line
from ..errors import GittrackError, NotFound
from ..garbage import list_contents
from ..history import History, Revision
from ..journal import list_journals
from ..model import Pointer
from ..store import Commit


@dataclass(frozen=True)
class Doomed:
    """A run that was marked removed long enough ago: all that is known of it is to be deleted.

    `removed` is when it was marked, in UTC microseconds; `commits` are all its revisions, `contents` their artifacts.
    """

    id: str
    name: str
    experiment: str
    removed: int
    commits: tuple[Commit, ...]
    contents: tuple[Pointer, ...]


@dataclass(frozen=True)
class Found:
    """The doomed runs of an experiment, in the order they were removed.

    `recent` counts runs that are removed and not yet for long enough, `busy` those of which there is a journal.
    """

    runs: tuple[Doomed, ...]
    recent: int
    busy: int


def choose_experiments(history: History, names: Iterable[str]) -> list[str]:
    """Return the slugs of the experiments named, or of all that have a branch here; raises NotFound."""
    tips = history.find_tips()
    slugs = [layout.make_slug(name) for name in names]
    for slug in slugs:
        if slug not in tips:
            raise NotFound(f"no experiment {slug!r:.100}", hint="gittrack experiment ls")
    if slugs:
        return list(dict.fromkeys(slugs))
    return [slug for slug in tips if history.store.find_ref(layout.branch_ref(slug, history.namespace)) is not None]


def find_doomed(history: History, slug: str, *, before: int) -> Found:
    """Return the runs that were removed at `before` (UTC microseconds) or earlier, by themselves or with the whole
    experiment."""
    branch = history.get_branch(slug)
    gone = branch.experiment.removed
    held = {path.name for path in list_journals(history.store.repository.common_directory)}
    chosen: dict[str, tuple[str, int]] = {}
    recent = busy = 0
    for entry in branch.revisions:
        removed = _find_removed(history, entry, gone) if gone is not None or entry.trailers.removed else None
        if removed is None:
            continue
        if entry.trailers.run_id in held:
            busy += 1
        elif removed > before:
            recent += 1
        else:
            chosen[entry.trailers.run_id] = (entry.trailers.name, removed)
    runs = []
    for run_id, (name, removed) in chosen.items():
        commits = tuple(entry.commit for entry in branch.known[run_id])
        runs.append(Doomed(run_id, name, slug, removed, commits, list_contents(history, commits)))
    return Found(tuple(sorted(runs, key=lambda run: (run.removed, run.id))), recent, busy)


def read_branch(history: History, slug: str) -> tuple[Line, list[Record]]:
    """Return the line of an experiment's branch, and what on it was deleted before and has come back since.

    Where there is no branch here, a tracking copy stands for it. Raises what `read_line` does.
    """
    tip = history.store.find_ref(layout.branch_ref(slug, history.namespace)) or history.find_tips()[slug][0]
    line = read_line(history, tip)
    dropped = history.get_branch(slug).dropped
    return line, [record for record in line.records if dropped.holds(record.run_id, record.tree)]


def _find_removed(history: History, entry: Revision, experiment_removed: int | None) -> int | None:
    """Return when a run was removed, by itself or with its experiment; None for one that was not, or is damaged."""
    try:
        run = history.load_run(entry.commit)
    except GittrackError:
        return None
    moments = [] if run.removed is None else [run.removed]
    # A run that was recorded into a removed experiment is not what was removed then.
    if experiment_removed is not None and run.started <= experiment_removed:
        moments.append(experiment_removed)
    return min(moments, default=None)

"""Deletes the runs that were marked removed long ago: what that would come to, and doing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..dropped import Dropped
from ..epoch import Plan, begin_epoch, find_redacted, forget_index, rewrite_branch
from ..garbage import (
    Collected,
    Condemned,
    References,
    Unsure,
    collect,
    condemn,
    find_shared,
    list_contents,
    read_condemned,
)
from ..history import History
from ..model import Pointer
from ..store import Commit
from ..tracker import Tracker
from .doomed import Doomed, choose_experiments, find_doomed, read_branch

DAY = 86_400 * 1_000_000
PERIOD = 30 * DAY
GRACE = 14 * DAY


@dataclass(frozen=True)
class Survey:
    """What deleting would come to.

    `returned` counts, by experiment, revisions that were deleted before and are on the branch again. `unneeded` is the
    content that nobody else needs, `condemned` what is on the list already, and `due` those of it whose time has come.
    `recent` counts runs that are removed and not yet for long enough, `busy` those that are being recorded again.
    `unsure` says why it cannot be told what content is needed, if it cannot.
    """

    runs: tuple[Doomed, ...] = ()
    returned: tuple[tuple[str, int], ...] = ()
    unneeded: tuple[Pointer, ...] = ()
    condemned: tuple[Condemned, ...] = ()
    due: tuple[Condemned, ...] = ()
    recent: int = 0
    busy: int = 0
    unsure: str = ""


@dataclass(frozen=True)
class Deleted:
    """What was deleted: the runs, by which new epochs (slug and number), and what became of condemned content."""

    runs: tuple[Doomed, ...]
    epochs: tuple[tuple[str, int], ...]
    content: Collected


def survey_deletion(
    tracker: Tracker, experiments: Iterable[str] = (), *, now: int, period: int = PERIOD, grace: int = GRACE
) -> Survey:
    """Return what deleting the runs of some experiments would come to, or of all that have a branch here.

    A run is deleted that was marked removed `period` microseconds before `now` or earlier, and content that was
    condemned `grace` before or earlier. Changes nothing. Raises NotFound for an experiment that does not exist.
    """
    history = tracker.history
    survey = Survey()
    for slug in choose_experiments(history, experiments):
        found = find_doomed(history, slug, before=now - period)
        returned = len(read_branch(history, slug)[1]) if history.get_branch(slug).epoch else 0
        survey = replace(
            survey,
            runs=(*survey.runs, *found.runs),
            returned=(*survey.returned, *([(slug, returned)] if returned else [])),
            recent=survey.recent + found.recent,
            busy=survey.busy + found.busy,
        )
    return _survey_content(tracker, survey, due_before=now - grace)


def delete_runs(
    tracker: Tracker, experiments: Iterable[str] = (), *, now: int, period: int = PERIOD, grace: int = GRACE
) -> Deleted:
    """Delete what `survey_deletion` tells of, as it stands now.

    Each experiment's branch moves at once; what is cut short between two leaves the rest for the next time, and content
    that is not needed is condemned before the branch moves. Safe to repeat. Raises StoreFailed, Unsupported for a
    history that is not here as a whole.
    """
    history = tracker.history
    runs: list[Doomed] = []
    epochs: list[tuple[str, int]] = []
    for slug in choose_experiments(history, experiments):
        found, number = _begin_without_doomed(tracker, slug, now=now, before=now - period)
        runs += found
        if number:
            epochs.append((slug, number))
    collected = collect(
        history, tracker.content, now=now, grace=grace, find_dropped=lambda slug: history.get_branch(slug).dropped
    )
    return Deleted(tuple(runs), tuple(epochs), collected)


def _begin_without_doomed(tracker: Tracker, slug: str, *, now: int, before: int) -> tuple[list[Doomed], int]:
    """Begin an experiment's next epoch without what is doomed; return that, and the epoch, 0 where there is none."""
    history = tracker.history
    runs: list[Doomed] = []
    number = 0

    def make_plan() -> Plan | None:
        nonlocal number
        runs[:] = find_doomed(history, slug, before=before).runs
        branch = history.get_branch(slug)
        if not runs and not branch.epoch:
            return None
        line, returned = read_branch(history, slug)
        if not runs and not returned:
            return None
        commits = [Commit(record.commit, record.tree, (), "", record.time, "") for record in returned]
        contents = (*(pointer for run in runs for pointer in run.contents), *list_contents(history, commits))
        condemn(history.store, tracker.content, contents, now=now)
        number = branch.epoch + 1
        return begin_epoch(
            [line],
            branch.dropped.add((run.id, commit.tree) for run in runs for commit in run.commits),
            above=branch.epoch,
            find_redacted=lambda record: find_redacted(history, record),
        )

    if rewrite_branch(history, slug, make_plan) is None:
        return [], 0
    forget_index(history, slug, [run.id for run in runs])
    return runs, number


def _survey_content(tracker: Tracker, survey: Survey, *, due_before: int) -> Survey:
    """Add what would become of content: what only the doomed runs need, and what is condemned already."""
    history, content = tracker.history, tracker.content
    listed = read_condemned(history.store)
    pointers = {pointer.oid: pointer for run in survey.runs for pointer in run.contents}
    here = {oid: pointer for oid, pointer in pointers.items() if pointer.size and content.find_stamp(oid) is not None}
    asked = {**here, **{oid: entry.pointer for oid, entry in listed.items()}}
    if not asked:
        return survey
    unsure, needed = find_shared(history, content), set(asked)
    if not unsure:
        try:
            needed = References(
                history, asked.values(), find_dropped=lambda slug: _find_dropped(history, slug, survey)
            ).look()
        except Unsure as error:
            unsure = error.message
    condemned = tuple(entry for oid, entry in listed.items() if oid not in needed)
    return replace(
        survey,
        unneeded=tuple(pointer for oid, pointer in here.items() if oid not in needed and oid not in listed),
        condemned=condemned,
        due=tuple(entry for entry in condemned if entry.since <= due_before),
        unsure=unsure,
    )


def _find_dropped(history: History, slug: str, survey: Survey) -> Dropped:
    """Return what of an experiment is deleted, and what would be."""
    doomed = ((run.id, commit.tree) for run in survey.runs if run.experiment == slug for commit in run.commits)
    return history.get_branch(slug).dropped.add(doomed)

"""Takes something out of a run: its next revision is without it, and all earlier ones are deleted for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import layout
from ..epoch import Line, Plan, Record, begin_epoch, find_redacted, forget_index, rewrite_branch
from ..errors import Conflict, NotFound
from ..garbage import condemn, list_contents
from ..history import Revision
from ..merge import Node, find_heads
from ..redaction import Change, Redaction, plan_redaction, stage_redaction
from ..tracker import Tracker
from .doomed import read_branch


@dataclass(frozen=True)
class Redacted:
    """A run that was redacted: its new revision, and the epoch of its experiment that begins with it."""

    run_id: str
    experiment: str
    revision: int
    epoch: int
    changes: tuple[Change, ...]


def survey_redaction(tracker: Tracker, run_id: str, *, places: Sequence[str], texts: Sequence[str]) -> Redaction:
    """Return what redacting a run (a whole id) would come to; changes nothing.

    Raises Conflict for a run that is being recorded, or that was edited on two sides which have not been joined, and
    NotFound where there is nothing to redact.
    """
    if layout.journal_directory(tracker.repository.common_directory, run_id).exists():
        raise Conflict(
            f"run {run_id[:8]} is being recorded, and what it records now would not be redacted",
            hint="gittrack ls  # to see when it has ended",
        )
    revisions = _list_revisions(tracker, run_id)
    speaking = revisions[0]
    nodes = (
        Node(entry.commit.tree, entry.trailers.revision, entry.commit.time, entry.commit.id, entry.trailers.previous)
        for entry in revisions
    )
    if len(find_heads(nodes)) > 1:
        raise Conflict(
            f"run {speaking.trailers.name} was edited on two sides that have not been joined yet", hint="gittrack pull"
        )
    redaction = plan_redaction(tracker.history, tracker.content, speaking.commit, places=places, texts=texts)
    if not redaction.changes:
        raise NotFound(f"nothing in run {speaking.trailers.name} holds that text", hint=f"gittrack show {run_id[:8]}")
    return redaction


def redact_run(tracker: Tracker, run_id: str, *, places: Sequence[str], texts: Sequence[str], now: int) -> Redacted:
    """Redact a run (a whole id) as it stands now, and delete all its earlier revisions; durable when it returns.

    Content that only those named is condemned. `now` is in UTC microseconds. Raises what `survey_redaction` does.
    """
    history, stamp = tracker.history, tracker.make_stamp(now)
    slug = _find_experiment(tracker, run_id)
    made: list[Redacted] = []

    def make_plan() -> Plan:
        redaction = survey_redaction(tracker, run_id, places=places, texts=texts)
        revisions = _list_revisions(tracker, run_id)
        revision = revisions[0].trailers.revision + 1
        staged = stage_redaction(history, tracker.content, redaction, revision=revision)
        contents = list_contents(history, (entry.commit for entry in revisions))
        condemn(history.store, tracker.content, contents, now=now)
        author = f"{stamp.author.name} <{stamp.author.email}>"
        record = Record(run_id, revision, staged.tree, now // 1_000_000, author, staged.message)
        branch = history.get_branch(slug)
        made[:] = [Redacted(run_id, slug, revision, branch.epoch + 1, redaction.changes)]
        return begin_epoch(
            [read_branch(history, slug)[0], Line("", records=(record,))],
            branch.dropped.add((run_id, entry.commit.tree) for entry in revisions),
            above=branch.epoch,
            find_redacted=lambda found: find_redacted(history, found),
        )

    with tracker.content.hold():
        rewrite_branch(history, slug, make_plan)
    forget_index(history, slug, [run_id])
    return made[0]


def _find_experiment(tracker: Tracker, run_id: str) -> str:
    slug = tracker.collection.find_slug(run_id)
    if slug is None:
        raise NotFound(f"no run {run_id!r:.100}", hint="gittrack ls")
    return slug


def _list_revisions(tracker: Tracker, run_id: str) -> list[Revision]:
    revisions = tracker.history.list_run_revisions(_find_experiment(tracker, run_id), run_id)
    if not revisions:
        raise NotFound(f"no run {run_id!r:.100}", hint="gittrack ls")
    return revisions

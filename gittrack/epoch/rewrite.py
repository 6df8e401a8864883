"""Writes what a plan says, and moves a branch to it: at once, or not at all.

Objects are on disk before the ref moves; what is cut short leaves the old branch, and objects that nothing names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from .. import layout
from ..canonical import encode_rows
from ..dropped import Dropped, encode_dropped
from ..errors import Conflict, GittrackError
from ..history import History
from ..message import RunTrailers, parse_message, write_epoch_message
from ..redaction import redact_tree
from ..repository import Ident
from ..store import Commit
from .line import REDACTED_FILE, Key, Record, read_line
from .plan import Plan, Replay, follow

# So often a plan is made and written while others go on recording; then once more, while they wait.
_FREE_ATTEMPTS = 3


@dataclass(frozen=True)
class JoinedEpochs:
    """What joining two lines of different epochs gave: the tip that has all of both but what is dropped.

    `dropped` are the runs and trees of the revisions that either line has and the tip has not: what only they refer to
    is not needed any more.
    """

    tip: str
    dropped: tuple[tuple[str, str], ...] = ()


def join_epochs(history: History, slug: str, *, ours: str, theirs: str) -> JoinedEpochs:
    """Return the tip of a line that contains two lines of which one, or both, began an epoch the other does not know.

    That tip need not have either as its ancestor. The objects that are written are on disk when this returns; nothing
    refers to them yet. Safe to repeat: where ours already contains everything, the tip is ours. Raises Unsupported
    where a line is not here as a whole, or of a newer format.
    """
    plan = follow(
        read_line(history, ours),
        read_line(history, theirs),
        find_redacted=lambda record: find_redacted(history, record),
    )
    tip = write_plan(history, slug, plan)
    history.store.sync()
    return JoinedEpochs(tip, tuple((record.run_id, record.tree) for record in plan.left_out))


def rewrite_branch(history: History, slug: str, make_plan: Callable[[], Plan | None]) -> str | None:
    """Let an experiment's branch be what a plan gives, and return its tip; None where make_plan returned None.

    The plan is made from the branches as they stand, and made again where they moved before it was carried out. The
    branch is created where there are only tracking copies of it. Atomic, and durable when it returns.
    """
    store = history.store
    ref = layout.branch_ref(slug, history.namespace)
    for attempt in range(_FREE_ATTEMPTS + 1):
        with nullcontext() if attempt < _FREE_ATTEMPTS else store.lock():
            tips, local = history.find_tips().get(slug), store.find_ref(ref)
            plan = make_plan()
            if plan is None:
                return None
            tip = write_plan(history, slug, plan)
            store.sync()
            with store.lock():
                unmoved = history.find_tips().get(slug) == tips
                if unmoved and store.move_ref(ref, old=local, new=tip, message=f"gittrack: epoch {plan.number}"):
                    return tip
    raise Conflict(f"{ref} kept moving while it was being written again; nothing was changed", hint="gittrack gc")


def write_plan(history: History, slug: str, plan: Plan) -> str:
    """Write what a plan says and return the tip of it; no ref moves, and nothing is synced."""
    store = history.store
    if plan.base is None:
        parent = _write_epoch(history, slug, plan)
        seen: set[Key] = set()
    else:
        parent = plan.base.tip
        seen = {record.key for record in plan.base.records}
    return store.write_chain(_list_commits(_redact(history, plan), seen), parent=parent)


def find_redacted(history: History, record: Record) -> tuple[str, ...]:
    """Return the places that a revision of a run says were redacted; none for one that cannot be read."""
    try:
        return history.load_run(Commit(record.commit, record.tree, (), record.author, record.time, "")).redacted
    except GittrackError:
        return ()


def _write_epoch(history: History, slug: str, plan: Plan) -> str:
    """Write the first commit of an epoch: the same in every clone, since it is by who wrote the oldest record, then."""
    records = [*(replay.record for replay in plan.replays), *plan.left_out]
    oldest = min(records, key=lambda record: record.order)
    files = {layout.DROPPED_FILE: encode_dropped(plan.dropped)}
    redacted = encode_rows({run_id: sorted(places) for run_id, places in plan.redacted.items()})
    if plan.redacted:
        files[REDACTED_FILE] = redacted
    return history.store.write_commit(
        tree=history.store.write_tree(files),
        parents=(),
        author=_read_author(oldest.author),
        time=oldest.time,
        message=write_epoch_message(
            slug,
            plan.number,
            dropped=len(plan.dropped.marks),
            redacted=hashlib.sha256(redacted).hexdigest()[:16] if plan.redacted else "",
        ),
    )


def _redact(history: History, plan: Plan) -> Iterator[Record]:
    """Yield the records of replays, those that hold what somebody has redacted without it.

    One that cannot be read cannot be redacted either, and is left out.
    """
    trees: dict[str, str] = {}
    clean: dict[Key, Record] = {}
    # By revision, whatever the clocks said: each names the trees that it was made from.
    tainted = (replay for replay in plan.replays if replay.redact)
    for replay in sorted(tainted, key=lambda replay: replay.record.revision):
        with suppress(GittrackError):
            clean[replay.record.key] = _redact_record(history, replay, trees, plan.dropped)
            trees[replay.record.tree] = clean[replay.record.key].tree
    for replay in plan.replays:
        if not replay.redact:
            yield replay.record
        elif replay.record.key in clean:
            yield clean[replay.record.key]


def _redact_record(history: History, replay: Replay, trees: Mapping[str, str], dropped: Dropped) -> Record:
    record = replay.record
    said = parse_message(record.message, where=f"commit {record.commit[:12]}")
    previous = [trees.get(tree, tree) for tree in said.previous] if isinstance(said, RunTrailers) else []
    commit = Commit(record.commit, record.tree, (), record.author, record.time, record.message)
    staged = redact_tree(
        history,
        commit,
        replay.redact,
        previous=previous,
        is_dropped=lambda tree: dropped.holds(record.run_id, tree),
    )
    return replace(record, tree=staged.tree, message=staged.message)


def _list_commits(records: Iterable[Record], seen: set[Key]) -> Iterator[tuple[str, Ident, int, str]]:
    for record in records:
        if record.key not in seen:
            seen.add(record.key)
            yield record.tree, _read_author(record.author), record.time, record.message


def _read_author(author: str) -> Ident:
    match = re.fullmatch(r"(.*?) ?<(.*)>", author, re.DOTALL)
    return Ident(*match.groups()) if match else Ident(author, "")

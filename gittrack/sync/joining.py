"""Joins two lines of an experiment: a merge, and the next revision of every run that both lines edited.

Where one line began an epoch that the other does not know, both are written again instead: `epoch` does that. Writes
objects and moves no ref. FORMAT.md, sections 11.1 and 11.2, have the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .. import layout
from ..checkpoint import read_parts
from ..dropped import Dropped
from ..epoch import has_epoch, join_epochs
from ..errors import Corrupt, GittrackError, NotFound
from ..history import History
from ..merge import (
    ExperimentVersion,
    MergedRun,
    Node,
    RunVersion,
    find_base,
    find_heads,
    merge_experiments,
    merge_runs,
)
from ..message import (
    ExperimentTrailers,
    RunTrailers,
    parse_message,
    write_experiment_message,
    write_merge_message,
)
from ..model import MetricSummary
from ..repository import Ident
from ..revision import stage_snapshot
from ..series import SummaryBuilder
from ..snapshot import encode_experiment
from ..store import Commit, TreeEntry
from .departed import read_dropped
from .graph import Graph

# How much older than a revision its commit may claim to be, by a clock that is wrong.
_CLOCK_SLACK = 86_400

Trailers = RunTrailers | ExperimentTrailers


@dataclass(frozen=True)
class Joined:
    """What joining gave: the tip that contains both lines, and the names of the runs that were merged.

    `anew` tells that an epoch was followed, so that neither line need be an ancestor of the tip; `dropped` are the runs
    and trees of the revisions that either line had and the tip has not, since somebody deleted them for good.
    """

    tip: str
    merged: tuple[str, ...] = ()
    anew: bool = False
    dropped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Record:
    commit: Commit
    trailers: Trailers

    @property
    def subject(self) -> str:
        """The run's id; empty for the experiment itself."""
        return self.trailers.run_id if isinstance(self.trailers, RunTrailers) else ""

    @property
    def node(self) -> Node:
        said, commit = self.trailers, self.commit
        return Node(commit.tree, said.revision, commit.time, commit.id, said.previous)


def join(history: History, graph: Graph, slug: str, *, ours: str, theirs: str, author: Ident) -> Joined:
    """Return the tip of a line that contains both lines, with every run that has several heads merged.

    The same two lines give the same trees, whichever is whose. Where theirs contains ours that is theirs as it stands.
    The objects that are written are on disk when this returns; nothing refers to them yet. Safe to repeat.
    """
    apart = graph.compare(ours, theirs)
    if not apart.ours:
        return Joined(theirs)
    tip, new = ours, [*apart.ours, *apart.theirs]
    lines: tuple[str, ...] = (ours, theirs)
    left_out: tuple[tuple[str, str], ...] = ()
    anew = bool(apart.theirs) and has_epoch(new)
    if anew:
        epochs = join_epochs(history, slug, ours=ours, theirs=theirs)
        tip, lines, left_out = epochs.tip, (epochs.tip,), epochs.dropped
        records = _group(graph.list_new(lines, known=()))
    else:
        if apart.theirs:
            tip = _write_merge(history, slug, history.store.get_commit(ours), history.store.get_commit(theirs), author)
        records = _group(new)
        _add_shared(graph, records, new=new, tips=lines)
    forks = {subject: found for subject, found in records.items() if _is_forked(found)}
    dropped = read_dropped(history, graph.list_roots(lines)) if forks else Dropped()
    merged = []
    for subject in sorted(forks):
        # What was deleted for good, and came back with somebody's plain merge, is no revision.
        found = [record for record in forks[subject] if not dropped.holds(subject, record.commit.tree)]
        if not _is_forked(found):
            continue
        try:
            tip, name = _write_next(history, found, dropped, tip, author)
        except GittrackError:  # a head that cannot be read stays for the rule that the highest revision speaks
            continue
        merged.append(name)
    history.store.sync()
    return Joined(tip, tuple(merged), anew, left_out)


def list_records(commits: Iterable[Commit]) -> list[_Record]:
    """Return those commits that carry a record; damaged ones are passed over, as readers do."""
    records = []
    for commit in commits:
        try:
            trailers = parse_message(commit.message, where=commit.id)
        except GittrackError:
            continue
        if trailers is not None:
            records.append(_Record(commit, trailers))
    return records


def _write_merge(history: History, slug: str, ours: Commit, theirs: Commit, author: Ident) -> str:
    newer, older = sorted((ours, theirs), key=lambda commit: (commit.time, commit.id), reverse=True)
    return history.store.write_commit(
        tree=newer.tree,
        parents=(newer.id, older.id),
        author=author,
        time=newer.time,
        message=write_merge_message(slug),
    )


def _group(commits: Iterable[Commit]) -> dict[str, list[_Record]]:
    """Return the records among commits by run, those of the experiment under ""."""
    records: dict[str, list[_Record]] = {}
    for record in list_records(commits):
        records.setdefault(record.subject, []).append(record)
    return records


def _is_forked(records: Iterable[_Record]) -> bool:
    return len(find_heads(record.node for record in records)) > 1


def _add_shared(graph: Graph, records: dict[str, list[_Record]], *, new: Sequence[Commit], tips: Sequence[str]) -> None:
    """Add what the lines share of those runs whose new revisions were made from shared ones.

    Something else may have been made from those, too. It cannot be older than what it was made from, so that is how far
    this looks back.
    """
    wanted: dict[str, set[str]] = {}
    for subject, found in records.items():
        trees = {record.commit.tree for record in found}
        before = {tree for record in found for tree in record.node.previous} - trees
        if before or any(record.trailers.revision > 1 and not record.node.previous for record in found):
            wanted[subject] = before
    if not wanted:
        return
    missing = {tree for trees in wanted.values() for tree in trees}
    oldest: int | None = None
    fresh = {commit.id for commit in new}
    for commit in graph.list_new(tips, known=()):
        if not missing and oldest is not None and commit.time < oldest - _CLOCK_SLACK:
            break
        if commit.id in fresh:
            continue
        for record in list_records([commit]):
            if record.subject in wanted:
                records[record.subject].append(record)
                if commit.tree in missing:
                    missing.discard(commit.tree)
                    oldest = commit.time if oldest is None else min(oldest, commit.time)


def _write_next(
    history: History, records: Sequence[_Record], dropped: Dropped, tip: str, author: Ident
) -> tuple[str, str]:
    """Write the revision that follows all heads of a run, or of the experiment's record, on top of tip."""
    nodes = [record.node for record in records]
    heads = find_heads(nodes)
    commits = {record.commit.id: record for record in records}
    time = max(head.time for head in heads)
    trees = tuple(head.tree for head in heads)
    if not isinstance(commits[heads[0].commit].trailers, RunTrailers):
        files, message, name = _merge_experiment(history, nodes, heads, trees)
        tree = history.store.write_tree(files)
    else:
        entries: dict[str, TreeEntry] = {}
        run = _merge_run(
            history, nodes, heads, entries, is_dropped=lambda tree: dropped.holds(records[0].subject, tree)
        )
        paths = {layout.part_path(number + 1): entries[id] for number, id in enumerate(run.parts)}
        staged = stage_snapshot(history.store, run.snapshot, parts=paths, source=run.source, previous=trees)
        tree, message, name = staged.tree, staged.message, run.snapshot.run.name
    commit = history.store.write_commit(tree=tree, parents=(tip,), author=author, time=time, message=message)
    return commit, name


def _merge_run(
    history: History,
    nodes: Sequence[Node],
    heads: Sequence[Node],
    entries: dict[str, TreeEntry],
    *,
    is_dropped: Callable[[str], bool],
) -> MergedRun:
    """Merge the heads of a run one after the other; `entries` collects the metric parts met, by id.

    A base that was deleted for good counts as none, in whatever clone it may still be found.
    """

    def summarize(parts: tuple[str, ...]) -> Mapping[str, MetricSummary]:
        builder = SummaryBuilder()
        chosen = {layout.part_path(number + 1): entries[id] for number, id in enumerate(parts)}
        for table in read_parts(history.store, chosen, metric=None):
            builder.add(table)
        return builder.build()

    def load(tree: str, time: int, commit: str) -> RunVersion:
        return _load_version(history, Commit(commit, tree, (), "", time, ""), entries)

    def load_base(tree: str | None) -> RunVersion | None:
        if tree is None or is_dropped(tree):
            return None
        try:
            return load(tree, 0, tree)
        except (Corrupt, NotFound):  # such as the name that a redacted revision has for what it was made from
            return None

    first, *others = heads
    joined, sides = load(first.tree, first.time, first.commit), [first.tree]
    merged = MergedRun(joined.snapshot, joined.parts, joined.source)
    for head in others:
        base = load_base(find_base(nodes, sides, head.tree))
        merged = merge_runs(base, joined, load(head.tree, head.time, head.commit), summarize=summarize)
        sides.append(head.tree)
        joined = RunVersion(merged.snapshot, merged.parts, merged.source, head.time, head.commit)
    return merged


def _merge_experiment(
    history: History, nodes: Sequence[Node], heads: Sequence[Node], trees: tuple[str, ...]
) -> tuple[dict[str, bytes], str, str]:
    def load(tree: str, time: int, commit: str) -> ExperimentVersion:
        return ExperimentVersion(history.load_experiment(Commit(commit, tree, (), "", time, "")), time, commit)

    first, *others = heads
    joined, sides = load(first.tree, first.time, first.commit), [first.tree]
    for head in others:
        tree = find_base(nodes, sides, head.tree)
        base = None if tree is None else load(tree, 0, tree)
        merged = merge_experiments(base, joined, load(head.tree, head.time, head.commit))
        sides.append(head.tree)
        joined = ExperimentVersion(merged, head.time, head.commit)
    experiment = joined.experiment
    message = write_experiment_message(experiment, previous=trees)
    return encode_experiment(experiment), message, f"experiment {experiment.name}"


def _load_version(history: History, commit: Commit, entries: dict[str, TreeEntry]) -> RunVersion:
    snapshot = history.load_snapshot(commit)
    parts = list(history.find_parts(commit).values())
    entries.update((part.id, part) for part in parts)
    source = history.store.find_entry(commit.tree, layout.SOURCE_DIRECTORY)
    ids = tuple(part.id for part in parts)
    return RunVersion(
        replace(snapshot, parts=tuple(layout.part_path(number + 1) for number in range(len(ids)))),
        ids,
        None if source is None else source.id,
        commit.time,
        commit.id,
    )

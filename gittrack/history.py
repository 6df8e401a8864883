"""Walks the experiment branches and decides which commit speaks for a run.

Reads refs, commits and trees through `store`. Knows nothing of journals, params' meaning or terminals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from . import layout
from .address import MIN_PREFIX
from .admission import (
    FILE_MODE,
    MAX_POINTER_SIZE,
    MAX_RECORD_SIZE,
    find_artifact_fault,
    find_experiment_fault,
    find_parts_fault,
    find_run_fault,
)
from .dropped import Dropped, decode_dropped
from .errors import Corrupt, GittrackError, NotFound
from .message import EpochTrailers, ExperimentTrailers, RunTrailers, parse_epoch, parse_message
from .model import Experiment, Pointer, Run, Snapshot
from .pointer import decode_pointer
from .snapshot import decode_experiment, decode_run, decode_snapshot
from .store import Commit, Store, TreeEntry

MAX_ARTIFACTS = 1_000_000
MAX_ARTIFACT_DIRECTORIES = 20_000
MAX_ARTIFACT_DEPTH = 32

_TOP_FILES = (layout.RUN_FILE, layout.PARAMS_FILE, layout.SUMMARY_FILE, layout.ENVIRONMENT_FILE)


@dataclass(frozen=True)
class Revision:
    """One commit that carries a run, with what its message says of it."""

    commit: Commit
    trailers: RunTrailers

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key: of a run's revisions the greatest speaks for it."""
        return (self.trailers.revision, self.commit.time, self.commit.id)


@dataclass(frozen=True)
class Epoch:
    """The first commit of an epoch: it carries no record, and its tree lists what was deleted for good."""

    commit: Commit
    trailers: EpochTrailers


@dataclass(frozen=True)
class Branch:
    """What one experiment's history holds: the revision that speaks for each run, and the experiment's own record.

    `revisions` are newest commit first. `record` is the tree of the record that `experiment` was read from, if any.
    `epoch` is the highest of the lines that are visible, `dropped` what any of them lists as deleted for good. `known`
    are all revisions of each run, by its id, in any order, each tree once; nothing dropped is among them.
    """

    slug: str
    tips: tuple[str, ...]
    revisions: tuple[Revision, ...]
    experiment: Experiment
    damaged: tuple[GittrackError, ...]
    record: str | None = None
    epoch: int = 0
    dropped: Dropped = field(default_factory=Dropped)
    known: Mapping[str, tuple[Revision, ...]] = field(default_factory=dict, repr=False, compare=False)


class History:
    """The experiments and runs visible in one store: on its own branches and on every remote-tracking copy of them."""

    def __init__(self, store: Store, namespace: str = layout.DEFAULT_NAMESPACE) -> None:
        self.store = store
        self.namespace = namespace
        self._branches: dict[str, Branch] = {}

    def find_tips(self) -> dict[str, tuple[str, ...]]:
        """Return the tips of every experiment, by slug: the local branch's first, then the tracking copies'."""
        tips: dict[str, dict[str, None]] = {}
        for prefix, find_slug in (
            (self.namespace + "/", layout.find_branch_slug),
            ("refs/remotes/", layout.find_tracking_slug),
        ):
            for ref, commit_id in self.store.list_refs(prefix).items():
                slug = find_slug(ref, self.namespace)
                if slug is not None:
                    tips.setdefault(slug, {})[commit_id] = None
        return {slug: tuple(ids) for slug, ids in sorted(tips.items())}

    def get_branch(self, slug: str, *, tips: tuple[str, ...] | None = None) -> Branch:
        """Return what the history of an experiment holds; raises NotFound where there is no such branch.

        Git history is immutable, so a branch is walked again only when its tips have moved.
        """
        tips = self.find_tips().get(slug, ()) if tips is None else tips
        if not tips:
            raise NotFound(f"no experiment {slug!r}", hint="gittrack experiment ls")
        known = self._branches.get(slug)
        if known is None or known.tips != tips:
            known = self._branches[slug] = self._walk(slug, tips)
        return known

    def list_branches(self) -> list[Branch]:
        """Return every experiment's history, sorted by slug."""
        return [self.get_branch(slug, tips=tips) for slug, tips in self.find_tips().items()]

    def list_run_revisions(self, slug: str, run_id: str) -> list[Revision]:
        """Return every visible revision of one run, the one that speaks for it first."""
        tips = self.find_tips().get(slug, ())
        known = self.get_branch(slug, tips=tips).known.get(run_id, ()) if tips else ()
        return sorted(known, key=lambda entry: entry.order, reverse=True)

    def find_commit(self, slug: str, run_id: str, *, revision: int, tree: str) -> Commit | None:
        """Return the commit on the local branch that holds exactly this snapshot of a run, if there is one."""
        tip = self.store.find_ref(layout.branch_ref(slug, self.namespace))
        for entry in self._records(() if tip is None else (tip,)):
            if (
                isinstance(entry, Revision)
                and entry.commit.tree == tree
                and (entry.trailers.run_id, entry.trailers.revision) == (run_id, revision)
            ):
                return entry.commit
        return None

    def find_revision(self, ref: str) -> Revision | None:
        """Return the revision that speaks for the run of this name, or whose id begins so; its tree is not looked at.

        For runs whose records are damaged: nothing but the branches' commits is read, and all of those. None where
        there is no such run, or where there are several.
        """
        found = [
            entry
            for branch in self.list_branches()
            for entry in branch.revisions
            if entry.trailers.name == ref or (len(ref) >= MIN_PREFIX and entry.trailers.run_id.startswith(ref.lower()))
        ]
        return found[0] if len({entry.trailers.run_id for entry in found}) == 1 else None

    def load_snapshot(self, commit: Commit) -> Snapshot:
        """Return the snapshot a run's commit holds; raises Corrupt, naming the commit, where its tree is damaged."""
        where = f"commit {commit.id[:12]}"
        try:
            return self._load_snapshot(commit, where)
        except Corrupt as error:
            if error.message.startswith(where):
                raise
            raise Corrupt(f"{where}: {error.message}", hint=error.hint) from None

    def _load_snapshot(self, commit: Commit, where: str) -> Snapshot:
        entries = self.store.get_tree(commit.tree)
        _refuse(find_run_fault(entries), where)
        files = {name: self._read(entries[name]) for name in _TOP_FILES if name in entries}
        artifacts = {}
        if layout.ARTIFACTS_DIRECTORY in entries:
            for path, entry in sorted(self._list_files(entries[layout.ARTIFACTS_DIRECTORY]), key=itemgetter(0)):
                artifacts[path] = self.store.get_blob(entry.id, limit=MAX_POINTER_SIZE)
        if layout.METRICS_DIRECTORY in entries:
            _refuse(find_parts_fault(self.store.get_tree(entries[layout.METRICS_DIRECTORY].id)), where)
        return decode_snapshot(files, artifacts=artifacts, parts=tuple(self.find_parts(commit)), where=where)

    def load_run(self, commit: Commit) -> Run:
        """Return what run.json in a run's commit says; raises Corrupt where it is damaged or missing."""
        where = f"commit {commit.id[:12]}:{layout.RUN_FILE}"
        entry = self.store.get_tree(commit.tree).get(layout.RUN_FILE)
        if entry is None or entry.mode != FILE_MODE:
            raise Corrupt(f"{where} is missing")
        return decode_run(self._read(entry), where=where)

    def find_parts(self, commit: Commit) -> dict[str, TreeEntry]:
        """Return the tree entries of a run's metric parts, by tree path, in order."""
        entry = self.store.find_entry(commit.tree, layout.METRICS_DIRECTORY)
        if entry is None:
            return {}
        paths = {f"{layout.METRICS_DIRECTORY}/{name}": part for name, part in self.store.get_tree(entry.id).items()}
        numbered = {path: number for path in paths if (number := layout.find_part_number(path)) is not None}
        return {path: paths[path] for path in sorted(numbered, key=lambda path: numbered[path])}

    def find_pointer(self, commit: Commit, path: str) -> Pointer | None:
        """Return the pointer of one artifact of a run, or None where it has no artifact of that path."""
        entry = self.store.find_entry(commit.tree, layout.artifact_tree_path(path))
        return None if entry is None else decode_pointer(self.store.get_blob(entry.id, limit=MAX_POINTER_SIZE))

    def list_pointers(self, commit: Commit) -> dict[str, Pointer]:
        """Return the pointers of a run's artifacts, by path; raises Corrupt where one is damaged."""
        entry = self.store.find_entry(commit.tree, layout.ARTIFACTS_DIRECTORY)
        files = () if entry is None else self._list_files(entry)
        return {path: decode_pointer(self.store.get_blob(file.id, limit=MAX_POINTER_SIZE)) for path, file in files}

    def salvage_pointers(self, commit: Commit) -> tuple[dict[str, Pointer], dict[str, str]]:
        """Return the pointers of a damaged or unfit record's artifacts, by path, and what is wrong with the others.

        A directory that cannot be read stands for all that is in it. Raises what `Store.get_tree` does where the tree
        itself cannot be read.
        """
        root = self.store.get_tree(commit.tree).get(layout.ARTIFACTS_DIRECTORY)
        good: dict[str, Pointer] = {}
        faults: dict[str, str] = {}
        for path, entry in self._list_files(root, faults=faults) if root is not None and root.is_tree else ():
            try:
                good[path] = decode_pointer(self.store.get_blob(entry.id, limit=MAX_POINTER_SIZE))
            except GittrackError as error:
                faults[path] = error.message
        return good, faults

    def _list_files(self, root: TreeEntry, *, faults: dict[str, str] | None = None) -> Iterator[tuple[str, TreeEntry]]:
        """Yield every artifact's file; what is unfit goes to `faults`, or raises Corrupt where there are none."""
        pending = [(root, "", 0)]
        directories = seen = 0
        while pending:
            directory, prefix, depth = pending.pop()
            try:
                entries = self.store.get_tree(directory.id)
            except GittrackError as error:
                if faults is None:
                    raise
                faults[prefix] = error.message
                continue
            directories += 1
            seen += len(entries)
            # A tree that names the same directory again and again has more paths than there are atoms.
            if depth > MAX_ARTIFACT_DEPTH or directories > MAX_ARTIFACT_DIRECTORIES or seen > MAX_ARTIFACTS:
                raise Corrupt(f"artifact directories nested too deep, or too many: {prefix[:80]!r}")
            for name, entry in entries.items():
                fault = find_artifact_fault(prefix + name, entry)
                if fault is not None and faults is not None:
                    faults[prefix + name] = fault
                    continue
                _refuse(fault, "its artifacts are unfit")
                if entry.is_tree:
                    pending.append((entry, f"{prefix}{name}/", depth + 1))
                else:
                    yield prefix + name, entry

    def _read(self, entry: TreeEntry) -> bytes:
        return self.store.get_blob(entry.id, limit=MAX_RECORD_SIZE)

    def _walk(self, slug: str, tips: tuple[str, ...]) -> Branch:
        revisions: dict[str, list[Revision]] = {}
        record: tuple[tuple[int, int, str], Commit] | None = None
        epoch, dropped = 0, Dropped()
        damaged = []
        for entry in self._records(tips):
            if isinstance(entry, GittrackError):
                damaged.append(entry)
            elif isinstance(entry, Revision):
                revisions.setdefault(entry.trailers.run_id, []).append(entry)
            elif isinstance(entry, Epoch):
                epoch = max(epoch, entry.trailers.number)
                try:
                    dropped |= self.load_dropped(entry.commit)
                except GittrackError as error:
                    damaged.append(error)
            else:
                trailers, commit = entry
                order = (trailers.revision, commit.time, commit.id)
                record = max(record, (order, commit)) if record else (order, commit)
        experiment = Experiment(slug, slug)
        if record is not None:
            try:
                experiment = self.load_experiment(record[1])
            except GittrackError as error:
                damaged.append(error)
        tree = record[1].tree if record is not None else None
        known = {run_id: kept for run_id, found in revisions.items() if (kept := _keep_visible(found, dropped))}
        speaking = (max(found, key=lambda entry: entry.order) for found in known.values())
        newest = sorted(speaking, key=lambda entry: (entry.commit.time, entry.commit.id), reverse=True)
        return Branch(slug, tips, tuple(newest), experiment, tuple(damaged), tree, epoch, dropped, known)

    def load_experiment(self, commit: Commit) -> Experiment:
        """Return the experiment that a record's commit holds; raises Corrupt where there is none."""
        entries = self.store.get_tree(commit.tree)
        where = f"commit {commit.id[:12]}"
        _refuse(find_experiment_fault(entries), where)
        entry = entries[layout.EXPERIMENT_FILE]
        return decode_experiment(self._read(entry), where=f"{where}:{layout.EXPERIMENT_FILE}")

    def load_dropped(self, commit: Commit) -> Dropped:
        """Return what the first commit of an epoch lists as deleted for good; raises Corrupt where it is damaged."""
        where = f"commit {commit.id[:12]}:{layout.DROPPED_FILE}"
        entry = self.store.get_tree(commit.tree).get(layout.DROPPED_FILE)
        if entry is None or entry.mode != FILE_MODE:
            raise Corrupt(f"{where} is missing")
        return decode_dropped(self._read(entry), where=where)

    def _records(
        self, tips: tuple[str, ...]
    ) -> Iterator[Revision | Epoch | tuple[ExperimentTrailers, Commit] | GittrackError]:
        for commit in self.store.walk(tips):
            where = f"commit {commit.id[:12]}"
            try:
                trailers = parse_message(commit.message, where=where)
                epoch = parse_epoch(commit.message, where=where)
            except GittrackError as error:
                yield error
                continue
            if isinstance(trailers, RunTrailers):
                yield Revision(commit, trailers)
            elif trailers is not None:
                yield trailers, commit
            elif epoch is not None:
                yield Epoch(commit, epoch)


def _keep_visible(revisions: list[Revision], dropped: Dropped) -> tuple[Revision, ...]:
    """Return the revisions of one run that are not dropped; of one that stands on several lines, the greatest."""
    if len(revisions) == 1 and not dropped.marks:
        return tuple(revisions)
    trees: dict[str, Revision] = {}
    for entry in revisions:
        tree = entry.commit.tree
        if not dropped.holds(entry.trailers.run_id, tree):
            trees[tree] = max(entry, trees.get(tree, entry), key=lambda revision: revision.order)
    return tuple(trees.values())


def _refuse(fault: str | None, where: str) -> None:
    if fault is not None:
        raise Corrupt(f"{where}: {fault}")

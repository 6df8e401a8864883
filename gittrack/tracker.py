"""The one door to recorded runs: load, list, find and edit them, and commit what dead processes left behind.

Every reader and writer above this layer goes through `Tracker`. Knows nothing of terminals or of a live run's hot path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from time import time, time_ns
from types import TracebackType
from typing import TYPE_CHECKING

from . import checkpoint, layout
from .content import ContentStore
from .draft import attributes_event, merge_tags, tags_event
from .errors import Conflict, GittrackError, InvalidInput, NotFound, StoreFailed
from .git import Git, find_git
from .history import History
from .journal import JournalWriter, is_live, list_journals, remove_unfinished
from .labels import check_note, check_tag_changes, make_tags
from .model import Experiment, Pointer, Run, SourceLink
from .repository import Repository, find_repository, get_current_directory, get_repository, read_config
from .revision import Stamp, append_experiment, append_run, stage_snapshot
from .settings import Settings, load_settings
from .source import copy_source
from .store import Ident, Store, open_store, read_identity

if TYPE_CHECKING:
    from .checkout import CheckedOut
    from .collection import Collection
    from .content_remote import Progress, Transferred
    from .frame import Frame
    from .query import SortKey
    from .run_table import RunTable
    from .stored_run import StoredRun

# How long a process may take to create a journal, in seconds; generous, since it waits for nothing.
_UNFINISHED_AGE = 600.0

# How many loose objects git leaves alone where `gc.auto` is not set.
_GC_LIMIT = 6700


class Tracker:
    """The runs and experiments of one store. Use it as a context manager, or close it.

    `recovered` lists the runs of dead processes that opening it committed; `damaged` collects the records met while
    reading that could not be read: those runs are passed over, the others are served. `notes` says what else people
    should know, such as that the index was rebuilt. `progress`, where it is set, is told during a long reading how much
    is done, of how much in all.
    """

    def __init__(
        self,
        repository: Repository,
        settings: Settings,
        *,
        code: Repository | None,
        identity: Ident | None = None,
    ) -> None:
        self.repository = repository
        self.settings = settings
        self.code = code
        self.store: Store = open_store(repository)
        self.history = History(self.store, settings.namespace)
        self.content = ContentStore.of(repository)
        self.recovered: list[StoredRun] = []
        self.damaged: list[GittrackError] = []
        self.notes: list[str] = []
        self.progress: Callable[[int, int], None] | None = None
        self._identity = identity
        self._collection: Collection | None = None

    @classmethod
    def open(cls, directory: Path | None = None, *, store: str | Path | None = None, recover: bool = True) -> Tracker:
        """Open the store for the repository that `directory` (the current one, where None) stands in.

        `store` names another repository that holds the runs; the setting `gittrack.store` does so otherwise. With
        `recover`, journals of dead processes are committed first. Raises NotFound outside of any repository.
        """
        directory = get_current_directory() if directory is None else directory
        code = find_repository(directory)
        settings = load_settings(code, environ=os.environ, directory=directory)
        chosen = settings.store if store is None else directory / Path(store).expanduser()
        repository = get_repository(chosen or directory)
        tracker = cls(repository, settings, code=code)
        if recover:
            tracker.recover()
        return tracker

    def close(self) -> None:
        """Release the store's files."""
        self.store.close()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def collection(self) -> Collection:
        """The runs of the store, ready to be read; what that takes is loaded when it is first needed."""
        if self._collection is None:
            from .collection import Collection

            self._collection = Collection(
                self.history,
                self.content,
                report=self._report,
                note=self.notes.append,
                progress=self._show_progress,
                fetch=self.fetch_contents,
            )
        return self._collection

    def fetch_contents(
        self, pointers: Iterable[Pointer], *, report: Callable[[Progress], None] | None = None, asking: bool = False
    ) -> Transferred:
        """Fetch what is not here of some content from where it is kept for others, verified; say what became of each.

        `report` is told how far that is; `asking` lets git ask the person at the terminal for a password. Safe to
        repeat. Raises NotFound where there is no such place, RemoteFailed where it cannot be asked.
        """
        from .sync.contents import fetch_contents

        return fetch_contents(
            self.repository, self.content, pointers, settings=self.settings, report=report, interactive=asking
        )

    def load_frame(self, experiment: str | None = None, *, removed: bool = False) -> Frame:
        """Return the runs of an experiment, or of all, as columns; live runs are among them as RUNNING.

        Removed runs, and the runs of removed experiments, are left out unless `removed`; those of an experiment that is
        named are not. A run whose record is damaged is left out and named in `damaged`. Raises NotFound for an
        experiment that does not exist.
        """
        with self._naming(experiment) as slug:
            return self.collection.load_frame(slug, removed=removed)

    def load_runs(self, frame: Frame) -> RunTable:
        """Return the visible runs of a frame that came from `load_frame`, in its order, each read when asked for."""
        return self.collection.load_table(frame)

    def get_run(self, ref: str, *, experiment: str | None = None) -> StoredRun:
        """Return the run meant by an id prefix (4 digits or more), a name, a commit prefix, `latest` or `latest~2`.

        Raises NotFound, Ambiguous with its candidates, or Corrupt where the run's record is damaged.
        """
        with self._naming(experiment) as slug:
            return self.collection.find_run(ref, slug)

    def list_runs(
        self,
        experiment: str | None = None,
        *,
        query: str | None = None,
        sort: str | Sequence[SortKey] = (),
        removed: bool = False,
        limit: int | None = None,
    ) -> RunTable:
        """Return the runs of an experiment, or of all, that a query finds; live runs are among them as RUNNING.

        The first `limit` in the order of `sort`, such as `-metrics.auc, params.lr`, and where that is level the one
        that started last first. What a query and an order can say: `gittrack help query`. Which runs there are is as in
        `load_frame`. Raises InvalidInput for a query or an order that cannot be read or names what no run has.
        """
        with self._naming(experiment) as slug:
            return self.collection.search(slug, query, sort, removed=removed, limit=limit, now=time_ns() // 1000)

    @contextmanager
    def _naming(self, experiment: str | None) -> Iterator[str | None]:
        """Give an experiment's slug to what reads it, whose NotFound names the experiments that come close."""
        slug = None if experiment is None else layout.make_slug(experiment)
        try:
            yield slug
        except NotFound:
            if experiment is not None:
                self.get_experiment(experiment)
            raise

    def list_revisions(self, run_id: str) -> list[StoredRun]:
        """Return every visible revision of a run (a whole id), the one that speaks for it first."""
        slug = self.collection.find_slug(run_id)
        if slug is None:
            raise NotFound(f"no run {run_id!r:.100}", hint="gittrack ls")
        revisions = self.history.list_run_revisions(slug, run_id)
        return [self.collection.load_commit(entry.commit) for entry in revisions]

    def edit_run(
        self,
        ref: str,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        removed: bool | None = None,
    ) -> StoredRun:
        """Change what is said about a run and return it: its next revision, or an entry in a live run's journal.

        A tag whose value is None is taken off. `removed` marks the run removed now, or restores it; nothing is
        deleted. Atomic: the change is on disk when this returns.
        """
        changes = check_tag_changes(tags or {})
        if name is not None:
            layout.check_run_name(name)
        if note is not None:
            check_note(note)
        now = time_ns() // 1000

        def change(run: Run) -> Run:
            return replace(
                run,
                name=run.name if name is None else name,
                note=run.note if note is None else note,
                tags=merge_tags(run.tags, changes),
                removed=_change_removed(run.removed, removed, now),
            )

        found = self.get_run(ref)
        if self._edit_journal(found.id, change(found.snapshot.run), changes):
            edited = self.get_run(found.id)
            return edited if edited.live else edited.with_run(change(edited.snapshot.run))
        with self.store.lock():
            found = self.get_run(found.id)  # as it stands now that nobody else can change it
            if change(found.snapshot.run) != found.snapshot.run:
                self._write_revision(found, change(found.snapshot.run), now)
        return self.get_run(found.id)

    def list_experiments(self, *, removed: bool = False) -> list[Experiment]:
        """Return the experiments, sorted by slug; the removed ones too with `removed`."""
        return [entry for entry in self.collection.list_experiments() if removed or entry.removed is None]

    def get_experiment(self, name: str) -> Experiment:
        """Return the experiment of a name or slug; raises NotFound, whose hint is the slugs that come close."""
        slug = layout.make_slug(name)
        known = {experiment.slug: experiment for experiment in self.list_experiments(removed=True)}
        if slug in known:
            return known[slug]
        from difflib import get_close_matches

        close = get_close_matches(slug, known)
        raise NotFound(f"no experiment {name!r:.100}", hint=" or ".join(close) or "gittrack experiment ls")

    def count_runs(self, slug: str, *, removed: bool = False) -> int:
        """Return how many runs an experiment has, live ones included."""
        return self.load_frame(slug, removed=removed).count

    def create_experiment(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> Experiment:
        """Create an experiment and return it; raises Conflict where one with the same slug exists."""
        slug = layout.make_slug(name)
        layout.check_key(name, kind="experiment")
        check_note(description)
        labels = make_tags(tags or {})
        now = time_ns() // 1000

        def make(known: Experiment | None) -> Experiment:
            if known is not None:
                raise Conflict(f"experiment {known.name!r} exists already", hint=f"gittrack experiment show {slug}")
            return Experiment(slug, name, description=description, tags=labels, created=now)

        return append_experiment(self.history, slug, self.make_stamp(now), change=make)

    def edit_experiment(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        removed: bool | None = None,
    ) -> Experiment:
        """Change what is said about an experiment and return it. Its slug, and so its branch, stays as it is."""
        if new_name is not None:
            layout.check_key(new_name, kind="experiment")
        if description is not None:
            check_note(description)
        changes = check_tag_changes(tags or {})
        slug = self.get_experiment(name).slug
        now = time_ns() // 1000

        def change(known: Experiment | None) -> Experiment:
            known = known or Experiment(slug, slug, revision=0, created=now)
            return replace(
                known,
                revision=known.revision + 1,
                name=known.name if new_name is None else new_name,
                description=known.description if description is None else description,
                tags=merge_tags(known.tags, changes),
                removed=_change_removed(known.removed, removed, now),
            )

        return append_experiment(self.history, slug, self.make_stamp(now), change=change)

    def diff_source(self, old: StoredRun, new: StoredRun, *, arguments: tuple[str, ...] = ()) -> bytes:
        """Return `git diff` from one run's source tree to another's; empty where they are the same.

        `arguments` are options of git diff, such as `--stat`. Raises InvalidInput for an argument that is no option,
        NotFound where a run has no source.
        """
        if any(not argument.startswith("-") or argument == "--" for argument in arguments):
            raise InvalidInput(f"not options of git diff: {arguments!r}")
        trees = []
        for run in (old, new):
            if run.source.tree is None:
                raise NotFound(f"run {run.name} has no source: it was recorded outside of a repository")
            trees.append(run.source.tree)
        if trees[0] == trees[1]:
            return b""
        git = Git(self.repository.git_directory)
        return git.run("diff", "--no-ext-diff", "--no-textconv", *arguments, *trees, "--")

    def checkout_source(self, run: StoredRun, directory: Path) -> CheckedOut:
        """Write a run's source tree into a new or empty directory, all of it or nothing, and say what was written.

        Raises NotFound where the run has no source, and what `check_target`, `plan_checkout` and `write_checkout` do.
        """
        from .checkout import check_target, plan_checkout, write_checkout

        target = check_target(directory, self.repository)
        plan = plan_checkout(self.store, checkpoint.get_source_tree(self.store, run.commit, run.snapshot.run))
        return write_checkout(self.store, self.content, plan, target)

    def protect_source(self, run_id: str, tree: str) -> None:
        """Keep a live run's source tree from being pruned, by a ref of its own, until its commit takes over."""
        with self.store.lock():
            self.store.move_ref(layout.live_ref(run_id), old=None, new=tree, message="gittrack: live run")

    def resolve_source(self, source: SourceLink) -> SourceLink:
        """Return a source link with its tree, after making sure that the store has every object of it."""
        if self.code is None or self.code.common_directory == self.repository.common_directory:
            return checkpoint.resolve_source(self.store, source)
        with closing(open_store(self.code)) as code:
            source = checkpoint.resolve_source(code, source)
        if source.tree is not None:
            copy_source(self.code, self.repository, source.tree)
        return source

    def recover(self) -> list[StoredRun]:
        """Commit the journals of dead processes, and return those runs. Safe to repeat, and beside other processes.

        A store that cannot be written (read-only, full) leaves the journals as they are for a later command.
        """
        found = []
        remove_unfinished(self.repository.common_directory, before=time() - _UNFINISHED_AGE)
        for directory in list_journals(self.repository.common_directory):
            try:
                commit = checkpoint.recover_journal(self.history, self.content, directory, self.make_stamp)
            except (StoreFailed, OSError):
                continue
            except GittrackError as error:
                self._report(error)
                continue
            if commit is not None:
                found.append(self.collection.load_commit(commit))
        self.recovered += found
        return found

    def _report(self, error: GittrackError) -> None:
        if all(error.message != known.message for known in self.damaged):
            self.damaged.append(error)

    def _show_progress(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _edit_journal(self, run_id: str, changed: Run, tags: Mapping[str, str | None]) -> bool:
        """Write a change into the journal of a run that a process still holds; tell whether there is such a journal.

        A dead process's journal is committed first, so that the change comes after what it says.
        """
        directory = layout.journal_directory(self.repository.common_directory, run_id)
        if not directory.exists():
            return False
        if not is_live(directory):
            self.recover()
            return False
        try:
            journal = JournalWriter.join(self.repository, run_id)
        except NotFound:
            return False
        try:
            journal.append(attributes_event(name=changed.name, note=changed.note, removed=changed.removed))
            if tags:
                journal.append(tags_event(tags))
        finally:
            journal.close()
        if not is_live(directory):
            self.recover()
        return True

    def _write_revision(self, found: StoredRun, changed: Run, now: int) -> None:
        commit = self.store.get_commit(found.commit or "")
        changed = replace(changed, revision=found.revision + 1)
        source = self.store.find_entry(commit.tree, layout.SOURCE_DIRECTORY)
        staged = stage_snapshot(
            self.store,
            replace(found.snapshot, run=changed),
            parts=self.history.find_parts(commit),
            source=None if source is None else source.id,
            previous=(commit.tree,),
        )
        append_run(self.history, staged, self.make_stamp(now))

    def push_later(self, experiment: str) -> None:
        """Let an experiment be pushed in the background, if that is set; takes milliseconds and never fails."""
        if self.settings.auto_push:
            from .sync.errand import request_push

            directory = (self.code or self.repository).directory
            request_push(self.repository, experiment, directory=directory, remote=self.settings.remote)

    def pack(self) -> None:
        """Let git pack the store's loose objects in the background, if by the user's own settings there are too many.

        Each run leaves about seven. Does nothing where git is not installed or `gc.auto` is 0, and never fails.
        """
        limit = read_config(self.repository).find_int("gc.auto")
        limit = _GC_LIMIT if limit is None else limit
        try:
            # As git itself does: one of the 256 directories stands for all.
            crowded = len(os.listdir(self.repository.objects_directory / "17")) > -(-limit // 256)
            if limit > 0 and crowded and find_git() is not None:
                Git(self.repository.git_directory).run("-c", "gc.autoDetach=true", "gc", "--auto", "--quiet")
        except (OSError, GittrackError):
            return

    def make_stamp(self, now: int) -> Stamp:
        """Return who commits, as the user's Git is set up, at `now` (UTC microseconds)."""
        if self._identity is None:
            self._identity = read_identity(self.code or self.repository)
        return Stamp(self._identity, now)


def _change_removed(known: int | None, removed: bool | None, now: int) -> int | None:
    if removed is None:
        return known
    return (known or now) if removed else None

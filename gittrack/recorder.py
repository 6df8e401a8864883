"""Starts, joins, resumes and ends runs, and owns which run is active in a thread, a process and its children.

Hooks process exit, SIGTERM and fork, so that no run is left RUNNING. Knows nothing of what is recorded in a run.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import uuid
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import time_ns
from types import FrameType
from typing import TYPE_CHECKING

from . import layout
from .draft import artifact_event, environment_event, params_event, start_event
from .environment import capture_environment
from .errors import Conflict, NotFound, StoreFailed, Unsupported
from .git import find_git
from .journal import JournalWriter, has_dead_journals, is_live
from .model import Run, Snapshot, SourceLink, Status
from .names import make_name
from .params import flatten_params
from .recording import ActiveRun, TrackingWarning
from .repository import Repository, find_repository, get_repository
from .scrub import Scrubber
from .settings import Settings, load_settings
from .source import begin_capture
from .store import Ident, read_identity

if TYPE_CHECKING:
    from .tracker import Tracker

_active: ContextVar[tuple[ActiveRun, ...]] = ContextVar("gittrack_active_runs", default=())
_open: list[ActiveRun] = []
_everyone: weakref.WeakSet[ActiveRun] = weakref.WeakSet()
_joined: set[str] = set()
_trackers: dict[tuple[object, ...], Tracker] = {}
_tracker_lock = threading.Lock()
_hooked = False
_hook_lock = threading.Lock()


@dataclass(frozen=True)
class Place:
    """Where a run is recorded: the repository of the code (if any), the one that holds the runs, and the settings."""

    directory: Path
    code: Repository | None
    repository: Repository
    settings: Settings

    @cached_property
    def identity(self) -> Ident:
        """Who records, as the user's Git is set up."""
        return read_identity(self.code or self.repository)

    @contextmanager
    def open_tracker(self) -> Iterator[Tracker]:
        """Lend out this process's tracker for the store; journals of dead processes are left as they are.

        It stays open for the next run: a sweep in one process would open the same packs again and again.
        """
        from .tracker import Tracker

        key = (self.repository.common_directory, self.settings.namespace, self.code, self.identity)
        with _tracker_lock:
            tracker = _trackers.get(key)
            if tracker is None:
                _close_trackers()
                tracker = _trackers[key] = Tracker(
                    self.repository, self.settings, code=self.code, identity=self.identity
                )
        yield tracker


def _close_trackers() -> None:
    for tracker in _trackers.values():
        tracker.close()
    _trackers.clear()


def find_place(store: str | Path | None = None) -> Place:
    """Return where a run started here and now is recorded; raises NotFound outside of any repository."""
    directory = Path.cwd()
    code = find_repository(directory)
    settings = load_settings(code, environ=os.environ, directory=directory)
    chosen = settings.store if store is None else directory / Path(store).expanduser()
    return Place(directory, code, get_repository(chosen or directory), settings)


def start_run(
    experiment: str | None = None,
    *,
    name: str | None = None,
    params: object = None,
    tags: Mapping[str, object] | None = None,
    note: str | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    nested: bool = False,
    store: str | Path | None = None,
    command: Sequence[str] | None = None,
) -> ActiveRun:
    """Start recording a run and make it the active one; use it in a `with` statement, or call `end_run`.

    `experiment` is created where it is new (default: the settings', else `default`). `run_id` resumes a recorded run
    as its next revision, or joins it where another process is recording it. `nested` starts a run under the active
    one; `parent` names another run as the parent. In a child of `gittrack run`, the first call joins that run.
    `command` is recorded in place of this process's own command line.

    Raises NotFound outside of any repository or for an unknown `run_id` or `parent`, Conflict where a run is active
    and `nested` is not set, InvalidInput for bad names and values. Where the store cannot be written, this warns, and
    what the run is given is dropped: training goes on.
    """
    current = active_run()
    if current is not None and not nested:
        raise Conflict(f"run {current.name} is still active", hint="gittrack.end_run()  # or start_run(…, nested=True)")
    place = find_place(store)
    first_params = flatten_params(params) if params is not None else {}
    if name is not None:
        layout.check_key(name, kind="run")
    wanted = run_id
    if wanted is None and place.settings.run_id:
        if place.settings.run_id not in _joined:
            wanted = place.settings.run_id
        elif parent is None and current is None:
            parent = place.settings.run_id
    scrubber = Scrubber(os.environ)
    try:
        run = _open_run(
            place,
            scrubber,
            experiment=experiment,
            name=name,
            wanted=wanted,
            required=run_id is not None,
            parent=current.id if parent is None and current is not None else parent,
            command=command,
        )
    except (OSError, StoreFailed) as error:
        warnings.warn(
            f"gittrack could not start a run: {error}. Training goes on, and nothing of it is recorded.",
            TrackingWarning,
            stacklevel=2,
        )
        run = _make_untracked(place, scrubber, experiment=experiment, name=name)
    _activate(run)
    if first_params:
        run.log_params(first_params)
    if tags:
        run.set_tags(tags)
    if note is not None:
        run.set_note(note)
    return run


def join_run(run_id: str, *, store: str | Path | None = None) -> ActiveRun:
    """Join a run that another process is recording; ending it here only leaves it.

    The run is not made the active one. Raises NotFound where no process records such a run.
    """
    place = find_place(store)
    return _join(place, run_id, Scrubber(os.environ))


def active_run() -> ActiveRun | None:
    """Return the run that module-level functions act on.

    That is the innermost run started in this thread or context and not ended; in a thread that started none, the
    process's innermost open run.
    """
    for run in reversed(_active.get()):
        if not run.ended:
            return run
    return _open[-1] if _open else None


def get_active_run() -> ActiveRun:
    """Return the active run; raises Conflict where there is none."""
    run = active_run()
    if run is None:
        raise Conflict("no run is active", hint="with gittrack.start_run() as run: …")
    return run


def end_run(status: str | Status = Status.FINISHED) -> None:
    """End the active run, if there is one, as `ActiveRun.end` does."""
    run = active_run()
    if run is not None:
        run.end(status)


def _open_run(
    place: Place,
    scrubber: Scrubber,
    *,
    experiment: str | None,
    name: str | None,
    wanted: str | None,
    required: bool,
    parent: str | None,
    command: Sequence[str] | None,
) -> ActiveRun:
    common = place.repository.common_directory
    if has_dead_journals(common):
        with place.open_tracker() as tracker:
            tracker.recover()
    if wanted is not None:
        if layout.is_run_id(wanted) and is_live(layout.journal_directory(common, wanted)):
            _joined.add(wanted)
            return _join_as_program(place, wanted, scrubber)
        with place.open_tracker() as tracker:
            try:
                found = tracker.get_run(wanted)
            except NotFound:
                if required or not layout.is_run_id(wanted):
                    raise
            else:
                if found.live:
                    return _join(place, found.id, scrubber)
                resumed = replace(
                    found.snapshot.run, status=Status.RUNNING, ended=None, failure=None, exit_code=None, removed=None
                )
                return _record(place, scrubber, resumed, command=command, base=found.snapshot, commit=found.commit)
    run_id = wanted or uuid.uuid4().hex
    display = experiment or place.settings.experiment
    run = Run(
        id=run_id,
        name=name or make_name(run_id),
        experiment=layout.make_slug(layout.check_key(display, kind="experiment")),
        revision=1,
        status=Status.RUNNING,
        started=time_ns() // 1000,
        parent=None if parent is None else _resolve_parent(place, parent),
    )
    return _record(place, scrubber, run, command=command, experiment_name=display)


def _record(
    place: Place,
    scrubber: Scrubber,
    run: Run,
    *,
    command: Sequence[str] | None,
    experiment_name: str = "",
    base: Snapshot | None = None,
    commit: str | None = None,
) -> ActiveRun:
    """Open a run's journal. The source is captured meanwhile, in git's own process."""
    capture = begin_capture(place.code, place.directory, settings=place.settings, scrubber=scrubber)
    try:
        environment = capture_environment()
        words = scrubber.argv(own_command() if command is None else command)
        run = replace(run, user=place.identity.name, host=socket.gethostname(), command=words)
    except BaseException:
        capture.cancel()
        raise
    run = replace(run, source=capture.finish())
    problem = capture.problem if find_git() is not None else None
    try:
        run = replace(run, source=_complete_source(place, run.source))
    except Unsupported as error:
        problem, run = error, replace(run, source=replace(run.source, captured="none", tree=None))
    if problem is not None:
        reason = f"the working tree could not be captured: {problem}"
        warnings.warn(f"gittrack: {reason}", TrackingWarning, stacklevel=4)
        run = replace(run, incomplete=reason)
    events = [start_event(run, experiment_name=experiment_name, environment=environment, base=commit)]
    if base is not None:
        events += [params_event(base.params)] if base.params else []
        events += [artifact_event(path, pointer) for path, pointer in base.artifacts.items()]
    journal = JournalWriter.create(place.repository, run.id, events)
    if run.source.tree is not None:
        # The journal comes first: whoever finds it, should this process die here, removes the ref as well.
        with place.open_tracker() as tracker:
            tracker.protect_source(run.id, run.source.tree)
    return _make_active(place, scrubber, journal, owner=True)


def _complete_source(place: Place, source: SourceLink) -> SourceLink:
    """Return the link with its tree, all of it in the store, unless it is that of a commit in the same repository.

    Such a tree needs nothing: the commit holds it, and names it when the run is committed.
    """
    separate = place.code is not None and place.code.common_directory != place.repository.common_directory
    if source.captured == "none" or not (source.dirty or separate):
        return source
    with place.open_tracker() as tracker:
        return tracker.resolve_source(source)


def own_command() -> tuple[str, ...]:
    """Return this process's command line, the interpreter by its bare name; empty where there is no script."""
    main = sys.modules.get("__main__")
    words = list(getattr(sys, "orig_argv", [sys.executable, *sys.argv]))
    if not words or (getattr(main, "__file__", None) is None and "-c" not in words):
        return ()
    return (Path(words[0]).name, *words[1:])


def _resolve_parent(place: Place, parent: str) -> str:
    if layout.is_run_id(parent):
        return parent
    with place.open_tracker() as tracker:
        return tracker.get_run(parent).id


def _join(place: Place, run_id: str, scrubber: Scrubber) -> ActiveRun:
    return _make_active(place, scrubber, JournalWriter.join(place.repository, run_id), owner=False)


def _join_as_program(place: Place, run_id: str, scrubber: Scrubber) -> ActiveRun:
    """Join a run as the program it is about: what the program runs on is what counts, not what its wrapper does."""
    journal = JournalWriter.join(place.repository, run_id)
    environment = capture_environment()
    if journal.draft.environment != environment:
        journal.append(environment_event(environment))
    return _make_active(place, scrubber, journal, owner=False)


def _make_active(place: Place, scrubber: Scrubber, journal: JournalWriter, *, owner: bool) -> ActiveRun:
    run = journal.draft.run
    return ActiveRun(
        journal,
        run_id=run.id,
        name=run.name,
        experiment=run.experiment,
        owner=owner,
        scrubber=scrubber,
        open_tracker=place.open_tracker,
        on_end=_deactivate,
    )


def _make_untracked(place: Place, scrubber: Scrubber, *, experiment: str | None, name: str | None) -> ActiveRun:
    run_id = uuid.uuid4().hex
    return ActiveRun(
        None,
        run_id=run_id,
        name=name or make_name(run_id),
        experiment=layout.make_slug(experiment or place.settings.experiment),
        owner=True,
        scrubber=scrubber,
        open_tracker=place.open_tracker,
        on_end=_deactivate,
    )


def _activate(run: ActiveRun) -> None:
    _install_hooks()
    _everyone.add(run)
    _open.append(run)
    _active.set((*_active.get(), run))


def _deactivate(run: ActiveRun) -> None:
    if run in _open:
        _open.remove(run)
    _active.set(tuple(other for other in _active.get() if other is not run))


def _install_hooks() -> None:
    global _hooked
    with _hook_lock:
        if _hooked:
            return
        _hooked = True
        atexit.register(_end_at_exit)
        os.register_at_fork(after_in_child=_forget_in_child)
        main_thread = threading.current_thread() is threading.main_thread()
        # Somebody else's handler is theirs to keep; without one, SIGTERM would end the process with no clean-up at all.
        if main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    for run in _open:
        run.terminated = True
    raise SystemExit(128 + number)


def _end_at_exit() -> None:
    """End what is still open when the interpreter exits: KILLED or FAILED where an exception is on its way out."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for run in reversed(list(_open)):
        if run.terminated or isinstance(error, KeyboardInterrupt):
            run.end(Status.KILLED)
        elif isinstance(error, BaseException):
            run.fail(error)
            run.end(Status.FAILED)
        else:
            run.end(Status.FINISHED)
    _close_trackers()


def _forget_in_child() -> None:
    """In a forked child, the parent's runs are joined: the child may log into them, and ends none of them."""
    global _tracker_lock
    _tracker_lock = threading.Lock()
    _trackers.clear()  # the parent's: whatever locks they held would stay locked here for ever
    for run in list(_everyone):
        run.after_fork()

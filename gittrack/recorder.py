"""Starts, joins, resumes and ends runs, and owns which run is active in a thread, a process and its children.

Hooks process exit, SIGTERM and fork, so that no run is left RUNNING. Knows nothing of what is recorded in a run.
"""

from __future__ import annotations

import atexit
import errno
import os
import random
import signal
import socket
import sys
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns
from types import FrameType

from . import layout
from .draft import Event, describe_base, environment_event, start_event
from .environment import capture_environment
from .errors import Conflict, InvalidInput, NotFound, StoreFailed, Unsupported
from .git import find_git
from .journal import JournalWriter, has_dead_journals, is_live
from .labels import check_note, make_tags
from .model import Run, Snapshot, SourceLink, Status
from .names import make_name
from .params import flatten_params
from .place import Place, choose_place, close_trackers, find_code, find_place, forget_trackers
from .recording import ActiveRun, TrackingWarning
from .scrub import Scrubber
from .settings import RUN_ID_VARIABLE
from .source import Capture

_active: ContextVar[tuple[ActiveRun, ...]] = ContextVar("gittrack_active_runs", default=())
_open: list[ActiveRun] = []
_everyone: weakref.WeakSet[ActiveRun] = weakref.WeakSet()
_joined: set[str] = set()
# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_OPEN_ATTEMPTS = 60
_hooked = False
_hook_lock = threading.Lock()


def _forgive(error: InvalidInput) -> None:
    warnings.warn(f"{error.message}. Training goes on without this setting.", TrackingWarning, stacklevel=5)


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
    reproduces: str | None = None,
    source: SourceLink | None = None,
) -> ActiveRun:
    """Start recording a run and make it the active one; use it in a `with` statement, or call `end_run`.

    `experiment` is created where it is new (default: the settings', else `default`). `run_id` resumes a recorded run
    as its next revision, or joins it where another process is recording it. `nested` starts a run under the active
    one; `parent` names another run as the parent. In a child of `gittrack run`, the first call joins that run.
    `command` is recorded in place of this process's own command line. `reproduces` is the id of a run that this one
    repeats; `source` is recorded in place of the code here, and its tree must be in the store.

    Raises NotFound outside of any repository or for an unknown `run_id` or `parent`, Conflict where a run is active
    and `nested` is not set, InvalidInput for bad names and values. Where the store cannot be written, this warns, and
    what the run is given is dropped: training goes on.
    """
    own = [run for run in _active.get() if not run.ended]
    current = own[-1] if own else active_run() if nested else None
    if own and not nested:
        raise Conflict(f"run {own[-1].name} is still active", hint="gittrack.end_run()  # or start_run(…, nested=True)")
    first_params = flatten_params(params) if params is not None else {}
    first_tags = make_tags(tags) if tags is not None else {}
    if name is not None:
        layout.check_run_name(name)
    if note is not None:
        check_note(note)
    wanted = None if run_id is None else str(getattr(run_id, "hex", run_id))
    parent = None if parent is None else str(getattr(parent, "id", getattr(parent, "hex", parent)))
    directory, code = find_code()
    with Capture(code if source is None else None, directory) as capture:
        if wanted is None and RUN_ID_VARIABLE not in os.environ:
            capture.begin()  # git looks through the working tree while all else is found out
        place = choose_place(directory, code, store=store, forgive=_forgive)
        start = _Start(place, Scrubber(os.environ), capture, command, reproduces, source)
        outer = start.place.settings.run_id
        if wanted is None and outer and current is None:
            if outer not in _joined:
                wanted = outer
            elif parent is None:
                parent = outer
        if parent is None and current is not None:
            parent = current.id
        try:
            run = _open_run(
                start, experiment=experiment, name=name, wanted=wanted, required=run_id is not None, parent=parent
            )
        except (OSError, StoreFailed) as error:
            warnings.warn(
                f"gittrack could not start a run: {error}. Training goes on, and nothing of it is recorded.",
                TrackingWarning,
                stacklevel=2,
            )
            run = _make_untracked(start, experiment=experiment, name=name)
    if run_id is None and wanted is not None:
        _joined.add(wanted)
    _activate(run)
    try:
        if first_params:
            run.log_params(first_params)
        if first_tags:
            run.set_tags(first_tags)
        if note is not None:
            run.set_note(note)
    except BaseException:
        run.discard()
        raise
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


@dataclass(frozen=True)
class _Start:
    """What a run starts with: where it is recorded, the scrubber, its code, and the command to name (None: ours).

    Of a run that repeats another, `reproduces` is that one, and `source` the code that is known already.
    """

    place: Place
    scrubber: Scrubber
    capture: Capture
    command: Sequence[str] | None
    reproduces: str | None = None
    source: SourceLink | None = None


def _open_run(
    start: _Start,
    *,
    experiment: str | None,
    name: str | None,
    wanted: str | None,
    required: bool,
    parent: str | None,
) -> ActiveRun:
    place = start.place
    common = place.repository.common_directory
    if has_dead_journals(common):
        with place.open_tracker() as tracker:
            tracker.recover()
    if wanted is not None:
        for attempt in range(_OPEN_ATTEMPTS):
            try:
                reopened = _reopen_run(start, wanted, required=required)
            except _Overtaken:  # another process resumed or ended the run meanwhile: look again
                time.sleep(_chance.uniform(0, 0.02 * (attempt + 1)))
                continue
            if reopened is not None:
                return reopened
            break
        else:
            raise Conflict(f"run {wanted} is being ended and resumed by other processes", hint="gittrack ls")
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
        reproduces=start.reproduces,
    )
    return _record(start, run, experiment_name=display)


class _Overtaken(Exception):
    """What was read of a run was no longer so when it was to be resumed."""


def _reopen_run(start: _Start, wanted: str, *, required: bool) -> ActiveRun | None:
    """Join the run where a process records it, else resume it; None where there is none and none is required."""
    place, scrubber = start.place, start.scrubber
    common = place.repository.common_directory
    if layout.is_run_id(wanted) and is_live(layout.journal_directory(common, wanted)):
        return _join_as_program(place, wanted, scrubber, ended=not required)
    with place.open_tracker() as tracker:
        try:
            found = tracker.get_run(wanted)
        except NotFound:
            if required or not layout.is_run_id(wanted):
                raise
            return None
        if is_live(layout.journal_directory(common, found.id)):
            return _join_as_program(place, found.id, scrubber, ended=not required)
        resumed = replace(
            found.snapshot.run, status=Status.RUNNING, ended=None, failure=None, exit_code=None, removed=None
        )
        try:
            run = _record(start, resumed, base=found.snapshot, commit=found.commit)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise _Overtaken from None
            raise
        # With the journal in place nobody else resumes it; but somebody may have, between the look and now.
        revisions = tracker.history.list_run_revisions(resumed.experiment, resumed.id)
        if revisions and revisions[0].commit.id != found.commit:
            snapshot = tracker.history.load_snapshot(revisions[0].commit)
            run.continue_from(revisions[0].commit.id, snapshot)
        return run


def _record(
    start: _Start, run: Run, *, experiment_name: str = "", base: Snapshot | None = None, commit: str | None = None
) -> ActiveRun:
    """Open a run's journal."""
    place, scrubber, capture = start.place, start.scrubber, start.capture
    capture.begin()
    environment = capture_environment()
    words = scrubber.argv(own_command() if start.command is None else start.command)
    run = replace(run, user=place.identity.name, host=socket.gethostname(), command=words)

    def make_events() -> list[Event]:
        nonlocal run
        run = _describe_source(start, run)
        events = [start_event(run, experiment_name=experiment_name, environment=environment, base=commit)]
        return events if base is None else events + describe_base(base)

    journal = JournalWriter.create(place.repository, run.id, make_events)
    if run.source.tree is not None:
        # The journal comes first: whoever finds it, should this process die here, removes the ref as well.
        with place.open_tracker() as tracker:
            tracker.protect_source(run.id, run.source.tree)
    return _make_active(place, scrubber, journal, owner=True)


def _describe_source(start: _Start, run: Run) -> Run:
    """Return the run with the link to its code; where that cannot be captured, warn, and have the run say so."""
    if start.source is not None:
        return replace(run, source=start.source)
    capture = start.capture
    run = replace(run, source=capture.finish(settings=start.place.settings, scrubber=start.scrubber))
    problem = capture.problem if find_git() is not None else None
    try:
        run = replace(run, source=_complete_source(start.place, run.source))
    except Unsupported as error:
        problem, run = error, replace(run, source=replace(run.source, captured="none", tree=None))
    if problem is None:
        return run
    reason = f"the working tree could not be captured: {problem}"
    warnings.warn(f"gittrack: {reason}", TrackingWarning, stacklevel=7)
    return replace(run, incomplete=reason)


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


def _join_as_program(place: Place, run_id: str, scrubber: Scrubber, *, ended: bool) -> ActiveRun:
    """Join a run as the program it is about: what the program runs on is what counts, not what its wrapper does.

    A run that has ended, and that a process has not left yet, is joined only with `ended`: it cannot be resumed.
    """
    try:
        journal = JournalWriter.join(place.repository, run_id)
    except NotFound:
        raise _Overtaken from None
    if journal.draft.ended and not ended:
        journal.close()
        raise _Overtaken
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


def _make_untracked(start: _Start, *, experiment: str | None, name: str | None) -> ActiveRun:
    place = start.place
    run_id = uuid.uuid4().hex
    return ActiveRun(
        None,
        run_id=run_id,
        name=name or make_name(run_id),
        experiment=layout.make_slug(experiment or place.settings.experiment),
        owner=True,
        scrubber=start.scrubber,
        open_tracker=place.open_tracker,
        on_end=_deactivate,
    )


def _activate(run: ActiveRun) -> None:
    _install_hooks()
    run.error_at_start = _find_last_error()
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
    error = _find_last_error()
    for run in reversed(list(_open)):
        if run.terminated or (isinstance(error, KeyboardInterrupt) and error is not run.error_at_start):
            run.end(Status.KILLED)
        elif isinstance(error, BaseException) and error is not run.error_at_start:
            run.fail(error)
            run.end(Status.FAILED)
        else:
            run.end(Status.FINISHED)
    close_trackers()


def _find_last_error() -> object:
    """Return the exception that reached the top of the interpreter last, if any."""
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def _forget_in_child() -> None:
    """In a forked child, the parent's runs are joined: the child may log into them, and ends none of them."""
    forget_trackers()
    for run in list(_everyone):
        run.after_fork()

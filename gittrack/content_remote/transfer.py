"""Owns many transfers at once: batches, threads, attempts after a failure, progress, and the end when somebody stops.

Knows nothing of what a remote is made of, and of who needs the content.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

from ..content import ContentStore
from ..errors import Corrupt, GittrackError, StoreFailed
from ..model import Pointer
from .incoming import receive
from .remote import Advance, ContentFailed, ContentRemote, RemoteUnusable

WORKERS = 8
_BATCH = 100
# So many attempts in a row that bring nothing, and a remote that asks for a longer pause than this, are failures.
_ATTEMPTS = 5
_LONGEST_PAUSE = 120.0
_CHANCE = random.SystemRandom()

_T = TypeVar("_T")


@dataclass(frozen=True)
class Progress:
    """How far transfers are. The totals fall when it turns out that content need not be moved."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


@dataclass(frozen=True)
class Failed:
    """A content that could not be moved, and why."""

    pointer: Pointer
    error: GittrackError


@dataclass(frozen=True)
class Transferred:
    """What became of every content that was asked for, each once.

    `moved` was sent, or fetched. `there` is where it should go already. `missing` is not where it should come from.
    """

    moved: tuple[Pointer, ...] = ()
    there: tuple[Pointer, ...] = ()
    missing: tuple[Pointer, ...] = ()
    failed: tuple[Failed, ...] = ()


Report = Callable[[Progress], None]


def send_content(
    remote: ContentRemote,
    content: ContentStore,
    pointers: Iterable[Pointer],
    *,
    report: Report,
    workers: int = WORKERS,
    pause: float = 0.5,
) -> Transferred:
    """Send the remote what it lacks of some content, and say what became of each.

    Up to `workers` are under way at once. A failure that may pass is repeated after `pause` seconds, and longer each
    time. `report` is called from several threads, never from two at once. Safe to repeat, after any failure or stop.
    Raises RemoteUnusable, and ContentFailed where the remote cannot even be asked what it has; what is whole there by
    then stays. Any exception, Ctrl-C among them, ends all transfers first.
    """

    def send(pointer: Pointer, transfers: _Transfers) -> _Outcome:
        file = content.find(pointer)
        if file is None:
            return "missing"
        remote.upload(pointer, file, advance=transfers.count(pointer))
        return "moved"

    with _Transfers(pointers, report, workers, pause) as transfers:
        transfers.settle("there", [pointer for pointer in transfers.wanted if not pointer.size])
        for batch in transfers.batches():
            lacking = transfers.persist(lambda b=batch: remote.prepare_uploads(b))  # type: ignore[misc]
            transfers.settle("there", set(batch).difference(lacking))
            transfers.start(send, lacking)
    return transfers.result()


def fetch_content(
    remote: ContentRemote,
    content: ContentStore,
    pointers: Iterable[Pointer],
    *,
    report: Report,
    workers: int = WORKERS,
    pause: float = 0.5,
) -> Transferred:
    """Fetch from the remote what is not here of some content, verified, and say what became of each.

    As `send_content`; what was begun is gone on with, also by the next process. Raises StoreFailed too, where content
    cannot be kept on this machine.
    """

    def fetch(pointer: Pointer, transfers: _Transfers) -> _Outcome:
        begun = 0
        try:
            with receive(content, pointer, wait=transfers.wait) as sink:
                if sink is None:
                    return "there"
                begun = sink.start
                advance = transfers.count(pointer)
                advance(begun)
                if begun < pointer.size:
                    remote.download(pointer, sink, advance=advance)
        except Corrupt as error:
            if begun:  # it may be the bytes that were here before, as after a power cut
                raise ContentFailed(error.message, retry_after=0) from error
            raise Corrupt(f"{remote.name}: {error.message}", hint=error.hint) from error
        return "moved"

    with _Transfers(pointers, report, workers, pause) as transfers:
        transfers.settle("there", [pointer for pointer in transfers.wanted if content.find(pointer) is not None])
        for batch in transfers.batches():
            present = transfers.persist(lambda b=batch: remote.prepare_downloads(b))  # type: ignore[misc]
            transfers.settle("missing", set(batch).difference(present))
            transfers.start(fetch, present)
    return transfers.result()


_Outcome = Literal["moved", "there", "missing"]


class _Stopped(Exception):
    """Somebody stopped all transfers, while this one was under way."""


class _Transfers:
    """The transfers of one call: a context manager that has ended them all, one way or the other, when it is left."""

    def __init__(self, pointers: Iterable[Pointer], report: Report, workers: int, pause: float) -> None:
        self.wanted = list(dict.fromkeys(pointers))
        self._outcomes: dict[Pointer, _Outcome | Failed] = {}
        self._report = report
        self._workers = workers
        self._pause = pause
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gittrack-content")
        self._pending: set[Future[None]] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._files = 0
        self._bytes = 0
        self._files_total = len(self.wanted)
        self._bytes_total = sum(pointer.size for pointer in self.wanted)
        self._moved: dict[Pointer, int] = {}

    def __enter__(self) -> _Transfers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self._finish(at_most=0)
            else:
                self._stop.set()
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, _Stopped):  # by a transfer, while something else was waited for
            self._finish(at_most=0)

    def batches(self) -> Iterator[list[Pointer]]:
        """Yield what nothing is known of yet, in pieces; not much faster than it is moved, so that answers stay new."""
        rest = iter([pointer for pointer in self.wanted if pointer not in self._outcomes])
        while batch := list(islice(rest, _BATCH)):
            yield batch
            self._finish(at_most=2 * self._workers)

    def settle(self, outcome: _Outcome, pointers: Iterable[Pointer]) -> None:
        """Say of some content that it will not be moved."""
        with self._lock:
            for pointer in pointers:
                self._outcomes[pointer] = outcome
                self._files_total -= 1
                self._bytes_total -= pointer.size
            self._tell()

    def start(self, move: Callable[[Pointer, _Transfers], _Outcome], pointers: Iterable[Pointer]) -> None:
        """Move some content, each in a thread as soon as there is one."""
        self._pending.update(self._pool.submit(self._run, move, pointer) for pointer in pointers)

    def persist(self, act: Callable[[], _T], *, find_moved: Callable[[], int] = lambda: 0) -> _T:
        """Do what may fail for a while, again and again; an attempt that got further than any before starts anew."""
        failures, furthest = 0, 0
        while True:
            try:
                return act()
            except RemoteUnusable:
                raise
            except ContentFailed as error:
                furthest, before = max(furthest, find_moved()), furthest
                failures = 1 if furthest > before else failures + 1
                asked = error.retry_after
                if asked is None or asked > _LONGEST_PAUSE or failures >= _ATTEMPTS:
                    raise
                own = min(self._pause * 2 ** (failures - 1), _LONGEST_PAUSE)
                self.wait(asked + own * _CHANCE.uniform(0.5, 1.5))

    def wait(self, seconds: float) -> None:
        """Wait, unless all is stopped."""
        if self._stop.wait(seconds):
            raise _Stopped

    def count(self, pointer: Pointer) -> Advance:
        """Return what counts the bytes of one attempt; it raises when all is stopped."""
        self._count(pointer, -self._moved.get(pointer, 0))

        def advance(size: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            self._count(pointer, size)

        return advance

    def result(self) -> Transferred:
        """Return what became of everything, in the order it was asked for."""
        of = {outcome: [p for p in self.wanted if self._outcomes[p] == outcome] for outcome in ("moved", "there")}
        missing = tuple(pointer for pointer in self.wanted if self._outcomes[pointer] == "missing")
        failed = tuple(outcome for p in self.wanted if isinstance(outcome := self._outcomes[p], Failed))
        return Transferred(tuple(of["moved"]), tuple(of["there"]), missing, failed)

    def _run(self, move: Callable[[Pointer, _Transfers], _Outcome], pointer: Pointer) -> None:
        """Move one content; raises what ends all transfers."""
        if self._stop.is_set():
            return
        try:
            outcome = self.persist(lambda: move(pointer, self), find_moved=lambda: self._moved.get(pointer, 0))
        except _Stopped:
            return
        except (RemoteUnusable, StoreFailed):
            self._stop.set()
            raise
        except GittrackError as error:
            self._settle_failed(Failed(pointer, error))
            return
        except BaseException:
            self._stop.set()
            raise
        if outcome != "moved":
            self._count(pointer, -self._moved.get(pointer, 0))
            self.settle(outcome, [pointer])
            return
        with self._lock:
            self._outcomes[pointer] = outcome
            self._files += 1
            self._bytes += pointer.size - self._moved.get(pointer, 0)
            self._moved.pop(pointer, None)
            self._tell()

    def _settle_failed(self, failed: Failed) -> None:
        with self._lock:
            self._outcomes[failed.pointer] = failed
            self._bytes -= self._moved.pop(failed.pointer, 0)
            self._tell()

    def _count(self, pointer: Pointer, size: int) -> None:
        with self._lock:
            self._moved[pointer] = self._moved.get(pointer, 0) + size
            self._bytes += size
            if size:
                self._tell()

    def _tell(self) -> None:
        self._report(Progress(self._files, self._files_total, self._bytes, self._bytes_total))

    def _finish(self, *, at_most: int) -> None:
        """Wait until only so many transfers are left; raises what ended one."""
        while len(self._pending) > at_most:
            done, self._pending = wait(self._pending, return_when=FIRST_COMPLETED)
            for future in done:
                if not future.cancelled():
                    future.result()

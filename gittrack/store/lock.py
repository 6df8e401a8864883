"""Owns the one lock under which branches of a store move: on a file, advisory, free again when its process dies."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
import time
from pathlib import Path
from types import TracebackType

from ..errors import StoreFailed
from .disk import make_directories

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_LONGEST_WAIT = 60.0
_LONGEST_PAUSE = 0.02


class StoreLock:
    """The lock, as a context manager; one thread may enter it again while it holds it.

    Held against other processes and other threads alike. Raises StoreFailed where it cannot be had within a minute or
    its file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0
        self._descriptor = -1

    def __enter__(self) -> StoreLock:
        if not self._threads.acquire(timeout=_LONGEST_WAIT):
            raise self._fail("another thread has held it for a minute")
        try:
            if self._depth == 0:
                self._descriptor = self._acquire()
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            # Not just closed: a child forked meanwhile has a copy of the descriptor, and would hold on to the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
        self._threads.release()

    def _acquire(self) -> int:
        try:
            make_directories(self._path.parent)
            descriptor = _open(self._path)
        except OSError as error:
            raise self._fail(error.strerror or str(error)) from error
        try:
            self._wait(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + _LONGEST_WAIT
        pause = 0.0005
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                    raise self._fail(error.strerror or str(error)) from error
            if time.monotonic() > deadline:
                raise self._fail("another process has held it for a minute")
            time.sleep(_chance.uniform(0, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _fail(self, reason: str) -> StoreFailed:
        return StoreFailed(f"the store's lock {self._path} cannot be had: {reason}")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)  # made by somebody else who shares the repository: enough to lock it

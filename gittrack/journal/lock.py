"""Owns the lock that tells a live run from a dead one, and the waiting for locks of the journal's files.

Knows nothing of what the locks protect. All are `flock` locks: they belong to an open file, not to a process, so they
end with the last descriptor of that open file, however its processes end; nobody has to guess from process ids.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ..errors import StoreFailed

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_FIRST_PAUSE = 0.001
_LAST_PAUSE = 0.05
_PATIENCE = 10.0
_GATE_PATIENCE = 1.0

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()


def wait_for_flock(file: int, operation: int, *, timeout: float) -> bool:
    """Lock an open file (`fcntl.LOCK_SH` or `LOCK_EX`); return False where others held it for timeout seconds.

    With a timeout of 0 it tries once. Raises OSError where the file system has no such locks.
    """
    deadline = None
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            now = time.monotonic()
            deadline = now + timeout if deadline is None else deadline
            if now >= deadline:
                return False
            time.sleep(min(deadline - now, pause * _chance.uniform(0.5, 1)))
            pause = min(2 * pause, _LAST_PAUSE)


class RunLock:
    """A process's hold on the lock of one journal: shared while it records, exclusive while it commits or recovers.

    Two files stand behind it: the lock itself, and beside it a gate, which whoever asks for the exclusive lock holds
    while asking, so that they do not take each other for live runs, nor take the lock while `try_upgrade` is between
    its two states. Both are opened at once, so the directory may be renamed under a held lock. A forked child has the
    same open files as its parent and must call `abandon`: closing its copies leaves the parent's lock as it is, but
    unlocking would take it away, and keeping them open would hold it beyond the parent's death.
    """

    def __init__(self, file: int, gate: int, *, exclusive: bool) -> None:
        """Take over two open files, the first of them locked; use `hold_shared` or `try_exclusive` instead."""
        self._file = file
        self._gate = gate
        self._owner = os.getpid()
        self._exclusive = exclusive

    @classmethod
    def hold_shared(cls, path: Path, *, timeout: float = _PATIENCE) -> RunLock:
        """Hold the lock along with every other recording process; the file is created where it is missing.

        Waits up to timeout seconds for a process that commits or recovers the run. Raises FileNotFoundError where the
        directory is missing, or was deleted meanwhile; StoreFailed where the wait was in vain or the file cannot be
        locked.
        """
        try:
            lock = _take(path, fcntl.LOCK_SH, os.O_CREAT, timeout=timeout)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refusal(path, error) from error
        if lock is None:
            raise StoreFailed(f"another process is committing the run whose lock is {path}, for over {timeout:g} s now")
        return lock

    @classmethod
    def try_exclusive(cls, path: Path) -> RunLock | None:
        """Hold the lock alone, or return None where somebody holds it, or where the directory is gone or not ours.

        Raises StoreFailed where the file system cannot lock.
        """
        try:
            lock = _take(path, fcntl.LOCK_EX, os.O_CREAT, timeout=0)
        except (FileNotFoundError, PermissionError):
            return None
        except OSError as error:
            raise _refusal(path, error) from error
        if lock is not None:
            fcntl.flock(lock._gate, fcntl.LOCK_UN)
        return lock

    @property
    def exclusive(self) -> bool:
        """Whether nobody else holds the lock, nor can until it is released."""
        return self._exclusive

    def try_upgrade(self) -> bool:
        """Make a shared hold exclusive if nobody else holds the lock; if somebody does, it stays shared.

        Where several processes end at the same time, each may be refused for the other's sake. So that one of them is
        the last, each then calls `release` and after it `try_exclusive`.
        """
        if self._exclusive:
            return True
        if self._file < 0 or not wait_for_flock(self._gate, fcntl.LOCK_EX, timeout=_GATE_PATIENCE):
            return False
        try:
            # A conversion that fails has dropped the shared lock. Nobody can have taken an exclusive one since, because
            # that needs the gate, so the shared one can be had again at once.
            self._exclusive = wait_for_flock(self._file, fcntl.LOCK_EX, timeout=0)
        finally:
            if not self._exclusive:
                fcntl.flock(self._file, fcntl.LOCK_SH)
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        return self._exclusive

    def release(self) -> None:
        """Let go of the lock, though forked children may still have it open; safe to repeat."""
        if self._owner == os.getpid() and self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close this process's copies of the lock's files without unlocking: what a forked child must do."""
        file, gate, self._file, self._gate, self._exclusive = self._file, self._gate, -1, -1, False
        if file >= 0:
            os.close(gate)
            os.close(file)

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_live(path: Path) -> bool:
    """Tell whether somebody holds the lock at path, this process included; creates nothing.

    The look takes the lock of a dead run for microseconds, which `hold_shared` and `try_exclusive` wait out. True also
    where it cannot be told, for want of permission or of locks: better a dead run that is taken for live.
    """
    try:
        lock = _take(path, fcntl.LOCK_EX, 0, timeout=0)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if lock is None:
        return True
    lock.release()
    return False


@contextmanager
def hold(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock at path alone: no other process or thread, and not a second time by this one.

    The file is created where it is missing, its directory too, and never deleted. Waits up to timeout seconds, then
    raises StoreFailed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = _lock_named(path, fcntl.LOCK_EX, os.O_CREAT, timeout=timeout)
    except OSError as error:
        raise _refusal(path, error) from error
    if file is None:
        raise StoreFailed(
            f"the lock {path} was held by another process for over {timeout:g} s", hint=f"lsof {shlex.quote(str(path))}"
        )
    owner = os.getpid()
    try:
        yield
    finally:
        if owner == os.getpid():
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def _take(path: Path, operation: int, create: int, *, timeout: float) -> RunLock | None:
    """Open both files with the flag `create` (`os.O_CREAT` or 0) and lock; None where others held the lock too long.

    With an exclusive lock the gate is still held.
    """
    exclusive = operation == fcntl.LOCK_EX
    gate_path = path.with_name(path.name + ".gate")
    while True:
        gate = _open(gate_path, create)
        file = None
        try:
            if exclusive and not wait_for_flock(gate, fcntl.LOCK_EX, timeout=_GATE_PATIENCE):
                return None
            file = _lock_named(path, operation, create, timeout=timeout)
            if file is None:
                return None
        finally:
            if file is None:
                os.close(gate)
        lock = RunLock(file, gate, exclusive=exclusive)
        if _is_named(gate, gate_path):
            return lock
        lock.release()


def _lock_named(path: Path, operation: int, create: int, *, timeout: float) -> int | None:
    """Open and lock the file at path; None where others held it too long.

    The file that was opened may be deleted, and another one stand in its place, before it is locked. So the one that is
    returned still had its name once it was locked.
    """
    while True:
        file = _open(path, create)
        kept = False
        try:
            if not wait_for_flock(file, operation, timeout=timeout):
                return None
            kept = _is_named(file, path)
            if kept:
                return file
        finally:
            if not kept:
                os.close(file)


def _is_named(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _open(path: Path, create: int) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | create, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # somebody else's, and enough to lock it


def _refusal(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"the file {path} cannot be locked: {error.strerror or error}",
        hint="git config gittrack.store <a repository on a local disk>" if error.errno in _NO_LOCKS else None,
    )

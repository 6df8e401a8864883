"""Owns content on its way in: a file of its first bytes, which outlives the process and becomes content once whole.

It lies in `<storage>/incomplete`, as git-lfs's own do: of what is in `<storage>/tmp`, git-lfs deletes all that is older
than an hour. Knows nothing of where the bytes come from.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..content import ContentStore
from ..digest import Digest
from ..errors import Corrupt, StoreFailed
from ..model import Pointer
from ..store.disk import make_directories, remove_stale, write_piece
from .remote import ContentFailed

_CHUNK = 1 << 20
_PREFIX = "gittrack-"
_STALE_AGE = 7 * 24 * 3600.0
# How long another process that brings the same content may bring nothing before it is not waited for any more.
_PATIENCE = 20.0
_PAUSE = 0.05

_T = TypeVar("_T")


class Incoming:
    """The first bytes of a content, in an open file. A Sink; for one thread."""

    def __init__(self, file: int, pointer: Pointer) -> None:
        self.pointer = pointer
        self._file = file
        self._start = 0
        self._digest = Digest()
        while chunk := _call(os.read, file, _CHUNK):
            self._start += len(chunk)
            self._digest.update(chunk)
        if self._start > pointer.size:
            self.restart()

    @property
    def start(self) -> int:
        """How many bytes are there."""
        return self._start

    def restart(self) -> None:
        """Forget what is there; raises StoreFailed."""
        _call(os.ftruncate, self._file, 0)
        _call(os.lseek, self._file, 0, os.SEEK_SET)
        self._start = 0
        self._digest = Digest()

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises ContentFailed beyond the size, and StoreFailed where the disk does not."""
        if self._start + len(data) > self.pointer.size:
            self.restart()
            raise ContentFailed(f"more bytes came for the content {self.pointer.oid} than its {self.pointer.size:,}")
        self._digest.update(data)
        _call(write_piece, self._file, data, self._start)
        self._start += len(data)

    def finish(self) -> None:
        """Return when the bytes are on disk, and are the content; raises ContentFailed, Corrupt and StoreFailed."""
        if self._start < self.pointer.size:
            raise ContentFailed(
                f"only {self._start:,} of {self.pointer.size:,} bytes came of the content {self.pointer.oid}",
                retry_after=0,
            )
        if self._digest.hexdigest() != self.pointer.oid:
            raise Corrupt(f"what came is not the content {self.pointer.oid}: its sha256 is {self._digest.hexdigest()}")
        _call(os.fsync, self._file)


@contextmanager
def receive(
    content: ContentStore, pointer: Pointer, *, wait: Callable[[float], None] = time.sleep
) -> Iterator[Incoming | None]:
    """Give the sink for a content, and keep the content at the end; None where it is here by now.

    What a process that died has left is gone on with. Where another one is bringing the same content, that one is
    waited for as long as it gets on, by `wait`, which may raise. At the end raises ContentFailed where bytes are
    missing, Corrupt where they are the wrong ones, StoreFailed where they cannot be kept. After any other exception
    than the last two the bytes that are there stay for the next attempt. Only verified content, on disk as a whole, is
    ever under its name.

    Content may be deleted again, as any, where nothing refers to it: for what no revision names yet, `content.hold`.
    """
    if content.find(pointer) is not None:
        yield None
        return
    directory = content.directory / "incomplete"
    try:
        make_directories(directory)
        remove_stale(directory, prefix=_PREFIX, age=_STALE_AGE)
    except OSError as error:
        raise StoreFailed(f"{directory} cannot be used: {error.strerror or error}") from error
    with _claim(directory / f"{_PREFIX}{pointer.oid}.part", wait) as (path, file):
        if content.find(pointer) is not None:
            path.unlink(missing_ok=True)
            yield None
            return
        incoming = Incoming(file, pointer)
        try:
            yield incoming
            incoming.finish()
            _keep(content, path, incoming)
        except (Corrupt, StoreFailed):  # wrong bytes, or a full disk, which others need too
            path.unlink(missing_ok=True)
            raise
        finally:
            if not incoming.start:
                path.unlink(missing_ok=True)


def _keep(content: ContentStore, path: Path, incoming: Incoming) -> None:
    """Make a finished file content: by a name nobody else uses, under which it can be seen to be that very file."""
    own = _make_own(path)
    try:
        os.rename(path, own)
        if not _is_same(own, incoming._file):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        content.adopt(own, incoming.pointer)
    except FileNotFoundError as error:  # taken for one that its process has left
        raise ContentFailed(f"{path} has been removed by somebody", retry_after=0) from error
    except OSError as error:
        raise StoreFailed(f"{path} cannot be renamed: {error.strerror or error}") from error
    finally:
        own.unlink(missing_ok=True)


@contextmanager
def _claim(shared: Path, wait: Callable[[float], None]) -> Iterator[tuple[Path, int]]:
    """Open a file to read and write for nobody else: the shared one, or where it cannot be had, one of our own."""
    path, file = _open_alone(shared, wait)
    try:
        _call(os.utime, file)
        yield path, file
    finally:
        with suppress(OSError):  # a child forked meanwhile has a copy of the descriptor, and would hold on to the lock
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
        if path != shared:
            path.unlink(missing_ok=True)


def _open_alone(shared: Path, wait: Callable[[float], None]) -> tuple[Path, int]:
    while True:
        file = _open(shared)
        try:
            locked = _lock(file, wait)
            if locked and _is_same(shared, file):
                return shared, file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if not locked:
            own = _make_own(shared)
            return own, _open(own)


def _lock(file: int, wait: Callable[[float], None]) -> bool:
    """Lock a file, and tell whether it could be had: not where there are no locks, or who has it does not get on."""
    seen, idle = os.fstat(file).st_size, 0.0
    while idle < _PATIENCE:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                return False
        wait(_PAUSE)
        size = os.fstat(file).st_size
        idle = idle + _PAUSE if size == seen else 0.0
        seen = size
    return False


def _open(path: Path) -> int:
    return _call(os.open, path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def _make_own(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{os.getpid()}-{os.urandom(8).hex()}.part")


def _is_same(path: Path, file: int) -> bool:
    """Tell whether path still names an open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _call(do: Callable[..., _T], *arguments: object) -> _T:
    try:
        return do(*arguments)
    except OSError as error:
        raise StoreFailed(f"content that is coming in cannot be kept: {error.strerror or error}") from error

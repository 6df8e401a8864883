"""Owns the bytes of artifacts on this machine, named by their sha256, where git-lfs too keeps and looks for them.

The layout is git-lfs's own: `<storage>/objects/aa/bb/<sha256>`, temporary files in `<storage>/tmp`. Knows nothing of
runs, trees and remotes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from .digest import Digest
from .errors import Corrupt, InvalidInput, NotFound, StoreFailed
from .model import Pointer
from .repository import Repository, read_config
from .store.disk import make_directories, remove_stale, sync_directory, write_piece

_CHUNK = 1 << 20
_WORTH_WRITING = 1 << 16
_TEMPORARY_PREFIX = "gittrack-"
_STALE_AGE = 24 * 3600.0
_LONGEST_WAIT = 60.0
_LOCK = "gittrack-lock"
_ASIDE = "gittrack-condemned"
_OID = "[0-9a-f]{64}"
_EMPTY = Pointer(hashlib.sha256(usedforsecurity=False).hexdigest(), 0)


class ContentStore:
    """The content kept below one directory, such as `.git/lfs`.

    What is put is on disk, whole, under its name when the method returns; nothing else is ever under such a name, not
    after a crash, a power cut or on a full disk. Putting the same bytes again is safe, also from several processes.
    """

    def __init__(self, directory: Path) -> None:
        self._find_directory: Callable[[], Path] = lambda: directory

    @classmethod
    def of(cls, repository: Repository) -> ContentStore:
        """Return the content store of a repository; where it is, is only looked up when that is needed."""
        store = cls(repository.common_directory)
        store._find_directory = partial(find_content_directory, repository)
        return store

    @cached_property
    def directory(self) -> Path:
        """The directory that holds `objects` and `tmp`."""
        return self._find_directory()

    def put_file(self, path: Path) -> Pointer:
        """Keep the bytes of a regular file, and return their name.

        A file that changes meanwhile is kept as it was read; of one that grows, what it had at the start. Raises
        InvalidInput for a symbolic link, a directory, a device, a pipe or a socket and for a file that may not be read,
        NotFound where there is none, and StoreFailed where its content cannot be kept.
        """
        with _open_regular(path) as file:
            # Of a file the kernel makes up as it is read, such as those in /proc, the size is not known beforehand.
            return self._put(_read_chunks(file, path, size=os.fstat(file.fileno()).st_size or None))

    def put_bytes(self, data: bytes) -> Pointer:
        """Keep data, and return its name; raises StoreFailed where it cannot be kept."""
        return self._put([data])

    def put_chunks(self, chunks: Iterable[bytes]) -> Pointer:
        """Keep the bytes that come in pieces, and return their name; raises StoreFailed where they cannot be kept."""
        return self._put(chunks)

    def find(self, pointer: Pointer) -> Path | None:
        """Return the file that holds the content, or None where none of the right size is here."""
        path = self._path(pointer)
        with suppress(OSError):
            found = os.stat(path)
            if stat.S_ISREG(found.st_mode) and found.st_size == pointer.size:
                return path
        if pointer == _EMPTY:  # git-lfs knows without a file what is in it
            with suppress(StoreFailed):
                self.put_bytes(b"")
                return path
        with suppress(OSError):  # a process may have died while it was about to delete it
            if os.stat(self._path_aside(pointer.oid)).st_size == pointer.size and self.bring_back(pointer.oid):
                return path
        return None

    def open(self, pointer: Pointer) -> BinaryIO:
        """Return the content, open for reading; raises NotFound where it is not here. Its bytes are not checked."""
        if pointer == _EMPTY:
            return io.BytesIO()
        path = self.find(pointer)
        if path is None:
            raise NotFound(f"the content {pointer.oid} is not on this machine", hint="gittrack pull --content --all")
        try:
            return open(path, "rb")
        except OSError as error:
            raise NotFound(f"the content {pointer.oid} cannot be read: {error.strerror or error}") from error

    def verify(self, pointer: Pointer) -> None:
        """Read the content again; raises Corrupt where it is not what its name says, NotFound where there is none."""
        digest = Digest()
        size = 0
        with self.open(pointer) as file:
            for chunk in _read_chunks(file, self._path(pointer), size=None):
                digest.update(chunk)
                size += len(chunk)
        if (digest.hexdigest(), size) != (pointer.oid, pointer.size):
            raise Corrupt(
                f"the content {pointer.oid} is damaged",
                hint=f"rm {self._path(pointer)} && gittrack pull --content --all",
            )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep content from being deleted, from before it is put until what needs it is on record.

        Where the file system has no locks nothing is ever deleted, and this does nothing. Raises StoreFailed where
        somebody has been deleting for a minute.
        """
        with self._flock(fcntl.LOCK_SH, patience=_LONGEST_WAIT) as held:
            if held is False:
                raise StoreFailed(f"content in {self.directory} has been being deleted for {_LONGEST_WAIT:g} s")
            yield

    @contextmanager
    def hold_alone(self, *, patience: float) -> Iterator[bool]:
        """Keep others from putting content that nobody refers to yet; tell whether nobody does within some seconds."""
        with self._flock(fcntl.LOCK_EX, patience=patience) as held:
            yield held is True

    def find_stamp(self, oid: str) -> tuple[int, int] | None:
        """Return what changes when content is put again: its file's inode and time in ns; None where there is none."""
        try:
            found = os.stat(self._path(Pointer(oid, 0)))
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def set_aside(self, oid: str, stamp: tuple[int, int]) -> bool:
        """Move content to where nobody looks for it, if it is as stamped; tell whether it is there.

        To be called while it is held alone. Whoever misses it finds it again, until `delete_aside`.
        """
        aside = self._path_aside(oid)
        make_directories(aside.parent)
        try:
            os.rename(self._path(Pointer(oid, 0)), aside)
        except FileNotFoundError:
            return False
        found = os.stat(aside)
        if (found.st_ino, found.st_mtime_ns) == stamp:
            return True
        self.bring_back(oid)
        return False

    def bring_back(self, oid: str) -> bool:
        """Undo `set_aside`, if it was done; tell whether the content is there again; on disk when it is."""
        aside, path = self._path_aside(oid), self._path(Pointer(oid, 0))
        with suppress(FileNotFoundError):
            if path.exists():
                aside.unlink()
            else:
                make_directories(path.parent)
                os.rename(aside, path)
                sync_directory(path.parent)
        return path.exists()

    def delete_aside(self, oid: str) -> bool:
        """Delete content that was set aside, and tell whether it was still there."""
        try:
            self._path_aside(oid).unlink()
        except FileNotFoundError:
            return False
        return True

    def list_aside(self) -> list[str]:
        """Return the names of the content that is set aside: where nobody is deleting, a process died over it."""
        try:
            names = os.listdir(self.directory / _ASIDE)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if re.fullmatch(_OID, name))

    @contextmanager
    def _flock(self, operation: int, *, patience: float) -> Iterator[bool | None]:
        """Hold the lock on the content; tell whether it could be had in so many seconds, None where there are none."""
        path = self.directory / _LOCK
        try:
            make_directories(self.directory)
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except PermissionError:  # somebody else's, and enough to lock it
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreFailed(f"content cannot be kept in {self.directory}: {error.strerror or error}") from error
        try:
            held: bool | None = None
            with suppress(OSError):
                held = _wait_for_flock(file, operation, patience)
            yield held
        finally:
            # Not just closed: a child forked meanwhile has a copy of the descriptor, and would hold on to the lock.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)

    def make_temporary(self) -> Path:
        """Return a name in the temporary directory, which exists then, that nobody else uses; raises StoreFailed."""
        directory = self.directory / "tmp"
        try:
            make_directories(directory)
            remove_stale(directory, prefix=_TEMPORARY_PREFIX, age=_STALE_AGE)
        except OSError as error:
            raise StoreFailed(f"{directory} cannot be used: {error.strerror or error}") from error
        return directory / f"{_TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(8).hex()}"

    def adopt(self, file: Path, pointer: Pointer) -> None:
        """Keep a file of the same file system, synced and known to hold just this content, by moving it to its name.

        Raises StoreFailed, and what was moved may be gone then.
        """
        path = self._path(pointer)
        try:
            changed = make_directories(path.parent)
            # Also over a file that is there: a power cut may have left that one, written by another program, empty.
            os.replace(file, path)
            for directory in (path.parent, *reversed(changed)):
                sync_directory(directory)
        except OSError as error:
            raise StoreFailed(f"content cannot be kept in {self.directory}: {error.strerror or error}") from error

    def _put(self, chunks: Iterable[bytes]) -> Pointer:
        temporary = self.make_temporary()
        try:
            pointer = _write_hashed(temporary, chunks)
            self.adopt(temporary, pointer)
            return pointer
        except OSError as error:
            raise StoreFailed(f"content cannot be kept in {self.directory}: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _path_aside(self, oid: str) -> Path:
        return self.directory / _ASIDE / self._path(Pointer(oid, 0)).name

    def _path(self, pointer: Pointer) -> Path:
        if re.fullmatch(_OID, pointer.oid) is None:
            raise InvalidInput(f"not the name of a content, 64 hex digits: {pointer.oid[:80]!r}")
        return self.directory / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid


def find_content_directory(repository: Repository) -> Path:
    """Return where git-lfs keeps its content: `lfs.storage`, or `lfs`, seen from the common directory.

    Asks for the Git configuration, as `read_config` does.
    """
    return repository.common_directory / (read_config(repository).find("lfs.storage") or "lfs")


def _wait_for_flock(file: int, operation: int, patience: float) -> bool:
    """Lock an open file, and tell whether it could be had; raises OSError where the file system has no such locks."""
    deadline, pause = time.monotonic() + patience, 0.001
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                raise
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _open_regular(path: Path) -> BinaryIO:
    # Without O_NONBLOCK the open of a pipe would wait for a writer, before it can be seen to be one.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        kind = {errno.ELOOP: "it is a symbolic link", errno.ENXIO: "it is a socket or device"}
        reason = kind.get(error.errno or 0, error.strerror) if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"{path} cannot be kept: {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{path} cannot be kept: it is not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)  # read in large steps


def _read_chunks(file: BinaryIO, path: Path, *, size: int | None) -> Iterator[bytes]:
    """Yield the bytes of a file, at most size of them."""
    left = sys.maxsize if size is None else size
    try:
        while chunk := file.read(min(_CHUNK, left)):
            yield chunk
            left -= len(chunk)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error


def _join_small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces worth a call to the system; the last may be smaller."""
    small: list[bytes] = []
    size = 0
    for chunk in chunks:
        small.append(chunk)
        size += len(chunk)
        if size >= _WORTH_WRITING:
            yield b"".join(small) if len(small) > 1 else chunk
            small, size = [], 0
    if small:
        yield b"".join(small)


def _write_hashed(path: Path, chunks: Iterable[bytes]) -> Pointer:
    """Write chunks to a new file, wait for the disk, and return what they are called."""
    digest = Digest()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        for chunk in _join_small(chunks):
            digest.update(chunk)
            write_piece(descriptor, chunk, size)
            size += len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Pointer(digest.hexdigest(), size)

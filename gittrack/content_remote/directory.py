"""Owns content kept in a directory that others can reach too: beside a Git repository, or on a mounted disk.

The layout is git-lfs's own, `aa/bb/<sha256>`, so that git-lfs finds what is put and what it put is found. Knows nothing
of which content is wanted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from ..model import Pointer
from ..repository import Repository, find_repository
from ..store.disk import Sharing, make_directories, parse_sharing, remove_stale, sync_directory, write_piece
from .lfs_endpoint import find_remote_path
from .outgoing import CHUNK, read_content
from .remote import Advance, ContentFailed, RemoteUnusable, Sink, make_place

_PREFIX = "gittrack-"
_STALE_AGE = 24 * 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# An error that the next attempt would meet again.
_LASTING = (errno.EFBIG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL)
_NOTHING_SHARED = Sharing()


class DirectoryRemote:
    """The content below a directory. A ContentRemote.

    `anchor` is a directory that has to be there before anything is written, so that a disk that is not mounted is not
    taken for an empty one; without one it is `directory` itself. `sharing` says who may read and write what is put.
    What is there under a content's name in another size is damaged, and replaced by what is uploaded.
    """

    def __init__(
        self, directory: Path, *, name: str = "", anchor: Path | None = None, sharing: Sharing = _NOTHING_SHARED
    ) -> None:
        self.directory = directory
        self._name = name or str(directory)
        self._anchor = anchor or directory
        self._sharing = sharing

    @classmethod
    def beside(cls, repository: Repository, *, name: str) -> DirectoryRemote:
        """Return the content of a Git repository, where git-lfs has it: `lfs.storage` of its own file, or `lfs`.

        What the user's own configuration says of `lfs.storage` is about the user's repositories, and not asked.
        """
        common = repository.common_directory
        directory = common / (repository.config.find("lfs.storage") or "lfs") / "objects"
        sharing = parse_sharing(repository.config.find("core.sharedRepository"))
        return cls(directory, name=name, anchor=common, sharing=sharing)

    @property
    def name(self) -> str:
        """What the remote is called in messages."""
        return self._name

    def prepare_uploads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is not there, or not in its size."""
        self._check_anchor()
        with self._explaining():
            return [pointer for pointer in pointers if pointer.size and self._find_size(pointer) != pointer.size]

    def prepare_downloads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is there."""
        self._check_anchor()
        with self._explaining():
            return [pointer for pointer in pointers if pointer.size and self._find_size(pointer) is not None]

    def list_whole(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is there in its size."""
        self._check_anchor()
        with self._explaining():
            return [pointer for pointer in pointers if pointer.size and self._find_size(pointer) == pointer.size]

    def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
        """Copy a content from a file, durably."""
        path = self._path(pointer)
        self._check_anchor()
        with self._explaining():
            if self._find_size(pointer) == pointer.size:
                return
            temporary = self._temporaries / f"{_PREFIX}{os.getpid()}-{os.urandom(8).hex()}"
            try:
                self._write(temporary, pointer, file, advance)
                self._sharing.apply(temporary)
                changed = make_directories(path.parent, sharing=self._sharing)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            for directory in (path.parent, *reversed(changed)):
                sync_directory(directory)

    def _write(self, temporary: Path, pointer: Pointer, file: Path, advance: Advance) -> None:
        """Write a content to a new file, and wait for the disk."""
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            written = 0
            for data in read_content(file, pointer):
                write_piece(descriptor, data, written)
                written += len(data)
                advance(len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
        """Copy a content to a sink, from the sink's start on."""
        self._check_anchor()
        with self._explaining(), self._open(pointer) as source:
            source.seek(sink.start)
            while data := source.read(CHUNK):
                sink.write(data)
                advance(len(data))

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @cached_property
    def _temporaries(self) -> Path:
        """A directory of the same disk for what is not whole yet; its name is not one that content can have."""
        directory = self.directory / "tmp"
        make_directories(directory, sharing=self._sharing)
        remove_stale(directory, prefix=_PREFIX, age=_STALE_AGE)
        return directory

    def _path(self, pointer: Pointer) -> Path:
        return self.directory / make_place(pointer)

    def _find_size(self, pointer: Pointer) -> int | None:
        path = self._path(pointer)
        try:
            return self._check_kind(path, os.lstat(path)).st_size
        except FileNotFoundError:
            return None

    def _open(self, pointer: Pointer) -> BinaryIO:
        path = self._path(pointer)
        size = self._find_size(pointer)
        if size is None:
            raise ContentFailed(f"{self._name} does not have the content {pointer.oid}")
        if size != pointer.size:
            raise ContentFailed(f"{path} is damaged: it has {size:,} bytes, and should have {pointer.size:,}")
        # It may have become something else since: a link, or a pipe, whose open would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            self._check_kind(path, os.fstat(descriptor))
            return os.fdopen(descriptor, "rb", buffering=0)
        except BaseException:
            os.close(descriptor)
            raise

    def _check_kind(self, path: Path, found: os.stat_result) -> os.stat_result:
        if not stat.S_ISREG(found.st_mode):
            raise ContentFailed(f"{path} is not a regular file")
        return found

    def _check_anchor(self) -> None:
        if not self._anchor.is_dir():
            raise RemoteUnusable(f"{self._name} cannot be used: there is no directory {self._anchor}; is it mounted?")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{self._name}: {error.strerror or error}: {error.filename or self.directory}"
            if error.errno in _FULL:
                raise RemoteUnusable(f"the disk of {reason}", hint="gittrack push  # once there is room") from error
            if error.errno in _FORBIDDEN:
                raise RemoteUnusable(reason) from error
            raise ContentFailed(reason, retry_after=None if error.errno in _LASTING else 0) from error


def find_directory_remote(url: str, *, base: Path, name: str, key: str | None = None) -> DirectoryRemote | None:
    """Return where the content of a Git remote is that is a path or a `file://` URL; None for any other address.

    As git, looks for a repository in the path itself and with `.git` behind it; a relative path is seen from `base`.
    `key` is the key of the configuration that says so, where it is not the remote's own address. Raises RemoteUnusable
    where there is none, and what `find_repository` raises.
    """
    path = find_remote_path(url, base=base)
    if path is None:
        return None
    for candidate in (path, path.with_name(f"{path.name}.git")):
        repository = find_repository(candidate) if candidate.is_dir() else None
        # One that is found above the path is not the remote.
        if repository is not None and Path(os.path.realpath(candidate)) in (
            repository.worktree,
            repository.git_directory,
        ):
            return DirectoryRemote.beside(repository, name=name)
    raise RemoteUnusable(
        f"there is no repository at {name}: {path}",
        hint=f"git config {key} URL" if key else f"git remote set-url {name} URL",
    )

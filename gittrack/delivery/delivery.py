"""Writes the content of artifacts below a directory: each file whole and verified, or not at all.

What cannot be written is refused by itself, and named; everything else is delivered.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import Conflict, Corrupt, GittrackError, StoreFailed
from ..model import Pointer
from .directory import describe, find_mode, open_parent, open_root
from .names import find_unsafe

_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Item:
    """An artifact to be written: its path, and the local file that holds its content."""

    path: str
    pointer: Pointer
    content: Path


@dataclass(frozen=True)
class Refused:
    """An artifact that was not written, and why."""

    path: str
    error: GittrackError


@dataclass(frozen=True)
class Delivered:
    """What became of artifacts, each in the order they came: `there` are files that had the content already."""

    written: tuple[Item, ...] = ()
    there: tuple[Item, ...] = ()
    refused: tuple[Refused, ...] = ()


def deliver(items: Sequence[Item], directory: Path, *, replace: bool) -> Delivered:
    """Write artifacts below a directory, which is made where it is not there; mode 0644 as the umask allows.

    Nothing is ever written outside of it, and no symbolic link is followed. A file with other content is only replaced
    with `replace`; else it is refused with Conflict, as is a path that is not safe, or where something that is no file
    is in the way. Content that is not what its sha256 says is refused with Corrupt, and what the system does not take
    with StoreFailed. A file that is replaced has the old content or the new one at any moment. Raises InvalidInput
    where the directory itself cannot be used, StoreFailed where its disk is full.
    """
    unsafe = find_unsafe(item.path for item in items)
    written: list[Item] = []
    there: list[Item] = []
    refused: list[Refused] = []
    safe = [item for item in items if item.path not in unsafe]
    with open_root(directory, make=bool(safe)) as root:
        for item in items:
            try:
                if item.path in unsafe:
                    raise Conflict(unsafe[item.path])
                assert root is not None
                (written if _deliver_one(root, item, replace=replace) else there).append(item)
            except GittrackError as error:
                refused.append(Refused(item.path, error))
            except OSError as error:
                failure = StoreFailed(f"it cannot be written below {directory}: {error.strerror or error}")
                if error.errno in _FULL:
                    raise failure from error
                refused.append(Refused(item.path, failure))
    return Delivered(tuple(written), tuple(there), tuple(refused))


def find_conflict(artifacts: Iterable[tuple[str, Pointer]], directory: Path) -> str | None:
    """Return the first path below a directory where a file with other content is now; changes nothing.

    What is refused for another reason is no conflict. Raises InvalidInput where the directory cannot be used.
    """
    with open_root(directory, make=False) as root:
        if root is None:
            return None
        for path, pointer in artifacts:
            names = path.split("/")
            with contextlib.suppress(GittrackError, OSError), open_parent(root, names, make=False) as parent:
                mode = None if parent is None else find_mode(parent, names[-1])
                if parent is None or mode is None or not stat.S_ISREG(mode):
                    continue
                if not _is_same(parent, names[-1], pointer):
                    return path
    return None


def has_content(file: BinaryIO, pointer: Pointer) -> bool:
    """Tell whether an open file holds just this content."""
    if os.fstat(file.fileno()).st_size != pointer.size:
        return False
    digest = hashlib.sha256(usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest() == pointer.oid


def _deliver_one(root: int, item: Item, *, replace: bool) -> bool:
    """Write one artifact, and tell whether that was needed."""
    names = item.path.split("/")
    with open_parent(root, names, make=True) as parent:
        assert parent is not None
        mode = find_mode(parent, names[-1])
        if mode is not None:
            if not stat.S_ISREG(mode):
                raise Conflict(f"{item.path!r} there is {describe(mode)}", hint="-o DIR")
            if _is_same(parent, names[-1], item.pointer):
                return False
            if not replace:
                raise Conflict(f"{item.path!r} is there already, with other content", hint="--force")
        _write(parent, names[-1], item, replace=replace)
        return True


def _is_same(parent: int, name: str, pointer: Pointer) -> bool:
    # Without O_NONBLOCK the open of a pipe, which may have come meanwhile, would wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        return has_content(file, pointer)


def _write(parent: int, name: str, item: Item, *, replace: bool) -> None:
    draft = f".gittrack-{os.getpid()}-{os.urandom(8).hex()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o644, dir_fd=parent)
    try:
        with os.fdopen(descriptor, "wb") as output:
            _copy(item, output)
        if replace or not _link(parent, draft, name, item):
            os.replace(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=parent)
        raise


def _link(parent: int, draft: str, name: str, item: Item) -> bool:
    """Give a file its name unless something has come to stand there; tell whether the file system can do that."""
    try:
        os.link(draft, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        raise Conflict(f"{item.path!r} has come to be there meanwhile", hint="--force") from None
    except OSError:  # no hard links here
        return False
    os.unlink(draft, dir_fd=parent)
    return True


def _copy(item: Item, output: BinaryIO) -> None:
    digest = hashlib.sha256(usedforsecurity=False)
    with item.content.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            output.write(chunk)
    if digest.hexdigest() != item.pointer.oid:
        raise Corrupt(f"the content kept for {item.path!r} is damaged: its sha256 is not {item.pointer.oid[:12]}…")

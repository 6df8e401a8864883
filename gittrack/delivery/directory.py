"""Owns the way down to a place below a directory: one name at a time, from open directory to open directory.

No symbolic link is followed on the way, not even one that is put there meanwhile: what is open stays what it is,
whatever becomes of its name. The chosen directory itself may be reached by a link: that is the user's own choice.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import Conflict, InvalidInput

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_DIRECTORY = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


@contextmanager
def open_root(directory: Path, *, make: bool) -> Iterator[int | None]:
    """Open the chosen directory; None where it is not there and is not to be made. Raises InvalidInput."""
    try:
        if make:
            directory.mkdir(parents=True, exist_ok=True)
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise InvalidInput(f"{str(directory)!r} cannot be used: {error.strerror or error}", hint="-o DIR") from error
    try:
        yield root
    finally:
        os.close(root)


@contextmanager
def open_parent(root: int, names: Sequence[str], *, make: bool) -> Iterator[int | None]:
    """Open the directory of a path below an open one; None where it is not there and is not to be made.

    Raises Conflict where something else than a directory is on the way, a symbolic link among them, and OSError.
    """
    parent = os.dup(root)
    try:
        for depth, name in enumerate(names[:-1]):
            child = _open_child(parent, name, place="/".join(names[: depth + 1]), make=make)
            if child is None:
                yield None
                return
            os.close(parent)
            parent = child
        yield parent
    finally:
        os.close(parent)


def _open_child(parent: int, name: str, *, place: str, make: bool) -> int | None:
    while True:
        try:
            return os.open(name, _FLAGS, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                return None
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY:
                raise
            raise Conflict(f"{place!r} there is {describe(find_mode(parent, name))}", hint="-o DIR") from None
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:  # somebody else made it, or a link that leads nowhere stands there
            if stat.S_ISLNK(find_mode(parent, name) or 0):
                raise Conflict(f"{place!r} there is a symbolic link, which is not followed", hint="-o DIR") from None


def find_mode(parent: int, name: str) -> int | None:
    """Return what stands under a name of an open directory, as a mode; None where nothing does."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def describe(mode: int | None) -> str:
    """Return in words what a mode says."""
    if mode is None:
        return "gone"
    if stat.S_ISLNK(mode):
        return "a symbolic link, which is not followed"
    if stat.S_ISDIR(mode):
        return "a directory"
    return "no directory" if stat.S_ISREG(mode) else "a device, a pipe or a socket"

"""Owns what it takes for a file to be on disk: synced before it gets its name, its directory synced after, readable to
those who share the repository.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sharing:
    """What `core.sharedRepository` adds to the permissions of new files and directories, or sets where it is octal."""

    bits: int = 0
    exact: bool = False

    def apply(self, path: Path) -> None:
        """Give a file or directory that was just created the permissions the setting asks for."""
        if not self.bits:
            return
        mode = stat.S_IMODE(old := os.stat(path).st_mode)
        bits = self.bits if mode & 0o200 else self.bits & ~0o222
        if stat.S_ISDIR(old):
            bits |= (bits & 0o444) >> 2
            bits |= stat.S_ISGID if bits & 0o060 else 0
        wanted = (mode & ~0o777) | bits if self.exact else mode | bits
        if wanted != mode:
            os.chmod(path, wanted)


def parse_sharing(value: str | None) -> Sharing:
    """Return what a value of `core.sharedRepository` means; None, and a word that git does not know: nothing shared."""
    word = (value or "").strip().lower()
    if re.fullmatch("0[0-7]{3}", word):
        return Sharing(int(word, 8) | 0o600, exact=True)
    if word in ("group", "true", "yes", "on", "1"):
        return Sharing(0o660)
    return Sharing(0o664) if word in ("all", "world", "everybody", "2") else Sharing()


def sync_directory(path: Path) -> None:
    """Return when the names in a directory are on disk; a directory that is gone has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Return when a file's bytes are on disk; a file that is gone has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path, *, sharing: Sharing = Sharing()) -> list[Path]:
    """Create path and what is missing above it; return the directories whose names changed, outermost first.

    Those are what has to be synced for the new directories to be found again. Safe beside others doing the same.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    changed = []
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except FileExistsError:
            continue
        sharing.apply(directory)
        changed.append(directory.parent)
    return changed


def remove_stale(directory: Path, *, prefix: str, age: float) -> None:
    """Remove files whose names begin so and that nobody has touched for so many seconds: their maker must have died."""
    oldest = time.time() - age
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)


def write_piece(file: int, data: bytes, at: int) -> None:
    """Write all of data, which comes `at` so many bytes behind the start; raises OSError.

    The disk begins with it at once, so that there is little to wait for at the end. Only this piece's pages are named
    to the kernel: those of earlier ones are clean by now, and would be dropped although somebody may read them soon.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, at, len(data), os.POSIX_FADV_DONTNEED)


class NewFile:
    """A file that gets its name once all of it is on disk: nobody, not even after a power cut, sees less under it.

    `temporary` is a new name on the same file system. Every method raises OSError; call `abandon` after one.
    """

    def __init__(self, path: Path, *, temporary: Path, mode: int) -> None:
        self.path = path
        self._temporary = temporary
        self._size = 0
        self._descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    def write(self, data: bytes) -> None:
        """Write all of data, and let the disk begin with it: to wait for several such files is then one wait."""
        write_piece(self._descriptor, data, self._size)
        self._size += len(data)

    def finish(self, *, sharing: Sharing) -> None:
        """Wait for the disk and give the file its name, replacing an existing one.

        The name itself is on disk once its directory is synced.
        """
        os.fsync(self._descriptor)
        self._close()
        sharing.apply(self._temporary)
        os.replace(self._temporary, self.path)

    def abandon(self) -> None:
        """Remove the file if it has no name yet; safe to repeat."""
        self._close()
        self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

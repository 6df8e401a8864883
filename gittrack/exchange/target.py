"""Owns the files that an export leaves: each is there whole, or not at all.

Knows bytes and paths, nothing of what is written.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import InvalidInput


@contextmanager
def open_replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream whose bytes are the file at path once the block ends well; else path stays as it was.

    A file that was there keeps its mode, and a symbolic link goes on pointing to it. What is no regular file (a pipe,
    `/dev/null`) is written to as it is. Raises InvalidInput where the directory is missing, OSError with `path` as its
    file where it cannot be written.
    """
    named = path
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with path.open("wb") as stream:
            yield stream
        return
    path = path.resolve()
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except FileNotFoundError:
        place = path.parent if named.is_symlink() else named.parent
        raise InvalidInput(
            f"{str(named)!r:.200} cannot be written: there is no directory {str(place)!r:.200}",
            hint=f"mkdir -p {shlex.quote(str(place))}",
        ) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(named)) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            if mode is not None:
                os.chmod(draft, stat.S_IMODE(mode))
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise

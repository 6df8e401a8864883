"""Owns content on its way out: the bytes of a file, read once, of which nobody gets the last ones if any is wrong.

Knows nothing of where they go.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..digest import Digest
from ..model import Pointer
from .remote import ContentFailed

CHUNK = 1 << 20


def read_content(file: Path, pointer: Pointer, *, chunk: int = CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a content from its file, in pieces of `chunk` bytes, the last one maybe shorter.

    Raises ContentFailed, not to be repeated, where the file is missing, is no regular file, or does not hold the
    content: then before its last piece, so that who counts bytes, or closes only at the end, never has a whole one.
    """
    digest = Digest()
    left = pointer.size
    try:
        with _open_regular(file) as source:
            if os.fstat(source.fileno()).st_size != pointer.size:
                raise _refuse(file, pointer)
            while left:
                data = _read_full(source, min(chunk, left))
                digest.update(data)
                left -= len(data)
                if not data or (not left and digest.hexdigest() != pointer.oid):
                    raise _refuse(file, pointer)
                yield data
    except OSError as error:
        raise ContentFailed(f"the content {pointer.oid} cannot be read: {error.strerror or error}") from error


def _open_regular(file: Path) -> io.FileIO:
    # Without O_NONBLOCK the open of a pipe would wait for a writer, before it can be seen to be one.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return io.FileIO(descriptor)
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file")


def _read_full(source: io.FileIO, size: int) -> bytes:
    """Read so many bytes, fewer only at the end: a read of a large piece may return less."""
    data = source.read(size)
    while data and len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data


def _refuse(file: Path, pointer: Pointer) -> ContentFailed:
    return ContentFailed(
        f"the content {pointer.oid} is damaged on this machine, and was not sent",
        hint=f"rm {file} && gittrack pull --content --all",
    )

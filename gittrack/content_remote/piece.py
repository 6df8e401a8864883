"""Owns the write of one piece of a large file: all of it, and with the disk at work from then on."""

from __future__ import annotations

import os


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

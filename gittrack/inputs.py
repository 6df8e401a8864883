"""Digests the data files and directories that a run reads. Reads files; knows nothing of git or journals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import InvalidInput, NotFound
from .model import Input

_CHUNK = 1 << 20


def describe_input(path: Path, *, name: str, context: str = "") -> Input:
    """Return what a run records about a data file or directory: its sha256 digest and its size in bytes.

    A directory's digest is the sha256 over one line a file, `<sha256>  <relative path>\\n`, sorted by path: what
    `sha256sum` would print. Symlinks to files are followed, other special files are refused. Raises NotFound,
    InvalidInput, or OSError where a file cannot be read.
    """
    if not isinstance(name, str) or not isinstance(context, str):
        raise InvalidInput("the name and the context of a data input must be strings")
    if not path.exists():
        raise NotFound(f"no data file or directory {str(path)!r:.300}")
    if path.is_file():
        digest, size = _digest_file(path)
        return Input(name, str(path), "file", f"sha256:{digest}", size, context)
    if not path.is_dir():
        raise InvalidInput(f"neither a file nor a directory: {str(path)!r:.300}")
    listing = hashlib.sha256()
    total = 0
    for relative in sorted(_list_files(path)):
        digest, size = _digest_file(path / relative)
        listing.update(digest.encode() + b"  " + os.fsencode(relative) + b"\n")
        total += size
    return Input(name, str(path), "directory", f"sha256:{listing.hexdigest()}", total, context)


def _list_files(root: Path) -> Iterator[str]:
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if not path.is_file():
                raise InvalidInput(f"not a regular file, so not data that can be digested: {str(path)!r:.300}")
            yield path.relative_to(root).as_posix()


def _digest_file(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

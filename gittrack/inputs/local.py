"""Digests data files and directories on this machine, and takes the word of DVC and Git LFS where they keep them.

Reads files; knows nothing of servers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from ..errors import Corrupt, InvalidInput, NotFound
from ..model import Pointer
from ..pointer import MAX_POINTER_BYTES, find_pointer
from . import dvc
from .found import Found

_CHUNK = 1 << 20


def find_path(path: Path, *, warn: Callable[[str], None]) -> Found:
    """Return what there is to say of a file or directory.

    What DVC tracks has DVC's md5, also where the data is not here; where it is here and differs, its own sha256, and
    `warn` is told. A Git LFS pointer has the digest and size of what it stands for. A directory's digest is the sha256
    over one line a file, `<sha256>  <relative path>\\n`, sorted by path: what `sha256sum` would print. Symlinks to
    files are followed, other special files are refused. Raises NotFound, InvalidInput, or OSError where a file cannot
    be read.
    """
    tracked = dvc.find_tracked(path)
    if not path.exists():
        if tracked is None:
            raise NotFound(f"no data file or directory {str(path)!r:.300}")
        return _trust(tracked)
    if not path.is_file() and not path.is_dir():
        raise InvalidInput(f"neither a file nor a directory: {str(path)!r:.300}")
    if tracked is not None:
        if _is_as_tracked(path, tracked):
            return _trust(tracked)
        warn(f"{str(path)!r:.200} is not what {tracked.file.name} says: gittrack records the digest of what is there")
    return _find_file(path) if path.is_file() else _find_directory(path)


def _trust(tracked: dvc.Tracked) -> Found:
    facts = {"origin": "dvc", "remote": tracked.remote, "tracked_by": tracked.file.name}
    return Found(tracked.digest, tracked.size, facts, "directory" if tracked.is_directory else "file")


def _is_as_tracked(path: Path, tracked: dvc.Tracked) -> bool:
    """Tell whether data is what DVC tracks; for a digest of a DVC before 3.0 by its size alone."""
    if path.is_dir() != tracked.is_directory:
        return False
    relatives = sorted(_list_files(path)) if tracked.is_directory else []
    size = sum((path / name).stat().st_size for name in relatives) if tracked.is_directory else path.stat().st_size
    if size != (size if tracked.size is None else tracked.size):
        return False
    if tracked.scheme != "md5":
        return tracked.size is not None
    if not tracked.is_directory:
        return f"md5:{_digest_content(path, 'md5')[0]}" == tracked.digest
    return dvc.digest_listing((name, _digest_content(path / name, "md5")[0]) for name in relatives) == tracked.digest


def _find_file(path: Path) -> Found:
    pointer = _read_pointer(path)
    if pointer is not None:
        return Found(f"sha256:{pointer.oid}", pointer.size, {"origin": "git-lfs"})
    digest, size = _digest_content(path, "sha256")
    return Found(f"sha256:{digest}", size)


def _find_directory(path: Path) -> Found:
    listing = hashlib.sha256()
    total = 0
    for relative in sorted(_list_files(path)):
        pointer = _read_pointer(path / relative)
        digest, size = (pointer.oid, pointer.size) if pointer else _digest_content(path / relative, "sha256")
        listing.update(digest.encode() + b"  " + os.fsencode(relative) + b"\n")
        total += size
    return Found(f"sha256:{listing.hexdigest()}", total, kind="directory")


def _read_pointer(path: Path) -> Pointer | None:
    """Return the Git LFS pointer that stands in a file's place, or None for content."""
    if not 0 < path.stat().st_size <= MAX_POINTER_BYTES:
        return None
    try:
        return find_pointer(path.read_bytes())
    except Corrupt:
        return None


def _list_files(root: Path) -> Iterator[str]:
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if not path.is_file():
                raise InvalidInput(f"not a regular file, so not data that can be digested: {str(path)!r:.300}")
            yield path.relative_to(root).as_posix()


def _digest_content(path: Path, method: Literal["sha256", "md5"]) -> tuple[str, int]:
    digest = hashlib.new(method, usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

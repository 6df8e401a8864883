"""Owns the files that artifacts are fetched into: where they may stand, what they may replace, how they are written.

Whatever an artifact is called, nothing is written outside the chosen directory, and no symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import layout
from ..errors import Conflict, Corrupt, InvalidInput
from ..model import Pointer

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Target:
    """A file to write, the content it shall have, and where that is."""

    file: Path
    pointer: Pointer
    content: Path


def plan_targets(artifacts: Sequence[tuple[str, Pointer, Path]], directory: Path, *, force: bool) -> list[Target]:
    """Return the files to write below directory; a file that has the same content already is not among them.

    Raises Conflict, before anything is written, where another file is in the way and `force` is not given, and
    InvalidInput where a directory or a symbolic link is.
    """
    targets = []
    for path, pointer, content in artifacts:
        file = directory.joinpath(*layout.check_artifact_path(path).split("/"))
        _check_place(file, directory)
        if not os.path.lexists(file):
            targets.append(Target(file, pointer, content))
        elif not _has_content(file, pointer):
            if not force:
                raise Conflict(f"{str(file)!r} is there already, with other content", hint="add --force, or -o DIR")
            targets.append(Target(file, pointer, content))
    return targets


def _check_place(file: Path, directory: Path) -> None:
    for place in (file, *file.parents):
        if place == directory:
            return
        if place.is_symlink():
            raise InvalidInput(f"{str(place)!r} is a symbolic link, which is not followed", hint="-o DIR")
        if place == file and place.is_dir():
            raise InvalidInput(f"{str(place)!r} is a directory", hint="-o DIR")
        if place != file and place.exists() and not place.is_dir():
            raise InvalidInput(f"{str(place)!r} is no directory", hint="-o DIR")


def _has_content(file: Path, pointer: Pointer) -> bool:
    if not file.is_file() or file.stat().st_size != pointer.size:
        return False
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == pointer.oid


def write_target(target: Target) -> None:
    """Write one file, mode 0644 as the umask allows: whole and verified, or not at all.

    Raises Corrupt where the content is not what its sha256 says.
    """
    target.file.parent.mkdir(parents=True, exist_ok=True)
    draft = target.file.with_name(f".{target.file.name[:100]}.{os.getpid()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(draft, flags, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as output:
            _copy(target, output.write)
        os.replace(draft, target.file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise


def _copy(target: Target, write: Callable[[bytes], object]) -> None:
    digest = hashlib.sha256()
    with target.content.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            write(chunk)
    if digest.hexdigest() != target.pointer.oid:
        raise Corrupt(
            f"the content kept for {target.file.name!r} is damaged: its sha256 is not {target.pointer.oid[:12]}…",
            hint="git lfs fetch --all",
        )

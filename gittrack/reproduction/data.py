"""Finds the data that a run read, and says of each whether it is what it was.

Reads files on this machine and asks no server: who recorded the run chose the addresses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..compare import judge_data
from ..errors import Conflict, Corrupt, GittrackError, InvalidInput, NotFound
from ..inputs import describe_input, is_url
from ..model import Input
from ..pointer import MAX_POINTER_BYTES, find_pointer

State = Literal["same", "changed", "missing", "unchecked"]

# What is read before anybody was asked, at most; a directory of more files is not looked through either.
_MOST_BYTES = 4 << 30
_MOST_FILES = 100_000


@dataclass(frozen=True)
class FoundInput:
    """Data that a run read, whether it is what it was, and a few words on where it is or why that is not known.

    `target` is where it is, if it has to be linked to `link` for the run to find it.
    """

    entry: Input
    state: State
    place: str
    link: Path | None = None
    target: Path | None = None


def find_inputs(inputs: Iterable[Input], *, directory: Path, root: Path, original: Path | None) -> list[FoundInput]:
    """Return what there is of a run's data, for a command that will stand in `directory`.

    `root` is the top of its source tree, above `directory`; `original` is where the user's own working tree has that
    directory, if there is one: data that lies there, and not in the source, is to be linked.
    """
    return [_find_input(entry, directory, root, original) for entry in inputs]


def _find_input(entry: Input, directory: Path, root: Path, original: Path | None) -> FoundInput:
    if not entry.path or entry.find_fact("origin") == "memory":
        return FoundInput(entry, "unchecked", "a table or an array in memory")
    if is_url(entry.path):
        return FoundInput(entry, "unchecked", "a server, which is not asked")
    try:
        if os.path.isabs(entry.path):
            return FoundInput(entry, *_check(entry, Path(entry.path)))
        link = Path(os.path.normpath(directory / entry.path))
        if not link.is_relative_to(root) or link == root:
            return FoundInput(entry, "missing", "outside of the source")
        if os.path.lexists(link):
            state, place = _check(entry, link)
            return FoundInput(entry, state, place or "in the source")
        target = None if original is None else Path(os.path.normpath(original / entry.path))
        if target is None or not target.exists():
            return FoundInput(entry, "missing", "neither in the source nor in the working tree")
        return FoundInput(entry, *_check(entry, target), link=link, target=target)
    except (OSError, ValueError) as error:
        return FoundInput(entry, "missing", str(error))


def _check(entry: Input, path: Path) -> tuple[State, str]:
    """Tell whether what stands at path is what was read, and what there is to say about that."""
    if not path.exists():
        return "missing", "it is not there"
    if _is_pointer(path):
        return "missing", "only its Git LFS pointer is there"
    size = _measure(path)
    if size is None:
        return "unchecked", "it is there, and too large to be read beforehand"
    if path.is_file() and entry.size is not None and size != entry.size:
        return "changed", ""
    try:
        found = describe_input(str(path), name=entry.name, context=entry.context)
    except (GittrackError, OSError) as error:
        return "unchecked", error.message if isinstance(error, GittrackError) else str(error)
    states: dict[str, State] = {"same": "same", "other": "changed", "unknown": "unchecked"}
    return states[judge_data([entry], [found])], ""


def _is_pointer(path: Path) -> bool:
    if not path.is_file() or not 0 < path.stat().st_size <= MAX_POINTER_BYTES:
        return False
    try:
        return find_pointer(path.read_bytes()) is not None
    except Corrupt:
        return False


def _measure(path: Path) -> int | None:
    """Return the bytes of a file, or of all below a directory; None where they are too many to be read."""
    if not path.is_dir():
        size = path.stat().st_size
        return size if size <= _MOST_BYTES else None
    total = files = 0
    for directory, _, names in os.walk(path):
        files += len(names)
        if files > _MOST_FILES:
            return None
        total += sum(os.lstat(os.path.join(directory, name)).st_size for name in names)
        if total > _MOST_BYTES:
            return None
    return total


def link_data(found: Sequence[FoundInput], paths: Iterable[str], *, directory: Path, original: Path | None) -> None:
    """Make the symbolic links that were planned, and those to what else of the working tree the user wants there.

    `paths` are relative to the directory of the command. Raises NotFound for one that is not in the working tree,
    InvalidInput for one that leads out of it, and Conflict where the source has such a file itself.
    """
    for entry in found:
        if entry.link is not None and entry.target is not None and not os.path.lexists(entry.link):
            _make_link(entry.link, entry.target)
    for path in paths:
        name = os.path.normpath(path)
        if os.path.isabs(name) or name.split(os.sep)[0] in ("..", "."):
            raise InvalidInput(f"only what is below the directory of the command can be linked, not {path!r:.200}")
        target = None if original is None else original / name
        if target is None or not target.exists():
            raise NotFound(f"there is no {path!r:.200} in the working tree to link")
        if os.path.lexists(directory / name):
            raise Conflict(f"the source of the run has {path!r:.200} itself, or it is linked already")
        _make_link(directory / name, target)


def _make_link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)

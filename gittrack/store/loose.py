"""Owns loose objects: one zlib-compressed file an object, under `objects/xx/`, as gitrepository-layout(5) has it.

A write makes a temporary file that no other process can want (git's own `tmp_obj_` names, which `git gc` sweeps up
after a crash), syncs it and renames it: no lock file that two writers of one object could meet at or a killed one could
leave behind. Knows nothing of packs and refs.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from types import TracebackType

from ..errors import Corrupt
from .disk import NewFile, Sharing, make_directories
from .encoding import Kind

# What git uses unless told otherwise: these files are small and short-lived, and `git gc` packs them anew.
_COMPRESSION_LEVEL = 1
# How files begin that are compressed already: to deflate Parquet takes ten times as long as to write it, and gains 5 %.
_COMPRESSED = b"PAR1"
_HEADER = re.compile(rb"(commit|tree|blob|tag) (0|[1-9][0-9]{0,18})\0")
_HEADER_LENGTH = 64
_MAX_OPEN = 64


def loose_path(objects: Path, id: str) -> Path:
    """Return where the loose object with this id is or would be."""
    return objects / id[:2] / id[2:]


def read_loose(objects: Path, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
    """Return the kind and content of the loose object with this id, or None where there is no such file.

    Raises Corrupt where the file is damaged, or its content is larger than limit bytes: no more than the limit is ever
    decompressed. The id is not checked here.
    """
    try:
        # Asked for every object of a long walk, also for packed ones: building a Path would double what that costs.
        with open(f"{objects}/{id[:2]}/{id[2:]}", "rb") as file:
            return _inflate(file.read(), limit=limit)
    except (FileNotFoundError, NotADirectoryError):
        return None


class LooseWriter:
    """Writes loose objects below a directory; safe beside any number of writers of the same ones.

    What is begun has its name after `finish`, in the order it was begun in. Every method raises OSError; as a context
    manager it leaves no temporary file behind. `changed` are the directories that are left to be synced.
    """

    def __init__(self, objects: Path, *, sharing: Sharing) -> None:
        self.changed: set[Path] = set()
        self._objects = objects
        self._sharing = sharing
        self._files: list[NewFile] = []

    def begin(self, id: str, kind: Kind, data: bytes) -> None:
        """Begin to write an object, replacing what is there."""
        path = loose_path(self._objects, id)
        self.changed.update(make_directories(path.parent, sharing=self._sharing))
        self.changed.add(path.parent)
        level = 0 if data.startswith(_COMPRESSED) else _COMPRESSION_LEVEL
        packed = zlib.compress(b"%s %d\0%b" % (kind.encode(), len(data), data), level)
        temporary = path.parent / f"tmp_obj_{os.urandom(8).hex()}"
        file = NewFile(path, temporary=temporary, mode=0o444)
        self._files.append(file)
        file.write(packed)
        if len(self._files) == _MAX_OPEN:
            self.finish()

    def finish(self) -> None:
        """Wait for the disk, and give what was begun its names."""
        for file in self._files:
            file.finish(sharing=self._sharing)
        self._files.clear()

    def __enter__(self) -> LooseWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files:
            file.abandon()


def list_loose(objects: Path, prefix: str) -> list[str]:
    """Return the ids of the loose objects that start with prefix, which has at least two hex digits."""
    try:
        names = os.listdir(objects / prefix[:2])
    except (FileNotFoundError, NotADirectoryError):
        return []
    ids = (prefix[:2] + name for name in names if re.fullmatch("[0-9a-f]{38}([0-9a-f]{24})?", name))
    return [id for id in ids if id.startswith(prefix)]


def _inflate(packed: bytes, *, limit: int | None) -> tuple[Kind, bytes]:
    inflater = zlib.decompressobj()
    try:
        head = inflater.decompress(packed, _HEADER_LENGTH)
        match = _HEADER.match(head)
        if match is None:
            raise Corrupt("it has no object header")
        size = int(match.group(2))
        if limit is not None and size > limit:
            raise Corrupt(f"it is {size} bytes large, more than the {limit} expected")
        rest = size - (len(head) - match.end())
        data = head[match.end() :] + (inflater.decompress(inflater.unconsumed_tail, rest + 1) if rest >= 0 else b"")
    except zlib.error as error:
        raise Corrupt(f"it cannot be decompressed: {error}") from None
    if len(data) != size or not inflater.eof:
        raise Corrupt("it is not as long as it says")
    kind: Kind = match.group(1).decode()  # type: ignore[assignment]  # the expression names just these
    return kind, data

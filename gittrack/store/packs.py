"""Owns reading objects out of packs, by dulwich, while other processes may repack at any moment.

dulwich finds an object and resolves its deltas; what it does not do is done here: no more is decompressed than the
caller allows, and every kind of damage is one error. Knows nothing of loose objects and refs.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Corrupt
from ..repository import ObjectFormat
from .encoding import Kind

if TYPE_CHECKING:
    from dulwich.object_store import DiskObjectStore
    from dulwich.objects import RawObjectID
    from dulwich.pack import Pack

_KINDS: dict[int, Kind] = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA = 6
_BASE_DELTA = 7
_RESCANS = 3
# git never makes a delta of, or against, a file above its core.bigFileThreshold; this is the default of that.
_LARGEST_DELTA_BASE = 512 << 20
_LONGEST_CHAIN = 4096
_HEAD_LENGTH = 64
_DELTA_HEAD_LENGTH = 1024


class PackDirectory:
    """The packs of one objects directory. Not safe for threads: its owner takes turns.

    Nothing of dulwich is loaded before there is a pack to read.
    """

    def __init__(self, objects: Path, object_format: ObjectFormat) -> None:
        self._objects = objects
        self._object_format = object_format
        self._store: DiskObjectStore | None = None
        self._packs: list[Pack] = []

    def find_object(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        """Return an object's kind and content, or None; Corrupt where it is damaged or larger than limit bytes."""
        for _ in range(_RESCANS):
            found = self._locate(id)
            if found is None:
                return None
            pack, offset = found
            try:
                with _one_error(pack):
                    if limit is not None:
                        self._check_size(pack, offset, limit)
                    number, data = pack.resolve_object(offset, *pack.data.get_object_at(offset))
                    return _KINDS[number], b"".join(data)  # type: ignore[arg-type]  # chunks, deltas being resolved
            except FileNotFoundError:  # repacked a moment ago
                self._rescan()
        return None

    def has_object(self, id: str) -> bool:
        """Tell whether a pack holds the object."""
        return self._locate(id) is not None

    def list_ids(self, prefix: str) -> list[str]:
        """Return the ids of all packed objects that start with prefix."""
        self._rescan()
        raw = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        ids = []
        for pack in self._packs:
            with _one_error(pack):
                ids += [found.hex() for found in pack.index.iter_prefix(raw)]
        return [id for id in ids if id.startswith(prefix)]

    def close(self) -> None:
        """Unmap the packs; safe to repeat, and a later read maps them again."""
        self._packs = []
        if self._store is not None:
            with suppress(BufferError):  # an error that is still held, about damage, has pieces of a pack in its frames
                self._store.close()

    def _locate(self, id: str) -> tuple[Pack, int] | None:
        """Return the pack that holds an object, and where; looks for new packs where the known ones do not."""
        known = self._packs
        for _ in range(_RESCANS):
            for pack in known:
                offset = _find_offset(pack, id)
                if offset is not None:
                    # By identity: dulwich compares packs by their indexes, and would open one that has vanished.
                    self._packs = [pack, *(other for other in self._packs if other is not pack)]
                    return pack, offset
            known = self._rescan()
            if not known:
                break
        return None

    def _rescan(self) -> list[Pack]:
        """Take up the packs that appeared and drop those that vanished; return the new ones."""
        if self._store is None:
            if not any(name.endswith(".pack") for name in _list_directory(self._objects / "pack")):
                return []
            self._store = self._open()
        with _one_error(self._objects):
            present = self._store.packs
        new = [pack for pack in present if not any(pack is known for known in self._packs)]
        self._packs = [pack for pack in self._packs if any(pack is other for other in present)] + new
        return new

    def _open(self) -> DiskObjectStore:
        from dulwich.object_format import get_object_format
        from dulwich.object_store import DiskObjectStore

        store = DiskObjectStore(os.fspath(self._objects), object_format=get_object_format(self._object_format))
        weakref.finalize(self, store.close)  # one that nobody closed would complain on the user's terminal
        return store

    def _check_size(self, pack: Pack, offset: int, limit: int) -> None:
        """Raise Corrupt if the object at offset, or one its deltas build on, says that it is larger than allowed."""
        descriptor = os.open(pack.data.path, os.O_RDONLY)
        try:
            allowed = limit
            for _ in range(_LONGEST_CHAIN):
                number, size, data = _read_entry(descriptor, offset)
                if number in _KINDS:
                    return _check(size, allowed)
                _check(size, _LARGEST_DELTA_BASE)
                head = os.pread(descriptor, _HEAD_LENGTH, data)
                if number == _OFFSET_DELTA:
                    distance, used = _read_distance(head)
                    base = offset - distance
                elif number == _BASE_DELTA:
                    used = 20 if self._object_format == "sha1" else 32
                    base = pack.index.object_offset(_raw(head[:used].hex()))
                else:
                    raise Corrupt(f"its pack entry has the unknown type {number}")
                _check(_read_result_size(os.pread(descriptor, _DELTA_HEAD_LENGTH, data + used)), allowed)
                offset, allowed = base, max(limit, _LARGEST_DELTA_BASE)
        finally:
            os.close(descriptor)
        raise Corrupt("it is the end of an endless chain of deltas")


def _find_offset(pack: Pack, id: str) -> int | None:
    from dulwich.pack import PackFileDisappeared

    try:
        offset = pack.index.object_offset(_raw(id))
        # Mapped now, while it is known to be there: a repack may take its name away, but not the mapping.
        assert pack.data is not None
        return offset
    except (KeyError, PackFileDisappeared):
        return None
    except OSError as error:
        raise Corrupt(f"its pack cannot be read: {error}") from error
    except Exception as error:
        raise Corrupt(f"its pack is damaged: {error}") from error


@contextmanager
def _one_error(where: object) -> Iterator[None]:
    """Turn what dulwich raises for damaged bytes, a dozen unrelated classes, into Corrupt."""
    try:
        yield
    except (Corrupt, FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        raise Corrupt(f"{where} cannot be read: {type(error).__name__} {error}") from error


def _list_directory(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _raw(id: str) -> RawObjectID:
    return bytes.fromhex(id)  # type: ignore[return-value]  # dulwich's name for these bytes


def _check(size: int, allowed: int) -> None:
    if size > allowed:
        raise Corrupt(f"it is {size} bytes large, more than the {allowed} expected")


def _read_entry(descriptor: int, offset: int) -> tuple[int, int, int]:
    """Return type, size and data offset of a pack entry, as gitformat-pack(5) writes them."""
    head = os.pread(descriptor, _HEAD_LENGTH, offset)
    number, size, shift, used = head[0] >> 4 & 7, head[0] & 15, 4, 1
    while head[used - 1] & 0x80:
        size |= (head[used] & 0x7F) << shift
        shift, used = shift + 7, used + 1
    return number, size, offset + used


def _read_distance(head: bytes) -> tuple[int, int]:
    distance, used = head[0] & 0x7F, 1
    while head[used - 1] & 0x80:
        distance, used = (distance + 1) << 7 | head[used] & 0x7F, used + 1
    return distance, used


def _read_result_size(packed: bytes) -> int:
    """Return how large the result of a compressed delta says it is: the second number at its start."""
    head = zlib.decompressobj().decompress(packed, 20)
    used = next(index for index, byte in enumerate(head) if not byte & 0x80) + 1
    size, shift = 0, 0
    for byte in head[used:]:
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return size
        shift += 7
    raise Corrupt("its delta is cut short")

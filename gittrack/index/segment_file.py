"""Owns the file of a segment: the six tables as Arrow IPC files one after the other, then two sorted tables.

One file, so that it is there whole or not at all, costs one sync, and is mapped once. Every part begins at a multiple
of 64 bytes. The keys of a table and how many entries each has stand in its schema's metadata. The crc32 of the whole
is checked when a file is opened, unless it is still the very file (by inode, modification and change time) for which
that was done before. Knows nothing of commits and runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..errors import Corrupt
from ..frame import Block, KeyedTable
from ..frame.schema import KEYED_TABLES, keyed_schema, run_schema
from ..store.disk import NewFile, Sharing
from .sorted_table import SortedTable, read_row_table
from .state import Piece, StoredSegment

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".segment"
TEMPORARY = ".tmp"
_RUNS, _COMMITS, _ROWS = "runs", "commits", "rows"
_ALIGNMENT = 64
_KEYS = b"keys"
_BLOCK = 1 << 20


class IndexDamaged(Corrupt):
    """A file of the index is not what was written."""


def write_segment(directory: Path, piece: Piece, *, sharing: Sharing) -> StoredSegment:
    """Write a piece into a new file, which is on disk when this returns; raises OSError."""
    name = os.urandom(8).hex() + SUFFIX
    path = directory / name
    parts: dict[str, tuple[int, int]] = {}
    crc = size = 0
    file = NewFile(path, temporary=directory / (name + TEMPORARY), mode=0o666)
    try:
        for part, data in _list_parts(piece):
            padding = bytes(-size % _ALIGNMENT)
            for chunk in (padding, data):
                file.write(chunk)  # type: ignore[arg-type]  # any bytes will do
                crc = crc32(chunk, crc)
            size += len(padding)
            parts[part] = (size, len(data))
            size += len(data)
        file.finish(sharing=sharing)
    except BaseException:
        file.abandon()
        raise
    return StoredSegment(name, size, crc, _stamp(os.stat(path)), piece.height, parts)


def open_segment(directory: Path, stored: StoredSegment, *, width: int) -> Piece:
    """Map a file and return its piece, with nothing hidden; `width` is the bytes of a commit's id.

    Raises FileNotFoundError where it is gone, IndexDamaged where it is not what was written.
    """
    import pyarrow as pa

    path = directory / stored.name
    try:
        stored = check_segment(path, stored)
        if not stored.size:
            raise IndexDamaged(f"{path} is empty")
        with pa.memory_map(os.fspath(path)) as file:
            whole = file.read_buffer()
        if whole.size != stored.size:
            raise IndexDamaged(f"{path} changed while it was opened")
        parts = {name: whole.slice(offset, length) for name, (offset, length) in stored.parts.items()}
        block = Block(
            _read_batch(parts[_RUNS], run_schema())[0],
            {name: KeyedTable.of(*_read_batch(parts[name], keyed_schema(name))) for name in KEYED_TABLES},
        )
        commits = SortedTable(memoryview(parts[_COMMITS]), width=width, key=width)
        rows = read_row_table(memoryview(parts[_ROWS]))
    except FileNotFoundError:
        raise
    except (OSError, KeyError, IndexError, pa.ArrowException) as error:
        raise IndexDamaged(f"{path} cannot be read: {error}") from error
    if block.height != stored.rows or len(rows) != stored.rows:
        raise IndexDamaged(f"{path} has {block.height} rows, not {stored.rows}")
    return Piece(block, commits, rows, file=stored)


def read_stored(entry: Mapping[str, Any]) -> StoredSegment:
    """Return the record of a file that was taken apart for JSON; raises KeyError, TypeError or ValueError otherwise."""
    return StoredSegment(
        name=entry["name"],
        size=entry["size"],
        crc=entry["crc"],
        stamp=tuple(entry["stamp"]),
        rows=entry["rows"],
        parts={name: (offset, length) for name, (offset, length) in entry["parts"].items()},
    )


def check_segment(path: Path, stored: StoredSegment, *, whole: bool = False) -> StoredSegment:
    """Return the record of a file with its present stamp; raises IndexDamaged where the file is not what was written.

    Its bytes are read where its stamp is not the known one, or with `whole`.
    """
    status = os.stat(path)
    if status.st_size != stored.size:
        raise IndexDamaged(f"{path} has {status.st_size} bytes, not {stored.size}")
    if _stamp(status) == stored.stamp and not whole:
        return stored
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(_BLOCK):
            crc = crc32(chunk, crc)
    if crc != stored.crc:
        raise IndexDamaged(f"{path} is damaged: its checksum is wrong")
    return replace(stored, stamp=_stamp(status))


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _list_parts(piece: Piece) -> Iterator[tuple[str, bytes | memoryview]]:
    tables = ((name, piece.block.tables[name]) for name in KEYED_TABLES)
    batches = chain([(_RUNS, piece.block.runs, None)], ((name, table.batch, table) for name, table in tables))
    for name, batch, table in batches:
        lengths = {} if table is None else {key: length for key, (_, length) in table.directory.items()}
        yield name, memoryview(_write_batch(batch, lengths))
    yield _COMMITS, piece.commits.data
    yield _ROWS, piece.rows.data


def _write_batch(batch: pa.RecordBatch, lengths: Mapping[str, int]) -> pa.Buffer:
    import pyarrow as pa

    schema = batch.schema.with_metadata({_KEYS: json.dumps(lengths)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return sink.getvalue()


def _read_batch(data: pa.Buffer, schema: pa.Schema) -> tuple[pa.RecordBatch, dict[str, int]]:
    import pyarrow as pa

    batch = pa.ipc.open_file(data).get_batch(0)
    if not batch.schema.equals(schema):
        raise IndexDamaged("a table of the index has other columns")
    lengths = json.loads(batch.schema.metadata[_KEYS])
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema), lengths

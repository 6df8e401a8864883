"""Owns what a part says of itself, in its footer and its page headers: read and judged before anything is unpacked.

Parquet keeps both in thrift's compact protocol. They are read here, and not by pyarrow's metadata classes, because a
part may come from anyone: those classes end the process on a footer that contradicts itself, and no reader asks how
large a page will be before it makes room for it. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Corrupt

MAGIC = b"PAR1"
TAIL_BYTES = 8
"""Bytes behind the footer: its length, little-endian, and the magic."""

BYTE_ARRAY, INT64, DOUBLE = 6, 2, 5
"""Physical types, by their numbers in the Parquet format."""

_ZSTD = 6
_TRUE, _FALSE, _I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 4, 5, 6, 8, 9, 12
_MAX_ITEMS = 4096
_MAX_DEPTH = 8
_MAX_FIELD = 99

Shape = Mapping[int, Any]
"""Where lists may stand in a struct: by field, a nested shape, or in a list the shape or the type of its items."""

_COLUMN_SHAPE: Shape = {3: {2: [_I32], 3: [_BINARY], 13: [{}], 16: {2: [_I64], 3: [_I64]}}}
_FOOTER_SHAPE: Shape = {2: [{}], 4: [{1: [_COLUMN_SHAPE]}], 5: [{}], 7: [{}]}
_PAGE_SHAPE: Shape = {}


@dataclass(frozen=True)
class ColumnChunk:
    """Where one column of one row group lies in the file, and the least and greatest value in it, where known."""

    start: int
    end: int
    least: bytes | None
    greatest: bytes | None


@dataclass(frozen=True)
class RowGroup:
    """A row group: its number of rows, and its columns in order."""

    rows: int
    columns: tuple[ColumnChunk, ...]


def read_footer(data: bytes, *, columns: Mapping[str, int], keys: Sequence[bytes]) -> list[RowGroup]:
    """Return the row groups of a Parquet file whose footer is sound; raises Corrupt otherwise.

    Sound means: just these columns (name to physical type, in order), each required and compressed with zstd, just
    these keys of metadata, every number in agreement with the others, and every chunk inside the file.
    """
    size = int.from_bytes(data[-TAIL_BYTES:-4], "little")
    start = len(data) - TAIL_BYTES - size
    if data[: len(MAGIC)] != MAGIC or data[-4:] != MAGIC or start < len(MAGIC):
        raise Corrupt("not a metrics part: it is no Parquet file")
    footer, end = _read_struct(data, start, shape=_FOOTER_SHAPE)
    if end != start + size:
        raise Corrupt("a metrics part has a footer of the wrong length")
    _check_schema(footer, columns=columns)
    pairs = [_get(pair, 1, _BINARY) for pair in _get(footer, 5, _LIST)]
    if pairs != list(keys):
        raise Corrupt("not a metrics part: it has other metadata")
    groups = [_read_group(group, columns=columns, end=start) for group in _get(footer, 4, _LIST)]
    if sum(group.rows for group in groups) != _get(footer, 3, _I64):
        raise Corrupt("a metrics part contradicts itself about how many points it holds")
    return groups


def measure_pages(data: bytes, chunk: ColumnChunk) -> int:
    """Return how many bytes a column chunk's pages unpack to, by the page headers that a reader makes room by."""
    size, at = 0, chunk.start
    while at < chunk.end:
        header, at = _read_struct(data, at, shape=_PAGE_SHAPE)
        unpacked, packed = _get(header, 2, _I32), _get(header, 3, _I32)
        if unpacked < 0 or packed < 0:
            raise Corrupt("a metrics part has a page of negative size")
        size += unpacked
        at += packed
    if at != chunk.end:
        raise Corrupt("a metrics part has a page that ends outside its column")
    return size


def _check_schema(footer: _Struct, *, columns: Mapping[str, int]) -> None:
    root, *leaves = _get(footer, 2, _LIST) or [{}]
    found = [(_get(leaf, 4, _BINARY), _get(leaf, 1, _I32), _get(leaf, 3, _I32)) for leaf in leaves]
    if found != [(name.encode(), kind, 0) for name, kind in columns.items()] or _get(root, 5, _I32) != len(columns):
        raise Corrupt("not a metrics part: it has other columns")


def _read_group(group: _Struct, *, columns: Mapping[str, int], end: int) -> RowGroup:
    rows = _get(group, 3, _I64)
    chunks = _get(group, 1, _LIST)
    if rows < 0 or len(chunks) != len(columns):
        raise Corrupt("a metrics part has a row group of the wrong shape")
    return RowGroup(
        rows,
        tuple(
            _read_chunk(chunk, name=name, kind=kind, rows=rows, end=end)
            for chunk, (name, kind) in zip(chunks, columns.items(), strict=True)
        ),
    )


def _read_chunk(chunk: _Struct, *, name: str, kind: int, rows: int, end: int) -> ColumnChunk:
    foreign_file, encryption, encrypted = 1, 8, 9
    if not chunk.keys().isdisjoint({foreign_file, encryption, encrypted}):
        raise Corrupt("not a metrics part: a column lies elsewhere or is encrypted")
    about = _get(chunk, 3, _STRUCT)
    if (_get(about, 1, _I32), _get(about, 4, _I32), _get(about, 3, _LIST)) != (kind, _ZSTD, [name.encode()]):
        raise Corrupt(f"not a metrics part: column {name} has another name, type or compression")
    if _get(about, 5, _I64) != rows:
        raise Corrupt("a metrics part has columns of different lengths")
    first = _get(about, 9, _I64)
    dictionary = _get(about, 11, _I64) if 11 in about else 0
    start = dictionary if 0 < dictionary < first else first
    size = _get(about, 7, _I64)
    if start < len(MAGIC) or size < 0 or start + size > end:
        raise Corrupt("a metrics part has a column that lies outside it")
    statistics = _get(about, 12, _STRUCT) if 12 in about else {}
    least, greatest = (_get(statistics, field, _BINARY) if field in statistics else None for field in (6, 5))
    return ColumnChunk(start, start + size, least, greatest)


_Struct = dict[int, tuple[int, Any]]


def _get(struct: _Struct, field: int, kind: int) -> Any:
    found, value = struct.get(field, (0, None))
    if found != kind:
        raise Corrupt(f"a metrics part lacks field {field} where Parquet requires it, or has it as another type")
    return value


def _read_struct(data: bytes, at: int, *, shape: Shape, depth: int = 0) -> tuple[_Struct, int]:
    """Return a struct's fields, each with its type and value, and where the struct ends.

    Lists stand only where shape has them, with items of the type it says: a reader that knows a field takes the items'
    type for granted, so another one would make it read the rest differently.
    """
    if depth > _MAX_DEPTH:
        raise Corrupt("a metrics part is nested too deeply")
    struct: _Struct = {}
    field = 0
    while head := _read_byte(data, at):
        at += 1
        kind, step = head & 15, head >> 4
        if step:
            field += step
        else:
            field, at = _read_number(data, at, bits=16)
        if not 0 < field <= _MAX_FIELD or field in struct:
            raise Corrupt("a metrics part has a field that is unknown or repeated")
        value, at = _read_value(data, at, kind=kind, shape=shape.get(field, {}), depth=depth)
        struct[field] = (_TRUE if kind == _FALSE else kind, value)
    return struct, at + 1


def _read_value(data: bytes, at: int, *, kind: int, shape: Any, depth: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in (_I16, _I32, _I64):
        return _read_number(data, at, bits={_I16: 16, _I32: 32, _I64: 64}[kind])
    if kind == _BINARY:
        size, at = _read_varint(data, at)
        if at + size > len(data):
            raise Corrupt("a metrics part has a text that ends outside it")
        return data[at : at + size], at + size
    if kind == _STRUCT and isinstance(shape, Mapping):
        return _read_struct(data, at, shape=shape, depth=depth + 1)
    if kind == _LIST and isinstance(shape, list):
        return _read_list(data, at, item=shape[0], depth=depth)
    raise Corrupt("a metrics part has a field of a type that does not belong there")


def _read_list(data: bytes, at: int, *, item: Any, depth: int) -> tuple[list[Any], int]:
    head = _read_byte(data, at)
    at += 1
    size, kind = head >> 4, head & 15
    if size == 15:
        size, at = _read_varint(data, at)
    if size > _MAX_ITEMS or kind != (item if isinstance(item, int) else _STRUCT):
        raise Corrupt("a metrics part has a list that is too long or of another type")
    items = []
    for _ in range(size):
        value, at = _read_value(data, at, kind=kind, shape=item, depth=depth)
        items.append(value)
    return items, at


def _read_number(data: bytes, at: int, *, bits: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    if value >> bits:
        raise Corrupt("a metrics part has a number out of range")
    return (value >> 1) ^ -(value & 1), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = _read_byte(data, at)
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Corrupt("a metrics part has a number out of range")


def _read_byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Corrupt("a metrics part ends too early")
    return data[at]

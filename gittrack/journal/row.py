"""Owns one row of metric values: the bytes of its record in a points file, and what may stand in it.

Knows nothing of files. A record, little-endian, 32 + 8n bytes:

    crc32 u32 (of all that follows), mark u32, size u32 (of the whole record), key set u32,
    step i64, timestamp i64 (UTC microseconds), values n x f64

The mark is a random number that all records of one file share.
"""

from __future__ import annotations

import numbers
import operator
import struct
from collections.abc import Collection
from typing import SupportsFloat
from zlib import crc32

from ..errors import InvalidInput
from ..layout import check_key

HEAD_SIZE = 32
MAX_RECORD_SIZE = 1 << 20
MAX_VALUES = (MAX_RECORD_SIZE - HEAD_SIZE) // 8

_HEAD = struct.Struct("<IIII")

unpack_head = _HEAD.unpack_from
pack_checksum = struct.Struct("<I").pack


class KeySet:
    """What is worked out once for each combination of metrics, so that recording a row only packs it."""

    __slots__ = ("head", "names", "next_step", "pack", "size", "unpack")

    def __init__(self, number: int, names: tuple[str, ...], mark: int) -> None:
        self.names = names
        self.next_step = 0
        self.size = HEAD_SIZE + 8 * len(names)
        self.head = _HEAD.pack(0, mark, self.size, number)[4:]
        record = struct.Struct(f"<12sqq{len(names)}d")
        self.pack = record.pack
        self.unpack = record.unpack


def is_record(data: bytes | memoryview, mark: int) -> bool:
    """Tell whether data is exactly one undamaged record with this mark."""
    if len(data) < HEAD_SIZE:
        return False
    checksum, found, size, _ = unpack_head(data)
    return bool(found == mark and size == len(data) and crc32(memoryview(data)[4:]) == checksum)


def check_names(names: tuple[object, ...]) -> tuple[str, ...]:
    """Return the names of the metrics of a row, or raise InvalidInput."""
    if len(names) > MAX_VALUES:
        raise InvalidInput(f"a row of {len(names)} metrics is too long: at most {MAX_VALUES} can be logged at once")
    return tuple(str(check_key(name, kind="metric")) for name in names)


def check_integer(value: object, what: str) -> int:
    """Return value as an int if it is one or stands for one (as numpy's do) and is no bool; else raise InvalidInput."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise InvalidInput(f"a {what} must be an int, not {type(value).__name__}: {_show(value)}")


def check_reals(names: tuple[str, ...], values: Collection[object]) -> set[type]:
    """Raise InvalidInput for a complex value, which struct would cut down to its real part.

    Returns those types among the values' that hold real numbers only, and need no check again.
    """
    plain: set[type] = set()
    for name, value in zip(names, values, strict=False):
        if isinstance(value, numbers.Real):
            plain.add(type(value))
        elif isinstance(value, numbers.Complex) or getattr(getattr(value, "dtype", None), "kind", None) == "c":
            raise InvalidInput(f"metric {name!r} must be a real number: {_show(value)}")
    return plain


def pack_carefully(key_set: KeySet, step: int, timestamp: int, values: Collection[SupportsFloat]) -> bytes:
    """Pack a row as `key_set.pack` does, or raise InvalidInput that says which part of it is at fault."""
    for what, number in (("step", step), ("timestamp", timestamp)):
        if not -(1 << 63) <= number < 1 << 63:
            raise InvalidInput(f"a {what} must fit into 64 bits: {_show(number)}")
    floats = [_check_value(name, value) for name, value in zip(key_set.names, values, strict=False)]
    if len(floats) != len(key_set.names):
        raise InvalidInput(f"the metrics changed while they were logged: {_show(key_set.names)}")
    return key_set.pack(key_set.head, step, timestamp, *floats)


def _check_value(name: str, value: object) -> float:
    kind = type(value)
    if isinstance(value, (str, bytes)) or not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        raise InvalidInput(f"metric {name!r} must be a number, not {kind.__name__}: {_show(value)}")
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as error:
        raise InvalidInput(f"metric {name!r} must be a number, but {_show(value)} is not ({error})") from error


def _show(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:79] + "…"

"""Owns the making of Arrow arrays from plain values, by way of their buffers.

`pa.array` and `pa.scalar` look for pandas and import it where it is installed, which takes longer than a whole query.
Knows nothing of runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Where a text stands so often on average, each is encoded once.
_REPEATS = 8

_BIT_OF_FLAG = bytes(48 + (flag != 0) for flag in range(256))


def encode_text(text: str) -> bytes:
    """Return text as UTF-8; a lone surrogate, which a file name can hold, becomes its `\\udcXX` escape."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def pack_flags(flags: bytes | bytearray) -> bytes:
    """Return bytes that are 0 or not as a bitmap in Arrow's order: the first flag is the lowest bit."""
    digits = flags.translate(_BIT_OF_FLAG)[::-1]
    return int(digits or b"0", 2).to_bytes((len(flags) + 7) // 8, "little")


def make_mask(flags: bytes) -> pa.BooleanArray:
    """Return bytes that are 0 or not as an array of booleans."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(pack_flags(flags))])


def make_texts(texts: Sequence[str | None]) -> pa.StringArray:
    """Return texts as an array, with a null for each None."""
    import pyarrow as pa

    unique = dict.fromkeys(texts)
    if len(unique) * _REPEATS > len(texts):
        return _encode_texts(texts)
    if list(unique) == [None]:
        return pa.nulls(len(texts), pa.string())
    codes = {text: code for code, text in enumerate(unique)}
    return _encode_texts(list(unique)).take(make_plain(array("i", map(codes.__getitem__, texts)), pa.int32()))


def _encode_texts(texts: Sequence[str | None]) -> pa.StringArray:
    import pyarrow as pa

    plain = [text or "" for text in texts]
    data = encode_text("".join(plain))
    # In ASCII a letter is a byte, so that the texts need not be encoded one by one.
    lengths = map(len, plain) if data.isascii() and sum(map(len, plain)) == len(data) else None
    ends = array("i", accumulate(lengths or (len(encode_text(text)) for text in plain), initial=0))
    return pa.StringArray.from_buffers(len(plain), pa.py_buffer(ends), pa.py_buffer(data), _make_validity(texts))


def join_texts(columns: Iterable[Sequence[str | None] | int]) -> pa.StringArray:
    """Return columns of texts one after the other as an array; a number stands for so many nulls."""
    import pyarrow as pa

    parts = [pa.nulls(column, pa.string()) if isinstance(column, int) else make_texts(column) for column in columns]
    return pa.concat_arrays([pa.nulls(0, pa.string()), *parts])


def make_numbers(values: Sequence[int | None], type: pa.DataType) -> pa.Array:
    """Return whole numbers as an array of an int32, int64 or timestamp type, with a null for each None.

    A number beyond what the type holds becomes the nearest that it does hold.
    """
    import pyarrow as pa

    code = "i" if type.bit_width == 32 else "q"
    plain = [0 if value is None else value for value in values]
    try:
        data = array(code, plain)
    except OverflowError:
        data = array(code, [clamp(value, type.bit_width) for value in plain])
    return pa.Array.from_buffers(type, len(plain), [_make_validity(values), pa.py_buffer(data)])


def make_plain(data: bytes | bytearray | array[int] | array[float], type: pa.DataType) -> pa.Array:
    """Return machine values of a fixed width as an array without nulls; the memory is shared."""
    import pyarrow as pa

    buffer = pa.py_buffer(data)
    return pa.Array.from_buffers(type, buffer.size * 8 // type.bit_width, [None, buffer])


@lru_cache(maxsize=8)
def make_range(length: int) -> pa.Array:
    """Return 0, 1, 2 … as int32."""
    import pyarrow as pa

    return make_plain(array("i", range(length)), pa.int32())


def make_constant(value: bool, length: int) -> pa.BooleanArray:
    """Return one boolean, many times."""
    import pyarrow as pa

    data = (b"\xff" if value else b"\0") * ((length + 7) // 8)
    return pa.Array.from_buffers(pa.bool_(), length, [None, pa.py_buffer(data)])


def clamp(value: int, bits: int) -> int:
    """Return the signed number of so many bits that is nearest to value."""
    return max(-(1 << bits - 1), min(value, (1 << bits - 1) - 1))


def join_chunks(chunked: pa.ChunkedArray) -> pa.Array:
    """Return a chunked array as one array, without a copy where it has one chunk."""
    import pyarrow as pa

    if chunked.num_chunks == 0:
        return pa.nulls(0, chunked.type)
    return chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()


def _make_validity(values: Sequence[object]) -> pa.Buffer | None:
    import pyarrow as pa

    if None not in values:
        return None
    return pa.py_buffer(pack_flags(bytes(value is not None for value in values)))

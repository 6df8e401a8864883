"""Digests tables and arrays that are in memory, so that equal data has equal digests whatever library holds it.

The bytes that are digested are told in FORMAT.md, 4.2. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..frame.arrays import join_chunks
from ..model import Fact
from ..tabular import is_table, make_table
from .found import Found

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_ROWS = 65_536


def find_in_memory(data: Any) -> Found:
    """Return digest, size of what was digested, type and extent of a table or an array.

    Raises InvalidInput for anything else, and for values that have no bytes of their own, such as Python objects.
    """
    if _is_array(data):
        return _find_array(data)
    if is_table(data):
        return _find_table(data)
    raise InvalidInput(
        f"a data input is a path, a URL, a table or an array, not {type(data).__name__}",
        hint='run.log_input("data/train.csv")',
    )


class _Digest:
    """A sha256 that counts what it is given."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._size = 0

    def update(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        self._size += len(data)

    def found(self, data: object, facts: dict[str, Fact]) -> Found:
        kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}".removeprefix("builtins.")
        return Found(f"sha256:{self._sha256.hexdigest()}", self._size, {"origin": "memory", "type": kind, **facts})


def _is_array(data: object) -> bool:
    return hasattr(data, "__array__") and "numpy" in sys.modules and (hasattr(data, "ndim") and not is_table(data))


def _find_array(data: Any) -> Found:
    numpy: Any = sys.modules["numpy"]
    try:
        array = numpy.asarray(data)
        plain = numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    except Exception as error:
        raise InvalidInput(f"this {type(data).__name__} cannot be read as an array: {error}"[:300]) from error
    if plain.dtype.hasobject or plain.dtype.kind not in "biufcmMSU":
        raise InvalidInput(f"an array of {plain.dtype} has no bytes that tell its values", hint="array.astype(float)")
    shape = [int(length) for length in array.shape]
    digest = _Digest()
    digest.update(b"gittrack array 1\n" + _spell({"dtype": plain.dtype.str, "shape": shape}))
    digest.update(memoryview(plain.reshape(-1).view(numpy.uint8)) if plain.size else b"")
    facts: dict[str, Fact] = {"shape": "x".join(map(str, shape))}
    if shape:
        facts["rows"] = shape[0]
    if len(shape) == 2:
        facts["columns"] = shape[1]
    return digest.found(data, facts)


def _find_table(data: Any) -> Found:
    import pyarrow as pa

    table = make_table(data)
    columns = [[field.name, _spell_type(field.type)] for field in table.schema]
    digest = _Digest()
    digest.update(b"gittrack table 1\n" + _spell({"columns": columns, "rows": table.num_rows}))
    for start in range(0, table.num_rows, _BLOCK_ROWS):
        for name, column in zip(table.column_names, table.columns, strict=True):
            try:
                _feed(digest, join_chunks(column.slice(start, _BLOCK_ROWS)))
            except (pa.ArrowException, TypeError) as error:
                raise InvalidInput(f"column {name!r:.100} cannot be digested: {error}"[:400]) from error
    return digest.found(data, {"rows": table.num_rows, "columns": table.num_columns})


def _spell(header: dict[str, object]) -> bytes:
    return (
        json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace") + b"\n"
    )


def _spell_type(type: pa.DataType) -> str:
    """Return a type's word, the same for all ways Arrow has to lay out the same values."""
    from pyarrow import types

    if types.is_dictionary(type):
        return _spell_type(type.value_type)
    if isinstance(type, _extension_type()):
        return _spell_type(type.storage_type)
    if _is_text(type):
        return "string"
    if _is_binary(type):
        return "binary"
    if _is_list(type):
        return f"list<{_spell_type(type.value_type)}>"
    if types.is_struct(type):
        return f"struct<{', '.join(f'{field.name}: {_spell_type(field.type)}' for field in type)}>"
    return str(type)


def _feed(digest: _Digest, array: Any) -> None:
    """Digest the values of one column, or of one block of it."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if isinstance(array.type, _extension_type()):
        array = array.storage
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    type = array.type
    _feed_fixed(digest, array.is_valid().cast(pa.uint8()))
    if types.is_null(type):
        return
    if types.is_boolean(type):
        _feed_fixed(digest, array.fill_null(False).cast(pa.uint8()))
    elif types.is_decimal(type):
        _feed_binary(digest, array.cast(pa.string()).cast(pa.large_binary()))
    elif _is_text(type) or _is_binary(type):
        _feed_binary(digest, array.cast(pa.large_binary()))
    elif types.is_floating(type):
        plain = array.cast(pa.float32()) if types.is_float16(type) else array
        zero, nan = (pa.array([value], plain.type)[0] for value in (0.0, float("nan")))
        plain = plain.fill_null(zero)
        _feed_fixed(digest, pc.if_else(pc.is_nan(plain), nan, plain))
    elif _is_list(type):
        _feed_fixed(digest, pc.list_value_length(array).cast(pa.int64()).fill_null(0))
        _feed(digest, array.flatten())
    elif types.is_struct(type):
        for part in array.flatten():
            _feed(digest, part)
    elif types.is_integer(type) or types.is_temporal(type):
        signed = array if types.is_integer(type) else array.view(_integer_type(type))
        _feed_fixed(digest, signed.fill_null(0))
    else:
        raise TypeError(f"values of type {type} have no bytes that tell them")


def _feed_fixed(digest: _Digest, array: Any) -> None:
    """Digest the bytes of numbers, none of them null."""
    width = array.type.bit_width // 8
    if len(array):
        data = memoryview(array.buffers()[1]).cast("B")
        digest.update(data[array.offset * width : (array.offset + len(array)) * width])


def _feed_binary(digest: _Digest, array: Any) -> None:
    import pyarrow.compute as pc

    array = array.fill_null(b"")
    _feed_fixed(digest, pc.binary_length(array))
    if len(array):
        _, ends, data = array.buffers()
        offsets = memoryview(ends).cast("B").cast("q")
        if data is not None:
            digest.update(memoryview(data).cast("B")[offsets[array.offset] : offsets[array.offset + len(array)]])


def _integer_type(type: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if type.bit_width not in (32, 64):
        raise TypeError(f"values of type {type} have no bytes that tell them")
    return pa.int32() if type.bit_width == 32 else pa.int64()


def _is_text(type: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(type) or types.is_large_string(type) or types.is_string_view(type))


def _is_binary(type: pa.DataType) -> bool:
    from pyarrow import types

    plain = types.is_binary(type) or types.is_large_binary(type) or types.is_binary_view(type)
    return bool(plain or types.is_fixed_size_binary(type))


def _is_list(type: pa.DataType) -> bool:
    from pyarrow import types

    plain = types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type)
    return bool(plain or types.is_list_view(type) or types.is_large_list_view(type))


def _extension_type() -> Any:
    import pyarrow as pa

    return pa.BaseExtensionType

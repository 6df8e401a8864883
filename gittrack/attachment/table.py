"""Writes tables as Parquet, CSV or JSON, as a path's ending says. Knows nothing of runs or of where the bytes go."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..canonical import spell_float
from ..errors import InvalidInput
from ..tabular import make_table

if TYPE_CHECKING:
    import pyarrow as pa


def render_table(value: object, path: str) -> bytes:
    """Return a table in the format that path's ending names: .parquet, .csv, .json (a list of rows) or .jsonl.

    A null is an empty cell of CSV, and null in JSON; numbers that are none are "NaN", "Infinity", "-Infinity" there,
    times are in ISO 8601. Raises InvalidInput for what is no table, an ending there is no format for, and values that
    the format cannot hold.
    """
    suffix = PurePosixPath(path).suffix.lower()
    write = _WRITERS.get(suffix)
    if write is None:
        name = PurePosixPath(path).with_suffix(".parquet") if PurePosixPath(path).name else "table.parquet"
        raise InvalidInput(f"a table's path ends in {', '.join(_WRITERS)}: {path!r:.100}", hint=f"{name}")
    import pyarrow as pa

    table = make_table(value)
    try:
        return write(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        hint = f"{PurePosixPath(path).with_suffix('.parquet')}" if suffix != ".parquet" else None
        raise InvalidInput(f"{suffix[1:]} cannot hold this table: {error}"[:400], hint=hint) from error


def _write_parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _write_csv(table: pa.Table) -> bytes:
    from pyarrow import csv, types

    for number, field in enumerate(table.schema):
        if types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    return buffer.getvalue()


def _write_json(table: pa.Table) -> bytes:
    rows = ",\n".join(_spell_rows(table))
    return f"[\n{rows}\n]\n".encode() if rows else b"[]\n"


def _write_json_lines(table: pa.Table) -> bytes:
    return "".join(f"{row}\n" for row in _spell_rows(table)).encode()


def _spell_rows(table: pa.Table) -> list[str]:
    return [json.dumps(_make_plain(row), ensure_ascii=False, allow_nan=False) for row in table.to_pylist()]


def _make_plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {key: _make_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else spell_float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Decimal) else value


_WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_json_lines,
}

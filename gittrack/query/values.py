"""Reads a frame's columns as Python values, one a visible row, for what is done run by run: grouping, ranking, showing.

Pure. Knows nothing of how columns are compared or ordered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..compare import ABSENT, Value
from ..errors import InvalidInput
from ..frame.schema import BOOL, FLOAT, INT, NULL
from .keys import Column, get_values

if TYPE_CHECKING:
    import pyarrow as pa

    from ..frame import Frame


def read_values(column: Column, frame: Frame) -> list[Value]:
    """Return what the visible rows of a frame have in a column, in order, ABSENT where a run has nothing.

    Params have their own types; times are UTC microseconds, durations seconds. Raises NotFound where no run has the
    key, InvalidInput for datasets, of which a run may have several.
    """
    if column.table == "datasets":
        raise InvalidInput("a run may have several datasets: name one of its inputs", hint="input.NAME.digest")
    if column.table == "params":
        return _read_params(column.key, frame)
    values = get_values(column, frame)
    if values.type.equals(frame.get_attribute("started").type):
        values = values.cast("int64")
    return [ABSENT if value is None else value for value in _pick(values, frame)]


def read_numbers_of(column: Column, frame: Frame) -> list[float | None]:
    """Return a column as numbers, None where a run has none: numbers as they are, booleans as 0 and 1, others not."""
    return [float(value) if isinstance(value, (int, float)) else None for value in read_values(column, frame)]


def _pick(values: pa.ChunkedArray, frame: Frame) -> list[Value]:
    chosen = values if frame.count == frame.height else values.filter(frame.visible)
    found: list[Value] = chosen.to_pylist()
    return found


def _read_params(key: str, frame: Frame) -> list[Value]:
    columns = [frame.get_column("params", key, field) for field in ("kind", "number", "text")]
    if columns[0] is None:
        return [ABSENT] * frame.count
    rows = zip(*(_pick(column, frame) for column in columns), strict=True)
    return [_spell(kind, number, text) for kind, number, text in rows]


def _spell(kind: Value, number: Value, text: Value) -> Value:
    if kind is ABSENT or kind is None:
        return ABSENT
    if kind == NULL:
        return None
    if kind == BOOL:
        return bool(number)
    if kind == INT:
        # An int that no float is has its digits kept.
        return int(str(text), 0) if text is not None else int(number)  # type: ignore[arg-type]
    return number if kind == FLOAT else text

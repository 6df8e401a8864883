"""Builds an Arrow table from flat rows of mixed values. Pure: knows nothing of git, files or clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_TIME_COLUMNS = ("started", "ended")


def build_run_table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return rows as a table: a column for every key of any row, in order of first appearance, with nulls.

    A column whose values are all bool, int, float, or str has that type; ints and floats together are float64; any
    other mixture, and an int beyond 64 bits, becomes strings. `started` and `ended` are timestamp(us, UTC).
    """
    import pyarrow as pa

    columns = dict.fromkeys(key for row in rows for key in row)
    arrays = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        if name in _TIME_COLUMNS:
            arrays[name] = pa.array(values, pa.timestamp("us", "UTC"))
        else:
            kind = _find_type(values)
            arrays[name] = pa.array(values if kind != "string" else [_spell(value) for value in values], kind)
    return pa.table(arrays)


def _find_type(values: Sequence[object]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds and kinds <= {int, float}:
        if all(-(2**63) <= value < 2**63 for value in values if isinstance(value, int)):
            return "int64" if kinds == {int} else "float64"
        return "string"
    return "string"


def _spell(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)

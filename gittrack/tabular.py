"""Makes an Arrow table of whatever holds rows and columns: pandas, polars, Arrow, plain lists and dicts.

Pure. Imports none of those libraries but Arrow: what is handed in brings its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

_HINT = 'run.log_table({"epoch": [1, 2], "auc": [0.8, 0.9]}, "scores.parquet")'


def is_table(value: object) -> bool:
    """Tell whether make_table may take a value: a data frame or series, an Arrow table, rows or columns."""
    return (
        _find_library(value) in ("pandas", "polars", "pyarrow")
        or hasattr(value, "__arrow_c_stream__")
        or isinstance(value, Mapping)
        or (isinstance(value, Sequence) and not isinstance(value, (str, bytes)))
    )


def make_table(value: Any) -> pa.Table:
    """Return a table of a pandas or polars frame or series, an Arrow table or record batch, columns by name, or rows.

    Anything else that speaks Arrow's C stream will do. An index of pandas is a column, unless it just counts the rows;
    a NaN of pandas is null, as pandas has it. A key that a row lacks is null. Raises InvalidInput for what is no table,
    and for columns that Arrow has no type for.
    """
    import pyarrow as pa

    if hasattr(value, "collect") and _find_library(value) == "polars":
        raise InvalidInput("a LazyFrame has no rows yet", hint="frame.collect()")
    try:
        table = _convert(value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"this {type(value).__name__} cannot become an Arrow table: {error}"[:400]) from error
    if table is None:
        raise InvalidInput(f"a table is a data frame, columns by name or rows, not {type(value).__name__}", hint=_HINT)
    return table


def _convert(value: Any) -> pa.Table | None:
    import pyarrow as pa

    library = _find_library(value)
    if library in ("pandas", "polars") and hasattr(value, "to_frame"):
        value = value.to_frame()  # of a series
    if library == "pandas" and hasattr(value, "columns"):
        return pa.Table.from_pandas(value)
    if library == "polars" and hasattr(value, "to_arrow"):
        table: pa.Table = value.to_arrow()
        return table
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if hasattr(value, "__arrow_c_stream__"):
        return pa.table(value)
    if isinstance(value, Mapping):
        return pa.table({str(name): _make_column(column) for name, column in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if not all(isinstance(row, Mapping) for row in value):
            return None
        names = dict.fromkeys(str(name) for row in value for name in row)
        rows = [{str(name): cell for name, cell in row.items()} for row in value]
        return pa.table({name: [row.get(name) for row in rows] for name in names})
    return None


def _make_column(column: Any) -> Any:
    if isinstance(column, (str, bytes, Mapping)) or not hasattr(column, "__iter__"):
        raise TypeError(f"a column is a list of values, not {type(column).__name__}")
    return column if hasattr(column, "__len__") and not isinstance(column, (range, set, frozenset)) else list(column)


def _find_library(value: object) -> str:
    """Return the library that a value's class, or one it is derived from, comes from."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("pandas", "polars", "pyarrow"):
            return library
    return ""

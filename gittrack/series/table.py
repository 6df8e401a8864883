"""Owns tables of metric points: their schema, their order, their union.

A table has the columns of `table_schema()`, one chunk each, sorted by metric, step, timestamp and value; its dictionary
is sorted and holds just the metrics that occur. The order is total: NaN stands last, and values that compare equal go
by their bits (-0.0 before 0.0). So a multiset of points has one table, whatever order it was recorded in.
Timestamps are UTC microseconds; read them as int64, since a stored time may lie beyond what a datetime can hold.
Knows nothing of files and formats.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..layout import check_key

if TYPE_CHECKING:
    import pyarrow as pa

POINT_COLUMNS = ["step", "timestamp", "value"]


@dataclass(frozen=True)
class Columns:
    """One metric's points in recording order: three arrays of one length.

    Steps are int64 (`q`), timestamps UTC microseconds (`q`), values float64 (`d`).
    """

    steps: array[int]
    timestamps: array[int]
    values: array[float]


@cache
def table_schema() -> pa.Schema:
    """Return the schema of every table of points: metric, step, timestamp, value, none of them nullable."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("metric", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("step", pa.int64(), nullable=False),
            pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("value", pa.float64(), nullable=False),
        ]
    )


def build_table(points: Mapping[str, Columns]) -> pa.Table:
    """Return the points of some metrics as one sorted table.

    The arrays are copied once and may grow on afterwards; a metric that was recorded in order is not sorted again.
    Metrics without points leave no trace. Raises InvalidInput for a name no metric can have, and for arrays that are
    not as Columns says.
    """
    import pyarrow as pa

    names = sorted(name for name, columns in points.items() if _count_points(name, columns))
    series = [points[name] for name in names]
    counts = [len(columns.steps) for columns in series]
    buffers = [
        b"".join(memoryview(columns.steps) for columns in series),
        b"".join(memoryview(columns.timestamps) for columns in series),
        b"".join(memoryview(columns.values) for columns in series),
    ]
    types = table_schema().types[1:]
    arrays = [
        pa.Array.from_buffers(kind, sum(counts), [None, pa.py_buffer(buffer)])
        for kind, buffer in zip(types, buffers, strict=True)
    ]
    return _sort(assemble_table(names, counts=counts, points=arrays))


def merge_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Return all points of some tables, such as the parts of one run, as one sorted table; duplicates stay."""
    import pyarrow as pa

    pieces: dict[str, list[pa.Table]] = {}
    for table in tables:
        for name, start, length in find_segments(table):
            pieces.setdefault(name, []).append(table.slice(start, length).select(POINT_COLUMNS))
    names = sorted(pieces)
    counts = [sum(piece.num_rows for piece in pieces[name]) for name in names]
    empty = _make_empty().select(POINT_COLUMNS)
    points = pa.concat_tables([empty, *(piece for name in names for piece in pieces[name])])
    return _sort(assemble_table(names, counts=counts, points=[get_column(points, name) for name in POINT_COLUMNS]))


def union_tables(first: pa.Table, second: pa.Table) -> pa.Table:
    """Return the set of both tables' points, sorted: points that are equal in every bit appear once.

    Commutative and associative. A point that one table alone holds twice appears once as well.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    merged = merge_tables([first, second])
    if merged.num_rows < 2:
        return merged
    repeats = _all_of([pc.equal(column[:-1], column[1:]) for column in find_keys(merged)])
    if not pc.any(repeats).as_py():
        return merged
    return merged.filter(pa.concat_arrays([pa.array([True]), pc.invert(repeats)])).combine_chunks()


def drop_metrics(table: pa.Table, names: Container[str]) -> pa.Table:
    """Return a table without the points of some metrics."""
    return merge_tables(
        [table.slice(start, length) for name, start, length in find_segments(table) if name not in names]
    )


def select_series(table: pa.Table, metric: str) -> pa.Table:
    """Return one metric's points in order, as columns step, timestamp and value; no rows where table has none."""
    for name, start, length in find_segments(table):
        if name == metric:
            return table.slice(start, length).select(POINT_COLUMNS)
    return table.slice(0, 0).select(POINT_COLUMNS)


def assemble_table(names: Sequence[str], *, counts: Sequence[int], points: Sequence[pa.Array]) -> pa.Table:
    """Return the table whose metrics lie one after the other in points: so many rows of each name.

    `points` are the step, timestamp and value columns, already in order; names are sorted and counts positive.
    """
    import pyarrow as pa

    codes = b"".join(memoryview(array("i", [code]) * count) for code, count in enumerate(counts))
    indices = pa.Array.from_buffers(pa.int32(), sum(counts), [None, pa.py_buffer(codes)])
    metric = pa.DictionaryArray.from_arrays(indices, make_texts(names))
    return pa.Table.from_arrays([metric, *points], schema=table_schema())


def _make_empty() -> pa.Table:
    """Return a table without points; like the two below, without what imports pandas."""
    import pyarrow as pa

    types = (table_schema().field(name).type for name in POINT_COLUMNS)
    points = [pa.Array.from_buffers(type, 0, [None, pa.py_buffer(b"")]) for type in types]
    return assemble_table([], counts=[], points=points)


def make_texts(texts: Sequence[str]) -> pa.StringArray:
    """Return texts as an array.

    Here and in `make_integer`, from buffers: `pa.array` and `pa.scalar` import pandas, where that is installed, to look
    at what they are given, which takes longer than recording a small run.
    """
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    ends = array("i", [0, *accumulate(map(len, encoded))])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def make_integer(value: int, type: pa.DataType) -> pa.Scalar:
    """Return a whole number as a scalar of an integer type."""
    import pyarrow as pa

    return pa.Array.from_buffers(type, 1, [None, pa.py_buffer(value.to_bytes(type.byte_width, "little", signed=True))])[
        0
    ]


def get_column(table: pa.Table, name: str) -> pa.Array:
    """Return a column as one contiguous array, without a copy where it is one already."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def find_keys(table: pa.Table) -> list[pa.Array]:
    """Return the columns that tell points apart exactly: metric code, step, timestamp, and the value's bits."""
    import pyarrow as pa

    bits = get_column(table, "value").view(pa.int64())
    return [get_column(table, "metric").indices, get_column(table, "step"), get_column(table, "timestamp"), bits]


def find_segments(table: pa.Table) -> list[tuple[str, int, int]]:
    """Return name, first row and number of rows of each metric, in order."""
    import pyarrow.compute as pc

    metric = get_column(table, "metric")
    names = metric.dictionary.to_pylist()
    runs = pc.run_end_encode(metric.indices)
    codes, ends = runs.values.to_pylist(), runs.run_ends.to_pylist()
    bounds = pairwise([0, *ends])
    return [(names[code], start, end - start) for code, (start, end) in zip(codes, bounds, strict=True)]


def is_in_order(table: pa.Table) -> bool:
    """Tell whether each point stands at or after the one before it; steps that only rise settle it quickly."""
    import pyarrow.compute as pc

    *keys, bits = find_keys(table)
    tied = None
    for key in keys:
        before, after = key[:-1], key[1:]
        falls, level = pc.greater(before, after), pc.equal(before, after)
        if tied is not None:
            falls, level = pc.and_(tied, falls), pc.and_(tied, level)
        if pc.any(falls).as_py():
            return False
        if not pc.any(level).as_py():
            return True
        tied = level
    value = get_column(table, "value")
    before, after = value[:-1].filter(tied), value[1:].filter(tied)
    nan_before, nan_after = pc.is_nan(before), pc.is_nan(after)
    level = pc.or_(pc.equal(before, after), pc.and_(nan_before, nan_after))
    bits_fall = pc.and_(level, pc.greater(bits[:-1].filter(tied), bits[1:].filter(tied)))
    falls = pc.or_(pc.greater(before, after), pc.and_not(nan_before, nan_after))
    return not pc.any(pc.or_(falls, bits_fall)).as_py()


def _count_points(name: str, columns: Columns) -> int:
    check_key(name, kind="metric")
    arrays = (columns.steps, columns.timestamps, columns.values)
    if [column.typecode for column in arrays] != ["q", "q", "d"] or len({len(column) for column in arrays}) != 1:
        raise InvalidInput(f"metric {name!r} needs int64 steps, int64 timestamps and float64 values of one length")
    return len(columns.steps)


def _all_of(masks: Sequence[pa.Array]) -> pa.Array:
    import pyarrow.compute as pc

    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_(result, mask)
    return result


def _sort(table: pa.Table) -> pa.Table:
    """Sort the points within each metric; the metrics themselves are in order already."""
    import pyarrow as pa

    if is_in_order(table):
        return table
    pieces = [table.slice(start, length) for _, start, length in find_segments(table)]
    pieces = [piece if is_in_order(piece) else piece.take(_find_order(piece)) for piece in pieces]
    return pa.concat_tables(pieces).combine_chunks()


def _find_order(piece: pa.Table) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [get_column(piece, name) for name in POINT_COLUMNS]
    keys = [*POINT_COLUMNS, "bits"]
    points = pa.table([*columns, find_keys(piece)[-1]], names=keys)
    return pc.sort_indices(points, sort_keys=[(key, "ascending") for key in keys])

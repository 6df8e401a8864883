"""Owns the Parquet parts that a run keeps its metric points in: their bytes, and the bounds on what is read.

A part is plain Parquet that any reader opens: zstd, a dictionary for the metric, delta-packed steps and timestamps,
byte-stream-split values, a checksum on each page. Row groups end where metrics do, so that reading one metric unpacks
little else. Page checksums say nothing of page headers and the footer; so the key-value metadata holds, under
`gittrack:crc32`, the CRC-32 of the whole part, as eight hex digits, computed with `00000000` in their place.
That catches damage. It does not catch malice: what is read is bounded and checked besides.
Knows nothing of where parts are kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Corrupt, InvalidInput
from ..layout import check_key
from .footer import BYTE_ARRAY, DOUBLE, INT64, TAIL_BYTES, RowGroup, measure_pages, read_footer
from .table import assemble_table, find_segments, get_column, is_in_order, make_integer, select_series, table_schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PART_POINTS = 1_048_576
MAX_PART_METRICS = 65_536
MAX_READ_POINTS = 4 * MAX_PART_POINTS
MAX_READ_BYTES = 256 * 1024 * 1024

_ROW_GROUP_POINTS = 131_072
_PAGE_BYTES = 1024 * 1024
_MAX_DICTIONARY_BYTES = 128 * 1024 * 1024
_ZSTD_LEVEL = 3

_CHECKSUM_KEY = b"gittrack:crc32"
_BLANK = b"00000000"
_COLUMN_TYPES = {"metric": BYTE_ARRAY, "step": INT64, "timestamp": INT64, "value": DOUBLE}


def encode_parts(table: pa.Table) -> Iterator[bytes]:
    """Yield the parts that hold a table, in order: none for an empty table, one for all but very long ones."""
    import pyarrow.compute as pc

    codes = get_column(table, "metric").indices
    start = 0
    while start < table.num_rows:
        length = min(MAX_PART_POINTS, table.num_rows - start)
        beyond = make_integer(codes[start].as_py() + MAX_PART_METRICS, codes.type)
        too_many = pc.index(codes.slice(start, length), beyond).as_py()
        length = length if too_many < 0 else too_many
        yield encode_part(table.slice(start, length))
        start += length


def encode_part(table: pa.Table) -> bytes:
    """Return one part that holds a table; equal points give equal bytes, with one version of pyarrow.

    Raises InvalidInput for a table that is not sorted, or holds more than MAX_PART_POINTS points or MAX_PART_METRICS
    metrics.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not table.schema.equals(table_schema()) or not is_in_order(table):
        raise InvalidInput("only a sorted table of points can be encoded as a part", hint="merge_tables([table])")
    segments = find_segments(table)
    if table.num_rows > MAX_PART_POINTS or len(segments) > MAX_PART_METRICS:
        raise InvalidInput(
            f"{table.num_rows} points of {len(segments)} metrics do not fit into one part", hint="encode_parts(table)"
        )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table_schema(), **_writer_options()) as writer:
        writer.add_key_value_metadata({_CHECKSUM_KEY: _BLANK})
        for start, length in _split_rows(segments):
            writer.write_table(_restrict_dictionary(table.slice(start, length)), row_group_size=length)
    data = memoryview(sink.getvalue())
    at = _get_checksum_place(data)
    return b"".join([data[:at], b"%08x" % zlib.crc32(data), data[at + len(_BLANK) :]])


def decode_part(data: bytes, *, metric: str | None = None) -> pa.Table:
    """Return the table that a part holds; with `metric`, that metric's points only, in a table of the same shape.

    Raises Corrupt, and nothing else, for bytes that encode_part cannot have written: damage anywhere (whole-part and
    page checksums), another schema, points out of order, names no metric can have; and for a part of more than
    MAX_READ_POINTS points or MAX_READ_BYTES unpacked, before it is unpacked.
    """
    import pyarrow as pa

    _verify_checksum(memoryview(data))
    try:
        table = _read_table(data, metric=metric)
    except (pa.ArrowException, ArithmeticError, LookupError, MemoryError, OSError, ValueError) as error:
        raise Corrupt(f"a metrics part cannot be read: {str(error) or type(error).__name__:.200}") from error
    if metric is None or get_column(table, "metric").dictionary.to_pylist() == [metric]:
        return table
    points = select_series(table, metric)
    names, counts = ([metric], [points.num_rows]) if points.num_rows else ([], [])
    return assemble_table(names, counts=counts, points=[get_column(points, name) for name in points.column_names])


def _writer_options() -> dict[str, Any]:
    return {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": ["metric"],
        "column_encoding": {
            "step": "DELTA_BINARY_PACKED",
            "timestamp": "DELTA_BINARY_PACKED",
            "value": "BYTE_STREAM_SPLIT",
        },
        "dictionary_pagesize_limit": _MAX_DICTIONARY_BYTES,
        "data_page_size": _PAGE_BYTES,
        "write_statistics": ["metric"],
        "write_page_checksum": True,
        "store_schema": False,
    }


def _split_rows(segments: list[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    """Yield first row and length of each row group: whole metrics, small ones together, a large one alone."""
    begin = end = 0
    for _, start, length in segments:
        if end > begin and start + length - begin > _ROW_GROUP_POINTS:
            yield begin, end - begin
            begin = start
        end = start + length
    if end > begin:
        yield begin, end - begin


def _restrict_dictionary(table: pa.Table) -> pa.Table:
    """Return table with a dictionary of just the metrics that occur in it: in a sorted table, neighbours."""
    import pyarrow as pa
    import pyarrow.compute as pc

    metric = get_column(table, "metric")
    low, high = metric.indices[0].as_py(), metric.indices[len(metric) - 1].as_py()
    codes = pc.subtract(metric.indices, make_integer(low, metric.indices.type))
    column = pa.DictionaryArray.from_arrays(codes, metric.dictionary.slice(low, high - low + 1))
    return table.set_column(0, table_schema().field("metric"), column)


def _get_checksum_place(data: memoryview) -> int:
    """Return where the eight digits of the checksum stand: in the footer's last key-value pair."""
    tail = len(data) - TAIL_BYTES
    size = int.from_bytes(data[tail : tail + 4], "little") if tail > 0 else 0
    # In thrift's compact protocol a pair is two fields, each a type byte, a length byte and the text.
    mark = _CHECKSUM_KEY + b"\x18" + bytes([len(_BLANK)])
    begin = max(tail - size, 0)
    found = bytes(data[begin : max(tail, 0)]).rfind(mark)
    if found < 0:
        raise Corrupt("not a metrics part: its checksum is missing")
    return begin + found + len(mark)


def _verify_checksum(data: memoryview) -> None:
    at = _get_checksum_place(data)
    end = at + len(_BLANK)
    checksum = zlib.crc32(data[end:], zlib.crc32(_BLANK, zlib.crc32(data[:at])))
    if data[at:end] != b"%08x" % checksum:
        raise Corrupt("a metrics part is damaged: its checksum does not match its bytes")


def _read_table(data: bytes, *, metric: str | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups = read_footer(data, columns=_COLUMN_TYPES, keys=[_CHECKSUM_KEY])
    chosen = [number for number, group in enumerate(groups) if metric is None or _may_hold(group, metric)]
    _check_size(data, groups, chosen=chosen)
    file = pq.ParquetFile(
        pa.BufferReader(data), read_dictionary=["metric"], pre_buffer=False, page_checksum_verification=True
    )
    if not file.schema_arrow.equals(table_schema()):
        raise Corrupt("not a metrics part: its columns have other types")
    if not chosen:
        return table_schema().empty_table()
    # One thread: nothing is left running for a fork to lose, and one page at a time is unpacked.
    table = file.read_row_groups(chosen, use_threads=False).replace_schema_metadata(None)
    table.validate(full=True)
    table = table.unify_dictionaries().combine_chunks()
    _check_points(table)
    return table


def _may_hold(group: RowGroup, metric: str) -> bool:
    column, name = group.columns[0], metric.encode("utf-8", "surrogatepass")
    return column.least is None or column.greatest is None or column.least <= name <= column.greatest


def _check_size(data: bytes, groups: Sequence[RowGroup], *, chosen: Sequence[int]) -> None:
    rows = sum(group.rows for group in groups)
    if rows > MAX_READ_POINTS:
        raise Corrupt(f"a metrics part claims {rows} points, more than the {MAX_READ_POINTS} that are read")
    size = sum(measure_pages(data, column) for number in chosen for column in groups[number].columns)
    if size > MAX_READ_BYTES:
        raise Corrupt(f"a metrics part unpacks to {size} bytes, more than the {MAX_READ_BYTES} that are read")


def _check_points(table: pa.Table) -> None:
    names = get_column(table, "metric").dictionary.to_pylist()
    found = [name for name, _, _ in find_segments(table)]
    if found != names or found != sorted(set(found)) or not is_in_order(table):
        raise Corrupt("not a metrics part: its points are not in order")
    try:
        for name in names:
            check_key(name, kind="metric")
    except InvalidInput as error:
        raise Corrupt(f"not a metrics part: {error.message}") from error

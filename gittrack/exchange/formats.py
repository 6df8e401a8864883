"""Owns the formats that tables are exported to: CSV, JSON lines, Parquet; each written as the rows come.

Knows tables and byte streams, nothing of runs or of where the bytes go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..errors import InvalidInput
from ..frame.arrays import make_texts
from .spelling import spell_cells, spell_json, spell_text

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}

_ROWS = 16_384  # whose text Arrow holds in one array, however long the notes are
_ROW_GROUP = 131_072


@dataclass(frozen=True)
class TableStream:
    """A table of any length: its schema, and its rows in pieces, to be read once; how many there are, where known."""

    schema: pa.Schema
    pieces: Iterable[pa.Table]
    rows: int | None = None


class _Writer(Protocol):
    """Writes the pieces of one table; `close` ends the file, and leaves the stream open."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def find_format(path: PurePath) -> str | None:
    """Return the format that a file's ending stands for, or None."""
    return SUFFIXES.get(path.suffix.lower())


def write_table(
    stream: TableStream, sink: IO[bytes], *, format: str, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write a table to a byte stream in a format, `csv`, `jsonl` or `parquet`, and return the number of rows.

    `progress` is told how many rows of how many are written, where that is known.

    No more than one piece and some 100,000 rows are in memory. Numbers that are none stand in CSV as `NaN`, `inf`,
    `-inf`, in JSON as "NaN", "Infinity", "-Infinity". A null is an empty cell of CSV (an empty text is `""`), and left
    out in JSON. Raises InvalidInput for a format there is not.
    """
    if format not in _WRITERS:
        raise InvalidInput(f"no format {format!r:.40} (there are: {', '.join(_WRITERS)})")
    rows = 0
    with closing(_WRITERS[format](sink, stream.schema)) as writer:
        for table in gather(stream, rows=_ROW_GROUP if format == "parquet" else _ROWS):
            writer.write(table)
            rows += table.num_rows
            if progress is not None and stream.rows is not None:
                progress(rows, stream.rows)
    return rows


def gather(stream: TableStream, *, rows: int) -> Iterator[pa.Table]:
    """Yield the rows of a stream in tables of so many rows, but for the last, which may be shorter."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    count = 0
    for piece in stream.pieces:
        start = 0
        while piece.num_rows - start >= rows - count:
            waiting.append(piece.slice(start, rows - count))
            start += rows - count
            yield pa.concat_tables(waiting)
            waiting, count = [], 0
        if start < piece.num_rows:
            waiting.append(piece.slice(start))
            count += piece.num_rows - start
    if waiting:
        yield pa.concat_tables(waiting)


class _CsvWriter:
    """RFC 4180 with a header, UTF-8, lines that end in a newline; texts quoted, so that they differ from numbers."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        self._sink = sink
        self._write_rows([spell_cells(make_texts([name])) for name in schema.names])

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=_ROWS):
            self._write_rows([spell_cells(column) for column in batch.columns])

    def _write_rows(self, cells: list[pa.StringArray]) -> None:
        import pyarrow.compute as pc

        comma, end, nothing = make_texts([",", "\n", ""])
        lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, comma), end, nothing)
        _write_texts(self._sink, lines)

    def close(self) -> None:
        """Nothing is held back."""


class _JsonLinesWriter:
    """An object a row and line, its keys in the order of the columns."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        self._sink = sink
        self._heads = make_texts([f"{spell_text(name)}: " for name in schema.names])

    def write(self, table: pa.Table) -> None:
        import pyarrow.compute as pc

        comma, begin, end, nothing = make_texts([", ", "{", "}\n", ""])
        for batch in table.to_batches(max_chunksize=_ROWS):
            members = [
                pc.binary_join_element_wise(head, spell_json(column), nothing)
                for head, column in zip(self._heads, batch.columns, strict=True)
            ]
            objects = pc.binary_join_element_wise(*members, comma, null_handling="skip")
            _write_texts(self._sink, pc.binary_join_element_wise(begin, objects, end, nothing))

    def close(self) -> None:
        """Nothing is held back."""


def _write_texts(sink: IO[bytes], texts: pa.StringArray) -> None:
    """Write new texts one behind the other, which is how they lie in the memory of an Arrow array."""
    if len(texts):
        _, ends, data = texts.buffers()
        sink.write(memoryview(data)[: memoryview(ends).cast("i")[len(texts)]])


class _ParquetWriter:
    """Parquet that any reader opens: zstd, dictionaries, times in UTC microseconds, no encodings of later versions."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [
            pa.field(field.name, field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in schema
        ]
        self._schema = pa.schema(fields)
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd", store_schema=False)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self._schema), row_group_size=_ROW_GROUP)

    def close(self) -> None:
        self._writer.close()


_WRITERS: dict[str, Any] = {"csv": _CsvWriter, "jsonl": _JsonLinesWriter, "parquet": _ParquetWriter}
FORMATS = tuple(_WRITERS)

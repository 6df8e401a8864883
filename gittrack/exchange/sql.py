"""Owns SQL over runs: a DuckDB in memory that sees the tables of some runs, and nothing else of this machine.

It has no file, opens none and reaches no network; its settings are locked before the first word of a query is read.
Only here is DuckDB known; it is an extra.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput, Unsupported
from .formats import TableStream
from .spelling import spell_json, spell_values
from .tables import POINTS, TABLES, RunTables, points_schema

if TYPE_CHECKING:
    import pyarrow as pa

_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",  # else a query could name the variables of this program
    "temp_directory": "",  # by default a directory below the one the user stands in
}


@dataclass(frozen=True)
class Result:
    """What a query gave: a table whose columns all have names of their own."""

    table: pa.Table

    def list_columns(self) -> list[tuple[str, list[Any]]]:
        """Return each column's name and values as people read them: numbers, booleans, None, all else as text."""
        return [
            (name, [value for chunk in column.chunks for value in spell_values(chunk)])
            for name, column in zip(self.table.column_names, self.table.columns, strict=True)
        ]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the rows JSON-ready; numbers that are none are "NaN" and the like, times ISO 8601 texts."""
        columns = [
            [
                None if text is None else json.loads(text)
                for chunk in column.chunks
                for text in spell_json(chunk).to_pylist()
            ]
            for column in self.table.columns
        ]
        return [dict(zip(self.table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

    def stream(self) -> TableStream:
        """Return the table as a stream, to be written to a file."""
        return TableStream(self.table.schema, [self.table])


def query_tables(tables: RunTables, sql: str) -> Result:
    """Return what one SELECT (or EXPLAIN, DESCRIBE, SHOW TABLES) gives over the tables of some runs, times in UTC.

    Of the tables only those are made whose names the query holds; points are read while DuckDB asks for them. Raises
    InvalidInput for a query that fails or is another statement, Unsupported where DuckDB is not installed.
    """
    duckdb = _import_duckdb()
    with closing(duckdb.connect(":memory:", config=_CONFIG)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        try:
            _check_statement(connection.extract_statements(sql))
            for name in find_tables(sql):
                connection.register(name, _Points(tables) if name == POINTS else tables.make(name))
            found = connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise InvalidInput(_describe(str(error)), hint="gittrack help tables") from error
    return Result(found.rename_columns(_tell_apart(found.column_names)))


def find_tables(sql: str) -> list[str]:
    """Return the tables whose names stand in a query, in comments and texts too; all where there is none."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    return [name for name in TABLES if name in words] or list(TABLES)


class _Points:
    """The points as Arrow streams, a new one each time DuckDB asks: it scans a table once for each time it is named."""

    def __init__(self, tables: RunTables) -> None:
        self._tables = tables
        self._turn = threading.Lock()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        schema = _plain_schema(points_schema())
        reader = pa.RecordBatchReader.from_batches(schema, self._read(self._tables.stream(POINTS), schema))
        return reader.__arrow_c_stream__(requested_schema)

    def _read(self, stream: TableStream, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the points, one piece at a time: DuckDB's threads may scan side by side, the store is read by turns."""
        pieces = iter(stream.pieces)
        while True:
            with self._turn:
                piece = next(pieces, None)
            if piece is None:
                return
            yield from piece.cast(schema).to_batches()


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema without dictionaries, of which one stream can have only one for all its pieces."""
    import pyarrow as pa

    return pa.schema(
        [(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type) for field in schema]
    )


def _import_duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise Unsupported(
            "gittrack sql needs DuckDB, which is not installed", hint="pip install 'gittrack[sql]'"
        ) from error
    return duckdb


def _check_statement(statements: list[Any]) -> None:
    if not statements:
        raise InvalidInput("there is no query", hint="gittrack sql 'SELECT name, status FROM runs LIMIT 5'")
    if len(statements) > 1:
        raise InvalidInput("one query at a time: there are several, parted by ;")
    kind = str(statements[0].type).rpartition(".")[2]
    if kind not in ("SELECT", "EXPLAIN"):
        raise InvalidInput(f"only queries that read: this is {kind}, not SELECT")


def _describe(message: str) -> str:
    """Return DuckDB's words without empty lines; they point at the character."""
    return "\n".join(line for line in message.splitlines() if line.strip())


def _tell_apart(names: list[str]) -> list[str]:
    """Return column names of which none stands twice."""
    taken: dict[str, None] = {}
    for name in names:
        chosen, number = name, 1
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        taken[chosen] = None
    return list(taken)

"""Owns the segment: some runs as columns, and the spreading of what they have by key over their rows.

Pure: arrays in, arrays out. Knows nothing of files and of what the columns mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import NotFound
from ..series.table import make_integer
from .arrays import join_chunks, make_numbers, make_range
from .schema import INPUTS, PRESENCE, keyed_schema, run_schema

if TYPE_CHECKING:
    import pyarrow as pa

# Up to one in so many of a key's entries are looked for one by one, rather than all of them spread over the rows.
_FEW = 16


@dataclass(frozen=True)
class KeyedTable:
    """What runs have by key, sorted by key and row; `directory` gives each key's first entry and their number."""

    batch: pa.RecordBatch
    directory: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, batch: pa.RecordBatch, lengths: Mapping[str, int]) -> KeyedTable:
        """Return the table whose keys, sorted, have so many entries each."""
        directory, offset = {}, 0
        for key, length in lengths.items():
            directory[key] = (offset, length)
            offset += length
        return cls(batch, directory)


class Segment(ABC):
    """Some runs as columns, one row each. Immutable; what was asked for once is kept for the next time."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._dense: dict[tuple[str, str, str], pa.Array] = {}

    @abstractmethod
    def get_attribute(self, name: str) -> pa.Array:
        """Return an attribute of the runs; raises NotFound for one there is not."""

    @abstractmethod
    def list_keys(self, table: str) -> list[str]:
        """Return the keys of a table, sorted."""

    @abstractmethod
    def get_entries(self, table: str, key: str) -> pa.RecordBatch | None:
        """Return the entries of one key, sorted by row, or None where no run has it."""

    @abstractmethod
    def take_dense(self, table: str, key: str, field: str, rows: pa.Array) -> pa.Array | None:
        """Return the values of `get_dense` at some rows (int32)."""

    def get_dense(self, table: str, key: str, field: str) -> pa.Array | None:
        """Return a field of one key's entries as one value a row, null where a run lacks the key.

        None where no run has it. Of several inputs of one name in one run the first is taken.
        """
        known = self._dense.get((table, key, field))
        if known is None:
            known = self._make_dense(table, key, field)
            if known is not None:
                self._dense[table, key, field] = known
        return known

    @abstractmethod
    def _make_dense(self, table: str, key: str, field: str) -> pa.Array | None:
        """Do the work of `get_dense`."""


class Block(Segment):
    """A segment that holds its runs in tables of its own."""

    def __init__(self, runs: pa.RecordBatch, tables: Mapping[str, KeyedTable]) -> None:
        super().__init__(runs.num_rows)
        self.runs = runs
        self.tables = tables

    def get_attribute(self, name: str) -> pa.Array:
        return self.runs.column(get_attribute_index(name))

    def list_keys(self, table: str) -> list[str]:
        return list(self.tables[table].directory)

    def get_entries(self, table: str, key: str) -> pa.RecordBatch | None:
        place = self.tables[table].directory.get(key)
        return None if place is None else self.tables[table].batch.slice(*place)

    def take_dense(self, table: str, key: str, field: str, rows: pa.Array) -> pa.Array | None:
        if (table, key, field) not in self._dense:
            entries = self.get_entries(table, key)
            if entries is not None and not self._is_full(table, entries) and len(rows) * _FEW < len(entries):
                places = _locate(entries.column(0), rows.to_pylist())
                return entries.column(get_field_index(table, field)).take(places)
        dense = self.get_dense(table, key, field)
        return None if dense is None else dense.take(rows)

    def _make_dense(self, table: str, key: str, field: str) -> pa.Array | None:
        entries = self.get_entries(table, key)
        if entries is None:
            return None
        values = entries.column(get_field_index(table, field))
        if self._is_full(table, entries):
            return values
        import pyarrow.compute as pc

        return values.take(pc.index_in(make_range(self.height), value_set=entries.column(0)))

    def _is_full(self, table: str, entries: pa.RecordBatch) -> bool:
        """Tell whether every row has exactly one of these entries, so that they stand in the rows' own order."""
        return table != INPUTS and entries.num_rows == self.height


class Selection(Segment):
    """Rows of other segments, in any order; a column of them is made when it is asked for."""

    def __init__(self, parts: Sequence[tuple[Segment, pa.Array]], order: pa.Array | None) -> None:
        """Take some rows (int32) of each segment, one part after the other, and reorder them all by `order`."""
        super().__init__(sum(len(rows) for _, rows in parts))
        self._parts = parts
        self._order = order
        self._attributes: dict[str, pa.Array] = {}

    def get_attribute(self, name: str) -> pa.Array:
        column = self._attributes.get(name)
        if column is None:
            type = run_schema().field(get_attribute_index(name)).type
            pieces = [segment.get_attribute(name).take(rows) for segment, rows in self._parts]
            column = self._attributes[name] = self._join(pieces, type)
        return column

    def list_keys(self, table: str) -> list[str]:
        keys = sorted({key for segment, _ in self._parts for key in segment.list_keys(table)})
        dense = (self.get_dense(table, key, PRESENCE[table]) for key in keys)
        return [
            key
            for key, column in zip(keys, dense, strict=True)
            if column is not None and column.null_count < len(column)
        ]

    def get_entries(self, table: str, key: str) -> pa.RecordBatch | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces, above = [], 0
        for segment, rows in self._parts:
            entries = segment.get_entries(table, key)
            if entries is not None:
                places = pc.add(pc.index_in(entries.column(0), value_set=rows), make_integer(above, pa.int32()))
                pieces.append(entries.set_column(0, "row", places).filter(places.is_valid()))
            above += len(rows)
        if not any(len(piece) for piece in pieces):
            return None
        schema = keyed_schema(table)
        found = pa.Table.from_batches([piece.cast(schema) for piece in pieces], schema=schema)
        if self._order is not None:
            back = pc.array_sort_indices(self._order).cast(pa.int32())
            found = found.set_column(0, "row", back.take(join_chunks(found.column(0))))
        return found.take(pc.sort_indices(found.column(0))).combine_chunks().to_batches()[0]

    def take_dense(self, table: str, key: str, field: str, rows: pa.Array) -> pa.Array | None:
        dense = self.get_dense(table, key, field)
        return None if dense is None else dense.take(rows)

    def _make_dense(self, table: str, key: str, field: str) -> pa.Array | None:
        import pyarrow as pa

        type = keyed_schema(table).field(get_field_index(table, field)).type
        found = [segment.take_dense(table, key, field, rows) for segment, rows in self._parts]
        if all(piece is None for piece in found):
            return None
        pieces = [
            pa.nulls(len(rows), type) if piece is None else piece
            for piece, (_, rows) in zip(found, self._parts, strict=True)
        ]
        return self._join(pieces, type)

    def _join(self, pieces: list[pa.Array], type: pa.DataType) -> pa.Array:
        import pyarrow as pa

        column = join_chunks(pa.chunked_array(pieces, type=type))
        return column if self._order is None else column.take(self._order)


def get_attribute_index(name: str) -> int:
    """Return which column of the runs an attribute is; raises NotFound."""
    index: int = run_schema().get_field_index(name)
    if index < 0:
        raise NotFound(f"runs have no attribute {name!r:.100} (they have: {', '.join(run_schema().names)})")
    return index


def get_field_index(table: str, field: str) -> int:
    """Return which column of a keyed table a field is; raises NotFound."""
    index: int = keyed_schema(table).get_field_index(field)
    if index < 1:
        raise NotFound(f"{table} have no field {field!r:.100} (they have: {', '.join(keyed_schema(table).names[1:])})")
    return index


def _locate(rows: pa.Array, wanted: Sequence[int]) -> pa.Array:
    """Return where each of the wanted numbers stands among sorted ones (int32), null where it does not."""
    import pyarrow as pa

    view = memoryview(rows.buffers()[1]).cast("i")[rows.offset : rows.offset + len(rows)]
    places: list[int | None] = []
    for row in wanted:
        at = bisect_left(view, row)
        places.append(at if at < len(view) and view[at] == row else None)
    return make_numbers(places, pa.int32())

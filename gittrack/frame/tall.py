"""Makes the tall tables of a frame: its visible rows as views to query, or as one new segment.

Pure. Knows nothing of where frames come from.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..series.table import make_integer
from .arrays import join_chunks, make_plain, make_texts
from .schema import KEYED_TABLES, keyed_schema, run_schema
from .segment import Block, KeyedTable

if TYPE_CHECKING:
    import pyarrow as pa

    from .frame import Frame


def build_views(frame: Frame) -> dict[str, pa.Table]:
    """Do what `Frame.to_views` says."""
    import pyarrow as pa

    block = compact_frame(frame)
    ids = block.get_attribute("id")
    views = {"runs": pa.Table.from_batches([block.runs])}
    for name in KEYED_TABLES:
        table = block.tables[name]
        lengths = [length for _, length in table.directory.values()]
        codes = b"".join(array("i", [code]) * length for code, length in enumerate(lengths))
        run_id = pa.DictionaryArray.from_arrays(table.batch.column(0), ids)
        key = pa.DictionaryArray.from_arrays(make_plain(codes, pa.int32()), make_texts(list(table.directory)))
        views[name] = pa.Table.from_arrays(
            [run_id, key, *table.batch.columns[1:]], names=["run_id", "key", *keyed_schema(name).names[1:]]
        )
    return views


def compact_frame(frame: Frame) -> Block:
    """Return the visible rows of a frame as one segment with tables of its own, in their order."""
    import pyarrow as pa

    schema = run_schema()
    columns = [frame.get_attribute(name) for name in schema.names]
    if frame.count < frame.height:
        columns = [column.filter(frame.visible) for column in columns]
    runs = pa.RecordBatch.from_arrays([join_chunks(column) for column in columns], schema=schema)
    places = _find_places(frame)
    return Block(runs, {name: _compact_table(frame, name, places) for name in KEYED_TABLES})


def _find_places(frame: Frame) -> list[pa.Array | None]:
    """Return, for each segment, the new row number of each row, null where it is not visible; None: all are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places: list[pa.Array | None] = []
    for mask in frame.list_masks():
        if mask is None:
            places.append(None)
            continue
        counted = pc.subtract(pc.cumulative_sum(mask.cast(pa.int32())), make_integer(1, pa.int32()))
        places.append(pc.if_else(mask, counted, pa.nulls(len(mask), pa.int32())))
    return places


def _compact_table(frame: Frame, name: str, places: list[pa.Array | None]) -> KeyedTable:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = keyed_schema(name)
    pieces: dict[str, list[pa.RecordBatch]] = {}
    above = 0
    for segment, new_rows in zip(frame.segments, places, strict=True):
        shift = make_integer(above, pa.int32())
        for key in segment.list_keys(name):
            entries = segment.get_entries(name, key)
            if entries is None:
                continue
            rows = entries.column(0)
            if new_rows is not None:
                rows = new_rows.take(rows)
                entries, rows = entries.filter(rows.is_valid()), rows.drop_null()
            if len(rows):
                arrays = [pc.add(rows, shift), *entries.columns[1:]]
                pieces.setdefault(key, []).append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        above += segment.height if new_rows is None else len(new_rows) - new_rows.null_count
    keys = sorted(pieces)
    table = pa.Table.from_batches([piece for key in keys for piece in pieces[key]], schema=schema).combine_chunks()
    batch = pa.RecordBatch.from_arrays([join_chunks(column) for column in table.columns], schema=schema)
    return KeyedTable.of(batch, {key: sum(piece.num_rows for piece in pieces[key]) for key in keys})

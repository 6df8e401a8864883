"""Puts the rows of a frame in order, without sorting more of them than are wanted.

Pure. A key becomes one or more ranks: columns that are ordered by value, their nulls last.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..frame.arrays import join_chunks, make_plain
from .complaint import point_at
from .keys import Column, find_column, get_column, get_values
from .mixed import Mixed, split_kinds
from .numeric import make_int
from .operand import split_number
from .textual import make_nothing, read_numbers
from .tree import SortKey

if TYPE_CHECKING:
    import pyarrow as pa

    from ..frame import Frame


@dataclass(frozen=True)
class _Rank:
    """A column, one value a row of the frame, and which end of it comes first."""

    values: Any
    descending: bool


def sort_rows(frame: Frame, keys: Sequence[SortKey], mask: pa.BooleanArray, *, limit: int | None = None) -> pa.Array:
    """Return the numbers (int64) of a frame's rows for which mask is true, in the order of keys, the first `limit`.

    Rows without a value, and with NaN, come last, whichever way; where all keys are level the run that started last
    comes first, and then the smaller id. In params and tags numbers, and texts that spell one, come before texts. A key
    that no run has orders nothing; check_keys tells. Raises InvalidInput for a limit below 0, for datasets, and for a
    bare name as filter_frame does.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if limit is not None and limit < 0:
        raise InvalidInput(f"a list cannot be limited to {limit} runs")
    rows = pc.indices_nonzero(mask).cast(pa.int64())
    ranks = [rank for key in keys for rank in _make_ranks(key, frame)]
    ranks.append(_Rank(frame.get_attribute("started").cast(pa.int64()), True))
    ranks.append(_Rank(frame.get_attribute("id"), False))
    return pa.concat_arrays([make_plain(b"", pa.int64()), *_order(rows, ranks, len(rows) if limit is None else limit)])


def _order(rows: pa.Array, ranks: Sequence[_Rank], limit: int) -> list[pa.Array]:
    """Return the first rows in order, in pieces: those before the limit's place by the first rank, then its ties."""
    import pyarrow.compute as pc

    if len(rows) <= limit or not limit or not ranks:
        return [_sort(rows[:0] if not limit else rows, ranks)[:limit]]
    first, rest = ranks[0], ranks[1:]
    values = _take(first, rows)
    present = values.is_valid()
    count = len(values) - values.null_count
    if count <= limit:
        return [
            _sort(rows.filter(present), ranks),
            *_order(rows.filter(pc.invert(present)), rest, limit - count),
        ]
    if values.null_count:
        rows, values = rows.filter(present), values.drop_null()
    edge = values[_select(values, limit, descending=first.descending)[-1].as_py()]
    before = pc.greater(values, edge) if first.descending else pc.less(values, edge)
    sure = rows.filter(before)
    return [_sort(sure, ranks), *_order(rows.filter(pc.equal(values, edge)), rest, limit - len(sure))]


def _select(values: Any, limit: int, *, descending: bool) -> Any:
    import pyarrow.compute as pc

    return pc.select_k_unstable(values, limit, [("", "descending" if descending else "ascending")])


def _sort(rows: pa.Array, ranks: Sequence[_Rank]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(rows) < 2:
        return rows
    names = [str(number) for number in range(len(ranks))]
    table = pa.Table.from_arrays([_take(rank, rows) for rank in ranks], names=names)
    orders = ["descending" if rank.descending else "ascending" for rank in ranks]
    return rows.take(pc.sort_indices(table, sort_keys=list(zip(names, orders, strict=True))))


def _take(rank: _Rank, rows: pa.Array) -> pa.Array:
    taken = rank.values.take(rows)
    return join_chunks(taken) if hasattr(taken, "chunks") else taken


def _make_ranks(key: SortKey, frame: Frame) -> list[_Rank]:
    if key.key.group == "any":
        column: Column | None = get_column(key.key, frame, text=key.text)
    else:
        column = find_column(key.key, frame)
    if column is None:
        return []
    if column.table == "datasets":
        raise point_at(key.text, key.key.start, "a run may have several datasets, which have no order")
    if column.kind == "param":
        kind, number, text = (frame.get_column("params", column.key, part) for part in ("kind", "number", "text"))
        columns = _split_mixed(split_kinds(kind, number, text))
    elif column.kind == "label":
        columns = _split_texts(frame.get_column("tags", column.key, "text"))
    else:
        columns = [_make_sortable(get_values(column, frame))]
    return [_Rank(values, key.descending) for values in columns]


def _make_sortable(values: Any) -> Any:
    """Return a column of one kind as numbers or texts that are null where they have no order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(values.type):
        return values.cast(pa.uint8())
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), make_nothing(values.type), values)
    return values


def _split_texts(texts: Any) -> list[Any]:
    """Return the numbers that texts spell, and the texts that spell none."""
    import pyarrow.compute as pc

    numbers = read_numbers(texts)
    others = pc.if_else(pc.is_valid(numbers), make_nothing(texts.type), texts)
    return [_make_sortable(numbers), others]


def _split_mixed(column: Mixed) -> list[Any]:
    """Return a param's numbers, what tells ints apart that are one float, and its texts that are no numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = [] if column.numbers is None else [column.numbers]
    numbers += [] if column.flags is None else [column.flags.cast(pa.float64())]
    others = []
    if column.texts is not None:
        spelled, unspelled = _split_texts(column.texts)
        numbers.append(spelled)
        others.append(unspelled)
    residues = [] if column.digits is None else [_rank_digits(column.digits)]
    return [*([_make_sortable(pc.coalesce(*numbers))] if numbers else []), *residues, *others]


def _rank_digits(digits: Any) -> Any:
    """Return for each int that no float is how it stands to the float nearest to it, below 0 or above; 0 for others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = join_chunks(digits).dictionary_encode()
    residues = [_find_residue(int(text, 0)) for text in codes.dictionary.to_pylist()]
    order = sorted({(0, 0), *residues})
    zero = order.index((0, 0))
    places = make_plain(array("q", [order.index(residue) - zero for residue in residues]), pa.int64())
    return pc.coalesce(places.take(codes.indices), make_int(0))


def _find_residue(number: int) -> tuple[int, int]:
    nearest, side = split_number(number)
    return side, number - int(nearest) if math.isfinite(nearest) else number

"""Puts the rows of a frame in order, without sorting more of them than are wanted.

Pure. A key becomes one or more ranks: values that are ordered as they are, their nulls last. A rank is worked out for
the rows it is needed for: the later ones only where the earlier ones are level.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..frame.arrays import join_chunks, make_plain
from .complaint import point_at
from .keys import Column, find_column, get_column, get_param, get_values
from .mixed import Mixed, has_digits, split_kinds
from .numeric import make_int
from .operand import split_number
from .textual import keep_texts, make_nothing, read_numbers
from .tree import SortKey

if TYPE_CHECKING:
    import pyarrow as pa

    from ..frame import Frame


Reader = Callable[["pa.Array"], "pa.Array"]


@dataclass(frozen=True)
class _Rank:
    """What rows are ordered by: values, as one array, for any rows (int64), and which end of them comes first."""

    read: Reader
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
    ranks.append(_Rank(lambda rows: _make_sortable(_take(frame.get_attribute("started"), rows)), True))
    ranks.append(_Rank(lambda rows: _take(frame.get_attribute("id"), rows), False))
    return pa.concat_arrays([make_plain(b"", pa.int64()), *_order(rows, ranks, len(rows) if limit is None else limit)])


def _order(rows: pa.Array, ranks: Sequence[_Rank], limit: int) -> list[pa.Array]:
    """Return the first rows in order, in pieces: those before the limit's place by the first rank, then its ties."""
    import pyarrow.compute as pc

    if len(rows) <= limit or not limit or not ranks:
        return [_sort(rows[:0] if not limit else rows, ranks)[:limit]]
    first, rest = ranks[0], ranks[1:]
    values = first.read(rows)
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

    if len(rows) < 2 or not ranks:
        return rows
    names = [str(number) for number in range(len(ranks))]
    table = pa.Table.from_arrays([rank.read(rows) for rank in ranks], names=names)
    orders = ["descending" if rank.descending else "ascending" for rank in ranks]
    return rows.take(pc.sort_indices(table, sort_keys=list(zip(names, orders, strict=True))))


def _take(column: Any, rows: pa.Array) -> pa.Array:
    return join_chunks(column.take(rows))


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
        readers = _read_param(column.key, frame)
    elif column.kind == "label":
        readers = _read_texts(get_values(column, frame))
    else:
        values = get_values(column, frame)
        readers = [lambda rows: _make_sortable(values.take(rows))]
    return [_Rank(read, key.descending) for read in readers]


def _read_param(key: str, frame: Frame) -> list[Reader]:
    """Return what reads a param's numbers; what tells ints apart that are one float; its texts that are no numbers."""
    kind, number, text = get_param(key, frame)
    spelled = _spell_numbers(text)

    def split(rows: pa.Array) -> Mixed:
        return split_kinds(kind.take(rows), number.take(rows), text.take(rows))

    readers: list[Reader] = [lambda rows: _find_numbers(split(rows), len(rows), spelled=spelled)]
    if has_digits(kind, text):
        readers.append(lambda rows: _rank_digits(split(rows).digits, len(rows)))
    if text.null_count < len(text):
        readers.append(lambda rows: _drop_numbers(split(rows).texts, len(rows), spelled=spelled))
    return readers


def _read_texts(texts: Any) -> list[Reader]:
    """Return what reads the numbers that texts spell, if any does, and the texts that spell none."""
    spelled = _spell_numbers(texts)
    readers: list[Reader] = [lambda rows: _drop_numbers(texts.take(rows), len(rows), spelled=spelled)]
    return [lambda rows: _make_sortable(read_numbers(texts.take(rows))), *readers] if spelled else readers


def _spell_numbers(texts: Any) -> bool:
    """Tell whether any of these texts spells a number; it takes a fraction of reading all, where few are different."""
    import pyarrow.compute as pc

    numbers = read_numbers(pc.unique(texts))
    return bool(numbers.null_count < len(numbers))


def _find_numbers(column: Mixed, length: int, *, spelled: bool) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = [] if column.numbers is None else [column.numbers]
    numbers += [] if column.flags is None else [column.flags.cast(pa.float64())]
    numbers += [read_numbers(column.texts)] if spelled and column.texts is not None else []
    return _make_sortable(pc.coalesce(*numbers)) if numbers else pa.nulls(length, pa.float64())


def _drop_numbers(texts: Any, length: int, *, spelled: bool) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if texts is None:
        return pa.nulls(length, pa.string())
    return keep_texts(texts, pc.is_null(read_numbers(texts))) if spelled else texts


def _make_sortable(values: pa.Array) -> pa.Array:
    """Return values of one kind as numbers or texts that are null where they have no order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(values.type):
        return values.cast(pa.uint8())
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), make_nothing(values.type), values)
    return values


def _rank_digits(digits: Any, length: int) -> pa.Array:
    """Return for each int that no float is how it stands to the float nearest to it, below 0 or above; 0 for others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if digits is None:
        return make_plain(bytes(length), pa.uint8())
    codes = digits.dictionary_encode()
    residues = [_find_residue(int(text, 0)) for text in codes.dictionary.to_pylist()]
    order = sorted({(0, 0), *residues})
    zero = order.index((0, 0))
    places = make_plain(array("q", [order.index(residue) - zero for residue in residues]), pa.int64())
    return pc.coalesce(places.take(codes.indices), make_int(0))


def _find_residue(number: int) -> tuple[int, int]:
    nearest, side = split_number(number)
    return side, number - int(nearest) if math.isfinite(nearest) else number

"""Makes the wide table of a frame: a typed column for each attribute, param, metric and tag.

Pure. Knows nothing of where frames come from.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import NotFound
from .arrays import make_plain, make_texts
from .schema import BOOL, FLOAT, INT, METRICS, NULL, PARAMS, PRESENCE, TAGS, TEXT, keyed_schema, run_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from .frame import Frame

ATTRIBUTES = (
    "id",
    "name",
    "experiment",
    "status",
    "started",
    "ended",
    "duration",
    "user",
    "parent",
    "commit",
    "source_commit",
    "source_dirty",
    "note",
)


def build_wide_table(frame: Frame, columns: Sequence[str] | None) -> pa.Table:
    """Do what `Frame.to_table` says."""
    import pyarrow as pa

    names = list(_list_columns(frame)) if columns is None else list(columns)
    arrays = []
    for name in names:
        found = _find_column(frame, name)
        if found is None:
            raise NotFound(f"no run has a column {name!r:.100}", hint="gittrack help columns")
        arrays.append(found)
    return pa.Table.from_arrays(arrays, names=names)


def _list_columns(frame: Frame) -> Iterator[str]:
    yield from ATTRIBUTES
    for table in (PARAMS, METRICS, TAGS):
        yield from (f"{table}.{key}" for key in frame.list_keys(table))


def _find_column(frame: Frame, name: str) -> pa.ChunkedArray | None:
    """Return the visible rows of a column; a whole key wins over a shorter one that is followed by a field."""
    if name in run_schema().names:
        return _select(frame, frame.get_attribute(name))
    if name == "duration":
        return _select(frame, _measure_durations(frame))
    table, _, key = name.partition(".")
    if table == PARAMS:
        return _build_param(frame, key)
    if table == TAGS:
        return _find(frame, TAGS, key, "text")
    if table == METRICS:
        last = _find(frame, METRICS, key, "last")
        shorter, _, field = key.rpartition(".")
        if last is None and field in keyed_schema(METRICS).names[1:]:
            return _find(frame, METRICS, shorter, field)
        return last
    return None


def _select(frame: Frame, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if frame.count == frame.height else column.filter(frame.visible)


def _measure_durations(frame: Frame) -> pa.ChunkedArray:
    """Return how long each run took in seconds, null for one that has not ended."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ended, started = (frame.get_attribute(name).cast(pa.int64()) for name in ("ended", "started"))
    second = make_plain(array("d", [1e6]), pa.float64())[0]
    return pc.divide(pc.subtract(ended, started).cast(pa.float64(), safe=False), second)


def _find(frame: Frame, table: str, key: str, field: str) -> pa.ChunkedArray | None:
    column = frame.get_column(table, key, field)
    return None if column is None else _select(frame, column)


def _build_param(frame: Frame, key: str) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = _find(frame, PARAMS, key, PRESENCE[PARAMS])
    number, text = _find(frame, PARAMS, key, "number"), _find(frame, PARAMS, key, "text")
    if kind is None or number is None or text is None:
        return None
    kinds = set(pc.unique(kind).to_pylist()) - {None, NULL}
    if kinds == {BOOL}:
        return number.cast(pa.bool_())
    if kinds == {INT}:
        whole = _build_integers(number, text)
        return _spell(kind, number, text) if whole is None else whole
    if kinds and kinds <= {INT, FLOAT}:
        return number
    return text if kinds <= {TEXT} else _spell(kind, number, text)


def _build_integers(number: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return whole numbers, each exact, or None where one is beyond 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = number.cast(pa.int64(), safe=False)
    if text.null_count == len(text):
        return whole
    try:
        return pc.coalesce(text.cast(pa.int64()), whole)
    except pa.ArrowInvalid:
        return None


def _spell(kind: pa.ChunkedArray, number: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return params of mixed kinds as texts: booleans as `true` and `false`, numbers as Python spells them."""
    import pyarrow as pa

    texts: list[str | None] = []
    for code, value, said in zip(kind.to_pylist(), number.to_pylist(), text.to_pylist(), strict=True):
        if said is not None or code is None or code == NULL:
            texts.append(said)
        elif code == BOOL:
            texts.append("true" if value else "false")
        else:
            texts.append(str(int(value)) if code == INT else str(value))
    return pa.chunked_array([make_texts(texts)])

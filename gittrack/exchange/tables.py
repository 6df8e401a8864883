"""Owns the tables that leave gittrack, in files and to SQL: which there are, and what their columns are called.

`runs` is wide: attributes, `params.K`, `metrics.K` (last values), `tags.K`. The others are tall, one row an entry, and
the same columns whatever the runs hold. Pure but for `points`, whose rows are read from the store as they are asked
for. Knows nothing of formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..frame import Frame
from ..frame.arrays import join_chunks, make_plain, make_texts
from ..frame.schema import (
    ARTIFACTS,
    BOOL,
    FLOAT,
    INPUTS,
    INT,
    METRICS,
    NULL,
    PARAMS,
    TAGS,
    TEXT,
)
from .formats import TableStream

if TYPE_CHECKING:
    import pyarrow as pa

RUNS, POINTS = "runs", "points"
TABLES = (RUNS, PARAMS, METRICS, POINTS, TAGS, ARTIFACTS, INPUTS)

# What a person looks for first; the other attributes stand behind params, metrics and tags.
_FIRST_ATTRIBUTES = ("id", "name", "experiment", "status", "started", "ended", "duration")
_LAST_ATTRIBUTES = (
    "user",
    "host",
    "command",
    "exit_code",
    "note",
    "failure",
    "incomplete",
    "parent",
    "reproduces",
    "revision",
    "live",
    "removed",
    "commit",
    "source_commit",
    "source_branch",
    "source_dirty",
    "source_directory",
    "source_remote",
    "source_captured",
    "source_tree",
)
_KINDS = {NULL: "null", BOOL: "bool", INT: "int", FLOAT: "float", TEXT: "str"}
_NAMES = {ARTIFACTS: {"key": "path"}, INPUTS: {"key": "name"}, TAGS: {"text": "value"}}

PointReader = Callable[[Frame], Iterator["tuple[str, pa.Table]"]]
"""Yields the points of a frame's visible runs: the run's id and a table of its series, several for a long run."""


class RunTables:
    """The tables of a frame's visible runs, each made when it is asked for."""

    def __init__(self, frame: Frame, *, read_points: PointReader) -> None:
        self.frame = frame
        self._read_points = read_points
        self._views: dict[str, pa.Table] = {}

    def make(self, name: str) -> pa.Table:
        """Return a table, of all but `points`; raises InvalidInput for one there is not."""
        if name == RUNS:
            return self.frame.to_table(list_wide_columns(self.frame))
        if name not in TABLES or name == POINTS:
            raise InvalidInput(f"no table {name!r:.60} (there are: {', '.join(TABLES)})")
        if not self._views:
            self._views = self.frame.to_views()
        view = self._views[name]
        if name == PARAMS:
            return _spell_params(view)
        renamed = _NAMES.get(name, {})
        return view.rename_columns([renamed.get(column, column) for column in view.column_names])

    def make_attributes(self) -> pa.Table:
        """Return the runs with their attributes alone: the same columns whatever the runs hold."""
        return self.frame.to_table([*_FIRST_ATTRIBUTES, *_LAST_ATTRIBUTES])

    def stream(self, name: str) -> TableStream:
        """Return any of the tables as a stream; the points are read as it goes."""
        if name == POINTS:
            points = (_name_points(run_id, series) for run_id, series in self._read_points(self.frame))
            return TableStream(points_schema(), points)
        table = self.make(name)
        return TableStream(table.schema, [table], table.num_rows)


def list_wide_columns(frame: Frame) -> list[str]:
    """Return the columns of the wide table of runs, in order."""
    keyed = [f"{table}.{key}" for table in (PARAMS, METRICS, TAGS) for key in frame.list_keys(table)]
    return [*_FIRST_ATTRIBUTES, *keyed, *_LAST_ATTRIBUTES]


@cache
def points_schema() -> pa.Schema:
    """Return the schema of the points: run_id, key, step, timestamp, value."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    columns = [("step", pa.int64()), ("timestamp", pa.timestamp("us", "UTC")), ("value", pa.float64())]
    return pa.schema([("run_id", word), ("key", word), *columns])


def _name_points(run_id: str, points: pa.Table) -> pa.Table:
    import pyarrow as pa

    codes = make_plain(bytes(4 * points.num_rows), pa.int32())
    ids = pa.DictionaryArray.from_arrays(codes, make_texts([run_id]))
    return pa.Table.from_arrays([ids, *points.columns], schema=points_schema())


def _spell_params(view: pa.Table) -> pa.Table:
    """Return params as run_id, key, kind (a word), value (text, null for a null) and number (null for a text)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, number, text = (join_chunks(view.column(name)) for name in ("kind", "number", "text"))
    codes = sorted(_KINDS)
    place = pc.index_in(kind, value_set=pa.array(codes, pa.uint8()))
    words = pa.DictionaryArray.from_arrays(place, make_texts([_KINDS[code] for code in codes]))
    columns = [view.column("run_id"), view.column("key"), words, _spell_values(kind, number, text), number]
    return pa.Table.from_arrays(columns, names=["run_id", "key", "kind", "value", "number"])


def _spell_values(kind: pa.Array, number: pa.Array, text: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    def says(code: int) -> pa.Array:
        return pc.equal(kind, pa.scalar(code, pa.uint8()))

    false, true, nan, infinite, negative = (
        make_texts([word])[0] for word in ("false", "true", "NaN", "Infinity", "-Infinity")
    )
    flags = pc.if_else(pc.equal(number, pa.scalar(1.0)), true, false)
    whole = pc.if_else(says(INT), number, pa.scalar(None, pa.float64())).cast(pa.int64(), safe=False).cast(pa.string())
    endless = pc.if_else(pc.greater(number, pa.scalar(0.0)), infinite, negative)
    floats = pc.if_else(pc.is_finite(number), number.cast(pa.string()), pc.if_else(pc.is_nan(number), nan, endless))
    spelled = pc.if_else(says(BOOL), flags, pc.if_else(says(INT), whole, floats))
    return pc.coalesce(text, spelled)

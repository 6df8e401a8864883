"""Owns the frame: the runs of several segments one after the other, and which of their rows speak.

Pure: arrays in, arrays out. Knows nothing of where segments come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..series.table import make_integer
from .arrays import join_chunks, make_constant
from .schema import PRESENCE, keyed_schema, run_schema
from .segment import Segment, Selection, get_attribute_index, get_field_index

if TYPE_CHECKING:
    import pyarrow as pa


class Frame:
    """Many runs as columns. Rows are numbered from 0 over all segments; those that are not visible do not count.

    A row is not visible where a later revision of its run, in another row, speaks for the run. Immutable.
    """

    def __init__(self, segments: Sequence[Segment], visible: pa.BooleanArray | None = None) -> None:
        """Put segments one after the other; without `visible`, all of their rows are."""
        self.segments = tuple(segments)
        self.height = sum(segment.height for segment in self.segments)
        self._visible = visible
        if visible is not None and (len(visible) != self.height or visible.null_count):
            raise InvalidInput(f"a frame of {self.height} rows needs as many flags, none null, not {len(visible)}")

    @cached_property
    def visible(self) -> pa.BooleanArray:
        """Which rows speak for their runs, as an array of booleans without nulls."""
        return make_constant(True, self.height) if self._visible is None else self._visible

    @cached_property
    def count(self) -> int:
        """The number of visible rows."""
        return self.height if self._visible is None else self._visible.true_count

    @property
    def rows(self) -> pa.Array:
        """The numbers of the visible rows, as int64."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.indices_nonzero(self.visible).cast(pa.int64())

    def get_attribute(self, name: str) -> pa.ChunkedArray:
        """Return an attribute, one value a row, visible or not; raises NotFound for one there is not."""
        import pyarrow as pa

        type = run_schema().field(get_attribute_index(name)).type
        return pa.chunked_array([segment.get_attribute(name) for segment in self.segments], type=type)

    def get_column(self, table: str, key: str, field: str) -> pa.ChunkedArray | None:
        """Return a field of what the runs have under a key of a table, one value a row, null where a run has nothing.

        None where no row, visible or not, has the key. Raises NotFound for a field that the table has not.
        """
        import pyarrow as pa

        type = keyed_schema(table).field(get_field_index(table, field)).type
        columns = [segment.get_dense(table, key, field) for segment in self.segments]
        if all(column is None for column in columns):
            return None
        pieces = [
            pa.nulls(segment.height, type) if column is None else column
            for segment, column in zip(self.segments, columns, strict=True)
        ]
        return pa.chunked_array(pieces, type=type)

    def list_keys(self, table: str) -> dict[str, int]:
        """Return the keys of a table with the number of visible rows that have each, sorted by key."""
        known = self._keys.get(table)
        if known is None:
            known = self._keys[table] = self._count_keys(table)
        return dict(known)

    @cached_property
    def _keys(self) -> dict[str, dict[str, int]]:
        return {}

    def _count_keys(self, table: str) -> dict[str, int]:
        import pyarrow.compute as pc

        counts: dict[str, int] = {}
        for segment, mask in zip(self.segments, self.list_masks(), strict=True):
            for key in segment.list_keys(table):
                present = segment.get_dense(table, key, PRESENCE[table])
                if present is None:
                    continue
                count = len(present) - present.null_count
                if mask is not None and count:
                    count = pc.and_(present.is_valid(), mask).true_count
                counts[key] = counts.get(key, 0) + count
        return {key: counts[key] for key in sorted(counts) if counts[key]}

    def list_masks(self) -> list[pa.BooleanArray | None]:
        """Return which rows of each segment are visible: None where all are."""
        if self._visible is None:
            return [None] * len(self.segments)
        masks = (self._visible.slice(start, segment.height) for start, segment in self.list_places())
        return [None if mask.true_count == len(mask) else mask for mask in masks]

    def list_places(self) -> list[tuple[int, Segment]]:
        """Return each segment with the number of its first row."""
        starts = accumulate((segment.height for segment in self.segments), initial=0)
        return list(zip(starts, self.segments, strict=False))

    def take(self, rows: pa.Array) -> Frame:
        """Return these rows (int64, none twice), in this order, as a frame of one segment; all of them are visible.

        Columns are made when they are asked for.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        parts, places = [], []
        for start, segment in self.list_places():
            first, end = make_integer(start, pa.int64()), make_integer(start + segment.height, pa.int64())
            here = pc.and_(pc.greater_equal(rows, first), pc.less(rows, end))
            if here.true_count:
                parts.append((segment, pc.subtract(rows.filter(here), first).cast(pa.int32())))
                places.append(pc.indices_nonzero(here))
        if sum(map(len, places)) != len(rows):
            raise InvalidInput(f"a frame of {self.height} rows cannot give rows beyond its end")
        order = pc.array_sort_indices(pa.concat_arrays(places)) if len(places) > 1 else None
        return Frame([Selection(parts, order)])

    def filter(self, mask: pa.BooleanArray | pa.ChunkedArray) -> Frame:
        """Return the frame with only those of its visible rows visible for which mask is true; null is not true."""
        import pyarrow as pa
        import pyarrow.compute as pc

        flags = join_chunks(mask) if isinstance(mask, pa.ChunkedArray) else mask
        if flags.null_count:
            flags = pc.coalesce(flags, make_constant(False, len(flags)))
        return Frame(self.segments, pc.and_(flags, self.visible))

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the visible rows as one wide table, in order: attributes, `params.K`, `metrics.K` and `tags.K`.

        A metric's column holds its last value; `metrics.K.min` and the like must be asked for in `columns`, as must
        attributes beyond the usual ones. `duration` is in seconds, null before a run's end. A param that is bool, int
        or float in all runs has that type, int and float together are float64, and any other mixture is text. Times
        are timestamp(us, UTC). Raises NotFound for a column that no run has.
        """
        from .wide import build_wide_table

        return build_wide_table(self, columns)

    def to_views(self) -> dict[str, pa.Table]:
        """Return the visible rows as tall tables: runs, params, metrics, tags, artifacts and inputs.

        `runs` has an attribute a column. The others begin with `run_id` and `key`, dictionary-encoded texts, and have
        one row for each entry of a run; artifacts have their path as key, inputs their name.
        """
        from .tall import build_views

        return build_views(self)


def join_frames(frames: Sequence[Frame]) -> Frame:
    """Return frames one after the other as one."""
    import pyarrow as pa

    if len(frames) == 1:
        return frames[0]
    segments = [segment for frame in frames for segment in frame.segments]
    if all(frame.count == frame.height for frame in frames):
        return Frame(segments)
    return Frame(segments, pa.concat_arrays([frame.visible for frame in frames]))

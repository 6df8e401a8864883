"""One metric's points as plain arrays, the form that figures are computed in.

Pure: a table of points in, arrays out. Knows nothing of runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Points:
    """The points of one metric in the order of their steps: steps, times (UTC microseconds) and values of one length.

    The arrays are not changed once they stand here.
    """

    steps: array[int]
    times: array[int]
    values: array[float]

    def __len__(self) -> int:
        return len(self.values)

    def join(self, later: Points) -> Points:
        """Return these points and later ones together, in the order of their steps, ties in the order of arrival."""
        if not len(self) or not len(later):
            return self if len(self) else later
        steps, times, values = self.steps + later.steps, self.times + later.times, self.values + later.values
        if self.steps[-1] <= later.steps[0]:
            return Points(steps, times, values)
        order = sorted(range(len(steps)), key=steps.__getitem__)
        return Points(_pick(steps, order), _pick(times, order), _pick(values, order))


def make_points(steps: Sequence[int], times: Sequence[int], values: Sequence[float]) -> Points:
    """Return points made by hand; the steps must not fall."""
    return Points(array("q", steps), array("q", times), array("d", values))


def read_points(table: pa.Table) -> Points:
    """Return the points of a series table (columns step int64, timestamp in microseconds, value float64)."""
    steps, times, values = (_copy_column(table, name) for name in ("step", "timestamp", "value"))
    return Points(steps, times, values)


def _copy_column(table: pa.Table, name: str) -> array[Any]:
    copied: array[Any] = array("d" if name == "value" else "q")
    for chunk in table.column(name).chunks:
        data = memoryview(chunk.buffers()[1]).cast("B") if len(chunk) else memoryview(b"")
        copied.frombytes(data[chunk.offset * 8 : (chunk.offset + len(chunk)) * 8])
    return copied


def _pick(column: array[Any], order: Sequence[int]) -> array[Any]:
    return array(column.typecode, map(column.__getitem__, order))

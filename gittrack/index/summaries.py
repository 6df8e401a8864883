"""Reads the numbers of very many summaries at once, by Arrow's JSON reader.

Pure: lines of JSON in, columns out. Knows nothing of runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from ..frame import SegmentBuilder
from ..frame.schema import METRIC_FLOATS, METRIC_INTEGERS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.json as pj

Lines = list[tuple[str, bytes]]


class SummaryBatch:
    """The summaries of some runs, read together.

    `lines` are those of each summary, None for one that has to be read by itself: all, where one of them holds what
    gittrack does not write.
    """

    def __init__(self, summaries: Sequence[Lines | None]) -> None:
        """Take the lines that `split_metrics` found in each summary."""
        self._numbers = _read_numbers([line for lines in summaries for _, line in lines or ()])
        self.lines: Sequence[Lines | None] = summaries if self._numbers is not None else [None] * len(summaries)
        self._starts = [0, *accumulate(len(lines or ()) for lines in self.lines)]
        self._codes: dict[str, int] = {}

    def put(self, builder: SegmentBuilder, taken: Sequence[tuple[int, int]]) -> None:
        """Add the metrics of summaries, given by number, to rows of a builder, given beside it."""
        if self._numbers is None or not taken:
            return
        lines, codes, rows = array("i"), array("i"), array("i")
        for number, row in taken:
            summary = self.lines[number] or ()
            codes.extend([self._codes.setdefault(key, len(self._codes)) for key, _ in summary])
            lines.extend(range(self._starts[number], self._starts[number + 1]))
            rows.extend([row] * len(summary))
        if not codes:
            return
        import pyarrow as pa

        from ..frame.arrays import make_plain

        numbers = self._numbers
        if len(lines) < numbers.num_rows:
            numbers = numbers.take(make_plain(lines, pa.int32()))
        builder.add_metrics(list(self._codes), codes, rows, numbers)


def _read_numbers(lines: Sequence[bytes]) -> pa.Table | None:
    """Return the numbers of JSON objects (without their first brace), a column each; None where one holds others."""
    import pyarrow as pa
    import pyarrow.json as pj

    if not lines:
        return _schema().empty_table()
    data = b"{" + b"\n{".join(lines)
    try:
        found = pj.read_json(pa.BufferReader(data), parse_options=_options())
    except pa.ArrowInvalid:
        return None
    complete = found.num_rows == len(lines) and not any(column.null_count for column in found.columns)
    return found.select(_schema().names) if complete else None


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa

    floats = [(name, pa.float64()) for name in METRIC_FLOATS]
    return pa.schema([*floats, *((name, pa.int64()) for name in METRIC_INTEGERS)])


@cache
def _options() -> pj.ParseOptions:
    import pyarrow.json as pj

    return pj.ParseOptions(explicit_schema=_schema(), unexpected_field_behavior="error")

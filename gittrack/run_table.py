"""Owns the table of several runs: a sequence that reads a run when it is asked for, and columns that need none of them.

Knows nothing of how runs are found.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from .errors import GittrackError, Unsupported
from .stored_run import StoredRun, show_value

if TYPE_CHECKING:
    import pyarrow as pa

    from .frame import Frame

_SHOWN_ROWS = 100

# So many rows are read off the frame at once, and so many times that are kept.
_BLOCK = 64
_MOST_BLOCKS = 32


class RunTable(Sequence[StoredRun]):
    """Several runs, newest first, as a sequence, an Arrow table, or a pandas or Polars frame.

    It stands for the runs as they were when it was made. What a list of runs shows is at hand without reading them; the
    rest of a run is read from the store when it is asked for, which raises Corrupt or NotFound where it is damaged or
    gone by then. Iteration passes over a run of which nothing at all can be read.
    """

    def __init__(
        self, frame: Frame, load: Callable[[Frame, int], StoredRun], *, report: Callable[[GittrackError], None]
    ) -> None:
        """Take the visible rows of a frame, in order; `load` reads the run of a row, `report` is told of failures."""
        self._frame = frame if frame.count == frame.height else frame.take(frame.rows)
        self._load = load
        self._report = report
        self._blocks: dict[int, list[StoredRun | None]] = {}

    @property
    def frame(self) -> Frame:
        """The runs as columns; all rows are visible."""
        return self._frame

    @overload
    def __getitem__(self, index: int) -> StoredRun: ...
    @overload
    def __getitem__(self, index: slice) -> RunTable: ...
    def __getitem__(self, index: int | slice) -> StoredRun | RunTable:
        if isinstance(index, slice):
            return self._slice(index)
        row = range(len(self))[index]
        number, place = divmod(row, _BLOCK)
        block = self._blocks.get(number)
        if block is None:
            block = self._read_block(number)
        found = block[place]
        if found is None:
            found = block[place] = self._load(self._frame, row)
        return found

    def _read_block(self, number: int) -> list[StoredRun | None]:
        """Return some neighbouring runs, None for those that have to be read whole."""
        from .facts import read_facts

        start = number * _BLOCK
        stop = min(start + _BLOCK, len(self))
        commits, lives = (
            self._frame.get_attribute(name).slice(start, stop - start).to_pylist() for name in ("commit", "live")
        )
        block: list[StoredRun | None] = [
            None
            if facts is None or live or commit is None
            else StoredRun.of_facts(facts, commit=commit, load=partial(self._load, self._frame, start + place))
            for place, (facts, commit, live) in enumerate(
                zip(read_facts(self._frame, start, stop), commits, lives, strict=True)
            )
        ]
        while len(self._blocks) >= _MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = block
        return block

    def __len__(self) -> int:
        return self._frame.height

    def __iter__(self) -> Iterator[StoredRun]:
        for row in range(len(self)):
            try:
                found = self[row]
            except GittrackError as error:
                self._report(error)
                continue
            yield found

    def __repr__(self) -> str:
        return f"<RunTable of {len(self)} runs>"

    def to_rows(self) -> list[dict[str, object]]:
        """Return one flat mapping a run: its attributes, `params.*`, `metrics.*` (last values) and `tags.*`."""
        return [_flatten(run) for run in self]

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the runs as an Arrow table: a typed column for each attribute, `params.*`, `metrics.*` and `tags.*`.

        A param that has different types in different runs becomes a column of strings; times are timestamp(us, UTC).
        `columns` chooses some, or others such as `metrics.loss.min` and `user`; raises NotFound for one no run has.
        """
        return self._frame.to_table(columns)

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Return what `to_arrow` does as a pandas DataFrame; raises Unsupported where pandas is not installed."""
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise Unsupported("pandas is not installed", hint="pip install pandas") from None
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """Return what `to_arrow` does as a Polars DataFrame; raises Unsupported where Polars is not installed."""
        try:
            import polars
        except ImportError:
            raise Unsupported("polars is not installed", hint="pip install polars") from None
        return polars.from_arrow(self.to_arrow(columns))

    def _slice(self, index: slice) -> RunTable:
        from array import array

        import pyarrow as pa

        from .frame.arrays import make_plain

        chosen = range(len(self))[index]
        rows = make_plain(array("q", chosen), pa.int64())
        return RunTable(self._frame.take(rows), self._load, report=self._report)

    def _repr_html_(self) -> str:
        shown = self[:_SHOWN_ROWS]
        rows = shown.to_rows()
        columns = list(dict.fromkeys(key for row in rows for key in row if key not in ("ended", "commit")))
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{show_value(row.get(column, ''))}</td>" for column in columns) + "</tr>"
            for row in rows
        )
        more = f"<caption>the first {len(shown)} of {len(self)} runs</caption>" if len(shown) < len(self) else ""
        return f"<table>{more}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _flatten(run: StoredRun) -> dict[str, object]:
    row: dict[str, object] = {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "status": str(run.status),
        "started": run.started,
        "ended": run.ended,
        "commit": run.commit,
    }
    row.update((f"params.{key}", value) for key, value in sorted(run.params.items()))
    row.update((f"metrics.{key}", value) for key, value in sorted(run.metrics.items()))
    row.update((f"tags.{key}", value) for key, value in sorted(run.tags.items()))
    return row

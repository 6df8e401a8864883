"""Makes segments: takes runs one by one and lays them out as columns.

Pure: values in, columns out. Knows nothing of where runs come from.
"""

from __future__ import annotations

import math
import shlex
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model import Input, MetricSummary, Pointer, Run, Scalar
from .arrays import clamp, encode_text, make_mask, make_numbers, make_plain, make_texts
from .schema import (
    ARTIFACTS,
    BOOL,
    FLOAT,
    INPUTS,
    INT,
    METRIC_FLOATS,
    METRIC_INTEGERS,
    METRICS,
    NULL,
    PARAMS,
    TAGS,
    TEXT,
    keyed_schema,
    run_schema,
)
from .segment import Block, KeyedTable, Segment

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT_INT = 2**53


@dataclass(frozen=True)
class RunRecord:
    """A run as it goes into a segment.

    `commit` is the commit that holds this revision, `commit_time` its time in UTC seconds since 1970, `tree` its tree;
    all None for a live run that has no commit yet. `live` tells that a process is recording it right now.
    """

    run: Run
    params: Mapping[str, Scalar]
    summary: Mapping[str, MetricSummary]
    artifacts: Mapping[str, Pointer]
    commit: str | None = None
    commit_time: int | None = None
    tree: str | None = None
    live: bool = False


def build_segment(records: Iterable[RunRecord]) -> Segment:
    """Return the records as a segment, one row each, in their order."""
    builder = SegmentBuilder()
    for record in records:
        builder.add_run(
            record.run, commit=record.commit, commit_time=record.commit_time, tree=record.tree, live=record.live
        )
        builder.add_params(record.params)
        for key, summary in record.summary.items():
            builder.add_metric(
                key,
                [getattr(summary, name) for name in METRIC_FLOATS],
                [getattr(summary, name) for name in METRIC_INTEGERS],
            )
        builder.add_artifacts(record.artifacts)
    return builder.finish()


class SegmentBuilder:
    """A segment in the making: `add_run` opens a row, the other methods add to the row that was opened last.

    `height` is the number of rows so far, `weight` about how many bytes of text and numbers they hold. An empty text
    of a run, such as no note, is a null. A whole number too large for its column becomes the nearest that fits. A key
    counts once in a row; only inputs may share a name.
    """

    def __init__(self) -> None:
        self.height = 0
        self.weight = 0
        self._runs: list[tuple[Any, ...]] = []
        self._params: dict[str, _Params] = {}
        self._metrics: dict[str, _Metrics] = {}
        self._tags: dict[str, _Entries] = {}
        self._artifacts: dict[str, _Entries] = {}
        self._inputs: dict[str, _Entries] = {}
        self._keys: dict[str, str] = {}

    def add_run(
        self, run: Run, *, commit: str | None, commit_time: int | None, tree: str | None, live: bool = False
    ) -> None:
        """Open the next row: a run's attributes, tags and inputs."""
        source, failure = run.source, run.failure
        command = shlex.join(run.command)
        self._runs.append(
            (
                run.id,
                run.name,
                run.experiment,
                run.status.value,
                run.started,
                run.ended,
                run.removed,
                run.parent,
                run.reproduces,
                run.user or None,
                run.host or None,
                run.note or None,
                command or None,
                run.revision,
                run.exit_code,
                live,
                run.incomplete or None,
                None if failure is None else f"{failure.type}: {failure.message}",
                commit,
                commit_time,
                tree,
                source.commit,
                source.branch,
                source.remote,
                source.tree,
                source.directory,
                source.dirty,
                source.captured,
            )
        )
        self.height += 1
        self.weight += 600 + len(run.note) + len(command)
        for key, text in run.tags.items():
            self._add_entry(self._tags, key, (text,))
            self.weight += len(text)
        for entry in run.inputs:
            self._add_input(entry)

    def add_params(self, params: Mapping[str, Scalar]) -> None:
        """Add params to the open row."""
        row = self.height - 1
        for key, value in params.items():
            column = self._params.get(key)
            if column is None:
                column = self._params.setdefault(self._clean(key), _Params())
            if type(value) is str:
                self.weight += len(value)
            column.add(row, value)
        self.weight += 30 * len(params)

    def add_metric(self, key: str, floats: list[float], integers: list[int]) -> None:
        """Add a metric's summary to the open row: values as METRIC_FLOATS and METRIC_INTEGERS name them."""
        column = self._metrics.get(key)
        if column is None:
            column = self._metrics.setdefault(self._clean(key), _Metrics())
        column.add(self.height - 1, floats, integers)
        self.weight += 84

    def add_artifacts(self, artifacts: Mapping[str, Pointer]) -> None:
        """Add artifacts to the open row."""
        for path, pointer in artifacts.items():
            self._add_entry(self._artifacts, path, (pointer.oid, pointer.size))
        self.weight += 100 * len(artifacts)

    def finish(self) -> Segment:
        """Return what was added as a segment."""
        return Block(
            self._build_runs(),
            {
                PARAMS: self._build_params(),
                METRICS: self._build_metrics(),
                TAGS: _build_entries(TAGS, self._tags),
                ARTIFACTS: _build_entries(ARTIFACTS, self._artifacts),
                INPUTS: _build_entries(INPUTS, self._inputs),
            },
        )

    def _clean(self, key: str) -> str:
        return key if key.isascii() else encode_text(key).decode()

    def _add_input(self, entry: Input) -> None:
        column = self._inputs.setdefault(self._clean(entry.name), _Entries())
        column.rows.append(self.height - 1)
        column.values.append((entry.path, entry.kind, entry.digest, entry.size, entry.context))
        self.weight += 200

    def _add_entry(self, table: dict[str, _Entries], key: str, values: tuple[Any, ...]) -> None:
        column = table.get(key)
        if column is None:
            column = table.setdefault(self._clean(key), _Entries())
        row = self.height - 1
        if not column.rows or column.rows[-1] != row:
            column.rows.append(row)
            column.values.append(values)

    def _build_runs(self) -> pa.RecordBatch:
        import pyarrow as pa

        schema = run_schema()
        columns = list(zip(*self._runs, strict=True)) or [()] * len(schema)
        arrays = [_build_column(values, field.type) for values, field in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _build_params(self) -> KeyedTable:
        import pyarrow as pa

        keys = sorted(self._params)
        columns = [self._params[key] for key in keys]
        kinds = b"".join(column.kinds for column in columns)
        numbers = make_plain(b"".join(column.numbers for column in columns), pa.float64())
        has_number = bytes(kind in (BOOL, INT, FLOAT) for kind in kinds)
        if not all(has_number):
            validity = make_mask(has_number).buffers()[1]
            numbers = pa.Array.from_buffers(pa.float64(), len(kinds), [validity, numbers.buffers()[1]])
        texts = make_texts([text for column in columns for text in column.texts])
        return _assemble(PARAMS, keys, columns, [make_plain(kinds, pa.uint8()), numbers, texts])

    def _build_metrics(self) -> KeyedTable:
        import pyarrow as pa

        keys = sorted(self._metrics)
        columns = [self._metrics[key] for key in keys]
        floats = len(METRIC_FLOATS)
        integers = len(METRIC_INTEGERS)
        arrays = [
            make_plain(b"".join(column.floats[at::floats] for column in columns), pa.float64()) for at in range(floats)
        ]
        arrays += [
            make_plain(b"".join(column.integers[at::integers] for column in columns), pa.int64())
            for at in range(integers)
        ]
        return _assemble(METRICS, keys, columns, arrays)


class _Params:
    """One param over the rows that have it."""

    __slots__ = ("kinds", "numbers", "rows", "texts")

    def __init__(self) -> None:
        self.rows = array("i")
        self.kinds = bytearray()
        self.numbers = array("d")
        self.texts: list[str | None] = []

    def add(self, row: int, value: Scalar) -> None:
        if self.rows and self.rows[-1] == row:
            return
        kind, number, text = _spread(value)
        self.rows.append(row)
        self.kinds.append(kind)
        self.numbers.append(number)
        self.texts.append(text)


class _Metrics:
    """One metric's summaries over the rows that have it, each row's numbers one after the other."""

    __slots__ = ("floats", "integers", "rows")

    def __init__(self) -> None:
        self.rows = array("i")
        self.floats = array("d")
        self.integers = array("q")

    def add(self, row: int, floats: list[float], integers: list[int]) -> None:
        if self.rows and self.rows[-1] == row:
            return
        self.rows.append(row)
        self.floats.fromlist(floats)
        try:
            self.integers.fromlist(integers)
        except OverflowError:
            self.integers.fromlist([clamp(value, 64) for value in integers])


class _Entries:
    """One key of another table over the rows that have it."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows = array("i")
        self.values: list[tuple[Any, ...]] = []


def _spread(value: Scalar) -> tuple[int, float, str | None]:
    """Return a param's kind, number and text; the number stands for nothing where the kind has none."""
    if value is None:
        return NULL, 0.0, None
    if isinstance(value, bool):
        return BOOL, float(value), None
    if isinstance(value, int):
        if -_EXACT_INT <= value <= _EXACT_INT:
            return INT, float(value), None
        try:
            return INT, float(value), _spell_int(value)
        except OverflowError:
            return INT, math.inf if value > 0 else -math.inf, _spell_int(value)
    if isinstance(value, float):
        return FLOAT, value, None
    return TEXT, 0.0, value


def _spell_int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python is willing to spell
        return hex(value)


def _build_column(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if type == pa.string():
        return make_texts(values)
    return make_mask(bytes(values)) if type == pa.bool_() else make_numbers(values, type)


def _build_entries(table: str, entries: Mapping[str, _Entries]) -> KeyedTable:
    keys = sorted(entries)
    columns = [entries[key] for key in keys]
    fields = [field.type for field in keyed_schema(table)][1:]
    values = list(zip(*(entry for column in columns for entry in column.values), strict=True)) or [()] * len(fields)
    arrays = [_build_column(column, type) for column, type in zip(values, fields, strict=True)]
    return _assemble(table, keys, columns, arrays)


def _assemble(
    table: str, keys: Sequence[str], columns: Sequence[_Params | _Metrics | _Entries], arrays: Sequence[pa.Array]
) -> KeyedTable:
    import pyarrow as pa

    rows = make_plain(b"".join(column.rows for column in columns), pa.int32())
    batch = pa.RecordBatch.from_arrays([rows, *arrays], schema=keyed_schema(table))
    return KeyedTable.of(batch, dict(zip(keys, (len(column.rows) for column in columns), strict=True)))

"""Makes segments: takes runs one by one and lays them out as columns.

Pure: values in, columns out. Knows nothing of where runs come from.
"""

from __future__ import annotations

import math
import re
import shlex
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model import Input, MetricSummary, Pointer, Run, Scalar
from .arrays import clamp, encode_text, join_chunks, join_texts, make_mask, make_numbers, make_plain, make_texts
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
from .segment import Block, KeyedTable

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT_INT = 2**53
_find_unsafe = re.compile(r"[^\w@%+=:,./ -]", re.ASCII).search
_KINDS = {type(None): NULL, bool: BOOL, int: INT, float: FLOAT, str: TEXT}
_HAS_NUMBER = bytes(kind in (BOOL, INT, FLOAT) for kind in range(256))

_METRIC_FIELDS = len(METRIC_FLOATS) + len(METRIC_INTEGERS)

# Takes the floats that METRIC_FLOATS names, then the integers that METRIC_INTEGERS does; raises struct.error for an
# integer beyond 64 bits.
pack_metric = struct.Struct(f"={len(METRIC_FLOATS)}d{len(METRIC_INTEGERS)}q").pack


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


def build_segment(records: Iterable[RunRecord]) -> Block:
    """Return the records as a segment, one row each, in their order."""
    builder = SegmentBuilder()
    for record in records:
        builder.add_run(
            record.run, commit=record.commit, commit_time=record.commit_time, tree=record.tree, live=record.live
        )
        builder.add_params(record.params)
        builder.add_summary(record.summary)
        builder.add_artifacts(record.artifacts)
    return builder.finish()


class SegmentBuilder:
    """A segment in the making: `add_run` opens a row, the other methods add to the row that was opened last.

    `height` is the number of rows so far, `weight` about how many bytes of text and numbers they hold. An empty text
    of a run, such as no note, is a null. A whole number too large for its column becomes the nearest that fits. Params
    are of the very types None, bool, int, float and str.
    """

    def __init__(self) -> None:
        self.height = 0
        self.weight = 0
        self._runs: list[tuple[Any, ...]] = []
        self._params: dict[str, _Params] = {}
        self._metrics: dict[str, _Metrics] = {}
        self._metric_codes: dict[str, int] = {}
        self._metric_lines: list[pa.Table] = []
        self._tags: dict[str, _Entries] = {}
        self._artifacts: dict[str, _Entries] = {}
        self._inputs: dict[str, _Entries] = {}
        self._spelled: dict[str, str] = {}

    def add_run(
        self, run: Run, *, commit: str | None, commit_time: int | None, tree: str | None, live: bool = False
    ) -> None:
        """Open the next row: a run's attributes, tags and inputs."""
        source, failure = run.source, run.failure
        values = (
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
            join_words(run.command) or None,
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
        self.add_row(values, run.tags, weight=sum(len(value) for value in values if type(value) is str))
        for entry in run.inputs:
            self._add_input(entry)

    def add_row(self, values: tuple[Any, ...], tags: Mapping[str, str], *, weight: int) -> None:
        """Open the next row by its values, in the order of the schema of runs; `weight` is how much text they hold."""
        self._runs.append(values)
        self.height += 1
        self.weight += 300 + weight
        for key, text in tags.items():
            self._add_entry(self._tags, key, (text,))
            self.weight += 100 + len(key) + len(text)

    def add_params(self, params: Mapping[str, Scalar]) -> None:
        """Add params to the open row."""
        row, columns, weight = self.height - 1, self._params, 30 * len(params)
        for key, value in params.items():
            column = columns.get(key)
            if column is None:
                column = columns.setdefault(self._spell(key), _Params())
            column.rows.append(row)
            column.values.append(value)
            weight += len(key)
            if type(value) is str:
                weight += len(value)
        self.weight += weight

    def add_summary(self, summary: Mapping[str, MetricSummary]) -> None:
        """Add the summaries of metrics to the open row."""
        for key, value in summary.items():
            floats = (getattr(value, name) for name in METRIC_FLOATS)
            integers = (clamp(getattr(value, name), 64) for name in METRIC_INTEGERS)
            self.add_metric(key, pack_metric(*floats, *integers))

    def add_metric(self, key: str, data: bytes) -> None:
        """Add a metric to the open row, its numbers packed by `pack_metric`."""
        column = self._metrics.get(key)
        if column is None:
            column = self._metrics.setdefault(self._spell(key), _Metrics())
        column.rows.append(self.height - 1)
        column.data += data
        self.weight += 84 + len(key)

    def add_metrics(self, keys: Sequence[str], codes: array[int], rows: array[int], numbers: pa.Table) -> None:
        """Add many metrics at once, to rows that are open or were before.

        `numbers` has a column for each number that METRIC_FLOATS and METRIC_INTEGERS name, `rows` says to which row
        each line of it belongs, and `codes` to which of the keys.
        """
        import pyarrow as pa

        known = [self._metric_codes.setdefault(self._spell(key), len(self._metric_codes)) for key in keys]
        own = make_plain(array("i", known), pa.int32())
        self._metric_lines.append(
            pa.Table.from_arrays(
                [own.take(make_plain(codes, pa.int32())), make_plain(rows, pa.int32()), *numbers.columns],
                names=["code", "row", *numbers.column_names],
            )
        )
        self.weight += 100 * len(codes)

    def add_artifacts(self, artifacts: Mapping[str, Pointer]) -> None:
        """Add artifacts to the open row."""
        for path, pointer in artifacts.items():
            self._add_entry(self._artifacts, path, (pointer.oid, pointer.size))
            self.weight += 250 + len(path)

    def finish(self) -> Block:
        """Return what was added as a segment."""
        return Block(
            self._build_runs(),
            {
                PARAMS: self._build_params(),
                METRICS: self._build_metrics(),
                TAGS: self._build_entries(TAGS, self._tags),
                ARTIFACTS: self._build_entries(ARTIFACTS, self._artifacts),
                INPUTS: self._build_entries(INPUTS, self._inputs),
            },
        )

    def _spell(self, key: str) -> str:
        """Return a key as a column can be called, and remember where that is not its own spelling."""
        if key.isascii():
            return key
        spelled = encode_text(key).decode()
        if spelled != key:
            self._spelled[spelled] = key
        return spelled

    def _add_input(self, entry: Input) -> None:
        column = self._inputs.setdefault(self._spell(entry.name), _Entries())
        column.rows.append(self.height - 1)
        column.values.append((entry.path, entry.kind, entry.digest, entry.size, entry.context))
        self.weight += 200 + sum(map(len, (entry.name, entry.path, entry.digest, entry.context)))

    def _add_entry(self, table: dict[str, _Entries], key: str, values: tuple[Any, ...]) -> None:
        column = table.get(key)
        if column is None:
            column = table.setdefault(self._spell(key), _Entries())
        column.rows.append(self.height - 1)
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
        self._drop_repeats(self._params)
        kinds = b"".join(bytes(map(_KINDS.__getitem__, map(type, column.values))) for column in columns)
        numbers = make_plain(b"".join(map(_spread_numbers, columns)), pa.float64())
        has_number = kinds.translate(_HAS_NUMBER)
        if 0 in has_number:
            validity = make_mask(has_number).buffers()[1]
            numbers = pa.Array.from_buffers(pa.float64(), len(kinds), [validity, numbers.buffers()[1]])
        texts = join_texts(map(_spread_texts, columns))
        return _assemble(PARAMS, keys, columns, [make_plain(kinds, pa.uint8()), numbers, texts])

    def _build_metrics(self) -> KeyedTable:
        import pyarrow as pa

        keys = sorted(self._metrics)
        columns = [self._metrics[key] for key in keys]
        self._drop_repeats(self._metrics)
        arrays = []
        for place in range(_METRIC_FIELDS):
            is_float = place < len(METRIC_FLOATS)
            views = (memoryview(column.data).cast("d" if is_float else "q") for column in columns)
            data = b"".join(view[place::_METRIC_FIELDS].tobytes() for view in views)
            arrays.append(make_plain(data, pa.float64() if is_float else pa.int64()))
        table = _assemble(METRICS, keys, columns, arrays)
        return self._sort_metrics(table) if self._metric_lines else table

    def _sort_metrics(self, table: KeyedTable) -> KeyedTable:
        """Return the metrics of a table and those that came many at once, together in order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        codes = self._metric_codes
        own = b"".join(
            array("i", [codes.setdefault(key, len(codes))]) * length for key, (_, length) in table.directory.items()
        )
        first = pa.Table.from_batches([table.batch])
        first = first.add_column(0, "code", make_plain(own, pa.int32()))
        lines = pa.concat_tables([first, *(part.select(first.column_names) for part in self._metric_lines)])
        keys = sorted(codes)
        ranks = make_plain(
            array("i", sorted(range(len(keys)), key=[codes[key] for key in keys].__getitem__)), pa.int32()
        )
        lines = lines.set_column(0, "code", ranks.take(join_chunks(lines.column(0)))).combine_chunks()
        lines = lines.take(pc.sort_indices(lines, sort_keys=[("code", "ascending"), ("row", "ascending")]))
        runs = pc.run_end_encode(join_chunks(lines.column("code")))
        ends = runs.run_ends.to_pylist()
        starts = [0, *ends[:-1]]
        lengths = {
            keys[rank]: end - start for rank, start, end in zip(runs.values.to_pylist(), starts, ends, strict=True)
        }
        batch = pa.RecordBatch.from_arrays(
            [join_chunks(column) for column in lines.columns[1:]], schema=keyed_schema(METRICS)
        )
        return KeyedTable.of(batch, lengths)

    def _build_entries(self, table: str, entries: Mapping[str, _Entries]) -> KeyedTable:
        keys = sorted(entries)
        columns = [entries[key] for key in keys]
        if table != INPUTS:
            self._drop_repeats(entries)
        fields = [field.type for field in keyed_schema(table)][1:]
        values = list(zip(*(entry for column in columns for entry in column.values), strict=True)) or [()] * len(fields)
        arrays = [_build_column(column, type) for column, type in zip(values, fields, strict=True)]
        return _assemble(table, keys, columns, arrays)

    def _drop_repeats(self, columns: Mapping[str, _Params | _Metrics | _Entries]) -> None:
        """Leave one entry a row where two keys came to be spelled alike."""
        for key in self._spelled.keys() & columns.keys():
            columns[key].drop_repeats()


class _Params:
    """One param over the rows that have it."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows = array("i")
        self.values: list[Scalar] = []

    def drop_repeats(self) -> None:
        kept = dict(zip(reversed(self.rows), reversed(self.values), strict=True))
        self.rows, self.values = array("i", reversed(kept)), list(reversed(kept.values()))


class _Metrics:
    """One metric's summaries over the rows that have it, each row's numbers one after the other."""

    __slots__ = ("data", "rows")

    def __init__(self) -> None:
        self.rows = array("i")
        self.data = bytearray()

    def drop_repeats(self) -> None:
        size = 8 * _METRIC_FIELDS
        pieces = (self.data[start : start + size] for start in range(0, len(self.data), size))
        kept = dict(zip(reversed(self.rows), reversed(list(pieces)), strict=True))
        self.rows, self.data = array("i", reversed(kept)), bytearray(b"".join(reversed(kept.values())))


class _Entries:
    """One key of another table over the rows that have it."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows = array("i")
        self.values: list[tuple[Any, ...]] = []

    def drop_repeats(self) -> None:
        kept = dict(zip(reversed(self.rows), reversed(self.values), strict=True))
        self.rows, self.values = array("i", reversed(kept)), list(reversed(kept.values()))


def join_words(words: Sequence[str]) -> str:
    """Return a command line as a shell would read it, words quoted where they need it."""
    joined = " ".join(words)
    if _find_unsafe(joined) is None and joined.count(" ") == len(words) - 1 and "" not in words:
        return joined
    return shlex.join(words)


def _spread_numbers(column: _Params) -> array[float]:
    """Return a number for each value: itself where it is one, and anything where it is not."""
    try:
        return array("d", column.values)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return array("d", map(_find_number, column.values))


def _find_number(value: Scalar) -> float:
    if value is None or isinstance(value, str):
        return 0.0
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _spread_texts(column: _Params) -> Sequence[str | None] | int:
    """Return what the text column holds: a text, and the digits of a whole number that a float cannot hold.

    Where there is nothing of the sort, the number of rows.
    """
    types = set(map(type, column.values))
    if types == {str}:
        return column.values  # type: ignore[return-value]
    if types <= {float, bool, type(None)}:
        return len(column.values)
    texts = [_find_text(value) for value in column.values]
    return texts if any(text is not None for text in texts) else len(texts)


def _find_text(value: Scalar) -> str | None:
    if type(value) is str:
        return value
    if type(value) is int and not -_EXACT_INT <= value <= _EXACT_INT:
        return _spell_int(value)
    return None


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


def _assemble(
    table: str, keys: Sequence[str], columns: Sequence[_Params | _Metrics | _Entries], arrays: Sequence[pa.Array]
) -> KeyedTable:
    import pyarrow as pa

    rows = make_plain(b"".join(column.rows for column in columns), pa.int32())
    batch = pa.RecordBatch.from_arrays([rows, *arrays], schema=keyed_schema(table))
    return KeyedTable.of(batch, dict(zip(keys, (len(column.rows) for column in columns), strict=True)))

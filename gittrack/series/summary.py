"""Owns metric summaries: what a series is in a few numbers, exact however its points were cut into tables.

Knows tables of points, nothing of how they are stored.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model import MetricSummary
from .table import find_keys, find_segments, get_column, make_integer

if TYPE_CHECKING:
    import pyarrow as pa

Point = tuple[int, int, float]

# Up to so many points Python sums as fast as Arrow is imported.
_FEW = 20_000
_FRACTION_BITS = 52
_HALF_BITS = 26
_NOT_FINITE = 2047
_UNIT = 1074


def summarize(tables: Iterable[pa.Table]) -> dict[str, MetricSummary]:
    """Return each metric's summary over the points of all tables, one table in memory at a time, sorted by metric.

    The result depends on the points alone: not on how they were cut into tables, nor on the order of the tables.
    """
    builder = SummaryBuilder()
    for table in tables:
        builder.add(table)
    return builder.build()


class SummaryBuilder:
    """Summaries of a run that arrives in parts: add each part's table once, in any order, and build at any time.

    It keeps a few numbers a metric, so a long run that holds on to it need not read its earlier parts again at a
    checkpoint. (A MetricSummary alone cannot be continued: its mean is rounded.)
    Sums are exact, kept as integers; so the mean is the true mean of the points, rounded once to the nearest double,
    and cannot overflow. It is infinite where an infinity is among the points, and NaN where both are. Where the least
    or greatest value was reached by several points, 0.0 and -0.0 being the same value, the first of them counts.
    """

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def add(self, table: pa.Table) -> None:
        """Take the points of one table into account."""
        for name, part in _read_few(table) if table.num_rows <= _FEW else _read_many(table):
            known = self._series.get(name)
            self._series[name] = part if known is None else known.join(part)

    def build(self) -> dict[str, MetricSummary]:
        """Return the summaries of all that was added, sorted by metric."""
        return {name: self._series[name].summarize() for name in sorted(self._series)}

    def dump(self) -> dict[str, list[object]]:
        """Return what is known so far as JSON-ready values, from which `restore` makes the same builder."""
        return {name: series.dump() for name, series in self._series.items()}

    @classmethod
    def restore(cls, dumped: Mapping[str, list[Any]]) -> SummaryBuilder:
        """Return the builder that was dumped; raises ValueError, TypeError or struct.error for anything else."""
        builder = cls()
        for name, values in dumped.items():
            builder._series[name] = _Series.restore(values)
        return builder


@dataclass(frozen=True)
class _Series:
    """What is known of one metric so far; `total` is the sum of its `finite` finite values, in units of 2**-1074."""

    count: int
    first: Point
    last: Point
    lowest: Point | None
    highest: Point | None
    finite: int
    total: int

    def dump(self) -> list[object]:
        points = (self.first, self.last, self.lowest, self.highest)
        dumped = (None if point is None else _dump(point) for point in points)
        return [self.count, *dumped, self.finite, hex(self.total)]

    @classmethod
    def restore(cls, values: list[Any]) -> _Series:
        count, first, last, lowest, highest, finite, total = values
        low, high = (None if point is None else _restore(point) for point in (lowest, highest))
        return cls(int(count), _restore(first), _restore(last), low, high, int(finite), int(total, 16))

    def join(self, other: _Series) -> _Series:
        lows = [point for point in (self.lowest, other.lowest) if point is not None]
        highs = [point for point in (self.highest, other.highest) if point is not None]
        return _Series(
            count=self.count + other.count,
            first=min(self.first, other.first, key=_rank),
            last=max(self.last, other.last, key=_rank),
            lowest=min(lows, key=lambda point: (point[2], _rank(point)), default=None),
            highest=min(highs, key=lambda point: (-point[2], _rank(point)), default=None),
            finite=self.finite + other.finite,
            total=self.total + other.total,
        )

    def summarize(self) -> MetricSummary:
        no_number = (self.first[0], self.first[1], math.nan)
        lowest, highest = self.lowest or no_number, self.highest or no_number
        return MetricSummary(
            count=self.count,
            first=self.first[2],
            first_step=self.first[0],
            last=self.last[2],
            last_step=self.last[0],
            min=lowest[2],
            min_step=lowest[0],
            max=highest[2],
            max_step=highest[0],
            mean=self._mean(lowest[2], highest[2]),
        )

    def _mean(self, lowest: float, highest: float) -> float:
        if math.isfinite(lowest) and math.isfinite(highest):
            return self.total / (self.finite << _UNIT)
        if math.isfinite(lowest):
            return highest
        if math.isfinite(highest) or lowest == highest:
            return lowest
        return math.nan


def _dump(point: Point) -> list[int]:
    """Return a point with its value as the bits of it, so that every NaN stays the one it is."""
    step, timestamp, value = point
    return [step, timestamp, _find_bits(value)]


def _restore(values: list[Any]) -> Point:
    step, timestamp, bits = values
    return int(step), int(timestamp), struct.unpack("<d", struct.pack("<q", bits))[0]


def _find_bits(value: float) -> int:
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def _rank(point: Point) -> tuple[int, int, bool, float, int]:
    """Return the key that orders points of one metric as they stand in a table."""
    step, timestamp, value = point
    nan = math.isnan(value)
    return step, timestamp, nan, 0.0 if nan else value, _find_bits(value)


def _read_few(table: pa.Table) -> Iterator[tuple[str, _Series]]:
    """Do what `_read_many` does, without Arrow's kernels, whose calls take longer than the few points."""
    import pyarrow as pa

    steps, values = get_column(table, "step").to_pylist(), get_column(table, "value").to_pylist()
    timestamps = get_column(table, "timestamp").view(pa.int64()).to_pylist()

    def point(row: int) -> Point:
        return steps[row], timestamps[row], values[row]

    for name, start, length in find_segments(table):
        rows = range(start, start + length)
        numbers = [row for row in rows if not math.isnan(values[row])]
        finite, total = _sum_few([values[row] for row in numbers])
        # `min` and `max` return the first of equals.
        yield (
            name,
            _Series(
                count=length,
                first=point(rows[0]),
                last=point(rows[-1]),
                lowest=point(min(numbers, key=values.__getitem__)) if numbers else None,
                highest=point(max(numbers, key=values.__getitem__)) if numbers else None,
                finite=finite,
                total=total,
            ),
        )


def _sum_few(values: Iterable[float]) -> tuple[int, int]:
    finite = [value for value in values if math.isfinite(value)]
    numerators: dict[int, int] = {}
    for value in finite:
        numerator, denominator = value.as_integer_ratio()
        numerators[denominator] = numerators.get(denominator, 0) + numerator
    return len(finite), sum((total << _UNIT) // power for power, total in numerators.items())


def _read_many(table: pa.Table) -> Iterator[tuple[str, _Series]]:
    """Yield what is known of each metric in a table."""
    sums = _sum_many(table)
    for code, (name, start, length) in enumerate(find_segments(table)):
        yield name, _read_series(table.slice(start, length), sums=sums[code])


def _read_series(piece: pa.Table, *, sums: tuple[int, int]) -> _Series:
    import pyarrow as pa
    import pyarrow.compute as pc

    steps, values = get_column(piece, "step"), get_column(piece, "value")
    timestamps = get_column(piece, "timestamp").view(pa.int64())

    def point(row: int) -> Point:
        return steps[row].as_py(), timestamps[row].as_py(), values[row].as_py()

    def find_point(value: pa.Scalar) -> Point | None:
        # Where all values are NaN, the extremes are NaN or, with older versions of pyarrow, infinities: found nowhere.
        row = pc.index(values, value).as_py()
        return None if row < 0 else point(row)

    extremes = pc.min_max(values)
    finite, total = sums
    return _Series(
        count=len(values),
        first=point(0),
        last=point(len(values) - 1),
        lowest=find_point(extremes["min"]),
        highest=find_point(extremes["max"]),
        finite=finite,
        total=total,
    )


def _sum_many(table: pa.Table) -> list[tuple[int, int]]:
    """Return, for each metric in order, how many of its values are finite, and their sum in units of 2**-1074.

    A double is an integer of at most 53 bits times a power of two. Within each power the integers are added up in
    halves of 27 and 26 bits, which int64 holds for billions of points; Python's integers then join the powers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def integer(value: int) -> pa.Scalar:
        return make_integer(value, pa.int64())

    segments = find_segments(table)
    codes, *_, bits = find_keys(table)
    zero, half, fraction_bits = integer(0), integer(_HALF_BITS), integer(_FRACTION_BITS)
    exponent = pc.bit_wise_and(pc.shift_right(bits, fraction_bits), integer(_NOT_FINITE))
    fraction = pc.bit_wise_and(bits, integer((1 << _FRACTION_BITS) - 1))
    normal = pc.bit_wise_or(fraction, integer(1 << _FRACTION_BITS))
    whole = pc.if_else(pc.equal(exponent, zero), fraction, normal)
    whole = pc.if_else(pc.less(bits, zero), pc.negate(whole), whole)
    high = pc.shift_right(whole, half)
    low = pc.bit_wise_and(whole, integer((1 << _HALF_BITS) - 1))
    terms = pa.table({"code": codes, "exponent": exponent, "high": high, "low": low})
    groups = terms.group_by(["code", "exponent"], use_threads=False).aggregate(
        [("high", "sum"), ("low", "sum"), ("low", "count")]
    )
    finite, totals = [0] * len(segments), [0] * len(segments)
    first_code = codes[0].as_py() if segments else 0
    for group in groups.to_pylist():
        if group["exponent"] == _NOT_FINITE:
            continue
        code = group["code"] - first_code
        term = (group["high_sum"] << _HALF_BITS) + group["low_sum"]
        totals[code] += term << max(group["exponent"] - 1, 0)
        finite[code] += group["low_count"]
    return list(zip(finite, totals, strict=True))

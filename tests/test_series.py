"""Tables of points, their summaries, and their Parquet parts: exact, ordered, and never fooled by damaged bytes."""

from __future__ import annotations

import io
import json
import math
import random
import struct
import subprocess
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gittrack import series
from gittrack.errors import Corrupt, InvalidInput
from gittrack.layout import has_control
from gittrack.model import MetricSummary
from gittrack.series import Columns
from gittrack.series.footer import BYTE_ARRAY, DOUBLE, INT64, read_footer

Row = tuple[str, int, int, float]
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
COLUMN_TYPES = {"metric": BYTE_ARRAY, "step": INT64, "timestamp": INT64, "value": DOUBLE}
CHECKSUM = b"gittrack:crc32\x18\x08"


def to_bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def from_bits(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def rank(row: Row) -> tuple[str, int, int, bool, float, int]:
    """The order of the format, said a second time: metric, step, timestamp, value; NaN last, then by bits."""
    metric, step, timestamp, value = row
    return metric, step, timestamp, math.isnan(value), 0.0 if math.isnan(value) else value, to_bits(value)


def build(rows: Iterable[Row]) -> pa.Table:
    points: dict[str, Columns] = {}
    for metric, step, timestamp, value in rows:
        columns = points.setdefault(metric, Columns(array("q"), array("q"), array("d")))
        columns.steps.append(step)
        columns.timestamps.append(timestamp)
        columns.values.append(value)
    return series.build_table(points)


def exact(row: Row) -> tuple[str, int, int, int]:
    return (*row[:3], to_bits(row[3]))


def read(table: pa.Table) -> list[tuple[str, int, int, int]]:
    """A table's rows with values as bits, so that NaN and -0.0 compare."""
    assert table.schema == series.table_schema()
    table.validate(full=True)
    metrics = table["metric"].cast(pa.string()).to_pylist()
    timestamps = table["timestamp"].cast(pa.int64()).to_pylist()
    values = [to_bits(value) for value in table["value"].to_pylist()]
    return list(zip(metrics, table["step"].to_pylist(), timestamps, values, strict=True))


def check_canonical(table: pa.Table) -> None:
    rows = read(table)
    assert [exact(row) for row in sorted(((m, s, t, from_bits(b % 2**64)) for m, s, t, b in rows), key=rank)] == rows
    if rows:
        assert [column.num_chunks for column in table.columns] == [1, 1, 1, 1]
        assert table["metric"].chunk(0).dictionary.to_pylist() == sorted({row[0] for row in rows})


names = st.text(min_size=1, max_size=12).filter(lambda text: not has_control(text))
int64s = st.integers(INT64_MIN, INT64_MAX)
steps = st.integers(-2, 3) | st.sampled_from([INT64_MIN, INT64_MAX]) | int64s
times = st.integers(0, 2) | int64s
doubles = (
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1.7976931348623157e308, 1.0])
    | st.integers(0, 2**64 - 1).map(from_bits)
    | st.floats()
)
rows_of_points = st.lists(st.tuples(st.sampled_from(["loss", "val/loss", "ä", "損失"]) | names, steps, times, doubles))


# Tables


@given(rows_of_points, st.randoms(use_true_random=False))
def test_a_table_is_sorted_whatever_the_recording_order(rows: list[Row], chance: random.Random) -> None:
    table = build(rows)
    check_canonical(table)
    assert read(table) == [exact(row) for row in sorted(rows, key=rank)]
    shuffled = chance.sample(rows, len(rows))
    assert read(build(shuffled)) == read(table)
    assert series.encode_part(build(shuffled)) == series.encode_part(table)


def test_equal_steps_and_times_are_ordered_by_value_with_nan_last() -> None:
    negative_nan, other_nan = from_bits(0xFFF8000000000000), from_bits(0x7FF8000000000001)
    expected = [-math.inf, -1.0, -0.0, 0.0, 1.0, math.inf, negative_nan, math.nan, other_nan]
    table = build(("loss", 0, 0, value) for value in reversed(expected))
    assert [row[3] for row in read(table)] == [to_bits(value) for value in expected]


def test_arrays_may_grow_after_the_table_was_built() -> None:
    columns = Columns(array("q", [1]), array("q", [10]), array("d", [0.5]))
    table = series.build_table({"loss": columns})
    columns.steps.append(2)
    columns.values[0] = 9.0
    assert read(table) == [("loss", 1, 10, to_bits(0.5))]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("loss", Columns(array("q", [1]), array("q", [1]), array("d"))),
        ("loss", Columns(array("i", [1]), array("q", [1]), array("d", [1.0]))),
        ("loss", Columns(array("q", [1]), array("q", [1]), array("f", [1.0]))),
        ("lo\nss", Columns(array("q", [1]), array("q", [1]), array("d", [1.0]))),
        ("", Columns(array("q"), array("q"), array("d"))),
        ("lo\ud800ss", Columns(array("q", [1]), array("q", [1]), array("d", [1.0]))),
    ],
)
def test_what_cannot_be_stored_is_refused(name: str, columns: Columns) -> None:
    with pytest.raises(InvalidInput):
        series.build_table({name: columns})


def test_a_metric_without_points_leaves_no_trace() -> None:
    empty = Columns(array("q"), array("q"), array("d"))
    assert series.build_table({"loss": empty}) == series.build_table({})
    assert series.summarize([series.build_table({"loss": empty})]) == {}


@given(st.lists(rows_of_points, max_size=4))
def test_merged_parts_are_the_table_of_all_points(parts: list[list[Row]]) -> None:
    merged = series.merge_tables([build(rows) for rows in parts])
    check_canonical(merged)
    assert read(merged) == read(build(row for rows in parts for row in rows))


@given(rows_of_points, rows_of_points, rows_of_points)
def test_union_is_that_of_sets(first: list[Row], second: list[Row], third: list[Row]) -> None:
    a, b, c = build(first), build(second), build(third)
    union = series.union_tables(a, b)
    check_canonical(union)
    assert set(read(union)) == set(read(a)) | set(read(b))
    assert len(set(read(union))) == union.num_rows
    assert read(union) == read(series.union_tables(b, a))
    assert read(series.union_tables(union, c)) == read(series.union_tables(a, series.union_tables(b, c)))
    assert read(series.union_tables(union, b)) == read(union)


@given(rows_of_points)
def test_one_series_is_selected(rows: list[Row]) -> None:
    table = build(rows)
    for metric in ["loss", "no such metric", *(row[0] for row in rows[:2])]:
        selected = series.select_series(table, metric)
        assert selected.column_names == ["step", "timestamp", "value"]
        found = zip(
            selected["step"].to_pylist(),
            selected["timestamp"].cast(pa.int64()).to_pylist(),
            (to_bits(value) for value in selected["value"].to_pylist()),
            strict=True,
        )
        assert list(found) == [row[1:] for row in read(table) if row[0] == metric]


# Summaries


def summarize_slowly(rows: Sequence[Row]) -> dict[str, MetricSummary]:
    result = {}
    for metric in sorted({row[0] for row in rows}):
        points = sorted((row for row in rows if row[0] == metric), key=rank)
        numbers = [row for row in points if not math.isnan(row[3])]
        finite = [row[3] for row in numbers if math.isfinite(row[3])]
        endless = {row[3] for row in numbers} & {math.inf, -math.inf}
        mean = sum(map(Fraction, finite)) / len(finite) if finite else math.nan
        low = next((row for row in numbers if row[3] == min(number[3] for number in numbers)), points[0])
        high = next((row for row in numbers if row[3] == max(number[3] for number in numbers)), points[0])
        result[metric] = MetricSummary(
            count=len(points),
            first=points[0][3],
            first_step=points[0][1],
            last=points[-1][3],
            last_step=points[-1][1],
            min=low[3],
            min_step=low[1],
            max=high[3],
            max_step=high[1],
            mean=(endless.pop() if len(endless) == 1 else math.nan) if endless else float(mean),
        )
    return result


def spell(summaries: dict[str, MetricSummary]) -> dict[str, tuple[str, ...]]:
    """Summaries as text that tells -0.0 from 0.0 and equals itself at NaN."""
    return {metric: tuple(repr(value) for value in vars(summary).values()) for metric, summary in summaries.items()}


@given(rows_of_points)
@example([("loss", 0, 0, 1e308), ("loss", 1, 0, 1e308), ("loss", 2, 0, 1.7e308)])
@example([("loss", 0, 0, 1e100), ("loss", 1, 0, 1.0), ("loss", 2, 0, -1e100)])
@example([("loss", 0, 0, 5e-324), ("loss", 1, 0, 0.0)])
@example([("loss", 0, 0, math.inf), ("loss", 1, 0, -math.inf)])
@example([("loss", 5, 0, math.nan), ("loss", 6, 0, math.nan)])
@example([("loss", 5, 0, 0.0), ("loss", 6, 0, -0.0)])
def test_a_summary_is_exact(rows: list[Row]) -> None:
    assert spell(series.summarize([build(rows)])) == spell(summarize_slowly(rows))


@given(rows_of_points, st.data())
def test_a_summary_does_not_depend_on_how_the_points_were_cut(rows: list[Row], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    parts = [build(row for row, place in zip(rows, places, strict=True) if place == part) for part in range(4)]
    expected = spell(series.summarize([build(rows)]))
    assert spell(series.summarize(parts)) == expected
    assert spell(series.summarize(reversed(parts))) == expected


@given(rows_of_points, rows_of_points)
def test_a_summary_can_be_put_down_and_taken_up_again(first: list[Row], second: list[Row]) -> None:
    builder = series.SummaryBuilder()
    builder.add(build(first))
    builder = series.SummaryBuilder.restore(json.loads(json.dumps(builder.dump())))
    builder.add(build(second))
    assert spell(builder.build()) == spell(summarize_slowly([*first, *second]))


def test_a_summary_can_be_taken_at_every_checkpoint() -> None:
    builder = series.SummaryBuilder()
    seen: list[Row] = []
    for start in range(0, 300, 100):
        rows = [("loss", step, step, 1.0 / (step + 1)) for step in range(start, start + 100)]
        seen += rows
        builder.add(build(rows))
        assert builder.build() == summarize_slowly(seen)


# Parts


@given(rows_of_points)
def test_a_part_round_trips(rows: list[Row]) -> None:
    table = build(rows)
    data = series.encode_part(table)
    decoded = series.decode_part(data)
    check_canonical(decoded)
    assert read(decoded) == read(table)
    assert series.encode_part(decoded) == data
    for metric in {"loss", *(row[0] for row in rows[:2])}:
        one = series.decode_part(data, metric=metric)
        check_canonical(one)
        assert read(one) == [row for row in read(table) if row[0] == metric]


def make_series(name: str, *, length: int, seed: int = 0) -> list[Row]:
    chance = random.Random(f"{name}{seed}")
    value, rows = chance.random(), []
    for step in range(length):
        value += chance.gauss(0, 0.01)
        rows.append((name, step, 1_700_000_000_000_000 + step * 10_000 + chance.randrange(400), value))
    return rows


@pytest.fixture(scope="module")
def large_part() -> tuple[pa.Table, bytes]:
    """Two metrics that get a row group each, and some small ones that share one."""
    lengths = {"a": 100_000, "b": 140_000, "c": 10, "d": 2_000, "e": 1}
    table = build(row for name, length in lengths.items() for row in make_series(name, length=length))
    return table, series.encode_part(table)


def test_row_groups_end_where_metrics_do(large_part: tuple[pa.Table, bytes]) -> None:
    table, data = large_part
    groups = read_footer(data, columns=COLUMN_TYPES, keys=[b"gittrack:crc32"])
    assert [group.rows for group in groups] == [100_000, 140_000, 2_011]
    assert [(group.columns[0].least, group.columns[0].greatest) for group in groups] == [
        (b"a", b"a"),
        (b"b", b"b"),
        (b"c", b"e"),
    ]
    assert read(series.decode_part(data)) == read(table)


def test_one_metric_is_read_without_unpacking_the_others(large_part: tuple[pa.Table, bytes]) -> None:
    table, data = large_part
    groups = read_footer(data, columns=COLUMN_TYPES, keys=[b"gittrack:crc32"])
    damaged = bytearray(data)
    damaged[groups[0].columns[3].end - 5] ^= 0xFF
    resealed = seal(bytes(damaged))
    for metric in ("b", "c", "d"):
        assert read(series.decode_part(resealed, metric=metric)) == [row for row in read(table) if row[0] == metric]
    with pytest.raises(Corrupt, match=r"(?i)crc"):
        series.decode_part(resealed, metric="a")


def test_any_parquet_reader_opens_a_part() -> None:
    table = build(make_series("loss", length=50) + make_series("ünï", length=3))
    frame = pq.read_table(io.BytesIO(series.encode_part(table))).to_pandas()
    assert list(frame.columns) == ["metric", "step", "timestamp", "value"]
    assert frame["value"].tolist() == table["value"].to_pylist()
    assert set(frame["metric"]) == {"loss", "ünï"}
    assert str(frame["timestamp"].dt.tz) == "UTC"


def test_a_tiny_run_takes_few_bytes() -> None:
    assert len(series.encode_part(build((f"metric_{number}", 0, number, 0.1 * number) for number in range(10)))) < 1000


def test_a_noisy_run_takes_few_bytes_a_point() -> None:
    table = build(row for number in range(10) for row in make_series(f"metric_{number}", length=2_000))
    assert len(series.encode_part(table)) / table.num_rows < 9.0


def test_a_long_table_is_cut_into_parts() -> None:
    length = series.MAX_PART_POINTS + 5
    numbers = array("q", range(length))
    table = series.build_table({"loss": Columns(numbers, numbers, array("d", numbers)), "z": build_one()})
    with pytest.raises(InvalidInput):
        series.encode_part(table)
    parts = [series.decode_part(data) for data in series.encode_parts(table)]
    assert [part.num_rows for part in parts] == [series.MAX_PART_POINTS, 6]
    assert series.merge_tables(parts).equals(table)
    assert series.summarize(parts) == series.summarize([table])
    assert series.summarize(parts)["loss"].mean == (length - 1) / 2


def build_one() -> Columns:
    return Columns(array("q", [0]), array("q", [0]), array("d", [0.0]))


def test_a_table_of_many_metrics_is_cut_into_parts() -> None:
    table = series.build_table({f"m{number}": build_one() for number in range(series.MAX_PART_METRICS + 3)})
    with pytest.raises(InvalidInput):
        series.encode_part(table)
    parts = [series.decode_part(data) for data in series.encode_parts(table)]
    assert [part.num_rows for part in parts] == [series.MAX_PART_METRICS, 3]
    assert read(parts[0]) + read(parts[1]) == read(table)


def test_an_empty_table_needs_no_part_but_has_one() -> None:
    table = series.build_table({})
    assert list(series.encode_parts(table)) == []
    assert series.decode_part(series.encode_part(table)).equals(table)
    assert series.merge_tables([]).equals(table)


@pytest.mark.parametrize("change", [lambda table: table.take([1, 0]), lambda table: table.drop_columns(["step"])])
def test_only_sorted_tables_are_encoded(change: Callable[[pa.Table], pa.Table]) -> None:
    with pytest.raises(InvalidInput):
        series.encode_part(change(build([("a", 1, 1, 1.0), ("a", 2, 1, 1.0)])))


# Damage


def seal(data: bytes) -> bytes:
    """Give changed bytes a whole-part checksum that fits, as somebody who means harm would."""
    at = data.rindex(CHECKSUM) + len(CHECKSUM)
    data = data[:at] + b"00000000" + data[at + 8 :]
    return data[:at] + b"%08x" % zlib.crc32(data) + data[at + 8 :]


@pytest.fixture(scope="module")
def small_part() -> tuple[pa.Table, bytes]:
    table = build(make_series("loss", length=40) + make_series("accuracy", length=3) + [("lr", 0, 5, math.nan)])
    return table, series.encode_part(table)


def test_sealing_an_honest_part_changes_nothing(small_part: tuple[pa.Table, bytes]) -> None:
    assert seal(small_part[1]) == small_part[1]


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_damaged_byte_is_noticed(small_part: tuple[pa.Table, bytes], flip: int) -> None:
    for position in range(len(small_part[1])):
        damaged = bytearray(small_part[1])
        damaged[position] ^= flip
        with pytest.raises(Corrupt):
            series.decode_part(bytes(damaged))


def test_a_part_cut_short_is_noticed(small_part: tuple[pa.Table, bytes]) -> None:
    for length in range(len(small_part[1])):
        with pytest.raises(Corrupt):
            series.decode_part(small_part[1][:length])


@settings(max_examples=50)
@given(st.binary(max_size=100))
def test_other_bytes_are_no_part(data: bytes) -> None:
    for whole in (data, data + CHECKSUM + b"00000000" + data + struct.pack("<I", len(data)) + b"PAR1"):
        with pytest.raises(Corrupt):
            series.decode_part(whole)


def test_hostile_changes_end_in_corrupt_or_a_sound_table(small_part: tuple[pa.Table, bytes]) -> None:
    """Bytes changed and sealed again, so that only the bounds and checks behind the checksum stand against them."""
    chance = random.Random(7)
    refused = 0
    for position in list(range(len(small_part[1]))) * 3:
        changed = bytearray(small_part[1])
        for place in {position, chance.randrange(len(changed))}:
            changed[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        if CHECKSUM not in changed:
            continue
        try:
            check_canonical(series.decode_part(seal(bytes(changed))))
        except Corrupt:
            refused += 1
    assert refused > 1000


def encode_strangely(table: pa.Table, *, metadata: dict[str, str] | None = None, **options: Any) -> bytes:
    """Write a table with pyarrow alone, under other options than ours, and seal it."""
    usual: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": ["metric"],
        "store_schema": False,
        "write_statistics": ["metric"],
    }
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, **{**usual, **options}) as writer:
        writer.add_key_value_metadata({**(metadata or {}), "gittrack:crc32": "00000000"})
        writer.write_table(table)
    return seal(sink.getvalue())


def test_a_part_written_otherwise_but_soundly_is_read() -> None:
    table = build(make_series("loss", length=30) + make_series("x", length=30))
    for options in ({}, {"use_dictionary": True}, {"data_page_version": "2.0"}, {"write_statistics": False}):
        data = encode_strangely(table, **options)
        assert read(series.decode_part(data)) == read(table)
        assert read(series.decode_part(data, metric="x")) == read(table)[30:]


def swap_column(table: pa.Table, number: int, column: pa.Array, *, name: str = "", nullable: bool = False) -> pa.Table:
    field = pa.field(name or table.schema.field(number).name, column.type, nullable=nullable)
    return table.set_column(number, field, column)


SOUND = build([("a", 1, 1, 1.0), ("a", 2, 1, 2.0), ("b", 1, 1, 3.0)])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (SOUND.take([1, 0, 2]), "order"),
        (SOUND.take([2, 0, 1]), "order"),
        (SOUND.take([0, 2, 1]), "order"),
        (SOUND.select(["metric", "step", "timestamp"]), "columns"),
        (SOUND.append_column(pa.field("more", pa.int64(), nullable=False), pa.array([1, 2, 3])), "columns"),
        (swap_column(SOUND, 1, pa.array([1, 2, 3]), name="epoch"), "columns"),
        (swap_column(SOUND, 3, pa.array([1, 2, 3])), "columns"),
        (swap_column(SOUND, 3, pa.array([1.0, None, 3.0]), nullable=True), "columns"),
        (swap_column(SOUND, 2, pa.array([1, 2, 3])), "types"),
        (swap_column(SOUND, 2, pa.array([1, 2, 3], pa.timestamp("us"))), "types"),
        (swap_column(SOUND, 0, pa.array([b"a", b"a", b"b"])), "types"),
        (swap_column(SOUND, 0, pa.array(["a", "a", "a\x1b[2J"])), "control"),
        (swap_column(SOUND, 0, pa.array(["", "", "a"])), "empty"),
    ],
)
def test_a_part_with_other_content_is_refused(table: pa.Table, reason: str) -> None:
    with pytest.raises(Corrupt, match=reason):
        series.decode_part(encode_strangely(table))


def test_a_part_with_other_metadata_or_compression_is_refused() -> None:
    with pytest.raises(Corrupt, match="metadata"):
        series.decode_part(encode_strangely(SOUND, metadata={"ARROW:schema": "AAAA"}))
    with pytest.raises(Corrupt, match="compression"):
        series.decode_part(encode_strangely(SOUND, compression="gzip"))


def test_a_part_that_claims_too_many_points_is_refused() -> None:
    length = series.MAX_READ_POINTS + 1
    zeros = [pa.Array.from_buffers(kind, length, [None, pa.py_buffer(bytes(8 * length))]) for kind in FIXED_TYPES]
    codes = pa.Array.from_buffers(pa.int32(), length, [None, pa.py_buffer(bytes(4 * length))])
    metric = pa.DictionaryArray.from_arrays(codes, pa.array(["a"]))
    data = encode_strangely(pa.Table.from_arrays([metric, *zeros], schema=series.table_schema()))
    assert len(data) < 100_000
    with pytest.raises(Corrupt, match=f"claims {length} points"):
        series.decode_part(data)


FIXED_TYPES = series.table_schema().types[1:]


def spell_number(value: int, *, width: int = 0) -> bytes:
    """An integer as thrift's compact protocol spells it (zigzag, seven bits a byte), padded to a width."""
    value, out = value * 2, bytearray()
    while value >= 128 or len(out) + 1 < width:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_a_page_that_would_unpack_to_gigabytes_is_refused(small_part: tuple[pa.Table, bytes]) -> None:
    """A page header may claim any size, whatever the footer says, and a reader makes room for it."""
    data = small_part[1]
    value = read_footer(data, columns=COLUMN_TYPES, keys=[b"gittrack:crc32"])[0].columns[3]
    before, size = spell_number(44 * 8), value.end - value.start
    header = data[value.start : value.start + 40]
    assert header.startswith(b"\x15\x00\x15" + before)
    grown = header.replace(before, spell_number(2**31 - 1), 1)
    growth = len(grown) - len(header)
    rest = data[value.end :]
    old, new = spell_number(size), spell_number(size + growth)
    assert len(old) == len(new)
    column = rest.rindex(b"\x05value")
    assert b"\x16" + old in rest[column:]
    footer = rest[:column] + rest[column:].replace(b"\x16" + old, b"\x16" + new, 1)
    bomb = seal(data[: value.start] + grown + data[value.start + 40 : value.end] + footer)
    with pytest.raises(Corrupt, match="unpacks to"):
        series.decode_part(bomb)


def test_importing_the_module_does_not_load_pyarrow() -> None:
    code = "import sys, gittrack.series; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats()), min_size=1, max_size=50))
def test_few_and_many_points_are_summed_alike(points: list[tuple[str, float]]) -> None:
    columns: dict[str, Columns] = {}
    for step, (metric, value) in enumerate(points):
        known = columns.setdefault(metric, Columns(array("q"), array("q"), array("d")))
        known.steps.append(step)
        known.timestamps.append(step)
        known.values.append(value)
    table = series.build_table(columns)
    # As text: NaN is to be the same as NaN, and -0.0 another than 0.0.
    assert repr(list(series.summary._read_few(table))) == repr(list(series.summary._read_many(table)))


def test_recording_and_reading_points_do_not_import_pandas() -> None:
    code = """
import sys
from array import array
from gittrack import series
columns = {"loss": series.Columns(array("q", [0, 1]), array("q", [0, 1]), array("d", [1.0, 0.5]))}
table = series.build_table(columns)
(part,) = series.encode_parts(table)
series.summarize([table])
series.select_series(series.merge_tables([series.decode_part(part, metric="loss")]), "loss")
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

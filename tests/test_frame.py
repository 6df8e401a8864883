"""Runs laid out as columns read back as they were: one segment or several, taken, filtered, wide and tall."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pytest
import strategies
from frames import check, clean, expect_entries, records
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import InvalidInput, NotFound
from gittrack.frame import Frame, RunRecord, build_segment, compact_frame
from gittrack.frame.schema import keyed_schema, run_schema
from gittrack.model import Failure, Input, MetricSummary, Pointer, Run, Scalar, Status

RUN = Run("0" * 32, "brave-otter-41", "churn", 1, Status.FINISHED, 1_769_851_800_000_001)
LOSS = MetricSummary(3, 0.5, 0, 0.25, 2, 0.125, 1, 0.75, 2, 0.375)


@settings(deadline=None)
@given(st.lists(records, max_size=6), st.integers(0, 6))
def test_what_is_built_reads_back(made: list[RunRecord], cut: int) -> None:
    check(Frame([build_segment(made)]), made)
    frame = Frame([build_segment(made[:cut]), build_segment(made[cut:])])
    check(frame, made)
    check(Frame([compact_frame(frame)]), made)


@settings(deadline=None)
@given(st.lists(records, max_size=6), st.integers(0, 6), st.data())
def test_taken_rows_read_back_in_their_order(made: list[RunRecord], cut: int, data: st.DataObject) -> None:
    frame = Frame([build_segment(made[:cut]), build_segment(made[cut:])])
    rows = data.draw(st.lists(st.sampled_from(range(len(made))), unique=True) if made else st.just([]))
    taken = frame.take(pa.array(rows, pa.int64()))
    expected = [made[row] for row in rows]
    check(taken, expected)
    check(Frame([compact_frame(taken)]), expected)
    again = list(reversed(range(len(rows))))
    check(taken.take(pa.array(again, pa.int64())), [expected[row] for row in again])


@settings(deadline=None)
@given(st.lists(records, max_size=6), st.integers(0, 6), st.data())
def test_rows_that_do_not_speak_do_not_count(made: list[RunRecord], cut: int, data: st.DataObject) -> None:
    flags = data.draw(st.lists(st.sampled_from([True, False, None]), min_size=len(made), max_size=len(made)))
    visible = data.draw(st.lists(st.booleans(), min_size=len(made), max_size=len(made)))
    segments = [build_segment(made[:cut]), build_segment(made[cut:])]
    frame = Frame(segments, pa.array(visible, pa.bool_())).filter(pa.array(flags, pa.bool_()))
    speaking = [record for record, flag, seen in zip(made, flags, visible, strict=True) if flag and seen]
    assert frame.visible.to_pylist() == [bool(flag) and seen for flag, seen in zip(flags, visible, strict=True)]
    assert frame.count == len(speaking)
    check(Frame([compact_frame(frame)]), speaking)
    check(frame.take(frame.rows), speaking)
    assert frame.to_table(["id"])["id"].to_pylist() == [record.run.id for record in speaking]
    assert frame.list_keys("params") == Frame([compact_frame(frame)]).list_keys("params")


@settings(deadline=None)
@given(st.lists(records, max_size=5))
def test_views_hold_each_entry_of_each_visible_run(made: list[RunRecord]) -> None:
    unique = list({record.run.id: record for record in made}.values())
    hidden = replace(RUN, id="f" * 31 + "x", tags={"hidden": "yes"})
    segment = build_segment([RunRecord(hidden, {"hidden": 1}, {"hidden": LOSS}, {}), *unique])
    views = Frame([segment], pa.array([False] + [True] * len(unique), pa.bool_())).to_views()
    assert views["runs"].column_names == run_schema().names
    assert views["runs"]["id"].to_pylist() == [record.run.id for record in unique]
    for table in ("params", "metrics", "tags", "artifacts"):
        fields = keyed_schema(table).names[1:]
        assert views[table].column_names == ["run_id", "key", *fields]
        found = {(row["run_id"], row["key"]): tuple(row[field] for field in fields) for row in views[table].to_pylist()}
        wanted = {
            (record.run.id, clean(key)): values
            for record in unique
            for key, values in expect_entries(record)[table].items()
        }
        assert strategies.same(found, wanted)
    assert sorted(views["inputs"]["key"].to_pylist()) == sorted(
        clean(entry.name) for record in unique for entry in record.run.inputs
    )


def record_params(**params: Scalar) -> RunRecord:
    return RunRecord(RUN, params, {}, {})


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([True, False, None], pa.bool_(), [True, False, None]),
        ([1, 2**60 + 1, -(2**63)], pa.int64(), [1, 2**60 + 1, -(2**63)]),
        ([1, 2**63], pa.string(), ["1", "9223372036854775808"]),
        ([10**400], pa.string(), ["1" + "0" * 400]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([10**400, 0.5, -(10**400)], pa.float64(), [math.inf, 0.5, -math.inf]),
        (["a", None, ""], pa.string(), ["a", None, ""]),
        (
            [1, "1", True, False, 0.1, 1e16, 1.0, 2**60, None],
            pa.string(),
            "1 1 true false 0.1 1e+16 1.0 1152921504606846976".split(),
        ),
        ([True, 1], pa.string(), ["true", "1"]),
        ([None], pa.string(), [None]),
    ],
)
def test_params_in_the_wide_table_are_typed(values: list[Scalar], kind: pa.DataType, expected: list[object]) -> None:
    made = [record_params(p=value) for value in values]
    table = Frame([build_segment(made[:2]), build_segment([record_params(), *made[2:]])]).to_table()
    expected = [*expected[:2], None, *expected[2:], *[None] * (len(values) - len(expected))]
    assert table.schema.field("params.p").type == kind
    assert table["params.p"].to_pylist() == (expected if len(values) > 1 else [*expected[:1], None])


def test_the_wide_table_has_attributes_params_metrics_and_tags() -> None:
    tagged = replace(RUN, tags={"stage": "prod"}, ended=RUN.started + 1_500_000)
    tagged = replace(tagged, user="ada", note="good", parent="a" * 32)
    frame = Frame([build_segment([RunRecord(tagged, {"b": 1, "a": "x"}, {"loss": LOSS}, {}), record_params(b=2)])])
    table = frame.to_table()
    assert table.column_names == [
        *("id", "name", "experiment", "status", "started", "ended", "duration"),
        *("user", "parent", "commit", "source_commit", "source_dirty", "note"),
        *("params.a", "params.b", "metrics.loss", "tags.stage"),
    ]
    assert str(table.schema.field("started").type) == "timestamp[us, tz=UTC]"
    assert table["ended"].cast(pa.int64()).to_pylist() == [RUN.started + 1_500_000, None]
    assert table.schema.field("duration").type == pa.float64()
    assert table.select(["duration", "user", "parent", "source_commit", "source_dirty", "note"]).to_pylist() == [
        {
            "duration": 1.5,
            "user": "ada",
            "parent": "a" * 32,
            "source_commit": None,
            "source_dirty": False,
            "note": "good",
        },
        {
            "duration": None,
            "user": None,
            "parent": None,
            "source_commit": None,
            "source_dirty": False,
            "note": None,
        },
    ]
    assert frame.filter(pa.array([False, True])).to_table(["duration"])["duration"].to_pylist() == [None]
    assert table["metrics.loss"].to_pylist() == [0.25, None]
    assert table["params.b"].to_pylist() == [1, 2]
    chosen = frame.to_table(["metrics.loss.min", "metrics.loss.min_step", "user", "source_dirty"])
    assert chosen.to_pylist() == [
        {"metrics.loss.min": 0.125, "metrics.loss.min_step": 1, "user": "ada", "source_dirty": False},
        {"metrics.loss.min": None, "metrics.loss.min_step": None, "user": None, "source_dirty": False},
    ]
    for missing in ("params.none", "metrics.loss.none", "nothing"):
        with pytest.raises(NotFound, match=missing):
            frame.to_table([missing])


def test_a_whole_key_wins_over_a_field() -> None:
    frame = Frame([build_segment([RunRecord(RUN, {}, {"a": LOSS, "a.min": replace(LOSS, last=9.0)}, {})])])
    assert frame.to_table(["metrics.a.min"])["metrics.a.min"].to_pylist() == [9.0]


def test_an_empty_frame_has_all_its_columns() -> None:
    for frame in (Frame([]), Frame([build_segment([])]), Frame([]).take(pa.array([], pa.int64()))):
        assert (frame.height, frame.count, len(frame.visible), len(frame.rows)) == (0, 0, 0, 0)
        assert frame.list_keys("params") == {}
        assert frame.get_column("params", "lr", "number") is None
        assert frame.to_table().num_rows == 0
        assert frame.to_table().column_names[:2] == ["id", "name"]
        assert {name: view.num_rows for name, view in frame.to_views().items()} == dict.fromkeys(
            ("runs", "params", "metrics", "tags", "artifacts", "inputs"), 0
        )


def test_lone_surrogates_are_escaped() -> None:
    odd = replace(RUN, command=("cat", "\udcff"), tags={"\udcfe": "\udcfd"}, note="\udcfc")
    frame = Frame([build_segment([RunRecord(odd, {"k\udcff": "v\udcff"}, {}, {})])])
    assert frame.get_attribute("command").to_pylist() == ["cat '\\udcff'"]
    assert frame.get_attribute("note").to_pylist() == ["\\udcfc"]
    assert frame.list_keys("tags") == {"\\udcfe": 1}
    assert frame.to_table(["params.k\\udcff"]).to_pylist() == [{"params.k\\udcff": "v\\udcff"}]


def test_numbers_beyond_a_column_are_the_nearest_that_fit() -> None:
    huge = replace(LOSS, count=2**70, min_step=-(2**70))
    run = replace(RUN, revision=2**40, exit_code=-(2**40), inputs=(Input("a", "a", "file", "", 2**80),))
    frame = Frame([build_segment([RunRecord(run, {}, {"loss": huge}, {"a": Pointer("0" * 64, 2**63)})])])
    assert frame.get_attribute("revision").to_pylist() == [2**31 - 1]
    assert frame.get_attribute("exit_code").to_pylist() == [-(2**31)]
    for table, key, field, value in (
        ("metrics", "loss", "count", 2**63 - 1),
        ("metrics", "loss", "min_step", -(2**63)),
        ("inputs", "a", "size", 2**63 - 1),
        ("artifacts", "a", "size", 2**63 - 1),
    ):
        column = frame.get_column(table, key, field)
        assert column is not None
        assert column.to_pylist() == [value]


def test_failures_read_as_one_line() -> None:
    failed = replace(RUN, failure=Failure("ValueError", "bad input"))
    frame = Frame([build_segment([RunRecord(failed, {}, {}, {}), record_params()])])
    assert frame.get_attribute("failure").to_pylist() == ["ValueError: bad input", None]


def test_what_is_not_there_is_refused() -> None:
    frame = Frame([build_segment([record_params(lr=1)])])
    with pytest.raises(NotFound, match="no attribute 'nope'"):
        frame.get_attribute("nope")
    with pytest.raises(NotFound, match="no field 'nope'"):
        frame.get_column("params", "lr", "nope")
    for rows in ([1], [-1]):
        with pytest.raises(InvalidInput):
            frame.take(pa.array(rows, pa.int64()))
    with pytest.raises(InvalidInput):
        Frame(frame.segments, pa.array([True, True]))


def test_columns_are_kept_and_shared() -> None:
    made = [record_params(lr=number) if number % 2 else record_params() for number in range(1000)]
    segment = build_segment(made)
    dense = segment.get_dense("params", "lr", "number")
    assert segment.get_dense("params", "lr", "number") is dense
    few = build_segment(made).take_dense("params", "lr", "number", pa.array([3, 998, 1, 2], pa.int32()))
    assert few is not None
    assert few.to_pylist() == [3.0, None, 1.0, None]


def test_reading_a_frame_imports_no_pandas() -> None:
    """Where pandas is installed its import takes longer than the query it would be part of."""
    program = """
import sys
from test_frame import *
made = [RunRecord(replace(RUN, tags={"a": "b"}), {"lr": n, "m": "x"}, {"loss": LOSS}, {"a": Pointer("0" * 64, 1)})
        for n in range(9)]
from gittrack.frame.arrays import make_numbers, make_mask
frame = Frame([build_segment(made[:5]), build_segment(made[5:])], make_mask(bytes([1] * 8 + [0])))
frame = frame.filter(make_mask(bytes([1, 0] * 4 + [1])))
frame.get_column("metrics", "loss", "min")
frame.list_keys("params")
taken = frame.take(make_numbers([6, 2], pa.int64()))
for some in (frame, taken):
    some.to_table(), some.to_views(), some.rows, compact_frame(some)
print("pandas" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0]
    )
    assert done.stdout == "False\n"

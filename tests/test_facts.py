"""What a frame says of a run is exactly what was recorded, or is not believed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pyarrow as pa
import pytest
import strategies
from frames import records
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import make_snapshot

from gittrack.errors import Corrupt, Unsupported
from gittrack.facts import make_facts, read_facts
from gittrack.frame import Frame, RunRecord, build_segment
from gittrack.run_table import RunTable
from gittrack.stored_run import StoredRun


@settings(deadline=None)
@given(st.lists(records, max_size=6), st.integers(0, 6), st.data())
def test_facts_are_exact_or_missing(made: list[RunRecord], cut: int, data: st.DataObject) -> None:
    frame = Frame([build_segment(made[:cut]), build_segment(made[cut:])])
    start = data.draw(st.integers(0, len(made)))
    stop = data.draw(st.integers(start, len(made)))
    found = read_facts(frame, start, stop)
    assert len(found) == stop - start
    for facts, record in zip(found, made[start:stop], strict=True):
        wanted = make_facts(record.run, dict(record.params), dict(record.summary))
        assert facts is None or strategies.same(vars(facts), vars(wanted))
        suspicious = any(sign in repr(record) for sign in ("\\ud", "922337203685477580", "2147483647"))
        assert facts is not None or suspicious


@pytest.mark.parametrize(
    "change",
    [{"note": "\udcff"}, {"name": "\\ud800"}, {"revision": 2**40}, {"tags": {"\udcff": "x"}}, {"user": "\udcff"}],
)
def test_what_a_frame_cannot_hold_is_not_believed(change: dict[str, object]) -> None:
    run = replace(make_snapshot(1).run, **change)  # type: ignore[arg-type]
    assert read_facts(Frame([build_segment([RunRecord(run, {}, {}, {})])]), 0, 1) == [None]


def make_table(count: int) -> tuple[RunTable, list[int]]:
    """Return a table of runs, and the rows that were read whole, in order."""
    snapshots = [make_snapshot(number) for number in range(count)]
    made = [RunRecord(s.run, s.params, s.summary, s.artifacts, commit=f"{n:040x}") for n, s in enumerate(snapshots)]
    read: list[int] = []

    def load(frame: Frame, row: int) -> StoredRun:
        number = int(frame.get_attribute("commit")[row].as_py(), 16)
        read.append(number)
        if number == 7:
            raise Corrupt("run 7 is gone")
        return StoredRun(snapshots[number], None, commit=f"{number:040x}")  # type: ignore[arg-type]

    problems: list[str] = []
    table = RunTable(Frame([build_segment(made)]), load, report=lambda error: problems.append(error.message))
    return table, read


def test_a_table_reads_a_run_only_for_what_no_list_shows() -> None:
    table, read = make_table(200)
    assert [run.name for run in table] == [f"run-{number}" for number in range(200)]
    assert [run.params["seed"] for run in table] == list(range(200))
    assert read == []
    assert table[3].artifacts() == {}
    assert table[4].snapshot == make_snapshot(4)
    assert table[4].command == ()
    assert read == [3, 4]
    with pytest.raises(Corrupt):
        _ = table[7].source
    assert table[7].name == "run-7"


def test_slices_are_tables() -> None:
    table, read = make_table(200)
    assert [run.name for run in table[10:20:3]] == ["run-10", "run-13", "run-16", "run-19"]
    assert [run.name for run in table[::-1][:2]] == ["run-199", "run-198"]
    assert table[-1].name == "run-199"
    assert len(table[500:]) == 0
    with pytest.raises(IndexError):
        table[200]
    assert table[150:].to_arrow(["name"])["name"].to_pylist()[:2] == ["run-150", "run-151"]
    assert table[-1].commit == f"{199:040x}"
    assert read == []


def test_rows_that_are_not_exact_are_read_whole() -> None:
    snapshots = [make_snapshot(number) for number in range(3)]
    odd = replace(snapshots[1].run, note="\udcff")
    made = [RunRecord(s.run, s.params, s.summary, {}, commit="0" * 40) for s in snapshots]
    made[1] = replace(made[1], run=odd)
    read: list[int] = []

    def load(frame: Frame, row: int) -> StoredRun:
        read.append(row)
        return StoredRun(replace(snapshots[row], run=odd), None, commit="0" * 40)  # type: ignore[arg-type]

    table = RunTable(Frame([build_segment(made)]), load, report=lambda error: None)
    assert [run.note for run in table] == ["", "\udcff", ""]
    assert read == [1]


def test_only_visible_rows_are_in_a_table() -> None:
    table, _ = make_table(5)
    frame = table.frame.filter(pa.array([True, False, True, False, True]))
    part = RunTable(frame, lambda frame, row: table[row], report=lambda error: None)
    assert [run.name for run in part] == ["run-0", "run-2", "run-4"]
    assert part.to_arrow(["name"]).num_rows == 3


def test_frames_of_other_libraries_are_offered_where_those_are_installed() -> None:
    table, _ = make_table(3)
    assert list(table.to_pandas(["name"])["name"]) == ["run-0", "run-1", "run-2"]
    if importlib.util.find_spec("polars") is None:
        with pytest.raises(Unsupported) as caught:
            table.to_polars()
        assert caught.value.hint == "pip install polars"
    else:
        assert table.to_polars(["name"])["name"].to_list() == ["run-0", "run-1", "run-2"]

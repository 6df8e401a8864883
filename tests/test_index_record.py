"""The quick reading of a run's files never takes what the strict decoder refuses, and never reads it differently."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable

import pytest
import strategies
from frames import read_list
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import make_snapshot

from gittrack.errors import GittrackError
from gittrack.frame import Block, Frame, SegmentBuilder, compact_frame, pack_metric
from gittrack.frame.schema import KEYED_TABLES, METRIC_FLOATS, METRIC_INTEGERS, run_schema
from gittrack.index.finding import Damage, Finding, Harvest
from gittrack.index.record import RunRow, read_metrics, read_params, read_run, split_metrics
from gittrack.index.summaries import SummaryBatch
from gittrack.message import RunTrailers, parse_message, write_run_message
from gittrack.model import Run, Snapshot
from gittrack.snapshot import (
    decode_params,
    decode_run,
    decode_summary,
    encode_params,
    encode_run,
    encode_summary,
)
from gittrack.store import Commit


def pack(data: bytes) -> dict[str, bytes]:
    return {
        key: pack_metric(*(getattr(value, name) for name in (*METRIC_FLOATS, *METRIC_INTEGERS)))
        for key, value in decode_summary(data, where="x").items()
    }


def tell(block: Block) -> tuple[dict[str, list[object]], dict[str, dict[str, list[object]]]]:
    """Return all that a segment says."""
    frame = Frame([block])
    runs = {name: read_list(frame.get_attribute(name)) for name in run_schema().names}
    tables = {
        table: {
            key: [read_list(entries.column(at)) for at in range(entries.num_columns)]
            for key in block.list_keys(table)
            if (entries := block.get_entries(table, key)) is not None
        }
        for table in KEYED_TABLES
    }
    return runs, tables


def lay_out(run: Run | RunRow) -> object:
    """Return the columns a run comes to."""
    builder = SegmentBuilder()
    if isinstance(run, Run):
        builder.add_run(run, commit="c", commit_time=7, tree="t")
    else:
        builder.add_row(run.values, run.tags, weight=1)
        assert (run.id, run.revision) == (run.values[0], run.values[13])
    return tell(builder.finish())


def lay_out_lines(lines: list[tuple[str, bytes]]) -> object:
    """Return the columns that the lines of a summary come to, or None where they cannot be read."""
    batch = SummaryBatch([lines])
    if batch.lines[0] is None:
        return None
    builder = SegmentBuilder()
    builder.add_run(make_snapshot(1).run, commit="c", commit_time=7, tree="t")
    batch.put(builder, [(0, 0)])
    return tell(builder.finish())


def lay_out_summary(data: bytes) -> object:
    builder = SegmentBuilder()
    builder.add_run(make_snapshot(1).run, commit="c", commit_time=7, tree="t")
    builder.add_summary(decode_summary(data, where="x"))
    return tell(builder.finish())


def quickly_read_run(data: bytes) -> object:
    found = read_run(data, commit="c", commit_time=7, tree="t")
    return None if found is None else lay_out(found)


def quickly_read_lines(data: bytes) -> object:
    lines = split_metrics(data)
    return None if lines is None else lay_out_lines(lines)


def check(data: bytes) -> None:
    """Check that what a quick reader takes, the strict one takes too, and reads as the same."""
    readers: list[tuple[Callable[[bytes], object], Callable[[bytes], object]]] = [
        (quickly_read_run, lambda data: lay_out(decode_run(data, where="x"))),
        (read_params, lambda data: decode_params(data, where="x")),
        (read_metrics, pack),
        (quickly_read_lines, lay_out_summary),
    ]
    for quick, strict in readers:
        found = quick(data)
        if found is None:
            continue
        try:
            expected = strict(data)
        except GittrackError as error:
            raise AssertionError(f"it took {data!r}, which is refused: {error.message}") from error
        assert strategies.same(found, expected), data


def test_what_gittrack_writes_is_read() -> None:
    for number in range(6):
        snapshot = make_snapshot(number)
        found = read_run(encode_run(snapshot.run), commit="c", commit_time=7, tree="t")
        assert isinstance(found, RunRow)
        assert lay_out(found) == lay_out(snapshot.run)
        assert read_params(encode_params(snapshot.params)) == snapshot.params
        data = encode_summary(snapshot.summary)
        assert read_metrics(data) == pack(data)
        lines = split_metrics(data)
        assert lines is not None
        assert len(lines) == len(snapshot.summary)
        assert lay_out_lines(lines) == lay_out_summary(data)
    assert strategies.same(read_params(encode_params({"a": math.nan, "b": "NaN"})), {"a": math.nan, "b": "NaN"})


@settings(deadline=None)
@given(strategies.snapshots)
def test_what_is_read_is_right(snapshot: Snapshot) -> None:
    for data in (encode_run(snapshot.run), encode_params(snapshot.params), encode_summary(snapshot.summary)):
        check(data)


pieces = st.sampled_from(
    [
        *('{"a": 1', '"a" : 2', '"a":3', '"b": NaN', '"b": "NaN"', '"c": Infinity', '"c": "-Infinity"', '"\\"": 1'),
        *(
            '"d": {"string": "NaN"}',
            '"d": {"string": 1}',
            '"d": {}',
            '"e": [1, {"x": 2}]',
            '"f": 1e999',
            '"g": "x\\": y"',
        ),
        *(
            '"\\u0061": 4',
            '"h": true',
            '"i": null',
            '"j": -0.0',
            '"k": 123456789012345678901234567890',
            "}",
            "{",
            ",",
            " ",
        ),
        *(
            '"loss": {"count": 1, "first": 1.0, "first_step": 0, "last": 1.0, "last_step": 0, "max": 1.0, '
            '"max_step": 0, "mean": 1.0, "min": "NaN", "min_step": 0}',
        ),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(pieces, max_size=8))
def test_texts_made_of_what_could_deceive_it(parts: list[str]) -> None:
    check(("{" + ", ".join(parts) + "}").encode())
    check("".join(parts).encode())


@settings(deadline=None, max_examples=300)
@given(strategies.snapshots, st.data())
def test_damaged_texts(snapshot: Snapshot, data: st.DataObject) -> None:
    files = (encode_run(snapshot.run), encode_params(snapshot.params), encode_summary(snapshot.summary))
    text = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 5)))
        text[start:end] = data.draw(
            st.sampled_from([b"", b":", b'"', b" ", b"{", b"}", b"NaN", b'": ', b"\xff", b"\\", b"9"])
        )
    check(bytes(text))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "a" : 2}',
        b'{"a": 1, "a"\n: 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity, "b": "-Infinity"}',
        b'{"a": [1]}',
        b'{"a": {"string": "x", "more": 1}}',
        b'{"a": {"string": "x", "string": "y"}}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_must_be_looked_at_closely(data: bytes) -> None:
    assert read_params(data) is None


def test_numbers_beyond_64_bits_are_left_to_the_builder() -> None:
    row = dict.fromkeys(METRIC_FLOATS, 1.0) | dict.fromkeys(METRIC_INTEGERS, 1)
    assert read_metrics(json.dumps({"a": row}).encode()) == {"a": struct.pack("=5d5q", *[1.0] * 5, *[1] * 5)}
    assert read_metrics(json.dumps({"a": row | {"count": 2**63}}).encode()) is None


def test_lines_of_many_summaries_find_their_runs() -> None:
    """Some of them read together, some by themselves, in a segment that is handed on in between."""
    snapshots = [make_snapshot(number) for number in range(30)]
    lines = [split_metrics(encode_summary(snapshot.summary)) for snapshot in snapshots]
    batch = SummaryBatch([None if number % 7 == 3 else found for number, found in enumerate(lines)])
    builder, blocks, taken = SegmentBuilder(), [], []
    for number, snapshot in enumerate(snapshots):
        builder.add_run(snapshot.run, commit="c", commit_time=7, tree="t")
        if batch.lines[number] is None:
            builder.add_summary(snapshot.summary)
        else:
            taken.append((number, builder.height - 1))
        if number == 17:
            batch.put(builder, taken)
            blocks.append(builder.finish())
            builder, taken = SegmentBuilder(), []
    batch.put(builder, taken)
    blocks.append(builder.finish())
    expected = SegmentBuilder()
    for snapshot in snapshots:
        expected.add_run(snapshot.run, commit="c", commit_time=7, tree="t")
        expected.add_summary(snapshot.summary)
    assert tell(compact_frame(Frame(blocks))) == tell(expected.finish())


def test_one_bad_summary_has_all_of_them_read_one_by_one() -> None:
    good = split_metrics(encode_summary(make_snapshot(1).summary))
    bad = [("loss", b'"count": 1}')]
    assert SummaryBatch([good, bad]).lines == [None, None]
    assert SummaryBatch([good, None, []]).lines == [good, None, []]
    assert SummaryBatch([]).lines == []


@settings(deadline=None)
@given(strategies.snapshots, st.data())
def test_messages_are_read_as_the_parser_reads_them(snapshot: Snapshot, data: st.DataObject) -> None:
    message = write_run_message(snapshot, previous=data.draw(st.lists(strategies.hex40, max_size=2)))
    lines = message.split("\n")
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(lines) - 1))
        odd = [
            "",
            "Run: " + "1" * 32,
            "Format: 2",
            "Status: RUNNING",
            "Revision: 0x1",
            "Started: 2026-02-31",
            "x",
            "Format: 1",
        ]
        lines[at] = data.draw(st.sampled_from([*odd, lines[at] + " ", lines[at].upper()]))
    message = "\n".join(lines)
    harvest = Harvest(lambda id: False)
    harvest.add(Commit("c" * 40, "t" * 40, (), "me", 7, message))
    findings, damages = [], []
    try:
        said = parse_message(message, where="commit cccccccccccc")
        if isinstance(said, RunTrailers):
            findings.append(Finding(said.run_id, (said.revision, 7, "c" * 40), "t" * 40))
    except GittrackError as error:
        damages.append(Damage("c" * 40, error.message, error.hint))
    assert list(harvest.findings.values()) == findings
    assert harvest.damages == damages

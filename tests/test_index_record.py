"""The quick reading of a run's files never takes what the strict decoder refuses, and never reads it differently."""

from __future__ import annotations

import json
import math
import struct

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import make_snapshot

from gittrack.errors import GittrackError
from gittrack.frame import pack_metric
from gittrack.frame.schema import METRIC_FLOATS, METRIC_INTEGERS
from gittrack.index.record import read_metrics, read_params, read_run
from gittrack.model import Snapshot
from gittrack.snapshot import (
    decode_params,
    decode_run,
    decode_summary,
    encode_params,
    encode_run,
    encode_summary,
)


def pack(data: bytes) -> dict[str, bytes]:
    return {
        key: pack_metric(*(getattr(value, name) for name in (*METRIC_FLOATS, *METRIC_INTEGERS)))
        for key, value in decode_summary(data, where="x").items()
    }


def check(data: bytes) -> None:
    """Check that what a quick reader takes, the strict one takes too, and reads as the same."""
    for quick, strict in (
        (lambda data: read_run(data, where="x"), lambda data: decode_run(data, where="x")),
        (read_params, lambda data: decode_params(data, where="x")),
        (read_metrics, pack),
    ):
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
        assert read_run(encode_run(snapshot.run), where="x") == snapshot.run
        assert read_params(encode_params(snapshot.params)) == snapshot.params
        data = encode_summary(snapshot.summary)
        assert read_metrics(data) == pack(data)
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

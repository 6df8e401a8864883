"""Numbers, times, durations and sizes as people read them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli.amounts import (
    count,
    describe_moment,
    format_age,
    format_change,
    format_duration,
    format_metrics,
    format_param,
    format_params,
    format_size,
    format_utc,
)
from gittrack.compare import ABSENT, is_same
from gittrack.model import Scalar

SECOND = 1_000_000
NOW = 1_769_850_000 * SECOND


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.9130434, 0.88), ["0.9130", "0.8800"]),
        ((12.31, 0.2312), ["12.310", "0.231"]),
        ((1234.5, 2.0), ["1234.50", "2.00"]),
        ((10.0, 1000.0, 0.0), ["10", "1000", "0"]),
        ((1e-05, 0.5), ["1e-05", "0.5"]),
        ((1.5e12, 0.5), ["1.5e+12", "0.5"]),
        ((0.91300001, 0.91300002), ["0.913000", "0.913000"]),
        ((0.91301, 0.91302), ["0.91301", "0.91302"]),
        ((math.nan, 0.25, None), ["nan", "0.2500", ""]),
        ((math.inf, -math.inf), ["inf", "-inf"]),
        ((-0.5, 0.5), ["-0.5000", "0.5000"]),
        ((), []),
    ],
)
def test_a_metric_reads_as_a_column(values: tuple[float | None, ...], texts: list[str]) -> None:
    assert format_metrics(values) == texts


ordinary = st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(ordinary, min_size=1, max_size=8))
def test_a_metric_is_said_to_three_digits_at_least(values: list[float]) -> None:
    for value, text in zip(values, format_metrics(values), strict=True):
        read = float(text)
        if math.isnan(value):
            assert math.isnan(read)
        elif math.isinf(value):
            assert read == value
        else:
            assert read == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (0.1 + 0.2, "0.3"),
        (1.0, "1.0"),
        (3, "3"),
        (10**20, "100000000000000000000"),
        (True, "true"),
        (None, "null"),
        (math.nan, "nan"),
        ("a\x1b[31m b", "a b"),
        (ABSENT, ""),
    ],
)
def test_a_param_is_said_as_it_was_given(value: Scalar, text: str) -> None:
    assert format_param(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((1, "1"), ["1", '"1"']),
        ((True, "true"), ["true", '"true"']),
        ((None, "null", "x"), ["null", '"null"', '"x"']),
        (("", ABSENT), ['""', ""]),
        ((1, 1.0), ["1", "1.0"]),
        ((0.30000000000000004, 0.3), ["0.30000000000000004", "0.3"]),
        (("a", "b"), ["a", "b"]),
        (("a\x1b[0m", "a"), ['"a\\u001b[0m"', '"a"']),
    ],
)
def test_params_that_differ_never_look_the_same(values: tuple[Scalar, ...], texts: list[str]) -> None:
    assert format_params(values) == texts


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=5))
def test_equal_texts_mean_equal_params(values: list[Scalar]) -> None:
    texts = format_params(values)
    for index, text in enumerate(texts):
        for other in range(index):
            if texts[other] == text:
                assert is_same(values[index], values[other])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (-5, "just now"),
        (12, "12 s ago"),
        (180, "3 min ago"),
        (7200, "2 h ago"),
        (86400, "1 day ago"),
        (5 * 86400, "5 days ago"),
        (40 * 86400, "2025-12-22"),
        (-86400, "2026-02-01"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(seconds: int, text: str) -> None:
    assert format_age(NOW - seconds * SECOND, now=NOW) == text


def test_a_moment_is_local_for_people_and_utc_for_programs() -> None:
    assert describe_moment(NOW, now=NOW + 60 * SECOND, interactive=True) == "2026-01-31 10:00:00 +0100 (1 min ago)"
    assert describe_moment(NOW, now=NOW, interactive=False) == "2026-01-31T09:00:00Z"
    assert format_utc(NOW + 999_999) == "2026-01-31T09:00:00Z"
    assert format_utc(-1) == "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, ""),
        (0, "0.00 s"),
        (421_000, "0.42 s"),
        (9_999_000, "10.0 s"),
        (12_300_000, "12.3 s"),
        (59_960_000, "1 min 0 s"),
        (185_000_000, "3 min 5 s"),
        (8_040_000_000, "2 h 14 min"),
        (273_600_000_000, "3 d 4 h"),
        (-5, "0.00 s"),
    ],
)
def test_a_duration_is_said_in_two_units(microseconds: int | None, text: str) -> None:
    assert format_duration(microseconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_234_567, "1.2 MB"), (5 * 10**15, "5.0 PB")],
)
def test_a_size_is_said_in_powers_of_1000(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (0.5, 0.55, "+10.0%"),
        (-2.0, -1.0, "+50.0%"),
        (1.0, 4.0, "+300%"),
        (0.0, 1.0, ""),
        (1.0, 1.0, ""),
        (math.nan, 1.0, ""),
        (1.0, math.inf, ""),
    ],
)
def test_a_change_is_said_in_percent_of_the_old_value(old: float, new: float, text: str) -> None:
    assert format_change(old, new) == text


def test_nouns_are_counted() -> None:
    assert [count(0, "run"), count(1, "run"), count(2, "run")] == ["0 runs", "1 run", "2 runs"]
    assert count(2, "file is", "files are") == "2 files are"

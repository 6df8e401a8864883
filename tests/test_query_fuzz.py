"""Whatever is asked, the parser reads it or says why not, and the filter agrees with plain Python, run by run."""

from __future__ import annotations

import query_strategies as written
from hypothesis import given, settings
from hypothesis import strategies as st
from query_oracle import Oracle

from gittrack.errors import InvalidInput
from gittrack.frame import Frame, RunRecord, build_segment
from gittrack.frame.arrays import make_mask
from gittrack.query import filter_frame, parse_query, parse_sort, sort_rows
from gittrack.query.tree import Condition, SortKey

QUICK = settings(deadline=5000)


def make_frame(records: list[RunRecord], cut: int, hidden: list[bool]) -> Frame:
    """Return records as a frame of two segments, in which some rows are of runs that have a later revision."""
    segments = [build_segment(records[:cut]), build_segment(records[cut:])]
    return Frame(segments, make_mask(bytes(not flag for flag in hidden)) if any(hidden) else None)


@QUICK
@given(written.conditions)
def test_a_query_reads_as_what_it_says(written_condition: tuple[str, Condition]) -> None:
    text, condition = written_condition
    assert same(parse_query(text).condition, condition)


@QUICK
@given(written.orders())
def test_an_order_reads_as_what_it_says(written_order: tuple[str, tuple[SortKey, ...]]) -> None:
    text, order = written_order
    assert parse_sort(text) == order


def same(left: object, right: object) -> bool:
    """Compare trees: NaN is NaN here, and 1 is not 1.0."""
    return repr_plain(left) == repr_plain(right)


def repr_plain(node: object) -> object:
    if isinstance(node, tuple):
        return tuple(map(repr_plain, node))
    fields = getattr(node, "__dataclass_fields__", None)
    if fields is None:
        return repr(node)
    return type(node).__name__, tuple(repr_plain(getattr(node, name)) for name in fields if fields[name].compare)


@settings(deadline=5000, max_examples=150)
@given(st.data(), written.fleets, st.lists(written.conditions, min_size=1, max_size=6))
def test_the_filter_agrees_with_plain_python(
    data: st.DataObject, records: list[RunRecord], conditions: list[tuple[str, Condition]]
) -> None:
    hidden = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    frame = make_frame(records, data.draw(st.integers(0, len(records))), hidden)
    oracle = Oracle([record for record, gone in zip(records, hidden, strict=True) if not gone], now=written.NOW)
    for text, condition in conditions:
        mask = filter_frame(parse_query(text), frame, now=written.NOW)
        assert (mask.null_count, len(mask)) == (0, len(records))
        found = [flag for flag, gone in zip(mask.to_pylist(), hidden, strict=True) if not gone]
        assert found == oracle.filter(condition), text
        assert not any(flag for flag, gone in zip(mask.to_pylist(), hidden, strict=True) if gone)


@settings(deadline=5000, max_examples=150)
@given(st.data(), written.fleets, written.orders())
def test_the_order_agrees_with_plain_python(
    data: st.DataObject, records: list[RunRecord], written_order: tuple[str, tuple[SortKey, ...]]
) -> None:
    text, order = written_order
    frame = make_frame(records, data.draw(st.integers(0, len(records))), [])
    chosen = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    limit = data.draw(st.none() | st.integers(0, len(records) + 1))
    rows = sort_rows(frame, parse_sort(text), make_mask(bytes(chosen)), limit=limit)
    expected = Oracle(records, now=written.NOW).sort(order, [row for row, flag in enumerate(chosen) if flag])
    assert rows.to_pylist() == expected[:limit]


def read(text: str) -> None:
    """Parse text as a query and as an order; each is read, or refused with the place of the mistake."""
    for parse in (parse_query, parse_sort):
        problem = None
        try:
            parse(text)
        except InvalidInput as error:
            problem = error.message
        if problem is not None and "\n" in problem:
            message, line, caret = problem.split("\n")
            assert message.isprintable()
            assert caret.lstrip() == "^"
            assert len(line) < 100


PIECES = [
    *[
        "metrics.",
        "params.",
        "tags.a",
        "status",
        "started",
        "`",
        '"',
        "'",
        "''",
        "\\",
        "(",
        ")",
        ",",
        "=",
        "<",
        ">",
        "!",
    ],
    *[
        "and",
        "OR",
        "not",
        "in",
        "between",
        "like",
        "is",
        "null",
        "true",
        "asc",
        "nan",
        "1",
        "-2.5e3",
        ".",
        "-",
        "+",
        "%",
    ],
    *[
        " ",
        "\n",
        "\t",
        "\0",
        "\ud800",
        "\u202e",
        "é",
        "语",
        "🙂",
        "'7 days ago'",
        "'FINISHED'",
        "duration",
        "live",
        "a.min",
    ],
]


@QUICK
@given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    read(text)


@QUICK
@given(st.data(), written.conditions)
def test_a_query_with_a_slip_is_read_or_refused(data: st.DataObject, written_condition: tuple[str, Condition]) -> None:
    text = written_condition[0]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 3))
        text = text[:place] + data.draw(st.sampled_from([*PIECES, ""])) + text[place + length :]
    read(text)


@QUICK
@given(
    st.sampled_from(["(", "not ", "`", '"', "'", "\\'", "''", "a or ", "a in (1,", "1", "metrics.a ", "=", "-", "\n"])
)
def test_a_text_of_one_thing_many_times_is_refused_in_time(piece: str) -> None:
    for count in (50, 65, 1000, 10_000 // len(piece)):
        read(piece * count)
        read("a = '" + piece * count)
        read("a = 1 and " + piece * count)

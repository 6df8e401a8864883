"""Text from runs is made safe before it is printed, and measured in cells."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli.show import fold
from gittrack.cli.text import clean, clean_lines, clip, count_cells, encode_json, reveal


def is_safe(text: str) -> bool:
    """Tell whether no character of text moves the cursor, changes colours or turns the direction round."""
    return not any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or char in "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        for char in text
    )


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("grün 日本 🎉", "grün 日本 🎉"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;has no end", "]0;has no end"),
        ("\x9b31mred", "red"),
        ("\x90payload\x9cx", "x"),
        ("\x1b(0x\x1bc", "x"),
        ("a\x1b", "a"),
        ("a\x1b\x1b[31mb", "ab"),
        ("a\tb\nc\r\nd", "a b c d"),
        ("back\b\b\bspace\x7f\x00", "backspace"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\u2066a\u2069\u200f", "a"),
        ("line\u2028end", "line end"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text() | st.text(alphabet="\x1b[]0;m\x07\\\x9b\x9cPX^_ab\n\t\r\u202e"))
def test_whatever_comes_is_safe_afterwards(text: str) -> None:
    assert is_safe(clean(text))
    assert is_safe(reveal(text.replace("\n", " ")))
    assert all(is_safe(line) for line in clean_lines(text))
    assert clean(clean(text)) == clean(text)


def test_lines_stay_lines() -> None:
    assert clean_lines("\n\none\r\n\ttwo\x1b[1m\n\nthree  \n\n") == ["one", "        two", "", "three"]
    assert clean_lines("  \n ") == []
    assert clean_lines("") == []


def test_source_code_shows_what_is_hidden_in_it() -> None:
    assert reveal("a\x1b[31m\x07\x7f\u202e\x9b") == "a^[[31m^G^?<U+202E><U+009B>"
    assert reveal("\tx = 1") == "        x = 1"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_json_is_safe_to_print_and_loses_nothing(value: object) -> None:
    text = encode_json(value)
    assert json.loads(text) == value
    assert all(is_safe(line) for line in text.split("\n"))


def test_json_keeps_what_people_can_read() -> None:
    assert encode_json({"ä": "日本\x9b"}) == '{\n  "ä": "日本\\u009b"\n}'


@pytest.mark.parametrize(
    ("text", "cells", "clipped"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
    ],
)
def test_text_is_clipped_by_cells(text: str, cells: int, clipped: str) -> None:
    assert clip(text, cells) == clipped


def test_the_end_may_be_what_tells_more() -> None:
    assert clip("model.encoder.depth", 8, keep="end") == "…r.depth"


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 30))
def test_clipped_text_fits(text: str, cells: int) -> None:
    assert count_cells(clip(text, cells)) <= cells
    assert count_cells(clip(text, cells, keep="end")) <= cells


@given(st.text(alphabet="ab 日é", max_size=60), st.integers(2, 20))
def test_folding_loses_nothing_but_the_spaces_at_line_ends(text: str, room: int) -> None:
    lines = fold(text, room)
    assert all(count_cells(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert fold(text, None) == [text]

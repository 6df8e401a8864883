"""A run is found by what people call it."""

from __future__ import annotations

import pytest

from gittrack.address import Candidate, choose_run
from gittrack.errors import Ambiguous, InvalidInput, NotFound

FIRST = Candidate("abcd" + "0" * 28, "brave-otter-41", "churn", 100, False, "feed" + "1" * 36)
SECOND = Candidate("abce" + "0" * 28, "calm-fox-2", "churn", 300, False, "beef" + "2" * 36)
THIRD = Candidate("1234" + "0" * 28, "calm-fox-2", "other", 200, True, None)
ALL = [FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (FIRST.id, FIRST),
        ("abcd", FIRST),
        ("ABCD", FIRST),
        ("brave-otter-41", FIRST),
        ("feed1111", FIRST),
        ("1234", THIRD),
        ("calm-fox-2", SECOND),
        ("latest", SECOND),
        ("latest~0", SECOND),
        ("latest~1", FIRST),
    ],
)
def test_found(ref: str, expected: Candidate) -> None:
    assert choose_run(ref, ALL) is expected


def test_ambiguous_lists_its_candidates() -> None:
    twin = Candidate("abcd" + "f" * 28, "other-name-1", "churn", 400, False, None)
    with pytest.raises(Ambiguous, match="'abcd' fits 2 runs") as caught:
        choose_run("abcd", [*ALL, twin])
    assert caught.value.candidates == (
        "abcdffff  other-name-1  churn  1970-01-01T00:00:00",
        "abcd0000  brave-otter-41  churn  1970-01-01T00:00:00",
    )


def test_not_found_suggests_what_is_close() -> None:
    with pytest.raises(NotFound) as caught:
        choose_run("brave-oter-41", ALL)
    assert caught.value.hint == "gittrack show brave-otter-41"
    with pytest.raises(NotFound, match="2 runs are recorded"):
        choose_run("latest~2", ALL)
    with pytest.raises(NotFound):
        choose_run("latest", [])


def test_a_short_prefix_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 4 digits"):
        choose_run("abc", ALL)

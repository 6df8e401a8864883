"""Requirements: queries whose values may be sums over the runs of a base."""

from __future__ import annotations

import math

import pytest

from gittrack.baseline import is_seed
from gittrack.errors import InvalidInput
from gittrack.guard import Guard
from gittrack.query import Key, parse_query, parse_requirement
from gittrack.query.tree import Term


def test_a_requirement_without_a_base_is_a_query() -> None:
    text = "metrics.auc >= 0.9 OR NOT (params.noise_level = 2)"
    assert parse_requirement(text).query == parse_query(text)
    assert parse_requirement(text).bounds == ()


def test_the_terms_of_a_bound() -> None:
    (bound,) = parse_requirement("metrics.auc >= base.metrics.auc.max - 2 * noise + 0.5 -0.25").bounds
    assert bound.key == Key("metrics", "auc")
    assert bound.wants_more
    assert bound.terms == (
        Term(1.0, Key("metrics", "auc.max")),
        Term(-2.0, noise=True),
        Term(0.5),
        Term(-0.25),
    )


def test_the_bounds_get_their_values() -> None:
    said = parse_requirement(
        "metrics.a > base.metrics.a - noise AND NOT (metrics.b <= base.metrics.b) OR status = 'failed'"
    )
    first, second = said.bounds
    assert said.resolve({first.start: 0.5, second.start: 2.0}) == parse_query(
        "metrics.a > 0.5 AND NOT (metrics.b <= 2.0) OR status = 'failed'"
    )
    unknown = said.resolve({first.start: None, second.start: None})
    assert unknown == parse_query(f"metrics.a > {-math.inf} AND NOT (metrics.b <= {math.inf}) OR status = 'failed'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics.a = base.metrics.a", "more or less"),
        ("params.a >= base.metrics.a", "more or less"),
        ("metrics.a >= noise", "nothing of the base"),
        ("metrics.a >= base.params.a", "only metrics"),
        ("metrics.a >= metrics.b + noise", "neither of the base nor noise"),
        ("metrics.a IN (base.metrics.a)", "alone"),
        ("metrics.a BETWEEN base.metrics.a AND 3", "alone"),
        ("metrics.a >= base.metrics.a 3", "a + or - is missing"),
        ("metrics.a >= base.metrics.a -", "\\^"),
        ("metrics.a >= base.", "\\^"),
    ],
)
def test_what_a_requirement_cannot_say(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said.replace("a +", "a .")):
        parse_requirement(text)


def test_a_query_knows_no_base() -> None:
    with pytest.raises(InvalidInput):
        parse_query("metrics.a >= base.metrics.a")


@pytest.mark.parametrize(
    ("param", "answer"),
    [("seed", True), ("train.seed", True), ("data_seed", True), ("random_state", True), ("lr", False), ("rng", True)],
)
def test_seeds_are_told_by_their_names(param: str, answer: bool) -> None:
    assert is_seed(param) is answer


GUARD = Guard(("src/**", "train.py", "conf/*.yaml", "**/deep.py", "lib"), ("src/notes/**", "**/*.md"))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("train.py", True),
        ("a/train.py", False),
        ("src/a/b.py", True),
        ("src", False),
        ("src/notes/x", False),
        ("src/README.md", False),
        ("conf/a.yaml", True),
        ("conf/b/a.yaml", False),
        ("deep.py", True),
        ("a/b/deep.py", True),
        ("lib/x/y", True),
        ("src/", True),
        ("src/a/", True),
        ("data/", True),  # it may hold deep.py
        ("src/notes/", False),
        ("lib/", True),
    ],
)
def test_which_paths_may_be_guarded(path: str, answer: bool) -> None:
    assert GUARD.covers(path) is answer


def test_a_directory_that_nothing_guarded_can_be_in() -> None:
    guard = Guard(("src/**", "train.py"))
    assert not guard.covers("data/")
    assert guard.covers("src/")
    assert guard.covers("./")

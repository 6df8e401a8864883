"""Names are built and checked in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import layout
from gittrack.errors import InvalidInput


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("churn", "churn"),
        ("Churn Model v2", "churn-model-v2"),
        ("team/churn", "team-churn"),
        ("  spaced  ", "spaced"),
        ("a..b", "a.b"),
        ("x.lock", "x"),
        ("Ünïcode", "ünïcode"),
        ("语言 模型", "语言-模型"),
        ("lr=0.1,bs=32", "lr-0.1-bs-32"),
    ],
)
def test_slug(name: str, slug: str) -> None:
    assert layout.make_slug(name) == slug
    assert layout.is_slug(slug)


@pytest.mark.parametrize("name", ["", "///", "..", "-", "x" * 101, "\n"])
def test_a_name_without_a_slug_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        layout.make_slug(name)


@given(st.text(max_size=60))
def test_a_slug_is_its_own_slug_and_a_valid_ref(name: str) -> None:
    try:
        slug = layout.make_slug(name)
    except InvalidInput:
        return
    assert layout.make_slug(slug) == slug
    assert not set(slug) & set(" ~^:?*[\\/")
    assert ".." not in slug
    assert not slug.endswith((".", ".lock"))
    ref = layout.branch_ref(slug)
    assert layout.find_branch_slug(ref) == slug
    assert layout.find_tracking_slug(layout.tracking_ref("origin", slug)) == slug


def test_refs_that_are_not_experiments() -> None:
    assert layout.find_branch_slug("refs/heads/main") is None
    assert layout.find_branch_slug("refs/heads/gittrack/UPPER") is None
    assert layout.find_branch_slug("refs/heads/gittrack/a/b") is None
    assert layout.find_tracking_slug("refs/remotes/origin/main") is None
    assert layout.find_tracking_slug("refs/remotes/team/fork/gittrack/churn") == "churn"


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/.", ".git/config", "a/.GIT/x", "git~1", "a\\b", "C:x",
        "nul",
        "a/CON.txt", "x ", "x.", "a\nb", "\x1b[31m", "\u202egpj.exe", "x" * 1001, "é" * 200,
    ],
)  # fmt: skip
def test_unusable_artifact_paths(path: str) -> None:
    with pytest.raises(InvalidInput):
        layout.check_artifact_path(path)


@pytest.mark.parametrize("path", ["model.joblib", "plots/roc curve.png", "ünï/码.txt", ".hidden", "a.b/c", "console"])
def test_usable_artifact_paths(path: str) -> None:
    assert layout.check_artifact_path(path) == path


@pytest.mark.parametrize("key", ["", "x" * 251, "a\nb", "a\x00", "\x7f", "\u2028", 5, None, b"x"])
def test_unusable_keys(key: object) -> None:
    with pytest.raises(InvalidInput):
        layout.check_key(key, kind="metric")


def test_the_refusal_of_a_key_is_a_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"^an experiment name is 251 characters long, more than 250: 'xxx"):
        layout.check_key("x" * 251, kind="experiment")
    with pytest.raises(InvalidInput, match=r"^a metric name must not be empty$"):
        layout.check_key("", kind="metric")


def test_usable_keys() -> None:
    for key in ("loss", "val/acc@5", "x" * 250, "损失", "a b", "a.b"):
        assert layout.check_key(key, kind="metric") == key


@given(st.integers(1, 10**6))
def test_part_numbers(number: int) -> None:
    assert layout.find_part_number(layout.part_path(number)) == number


@pytest.mark.parametrize("namespace", ["refs/heads", "heads/x", "refs/heads/../x", "refs/heads/x/", "", "refs/remotes"])
def test_unusable_namespaces(namespace: str) -> None:
    with pytest.raises(InvalidInput):
        layout.check_namespace(namespace)

"""The JSON of Git LFS, against whatever a server may send."""

from __future__ import annotations

import json
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from gittrack.content_remote.lfs_endpoint import split_url
from gittrack.content_remote.lfs_message import Action, Answer, BadAnswer, read_batch, read_error, write_batch
from gittrack.content_remote.lfs_settings import is_header
from gittrack.model import Pointer

ONE, TWO = Pointer("1" * 64, 5), Pointer("2" * 64, 7)

KEYS = "oid size actions upload verify download href header expires_in expires_at error code message objects".split()
WORDS = st.sampled_from(
    [*KEYS, ONE.oid, TWO.oid, "https://host/x", "http://host/x", "file:///x", "a\r\nb", "2016-11-10T15:29:07Z"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {"oid": st.sampled_from([ONE.oid, TWO.oid])},
    optional={
        "size": JSON | st.just(5),
        "error": JSON,
        "authenticated": JSON,
        "actions": JSON
        | st.dictionaries(
            st.sampled_from(["upload", "download", "verify"]),
            JSON
            | st.fixed_dictionaries({"href": WORDS}, optional={"header": JSON, "expires_in": JSON, "expires_at": JSON}),
        ),
    },
)


@given(st.lists(ENTRY | JSON, max_size=4) | JSON, st.sampled_from(["upload", "download"]), st.booleans())
def test_whatever_comes_is_an_answer_that_is_safe_or_none(
    objects: Any, operation: Literal["upload", "download"], secure: bool
) -> None:
    body = json.dumps({"objects": objects}).encode()
    try:
        answers = read_batch(body, operation, [ONE, TWO], now=1000.0, secure=secure)
    except BadAnswer:
        assert not isinstance(objects, list)
        return
    assert list(answers) == [ONE, TWO]
    for answer in answers.values():
        assert answer.words.isprintable()
        assert answer.actions == {} or answer.code is None
        assert operation == "upload" or answer.code is not None or "download" in answer.actions
        for action in answer.actions.values():
            parts = split_url(action.href)
            assert parts is not None
            assert parts.scheme == "https" or not secure
            assert all(is_header(name, value) for name, value in action.headers.items())


@given(st.binary(max_size=40))
def test_any_bytes_are_an_error_without_words_or_with_some(body: bytes) -> None:
    assert read_error(body).isprintable()


def test_a_batch_and_its_answer() -> None:
    assert json.loads(write_batch("download", [ONE], ref="refs/heads/x")) == {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "ref": {"name": "refs/heads/x"},
        "objects": [{"oid": ONE.oid, "size": 5}],
    }
    action = {"href": "https://host/x?sig=1", "header": {"Key": "value"}, "expires_in": 60}
    body = {
        "transfer": "basic",
        "objects": [
            {"oid": ONE.oid, "size": 5, "authenticated": True, "actions": {"download": action}},
            {"oid": TWO.oid, "size": 7, "error": {"code": 410, "message": "removed by its owner"}},
        ],
    }
    answers = read_batch(json.dumps(body).encode(), "download", [TWO, ONE], now=1000.0, secure=True)
    download = Action("https://host/x?sig=1", {"Key": "value"}, 1060.0)
    assert answers[ONE] == Answer({"download": download}, authenticated=True)
    assert answers[ONE].deadline == 1060.0
    assert answers[TWO] == Answer({}, code=410, words="removed by its owner")

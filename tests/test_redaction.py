"""Taking something out of a run: nothing of it is left, and everything else is as it was."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from urllib.parse import quote

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from gittrack import layout
from gittrack.errors import InvalidInput, NotFound
from gittrack.model import Failure, Run, Snapshot, Status
from gittrack.redaction import REDACTED, check_places, redact_places, spell_text
from gittrack.redaction.places import WHOLE
from gittrack.redaction.text import TextSearch
from gittrack.snapshot import decode_snapshot, encode_snapshot

SECRET = "s3cret/ü"
words = st.sampled_from(
    ["", "plain", SECRET, f"in {SECRET} front", SECRET * 2, json.dumps(SECRET)[1:-1], quote(SECRET)]
)
snapshots = st.builds(
    lambda snapshot, text, key: replace(
        snapshot,
        run=replace(
            snapshot.run,
            note=text,
            tags={key or "k": text},
            command=(text, "x"),
            failure=Failure(text, text, text),
            source=replace(snapshot.run.source, branch=text or None),
        ),
        params={key or "p": text, "other": 1},
        environment={"python": {"path": [text, {key or "e": text}]}},
    ),
    strategies.snapshots,
    words,
    words,
)


def find_spellings(snapshot: Snapshot) -> list[str]:
    text = b"".join(data for _, data in sorted(encode_snapshot(snapshot).items())).decode("utf-8", "surrogateescape")
    return [spelling for spelling in spell_text([SECRET]) if spelling in text]


@given(snapshots)
def test_a_text_is_nowhere_any_more_and_nothing_else_changed(snapshot: Snapshot) -> None:
    search = TextSearch(spell_text([SECRET]))
    clean = search.snapshot(snapshot)
    assert find_spellings(clean) == []
    assert search.places or not find_spellings(snapshot)
    if not search.places:
        assert strategies.same(clean, replace(snapshot, environment=clean.environment))
    assert len(clean.params) == len(snapshot.params)
    assert not any(SECRET in place for place in search.places)
    files = encode_snapshot(clean)
    prefix = layout.ARTIFACTS_DIRECTORY + "/"
    artifacts = {path[len(prefix) :]: data for path, data in files.items() if path.startswith(prefix)}
    assert strategies.same(decode_snapshot(files, artifacts=artifacts, parts=(), where="test"), clean)
    again = TextSearch(spell_text([SECRET]))
    assert strategies.same(again.snapshot(clean), clean)
    assert again.places == {}


@given(
    st.lists(st.sampled_from([b"s3c", b"ret", b"s3cret", b"\0", b"xy"]), max_size=30).map(b"".join), st.integers(1, 9)
)
def test_a_stream_is_cleaned_like_the_whole(data: bytes, chunk: int) -> None:
    search = TextSearch(spell_text(["s3cret", "s3cretxy"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gittrack.redaction.text._CHUNK", chunk)
        clean, count = search.replace_bytes(data)
        assert b"".join(search.replace_stream(io.BytesIO(data))) == clean
        assert search.inspect(io.BytesIO(data)) == (count, b"\0" in data)
    assert clean == data.replace(b"s3cretxy", b"[redacted]").replace(b"s3cret", b"[redacted]")


@given(strategies.snapshots, st.data())
def test_places_are_taken_out_and_listed_once(snapshot: Snapshot, data: st.DataObject) -> None:
    known = [
        *WHOLE,
        "environment",
        *(f"params.{key}" for key in snapshot.params),
        *(f"tags.{key}" for key in snapshot.run.tags),
        *(f"metrics.{key}" for key in snapshot.summary),
        *(f"artifacts/{path}" for path in snapshot.artifacts),
        "params.gone",
        "artifacts/gone",
    ]
    chosen = data.draw(st.lists(st.sampled_from(known), unique=True, max_size=4))
    clean = redact_places(snapshot, chosen)
    assert clean.run.redacted == tuple(dict.fromkeys((*snapshot.run.redacted, *chosen)))
    for key, value in snapshot.params.items():
        assert strategies.same(clean.params[key], REDACTED if f"params.{key}" in chosen else value)
    for key, text in snapshot.run.tags.items():
        assert clean.run.tags[key] == (REDACTED if f"tags.{key}" in chosen else text)
    assert clean.summary.keys() == {key for key in snapshot.summary if f"metrics.{key}" not in chosen}
    assert clean.artifacts.keys() == {path for path in snapshot.artifacts if f"artifacts/{path}" not in chosen}
    assert clean.run.note == (REDACTED if "note" in chosen else snapshot.run.note)
    assert clean.run.command == ((REDACTED,) if "command" in chosen else snapshot.run.command)
    assert (clean.run.id, clean.run.revision) == (snapshot.run.id, snapshot.run.revision)
    assert strategies.same(redact_places(clean, chosen), clean)


def test_a_place_that_is_not_there_is_told() -> None:
    snapshot = Snapshot(Run("a" * 32, "brave-otter-41", "churn", 1, Status.FINISHED, 5))
    check_places(snapshot, ["source/a.py"], files=["a.py"])
    for place in ("params.x", "tags.x", "metrics.x", "artifacts/x", "source/x", "note"):
        with pytest.raises(NotFound, match="has no"):
            check_places(snapshot, [place], files=["a.py"])


def test_a_short_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="4 characters"):
        spell_text(["abc"])
    assert spell_text(['a"b/c']) == ("a%22b%2Fc", "a%22b/c", 'a\\"b/c', 'a"b/c')

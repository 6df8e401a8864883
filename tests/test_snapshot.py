"""Runs, experiments and commit messages encode to canonical bytes and back."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from gittrack import canonical, layout, message, snapshot
from gittrack.errors import Corrupt, GittrackError, Unsupported
from gittrack.model import MetricSummary, Run, Snapshot, SourceLink, Status

RUN = Run(
    id="0123456789abcdef0123456789abcdef",
    name="brave-otter-41",
    experiment="churn",
    revision=1,
    status=Status.FINISHED,
    started=1_769_851_800_000_001,
    ended=1_769_851_860_000_000,
    source=SourceLink(commit="c" * 40, dirty=True, captured="worktree", tree="d" * 40),
)
LOSS = MetricSummary(3, 0.5, 0, 0.25, 2, 0.25, 2, 0.5, 0, 0.375)


@given(strategies.snapshots)
def test_snapshot_round_trip(value: Snapshot) -> None:
    files = snapshot.encode_snapshot(value)
    prefix = layout.ARTIFACTS_DIRECTORY + "/"
    artifacts = {path[len(prefix) :]: data for path, data in files.items() if path.startswith(prefix)}
    back = snapshot.decode_snapshot(files, artifacts=artifacts, parts=(), where="test")
    assert strategies.same(back, value)
    assert snapshot.encode_snapshot(back) == files


@given(strategies.experiments)
def test_experiment_round_trip(value: object) -> None:
    data = snapshot.encode_experiment(value)[layout.EXPERIMENT_FILE]
    assert strategies.same(snapshot.decode_experiment(data, where="test"), value)


@given(strategies.snapshots)
def test_message_round_trip(value: Snapshot) -> None:
    text = message.write_run_message(value)
    said = message.parse_message(text, where="test")
    run = value.run
    assert isinstance(said, message.RunTrailers)
    assert (said.run_id, said.revision, said.status, said.started) == (run.id, run.revision, run.status, run.started)
    assert (said.experiment, said.parent_run, said.removed) == (run.experiment, run.parent, run.removed is not None)
    assert said.source_commit == run.source.commit
    assert said.source_dirty == (run.source.dirty and run.source.commit is not None)
    assert len(text.split("\n", 1)[0]) <= max(100, len(run.name) + len("  FINISHED (removed)"))


def test_params_read_like_a_table() -> None:
    params = {"model": "svm", "lr": 0.1, "depth": 3, "bias": True, "seed": None, "cap": float("inf"), "text": "NaN"}
    assert snapshot.encode_params(params).decode() == (
        '{\n  "bias": true,\n  "cap": "Infinity",\n  "depth": 3,\n  "lr": 0.1,\n  "model": "svm",\n  "seed": null,\n'
        '  "text": {\n    "string": "NaN"\n  }\n}\n'
    )


def test_summary_has_one_metric_a_line() -> None:
    lines = snapshot.encode_summary({"loss": LOSS, "auc": replace(LOSS, last=float("nan"))}).decode().split("\n")
    assert lines[0] == "{"
    assert lines[1].startswith('  "auc": {"count": 3, "first": 0.5, "first_step": 0, "last": "NaN", "last_step": 2,')
    assert lines[2].startswith('  "loss": {')
    assert lines[3:] == ["}", ""]
    assert snapshot.encode_summary({}) == b"{}\n"


def test_run_message_is_for_people_and_for_git() -> None:
    text = message.write_run_message(Snapshot(RUN, summary={"loss": LOSS, "auc": replace(LOSS, last=0.9134)}))
    assert text == (
        "brave-otter-41  FINISHED  auc=0.9134 loss=0.25\n\n"
        "Run: 0123456789abcdef0123456789abcdef\nRevision: 1\nStatus: FINISHED\n"
        "Started: 2026-01-31T09:30:00.000001Z\nExperiment: churn\n"
        f"Source-Commit: {'c' * 40}\nSource-Dirty: yes\nFormat: 1\n"
    )


def test_a_newer_format_is_refused_first() -> None:
    record = json.loads(snapshot.encode_run(RUN))
    newer = {"format": 2, "something": "else"}
    with pytest.raises(Unsupported, match="written in format 2; this gittrack reads format 1"):
        snapshot.decode_run(canonical.encode_json(newer), where="x")
    with pytest.raises(Unsupported):
        message.parse_message("name  DONE\n\nRun: ?\nFormat: 2\n", where="x")
    assert snapshot.read_run_record(record, where="x") == RUN


@pytest.mark.parametrize("text", ["", "fix a bug\n", "merge\n\nSigned-off-by: A <a@b>\n", "x\n\nRun: abc\n"])
def test_other_commits_are_no_records(text: str) -> None:
    assert message.parse_message(text, where="x") is None


@pytest.mark.parametrize(
    "trailers",
    ["Run: xyz\nRevision: 1\nStatus: FINISHED\nFormat: 1", f"Run: {'a' * 32}\nStatus: FINISHED\nFormat: 1",
     f"Run: {'a' * 32}\nRevision: one\nStatus: FINISHED\nFormat: 1", "Run: a\nFormat: one"],
)  # fmt: skip
def test_damaged_trailers_are_named(trailers: str) -> None:
    with pytest.raises(Corrupt, match="commit abc"):
        message.parse_message(f"name  FINISHED\n\n{trailers}\n", where="commit abc")


@given(st.data())
def test_a_damaged_record_is_corrupt_and_nothing_else(data: st.DataObject) -> None:
    encoded = bytearray(snapshot.encode_run(RUN))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(GittrackError):
        assert isinstance(snapshot.decode_run(bytes(encoded), where="here"), Run)


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"a": 1, "a": 2}', b"\xff", b'{"a": NaN}', b"[]", b"", b'{"format": true}'],
)
def test_hostile_json_is_corrupt(text: bytes) -> None:
    with pytest.raises(Corrupt):
        snapshot.decode_run(text, where="x")


@given(strategies.times)
def test_time_round_trip(time: int) -> None:
    assert canonical.parse_time(canonical.format_time(time), where="x") == time


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00.000000Z", "2026-01-01", None, 5, "٢026-01-01T00:00:00.000000Z"])
def test_a_wrong_time_is_corrupt(text: object) -> None:
    with pytest.raises(Corrupt):
        canonical.parse_time(text, where="x")

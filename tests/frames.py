"""What a frame should say of some runs, cell by cell: the oracle of every test that makes one."""

from __future__ import annotations

import shlex
from typing import Any

import pyarrow as pa
import strategies
from hypothesis import strategies as st

from gittrack.frame import Frame, RunRecord
from gittrack.frame.schema import METRIC_FLOATS, METRIC_INTEGERS, keyed_schema, run_schema
from gittrack.model import Scalar

records = st.builds(
    RunRecord,
    run=strategies.runs,
    params=st.dictionaries(st.sampled_from(["lr", "model", "a.b"]) | strategies.keys, strategies.scalars, max_size=4),
    summary=st.dictionaries(st.sampled_from(["loss", "auc"]) | strategies.keys, strategies.summaries, max_size=3),
    artifacts=st.dictionaries(strategies.artifact_paths, strategies.pointers, max_size=2),
    commit=st.none() | strategies.hex40,
    commit_time=st.none() | st.integers(0, 2**40),
    tree=st.none() | strategies.hex40,
    live=st.booleans(),
)


def clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def say(text: str) -> str | None:
    return clean(text) or None


def spell(value: Scalar) -> tuple[object, ...]:
    """Return a param as a cell of the params table: kind, number, text."""
    if value is None:
        return 1, None, None
    if isinstance(value, bool):
        return 2, float(value), None
    if isinstance(value, int):
        return 3, float(value), str(value) if abs(value) > 2**53 else None
    return (4, value, None) if isinstance(value, float) else (5, None, clean(value))


def expect_attributes(record: RunRecord) -> dict[str, object]:
    run, source, failure = record.run, record.run.source, record.run.failure
    return {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status.value,
        "started": run.started,
        "ended": run.ended,
        "removed": run.removed,
        "parent": run.parent,
        "reproduces": run.reproduces,
        "user": say(run.user),
        "host": say(run.host),
        "note": say(run.note),
        "command": say(shlex.join(run.command)),
        "revision": run.revision,
        "exit_code": run.exit_code,
        "live": record.live,
        "incomplete": say(run.incomplete),
        "failure": None if failure is None else clean(f"{failure.type}: {failure.message}"),
        "commit": record.commit,
        "commit_time": record.commit_time,
        "tree": record.tree,
        "source_commit": source.commit,
        "source_branch": None if source.branch is None else clean(source.branch),
        "source_remote": None if source.remote is None else clean(source.remote),
        "source_tree": source.tree,
        "source_directory": clean(source.directory),
        "source_dirty": source.dirty,
        "source_captured": source.captured,
    }


def expect_entries(record: RunRecord) -> dict[str, dict[str, tuple[object, ...]]]:
    inputs = {entry.name: entry for entry in reversed(record.run.inputs)}
    return {
        "params": {key: spell(value) for key, value in record.params.items()},
        "metrics": {
            key: tuple(getattr(value, name) for name in (*METRIC_FLOATS, *METRIC_INTEGERS))
            for key, value in record.summary.items()
        },
        "tags": {key: (clean(text),) for key, text in record.run.tags.items()},
        "artifacts": {path: (pointer.oid, pointer.size) for path, pointer in record.artifacts.items()},
        "inputs": {
            clean(name): (clean(e.path), e.kind, clean(e.digest), e.size, clean(e.context))
            for name, e in inputs.items()
        },
    }


def read_list(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def check(frame: Frame, expected: list[RunRecord]) -> None:
    """Check every cell of a frame, all of whose rows are visible, against the records it was made of."""
    assert frame.height == frame.count == len(expected)
    assert frame.visible.to_pylist() == [True] * len(expected)
    attributes = [expect_attributes(record) for record in expected]
    for name in run_schema().names:
        assert read_list(frame.get_attribute(name)) == [row[name] for row in attributes], name
    entries = [expect_entries(record) for record in expected]
    for table in ("params", "metrics", "tags", "artifacts", "inputs"):
        counts: dict[str, int] = {}
        for row in entries:
            for key in row[table]:
                counts[clean(key)] = counts.get(clean(key), 0) + 1
        assert frame.list_keys(table) == counts
        assert list(frame.list_keys(table)) == sorted(counts)
        for key in counts:
            for index, field in enumerate(keyed_schema(table).names[1:]):
                column = frame.get_column(table, key, field)
                assert column is not None
                wanted = [row[table][key][index] if key in row[table] else None for row in entries]
                assert strategies.same(read_list(column), wanted), (table, key, field)

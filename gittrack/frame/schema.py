"""Owns the columns of a frame: the attributes of runs, and the tables of what runs have by key.

The schemas are the same for every segment, however many keys there are: a key is a slice of a tall table, not a column.
Knows nothing of how segments are made or kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PARAMS, METRICS, TAGS, ARTIFACTS, INPUTS = "params", "metrics", "tags", "artifacts", "inputs"

# The kinds of a param.
NULL, BOOL, INT, FLOAT, TEXT = 1, 2, 3, 4, 5

METRIC_FLOATS = ("last", "min", "max", "mean", "first")
METRIC_INTEGERS = ("count", "last_step", "min_step", "max_step", "first_step")

# Of each keyed table the field that is null nowhere, so that a null where it is spread over the runs means "no entry".
PRESENCE: Mapping[str, str] = {PARAMS: "kind", METRICS: "count", TAGS: "text", ARTIFACTS: "oid", INPUTS: "path"}
KEYED_TABLES = tuple(PRESENCE)


@cache
def run_schema() -> pa.Schema:
    """Return the schema of the runs: one row a run."""
    import pyarrow as pa

    text, moment, flag = pa.string(), pa.timestamp("us", "UTC"), pa.bool_()
    return pa.schema(
        {
            "id": text,
            "name": text,
            "experiment": text,
            "status": text,
            "started": moment,
            "ended": moment,
            "removed": moment,
            "parent": text,
            "reproduces": text,
            "user": text,
            "host": text,
            "note": text,
            "command": text,
            "revision": pa.int32(),
            "exit_code": pa.int32(),
            "live": flag,
            "incomplete": text,
            "failure": text,
            "commit": text,
            "commit_time": pa.int64(),
            "tree": text,
            "source_commit": text,
            "source_branch": text,
            "source_remote": text,
            "source_tree": text,
            "source_directory": text,
            "source_dirty": flag,
            "source_captured": text,
        }
    )


@cache
def keyed_schema(table: str) -> pa.Schema:
    """Return the schema of a keyed table: the row of the run, then the fields of the entry."""
    import pyarrow as pa

    text, number, integer = pa.string(), pa.float64(), pa.int64()
    fields: dict[str, dict[str, pa.DataType]] = {
        PARAMS: {"kind": pa.uint8(), "number": number, "text": text},
        METRICS: {**dict.fromkeys(METRIC_FLOATS, number), **dict.fromkeys(METRIC_INTEGERS, integer)},
        TAGS: {"text": text},
        ARTIFACTS: {"oid": text, "size": integer},
        INPUTS: {"path": text, "kind": text, "digest": text, "size": integer, "context": text},
    }
    return pa.schema({"row": pa.int32(), **fields[table]})

"""Owns the words a query may name: groups, attributes, fields, their aliases, and the kind of value each has.

Knows nothing of how a query is written and of what runs hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .tree import Group, Key

Kind = Literal[
    "number", "integer", "seconds", "time", "mark", "text", "hash", "digest", "status", "slug", "flag", "param", "label"
]

GROUPS: Mapping[str, Group] = {
    **dict.fromkeys(("metric", "metrics"), "metrics"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "params"),
    **dict.fromkeys(("tag", "tags"), "tags"),
    **dict.fromkeys(("input", "inputs"), "inputs"),
    **dict.fromkeys(("dataset", "datasets"), "datasets"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attributes"),
}

# `removed` is a mark: a time that also says yes or no.
ATTRIBUTES: Mapping[str, Kind] = {
    "id": "hash",
    "name": "text",
    "experiment": "slug",
    "status": "status",
    "started": "time",
    "ended": "time",
    "duration": "seconds",
    "user": "text",
    "host": "text",
    "command": "text",
    "exit_code": "integer",
    "note": "text",
    "failure": "text",
    "incomplete": "text",
    "live": "flag",
    "removed": "mark",
    "parent": "hash",
    "reproduces": "hash",
    "commit": "hash",
    "tree": "hash",
    "revision": "integer",
    "source.commit": "hash",
    "source.branch": "text",
    "source.dirty": "flag",
    "source.captured": "text",
    "source.tree": "hash",
    "source.directory": "text",
    "source.remote": "text",
}

# Other names of attributes: MLflow's, and those of the columns of `gittrack ls`.
ALIASES: Mapping[str, str] = {
    "run_id": "id",
    "run_uuid": "id",
    "run_name": "name",
    "start_time": "started",
    "created": "started",
    "end_time": "ended",
    "user_id": "user",
    "source": "source.commit",
    "branch": "source.branch",
}

# Tags in which MLflow keeps what runs here have as attributes.
TAG_ALIASES: Mapping[str, str] = {
    "mlflow.runName": "name",
    "mlflow.user": "user",
    "mlflow.parentRunId": "parent",
    "mlflow.note.content": "note",
    "mlflow.source.name": "command",
    "mlflow.source.git.commit": "source.commit",
    "mlflow.source.git.branch": "source.branch",
    "mlflow.source.git.repoURL": "source.remote",
}

METRIC_FIELDS: Mapping[str, str] = {
    **{name: name for name in ("last", "min", "max", "mean", "first", "count")},
    **{name: name for name in ("last_step", "min_step", "max_step", "first_step")},
    "step": "last_step",
}
INPUT_FIELDS: Mapping[str, str] = {name: name for name in ("digest", "path", "kind", "size", "context")}
DATASET_FIELDS = ("name", *INPUT_FIELDS)

# What a metric or an input is compared by where no field is named.
DEFAULT_FIELDS: Mapping[Group, str] = {"metrics": "last", "inputs": "digest"}

STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")


def find_attribute(name: str) -> str | None:
    """Return an attribute's own name for any spelling of it or of an alias, such as `Run name`, else None."""
    word = name.lower().replace(" ", "_")
    word = ALIASES.get(word, word)
    return word if word in ATTRIBUTES else None


def get_fields(group: Group) -> Mapping[str, str]:
    """Return the names a field of this group goes by, and what each is called in a frame."""
    return {"metrics": METRIC_FIELDS, "inputs": INPUT_FIELDS}.get(group, {})


def find_kind(key: Key) -> Kind | None:
    """Return the kind of value a key has, or None where only the runs tell.

    Of a metric or an input the kind of its last word, where that may be a field: which it is, the runs tell.
    """
    if key.group == "attributes":
        return ATTRIBUTES[key.name]
    if key.group in ("params", "tags"):
        return "param" if key.group == "params" else "label"
    if key.group == "any" or (not key.field and not key.exact and get_fields(key.group).keys() & {_last_word(key)}):
        return None
    return get_field_kind(key.group, key.field or DEFAULT_FIELDS[key.group])


def get_field_kind(group: Group, field: str) -> Kind:
    """Return the kind of value a field of a metric, an input or a dataset has."""
    if group == "metrics":
        return "integer" if field == "count" or field.endswith("step") else "number"
    return "integer" if field == "size" else "digest" if field == "digest" else "text"


def _last_word(key: Key) -> str:
    return key.name.rpartition(".")[2]

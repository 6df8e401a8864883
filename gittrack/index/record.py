"""Reads the JSON files of a run quickly, for the many that are as gittrack writes them.

Each function returns None for what it does not understand, and is then no judge of it: the strict decoder is. Where it
returns something, the strict decoder would have read the same. Pure: bytes in, values out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, cast, get_args

from ..canonical import find_nonfinite, parse_time
from ..errors import GittrackError
from ..frame import pack_metric
from ..frame.schema import METRIC_FLOATS, METRIC_INTEGERS
from ..layout import is_run_id
from ..model import FORMAT_VERSION, Captured, Run, Scalar, SourceLink, Status
from ..snapshot import read_run_record

_decode_text = json.JSONDecoder().decode
_get_statistics = itemgetter(*METRIC_FLOATS, *METRIC_INTEGERS)
_FLOATS = len(METRIC_FLOATS)
_PLAIN_ROW = (float,) * _FLOATS + (int,) * len(METRIC_INTEGERS)
_PLAIN = {str, int, float, bool, type(None)}

# What most runs have, and of which type; a run with more to it is read field by field.
_RUN_FIELDS = {
    **dict.fromkeys(("id", "name", "experiment", "status", "started", "ended", "parent", "user", "host", "note"), str),
    **dict.fromkeys(("format", "revision", "exit_code"), int),
    "command": list,
    "tags": dict,
    "source": dict,
}
_SOURCE_FIELDS = {
    **dict.fromkeys(("commit", "branch", "remote", "tree", "captured", "directory"), str),
    "dirty": bool,
}
_STATUSES = {status.value: status for status in Status}
_CAPTURED = get_args(Captured)


def read_run(data: bytes, *, where: str) -> Run | None:
    """Return the run that a run.json holds."""
    record = _read_object(data)
    if record is None or not _is_all(data, _count_keys(record)):
        return None
    try:
        return _read_common_run(record, where) or read_run_record(record, where=where)
    except GittrackError:
        return None


def _read_common_run(record: dict[str, Any], where: str) -> Run | None:
    source = record.get("source")
    if type(source) is not dict or not _has_types(source, _SOURCE_FIELDS) or not _has_types(record, _RUN_FIELDS):
        return None
    get = record.get
    run_id, name, experiment, status, started = map(get, ("id", "name", "experiment", "status", "started"))
    captured, command, tags, ended = source.get("captured"), get("command", ()), get("tags", {}), get("ended")
    if get("format") != FORMAT_VERSION or name is None or experiment is None or "revision" not in record:
        return None
    if status not in _STATUSES or captured not in _CAPTURED or run_id is None or not is_run_id(run_id):
        return None
    if not all(type(word) is str for word in command) or not all(type(text) is str for text in tags.values()):
        return None
    return Run(
        id=run_id,
        name=name,
        experiment=experiment,
        revision=record["revision"],
        status=_STATUSES[status],
        started=parse_time(started, where=where),
        ended=None if ended is None else parse_time(ended, where=where),
        parent=get("parent"),
        user=get("user", ""),
        host=get("host", ""),
        command=tuple(command),
        exit_code=get("exit_code"),
        tags=tags,
        note=get("note", ""),
        source=SourceLink(
            commit=source.get("commit"),
            branch=source.get("branch"),
            remote=source.get("remote"),
            dirty=source.get("dirty", False),
            captured=cast(Captured, captured),
            tree=source.get("tree"),
            directory=source.get("directory") or ".",
        ),
    )


def _has_types(record: dict[str, Any], types: Mapping[str, type]) -> bool:
    return all(types.get(key) is type(value) for key, value in record.items())


def read_params(data: bytes) -> dict[str, Scalar] | None:
    """Return the params that a params.json holds."""
    params = _read_object(data)
    if params is None:
        return None
    keys = len(params)
    for key, value in params.items():
        kind = type(value)
        if kind is str:
            spelled = find_nonfinite(value)
            if spelled is not None:
                params[key] = spelled
        elif kind is dict:
            text = value.get("string")
            if len(value) != 1 or not isinstance(text, str):
                return None
            params[key] = text
            keys += 1
        elif kind not in _PLAIN:
            return None
    return params if _is_all(data, keys) else None


def read_metrics(data: bytes) -> dict[str, bytes] | None:
    """Return the numbers of a summary.json, by metric, packed by `pack_metric`."""
    rows = _read_object(data)
    if rows is None or not _is_all(data, (1 + len(_PLAIN_ROW)) * len(rows)):
        return None
    try:
        for metric, row in rows.items():
            values = _get_statistics(row)
            if tuple(map(type, values)) != _PLAIN_ROW:
                if not all(type(value) is int for value in values[_FLOATS:]):
                    return None
                values = (*map(_read_number, values[:_FLOATS]), *values[_FLOATS:])
            rows[metric] = pack_metric(*values)
    except (KeyError, TypeError, struct.error):
        return None
    return rows


def _read_number(value: object) -> float | None:
    return value if type(value) is float else find_nonfinite(value)


def _read_object(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object, unless something in it needs a closer look than this decoder takes.

    It lets bare NaN and Infinity pass, which the strict one refuses, so they are looked for: with their quotation marks
    they are spelled as they should be. It does not notice a key that stands twice: see `_is_all`.
    """
    if b"NaN" in data and data.count(b"NaN") != data.count(b'"NaN"'):
        return None
    if b"Infinity" in data and data.count(b"Infinity") != data.count(b'"Infinity"') + data.count(b'"-Infinity"'):
        return None
    try:
        value = _decode_text(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict else None


def _is_all(data: bytes, keys: int) -> bool:
    """Tell whether JSON text has just so many keys: that none of those that were found stands there twice.

    A key ends with a quotation mark and, perhaps after some space, a colon. Texts can hold either sign too; where that
    makes the count too high, nobody is deceived.
    """
    if data.count(b":") == keys:
        return True
    return data.count(b'":') == keys and not any(gap in data for gap in (b" :", b"\n:", b"\t:", b"\r:"))


def _count_keys(value: dict[str, Any]) -> int:
    count = 0
    pending: list[Any] = [value]
    while pending:
        inner = pending.pop()
        if type(inner) is dict:
            count += len(inner)
            inner = inner.values()
        pending += [entry for entry in inner if type(entry) is dict or type(entry) is list]
    return count

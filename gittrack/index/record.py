"""Reads the JSON files of a run quickly, for the many that are as gittrack writes them.

Each function returns None for what it does not understand, and is then no judge of it: the strict decoder is. Where it
returns something, the strict decoder would have read the same. Pure: bytes in, values out.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from operator import is_, itemgetter
from typing import Any, NamedTuple, get_args

from ..canonical import find_nonfinite, parse_time
from ..errors import GittrackError
from ..frame import join_words, pack_metric
from ..frame.schema import METRIC_FLOATS, METRIC_INTEGERS
from ..layout import is_run_id
from ..model import FORMAT_VERSION, Captured, Run, Scalar, Status
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
_STATUSES = frozenset(Status.__members__)
_CAPTURED = frozenset(get_args(Captured))
_match_time = re.compile(r"(\d{4}-\d\d-\d\dT)([01]\d|2[0-3]):([0-5]\d):([0-5]\d)\.(\d{6})Z", re.ASCII).fullmatch


class RunRow(NamedTuple):
    """A run on its way into a row: `values` are as `SegmentBuilder.add_row` takes them."""

    id: str
    revision: int
    values: tuple[Any, ...]
    tags: dict[str, str]


def read_run(data: bytes, *, commit: str, commit_time: int, tree: str) -> RunRow | Run | None:
    """Return the run that a run.json holds: as a row where there is nothing unusual to it, else as a value."""
    record = _decode_object(data)
    if record is None:
        return None
    source, tags = record.get("source"), record.get("tags", {})
    # No field of a common run is a float, so a bare NaN or Infinity would not be taken for one.
    is_common = type(source) is dict and _has_types(source, _SOURCE_FIELDS) and _has_types(record, _RUN_FIELDS)
    keys = len(record) + len(record["source"]) + len(tags) if is_common else _count_keys(record)
    if not _is_all(data, keys) or not (is_common or _has_only_numbers(data)):
        return None
    try:
        row = _read_row(record, commit, commit_time, tree) if is_common else None
        return read_run_record(record, where=commit) if row is None else row
    except GittrackError:
        return None


def _read_row(record: dict[str, Any], commit: str, commit_time: int, tree: str) -> RunRow | None:
    source = record["source"]
    get, ask = record.get, source.get
    run_id, name, experiment, status, started = map(get, ("id", "name", "experiment", "status", "started"))
    captured, command, tags, ended = ask("captured"), get("command", ()), get("tags", {}), get("ended")
    if get("format") != FORMAT_VERSION or name is None or experiment is None or "revision" not in record:
        return None
    if status not in _STATUSES or captured not in _CAPTURED or run_id is None or not is_run_id(run_id):
        return None
    if set(map(type, command)) - {str} or set(map(type, tags.values())) - {str}:
        return None
    values = (
        run_id,
        name,
        experiment,
        status,
        _read_time(started),
        None if ended is None else _read_time(ended),
        None,
        get("parent"),
        None,
        get("user") or None,
        get("host") or None,
        get("note") or None,
        join_words(command) or None,
        record["revision"],
        get("exit_code"),
        False,
        None,
        None,
        commit,
        commit_time,
        tree,
        ask("commit"),
        ask("branch"),
        ask("remote"),
        ask("tree"),
        ask("directory") or ".",
        ask("dirty", False),
        captured,
    )
    return RunRow(run_id, record["revision"], values, tags)


def _read_time(text: Any) -> int:
    match = _match_time(text) if type(text) is str else None
    if match is None:
        return parse_time(text, where="a time")
    day, hours, minutes, seconds, rest = match.groups()
    return _find_midnight(day) + ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + int(rest)


@lru_cache(maxsize=4096)
def _find_midnight(day: str) -> int:
    return parse_time(f"{day}00:00:00.000000Z", where="a time")


def _has_types(record: dict[str, Any], types: Mapping[str, type]) -> bool:
    return all(map(is_, map(types.get, record), map(type, record.values())))


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


def split_metrics(data: bytes) -> list[tuple[str, bytes]] | None:
    """Return the lines of a summary.json that is laid out as gittrack does it: each metric, and its JSON object.

    The object comes without the brace that opens it, and is not looked into: just that it holds no other and is one
    line. None too where NaN or Infinity is spelled, since who reads the objects may not tell it from a bare one.
    """
    if not data.startswith(b"{\n") or not data.endswith(b"}\n}\n"):
        return [] if data == b"{}\n" else None
    if (b"N" in data and b"NaN" in data) or (b"I" in data and b"Inf" in data):
        return None
    parts = [line.partition(b'": {') for line in data[2:-3].split(b",\n")]
    count = len(parts)
    # One brace of each kind a line and one around them, and every line ends with one: they are all where they belong.
    if (data.count(b"{"), data.count(b"}"), data.count(b"\n")) != (count + 1, count + 1, count + 2):
        return None
    if data.count(b"},\n") != count - 1:
        return None
    split = {_read_head(head): row for head, _, row in parts if row}
    return list(split.items()) if len(split) == count and None not in split else None  # type: ignore[arg-type]


@lru_cache(maxsize=1 << 16)
def _read_head(head: bytes) -> str | None:
    """Return the key that a line begins with, if nothing in it is escaped."""
    match = re.fullmatch(rb'  "([^"\\\x00-\x1f]*)', head)
    try:
        return None if match is None else match[1].decode()
    except UnicodeDecodeError:
        return None


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

    It does not notice a key that stands twice: see `_is_all`.
    """
    return _decode_object(data) if _has_only_numbers(data) else None


def _decode_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = _decode_text(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict else None


def _has_only_numbers(data: bytes) -> bool:
    """Tell whether there is no bare NaN or Infinity in a JSON text, which this decoder lets pass.

    With their quotation marks they are spelled as they should be. (A letter is found much quicker than a word.)
    """
    if b"N" in data and data.count(b"NaN") != data.count(b'"NaN"'):
        return False
    return b"I" not in data or data.count(b"Infinity") == data.count(b'"Infinity"') + data.count(b'"-Infinity"')


def _is_all(data: bytes, keys: int) -> bool:
    """Tell whether JSON text has just so many keys: that none of those that were found stands there twice.

    A key ends with a quotation mark and, perhaps after some space, a colon. Texts can hold either sign too; where that
    makes the count too high, nobody is deceived.
    """
    if data.count(b":") == keys:
        return True
    if data.count(b'":') != keys:
        return False
    return b" :" not in data and b"\n:" not in data and b"\t:" not in data and b"\r:" not in data


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

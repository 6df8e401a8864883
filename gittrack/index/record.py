"""Reads the JSON files of a run quickly, for the many that are as gittrack writes them.

Each function returns None for what it does not understand, and is then no judge of it: the strict decoder is. Where it
returns something, the strict decoder would have read the same. Pure: bytes in, values out.
"""

from __future__ import annotations

import json
import struct
from operator import itemgetter
from typing import Any

from ..canonical import find_nonfinite
from ..errors import GittrackError
from ..frame import pack_metric
from ..frame.schema import METRIC_FLOATS, METRIC_INTEGERS
from ..model import Run, Scalar
from ..snapshot import read_run_record

_decode_text = json.JSONDecoder().decode
_get_statistics = itemgetter(*METRIC_FLOATS, *METRIC_INTEGERS)
_FLOATS = len(METRIC_FLOATS)
_PLAIN_ROW = (float,) * _FLOATS + (int,) * len(METRIC_INTEGERS)
_PLAIN = {str, int, float, bool, type(None)}


def read_run(data: bytes, *, where: str) -> Run | None:
    """Return the run that a run.json holds."""
    record = _read_object(data)
    if record is None or data.count(b'":') != _count_keys(record):
        return None
    try:
        return read_run_record(record, where=where)
    except GittrackError:
        return None


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
    return params if data.count(b'":') == keys else None


def read_metrics(data: bytes) -> dict[str, bytes] | None:
    """Return the numbers of a summary.json, by metric, packed by `pack_metric`."""
    rows = _read_object(data)
    if rows is None or data.count(b'":') != (1 + len(_PLAIN_ROW)) * len(rows):
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
    they are spelled as they should be. It does not notice a key that stands twice either. Each key is a `":` in the
    text where no space is between the two; a caller who counts just as many as there are keys has seen them all.
    """
    if b"NaN" in data and data.count(b"NaN") != data.count(b'"NaN"'):
        return None
    if b"Infinity" in data and data.count(b"Infinity") != data.count(b'"Infinity"') + data.count(b'"-Infinity"'):
        return None
    if b" :" in data or b"\n:" in data or b"\t:" in data or b"\r:" in data:
        return None
    try:
        value = _decode_text(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict else None


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

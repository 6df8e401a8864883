"""Canonical JSON and timestamps: one text for one value, so that equal records are equal bytes.

Sorted keys, two-space indent, a trailing newline, UTF-8. Knows nothing of runs, git or files.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from .errors import Corrupt, InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z", re.ASCII)
_MAX_VALUES = 2_000_000
_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def spell_float(value: float) -> float | str:
    """Return value as canonical JSON holds it: itself, or "NaN", "Infinity", "-Infinity" (JSON has no such numbers)."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def find_nonfinite(text: object) -> float | None:
    """Return the float that text spells if it is "NaN", "Infinity" or "-Infinity", else None."""
    return _NONFINITE.get(text) if isinstance(text, str) else None


def read_float(value: object, *, where: str) -> float:
    """Return the float that a canonical JSON value holds; raises Corrupt naming `where` otherwise."""
    spelled = find_nonfinite(value)
    if spelled is not None:
        return spelled
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise Corrupt(f"{where}: number out of range") from error
    raise Corrupt(f"{where}: expected a number, found {type(value).__name__}")


def encode_json(value: object) -> bytes:
    """Return value (JSON-ready; floats finite or spelled) as canonical JSON.

    Lone surrogates, which file names and arguments may hold, become `\\udcXX` escapes and read back as they were.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def encode_rows(rows: Mapping[str, object]) -> bytes:
    """Return a mapping as canonical JSON with each entry on one line, however deep its value."""
    if not rows:
        return b"{}\n"
    lines = (f"  {_compact(key)}: {_compact(rows[key])}" for key in sorted(rows))
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def decode_json(data: bytes, *, where: str) -> object:
    """Return the value of JSON text; raises Corrupt, naming `where`, for anything a canonical writer cannot produce.

    Text with far more values than a record has is refused before room is made for them: each may take a hundred bytes.
    """
    if len(data) > _MAX_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise Corrupt(f"{where}: it holds more than {_MAX_VALUES} values")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{where}: not valid JSON ({error})") from error


def decode_object(data: bytes, *, where: str) -> dict[str, object]:
    """Return the value of JSON text that must be an object; raises Corrupt, naming `where`, otherwise."""
    value = decode_json(data, where=where)
    if not isinstance(value, dict):
        raise Corrupt(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"bare {name}")


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def format_time(microseconds: int) -> str:
    """Return UTC microseconds since 1970 as `2026-01-31T09:30:00.000000Z`; raises InvalidInput outside years 1-9999."""
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise InvalidInput(f"time out of range: {microseconds} microseconds since 1970") from error
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: object, *, where: str) -> int:
    """Return the UTC microseconds of a time that format_time wrote; raises Corrupt, naming `where`, otherwise."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        if match is None:
            raise ValueError
        moment = datetime(*map(int, match.groups()), tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
    except ValueError:
        raise Corrupt(f"{where}: not a UTC time: {text!r:.60}") from None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_timestamp(timestamp: object) -> int:
    """Return UTC microseconds for what a caller gives as a time: those, or an aware datetime; else InvalidInput."""
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidInput(f"a timestamp needs a time zone: {timestamp!r}", hint="datetime.now(timezone.utc)")
        delta = timestamp - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise InvalidInput(f"a timestamp is UTC microseconds (int) or an aware datetime, not {timestamp!r:.60}")
    return timestamp

"""Reads a query's values as what they are compared with: numbers, moments, texts, yes or no.

Raises `Mismatch`, which says why a value does not fit; who knows where it stood in the query makes an error of it.
"""

from __future__ import annotations

import math
import re

from ..errors import InvalidInput
from ..layout import make_slug
from .complaint import suggest
from .times import Moment, make_moment, parse_duration, parse_moment
from .tree import Flag, Number, Text, Value
from .vocabulary import STATUSES, Kind

MAX_DIGITS = 1000

_INT = r"[+-]?[0-9]+"
_FLOAT = r"(?i)[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)"

# What a key is compared with once its kind is known. A param and a tag take any value as it stands.
Operand = int | float | str | bool | Moment | Value


class Mismatch(Exception):
    """A value that cannot be compared with what it stands beside."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def read_number(text: str) -> int | float | None:
    """Return the number that text spells, or None: an int for digits alone, else a float, also `inf` and `nan`."""
    if len(text) <= MAX_DIGITS and re.fullmatch(_INT, text):
        return int(text)
    return float(text) if re.fullmatch(_FLOAT, text) else None


def read_operand(kind: Kind, value: Value, *, label: str, now: int) -> Operand:
    """Return what a key of this kind is compared with; raises Mismatch, calling the key by its label."""
    if kind in ("param", "label"):
        return value
    if kind == "flag" or (kind == "mark" and isinstance(value, Flag)):
        return _read_flag(value, label)
    if kind in ("time", "mark"):
        return _read_moment(value, label, now)
    if kind == "seconds":
        return _read_seconds(value, label)
    if kind in ("number", "integer"):
        return _read_magnitude(value, label)
    return _read_text(kind, value, label)


def is_hash(text: str) -> bool:
    """Tell whether text may be the beginning of a hash or an id: 4 hex digits or more."""
    return re.fullmatch("(?i)[0-9a-f]{4,64}", text) is not None


def _read_flag(value: Value, label: str) -> bool:
    if isinstance(value, Flag):
        return value.value
    if isinstance(value, Text) and value.value.lower() in ("true", "false"):
        return value.value.lower() == "true"
    raise Mismatch(f"{label} is true or false", hint=f"{label} = true")


def _read_moment(value: Value, label: str, now: int) -> Moment:
    moment = None
    if isinstance(value, Number):
        moment = make_moment(value.value)
    elif isinstance(value, Text):
        moment = parse_moment(value.value, now=now)
    if moment is None:
        raise Mismatch(f"{label} is a time, and this is none", hint=f"{label} >= '2026-01-31 09:30' or '7 days ago'")
    return moment


def _read_seconds(value: Value, label: str) -> int | float:
    seconds: int | float | None = None
    if isinstance(value, Number):
        seconds = value.value
    elif isinstance(value, Text):
        seconds = parse_duration(value.value)
        seconds = read_number(value.value) if seconds is None else seconds
    if seconds is None:
        raise Mismatch(f"{label} is a number of seconds, and this is none", hint=f"{label} > 90 or '1h30m'")
    return seconds


def _read_magnitude(value: Value, label: str) -> int | float:
    number: int | float | None = None
    if isinstance(value, Number):
        number = value.value
    elif isinstance(value, Text):
        number = read_number(value.value)
    if number is None:
        raise Mismatch(f"{label} is a number, and this is none", hint=f"{label} > 0.5")
    return number


def _read_text(kind: Kind, value: Value, label: str) -> str:
    if not isinstance(value, Text):
        spelled = ("true" if value.value else "false") if isinstance(value, Flag) else f"{value.value}"
        raise Mismatch(f"{label} is a text, which stands in quotes", hint=f"'{spelled}'")
    if kind == "status":
        status = value.value.upper()
        if status not in STATUSES:
            close = suggest(status, STATUSES)
            raise Mismatch(f"no run can have the status {value.value!r:.40}", hint=" or ".join(close or STATUSES[:4]))
        return status
    if kind == "slug":
        try:
            return make_slug(value.value)
        except InvalidInput:
            return value.value
    return value.value.lower() if kind == "hash" and is_hash(value.value) else value.value


def split_number(value: int | float) -> tuple[float, int]:
    """Return the float nearest to a number, and whether the number is beyond it (1), below (-1) or the same (0)."""
    try:
        nearest = float(value)
    except OverflowError:
        nearest = math.inf if value > 0 else -math.inf
    return nearest, (value > nearest) - (value < nearest)

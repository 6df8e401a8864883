"""Says numbers, times, durations, ages and sizes the way people read them.

Pure: the present time is handed in. Knows nothing of runs, tables or colours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from ..compare import ABSENT, Value, is_same
from .text import clean

_MAX_DECIMALS = 6
_SECOND = 1_000_000


def format_metrics(values: Sequence[float | None]) -> list[str]:
    """Return the values of one metric with the same number of decimals, so that they read as a column.

    The largest gets four significant digits or more; different values stay different where six decimals can tell them
    apart. Whole numbers stay whole; ranges too wide for one number of decimals are said in powers of ten. None gives
    an empty text.
    """
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    if all(value == int(value) and abs(value) < 1e12 for value in numbers):
        return [_format_one(value, lambda number: f"{number:.0f}") for value in values]
    exponents = [math.floor(math.log10(abs(value))) for value in numbers if value]
    low, high = min(exponents), max(exponents)
    decimals = max(3 - high, 2 - low, 0)
    if high > 8 or decimals > _MAX_DECIMALS:
        return [_format_one(value, lambda number: f"{number:.4g}") for value in values]
    distinct = len(set(numbers))
    while decimals < _MAX_DECIMALS and len({f"{number:.{decimals}f}" for number in numbers}) < distinct:
        decimals += 1
    return [_format_one(value, lambda number: f"{number:.{decimals}f}") for value in values]


def format_metric(value: float | None) -> str:
    """Return one value of a metric by itself."""
    return format_metrics([value])[0]


def _format_one(value: float | None, spell: Callable[[float], str]) -> str:
    if value is None:
        return ""
    if math.isfinite(value):
        return spell(value)
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def format_param(value: Value) -> str:
    """Return a param as one line: text as it is, everything else as in JSON, long fractions to six digits."""
    if value is ABSENT:
        return ""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        text = repr(value)
        return text if len(text) <= 8 else f"{value:.6g}"
    return json.dumps(value)


def format_params(values: Sequence[Value]) -> list[str]:
    """Return the values of one param as format_param does, but exactly where different ones would look the same."""
    texts = [format_param(value) for value in values]
    first: dict[str, Value] = {}
    for text, value in zip(texts, values, strict=True):
        if not is_same(first.setdefault(text, value), value):
            return [_spell_exactly(value) for value in values]
    return texts


def _spell_exactly(value: Value) -> str:
    if value is ABSENT:
        return ""
    if isinstance(value, float):
        return repr(value)
    return clean(json.dumps(value, ensure_ascii=False))


def format_age(moment: int, *, now: int) -> str:
    """Return how long ago a moment was (UTC microseconds, as `now`): `12 s ago`, `5 days ago`, its date."""
    seconds = (now - moment) // _SECOND
    if -60 < seconds < 2:
        return "just now"
    if 0 <= seconds < 60:
        return f"{seconds} s ago"
    if 0 <= seconds < 3600:
        return f"{seconds // 60} min ago"
    if 0 <= seconds < 86400:
        return f"{seconds // 3600} h ago"
    if 0 <= seconds < 30 * 86400:
        days = seconds // 86400
        return f"{days} day{'s' if days > 1 else ''} ago"
    return _local(moment).strftime("%Y-%m-%d")


def format_moment(moment: int) -> str:
    """Return a moment as local date and time to the second, with the offset from UTC."""
    return _local(moment).strftime("%Y-%m-%d %H:%M:%S %z")


def describe_moment(moment: int, *, now: int, interactive: bool) -> str:
    """Return a moment for a person: local time and how long ago; for a program: UTC."""
    return f"{format_moment(moment)} ({format_age(moment, now=now)})" if interactive else format_utc(moment)


def format_utc(moment: int) -> str:
    """Return a moment as ISO 8601 UTC to the second, for output that programs read."""
    return datetime.fromtimestamp(moment // _SECOND, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(moment: int) -> datetime:
    return datetime.fromtimestamp(moment // _SECOND, timezone.utc).astimezone()


def format_duration(microseconds: int | None) -> str:
    """Return a duration in its two largest units: `0.42 s`, `12.3 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`."""
    if microseconds is None:
        return ""
    seconds = max(microseconds, 0) / _SECOND
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, name, rest in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if whole >= large:
            count, remainder = divmod(whole, large)
            return f"{count} {name} {remainder // small} {rest}"
    return f"{whole} s"


def format_size(size: int) -> str:
    """Return a size in bytes, in powers of 1000: `812 B`, `1.2 MB`."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} PB"


def format_change(old: float, new: float) -> str:
    """Return by how much a metric changed, in percent of the old value; empty where that says nothing."""
    if not (math.isfinite(old) and math.isfinite(new)) or old == 0 or old == new:
        return ""
    percent = (new - old) / abs(old) * 100
    return f"{percent:+.0f}%" if abs(percent) >= 99.95 else f"{percent:+.1f}%"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 run`, `3 runs`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"

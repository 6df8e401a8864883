"""Reads moments and durations as people write them. Pure: the present is an argument.

A moment is a period from its first microsecond to the one after its last: a date is its whole UTC day, `09:30` its
minute, `7 days ago` one microsecond.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

SECOND = 1_000_000
_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_UNITS = {
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1000),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECOND),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * _DAY),
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
# The patterns are compiled when a query has a time or a duration in it; few have.
_AMOUNT = rf"(?a)\s*([0-9]{{1,15}})(?:\.([0-9]{{1,9}}))?\s*({_UNIT})(?![a-z])"
_SPAN = rf"(?:\s*[0-9]{{1,15}}(?:\.[0-9]{{1,9}})?\s*(?:{_UNIT})(?![a-z]))+\s*"
_DURATION = rf"(?a){_SPAN}"
_AGO = rf"(?a)({_SPAN})\s+ago"
_ONE_AGO = r"(?a)an?\s+([a-z]+)\s+ago"
_ISO = (
    r"(?ai)(\d{4})-(\d\d)-(\d\d)(?:(?:T|\s+)(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s*(?:(z|utc)|([+-])(\d\d):?(\d\d)?)?)?"
)


@dataclass(frozen=True)
class Moment:
    """A period of UTC microseconds since 1970: `first` belongs to it, `end` does not any more."""

    first: int
    end: int


def parse_moment(text: str, *, now: int) -> Moment | None:
    """Return the moment that text names, or None where it names none; `now` is in UTC microseconds."""
    word = " ".join(text.lower().split())
    if word == "now":
        return Moment(now, now + 1)
    if word in ("today", "yesterday"):
        first = now - now % _DAY - (0 if word == "today" else _DAY)
        return Moment(first, first + _DAY)
    one = re.fullmatch(_ONE_AGO, word)
    if one is not None:
        unit = _UNITS.get(one.group(1))
        return None if unit is None else Moment(now - unit, now - unit + 1)
    ago = re.fullmatch(_AGO, word)
    if ago is not None:
        numerator, denominator = _add_amounts(ago.group(1))
        first = now - numerator // denominator
        return Moment(first, first + 1)
    return _parse_iso(text.strip())


def make_moment(milliseconds: int | float) -> Moment | None:
    """Return the millisecond that a number of milliseconds since 1970 names, or None for one that is not finite."""
    if isinstance(milliseconds, float) and not math.isfinite(milliseconds * 1000):
        return None
    first = milliseconds * 1000 if isinstance(milliseconds, int) else round(milliseconds * 1000)
    return Moment(first, first + 1000)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration such as `90s`, `1.5 h` or `1h30m`, or None where text is none."""
    word = " ".join(text.lower().split())
    if re.fullmatch(_DURATION, word) is None:
        return None
    numerator, denominator = _add_amounts(word)
    return numerator / (denominator * SECOND)


def _add_amounts(text: str) -> tuple[int, int]:
    """Return the microseconds of several amounts as a fraction, so that only its division rounds."""
    total = 0
    for whole, part, unit in re.findall(_AMOUNT, text):
        total += int(whole + part.ljust(9, "0")) * _UNITS[unit]
    return total, 10**9


def _parse_iso(text: str) -> Moment | None:
    found = re.fullmatch(_ISO, text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = found.groups()
    try:
        offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    if offset >= timedelta(days=1) or int(zone_minutes or 0) > 59:
        return None
    first = (moment - _EPOCH) // timedelta(microseconds=1)
    first -= offset // timedelta(microseconds=1) * (-1 if sign == "-" else 1)
    if hour is None:
        return Moment(first, first + _DAY)
    if second is None:
        return Moment(first, first + _MINUTE)
    if fraction is None:
        return Moment(first, first + SECOND)
    digits = fraction[:6]
    unit = 10 ** (6 - len(digits))
    first += int(digits) * unit
    return Moment(first, first + unit)

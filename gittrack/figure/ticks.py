"""Chooses what is written along an axis: round numbers, powers of ten, times of day.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_TINY = 1e-300
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND = 1_000_000
_PERIODS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Ticks:
    """Positions along an axis, rising, and the text at each."""

    positions: tuple[float, ...]
    texts: tuple[str, ...]


def choose_ticks(low: float, high: float, *, at_most: int) -> Ticks:
    """Return round numbers from low to high: at most so many (2 or more), but finer ones where they would be one."""
    if not low < high:
        return Ticks((low,), (say_number(low),))
    least = high / max(1, at_most - 1) - low / max(1, at_most - 1)
    if not _TINY < least < math.inf:
        return Ticks((low, high), (say_number(low), say_number(high)))
    for share in (1, 2, 2.5, 5, 10):
        step = _find_step(least / share)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last > first:
            positions = [number * step for number in range(first, last + 1)]
            return Ticks(tuple(positions), tuple(_say_alike(positions, step)))
    return Ticks((low, high), (say_number(low), say_number(high)))


def choose_log_ticks(low: float, high: float, *, at_most: int) -> Ticks:
    """Return powers of ten from 10**low to 10**high, by their exponents; round numbers where there are too few."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 1:
        step = -(-(last - first) // max(1, at_most - 1))
        exponents = range(first, last + 1, step)
        return Ticks(tuple(float(exponent) for exponent in exponents), tuple(map(_say_power, exponents)))
    inner = choose_ticks(10.0**low, 10.0**high, at_most=at_most)
    kept = [(math.log10(value), text) for value, text in zip(inner.positions, inner.texts, strict=True) if value > 0]
    return Ticks(tuple(position for position, _ in kept), tuple(text for _, text in kept))


def choose_moments(low: float, high: float, *, at_most: int) -> Ticks:
    """Return round moments from low to high (UTC microseconds), with the date where it changes."""
    wanted = (high - low) / _SECOND / max(1, at_most - 1)
    days = -(-wanted // _PERIODS[-1])
    seconds = next((period for period in _PERIODS if period >= wanted), days * _PERIODS[-1])
    step = seconds * _SECOND
    first, last = math.ceil(low / step), math.floor(high / step)
    positions = [number * step for number in range(first, last + 1)] or [low]
    texts = []
    before = ""
    for position in positions:
        try:
            moment = _EPOCH + timedelta(microseconds=position)
        except OverflowError:  # beyond the year 9999
            return choose_ticks(low, high, at_most=at_most)
        day = moment.strftime("%m-%d")
        clock = moment.strftime("%H:%M:%S" if seconds < 60 else "%H:%M")
        texts.append(day if seconds >= _PERIODS[-1] else clock if day == before else f"{day} {clock}")
        before = day
    return Ticks(tuple(float(position) for position in positions), tuple(texts))


def say_number(value: float) -> str:
    """Return a number shortly: `0.25`, `12k`, `1e-05`."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= 10 * size if suffix == "k" else abs(value) >= size:
            scaled = value / size
            return f"{value:.3g}" if abs(scaled) >= 1e4 else f"{scaled:.4g}{suffix}"
    return f"{value:.4g}"


def _find_step(least: float) -> float:
    """Return the least of 1, 2 and 5, times a power of ten, that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-9))


def _say_alike(positions: Sequence[float], step: float) -> list[str]:
    """Return round numbers with the same number of decimals."""
    largest = max(map(abs, positions))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if largest >= 10_000 or decimals > 4:
        texts = [say_number(position) for position in positions]
        return texts if len(set(texts)) == len(texts) else [f"{position:.6g}" for position in positions]
    return [f"{position:.{decimals}f}" for position in positions]


def _say_power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -4 <= exponent <= 3 else f"1e{exponent}"

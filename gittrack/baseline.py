"""Says how the runs of a base came out: their best setting's mean, and how far its repeated seeds lie apart.

Runs that differ in nothing but their seeds are one setting. Pure: frames in, numbers out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .group import Spread, group_runs
from .query import Key, find_column, read_numbers_of, read_values

if TYPE_CHECKING:
    from .frame import Frame
    from .query import Bound

# The params that are changed to see how much chance has to do with a result.
_SEED = r"(?i)(?:.*[._/ -])?(?:\w*seed\w*|random_?state|rng)"


@dataclass(frozen=True)
class Base:
    """How one metric came out over some runs: `best` is the spread of the best setting, None where no run has it.

    `noise` is the standard deviation between repeated runs: the best setting's own, where that was repeated, else the
    one that all settings have in common; None where nothing was repeated.
    """

    best: Spread | None = None
    noise: float | None = None


def is_seed(param: str) -> bool:
    """Tell whether a param is one that only chance hangs on, by its name."""
    return re.fullmatch(_SEED, param) is not None


def measure_base(key: Key, frame: Frame, *, wants_more: bool) -> Base:
    """Return how the visible runs of a frame came out in a metric."""
    column = find_column(key, frame) if frame.count else None
    if column is None or column.table != "metrics":
        return Base()
    params = [name for name in frame.list_keys("params") if not is_seed(name)]
    keys = [read_values(found, frame) for name in params if (found := find_column(Key("params", name), frame))]
    spreads = _list_spreads(keys, read_numbers_of(column, frame))
    if not spreads:
        return Base()
    best = (max if wants_more else min)(spreads, key=lambda spread: spread.mean or 0.0)
    return Base(best, best.std if best.std is not None else _pool(spreads))


def find_value(bound: Bound, frame: Frame) -> float | None:
    """Return what a bound is worth over the base's runs; None where they do not have a metric that it names.

    Where no run was repeated, their noise is taken for nothing.
    """
    total = 0.0
    for term in bound.terms:
        if term.noise:
            total += term.factor * (measure_base(bound.key, frame, wants_more=bound.wants_more).noise or 0.0)
        elif term.key is None:
            total += term.factor
        else:
            best = measure_base(term.key, frame, wants_more=bound.wants_more).best
            if best is None or best.mean is None:
                return None
            total += term.factor * best.mean
    return total


def _list_spreads(keys: Sequence[Sequence[object]], values: Sequence[float | None]) -> list[Spread]:
    columns = keys or [[None] * len(values)]
    groups = group_runs(columns, {"": values})  # type: ignore[arg-type]
    return [group.spreads[""] for group in groups if group.spreads[""].count]


def _pool(spreads: Sequence[Spread]) -> float | None:
    """Return the standard deviation that settings have in common, each counting by how often it was repeated."""
    repeated = [(spread.count - 1, spread.std) for spread in spreads if spread.std is not None]
    if not repeated:
        return None
    return math.sqrt(sum(count * std**2 for count, std in repeated) / sum(count for count, _ in repeated))

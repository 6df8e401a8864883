"""Owns charts with one mark a run: a scatter of two values, and parallel coordinates of many.

Pure: what draws them need only know the values here.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..model import Scalar
from .chart import Side

_WIDE = 100.0
_MAX_CATEGORIES = 40
_MOST_POWERS = 10


@dataclass(frozen=True)
class Sample:
    """A run as a point: its id and name, its values by key, and the group that colours it, if any."""

    run_id: str
    name: str
    values: Mapping[str, Scalar]
    group: str = ""


@dataclass(frozen=True)
class Dots:
    """The runs of one group: their positions in the panel, names, x and y."""

    name: str
    number: int
    positions: tuple[int, ...]
    run_ids: tuple[str, ...]
    names: tuple[str, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class Dimension:
    """One key of several runs as numbers, and what is written beside the axis: positions and texts, if any.

    A key whose values are not all numbers is a category: its texts, in order, stand at 0, 1, 2 … `said` are the values
    as the runs have them.
    """

    key: str
    said: tuple[Scalar, ...]
    values: tuple[float, ...]
    positions: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the axis is called: the key without the word that says what it is."""
        return re.sub(r"^(params|metrics|tags)\.(?=.)", "", self.key)


@dataclass(frozen=True)
class ScatterPanel:
    """The dots of one y key; `x` and `y` tell what is written beside the axes."""

    x: Dimension
    y: Dimension
    dots: tuple[Dots, ...]


@dataclass(frozen=True)
class Scatter:
    """Panels above each other, each run a dot in each."""

    title: str
    panels: tuple[ScatterPanel, ...]
    log: frozenset[Side] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parallel:
    """Axes beside each other, each run a line across them, coloured by the last dimension."""

    title: str
    dimensions: tuple[Dimension, ...]
    run_ids: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def make_scatter(
    samples: Sequence[Sample], x: str, ys: Sequence[str], *, log: frozenset[Side] = frozenset(), title: str = ""
) -> Scatter:
    """Return each y key over the x key, a dot for each run that has both; raises InvalidInput where none has."""
    notes: list[str] = []
    panels = []
    numbers = {group: number for number, group in enumerate(dict.fromkeys(sample.group for sample in samples))}
    for y in ys:
        having = _choose(samples, [x, y], notes)
        across, up = _make_dimension(having, x), _make_dimension(having, y)
        drawn = [position for position in range(len(having)) if _is_drawable(position, across, up, log)]
        if len(drawn) < len(having):
            notes.append(_say_left_out(len(having) - len(drawn), "a log axis has no place for what is not positive"))
        dots = []
        for group, number in numbers.items():
            mine = [position for position in drawn if having[position].group == group]
            if mine:
                dots.append(_make_dots(having, mine, across, up, number=number))
        panels.append(ScatterPanel(across, up, tuple(dots)))
    return Scatter(title, tuple(panels), log, tuple(dict.fromkeys(notes)))


def make_parallel(samples: Sequence[Sample], keys: Sequence[str], *, title: str = "") -> Parallel:
    """Return an axis for each key, and a line for each run that has them all; the last key gives the colour.

    Numbers above 0 that span two powers of ten or more stand on a logarithmic axis.
    """
    notes: list[str] = []
    having = _choose(samples, keys, notes)
    dimensions = [_spread(_make_dimension(having, key)) for key in keys[:-1]]
    dimensions.append(_make_dimension(having, keys[-1]))
    return Parallel(
        title,
        tuple(dimensions),
        tuple(sample.run_id for sample in having),
        tuple(sample.name for sample in having),
        tuple(notes),
    )


def find_varying(samples: Sequence[Sample], prefix: str) -> list[str]:
    """Return the keys with a prefix whose value is not the same in all samples that have it, sorted."""
    keys = sorted({key for sample in samples for key in sample.values if key.startswith(prefix)})
    return [key for key in keys if len({repr(sample.values[key]) for sample in samples if key in sample.values}) > 1]


def _choose(samples: Sequence[Sample], keys: Sequence[str], notes: list[str]) -> list[Sample]:
    having = [sample for sample in samples if all(_has(sample, key) for key in keys)]
    if not having:
        missing = [key for key in keys if not any(_has(sample, key) for sample in samples)]
        lacking = f"has {missing[0]!r:.100}" if missing else "has all of " + ", ".join(keys)
        raise InvalidInput(f"none of these runs {lacking}")
    if len(having) < len(samples):
        notes.append(_say_left_out(len(samples) - len(having), f"without {' or '.join(keys):.100}"))
    return having


def _has(sample: Sample, key: str) -> bool:
    value = sample.values.get(key)
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _say_left_out(count: int, reason: str) -> str:
    return f"{count} run{'s' if count > 1 else ''} not drawn: {reason}"


def _make_dimension(samples: Sequence[Sample], key: str) -> Dimension:
    values = [sample.values[key] for sample in samples]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return Dimension(key, tuple(values), tuple(map(_to_float, values)))
    texts = [_say(value) for value in values]
    known = sorted(set(texts))
    codes = {text: float(code) for code, text in enumerate(known)}
    step = -(-len(known) // _MAX_CATEGORIES)
    shown = known[::step]
    return Dimension(
        key, tuple(values), tuple(codes[text] for text in texts), tuple(codes[text] for text in shown), tuple(shown)
    )


def _to_float(value: Scalar) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # an int beyond what a float holds
        return sys.float_info.max if value > 0 else -sys.float_info.max  # type: ignore[operator]


def _say(value: Scalar) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _spread(dimension: Dimension) -> Dimension:
    """Return a dimension of numbers that lie powers of ten apart by their logarithms, with the powers beside it."""
    values = dimension.values
    if dimension.texts or min(values) <= 0 or max(values) < _WIDE * min(values):
        return dimension
    logarithms = tuple(map(math.log10, values))
    low, high = math.ceil(min(logarithms) - 1e-9), math.floor(max(logarithms) + 1e-9)
    powers = range(low, high + 1, -(-(high - low) // _MOST_POWERS))
    texts = tuple(f"1e{power}" for power in powers)
    return Dimension(dimension.key, dimension.said, logarithms, tuple(float(power) for power in powers), texts)


def _is_drawable(position: int, x: Dimension, y: Dimension, log: frozenset[Side]) -> bool:
    return not ("x" in log and x.values[position] <= 0) and not ("y" in log and y.values[position] <= 0)


def _make_dots(samples: Sequence[Sample], positions: Sequence[int], x: Dimension, y: Dimension, *, number: int) -> Dots:
    return Dots(
        samples[positions[0]].group,
        number,
        tuple(positions),
        tuple(samples[position].run_id for position in positions),
        tuple(samples[position].name for position in positions),
        tuple(x.values[position] for position in positions),
        tuple(y.values[position] for position in positions),
    )

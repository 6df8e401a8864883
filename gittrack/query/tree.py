"""Owns what a query says once it is read: keys, values, conditions.

Frozen values that compare by what they say, not by where they stood in the text. Knows nothing of runs and of how a
query is written.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Group = Literal["attributes", "params", "metrics", "tags", "inputs", "datasets", "any"]
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Key:
    """Something runs have, as a query names it.

    `name` is an attribute's own name (no alias), else the key. `field` says which figure of a metric or an input is
    meant, and is empty where the query leaves it out, or where `name` may still end in it because nothing was quoted:
    only the runs tell whether `loss.min` is a metric or the least value of `loss`. `exact` tells that name is a whole
    key. The group `any` is a bare name that is no attribute; the name of a key of `datasets` is empty, and its field
    never is. `start` is where the key stands in the query, in characters.
    """

    group: Group
    name: str
    field: str = ""
    exact: bool = False
    start: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Number:
    """A number that stood without quotes; a whole one is an int of any size."""

    value: int | float
    start: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Text:
    """A text that stood in quotes, without them."""

    value: str
    start: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class Flag:
    """`true` or `false`, without quotes."""

    value: bool
    start: int = dataclasses.field(default=0, compare=False)


Value = Number | Text | Flag


@dataclass(frozen=True)
class Compare:
    """`key = value`, or another operator."""

    key: Key
    operator: Operator
    value: Value


@dataclass(frozen=True)
class Among:
    """`key IN (value, …)`; there is at least one."""

    key: Key
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Like:
    """`key LIKE 'pattern'`; the pattern's backslashes are still in it. `fold` is ILIKE: any case."""

    key: Key
    pattern: Text
    fold: bool


@dataclass(frozen=True)
class Missing:
    """`key IS NULL`."""

    key: Key


@dataclass(frozen=True)
class Holds:
    """A key alone, such as `source.dirty`."""

    key: Key


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: Condition


@dataclass(frozen=True)
class And:
    """Several conditions, all of which must hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """Several conditions, one of which must hold."""

    parts: tuple[Condition, ...]


Test = Compare | Among | Like | Missing | Holds
Condition = Test | Not | And | Or


@dataclass(frozen=True)
class Query:
    """What runs must fulfil; every run does where `condition` is None. `text` is what was written."""

    condition: Condition | None
    text: str = dataclasses.field(default="", compare=False)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys it names, each once, in order."""
        return tuple(dict.fromkeys(test.key for test in walk_tests(self.condition)))


@dataclass(frozen=True)
class SortKey:
    """What a list of runs is sorted by; `text` is the whole order that was written."""

    key: Key
    descending: bool = False
    text: str = dataclasses.field(default="", compare=False)


def walk_tests(condition: Condition | None) -> Iterator[Test]:
    """Yield the tests of a condition, in order."""
    if isinstance(condition, (And, Or)):
        for part in condition.parts:
            yield from walk_tests(part)
    elif isinstance(condition, Not):
        yield from walk_tests(condition.part)
    elif condition is not None:
        yield condition


@dataclass(frozen=True)
class Term:
    """A part of a bound: a figure of the base's runs, how far it lies apart between their seeds, or a number alone."""

    factor: float
    key: Key | None = None
    noise: bool = False


@dataclass(frozen=True)
class Bound:
    """A test whose value is a sum over the base's runs: `metrics.auc >= base.metrics.auc - noise`.

    `start` is where that value stands in the text, in characters.
    """

    key: Key
    operator: Operator
    terms: tuple[Term, ...]
    start: int

    @property
    def wants_more(self) -> bool:
        """Whether more is better, as the operator has it."""
        return self.operator in (">", ">=")


@dataclass(frozen=True)
class Requirement:
    """A query some of whose values are only known beside other runs: those of `bounds`."""

    query: Query
    bounds: tuple[Bound, ...] = ()

    def resolve(self, values: Mapping[int, float | None]) -> Query:
        """Return the query, given the value of each bound by its start.

        Where that is None there is nothing to compare with: any number will do then.
        """
        numbers = {
            bound.start: (-math.inf if bound.wants_more else math.inf) if value is None else value
            for bound in self.bounds
            for value in [values[bound.start]]
        }
        return Query(_replace_numbers(self.query.condition, numbers), self.query.text)


def _replace_numbers(condition: Condition | None, numbers: Mapping[int, float]) -> Condition | None:
    if isinstance(condition, (And, Or)):
        parts = tuple(part for part in (_replace_numbers(part, numbers) for part in condition.parts) if part)
        return And(parts) if isinstance(condition, And) else Or(parts)
    if isinstance(condition, Not):
        part = _replace_numbers(condition.part, numbers)
        return None if part is None else Not(part)
    if isinstance(condition, Compare) and condition.value.start in numbers:
        number = Number(numbers[condition.value.start], condition.value.start)
        return Compare(condition.key, condition.operator, number)
    return condition

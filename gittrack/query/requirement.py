"""Reads what a run must fulfil beside the runs of a base: a query whose values may be `base.metrics.auc - noise`.

Pure: a text in, a tree out. Knows nothing of runs.
"""

from __future__ import annotations

import re
from typing import Any

from .check import check_test
from .complaint import point_at
from .keytext import read_key
from .operand import read_number
from .parser import QueryBuilder, parse_query, parse_with_bounds
from .tree import Bound, Compare, Condition, Key, Number, Requirement, Term
from .vocabulary import find_kind

_BASE = "base."
_NOISE = "noise"
_EXAMPLE = "base.metrics.auc - noise"


def parse_requirement(text: str) -> Requirement:
    """Return what a requirement says; raises InvalidInput, pointing into text, for one that cannot be read."""
    if re.search(r"\b(base|noise)\b", text) is None:
        return Requirement(parse_query(text))
    builder = _RequirementBuilder(text)
    query = parse_with_bounds(text, builder)
    return Requirement(query, tuple(builder.bounds))


class _RequirementBuilder(QueryBuilder):
    """Keeps the bounds it meets, and puts a number in the place of each, for `resolve` to find."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.bounds: list[Bound] = []

    def build_test(self, key: Key, children: list[Any]) -> Condition:
        node = children[-1]
        if isinstance(node, str) or node.data != "value" or isinstance(node.children[0], str):
            return super().build_test(key, children)
        head, *steps = node.children[0].children
        start = head.start_pos or 0
        operator = self.build_operator(children[0])
        if key.group != "metrics" or operator in ("=", "!="):
            raise point_at(self.text, start, "only a metric that is to be more or less goes by the base", hint=_EXAMPLE)
        terms = (self._read_word(head, 1.0), *(self._read_step(step.children) for step in steps))
        if all(term.key is None for term in terms):
            raise point_at(self.text, start, "this says nothing of the base", hint=_EXAMPLE)
        self.bounds.append(Bound(key, operator, terms, start))
        test = Compare(key, operator, Number(0, start))
        kind = find_kind(key)
        if kind is not None:
            check_test(test, kind=kind, text=self.text)
        return test

    def build_value(self, node: Any) -> Any:
        if not isinstance(node.children[0], str):
            start = node.children[0].children[0].start_pos or 0
            raise point_at(self.text, start, "the base is compared by < <= > or >= alone", hint=_EXAMPLE)
        return super().build_value(node)

    def _read_step(self, children: list[Any]) -> Term:
        first = children[0]
        if first.type == "NUMBER":
            if first[:1] not in "+-":
                raise point_at(self.text, first.start_pos or 0, "a + or - is missing here", hint=_EXAMPLE)
            return Term(self._read_factor(first))
        sign = -1.0 if first == "-" else 1.0
        *number, last = children[1].children
        if last.type == "NUMBER":
            return Term(sign * self._read_factor(last))
        return self._read_word(last, sign * (self._read_factor(number[0]) if number else 1.0))

    def _read_factor(self, token: Any) -> float:
        number = read_number(str(token))
        value = float(number) if number is not None and abs(number) < 1e300 else None
        if value is None:
            raise point_at(self.text, token.start_pos or 0, "this is no number to reckon with")
        return value

    def _read_word(self, token: Any, factor: float) -> Term:
        start = token.start_pos or 0
        word = str(token)
        if word == _NOISE:
            return Term(factor, noise=True)
        if not word.startswith(_BASE):
            raise point_at(self.text, start, f"{word:.60} is neither of the base nor noise", hint=_EXAMPLE)
        key = read_key(word[len(_BASE) :], text=self.text, start=start)
        if key.group != "metrics":
            raise point_at(self.text, start, "of the base only metrics can be named", hint=_EXAMPLE)
        return Term(factor, key)

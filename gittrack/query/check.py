"""Owns which tests a kind of value admits: what can be ordered, matched, or stand alone. Knows nothing of runs."""

from __future__ import annotations

from .complaint import point_at
from .keytext import write_key
from .operand import Mismatch, read_operand
from .tree import Among, Compare, Flag, Holds, Like, Test, Value
from .vocabulary import Kind

TEXTUAL: frozenset[Kind] = frozenset(("text", "hash", "digest", "status", "slug", "param", "label"))
TRUTHFUL: frozenset[Kind] = frozenset(("flag", "mark", "param", "label"))


def check_test(test: Test, *, kind: Kind, text: str) -> None:
    """Raise InvalidInput, pointing into the query's text, for a test that a key of this kind does not admit."""
    label = write_key(test.key)
    if isinstance(test, Compare):
        _check_value(test.value, kind, label, text)
        yes_or_no = kind == "flag" or isinstance(test.value, Flag)
        if yes_or_no and test.operator not in ("=", "!="):
            raise point_at(text, test.value.start, "true and false have no order", hint=f"{label} = true")
    elif isinstance(test, Among):
        for value in test.values:
            _check_value(value, kind, label, text)
    elif isinstance(test, Like) and kind not in TEXTUAL:
        raise point_at(text, test.pattern.start, f"{label} is no text, which LIKE needs")
    elif isinstance(test, Holds) and kind not in TRUTHFUL:
        hint = f"{label} IS NOT NULL" if kind in TEXTUAL else f"{label} > 0"
        raise point_at(text, test.key.start, f"{label} is not true or false by itself: compare it", hint=hint)


def _check_value(value: Value, kind: Kind, label: str, text: str) -> None:
    try:
        read_operand(kind, value, label=label, now=0)
    except Mismatch as error:
        raise point_at(text, value.start, str(error), hint=error.hint) from None

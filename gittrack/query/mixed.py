"""Compares what may be of any kind, a param or a tag, with a value of any kind.

Like meets like: numbers and numbers, texts and texts, flags and flags, and a text that spells a number or a flag stands
for it beside one without quotes. Things of different kinds are never equal and have no order. Null stays null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..frame.arrays import make_constant, make_mask, make_plain, make_texts
from ..frame.schema import BOOL, FLOAT, INT, NULL, TEXT
from .numeric import compare_floats, get_order
from .operand import read_number
from .textual import compare_texts, keep_texts, make_nothing, make_text, match_pattern, read_numbers
from .tree import Flag, Number, Operator, Text, Value

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Mixed:
    """A param's column taken apart by kind: each part null where a run's value is of another kind, or none.

    A part is None where no value is of its kind. `digits` are those of ints that no float64 is; such an int is among
    the numbers too, rounded.
    """

    kind: Any
    flags: Any
    numbers: Any
    texts: Any
    digits: Any


def split_kinds(kind: Any, number: Any, text: Any) -> Mixed:
    """Return a param's column, as a frame has it in three, taken apart."""
    import pyarrow as pa
    import pyarrow.compute as pc

    present = set(pc.unique(kind).to_pylist()) - {None, NULL}
    flags = numbers = texts = digits = None
    if BOOL in present:
        flags = _only(number.cast(pa.bool_()), _is(kind, BOOL))
    if present & {INT, FLOAT}:
        numbers = number if BOOL not in present else _only(number, pc.or_(_is(kind, INT), _is(kind, FLOAT)))
    if INT in present and has_digits(kind, text):
        digits = keep_texts(text, _is(kind, INT))
    if TEXT in present:
        texts = text if digits is None else keep_texts(text, _is(kind, TEXT))
    return Mixed(kind, flags, numbers, texts, digits)


def has_digits(kind: Any, text: Any) -> bool:
    """Tell whether one of a param's ints is none that a float is: it has a text too, its digits."""
    import pyarrow.compute as pc

    return bool((pc.sum(_is(kind, TEXT)).as_py() or 0) < len(text) - text.null_count)


def compare_mixed(column: Mixed, operator: Operator, value: Value) -> Any:
    """Return which values are so beside value."""
    return _join(
        column,
        flags=lambda flags: _compare_flags(flags, operator, value),
        numbers=lambda numbers: _compare_numbers(column, operator, value),
        texts=lambda texts: compare_labels(texts, operator, value),
    )


def match_mixed(column: Mixed, pattern: str, *, fold: bool) -> Any:
    """Return which values a LIKE pattern fits; a number is spelled as Python does, and a flag in two ways."""
    import pyarrow.compute as pc

    return _join(
        column,
        flags=lambda flags: pc.or_(
            match_pattern(_spell_flags(flags, ("false", "true")), pattern, fold=fold),
            match_pattern(_spell_flags(flags, ("False", "True")), pattern, fold=fold),
        ),
        numbers=lambda numbers: match_pattern(_spell_numbers(column), pattern, fold=fold),
        texts=lambda texts: match_pattern(texts, pattern, fold=fold),
    )


def find_present(kind: Any) -> Any:
    """Return which runs have a param that is not null."""
    import pyarrow.compute as pc

    return pc.coalesce(pc.not_equal(kind, _make_kind(NULL)), make_constant(False, len(kind)))


def compare_labels(texts: Any, operator: Operator, value: Value) -> Any:
    """Return which texts, of a tag or a param, are so beside a value of any kind."""
    import pyarrow.compute as pc

    if isinstance(value, Text):
        return compare_texts(texts, operator, value.value)
    if isinstance(value, Flag):
        return compare_texts(pc.utf8_lower(texts), operator, "true" if value.value else "false")
    numbers = read_numbers(texts)
    return pc.coalesce(compare_floats(numbers, operator, value.value), _tell_apart(texts, operator))


def _join(column: Mixed, **parts: Callable[[Any], Any]) -> Any:
    """Return the one answer of the parts that are there; null where none of them has one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    answers = [answer(getattr(column, part)) for part, answer in parts.items() if getattr(column, part) is not None]
    if not answers:
        return pa.nulls(len(column.kind), pa.bool_())
    return answers[0] if len(answers) == 1 else pc.coalesce(*answers)


def _compare_numbers(column: Mixed, operator: Operator, value: Value) -> Any:
    import pyarrow.compute as pc

    number = value.value if isinstance(value, Number) else read_number(value.value) if isinstance(value, Text) else None
    if number is None:
        return _tell_apart(column.numbers, operator)
    compared = compare_floats(column.numbers, operator, number)
    if column.digits is None:
        return compared
    codes = column.digits.dictionary_encode()
    order = get_order(operator)
    answers = bytes(order(int(digits, 0), number) for digits in codes.dictionary.to_pylist())
    return pc.coalesce(make_mask(answers).take(codes.indices), compared)


def _compare_flags(flags: Any, operator: Operator, value: Value) -> Any:
    import pyarrow.compute as pc

    truth = value.value if isinstance(value, Flag) else None
    if isinstance(value, Text) and value.value.lower() in ("true", "false"):
        truth = value.value.lower() == "true"
    if truth is None or operator not in ("=", "!="):
        return _tell_apart(flags, operator)
    return flags if truth == (operator == "=") else pc.invert(flags)


def _tell_apart(column: Any, operator: Operator) -> Any:
    """Return the answer for values of another kind than what they are compared with."""
    import pyarrow as pa
    import pyarrow.compute as pc

    present = pc.is_valid(column)
    different = pc.if_else(present, present, make_nothing(pa.bool_()))
    return different if operator == "!=" else pc.invert(different)


def _is(kind: Any, code: int) -> Any:
    import pyarrow.compute as pc

    return pc.equal(kind, _make_kind(code))


def _only(column: Any, where: Any) -> Any:
    """Return numbers or flags with a null wherever the flags in `where` are not true."""
    import pyarrow.compute as pc

    return pc.if_else(where, column, make_nothing(column.type))


def _make_kind(code: int) -> pa.Scalar:
    import pyarrow as pa

    return make_plain(bytes([code]), pa.uint8())[0]


def _spell_flags(flags: Any, words: tuple[str, str]) -> Any:
    import pyarrow.compute as pc

    return pc.if_else(flags, make_text(words[1]), make_text(words[0]))


def _spell_numbers(column: Mixed) -> Any:
    """Return numbers as Python spells them: `3`, `0.1`, `1e-05`, `inf`, `nan`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = _only(column.numbers, _is(column.kind, FLOAT)).dictionary_encode()
    spelled = make_texts([repr(value) for value in floats.dictionary.to_pylist()]).take(floats.indices)
    integers = _only(column.numbers, _is(column.kind, INT))
    if column.digits is None:
        return pc.coalesce(spelled, integers.cast(pa.int64()).cast(pa.string()))
    short = pc.if_else(pc.is_valid(column.digits), make_nothing(pa.float64()), integers)
    return pc.coalesce(spelled, column.digits, short.cast(pa.int64()).cast(pa.string()))

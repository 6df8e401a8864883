"""Compares arrays of texts with a text, by code points; matches patterns; reads numbers in texts.

What is null stays null. Knows nothing of queries and runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..frame.arrays import make_range, make_texts
from .numeric import get_kernel
from .operand import is_hash
from .tree import Operator

if TYPE_CHECKING:
    import pyarrow as pa

_NUMERIC = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))$"
_ANY, _ONE = object(), object()


def make_text(value: str) -> pa.Scalar:
    """Return a text as a scalar, by way of an array: `pa.scalar` imports pandas where that is installed."""
    return make_texts([value])[0]


def compare_texts(column: Any, operator: Operator, value: str) -> Any:
    """Return which texts are so beside value."""
    import pyarrow.compute as pc

    if operator == "!=":
        return pc.invert(pc.equal(column, make_text(value)))
    return get_kernel(operator)(column, make_text(value))


def compare_hashes(column: Any, operator: Operator, value: str) -> Any:
    """Return which hashes or ids are so beside value, which may be just a beginning where it is about equality."""
    import pyarrow.compute as pc

    if operator not in ("=", "!=") or not is_hash(value):
        return compare_texts(column, operator, value)
    begins = pc.starts_with(column, pattern=value)
    return begins if operator == "=" else pc.invert(begins)


def compare_digests(column: Any, operator: Operator, value: str) -> Any:
    """Return which digests are so beside value, where it is about equality also by how they begin.

    A value of 4 hex digits or more is the beginning of what follows the scheme, `sha256:` or another; one that names
    the scheme too is the beginning of the whole, with 4 characters or more behind the scheme.
    """
    import pyarrow.compute as pc

    if operator not in ("=", "!="):
        return compare_texts(column, operator, value)
    if is_hash(value):
        begins = pc.match_substring_regex(column, pattern=f"^([^:]*:)?{value.lower()}")
    elif len(value.partition(":")[2]) >= 4:
        begins = pc.starts_with(column, pattern=value)
    else:
        return compare_texts(column, operator, value)
    return begins if operator == "=" else pc.invert(begins)


def find_texts(column: Any, values: Sequence[str]) -> Any:
    """Return which texts are one of values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.is_in(column, value_set=make_texts(values))
    return pc.if_else(pc.is_valid(column), found, make_nothing(pa.bool_()))


def match_pattern(column: Any, pattern: str, *, fold: bool) -> Any:
    """Return which texts a LIKE pattern fits as a whole; with `fold`, in lower case both.

    `%` stands for any characters, `_` for one, a backslash before one of them or before itself makes it plain. The
    time grows with the length of texts and pattern, never with their product's powers: there is no backtracking.
    """
    import pyarrow.compute as pc

    if fold:
        column = pc.utf8_lower(column)
    parts = [_lower(part) if fold and isinstance(part, str) else part for part in _split_pattern(pattern)]
    literals = [part for part in parts if isinstance(part, str)]
    if _ONE not in parts and len(literals) <= 1:
        word = literals[0] if literals else ""
        if parts in ([], [word]):
            return pc.equal(column, make_text(word))
        if parts == [word, _ANY]:
            return pc.starts_with(column, pattern=word)
        if parts == [_ANY, word]:
            return pc.ends_with(column, pattern=word)
        if parts == [_ANY, word, _ANY]:
            return pc.match_substring(column, pattern=word)
    body = "".join(".*" if part is _ANY else "." if part is _ONE else _quote(str(part)) for part in parts)
    return pc.match_substring_regex(column, pattern=f"(?s)^{body}$")


def read_numbers(column: Any) -> Any:
    """Return the numbers that texts spell, as floats; null for any other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numeric = pc.match_substring_regex(column, pattern=_NUMERIC)
    if not pc.any(numeric).as_py():
        return pa.nulls(len(column), pa.float64())
    return keep_texts(column, numeric).cast(pa.float64())


def keep_texts(texts: Any, where: Any) -> Any:
    """Return texts with a null wherever the flags in `where` are not true.

    By taking them: before version 24 `if_else` spoils texts that are a slice of others.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    return texts.take(pc.if_else(where, make_range(len(texts)), make_nothing(pa.int32())))


def _split_pattern(pattern: str) -> Iterator[object]:
    """Yield a pattern's texts, _ANY and _ONE; no two texts and no two _ANY follow each other."""
    text = ""
    any_before = False
    for token in re.findall(r"\\[%_\\]|.", pattern, re.DOTALL):
        if token not in ("%", "_"):
            text += token[-1]
            continue
        if text:
            yield text
            text, any_before = "", False
        if token == "_" or not any_before:
            yield _ONE if token == "_" else _ANY
        any_before = token == "%"
    if text:
        yield text


def _quote(text: str) -> str:
    """Return a regular expression of RE2 that only text fits."""
    return re.sub(r"[^\w]", lambda match: rf"\x{{{ord(match.group()):x}}}", text)


def _lower(text: str) -> str:
    """Return text in lower case as Arrow makes it, so that it is the same for texts and patterns."""
    import pyarrow.compute as pc

    return str(pc.utf8_lower(make_texts([text]))[0])


def make_nothing(type: pa.DataType) -> Any:
    """Return a scalar that is null."""
    import pyarrow as pa

    return pa.nulls(1, type)[0]

"""Owns how a value is spelled in text formats: cells of CSV, values of JSON.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, wherever the text came from; so such text
gets a `'` in front in CSV, which spreadsheets take for "this is text". Numbers stay as they are, also those among
texts. To undo it, take one `'` off a cell that has one or more of them before such a character.
Pure: arrays in, arrays out. Knows nothing of runs and files.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..canonical import spell_float
from ..frame.arrays import make_texts
from ..series.table import make_integer

if TYPE_CHECKING:
    import pyarrow as pa

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
# Line ends and tabs are cut off by some spreadsheets before they look; the wide forms count in some languages.
_FORMULA = "^'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# Where a line ends to some readers, what a terminal acts on, and what turns the direction of what is read.
_ODD_IN_JSON = r"""["\\\x00-\x1f\x{7f}-\x{9f}\x{061c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]"""
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def spell_cells(column: pa.Array) -> pa.StringArray:
    """Return a column as cells of CSV, ready to be joined: an empty cell for a null, `""` for an empty text.

    Texts are quoted, and such that no spreadsheet runs them; times are ISO 8601 (UTC ones with a Z), nested values
    JSON. Numbers are not quoted: floats have a point or an exponent, or are `NaN`, `inf`, `-inf`, so that readers that
    look at the first rows alone take them for floats.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = column.type
    if types.is_dictionary(kind):
        cells = spell_cells(column.dictionary).take(column.indices)
    elif types.is_floating(kind):
        cells = _spell_floats(column, nan="NaN", infinite="inf", negative="-inf")
    elif types.is_integer(kind) or types.is_decimal(kind) or types.is_boolean(kind) or types.is_null(kind):
        cells = column.cast(pa.string())
    else:
        quote = _make_word('"')
        doubled = pc.replace_substring(escape_formulas(_spell_texts(column)), pattern='"', replacement='""')
        cells = pc.binary_join_element_wise(quote, doubled, quote, _make_word(""))
    return pc.fill_null(cells, _make_word(""))


def escape_formulas(texts: pa.StringArray) -> pa.StringArray:
    """Return texts with a `'` in front of those that a spreadsheet would run; numbers are not touched."""
    import pyarrow.compute as pc

    runs = pc.and_not(pc.match_substring_regex(texts, _FORMULA), pc.match_substring_regex(texts, _NUMBER))
    if not pc.any(runs).as_py():
        return texts
    return pc.if_else(runs, pc.binary_join_element_wise(_make_word("'"), texts, _make_word("")), texts)


def spell_json(column: pa.Array) -> pa.StringArray:
    """Return the values of a column as JSON texts, null for a null.

    Times are ISO 8601 texts; numbers that are none "NaN", "Infinity", "-Infinity"; bytes hex digits. Characters that
    end a line for some readers, or that a terminal acts on, stand as `\\uXXXX`.
    """
    import pyarrow as pa
    import pyarrow.types as types

    kind = column.type
    if types.is_dictionary(kind):
        return spell_json(column.dictionary).take(column.indices)
    if types.is_floating(kind):
        return _spell_floats(column, nan='"NaN"', infinite='"Infinity"', negative='"-Infinity"')
    if types.is_integer(kind) or types.is_decimal(kind) or types.is_boolean(kind) or types.is_null(kind):
        return column.cast(pa.string())
    if types.is_nested(kind):
        return _from_python(column, _spell_nested)
    return _quote_texts(_spell_texts(column))


def spell_values(column: pa.Array) -> list[Any]:
    """Return the values of a column for a table that people read: numbers, booleans, None, and all else as texts."""
    import pyarrow.types as types

    kind = column.type
    if types.is_dictionary(kind):
        words = spell_values(column.dictionary)
        return [None if index is None else words[index] for index in column.indices.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind):
        return list(column.to_pylist())
    return list(_spell_texts(column).to_pylist())


def spell_text(text: str) -> str:
    """Return text as JSON, on one line in any reader's eyes."""
    spelled = json.dumps(text, ensure_ascii=False)
    if spelled.isascii() and spelled.isprintable():
        return spelled
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", spelled)


def _make_word(text: str) -> pa.StringScalar:
    return make_texts([text])[0]


def _spell_floats(column: pa.Array, *, nan: str, infinite: str, negative: str) -> pa.StringArray:
    """Return floats as texts that nobody takes for whole numbers, with words for those that are no numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.replace_substring_regex(column.cast(pa.string()), pattern=r"^(-?[0-9]+)$", replacement=r"\1.0")
    if pc.all(pc.is_finite(column)).as_py() is not False:
        return texts
    for word, spelled in (("nan", nan), ("inf", infinite), ("-inf", negative)):
        texts = pc.if_else(pc.equal(texts, _make_word(word)), _make_word(spelled), texts)
    return texts


def _quote_texts(texts: pa.StringArray) -> pa.StringArray:
    """Return texts as JSON; of many, few have anything in them that must be spelled otherwise."""
    import pyarrow.compute as pc

    quote = _make_word('"')
    quoted = pc.binary_join_element_wise(quote, texts, quote, _make_word(""))
    odd = pc.fill_null(pc.match_substring_regex(texts, _ODD_IN_JSON), False)
    if not odd.true_count:
        return quoted
    return pc.replace_with_mask(quoted, odd, make_texts([spell_text(text) for text in texts.filter(odd).to_pylist()]))


def _spell_times(column: pa.Array, *, zone: str) -> pa.StringArray:
    """Return times as ISO 8601; of many points, few have seconds of their own, and to spell a time takes long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    micros = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    million = make_integer(1_000_000, pa.int64())
    seconds = pc.divide(micros, million)
    rest = pc.subtract(micros, pc.multiply(seconds, million))
    early = pc.less(rest, make_integer(0, pa.int64()))
    seconds = pc.subtract(seconds, pc.cast(early, pa.int64()))
    rest = pc.add(rest, pc.if_else(early, make_integer(2_000_000, pa.int64()), million))  # seven digits, the first a 1
    known = seconds.dictionary_encode()
    words = pc.strftime(known.dictionary.cast(pa.timestamp("s")), _TIME_FORMAT).take(known.indices)
    digits = pc.utf8_slice_codeunits(rest.cast(pa.string()), 1, 7)
    return pc.binary_join_element_wise(words, _make_word("."), digits, _make_word(zone), _make_word(""))


def _spell_texts(column: pa.Array) -> pa.StringArray:
    """Return a column that holds no numbers as texts."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = column.type
    if types.is_string(kind):
        return column
    if types.is_timestamp(kind):
        return _spell_times(column, zone="" if kind.tz is None else "Z")
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _from_python(column, bytes.hex)
    if types.is_nested(kind):
        return _from_python(column, _spell_nested)
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowNotImplementedError:
        return _from_python(column, str)


def _from_python(column: pa.Array, spell: Any) -> pa.StringArray:
    return make_texts([None if value is None else spell(value) for value in column.to_pylist()])


def _spell_nested(value: object) -> str:
    return _UNSAFE_IN_JSON.sub(
        lambda match: f"\\u{ord(match.group()):04x}", json.dumps(_make_plain(value), ensure_ascii=False)
    )


def _make_plain(value: object) -> object:
    if isinstance(value, float):
        return spell_float(value)
    if isinstance(value, dict):
        return {str(key): _make_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, (str, int)) else str(value)

"""Turns what a caller calls params into flat, typed scalars. Pure: knows nothing of journals, files or numpy."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import InvalidInput
from .layout import check_key
from .model import Scalar

MAX_TEXT_LENGTH = 100_000
_MAX_DIGITS = 1000
_MAX_DEPTH = 32


def flatten_params(params: object) -> dict[str, Scalar]:
    """Return params as one flat mapping of checked names to scalars.

    Nested mappings are joined with dots (`{"opt": {"lr": 1}}` gives `opt.lr`); a dataclass or argparse Namespace counts
    as a mapping; lists and tuples become compact JSON text; numpy and torch scalars their Python value; enums their
    value; paths and anything else their string. Raises InvalidInput for a bad name, one that comes up twice, or a text
    over 100,000 characters.
    """
    flat: dict[str, Scalar] = {}
    for key, value in _walk(_as_mapping(params), "", 0):
        check_key(key, kind="param")
        if key in flat:
            raise InvalidInput(f"param {key!r} comes up twice once nested names are joined with dots")
        flat[key] = make_scalar(key, value)
    return flat


def _as_mapping(params: object) -> Mapping[Any, Any]:
    if isinstance(params, Mapping):
        return params
    fields = getattr(params, "__dict__", None)
    if isinstance(fields, dict) and not isinstance(params, type):
        return fields
    raise InvalidInput(f"params must be a mapping of names to values, not {type(params).__name__}: {params!r:.80}")


def _walk(params: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"params nested deeper than {_MAX_DEPTH} levels at {prefix[:80]!r}")
    for key, value in params.items():
        if not isinstance(key, str) and prefix == "":
            check_key(key, kind="param")
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _walk(value, f"{name}.", depth + 1)
        else:
            yield name, value


def make_scalar(key: str, value: object) -> Scalar:
    """Return value as a param's scalar, as flatten_params describes; `key` is named where it cannot be one."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or type(value) in (bool, float):
        return value  # type: ignore[return-value]
    if type(value) is int:
        if value.bit_length() > _MAX_DIGITS * 3:
            raise InvalidInput(f"param {key!r} is an integer of over {_MAX_DIGITS} digits")
        return value
    if not isinstance(value, (str, bytes, os.PathLike, list, tuple, Mapping)):
        plain = _find_plain(value)
        if plain is not None:
            return plain
    text = _spell(key, value)
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInput(
            f"param {key!r} is {len(text)} characters long, more than {MAX_TEXT_LENGTH}",
            hint=f'run.log_text(…, "{key}.txt")',
        )
    return text


def _find_plain(value: object) -> Scalar:
    """Return the Python number behind a subclass of one or an array library's scalar; None for anything else."""
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        try:
            plain = item()
        except (TypeError, ValueError, RuntimeError):
            return None
        if isinstance(plain, (bool, int, float, str)):
            return plain
    return None


def _spell(key: str, value: object) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        try:
            return json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, TypeError, RecursionError):
            pass
    try:
        return str(value)
    except ValueError as error:  # an integer of more digits than Python spells
        raise InvalidInput(f"param {key!r} cannot be written as text: {error}") from error

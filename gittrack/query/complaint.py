"""Makes the error that points at a character of a query. Knows nothing of the language."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ..errors import InvalidInput

_BEFORE, _AFTER = 48, 24
_MANY = 5000


def point_at(text: str, start: int, message: str, *, hint: str | None = None) -> InvalidInput:
    """Return InvalidInput with three lines: the message, the query's part around start, and a caret under start.

    What cannot be printed, of the message too, stands there as a replacement character.
    """
    line, caret = mark_character(text, start)
    said = "".join(map(_show, message))
    return InvalidInput(f"{said}\n  {line}\n  {caret}", hint=hint and "".join(map(_show, hint)))


def mark_character(text: str, start: int) -> tuple[str, str]:
    """Return the part of text around a character as one printable line, and a line with a caret below it."""
    first = max(start - _BEFORE, 0) if start > _BEFORE + 1 else 0
    last = start + _AFTER if start + _AFTER + 1 < len(text) else len(text)
    before = ("…" if first else "") + "".join(map(_show, text[first:start]))
    after = "".join(map(_show, text[start:last])) + ("…" if last < len(text) else "")
    return (before + after).rstrip(), " " * sum(map(_count_cells, before)) + "^"


def suggest(word: str, known: Sequence[str]) -> list[str]:
    """Return up to three known words that a person may have meant by word, the closest first."""
    from difflib import get_close_matches

    folded = {name.lower(): name for name in known[:_MANY]}
    return [folded[name] for name in get_close_matches(word.lower()[:300], folded, n=3, cutoff=0.6)]


def _show(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _count_cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

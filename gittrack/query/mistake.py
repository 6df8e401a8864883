"""Says what is wrong where a query does not follow the grammar, in the words of who wrote it."""

from __future__ import annotations

import re
from collections.abc import Set

from ..errors import InvalidInput
from .complaint import point_at

_WORD = r"""[^\s'"`(),=<>!]+"""


def explain(text: str, start: int, *, token: str, expected: Set[str]) -> InvalidInput:
    """Return the error for a place where none of the expected terminals of the grammar stands.

    `token` is what stands there instead: "$END" for the end, empty for characters that are no token at all.
    """
    if token == "$END" and "_CLOSE" in expected and "_COMMA" not in expected:
        return point_at(text, start, "a parenthesis is not closed")
    if token == ")" and "$END" in expected:
        return point_at(text, start, "this parenthesis was not opened")
    wanted = _name_expected(expected)
    if token == "$END":
        return point_at(text, start, f"the query ends where {wanted} should follow")
    rest = text[start:]
    if rest[:1] in "'\"`" and not token:
        return point_at(text, start, f"the quote {rest[:1]} is not closed")
    word = re.match(_WORD, rest)
    found = token or (word.group() if word else rest[:1])
    return point_at(text, start, f"expected {wanted}, not {found!r:.40}", hint=_find_hint(found, expected))


def _name_expected(expected: Set[str]) -> str:
    if "NUMBER" in expected:
        return "a number, a text in quotes, true or false"
    if "TEXT" in expected:
        return "a text in quotes"
    if "OPERATOR" in expected:
        return "a comparison (=, !=, <, <=, >, >=, IN, BETWEEN, LIKE, IS), AND, OR or the end"
    if "KEY" in expected:
        return "a key such as metrics.auc, params.lr or status"
    if "LIKE" in expected:
        return "IN, BETWEEN or LIKE"
    if "NULL" in expected:
        return "NULL or NOT NULL"
    if "_OPEN" in expected:
        return "a list in parentheses"
    if "_COMMA" in expected:
        return "a comma or the closing parenthesis" if "_CLOSE" in expected else "a comma or the end"
    if expected == {"_AND"}:
        return "AND"
    return "AND, OR or the closing parenthesis" if "_CLOSE" in expected else "AND, OR or the end"


def _find_hint(found: str, expected: Set[str]) -> str | None:
    if "NUMBER" in expected or "TEXT" in expected:
        return f"'{found}'" if re.fullmatch(_WORD, found) else None
    if "KEY" in expected and found == "!":
        return "NOT"
    if "KEY" in expected and found[:1].isdigit():
        return f"metrics.{found} or params.{found}" if re.fullmatch(_WORD, found) else None
    return {"&&": "AND", "&": "AND", "||": "OR", "|": "OR", "~": "LIKE", "contains": "LIKE '%text%'"}.get(found.lower())

"""Reads and writes keys as they stand in a query: groups, aliases, quotes, fields. Knows nothing of runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .complaint import point_at, suggest
from .tree import Group, Key
from .vocabulary import ATTRIBUTES, DATASET_FIELDS, GROUPS, TAG_ALIASES, find_attribute, get_fields

_PIECE = r'(?s)`((?:[^`]|``)*)`(?!`)|"((?:[^"\\]|\\.|"")*)"(?!")|([^`"]+)'
_PLAIN = r"""[^\W\d][^\s'"`(),=<>!]*"""
_PLAIN_REST = r"""[^\s'"`(),=<>!]+"""


def unquote(token: str, *, keep_backslashes: bool = False) -> str:
    """Return what stands between two quotes: a quote inside is doubled or behind a backslash, a backslash doubled.

    A backslash before anything else is itself. `keep_backslashes` leaves all but those before a quote as they are.
    """
    quote = token[0]
    kept = r"\\" if keep_backslashes else "\\"
    spelled = {quote * 2: quote, "\\" + quote: quote, r"\\": kept}
    return re.sub(rf"\\\\|\\{quote}|{quote}{quote}", lambda match: spelled[match.group()], token[1:-1])


def read_key(token: str, *, text: str, start: int) -> Key:
    """Return the key that token spells; raises InvalidInput, pointing into text, for an attribute there is not."""
    pieces = list(_split(token))
    plain = "".join(piece for piece, _ in pieces)
    end_of_quotes = 0
    position = 0
    for piece, quoted in pieces:
        position += len(piece)
        end_of_quotes = position if quoted else end_of_quotes
    head, dot, name = plain.partition(".")
    group = GROUPS.get(head) if dot else None
    if group is None or (pieces[0][1] and len(pieces[0][0]) > len(head)):
        attribute = find_attribute(plain)
        if attribute is not None:
            return Key("attributes", attribute, start=start)
        return Key("any", plain, exact=end_of_quotes == len(plain), start=start)
    if not name:
        raise point_at(text, start, f"a name is missing after {head}.")
    if group == "tags" and name in TAG_ALIASES:
        return Key("attributes", TAG_ALIASES[name], start=start)
    if group == "attributes":
        attribute = find_attribute(name)
        if attribute is None:
            raise point_at(text, start, f"runs have no attribute {name!r:.60}", hint=_hint(name, tuple(ATTRIBUTES)))
        return Key(group, attribute, start=start)
    if group == "datasets":
        if name.lower() not in DATASET_FIELDS:
            hint = _hint(name, DATASET_FIELDS, prefix="dataset.")
            raise point_at(text, start, f"datasets have no {name!r:.60}", hint=hint)
        return Key(group, "", name.lower(), exact=True, start=start)
    if end_of_quotes <= len(head):
        return Key(group, name, start=start)
    return _split_quoted(group, name, end_of_quotes - len(head) - 1, start)


def write_key(key: Key) -> str:
    """Return a key as a query can hold it, in quotes where it needs them."""
    if key.group == "datasets":
        return f"dataset.{key.field}"
    if key.group == "attributes":
        return key.name
    if key.group == "any":
        return quote_name(key.name, whole=True)
    name = quote_name(key.name, force=key.exact and bool(get_fields(key.group).keys() & {key.name.rpartition(".")[2]}))
    group = {"inputs": "input"}.get(key.group, key.group)
    return f"{group}.{name}" + (f".{key.field}" if key.field else "")


def quote_name(name: str, *, whole: bool = False, force: bool = False) -> str:
    """Return a name as it may stand in a query: behind a group, or as a `whole` key; quoted if it must or is forced."""
    plain = _PLAIN if whole else _PLAIN_REST
    return name if re.fullmatch(plain, name) and not force else "`" + name.replace("`", "``") + "`"


def _split_quoted(group: Group, name: str, end_of_quotes: int, start: int) -> Key:
    """Return a key with quotes in it: what follows the last of them is a field, where it is the name of one."""
    exact, rest = name[:end_of_quotes], name[end_of_quotes:]
    field = get_fields(group).get(rest[1:]) if rest.startswith(".") else None
    if field is not None:
        return Key(group, exact, field, exact=True, start=start)
    return Key(group, name, exact=True, start=start)


def _split(token: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a key, with whether each stood in quotes."""
    for match in re.finditer(_PIECE, token):
        if match.group(3) is not None:
            yield match.group(3), False
        elif match.group(1) is not None:
            yield match.group(1).replace("``", "`"), True
        else:
            yield unquote(match.group()), True


def _hint(name: str, known: tuple[str, ...], *, prefix: str = "") -> str:
    return " or ".join(prefix + word for word in suggest(name, known) or known[:7])

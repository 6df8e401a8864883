"""Reads a query or an order by grammar.lark, and says what is wrong with one and where.

Pure: a text in, a tree out. Knows nothing of runs and their keys.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from .check import check_test
from .complaint import point_at
from .keytext import read_key, unquote
from .mistake import explain
from .operand import MAX_DIGITS, read_number
from .tree import (
    Among,
    And,
    Compare,
    Condition,
    Flag,
    Holds,
    Key,
    Like,
    Missing,
    Not,
    Number,
    Operator,
    Or,
    Query,
    SortKey,
    Test,
    Text,
    Value,
)
from .vocabulary import find_kind

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

MAX_LENGTH = 10_000
MAX_DEPTH = 64
MAX_PATTERN = 1000

_OPERATORS: dict[str, Operator] = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


def parse_query(text: str) -> Query:
    """Return what a query says; an empty one holds for every run.

    Raises InvalidInput, its second and third line the query and a caret below what is wrong, for one that is not as
    grammar.lark has it, is longer than 10,000 characters or more than 64 parentheses and NOTs deep, compares a key
    with a value of another kind, or names an attribute there is not. Keys of runs are not looked at: check_keys does.
    """
    return _build_query(_parse(text, rule="query"), QueryBuilder(text))


def parse_with_bounds(text: str, builder: QueryBuilder) -> Query:
    """Return what a query says in which a value may be one that bounds.lark has; `builder` makes of that what it is.

    Raises InvalidInput as parse_query does.
    """
    return _build_query(_parse(text, rule="query", bounds=True), builder)


def _build_query(tree: Tree[Token], builder: QueryBuilder) -> Query:
    if not tree.children:
        return Query(None, builder.text)
    _check_depth(tree, builder.text)
    return Query(builder.build_condition(_get_branch(tree.children[0])), builder.text)


def parse_sort(text: str) -> tuple[SortKey, ...]:
    """Return the keys of an order such as `-metrics.auc, params.lr ASC, name`; an empty one has none.

    Raises InvalidInput as parse_query does.
    """
    if not text.strip():
        return ()
    builder = QueryBuilder(text)
    return tuple(builder.build_rank(_get_branch(rank)) for rank in _parse(text, rule="order").children)


@cache
def _load_grammar(bounds: bool) -> Lark:
    from lark import Lark

    grammar = _read("grammar.lark") + (_read("bounds.lark") if bounds else "")
    return Lark(grammar, parser="lalr", start=["query", "order"], maybe_placeholders=False, propagate_positions=False)


def _read(name: str) -> str:
    from pkgutil import get_data

    data = get_data(__package__ or "", name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode()


def _parse(text: str, *, rule: str, bounds: bool = False) -> Tree[Token]:
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"a query of {len(text):,} characters is too long: {MAX_LENGTH:,} is the limit")
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate is not None:
        raise point_at(text, surrogate.start(), "this is not a character")
    from lark import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    try:
        return _load_grammar(bounds).parse(text, start=rule)
    except UnexpectedCharacters as error:
        raise explain(text, error.pos_in_stream or 0, token="", expected=_find_accepted(error)) from None
    except UnexpectedToken as error:
        ended = error.token.type == "$END"
        start = len(text.rstrip()) if ended else error.token.start_pos
        token = "$END" if ended else str(error.token)
        raise explain(text, start, token=token, expected=_find_accepted(error)) from None
    except UnexpectedInput as error:
        raise point_at(text, error.pos_in_stream or 0, "this cannot be read") from None


def _find_accepted(error: Any) -> set[str]:
    """Return the terminals that may stand where the parser gave up.

    The state it stands in names those that may follow it anywhere; this tries each out here.
    """
    accepted: set[str] = error.interactive_parser.accepts()
    return accepted


def _check_depth(tree: Tree[Token], text: str) -> None:
    """Refuse a query too deep to walk. The tree is not walked by recursion here."""
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, str):
            continue
        if node.data == "condition" and not _is_token(node.children[0], "KEY"):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidInput(f"a query nested more than {MAX_DEPTH} deep in parentheses and NOTs is too deep")
        waiting.extend((child, depth) for child in node.children)


def _is_token(node: Any, type: str) -> bool:
    return isinstance(node, str) and getattr(node, "type", "") == type


def _get_branch(node: Any) -> Tree[Token]:
    """Return a tree's child that the grammar makes a tree and no token."""
    branch: Tree[Token] = node
    return branch


class QueryBuilder:
    """Makes the tree of a query of what lark made of it; `text` is what was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def build_condition(self, node: Tree[Token]) -> Condition:
        children: list[Any] = node.children
        if node.data in ("expression", "conjunction"):
            parts = tuple(self.build_condition(child) for child in children)
            if len(parts) == 1:
                return parts[0]
            return Or(parts) if node.data == "expression" else And(parts)
        if _is_token(children[0], "NOT"):
            return Not(self.build_condition(children[1]))
        if not _is_token(children[0], "KEY"):
            return self.build_condition(children[0])
        key = self.build_key(children[0])
        if len(children) == 1:
            return self._check(Holds(key))
        return self.build_test(key, children[1].children)

    def build_test(self, key: Key, children: list[Any]) -> Condition:
        negative = any(_is_token(child, "NOT") for child in children)
        first, last = children[0], children[-1]
        if _is_token(last, "NULL"):
            condition: Condition = self._check(Missing(key))
        elif last.data == "among":
            condition = self.build_among(key, last.children)
        else:
            operator = self.build_operator(first)
            return self._check(Compare(key, operator, self.build_value(last)))
        return Not(condition) if negative else condition

    def build_among(self, key: Key, children: list[Any]) -> Condition:
        keyword, *rest = children
        word = keyword.type
        if word == "IN":
            return self._check(Among(key, tuple(map(self.build_value, rest))))
        if word == "BETWEEN":
            low, high = map(self.build_value, rest)
            return And((self._check(Compare(key, ">=", low)), self._check(Compare(key, "<=", high))))
        pattern = Text(unquote(rest[0], keep_backslashes=True), rest[0].start_pos)
        if len(pattern.value) > MAX_PATTERN:
            raise point_at(self.text, pattern.start, f"a pattern has at most {MAX_PATTERN:,} characters")
        return self._check(Like(key, pattern, fold=keyword.lower() == "ilike"))

    def build_operator(self, token: Token) -> Operator:
        operator = _OPERATORS.get(token)
        if operator is None:
            close = {"=>": ">=", "=<": "<=", "===": "=", "!": "!=", "><": "!="}.get(token)
            raise point_at(self.text, token.start_pos or 0, f"there is no comparison {token[:20]!r}", hint=close)
        return operator

    def build_value(self, node: Tree[Token]) -> Value:
        token: Any = node.children[0]
        start = token.start_pos
        if token.type == "TEXT":
            return Text(unquote(token), start)
        if token.type == "FLAG":
            return Flag(token.lower() == "true", start)
        if token.type == "NULL":
            raise point_at(self.text, start, "nothing compares with null", hint="IS NULL or IS NOT NULL")
        number = read_number(str(token))
        if number is None or len(token) > MAX_DIGITS:
            raise point_at(self.text, start, f"a number has at most {MAX_DIGITS:,} digits")
        return Number(number, start)

    def build_key(self, token: Token) -> Key:
        return read_key(str(token), text=self.text, start=token.start_pos or 0)

    def build_rank(self, node: Tree[Token]) -> SortKey:
        tokens: list[Any] = node.children
        key = next(token for token in tokens if token.type == "KEY")
        descending = any(token.lower() in ("-", "desc") for token in tokens if token is not key)
        return SortKey(self.build_key(key), descending, self.text)

    def _check(self, test: Test) -> Test:
        """Return a test if its key, where its kind is known already, can be tested so."""
        kind = find_kind(test.key)
        if kind is not None:
            check_test(test, kind=kind, text=self.text)
        return test

"""The language that finds runs: what it is, `help.txt` says to people and `grammar.lark` to the parser.

`parse_query`, `parse_sort` and `parse_requirement` read it, `check_keys` holds its keys against the ones runs have,
`filter_frame` and `sort_rows` answer it over a frame. Pure: knows nothing of git, files, clocks and terminals. lark and
pyarrow are imported where they are used, to keep importing this quick.
"""

from __future__ import annotations

from .filter import filter_frame
from .keys import Column, check_keys, find_column, get_column
from .keytext import write_key
from .parser import parse_query, parse_sort
from .requirement import parse_requirement
from .sorting import sort_rows
from .tree import Bound, Key, Query, Requirement, SortKey, walk_tests
from .values import read_numbers_of, read_values

__all__ = [
    "Bound",
    "Column",
    "Key",
    "Query",
    "Requirement",
    "SortKey",
    "check_keys",
    "filter_frame",
    "find_column",
    "get_column",
    "parse_query",
    "parse_requirement",
    "parse_sort",
    "read_numbers_of",
    "read_values",
    "sort_rows",
    "walk_tests",
    "write_key",
]

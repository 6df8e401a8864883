"""The public API's names: what type checkers see, what is loaded when asked for, and what `import *` gives agree."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import gittrack


def find_checked_names() -> dict[str, str]:
    """Return the names that gittrack imports for type checkers alone, with the modules they come from."""
    tree = ast.parse(Path(inspect.getfile(gittrack)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {
        alias.asname or alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_checkers_and_programs_find_the_same_names_in_the_same_modules() -> None:
    loaded = {name: module for module, names in gittrack._HOMES.items() for name in names}
    assert find_checked_names() == loaded
    assert sorted(gittrack.__all__) == sorted(loaded)


def test_every_name_is_there() -> None:
    for name in gittrack.__all__:
        assert getattr(gittrack, name) is not None

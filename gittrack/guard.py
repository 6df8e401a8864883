"""Owns what is guarded: the paths that may only be committed with a run behind them, and what such a run must fulfil.

It is what `[tool.gittrack.check]` says. Pure: a table in, a value out. Knows nothing of git beyond its pathspecs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from . import layout
from .errors import InvalidInput

if TYPE_CHECKING:
    from .query import Requirement

TABLE = "tool.gittrack.check"

_SECOND = 1_000_000
_KEYS = ("paths", "ignore", "experiment", "require", "max-age")


@dataclass(frozen=True)
class Guard:
    """The guarded paths, and which runs can vouch for what stands there.

    `paths` and `ignore` are patterns from the root of the working tree, as git's `:(glob)` has them: `*` does not match
    a slash, `**` does, and a directory stands for all in it. `max_age` is in microseconds.
    """

    paths: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    experiment: str | None = None
    require: str | None = None
    max_age: int | None = None

    @property
    def pathspecs(self) -> tuple[str, ...]:
        """The guarded paths as git takes them behind `--`."""
        return (
            *(f":(top,glob){pattern}" for pattern in self.paths),
            *(f":(top,glob,exclude){pattern}" for pattern in self.ignore),
        )

    @property
    def requirement(self) -> Requirement | None:
        """What a run must fulfil besides; raises InvalidInput where it cannot be read."""
        if self.require is None:
            return None
        from .query import parse_requirement

        try:
            return parse_requirement(self.require)
        except InvalidInput as error:
            raise InvalidInput(f"require of [{TABLE}]: {error.message}", hint=error.hint) from None

    def covers(self, path: str) -> bool:
        """Tell whether a path may be guarded; one that ends in a slash, whether anything below it may be."""
        if not path.endswith("/"):
            return _matches_any(path, self.paths) and not _matches_any(path, self.ignore)
        if path == "./":
            return True
        if _matches_any(f"{path}_", self.ignore):
            return False
        return _matches_any(path[:-1], self.paths) or any(_may_lie_below(pattern, path) for pattern in self.paths)


def read_guard(table: object, *, where: str) -> Guard | None:
    """Return the guard that a table says, or None where it guards nothing.

    Raises InvalidInput, saying what is wrong in the file `where`, for a key or a value there cannot be; `require` is
    read when it is needed.
    """
    if not isinstance(table, dict):
        raise InvalidInput(f"{TABLE} in {where} is not a table", hint=f"[{TABLE}]")
    unknown = [key for key in table if key not in _KEYS]
    if unknown:
        raise InvalidInput(f"[{TABLE}] in {where} has {unknown[0]!r:.60}, which is none of {', '.join(_KEYS)}")
    paths = _read_patterns(table, "paths", where)
    if not paths:
        return None
    return Guard(
        paths,
        _read_patterns(table, "ignore", where),
        _read_experiment(table, where),
        _read_text(table, "require", where, "metrics.auc >= 0.9"),
        _read_age(table, where),
    )


def _read_patterns(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise _complain(table, key, where, "it must be a list of paths", 'paths = ["src/**", "train.py"]')
    for pattern in patterns:
        parts = pattern.rstrip("/").split("/")
        if layout.has_control(pattern) or "" in parts or ".." in parts or "." in parts:
            raise _complain(table, key, where, f"{pattern!r:.60} is no path from the root", f'{key} = ["src/**"]')
    return tuple(pattern.rstrip("/") for pattern in patterns)


def _read_text(table: Mapping[str, object], key: str, where: str, example: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise _complain(table, key, where, "it must be a text", f'{key} = "{example}"')
    return value


def _read_experiment(table: Mapping[str, object], where: str) -> str | None:
    name = _read_text(table, "experiment", where, "churn")
    return None if name is None else layout.make_slug(name)


def _read_age(table: Mapping[str, object], where: str) -> int | None:
    text = _read_text(table, "max-age", where, "30d")
    if text is None:
        return None
    from .query.times import parse_duration

    seconds = parse_duration(text)
    if seconds is None:
        raise _complain(table, "max-age", where, "it must be a duration", 'max-age = "30d"')
    return int(seconds * _SECOND)


def _complain(table: Mapping[str, object], key: str, where: str, problem: str, example: str) -> InvalidInput:
    message = f"{key} of [{TABLE}] in {where} is {table.get(key)!r:.100}, but {problem}"
    return InvalidInput(message, hint=f"{example}  # in [{TABLE}] of {where}")


def _matches_any(path: str, patterns: Iterable[str]) -> bool:
    return any(_compile(pattern).fullmatch(path) is not None for pattern in patterns)


def _may_lie_below(pattern: str, directory: str) -> bool:
    """Tell whether a pattern may match something below a directory (which ends in a slash), by how both begin."""
    fixed = re.split(r"[*?[\\]", pattern, maxsplit=1)[0]
    return fixed.startswith(directory) or directory.startswith(fixed if fixed != pattern else f"{pattern}/")


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Return what matches the paths that git's `:(glob)` does for a pattern, and all below those."""
    parts = pattern.split("/")
    said = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            said += ".+" if last else "(?:[^/]+/)*"
        else:
            said += _translate(part) + ("" if last else "/")
    try:
        return re.compile(f"(?s){said}(?:/.*)?")
    except re.error:  # such as a range from z to a, which git takes for something that nothing is in
        return re.compile("(?s).*")


def _translate(part: str) -> str:
    said = ""
    for token in re.findall(r"(?s)\\.|\[!?\^?\]?[^\]]*\]|.", part):
        if token == "*":
            said += "[^/]*"
        elif token == "?":
            said += "[^/]"
        elif token.startswith("[") and len(token) > 2:
            said += "(?!/)" + _translate_class(token[1:-1])
        else:
            said += re.escape(token[1:] if len(token) == 2 and token[0] == "\\" else token)
    return re.sub(r"(\[\^/\]\*)+", r"[^/]*", said)


def _translate_class(inside: str) -> str:
    if "[:" in inside:  # a class by its name: what is asked is only whether a path may be meant
        return "[^/]"
    negative = inside[:1] in ("!", "^")
    body = inside[1:] if negative else inside
    body = body.replace("\\", "\\\\").replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
    body = body.replace("&&", r"&\&").replace("||", r"|\|").replace("~~", r"~\~")
    return f"[{'^' if negative else ''}{body}]"

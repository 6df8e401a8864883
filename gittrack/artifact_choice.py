"""Owns what a person means by the artifacts of a run: paths, directories, patterns, and a largest size.

Pure: paths and pointers in, paths out. Knows nothing of runs, files and terminals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .errors import InvalidInput
from .model import Pointer

_ANY_DEPTH = "**"
# A letter alone is a power of 1024, as in Git's configuration; with a B behind it, of 1000, as sizes are printed.
_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{unit}{more}": 1 << 10 * step for step, unit in enumerate("KMGT", 1) for more in ("", "I", "IB")}
_UNITS |= {f"{unit}B": 1000**step for step, unit in enumerate("KMGT", 1)}


@dataclass(frozen=True)
class Limits:
    """Which artifacts are meant of those that were named.

    With `include`, only what one of these patterns finds; never what one of `exclude` finds; nothing of more than
    `max_size` bytes.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_size: int | None = None

    def allow(self, path: str, pointer: Pointer) -> bool:
        """Tell whether an artifact is meant."""
        return (
            (not self.include or any(is_match(pattern, path) for pattern in self.include))
            and not any(is_match(pattern, path) for pattern in self.exclude)
            and (self.max_size is None or pointer.size <= self.max_size)
        )


def find_named(known: Iterable[str], word: str) -> list[str]:
    """Return the paths that a word means, in order: the one of that name, those below that directory, or by a pattern.

    A name that is there counts as a name, whatever characters it has.
    """
    paths = sorted(known)
    below = word.rstrip("/") + "/"
    named = [path for path in paths if path == word or path.startswith(below)]
    return named or ([path for path in paths if is_match(word, path)] if is_pattern(word) else [])


def is_pattern(word: str) -> bool:
    """Tell whether a word has a character that makes a pattern of it."""
    return re.search(r"[*?\[]", word) is not None


def is_match(pattern: str, path: str) -> bool:
    """Tell whether a pattern finds a path, or a directory above it.

    `*`, `?` and `[a-z]` stand for characters of one name, `**` for any number of directories. A pattern without a slash
    finds a name at any depth; one with a slash at its end finds directories alone. Takes time in proportion to the
    lengths of both.
    """
    wanted = pattern.strip("/").split("/")
    if len(wanted) == 1 and not pattern.startswith("/"):
        wanted.insert(0, _ANY_DEPTH)
    names = path.split("/")
    ends = _find_ends(wanted, names)
    return any(end < len(names) for end in ends) if pattern.endswith("/") else bool(ends)


def _find_ends(wanted: Sequence[str], names: Sequence[str]) -> set[int]:
    """Return how many of the names the whole pattern may stand for."""
    ends = {0}
    for piece in wanted:
        if piece == _ANY_DEPTH:
            ends = set(range(min(ends, default=0), len(names) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(names) and fnmatchcase(names[end], piece)}
    return ends


def choose_allowed(artifacts: Mapping[str, Pointer], paths: Iterable[str], limits: Limits) -> list[str]:
    """Return those of some paths that the limits allow, in the same order."""
    return [path for path in paths if limits.allow(path, artifacts[path])]


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `500`, `20m`, `10MB` or `1.5 GiB`; raises InvalidInput for anything else."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", text.strip())
    factor = _UNITS.get(match.group(2).upper()) if match else None
    if match is None or factor is None:
        raise InvalidInput(f"not a size: {text!r:.60}", hint="--max-size 20m")
    return int(float(match.group(1)) * factor)

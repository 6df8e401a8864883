"""Says in words which data runs read: short digests, sizes, where it lives, and how it changed between two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..compare import InputRow, judge_data
from ..model import Input
from .amounts import count, format_size
from .text import clean

_DIGITS = 8


def say_data(entries: Sequence[Input]) -> str:
    """Return what a run read under one name, short enough for a table: `sha256:9f86d081, 1.2 MB`; empty for nothing."""
    said = [
        ", ".join(filter(None, (say_digest(entry, digits=_DIGITS), say_size(entry)))) or clean(entry.path)
        for entry in entries
    ]
    return " and ".join(said)


def say_digest(entry: Input, *, digits: int) -> str:
    """Return a digest's scheme and its first digits."""
    scheme, mark, value = entry.digest.partition(":")
    return clean(scheme + mark + value.removeprefix("W/").strip('"')[:digits]) if mark else clean(scheme[:digits])


def say_size(entry: Input) -> str:
    """Return the size, empty where it is not known."""
    return "" if entry.size is None else format_size(entry.size)


def say_place(entry: Input) -> str:
    """Return where data lives: its path or URL, or of a table or an array in memory its type."""
    return clean(entry.path or str(entry.find_fact("type") or ""))


def say_more(entry: Input) -> str:
    """Return what else tells data from other data: who keeps it, its version, rows and columns."""
    rows, columns = entry.find_fact("rows"), entry.find_fact("columns")
    shape, version, remote = (entry.find_fact(name) for name in ("shape", "version", "remote"))
    origin = entry.find_fact("origin")
    said = [
        "" if origin is None else f"{origin} at {remote}" if remote else str(origin),
        f"version {version}" if version else "",
        str(shape or ""),
        count(rows, "row") if isinstance(rows, int) and not shape else "",
        count(columns, "column") if isinstance(columns, int) and not shape else "",
    ]
    return clean(", ".join(filter(None, said)))


def say_changes(rows: Sequence[InputRow]) -> Iterator[str]:
    """Yield of each name whose data differs between two runs what became of it; empty where there is no more to say."""
    for row in rows:
        old, new = row.entries
        if old and new:
            yield "other content" if judge_data(old, new) == "other" else "not comparable"
            continue
        known = {entry.digest for entry in (*old, *new) if entry.digest}
        same = [other.name for other in rows if known & _list_digests(other, 1 if old else 0)]
        yield f"same content as {clean(same[0])}" if same else ""


def _list_digests(row: InputRow, side: int) -> set[str]:
    """Return the digests of what only one of two runs read under a name."""
    return set() if row.entries[1 - side] else {entry.digest for entry in row.entries[side]}

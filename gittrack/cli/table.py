"""Lays cells out in aligned columns that fit a width, leaving out the least telling columns where they do not.

Pure: cells in, lines out; nothing is ever wrapped. Knows nothing of runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .terminal import Screen
from .text import clip, count_cells

Align = Literal["left", "right", "point"]

GAP = "  "


@dataclass(frozen=True)
class Cell:
    """A piece of text and the style it has where colours are wanted."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A title and its cells.

    `rank` says how telling the column is: the highest is the first to be left out. A column may be narrowed down to
    `least` cells before another is left out; `most` is how wide it may grow on a terminal. `align="point"` puts
    decimal points below each other.
    """

    title: str
    cells: tuple[Cell, ...]
    rank: int = 0
    align: Align = "left"
    least: int | None = None
    most: int | None = None
    title_style: str = "heading"


@dataclass(frozen=True)
class Layout:
    """The lines of a table, and the titles of the columns that were left out."""

    lines: list[str]
    left_out: tuple[str, ...] = ()


def lay_out(columns: Sequence[Column], screen: Screen, *, indent: str = "", header: bool = True) -> Layout:
    """Return the table's lines, painted. Without a width nothing is narrowed or left out."""
    prepared = [_align_points(column) if column.align == "point" else column for column in columns]
    room = None if screen.width is None else screen.width - len(indent)
    kept, widths = _fit(prepared, room, header=header)
    left_out = tuple(column.title for column in prepared if column not in kept)
    lines = []
    if header:
        titles = [Cell(column.title, column.title_style) for column in kept]
        lines.append(indent + _join(titles, kept, widths, screen))
    for row in zip(*(column.cells for column in kept), strict=True):
        lines.append(indent + _join(row, kept, widths, screen))
    return Layout([line.rstrip() for line in lines], left_out)


def _align_points(column: Column) -> Column:
    tails = [_find_tail(cell.text) for cell in column.cells]
    widest = max((len(tail) for tail in tails), default=0)
    cells = (
        replace(cell, text=cell.text + " " * (widest - len(tail))) if cell.text else cell
        for cell, tail in zip(column.cells, tails, strict=True)
    )
    return replace(column, cells=tuple(cells))


def _find_tail(text: str) -> str:
    """Return the part of a number that stands right of the units' place; all of a word stands left of it."""
    match = re.fullmatch(r"-?[0-9]+(.*)", text)
    return match.group(1) if match else ""


def _fit(columns: list[Column], room: int | None, *, header: bool) -> tuple[list[Column], list[int]]:
    """Return the columns that fit, and their widths: all at their least first, then grown, the most telling first."""
    natural = [_measure(column, header=header) for column in columns]
    if room is None:
        return columns, natural
    wanted = [min(width, column.most or width) for width, column in zip(natural, columns, strict=True)]
    widths = [min(width, column.least or width) for width, column in zip(wanted, columns, strict=True)]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _total([widths[index] for index in kept]) > room:
        kept.remove(max(kept, key=lambda index: (columns[index].rank, index)))
    spare = max(0, room - _total([widths[index] for index in kept]))
    for index in sorted(kept, key=lambda index: columns[index].rank):
        grown = min(wanted[index] - widths[index], spare)
        widths[index] += grown
        spare -= grown
    return [columns[index] for index in kept], [min(widths[index], room) for index in kept]


def _total(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _measure(column: Column, *, header: bool) -> int:
    texts = [cell.text for cell in column.cells] + ([column.title] if header else [])
    return max((count_cells(text) for text in texts), default=0)


def _join(cells: Sequence[Cell], columns: list[Column], widths: list[int], screen: Screen) -> str:
    return GAP.join(
        _pad(cell, column, width, screen) for cell, column, width in zip(cells, columns, widths, strict=True)
    )


def _pad(cell: Cell, column: Column, width: int, screen: Screen) -> str:
    text = clip(cell.text, width)
    space = " " * (width - count_cells(text))
    painted = screen.paint(text, cell.style)
    return painted + space if column.align == "left" else space + painted

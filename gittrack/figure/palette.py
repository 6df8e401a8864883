"""The looks that tell curves apart: colours, dashes and letters.

Pure. The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart, without the
yellow that is hard to see on white; dashes, and letters where there are no colours, tell apart what the colours do not.
"""

from __future__ import annotations

import string

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("solid", "dash", "dot", "dashdot")
# The nearest of a terminal's 256 colours; grey in place of black, for a terminal may be dark or bright.
TERMINAL_COLORS = (32, 166, 36, 175, 74, 172, 245)
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits


def find_color(number: int) -> str:
    """Return the colour of a curve on a page, as `#rrggbb`."""
    return COLORS[number % len(COLORS)]


def find_dash(number: int) -> str:
    """Return how the line of a curve is broken on a page."""
    return DASHES[number // len(COLORS) % len(DASHES)]


def find_terminal_color(number: int) -> int:
    """Return the colour of a curve in a terminal, one of its 256."""
    return TERMINAL_COLORS[number % len(TERMINAL_COLORS)]


def find_letter(number: int) -> str:
    """Return the letter that a curve is drawn with where there are no colours."""
    return LETTERS[number % len(LETTERS)]

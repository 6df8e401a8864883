"""Makes text that came from runs safe to print, and measures it in terminal cells.

Whatever a run, a file or a remote said goes through `clean` or `clean_lines` before it is shown. Knows nothing of
runs, tables or colours.
"""

from __future__ import annotations

import re
from typing import Literal

# Escape sequences go as a whole: CSI (colours, cursor), the string kinds with their terminator (titles, links), and
# the short ones. An introducer whose sequence does not end is dropped alone, so that it cannot swallow what follows.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
)
# Control characters; marks, embeddings, overrides and isolates of direction; line separators; invisible characters that
# carry no script; surrogates, which no terminal can print.
_UNSAFE_CLASS = (
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_UNSAFE = re.compile(_UNSAFE_CLASS)
_UNSAFE_IN_JSON = re.compile(r"(?!\n)" + _UNSAFE_CLASS)
_SPACES = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]+")


def clean(text: str) -> str:
    """Return text as one line that is safe to print: no escape sequences, control or direction characters.

    Tabs and newlines become a space.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub("", _SPACES.sub(" ", _ESCAPE.sub("", text)))


def clean_document(text: str) -> str:
    """Return text of many lines with all that `clean` would drop from each, and its line ends as they are."""
    return _UNSAFE_IN_JSON.sub("", text)


def reveal(text: str) -> str:
    """Return one line of source code that is safe to print, what `clean` would drop made visible: `^[`, `<U+202E>`."""
    expanded = text.expandtabs(8)
    if expanded.isascii() and expanded.isprintable():
        return expanded
    return _UNSAFE.sub(_reveal_one, expanded)


def _reveal_one(match: re.Match[str]) -> str:
    code = ord(match.group())
    return "^" + chr(code ^ 0x40) if code < 0x80 else f"<U+{code:04X}>"


def clean_lines(text: str) -> list[str]:
    """Return the lines of text, each safe to print; tabs are expanded, empty lines at both ends dropped."""
    lines = [clean(line.expandtabs(8)).rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def encode_json(value: object) -> str:
    """Return value as JSON for people and programs: unsafe characters stand as `\\uXXXX`, so nothing is lost."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return _UNSAFE_IN_JSON.sub(lambda match: json.dumps(match.group())[1:-1], text)


def count_cells(text: str) -> int:
    """Return how many cells of a terminal text takes: wide characters count twice, combining ones not at all."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def clip(text: str, cells: int, *, keep: Literal["start", "end"] = "start") -> str:
    """Return text in at most `cells` cells, its start or its end kept and `…` where something is missing."""
    if count_cells(text) <= cells:
        return text
    if cells < 1:
        return ""
    if keep == "start":
        return take(text, cells - 1).rstrip() + "…"
    return "…" + take(text[::-1], cells - 1)[::-1].lstrip()


def take(text: str, cells: int) -> str:
    """Return as much of the start of text as stands in `cells` cells."""
    if text.isascii():
        return text[:cells]
    taken = ""
    for char in text:
        if count_cells(taken + char) > cells:
            break
        taken += char
    return taken

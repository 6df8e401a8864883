"""Owns the text that explains the language to people: `gittrack help query` and the README hold the same."""

from __future__ import annotations

from pkgutil import get_data


def read_manual() -> str:
    """Return the text of help.txt, without its last newline: plain lines of at most 80 characters."""
    text = get_data(__package__ or "", "help.txt")
    if text is None:
        raise FileNotFoundError("help.txt")
    return text.decode().rstrip("\n")

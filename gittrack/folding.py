"""Owns which paths a file system may take for one: in another case, composed otherwise, with characters not seen.

Pure: text in, text out. Knows nothing of what the paths are for.
"""

from __future__ import annotations

import re
import unicodedata

# What HFS+ does not compare, as git knows it: joiners, marks and overrides of direction, the byte order mark.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


def drop_unseen(text: str) -> str:
    """Return a name or path without the characters that are not compared."""
    return _IGNORED.sub("", text)


def fold(path: str) -> str:
    """Return what is equal for paths that some file system takes for one."""
    seen = unicodedata.normalize("NFD", drop_unseen(path))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", seen.casefold()).casefold())

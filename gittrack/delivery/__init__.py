"""Delivers the content of artifacts into a directory of the user's, and never writes anywhere else.

`names` decides by the paths alone which may stand side by side below one directory, on any platform; `directory` goes
down to a place without following a link, by open directories; `delivery` writes. Artifact paths come from others: one
that cannot be written safely is refused and named, and the rest is delivered.
"""

from __future__ import annotations

from .delivery import Delivered, Item, Refused, deliver, find_conflict, has_content
from .names import find_unsafe

__all__ = ["Delivered", "Item", "Refused", "deliver", "find_conflict", "find_unsafe", "has_content"]

"""Writes many objects at once, as a pack by the user's git: a hundred times fewer files than one each.

Knows nothing of how objects are found again.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection

from ..git import DURABLE, Git
from ..repository import ObjectFormat
from .encoding import Kind
from .objects import NewObject

# From so many objects on, a pack is worth starting git for.
MANY = 500

_KIND_NUMBERS: dict[Kind, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_COMPRESSION_LEVEL = 1


def write_pack(git: Git, objects: Collection[NewObject], object_format: ObjectFormat) -> None:
    """Write objects as one pack, whole and synced but for its directory; raises GitFailed."""
    git.run(*DURABLE, "index-pack", "--stdin", input=format_pack(objects, object_format))


def format_pack(objects: Collection[NewObject], object_format: ObjectFormat) -> bytes:
    """Return these objects as a pack without deltas, as gitformat-pack(5) has it."""
    entries = []
    for new in objects:
        size = len(new.data)
        head = bytearray([_KIND_NUMBERS[new.kind] << 4 | size & 15])
        size >>= 4
        while size:
            head[-1] |= 0x80
            head.append(size & 0x7F)
            size >>= 7
        entries.append(bytes(head) + zlib.compress(new.data, _COMPRESSION_LEVEL))
    pack = b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big") + b"".join(entries)
    return pack + hashlib.new(object_format, pack, usedforsecurity=False).digest()

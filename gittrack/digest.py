"""Owns the sha256 of bytes that come in pieces, computed beside whoever reads, writes or sends them.

Of a large file the digest takes longer than the copy: one after the other, they would add up. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# Below this, a thread costs more than it gains.
_SMALL = 8 << 20
# So many pieces may wait for their turn: more would only be memory.
_MOST_WAITING = 4


class Digest:
    """The sha256 of all that `update` was given, in its order; for one thread.

    Its first 8 MiB are digested at once; what follows in a thread that ends with the object.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256(usedforsecurity=False)
        self._size = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, data: bytes) -> None:
        """Take the next bytes; waits where digesting them falls behind."""
        self._size += len(data)
        if self._pool is None:
            if self._size <= _SMALL:
                self._digest.update(data)
                return
            from concurrent.futures import ThreadPoolExecutor  # few runs keep a file so large

            self._pool = ThreadPoolExecutor(1, "digest")
        self._waiting.append(self._pool.submit(self._digest.update, data))
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft().result()

    def hexdigest(self) -> str:
        """Wait until all of it is digested, and return the digest in 64 hex digits."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._digest.hexdigest()

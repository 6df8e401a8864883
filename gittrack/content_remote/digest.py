"""Owns the sha256 of bytes that are also being written: computed in a thread beside it, so that it costs no time."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

_WORTH_A_THREAD = 1 << 18


class Digest:
    """A sha256 that grows piece by piece; for one caller. `close` it, else a thread may stay."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256(usedforsecurity=False)
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def update(self, data: bytes) -> None:
        """Add bytes; of a large piece it may return before they are added, and no more than one is being added."""
        self._wait()
        if len(data) < _WORTH_A_THREAD:
            self._sha.update(data)
            return
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="gittrack-digest")
        self._last = self._pool.submit(self._sha.update, data)

    def hexdigest(self) -> str:
        """Return the digest of all that was added."""
        self._wait()
        return self._sha.hexdigest()

    def close(self) -> None:
        """Let go of the thread; safe to repeat."""
        if self._pool is not None:
            self._pool.shutdown()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None

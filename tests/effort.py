"""How hard tests try: a little on every change, a lot where TEST_EFFORT=nightly is set."""

from __future__ import annotations

import os

NIGHTLY = os.environ.get("TEST_EFFORT") == "nightly"


def choose(little: int, much: int) -> int:
    """Return how many of something to try."""
    return much if NIGHTLY else little

"""Says what can be found out about data, wherever it lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..model import Fact


@dataclass(frozen=True)
class Found:
    """Digest (with its scheme, or empty), size in bytes (None where it is not known), and other facts by name."""

    digest: str
    size: int | None
    facts: Mapping[str, Fact | None] = field(default_factory=dict)
    kind: Literal["file", "directory"] = "file"


class Unreachable(Exception):
    """A server that cannot be asked, or has no such thing; the text says why."""

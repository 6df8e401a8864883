"""Compares printed text with the files in this directory, exactly. UPDATE_SNAPSHOTS=1 writes them anew."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent


def check_snapshot(name: str, lines: Sequence[str] | str) -> None:
    """Fail unless the lines are those of the file `name`.txt, to the byte."""
    text = lines if isinstance(lines, str) else "".join(line + "\n" for line in lines)
    file = DIRECTORY / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert file.exists(), f"{file.name} is missing: run this test with UPDATE_SNAPSHOTS=1, and read what it writes"
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs; UPDATE_SNAPSHOTS=1 writes it anew"

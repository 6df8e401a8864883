"""Starts this program again, as a process of its own that outlives its parent and is in nobody's way.

Knows nothing of what it is to do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_ENTRY = "import sys; from gittrack.cli import main; sys.exit(main())"

# Kept, and asked after now and then, so that those that have ended do not stay behind as zombies.
_children: list[subprocess.Popen[bytes]] = []


def start_in_background(arguments: Sequence[str], *, directory: Path, log: Path) -> bool:
    """Start `gittrack` with arguments, its output added to log, and return at once whether it was started.

    It has no terminal, is in a session of its own, and ends with nobody. Takes a few milliseconds; never raises.
    """
    if not sys.executable:
        return False
    _children[:] = [child for child in _children if child.poll() is None]
    try:
        with open(log, "ab") as file:
            child = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, *arguments],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
    except (OSError, ValueError):
        return False
    _children.append(child)
    return True

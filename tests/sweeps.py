"""Sweeps: a program is killed at each step it takes, and what each kill left is looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def sweep_kills(repo: Path, directory: Path, *, program: str, scenario: str) -> list[dict[str, Any]]:
    """Return what a kill at each step of a scenario left, as the program beside this file tells.

    The repository moves into the directory, as `template`. Skips the test where strace cannot be used.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    shutil.move(repo, directory / "template")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), str(directory), scenario],
        capture_output=True,
        text=True,
        cwd=directory,
        check=False,
    )
    if "strace could not attach" in done.stderr:
        pytest.skip(f"this machine does not let strace attach: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]

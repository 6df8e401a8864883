"""Makes the environment that a run recorded: a directory of its own with that Python and those packages, by uv or venv.

Starts the user's own installer, with plain names and versions and nothing else. Knows nothing of runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from ..errors import Unsupported
from ..reproduction import Requirements
from .process import run_command
from .signals import SignalRelay

EnvironmentKind = Literal["uv", "venv", "current", "none"]


@dataclass(frozen=True)
class Installer:
    """How an environment will be made: the kind, and the programs for it; none for the environment there is."""

    kind: EnvironmentKind
    program: str
    python: str


def find_installer(kind: EnvironmentKind, needed: Requirements) -> Installer | None:
    """Return how to make an environment, None where none is to be made; raises Unsupported where it cannot be."""
    if kind in ("current", "none"):
        return None
    if kind == "uv":
        program = shutil.which("uv")
        if program is None:
            raise Unsupported("uv is not installed, or not on PATH", hint="--env venv, or pip install uv")
        return Installer(kind, program, needed.python or "{}.{}".format(*sys.version_info))
    version = ".".join(needed.python.split(".")[:2]) or "{}.{}".format(*sys.version_info)
    own = sys.executable if version == "{}.{}".format(*sys.version_info) else None
    found = own or shutil.which(f"python{version}")
    if found is None:
        raise Unsupported(f"there is no Python {version} here, which the run had", hint="--env uv, or --env current")
    return Installer(kind, found, version)


def make_environment(installer: Installer, needed: Requirements, directory: Path) -> Path:
    """Make an environment in a directory that is not there yet, and return where its programs are.

    Raises Unsupported where the installer fails; what it says goes to standard error.
    """
    listing = directory.with_suffix(".txt")
    listing.write_text("".join(f"{line}\n" for line in needed.lines), encoding="ascii")
    programs = directory / "bin"
    install: list[str] = []
    if installer.kind == "uv":
        _run([installer.program, "venv", "-q", "--python", installer.python, str(directory)])
        install = [installer.program, "pip", "install", "--python", str(programs / "python"), "--no-deps"]
    else:
        _run([installer.program, "-m", "venv", str(directory)])
        install = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    if needed.lines:
        _run([*install, "-r", str(listing)])
    if needed.gittrack:
        _link_gittrack(directory)
    return programs


def make_variables(programs: Path | None) -> dict[str, str]:
    """Return the variables by which a command finds itself in an environment."""
    if programs is None:
        return {}
    path = os.pathsep.join([str(programs), *os.get_exec_path()])
    return {"PATH": path, "VIRTUAL_ENV": str(programs.parent)}


def _run(words: list[str]) -> None:
    with SignalRelay() as relay:
        ending = run_command(words[0], words, variables={}, keep=None, relay=relay, aside=True)
    if ending.signal is not None or relay.stopped_by is not None:
        raise click.Abort
    if ending.code:
        raise Unsupported(
            f"the environment could not be made: {Path(words[0]).name} ended with {ending.code}",
            hint="--without PACKAGE leaves one out; --env current uses what is installed",
        )


def _link_gittrack(directory: Path) -> None:
    """Put this very gittrack where the environment's Python looks for packages."""
    package = Path(__file__).resolve().parent.parent
    for place in directory.glob("lib/python*/site-packages"):
        if not os.path.lexists(place / package.name):
            (place / package.name).symlink_to(package, target_is_directory=True)

"""The `version` command: what is installed here, for a report or a script."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from .. import __version__
from ..errors import GittrackError
from ..git import Git
from ..model import FORMAT_VERSION
from .command import Command, json_option, pass_session
from .session import Session

LIBRARIES = ("dulwich", "pyarrow", "click", "rich", "pyyaml")


def find_version() -> str:
    """Return the version of gittrack."""
    return __version__


def gather_versions() -> dict[str, str | int | None]:
    """Return the versions of gittrack, its format, Python, git and the libraries; None for what is not here."""
    return {
        "gittrack": find_version(),
        "format": FORMAT_VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git": _find_git_version(),
        **{library: _find_library_version(library) for library in LIBRARIES},
    }


def _find_git_version() -> str | None:
    try:
        said = Git(Path.cwd()).run("version").decode("utf-8", "replace").strip()
    except GittrackError:
        return None
    return said.removeprefix("git version ")


def _find_library_version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as read_version

    try:
        return read_version(name)
    except PackageNotFoundError:
        return None


@click.command("version", cls=Command, examples=("gittrack version --json",))
@json_option()
@pass_session
def version(session: Session, as_json: bool) -> None:
    """Print the version of gittrack and of what it stands on."""
    versions = gather_versions()
    if as_json:
        session.write_json("versions", versions)
        return
    session.terminal.write(f"{name} {'not installed' if value is None else value}" for name, value in versions.items())

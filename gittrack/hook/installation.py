"""Owns the hooks that gittrack installs: where git looks for hooks, which of them are ours, what was there before.

A hook that was there is kept beside ours, which runs it first, and is put back when ours goes. Every file is replaced
at once or not at all.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from pkgutil import get_data
from typing import Literal

from ..errors import Conflict, InvalidInput, StoreFailed
from ..repository import Repository, read_config

HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-push")
KEPT = ".before-gittrack"

_MARK = b"# gittrack hook: "
_PYTHON = re.compile(rb"^python='.*?'(?=  #)", re.MULTILINE)
_NOWHERE = "/dev/null"

State = Literal["installed", "outdated", "missing", "foreign"]


@dataclass(frozen=True)
class Hook:
    """One hook: whether ours stands there as this gittrack would write it, and whether an older one is kept beside it.

    `foreign` is somebody else's hook in its place.
    """

    name: str
    path: Path
    state: State
    kept: bool


@dataclass(frozen=True)
class HooksDirectory:
    """Where git looks for a repository's hooks, and why there. `shared`: other repositories look there too."""

    path: Path
    why: str
    shared: bool


def find_directory(repository: Repository) -> HooksDirectory:
    """Return where git looks for hooks: `core.hooksPath`, else the directory that all working trees share."""
    values = list(read_config(repository).find_all("core.hooksPath"))
    if values and values[-1] == _NOWHERE:  # how we ask git for its configuration
        values.pop()
    if not values:
        return HooksDirectory(repository.common_directory / "hooks", "this repository's own", shared=False)
    path = Path(os.path.realpath(repository.directory / Path(values[-1]).expanduser()))
    homes = (repository.common_directory, repository.worktree)
    shared = not any(home is not None and path.is_relative_to(home) for home in homes)
    return HooksDirectory(path, "core.hooksPath", shared=shared)


def list_hooks(directory: Path) -> list[Hook]:
    """Return how each hook that gittrack has stands in a directory."""
    return [_look(directory, name) for name in HOOKS]


def install(directory: HooksDirectory, *, shared: bool = False) -> list[Hook]:
    """Write gittrack's hooks, and return those that were not as they are now; what was there is kept beside them.

    Safe to repeat. Raises Conflict where other repositories use the directory too, unless that is meant (`shared`), and
    where an older hook is kept already while another one has taken our place.
    """
    if directory.shared and not shared:
        raise Conflict(
            f"{directory.path} (core.hooksPath) is outside of this repository: others may use its hooks too",
            hint="gittrack hooks install --shared",
        )
    hooks = [hook for hook in list_hooks(directory.path) if hook.state != "installed"]
    for hook in hooks:
        if hook.state == "foreign" and hook.kept:
            raise Conflict(f"{hook.path} is not gittrack's, and {hook.path.name}{KEPT} is there already")
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        for hook in hooks:
            if hook.state == "foreign":
                os.rename(hook.path, _kept_path(hook.path))
            _write(hook.path, _render(hook.name))
    except OSError as error:
        raise StoreFailed(f"hooks cannot be written to {directory.path}: {error.strerror or error}") from error
    return [_look(directory.path, hook.name) for hook in hooks]


def uninstall(directory: HooksDirectory) -> list[Hook]:
    """Take gittrack's hooks out, put back what was there before, and return the hooks that changed. Safe to repeat."""
    changed = []
    try:
        for hook in list_hooks(directory.path):
            ours = hook.state in ("installed", "outdated")
            if ours:
                hook.path.unlink()
            if hook.kept and hook.state != "foreign":
                os.rename(_kept_path(hook.path), hook.path)
            if ours or (hook.kept and hook.state != "foreign"):
                changed.append(hook)
    except OSError as error:
        raise StoreFailed(f"hooks cannot be taken out of {directory.path}: {error.strerror or error}") from error
    return changed


def check_name(name: str) -> str:
    """Return the name of a hook that gittrack has; raises InvalidInput for another."""
    if name not in HOOKS:
        raise InvalidInput(f"gittrack has no hook {name!r:.60}", hint="gittrack hooks status")
    return name


def _look(directory: Path, name: str) -> Hook:
    path = directory / name
    kept = os.path.lexists(_kept_path(path))
    if not os.path.lexists(path):
        return Hook(name, path, "missing", kept)
    try:
        text = path.read_bytes()
    except OSError:
        return Hook(name, path, "foreign", kept)
    if _MARK not in text[:400]:
        return Hook(name, path, "foreign", kept)
    is_current = text == _render(name) and os.access(path, os.X_OK)
    return Hook(name, path, "installed" if is_current else "outdated", kept)


def _kept_path(path: Path) -> Path:
    return path.with_name(path.name + KEPT)


def _render(name: str) -> bytes:
    """Return a hook with the interpreter in it that this is: a graphical client's PATH may lead to none, or another."""
    program = Path(sys.executable).as_posix().replace("'", "'\\''")
    return _PYTHON.sub(lambda _: b"python='" + os.fsencode(program) + b"'", _read_shim(name), count=1)


def _read_shim(name: str) -> bytes:
    """Return a shim: from this package, or in a checkout from the directory beside it."""
    try:
        data = get_data(__package__ or "", f"shims/{name}")
    except OSError:
        data = (Path(__file__).resolve().parents[2] / "hooks" / name).read_bytes()
    assert data is not None
    return data.replace(b"\r\n", b"\n")


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.chmod(0o755)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

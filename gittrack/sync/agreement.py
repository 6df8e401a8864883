"""Owns what a person agreed to: to share runs through an address, and values that look like secrets but are none.

Kept in the repository's own Git configuration, so that it is asked once, and not by those who clone.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..git import Git, clean_text
from ..gitconfig import GitConfig, ask_git
from ..repository import Repository
from ..transport import Remote

_SHARED = "gittrack.sharedWith"
_ALLOWED = "gittrack.allowedSecret"


def is_agreed(repository: Repository, remote: Remote) -> bool:
    """Tell whether somebody has agreed to share this repository's runs through where the remote's pushes go now."""
    return _spell(remote) in _read(repository).find_all(_SHARED)


def agree(repository: Repository, remote: Remote) -> None:
    """Remember that somebody has agreed; safe to repeat."""
    if not is_agreed(repository, remote):
        _add(repository, _SHARED, _spell(remote))


def list_allowed(repository: Repository) -> frozenset[str]:
    """Return the names of the findings that somebody has allowed."""
    return frozenset(_read(repository).find_all(_ALLOWED))


def allow(repository: Repository, findings: Iterable[str]) -> None:
    """Remember that these findings are no secrets; safe to repeat."""
    for finding in sorted(set(findings) - list_allowed(repository)):
        _add(repository, _ALLOWED, finding)


def _read(repository: Repository) -> GitConfig:
    """Return the configuration as it is now: what this process knows may be older than its own last answer."""
    return ask_git(Git(repository.directory))


def _add(repository: Repository, key: str, value: str) -> None:
    Git(repository.directory).run("config", "--local", "--add", "--", key, value)


def _spell(remote: Remote) -> str:
    """Return where pushes go, without credentials."""
    return clean_text(remote.push_url.encode("utf-8", "surrogateescape"))

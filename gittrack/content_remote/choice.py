"""Decides which place content is kept at for others: the one that is set, else the one that goes with a Git remote.

Asks nobody yet; knows nothing of runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..git import clean_text
from ..gitconfig import GitConfig
from ..repository import Repository, read_config
from ..transport import Remote
from .directory import DirectoryRemote, find_directory_remote
from .filesystem import open_filesystem
from .lfs import find_lfs_remote
from .lfs_endpoint import Endpoint, Operation, find_address, find_endpoint, find_remote_path
from .remote import ContentRemote, RemoteUnusable

# The setting by which no content is shared at all.
NO_REMOTE = "none"


@dataclass(frozen=True)
class ContentPlace:
    """Where content is kept for others, before anybody is asked.

    `address` tells one place from another; it holds no credentials, and is safe to print.
    """

    address: str
    _open: Callable[[bool], ContentRemote] = field(repr=False, compare=False)

    def open(self, *, interactive: bool = False) -> ContentRemote:
        """Return the way to it; `interactive` lets git ask the person at the terminal for a password.

        Raises InvalidInput for an address that cannot be used, and what opening a file system or a directory raises.
        """
        return self._open(interactive)


def find_content_place(
    repository: Repository, find_remote: Callable[[], Remote | None], *, setting: str | None, uploads: bool
) -> ContentPlace | None:
    """Return where the content of a repository's runs is kept for others, or None where it is nowhere.

    `setting` is an address, or `none`; where it is None, the Git remote's own place counts: its directory where it is
    reached by path, else its Git LFS server, unless the user's git configuration names another (`find_address`).
    `uploads` tells which of the remote's two addresses is meant. Raises InvalidInput for one that cannot be used.
    """
    if setting == NO_REMOTE:
        return None
    if setting is not None:
        return ContentPlace(_clean_address(setting), lambda _: _open_address(setting))
    remote = find_remote()
    if remote is None:
        return None
    config = read_config(repository)
    operation: Operation = "upload" if uploads else "download"
    address = find_address(config, remote, operation)
    path = find_remote_path(address.url, base=repository.directory)
    if path is not None:
        return ContentPlace(_show_path(path), lambda _: _open_directory(repository, remote, address.url, address.key))
    endpoint = find_endpoint(config, remote, operation)
    if endpoint is None:
        return None
    return ContentPlace(
        _show_endpoint(endpoint), lambda interactive: _open_lfs(repository, config, remote, interactive)
    )


def find_content_remote(
    repository: Repository,
    find_remote: Callable[[], Remote | None],
    *,
    setting: str | None,
    uploads: bool,
    interactive: bool = False,
) -> ContentRemote | None:
    """Return the way to the place that `find_content_place` returns, or None; raises what opening it raises."""
    place = find_content_place(repository, find_remote, setting=setting, uploads=uploads)
    return None if place is None else place.open(interactive=interactive)


def _open_address(address: str) -> ContentRemote:
    if "://" not in address:
        return DirectoryRemote(Path(address))
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return DirectoryRemote(Path(unquote(parts.path)))
    return open_filesystem(address)


def _open_directory(repository: Repository, remote: Remote, url: str, key: str | None) -> ContentRemote:
    found = find_directory_remote(url, base=repository.directory, name=remote.name, key=key)
    assert found is not None, "the address is a path"
    return found


def _open_lfs(repository: Repository, config: GitConfig, remote: Remote, interactive: bool) -> ContentRemote:
    found = find_lfs_remote(repository.directory, config, remote, interactive=interactive)
    if found is None:
        raise RemoteUnusable(f"{remote.name} has no Git LFS server", hint=f"git remote get-url {remote.name}")
    return found


def _clean_address(address: str) -> str:
    """Return an address on one line, and without credentials: one that can be used has none."""
    text = re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1@", address)
    text = re.sub(r"(?i)([?&][^=&]*(?:key|secret|token|password|signature|credential|sas)[^=&]*)=[^&]*", r"\1=…", text)
    return clean_text(text.encode("utf-8", "surrogateescape"))


def _show_path(path: Path) -> str:
    return clean_text(os.path.normpath(path).encode("utf-8", "surrogateescape"))


def _show_endpoint(endpoint: Endpoint) -> str:
    if endpoint.ssh is None:
        return endpoint.url
    server = endpoint.ssh
    user = f"{server.user}@" if server.user else ""
    return f"ssh://{user}{server.host}{f':{server.port}' if server.port else ''}/{server.path.lstrip('/')}"

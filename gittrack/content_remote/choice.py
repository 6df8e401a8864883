"""Decides which content remote there is: the one that is set, else the one that goes with a Git remote.

Asks nobody yet; knows nothing of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..repository import Repository, read_config
from ..transport import Remote
from .directory import DirectoryRemote, find_directory_remote
from .filesystem import open_filesystem
from .lfs import find_lfs_remote
from .remote import ContentRemote

# The setting by which no content is shared at all.
NO_REMOTE = "none"


def find_content_remote(
    repository: Repository,
    find_remote: Callable[[], Remote | None],
    *,
    setting: str | None,
    uploads: bool,
    interactive: bool = False,
) -> ContentRemote | None:
    """Return where the content of a repository's runs is kept for others, or None where it is nowhere.

    `setting` is an address, or `none`; where it is None, the Git remote's own place counts: its directory where it is
    reached by path, else its Git LFS server. `uploads` tells which of the Git remote's two addresses is meant;
    `interactive` lets git ask the person at the terminal for a password. Raises InvalidInput for an address that
    cannot be used, and what opening a file system or a directory raises.
    """
    if setting == NO_REMOTE:
        return None
    if setting is not None:
        return _open_address(setting)
    remote = find_remote()
    if remote is None:
        return None
    url = remote.push_url if uploads else remote.url
    directory = find_directory_remote(url, base=repository.directory, name=remote.name)
    if directory is not None:
        return directory
    return find_lfs_remote(repository.directory, read_config(repository), remote, interactive=interactive)


def _open_address(address: str) -> ContentRemote:
    if "://" not in address:
        return DirectoryRemote(Path(address))
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return DirectoryRemote(Path(unquote(parts.path)))
    return open_filesystem(address)

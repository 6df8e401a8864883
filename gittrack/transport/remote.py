"""Owns which remote runs are shared through, and why that one. Reads configuration that is handed in; asks nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidInput, NotFound
from ..gitconfig import GitConfig

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")


@dataclass(frozen=True)
class Remote:
    """A remote of the user's: its name, where it is, where pushes go, and why it was chosen.

    The addresses are as configured, and may hold credentials: what shows them scrubs them.
    """

    name: str
    url: str
    push_url: str
    why: str

    @property
    def pushes_elsewhere(self) -> bool:
        """Whether pushes go to another address than the one that is fetched from."""
        return self.push_url != self.url


def list_remotes(config: GitConfig) -> list[str]:
    """Return the names of the remotes that have an address, in the order they are configured."""
    names = config.find_subsections("remote")
    return [name for name in names if config.find(f"remote.{name}.url") or config.find(f"remote.{name}.pushurl")]


def find_remote(name: str, config: GitConfig, *, why: str) -> Remote:
    """Return the remote of that name; raises NotFound where there is none, InvalidInput for a name that is none."""
    if name not in list_remotes(config):
        known = ", ".join(list_remotes(config)) or "none"
        if "/" in name or ":" in name:
            raise InvalidInput(
                f"{name!r:.200} is not the name of a remote (there is: {known})", hint=f"git remote add hub {name}"
            )
        raise NotFound(f"there is no remote {name!r:.100} here (there is: {known})", hint=f"git remote add {name} URL")
    if _NAME.fullmatch(name) is None or ".." in name:
        raise InvalidInput(f"a remote of this name cannot be used: {name!r:.100}", hint="git remote rename OLD NEW")
    urls, push_urls = (_list_addresses(config, f"remote.{name}.{key}") for key in ("url", "pushurl"))
    # Of several, git fetches from the first, and names the first where it is asked where pushes go: to all of them.
    url = (urls or push_urls)[0]
    return Remote(name, url, push_urls[0] if push_urls else url, why)


def _list_addresses(config: GitConfig, key: str) -> list[str]:
    return [value for value in config.find_all(key) if value]


def choose_remote(config: GitConfig, *, setting: str | None, origin: str, branch: str | None) -> Remote:
    """Return the remote that runs are shared through where none is named.

    The one that is set (`origin` says where), else the upstream's of the branch that HEAD is on, else `origin`, else
    the only one there is. Raises NotFound where that leaves none.
    """
    if setting is not None:
        return find_remote(setting, config, why=f"it is set in {origin}")
    upstream = config.find(f"branch.{branch}.remote") if branch else None
    known = list_remotes(config)
    if upstream in known and upstream is not None:
        return find_remote(upstream, config, why=f"the branch {branch} follows it")
    if "origin" in known:
        return find_remote("origin", config, why="it is called origin")
    if len(known) == 1:
        return find_remote(known[0], config, why="it is the only one")
    if known:
        raise NotFound(
            f"which remote runs are shared through is not set (there is: {', '.join(known)})",
            hint=f"gittrack init --remote {known[0]}",
        )
    raise NotFound("there is no remote to share runs through", hint="git remote add origin URL")

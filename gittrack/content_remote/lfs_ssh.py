"""Owns `git-lfs-authenticate` over ssh: how ssh is started, and what the answer says.

Follows git-lfs's docs/api/server-discovery.md. Git itself starts ssh, by way of an alias that is given for the one
command, so that the user's GIT_SSH_COMMAND or core.sshCommand means what it means in a fetch; what comes from a URL is
passed as arguments and never is part of the alias.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..git import Git, GitFailed, clean_environment
from ..gitconfig import GitConfig
from .lfs_credential import SILENT
from .lfs_endpoint import Operation, SshServer, split_url, strip_userinfo
from .lfs_failure import clean_words
from .lfs_message import find_deadline, read_headers
from .remote import ContentFailed, RemoteUnusable

_PATIENCE = 60.0
_MARGIN = 5.0
_LONGEST_ANSWER = 1 << 20
_CONNECTION_FAILED = 255
# What servers say that know Git, and nothing of Git LFS over ssh.
_ABSENT = (
    r"(?i)not found|unrecogni[sz]ed command|(?:unknown|invalid|disallowed|unsupported|illegal) (?:git )?command"
    r"|no such file|not a git command|not recognized|(?:is|are) not (?:supported|enabled|allowed|available)"
)


@dataclass(frozen=True)
class Grant:
    """What ssh said: where the server is (None: where it was thought to be), what to send along, and until when.

    `deadline` is in seconds since 1970, infinite where none was given.
    """

    url: str | None
    headers: Mapping[str, str]
    deadline: float


class Doorman:
    """Asks over ssh for the way to a Git LFS server, and remembers the answer as long as it holds. Safe for threads."""

    def __init__(
        self, directory: Path, config: GitConfig, server: SshServer, *, remote: str, interactive: bool
    ) -> None:
        self._git = Git(directory, environment={} if interactive else SILENT)
        self._patience = None if interactive else _PATIENCE
        self._config = config
        self._server = server
        self._remote = remote
        self._lock = threading.Lock()
        self._grants: dict[Operation, Grant] = {}

    def ask(self, operation: Operation, *, refused: Grant | None = None) -> Grant:
        """Return what ssh says about an operation; asks again where the grant is `refused`, or does not hold any more.

        A server without `git-lfs-authenticate` grants the guessed address, with no headers. Raises ContentFailed where
        ssh does not get through, and RemoteUnusable where the server says no.
        """
        with self._lock:
            known = self._grants.get(operation)
            if known is None or known is refused or known.deadline - _MARGIN < time.time():
                known = self._grants[operation] = self._authenticate(operation)
            return known

    def _authenticate(self, operation: Operation) -> Grant:
        now = time.time()
        try:
            ended = self._git.watch(*self._find_command(operation), on_line=lambda _: None, patience=self._patience)
        except GitFailed as error:
            raise ContentFailed(f"ssh to {self._server.host}: {error.message}", retry_after=0.0) from error
        said = clean_words(ended.stderr)
        enter = f"git ls-remote {self._remote}  # git has to get in first"
        if ended.code == _CONNECTION_FAILED:
            message = f"{self._remote} cannot be reached over ssh: {said or 'ssh failed'}"
            if re.search(r"Permission denied|Host key verification|resolve hostname", said):
                raise RemoteUnusable(message, hint=enter)
            raise ContentFailed(message, hint=enter, retry_after=0.0)
        if ended.code != 0 and (ended.code == 127 or re.search(_ABSENT, said)):
            return Grant(None, {}, float("inf"))
        if ended.code != 0:
            words = said or f"git-lfs-authenticate ended with status {ended.code}"
            raise RemoteUnusable(f"{self._remote} does not let you {operation}: {words}", hint=enter)
        return self._read(ended.output, now)

    def _read(self, answer: bytes, now: float) -> Grant:
        try:
            fields = json.loads(answer[:_LONGEST_ANSWER])
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise RemoteUnusable(
                f"git-lfs-authenticate of {self._remote} did not answer in JSON", hint=f"git ls-remote {self._remote}"
            )
        return Grant(self._read_url(fields), self._read_headers(fields), find_deadline(fields, now=now))

    def _read_url(self, fields: dict[str, Any]) -> str | None:
        href = fields.get("href")
        if not href:
            return None
        parts = split_url(href) if isinstance(href, str) else None
        if parts is None:
            raise RemoteUnusable(f"git-lfs-authenticate of {self._remote} named an address that is no http URL")
        return strip_userinfo(parts).rstrip("/")

    def _read_headers(self, fields: dict[str, Any]) -> Mapping[str, str]:
        headers = read_headers(fields.get("header"))
        if headers is None:
            raise RemoteUnusable(f"git-lfs-authenticate of {self._remote} named headers that cannot be sent")
        return headers

    def _find_command(self, operation: Operation) -> list[str]:
        environment = clean_environment()
        command = environment.get("GIT_SSH_COMMAND") or self._config.find("core.sshCommand")
        program = environment.get("GIT_SSH")
        if not command:
            command = shlex.quote(program) if program else "ssh"
        variant = environment.get("GIT_SSH_VARIANT") or self._config.find("ssh.variant") or _find_variant(command)
        server = self._server
        port_option = "-P" if variant in ("plink", "putty", "tortoiseplink") else "-p"
        args = ["-batch"] if variant == "tortoiseplink" else []
        args += [port_option, str(server.port)] if server.port else []
        # Where the option end is not known, a host that begins with a hyphen would be an option: none does.
        args += ["--"] if variant == "ssh" else []
        args.append(f"{server.user}@{server.host}" if server.user else server.host)
        args.append(f"git-lfs-authenticate {shlex.quote(server.path)} {operation}")
        return ["-c", f"alias.gittrack-ssh=!{command}", "gittrack-ssh", *args]


def _find_variant(command: str) -> str:
    try:
        first = PurePath(shlex.split(command)[0].replace("\\", "/")).name.lower()
    except (ValueError, IndexError):
        return "unknown"
    return first.removesuffix(".exe")

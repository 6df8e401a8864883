"""Owns who we are to a Git LFS server: what its address, `~/.netrc` and `git credential` say.

Follows git-credential(1) and git-lfs's docs/api/authentication.md. Knows nothing of requests and answers.
"""

from __future__ import annotations

import base64
import netrc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from ..git import Ended, Git
from ..layout import has_control
from .lfs_endpoint import Endpoint, split_url
from .remote import RemoteUnusable

# As for a fetch or push that nobody watches: a missing password is an error at once.
SILENT = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "SSH_ASKPASS_REQUIRE": "never"}
_PATIENCE = 60.0


@dataclass(frozen=True)
class Credential:
    """A user and a password. They are not shown where this is printed."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Credential(…)"

    @property
    def authorization(self) -> str:
        """The value of the `Authorization` header, as RFC 7617 has it."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


class Keyring:
    """What is known about one endpoint's user. Safe for threads: several that are refused at once ask git once."""

    def __init__(self, directory: Path, endpoint: Endpoint, *, remote: str, interactive: bool) -> None:
        self._git = Git(directory, environment={} if interactive else SILENT)
        self._patience = None if interactive else _PATIENCE
        self._endpoint = endpoint
        self._remote = remote
        self._lock = threading.Lock()
        self._approved = False
        self._from_git = False
        self._current: Credential | None = None
        self._refusals = 0
        if endpoint.user is not None and endpoint.password is not None:
            self._current = Credential(endpoint.user, endpoint.password)

    def find(self) -> Credential | None:
        """Return the credential to send, or None as long as the server has not asked for one."""
        with self._lock:
            return self._current

    def renew(self, refused: Credential | None) -> Credential:
        """Return another credential than the one that was refused, if one was sent: git is told to forget that.

        Raises RemoteUnusable where git knows none, and where the second one in a row was refused.
        """
        with self._lock:
            if self._current is not None and self._current != refused:
                return self._current  # another thread was refused before, and has asked
            if refused is not None and self._from_git:
                self._refusals += 1
                self._tell("reject", refused)
                self._current, self._approved = None, False
                if self._refusals > 1:
                    raise self._fail("the password that git knows for it was refused twice")
            noted = self._find_note() if refused is None and not self._from_git else None
            self._current = noted or self._fill()
            self._from_git = noted is None
            return self._current

    def approve(self, accepted: Credential) -> None:
        """Have git keep a credential that the server took; does so once."""
        with self._lock:
            if accepted != self._current:
                return
            self._refusals = 0
            if self._from_git and not self._approved:
                self._tell("approve", accepted)
            self._approved = True

    def _find_note(self) -> Credential | None:
        """Return what `~/.netrc`, which git heeds too, says of this very host; a `default` in it is not for us."""
        parts = split_url(self._endpoint.credential_url)
        try:
            hosts = netrc.netrc(os.path.expanduser("~/.netrc")).hosts
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            return None
        user, _, password = hosts.get((parts.hostname if parts else None) or "", (None, None, None))
        wanted = self._endpoint.user or user
        return Credential(user, password) if user and password and user == wanted else None

    def _fill(self) -> Credential:
        ended = self._run("fill", self._describe())
        fields = dict(line.partition("=")[::2] for line in ended.output.decode("utf-8", "replace").splitlines())
        user, password = fields.get("username"), fields.get("password")
        if ended.code != 0 or user is None or password is None:
            said = ended.stderr.removeprefix("fatal: ").splitlines()
            raise self._fail(f"git knows no password for it{': ' + said[-1][:200] if said else ''}")
        return Credential(user, password)

    def _tell(self, action: str, credential: Credential) -> None:
        # A helper that cannot keep or forget is no reason to fail: git push does not either.
        self._run(action, [*self._describe(), f"username={credential.user}", f"password={credential.password}"])

    def _describe(self) -> list[str]:
        parts = split_url(self._endpoint.credential_url)
        if parts is None:
            raise self._fail("its address is none that git could be asked about")
        host = parts.netloc.rpartition("@")[2]
        lines = [f"protocol={parts.scheme}", f"host={host}", f"path={parts.path.lstrip('/')}"]
        user = self._endpoint.user
        return lines if user is None else [*lines, f"username={user}"]

    def _run(self, action: str, lines: list[str]) -> Ended:
        if any(has_control(line) for line in lines):
            raise self._fail("what git would be asked or told about it holds a control character")
        text = "".join(f"{line}\n" for line in [*dict.fromkeys(lines)]) + "\n"
        return self._git.watch(
            "credential", action, on_line=lambda _: None, input=text.encode(), patience=self._patience
        )

    def _fail(self, why: str) -> RemoteUnusable:
        return RemoteUnusable(
            f"the Git LFS server of {self._remote} asks who you are, and {why}",
            hint=f"git ls-remote {self._remote}  # git has to get in first",
        )

"""Owns the conversation with one Git LFS server: batches, and requests for the actions they name, as the right user.

Follows git-lfs's docs/api/batch.md and authentication.md. Credentials are for the server that the user's configuration
names, or that ssh named; where an action is for another host, only what the action says goes along.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..gitconfig import GitConfig
from ..model import Pointer
from .lfs_credential import Credential, Keyring
from .lfs_endpoint import Endpoint, Operation, Origin, find_origin, show_url, split_url
from .lfs_failure import ABSENT, clean_words, explain_status, find_wait
from .lfs_http import Body, Http, Response
from .lfs_message import MEDIA_TYPE, Action, Answer, BadAnswer, read_batch, read_error, write_batch
from .lfs_settings import Headers, has_header
from .lfs_ssh import Doorman, Grant
from .remote import ContentFailed, NoContentServer, RemoteUnusable

_LARGEST_ANSWER = 8 << 20
_LARGEST_ERROR = 1 << 16
# One without a password, one with what git knows, one with what git says when that was refused.
_ATTEMPTS = 3
_NOTHING = Grant(None, {}, float("inf"))


class LfsServer:
    """The server that a remote's content goes to or comes from. Safe for threads."""

    def __init__(
        self,
        directory: Path,
        config: GitConfig,
        endpoint: Endpoint,
        operation: Operation,
        *,
        http: Http,
        remote: str,
        interactive: bool,
    ) -> None:
        self.name = f"the Git LFS server of {remote}"
        self._directory = directory
        self._config = config
        self._endpoint = endpoint
        self._operation: Operation = operation
        self._http = http
        self._remote = remote
        self._interactive = interactive
        self._lock = threading.Lock()
        self._keyrings: dict[str, Keyring] = {}
        self._doorman = (
            None
            if endpoint.ssh is None
            else Doorman(directory, config, endpoint.ssh, remote=remote, interactive=interactive)
        )

    def ask(self, pointers: Sequence[Pointer], *, ref: str | None) -> dict[Pointer, Answer]:
        """Return what the server says about some content, at most 100.

        A server that finds the request too large is asked about the halves. Raises ContentFailed and RemoteUnusable.
        """
        (status, headers, data, url), grant = self._post_batch(write_batch(self._operation, pointers, ref=ref))
        if status == 413 and len(pointers) > 1:
            middle = len(pointers) // 2
            return {**self.ask(pointers[:middle], ref=ref), **self.ask(pointers[middle:], ref=ref)}
        now, words = time.time(), "" if status == 200 else read_error(data)
        if status == 422 or (status == 404 and re.search(r"(?i)\bobjects?\b", words)):  # what some say of all of them
            return {pointer: Answer({}, code=status, words=words) for pointer in pointers}
        if status != 200:
            wait = find_wait(headers, now=now)
            error = explain_status(status, words, server=self.name, remote=self._remote, url=show_url(url), wait=wait)
            raise self._explain_guess(error, grant, absent=status in ABSENT)
        try:
            return read_batch(data, self._operation, pointers, now=now, secure=url.startswith("https:"))
        except BadAnswer as bad:
            error = RemoteUnusable(
                f"there is no Git LFS server at {show_url(url)}: {bad}",
                hint=f"git config remote.{self._remote}.lfsurl URL",
            )
            raise self._explain_guess(error, grant, absent=not data.lstrip().startswith(b"{")) from None

    @contextmanager
    def follow(
        self, method: str, action: Action, *, authenticated: bool, plain: Headers, body: bytes | Body | None = None
    ) -> Iterator[Response]:
        """Make the request an action stands for, and hand over the answer, whatever its status.

        The user's credential goes along only to the server's own host, where the action brings none.
        """
        url = self._find_url(self._ask_ssh(None))
        home = _get_origin(url)
        own = _get_origin(action.href) == home and not authenticated and not has_header(action.headers, "Authorization")
        keyring = self._find_keyring(url)
        credential = keyring.find() if own else None
        for attempt in range(_ATTEMPTS):
            private = _authorize(action.headers, credential)
            with self._http.open(method, action.href, plain=plain, private=private, body=body, home=home) as response:
                if response.status != 401 or not own or response.moved or attempt == _ATTEMPTS - 1:
                    if credential is not None and 200 <= response.status < 300 and not response.moved:
                        keyring.approve(credential)
                    yield response
                    return
            credential = keyring.renew(credential)

    def read_words(self, response: Response) -> str:
        """Return what the body of an error says, as far as it is short and there."""
        try:
            data = response.read(_LARGEST_ERROR)
        except ContentFailed:
            return ""
        return read_error(data) or ("" if b"<" in data else clean_words(data[:1000].decode("utf-8", "replace")))

    def _post_batch(self, body: bytes) -> tuple[tuple[int, Mapping[str, str], bytes, str], Grant]:
        """Return the status, headers and body of the answer and the address that was asked; and what ssh had said."""
        grant, credential, renewed = self._ask_ssh(None), None, False
        for _ in range(_ATTEMPTS + 1):
            url = self._find_url(grant)
            keyring = self._find_keyring(url)
            granted = has_header(grant.headers, "Authorization")
            credential = credential or (None if granted else keyring.find())
            if credential is None and not granted and self._config.find(f"lfs.{url}.access") == "basic":
                credential = keyring.renew(None)  # git-lfs has noted that this server never answers without
            try:
                with self._http.open(
                    "POST",
                    f"{url}/objects/batch",
                    plain={"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE},
                    private=_authorize(grant.headers, credential),
                    body=body,
                    home=_get_origin(url),
                ) as response:
                    status, headers, data = response.status, response.headers, response.read(_LARGEST_ANSWER)
                    moved = response.moved
            except ContentFailed as error:
                raise self._explain_guess(error, grant, absent=False) from error
            if status != 401 or moved:
                if credential is not None and status == 200 and not moved:
                    keyring.approve(credential)
                return (status, headers, data, url), grant
            if granted and renewed:
                break
            if granted:
                grant, renewed = self._ask_ssh(grant), True
                continue
            try:
                credential = keyring.renew(credential)
            except RemoteUnusable as error:
                raise self._explain_guess(error, grant, absent=False) from error
        return (status, headers, data, url), grant

    def _ask_ssh(self, refused: Grant | None) -> Grant:
        return _NOTHING if self._doorman is None else self._doorman.ask(self._operation, refused=refused)

    def _find_url(self, grant: Grant) -> str:
        return grant.url or self._endpoint.url

    def _find_keyring(self, url: str) -> Keyring:
        """Return what is known about the user at an address; what the configured one says is for its host alone."""
        configured = _get_origin(url) == _get_origin(self._endpoint.url)
        with self._lock:
            key = self._endpoint.url if configured else url
            if key not in self._keyrings:
                endpoint = self._endpoint if configured else Endpoint(url, url)
                self._keyrings[key] = Keyring(
                    self._directory, endpoint, remote=self._remote, interactive=self._interactive
                )
            return self._keyrings[key]

    def _explain_guess(self, error: ContentFailed, grant: Grant, *, absent: bool) -> ContentFailed:
        """Return the error, and say so where the address was only a guess, and there is no server.

        `absent` tells that whoever answered there knows nothing of Git LFS. Where the repository is reached by ssh or
        git's own protocol, no other failure shows that there is a server either: a stranger may be at that address.
        """
        granted = grant.url is not None or bool(grant.headers)
        lost = self._doorman is not None and not granted
        said = f"{self._remote} says nothing of Git LFS over ssh, and {error.message}" if lost else error.message
        hint = f"git config remote.{self._remote}.lfsurl URL"
        guess = self._endpoint.guess
        if guess is not None and (absent or (guess == "elsewhere" and not granted)):
            return NoContentServer(said, hint=hint)
        return RemoteUnusable(said, hint=hint) if lost else error


def _authorize(headers: Mapping[str, str], credential: Credential | None) -> Headers:
    if credential is None or has_header(headers, "Authorization"):
        return dict(headers)
    return {**headers, "Authorization": credential.authorization}


def _get_origin(url: str) -> Origin:
    parts = split_url(url)
    assert parts is not None, "every address was looked at before"
    return find_origin(parts)

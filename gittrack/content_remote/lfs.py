"""Owns content kept by a Git LFS server, such as the one of the Git host itself.

Follows git-lfs's docs/api/batch.md and basic-transfers.md, version 1, with the `basic` transfer alone. Knows nothing of
where the server is and who the user is to it: that is `lfs_server`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..gitconfig import GitConfig
from ..model import Pointer
from ..transport.remote import Remote
from .lfs_endpoint import Endpoint, Operation, find_endpoint
from .lfs_failure import clean_words, explain_transfer, find_wait
from .lfs_message import MAX_BATCH, MEDIA_TYPE, Action, Answer, write_object
from .lfs_settings import Headers, has_header
from .outgoing import read_content
from .remote import Advance, ContentFailed, RemoteUnusable, Sink, make_place

if TYPE_CHECKING:
    from .lfs_http import Response
    from .lfs_server import LfsServer

_CHUNK = 1 << 17
# An action that has so many seconds left is not begun any more.
_MARGIN = 10.0
_MISSING = (404, 410)
# What storage says to an address that has expired.
_WORTH_WRITING = 1 << 18
_STALE = (400, 401, 403, 410)
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


def find_lfs_remote(
    directory: Path, config: GitConfig, remote: Remote, *, ref: str | None = None, interactive: bool = False
) -> LfsRemote | None:
    """Return the Git LFS server of a Git remote, or None for one that is reached by path. Sends nothing.

    `directory` is where git is started, `config` the user's git configuration there. `ref` is what is pushed, for
    servers that want to know it; `interactive` lets git and ssh ask the person at the terminal. Raises InvalidInput for
    an address that cannot be used.
    """
    uploads, downloads = find_endpoint(config, remote, "upload"), find_endpoint(config, remote, "download")
    if uploads is None and downloads is None:
        return None
    return LfsRemote(
        directory, config, remote.name, uploads=uploads, downloads=downloads, ref=ref, interactive=interactive
    )


class LfsRemote:
    """The content of a Git LFS server. A ContentRemote.

    What the server answers in a batch is kept until the content is moved, so that a batch of 100 costs one question.
    """

    def __init__(
        self,
        directory: Path,
        config: GitConfig,
        remote: str,
        *,
        uploads: Endpoint | None,
        downloads: Endpoint | None,
        ref: str | None = None,
        interactive: bool = False,
    ) -> None:
        # The HTTP library takes a while to load, and most commands need no remote.
        from .lfs_http import Http
        from .lfs_server import LfsServer

        self._remote = clean_words(remote)
        self._ref = ref
        self._http = Http(config, remote=self._remote)
        endpoints: dict[Operation, Endpoint | None] = {"upload": uploads, "download": downloads}
        self._servers = {
            operation: LfsServer(
                directory,
                config,
                endpoint,
                operation,
                http=self._http,
                remote=self._remote,
                interactive=interactive,
            )
            for operation, endpoint in endpoints.items()
            if endpoint is not None
        }
        self._lock = threading.Lock()
        self._answers: dict[tuple[Operation, Pointer], Answer] = {}

    @property
    def name(self) -> str:
        """What the remote is called in messages."""
        return f"the Git LFS server of {self._remote}"

    def prepare_uploads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what the server asks for, and what it refuses: to upload that says why."""
        answers = self._ask("upload", pointers)
        return [pointer for pointer in answers if not _is_there(answers[pointer])]

    def prepare_downloads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what the server has, and what it refuses: to download that says why."""
        answers = self._ask("download", pointers)
        return [pointer for pointer in answers if answers[pointer].code not in _MISSING]

    def list_whole(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what the server would send; it says so of nothing that it refuses, or has in another size."""
        answers = self._ask("download", pointers)
        return [
            pointer for pointer in answers if answers[pointer].code is None and "download" in answers[pointer].actions
        ]

    def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
        """Send a content, and have the server verify that it has it. An expired address is asked for again, once."""
        body = _FileBody(pointer, file, advance)
        for fresh in (False, True):
            answer = self._take_answer("upload", pointer, fresh=fresh)
            if _is_there(answer):
                return
            action = answer.actions["upload"]
            plain = {} if has_header(action.headers, "Content-Type") else {"Content-Type": "application/octet-stream"}
            with self._get_server("upload").follow(
                "PUT", action, authenticated=answer.authenticated, plain=plain, body=body
            ) as response:
                if 200 <= response.status < 300:
                    response.read(1 << 20)
                    break
                if response.status not in _STALE or fresh:
                    raise self._explain(response, "upload", pointer)
        if "verify" in answer.actions:
            self._verify(pointer, answer.actions["verify"], authenticated=answer.authenticated)

    def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
        """Write a content to a sink, from its start on where the server knows ranges (RFC 9110, section 14)."""
        for fresh in (False, True):
            answer = self._take_answer("download", pointer, fresh=fresh)
            if self._fetch(answer, pointer, sink, advance, last=fresh):
                return

    def close(self) -> None:
        """Let go of connections, and forget what the server answered."""
        with self._lock:
            self._answers.clear()
        self._http.close()

    def _fetch(self, answer: Answer, pointer: Pointer, sink: Sink, advance: Advance, *, last: bool) -> bool:
        """Write a content to a sink; False where its address seems to have expired, and this is not the last one."""
        action, server = answer.actions["download"], self._get_server("download")
        for ranged in (True, False):
            begun = sink.start
            plain: Headers = {"Accept-Encoding": "identity"}
            if begun and ranged:
                plain["Range"] = f"bytes={begun}-"
            with server.follow("GET", action, authenticated=answer.authenticated, plain=plain) as response:
                if response.status in _STALE and not last:
                    return False
                if response.status == 206 and "Range" in plain and _fits(response, begun, pointer.size):
                    self._write(response, pointer, sink, advance)
                    return True
                if begun:
                    sink.restart()
                    advance(-begun)
                if response.status == 200:
                    self._write(response, pointer, sink, advance)
                    return True
                if response.status not in (206, 416) or not begun:
                    raise self._explain(response, "download", pointer)
        raise ContentFailed(f"{server.name} sends another part of the content {pointer.oid} than it was asked for")

    def _write(self, response: Response, pointer: Pointer, sink: Sink, advance: Advance) -> None:
        left = pointer.size - sink.start
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and announced.isascii() and int(announced) != left:
            raise ContentFailed(
                f"{response.url} would send {int(announced):,} bytes for the content {pointer.oid}, where {left:,} "
                "are right"
            )
        for piece in _gather(response.stream()):
            if len(piece) > left:
                sink.restart()
                raise ContentFailed(f"{response.url} sends more than the {pointer.size:,} bytes of {pointer.oid}")
            sink.write(piece)
            advance(len(piece))
            left -= len(piece)
        if left:
            raise ContentFailed(
                f"{response.url} stopped {left:,} bytes before the end of the content {pointer.oid}", retry_after=0.0
            )

    def _verify(self, pointer: Pointer, action: Action, *, authenticated: bool) -> None:
        body = json.dumps(write_object(pointer)).encode("ascii")
        plain = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        server = self._get_server("upload")
        with server.follow("POST", action, authenticated=authenticated, plain=plain, body=body) as response:
            if not 200 <= response.status < 300:
                error = self._explain(response, "upload", pointer)
                raise type(error)(
                    f"what was sent was not accepted: {error.message}", hint=error.hint, retry_after=error.retry_after
                )
            response.read(1 << 20)

    def _ask(self, operation: Operation, pointers: Sequence[Pointer]) -> dict[Pointer, Answer]:
        """Return, and keep for later, what the server says about some content; the empty one needs no server."""
        for pointer in pointers:
            make_place(pointer)  # refuses what names no content
        wanted = [pointer for pointer in dict.fromkeys(pointers) if pointer.size]
        answers: dict[Pointer, Answer] = {}
        for start in range(0, len(wanted), MAX_BATCH):
            batch = wanted[start : start + MAX_BATCH]
            answers.update(self._get_server(operation).ask(batch, ref=self._ref))
        with self._lock:
            for pointer, answer in answers.items():
                if answer.actions:
                    self._answers[operation, pointer] = answer
        return answers

    def _take_answer(self, operation: Operation, pointer: Pointer, *, fresh: bool) -> Answer:
        """Return what to do about a content, asking where that is not known, or will not hold; raises where nothing."""
        make_place(pointer)
        with self._lock:
            known = self._answers.pop((operation, pointer), None)
        if known is None or fresh or known.deadline - _MARGIN < time.time():
            known = self._get_server(operation).ask([pointer], ref=self._ref)[pointer]
        if known.code is None:
            return known
        server, what = self._get_server(operation).name, f"the content {pointer.oid}"
        if known.code:
            raise explain_transfer(
                known.code, known.words, what=what, server=server, wait=0.0, sending=operation == "upload"
            )
        raise ContentFailed(f"{server} does not {operation} {what}: {known.words or 'it does not say why'}")

    def _get_server(self, operation: Operation) -> LfsServer:
        server = self._servers.get(operation)
        if server is None:
            raise RemoteUnusable(
                f"{self._remote} has no Git LFS server to {operation} with", hint=f"git remote get-url {self._remote}"
            )
        return server

    def _explain(self, response: Response, operation: Operation, pointer: Pointer) -> ContentFailed:
        server = self._get_server(operation)
        wait = find_wait(response.headers, now=time.time())
        words = server.read_words(response)
        where = f"{server.name} ({response.url})"
        what, sending = f"the content {pointer.oid}", operation == "upload"
        return explain_transfer(response.status, words, what=what, server=where, wait=wait, sending=sending)


class _FileBody:
    """A content's bytes in a file. What is read counts as moved, until all begins again."""

    def __init__(self, pointer: Pointer, file: Path, advance: Advance) -> None:
        self.size = pointer.size
        self._pointer = pointer
        self._file = file
        self._advance = advance
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        if self._sent:
            self._advance(-self._sent)
            self._sent = 0
        for data in read_content(self._file, self._pointer, chunk=_CHUNK):
            yield data
            self._sent += len(data)
            self._advance(len(data))


def _gather(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces: a server may send a file line by line, which no disk wants.

    What came before an error is yielded before it is raised.
    """
    gathered: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= _WORTH_WRITING:
                yield b"".join(gathered)
                gathered, size = [], 0
    except ContentFailed:
        if gathered:
            yield b"".join(gathered)
        raise
    if gathered:
        yield b"".join(gathered)


def _is_there(answer: Answer) -> bool:
    return answer.code is None and "upload" not in answer.actions


def _fits(response: Response, begun: int, size: int) -> bool:
    """Tell whether an answer is the rest of a content, from its begun bytes to its end."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return match is not None and (int(match[1]), int(match[2])) == (begun, size - 1) and match[3] in ("*", str(size))

"""Says what a content remote is: a place that keeps content beside this machine's own store, whatever it is made of.

Knows nothing of runs, of which content is wanted, and of how many transfers run at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..errors import InvalidInput, RemoteFailed
from ..model import Pointer

# Told how many more bytes have moved; negative where a transfer has to begin again. It may raise, to stop a transfer:
# that exception passes through, and leaves nothing under the content's name.
Advance = Callable[[int], None]


class ContentFailed(RemoteFailed):
    """One content could not be transferred.

    `retry_after` is how many seconds to wait before the next attempt, 0 for a pause of the caller's choice; None where
    another attempt would fail as well.
    """

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RemoteUnusable(ContentFailed):
    """The remote cannot be used at all: there is no point in asking it for another content."""


class NoContentServer(RemoteUnusable):
    """Nobody has said that there is a server for content beside the Git remote, and it turns out that there is none."""


class Sink(Protocol):
    """Where the bytes of a download go: content that is not whole yet."""

    @property
    def start(self) -> int:
        """How many bytes are there already: the download may go on behind them."""
        ...

    def restart(self) -> None:
        """Forget what is there: the remote sends everything from the first byte on."""
        ...

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises ContentFailed, not to be repeated, beyond the size the pointer names."""
        ...


def make_place(pointer: Pointer) -> str:
    """Return where content lies below a directory or prefix: `aa/bb/<sha256>`, as in git-lfs's own.

    Raises InvalidInput for an oid that is none: nothing but hex digits gets into a path, whatever a pointer says.
    """
    if re.fullmatch("[0-9a-f]{64}", pointer.oid) is None:
        raise InvalidInput(f"not the name of a content, 64 hex digits: {pointer.oid[:80]!r}")
    return f"{pointer.oid[:2]}/{pointer.oid[2:4]}/{pointer.oid}"


class ContentRemote(Protocol):
    """A place that keeps content under its sha256. Safe for threads; every method is safe to repeat.

    All raise ContentFailed, and RemoteUnusable where the remote as a whole cannot be used. What was uploaded is whole
    under its name, or not there at all; nothing that is there already is replaced by other bytes. Empty content needs
    no remote: nobody asks for it, and a `prepare` that is asked leaves it out.
    """

    @property
    def name(self) -> str:
        """What the remote is called in messages; without credentials, safe to print."""
        ...

    def prepare_uploads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return those of some content that the remote lacks; asks about all at once where it can."""
        ...

    def prepare_downloads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return those of some content that the remote has, damaged or not; asks about all at once where it can."""
        ...

    def list_whole(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return those of some content that the remote says it has, in their size, and would send.

        On this one can rely before the last other copy is deleted, as far as on anybody's word: bytes are not compared.
        """
        ...

    def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
        """Send a content, whose bytes are in a file. Does nothing where the remote has it by now.

        Bytes in the file that are not the content raise ContentFailed and never get its name; see `read_content`.
        """
        ...

    def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
        """Write a content's bytes to a sink, from its start on where the remote can. They are not verified here.

        There is at least one byte to write. What the sink raises passes through.
        """
        ...

    def close(self) -> None:
        """Let go of connections; safe to repeat."""
        ...

"""The errors gittrack raises, named for what a caller would do about them.

Knows nothing of exit codes, HTTP statuses or terminals: the command line and the server each map these classes in one
table.
"""

from __future__ import annotations


class GittrackError(Exception):
    """Base of every error gittrack raises on purpose.

    `message` says what failed, on which thing and why, in one sentence. `hint`, where there is one, is a command or a
    line of code to paste.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(GittrackError):
    """The run, experiment, metric, artifact or repository that was named does not exist."""


class Ambiguous(NotFound):
    """A name or prefix fits several runs; `candidates` lists them, one printable line each."""

    def __init__(self, message: str, *, candidates: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.candidates = candidates


class Conflict(GittrackError):
    """The request contradicts what is recorded already, such as a param set again to another value."""


class InvalidInput(GittrackError):
    """A value, key, path or name that gittrack cannot record; nothing was changed."""


class Unsupported(GittrackError):
    """A repository, format version or platform feature that this version of gittrack does not handle."""


class Corrupt(GittrackError):
    """Stored bytes that are not what their name, checksum or format promises."""


class RemoteFailed(GittrackError):
    """A network or remote-repository operation that failed; it is safe to repeat."""


class StoreFailed(GittrackError):
    """The local store could not be written: full disk, permissions, a lock held by a live process."""

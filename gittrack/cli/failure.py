"""Says what failed: one line of words, one line of help, one exit code from one table.

The only place where errors become exit codes. Knows nothing of commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .. import errors

if TYPE_CHECKING:
    from .terminal import Terminal

# What a command was asked to check does not hold, which is no error.
REFUSED = 9
INTERRUPTED = 130
BROKEN_PIPE = 141


class OutputClosed(Exception):
    """The reader of standard output went away, as `head` does."""


class NotReproduced(Exception):
    """A run was repeated and did not come to the same result; all that is to be said of it has been said."""


# An error has the code of the first of its classes that stands here.
EXIT_CODES: dict[type[BaseException], int] = {
    errors.InvalidInput: 2,
    click.UsageError: 2,
    errors.NotFound: 3,
    errors.Conflict: 4,
    errors.Unsupported: 5,
    errors.Corrupt: 6,
    errors.StoreFailed: 7,
    errors.RemoteFailed: 8,
    NotReproduced: REFUSED,
    KeyboardInterrupt: INTERRUPTED,
    click.Abort: INTERRUPTED,
    BrokenPipeError: BROKEN_PIPE,
    OutputClosed: BROKEN_PIPE,
    BaseException: 1,
}

MEANINGS: dict[int, str] = {
    0: "it worked",
    1: "it failed for another reason than those below",
    2: "a command line, name or value that cannot be used; nothing was changed",
    3: "no such run, experiment, artifact or repository, or several",
    4: "the request contradicts what is recorded already",
    5: "a repository, format or platform that this version does not handle",
    6: "stored bytes are damaged",
    7: "the store could not be written: full disk, permissions, a held lock",
    8: "the network or a remote repository failed; repeating is safe",
    REFUSED: "what was checked does not hold: no run vouches, or a repetition differs",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "the reader of the output went away",
}


def find_exit_code(error: BaseException) -> int:
    """Return the exit code of an error: its own `exit_code` where it has one (a command's), else the table's."""
    own = getattr(error, "exit_code", None)
    if isinstance(error, errors.GittrackError) and isinstance(own, int):
        return own
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def report(error: BaseException, terminal: Terminal, *, arguments: Sequence[str]) -> None:
    """Say on standard error what failed. `arguments` are the command line, for the line to paste."""
    if isinstance(error, (KeyboardInterrupt, click.Abort, BrokenPipeError, OutputClosed, NotReproduced)):
        return
    if isinstance(error, errors.Ambiguous):
        terminal.error(error.message, hint=error.hint, details=error.candidates)
    elif isinstance(error, errors.InvalidInput):
        from textwrap import dedent

        message, *marks = error.message.split("\n")  # such as the part of a query that is wrong, and a caret below it
        terminal.error(message, hint=error.hint, details=dedent("\n".join(marks)).splitlines())
    elif isinstance(error, errors.GittrackError):
        terminal.error(error.message, hint=error.hint)
    elif isinstance(error, click.ClickException):
        _report_usage(error, terminal)
    elif isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        terminal.error(f"{error.strerror}{place}")
    else:
        import shlex

        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        hint = "run again with --debug: " + shlex.join(["gittrack", "--debug", *arguments])
        terminal.error(f"unexpected {words}", hint=hint)


def _report_usage(error: click.ClickException, terminal: Terminal) -> None:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    details = []
    hint = None
    if context is not None:
        details = ["usage: " + " ".join(context.get_usage().split()[1:])]
        hint = f"{context.command_path} --help"
    if isinstance(error, click.NoSuchOption):
        message = f"no such option {error.option_name!r}"
        close = find_close(error.option_name, _list_options(context) if context else [])
        hint = f"{context.command_path} {close[0]}" if context and close else hint
    terminal.error(message[:1].lower() + message[1:], details=details, hint=hint)


def _list_options(context: click.Context) -> list[str]:
    params = context.command.get_params(context)
    return [name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]


def find_close(word: str, known: Sequence[str]) -> list[str]:
    """Return up to three known words that a person may have meant: those that begin so first, then the similar ones."""
    from difflib import get_close_matches

    begins = [name for name in known if len(word.lstrip("-")) >= 2 and name.startswith(word)]
    return list(dict.fromkeys([*begins, *get_close_matches(word, known, n=3, cutoff=0.6)]))[:3]

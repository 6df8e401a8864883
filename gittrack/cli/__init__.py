"""The command line: `main` runs one and turns whatever fails into words and an exit code.

Imports nothing heavy by itself, so that an interrupt meets `main` as early as possible.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Sequence

# What stands for our own signs where the encoding has none of them.
_SUBSTITUTES = {"…": "~", "↓": "v", "↑": "^"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (by default this process's) and return its exit code.

    The one error boundary: only `--debug` shows a traceback. A command that ends as the child it ran may raise
    SystemExit, which passes.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    from .failure import OutputClosed, find_exit_code, report
    from .root import make_root
    from .session import Session

    _open_closed_streams()
    session = Session()
    _accept_any_text()
    try:
        code = make_root().main(words, prog_name="gittrack", standalone_mode=False, obj=session)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, OutputClosed) as error:
        _silence_output()
        return find_exit_code(error)
    except Exception as error:
        if session.debug:
            import traceback

            traceback.print_exc()
        report(error, session.terminal, arguments=words)
        return find_exit_code(error)


def _open_closed_streams() -> None:
    """Let a standard stream that the caller has closed lead nowhere, so that no file we open takes its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it is there to stay


def _accept_any_text() -> None:
    """Let a stream whose encoding lacks a character take another one instead of ending the command."""
    codecs.register_error("gittrack", _find_substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="gittrack")


def _find_substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(char, "?") for char in missing), error.end


def _silence_output() -> None:
    """Keep the interpreter from complaining at exit that the reader of the output is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Owns what the command line writes to: standard output and error, their width and colours, and the pager.

Data goes to standard output, notes to standard error. Knows nothing of runs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import click

from ..errors import GittrackError, StoreFailed
from .text import clean

# What a piece of text means, and how that looks where colours are wanted.
STYLES: dict[str, dict[str, str | bool]] = {
    "": {},
    "heading": {"bold": True},
    "key": {"fg": "cyan"},
    "id": {"fg": "yellow"},
    "dim": {"dim": True},
    "best": {"fg": "green", "bold": True},
    "added": {"fg": "green"},
    "deleted": {"fg": "red"},
    "FINISHED": {"fg": "green"},
    "RUNNING": {"fg": "blue"},
    "FAILED": {"fg": "red"},
    "KILLED": {"fg": "yellow"},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
}


@dataclass(frozen=True)
class Screen:
    """Where output goes: its width in cells (None where there is none, as in a pipe), and whether in colour."""

    width: int | None = None
    color: bool = False

    @property
    def interactive(self) -> bool:
        """Whether a person reads this: times are then said as ages, and what does not fit is left out."""
        return self.width is not None

    def paint(self, text: str, style: str) -> str:
        """Return text in the look of a style, or as it is where colours are not wanted."""
        if not self.color or not style or not text:
            return text
        return click.style(text, **STYLES[style])  # type: ignore[arg-type]


def detect_screen(stream: IO[str]) -> Screen:
    """Return what is known of the place a stream writes to. NO_COLOR, if not empty, and TERM=dumb mean no colours."""
    if not stream.isatty():
        return Screen()
    import shutil

    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Screen(width=max(20, shutil.get_terminal_size().columns), color=not plain)


class Terminal:
    """Standard output and standard error of this process, as they are when first used."""

    @cached_property
    def screen(self) -> Screen:
        """What standard output writes to."""
        return detect_screen(sys.stdout)

    @cached_property
    def error_screen(self) -> Screen:
        """What standard error writes to."""
        return detect_screen(sys.stderr)

    def write(self, lines: Iterable[str]) -> None:
        """Write lines to standard output. They are printed as they are: their makers have cleaned and painted them."""
        text = "".join(line + "\n" for line in lines)
        self.write_bytes(text.encode(sys.stdout.encoding, sys.stdout.errors or "replace"))

    def write_bytes(self, data: bytes) -> None:
        """Write bytes to standard output, untouched, and all of them: an unbuffered stream may take them in parts."""
        sys.stdout.flush()
        rest = memoryview(data)
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) or 0 :]
        sys.stdout.buffer.flush()

    def page(self, lines: list[str], *, use_pager: bool = True) -> None:
        """Write lines to standard output, through the user's pager where a person reads them, as git does."""
        command = self._find_pager() if use_pager and self.screen.interactive else None
        if command is None:
            self.write(lines)
        else:
            _run_pager(command, "".join(line + "\n" for line in lines))

    def explain(self, lines: Iterable[str]) -> None:
        """Write lines to standard error as they are, as `write` does to standard output."""
        text = "".join(line + "\n" for line in lines)
        click.echo(text, nl=False, err=True, color=self.error_screen.color)

    def note(self, text: str, *, hint: str | None = None) -> None:
        """Say something to the person, on standard error."""
        self._say("note", "heading", text, hint)

    def warn(self, text: str, *, hint: str | None = None) -> None:
        """Warn the person, on standard error."""
        self._say("warning", "warning", text, hint)

    def error(self, text: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        """Say what failed, on standard error, with details on lines of their own and a command to try."""
        self._say("error", "error", text, hint, details)

    def hint(self, text: str) -> None:
        """Say what a person may do next, on standard error."""
        self._say("hint", "heading", text, None)

    def _say(self, word: str, style: str, text: str, hint: str | None, details: Iterable[str] = ()) -> None:
        screen = self.error_screen
        lines = [f"{screen.paint(word + ':', style)} {clean(text)}", *(f"  {clean(line)}" for line in details)]
        if hint:
            lines.append(f"{screen.paint('hint:', 'heading')} {clean(hint)}")
        click.echo("".join(line + "\n" for line in lines), nl=False, err=True, color=screen.color)

    def _find_pager(self) -> str | None:
        """Return the pager git would use: GIT_PAGER, core.pager, PAGER, less; None where that is `cat` or nothing."""
        command = os.environ.get("GIT_PAGER")
        if command is None:
            command = _ask_git("GIT_PAGER")
        if command is None:
            command = os.environ.get("PAGER", "less")
        return None if command.strip() in ("", "cat") else command


def edit_text(text: str) -> str | None:
    """Let the person edit text in the editor git would use; return it, or None where it was not saved.

    Raises StoreFailed where the editor cannot be started or fails.
    """
    editor = os.environ.get("GIT_EDITOR") or _ask_git("GIT_EDITOR")
    try:
        return click.edit(text, editor=editor, extension=".txt")
    except click.ClickException as error:
        raise StoreFailed(f"the editor failed: {error.format_message()}", hint="git config core.editor nano") from error


def _ask_git(variable: str) -> str | None:
    from pathlib import Path

    from ..git import Git

    try:
        return Git(Path.cwd()).run("var", variable).decode("utf-8", "replace").strip()
    except GittrackError:
        return None


def _run_pager(command: str, text: str) -> None:
    """Show text in a pager. Its options come from LESS and LV, with git's defaults for both."""
    import shlex
    import shutil
    import subprocess

    words = shlex.split(command)
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    while words and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    program = shutil.which(words[0]) if words else None
    if program is None:
        click.echo(text, nl=False, color=True)
        return
    with subprocess.Popen([program, *words[1:]], stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(text.encode("utf-8", "replace"))
            process.stdin.close()
        except BrokenPipeError:  # the reader has seen enough
            pass
        while True:
            try:
                process.wait()
                break
            except KeyboardInterrupt:  # Ctrl-C is the pager's: it stops its search and stays
                continue

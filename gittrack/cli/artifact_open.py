"""The `artifact open` command: show one artifact in the program that the system has for it.

What a run holds may come from anybody, so only what programs show is handed to them, and never what systems run: the
ending of the name decides which program that is, and the first bytes have to be no program's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

import click

from ..errors import Corrupt, InvalidInput, NotFound, Unsupported
from .amounts import format_size
from .chosen import choose_paths, fetch_missing, find_artifacts
from .command import Command, pass_session, run_argument
from .session import Session
from .text import clean

_SHOWN = frozenset(
    # images, documents, texts, tables, sounds, films; pages and drawings that may hold scripts are in _SCRIPTED
    "png jpg jpeg gif webp bmp tif tiff ico avif heic pdf txt text log md rst csv tsv json jsonl ndjson yaml yml toml "
    "parquet xlsx ods odt docx pptx wav mp3 ogg oga flac m4a aac mp4 m4v webm mov mkv avi".split()
)
_SCRIPTED = frozenset(("html", "htm", "svg"))
_PROGRAMS = (b"#!", b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe")
_LAUNCHERS = (b"[desktop entry]", b"[internetshortcut]")
_HEAD = 512


def find_ending(path: str) -> str:
    """Return what a path's name ends in, in small letters and without the dot."""
    return PurePosixPath(path).suffix[1:].lower()


def find_danger(head: bytes) -> str:
    """Return what a file that begins so is, if it is a program; empty otherwise."""
    if head.startswith(_PROGRAMS):
        return "it is a program"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "it starts a program" if text.startswith(_LAUNCHERS) else ""


@click.command("open", cls=Command, examples=("gittrack artifact open latest plots/loss.png",))
@run_argument()
@click.argument("path", metavar="PATH")
@pass_session
def open_artifact(session: Session, run: str, path: str) -> None:
    """Open an artifact in the program that your system has for it.

    A copy of it, verified, is written into a temporary directory. Images, documents, texts, tables, sounds and films
    are opened; for anything else, and for what a system might run, there is gittrack artifact get.
    """
    from ..delivery import Item, deliver

    with session.open_tracker() as tracker:
        found = find_artifacts(tracker, run)
        chosen = choose_paths(found.pointers, [path], run=found.name)
        if len(chosen) != 1:
            raise InvalidInput(f"{path!r:.200} is {len(chosen)} artifacts", hint=f"gittrack artifact get {run} {path}")
        (path,) = chosen
        _check_ending(run, path)
        pointer = found.pointers[path]
        fetch_missing(session, tracker, {path: pointer})
        file = tracker.content.find(pointer)
        if file is None:
            raise NotFound(f"the content of artifact {path!r:.200} is gone", hint=f"gittrack artifact get {run} {path}")
        directory = _make_directory()
        try:
            done = deliver([Item(PurePosixPath(path).name, pointer, file)], directory, replace=False)
            if done.refused:
                raise done.refused[0].error
            copy = directory / PurePosixPath(path).name
            _check_head(run, path, copy)
            copy.chmod(0o400)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
    terminal = session.terminal
    terminal.note(f"opening a copy of {clean(path)} ({format_size(pointer.size)}): {copy}")
    if find_ending(path) in _SCRIPTED:
        terminal.note("it may hold scripts, which your browser keeps to the page")
    if click.launch(str(copy)) != 0:
        raise Unsupported(
            f"there is no program to open {clean(path)!r:.200} with, or it failed",
            hint=f"gittrack artifact get {run} {path}",
        )


def _check_ending(run: str, path: str) -> None:
    ending = find_ending(path)
    if ending not in _SHOWN and ending not in _SCRIPTED:
        what = f"files that end in .{ending}" if ending else "files without an ending"
        raise InvalidInput(
            f"{path!r:.200} is not opened: of {what}, it is not known that they are only shown",
            hint=f"gittrack artifact get {run} {path}",
        )


def _check_head(run: str, path: str, copy: Path) -> None:
    with copy.open("rb") as file:
        danger = find_danger(file.read(_HEAD))
    if danger:
        raise Corrupt(
            f"{path!r:.200} is not opened: {danger}, and not what its name says",
            hint=f"gittrack artifact get {run} {path}",
        )


def _make_directory() -> Path:
    import tempfile

    return Path(os.path.realpath(tempfile.mkdtemp(prefix="gittrack-")))

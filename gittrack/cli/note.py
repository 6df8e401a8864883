"""The `note` command: a run's note, read and written."""

from __future__ import annotations

from typing import IO

import click

from ..errors import InvalidInput
from .command import Command, json_option, pass_session, run_argument
from .session import Session
from .terminal import edit_text
from .text import clean_lines


def choose_text(text: str | None, file: IO[str] | None, *, edit: bool, present: str) -> str | None:
    """Return the text a person gives in one of three ways, or None where none was used or the editor changed nothing.

    Raises InvalidInput for more than one way.
    """
    if sum((text is not None, file is not None, edit)) > 1:
        raise InvalidInput("give the text in one way: as an argument, with -F, or with -e")
    if file is not None:
        try:
            text = file.read().rstrip("\n")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file.name} is not UTF-8 text: {error.reason}") from error
    if edit:
        edited = edit_text(present)
        text = None if edited is None or edited.rstrip("\n") == present else edited.rstrip("\n")
    return text


@click.command(
    "note",
    cls=Command,
    examples=('gittrack note latest "the data were shuffled wrongly"', "gittrack note brave-otter-41 -e"),
)
@run_argument()
@click.argument("text", required=False)
@click.option("-e", "--edit", is_flag=True, help="Write the note in your editor, the one git uses.")
@click.option(
    "-F", "--file", metavar="FILE", type=click.File(encoding="utf-8"), help="Read it from a file; - for standard input."
)
@json_option()
@pass_session
def note(session: Session, run: str, text: str | None, edit: bool, file: IO[str] | None, as_json: bool) -> None:
    """Print or write a run's note.

    An empty text takes the note away.
    """
    with session.open_tracker() as tracker:
        found = tracker.get_run(run)
        reading = text is None and file is None and not edit
        written = choose_text(text, file, edit=edit, present=found.note)
        if written is not None:
            found = tracker.edit_run(found.id, note=written)
            session.terminal.note(f"wrote the note of run {found.name} ({found.id[:8]})")
        elif not reading:
            session.terminal.note("the note is as it was")
    if as_json:
        session.write_json("note", found.note)
    elif reading:
        session.terminal.write(clean_lines(found.note))

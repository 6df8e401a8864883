"""Shows what is about to be run again: source, command, environment, data, secrets. Nothing of it has run by then."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..cause import compare_environments
from ..environment import capture_environment
from ..reproduction import FoundInput, Requirements
from .amounts import count
from .causes import say_details
from .checkout import describe_gaps
from .packages import Installer
from .show import describe_source, render_facts, say_status
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..checkout import CheckedOut
    from ..stored_run import StoredRun

MISSING_VALUES = ("[scrubbed", "[redacted")
_MOST_FILES = 10
_MOST_INPUTS = 30


@dataclass(frozen=True)
class Preparation:
    """All that was found out about a run that is to be repeated.

    `words` are the command, `shown` the same without what looks like a secret. `changed` are the files that differed
    from its commit, None where that cannot be told. `program` is what the command's first word means here, empty where
    the environment to be made will tell. `compares` tells whether the environment is to be compared.
    """

    run: StoredRun
    done: CheckedOut
    directory: Path
    words: tuple[str, ...]
    shown: tuple[str, ...]
    program: str
    changed: Sequence[tuple[str, str]] | None
    inputs: Sequence[FoundInput]
    links: Sequence[str]
    needed: Requirements
    installer: Installer | None
    compares: bool


def render_preview(found: Preparation, screen: Screen) -> list[str]:
    """Return all of it in lines that are safe to print."""
    run = found.run
    title = f"to reproduce {clean(run.name)} ({run.id[:8]}), {say_status(run, Screen())}, of {clean(run.experiment)}"
    return [screen.paint(title, "heading"), *render_facts(list(_find_facts(found)), screen, indent="  ")]


def _find_facts(found: Preparation) -> Iterator[tuple[str, str]]:
    run = found.run
    yield "source", describe_source(run)
    yield from _describe_changes(found.changed, run)
    for gap in describe_gaps(run, found.done):
        yield "not as it was", gap
    yield "command", clean(shlex.join(found.shown))
    if found.shown != run.command:
        yield "recorded as", clean(shlex.join(run.command)) or "nothing"
    yield "program", clean(found.program) or "that of the environment"
    yield "directory", clean(str(found.directory))
    yield from _describe_environment(found)
    for entry in found.inputs[:_MOST_INPUTS]:
        yield "data", _describe_input(entry)
    if len(found.inputs) > _MOST_INPUTS:
        yield "data", f"{len(found.inputs) - _MOST_INPUTS} more"
    for path in found.links:
        yield "data", f"{clean(path)} of the working tree, linked"
    for place in list_secrets(found):
        yield "secret", clean(place)


def _describe_changes(changed: Sequence[tuple[str, str]] | None, run: StoredRun) -> Iterator[tuple[str, str]]:
    if changed is None:
        if run.source.dirty:
            yield "changes", "the commit is not here any more to be compared with; the files are"
    elif changed:
        said = [f"{clean(path)} ({what})" for path, what in changed[:_MOST_FILES]]
        more = [f"{len(changed) - _MOST_FILES} more"] if len(changed) > _MOST_FILES else []
        yield "changes", ", ".join(said + more)


def _describe_environment(found: Preparation) -> Iterator[tuple[str, str]]:
    needed = found.needed
    if found.installer is not None:
        python = f"Python {needed.python}" if needed.python else "Python"
        yield "environment", f"made by {found.installer.kind}: {python}, {count(len(needed.lines), 'package')}"
        if needed.lines:
            yield "installs", clean(", ".join(line.replace("==", " ") for line in needed.lines))
        if needed.unfit:
            yield "leaves out", clean(", ".join(map(ascii, needed.unfit)))
    elif not found.compares:
        yield "environment", "that of this shell, not compared"
        return
    else:
        yield "environment", "this one"
    differences = compare_environments(found.run.environment, capture_environment())
    kinds = ("hardware",) if found.installer is not None else ("packages", "hardware")
    for kind, details in differences.items():
        if kind in kinds and details:
            yield kind, say_details(details)
    if not any(differences[kind] for kind in differences if kind in kinds) and found.run.environment:
        yield kinds[0], "the same"


def _describe_input(found: FoundInput) -> str:
    entry = found.entry
    words = {"same": "the same", "changed": "CHANGED", "missing": "MISSING", "unchecked": "not checked"}
    where = f"linked from {found.target}" if found.target is not None else ""
    name = f"{entry.name} ({entry.path})" if entry.path and entry.path != entry.name else entry.name
    return clean(f"{name}: {', '.join(filter(None, (words[found.state], found.place, where)))}")


def list_secrets(found: Preparation) -> Iterator[str]:
    """Yield what of the run was a secret and is not known: words of the command first, then what else was scrubbed."""
    for position in find_unknown_words(found.words):
        word, before = found.words[position], found.words[position - 1] if position else ""
        option = f"{before} {word}" if before.startswith("-") and "=" not in before else word
        yield f"{option}: not recorded, to be given"
    for place in found.run.snapshot.run.scrubbed:
        if not place.startswith("command"):
            yield f"{place}: not recorded"


def find_unknown_words(words: Sequence[str]) -> list[int]:
    """Return the positions of the words of a command that hold a value which was never recorded, or taken out."""
    return [position for position, word in enumerate(words) if any(mark in word for mark in MISSING_VALUES)]

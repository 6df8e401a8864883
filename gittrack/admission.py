"""Owns what may stand in the tree of a record: which names, which kinds of entry, how large.

The allow-list for what comes from elsewhere, and for what is read. Pure: entries in, a fault in words or None out.
Knows nothing of how trees are read, and does not look into `source/`, which is nobody's to read but git's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from . import layout
from .errors import InvalidInput

# Larger than any honest record, small enough that a hostile one cannot fill the memory.
MAX_RECORD_SIZE = 32 << 20
MAX_ATTRIBUTES_SIZE = 64 << 10
# A part holds at most about a million points; anything much larger was not written by gittrack.
MAX_PART_SIZE = 256 << 20
MAX_POINTER_SIZE = 1024

FILE_MODE = 0o100644
TREE_MODE = 0o040000
_KINDS = {0o120000: "a symbolic link", 0o160000: "a submodule", TREE_MODE: "a directory", 0o100755: "executable"}

_RUN_FILES = {
    layout.RUN_FILE: MAX_RECORD_SIZE,
    layout.PARAMS_FILE: MAX_RECORD_SIZE,
    layout.SUMMARY_FILE: MAX_RECORD_SIZE,
    layout.ENVIRONMENT_FILE: MAX_RECORD_SIZE,
    layout.ATTRIBUTES_FILE: MAX_ATTRIBUTES_SIZE,
}
_DIRECTORIES = (layout.METRICS_DIRECTORY, layout.ARTIFACTS_DIRECTORY, layout.SOURCE_DIRECTORY)
_RUN_MODES = {**dict.fromkeys(_RUN_FILES, FILE_MODE), **dict.fromkeys(_DIRECTORIES, TREE_MODE)}
_EXPERIMENT_MODES = {layout.EXPERIMENT_FILE: FILE_MODE}


class Entry(Protocol):
    """An entry of a tree, as far as it matters here."""

    @property
    def mode(self) -> int:
        """What it is: a Git mode such as 0o100644."""


def find_run_fault(entries: Mapping[str, Entry]) -> str | None:
    """Return what is wrong with the root of a run's tree, in words, or None."""
    return _find_fault(entries, _RUN_MODES, required=layout.RUN_FILE)


def find_experiment_fault(entries: Mapping[str, Entry]) -> str | None:
    """Return what is wrong with the tree of an experiment's record, in words, or None."""
    return _find_fault(entries, _EXPERIMENT_MODES, required=layout.EXPERIMENT_FILE)


def find_parts_fault(entries: Mapping[str, Entry]) -> str | None:
    """Return what is wrong with the directory of a run's metric parts, in words, or None."""
    numbers = []
    for name, entry in entries.items():
        number = layout.find_part_number(f"{layout.METRICS_DIRECTORY}/{name}")
        if number is None:
            return f"{layout.METRICS_DIRECTORY}/ holds {_show(name)}"
        if entry.mode != FILE_MODE:
            return f"{layout.METRICS_DIRECTORY}/{name} is {_describe(entry.mode)}"
        numbers.append(number)
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        return f"{layout.METRICS_DIRECTORY}/ has parts that are not numbered 1 to {len(numbers)}"
    return None


def find_artifact_fault(path: str, entry: Entry) -> str | None:
    """Return what is wrong with an artifact (a file, or a directory on its way), in words, or None."""
    if entry.mode not in (FILE_MODE, 0o100755, TREE_MODE):
        return f"{layout.ARTIFACTS_DIRECTORY}/{_show(path)} is {_describe(entry.mode)}"
    try:
        layout.check_artifact_path(path)
    except InvalidInput as error:
        return error.message
    return None


def find_size_fault(path: str, size: int) -> str | None:
    """Return what is wrong with the size of a file of a record, by its path in the tree, or None."""
    top = path.partition("/")[0]
    limit = _RUN_FILES.get(path, MAX_RECORD_SIZE)
    if top == layout.METRICS_DIRECTORY:
        limit = MAX_PART_SIZE
    elif top == layout.ARTIFACTS_DIRECTORY:
        limit = MAX_POINTER_SIZE
    return f"{_show(path)} has {size} bytes, more than {limit}" if size > limit else None


def _find_fault(entries: Mapping[str, Entry], modes: Mapping[str, int], *, required: str) -> str | None:
    for name, entry in entries.items():
        if name not in modes:
            return f"it holds {_show(name)}, which does not belong there"
        if entry.mode != modes[name]:
            return f"{name} is {_describe(entry.mode)}"
    return None if required in entries else f"{required} is missing"


def _describe(mode: int) -> str:
    return _KINDS.get(mode, f"of mode {mode:o}")


def _show(name: str) -> str:
    return ascii(name) if len(name) <= 80 else f"{name[:60]!a}… ({len(name)} characters)"


def list_sized(entries: Iterable[str]) -> list[str]:
    """Return those names of a record's root whose files have a limit."""
    return [name for name in entries if name in _RUN_FILES or name == layout.EXPERIMENT_FILE]

"""Owns which artifact paths may be written side by side, wherever the directory lies.

File systems fold names: Windows and macOS ignore case, macOS ignores how accents are composed and skips characters
that are not seen, Windows has names that are devices. Two paths that any of them takes for one would overwrite each
other, or lead through a directory that is not the one that was looked at. Pure: paths in, reasons out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import InvalidInput
from ..folding import fold
from ..layout import check_artifact_path

# What Windows takes for a device whatever ending it has, beyond what no artifact may be called anyway.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?")
# The other ways to spell `.git` by its short name.
_SHORT_GIT = re.compile(r"(?i)git~[0-9]+|gi[0-9a-f]{4}~[0-9]")


def find_unsafe(paths: Iterable[str]) -> dict[str, str]:
    """Return why some paths cannot be written below one directory, by path; what is not among them can.

    Of paths that are one name to some file system, the first in order of code points is kept.
    """
    unsafe: dict[str, str] = {}
    spelled: dict[str, str] = {}
    files: set[str] = set()
    for path in sorted(set(paths)):
        reason = _find_fault(path) or _find_collision(path, spelled, files)
        if reason is not None:
            unsafe[path] = reason
            continue
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            place = "/".join(names[:depth])
            spelled[fold(place)] = place
        files.add(fold(path))
    return unsafe


def _find_fault(path: str) -> str | None:
    try:
        check_artifact_path(path)
    except InvalidInput as error:
        return error.message
    for name in path.split("/"):
        if fold(name) == ".git" or _SHORT_GIT.fullmatch(name):
            return "it leads into a repository's own directory on some systems"
        if _DEVICE.fullmatch(name):
            return f"{name!r} is a device on Windows"
        if not fold(name).strip(". "):
            return "a name is empty on some systems"
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            return "it is no Unicode text"
    return None


def _find_collision(path: str, spelled: dict[str, str], files: set[str]) -> str | None:
    names = path.split("/")
    for depth in range(1, len(names) + 1):
        place = "/".join(names[:depth])
        known = spelled.get(fold(place))
        if known is not None and known != place:
            return f"it is the same name as {known!r} on some systems"
        if known is not None and (fold(place) in files or depth == len(names)):
            return f"{known!r} is a file and a directory at once"
    return None

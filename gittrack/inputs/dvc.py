"""Reads what DVC says of a file or directory it tracks: in `<path>.dvc`, or in a `dvc.lock` above it.

Reads those files only. What it does not understand it passes over: such data is then digested like any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_MAX_BYTES = 4 << 20
_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Tracked:
    """What DVC has recorded: the md5 (of a directory with `.dir` behind it), the size in bytes, a remote if named.

    `scheme` is `md5-dos2unix` for a DVC before 3.0, which counted the line ends of text as one character.
    """

    scheme: Literal["md5", "md5-dos2unix"]
    hash: str
    size: int | None
    remote: str | None
    file: Path

    @property
    def digest(self) -> str:
        """The digest with its scheme."""
        return f"{self.scheme}:{self.hash}"

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory's."""
        return self.hash.endswith(".dir")


def find_tracked(path: Path) -> Tracked | None:
    """Return what DVC says of a path, or None where it does not track it."""
    whole = Path(os.path.abspath(path))
    beside = whole.with_name(f"{whole.name}.dvc") if whole.name else whole
    document = _read_document(beside)
    for entry in _list_outputs(document):
        base = beside.parent / str(document.get("wdir", "."))
        if _is_at(entry, base, whole):
            return _read_entry(entry, beside)
    for directory in whole.parents:
        lock = directory / "dvc.lock"
        stages = _read_document(lock).get("stages")
        for stage in stages.values() if isinstance(stages, dict) else ():
            for entry in _list_outputs(stage):
                if _is_at(entry, directory, whole):
                    return _read_entry(entry, lock)
        if (directory / ".dvc").is_dir() or (directory / ".git").exists():
            return None
    return None


def digest_listing(files: Iterable[tuple[str, str]]) -> str:
    """Return the digest that DVC gives a directory of files, each a relative path and its md5."""
    listing = [{"md5": md5, "relpath": relative} for relative, md5 in sorted(files)]
    text = json.dumps(listing, sort_keys=True)
    return f"md5:{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def _read_document(file: Path) -> dict[str, Any]:
    """Return a YAML file's mapping, empty where there is none that can be read."""
    try:
        if not file.is_file() or file.stat().st_size > _MAX_BYTES:
            return {}
        import yaml

        document = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _list_outputs(document: object) -> Iterator[dict[str, Any]]:
    entries = document.get("outs") if isinstance(document, dict) else None
    yield from (entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict))


def _is_at(entry: dict[str, Any], base: Path, path: Path) -> bool:
    return isinstance(entry.get("path"), str) and os.path.abspath(base / entry["path"]) == str(path)


def _read_entry(entry: dict[str, Any], file: Path) -> Tracked | None:
    value, size, remote = entry.get("md5"), entry.get("size"), entry.get("remote")
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        return None
    return Tracked(
        scheme="md5" if entry.get("hash") == "md5" else "md5-dos2unix",
        hash=value,
        size=size if isinstance(size, int) and size >= 0 else None,
        remote=remote if isinstance(remote, str) else None,
        file=file,
    )

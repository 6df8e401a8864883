"""Owns what a commit's message says of its evidence: the trailer `Gittrack-Run`, and the runs that commits name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..git import Git, GitFailed
from ..layout import is_run_id

TRAILER = "Gittrack-Run"

_NAMED = f"%(trailers:key={TRAILER},valueonly,separator=%x20)"
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ZERO = "0"


@dataclass(frozen=True)
class Push:
    """One line of what git tells a pre-push hook: the commit that is pushed, and the one that is there (or None)."""

    new: str
    old: str | None


def write_trailer(git: Git, file: Path, run_id: str) -> None:
    """Let a message name a run, in the place of the one it named."""
    options = ("--in-place", "--if-exists", "replace", "--if-missing", "add", "--where", "end")
    git.run("interpret-trailers", *options, "--trailer", f"{TRAILER}: {run_id}", str(file.absolute()))


def drop_trailer(file: Path) -> bool:
    """Take out of a message the lines that name a run; tell whether there were any."""
    lines = file.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"{TRAILER}: ".encode())]
    if len(kept) == len(lines):
        return False
    file.write_bytes(b"".join(kept))
    return True


def read_pushes(text: str) -> list[Push]:
    """Return what is pushed, deletions left out: each line has a local ref, its commit, a remote ref, its commit."""
    pushes = []
    for line in text.splitlines():
        words = line.rsplit(" ", 3) if line.count(" ") >= 3 else []
        if len(words) == 4 and _ID.fullmatch(words[1]) and _ID.fullmatch(words[3]) and words[1].strip(_ZERO):
            pushes.append(Push(words[1], words[3] if words[3].strip(_ZERO) else None))
    return pushes


def list_named_runs(git: Git, pushes: Iterable[Push], *, remote: str) -> list[str]:
    """Return the runs that pushed commits name which are not on the remote yet, as far as that is known here."""
    found: dict[str, None] = {}
    for push in pushes:
        known = [f"--remotes={remote}"] if push.old is None or not _is_here(git, push.old) else [push.old]
        words = ("-z", f"--format={_NAMED}", push.new, "--not", *known, "--")
        found.update(dict.fromkeys(read_run_ids(os.fsdecode(git.run("log", *words)).replace("\0", " "))))
    return list(found)


def read_run_ids(text: str) -> list[str]:
    """Return the run ids among the words of a trailer's values."""
    return [word for word in text.split() if is_run_id(word)]


def _is_here(git: Git, commit: str) -> bool:
    try:
        git.run("cat-file", "-e", f"{commit}^{{commit}}")
    except GitFailed:
        return False
    return True

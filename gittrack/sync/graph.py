"""Answers about the history, from the user's git: which commits one line has and another lacks, and who descends whom.

Knows nothing of runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import Corrupt, StoreFailed
from ..git import Git, GitFailed, clean_text
from ..store import Commit
from ..store.encoding import parse_commit

_BLOCK = 1 << 20
_HEADER = re.compile(rb"([<>]?)([0-9a-f]{40,64})\n(.*)", re.DOTALL)


@dataclass(frozen=True)
class Apart:
    """What two lines do not share: the commits only ours has, and those only theirs has; newest first."""

    ours: tuple[Commit, ...]
    theirs: tuple[Commit, ...]


class Graph:
    """The history of one repository, as git sees it."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def is_ancestor(self, old: str, new: str) -> bool:
        """Tell whether new contains old, or is it."""
        try:
            self._git.run("merge-base", "--is-ancestor", old, new)
        except GitFailed as error:
            if error.code != 1:
                raise
            return False
        return True

    def compare(self, ours: str, theirs: str) -> Apart:
        """Return what two lines do not share."""
        if ours == theirs:
            return Apart((), ())
        sides: dict[bytes, list[Commit]] = {b"<": [], b">": []}
        for side, commit in self._read(f"{ours}...{theirs}", "--left-right"):
            sides[side].append(commit)
        return Apart(tuple(sides[b"<"]), tuple(sides[b">"]))

    def list_new(self, tips: Iterable[str], *, known: Iterable[str]) -> Iterator[Commit]:
        """Yield the commits reachable from tips and from none of known, newest first; leave it at any time."""
        revisions = "\n".join((*tips, *(f"^{id}" for id in known)))
        for _, commit in self._read(revisions):
            yield commit

    def list_roots(self, tips: Iterable[str]) -> list[Commit]:
        """Return the commits without parents that are reachable from tips."""
        return [commit for _, commit in self._read("\n".join(tips), "--max-parents=0")]

    def list_oldest_first(self, tip: str, *, known: Iterable[str]) -> list[Commit]:
        """Return the commits reachable from tip and from none of known, parents before children."""
        revisions = "\n".join((tip, *(f"^{id}" for id in known)))
        return [commit for _, commit in self._read(revisions, "--topo-order", "--reverse")]

    def find_present(self, ids: Iterable[str]) -> list[str]:
        """Return those ids that are commits here, or tags of commits, each once."""
        asked = list(dict.fromkeys(ids))
        lines = "".join(f"{id}^{{commit}}\n" for id in asked).encode()
        listing = self._git.run("cat-file", "--batch-check=%(objecttype)", "--buffer", input=lines)
        answers = zip(asked, listing.splitlines(), strict=True)
        return [id for id, kind in answers if kind == b"commit"]

    def find_missing(self, commits: Iterable[str], *, known: Iterable[str]) -> tuple[set[str], set[str]]:
        """Return which of some commits are not reachable from known, and the commits of known that they grow from."""
        asked = list(dict.fromkeys(commits))
        lines = "\n".join((*asked, *(f"^{id}" for id in known), "")).encode()
        listing = self._git.run("rev-list", "--boundary", "--stdin", input=lines).decode("ascii")
        found = listing.split()
        missing = {id for id in found if not id.startswith("-")}
        return missing.intersection(asked), {id[1:] for id in found if id.startswith("-")}

    def _read(self, revisions: str, *options: str) -> Iterator[tuple[bytes, Commit]]:
        arguments = ("--no-replace-objects", "rev-list", "--header", "--encoding=UTF-8", *options, "--stdin")
        answer = self._git.answer(*arguments, input=revisions.encode() + b"\n")
        rest = b""
        try:
            while block := answer.stdout.read(_BLOCK):
                *records, rest = (rest + block).split(b"\0")
                for record in records:
                    match = _HEADER.fullmatch(record)
                    if match is None:
                        raise StoreFailed(f"git listed a commit as {clean_text(record[:200])!r}")
                    yield match.group(1), _parse(match.group(2).decode(), _unindent(match.group(3)))
            answer.finish()
        finally:
            answer.cancel()


def _parse(id: str, text: bytes) -> Commit:
    try:
        return parse_commit(id, text)
    except Corrupt:  # no gittrack wrote it: it counts as a commit, and says nothing
        return Commit(id, "", (), "", 0, "")


def _unindent(text: bytes) -> bytes:
    """Undo the indent that git gives the lines of a message."""
    head, gap, message = text.partition(b"\n\n")
    return head + gap + re.sub(rb"(?m)^    ", b"", message)

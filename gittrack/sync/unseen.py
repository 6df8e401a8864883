"""Which code a push sends that the remote does not have: commits, and the files of source trees.

What the remote has is what its tracking refs reach, the code's as well as the experiments'. Only a remote whose address
has changed is asked whether they are still true. Knows nothing of what the files hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .. import layout
from ..transport import list_remote_ids
from .link import Link
from .whereabouts import has_ever_moved

# How many trees are held against what is sent: each spares files the second look, and none is needed for the answer.
_MOST_BASES = 1000
_MOST_RUNS = 100


@dataclass(frozen=True)
class File:
    """A file of a source tree: its blob, where it stands in the tree, and its size in bytes."""

    id: str
    path: str
    size: int


class Unseen:
    """What the remote of a link lacks of the code."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @cached_property
    def _refs(self) -> dict[str, str]:
        """The remote's tracking refs and their ids; where pushes go elsewhere, they say nothing of that place."""
        if self._link.remote.pushes_elsewhere:
            return {}
        place = f"refs/remotes/{self._link.remote.name}/"
        listing = self._link.git.run("for-each-ref", "--format=%(objectname) %(refname)", "--", place)
        pairs = (line.split(" ", 1) for line in listing.decode("utf-8", "surrogateescape").splitlines())
        refs = {ref: id for id, ref in pairs}
        if refs and has_ever_moved(self._link):
            there = list_remote_ids(self._link.wire)
            refs = {ref: id for ref, id in refs.items() if id in there}
        return refs

    @cached_property
    def _code_tips(self) -> list[str]:
        experiments = self._link.tracking("")
        found = [id for ref, id in self._refs.items() if not ref.startswith(experiments)]
        return self._link.graph.find_present(found)

    def list_commits(self, sources: Iterable[str | None]) -> list[str]:
        """Return the commits among those that the code of runs was at which no branch of the remote contains."""
        missing, _ = self._part(sources)
        return sorted(missing)

    def list_files(self, trees: Sequence[str], sources: Iterable[str | None]) -> list[File]:
        """Return the files of these source trees that neither the remote's code nor its newest runs have, each once.

        `sources` are the commits that the code was at. A file that the remote once had, and has no more, is listed.
        """
        git, (_, bases) = self._link.git, self._part(sources)
        bases = [*dict.fromkeys((*bases, *self._code_tips))][:_MOST_BASES] + self._list_runs()
        asked = "\n".join((*dict.fromkeys(trees), *(f"^{id}^{{tree}}" for id in bases), ""))
        listing = git.run("rev-list", "--objects", "--stdin", input=asked.encode())
        places = dict(line.partition(b" ")[::2] for line in listing.splitlines())
        form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
        facts = git.run("cat-file", form, "--buffer", input=b"".join(id + b"\n" for id in places))
        found = []
        for id, kind, size in (line.split()[:3] for line in facts.splitlines() if line.count(b" ") == 2):
            if kind == b"blob":
                found.append(File(id.decode(), places[id].decode("utf-8", "replace"), int(size)))
        return found

    def drop_old(self, files: Sequence[File]) -> list[File]:
        """Return those files that no commit the remote has had where they stand; looks through its whole history."""
        tips = list(dict.fromkeys(self._refs.values()))
        if not tips or not files:
            return list(files)
        paths = {path for file in files for path in (file.path, f"{layout.SOURCE_DIRECTORY}/{file.path}")}
        listing = self._link.git.run(
            *("-c", "log.showRoot=true", "--literal-pathspecs", "log", "--format=", "--no-show-signature"),
            *("--raw", "--no-abbrev", "--no-renames", "--full-history", "-m", "--stdin"),
            input="\n".join((*tips, "--", *sorted(path for path in paths if "\n" not in path), "")).encode(),
        )
        had = {line.split()[3].decode() for line in listing.splitlines() if line.startswith(b":")}
        return [file for file in files if file.id not in had]

    def find_holder(self, file: File, trees: Iterable[str]) -> str | None:
        """Return the first of some source trees that has a file."""
        asked = list(trees)
        lines = "".join(f"{tree}:{file.path}\n" for tree in asked).encode("utf-8", "surrogateescape")
        answers = self._link.git.run("cat-file", "--batch-check=%(objectname)", "--buffer", input=lines).splitlines()
        return next((tree for tree, id in zip(asked, answers, strict=False) if id == file.id.encode()), None)

    def _part(self, sources: Iterable[str | None]) -> tuple[set[str], list[str]]:
        """Return the commits that the remote's code lacks, and those it has, or has of what they grow from."""
        length = self._link.repository.id_length
        asked = {id for id in sources if id is not None and len(id) == length and set(id) <= set("0123456789abcdef")}
        here = self._link.graph.find_present(sorted(asked))
        if not here or not self._code_tips:
            return set(here), []
        missing, edge = self._link.graph.find_missing(here, known=self._code_tips)
        return missing, sorted((set(here) - missing) | edge)

    def _list_runs(self) -> list[str]:
        """Return the newest records that the remote has: what they hold besides the source is in nobody's way."""
        experiments = self._link.tracking("")
        tips = [id for ref, id in self._refs.items() if ref.startswith(experiments)]
        if not tips:
            return []
        lines = "".join(f"{id}\n" for id in tips).encode()
        return self._link.git.run("rev-list", f"--max-count={_MOST_RUNS}", "--stdin", input=lines).decode().split()

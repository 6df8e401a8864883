"""Finds out which content is still needed: by a run, by a journal, or by the user's own Git LFS files.

Asks the user's git for everything that any ref, index or reflog of the repository holds, but for revisions of runs that
were deleted. Where it cannot be sure, it says so, and nothing may be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from .. import layout
from ..dropped import Dropped
from ..errors import GittrackError
from ..git import Git
from ..history import History
from ..message import RunTrailers, parse_message
from ..model import Pointer
from ..pointer import MAX_POINTER_BYTES, encode_pointer
from ..store.encoding import hash_object

_ANY_OID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_POINTER_OID = re.compile(rb"oid sha256:([0-9a-f]{64})")
_POINTER_START = b"version "
_ID = re.compile(rb"[0-9a-f]{40}([0-9a-f]{24})?")
_CHUNK = 5000

FindDropped = Callable[[str], Dropped]


class Unsure(GittrackError):
    """It cannot be told whether content is needed, so it has to stay."""


class References:
    """Who needs some contents, looked up once as a whole, and then, quickly, as far as something has changed since.

    `find_dropped` returns what of an experiment (a slug) counts as deleted. Every method raises Unsure.
    """

    def __init__(self, history: History, pointers: Iterable[Pointer], *, find_dropped: FindDropped) -> None:
        self._history = history
        self._store = history.store
        self._repository = history.store.repository
        self._git = Git(self._repository.git_directory)
        self._find_dropped = find_dropped
        object_format = self._repository.object_format
        self._wanted = {pointer.oid for pointer in pointers}
        self._blobs = {hash_object("blob", encode_pointer(pointer), object_format): pointer.oid for pointer in pointers}
        self._seen: set[str] = set()
        self._scanned: list[str] = []
        self._commits: dict[str, set[str]] = {}
        self._found: set[str] = set()

    def look(self) -> set[str]:
        """Return the oids that are needed; on a second call, those that are needed by now as well.

        The second look reads every journal and index again, but of the history only what is new.
        """
        if not self._wanted:
            return set()
        self._found |= self._wanted & find_journal_oids(self._repository.common_directory)
        roots = [id for id in self._list_roots() if id not in self._seen]
        self._scan(roots)
        self._seen.update(roots)
        return set(self._found)

    def is_index_locked(self) -> bool:
        """Tell whether git is changing an index of the repository right now: what it adds is not in it yet."""
        common = self._repository.common_directory
        return any(path.exists() for path in (common / "index.lock", *common.glob("worktrees/*/index.lock")))

    def _list_roots(self) -> Iterator[str]:
        """Yield the ids of what has to be looked through: the user's commits, and trees of runs that are left."""
        experiments: dict[str, set[str]] = {}
        listing = self._git.run("for-each-ref", "--format=%(objectname) %(refname)").decode("utf-8", "surrogateescape")
        for line in listing.splitlines():
            id, ref = line.split(" ", 1)
            slug = self._find_slug(ref)
            if slug is None:
                yield id
            else:
                experiments.setdefault(slug, set()).add(id)
        for slug, tips in experiments.items():
            yield from self._list_trees(slug, tips)
        yield from self._list_heads()
        yield from _list_logged(self._repository.common_directory, is_wanted=lambda ref: self._find_slug(ref) is None)

    def _find_slug(self, ref: str) -> str | None:
        namespace = self._history.namespace
        return layout.find_branch_slug(ref, namespace) or layout.find_tracking_slug(ref, namespace)

    def _list_trees(self, slug: str, tips: Iterable[str]) -> Iterator[str]:
        """Yield the trees of an experiment's commits that are new, but for revisions of runs that are dropped."""
        dropped, known = self._find_dropped(slug), self._commits.setdefault(slug, set())
        new = []
        for commit in self._store.walk(tips, stop=known):
            new.append(commit.id)
            try:
                said = parse_message(commit.message, where=commit.id)
            except GittrackError:
                said = None
            if not (isinstance(said, RunTrailers) and dropped.holds(said.run_id, commit.tree)):
                yield commit.tree
        known.update(new)

    def _list_heads(self) -> Iterator[str]:
        """Yield what is checked out in each working tree, also where that is on no branch."""
        listing = self._git.run("worktree", "list", "--porcelain").decode("utf-8", "surrogateescape")
        heads = (line.removeprefix("HEAD ") for line in listing.splitlines() if line.startswith("HEAD "))
        yield from (id for id in heads if id.strip("0"))

    def _scan(self, roots: list[str]) -> None:
        """Look for pointers in all that is reachable from these, and in every index."""
        checked = self._check(roots)
        starts = [id for id, kind, _ in checked if kind != "missing"]
        lines = "".join([*(f"{id}\n" for id in starts), *(f"^{id}\n" for id in self._scanned)]).encode()
        self._scanned += [id for id, kind, _ in checked if kind == "commit"]
        arguments = ["--no-replace-objects", "rev-list", "--objects", "--no-object-names", "--indexed-objects"]
        if self._repository.ref_format != "files":  # their reflogs are git's to read, and cannot be told apart
            arguments.append("--reflog")
        arguments += [f"--filter=blob:limit={MAX_POINTER_BYTES + 1}", "--missing=print", "--stdin"]
        small: list[str] = []
        with self._git.answer(*arguments, input=lines) as answer:
            for line in answer.stdout:
                id = line.strip().decode("ascii").split(" ")[0]
                if id.startswith("?"):
                    self._miss(id[1:])
                elif id in self._blobs:
                    self._found.add(self._blobs[id])
                else:
                    small.append(id)
        if self._found < self._wanted:
            for start in range(0, len(small), _CHUNK):
                chunk = self._check(small[start : start + _CHUNK])
                self._read([id for id, kind, size in chunk if kind == "blob" and size <= MAX_POINTER_BYTES])

    def _miss(self, id: str) -> None:
        if id in self._blobs:
            self._found.add(self._blobs[id])
        else:
            raise Unsure(
                "objects are missing here (a partial clone), so it cannot be told which content is still needed",
                hint="git fetch --refetch --no-filter",
            )

    def _check(self, ids: Iterable[str]) -> list[tuple[str, str, int]]:
        """Return kind and size of objects; the kind of one that is not here is `missing`."""
        asked = list(ids)
        if not asked:
            return []
        lines = "".join(f"{id}\n" for id in asked).encode()
        form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
        output = self._git.run("--no-replace-objects", "cat-file", form, "--buffer", input=lines).decode("ascii")
        found = []
        for id, line in zip(asked, output.splitlines(), strict=True):
            _, kind, *size = line.split(" ")
            found.append((id, kind, int(size[0]) if size else 0))
        return found

    def _read(self, ids: list[str]) -> None:
        """Read small files, and find the pointers among them, also such as git-lfs itself would not write today."""
        if not ids:
            return
        lines = "".join(f"{id}\n" for id in ids).encode()
        output = self._git.run("--no-replace-objects", "cat-file", "--batch", "--buffer", input=lines)
        at = 0
        for _ in ids:
            end = output.index(b"\n", at)
            size = int(output[at:end].split(b" ")[2])
            data = output[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
            if data.startswith(_POINTER_START):
                self._found.update(self._wanted & {oid.decode() for oid in _POINTER_OID.findall(data)})


def find_journal_oids(common_directory: Path) -> set[str]:
    """Return every sha256 that a journal names, be it live, dead, or just being made or deleted."""
    found: set[str] = set()
    for events in layout.journals_directory(common_directory).glob("*/events.jsonl"):
        try:
            found.update(oid.decode() for oid in _ANY_OID.findall(events.read_bytes()))
        except FileNotFoundError:  # it was committed and deleted just now, and stands on its branch
            continue
    return found


def find_unreferenced(
    history: History, pointers: Mapping[str, Pointer], *, find_dropped: FindDropped
) -> dict[str, Pointer]:
    """Return those contents, by oid, that nobody needs; raises Unsure."""
    needed = References(history, pointers.values(), find_dropped=find_dropped).look()
    return {oid: pointer for oid, pointer in pointers.items() if oid not in needed}


def _list_logged(common_directory: Path, *, is_wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the ids in the reflogs of the user's own refs: what is stashed, or was checked out a while ago."""
    for root in (common_directory / "logs", *common_directory.glob("worktrees/*/logs")):
        for path in root.rglob("*"):
            ref = path.relative_to(root).as_posix()
            if not path.is_file() or not is_wanted(ref):
                continue
            for line in path.read_bytes().splitlines():
                yield from (id.decode() for id in line.split(b" ", 2)[:2] if _ID.fullmatch(id) and id.strip(b"0"))

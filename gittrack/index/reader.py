"""Reads many objects of a store one after the other: in this process, or in bulk through the user's git.

An object that is not there, is damaged, too large or of another kind is given as None; what is wrong with it is for
the store itself to say. Knows nothing of what the objects hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from ..errors import GittrackError, StoreFailed
from ..git import Git, clean_text
from ..store import Commit, Store, TreeEntry
from ..store.encoding import Kind, parse_commit

MAX_COMMIT_SIZE = 16 << 20
MAX_TREE_SIZE = 64 << 20
_BLOCK = 1 << 20
_NEWLINE = ord("\n")


class ObjectReader(Protocol):
    """What can read many objects, each answer in the order of the questions."""

    def read_trees(self, ids: Sequence[str]) -> Iterator[dict[str, TreeEntry] | None]:
        """Yield what is directly in each tree."""

    def read_blobs(self, ids: Sequence[str], *, limit: int) -> Iterator[bytes | None]:
        """Yield the content of each file of at most limit bytes."""


class StoreReader:
    """Reads through the store, object by object: best for a few."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_trees(self, ids: Sequence[str]) -> Iterator[dict[str, TreeEntry] | None]:
        """Yield what is directly in each tree."""
        for id in ids:
            try:
                yield self._store.get_tree(id)
            except GittrackError:
                yield None

    def read_blobs(self, ids: Sequence[str], *, limit: int) -> Iterator[bytes | None]:
        """Yield the content of each file of at most limit bytes."""
        for id in ids:
            try:
                yield self._store.get_blob(id, limit=limit)
            except GittrackError:
                yield None


class GitReader:
    """Reads through git, a list of objects at a time: best for very many.

    Every object is checked against its id. Raises StoreFailed (GitFailed is one) where git does not do what was asked,
    Unsupported where there is none.
    """

    def __init__(self, store: Store) -> None:
        self._hash = getattr(hashlib, store.repository.object_format)
        length = store.repository.id_length // 2
        self._find_entries = re.compile(rb"([0-7]{1,7}) ([^\0/]+)\0(.{%d})" % length, re.DOTALL).findall
        # The store knows no grafts, so git must not heed them either.
        self._git = Git(store.repository.directory, environment={"GIT_GRAFT_FILE": os.devnull})

    def list_commits(self, tips: Iterable[str], *, without: Iterable[str]) -> list[str]:
        """Return the ids of the commits reachable from tips, less those reachable from `without`; newest first."""
        revisions = [*tips, *(f"^{id}" for id in without)]
        asked = "".join(f"{revision}\n" for revision in revisions).encode()
        return self._git.run("--no-replace-objects", "rev-list", "--stdin", input=asked).decode("ascii").split()

    def read_commits(self, ids: Sequence[str]) -> Iterator[Commit]:
        """Yield commits; raises StoreFailed for one that cannot be read."""
        for id, data in zip(ids, self._read(ids, "commit", limit=MAX_COMMIT_SIZE), strict=True):
            if data is None:
                raise StoreFailed(f"commit {id} cannot be read")
            yield parse_commit(id, data)

    def read_trees(self, ids: Sequence[str]) -> Iterator[dict[str, TreeEntry] | None]:
        """Yield what is directly in each tree."""
        for data in self._read(ids, "tree", limit=MAX_TREE_SIZE):
            yield None if data is None else self._parse_tree(data)

    def _parse_tree(self, data: bytes) -> dict[str, TreeEntry] | None:
        found = self._find_entries(data)
        # What is found lies side by side only if it is all there is.
        if sum(len(mode) + len(name) + len(digest) + 2 for mode, name, digest in found) != len(data):
            return None
        try:
            entries = {name.decode(): TreeEntry(int(mode, 8), digest.hex()) for mode, name, digest in found}
        except UnicodeDecodeError:
            return None
        return entries if len(entries) == len(found) and "." not in entries and ".." not in entries else None

    def read_blobs(self, ids: Sequence[str], *, limit: int) -> Iterator[bytes | None]:
        """Yield the content of each file of at most limit bytes."""
        return self._read(ids, "blob", limit=limit)

    def _read(self, ids: Sequence[str], kind: Kind, *, limit: int) -> Iterator[bytes | None]:
        if not ids:
            return
        asked = "\n".join(ids).encode("ascii") + b"\n"
        with self._git.answer("--no-replace-objects", "cat-file", "--batch", "--buffer", input=asked) as answer:
            readline, read, hash, expected = (
                answer.stdout.readline,
                answer.stdout.read,
                self._hash,
                f" {kind} ".encode(),
            )
            start = len(ids[0]) + len(expected)
            for id in ids:
                head = readline()
                if not head.startswith(id.encode() + expected):
                    self._check_other(head, id, read)
                    yield None
                    continue
                length = int(head[start:])
                if length > limit:
                    _pass_over(read, length + 1)
                    yield None
                    continue
                data = read(length + 1)
                if len(data) != length + 1 or data[-1] != _NEWLINE:
                    raise StoreFailed("git ended before it had answered")
                data = data[:-1]
                digest = hash(b"%s %d\0" % (kind.encode(), length) + data, usedforsecurity=False).hexdigest()
                yield data if digest == id else None

    def _check_other(self, head: bytes, id: str, read: Callable[[int], bytes]) -> None:
        """Pass over an answer that an object is missing or of another kind; raises StoreFailed for any other."""
        found, _, rest = head.decode("ascii", "replace").partition(" ")
        _, _, size = rest.strip().partition(" ")
        if found != id or not (size.isdecimal() or rest == "missing\n"):
            raise StoreFailed(f"git was asked for {id} and answered {clean_text(head[:200])!r}")
        if size:
            _pass_over(read, int(size) + 1)


def _pass_over(read: Callable[[int], bytes], length: int) -> None:
    while length > 0:
        block = read(min(length, _BLOCK))
        if not block:
            raise StoreFailed("git ended before it had answered")
        length -= len(block)

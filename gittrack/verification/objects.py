"""Reads Git objects through the user's git and compares each with its id; no more than a piece of a file is in memory.

git itself does not look at the id of what it reads out of a pack, and ends where an object cannot be unpacked: it is
then started again behind that one. Knows nothing of runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from ..errors import Corrupt, GittrackError
from ..git import Git, Stream
from ..store import Store, TreeEntry
from ..store.encoding import Kind, parse_tree

_PIECE = 1 << 20
# So many ids and newlines fit into the smallest pipe there is, of 16 KiB, whatever the hash.
_MOST_QUESTIONS = 250
_MAX_TREE_SIZE = 256 << 20
# What the store itself is asked to read, to say what is wrong with an object or to contradict git.
_MAX_SECOND_LOOK = 256 << 20


@dataclass(frozen=True)
class Checked:
    """What became of one object: `fault` says what is wrong with it; of a good tree `entries` is what is in it.

    `promised` tells that it is not here and does not have to be: the remote of a partial clone has it.
    """

    id: str
    fault: str = ""
    missing: bool = False
    promised: bool = False
    entries: Mapping[str, TreeEntry] | None = None


class _Cut(Exception):
    """git ended before it had answered."""


class ObjectChecker:
    """Reads objects and compares each with its id. Use it as a context manager, or close it.

    One git answers all the time, unless it ends.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # What is not in a partial clone is not to be fetched by looking; the store knows no grafts, nor must git.
        environment = {"GIT_NO_LAZY_FETCH": "1", "GIT_GRAFT_FILE": os.devnull}
        self._git = Git(store.repository.directory, environment=environment)
        self._stream: Stream | None = None

    def close(self) -> None:
        """End the conversation with git; safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def __enter__(self) -> ObjectChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, wanted: Mapping[str, Kind]) -> Iterator[Checked]:
        """Yield what became of each object, in order; to be exhausted. Raises Unsupported where no git is installed."""
        ids = list(wanted)
        done = 0
        while done < len(ids):
            asked = ids[done : done + _MOST_QUESTIONS]
            try:
                answers = self._ask(asked)
                for id in asked:
                    checked = _read(self._store, answers, id, wanted[id])
                    done += 1
                    yield checked
            except _Cut:
                self.close()
                id = ids[done]
                done += 1
                yield _look_again(self._store, id, wanted[id], "it cannot be unpacked")

    def _ask(self, ids: Sequence[str]) -> IO[bytes]:
        """Pass on some questions, no more than a pipe holds: git may wait for its answers to be read meanwhile."""
        if self._stream is None:
            self._stream = self._git.stream("--no-replace-objects", "cat-file", "--batch")
        try:
            self._stream.stdin.write("".join(f"{id}\n" for id in ids).encode("ascii"))
            self._stream.stdin.flush()
        except BrokenPipeError:
            raise _Cut from None
        return self._stream.stdout


def _read(store: Store, answers: IO[bytes], id: str, kind: Kind) -> Checked:
    """Return what the next answer says about an object; raises _Cut where there is none."""
    head = answers.readline()
    if not head.endswith(b"\n"):
        raise _Cut
    words = head.decode("ascii", "replace").split()
    if words[-1] == "missing":
        if store.repository.is_partial:
            return Checked(id, promised=True)
        return _look_again(store, id, kind, "it is missing", missing=True)
    found, size = words[1], int(words[2])
    digest = hashlib.new(store.repository.object_format, f"{found} {size}\0".encode("ascii"), usedforsecurity=False)
    kept = bytearray()
    left = size
    while left:
        piece = answers.read(min(left, _PIECE))
        if not piece:
            raise _Cut
        digest.update(piece)
        left -= len(piece)
        if kind == "tree" and size <= _MAX_TREE_SIZE:
            kept += piece
    if answers.read(1) != b"\n":
        raise _Cut
    if digest.hexdigest() != id:
        return Checked(id, fault="it is damaged: its content has another id")
    if found != kind:
        return Checked(id, fault=f"it is a {found}, where a {kind} should be")
    return _parse(store, id, bytes(kept)) if kind == "tree" else Checked(id)


def _parse(store: Store, id: str, data: bytes) -> Checked:
    try:
        return Checked(id, entries=parse_tree(data, store.repository.object_format))
    except Corrupt as error:
        return Checked(id, fault=error.message)


def _look_again(store: Store, id: str, kind: Kind, fault: str, *, missing: bool = False) -> Checked:
    """Return what the store has to say about an object that git cannot read: what is wrong, or that nothing is."""
    try:
        if kind == "tree":
            return Checked(id, entries=store.get_tree(id))
        if kind == "commit":
            store.get_commit(id)
        else:
            store.get_blob(id, limit=_MAX_SECOND_LOOK)
    except Corrupt as error:
        return Checked(id, fault=error.message.rpartition("cannot be read: ")[2])
    except GittrackError:
        return Checked(id, fault=fault, missing=missing)
    return Checked(id)

"""Reads many objects of a store: in this process, or in bulk through the user's git.

Questions and answers are apart, so that git finds the next objects while the last ones are worked on. An object that is
not there, is damaged, too large or of another kind has no answer; what is wrong with it is for the store itself to say.
Knows nothing of what the objects hold.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, NamedTuple, Protocol

from ..errors import GittrackError, StoreFailed
from ..git import Git, Stream, clean_text
from ..store import Commit, Store, TreeEntry
from ..store.encoding import Kind, parse_commit

Tree = dict[str, TreeEntry]

MAX_COMMIT_SIZE = 16 << 20
MAX_TREE_SIZE = 64 << 20

# Of the files that are asked for together no larger one is read, and no more of them than that is held at once.
MAX_FILE_SIZE = 4 << 20
_MOST_BYTES = 64 << 20

# What a pipe holds at least, and what it is asked to hold where that can be asked for.
_SMALLEST_PIPE = 16 << 10
_LARGE_PIPE = 1 << 20
_BLOCK = 1 << 20
# Runs share many of their entries, each of which is made once.
_MOST_ENTRIES = 50_000
_NEWLINE = ord("\n")


class Objects(NamedTuple):
    """Trees and files by their ids."""

    trees: dict[str, Tree]
    files: dict[str, bytes]


class ObjectReader(Protocol):
    """What can read many objects. Each call of `ask` is answered by one of `receive`, in the same order."""

    def ask(self, trees: Sequence[str], files: Sequence[str]) -> None:
        """Ask for some trees and files, by id."""

    def receive(self) -> Objects:
        """Return what was asked for longest ago, so far as it can be read."""


class StoreReader:
    """Reads through the store, object by object: best for a few."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: deque[tuple[Sequence[str], Sequence[str]]] = deque()

    def ask(self, trees: Sequence[str], files: Sequence[str]) -> None:
        """Ask for some trees and files, by id."""
        self._asked.append((trees, files))

    def receive(self) -> Objects:
        """Return what was asked for longest ago, so far as it can be read."""
        trees, files = self._asked.popleft()
        found, held = Objects({}, {}), 0
        for id in trees:
            with suppress(GittrackError):
                found.trees[id] = self._store.get_tree(id)
        for id in files:
            with suppress(GittrackError):
                data = self._store.get_blob(id, limit=min(MAX_FILE_SIZE, _MOST_BYTES - held))
                found.files[id] = data
                held += len(data)
        return found


class GitReader:
    """Reads through git: best for very many. Use it as a context manager, or close it.

    Every object is checked against its id. Raises StoreFailed (GitFailed is one) where git does not do what was asked,
    Unsupported where there is none.
    """

    def __init__(self, store: Store) -> None:
        self._hash = getattr(hashlib, store.repository.object_format)
        self._line = store.repository.id_length + 1
        length = store.repository.id_length // 2
        self._find_entries = re.compile(rb"([0-7]{1,7}) ([^\0/]+)\0(.{%d})" % length, re.DOTALL).findall
        # The store knows no grafts, so git must not heed them either.
        self._git = Git(store.repository.directory, environment={"GIT_GRAFT_FILE": os.devnull})
        self._stream: Stream | None = None
        self._answers: IO[bytes] | None = None
        self._asked: deque[tuple[Sequence[str], Sequence[str]]] = deque()
        self._unsent: deque[str] = deque()
        self._outstanding = 0
        self._room = 0
        self._entries: dict[tuple[bytes, bytes], TreeEntry] = {}

    def close(self) -> None:
        """End the conversation with git; safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def __enter__(self) -> GitReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def list_commits(self, tips: Iterable[str], *, without: Iterable[str]) -> list[str]:
        """Return the ids of the commits reachable from tips, less those reachable from `without`; newest first."""
        revisions = [*tips, *(f"^{id}" for id in without)]
        asked = "".join(f"{revision}\n" for revision in revisions).encode()
        return self._git.run("--no-replace-objects", "rev-list", "--stdin", input=asked).decode("ascii").split()

    def read_commits(self, ids: Sequence[str]) -> Iterator[Commit]:
        """Yield commits; raises StoreFailed for one that cannot be read."""
        asked = "".join(f"{id}\n" for id in ids).encode("ascii")
        with self._git.answer("--no-replace-objects", "cat-file", "--batch", "--buffer", input=asked) as answer:
            for id in ids:
                data = self._read(answer.stdout, id, "commit", MAX_COMMIT_SIZE)
                if data is None:
                    raise StoreFailed(f"commit {id} cannot be read")
                yield parse_commit(id, data)

    def ask(self, trees: Sequence[str], files: Sequence[str]) -> None:
        """Ask for some trees and files, by id."""
        self._asked.append((trees, files))
        self._unsent.extend(trees)
        self._unsent.extend(files)
        self._send()

    def receive(self) -> Objects:
        """Return what was asked for longest ago, so far as it can be read."""
        trees, files = self._asked.popleft()
        found, held = Objects({}, {}), 0
        for id in trees:
            data = self._read(self._await(), id, "tree", MAX_TREE_SIZE)
            tree = None if data is None else self._parse_tree(data)
            if tree is not None:
                found.trees[id] = tree
        for id in files:
            data = self._read(self._await(), id, "blob", min(MAX_FILE_SIZE, _MOST_BYTES - held))
            if data is not None:
                found.files[id] = data
                held += len(data)
        return found

    def _await(self) -> IO[bytes]:
        """Return where the next answer comes from, after passing more questions on where few are left open."""
        if self._outstanding * 2 <= self._room:
            self._send()
        self._outstanding -= self._line
        assert self._answers is not None
        return self._answers

    def _send(self) -> None:
        """Pass on as many questions as git's pipe holds: more would block both sides, each waiting for the other."""
        stream = self._stream or self._open()
        count = min((self._room - self._outstanding) // self._line, len(self._unsent))
        if count <= 0:
            return
        lines = [self._unsent.popleft() for _ in range(count)]
        self._outstanding += count * self._line
        try:
            stream.stdin.write(("\n".join(lines) + "\n").encode("ascii"))
            stream.stdin.flush()
        except BrokenPipeError:
            raise StoreFailed("git ended before it was asked everything") from None

    def _open(self) -> Stream:
        stream = self._stream = self._git.stream("--no-replace-objects", "cat-file", "--batch")
        _enlarge(stream.stdout)
        self._answers = open(stream.stdout.fileno(), "rb", buffering=_LARGE_PIPE, closefd=False)  # noqa: SIM115
        self._room = _enlarge(stream.stdin) * 3 // 4
        return stream

    def _parse_tree(self, data: bytes) -> Tree | None:
        found = self._find_entries(data)
        # What is found lies side by side only if it is all there is.
        if sum(len(mode) + len(name) + len(digest) + 2 for mode, name, digest in found) != len(data):
            return None
        known = self._entries
        entries: Tree = {}
        try:
            for mode, name, digest in found:
                entry = known.get((mode, digest))
                if entry is None:
                    entry = known[mode, digest] = TreeEntry(int(mode, 8), digest.hex())
                entries[name.decode()] = entry
        except UnicodeDecodeError:
            return None
        if len(known) > _MOST_ENTRIES:
            known.clear()
        return entries if len(entries) == len(found) and "." not in entries and ".." not in entries else None

    def _read(self, answers: IO[bytes], id: str, kind: Kind, limit: int) -> bytes | None:
        """Return the next answer, which has to be about this object, or None where it is none of this kind and size."""
        head = answers.readline()
        expected = f"{id} {kind} ".encode("ascii")
        if not head.startswith(expected):
            _check_other(head, id, answers.read)
            return None
        length = int(head[len(expected) :])
        if length > limit:
            _pass_over(answers.read, length + 1)
            return None
        data = answers.read(length + 1)
        if len(data) != length + 1 or data[-1] != _NEWLINE:
            raise StoreFailed("git ended before it had answered")
        data = data[:-1]
        digest = self._hash(f"{kind} {length}\0".encode("ascii") + data, usedforsecurity=False)
        return data if digest.hexdigest() == id else None


def _check_other(head: bytes, id: str, read: Callable[[int], bytes]) -> None:
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


def _enlarge(pipe: IO[bytes]) -> int:
    """Let a pipe hold more, where the system can do that; return how many bytes it holds at least."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return _SMALLEST_PIPE
    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _LARGE_PIPE)
    return fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ)

"""Owns how Git writes commits and trees as bytes, and the ids that follow: one reading of them for every backend.

Pure: bytes and values in and out. What is read here may come from anywhere, so nothing in it is believed unchecked; the
form is the one of gitformat-tree and of git-commit-tree(1). Knows nothing of where objects are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import Corrupt, InvalidInput
from ..repository import Ident, ObjectFormat

Kind = Literal["commit", "tree", "blob", "tag"]

FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
SYMLINK_MODE = 0o120000
GITLINK_MODE = 0o160000
TREE_MODE = 0o040000
_MODES = (FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE, GITLINK_MODE, TREE_MODE)

_DIGEST_LENGTHS: Mapping[ObjectFormat, int] = {"sha1": 20, "sha256": 32}
_PERSON = rb"(?s)(.*) ([0-9]{1,18}) [+-][0-9]{4}"
_ID = rb"[0-9a-f]{40}([0-9a-f]{24})?"
_CRUD = "[\x00-\x1f<>\x7f]+"
_LATEST_TIME = 2**62


@dataclass(frozen=True)
class TreeEntry:
    """One name's content in a tree: what it is (a Git mode, such as 0o100644 or 0o040000) and its object's id."""

    mode: int
    id: str

    @property
    def is_tree(self) -> bool:
        """Tell whether the entry is a directory."""
        return self.mode == TREE_MODE


@dataclass(frozen=True)
class Commit:
    """One commit. `author` is `name <email>`; `time` is the committer's, in UTC seconds since 1970."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    time: int
    message: str


def hash_object(kind: Kind, data: bytes, object_format: ObjectFormat) -> str:
    """Return the id of an object with this content."""
    digest = hashlib.new(object_format, b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def format_tree(entries: Mapping[str, TreeEntry]) -> bytes:
    """Return the bytes of a tree with these names, in Git's order: a directory sorts as if its name ended in `/`.

    Raises InvalidInput for a name that no tree may hold or that is not UTF-8, and for a mode Git does not know.
    """
    lines = []
    for name, entry in entries.items():
        raw = encode_name(name)
        if entry.mode not in _MODES:
            raise InvalidInput(f"not a mode of a tree entry: {entry.mode:o} for {name!r}")
        lines.append((raw + b"/" if entry.is_tree else raw, b"%o %s\0" % (entry.mode, raw), bytes.fromhex(entry.id)))
    return b"".join(head + digest for _, head, digest in sorted(lines))


def parse_tree(data: bytes, object_format: ObjectFormat) -> dict[str, TreeEntry]:
    """Return the entries of a tree; names that are not UTF-8 hold surrogate escapes.

    Raises Corrupt where the bytes are no tree, or a name is empty, `.`, `..`, holds a slash or comes twice.
    """
    length = _DIGEST_LENGTHS[object_format]
    entries: dict[str, TreeEntry] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        end = data.find(b"\0", space)
        stop = end + 1 + length
        if space < 0 or end < 0 or stop > len(data) or re.fullmatch(rb"[0-7]+", data[at:space]) is None:
            raise Corrupt("not a tree: an entry is cut short or has no mode")
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        if name in ("", ".", "..") or "/" in name or name in entries:
            raise Corrupt(f"not a usable tree: an entry is called {name!r}, or two are")
        entries[name] = TreeEntry(int(data[at:space], 8), data[end + 1 : stop].hex())
        at = stop
    return entries


def format_commit(*, tree: str, parents: Iterable[str], author: Ident, time: int, message: str) -> bytes:
    """Return the bytes of a commit, with author and committer alike and the time given as UTC.

    Characters that cannot stand in an identity are dropped from it. Raises InvalidInput for a NUL in the message and
    for a time before 1970.
    """
    if "\0" in message:
        raise InvalidInput("a commit message must not hold a NUL character")
    if not 0 <= time < _LATEST_TIME:
        raise InvalidInput(f"not a time that a commit can hold: {time}")
    person = f"{_clean_person(author.name) or 'unknown'} <{_clean_person(author.email)}> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {person}", f"committer {person}"]
    end = "\n" if message and not message.endswith("\n") else ""
    return ("\n".join(lines) + "\n\n" + message + end).encode("utf-8", "replace")


def parse_commit(id: str, data: bytes) -> Commit:
    """Return the commit that these bytes are, text that is not UTF-8 replaced; Corrupt where they are none."""
    head, _, message = data.partition(b"\n\n")
    tree = author = committer = b""
    parents = []
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree" and not tree:
            tree = value
        elif key == b"parent":
            parents.append(value)
        elif key == b"author" and not author:
            author = value
        elif key == b"committer" and not committer:
            committer = value
    written, signed = re.fullmatch(_PERSON, author), re.fullmatch(_PERSON, committer)
    if written is None or signed is None or not all(re.fullmatch(_ID, name) for name in (tree, *parents)):
        raise Corrupt(f"commit {id} is damaged: its tree, parents, author or committer cannot be read")
    return Commit(
        id=id,
        tree=tree.decode(),
        parents=tuple(parent.decode() for parent in parents),
        author=written.group(1).decode("utf-8", "replace"),
        time=int(signed.group(2)),
        message=message.decode("utf-8", "replace"),
    )


def encode_name(name: str) -> bytes:
    """Return a tree entry's name as bytes; InvalidInput for a name that no tree may hold or that is not UTF-8."""
    if name in ("", ".", "..") or name.lower() in (".git", "git~1") or "/" in name or "\0" in name:
        raise InvalidInput(f"not a usable name in a tree: {name!r}")
    try:
        return name.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(f"a name in a tree must be Unicode text: {name!r}") from None


def _clean_person(text: str) -> str:
    return re.sub(_CRUD, " ", text).strip(" .,:;\"'\\")

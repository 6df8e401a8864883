"""Owns what a store promises, and all of it that does not depend on how objects and refs are kept.

Every object that is read is checked against its id before anything in it is believed. Text becomes bytes, and bytes
text, in this package and nowhere above it. Knows nothing of runs.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType

from .. import layout
from ..errors import Corrupt, InvalidInput, NotFound
from ..repository import Ident, Repository
from .encoding import (
    FILE_MODE,
    GITLINK_MODE,
    TREE_MODE,
    Commit,
    Kind,
    TreeEntry,
    encode_name,
    format_commit,
    format_tree,
    hash_object,
    parse_commit,
    parse_tree,
)
from .lock import StoreLock
from .walk import walk_commits

_MAX_COMMIT_SIZE = 16 << 20
_MAX_TREE_SIZE = 256 << 20
_MAX_DEPTH = 200
_SHORTEST_PREFIX = 4

# The rules of git-check-ref-format(1), for full names.
_REF = r"refs(/(?!\.)[^\x00-\x20\x7f~^:?*\[\\/]+)+"
_REF_FAULT = r"\.\.|@\{|\.lock(/|$)|\.(/|$)"

_Files = dict[str, "bytes | TreeEntry | _Files"]


@dataclass(frozen=True)
class NewObject:
    """An object to be written: its id follows from its kind and data."""

    kind: Kind
    data: bytes
    id: str


class Store(ABC):
    """The objects and refs of one repository.

    Ids are lowercase hex, refs full names such as `refs/heads/gittrack/churn`, paths in trees `/`-separated. Safe for
    several threads. Use it as a context manager, or close it. Every method that reads raises NotFound for an object
    that is not there, Corrupt for one that is damaged or larger than it may be, and InvalidInput for a text that is no
    id or ref; every method that writes raises StoreFailed where the disk, a permission or a lock is in the way.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._lock = StoreLock(layout.lock_path(repository.common_directory))

    @abstractmethod
    def find_ref(self, ref: str) -> str | None:
        """Return the id a ref resolves to, or None where it does not exist; Corrupt where it holds no id."""

    @abstractmethod
    def list_refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below prefix, such as `refs/remotes/`, with the ids they resolve to, without broken ones."""

    @abstractmethod
    def move_ref(self, ref: str, *, old: str | None, new: str, message: str) -> bool:
        """Let ref be new if it is old now, where None stands for "does not exist", and tell whether it was.

        Atomic, and on disk when it returns True. The objects must be: call `sync` first. `message` goes to the reflog,
        if the repository's own configuration keeps one for this ref. Creates the ref where old is None.
        """

    @abstractmethod
    def delete_ref(self, ref: str, *, old: str) -> bool:
        """Delete ref if it is old now, with its reflog, and tell whether it is gone by this call."""

    def sweep(self) -> None:  # noqa: B027 - nothing to do where git writes the refs
        """Remove the lock files of refs that a process left which died while it wrote them through this interface."""

    @abstractmethod
    def sync(self) -> None:
        """Return when all objects written through this store, and the names they are found by, are on disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of open files and processes; safe to repeat."""

    @abstractmethod
    def _find_object(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        """Return an object unchecked, or None; Corrupt where it is damaged, or has more than limit bytes."""

    @abstractmethod
    def _has_object(self, id: str) -> bool:
        """Tell whether the object is here, or promised by the remote of a partial clone."""

    @abstractmethod
    def _list_ids(self, prefix: str) -> Iterable[str]:
        """Return the ids of all objects that start with prefix."""

    @abstractmethod
    def _write_objects(self, objects: Iterable[NewObject]) -> None:
        """Write objects, each before those that name it; what is there already is left, but synced by `sync`."""

    def _write_many(self, objects: Collection[NewObject]) -> None:
        """Do as `_write_objects` does, in the way that suits a great number of them."""
        self._write_objects(objects)

    def lock(self) -> StoreLock:
        """Return the lock to hold, as a context manager, while a branch is read, extended and moved."""
        return self._lock

    def get_commit(self, id: str) -> Commit:
        """Return a commit."""
        return parse_commit(id, self._get_object(id, "commit", limit=_MAX_COMMIT_SIZE))

    def get_tree(self, id: str) -> dict[str, TreeEntry]:
        """Return what is directly in a tree, by name."""
        data = self._get_object(id, "tree", limit=_MAX_TREE_SIZE)
        try:
            return parse_tree(data, self.repository.object_format)
        except Corrupt as error:
            raise Corrupt(f"tree {id} is unusable: {error.message}") from None

    def get_blob(self, id: str, *, limit: int | None = None) -> bytes:
        """Return a file's content; of one larger than limit bytes no more than its size is read."""
        return self._get_object(id, "blob", limit=limit)

    def find_entry(self, tree_id: str, path: str) -> TreeEntry | None:
        """Return what stands at path below a tree, or None."""
        entry = TreeEntry(TREE_MODE, tree_id)
        for name in path.split("/"):
            found = self.get_tree(entry.id).get(name) if entry.is_tree else None
            if found is None:
                return None
            entry = found
        return entry

    def list_files(self, tree_id: str) -> Iterator[tuple[str, TreeEntry]]:
        """Yield every file below a tree with its path, in the tree's own order; read as they are asked for.

        Raises Corrupt where directories are nested more than 200 deep. Nested repositories count as files.
        """
        return self._list_below(tree_id, "", _MAX_DEPTH)

    def _list_below(self, tree_id: str, prefix: str, depth: int) -> Iterator[tuple[str, TreeEntry]]:
        if depth == 0:
            raise Corrupt(f"tree {tree_id} lies more than {_MAX_DEPTH} directories deep")
        for name, entry in self.get_tree(tree_id).items():
            if entry.is_tree:
                yield from self._list_below(entry.id, f"{prefix}{name}/", depth - 1)
            else:
                yield prefix + name, entry

    def walk(self, tips: Iterable[str], *, stop: Callable[[str], bool] | Container[str] = ()) -> Iterator[Commit]:
        """Yield the commits reachable from tips, each once, newest first by commit time, children before parents.

        Does not enter the commits in stop, nor what is only reached through them. In a shallow clone the commits at its
        edge are yielded without parents. `walk_commits` says how far the order can be relied on.
        """
        is_known = stop if callable(stop) else stop.__contains__
        shallow = self._read_shallow()

        def read(id: str) -> Commit:
            commit = self.get_commit(id)
            return replace(commit, parents=()) if id in shallow else commit

        return walk_commits(tips, read=read, is_known=is_known)

    def _read_shallow(self) -> frozenset[str]:
        try:
            text = (self.repository.common_directory / "shallow").read_text("ascii")
        except FileNotFoundError:
            return frozenset()
        return frozenset(text.split())

    def find_commits_by_prefix(self, prefix: str) -> list[str]:
        """Return the ids of the commits that start with prefix, sorted; InvalidInput for less than four hex digits."""
        prefix = prefix.lower()
        if re.fullmatch(f"[0-9a-f]{{{_SHORTEST_PREFIX},{self.repository.id_length}}}", prefix) is None:
            raise InvalidInput(f"not the start of a commit id, at least {_SHORTEST_PREFIX} hex digits: {prefix[:80]!r}")
        return sorted(id for id in set(self._list_ids(prefix)) if self._is_commit(id))

    def _is_commit(self, id: str) -> bool:
        try:
            found = self._find_object(id, limit=_MAX_COMMIT_SIZE)
        except Corrupt:
            return False
        return found is not None and found[0] == "commit"

    def write_tree(self, files: Mapping[str, bytes | TreeEntry]) -> str:
        """Write a tree with these files, by path, and return its id; equal files give an equal id.

        A TreeEntry is an object that exists already, a file or a whole directory, and is kept as it is. Raises
        InvalidInput for a path that no tree may hold or that is a file and a directory at once, NotFound for an entry
        whose object is missing.
        """
        for path, content in files.items():
            if isinstance(content, TreeEntry) and content.mode != GITLINK_MODE and not self._has_object(content.id):
                raise NotFound(f"{path!r} cannot be written: the object {content.id} is missing")
        objects: list[NewObject] = []
        root = self._build_tree(_nest(files), objects)
        self._write_objects(objects)
        return root.id

    def _build_tree(self, files: _Files, objects: list[NewObject]) -> TreeEntry:
        """Add the objects of a directory to objects, its own last, and return the entry that names it."""
        entries = {}
        for name, content in files.items():
            if isinstance(content, bytes):
                entries[name] = TreeEntry(FILE_MODE, self._add(objects, "blob", content))
            else:
                entries[name] = content if isinstance(content, TreeEntry) else self._build_tree(content, objects)
        return TreeEntry(TREE_MODE, self._add(objects, "tree", format_tree(entries)))

    def _add(self, objects: list[NewObject], kind: Kind, data: bytes) -> str:
        id = hash_object(kind, data, self.repository.object_format)
        objects.append(NewObject(kind, data, id))
        return id

    def write_blob(self, data: bytes) -> str:
        """Write a file's content and return its id."""
        objects: list[NewObject] = []
        id = self._add(objects, "blob", data)
        self._write_objects(objects)
        return id

    def write_commit(self, *, tree: str, parents: Iterable[str], author: Ident, time: int, message: str) -> str:
        """Write a commit and return its id; `time` is in UTC seconds since 1970. Equal arguments give an equal id."""
        ids = [self._check_id(id) for id in (tree, *parents)]
        data = format_commit(tree=ids[0], parents=ids[1:], author=author, time=time, message=message)
        objects: list[NewObject] = []
        id = self._add(objects, "commit", data)
        self._write_objects(objects)
        return id

    def write_chain(self, commits: Iterable[tuple[str, Ident, int, str]], *, parent: str) -> str:
        """Write commits, each on top of the one before, and return the id of the last: parent's, where there are none.

        A commit is a tree, an author, a time in UTC seconds and a message.
        """
        objects: list[NewObject] = []
        tip = self._check_id(parent)
        for tree, author, time, message in commits:
            data = format_commit(tree=self._check_id(tree), parents=(tip,), author=author, time=time, message=message)
            tip = self._add(objects, "commit", data)
        if objects:
            self._write_many(objects)
        return tip

    def _get_object(self, id: str, kind: Kind, *, limit: int | None) -> bytes:
        try:
            found = self._find_object(self._check_id(id), limit=limit)
        except Corrupt as error:
            raise Corrupt(f"{kind} {id} cannot be read: {error.message}", hint="git fsck") from None
        if found is None:
            raise NotFound(f"no {kind} {id} in {self.repository.common_directory}")
        actual, data = found
        if hash_object(actual, data, self.repository.object_format) != id:
            raise Corrupt(f"{kind} {id} is damaged: its content has another id", hint="git fsck")
        if actual != kind:
            raise NotFound(f"no {kind} {id}: that is a {actual}")
        return data

    def _check_id(self, id: str) -> str:
        if re.fullmatch(f"[0-9a-f]{{{self.repository.id_length}}}", id) is None:
            raise InvalidInput(f"not an object id of {self.repository.id_length} hex digits: {id[:80]!r}")
        return id

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_ref(ref: str) -> str:
    """Return ref if it is a full ref name by git's rules, and raise InvalidInput otherwise."""
    if re.fullmatch(_REF, ref) is None or re.search(_REF_FAULT, ref) or not ref.isprintable():
        raise InvalidInput(f"not a full ref name: {ref[:200]!r}")
    return ref


def _nest(files: Mapping[str, bytes | TreeEntry]) -> _Files:
    root: _Files = {}
    for path, content in files.items():
        *directories, name = path.split("/")
        for part in (*directories, name):
            encode_name(part)
        inner = root
        for part in directories:
            below = inner.setdefault(part, {})
            if not isinstance(below, dict):
                raise InvalidInput(f"{path!r} lies below {part!r}, which is a file or was given whole")
            inner = below
        if name in inner:
            raise InvalidInput(f"{path!r} is a file and a directory at once")
        inner[name] = content
    return root

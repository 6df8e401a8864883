"""Writes a planned tree into a directory that appears under its name when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..content import ContentStore
from ..errors import Conflict, Corrupt, InvalidInput, NotFound, StoreFailed
from ..model import Pointer
from ..pointer import MAX_POINTER_BYTES, find_pointer
from ..repository import Repository
from ..store import Store, TreeEntry
from ..store.encoding import EXECUTABLE_MODE
from .plan import Plan

_CHUNK = 1 << 20
# A file of the code larger than this is nobody's code; it would have to be held in memory.
_MAX_FILE = 2 << 30


@dataclass(frozen=True)
class CheckedOut:
    """What was written: the directory, how many files and bytes, and the plan that was followed.

    `filled` are the paths whose Git LFS content was put in the place of their pointers, `pointers` those whose content
    is not on this machine, so that the pointer was written.
    """

    directory: Path
    plan: Plan
    files: int
    size: int
    filled: tuple[str, ...]
    pointers: tuple[tuple[str, Pointer], ...]


def check_target(directory: Path, repository: Repository) -> Path:
    """Return the absolute path of a directory that a tree may be written into: one that is new, or empty.

    Raises Conflict where something is there, NotFound where it has no parent directory, and InvalidInput for the
    current directory, a symbolic link, and a place inside the Git directory.
    """
    target = Path(os.path.abspath(directory))
    parent = Path(os.path.realpath(target.parent))
    if not parent.is_dir():
        raise NotFound(f"there is no directory {str(target.parent)!r}", hint=f"mkdir -p {target.parent}")
    if parent.is_relative_to(repository.common_directory):
        raise InvalidInput(f"{str(directory)!r} is inside of {str(repository.common_directory)!r}, which is Git's own")
    if target.is_symlink():
        raise InvalidInput(f"{str(directory)!r} is a symbolic link, which is not followed")
    if target.is_dir():
        if os.path.samefile(target, os.curdir):
            raise InvalidInput("the current directory cannot be written into", hint="name a new directory")
        if any(target.iterdir()):
            raise Conflict(f"{str(directory)!r} is not empty, and nothing is overwritten", hint="name a new directory")
    elif os.path.lexists(target):
        raise Conflict(f"{str(directory)!r} is there already", hint="name a new directory")
    return parent / target.name


def write_checkout(store: Store, content: ContentStore, plan: Plan, target: Path) -> CheckedOut:
    """Write a planned tree into target, a path that `check_target` returned, and say what was written.

    Files are as the tree has them, byte for byte, executable where the tree says so; Git LFS pointers are replaced by
    their content where that is here. All or nothing: the tree is written beside target and moved there when it is
    whole. Raises Conflict where target is not empty by then or the file system takes two names for one, Corrupt where
    an object or a content is damaged, and StoreFailed where something cannot be written.
    """
    try:
        with _make_sibling(target) as sibling:
            work = _Work(store, content, sibling / "tree")
            work.write(plan)
            _move(sibling / "tree", target)
    except OSError as error:
        raise StoreFailed(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
    return CheckedOut(target, plan, work.files, work.size, tuple(work.filled), tuple(work.pointers))


@contextlib.contextmanager
def _make_sibling(target: Path) -> Iterator[Path]:
    """Lend a directory beside target that nobody else may enter, and remove what is left of it."""
    sibling = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent))
    try:
        yield sibling
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def _move(tree: Path, target: Path) -> None:
    try:
        os.rename(tree, target)  # over an empty directory, and over nothing else
    except (FileExistsError, NotADirectoryError):
        raise _refuse(target) from None
    except OSError as error:
        if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
            raise _refuse(target) from error
        raise


def _refuse(target: Path) -> Conflict:
    return Conflict(f"{str(target)!r} was written to meanwhile, and nothing is overwritten")


class _Work:
    """One tree being written below root. Links come last, so that nothing is ever written through one."""

    def __init__(self, store: Store, content: ContentStore, root: Path) -> None:
        self._store = store
        self._content = content
        self._root = os.fsencode(root)
        self.files = 0
        self.size = 0
        self.filled: list[str] = []
        self.pointers: list[tuple[str, Pointer]] = []

    def write(self, plan: Plan) -> None:
        os.mkdir(self._root)
        for path in plan.directories:
            with _name_collision(path):
                os.mkdir(self._locate(path))
        for path, entry in plan.files:
            self._write_file(path, entry)
        for path, target in plan.links:
            with _name_collision(path):
                os.symlink(_encode(target), self._locate(path))
            self.files += 1

    def _locate(self, path: str) -> bytes:
        return os.path.join(self._root, _encode(path))

    def _write_file(self, path: str, entry: TreeEntry) -> None:
        data = self._store.get_blob(entry.id, limit=_MAX_FILE)
        pointer = _find_content(data)
        with _name_collision(path):
            mode = 0o777 if entry.mode == EXECUTABLE_MODE else 0o666
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._locate(path), flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            held = None if pointer is None else self._content.find(pointer)
            if pointer is not None and held is not None:
                _copy(held, pointer, file.fileno(), path)
                self.filled.append(path)
                self.size += pointer.size
            else:
                file.write(data)
                self.size += len(data)
        if pointer is not None and held is None:
            self.pointers.append((path, pointer))
        self.files += 1


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _find_content(data: bytes) -> Pointer | None:
    """Return the content that a file's bytes stand for; None where they are the content."""
    if not 0 < len(data) <= MAX_POINTER_BYTES:
        return None
    try:
        return find_pointer(data)
    except Corrupt:
        return None


def _copy(source: Path, pointer: Pointer, descriptor: int, path: str) -> None:
    digest = hashlib.sha256(usedforsecurity=False)
    with source.open("rb") as content, open(descriptor, "wb", closefd=False) as output:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            output.write(chunk)
    if digest.hexdigest() != pointer.oid:
        raise Corrupt(f"the content kept for {path!r:.200} is damaged: its sha256 is not {pointer.oid[:12]}")


@contextlib.contextmanager
def _name_collision(path: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise Conflict(
            f"{path!r:.200} cannot be written: this file system takes another file's name for the same",
            hint="name a directory on a file system that tells case and Unicode forms apart",
        ) from None

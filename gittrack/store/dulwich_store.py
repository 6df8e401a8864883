"""Owns the store that works in this process: loose objects by its own files, packs and refs by dulwich.

Only for repositories whose formats it knows; `open_store` sees to that. Needs no git, but where a partial clone lacks
an object, git is asked to fetch it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import Corrupt, StoreFailed
from ..git import Git, find_git
from ..repository import Ident, Repository, read_identity
from .disk import parse_sharing, sync_directory, sync_file
from .encoding import Kind
from .loose import LooseWriter, list_loose, loose_path, read_loose
from .new_pack import MANY, write_pack
from .objects import NewObject, Store, check_ref
from .packs import PackDirectory
from .refs import FileRefs

_MAX_ALTERNATE_DEPTH = 5

# Objects that several runs share and this process has synced once, with their inodes: they need no second time.
_durable: dict[Path, int] = {}


class DulwichStore(Store):
    """A store in this process."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self._sharing = parse_sharing(repository.config.find("core.sharedrepository"))
        self._refs = FileRefs(repository, sharing=self._sharing, find_ident=self._find_ident)
        self._turns = threading.RLock()
        self._places: list[tuple[Path, PackDirectory]] | None = None
        self._unsynced_files: set[Path] = set()
        self._unsynced_directories: set[Path] = set()
        self._author: Ident | None = None
        self._remote: Store | None = None

    def find_ref(self, ref: str) -> str | None:
        with self._turns:
            return self._refs.find(check_ref(ref))

    def list_refs(self, prefix: str) -> dict[str, str]:
        with self._turns:
            return self._refs.list(check_ref(prefix.rstrip("/")))

    def move_ref(self, ref: str, *, old: str | None, new: str, message: str) -> bool:
        check_ref(ref)
        self._check_id(new)
        if old is not None:
            self._check_id(old)
        with self.lock(), self._turns:
            return self._refs.move(ref, old=old, new=new, message=message)

    def delete_ref(self, ref: str, *, old: str) -> bool:
        check_ref(ref)
        self._check_id(old)
        with self.lock(), self._turns:
            return self._refs.delete(ref, old=old)

    def sweep(self) -> None:
        with self.lock(), self._turns:
            self._refs.sweep()

    def write_commit(self, *, tree: str, parents: Iterable[str], author: Ident, time: int, message: str) -> str:
        self._author = author
        return super().write_commit(tree=tree, parents=parents, author=author, time=time, message=message)

    def sync(self) -> None:
        with self._turns:
            try:
                for file in self._unsynced_files:
                    sync_file(file)
                # Longest first: a directory's content before the name by which it is found.
                for directory in sorted(self._unsynced_directories, key=lambda path: len(path.parts), reverse=True):
                    sync_directory(directory)
            except OSError as error:
                raise StoreFailed(f"objects cannot be synced to disk: {error.strerror or error}") from error
            for file in self._unsynced_files:
                with suppress(OSError):
                    _durable[file] = file.stat().st_ino
            self._unsynced_files.clear()
            self._unsynced_directories.clear()

    def close(self) -> None:
        with self._turns:
            for _, packs in self._places or ():
                packs.close()
            if self._remote is not None:
                self._remote.close()

    def _find_object(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        with self._turns:
            # Twice: while one look is under way, a repack can move the object to a place that was looked at already.
            return self._look(id, limit=limit) or self._look(id, limit=limit) or self._ask_remote(id, limit=limit)

    def _look(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        damage: Corrupt | None = None
        for objects, packs in self._list_places():
            for find in (_find_loose, _find_packed):
                try:
                    found = find(objects, packs, id, limit=limit)
                except Corrupt as error:
                    damage = error  # as git does: another copy of it may be good
                    continue
                if found is not None:
                    return found
        if damage is not None:
            raise damage
        return None

    def _ask_remote(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        if not self.repository.is_partial or find_git() is None:
            return None
        if self._remote is None:
            from .git_store import GitStore

            self._remote = GitStore(self.repository)
        return self._remote._find_object(id, limit=limit)

    def _has_object(self, id: str) -> bool:
        self._check_id(id)
        with self._turns:
            for _ in range(2):
                for objects, packs in self._list_places():
                    if os.path.exists(loose_path(objects, id)) or packs.has_object(id):
                        return True
            return self.repository.is_partial

    def _list_ids(self, prefix: str) -> Iterable[str]:
        with self._turns:
            return [
                id
                for objects, packs in self._list_places()
                for ids in (list_loose(objects, prefix), packs.list_ids(prefix))
                for id in ids
            ]

    def _write_objects(self, objects: Iterable[NewObject]) -> None:
        directory = self.repository.objects_directory
        with self._turns, LooseWriter(directory, sharing=self._sharing) as writer:
            try:
                for new in objects:
                    if not self._keep(loose_path(directory, new.id), new):
                        writer.begin(new.id, new.kind, new.data)
                writer.finish()
            except OSError as error:
                raise StoreFailed(f"{directory} cannot be written to: {error.strerror or error}") from error
            self._unsynced_directories.update(writer.changed)

    def _write_many(self, objects: Collection[NewObject]) -> None:
        if len(objects) < MANY or find_git() is None:
            self._write_objects(objects)
            return
        write_pack(Git(self.repository.directory), objects, self.repository.object_format)
        with self._turns:
            self._unsynced_directories.add(self.repository.objects_directory / "pack")

    def _keep(self, path: Path, new: NewObject) -> bool:
        """Take an object that is there already as it is, if it is whole, and tell whether it was taken.

        A copy in a pack does not count: to look for it costs more than to write it, and `git gc` drops it again.
        """
        try:
            found = read_loose(self.repository.objects_directory, new.id, limit=len(new.data))
            if found != (new.kind, new.data):
                return False
            os.utime(path)  # so that a `git gc` that runs now does not take it for old and unwanted
        except (Corrupt, OSError):
            return False
        # Whoever wrote it may not have waited for the disk, unless it was this process.
        if _durable.get(path) != path.stat().st_ino:
            self._unsynced_files.add(path)
            self._unsynced_directories.update((path.parent, path.parent.parent))
        return True

    def _list_places(self) -> list[tuple[Path, PackDirectory]]:
        """Return the repository's own objects directory and those it borrows from, with their packs."""
        if self._places is None:
            directories = _find_object_directories(self.repository.objects_directory)
            object_format = self.repository.object_format
            self._places = [(directory, PackDirectory(directory, object_format)) for directory in directories]
        return self._places

    def _find_ident(self) -> Ident:
        """Return whom the reflog names: the author of what was written last, else whoever the configuration names."""
        if self._author is None:
            self._author = read_identity(self.repository)
        return self._author


def _find_loose(objects: Path, packs: PackDirectory, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
    try:
        return read_loose(objects, id, limit=limit)
    except OSError as error:
        raise Corrupt(f"its file cannot be read: {error.strerror or error}") from error


def _find_packed(objects: Path, packs: PackDirectory, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
    return packs.find_object(id, limit=limit)


def _find_object_directories(objects: Path) -> list[Path]:
    """Return objects and, in the order git looks through them, what its `info/alternates` files name."""
    found: dict[Path, None] = {}

    def add(directory: Path, depth: int) -> None:
        if directory in found or depth > _MAX_ALTERNATE_DEPTH:
            return
        found[directory] = None
        for line in _read_alternates(directory):
            add(Path(os.path.realpath(directory / line)), depth + 1)

    add(Path(os.path.realpath(objects)), 0)
    return list(found)


def _read_alternates(directory: Path) -> Iterator[str]:
    try:
        lines = os.fsdecode((directory / "info" / "alternates").read_bytes()).split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (line for line in lines if line and not line.startswith("#"))

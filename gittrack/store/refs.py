"""Owns refs kept as files, by dulwich, and what dulwich leaves out: patience with locks, the sweeping of dead ones, the
syncing of directories, and a reflog where the repository keeps one.

Knows nothing of objects.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dulwich.errors import PackedRefsException, RefFormatError
from dulwich.file import FileLocked
from dulwich.objects import ZERO_SHA, ObjectID
from dulwich.refs import SYMREF, DiskRefsContainer, Ref, SymrefLoop

from ..errors import Corrupt, StoreFailed
from ..layout import gittrack_directory
from ..repository import Ident, Repository
from .disk import Sharing, make_directories, sync_directory

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_LONGEST_WAIT = 10.0
_LONGEST_PAUSE = 0.05
_DEAD_LOCK_AGE = 600.0
_MARK_SLACK = 5.0
_LOGGED = ("refs/heads/", "refs/remotes/", "refs/notes/")


class FileRefs:
    """The refs of one repository. Moving and deleting is to be done under the store's lock."""

    def __init__(self, repository: Repository, *, sharing: Sharing, find_ident: Callable[[], Ident]) -> None:
        self._repository = repository
        self._sharing = sharing
        self._find_ident = find_ident
        self._refs = DiskRefsContainer(repository.common_directory, repository.git_directory, logger=self._log)
        self._mark = gittrack_directory(repository.common_directory) / "moving"
        self._id = re.compile(b"[0-9a-f]{%d}" % repository.id_length)

    def find(self, ref: str) -> str | None:
        """Return the id a ref resolves to, or None; Corrupt where it holds none."""
        name = _encode(ref)
        try:
            id = self._refs.read_loose_ref(name)
            if id == b"":
                raise Corrupt(f"{ref} is damaged: its file is empty", hint=f"git update-ref {ref} <commit>")
            if id is None or id.startswith(SYMREF):
                _, id = self._refs.follow(name)
        except SymrefLoop:
            raise Corrupt(f"{ref} stands for itself", hint=f"git symbolic-ref {ref}") from None
        except (StopIteration, PackedRefsException) as error:
            raise self._packed_refs_are_damaged() from error
        if id is not None and self._id.fullmatch(id) is None:
            raise Corrupt(f"{ref} is damaged: it holds no object id", hint=f"git update-ref {ref} <commit>")
        return None if id is None else id.decode()

    def list(self, prefix: str) -> dict[str, str]:
        """Return the refs below prefix with the ids they resolve to; broken ones are left out."""
        base = _encode(prefix.rstrip("/") + "/")
        try:
            packed = self._refs.get_packed_refs()
            names = [Ref(base + name) for name in self._refs.subkeys(base)]
        except (StopIteration, PackedRefsException) as error:
            raise self._packed_refs_are_damaged() from error
        found = {}
        for name in sorted(names):
            # Where there are thousands of packed refs, asking for each one's file costs a tenth of trying to open it.
            loose = name not in packed or os.path.lexists(self._refs.refpath(name))
            id = self._resolve(name) if loose else packed[name]
            if id is not None and self._id.fullmatch(id):
                found[os.fsdecode(name)] = id.decode()
        return found

    def _resolve(self, name: Ref) -> bytes | None:
        try:
            return self._refs.follow(name)[1]
        except (SymrefLoop, RefFormatError):
            return None

    def move(self, ref: str, *, old: str | None, new: str, message: str) -> bool:
        """Let ref be new if it is old (None: if it does not exist) and tell whether it was; on disk when it does."""
        name = _encode(ref)
        real = self._follow_to_last(name)
        path = self._path(real)
        changed: set[Path] = set()
        text = message.encode("utf-8", "replace")

        def attempt() -> bool:
            # Inside of each attempt: whoever deletes the last ref of a directory removes that too.
            changed.update(make_directories(path.parent, sharing=self._sharing))
            with suppress(OSError):
                path.rmdir()  # an empty directory where a deleted ref `<ref>/x` was, which git too takes away
            # dulwich spells "must not exist" with forty zeros, also among SHA-256 ids; None means "whatever it is".
            expected = ZERO_SHA if old is None else ObjectID(old.encode())
            return self._refs.set_if_equals(name, expected, ObjectID(new.encode()), message=text)

        with self._marked(real):
            moved = self._insist(ref, attempt)
        if not moved:
            return False
        for directory in sorted(changed | {path.parent}, reverse=True):
            sync_directory(directory)
        return True

    def delete(self, ref: str, *, old: str) -> bool:
        """Delete ref if it is old, with its reflog, and tell whether it was; on disk when it does."""
        name = _encode(ref)
        with self._marked(name):
            deleted = self._insist(ref, lambda: self._refs.remove_if_equals(name, ObjectID(old.encode())))
        if not deleted:
            return False
        log = self._log_path(ref)
        log.unlink(missing_ok=True)
        root = self._repository.common_directory / "logs" / "refs"
        for directory in log.parents:
            if directory.parent == root:
                break
            with suppress(OSError):  # not empty
                directory.rmdir()
        path = self._path(name)
        sync_directory(next(directory for directory in path.parents if directory.is_dir()))
        return True

    @contextmanager
    def _marked(self, name: Ref) -> Iterator[None]:
        """Say on disk which ref is being written, so that lock files left by a `kill -9` are known for what they are.

        Whoever comes next holds the store's lock, so a mark that is still there was made by a dead process, and lock
        files as old as the mark are its own: they need not grow ten minutes old before they are swept.
        """
        self.sweep()
        try:
            try:
                self._mark.write_bytes(name)
            except PermissionError:  # made by somebody else who shares the repository
                self._mark.unlink()
                self._mark.write_bytes(name)
        except OSError as error:
            raise StoreFailed(f"{self._mark} cannot be written: {error.strerror or error}") from error
        try:
            yield
        finally:
            with suppress(OSError):
                os.truncate(self._mark, 0)  # it stays: to create a file costs more than to write to one

    def sweep(self) -> None:
        """Remove what `_marked` knows to be left by a dead process."""
        try:
            self._clear_mark()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreFailed(f"{self._mark} cannot be cleared: {error.strerror or error}") from error

    def _clear_mark(self) -> None:
        made, name = self._mark.stat().st_mtime, self._mark.read_bytes()
        if not name:
            return
        for path in (self._path(Ref(name)), self._repository.common_directory / "packed-refs"):
            lock = path.with_name(path.name + ".lock")
            with suppress(FileNotFoundError):
                if abs(lock.stat().st_mtime - made) < _MARK_SLACK and not _is_open(lock):
                    lock.unlink()
        self._mark.unlink()

    def _insist(self, ref: str, attempt: Callable[[], bool]) -> bool:
        """Return what attempt returns, as soon as nobody else holds the lock it needs."""
        deadline = time.monotonic() + _LONGEST_WAIT
        pause = 0.001
        while True:
            try:
                return attempt()
            except FileLocked as error:
                lock = Path(os.fsdecode(error.lockfilename))
                if _sweep(lock):
                    continue
                if time.monotonic() > deadline:
                    raise StoreFailed(f"{ref} is locked by another process, by {lock}", hint=f"rm {lock}") from None
            except FileNotFoundError as error:  # its directory was removed by another process just now
                if time.monotonic() > deadline:
                    raise StoreFailed(f"{ref} cannot be written: {error}") from error
            except (StopIteration, PackedRefsException) as error:
                raise self._packed_refs_are_damaged() from error
            except OSError as error:
                raise StoreFailed(f"{ref} cannot be written: {error.strerror or error}") from error
            time.sleep(_chance.uniform(0, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _follow_to_last(self, name: Ref) -> Ref:
        try:
            if not (self._refs.read_loose_ref(name) or b"").startswith(SYMREF):
                return name
            return self._refs.follow(name)[0][-1]
        except SymrefLoop:
            return name
        except (StopIteration, PackedRefsException) as error:
            raise self._packed_refs_are_damaged() from error

    def _path(self, name: Ref) -> Path:
        return Path(os.fsdecode(self._refs.refpath(name)))

    def _packed_refs_are_damaged(self) -> Corrupt:
        return Corrupt(f"{self._repository.common_directory / 'packed-refs'} is damaged", hint="git pack-refs --all")

    def _log_path(self, ref: str) -> Path:
        return self._repository.common_directory / "logs" / ref

    def _log(
        self,
        name: bytes,
        old: bytes | None,
        new: bytes | None,
        committer: bytes | None,
        timestamp: int | None,
        timezone: int | None,
        message: bytes,
    ) -> None:
        """Add a line to the reflog, by git's own rule for which refs have one.

        A branch of runs only ever grows, so its history says all that its reflog does; but the user's git keeps one for
        every other branch, and a log with gaps would be worse than none.
        """
        ref = os.fsdecode(name)
        path = self._log_path(ref)
        if new is None or not (self._is_logged(ref) or os.path.exists(path)):
            return
        zero = b"0" * len(new)
        before = zero if old is None or old == ZERO_SHA else old
        ident = self._find_ident()
        person = re.sub("[\n<>]", " ", f"{ident.name} \0{ident.email}\1").replace("\0", "<").replace("\1", ">")
        text = b" ".join(message.split())
        line = b"%b %b %b %d +0000\t%b\n" % (before, new, person.encode("utf-8", "replace"), int(time.time()), text)
        with suppress(OSError):  # the branch itself is the record: a log in the way must not keep it from moving
            make_directories(path.parent, sharing=self._sharing)
            with open(path, "ab", buffering=0) as file:
                file.write(line)
            self._sharing.apply(path)

    def _is_logged(self, ref: str) -> bool:
        config = self._repository.config
        if (config.find("core.logallrefupdates") or "").lower() == "always":
            return True
        wanted = config.find_bool("core.logallrefupdates", default=not self._repository.bare)
        return wanted and ref.startswith(_LOGGED)


def _encode(ref: str) -> Ref:
    return Ref(os.fsencode(ref))


def _sweep(lock: Path) -> bool:
    """Remove a lock file that its maker died over, and tell whether it is gone.

    That is one older than the machine's last start, or one that is ten minutes old and open in no process.
    """
    try:
        made = lock.stat().st_mtime
        if made > _find_boot_time() and (time.time() - made < _DEAD_LOCK_AGE or _is_open(lock)):
            return False
        lock.unlink()
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreFailed(f"{lock} is left from a dead process and cannot be removed: {error.strerror}") from error
    return True


def _find_boot_time() -> float:
    """Return when this machine was started, in seconds since 1970; 0 where the system does not say."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.time() - time.clock_gettime(clock)


def _is_open(path: Path) -> bool:
    """Tell whether a process that can be looked into has path open; where there is no /proc, none can."""
    with suppress(OSError):
        for process in os.scandir("/proc"):
            if process.name.isdigit():
                with suppress(OSError):
                    if any(os.path.samefile(entry.path, path) for entry in os.scandir(f"/proc/{process.name}/fd")):
                        return True
    return False

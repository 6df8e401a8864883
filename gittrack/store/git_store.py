"""Owns the store that works through the user's git: for repositories whose formats only git knows.

Objects are read from a `git cat-file --batch` that stays open, and written as one pack at a time by
`git unpack-objects`; refs by `git update-ref`. What git leaves out, the syncing of directories, is done here.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Collection, Iterable

from ..errors import Corrupt, RemoteFailed, StoreFailed
from ..git import DURABLE, Git, GitFailed, Stream, clean_text
from ..repository import Repository
from .disk import sync_directory, sync_file
from .encoding import Kind
from .loose import loose_path
from .new_pack import MANY, format_pack, write_pack
from .objects import NewObject, Store, check_ref

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_LONGEST_WAIT = 10.0
_LONGEST_PAUSE = 0.05


class GitStore(Store):
    """A store through git."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self._git = Git(repository.directory)
        self._turns = threading.RLock()
        self._reader: Stream | None = None
        self._checker: Stream | None = None
        self._owner = os.getpid()
        self._unsynced: set[str] = set()

    def find_ref(self, ref: str) -> str | None:
        check_ref(ref)
        try:
            id = self._git.run("show-ref", "--verify", "--hash", "--", ref).decode().strip()
        except GitFailed as error:
            if error.code < 0 or "not a valid ref" not in error.stderr:
                raise
            if self.repository.ref_format == "files" and os.path.isfile(self.repository.common_directory / ref):
                raise Corrupt(f"{ref} is damaged: {error.stderr}", hint=f"git update-ref {ref} <commit>") from None
            return None
        return id

    def list_refs(self, prefix: str) -> dict[str, str]:
        base = check_ref(prefix.rstrip("/")) + "/"
        listing = self._git.run("for-each-ref", "--format=%(objectname) %(refname)", "--", base)
        pairs = (line.split(" ", 1) for line in os.fsdecode(listing).splitlines())
        return {ref: id for id, ref in pairs}

    def move_ref(self, ref: str, *, old: str | None, new: str, message: str) -> bool:
        check_ref(ref)
        expected = "0" * self.repository.id_length if old is None else self._check_id(old)
        reason = " ".join(message.split()) or "update"
        return self._update(ref, old, ("update-ref", "-m", reason, "--", ref, self._check_id(new), expected))

    def delete_ref(self, ref: str, *, old: str) -> bool:
        return self._update(check_ref(ref), old, ("update-ref", "-d", "--", ref, self._check_id(old)))

    def _update(self, ref: str, old: str | None, arguments: tuple[str, ...]) -> bool:
        """Run an update of ref until it succeeds or ref is seen not to be old; wait while somebody has it locked."""
        deadline = time.monotonic() + _LONGEST_WAIT
        pause = 0.001
        with self.lock():
            while True:
                try:
                    self._git.run(*DURABLE, *arguments)
                    self._sync_ref(ref)
                    return True
                except GitFailed as error:
                    if self.find_ref(ref) != old:
                        return False
                    if "File exists" not in error.stderr or time.monotonic() > deadline:
                        raise
                time.sleep(_chance.uniform(0, pause))
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _sync_ref(self, ref: str) -> None:
        common = self.repository.common_directory
        if self.repository.ref_format != "files":
            sync_directory(common / self.repository.ref_format)
            return
        sync_file(common / ref)  # git before 2.36 does not
        for name in (ref, *_parents(ref)):
            sync_directory((common / name).parent)

    def sync(self) -> None:
        objects = self.repository.objects_directory
        with self._turns:
            try:
                for id in self._unsynced:
                    sync_file(loose_path(objects, id))
                for directory in {loose_path(objects, id).parent for id in self._unsynced}:
                    sync_directory(directory)
                if self._unsynced:
                    sync_directory(objects)
            except OSError as error:
                raise StoreFailed(f"objects cannot be synced to disk: {error.strerror or error}") from error
            self._unsynced.clear()

    def close(self) -> None:
        with self._turns:
            for stream in (self._reader, self._checker):
                if stream is not None:
                    stream.cancel()
            self._reader = self._checker = None

    def _find_object(self, id: str, *, limit: int | None) -> tuple[Kind, bytes] | None:
        with self._turns:
            self._leave_parents_streams()
            if self._reader is None:
                self._reader = self._open("--batch")
            header = self._ask(self._reader, id)
            if header is None:
                self._check_missing(id)
                return None
            kind, size = header
            if limit is not None and size > limit:
                self.close()  # what it would send now is not wanted
                raise Corrupt(f"it is {size} bytes large, more than the {limit} expected")
            data = self._reader.stdout.read(size)
            if len(data) != size or self._reader.stdout.read(1) != b"\n":
                raise self._end_of_stream(self._reader)
            return kind, data

    def _check_missing(self, id: str) -> None:
        """Raise Corrupt where an object is there after all, and only cannot be read: git calls that missing too."""
        try:
            self._git.run("--no-replace-objects", "cat-file", "-e", id)
        except GitFailed:
            return
        raise Corrupt("git cannot read it")

    def _has_object(self, id: str) -> bool:
        with self._turns:
            self._leave_parents_streams()
            if self._checker is None:
                self._checker = self._open("--batch-check")
            return self._ask(self._checker, self._check_id(id)) is not None

    def _list_ids(self, prefix: str) -> Iterable[str]:
        return self._git.run("rev-parse", f"--disambiguate={prefix}").decode().split()

    def _write_objects(self, objects: Iterable[NewObject]) -> None:
        found = {new.id: new for new in objects}
        self._git.run(
            *DURABLE, "unpack-objects", "-q", input=format_pack(found.values(), self.repository.object_format)
        )
        with self._turns:
            self._unsynced.update(found)

    def _write_many(self, objects: Collection[NewObject]) -> None:
        if len(objects) < MANY:
            self._write_objects(objects)
            return
        write_pack(self._git, objects, self.repository.object_format)
        sync_directory(self.repository.objects_directory / "pack")

    def _open(self, mode: str) -> Stream:
        return self._git.stream("--no-replace-objects", "cat-file", mode)

    def _leave_parents_streams(self) -> None:
        """In a forked child, forget the pipes that are the parent's: two askers would mix up their answers."""
        if self._owner != os.getpid():
            self._reader = self._checker = None
            self._owner = os.getpid()

    def _ask(self, stream: Stream, id: str) -> tuple[Kind, int] | None:
        try:
            stream.stdin.write(id.encode() + b"\n")
            stream.stdin.flush()
        except BrokenPipeError:
            raise self._end_of_stream(stream) from None
        line = stream.stdout.readline()
        match = re.fullmatch(rb"[0-9a-f]+ (commit|tree|blob|tag) ([0-9]+)\n", line)
        if match is None:
            if line == id.encode() + b" missing\n":
                return None
            if line:
                self.close()
                raise Corrupt(f"git answered {clean_text(line)!r}")
            raise self._end_of_stream(stream)
        kind: Kind = match.group(1).decode()  # type: ignore[assignment]  # the expression names just these
        return kind, int(match.group(2))

    def _end_of_stream(self, stream: Stream) -> Corrupt | RemoteFailed:
        """Return why git ended before it gave an answer, and let the next question start another.

        RemoteFailed where the object is left to the remote of a partial clone, and git could not get it there.
        """
        reason = "git gave no answer"
        try:
            stream.finish()
        except GitFailed as error:
            reason = error.stderr or error.message
        self.close()
        if "promisor remote" in reason:
            return RemoteFailed(
                "this clone fetches what it lacks when it is needed, and the remote did not send it: "
                f"{' '.join(re.split('fatal: ', reason)[:2]).strip():.300}",
                hint="git remote -v",
            )
        return Corrupt(reason)


def _parents(ref: str) -> list[str]:
    parts = ref.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]

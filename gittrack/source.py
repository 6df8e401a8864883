"""Owns the capture of the code that runs: the exact tree of the working directory, as objects in its repository.

What Git tracks is taken as it is on disk, through the same clean filters (line ends, Git LFS) as the user's own
`git add`, so that blob ids equal those of a later commit. Untracked files that are not ignored are taken too, within
limits and without secrets. The user's HEAD, index and working tree are only ever read. Knows nothing of runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from . import layout
from .errors import GittrackError, InvalidInput, StoreFailed, Unsupported
from .git import DURABLE, Git, GitFailed, Started
from .model import LeftOut, LeftOutReason, SourceLink
from .repository import Repository, find_head
from .scrub import Scrubber, is_secret_name
from .settings import Settings

_STATUS = (
    "status",
    "--porcelain=v2",
    "-z",
    "--branch",
    "--no-ahead-behind",
    "--untracked-files=all",
    "--no-renames",
    "--ignore-submodules=untracked",
)
# A copied split index must stay whole, and a warning about line ends must not end the capture.
_STAGE = (*DURABLE, "-c", "core.splitIndex=false", "-c", "core.safecrlf=false")
# Many files go into one pack instead of one file each: to make a pack durable is one wait for the disk.
_STAGE_MANY = (*_STAGE, "-c", "core.bigFileThreshold=1")
_MANY = 50
_NOTHING = b"000000"
_MAX_LISTED = 200
_MAX_LOOSE = 100
_DEAD_AFTER_SECONDS = 24 * 3600
# What is taken first where a limit is near: code, then what configures it, then all else.
_CODE = frozenset(
    b".py .pyi .pyx .ipynb .r .jl .c .h .cc .cpp .cu .cuh .hpp .rs .go .java .scala .js .ts .sh .m".split()
)
_CONFIGURATION = frozenset(b".toml .yaml .yml .json .cfg .ini .sql .md .rst .txt .mk .cmake .proto".split())


class Capture:
    """A capture of the code in repository (None: outside any) as the run in directory finds it.

    `begin` it early, then `finish` it; as a context manager it cancels itself where it was not finished. `problem` is,
    after `finish`, why only the commit could be recorded and not the working tree, or None.
    """

    def __init__(self, repository: Repository | None, directory: Path) -> None:
        self._repository = repository
        self._directory = directory
        self._status: Started | None = None
        self.problem: GittrackError | None = None

    def begin(self) -> None:
        """Let git find out what differs from HEAD, in a process of its own; safe to repeat.

        Outside a repository, and in a bare one, there is nothing to find out.
        """
        if self._status is not None or self._repository is None or self._repository.worktree is None:
            return
        try:
            self._status = Git(self._repository.worktree).start(*_STATUS)
        except GittrackError as error:
            self.problem = error

    def finish(self, *, settings: Settings, scrubber: Scrubber) -> SourceLink:
        """Return the link to the code as it is on disk; its objects are durable in the code's repository.

        Where nothing differs from the commit, `dirty` is False and `tree` None: the tree is the commit's own. Where the
        working tree cannot be read or stored, or git is missing, `captured` is `commit`, and `problem` says why. To be
        called once.
        """
        self.begin()
        repository = self._repository
        if repository is None or repository.worktree is None:
            return SourceLink()
        if self._status is not None:
            link = SourceLink(directory=_find_place(repository.worktree, self._directory))
            try:
                return _Work(repository, settings, scrubber).capture(link, self._status.finish())
            except (OSError, GittrackError) as error:
                self.problem = error if isinstance(error, GittrackError) else StoreFailed(str(error))
        return capture_commit(repository, self._directory, scrubber=scrubber)

    def cancel(self) -> None:
        """End the capture; safe to repeat, also after `finish`."""
        if self._status is not None:
            self._status.cancel()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


def capture_commit(repository: Repository, directory: Path, *, scrubber: Scrubber) -> SourceLink:
    """Return the link to HEAD's commit alone, read without git; `tree` is None and means the commit's own.

    Nothing is captured where there is no commit yet, or where the refs cannot be read without git.
    """
    if repository.worktree is None:
        return SourceLink()
    place = _find_place(repository.worktree, directory)
    try:
        branch, commit = find_head(repository)
    except Unsupported:
        return SourceLink(directory=place)
    remote = _find_remote(repository, branch, scrubber)
    return SourceLink(commit, branch, remote, captured="commit" if commit else "none", directory=place)


def copy_source(code: Repository, store: Repository, tree: str) -> None:
    """Make sure that store has every object of a source tree of code; what it has already is not sent again.

    The objects are durable when this returns, but nothing refers to them yet. Safe to repeat. Raises Unsupported where
    git is missing or the two name objects by different hashes, GitFailed where code lacks an object.
    """
    if code.object_format != store.object_format:
        raise Unsupported(f"the code's objects are named by {code.object_format}, the store's by {store.object_format}")
    if not re.fullmatch("[0-9a-f]{40,64}", tree):
        raise InvalidInput(f"not the id of a tree: {tree[:80]!r}")
    source, target = Git(code.git_directory), Git(store.git_directory)
    if _is_complete(target, tree):
        return
    missing = _find_missing(target, source.run("rev-list", "--objects", "--no-object-names", tree, "--"))
    few = len(missing) <= _MAX_LOOSE
    unpack = ("unpack-objects", "-q") if few else ("index-pack", "--stdin")
    with source.stream("pack-objects", "--stdout", "-q", "--delta-base-offset") as pack:
        pack.stdin.write(b"\n".join(missing) + b"\n")
        pack.stdin.close()
        with target.stream(*DURABLE, *unpack) as receiver:
            shutil.copyfileobj(pack.stdout, receiver.stdin, 1 << 20)


def _is_complete(target: Git, tree: str) -> bool:
    try:
        target.run("rev-list", "--objects", "--quiet", tree, "--")
    except GitFailed:
        return False
    return True


def _find_missing(target: Git, wanted: bytes) -> list[bytes]:
    answers = target.run("cat-file", "--batch-check=%(objectname)", input=wanted)
    return [line.removesuffix(b" missing") for line in answers.splitlines() if line.endswith(b" missing")]


@dataclass(frozen=True)
class _Change:
    """A tracked path that differs between HEAD, the index and the working tree, as `git status` says."""

    path: bytes
    disk: str
    submodule: str
    head_mode: bytes
    head_id: bytes
    tracked: bool = True

    @property
    def is_only_staged(self) -> bool:
        """Tell whether the working tree is as the index, so that there is nothing more to stage."""
        return self.disk == "."

    @property
    def is_removed(self) -> bool:
        """Tell whether the index has a file that is not on disk."""
        return self.disk == "D"


@dataclass(frozen=True)
class _Status:
    commit: str | None
    branch: str | None
    changes: tuple[_Change, ...]
    untracked: tuple[bytes, ...]


class _Work:
    """The steps of one capture."""

    def __init__(self, repository: Repository, settings: Settings, scrubber: Scrubber) -> None:
        self.repository = repository
        self.settings = settings
        self.scrubber = scrubber

    def capture(self, link: SourceLink, status: bytes) -> SourceLink:
        found = _parse_status(status)
        remote = _find_remote(self.repository, found.branch, self.scrubber)
        link = replace(link, commit=found.commit, branch=found.branch, remote=remote)
        left_out: list[LeftOut] = []
        stage, restore = self._choose_changes(found.changes, left_out)
        stage += self._choose_untracked(found.untracked, left_out)
        dirty = bool(found.changes or stage)
        tree = self._write_tree(stage, restore) if dirty else None
        captured = tree is not None or found.commit is not None
        return replace(
            link,
            dirty=dirty,
            captured="worktree" if captured else "none",
            tree=tree,
            left_out=tuple(_shorten(left_out)),
        )

    def _choose_changes(self, changes: Iterable[_Change], left_out: list[LeftOut]) -> tuple[list[bytes], list[_Change]]:
        """Return the tracked paths to stage from disk, and the changes to undo: those of files that hold secrets."""
        stage: list[bytes] = []
        restore: list[_Change] = []
        for change in changes:
            if change.submodule[:1] == "S":
                if "M" in change.submodule[2:]:
                    left_out.append(LeftOut(os.fsdecode(change.path) + "/", 0, "special-file"))
                if change.submodule[1:2] == "C" or change.is_removed:
                    stage.append(change.path)
                continue
            entry = None if change.is_removed else self._stat(change.path)
            if entry is not None and change.tracked and is_secret_name(os.fsdecode(change.path)):
                left_out.append(_leave(change.path, entry, "secret-name"))
                restore.append(change)
            elif change.is_only_staged:
                continue
            elif entry is None or not (reason := self._find_obstacle(change.path, entry)):
                stage.append(change.path)
            else:
                left_out.append(_leave(change.path, entry, reason))
        return stage, restore

    def _choose_untracked(self, paths: Iterable[bytes], left_out: list[LeftOut]) -> list[bytes]:
        """Return the untracked files to stage: code before other files, small before large, until a limit is met."""
        candidates: list[tuple[int, int, bytes, os.stat_result]] = []
        for path in paths:
            entry = self._stat(path)
            if entry is None:
                continue
            reason = self._find_reason(path, entry)
            if reason:
                left_out.append(_leave(path, entry, reason))
            else:
                candidates.append((_rank(path), entry.st_size, path, entry))
        chosen: list[bytes] = []
        total = 0
        for _, size, path, entry in sorted(candidates, key=lambda candidate: candidate[:3]):
            late_reason = self._find_late_reason(path, entry, count=len(chosen), total=total)
            if late_reason:
                left_out.append(_leave(path, entry, late_reason))
            else:
                chosen.append(path)
                total += size
        return chosen

    def _find_reason(self, path: bytes, entry: os.stat_result) -> LeftOutReason | None:
        """Return why an untracked path is left out whatever else there is; its content is not read."""
        # Git names a repository inside this one as a directory, and would store no more of it than a commit id.
        if path.endswith(b"/"):
            return "special-file"
        if is_secret_name(os.fsdecode(path)):
            return "secret-name"
        if stat.S_ISREG(entry.st_mode) and entry.st_size > self.settings.source_file_limit:
            return "too-large"
        return self._find_obstacle(path, entry)

    def _find_late_reason(self, path: bytes, entry: os.stat_result, *, count: int, total: int) -> LeftOutReason | None:
        if count >= self.settings.source_count_limit:
            return "too-many"
        if total + entry.st_size > self.settings.source_total_limit:
            return "total-too-large"
        if not stat.S_ISREG(entry.st_mode):
            return None
        try:
            with open(self._locate(path), "rb") as file:
                return (
                    "secret-content"
                    if self.scrubber.has_secret(file.read(self.settings.source_file_limit + 1))
                    else None
                )
        except OSError:
            return "unreadable"

    def _find_obstacle(self, path: bytes, entry: os.stat_result) -> LeftOutReason | None:
        """Return why git could not store what stands at path, or None."""
        if stat.S_ISREG(entry.st_mode):
            return None if os.access(self._locate(path), os.R_OK) else "unreadable"
        return None if stat.S_ISLNK(entry.st_mode) or stat.S_ISDIR(entry.st_mode) else "special-file"

    def _locate(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.repository.directory), path)

    def _stat(self, path: bytes) -> os.stat_result | None:
        try:
            return os.lstat(self._locate(path).rstrip(b"/"))
        except OSError:
            return None

    def _write_tree(self, stage: list[bytes], restore: list[_Change]) -> str:
        with _copy_index(self.repository) as index:
            git = Git(self.repository.directory, environment={"GIT_INDEX_FILE": str(index)})
            if restore:
                git.run(*_STAGE, "update-index", "-z", "--index-info", input=b"".join(map(_restore_line, restore)))
            if stage:
                paths = b"".join(path + b"\0" for path in stage)
                options = _STAGE_MANY if len(stage) > _MANY else _STAGE
                git.run(*options, "update-index", "--add", "--remove", "--replace", "-z", "--stdin", input=paths)
            return git.run(*_STAGE, "write-tree").decode().strip()


def _parse_status(output: bytes) -> _Status:
    """Read `git status --porcelain=v2 -z --branch`, as git-status(1) describes it."""
    headers: dict[bytes, str] = {}
    changes: list[_Change] = []
    untracked: list[bytes] = []
    for entry in output.split(b"\0"):
        kind, _, rest = entry.partition(b" ")
        if kind == b"?":
            untracked.append(rest)
        elif kind == b"1":
            states, submodule, mode, index_mode, _, head, _, path = rest.split(b" ", 7)
            # A path that is only to be added has no mode in the index yet.
            tracked = index_mode != _NOTHING or states[1:] == b"A"
            changes.append(_Change(path, states[1:].decode(), submodule.decode(), mode, head, tracked))
        elif kind == b"u":
            # Of an unmerged path, stage 2 is HEAD's; what is on disk is what runs.
            _, submodule, _, mode, _, disk_mode, _, head, _, path = rest.split(b" ", 9)
            changes.append(_Change(path, "D" if disk_mode == _NOTHING else "M", submodule.decode(), mode, head))
        elif kind == b"#":
            name, _, value = rest.partition(b" ")
            headers[name] = os.fsdecode(value)
    commit, branch = headers.get(b"branch.oid"), headers.get(b"branch.head")
    return _Status(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        changes=tuple(changes),
        untracked=tuple(untracked),
    )


def _restore_line(change: _Change) -> bytes:
    """Return what tells `git update-index --index-info` to take a path as HEAD has it."""
    gone = b"0 " + b"0" * len(change.head_id) + b"\t" + change.path + b"\0"
    if change.head_mode == _NOTHING:
        return gone
    return gone + change.head_mode + b" " + change.head_id + b"\t" + change.path + b"\0"


@contextlib.contextmanager
def _copy_index(repository: Repository) -> Iterator[Path]:
    """Lend a copy of the user's index, in a directory of its own that is removed afterwards."""
    home = layout.gittrack_directory(repository.common_directory)
    home.mkdir(exist_ok=True)
    _remove_dead_copies(home)
    directory = home / f"index-{os.urandom(8).hex()}"
    directory.mkdir(mode=0o700)
    try:
        copy = directory / "index"
        with contextlib.suppress(FileNotFoundError), open(repository.git_directory / "index", "rb") as index:
            copy.write_bytes(index.read())
            # Git tells by the index's time which files may have changed since unseen.
            times = os.fstat(index.fileno())
            os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield copy
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _remove_dead_copies(home: Path) -> None:
    """Remove the copies that processes left which were killed."""
    for directory in home.glob("index-*"):
        with contextlib.suppress(OSError):
            if time.time() - directory.stat().st_mtime > _DEAD_AFTER_SECONDS:
                shutil.rmtree(directory, ignore_errors=True)


def _find_place(worktree: Path, directory: Path) -> str:
    place = Path(os.path.realpath(directory))
    return place.relative_to(worktree).as_posix() if place.is_relative_to(worktree) else "."


def _find_remote(repository: Repository, branch: str | None, scrubber: Scrubber) -> str | None:
    """Return the URL of the branch's remote, else of `origin`, without credentials."""
    config = repository.config
    names = [config.find(f"branch.{branch}.remote") if branch else None, "origin"]
    for name in names:
        url = config.find(f"remote.{name}.url") if name else None
        if url:
            return scrubber.url(url, where="source.remote")
    return None


def _rank(path: bytes) -> int:
    suffix = os.path.splitext(path)[1].lower()
    return 0 if suffix in _CODE else 1 if suffix in _CONFIGURATION else 2


def _leave(path: bytes, entry: os.stat_result, reason: LeftOutReason) -> LeftOut:
    size = entry.st_size if stat.S_ISREG(entry.st_mode) else 0
    return LeftOut(os.fsdecode(path), size, reason)


def _shorten(left_out: list[LeftOut]) -> list[LeftOut]:
    """Return the list sorted; one that is too long to read names directories, with the size of all in them."""
    deepest = max((entry.path.count("/") for entry in left_out), default=0)
    for depth in range(deepest, -1, -1):
        if len(left_out) <= _MAX_LISTED:
            break
        sizes: dict[tuple[str, LeftOutReason], int] = {}
        for entry in left_out:
            parts = entry.path.split("/")
            path = entry.path if len(parts) <= depth else "/".join(parts[:depth] or ["."]) + "/"
            sizes[path, entry.reason] = sizes.get((path, entry.reason), 0) + entry.size
        left_out = [LeftOut(path, size, reason) for (path, reason), size in sizes.items()]
    return sorted(left_out, key=lambda entry: (entry.path, entry.reason))

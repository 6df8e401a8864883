"""Owns what is to be judged: the tree that a commit has or will have, and which guarded paths it changes.

Of the index only a copy is used, and objects made of it go to a directory of their own that is removed afterwards: so
nothing is left behind where the commit is then refused.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreFailed, Unsupported
from ..git import Git, GitFailed
from ..guard import Guard
from ..repository import Repository

# What `git diff` would otherwise take from the user's configuration.
_DIFF = ("--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--no-relative")
_DISK = ("--name-only", *_DIFF[1:])
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Index:
    """The index that a commit is made of: the repository's own, or the one that git gives a hook."""

    repository: Repository
    file: Path

    @classmethod
    def find(cls, repository: Repository, environ: Mapping[str, str]) -> Index:
        """Return the index that `environ` means, as git sets it for its hooks (`git commit -a`, `git commit FILE`).

        Raises Unsupported in a bare repository, and where GIT_DIR names another repository than the one found.
        """
        if repository.worktree is None:
            raise Unsupported("a bare repository has no index to check")
        directory = environ.get("GIT_DIR")
        if directory and os.path.realpath(directory) != os.path.realpath(repository.git_directory):
            raise Unsupported(f"GIT_DIR is {directory!r:.200}, but this is {repository.git_directory}")
        file = environ.get("GIT_INDEX_FILE")
        return cls(repository, Path(file).absolute() if file else repository.git_directory / "index")

    @property
    def git(self) -> Git:
        """Git as it sees this index."""
        assert self.repository.worktree is not None
        return Git(self.repository.worktree, environment={"GIT_INDEX_FILE": str(self.file)})

    def list_changes(self, guard: Guard, *, since: str | None = None) -> tuple[str, ...]:
        """Return the guarded paths whose staged content is not that of HEAD, or of the commit `since`, sorted."""
        parent = () if since is None else (since,)
        return read_paths(self.git.run("diff", "--cached", *_DIFF, *parent, "--", *guard.pathspecs))

    def list_unstaged(self, guard: Guard) -> tuple[str, ...]:
        """Return the guarded paths that are not on disk as they are staged, files unknown to git included."""
        git = self.git
        changed = git.run("diff", *_DISK, "--", *guard.pathspecs)
        unknown = git.run("ls-files", "-z", "--others", "--exclude-standard", "--", *guard.pathspecs)
        return tuple(sorted(os.fsdecode(path) for path in (changed + unknown).split(b"\0") if path))

    def list_merged(self) -> tuple[str, ...]:
        """Return the commits that are being merged into HEAD."""
        try:
            lines = (self.repository.git_directory / "MERGE_HEAD").read_text("ascii").split()
        except (OSError, ValueError):
            return ()
        return tuple(line for line in lines if _ID.fullmatch(line))

    def find_head(self) -> str | None:
        """Return the commit that the new one is put on, or None for the first one."""
        try:
            return self.git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
        except GitFailed:
            return None


def read_paths(output: bytes) -> tuple[str, ...]:
    """Return the paths of git's `--raw -z` output, sorted."""
    fields = output.split(b"\0")
    return tuple(sorted(os.fsdecode(path) for path in fields[1::2]))


@contextmanager
def workbench(code: Repository, store: Repository, *, index: Path | None = None) -> Iterator[Git]:
    """Lend a git that sees the objects of both repositories, and of `index` a copy; what it writes is dropped.

    Raises Unsupported where the two name objects by different hashes.
    """
    if code.object_format != store.object_format:
        raise Unsupported(f"the code's objects are named by {code.object_format}, the store's by {store.object_format}")
    try:
        with tempfile.TemporaryDirectory(prefix="gittrack-check-", ignore_cleanup_errors=True) as place:
            objects = Path(place, "objects")
            objects.mkdir()
            known = dict.fromkeys((code.objects_directory, store.objects_directory))
            environment = {
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(map(_quote, known)),
                "GIT_NO_REPLACE_OBJECTS": "1",
                "GIT_GRAFT_FILE": os.devnull,
            }
            if index is not None:
                environment["GIT_INDEX_FILE"] = _copy_index(index, Path(place))
            yield Git(code.directory, environment=environment)
    except OSError as error:
        raise StoreFailed(f"a temporary directory cannot be used: {error.strerror or error}") from error


def write_tree(git: Git) -> str:
    """Return the tree of a workbench's index; raises GitFailed where a merge in it is not resolved."""
    return git.run("-c", "core.splitIndex=false", "write-tree").decode().strip()


def _copy_index(index: Path, place: Path) -> str:
    copy = place / "index"
    if index.exists():
        shutil.copyfile(index, copy)
    return str(copy)


def _quote(path: Path) -> str:
    """Return a path as GIT_ALTERNATE_OBJECT_DIRECTORIES may hold it."""
    text = str(path)
    if os.pathsep not in text and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

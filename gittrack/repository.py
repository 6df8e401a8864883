"""Owns the answer to which Git repository a path stands in, and what can be said of it by reading files alone.

Starts no process and imports no Git library to find a repository. Knows nothing of objects, runs or experiments.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from . import gitconfig
from .errors import Corrupt, NotFound, Unsupported
from .git import Git
from .gitconfig import GitConfig

ObjectFormat = Literal["sha1", "sha256"]

_ID_LENGTHS: Mapping[ObjectFormat, int] = {"sha1": 40, "sha256": 64}
_OLD_EXTENSIONS = {"noop", "partialclone", "preciousobjects", "worktreeconfig"}
_MAX_SYMBOLIC_DEPTH = 5
_MAX_POINTER_SIZE = 64 * 1024


@dataclass(frozen=True)
class Repository:
    """One repository as seen from one of its directories; paths are absolute and free of symbolic links.

    `git_directory` holds what belongs to this working tree alone, such as HEAD; `common_directory` what all working
    trees share: objects, branches, configuration. They differ in a linked working tree only. `worktree` is None in a
    bare repository and where the path stood inside the Git directory itself. `ref_format` is `files`, `reftable` or
    another word of the `refStorage` extension. `extensions` are the repository's other extensions, lowercase, with
    their values. `config` is the repository's own file alone; `read_config` gives all that applies.
    """

    git_directory: Path
    common_directory: Path
    worktree: Path | None
    bare: bool
    object_format: ObjectFormat
    ref_format: str = "files"
    extensions: Mapping[str, str] = field(default_factory=dict, hash=False)
    config: GitConfig = field(default_factory=GitConfig, repr=False, compare=False)

    @cached_property
    def whole_config(self) -> GitConfig:
        """The configuration that applies here, the user's and the system's included; see `read_config`."""
        return _read_config(self)

    @property
    def objects_directory(self) -> Path:
        """The directory of loose objects and packs."""
        return self.common_directory / "objects"

    @property
    def directory(self) -> Path:
        """The directory to run git in: the working tree, or the Git directory where there is none."""
        return self.worktree or self.git_directory

    @property
    def id_length(self) -> int:
        """How many hex digits an object id has."""
        return _ID_LENGTHS[self.object_format]

    @property
    def is_partial(self) -> bool:
        """Tell whether objects may be missing here because a remote has promised to send them when asked."""
        promisors = (f"remote.{name}.promisor" for name in self.config.find_subsections("remote"))
        return "partialclone" in self.extensions or any(map(self.config.find_bool, promisors))


@dataclass(frozen=True)
class Ident:
    """Who wrote something: a name and an e-mail address, as a commit records them."""

    name: str
    email: str


def get_current_directory() -> Path:
    """Return the directory this process works in; raises NotFound where it has been deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise NotFound("the current directory has been deleted", hint="cd") from None


def find_repository(path: Path) -> Repository | None:
    """Return the repository that path, a file or directory, stands in, or None outside any.

    Looks in path and its parents for what git looks for: a `.git` directory, a `.git` file (linked working tree or
    submodule), or a bare repository; passes over what may not be looked into. Raises NotFound where a `.git` file names
    a repository that is gone, Unsupported for a repository format newer than git's own version 1, and Corrupt where its
    configuration cannot be read.
    """
    start = Path(os.path.realpath(path))
    for directory in (start, *start.parents):
        dot_git = directory / ".git"
        if os.path.isfile(dot_git):
            return _open(_follow_git_file(dot_git), worktree=directory)
        if _is_git_directory(dot_git):
            return _open(Path(os.path.realpath(dot_git)), worktree=directory)
        if _is_git_directory(directory):
            return _open(directory, worktree=None)
    return None


def get_repository(path: Path) -> Repository:
    """Return the repository that path stands in; raises NotFound outside any, and what `find_repository` raises."""
    repository = find_repository(path)
    if repository is None:
        raise NotFound(f"not inside a Git repository: {path}", hint="git init")
    return repository


def find_head(repository: Repository) -> tuple[str | None, str | None]:
    """Return the branch HEAD is on and the id it resolves to, by reading files.

    The branch is None where HEAD is detached, the id where the branch has no commit yet. Raises Unsupported where the
    refs are not kept in files.
    """
    if repository.ref_format != "files":
        raise Unsupported(f"refs kept as {repository.ref_format!r} cannot be read without git")
    target = _find_symbolic_target(repository.git_directory / "HEAD")
    if target is None:
        return None, _find_id(repository, "HEAD")
    branch = target.removeprefix("refs/heads/")
    for _ in range(_MAX_SYMBOLIC_DEPTH):
        next_target = _find_symbolic_target(_ref_path(repository, target))
        if next_target is None:
            break
        target = next_target
    return branch, _find_id(repository, target)


def read_config(repository: Repository | None) -> GitConfig:
    """Return the Git configuration that applies in repository, or outside any.

    Asks git where it is installed (about 2 ms), once for each Repository object; elsewhere reads the system's, the
    user's and the repository's files and GIT_CONFIG_COUNT, without conditional includes. Raises GitFailed or Corrupt
    where a file cannot be read.
    """
    return _read_config(None) if repository is None else repository.whole_config


# What git answered last, and the state of the files it answered from: a sweep in one process asks for each of its runs.
_last_answer: tuple[object, GitConfig] | None = None


def _read_config(repository: Repository | None) -> GitConfig:
    global _last_answer
    files = gitconfig.find_user_files(os.environ)
    if repository:
        files.append(repository.common_directory / "config")
        if "worktreeconfig" in repository.extensions:
            files.append(repository.git_directory / "config.worktree")
    if gitconfig.is_git_installed():
        settings = tuple((key, os.environ.get(key)) for key in sorted(os.environ) if key.startswith("GIT_CONFIG"))
        state = (repository and repository.directory, os.environ.get("HOME"), settings, tuple(map(_find_state, files)))
        if _last_answer is not None and _last_answer[0] == state:
            return _last_answer[1]
        config = gitconfig.ask_git(Git(repository.directory if repository else Path(os.path.abspath(os.sep))))
        # Included files are not watched, so an answer that they may have a part in is not kept.
        includes = any(key.startswith(("include.", "includeif.")) for key in config.values)
        _last_answer = None if includes else (state, config)
        return config
    stored = gitconfig.read_files(files)
    entries = [(key, value) for key, values in stored.values.items() for value in values]
    return gitconfig.collect([*entries, *gitconfig.read_environment(os.environ)])


def _find_state(file: Path) -> tuple[str, int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return str(file), found.st_ino, found.st_size, found.st_mtime_ns


def find_ident(config: GitConfig, environment: Mapping[str, str] = os.environ) -> Ident:
    """Return who commits are written as, by git's own rules for an author.

    GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL, then `author.*`, then `user.*`, then EMAIL; where nothing is set, the login
    name and the host, so that recording never fails for want of an identity.
    """
    name = environment.get("GIT_AUTHOR_NAME") or config.find("author.name") or config.find("user.name")
    email = environment.get("GIT_AUTHOR_EMAIL") or config.find("author.email") or config.find("user.email")
    login = None if name and email else _find_login()
    return Ident(name or str(login), email or environment.get("EMAIL") or f"{login}@{socket.gethostname()}")


def read_identity(repository: Repository | None) -> Ident:
    """Return who commits to repository are written as; `read_config` and `find_ident` in one."""
    return find_ident(read_config(repository))


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the password database
        return f"uid{os.getuid()}"


def _is_git_directory(path: Path) -> bool:
    """Tell whether git would take path for a Git directory: a HEAD, and objects and refs in the common directory."""
    head = path / "HEAD"
    if not os.path.lexists(head) or not (os.path.islink(head) or _looks_like_head(head)):
        return False
    common = _find_common_directory(path)
    return os.path.isdir(common / "objects") and os.path.isdir(common / "refs")


def _looks_like_head(head: Path) -> bool:
    text = _read_line(head) or ""
    return text.startswith("ref:") or re.fullmatch("[0-9a-f]{40}([0-9a-f]{24})?", text) is not None


def _follow_git_file(path: Path) -> Path:
    line = _read_line(path) or ""
    if not line.startswith("gitdir: "):
        raise NotFound(f"not a Git repository: {path} does not say where its repository is")
    target = Path(os.path.realpath(path.parent / line[len("gitdir: ") :]))
    if not _is_git_directory(target):
        raise NotFound(f"not a Git repository: {path} names {target}, which is not one", hint="git worktree repair")
    return target


def _find_common_directory(git_directory: Path) -> Path:
    line = _read_line(git_directory / "commondir")
    return git_directory if line is None else Path(os.path.realpath(git_directory / line))


def _open(git_directory: Path, *, worktree: Path | None) -> Repository:
    common = _find_common_directory(git_directory)
    try:
        config = _parse_config((common / "config").read_bytes())
    except FileNotFoundError:
        config = GitConfig()
    except (Corrupt, OSError) as error:
        raise Corrupt(f"{common / 'config'} cannot be read: {error}") from None
    version = config.find_int("core.repositoryformatversion") or 0
    if version not in (0, 1):
        raise Unsupported(f"{common} has the repository format {version}, newer than 1")
    extensions = _find_extensions(config, version)
    object_format = extensions.pop("objectformat", "sha1")
    if object_format not in _ID_LENGTHS:
        raise Unsupported(f"{common} names its objects by {object_format!r}, not by sha1 or sha256")
    # A linked working tree is where its `.git` file is; `core.bare` and `core.worktree` speak of the main one.
    linked = common != git_directory
    bare = not linked and config.find_bool("core.bare", default=worktree is None)
    if worktree and not linked:
        worktree = None if bare else _find_configured_worktree(config, git_directory) or worktree
    return Repository(
        git_directory=git_directory,
        common_directory=common,
        worktree=worktree,
        bare=bare,
        object_format="sha256" if object_format == "sha256" else "sha1",
        ref_format=extensions.pop("refstorage", "files"),
        extensions=extensions,
        config=config,
    )


@lru_cache(maxsize=8)
def _parse_config(raw: bytes) -> GitConfig:
    """Parse a configuration file, once for each text: a sweep in one process opens its repository for each run."""
    return gitconfig.collect(gitconfig.parse_config(raw))


def _find_extensions(config: GitConfig, version: int) -> dict[str, str]:
    """Return the extensions by lowercase name; of version 0 only those that git honours there."""
    head = "extensions."
    found = {key[len(head) :]: values[-1] for key, values in config.values.items() if key.startswith(head)}
    return found if version > 0 else {name: found[name] for name in _OLD_EXTENSIONS & found.keys()}


def _find_configured_worktree(config: GitConfig, git_directory: Path) -> Path | None:
    configured = config.find("core.worktree")
    return None if configured is None else Path(os.path.realpath(git_directory / configured))


def _find_symbolic_target(path: Path) -> str | None:
    """Return the ref that path stands for, or None where it holds an id or does not exist."""
    if os.path.islink(path):
        target = os.readlink(path)
        return target if target.startswith("refs/") else None
    line = _read_line(path) or ""
    return line[len("ref:") :].strip() if line.startswith("ref:") else None


def _find_id(repository: Repository, ref: str) -> str | None:
    line = _read_line(_ref_path(repository, ref))
    if line:
        return line if re.fullmatch(f"[0-9a-f]{{{repository.id_length}}}", line) else None
    try:
        packed = (repository.common_directory / "packed-refs").read_bytes()
    except OSError:
        return None
    match = re.search(rb"^([0-9a-f]+) " + re.escape(os.fsencode(ref)) + rb"$", packed, re.MULTILINE)
    return match.group(1).decode() if match else None


def _ref_path(repository: Repository, ref: str) -> Path:
    if not ref.startswith("refs/") or ref.startswith(("refs/bisect/", "refs/worktree/", "refs/rewritten/")):
        return repository.git_directory / ref
    return repository.common_directory / ref


def _read_line(path: Path) -> str | None:
    """Return the first line of a small file, or None where there is none to read."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_MAX_POINTER_SIZE).partition(b"\n")[0].rstrip(b"\r"))
    except OSError:
        return None

"""Plans what of a tree is written: which files and links, and what is not, and why. Reads the store; writes nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ..errors import Corrupt, GittrackError
from ..git import Git
from ..store import Store, TreeEntry
from ..store.encoding import EXECUTABLE_MODE, FILE_MODE, GITLINK_MODE, SYMLINK_MODE, hash_object
from .names import Links, find_collisions, is_git_name

MAX_ENTRIES = 1_000_000
_MAX_LINK = 4096


@dataclass(frozen=True)
class Plan:
    """What of a tree is to be written, each by its path.

    `links` have their targets; `outside` are the links that are left out, with theirs, since they lead out of the tree.
    `submodules` have the commit each stood at; of them there is only the directory. `collisions` are the groups of
    paths that some file systems take for one.
    """

    tree: str
    directories: tuple[str, ...]
    files: tuple[tuple[str, TreeEntry], ...]
    links: tuple[tuple[str, str], ...]
    outside: tuple[tuple[str, str], ...]
    submodules: tuple[tuple[str, str], ...]
    collisions: tuple[tuple[str, ...], ...]


def plan_checkout(store: Store, tree: str) -> Plan:
    """Return what is to be written of a tree.

    Raises Corrupt for a tree that holds a Git directory under whatever spelling, or an entry of a kind that Git does
    not have, and for one of more than a million entries.
    """
    _fill_in(store, tree)
    directories: dict[str, None] = {}
    files: list[tuple[str, TreeEntry]] = []
    targets: dict[str, str] = {}
    submodules: list[tuple[str, str]] = []
    for count, (path, entry) in enumerate(store.list_files(tree)):
        if count >= MAX_ENTRIES:
            raise Corrupt(f"tree {tree} has more than {MAX_ENTRIES} files")
        _check_names(path)
        parts = path.split("/")
        directories.update(dict.fromkeys("/".join(parts[:depth]) for depth in range(1, len(parts))))
        if entry.mode == SYMLINK_MODE:
            targets[path] = store.get_blob(entry.id, limit=_MAX_LINK).decode("utf-8", "surrogateescape")
        elif entry.mode == GITLINK_MODE:
            submodules.append((path, entry.id))
            directories[path] = None
        elif entry.mode in (FILE_MODE, EXECUTABLE_MODE, 0o100664):  # the last is of early versions of git
            files.append((path, entry))
        else:
            raise Corrupt(f"tree {tree} has an entry of the mode {entry.mode:o}: {path!r:.200}")
    links = Links(targets)
    outside = {path: target for path, target in targets.items() if not target or links.leads_outside(path)}
    return Plan(
        tree=tree,
        directories=tuple(directories),
        files=tuple(files),
        links=tuple((path, target) for path, target in targets.items() if path not in outside),
        outside=tuple(outside.items()),
        submodules=tuple(submodules),
        collisions=find_collisions([*directories, *(path for path, _ in files), *targets]),
    )


def _check_names(path: str) -> None:
    name = next(filter(is_git_name, path.split("/")), None)
    if name is not None:
        raise Corrupt(f"a source tree that holds a Git directory is not written: {path!r:.200}")


def _fill_in(store: Store, tree: str) -> None:
    """Let a partial clone ask for all files of a tree at once: by a diff from nothing, which git fetches content for.

    Where that fails, each is asked for when it is read, and then says why it cannot be had.
    """
    if store.repository.is_partial:
        nothing = hash_object("tree", b"", store.repository.object_format)
        git = Git(store.repository.git_directory)
        with contextlib.suppress(GittrackError):
            git.run(
                "diff-tree", "-r", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", nothing, tree, "--"
            )

"""Owns the store: the Git objects and refs that runs are kept in, behind one interface with two implementations.

Nothing here is about runs. Importing it loads no Git library; opening a store that needs one does.
"""

from __future__ import annotations

from ..errors import Unsupported
from ..git import find_git
from ..repository import Ident, Repository, read_identity
from .encoding import Commit, TreeEntry
from .objects import Store

__all__ = ["Commit", "Ident", "Store", "TreeEntry", "open_store", "read_identity"]

# Extensions that change nothing about how objects and refs are read and written in place.
_HARMLESS_EXTENSIONS = {"noop", "partialclone", "preciousobjects", "relativeworktrees", "worktreeconfig"}


def open_store(repository: Repository) -> Store:
    """Return the store of a repository; whoever opens it closes it.

    Objects and refs are read and written in this process where the repository keeps them in the ways this package
    knows: SHA-1 or SHA-256 objects, refs in files. For any other, the user's git does it: slower, and it has to be
    installed, else Unsupported is raised.
    """
    unknown = sorted(repository.extensions.keys() - _HARMLESS_EXTENSIONS)
    if repository.ref_format == "files" and not unknown:
        from .dulwich_store import DulwichStore

        return DulwichStore(repository)
    if find_git() is None:
        feature = ", ".join(unknown) or f"refs kept as {repository.ref_format}"
        raise Unsupported(f"{repository.common_directory} can only be used with git, for its extension: {feature}")
    from .git_store import GitStore

    return GitStore(repository)

"""A store and one of its remotes: what fetching, joining and pushing have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .. import layout
from ..git import Git, GitFailed
from ..history import History
from ..repository import Ident, Repository, read_config
from ..settings import Settings
from ..store import Store
from ..transport import Remote, Report, Wire, choose_remote, find_remote, ignore
from .graph import Graph


def connect(
    history: History,
    settings: Settings,
    *,
    author: Ident,
    remote: str | None = None,
    purpose: str = "fetch",
    interactive: bool = False,
    report: Report = ignore,
    names: Sequence[str] = (),
) -> Link:
    """Return the way to a remote: to the one of that name, else to the one that runs are shared through.

    Raises NotFound where there is none, InvalidInput for an address in place of a name.
    """
    repository = history.store.repository
    config = read_config(repository)
    if remote is not None:
        found = find_remote(remote, config, why="it was named")
    else:
        origin = settings.origin.get("remote", "the settings")
        found = choose_remote(config, setting=settings.remote, origin=origin, branch=find_head_branch(repository))
    return Link(history, found, author, purpose, interactive, report, tuple(names))


def find_head_branch(repository: Repository) -> str | None:
    """Return the name of the branch that HEAD is on, or None where it is on none."""
    try:
        return Git(repository.directory).run("symbolic-ref", "--quiet", "--short", "HEAD").decode("utf-8").strip()
    except (GitFailed, UnicodeDecodeError):
        return None


@dataclass(frozen=True)
class Link:
    """A store, the remote it is shared through, and who writes the merges.

    `purpose` is the gittrack command that is under way. `interactive` lets git ask the person at the terminal for a
    password. `report` is told how far a transfer is. `names` are the experiments that the command was given.
    """

    history: History
    remote: Remote
    author: Ident
    purpose: str = "fetch"
    interactive: bool = False
    report: Report = ignore
    names: tuple[str, ...] = ()

    @property
    def again(self) -> str:
        """The command line that is under way, as far as it says what is wanted of which remote."""
        return " ".join(("gittrack", self.purpose, self.remote.name, *self.names))

    @property
    def store(self) -> Store:
        """The store's objects and refs."""
        return self.history.store

    @property
    def repository(self) -> Repository:
        """The repository the store is kept in."""
        return self.history.store.repository

    @cached_property
    def git(self) -> Git:
        """The user's git in that repository; the store knows no grafts, so git must not heed them either."""
        return Git(self.repository.directory, environment={"GIT_GRAFT_FILE": os.devnull})

    @cached_property
    def graph(self) -> Graph:
        """The history as git sees it."""
        return Graph(self.git)

    @cached_property
    def wire(self) -> Wire:
        """The way to the remote."""
        return Wire(self.repository.directory, self.remote, self.purpose, self.interactive, self.report, self.names)

    def branch(self, slug: str) -> str:
        """Return the ref of an experiment's local branch."""
        return layout.branch_ref(slug, self.history.namespace)

    def tracking(self, slug: str) -> str:
        """Return the ref of the local copy of the remote's branch."""
        return layout.tracking_ref(self.remote.name, slug, self.history.namespace)

    def find_local(self, slug: str) -> str | None:
        """Return the tip of the local branch, if there is one."""
        return self.store.find_ref(self.branch(slug))

    def find_tracked(self, slug: str) -> str | None:
        """Return the tip that the remote's branch had when it was last looked at, if it had one."""
        return self.store.find_ref(self.tracking(slug))

    def list_local(self) -> dict[str, str]:
        """Return the tips of the local branches, by slug."""
        refs = self.store.list_refs(self.history.namespace)
        found = {layout.find_branch_slug(ref, self.history.namespace): id for ref, id in refs.items()}
        return {slug: id for slug, id in sorted(found.items(), key=lambda item: item[0] or "") if slug is not None}

    def list_tracked(self) -> dict[str, str]:
        """Return the tips of the remote's branches when they were last looked at, by slug."""
        prefix = self.tracking("")
        refs = self.store.list_refs(prefix.rstrip("/"))
        found = {ref[len(prefix) :]: id for ref, id in refs.items()}
        return {slug: id for slug, id in sorted(found.items()) if layout.is_slug(slug)}

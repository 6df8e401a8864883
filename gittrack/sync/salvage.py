"""Saves the good runs of a branch that holds objects which git itself refuses, such as a tree with an entry `.git`.

Such objects never come into the store: a fetch that brings any is received in a repository of its own, and what is good
there is built anew without the rest. Commits on top of a bad one get other ids that way, the same in every clone. What
is bad only by the rules of `admission` is no matter for this: git can keep it, and readers pass it over.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import layout
from ..errors import GittrackError
from ..git import Git
from ..message import RunTrailers, parse_message
from ..repository import get_repository
from ..store import Commit, Store, open_store
from ..transport import Remote, Wire
from ..transport.fetch import FETCH
from .arrival import Refused
from .graph import Graph
from .link import Link

_REPORTED = re.compile(
    r"(?:error|warning) in [a-z]+ ([0-9a-f]{40,64}): (.*)|(?:error|missing [a-z]+) ([0-9a-f]{40,64})"
)
_MOST_DEPTH = 200
_UNTRUSTING = ("-c", "transfer.fsckObjects=false", "-c", "fetch.fsckObjects=false")


@dataclass(frozen=True)
class Salvaged:
    """What was saved of one branch: a tip of good commits (None: there are none), and what was left out.

    `there` is the tip that the remote's branch really has.
    """

    tip: str | None
    there: str
    refused: tuple[Refused, ...]


def salvage(link: Link, patterns: Sequence[str], *, token: str) -> dict[str, Salvaged]:
    """Fetch branches once more, and return what of each can be let in, below `incoming_refs(token)`; by name.

    A branch without bad objects is as it is on the remote. Raises TransportFailed where the fetch fails even so.
    """
    directory = layout.quarantine_directory(link.repository.common_directory, token)
    try:
        return _Quarantine(link, directory).salvage(patterns, token)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _Quarantine:
    """The repository that receives what nobody trusts. It borrows the store's objects, and the store none of its."""

    def __init__(self, link: Link, directory: Path) -> None:
        self._link = link
        self._directory = directory
        format = link.repository.object_format
        link.git.run("init", "-q", "--bare", f"--object-format={format}", "--", str(directory))
        borrowed = f"{link.repository.objects_directory}\n"
        (directory / "objects/info/alternates").write_text(borrowed, encoding="utf-8", errors="surrogateescape")
        # The remote's address, and all that the user set up for it, are as in the repository itself.
        config = directory / "config"
        include = str(link.repository.common_directory / "config").replace("\\", "\\\\").replace('"', '\\"')
        own = config.read_text(encoding="utf-8")
        config.write_text(f'[include]\n\tpath = "{include}"\n{own}', encoding="utf-8", errors="surrogateescape")
        self._git = Git(directory)
        self._graph = Graph(self._git)

    def salvage(self, patterns: Sequence[str], token: str) -> dict[str, Salvaged]:
        """Do it all, and leave the tips below the store's incoming refs."""
        tips = self._receive(patterns)
        reasons = self._find_bad_objects()
        known = [*self._link.list_local().values(), *self._link.list_tracked().values()]
        saved = {}
        with open_store(get_repository(self._directory)) as store:
            sieve = _Sieve(store, reasons)
            for name, tip in tips.items():
                saved[name] = self._rebuild(tip, known, sieve)
        self._hand_over({name: found.tip for name, found in saved.items() if found.tip is not None}, token)
        return saved

    def _receive(self, patterns: Sequence[str]) -> dict[str, str]:
        link = self._link
        specs = [f"+{link.history.namespace}/{pattern}:refs/heads/{pattern}" for pattern in patterns]
        # It runs where the repository is, since an address may be a path that is seen from there.
        environment = {"GIT_DIR": str(self._directory)}
        ended = link.wire.ask(*_UNTRUSTING, *FETCH, "--", link.remote.name, *specs, environment=environment)
        if ended.code != 0:
            raise link.wire.explain(ended.stderr)
        listing = self._git.run("for-each-ref", "--format=%(objectname) %(refname)", "--", "refs/heads/")
        pairs = (line.split(" ", 1) for line in listing.decode("utf-8", "replace").splitlines())
        return {ref[len("refs/heads/") :]: id for id, ref in pairs}

    def _find_bad_objects(self) -> dict[str, str]:
        """Return the objects that git refuses, with git's words."""
        reasons: dict[str, str] = {}

        def hear(line: str) -> None:
            match = _REPORTED.search(line)
            if match is not None:
                reasons.setdefault(match[1] or match[3], match[2] or line)

        options = ("--strict", "--no-full", "--no-dangling", "--no-progress")
        ended = self._git.watch("fsck", *options, on_line=hear)
        for line in ended.stderr.splitlines():
            hear(line)
        return reasons

    def _rebuild(self, tip: str, known: Sequence[str], sieve: _Sieve) -> Salvaged:
        """Return a line of the good commits, each with its own tree, author, time and message."""
        became: dict[str, tuple[str, ...]] = {}
        refused = []
        for commit in self._graph.list_oldest_first(tip, known=known):
            above = (id for parent in commit.parents for id in became.get(parent, (parent,)))
            parents = tuple(dict.fromkeys(above))
            reason = sieve.find_reason(commit)
            if reason is not None:
                became[commit.id] = parents
                refused.append(Refused(commit.id, _find_name(commit), f"git refuses it: {reason}"))
            else:
                same = parents == commit.parents
                became[commit.id] = (commit.id if same else self._write_anew(commit.id, parents),)
        return Salvaged(self._join(became.get(tip, (tip,))), tip, tuple(refused))

    def _write_anew(self, id: str, parents: Sequence[str]) -> str:
        head, gap, message = self._git.run("cat-file", "commit", id).partition(b"\n\n")
        # A signature, and what continues it, was over other parents.
        head = re.sub(rb"\n(?:gpgsig|gpgsig-sha256|mergetag) [^\n]*(?:\n [^\n]*)*", b"", head)
        tree, _, rest = re.sub(rb"\nparent [0-9a-f]+", b"", head).partition(b"\n")
        lines = b"".join(f"parent {parent}\n".encode() for parent in parents)
        data = tree + b"\n" + lines + rest + gap + message
        return self._git.run("hash-object", "-t", "commit", "-w", "--stdin", input=data).decode().strip()

    def _join(self, tips: Sequence[str]) -> str | None:
        """Return the one tip there is, or a merge of what a bad commit at the top had joined; None where nothing is."""
        if len(tips) < 2:
            return next(iter(tips), None)
        tree, time = self._git.run("log", "-1", "--format=%T %ct", tips[0], "--").decode("ascii").split()
        lines = [f"tree {tree}", *(f"parent {tip}" for tip in tips)]
        lines += [f"{role} gittrack <gittrack@localhost> {time} +0000" for role in ("author", "committer")]
        data = "\n".join((*lines, "", "merge what is good\n")).encode()
        return self._git.run("hash-object", "-t", "commit", "-w", "--stdin", input=data).decode().strip()

    def _hand_over(self, tips: Mapping[str, str], token: str) -> None:
        """Let the store have what is good: checked, as anything that comes over the wire."""
        for name, tip in tips.items():
            self._git.run("update-ref", "--", f"refs/salvaged/{name}", tip)
        address = str(self._directory)
        wire = Wire(self._link.repository.directory, Remote(address, address, address, ""), self._link.purpose)
        ended = wire.ask(*FETCH, "--", address, f"+refs/salvaged/*:{layout.incoming_refs(token)}/*")
        if ended.code != 0:
            raise wire.explain(ended.stderr)


class _Sieve:
    """Tells of a commit whether anything in it is bad; each tree is looked at once."""

    def __init__(self, store: Store, reasons: Mapping[str, str]) -> None:
        self._store = store
        self._reasons = reasons
        self._trees: dict[str, str | None] = {}

    def find_reason(self, commit: Commit) -> str | None:
        """Return why git refuses a commit or something in its tree, or None."""
        return self._reasons.get(commit.id) or self._find_in_tree(commit.tree, 0)

    def _find_in_tree(self, id: str, depth: int) -> str | None:
        if id in self._reasons or depth > _MOST_DEPTH:
            return self._reasons.get(id, "directories nested too deeply")
        if id not in self._trees:
            self._trees[id] = None
            try:
                entries = list(self._store.get_tree(id).values())
            except GittrackError as error:
                self._trees[id] = error.message
                return error.message
            for entry in entries:
                reason = self._find_in_tree(entry.id, depth + 1) if entry.is_tree else self._reasons.get(entry.id)
                if reason is not None:
                    self._trees[id] = reason
                    break
        return self._trees[id]


def _find_name(commit: Commit) -> str:
    try:
        trailers = parse_message(commit.message, where=commit.id)
    except GittrackError:
        return ""
    return trailers.name if isinstance(trailers, RunTrailers) else ""


def remove_stale(directory: Path, *, before: float) -> None:
    """Remove the quarantines that a process left which died; `before` is in seconds since 1970."""
    for entry in directory.iterdir() if directory.is_dir() else ():
        try:
            if entry.stat().st_mtime < before:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:
            continue

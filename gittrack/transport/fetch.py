"""Fetches branches into refs of their own, where nothing looks for runs, and objects by their ids.

Leaves the tracking refs, FETCH_HEAD, tags and the working tree alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import layout
from ..git import Git
from .wire import Wire

FETCH = (
    "fetch",
    "--progress",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-prune",
    "--refmap=",
)


@dataclass(frozen=True)
class Arrival:
    """The branches that one fetch brought: by what follows the namespace in their names, the ids of their tips.

    They stand below `layout.incoming_refs(token)`, which keeps their objects, until `drop_arrivals`.
    """

    token: str
    tips: dict[str, str]


def fetch_branches(wire: Wire, patterns: Sequence[str], *, namespace: str, token: str, filter: str = "") -> Arrival:
    """Fetch the branches of a namespace whose names match, `*` or `churn*`, and return what came.

    `token` names this fetch, uniquely. `filter` asks for a partial clone's filter, such as `blob:none`. Raises
    TransportFailed, with nothing changed but objects that came in.
    """
    place = layout.incoming_refs(token)
    specs = [f"+{namespace}/{pattern}:{place}/{pattern}" for pattern in patterns]
    options = [f"--filter={filter}"] if filter else []
    ended = wire.ask(*FETCH, *options, "--", wire.remote.name, *specs)
    if ended.code != 0:
        raise wire.explain(ended.stderr)
    return Arrival(token, list_arrived(Git(wire.directory), token))


def list_arrived(git: Git, token: str) -> dict[str, str]:
    """Return the branches of one fetch that have not been dropped."""
    place = layout.incoming_refs(token) + "/"
    listing = git.run("for-each-ref", "--format=%(objectname) %(refname)", "--", place).decode("utf-8", "replace")
    pairs = (line.split(" ", 1) for line in listing.splitlines())
    return {ref[len(place) :]: id for id, ref in pairs}


def drop_arrivals(git: Git, arrivals: Iterable[str]) -> None:
    """Delete the refs of these fetches, by token; safe to repeat."""
    refs = [f"{layout.incoming_refs(token)}/{name}" for token in arrivals for name in list_arrived(git, token)]
    if refs:
        git.run("update-ref", "-z", "--stdin", input=b"".join(f"delete {ref}\0\0".encode() for ref in refs))


def fetch_objects(wire: Wire, ids: Iterable[str]) -> None:
    """Fetch objects that the remote of a partial clone has promised, all in one go; raises TransportFailed."""
    wanted = "".join(f"{id}\n" for id in ids).encode()
    if not wanted:
        return
    options = ("--filter=blob:none", "--stdin")
    ended = wire.ask("-c", "fetch.negotiationAlgorithm=noop", *FETCH, *options, "--", wire.remote.name, input=wanted)
    if ended.code != 0:
        raise wire.explain(ended.stderr)


def list_remote_ids(wire: Wire) -> set[str]:
    """Return the ids that the remote's refs have now, branches and tags of any kind; raises TransportFailed."""
    ended = wire.ask("ls-remote", "--", wire.remote.name)
    if ended.code != 0:
        raise wire.explain(ended.stderr)
    return {line.partition(b"\t")[0].decode("ascii", "replace") for line in ended.output.splitlines()}

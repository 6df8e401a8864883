"""Remembers of a remote where it was and what was gone from it when it was last looked at.

The copies of its branches say what it had, so they say nothing of another repository that has taken its name, and go on
to stand for what somebody has deleted there. Kept in the repository's own Git configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..git import Git, GitFailed, clean_text
from ..gitconfig import ask_git
from ..repository import Repository
from ..transport import Remote
from .fetching import FetchReport, advance, fetch
from .link import Link


def has_moved(link: Link) -> bool:
    """Tell whether the remote's address is another one than when its experiments were last looked at."""
    known = _read(link.repository, link.remote, "address")
    return bool(known) and known[-1] != _spell(link.remote)


def has_ever_moved(link: Link) -> bool:
    """Tell whether the remote has had another address, whose branches the copies of the code's may still show."""
    return bool(_read(link.repository, link.remote, "moved"))


def remember_address(repository: Repository, remote: Remote) -> None:
    """Remember where a remote is, before it is looked at; safe to repeat."""
    if _read(repository, remote, "address") != (_spell(remote),):
        _write(repository, remote, "address", [_spell(remote)])


def list_gone(link: Link) -> frozenset[str]:
    """Return the experiments whose branches were gone from the remote when it was last looked at."""
    return frozenset(_read(link.repository, link.remote, "gone"))


def remember_gone(link: Link, gone: Iterable[str], *, looked: Collection[str] | None = None) -> None:
    """Remember which experiments were gone from the remote, of those that were looked at, or of all."""
    before = list_gone(link)
    now = set(gone) | ({slug for slug in before if slug not in looked} if looked is not None else set())
    if now != before:
        _write(link.repository, link.remote, "gone", sorted(now))


def follow_address(link: Link) -> FetchReport | None:
    """Take a remote that has another address for the new remote it is, and return what it has; None where it has not.

    What is known of the old one's experiments is kept on the branches here, and is pushed like anything else that the
    new one lacks. Changes nothing where it cannot be reached.
    """
    if not has_moved(link):
        remember_address(link.repository, link.remote)
        return None
    report = fetch(link)
    for branch in report.branches:
        tip = link.find_tracked(branch.slug)
        if branch.change == "deleted" and tip is not None:
            advance(link, branch.slug, tip)
            link.git.run("update-ref", "-d", link.tracking(branch.slug), tip)
    remember_gone(link, ())
    _write(link.repository, link.remote, "moved", ["true"])
    remember_address(link.repository, link.remote)
    return replace(report, branches=tuple(branch for branch in report.branches if branch.change != "deleted"))


def _read(repository: Repository, remote: Remote, name: str) -> tuple[str, ...]:
    """Return what is remembered as it is now: what this process knows may be older than its own last answer."""
    return tuple(ask_git(Git(repository.directory)).find_all(f"gittrack.{remote.name}.{name}"))


def _write(repository: Repository, remote: Remote, name: str, values: Iterable[str]) -> None:
    git, key = Git(repository.directory), f"gittrack.{remote.name}.{name}"
    try:
        git.run("config", "--local", "--unset-all", "--", key)
    except GitFailed as error:
        if error.code != 5:  # there was none
            raise
    for value in values:
        git.run("config", "--local", "--add", "--", key, value)


def _spell(remote: Remote) -> str:
    """Return where the remote is fetched from, without credentials."""
    return clean_text(remote.url.encode("utf-8", "surrogateescape"))

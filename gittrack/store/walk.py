"""Owns the order in which commits are visited: newest first, children before parents, each once.

Pure: it is given a way to read a commit and reads no more of them than the order needs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from .encoding import Commit

_CLOCK_SLACK = 3600


def walk_commits(
    tips: Iterable[str], *, read: Callable[[str], Commit], is_known: Callable[[str], bool]
) -> Iterator[Commit]:
    """Yield the commits reachable from tips, each once, by falling commit time, and never one before its children.

    Does not enter a commit that is_known, nor what can only be reached through one. Along a single line a commit is
    read when it is yielded. Where lines run side by side the next hour of commit time is read ahead, so there clocks
    that disagree by more than an hour can put a parent before a child on another line. Raises what read raises.
    """
    walk = _Walk(read, is_known)
    for tip in tips:
        walk.discover(tip)
    while (commit := walk.find_next()) is not None:
        yield commit
        walk.leave(commit)


class _Walk:
    """The commits that are read and not yet yielded, and how many children of each are among them.

    A commit is explored once its parents have been read and count it as a child; a candidate has no child left.
    """

    def __init__(self, read: Callable[[str], Commit], is_known: Callable[[str], bool]) -> None:
        self._read = read
        self._is_known = is_known
        self._seen: set[str] = set()
        self._commits: dict[str, Commit] = {}
        self._children: dict[str, int] = {}
        self._explored: set[str] = set()
        self._unexplored: list[tuple[int, str]] = []
        self._candidates: list[tuple[int, str]] = []

    def discover(self, id: str) -> None:
        if id in self._seen or self._is_known(id):
            return
        self._seen.add(id)
        commit = self._commits[id] = self._read(id)
        self._children[id] = 0
        heapq.heappush(self._unexplored, (-commit.time, id))
        heapq.heappush(self._candidates, (-commit.time, id))

    def find_next(self) -> Commit | None:
        """Return the newest commit that certainly has no child left to yield, or None at the end."""
        while self._candidates:
            _, id = self._candidates[0]
            if id in self._commits and not self._children[id] and self._is_settled(id):
                return self._commits[id]
            heapq.heappop(self._candidates)
        return None

    def _is_settled(self, id: str) -> bool:
        """Explore what could still lead to a child of this candidate; tell whether none was found."""
        own = (-self._commits[id].time, id)
        latest_child = own[0] + _CLOCK_SLACK
        while self._unexplored and self._unexplored[0][0] <= latest_child and not self._children[id]:
            entry = heapq.heappop(self._unexplored)
            if entry != own and entry[1] in self._commits:
                self._explore(entry[1])
        if self._children[id] and id not in self._explored:
            heapq.heappush(self._unexplored, own)
        return not self._children[id]

    def _explore(self, id: str) -> None:
        self._explored.add(id)
        for parent in dict.fromkeys(self._commits[id].parents):
            self.discover(parent)
            if parent in self._commits:
                self._children[parent] += 1

    def leave(self, commit: Commit) -> None:
        """Forget a commit that was yielded; its parents are candidates where it was their last child."""
        del self._commits[commit.id], self._children[commit.id]
        for parent in dict.fromkeys(commit.parents):
            if commit.id not in self._explored:
                self.discover(parent)
            elif parent in self._commits:
                self._children[parent] -= 1
                if not self._children[parent]:
                    heapq.heappush(self._candidates, (-self._commits[parent].time, parent))
        self._explored.discard(commit.id)

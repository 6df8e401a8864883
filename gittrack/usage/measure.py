"""Adds up what runs take: Git objects as they lie on the disk, content by its size, each counted once in every sum.

So two lines of a table may both count what they share, and their total counts it once. Source that the code's own
branches hold as well takes no room because of runs, and counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import layout
from ..content import ContentStore
from ..git import Git
from ..history import History
from ..index.reader import GitReader
from ..model import Pointer
from .census import RunNeeds

_CHUNK = 5000
_MAX_DEPTH = 200

Stat = Callable[[Pointer], bool]


@dataclass(frozen=True)
class Amount:
    """Bytes: of Git objects on the disk by what they are, of all content that is named, and of that which is here."""

    records: int = 0
    metrics: int = 0
    source: int = 0
    artifacts: int = 0
    here: int = 0

    @property
    def local(self) -> int:
        """The bytes on this machine."""
        return self.records + self.metrics + self.source + self.here


@dataclass(frozen=True)
class Group:
    """What a run or an experiment takes; `shared` are the bytes of content that others name as well."""

    id: str
    name: str
    experiment: str
    runs: int
    amount: Amount
    shared: int = 0


@dataclass(frozen=True)
class Kind:
    """The content of one kind of artifact, by the ending of its path: how much, and how much of it is here."""

    suffix: str
    contents: int
    size: int
    here: int


@dataclass(frozen=True)
class Usage:
    """What all runs take, by experiment and by run, and the content that is named, with where it is not here."""

    total: Amount
    experiments: tuple[Group, ...]
    runs: tuple[Group, ...]
    absent: tuple[Pointer, ...]


@dataclass(frozen=True)
class _Sizes:
    """What is needed to measure: the size on disk of each object, the objects of each source, what content is here."""

    objects: Mapping[str, int]
    sources: Mapping[str, frozenset[str]]
    here: frozenset[Pointer]

    def measure(self, group: Sequence[RunNeeds]) -> Amount:
        """Return what some runs take together."""
        pointers = {pointer for needs in group for pointer in needs.artifacts.values()}
        trees = {needs.source for needs in group if needs.source is not None}
        return Amount(
            records=self._add(id for needs in group for id in needs.records),
            metrics=self._add(id for needs in group for id in needs.metrics),
            source=self._add(id for tree in trees for id in self.sources.get(tree, ())),
            artifacts=sum(pointer.size for pointer in pointers),
            here=sum(pointer.size for pointer in pointers if pointer in self.here),
        )

    def _add(self, ids: Iterable[str]) -> int:
        return sum(self.objects.get(id, 0) for id in set(ids))


def measure_usage(history: History, content: ContentStore, census: Sequence[RunNeeds]) -> Usage:
    """Return what runs take, the largest first; raises StoreFailed where git does not do what it is asked."""
    sources = _read_sources(history, census)
    wanted = {id for needs in census for ids in (needs.records, needs.metrics) for id in ids}
    wanted.update(id for ids in sources.values() for id in ids)
    pointers = {pointer for needs in census for pointer in needs.artifacts.values()}
    here = frozenset(pointer for pointer in pointers if pointer.size and content.find(pointer) is not None)
    sizes = _Sizes(dict(_read_sizes(history, sorted(wanted))), sources, here)
    named = _count_names(census)
    by_slug: dict[str, list[RunNeeds]] = {}
    for needs in census:
        by_slug.setdefault(needs.experiment, []).append(needs)
    runs = [_make_group(needs.run_id, needs.name, [needs], sizes, named) for needs in census]
    experiments = [_make_group(slug, slug, group, sizes, named) for slug, group in by_slug.items()]
    absent = sorted((pointer for pointer in pointers - here if pointer.size), key=lambda pointer: -pointer.size)
    return Usage(sizes.measure(census), _sort(experiments), _sort(runs), tuple(absent))


def list_kinds(census: Iterable[RunNeeds], absent: Iterable[Pointer]) -> list[Kind]:
    """Return the content of artifacts by the ending of their paths, the largest first; each counted once in each."""
    kinds: dict[str, set[Pointer]] = {}
    for needs in census:
        for path, pointer in needs.artifacts.items():
            kinds.setdefault(_find_suffix(path), set()).add(pointer)
    away = frozenset(absent)
    found = (
        Kind(suffix, len(named), sum(p.size for p in named), sum(p.size for p in named if p not in away))
        for suffix, named in kinds.items()
    )
    return sorted(found, key=lambda kind: (-kind.size, kind.suffix))


def _find_suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and len(suffix) <= 12 else ""


def _count_names(census: Iterable[RunNeeds]) -> dict[Pointer, int]:
    """Return how many runs name each content."""
    named: dict[Pointer, int] = {}
    for needs in census:
        for pointer in set(needs.artifacts.values()):
            named[pointer] = named.get(pointer, 0) + 1
    return named


def _make_group(id: str, name: str, group: Sequence[RunNeeds], sizes: _Sizes, named: Mapping[Pointer, int]) -> Group:
    own: dict[Pointer, int] = _count_names(group)
    shared = sum(pointer.size for pointer, times in own.items() if named[pointer] > times)
    return Group(id, name, group[0].experiment, len(group), sizes.measure(group), shared)


def _sort(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: (-(group.amount.local + group.amount.artifacts), group.name)))


def _read_sources(history: History, census: Sequence[RunNeeds]) -> dict[str, frozenset[str]]:
    """Return the objects of each source tree that nothing but runs needs."""
    trees = {needs.source for needs in census if needs.source is not None}
    own = _list_own(history, census)
    known: dict[str, Mapping[str, bool]] = {}
    wanted = [tree for tree in trees if tree in own]
    with GitReader(history.store) as reader:
        for _ in range(_MAX_DEPTH):
            if not wanted:
                break
            reader.ask(wanted, ())
            for id, tree in reader.receive().trees.items():
                known[id] = {entry.id: entry.is_tree for entry in tree.values() if entry.id in own}
            below = {id for tree in wanted for id, is_tree in known.get(tree, {}).items() if is_tree}
            wanted = [id for id in below if id not in known]
    return {tree: frozenset(_list_below(tree, known)) if tree in own else frozenset() for tree in trees}


def _list_below(root: str, known: Mapping[str, Mapping[str, bool]]) -> set[str]:
    found, pending = {root}, [root]
    while pending:
        for id, is_tree in known.get(pending.pop(), {}).items():
            if id not in found:
                found.add(id)
                if is_tree:
                    pending.append(id)
    return found


def _list_own(history: History, census: Sequence[RunNeeds]) -> frozenset[str]:
    """Return the objects of sources that the code does not hold: at the tips of its branches, and where runs stood."""
    trees = sorted({needs.source for needs in census if needs.source is not None})
    if not trees:
        return frozenset()
    git = Git(history.store.repository.directory, environment={"GIT_GRAFT_FILE": os.devnull})
    tips = _list_code_tips(git, history.namespace)
    lines = "".join(f"{id}\n" for id in tips).encode("ascii")
    reached = git.run("--no-replace-objects", "rev-list", "--stdin", input=lines) if tips else b""
    stood_on = {needs.source_commit for needs in census if needs.source_commit is not None}
    code = [*tips, *sorted(stood_on & set(reached.decode("ascii").split()))]
    arguments = ("--no-replace-objects", "rev-list", "--objects", "--no-object-names", "--missing=allow-any", "--stdin")
    asked = "".join([*(f"{tree}\n" for tree in trees), *(f"^{commit}^{{tree}}\n" for commit in code)])
    return frozenset(git.run(*arguments, input=asked.encode("ascii")).decode("ascii").split())


def _list_code_tips(git: Git, namespace: str) -> list[str]:
    listed = git.run("for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", "refs/heads/", "refs/remotes/")
    tips: dict[str, None] = {}
    for line in listed.decode("utf-8", "replace").splitlines():
        id, kind, ref = line.split(" ", 2)
        ours = layout.find_branch_slug(ref, namespace) or layout.find_tracking_slug(ref, namespace)
        if kind == "commit" and not ours:
            tips[id] = None
    return list(tips)


def _read_sizes(history: History, ids: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield how many bytes objects take on the disk; what is not here takes none."""
    git = Git(history.store.repository.directory, environment={"GIT_NO_LAZY_FETCH": "1"})
    form = "--batch-check=%(objectname) %(objectsize:disk)"
    for start in range(0, len(ids), _CHUNK):
        asked = "".join(f"{id}\n" for id in ids[start : start + _CHUNK]).encode("ascii")
        for line in git.run("--no-replace-objects", "cat-file", form, "--buffer", input=asked).decode().splitlines():
            id, _, size = line.partition(" ")
            if size.isdecimal():
                yield id, int(size)

"""The values gittrack is about: runs, experiments, metric summaries, pointers, source links.

Frozen dataclasses and their enumerations, nothing else. Knows nothing of encodings, git, files or clocks.
Every time is an int of UTC microseconds since 1970; every size is in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Literal

FORMAT_VERSION = 1

Scalar = str | int | float | bool | None
Fact = str | int | float | bool

Captured = Literal["worktree", "commit", "none"]
LeftOutReason = Literal[
    "too-large", "total-too-large", "too-many", "secret-name", "secret-content", "unreadable", "special-file"
]


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


class Status(str, Enum):
    """Where a run stands. RUNNING in a stored revision means a checkpoint of a run that had not ended."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class MetricSummary:
    """One metric's series in a few numbers.

    Points are ordered by step, then timestamp, then value. `min`, `max` and `mean` are over the points that are not
    NaN, and NaN where there is none; a step beside a NaN extreme is that of the first point.
    """

    count: int
    first: float
    first_step: int
    last: float
    last_step: int
    min: float
    min_step: int
    max: float
    max_step: int
    mean: float


@dataclass(frozen=True)
class Pointer:
    """An artifact's content by name: sha256 as 64 lowercase hex digits, and its size in bytes."""

    oid: str
    size: int


@dataclass(frozen=True)
class Failure:
    """The exception that ended a run: its class name, its message, and the formatted traceback."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Input:
    """Data that a run read, with the digest it had then: a file or a directory, here, elsewhere or in memory.

    `digest` is `<scheme>:<text>`, such as `sha256:<64 hex>`, or empty where nothing tells the content; of a directory,
    the sha256 over its sorted `<sha256>  <path>` lines. `path` is a path, a URL, or empty for a table or an array in
    memory. `size` is None where it is not known. `facts` are whatever else is known, sorted by name, such as `origin`,
    `version` or `rows`; names that this version does not know are kept.
    """

    name: str
    path: str
    kind: Literal["file", "directory"]
    digest: str
    size: int | None
    context: str = ""
    facts: tuple[tuple[str, Fact], ...] = ()

    def find_fact(self, name: str) -> Fact | None:
        """Return what is known under a name, or None."""
        return next((value for known, value in self.facts if known == name), None)


@dataclass(frozen=True)
class LeftOut:
    """A working-tree file that was not captured into `source/`, and why."""

    path: str
    size: int
    reason: LeftOutReason


@dataclass(frozen=True)
class SourceLink:
    """The code that ran: the commit it stood on, and the exact tree that was on disk.

    `tree` is the object id of the run's `source/` tree, or None where nothing was captured. `captured` is `worktree`
    where the tree is the working directory's, `commit` where only the commit's own tree was available, `none` outside
    any repository. `directory` is the working directory relative to the source root, POSIX style.
    """

    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool = False
    captured: Captured = "none"
    tree: str | None = None
    directory: str = "."
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Run:
    """One execution: identity, lineage, times, and what is said about it.

    `id` is 32 lowercase hex digits. `revision` counts this run's snapshots from 1. `removed` is the time the run was
    marked removed, or None. `incomplete` says in a sentence what the tracker failed to record, or is empty. `redacted`
    names the places something was taken out of after it was recorded, such as `params.api_key`.
    """

    id: str
    name: str
    experiment: str
    revision: int
    status: Status
    started: int
    ended: int | None = None
    parent: str | None = None
    reproduces: str | None = None
    user: str = ""
    host: str = ""
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    tags: Mapping[str, str] = field(default_factory=_empty)
    note: str = ""
    removed: int | None = None
    incomplete: str = ""
    failure: Failure | None = None
    inputs: tuple[Input, ...] = ()
    scrubbed: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    source: SourceLink = SourceLink()


@dataclass(frozen=True)
class Snapshot:
    """The complete state of one run at one revision, without the points of its metrics.

    `parts` names the Parquet files under `metrics/`, in order; the points themselves are read on demand.
    `environment` is JSON-ready: strings, numbers, booleans, None, and mappings and sequences of them.
    """

    run: Run
    params: Mapping[str, Scalar] = field(default_factory=dict)
    summary: Mapping[str, MetricSummary] = field(default_factory=dict)
    artifacts: Mapping[str, Pointer] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """A named group of runs. `slug` is its branch's last component; `name` is what people call it."""

    slug: str
    name: str
    revision: int = 1
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=_empty)
    created: int = 0
    removed: int | None = None

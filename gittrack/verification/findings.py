"""Says what can be found about a run: what is damaged or missing, and what is still good. Values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .. import layout
from ..model import Pointer

# An object is Git's own, a record one of the run's files that cannot be what gittrack wrote, a part holds its metrics.
Kind = Literal["object", "record", "part", "summary", "pointer", "content"]

_SECTIONS = {
    layout.RUN_FILE: "identity and tags",
    layout.PARAMS_FILE: "params",
    layout.SUMMARY_FILE: "summary",
    layout.ENVIRONMENT_FILE: "environment",
    layout.METRICS_DIRECTORY: "metrics",
    layout.ARTIFACTS_DIRECTORY: "artifacts",
    layout.SOURCE_DIRECTORY: "source",
}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was recorded.

    `place` is where it stands in the run's tree, empty for all of it. `id` names the object, or the content by its
    sha256; it is empty where the bytes are intact and say what they must not. `copies` are the remotes that have it,
    as far as is known, and `remedy` the command that gets it back from there.
    """

    kind: Kind
    missing: bool
    place: str
    reason: str
    id: str = ""
    pointer: Pointer | None = None
    copies: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True)
class Absent:
    """An artifact whose content is not on this machine, which is no damage as long as somebody has it."""

    path: str
    pointer: Pointer


@dataclass(frozen=True)
class Verdict:
    """What became of one run's check.

    `objects` and `points` count what was read and is good, `contents` the artifacts whose content is here and good;
    with `hashed`, its bytes were read. `promised` counts objects that a partial clone leaves with its remote. `good`
    names the sections of the run that are whole, `artifacts` counts those that are named, whatever became of them. A
    verdict without a `run_id` is about a whole experiment, whose history cannot be read.
    """

    run_id: str
    name: str
    experiment: str
    commit: str
    findings: tuple[Finding, ...] = ()
    absent: tuple[Absent, ...] = ()
    good: tuple[str, ...] = ()
    objects: int = 0
    promised: int = 0
    points: int = 0
    artifacts: int = 0
    contents: int = 0
    hashed: bool = False

    @property
    def damaged(self) -> bool:
        """Tell whether something here is not what it was."""
        return any(not finding.missing or finding.kind != "content" for finding in self.findings)


def list_sections(present: frozenset[str], findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Return which sections of a run are whole, of those whose names are in its tree."""
    hurt = {finding.place.partition("/")[0] for finding in findings}
    if "" in hurt:
        return ()
    return tuple(said for name, said in _SECTIONS.items() if name in present and name not in hurt)

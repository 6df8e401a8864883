"""Gathers what the runs say about a range of commits: those behind its tip, beside the best of what it starts from."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..baseline import Base, measure_base
from ..compare import Goal, Row, align_values, guess_goal, order_metrics
from ..errors import InvalidInput
from ..git import Git, GitFailed
from ..group import Spread
from ..guard import Guard
from ..query import Key
from .audit import Audit, Judged, get_commit
from .project import find_committed_guard

if TYPE_CHECKING:
    from ..frame import Frame
    from ..stored_run import StoredRun
    from ..tracker import Tracker

Judgement = Literal["better", "worse", "within noise", "other", "same", "new", "gone"]

# Where nothing is guarded, a run is behind a commit if it ran all of it.
_EVERYTHING = Guard(("**",))
_MOST_RUNS = 10


@dataclass(frozen=True)
class MetricLine:
    """How a metric came out here and in the base, each in its best setting; a side is None where no run has it.

    `noise` is the standard deviation between repeated runs, the base's where it has any.
    """

    metric: str
    goal: Goal | None
    here: Spread | None
    base: Spread | None
    noise: float | None

    @property
    def judgement(self) -> Judgement:
        """What became of the metric."""
        if self.here is None or self.base is None:
            return "gone" if self.here is None else "new"
        old, new = self.base.mean, self.here.mean
        if old is None or new is None or old == new:
            return "same" if old == new else "other"
        if self.noise is not None and abs(new - old) <= self.noise:
            return "within noise"
        if self.goal is None or not math.isfinite(new - old):
            return "other"
        return "better" if (new > old) == (self.goal == "max") else "worse"


@dataclass(frozen=True)
class RangeReport:
    """What is to be said of a range. `runs` are behind its tip, newest first, `count` how many there are in all.

    `base` is the commit whose runs they are held against and the newest of those, None where there is none; `params`
    are those in which the newest run here and that one differ. `code` is `git diff --stat` of the guarded paths.
    """

    start: str
    tip: str
    judged: tuple[Judged, ...]
    runs: tuple[StoredRun, ...]
    count: int
    base: tuple[str, StoredRun] | None
    base_count: int
    metrics: tuple[MetricLine, ...]
    params: tuple[Row, ...]
    code: str


def split_range(git: Git, range: str) -> tuple[str, str]:
    """Return the commits that a range such as `main..HEAD` or `main...HEAD` starts from and ends at.

    Raises InvalidInput for what is none.
    """
    match = re.fullmatch(r"([^-].*?)(\.\.\.?)(.*)", range)
    if match is None:
        raise InvalidInput(f"not a range of commits: {range!r:.100}", hint="gittrack report main..HEAD")
    start, tip = get_commit(git, match.group(1)).id, get_commit(git, match.group(3) or "HEAD").id
    if match.group(2) == "...":
        try:
            start = git.run("merge-base", start, tip).decode().strip()
        except GitFailed:
            raise InvalidInput(f"{range!r:.100}: the two have no commit in common") from None
    return start, tip


def gather_report(tracker: Tracker, git: Git, range: str) -> RangeReport:
    """Return what is to be said of a range; `git` must see the objects of the code and of the store."""
    start, tip = split_range(git, range)
    audit = Audit(tracker, git)
    judged = tuple(audit.judge(f"{start}..{tip}"))
    guard = find_committed_guard(git, tip) or _EVERYTHING
    evidence = audit.get_evidence(guard)
    commit = get_commit(git, tip)
    here = evidence.list_vouching(commit.tree, now=commit.time)
    found = evidence.find_base(start)
    base = None if found is None else found[1]
    runs = _read_newest(tracker, here)
    base_runs = () if base is None else _read_newest(tracker, base)
    differing = (
        [row for row in align_values([base_runs[0].params, runs[0].params]) if row.differs]
        if (runs and base_runs)
        else []
    )
    stat = git.run("diff", "--stat=100", "--no-ext-diff", "--no-textconv", start, tip, "--", *guard.pathspecs)
    return RangeReport(
        start,
        tip,
        judged,
        runs,
        here.count,
        (found[0], base_runs[0]) if found is not None and base_runs else None,
        0 if base is None else base.count,
        tuple(_list_metrics(here, base)),
        tuple(differing),
        os.fsdecode(stat).rstrip("\n"),
    )


def _read_newest(tracker: Tracker, frame: Frame) -> tuple[StoredRun, ...]:
    return tuple(tracker.load_runs(frame)[:_MOST_RUNS])


def _list_metrics(here: Frame, base: Frame | None) -> list[MetricLine]:
    frames = [frame for frame in (here, base) if frame is not None and frame.count]
    counts: dict[str, int] = {}
    for frame in frames:
        for name, number in frame.list_keys("metrics").items():
            counts[name] = counts.get(name, 0) + number
    return [_compare(name, here, base) for name in order_metrics(counts)]


def _compare(metric: str, here: Frame, base: Frame | None) -> MetricLine:
    goal = guess_goal(metric)
    key = Key("metrics", metric, "last", exact=True)
    new = measure_base(key, here, wants_more=goal != "min")
    old = Base() if base is None else measure_base(key, base, wants_more=goal != "min")
    return MetricLine(metric, goal, new.best, old.best, _choose((old.noise, new.noise)))


def _choose(values: Sequence[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)

"""Finds the run that a person means by an id prefix, a name, a commit prefix, `latest` or `latest~2`.

Pure: the candidates are handed in. Knows nothing of how they were found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .canonical import format_time
from .errors import Ambiguous, InvalidInput, NotFound

MIN_PREFIX = 4

_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True)
class Candidate:
    """A run that could be meant. `started` is UTC microseconds; `commit` is None for a live run without a revision."""

    id: str
    name: str
    experiment: str
    started: int
    removed: bool
    commit: str | None

    def __str__(self) -> str:
        removed = "  (removed)" if self.removed else ""
        return f"{self.id[:8]}  {self.name}  {self.experiment}  {format_time(self.started)[:19]}{removed}"


def find_back(ref: str) -> int | None:
    """Return how many runs before the latest one ref means, or None where it is no `latest` or `latest~2`."""
    latest = _LATEST.fullmatch(ref)
    return None if latest is None else int(latest.group(1) or 0)


def find_prefix(ref: str) -> str | None:
    """Return the digits that ids or commits may begin with, or None where ref is no prefix of any."""
    prefix = ref.lower()
    return prefix if _HEX.fullmatch(prefix) and len(prefix) >= MIN_PREFIX else None


def choose_run(ref: str, candidates: Sequence[Candidate]) -> Candidate:
    """Return the one candidate that ref means.

    A whole id or an exact name wins over a prefix; among runs of one name those not removed win. Raises NotFound with
    the closest names as its hint, Ambiguous with the candidates, InvalidInput for a prefix under 4 digits.
    """
    back = find_back(ref)
    if back is not None:
        return _choose_latest(back, candidates)
    tests: list[Callable[[Candidate], bool]] = [lambda run: run.id == ref.lower(), lambda run: run.name == ref]
    prefix = find_prefix(ref)
    if prefix is not None:
        tests.append(lambda run: run.id.startswith(prefix))
        tests.append(lambda run: run.commit is not None and run.commit.startswith(prefix))
    for test in tests:
        matches = [run for run in candidates if test(run)]
        matches = [run for run in matches if not run.removed] or matches
        if len(matches) > 1:
            raise Ambiguous(
                f"{ref!r:.100} fits {len(matches)} runs",
                candidates=tuple(str(run) for run in sorted(matches, key=lambda run: -run.started)[:20]),
                hint=f"gittrack show {matches[0].id[:12]}",
            )
        if matches:
            return matches[0]
    if prefix is None and _HEX.fullmatch(ref.lower()):
        raise InvalidInput(
            f"{ref!r} is too short for an id prefix: give at least {MIN_PREFIX} digits, or the run's name"
        )
    raise NotFound(f"no run {ref!r:.100}", hint=_suggest(ref, candidates))


def _choose_latest(back: int, candidates: Sequence[Candidate]) -> Candidate:
    ordered = sorted((run for run in candidates if not run.removed), key=lambda run: (-run.started, run.id))
    if back >= len(ordered):
        raise NotFound(f"there is no latest~{back}: {len(ordered)} runs are recorded", hint="gittrack ls")
    return ordered[back]


def _suggest(ref: str, candidates: Sequence[Candidate]) -> str:
    close = difflib.get_close_matches(ref, {run.name for run in candidates}, n=3)
    return " or ".join(f"gittrack show {name}" for name in close) if close else "gittrack ls"

"""Finds the runs that a command line means by `-e`, `--removed` and a query, as a frame, newest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InvalidInput

if TYPE_CHECKING:
    from ..frame import Frame
    from ..stored_run import StoredRun
    from ..tracker import Tracker

_MOST_RUNS = 50
# What every query has and hardly a run's name: an operator, or one that is a word.
_COMPARES = r"(?i)[=<>]|\s(in|is|like|ilike|between)\s|^not\s"


def load_selection(tracker: Tracker, query: str | None, *, experiment: str | None, removed: bool) -> Frame:
    """Return the runs that a query finds, of one experiment or of all, the one that started last first.

    Raises InvalidInput for a query that cannot be read or names what no run has, NotFound for an unknown experiment.
    """
    return tracker.list_runs(experiment, query=query, removed=removed).frame


def find_runs(tracker: Tracker, words: Sequence[str], *, experiment: str | None) -> list[StoredRun]:
    """Return the runs that words name or find, each once, in order: a word that compares something is a query.

    Raises NotFound and Ambiguous for a name, InvalidInput for a query that cannot be read or finds more than 50 runs.
    """
    found: dict[str, StoredRun] = {}
    for word in words:
        if is_query(word):
            frame = load_selection(tracker, word, experiment=experiment, removed=False)
            if frame.count > _MOST_RUNS:
                raise InvalidInput(
                    f"{word!r:.100} finds {frame.count} runs, more than the {_MOST_RUNS} that can stand side by side",
                    hint="gittrack ls --group KEY",
                )
            runs = load_runs(tracker, frame)
        else:
            runs = [tracker.get_run(word, experiment=experiment)]
        found.update((run.id, run) for run in runs)
    return list(found.values())


def is_query(word: str) -> bool:
    """Tell whether a word compares something, as a query does, and is no name of a run."""
    return re.search(_COMPARES, word) is not None


def load_runs(tracker: Tracker, frame: Frame) -> list[StoredRun]:
    """Return a frame's visible runs, in order."""
    return list(tracker.load_runs(frame))

"""Numbers the points of metrics that many short processes record in one run, one after the other or at once.

Keeps the next step of each metric in a file of its own in the run's journal, under a lock. Lost or damaged, it is
worked out anew from the points themselves.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..draft import Draft
from ..errors import Corrupt
from ..journal.directory import read_draft
from ..journal.lock import hold
from ..journal.points import read_points
from ..journal.tables import list_points_files

_FILE = "steps.json"
_LOCK = "steps.lock"
_PATIENCE = 10.0


@contextmanager
def take_step(journal: Path, metrics: Collection[str]) -> Iterator[int]:
    """Give a step that is one more than the last of any of these metrics, from 0; taken once the block ends well.

    Other processes wait meanwhile. Steps that a process with a numbering of its own (a Python run) gives the same
    metrics count only until the first call for them.
    """
    with hold(journal / _LOCK, _PATIENCE):
        known = _read(journal / _FILE)
        unknown = [metric for metric in metrics if metric not in known]
        if unknown:
            known.update(_find_next_steps(journal, unknown))
        step = max(known[metric] for metric in metrics)
        yield step
        known.update(dict.fromkeys(metrics, step + 1))
        _write(journal / _FILE, known)


def note_step(journal: Path, metrics: Collection[str], step: int) -> None:
    """Let the next step of these metrics come after one that was given; costs nothing where none was ever taken."""
    if not (journal / _FILE).exists():
        return
    with hold(journal / _LOCK, _PATIENCE):
        known = _read(journal / _FILE)
        known.update({metric: max(known[metric], step + 1) for metric in metrics if metric in known})
        _write(journal / _FILE, known)


def _read(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(file: Path, steps: dict[str, int]) -> None:
    file.write_text(json.dumps(steps), encoding="utf-8")


def _find_next_steps(journal: Path, metrics: Collection[str]) -> dict[str, int]:
    """Return one more than the last step of each metric that any process has recorded, 0 for one without a point."""
    draft = read_draft(journal)
    steps = dict.fromkeys(metrics, 0)
    for file in list_points_files(journal):
        for batch in read_points(file):
            for rows in batch.rows:
                for name in _find_names(draft, file.name, rows.key_set):
                    if name in steps:
                        steps[name] = max(steps[name], max(rows.steps) + 1)
    return steps


def _find_names(draft: Draft, file: str, key_set: int) -> tuple[str, ...]:
    try:
        return draft.get_keys(file, key_set)
    except Corrupt:  # a row without names is nobody's
        return ()

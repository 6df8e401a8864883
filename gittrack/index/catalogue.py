"""Owns the index of a whole store: the shelves of its experiments, and frames over one or all of them.

Knows nothing of live runs and of what is asked of a frame.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from .. import layout
from ..errors import Corrupt, GittrackError
from ..frame import Frame, join_frames
from ..history import History
from ..model import Experiment
from .growth import Progress
from .manifest import VERSION
from .shelf import MANIFEST, Shelf
from .state import State

if TYPE_CHECKING:
    from .finding import Damage

_FORGOTTEN_AGE = 30 * 86_400.0


@dataclass(frozen=True, eq=False)
class IndexedExperiment:
    """An experiment with all its runs: `frame` has a visible row for each; `damages` are the records passed over."""

    slug: str
    state: State
    damages: tuple[GittrackError, ...]

    @property
    def experiment(self) -> Experiment:
        """The experiment as its own record has it."""
        return self.state.experiment

    @property
    def frame(self) -> Frame:
        """The runs as columns."""
        return self.state.frame

    def find_row(self, run_id: str) -> int | None:
        """Return the row of the frame that speaks for a run (a whole id), or None."""
        return self.state.find_row(run_id)

    def find_damage(self, prefix: str) -> GittrackError | None:
        """Return what is wrong with the record of the run whose id begins so, if it could not be read."""
        found = (damage for damage in self.state.damages if damage.run_id and damage.run_id.startswith(prefix))
        return next(map(_make_error, found), None)

    def holds(self, run_id: str) -> bool:
        """Tell whether the branches hold a run, be its record damaged or not."""
        return self.find_row(run_id) is not None or self.find_damage(run_id) is not None


class Index:
    """The disposable copy of what the store holds, as columns. Deleting its files loses nothing but time.

    `note` is told, once, when a damaged index is rebuilt; `progress`, during a long reading, how much is done of how
    much. Safe for threads, and beside other processes.
    """

    def __init__(
        self, history: History, *, note: Callable[[str], None] | None = None, progress: Progress | None = None
    ) -> None:
        self._history = history
        self._note = note
        self._progress = progress
        self._shelves: dict[str, Shelf] = {}
        self._experiments: dict[str, IndexedExperiment] = {}
        self._joined: tuple[tuple[State, ...], Frame] | None = None
        self._turns = RLock()
        self._swept = False

    @property
    def directory(self) -> Path:
        """Where the index is kept."""
        return layout.index_directory(self._history.store.repository.common_directory, VERSION)

    def refresh(self, experiment: str | None = None) -> Frame:
        """Return a frame over the runs of one experiment (a slug), or of all; no rows where there is no such one."""
        found = self.read(experiment)
        with self._turns:
            states = tuple(entry.state for entry in found)
            if self._joined is None or self._joined[0] != states:  # states are equal only where they are the same
                self._joined = states, join_frames([entry.frame for entry in found])
            return self._joined[1]

    def read(self, experiment: str | None = None) -> list[IndexedExperiment]:
        """Return one experiment (a slug), or all, sorted by slug, as the branches stand now.

        Where nothing has moved since the last time, only refs are read. Where the history of an experiment cannot be
        read, what was known of it is returned, with the error among its damages.
        """
        with self._turns:
            tips = self._history.find_tips()
            slugs = list(tips) if experiment is None else [slug for slug in (experiment,) if slug in tips]
            shallow = self._read_shallow() if slugs else ""
            found = [self._read_one(slug, tuple(sorted(tips[slug])), shallow) for slug in slugs]
            if experiment is None:
                self._forget(set(tips))
            return found

    def _read_one(self, slug: str, tips: tuple[str, ...], shallow: str) -> IndexedExperiment:
        shelf = self._shelves.get(slug)
        if shelf is None:
            shelf = self._shelves[slug] = Shelf(self._history, slug, self.directory, note=self._say)
        failure: tuple[GittrackError, ...] = ()
        try:
            state = shelf.refresh(tips, shallow, progress=self._progress)
        except GittrackError as error:
            state, failure = shelf.state or State(slug), (error,)
        known = self._experiments.get(slug)
        if known is not None and known.state is state and not failure:
            return known
        made = IndexedExperiment(slug, state, (*map(_make_error, state.damages), *failure))
        if not failure:
            self._experiments[slug] = made
        return made

    def _say(self, message: str) -> None:
        if self._note is not None:
            self._note(message)

    def _read_shallow(self) -> str:
        """Return the edge of a shallow clone as one text: where it moves, other commits can be reached."""
        try:
            return (self._history.store.repository.common_directory / "shallow").read_text("ascii")
        except (OSError, ValueError):
            return ""

    def _forget(self, slugs: set[str]) -> None:
        """Let go of experiments that are gone, and delete what was kept of them a month after it was last written."""
        for slug in self._shelves.keys() - slugs:
            del self._shelves[slug]
            self._experiments.pop(slug, None)
        if self._swept:
            return
        self._swept = True
        kept = {shelf.directory.name for shelf in self._shelves.values()}
        with suppress(OSError):
            for entry in os.scandir(self.directory):
                manifest = Path(entry.path, MANIFEST)
                if entry.name in kept or not manifest.is_file():
                    continue
                if time.time() - manifest.stat().st_mtime > _FORGOTTEN_AGE:
                    shutil.rmtree(entry.path, ignore_errors=True)


def _make_error(damage: Damage) -> GittrackError:
    return Corrupt(damage.message, hint=damage.hint)

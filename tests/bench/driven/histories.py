"""Owns how each tracker is asked for the series it has recorded: one long series, and one series of many runs.

Standard library only; what a tracker needs for reading is imported when it reads. `fill` is not measured: it may go
past the calls that are made one value at a time, as long as it leaves what those would have left.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trackers import Gittrack, JsonLines, MlflowFile, MlflowSqlite, Sacred, TensorboardX, Tracker

KEY = "single"
BATCH = 1000


def make_values(points: int, run: int = 0) -> list[float]:
    """Return a falling curve with a little of everything in its digits."""
    return [math.exp(-step / points * 3) + math.sin(step * 12.9898 + run) * 0.05 for step in range(points)]


class History(ABC):
    """What the benches ask of a tracker that holds series."""

    def __init__(self, tracker: Any, directory: Path) -> None:
        self._tracker = tracker
        self._directory = directory

    def fill(self, points: int, run: int) -> None:
        """Record a run with one metric of so many points."""
        self._tracker.start({})
        self._tracker.log_singles(KEY, make_values(points, run), 0)
        self._tracker.end()

    @abstractmethod
    def read(self) -> int:
        """Read the series of the last run, steps and values; return how many points it has."""


class GittrackHistory(History):
    def fill(self, points: int, run: int) -> None:
        super().fill(points, run)
        self._run: Any = None

    def read(self) -> int:
        if self._run is None:
            import gittrack

            self._run = gittrack.get_run("latest")
        return int(self._run.series(KEY).num_rows)

    def draw(self) -> int:
        """Make the curves of all runs, as a plot of them has; return how many there are."""
        import gittrack
        from gittrack.plotting import make_picture, make_plan

        picture = make_picture(list(gittrack.runs()), [KEY], make_plan(smoothing=0.6))
        return len(picture.thin(2000).panels[0].lines)


class JsonHistory(History):
    def read(self) -> int:
        *_, file = sorted(self._directory.glob("*.jsonl"), key=lambda path: int(path.stem))
        points = []
        with file.open() as stream:
            next(stream)
            for line in stream:
                row = json.loads(line)
                points.append((row["step"], row[KEY]))
        return len(points)


class TensorboardHistory(History):
    """Event files, read as TensorBoard's own documentation has it, without its limit of points."""

    def read(self) -> int:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        *_, place = sorted(self._directory.iterdir(), key=lambda path: int(path.name))
        events = EventAccumulator(str(place), size_guidance={"scalars": 0})
        events.Reload()
        return len(events.Scalars(KEY))


class SacredHistory(History):
    def read(self) -> int:
        *_, file = sorted(self._directory.glob("*/metrics.json"), key=lambda path: int(path.parent.name))
        metric = json.loads(file.read_text())[KEY]
        return min(len(metric["steps"]), len(metric["values"]))


class MlflowHistory(History):
    def fill(self, points: int, run: int) -> None:
        import mlflow
        from mlflow.entities import Metric

        self._client: Any = mlflow.MlflowClient()
        experiment = self._client.get_experiment_by_name("bench").experiment_id
        self._id = self._client.create_run(experiment).info.run_id
        values = make_values(points, run)
        for start in range(0, points, BATCH):
            part: Sequence[float] = values[start : start + BATCH]
            self._client.log_batch(self._id, [Metric(KEY, value, 0, step) for step, value in enumerate(part, start)])
        self._client.set_terminated(self._id)

    def read(self) -> int:
        return len(self._client.get_metric_history(self._id, KEY))


HISTORIES: dict[type[Tracker], type[History]] = {
    Gittrack: GittrackHistory,
    JsonLines: JsonHistory,
    TensorboardX: TensorboardHistory,
    Sacred: SacredHistory,
    MlflowFile: MlflowHistory,
    MlflowSqlite: MlflowHistory,
}
NAMES = tuple(tracker.name for tracker in HISTORIES)

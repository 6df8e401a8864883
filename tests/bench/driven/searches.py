"""Owns how each tracker is asked for runs it has already: loading invented ones, finding some, reading all.

Standard library only; a tracker's package is imported when its runs are loaded. `load` is not measured: it may go past
the tracker's own calls, as long as what it leaves is what those would have left.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMIT = 100
FILTER = "metrics.auc > 0.6 and params.model = 'cnn'"


class Search(ABC):
    """What the benches ask of a tracker that holds runs."""

    @abstractmethod
    def load(self, directory: Path, lines: Path) -> int:
        """Make the tracker hold the runs of a file, a JSON object a line; return how many there are."""

    @abstractmethod
    def find(self) -> int:
        """Find the `LIMIT` best runs by a metric among those that fit a filter on it and on a param; count them."""

    @abstractmethod
    def list_recent(self) -> int:
        """List the `LIMIT` newest runs; return how many there are."""

    @abstractmethod
    def read_frame(self) -> int:
        """Read all runs as a pandas frame; return how many rows it has."""


class GittrackSearch(Search):
    """This project, in the store that is the working directory; what is new in it is looked for with each question."""

    def load(self, directory: Path, lines: Path) -> int:
        from gittrack.tracker import Tracker

        self._tracker: Any = Tracker.open()
        return self.refresh()

    def find(self) -> int:
        return self._count(self._tracker.list_runs(query=FILTER, sort="-metrics.auc", limit=LIMIT).to_arrow())

    def list_recent(self) -> int:
        return self._count(self._tracker.list_runs(limit=LIMIT).to_arrow())

    def _count(self, table: Any) -> int:
        assert table.num_columns > 30
        return int(table.num_rows)

    def read_frame(self) -> int:
        return len(self._tracker.list_runs().to_pandas())

    def refresh(self) -> int:
        """Bring what is known of the runs up to date; return how many there are."""
        return int(self._tracker.load_frame().count)


class InventedSearch(GittrackSearch):
    """This project without a store: the runs are invented in memory. The file says how many there are."""

    def load(self, directory: Path, lines: Path) -> int:
        from gittrack.frame import Frame, RunRecord, build_segment
        from tests.bench.synthetic_runs import make_snapshot

        def invent(first: int, end: int) -> Iterator[Any]:
            for number in range(first, end):
                run = make_snapshot(number)
                yield RunRecord(run.run, run.params, run.summary, run.artifacts, commit=f"{number:040x}")

        count = int(lines.read_text())
        size = 100_000
        self._frame = Frame([build_segment(invent(at, min(at + size, count))) for at in range(0, count, size)])
        return self._frame.count

    def find(self) -> int:
        return self._take(FILTER, "-metrics.auc", LIMIT)

    def list_recent(self) -> int:
        return self._take("", "", LIMIT)

    def _take(self, query: str, order: str, limit: int) -> int:
        from gittrack import query as language

        mask = self._frame.visible
        if query:
            parsed = language.parse_query(query)
            language.check_keys(parsed, self._frame)
            mask = language.filter_frame(parsed, self._frame, now=time.time_ns() // 1000)
        rows = language.sort_rows(self._frame, language.parse_sort(order), mask, limit=limit)
        return self._count(self._frame.take(rows).to_table())

    def read_frame(self) -> int:
        from gittrack import query as language

        rows = language.sort_rows(self._frame, (), self._frame.visible)
        return len(self._frame.take(rows).to_table().to_pandas())


class MlflowSearch(Search):
    """MLflow on SQLite, by its client."""

    def load(self, directory: Path, lines: Path) -> int:
        import mlflow
        from mlflow.store.tracking.dbmodels import models
        from sqlalchemy import create_engine, insert

        uri = f"sqlite:///{directory / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        self._mlflow: Any = mlflow
        self._client: Any = mlflow.MlflowClient()
        self._experiment = mlflow.create_experiment("bench", artifact_location=(directory / "artifacts").as_uri())
        engine = create_engine(uri)
        count = 0
        for runs in _read_batches(lines):
            count += len(runs)
            with engine.begin() as connection:
                connection.execute(insert(models.SqlRun), [self._run_row(run) for run in runs])
                connection.execute(insert(models.SqlParam), [row for run in runs for row in _param_rows(run)])
                connection.execute(insert(models.SqlTag), [row for run in runs for row in _tag_rows(run)])
                metrics = [row for run in runs for row in _metric_rows(run)]
                connection.execute(insert(models.SqlMetric), metrics)
                connection.execute(insert(models.SqlLatestMetric), metrics)
        engine.dispose()
        return count

    def _run_row(self, run: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_uuid": run["id"],
            "name": run["name"],
            "source_type": "LOCAL",
            "source_name": "train.py",
            "entry_point_name": "",
            "user_id": run["user"],
            "status": run["status"],
            "start_time": run["started"] // 1000,
            "end_time": run["ended"] // 1000,
            "source_version": run["source"],
            "lifecycle_stage": "active",
            "artifact_uri": f"file:///nowhere/{run['id']}",
            "experiment_id": int(self._experiment),
        }

    def find(self) -> int:
        found = self._client.search_runs(
            [self._experiment],
            filter_string=FILTER,
            order_by=["metrics.auc DESC"],
            max_results=LIMIT,
        )
        return len(found)

    def list_recent(self) -> int:
        return len(self._client.search_runs([self._experiment], max_results=LIMIT))

    def read_frame(self) -> int:
        return len(self._mlflow.search_runs([self._experiment]))


def _read_batches(lines: Path, size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    batch = []
    with lines.open(encoding="utf-8") as file:
        for line in file:
            batch.append(json.loads(line))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _param_rows(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": str(value), "run_uuid": run["id"]} for key, value in run["params"].items()]


def _tag_rows(run: dict[str, Any]) -> list[dict[str, Any]]:
    tags = {**run["tags"], "mlflow.runName": run["name"], "mlflow.user": run["user"]}
    return [{"key": key, "value": value, "run_uuid": run["id"]} for key, value in tags.items()]


def _metric_rows(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": 0.0 if math.isnan(value) else value,
            "timestamp": run["ended"] // 1000,
            "step": 99,
            "is_nan": math.isnan(value),
            "run_uuid": run["id"],
        }
        for key, value in run["metrics"].items()
    ]


SEARCHES: dict[str, type[Search]] = {
    "gittrack": GittrackSearch,
    "invented": InventedSearch,
    "MLflow (SQLite)": MlflowSearch,
}

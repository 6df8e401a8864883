"""Owns how each tracker is driven: one class a tracker, the same five verbs for all.

Standard library only, and each tracker's package is imported when it is opened: this file also runs in interpreters
that have no gittrack. The loops over rows live in the classes, so that no wrapper is timed with a call. Every peer is
told to stay offline, to send no telemetry and to start no server; see `scratch.hermetic_environment`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, float]


class Tracker:
    """What the benches ask of a tracker. `package` is the module that must be importable for it to be there."""

    name = ""
    package = "json"
    extra_packages: tuple[str, ...] = ()

    def open(self, directory: Path) -> None:
        """Import the package and prepare `directory`, once a process; `directory` exists and is empty."""

    def start(self, params: Mapping[str, object]) -> None:
        """Start a run with params."""
        raise NotImplementedError

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        """Log each row as one step, counted from `first`."""
        raise NotImplementedError

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        """Log each value as one step of one metric, by the call made for one metric."""
        raise NotImplementedError

    def end(self) -> None:
        """End the run."""
        raise NotImplementedError


class Gittrack(Tracker):
    """This project, in the repository that is the working directory."""

    name = "gittrack"
    package = "gittrack"

    def open(self, directory: Path) -> None:
        import gittrack

        self._gittrack: Any = gittrack

    def start(self, params: Mapping[str, object]) -> None:
        self.run = self._gittrack.start_run("bench", params=params)

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log = self.run.log
        for step, row in enumerate(rows, first):
            log(row, step=step)

    def log_rows_by_module(self, rows: Sequence[Row], first: int) -> None:
        """Log each row as one step by the module's own function, which finds the active run."""
        log = self._gittrack.log
        for step, row in enumerate(rows, first):
            log(row, step=step)

    def log_timed_rows(self, rows: Sequence[Row], first: int, timestamps: Sequence[int]) -> None:
        """Log each row as one step at the time given for it, in UTC microseconds."""
        log = self.run.log
        for step, (row, timestamp) in enumerate(zip(rows, timestamps, strict=True), first):
            log(row, step=step, timestamp=timestamp)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log_metric = self.run.log_metric
        for step, value in enumerate(values, first):
            log_metric(key, value, step=step)

    def end(self) -> None:
        self.run.end()


class JsonLines(Tracker):
    """The floor: a line of JSON a call, written straight to a file without a buffer, so that a crash loses none."""

    name = "json.dumps + write"

    def open(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0

    def start(self, params: Mapping[str, object]) -> None:
        self._count += 1
        self._file = open(self._directory / f"{self._count}.jsonl", "ab", buffering=0)  # noqa: SIM115
        self._file.write((json.dumps(dict(params)) + "\n").encode())

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        write, dumps = self._file.write, json.dumps
        for step, row in enumerate(rows, first):
            write((dumps({"step": step, **row}) + "\n").encode())

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        write, dumps = self._file.write, json.dumps
        for step, value in enumerate(values, first):
            write((dumps({"step": step, key: value}) + "\n").encode())

    def end(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


class TensorboardX(Tracker):
    name = "tensorboardX"
    package = "tensorboardX"

    def open(self, directory: Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer_class: Any = SummaryWriter
        self._directory = directory
        self._count = 0

    def start(self, params: Mapping[str, object]) -> None:
        self._count += 1
        self._writer = self._writer_class(str(self._directory / str(self._count)))
        if params:
            self._writer.add_text("params", json.dumps(dict(params)))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        add_scalar = self._writer.add_scalar
        for step, row in enumerate(rows, first):
            for key, value in row.items():
                add_scalar(key, value, step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        add_scalar = self._writer.add_scalar
        for step, value in enumerate(values, first):
            add_scalar(key, value, step)

    def end(self) -> None:
        self._writer.close()


class TensorboardEvents(Tracker):
    """TensorBoard's own event writer under its frameworks' APIs: one event a row, built by hand."""

    name = "tensorboard (raw events)"
    package = "tensorboard"

    def open(self, directory: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event: Any = Event
        self._summary: Any = Summary
        self._writer_class: Any = EventFileWriter
        self._directory = directory
        self._count = 0

    def start(self, params: Mapping[str, object]) -> None:
        self._count += 1
        self._writer = self._writer_class(str(self._directory / str(self._count)))
        (self._directory / str(self._count) / "params.json").write_text(json.dumps(dict(params)))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        from time import time

        value_class = self._summary.Value
        for step, row in enumerate(rows, first):
            summary = self._summary(value=[value_class(tag=key, simple_value=value) for key, value in row.items()])
            self._writer.add_event(self._event(wall_time=time(), step=step, summary=summary))

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        self.log_rows([{key: value} for value in values], first)

    def end(self) -> None:
        self._writer.close()


class Sacred(Tracker):
    """A run of sacred lives inside its main function, so that function waits in a thread until the run may end."""

    name = "sacred"
    package = "sacred"

    def open(self, directory: Path) -> None:
        from sacred import SETTINGS, Experiment
        from sacred.observers import FileStorageObserver

        SETTINGS.CAPTURE_MODE = "no"
        self._experiment_class: Any = Experiment
        self._observer = FileStorageObserver(str(directory))

    def start(self, params: Mapping[str, object]) -> None:
        experiment = self._experiment_class("bench", interactive=True, save_git_info=False)
        experiment.observers.append(self._observer)
        experiment.add_config(dict(params) or {"none": 0})
        started = threading.Event()
        self._may_end = threading.Event()
        runs = []

        def main(_run: object) -> None:
            runs.append(_run)
            started.set()
            self._may_end.wait()

        experiment.main(main)
        self._thread = threading.Thread(target=experiment.run)
        self._thread.start()
        started.wait()
        self._log = runs[0].log_scalar

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log_scalar = self._log
        for step, row in enumerate(rows, first):
            for key, value in row.items():
                log_scalar(key, value, step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log_scalar = self._log
        for step, value in enumerate(values, first):
            log_scalar(key, value, step)

    def end(self) -> None:
        self._may_end.set()
        self._thread.join()


class Trackio(Tracker):
    name = "trackio"
    package = "trackio"

    def open(self, directory: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(directory)
        import trackio

        self._trackio: Any = trackio

    def start(self, params: Mapping[str, object]) -> None:
        self._trackio.init(project="bench", config=dict(params), embed=False, auto_log_cpu=False, auto_log_gpu=False)

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log = self._trackio.log
        for step, row in enumerate(rows, first):
            log(row, step=step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log = self._trackio.log
        for step, value in enumerate(values, first):
            log({key: value}, step=step)

    def end(self) -> None:
        self._trackio.finish()


class Wandb(Tracker):
    name = "wandb (offline)"
    package = "wandb"

    def open(self, directory: Path) -> None:
        os.environ["WANDB_DIR"] = str(directory)
        import wandb

        self._wandb: Any = wandb

    def start(self, params: Mapping[str, object]) -> None:
        self._run = self._wandb.init(project="bench", mode="offline", config=dict(params))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log = self._run.log
        for step, row in enumerate(rows, first):
            log(row, step=step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log = self._run.log
        for step, value in enumerate(values, first):
            log({key: value}, step=step)

    def end(self) -> None:
        self._run.finish()


class Aim(Tracker):
    name = "aim"
    package = "aim"

    def open(self, directory: Path) -> None:
        from aim import Run

        self._run_class: Any = Run
        self._repo = str(directory)

    def start(self, params: Mapping[str, object]) -> None:
        self._run = self._run_class(
            repo=self._repo, experiment="bench", system_tracking_interval=None, capture_terminal_logs=False
        )
        if params:
            self._run["hparams"] = dict(params)

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        track = self._run.track
        for step, row in enumerate(rows, first):
            track(row, step=step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        track = self._run.track
        for step, value in enumerate(values, first):
            track(value, name=key, step=step)

    def end(self) -> None:
        self._run.close()


class Swanlab(Tracker):
    name = "swanlab (offline)"
    package = "swanlab"

    def open(self, directory: Path) -> None:
        import swanlab

        self._swanlab: Any = swanlab
        self._directory = directory

    def start(self, params: Mapping[str, object]) -> None:
        self._swanlab.init(project="bench", mode="offline", log_dir=str(self._directory), config=dict(params))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log = self._swanlab.log
        for step, row in enumerate(rows, first):
            log(row, step=step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log = self._swanlab.log
        for step, value in enumerate(values, first):
            log({key: value}, step=step)

    def end(self) -> None:
        self._swanlab.finish()


class _Mlflow(Tracker):
    package = "mlflow"

    def _uri(self, directory: Path) -> str:
        raise NotImplementedError

    def open(self, directory: Path) -> None:
        import mlflow

        self._mlflow: Any = mlflow
        mlflow.set_tracking_uri(self._uri(directory))
        mlflow.create_experiment("bench", artifact_location=(directory / "artifacts").as_uri())
        mlflow.set_experiment("bench")

    def start(self, params: Mapping[str, object]) -> None:
        self._mlflow.start_run()
        if params:
            self._mlflow.log_params(dict(params))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        log_metrics = self._mlflow.log_metrics
        for step, row in enumerate(rows, first):
            log_metrics(row, step=step)

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        log_metric = self._mlflow.log_metric
        for step, value in enumerate(values, first):
            log_metric(key, value, step=step)

    def end(self) -> None:
        self._mlflow.end_run()


class MlflowFile(_Mlflow):
    name = "MLflow (file store)"

    def _uri(self, directory: Path) -> str:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        return (directory / "mlruns").as_uri()


class MlflowSqlite(_Mlflow):
    name = "MLflow (SQLite)"
    extra_packages = ("sqlalchemy", "alembic")

    def _uri(self, directory: Path) -> str:
        return f"sqlite:///{directory / 'mlflow.db'}"


class Dvclive(Tracker):
    name = "DVCLive"
    package = "dvclive"
    commits = False

    def open(self, directory: Path) -> None:
        from dvclive import Live

        self._live_class: Any = Live
        self._directory = directory
        self._count = 0

    def start(self, params: Mapping[str, object]) -> None:
        self._count += 1
        self._live = self._live_class(
            dir=str(self._directory / str(self._count)), save_dvc_exp=self.commits, dvcyaml=None
        )
        if params:
            self._live.log_params(dict(params))

    def log_rows(self, rows: Sequence[Row], first: int) -> None:
        live = self._live
        for step, row in enumerate(rows, first):
            live.step = step
            for key, value in row.items():
                live.log_metric(key, value)
            live.next_step()

    def log_singles(self, key: str, values: Sequence[float], first: int) -> None:
        live = self._live
        for step, value in enumerate(values, first):
            live.step = step
            live.log_metric(key, value)

    def end(self) -> None:
        self._live.end()


class DvcExperiment(Dvclive):
    """DVCLive with its experiment saved by DVC: the one peer that keeps the code that ran."""

    name = "DVCLive + DVC experiment"
    extra_packages = ("dvc",)
    commits = True

    def open(self, directory: Path) -> None:
        import sys

        subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True, capture_output=True)
        subprocess.run(["git", "commit", "-qm", "dvc"], check=True, capture_output=True)
        super().open(directory)
        self._directory = Path("dvclive")

    def start(self, params: Mapping[str, object]) -> None:
        self._count = 0
        super().start(params)


TRACKERS: dict[str, type[Tracker]] = {
    tracker.name: tracker
    for tracker in (
        Gittrack,
        JsonLines,
        Sacred,
        Trackio,
        Swanlab,
        Wandb,
        TensorboardEvents,
        TensorboardX,
        Aim,
        MlflowFile,
        MlflowSqlite,
        Dvclive,
        DvcExperiment,
    )
}


def list_installed() -> list[str]:
    """Return the names of the trackers whose packages this interpreter can import."""
    return [
        name
        for name, tracker in TRACKERS.items()
        if all(importlib.util.find_spec(package) for package in (tracker.package, *tracker.extra_packages))
    ]

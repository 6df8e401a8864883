"""The module-level functions of the public API: those that act on the active run, and those that read runs.

Each does what the method of the same name does. Knows nothing the layers below do not.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, SupportsFloat

from .model import Experiment
from .recorder import get_active_run
from .repository import get_current_directory
from .run_table import RunTable
from .stored_run import StoredRun
from .tracker import Tracker

_trackers: dict[tuple[Path, str | None], Tracker] = {}


def log(
    metrics: Mapping[str, SupportsFloat], *, step: int | None = None, timestamp: int | datetime | None = None
) -> None:
    """Record one point of each metric in the active run; see `ActiveRun.log`. Raises Conflict without an active run."""
    get_active_run().log(metrics, step=step, timestamp=timestamp)


log_metrics = log


def log_metric(
    key: str, value: SupportsFloat, *, step: int | None = None, timestamp: int | datetime | None = None
) -> None:
    """Record one point of one metric in the active run; see `ActiveRun.log_metric`."""
    get_active_run().log_metric(key, value, step=step, timestamp=timestamp)


def log_param(key: str, value: object) -> None:
    """Set a param of the active run, once; see `ActiveRun.log_param`."""
    get_active_run().log_param(key, value)


def log_params(params: object) -> None:
    """Set params of the active run; see `ActiveRun.log_params`."""
    get_active_run().log_params(params)


def set_tag(key: str, value: object) -> None:
    """Set a tag of the active run."""
    get_active_run().set_tag(key, value)


def set_tags(tags: Mapping[str, object]) -> None:
    """Set tags of the active run."""
    get_active_run().set_tags(tags)


def set_note(text: str) -> None:
    """Set the note of the active run."""
    get_active_run().set_note(text)


def log_artifact(path: str | PathLike[str], directory: str = "", *, name: str | None = None) -> None:
    """Keep a file or directory as artifacts of the active run; see `ActiveRun.log_artifact`."""
    get_active_run().log_artifact(path, directory, name=name)


def log_artifacts(local_directory: str | PathLike[str], directory: str = "") -> None:
    """Keep every file below a directory as artifacts of the active run; see `ActiveRun.log_artifacts`."""
    get_active_run().log_artifacts(local_directory, directory)


def log_text(text: str, path: str) -> None:
    """Keep text as an artifact of the active run."""
    get_active_run().log_text(text, path)


def log_dict(value: object, path: str) -> None:
    """Keep a JSON-ready value as an artifact of the active run, as JSON or YAML."""
    get_active_run().log_dict(value, path)


def log_figure(figure: object, path: str) -> None:
    """Keep a matplotlib or plotly figure as an artifact of the active run."""
    get_active_run().log_figure(figure, path)


def log_image(image: object, path: str) -> None:
    """Keep an array of pixels or a Pillow image as a PNG of the active run; see `ActiveRun.log_image`."""
    get_active_run().log_image(image, path)


def log_table(table: object, path: str) -> None:
    """Keep a data frame or other table as an artifact of the active run; see `ActiveRun.log_table`."""
    get_active_run().log_table(table, path)


def log_html(text: str, path: str) -> None:
    """Keep a page as an artifact of the active run."""
    get_active_run().log_html(text, path)


def log_input(data: object, *, name: str | None = None, context: str = "") -> None:
    """Record data that the active run reads: a path, a URL, a table or an array; see `ActiveRun.log_input`."""
    get_active_run().log_input(data, name=name, context=context)


def get_run(ref: str, *, experiment: str | None = None, store: str | PathLike[str] | None = None) -> StoredRun:
    """Return the run meant by an id prefix (4 digits or more), a name, a commit prefix, `latest` or `latest~2`.

    Reads the store of the repository you stand in, or another one. Raises NotFound, or Ambiguous with its candidates.
    """
    return _open_tracker(store).get_run(ref, experiment=experiment)


def runs(
    experiment: str | None = None,
    *,
    query: str | None = None,
    sort: str = "",
    removed: bool = False,
    limit: int | None = None,
    store: str | PathLike[str] | None = None,
) -> RunTable:
    """Return the runs of an experiment, or of all, that a query finds, newest first or sorted; live ones among them.

    For example `runs("churn", query="metrics.auc > 0.9", sort="-metrics.auc", limit=10)`. A run is read when it is
    asked for, and the columns of all (`to_arrow`, `to_pandas`, `to_polars`) without reading one. See
    `Tracker.list_runs`.
    """
    return _open_tracker(store).list_runs(experiment, query=query, sort=sort, removed=removed, limit=limit)


def experiments(*, removed: bool = False, store: str | PathLike[str] | None = None) -> list[Experiment]:
    """Return the experiments of the store, sorted by slug."""
    return _open_tracker(store).list_experiments(removed=removed)


def plot(
    *metrics: str,
    runs: Iterable[StoredRun] | StoredRun | None = None,
    experiment: str | None = None,
    limit: int | None = None,
    kind: str | None = None,
    x: str | None = None,
    smooth: float = 0.0,
    log: Iterable[str] = (),
    group: str | Iterable[str] = (),
    title: str | None = None,
    store: str | PathLike[str] | None = None,
) -> Any:
    """Return a plotly figure of metrics of some runs; without runs, of the newest that have one of the metrics.

    The same as `gittrack plot`: `kind` is "line", "scatter" or "parcoords"; `x` is "step", "time", "wall", a metric or,
    in a scatter, a key such as "params.lr"; `smooth` a weight below 1 or a number of points; `log` any of "x" and "y";
    `group` keys to average by. Without a metric, the most telling one is drawn. Raises Unsupported without plotly.
    """
    from .figure import build_figure
    from .plotting import choose_metrics, choose_runs, make_picture, make_plan

    keys = (group,) if isinstance(group, str) else tuple(group)
    plan = make_plan(kind=kind, x=x, smoothing=smooth, log=log, group=keys, title=title)
    if runs is None:
        chosen = choose_runs(_open_tracker(store), metrics, experiment=experiment, limit=limit or plan.limit)
    else:
        chosen = [runs] if isinstance(runs, StoredRun) else list(runs)
    return build_figure(make_picture(chosen, list(metrics) or choose_metrics(chosen, most=1), plan))


def _open_tracker(store: str | PathLike[str] | None) -> Tracker:
    """Return this process's tracker for where it stands, kept open: runs handed out go on reading through it."""
    key = (get_current_directory(), None if store is None else str(store))
    tracker = _trackers.get(key)
    if tracker is None:
        if not _trackers:
            atexit.register(_close_trackers)
        tracker = _trackers[key] = Tracker.open(store=key[1])
    else:
        tracker.recover()
    return tracker


def _close_trackers() -> None:
    for tracker in _trackers.values():
        tracker.close()
    _trackers.clear()

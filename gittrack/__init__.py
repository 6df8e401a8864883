"""A Git-backed experiment tracker for machine learning: an experiment is a branch, a run is a commit on it.

import gittrack

with gittrack.start_run("churn", params={"lr": 0.1}) as run:
    for epoch in range(10):
        run.log({"loss": loss, "auc": auc}, step=epoch)

gittrack.get_run("latest").series("loss")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import (
        Ambiguous,
        Conflict,
        Corrupt,
        GittrackError,
        InvalidInput,
        NotFound,
        RemoteFailed,
        StoreFailed,
        Unsupported,
    )
    from .model import Experiment, MetricSummary, Pointer, Status
    from .recorder import active_run, end_run, join_run, start_run
    from .recording import ActiveRun, TrackingWarning
    from .run_table import RunTable
    from .shortcuts import (
        experiments,
        get_run,
        log,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_html,
        log_image,
        log_input,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_table,
        log_text,
        plot,
        runs,
        set_note,
        set_tag,
        set_tags,
    )
    from .stored_run import StoredRun as Run
    from .tracker import Tracker

__version__ = "0.1.0"

_HOMES = {
    "recording": ("ActiveRun", "TrackingWarning"),
    "errors": (
        "Ambiguous",
        "Conflict",
        "Corrupt",
        "GittrackError",
        "InvalidInput",
        "NotFound",
        "RemoteFailed",
        "StoreFailed",
        "Unsupported",
    ),
    "model": ("Experiment", "MetricSummary", "Pointer", "Status"),
    "recorder": ("active_run", "end_run", "join_run", "start_run"),
    "run_table": ("RunTable",),
    "stored_run": ("Run",),
    "shortcuts": (
        "experiments",
        "get_run",
        "log",
        "log_artifact",
        "log_artifacts",
        "log_dict",
        "log_figure",
        "log_html",
        "log_image",
        "log_input",
        "log_metric",
        "log_metrics",
        "log_param",
        "log_params",
        "log_table",
        "log_text",
        "plot",
        "runs",
        "set_note",
        "set_tag",
        "set_tags",
    ),
    "tracker": ("Tracker",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ActiveRun",
    "Ambiguous",
    "Conflict",
    "Corrupt",
    "Experiment",
    "GittrackError",
    "InvalidInput",
    "MetricSummary",
    "NotFound",
    "Pointer",
    "RemoteFailed",
    "Run",
    "RunTable",
    "Status",
    "StoreFailed",
    "Tracker",
    "TrackingWarning",
    "Unsupported",
    "active_run",
    "end_run",
    "experiments",
    "get_run",
    "join_run",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_html",
    "log_image",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "plot",
    "runs",
    "set_note",
    "set_tag",
    "set_tags",
    "start_run",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import gittrack` alone costs a training script almost nothing."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), "StoredRun" if name == "Run" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})

"""Runs made by hand, with fixed ids and times, so that what is printed of them is always the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack.model import (
    Failure,
    Input,
    LeftOut,
    MetricSummary,
    Pointer,
    Run,
    Scalar,
    Snapshot,
    SourceLink,
    Status,
)
from gittrack.stored_run import StoredRun

# 2026-01-31 09:00:00 UTC
NOW = 1_769_850_000_000_000
MINUTE = 60_000_000

EVIL = "evil\x1b[31m\x1b]0;title\x07\u202etxt\x9b2J\r\n\x00"


class NoReader:
    """Reads nothing: these runs have no points and no contents."""

    def read_points(self, metric: str | None) -> Any:
        raise AssertionError(metric)

    def find_content(self, pointer: Pointer) -> Path | None:
        return None


def make_summary(
    last: float, *, count: int = 100, low: float | None = None, high: float | None = None
) -> MetricSummary:
    """Return the summary of a series that ended at `last`."""
    low = last if low is None else low
    high = last if high is None else high
    return MetricSummary(count, high, 0, last, count - 1, low, count - 10, high, 0, (low + high) / 2)


def make_stored_run(
    number: int,
    name: str,
    *,
    status: Status = Status.FINISHED,
    ago: int = 3 * MINUTE,
    took: int = 12_300_000,
    params: Mapping[str, Scalar] | None = None,
    metrics: Mapping[str, float | MetricSummary] | None = None,
    artifacts: Mapping[str, Pointer] | None = None,
    environment: Mapping[str, object] | None = None,
    live: bool = False,
    **facts: Any,
) -> StoredRun:
    """Return a run whose id begins with the eight digits of number."""
    started = NOW - ago
    run = Run(
        id=f"{number:08x}" + "0123456789abcdef01234567",
        name=name,
        experiment=facts.pop("experiment", "churn"),
        revision=facts.pop("revision", 1),
        status=status,
        started=started,
        ended=None if status is Status.RUNNING else started + took,
        **facts,
    )
    summary = {
        key: value if isinstance(value, MetricSummary) else make_summary(value)
        for key, value in (metrics or {}).items()
    }
    snapshot = Snapshot(run, params or {}, summary, artifacts or {}, environment or {})
    commit = None if live else f"{number * 7919:08x}" + "fedcba98" * 4
    return StoredRun(snapshot, NoReader(), commit=commit, live=live)


def make_sweep() -> list[StoredRun]:
    """Return five runs that differ in params, metrics, status and age."""
    return [
        make_stored_run(
            0x3F9A1C2E,
            "brave-otter-41",
            status=Status.RUNNING,
            ago=20_000_000,
            live=True,
            params={"lr": 0.1, "depth": 3, "model": "gbm", "seed": 42},
            metrics={"loss": 0.231, "val_accuracy": 0.913, "epoch": 4, "epoch_time": 0.31},
        ),
        make_stored_run(
            0x9C65748C,
            "azure-emu-86",
            params={"lr": 0.01, "depth": 3, "model": "gbm", "seed": 42},
            metrics={"loss": 0.2407, "val_accuracy": 0.907, "epoch": 10, "epoch_time": 0.29},
        ),
        make_stored_run(
            0x122B5986,
            "shiny-robin-9",
            status=Status.FAILED,
            ago=80 * MINUTE,
            took=185_000_000,
            params={"lr": 0.001, "depth": 5, "model": "forest", "seed": 42},
            metrics={"loss": math.nan, "val_accuracy": 0.55, "epoch": 2, "epoch_time": 12.5},
            failure=Failure("ValueError", "loss is not finite"),
        ),
        make_stored_run(
            0x74BF20F8,
            "spry-panther-38",
            status=Status.KILLED,
            ago=30 * 60 * MINUTE,
            took=8_040_000_000,
            params={"lr": 1e-05, "depth": 12, "model": "forest", "seed": 42},
            metrics={"loss": 12.75, "epoch": 1},
        ),
        make_stored_run(
            0x793CF422,
            "a name with spaces that somebody made much too long",
            ago=47 * 24 * 60 * MINUTE,
            took=273_600_000_000,
            params={"lr": 0.1, "depth": 8, "model": "a long text as a param, longer than a column", "seed": 42},
            metrics={"loss": 0.3, "val_accuracy": 0.9, "epoch": 10, "epoch_time": 3600.0},
        ),
    ]


def make_full_run() -> StoredRun:
    """Return a run that has everything a run can have."""
    return make_stored_run(
        0xE170B02D,
        "wise-cricket-49",
        status=Status.FAILED,
        exit_code=1,
        revision=3,
        params={"lr": 0.1, "layers": None, "augment": True, "optimizer.name": "adam", "ratio": 0.1 + 0.2},
        metrics={
            "loss": make_summary(0.231, low=0.207, high=2.31),
            "val_accuracy": make_summary(0.913, low=0.1, high=0.913),
            "grad_norm": math.nan,
            "lr": 1e-05,
            "step": make_summary(1000, count=1001, low=0, high=1000),
        },
        artifacts={
            "model.pkl": Pointer("a" * 64, 12_345_678),
            "output.log": Pointer("b" * 64, 812),
            "plots/confusion.png": Pointer("c" * 64, 45_600),
        },
        environment={
            "python": {"version": "3.11.7", "implementation": "cpython"},
            "platform": {"system": "Linux", "release": "6.1", "machine": "x86_64", "name": "Debian GNU/Linux 12"},
            "cpu": {"model": "A CPU", "count": 8},
            "gpu": {"models": ["A100", "A100"]},
            "packages": {"numpy": "2.4.6", "scikit-learn": "1.9.1", "zipp": "1.0"},
        },
        command=("python", "train.py", "--data", "s p.csv", "--lr", "0.1"),
        user="vera",
        host="laptop",
        tags={"stage": "dev", "team": "a"},
        note="First try.\n\nWorse than before: the learning rate is far too high for this kind of model and data.",
        parent="3f9a1c2e0123456789abcdef01234567",
        reproduces="9c65748c0123456789abcdef01234567",
        inputs=(Input("data", "data/train.csv", "file", "sha256:" + "d" * 64, 1_234_567, "training"),),
        failure=Failure(
            "ValueError",
            "bad shape (3, 4)",
            "Traceback (most recent call last):\n"
            + "".join(f'  File "deep.py", line {line}, in f\n    f()\n' for line in range(1, 8))
            + "ValueError: bad shape (3, 4)\n",
        ),
        incomplete="3 points could not be written: no space left on device",
        scrubbed=("param api_key",),
        source=SourceLink(
            commit="4d49a44710e2" + "0" * 28,
            branch="main",
            dirty=True,
            captured="worktree",
            tree="f" * 40,
            left_out=(LeftOut("big.bin", 12_345_678, "too-large"), LeftOut(".env", 33, "secret-name")),
        ),
    )


def make_evil_run(number: int = 0xBADBAD01) -> StoredRun:
    """Return a run whose every text holds escape sequences, control and direction characters."""
    return make_stored_run(
        number,
        EVIL + "name",
        experiment=EVIL + "experiment",
        status=Status.FAILED,
        params={EVIL + "param": EVIL, "number": number},
        metrics={EVIL + "metric": float(number)},
        artifacts={EVIL + "artifact": Pointer("a" * 64, 1)},
        environment={"python": {"version": EVIL}, "packages": {EVIL: EVIL, "numpy": EVIL + str(number)}},
        command=(EVIL, EVIL),
        user=EVIL,
        host=EVIL,
        tags={EVIL + "tag": EVIL + str(number)},
        note=EVIL + "\nnote\tand\x1b[1mmore",
        parent=EVIL,
        reproduces=EVIL,
        inputs=(Input(EVIL, EVIL, "file", EVIL + str(number), 1, EVIL),),
        failure=Failure(EVIL, EVIL, EVIL + "\n" + EVIL),
        incomplete=EVIL,
        scrubbed=(EVIL,),
        source=SourceLink(commit=EVIL, branch=EVIL, captured="commit", left_out=(LeftOut(EVIL, 1, "too-large"),)),
    )

"""Owns what invented runs are like: a long sweep by several people, on several commits, with the odd failure.

A number gives a snapshot, always the same one. Knows nothing of how runs are stored.
The summaries do not follow from any points: series of a million runs would take longer to make than all else.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from random import Random

from gittrack.model import (
    Experiment,
    Failure,
    MetricSummary,
    Pointer,
    Run,
    Scalar,
    Snapshot,
    SourceLink,
    Status,
)

FIRST_START = 1_700_000_000_000_000
SECONDS_APART = 29
SOURCES = 40
STEPS = 100
METRICS = ("accuracy", "auc", "f1", "grad_norm", "loss", "lr", "seconds", "train/loss", "val/auc", "val/loss")
MODELS = ("mlp", "cnn", "transformer", "forest")

_NAMES = ("brave", "calm", "dusty", "eager", "fancy", "gentle", "hollow", "icy"), ("otter", "lynx", "heron", "wasp")
_PEOPLE = (("ada", "node01"), ("grace", "node02"), ("linus", "laptop"), ("barbara", "gpu-7"))
_STATUSES = (Status.FINISHED,) * 17 + (Status.FAILED, Status.FAILED, Status.KILLED)
_ENVIRONMENT = {
    "python": {"version": "3.11.4", "implementation": "CPython"},
    "platform": {"system": "Linux", "machine": "x86_64"},
    "packages": {f"package-{number:03d}": f"1.{number}.0" for number in range(150)},
}


def make_experiment(number: int) -> Experiment:
    """Return the number-th experiment."""
    return Experiment(f"sweep-{number}", f"Sweep {number}", description="invented", created=FIRST_START)


def make_source(number: int, *, tree: str | None) -> SourceLink:
    """Return the code a run stood on, one of `SOURCES` commits; `tree` is the id of what was captured."""
    commit = hashlib.sha1(b"source %d" % (number % SOURCES), usedforsecurity=False).hexdigest()
    branch = "main" if number % 5 else "wide-layers"
    return SourceLink(commit, branch, "https://git.example.com/team/model.git", number % 3 == 0, "worktree", tree)


def make_snapshot(number: int, *, experiments: int = 1, tree: str | None = None, part: str | None = None) -> Snapshot:
    """Return the number-th run: 20 params, 10 metrics unless it failed early, tags, every second one an artifact.

    The run belongs to one of so many experiments; `tree` is its source's id, `part` the path of its metric part.
    """
    chance = Random(number)
    params = _make_params(number, chance)
    status = chance.choice(_STATUSES)
    diverged = chance.random() < 0.01
    metrics = METRICS if status is Status.FINISHED else METRICS[: chance.randrange(len(METRICS))]
    quality = 0.5 + 0.3 * math.exp(-((math.log10(float(params["lr"] or 1)) + 2.5) ** 2)) + chance.gauss(0, 0.05)
    summary = {
        metric: _make_summary(math.nan if diverged and "loss" in metric else quality * (1 + place / 10), chance)
        for place, metric in enumerate(metrics)
    }
    artifacts = {}
    if number % 2 and status is Status.FINISHED:
        artifacts["model.pt"] = Pointer(hashlib.sha256(b"%d" % number).hexdigest(), 1_000_000 + number)
    return Snapshot(
        _make_run(number, experiments, status, make_source(number, tree=tree), chance, params),
        params,
        summary,
        artifacts,
        _ENVIRONMENT,
        () if part is None else (part,),
    )


def edit_snapshot(snapshot: Snapshot) -> Snapshot:
    """Return the next revision of a run, with a tag and a note that somebody gave it."""
    run = snapshot.run
    tags = {**run.tags, "reviewed": "yes"}
    return replace(snapshot, run=replace(run, revision=run.revision + 1, tags=tags, note="looked at again"))


def _make_run(
    number: int, experiments: int, status: Status, source: SourceLink, chance: Random, params: dict[str, Scalar]
) -> Run:
    first, second = _NAMES
    user, host = _PEOPLE[number % len(_PEOPLE)]
    started = FIRST_START + number * SECONDS_APART * 1_000_000 + chance.randrange(1_000_000)
    failed = status is Status.FAILED
    return Run(
        id=hashlib.md5(b"run %d" % number, usedforsecurity=False).hexdigest(),
        name=f"{chance.choice(first)}-{chance.choice(second)}-{number}",
        experiment=make_experiment(number % experiments).slug,
        revision=1,
        status=status,
        started=started,
        ended=started + chance.randrange(20_000_000, 900_000_000),
        user=user,
        host=host,
        command=("python", "train.py", "--lr", str(params["lr"]), "--model", str(params["model"])),
        exit_code=1 if failed else 0,
        tags={"stage": chance.choice(("dev", "nightly", "release")), "team": "vision" if number % 3 else "text"},
        failure=Failure("ValueError", "loss is not finite", "Traceback …\nValueError: …") if failed else None,
        source=source,
    )


def _make_params(number: int, chance: Random) -> dict[str, Scalar]:
    return {
        "lr": 10 ** chance.uniform(-5, 0),
        "model": chance.choice(MODELS),
        "seed": number % 10,
        "batch_size": chance.choice((16, 32, 64, 128, 256)),
        "dropout": round(chance.random() / 2, 3),
        "optimizer": chance.choice(("adam", "sgd", "lion")),
        "depth": chance.randrange(2, 24),
        "width": 2 ** chance.randrange(5, 12),
        "augment": chance.random() < 0.5,
        "amp": chance.random() < 0.8,
        "weight_decay": chance.choice((0, 1e-4, 1e-3, 0.01)),  # an int among floats, as people write it
        "momentum": 0.9,
        "warmup": chance.randrange(0, 2000),
        "schedule": chance.choice(("cosine", "linear", "constant")),
        "smoothing": chance.random() / 5,
        "data.version": f"2025-{1 + number % 12:02d}",
        "data/fold": number % 5,
        "init": chance.choice(("xavier", "orthogonal")),
        "clip": None if chance.random() < 0.3 else 1.0,
        "resume": False,
    }


def _make_summary(value: float, chance: Random) -> MetricSummary:
    if math.isnan(value):
        return MetricSummary(STEPS, 1.0, 0, value, STEPS - 1, 0.5, 10, 2.0, 20, 0.9)
    worst = value * 0.3
    return MetricSummary(
        count=STEPS,
        first=worst,
        first_step=0,
        last=value,
        last_step=STEPS - 1,
        min=worst,
        min_step=0,
        max=value * 1.01,
        max_step=chance.randrange(STEPS),
        mean=value * 0.8,
    )


def write_lines(file: Path, runs: int) -> None:
    """Write runs a JSON object a line, for interpreters without gittrack: NaN stands as Python's json writes it."""
    with file.open("w", encoding="utf-8") as out:
        for number in range(runs):
            snapshot = make_snapshot(number)
            run = snapshot.run
            record = {
                "id": run.id,
                "name": run.name,
                "user": run.user,
                "status": str(run.status),
                "started": run.started,
                "ended": run.ended,
                "source": run.source.commit,
                "params": snapshot.params,
                "metrics": {metric: summary.last for metric, summary in snapshot.summary.items()},
                "tags": dict(run.tags),
            }
            out.write(json.dumps(record) + "\n")

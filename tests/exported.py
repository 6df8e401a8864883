"""Frames with awkward runs in them, for the tests of what leaves gittrack."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyarrow as pa

from gittrack.exchange.tables import RunTables
from gittrack.frame import Frame, RunRecord, build_segment
from gittrack.model import Failure, Input, MetricSummary, Pointer, Run, Status

HOSTILE = '=cmd|"/c calc"!A1'
NOISE = "a\x1b[31mred\x07\nsecond line\u202e\u2028end"
MOMENT = 1_769_851_800_000_001


def make_run(number: int, experiment: str, **facts: object) -> Run:
    """Return a run whose id is its number."""
    return Run(f"{number:032x}", f"run-{number}", experiment, 1, Status.FINISHED, MOMENT + number, **facts)  # type: ignore[arg-type]


def make_summary(value: float) -> MetricSummary:
    """Return the summary of two points, 1.0 and value."""
    return MetricSummary(2, 1.0, 0, value, 1, value, 1, 1.0, 0, value)


RECORDS = (
    RunRecord(
        make_run(1, "churn", ended=MOMENT + 1_500_001, tags={"stage": "dev", HOSTILE: "-1.5"}, note=HOSTILE),
        {
            "lr": 0.1,
            "seed": 7,
            "model": "svm",
            "mixed": 1,
            "big": 2**60,
            "flag": True,
            "-x": "+1 800 555",
            "null": None,
        },
        {"loss": make_summary(math.nan), "auc": make_summary(0.9)},
        {"model.pt": Pointer("a" * 64, 12)},
        commit="1c" * 20,
    ),
    RunRecord(
        make_run(2, "churn", note=NOISE, failure=Failure("ValueError", "@home"), command=("python", "-c", "=1")),
        {"lr": 1, "seed": -3, "model": "", "mixed": "-2", "flag": False, "only": math.inf},
        {"loss": make_summary(-math.inf)},
        {},
        commit="2c" * 20,
    ),
    RunRecord(
        make_run(3, "语言-模型", inputs=(Input("train", "data/a.csv", "file", "sha256:" + "b" * 64, 9),)),
        {"model": "'=quoted"},
        {"val/loss": make_summary(0.5)},
        {},
        commit="3c" * 20,
    ),
)


def make_points(number: int) -> pa.Table:
    """Return the points of the number-th run: two of its one metric."""
    metric = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([f"m{number}"]))
    times = pa.array([MOMENT, MOMENT + 1], pa.timestamp("us", "UTC"))
    return pa.table({"metric": metric, "step": [0, 1], "timestamp": times, "value": [0.5 * number, math.nan]})


def read_points(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
    """Yield the points of a frame's runs, as the store would."""
    for run_id in frame.to_table(["id"]).column("id").to_pylist():
        yield run_id, make_points(int(run_id, 16))


def make_frame() -> Frame:
    """Return the awkward runs as a frame of two segments."""
    return Frame([build_segment(RECORDS[:2]), build_segment(RECORDS[2:])])


def make_tables() -> RunTables:
    """Return the tables of the awkward runs."""
    return RunTables(make_frame(), read_points=read_points)

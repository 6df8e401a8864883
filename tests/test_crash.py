"""A process that is killed at any step of its write path loses nothing that it acknowledged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import git
from sweeps import sweep_kills

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROWS = {"row 0": {"loss": (0, 1.0)}, "row 1": {"loss": (1, 0.5), "acc": (1, 0.25)}}


def check(point: dict) -> None:
    """Hold one point's outcome against what the child had acknowledged before it was killed."""
    said, found = point["said"], point["found"]
    assert found is not None, point["point"]
    assert (found["fsck"], found["damaged"], found["journals"], found["locks"]) == ("", [], [], [])
    assert found["live refs"] == ""
    assert found["status"] == " M train.py\n?? new.py\n"
    if "started" not in said:
        assert len(found["runs"]) <= 1
        return
    (run,) = found["runs"]
    assert run["status"] in (("FINISHED",) if "ended" in said else ("KILLED", "FINISHED"))
    assert run["params"] == {"lr": 0.1}
    assert run["incomplete"] == ""
    assert run["dirty"]
    for metric in ("loss", "acc"):
        points = [(entry["step"], entry["value"]) for entry in run[metric]]
        assert len(set(points)) == len(points) == run["count"].get(metric, 0), "a point was recorded twice"
        for word, values in ROWS.items():
            if word in said and metric in values:
                assert values[metric] in points
    if "artifact" in said:
        assert run["artifacts"] == {"a.txt": "kept"}
    if "tag" in said:
        assert run["tags"] == {"k": "v"}


@pytest.mark.parametrize("scenario", ["end", "checkpoint", "recover"])
def test_killed_at_every_step(repo: Path, fast_directory: Path, scenario: str) -> None:
    (repo / "train.py").write_text("print('dirty')\n")
    (repo / "new.py").write_text("x = 1\n")
    points = sweep_kills(repo, fast_directory, program="crash.py", scenario=scenario)
    hit = [point for point in points if point["killed"]]
    assert len(hit) >= 0.9 * len(points), "most points must really have been hit"
    assert len(hit) >= (25 if scenario == "recover" else 60)
    for point in points:
        try:
            check(point)
        except AssertionError as error:
            raise AssertionError(f"killed at {point['point']}: {json.dumps(point, indent=1)}") from error
    names = {point["point"].split()[0] for point in hit}
    assert {"openat", "write", "fsync", "rename", "unlink", "mkdir"} <= names
    git(fast_directory / "template", "fsck", "--strict")

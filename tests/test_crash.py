"""A process that is killed at any step of its write path loses nothing that it acknowledged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import git

pytestmark = pytest.mark.slow

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


@pytest.fixture
def fast_directory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: what is swept here is the order of the steps, not the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.mark.parametrize("scenario", ["end", "checkpoint", "recover"])
def test_killed_at_every_step(repo: Path, fast_directory: Path, scenario: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    (repo / "train.py").write_text("print('dirty')\n")
    (repo / "new.py").write_text("x = 1\n")
    shutil.move(repo, fast_directory / "template")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("crash.py")), str(fast_directory), scenario],
        capture_output=True,
        text=True,
        cwd=fast_directory,
        check=False,
    )
    if "strace could not attach" in done.stderr:
        pytest.skip(f"this machine does not let strace attach: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    points = [json.loads(line) for line in done.stdout.splitlines()]
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

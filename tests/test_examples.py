"""The examples do what README says of them: real training, tracked, in a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import git

import gittrack

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAMS = Path(sys.executable).parent


def run(*command: str, at: Path) -> str:
    """Run a command with this interpreter's programs first in PATH; fail the test where it fails."""
    environment = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository that holds the examples, and stand in it."""
    directory = tmp_path / "project"
    shutil.copytree(EXAMPLES, directory, ignore=shutil.ignore_patterns("__pycache__"))
    git(directory, "init", "-q")
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "examples")
    monkeypatch.chdir(directory)
    return directory


@pytest.mark.parametrize(
    ("model", "options", "points"),
    [
        ("sgd", ["--epochs=4", "--rate=0.1"], 4),
        ("mlp", ["--epochs=3", "--rate=0.1"], 3),
        ("forest", ["--trees=15", "--depth=4"], 3),
        ("boosting", ["--trees=6", "--rate=0.5", "--depth=2"], 6),
        ("svm", ["--c=2", "--kernel=linear"], 1),
    ],
)
def test_a_training_is_kept_whole(project: Path, model: str, options: list[str], points: int) -> None:
    run("python", "sweep/train.py", f"--model={model}", "--data=wine", "--seed=3", *options, at=project)
    (kept,) = gittrack.runs("wine")
    assert kept.status == "FINISHED"
    assert kept.params["model"] == model
    assert kept.params["seed"] == 3
    assert kept.tags["library"].startswith("scikit-learn ")
    assert kept.series("valid_accuracy").num_rows == points
    assert 0.5 < kept.metrics["test_accuracy"] <= 1
    assert [(given.name, given.kind, given.digest[:7]) for given in kept.inputs] == [("wine", "file", "sha256:")]
    assert kept.source.commit == git(project, "rev-parse", "HEAD")
    assert not kept.source.dirty
    assert sorted(kept.artifacts()) == ["confusion.png", "model.joblib"]
    assert kept.artifact_file("confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_kept_model_is_the_one_that_was_scored(project: Path) -> None:
    import joblib
    from sklearn.metrics import accuracy_score

    run("python", "sweep/train.py", "--model=forest", "--data=wine", "--trees=15", at=project)
    (kept,) = gittrack.runs("wine")
    sys.path.insert(0, str(project / "sweep"))
    try:
        from train import load
    finally:
        sys.path.pop(0)
    features, labels = load("wine", kept.params["seed"])[2]
    model = joblib.load(kept.artifact_file("model.joblib"))
    assert accuracy_score(labels, model.predict(features)) == kept.metrics["test_accuracy"]


def test_equal_seeds_give_equal_numbers(project: Path) -> None:
    for _ in range(2):
        run("python", "sweep/train.py", "--model=mlp", "--data=wine", "--epochs=3", at=project)
    first, second = gittrack.runs("wine")
    assert first.id != second.id
    losses = [each.series("train_loss").column("value").to_pylist() for each in (first, second)]
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


def test_a_sweep_covers_its_grid(project: Path) -> None:
    run("python", "sweep/sweep.py", "--data=wine", "--models", "svm", "--seeds", "0", "1", at=project)
    kept = gittrack.runs("wine")
    assert len(kept) == 4
    assert {(each.params["c"], each.params["seed"]) for each in kept} == {(1.0, 0), (1.0, 1), (10.0, 0), (10.0, 1)}


def test_a_shell_script_is_tracked(project: Path) -> None:
    said = run("gittrack", "run", "-e", "shell", "--", "shell/train.sh", "--rate", "0.5", "--epochs", "6", at=project)
    (kept,) = gittrack.runs("shell")
    assert kept.params == {"rate": 0.5, "epochs": 6}
    assert kept.series("loss").column("step").to_pylist() == [1, 2, 3, 4, 5, 6]
    losses = kept.series("loss").column("value").to_pylist()
    assert losses == sorted(losses, reverse=True)
    assert kept.tags["fitted-with"] == "awk"
    assert kept.artifact_file("line.txt").read_text() in said
    assert kept.command[-4:] == ("--rate", "0.5", "--epochs", "6")


@pytest.mark.slow
def test_the_try_command_shows_what_was_kept(tmp_path: Path) -> None:
    said = run("python", str(EXAMPLES / "try.py"), str(tmp_path / "scratch"), at=tmp_path)
    scratch = tmp_path / "scratch"
    assert git(scratch, "status", "--porcelain") == " M sweep/train.py"
    assert len(gittrack.runs("breast_cancer", store=scratch)) == 16
    assert len(gittrack.runs("shell", store=scratch)) == 2
    assert "+    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-9" in said.split("$ gittrack diff")[1]
    shown = [line.split()[2] for line in said.splitlines() if line.startswith("$ gittrack ")]
    assert shown == ["run", "run", "ls", "ls", "compare", "diff", "ls"]
    further = run("bash", "-ec", said[said.rindex("  export PATH=") :], at=tmp_path)
    assert "model.joblib" in further


def test_the_try_command_leaves_a_directory_with_files_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept\n")
    refused = subprocess.run(
        [sys.executable, str(EXAMPLES / "try.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]

"""`gittrack report`: what runs say about a range of commits, as Markdown that nothing recorded can break out of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call, read

import gittrack
from gittrack.cli.markdown import escape

GUARD = '[tool.gittrack.check]\npaths = ["train.py"]\n'


def change(repo: Path, text: str, path: str = "train.py", *, message: str = "change") -> str:
    (repo / path).write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", message)
    return git(repo, "rev-parse", "HEAD")


def record(*, seed: int = 0, lr: float = 0.1, name: str | None = None, **metrics: float) -> str:
    """Record a run of what is on disk, with two points of each metric, and return its id."""
    with gittrack.start_run("churn", name=name, params={"seed": seed, "lr": lr}) as run:
        for step in range(2):
            run.log(metrics, step=step)
    return run.id


@pytest.fixture
def guarded(repo: Path) -> Path:
    """A repository with a guard whose tip, tagged `base`, was run with two seeds, and once with another rate."""
    change(repo, GUARD, "pyproject.toml", message="guard")
    record(seed=1, auc=0.80, loss=0.5, size=10.0)
    record(seed=2, auc=0.82, loss=0.5, size=10.0)
    record(seed=1, lr=9.0, auc=0.2, loss=2.0, size=10.0)
    git(repo, "tag", "base")
    return repo


def test_metrics_beside_the_base_s_best_and_its_noise(guarded: Path) -> None:
    commit = change(guarded, "better\n")
    record(seed=1, lr=0.01, auc=0.9, loss=0.51, size=11.0, name="swift-fox-1")
    lines = read("report", "base..HEAD").lines
    base = git(guarded, "rev-parse", "base")
    assert lines[0] == f"### Runs behind {base[:10]}..{commit[:10]}"
    assert lines[2] == "✅ 1 commit, each with a run behind it."
    assert lines[4] == "1 run of what stands at the tip:"
    assert lines[8].startswith("| swift\\-fox\\-1 `")
    start = lines.index(f"Beside the best of 3 runs of {base[:10]}:")
    assert lines[start + 2 : start + 7] == [
        "| Metric | Base | Here | Change |  |",
        "| --- | --- | --- | --- | --- |",
        "| auc ↑ | 0.8100 ± 0.014 (2 runs) | 0.9000 | +11.1% | 🟢 better |",
        "| loss ↓ | 0.5000 ± 0 (2 runs) | 0.5100 | +2.0% | 🔴 worse |",
        "| size | 10 | 11 | +10.0% | other |",
    ]
    assert "| lr | 9\\.0 | 0\\.01 |" in lines
    assert " train.py | 2 +-" in lines
    assert lines[-2:] == ["", "</details>"]


def test_what_is_within_the_noise_is_no_change(guarded: Path) -> None:
    change(guarded, "as good\n")
    record(auc=0.805, loss=0.5)
    said = read("report", "base..HEAD").out
    assert "| auc ↑ | 0.8100 ± 0.014 (2 runs) | 0.8050 | -0.6% | ⚪ within noise |" in said
    assert "| loss ↓ | 0.5000 ± 0 (2 runs) | 0.5000 |  | same |" in said
    assert "| size | 10 |  |  | no value |" in said


def test_commits_without_a_run_are_named_and_the_exit_code_is_the_audits_alone(guarded: Path) -> None:
    commit = change(guarded, "one\n", message="hasty | [x](http://evil) <b> @all")
    lines = read("report", "base..HEAD").lines
    assert lines[2:5] == [
        "❌ 1 commit of 1 without a run:",
        "",
        f"- {commit[:10]} hasty \\| \\[x\\]\\(http&#58;//evil\\) &lt;b&gt; &#64;all",
    ]
    assert call("audit", "base..HEAD").code == 9


def test_without_a_base_there_is_nothing_to_compare_with(repo: Path) -> None:
    change(repo, GUARD, "pyproject.toml")
    change(repo, "one\n")
    record(auc=0.5)
    said = read("report", "HEAD~..HEAD").out
    assert "There is no run of what this starts from to compare with." in said
    assert "| auc ↑ |  | 0.5000 |  | new |" in said


def test_without_a_guard_a_run_of_all_of_it_counts(repo: Path) -> None:
    record(auc=0.5)
    change(repo, "one\n")
    record(auc=0.6)
    lines = read("report", "HEAD~..HEAD").lines
    assert lines[2] == "✅ 1 commit, none of which changes a guarded path."
    assert "| auc ↑ | 0.5000 | 0.6000 | +20.0% | 🟢 better, noise unknown |" in lines


def test_json(guarded: Path) -> None:
    commit = change(guarded, "one\n")
    run = record(auc=0.9)
    found = read("report", "base...HEAD", "--json").json("report")
    assert (found["tip"], found["base"]["runs"], found["runs"][0]["id"]) == (commit, 3, run)
    assert found["metrics"][0]["judgement"] == "better"
    assert found["metrics"][0]["base"]["count"] == 2
    assert found["commits"][0]["run"]["id"] == run
    assert found["params"] == {"lr": [9.0, 0.1], "seed": [1, 0]}


@pytest.mark.parametrize("range", ["HEAD", "-x..HEAD", ""])
def test_what_is_no_range(guarded: Path, range: str) -> None:
    assert call("report", "--", range).code == 2


@pytest.mark.skipif(importlib.util.find_spec("kaleido") is None, reason="kaleido is not installed")
def test_plots_are_images_at_an_address(guarded: Path, tmp_path: Path) -> None:
    change(guarded, "one\n")
    record(auc=0.9)
    words = ("report", "base..HEAD", "--images", str(tmp_path / "plots"), "--image-url", "https://example.com/p/")
    lines = read(*words).lines
    assert "![auc](https://example.com/p/1-auc.png)" in lines
    assert (tmp_path / "plots/1-auc.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("`x`", "\\`x\\`"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("@team", "&#64;team"),
        ("a\nb\x1b[31m", "a b"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_nothing_breaks_out(text: str, shown: str) -> None:
    assert escape(text) == shown

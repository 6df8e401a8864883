"""What the commands print of runs, exactly: at 40, 80 and 200 columns, in a pipe, and in colour."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import pytest
from snapshots.check import check_snapshot
from snapshots.samples import MINUTE, NOW, make_evil_run, make_full_run, make_stored_run, make_sweep

from gittrack.cause import Cause, find_causes
from gittrack.cli.artifact import render_artifacts
from gittrack.cli.causes import render_causes
from gittrack.cli.compare import compare_runs, render_comparison
from gittrack.cli.diff import render_diff
from gittrack.cli.experiment import render_experiments
from gittrack.cli.init import render_settings
from gittrack.cli.judgement import Judgement, render_judgement
from gittrack.cli.log import render_history, render_lines
from gittrack.cli.ls import lay_out_runs
from gittrack.cli.show import render_revisions, render_run
from gittrack.cli.terminal import Screen
from gittrack.cli.text import count_cells
from gittrack.model import Experiment, Pointer
from gittrack.settings import Settings
from gittrack.stored_run import StoredRun
from gittrack.verdict import MetricVerdict

SCREENS = {"40": Screen(40), "80": Screen(80), "200": Screen(200), "pipe": Screen(), "color": Screen(80, color=True)}

CODE = (
    b"diff --git a/train.py b/train.py\nindex 1111111..2222222 100644\n"
    b"--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n"
    b" import model\n-model.fit(lr=0.01)\n+model.fit(lr=0.1)\n"
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Say local times in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def render_ls(screen: Screen, runs: Sequence[StoredRun]) -> list[str]:
    return lay_out_runs(runs, screen, now=NOW).lines


def render_all_parts(screen: Screen, runs: Sequence[StoredRun]) -> list[str]:
    return render_comparison(compare_runs(runs), screen, everything=False, now=NOW)


def render_diff_with_causes(screen: Screen, old: StoredRun, new: StoredRun) -> list[str]:
    causes = find_causes(old.snapshot, new.snapshot, files=["train.py"])
    return render_diff(compare_runs([old, new]), CODE, screen, causes=causes)


def make_judgement(verdict: Literal["same", "off"]) -> Judgement:
    old, new = make_sweep()[:2]
    verdicts = {
        "same": (MetricVerdict("auc", "same", 0.9131, 0.9131, 0.0, (5, 5)),),
        "off": (
            MetricVerdict("auc", "same", 0.9131, 0.9131, 0.0, (5, 5)),
            MetricVerdict("fit_seconds", "machine", 12.5, 13.25, 0.75, (1, 1)),
            MetricVerdict("loss", "off", 0.25, 0.31, 0.0612, (100, 100)),
            MetricVerdict("valid/loss", "off", 0.5, 0.25, None, (100, 80)),
            MetricVerdict("roc", "close", 0.1, 0.1 + 1e-9, 1e-9, (1, 1)),
            MetricVerdict("lost", "missing", 1.0, None, None, (1, 0)),
            MetricVerdict("found", "new", None, 1.0, None, (0, 1)),
        ),
    }
    causes = (Cause("packages", ("numpy 1.26.0 → 2.0.0", "rich 13.0 → none")), Cause("hardware", ("cpu.count 2 → 4",)))
    return Judgement(old, new, verdict, 1e-6, verdicts[verdict], causes if verdict == "off" else ())


def render_experiment_list(screen: Screen) -> list[str]:
    experiments = [
        Experiment("churn", "churn", created=NOW - 90 * MINUTE),
        Experiment("churn-2026", "Churn 2026", description="Who leaves us, and why", created=NOW, removed=NOW),
    ]
    return render_experiments(experiments, {"churn": 12, "churn-2026": 1}, screen, now=NOW)


def render_artifact_list(screen: Screen) -> list[str]:
    rows = [("model.pkl", 12_345_678, "a" * 64, True), ("plots/confusion matrix.png", 812, "b" * 64, False)]
    return render_artifacts(rows, screen)


def render_revision_list(screen: Screen) -> list[str]:
    runs = [
        make_stored_run(1, "renamed", revision=2, tags={"a": "b"}, note="why", removed=NOW),
        make_stored_run(2, "brave-otter-41"),
    ]
    return render_revisions(runs, screen)


def render_setting_list(screen: Screen) -> list[str]:
    return render_settings(Settings(experiment="churn", origin={"experiment": "git config"}), screen)


PICTURES: dict[str, Callable[[Screen], list[str]]] = {
    "ls": lambda screen: render_ls(screen, make_sweep()),
    "ls-one": lambda screen: render_ls(screen, make_sweep()[:1]),
    "show": lambda screen: render_run(make_full_run(), screen, now=NOW),
    "show-bare": lambda screen: render_run(make_stored_run(7, "bare"), screen, now=NOW),
    "log": lambda screen: render_history([make_full_run(), *make_sweep()[:2]], screen, now=NOW),
    "log-oneline": lambda screen: render_lines(make_sweep(), screen),
    "compare": lambda screen: render_all_parts(screen, make_sweep()),
    "compare-all": lambda screen: render_comparison(
        compare_runs(make_sweep()[:2], goals={"epoch": "max"}), screen, everything=True, now=NOW
    ),
    "diff": lambda screen: render_diff_with_causes(screen, make_sweep()[1], make_full_run()),
    "judgement": lambda screen: render_judgement(make_judgement("off"), screen),
    "judgement-same": lambda screen: render_judgement(make_judgement("same"), screen),
    "diff-same-code": lambda screen: render_diff(compare_runs(make_sweep()[:2]), b"", screen),
    "experiments": render_experiment_list,
    "artifacts": render_artifact_list,
    "revisions": render_revision_list,
    "settings": render_setting_list,
}


@pytest.mark.parametrize("place", SCREENS)
@pytest.mark.parametrize("picture", PICTURES)
def test_what_is_printed_is_exactly_this(picture: str, place: str) -> None:
    check_snapshot(f"{picture}-{place}", PICTURES[picture](SCREENS[place]))


TABLES = ["ls", "ls-one", "compare", "compare-all", "artifacts", "experiments", "revisions", "settings"]


@pytest.mark.parametrize(
    ("picture", "width"),
    [(picture, width) for picture in sorted(PICTURES) for width in (40, 41, 60, 79, 80, 100)]
    + [(picture, width) for picture in TABLES for width in (20, 25, 33)],
)
def test_no_line_is_wider_than_the_terminal(picture: str, width: int) -> None:
    lines = PICTURES[picture](Screen(width))
    code = CODE.decode().split("\n")
    assert [line for line in lines if count_cells(line) > width and line not in code] == []


@pytest.mark.parametrize("picture", PICTURES)
def test_colours_change_nothing_but_colours(picture: str) -> None:
    plain = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in PICTURES[picture](Screen(80, color=True))]
    assert plain == PICTURES[picture](Screen(80))


EVIL_PICTURES: dict[str, Callable[[Screen], list[str]]] = {
    "ls": lambda screen: render_ls(screen, [make_evil_run(1), make_evil_run(2)]),
    "show": lambda screen: render_run(make_evil_run(), screen, now=NOW),
    "log": lambda screen: render_history([make_evil_run()], screen, now=NOW),
    "log-oneline": lambda screen: render_lines([make_evil_run()], screen),
    "compare": lambda screen: render_all_parts(screen, [make_evil_run(1), make_evil_run(2)]),
    "diff": lambda screen: render_diff(compare_runs([make_evil_run(1), make_evil_run(2)]), b"+\x1b[31m\r\x9b", screen),
    "causes": lambda screen: render_causes([Cause("params", (make_evil_run().name,) * 9)], screen),
    "revisions": lambda screen: render_revisions([make_evil_run()], screen),
    "experiments": lambda screen: render_experiments(
        [Experiment("a\x1b[31m", "\x1b]0;x\x07b", description="\u202ec")], {"a\x1b[31m": 1}, screen, now=NOW
    ),
    "artifacts": lambda screen: render_artifacts([("a\x1b[31m\nb", 1, "c" * 64, True)], screen),
}


@pytest.mark.parametrize("screen", [Screen(), Screen(80), Screen(30)])
@pytest.mark.parametrize("picture", EVIL_PICTURES)
def test_nothing_a_run_says_reaches_the_terminal_as_a_command(picture: str, screen: Screen) -> None:
    lines = EVIL_PICTURES[picture](screen)
    unsafe = [line for line in lines if re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line)]
    assert unsafe == []
    assert lines


def test_a_run_of_many_artifacts_does_not_flood_the_terminal() -> None:
    artifacts = {f"part-{number:03}": Pointer("a" * 64, 1) for number in range(100)}
    run = make_stored_run(1, "many", artifacts=artifacts)
    lines = render_run(run, Screen(80), now=NOW)
    assert lines[-1] == "  … 70 more: gittrack artifact ls 00000001"
    assert sum(line.startswith("  part-") for line in lines) == 30
    assert sum(line.startswith("  part-") for line in render_run(run, Screen(), now=NOW)) == 100


def test_columns_keep_their_order_and_their_full_names_where_two_are_alike() -> None:
    runs = [make_stored_run(1, "a", params={"lr": 0.1}, metrics={"lr": 0.2}, tags={"x": "y"})]
    layout = lay_out_runs(runs, Screen(), now=NOW, columns=["tags.x", "params.lr", "metrics.lr", "metrics.lr.max"])
    assert layout.lines == ["x  params.lr  metrics.lr  lr.max", "y        0.1      0.2000  0.2000"]

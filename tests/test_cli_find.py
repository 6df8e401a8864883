"""Finding runs from the command line: queries, sorting, the best, groups of repeated seeds, params that matter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import git
from test_cli_commands import call, read

import gittrack


@pytest.fixture
def sweep(repo: Path) -> dict[str, str]:
    """Two models at two learning rates, three seeds each; return the ids by `model/lr/seed`."""
    ids = {}
    for model, base in (("svm", 0.7), ("tree", 0.8)):
        for lr in (0.1, 0.01):
            for seed in range(3):
                name = f"{model}-{lr}-{seed}"
                params = {"model": model, "lr": lr, "seed": seed}
                with gittrack.start_run("churn", name=name, params=params, tags={"stage": f"s{seed}"}) as run:
                    run.log({"auc": base, "oddity": 1.0}, step=0)
                    run.log({"auc": base + lr + seed / 100, "oddity": 2.0}, step=1)
                ids[name] = run.id
    with gittrack.start_run("other", name="nan", params={"lr": 1}) as run:
        run.log({"auc": float("nan")})
    ids["nan"] = run.id
    return ids


def names(*words: str) -> list[str]:
    return [run["name"] for run in read("ls", *words, "--json").json("runs")]


def test_a_query_narrows_and_sort_orders(sweep: dict[str, str]) -> None:
    assert names("params.model = 'tree' AND params.lr < 0.05", "--sort", "auc") == [
        "tree-0.01-0",
        "tree-0.01-1",
        "tree-0.01-2",
    ]
    assert names("auc > 0.9", "--sort", "metrics.auc", "--desc", "-n", "1") == ["tree-0.1-2"]
    assert names("auc > 0.9", "--sort", "-metrics.auc", "-n", "1") == ["tree-0.1-2"]
    assert names("auc > 0.9", "--sort", "-auc", "--desc", "-n", "1") == ["tree-0.1-1"]
    assert names("tags.stage = 's1' OR experiment = 'other'", "--sort", "model,lr") == [
        "svm-0.01-1",
        "svm-0.1-1",
        "tree-0.01-1",
        "tree-0.1-1",
        "nan",
    ]
    assert names("metrics.auc.min < 0.75 AND seed = 0", "-e", "churn") == ["svm-0.01-0", "svm-0.1-0"]
    assert names("auc > 2") == []


def test_what_a_list_is_sorted_by_is_among_its_columns(sweep: dict[str, str]) -> None:
    header = read("ls", "model = 'svm'", "--sort", "oddity.min,start_time").lines[0].split()
    assert "oddity.min" in header
    assert header.count("STARTED") == 1


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["ls", "metrics.acu > 1"], "no run has a metric 'acu'\n  metrics.acu > 1\n  ^", "metrics.auc"),
        (["ls", "auc >"], "auc >\n       ^", None),
        (["ls", "--sort", "acu"], "'acu'", "metrics.auc"),
        (["ls", "--group", "modle"], "'modle'", "params.model"),
        (["ls", "--group", "model", "--sort", "seed"], "cannot be sorted by 'seed'", None),
        (["ls", "--desc"], "--desc", "gittrack ls --sort KEY --desc"),
        (["best", "oddity"], "its name does not tell", "gittrack best oddity --min, or --max"),
        (["best", "model"], "'model' is not a metric", "gittrack best auc"),
        (["importance", "acu"], "'acu'", "metrics.auc"),
        (["importance", "lr"], "'lr' is not a metric", "gittrack importance auc"),
        (["importance", "status"], "'status' is not a metric", "gittrack importance auc"),
        (["compare", "seed = 7"], "at least two runs: 'seed = 7' finds 0 runs", "gittrack compare latest latest~1"),
        (["compare", "seed = 7", "nan", "lr = 1"], "at least two runs: these words find 1 run in all", None),
        (["compare", "nan"], "at least two runs\n", "gittrack compare latest latest~1"),
        (["ls", "-e", "chrun"], "no experiment 'chrun'", "churn"),
        (["ls", "auc > 0", "-e", "Chrun"], "no experiment 'Chrun'", "churn"),
        (["watch", "latest", "-e", "chrun"], "no experiment 'chrun'", "churn"),
        (["experiment", "show", "chrun"], "no experiment 'chrun'", "churn"),
        (["watch", "nobody", "-e", "churn"], "no run 'nobody'", "gittrack ls"),
        (["ls", "-e", "zzz"], "no experiment 'zzz'", "gittrack experiment ls"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_can(
    sweep: dict[str, str], words: list[str], said: str, hint: str | None
) -> None:
    answer = call(*words)
    assert answer.code != 0
    assert said in answer.err
    assert hint is None or f"hint: {hint}" in answer.err


def test_the_best_run_comes_first_and_nan_never(sweep: dict[str, str]) -> None:
    assert [run["name"] for run in read("best", "auc", "-n", "2", "--json").json("runs")] == [
        "tree-0.1-2",
        "tree-0.1-1",
    ]
    assert read("best", "auc", "--id").lines == [sweep["tree-0.1-2"]]
    assert read("best", "auc", "model = 'svm'", "--min", "--id").lines == [sweep["svm-0.01-0"]]
    assert len(read("best", "auc", "-n", "50", "--json").json("runs")) == 12
    assert read("best", "auc.max", "-n", "1").lines[1].split()[1] == "tree-0.1-2"


def test_groups_show_mean_and_spread_of_repeated_seeds(sweep: dict[str, str]) -> None:
    lines = read("ls", "-e", "churn", "--group", "params.model,params.lr", "--columns", "auc").lines
    assert [re.split(r"\s{2,}", line.strip()) for line in lines] == [
        ["model", "lr", "RUNS", "auc", "min", "max"],
        ["tree", "0.1", "3", "0.9100 ± 0.01", "0.9000", "0.9200"],
        ["tree", "0.01", "3", "0.8200 ± 0.01", "0.8100", "0.8300"],
        ["svm", "0.1", "3", "0.8100 ± 0.01", "0.8000", "0.8200"],
        ["svm", "0.01", "3", "0.7200 ± 0.01", "0.7100", "0.7300"],
    ]
    groups = read("ls", "--group", "model", "--sort", "-model", "--json").json("groups")
    assert [group["keys"] for group in groups] == [{"params.model": "tree"}, {"params.model": "svm"}, {}]
    assert sorted(groups[0]["runs"]) == sorted(sweep[name] for name in sweep if name.startswith("tree"))
    auc = groups[0]["metrics"]["auc"]
    assert (auc["count"], auc["mean"], auc["max"]) == (6, pytest.approx(0.865), pytest.approx(0.92))
    assert groups[2]["metrics"]["auc"] == {"count": 0, "mean": None, "std": None, "min": None, "max": None}


def test_groups_by_times_say_them_as_times(repo: Path) -> None:
    with gittrack.start_run("churn", name="timed") as run:
        run.log({"auc": 0.5})
    with gittrack.start_run("churn", name="live"):
        found = {record["name"]: record for record in read("ls", "--json").json("runs")}
        heads, *rows = read("ls", "--group", "ended,duration", "--sort", "duration").lines
        assert heads.split()[:3] == ["ended", "duration", "RUNS"]
        ended = found["timed"]["ended"]
        assert re.fullmatch(rf"{ended[:19]}Z +\d+\.\d\d s +1 .*", rows[0])
        assert re.fullmatch(r"- +- +1.*", rows[1].strip())
        groups = read("ls", "--group", "started,ended,duration", "--json").json("groups")
        assert {group["runs"][0]: group["keys"] for group in groups} == {
            found["timed"]["id"]: {key: found["timed"][key] for key in ("started", "ended", "duration")},
            found["live"]["id"]: {"started": found["live"]["started"]},
        }


def test_importance_ranks_the_params_that_differ(sweep: dict[str, str]) -> None:
    found = read("importance", "auc", "--json").json("importance")
    assert [entry["param"] for entry in found] == ["model", "lr", "seed"]
    assert found[0]["kind"] == "category"
    assert found[1]["correlation"] > 0.4
    assert read("importance", "auc", "model = 'svm'").lines[1].split()[0] == "lr"


def test_compare_takes_a_query_and_each_run_once(sweep: dict[str, str]) -> None:
    comparison = read("compare", "lr = 0.1 AND model = 'svm'", "svm-0.1-0", "--json").json("comparison")
    assert [run["name"] for run in comparison["runs"]] == ["svm-0.1-2", "svm-0.1-1", "svm-0.1-0"]


def test_an_empty_store_has_nothing_to_find(repo: Path) -> None:
    for words in (["ls", "auc > 1"], ["ls", "--group", "lr"], ["best", "auc"], ["importance", "auc"]):
        answer = call(*words)
        assert (answer.code, answer.out) == (0, "")
        assert "no run" in answer.err
    assert read("best", "auc", "--json").json("runs") == []
    assert read("ls", "--group", "lr", "--json").json("groups") == []
    assert read("importance", "auc", "--json").json("importance") == []


def test_a_branch_that_was_copied_by_hand_shows_no_run_twice(repo: Path, sweep: dict[str, str]) -> None:
    git(repo, "branch", "gittrack/copy", "gittrack/churn")
    git(repo, "branch", "gittrack/another", "gittrack/churn")
    assert sorted(names("--all")) == sorted(sweep)
    assert len(names("-e", "copy", "--all")) == 12
    assert read("best", "auc", "--id").lines == [sweep["tree-0.1-2"]]
    assert read("show", "latest", "--json").json("run")["id"] == sweep["nan"]
    git(repo, "branch", "-D", "gittrack/churn")
    assert sorted(names("--all")) == sorted(sweep)
    assert gittrack.runs().to_pandas()["id"].is_unique


def test_columns_are_spelled_as_in_a_query(repo: Path) -> None:
    with gittrack.start_run("odd", name="full", params={"a,b": 1}) as run:
        run.log({"val loss": 0.5, "auc": 0.75}, step=3)
    gittrack.start_run("odd", name="empty").end()
    columns = "name,metrics.`val loss`.min,metrics.val loss,auc.step,`a,b`,source.dirty,status"
    assert [re.split(r"\s{2,}", line) for line in read("ls", "--columns", columns, "--sort", "name").lines] == [
        ["NAME", "val loss.min", "val loss", "auc.last_step", "a,b", "DIRTY", "STATUS"],
        ["empty", "false", "FINISHED"],
        ["full", "0.5000", "0.5000", "3", "1", "false", "FINISHED"],
    ]
    assert read("ls", "-n", "1", "--columns", "name,auc").lines[1].split() == ["empty"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [("acu", "metrics.auc"), ("params.lrr", "params.lr"), ("statsu", "status")],
)
def test_an_unknown_column_is_refused_with_the_near_ones(sweep: dict[str, str], key: str, hint: str) -> None:
    answer = call("ls", "--columns", f"name,{key}")
    assert answer.code == 2
    assert f"hint: {hint}" in answer.err


def test_params_that_differ_beyond_what_is_shown_are_shown(sweep: dict[str, str]) -> None:
    header = read("best", "auc", "-e", "churn", "-n", "2").lines[0].split()
    assert header[5:9] == ["lr", "model", "seed", "auc"]
    assert "lr" in read("ls", "model = 'tree'", "-n", "2").lines[0].split()

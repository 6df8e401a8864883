"""What runs take is counted once, where it is, and what could be freed is what gc frees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import git
from snapshots.invocation import call, read

import gittrack
from gittrack.content import ContentStore
from gittrack.history import History
from gittrack.repository import get_repository
from gittrack.store import open_store
from gittrack.usage import find_sharers, list_kinds, measure_usage, read_census


@pytest.fixture
def runs(shared: Path) -> Path:
    """Record three runs of two experiments that share content and source."""
    for name, experiment, weights in (("one-ox-1", "churn", "w" * 5000), ("two-ox-2", "churn", "w" * 5000)):
        with gittrack.start_run(experiment, name=name) as active:
            active.log_text(weights, "model.BIN")
            active.log_text(name, f"{name}.txt")
            active.log({"loss": 1.0}, step=0)
    with gittrack.start_run("other", name="three-ox-3") as active:
        active.log_text("w" * 5000, "deep/again.bin")
        active.log_text("x" * 300, "README")
        active.log_text("", "empty.log")
    return shared


def measure(*words: str) -> Any:
    return read("du", *words, "--json").json("usage")


def disk_size(repo: Path, *specs: str) -> int:
    ids = sorted({git(repo, "rev-parse", spec) for spec in specs})
    sizes = git(repo, "cat-file", "--batch-check=%(objectsize:disk)", stdin="\n".join(ids).encode())
    return sum(map(int, sizes.split()))


def test_shared_content_counts_once_in_every_line(runs: Path) -> None:
    usage = measure()
    assert usage["total"]["artifacts"] == usage["total"]["artifacts_here"] == 5000 + 2 * len("one-ox-1") + 300
    by_name = {group["name"]: group for group in usage["experiments"]}
    assert (by_name["churn"]["artifacts"], by_name["churn"]["runs"], by_name["churn"]["shared"]) == (5016, 2, 5000)
    assert (by_name["other"]["artifacts"], by_name["other"]["shared"]) == (5300, 5000)
    runs_by_name = {group["name"]: group for group in usage["runs"]}
    assert [runs_by_name[name]["artifacts"] for name in ("one-ox-1", "two-ox-2", "three-ox-3")] == [5008, 5008, 5300]
    sizes = [group["local"] + group["artifacts"] for group in usage["runs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert usage["kinds"] == [
        {"suffix": ".bin", "files": 1, "bytes": 5000, "here": 5000},
        {"suffix": "", "files": 1, "bytes": 300, "here": 300},
        {"suffix": ".txt", "files": 2, "bytes": 16, "here": 16},
        {"suffix": ".log", "files": 1, "bytes": 0, "here": 0},
    ]


def test_git_objects_count_as_they_lie_on_the_disk(runs: Path) -> None:
    usage = measure()
    commits = git(runs, "log", "--format=%H", "--grep=^Run:", "gittrack/churn").split()
    total = {group["name"]: group for group in usage["experiments"]}["churn"]
    assert total["metrics"] == disk_size(runs, *(f"{commit}:metrics/0001.parquet" for commit in commits))
    names = ("run.json", "params.json", "summary.json", "environment.json", ".gitattributes")
    least = disk_size(runs, *(f"{commit}:{name}" for commit in commits for name in names))
    assert least < total["records"] < least + 3000
    assert total["local"] == total["records"] + total["metrics"] + total["artifacts_here"]


def test_source_counts_only_where_the_code_s_branches_lack_it(runs: Path) -> None:
    assert measure()["total"]["source"] == 0
    (runs / "new.py").write_text("print(1)\n" * 500)
    with gittrack.start_run("churn"):
        pass
    tip = git(runs, "rev-parse", "gittrack/churn")
    assert measure()["total"]["source"] == disk_size(runs, f"{tip}:source", f"{tip}:source/new.py")
    git(runs, "add", "-A")
    git(runs, "commit", "-qm", "now it is code")
    assert measure()["total"]["source"] == 0


def test_what_is_elsewhere_is_told_and_asked_for(runs: Path, hub: Path) -> None:
    files = [file for file in (runs / ".git/lfs/objects").rglob("*") if file.is_file() and file.stat().st_size == 5000]
    target = hub / "lfs/objects" / files[0].relative_to(runs / ".git/lfs/objects")
    target.parent.mkdir(parents=True)
    files[0].rename(target)
    usage = measure("--remote")
    assert usage["not_here"] == {"files": 1, "bytes": 5000}
    assert usage["remote"] == {"name": "origin", "files": 1, "bytes": 5000}
    assert usage["total"]["artifacts_here"] == 316
    assert "note: 1 content, 5.0 kB, not on this machine\nhint: gittrack du --remote" in call("du").err
    target.unlink()
    assert "warning: 1 content, 5.0 kB, neither here nor with origin" in call("du", "--remote").err
    hub.rename(hub.with_name("gone.git"))
    failed = call("du", "--remote")
    assert (failed.code, "the remote could not be asked what it has" in failed.err) == (0, True)


def test_it_tells_what_gc_would_free_and_gc_frees_it(runs: Path) -> None:
    assert measure()["gc"] == {"runs": 0, "content_now": 0, "content_later": 0, "objects": 0}
    assert "note: gittrack gc would free nothing\n" in call("du").err
    call("gc", "--yes")
    call("rm", "one-ox-1")
    assert measure()["gc"]["runs"] == 0
    call("gc", "--older-than", "0s", "--yes")
    usage = measure()
    assert (usage["gc"]["content_now"], usage["gc"]["content_later"]) == (0, len("one-ox-1"))
    assert usage["total"]["artifacts"] == 5308


def test_one_experiment_is_measured_alone(runs: Path) -> None:
    usage = measure("-e", "other")
    assert [group["name"] for group in usage["runs"]] == ["three-ox-3"]
    assert call("du", "-e", "nope").code == 3


def test_the_tables_read_well(runs: Path) -> None:
    answer = call("du")
    assert answer.code == 0
    lines = [line.split() for line in answer.lines]
    assert lines[0] == ["EXPERIMENT", "RUNS", "ARTIFACTS", "HERE", "METRICS", "SOURCE", "RECORDS"]
    assert [line[0] for line in lines[1:4]] == ["churn", "other", "total"]
    assert lines[3][1:6] == ["3", "5.3", "kB", "5.3", "kB"]
    assert lines[5][:3] == ["RUN", "ARTIFACTS", "HERE"]
    assert {line[0] for line in lines[6:9]} == {"one-ox-1", "two-ox-2", "three-ox-3"}
    assert "note: content that several runs share counts once in every line and in the total\n" in answer.err


def test_without_runs_there_is_nothing_to_measure(repo: Path) -> None:
    assert "note: there are no runs\n" in call("du").err
    assert measure()["total"]["local"] == 0


def test_a_census_knows_who_shares_content_whatever_is_damaged(runs: Path) -> None:
    history = History(open_store(get_repository(runs)))
    census = read_census(history)
    oid = next(p.oid for needs in census for p in needs.artifacts.values() if p.size == 5000)
    assert sorted(needs.name for needs in find_sharers(census, [oid])[oid]) == ["one-ox-1", "three-ox-3", "two-ox-2"]
    tip = git(runs, "rev-parse", "gittrack/other:artifacts/README")
    (runs / ".git/objects" / tip[:2] / tip[2:]).unlink()
    census = read_census(history)
    assert sorted(path for needs in census if needs.experiment == "other" for path in needs.artifacts) == [
        "deep/again.bin",
        "empty.log",
    ]
    usage = measure_usage(history, ContentStore(runs / ".git/lfs"), census)
    assert usage.total.artifacts == 5016
    assert [kind.suffix for kind in list_kinds(census, usage.absent)] == [".bin", ".txt", ".log"]

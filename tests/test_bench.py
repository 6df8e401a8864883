"""Every bench runs at its smallest size and gives the figures it promises; no time is asserted."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.driven.trackers import TRACKERS, list_installed
from bench.process import TrackerFailed, TrackerProcess, find_installed
from bench.report import Figure, Options, Report, show_number
from bench.scratch import make_repository, measure_packed_size, measure_size, run_git

TESTS = Path(__file__).resolve().parent
FLOOR = "json.dumps + write"
PROMISED = {
    "hot_path": ["a row of 10 metrics: gittrack", "a single metric: gittrack", "gittrack: last ÷ first"],
    "tiny_run": ["a tiny run: gittrack", f"a tiny run: {FLOOR}", "gittrack's phase: end"],
    "startup": ["bare Python", "import gittrack, over bare Python", "gittrack --help", "gittrack ls of 2 runs"],
    "storage": ["a point: gittrack after git gc, as fast as it logs", "a tiny run: gittrack after git gc"],
    "encode": ["end of 1,000 points", "end of 10,000 points"],
    "series": [
        "a series of 200 points: gittrack",
        f"a series of 200 points: {FLOOR}",
        "curves of 2 runs of 100 points",
    ],
    "index": [
        "60 runs: index from nothing",
        "60 runs: refresh after one new run",
        "20 runs: gittrack ls QUERY, a whole process",
    ],
    "sharing": [
        "8 runs, first push: gittrack push, objects sent",
        "60 runs: gittrack push more than plain git push",
        "40 runs: both, blobless",
        "3 clones × 2 runs: arrived",
    ],
    "artifacts": [
        "20 files of 20 kB, directory: fetch",
        "one file of 3 MiB, directory: send, throughput by cp's",
        "one file of 11 MiB, S3 (moto): most memory",
    ],
    "check": ["50 runs: nothing guarded is staged", "50 runs: no run vouches"],
    "search": ["50 runs: filter, sort, first 100", "60 runs: all to pandas", "70 runs: newest 100"],
}


@pytest.mark.parametrize("name", PROMISED)
def test_a_bench_gives_its_figures(name: str) -> None:
    report = importlib.import_module(f"bench.{name}").measure(Options(tiny=True, only=(FLOOR,)))
    assert [what for what in PROMISED[name] if not report.get(what).samples] == []
    assert all(math.isfinite(figure.median) for figure in report.figures)
    assert report.title in report.to_text()


def test_contention_counts_what_is_there() -> None:
    report = importlib.import_module("bench.contention").measure(Options(tiny=True))
    for count in (3, 1):
        assert report.get(f"by {count}: runs in the experiment").samples == (6,)
        assert report.get(f"by {count}: runs that are there twice").samples == (0,)
        assert report.get(f"by {count}: stale locks").samples == (0,)
        assert report.get(f"by {count}: journals left").samples == (0,)


@pytest.mark.parametrize("command", [["tests/bench", "encode"], ["-m", "tests.bench.encode"]])
def test_the_ways_to_start_a_bench(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--tiny", "--json"], cwd=TESTS.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (bench,) = json.loads(done.stdout)["benches"]
    assert bench["figures"][0]["what"] == "end of 1,000 points"


def test_a_peer_that_is_not_installed_is_left_out_with_a_line(tmp_path: Path) -> None:
    absent = [name for name in TRACKERS if name not in list_installed()]
    if not absent:
        pytest.skip("every peer is installed here")
    report = importlib.import_module("bench.tiny_run").measure(Options(tiny=True, only=(absent[0],)))
    assert f"{absent[0]} is left out: {TRACKERS[absent[0]].package} is not installed" in report.remarks


def test_a_tracker_that_fails_says_why_and_the_child_lives(tmp_path: Path) -> None:
    with TrackerProcess(FLOOR, sys.executable, tmp_path, files=1) as process:
        with pytest.raises(TrackerFailed, match="_file"):
            process.do("rows", count=1)
        process.do("open")
        process.do("start")
        assert process.do("rows", count=2500)["seconds"] > 0
        process.do("end")
        assert sum(1 for _ in (process.data / "1.jsonl").open()) == 2501


def test_a_child_that_dies_is_told_apart_from_one_that_answers(tmp_path: Path) -> None:
    with TrackerProcess(FLOOR, sys.executable, tmp_path, files=1) as process:
        os.kill(process.pid, 9)
        with pytest.raises(TrackerFailed, match="its process has ended"):
            process.do("open")


def test_this_interpreter_is_found_for_what_it_has() -> None:
    found = find_installed([sys.executable])
    assert found["gittrack"] == sys.executable
    assert found[FLOOR] == sys.executable


def test_a_target_is_held_to_the_median() -> None:
    assert Figure("x", "ms", (1.0, 2.0, 9.0), at_most=2.0).holds is True
    assert Figure("x", "ms", (1.0, 2.1, 9.0), at_most=2.0).holds is False
    assert Figure("x", "×", (1.0, 4.0, 9.0), at_least=4.0).holds is True
    assert Figure("x", "×", (1.0, 3.9, 9.0), at_least=4.0).holds is False
    assert Figure("x", "ms", (1.0,)).holds is None


def test_a_report_shows_what_misses() -> None:
    report = Report("title")
    report.add("slow", "ms", [3.0, 1.0, 2.0], times=1.0, at_most=1.5)
    report.remarks.append("a peer is left out")
    assert report.to_text().splitlines() == [
        "== title",
        "what  unit  median   min   max  × gittrack  target  holds",
        "slow  ms      2.00  1.00  3.00        1.00  ≤ 1.50     NO",
        "note: a peer is left out",
    ]
    (figure,) = report.to_dict()["figures"]
    assert (figure["median"], figure["min"], figure["max"], figure["holds"]) == (2.0, 1.0, 3.0, False)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234567.8, "1,234,568")]
)
def test_numbers_are_shown_short(value: float, text: str) -> None:
    assert show_number(value) == text


def test_sizes_are_of_files_and_of_the_packed_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "code", files=3)
    assert run_git(repository, "status", "--porcelain") == ""
    assert len(run_git(repository, "ls-files").splitlines()) == 3
    (repository / "noise").write_bytes(os.urandom(5000))
    assert measure_size(repository) > 5000 + measure_packed_size(repository)

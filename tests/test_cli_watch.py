"""The `watch` command and what it stands on: a live run of another process is followed until it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from children import Child
from snapshots.check import check_snapshot
from snapshots.invocation import COMMAND, call, spawn, spawn_in_terminal
from snapshots.samples import EVIL, NOW

import gittrack
from gittrack import follower as follower_module
from gittrack.cli.room import Room
from gittrack.cli.terminal import Screen
from gittrack.cli.text import count_cells
from gittrack.cli.watch import Watch, find_missing, render_watch, say_change
from gittrack.figure import Look, make_points
from gittrack.follower import RunFollower, find_live_runs
from gittrack.model import Status
from gittrack.tracker import Tracker

TRAIN = """
import sys, time, gittrack
with gittrack.start_run("live", name="swift-heron-7", params={"lr": 0.1}) as run:
    print("begun", flush=True)
    for step in range(1000):
        if not sys.stdin.readline():
            break
        run.log({"loss": 1 / (step + 1), "acc": step / 10}, step=step)
        if step == 2:
            run.checkpoint()
        print(step, flush=True)
"""


class Training:
    """A training in a process of its own, which makes a step when it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._read() == "begun"

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def step(self, count: int = 1) -> None:
        """Make so many steps; they are recorded when this returns."""
        assert self.process.stdin is not None
        for _ in range(count):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            assert self._read().isdigit()

    def end(self) -> None:
        """Let the training end, and wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """Kill the training as `kill -9` does."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def training(repo: Path) -> Iterator[Training]:
    """Return a training that has begun."""
    begun = Training()
    yield begun
    if begun.process.poll() is None:
        begun.kill()


def follow(tracker: Tracker) -> RunFollower:
    return RunFollower(tracker, tracker.get_run("swift-heron-7"))


# The follower


def test_a_live_run_is_followed_to_its_end(training: Training) -> None:
    with Tracker.open() as tracker:
        followed = follow(tracker)
        assert followed.look()
        assert (dict(followed.params), followed.series) == ({"lr": 0.1}, {})
        training.step(2)
        assert followed.look()
        assert list(followed.series["loss"].steps) == [0, 1]
        assert not followed.look()
        training.step(3)  # a checkpoint among them
        assert followed.look()
        assert list(followed.series["loss"].values) == [1 / (step + 1) for step in range(5)]
        assert (followed.summary["loss"].last, followed.summary["loss"].count) == (0.2, 5)
        training.end()
        assert followed.look()
        assert (followed.live, followed.run.status) == (False, Status.FINISHED)
        assert list(followed.series["acc"].steps) == [0, 1, 2, 3, 4]
        assert not followed.look()


def test_one_who_comes_late_sees_what_was_checkpointed(training: Training) -> None:
    training.step(6)
    with Tracker.open() as tracker:
        followed = follow(tracker)
        followed.look()
        assert list(followed.series["loss"].steps) == list(range(6))
        assert followed.summary == tracker.get_run("swift-heron-7").summary


def test_a_look_reads_only_what_is_new(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    training.step(50)
    tables = []
    gather = follower_module.gather_tables

    def count(*arguments: object, **options: object) -> Iterator[object]:
        for table, offsets in gather(*arguments, **options):  # type: ignore[arg-type]
            tables.append(table.num_rows)
            yield table, offsets

    monkeypatch.setattr(follower_module, "gather_tables", count)
    with Tracker.open() as tracker:
        followed = follow(tracker)
        followed.look()
        training.step(2)
        followed.look()
        followed.look()
        # The first 3 of the 50 rows are in the checkpoint.
        assert tables == [94, 4]


def test_a_run_that_is_killed_is_seen_to_end(training: Training) -> None:
    training.step(4)
    with Tracker.open() as tracker:
        followed = follow(tracker)
        followed.look()
        training.step(1)
        training.kill()
        assert followed.look()
        assert (followed.live, followed.run.status) == (False, Status.KILLED)
        assert len(followed.series["loss"]) == 5


def test_a_run_that_has_ended_is_read_once(training: Training) -> None:
    training.step(3)
    training.end()
    with Tracker.open() as tracker:
        followed = follow(tracker)
        assert (followed.look(), followed.look(), followed.live) == (True, False, False)
        assert list(followed.series["loss"].values) == [1.0, 0.5, 1 / 3]


def test_live_runs_are_found_newest_first(repo: Path) -> None:
    def hold(experiment: str) -> Child:
        ready, told = os.pipe()

        def record() -> None:
            with gittrack.start_run(experiment) as run:
                run.log({"a": 1.0})
                os.write(told, b".")
                time.sleep(30)

        child = Child(record)
        os.read(ready, 1)
        return child

    children = [hold("first"), hold("second")]
    try:
        with Tracker.open() as tracker:
            runs = {run.experiment: run.id for run in tracker.list_runs()}
            assert find_live_runs(tracker) == [runs["second"], runs["first"]]
            assert find_live_runs(tracker, experiment="first") == [runs["first"]]
            assert find_live_runs(tracker, experiment="none") == []
    finally:
        for child in children:
            child.kill()


# What is shown


class Followed:
    """A run as a follower has it, made by hand."""

    def __init__(self, *, name: str = "swift-heron-7", points: int = 40, status: Status = Status.RUNNING) -> None:
        from array import array

        from gittrack.model import Run
        from gittrack.series import Columns, build_table, summarize

        ended = None if status is Status.RUNNING else NOW + 60_000_000
        self.run = Run("3f9a1c2e" * 4, name, "churn", 1, status, NOW, ended=ended)
        self.params = {"lr": 0.1, "model": "gbm"}
        self.live = status is Status.RUNNING
        steps = array("q", range(points))
        values = {
            "loss": [1 / (step + 1) for step in steps],
            "acc": [step / 40 for step in steps],
            "epoch": [1.0] * points,
        }
        times = array("q", [NOW] * points)
        if not points:
            values = {}
        columns = {metric: Columns(steps, times, array("d", column)) for metric, column in values.items()}
        self.summary = summarize([build_table(columns)])
        self.series = {metric: make_points(steps, times, column) for metric, column in values.items()}

    def look(self) -> bool:
        return True


ROOMS = {"40": Room(Screen(40), 24), "80": Room(Screen(80), 24), "120": Room(Screen(120), 50)}


@pytest.mark.parametrize("place", ROOMS)
def test_what_is_shown_is_exactly_this(place: str) -> None:
    lines = render_watch(Followed(), (), Look(), ROOMS[place], now=NOW + 185_000_000)  # type: ignore[arg-type]
    check_snapshot(f"watch-{place}", lines)
    assert len(lines) <= (ROOMS[place].rows or 0)
    assert max(map(count_cells, lines)) <= ROOMS[place].width


def test_a_run_without_points_waits_for_them() -> None:
    lines = render_watch(Followed(points=0), ("loss",), Look(), ROOMS["80"], now=NOW)  # type: ignore[arg-type]
    assert lines == [
        "swift-heron-7  3f9a1c2e  RUNNING  churn  0.00 s",
        "lr=0.1  model=gbm",
        "",
        "no points yet of loss",
    ]


def test_a_change_is_one_line() -> None:
    followed = Followed(name=EVIL)
    assert say_change(followed, ("loss",), now=NOW) == (  # type: ignore[arg-type]
        "2026-01-31T09:00:00Z  RUNNING  step=39  loss=0.02500"
    )
    assert say_change(Followed(points=0), (), now=NOW) == "2026-01-31T09:00:00Z  RUNNING"  # type: ignore[arg-type]
    lines = render_watch(followed, (), Look(), ROOMS["80"], now=NOW)  # type: ignore[arg-type]
    assert [line for line in lines if re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)] == []


def test_a_watch_ends_after_it_has_shown_the_end() -> None:
    ended = Watch(Followed(status=Status.FINISHED), (), Look())  # type: ignore[arg-type]
    (line,) = ended.draw(Room(Screen())) or []
    assert "FINISHED" in line
    assert ended.draw(Room(Screen())) is None


def test_a_metric_that_the_run_lacks_is_said() -> None:
    followed = Followed()
    missing = find_missing(followed, ("los", "acc"))  # type: ignore[arg-type]
    assert missing is not None
    assert (missing.message, missing.hint) == ("'swift-heron-7' has no metric 'los' so far", "loss")
    assert find_missing(followed, ("loss",)) is None  # type: ignore[arg-type]
    assert find_missing(Followed(points=0), ("los",)) is None  # type: ignore[arg-type]
    lines = render_watch(followed, ("los",), Look(), ROOMS["80"], now=NOW)  # type: ignore[arg-type]
    assert "'swift-heron-7' has no metric 'los' so far; hint: loss" in lines
    said: list[str] = []
    watched = Watch(followed, ("los",), Look(), lambda error: said.append(error.message))  # type: ignore[arg-type]
    for _ in range(3):
        watched.draw(Room(Screen()))
    assert said == ["'swift-heron-7' has no metric 'los' so far"]


# The command


def test_a_metric_that_an_ended_run_lacks_is_not_found(repo: Path) -> None:
    with gittrack.start_run("churn", name="swift-heron-7") as run:
        run.log({"loss": 1.0})
    answer = call("watch", "swift-heron-7", "-m", "los", "-m", "other", "--every", "0.1")
    assert (answer.code, len(answer.lines)) == (3, 1)
    assert answer.err == "error: 'swift-heron-7' has no metric 'los' and no 'other'\nhint: loss\n"
    assert call("watch", "swift-heron-7", "-m", "loss", "--every", "0.1").code == 0


def read_until(stream: int, wanted: Callable[[str], bool]) -> str:
    """Return what was read once it is as wanted."""
    text = ""
    while not wanted(text):
        piece = os.read(stream, 65536)
        assert piece, text
        text += piece.decode()
    return text


def test_a_pipe_gets_a_line_for_each_change(training: Training) -> None:
    process = subprocess.Popen([*COMMAND, "watch", "--every", "0.1", "-m", "loss"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    stream = process.stdout.fileno()
    first = read_until(stream, lambda text: text.endswith("\n"))
    assert re.fullmatch(r"\S+Z  RUNNING\n", first)
    training.step()
    second = read_until(stream, lambda text: text.endswith("\n"))
    assert re.fullmatch(r"\S+Z  RUNNING  step=0  loss=1\n", second)
    training.step()
    third = read_until(stream, lambda text: text.endswith("\n"))
    assert third.endswith("step=1  loss=0.5000\n")
    training.end()
    rest = process.stdout.read().decode()
    process.stdout.close()
    assert rest.splitlines()[-1].endswith("FINISHED  step=1  loss=0.5000")
    assert process.wait(timeout=30) == 0


def test_a_terminal_is_given_back_at_the_end(training: Training) -> None:
    training.step(30)
    training.end()
    code, text = spawn_in_terminal("watch", "swift-heron-7")
    assert code == 0
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1
    left = text.partition("\x1b[?1049l")[2]
    assert "FINISHED" in left
    assert "METRIC" in left
    dumb = spawn_in_terminal("watch", "swift-heron-7", variables={"TERM": "dumb"})[1]
    assert "\x1b" not in dumb
    assert "FINISHED" in dumb


def test_an_interrupt_is_clean(training: Training) -> None:
    training.step()
    process = subprocess.Popen([*COMMAND, "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "step=0" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, "", "")
    training.step()
    training.end()
    assert gittrack.get_run("swift-heron-7").status is Status.FINISHED


def test_a_reader_that_goes_away_ends_it(training: Training) -> None:
    process = subprocess.Popen([*COMMAND, "watch", "--every", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        training.step()
        time.sleep(0.1)
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (141, b"")
    process.stderr.close()


def test_without_a_live_run_there_is_nothing_to_watch(repo: Path) -> None:
    refused = call("watch")
    assert (refused.code, refused.err) == (3, "error: no run is live\nhint: gittrack run -- python train.py\n")
    assert call("watch", "nothing").code == 3
    assert call("watch", "--every", "0").code == 2


def test_a_finished_run_is_shown_once(training: Training) -> None:
    training.step(2)
    training.end()
    lines: Sequence[str] = spawn("watch", "swift-heron-7", env={**os.environ, "FORCE_COLOR": "1"}).stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("FINISHED  step=1  acc=0.1000  loss=0.5000")

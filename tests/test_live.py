"""Live runs stand over what is stored of them, and a long journal is not read again for each look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import record_many
from test_index import Reads

import gittrack
from gittrack import layout
from gittrack.frame import Frame
from gittrack.index.manifest import VERSION
from gittrack.journal.tables import list_points_files
from gittrack.model import Experiment
from gittrack.tracker import Tracker

MANY = 50_000


def log_many(run: gittrack.ActiveRun, start: int, count: int = MANY) -> None:
    for step in range(start, start + count):
        run.log({"loss": float(step), "acc": 1.0}, step=step)


def read(directory: Path, run_id: str) -> dict[str, object]:
    """Return what a new process would see of one run."""
    with Tracker.open(directory, recover=False) as tracker:
        return pick(tracker.load_frame(removed=True), run_id)


def pick(frame: Frame, run_id: str) -> dict[str, object]:
    columns = ["id", "status", "live", "revision", "incomplete", "commit"]
    columns += [f"metrics.loss.{field}" for field in ("count", "last", "max", "mean") if frame.list_keys("metrics")]
    (row,) = [row for row in frame.to_table(columns).to_pylist() if row["id"] == run_id]
    return row  # type: ignore[no-any-return]


def cache_of(directory: Path, run_id: str) -> Path:
    return layout.live_cache_path(layout.index_directory(directory / ".git", VERSION), run_id)


def points_of(directory: Path, run_id: str) -> Path:
    (file,) = list_points_files(layout.journal_directory(directory / ".git", run_id))
    return file


def overwrite(file: Path, start: int, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(start)
        stream.write(data)


def test_a_live_run_is_a_row_like_any_other(repo: Path) -> None:
    with gittrack.start_run("churn", name="done"):
        pass
    with gittrack.start_run("churn", name="live", params={"lr": 0.1}) as run:
        run.log({"loss": 1.0})
        with Tracker.open() as tracker:
            frame = tracker.load_frame()
            assert frame.to_table(["name", "status", "live", "params.lr", "metrics.loss"]).to_pylist() == [
                {"name": "done", "status": "FINISHED", "live": False, "params.lr": None, "metrics.loss": None},
                {"name": "live", "status": "RUNNING", "live": True, "params.lr": 0.1, "metrics.loss": 1.0},
            ]
            run.log({"loss": 0.5})
            assert tracker.load_frame().to_table(["metrics.loss"])["metrics.loss"].to_pylist() == [None, 0.5]
            assert tracker.count_runs("churn") == 2
            assert [found.name for found in tracker.list_runs()] == ["live", "done"]
            assert tracker.get_run("live").live
            table = tracker.load_runs(tracker.load_frame())
        with Tracker.open() as tracker:
            assert tracker.get_run("latest").metrics == {"loss": 0.5}
    assert [found.status for found in table] == ["FINISHED", "RUNNING"]  # as they were


def test_a_checkpointed_run_stands_there_once(repo: Path) -> None:
    with gittrack.start_run("churn", name="live") as run:
        run.log({"loss": 1.0})
        run.checkpoint()
        run.log({"loss": 2.0})
        row = read(repo, run.id)
        assert (row["status"], row["live"], row["revision"]) == ("RUNNING", True, 1)
        assert (row["metrics.loss.count"], row["metrics.loss.last"]) == (2, 2.0)
        assert row["commit"] is not None
        with Tracker.open() as tracker:
            assert tracker.count_runs("churn") == 1
    row = read(repo, run.id)
    assert (row["status"], row["live"], row["revision"]) == ("FINISHED", False, 2)


def test_runs_of_removed_experiments_are_left_out_unless_named(repo: Path) -> None:
    for slug in ("churn", "other"):
        with gittrack.start_run(slug, name=f"in {slug}"):
            pass
    with Tracker.open() as tracker, gittrack.start_run("churn", name="live in churn"):
        tracker.edit_experiment("churn", removed=True)

        def names(frame: Frame) -> list[str]:
            return sorted(frame.get_attribute("name").filter(frame.visible).to_pylist())

        assert names(tracker.load_frame()) == ["in other"]
        assert names(tracker.load_frame("churn")) == ["in churn", "live in churn"]
        assert names(tracker.load_frame(removed=True)) == ["in churn", "in other", "live in churn"]
        assert tracker.get_run("live in churn").live
        with pytest.raises(gittrack.NotFound):
            tracker.load_frame("nothing")


def test_an_experiment_of_live_runs_alone(repo: Path) -> None:
    with gittrack.start_run("fresh", name="first") as run, Tracker.open() as tracker:
        assert tracker.list_experiments() == [Experiment("fresh", "fresh", created=tracker.get_run(run.id).started)]
        assert tracker.count_runs("fresh") == 1
        assert tracker.load_frame("fresh").count == 1


def test_a_frame_is_kept_until_something_changes(repo: Path) -> None:
    with gittrack.start_run("churn"):
        pass
    with Tracker.open() as tracker:
        assert tracker.load_frame() is tracker.load_frame()
        frame = tracker.load_frame("churn")
        with gittrack.start_run("churn"):
            pass
        assert tracker.load_frame("churn").count == frame.count + 1


def test_a_long_journal_is_read_once(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        log_many(run, 0)
        first = read(repo, run.id)
        assert first["metrics.loss.count"] == MANY
        assert cache_of(repo, run.id).exists()
        # What was read is now made unreadable: whoever read it again would notice.
        overwrite(points_of(repo, run.id), 64, bytes(1 << 20))
        log_many(run, MANY, 10)
        row = read(repo, run.id)
        assert row["metrics.loss.count"] == MANY + 10
        assert row["metrics.loss.mean"] == (MANY + 9) / 2
        assert row["incomplete"] is None
        # Without what was kept it does notice, and says so from then on.
        cache_of(repo, run.id).unlink()
        row = read(repo, run.id)
        assert 0 < row["metrics.loss.count"] < MANY  # type: ignore[operator]
        assert "damaged bytes were passed over" in str(row["incomplete"])
        assert cache_of(repo, run.id).exists()
        assert read(repo, run.id)["incomplete"] == row["incomplete"]
    with gittrack.start_run("churn") as other:
        read(repo, other.id)
        assert not cache_of(repo, run.id).exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_what_was_kept_of_a_journal_is_not_believed_when_it_is_damaged(repo: Path, damage: str) -> None:
    with gittrack.start_run("churn") as run:
        log_many(run, 0)
        read(repo, run.id)
        data = bytearray(cache_of(repo, run.id).read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
        elif damage == "cut":
            del data[len(data) // 2 :]
        else:
            data[:] = b"{}"
        cache_of(repo, run.id).write_bytes(data)
        assert read(repo, run.id)["metrics.loss.count"] == MANY


def test_one_process_reads_only_what_is_new(repo: Path) -> None:
    with gittrack.start_run("churn") as run, Tracker.open() as tracker:
        log_many(run, 0, 100)
        assert pick(tracker.load_frame(), run.id)["metrics.loss.count"] == 100
        assert not cache_of(repo, run.id).exists()  # so little is read as quickly
        overwrite(points_of(repo, run.id), 64, bytes(1 << 10))
        log_many(run, 100, 100)
        assert pick(tracker.load_frame(), run.id)["metrics.loss.count"] == 200


def test_what_was_kept_of_an_earlier_journal_of_the_run_is_not_taken(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        log_many(run, 0)
        read(repo, run.id)
        kept = cache_of(repo, run.id).read_bytes()
    with gittrack.start_run(run_id=run.id) as again:
        log_many(again, MANY, 5)
        cache_of(repo, run.id).write_bytes(kept)
        row = read(repo, run.id)
        assert row["metrics.loss.count"] == MANY + 5
        assert cache_of(repo, run.id).read_bytes() != kept  # its earlier points are not read again either
        assert read(repo, run.id)["metrics.loss.count"] == MANY + 5


def test_a_checkpointed_run_walks_no_history(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gittrack.start_run("churn") as run:
        run.log({"loss": 1.0})
        run.checkpoint()
        record_many(repo, range(30))
        run.log({"loss": 2.0})
        read(repo, run.id)
        with Tracker.open(recover=False) as tracker:
            reads = Reads(tracker.store, monkeypatch)
            assert pick(tracker.load_frame(), run.id)["metrics.loss.count"] == 2
            assert reads.count < 10


def test_where_nothing_can_be_kept_all_is_read(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        log_many(run, 0)
        cache_of(repo, run.id).parent.parent.mkdir(parents=True)
        cache_of(repo, run.id).parent.write_text("in the way")
        assert read(repo, run.id)["metrics.loss.count"] == MANY
        assert read(repo, run.id)["metrics.loss.count"] == MANY

"""Runs are recorded, committed, read back and resumed, in real repositories."""

from __future__ import annotations

import hashlib
import itertools
import math
import shutil
import threading
import time
import warnings
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conftest import git

import gittrack
from gittrack.errors import Conflict, InvalidInput, NotFound


def committed(repo: Path, experiment: str = "default") -> list[str]:
    return git(repo, "log", "--format=%s", f"gittrack/{experiment}").splitlines()


def test_the_main_job(repo: Path) -> None:
    head, status = git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")
    with gittrack.start_run("churn", name="first", params={"lr": 0.1, "model": "svm"}, tags={"team": "a"}) as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1), "acc": step / 5}, step=step)
        run.log_metric("auc", 0.75)
        run.log_text("hello", "notes/hello.txt")
    assert gittrack.active_run() is None
    found = gittrack.get_run("first")
    assert (found.id, found.status, found.experiment, found.revision) == (run.id, "FINISHED", "churn", 1)
    assert found.params == {"lr": 0.1, "model": "svm"}
    assert found.tags == {"team": "a"}
    assert found.metrics == {"acc": 0.8, "auc": 0.75, "loss": 0.2}
    loss = found.summary["loss"]
    assert (loss.count, loss.first, loss.min, loss.min_step, loss.max_step, loss.last_step) == (5, 1.0, 0.2, 4, 0, 4)
    series = found.series("loss")
    assert series.column_names == ["step", "timestamp", "value"]
    assert series["step"].to_pylist() == [0, 1, 2, 3, 4]
    assert series["value"].to_pylist() == [1.0 / (step + 1) for step in range(5)]
    assert found.series().num_rows == 11
    with found.open_artifact("notes/hello.txt") as file:
        assert file.read() == b"hello"
    assert found.source.commit == head
    assert found.source.tree == git(repo, "rev-parse", "HEAD^{tree}")
    assert not found.source.dirty
    assert found.started <= found.ended
    assert (git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")) == (head, status)
    assert list((repo / ".git/gittrack/runs").iterdir()) == []


def test_plain_git_reads_it(repo: Path) -> None:
    with gittrack.start_run("churn", name="a", params={"lr": 0.1}) as run:
        run.log({"loss": 0.5})
        run.log_text("model", "model.bin")
    (repo / "train.py").write_text("print('better')\n")
    with gittrack.start_run("churn", name="b", params={"lr": 0.2}) as run:
        run.log({"loss": 0.25})
    assert committed(repo, "churn") == ["b  FINISHED  loss=0.25", "a  FINISHED  loss=0.5", "experiment churn"]
    diff = git(repo, "diff", "gittrack/churn~1", "gittrack/churn", "--", "params.json", "source")
    assert '-  "lr": 0.1' in diff
    assert '+  "lr": 0.2' in diff
    assert "+print('better')" in diff
    assert git(repo, "show", "gittrack/churn:params.json") == '{\n  "lr": 0.2\n}'
    names = git(repo, "ls-tree", "-r", "--name-only", "gittrack/churn~1").splitlines()
    assert names == [
        ".gitattributes", "artifacts/model.bin", "environment.json", "metrics/0001.parquet", "params.json", "run.json",
        "source/README", "source/train.py", "summary.json",
    ]  # fmt: skip
    git(repo, "fsck", "--strict", "--no-dangling")
    assert git(repo, "merge-base", "--all", "main", "gittrack/churn", ok=(1,)) == ""


def test_dirty_source_is_kept_and_protected_while_the_run_lives(repo: Path) -> None:
    (repo / "train.py").write_text("print('changed')\n")
    (repo / "new.py").write_text("x = 1\n")
    index = (repo / ".git/index").read_bytes()
    run = gittrack.start_run()
    assert git(repo, "for-each-ref", "--format=%(refname)", "refs/gittrack") == f"refs/gittrack/live/{run.id}"
    git(repo, "gc", "-q", "--prune=now")
    run.end()
    assert git(repo, "for-each-ref", "refs/gittrack") == ""
    assert (repo / ".git/index").read_bytes() == index
    assert git(repo, "show", "gittrack/default:source/train.py") == "print('changed')"
    assert git(repo, "show", "gittrack/default:source/new.py") == "x = 1"
    assert gittrack.get_run("latest").source.dirty


def test_failure_keeps_its_traceback(repo: Path) -> None:
    def train() -> None:
        with gittrack.start_run() as run:
            run.log({"loss": 1.0})
            print(1 / 0)

    with pytest.raises(ZeroDivisionError):
        train()
    found = gittrack.get_run("latest")
    assert found.status == "FAILED"
    assert found.failure is not None
    assert (found.failure.type, found.failure.message) == ("ZeroDivisionError", "division by zero")
    assert "print(1 / 0)" in found.failure.traceback
    assert found.metrics == {"loss": 1.0}


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FINISHED"), (SystemExit(3), "FAILED")]
)
def test_how_a_with_block_ends(repo: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), gittrack.start_run() as run:
        raise error
    assert gittrack.get_run(run.id).status == status


def test_bad_input_raises_at_once_and_the_run_goes_on(repo: Path) -> None:
    with gittrack.start_run(params={"lr": 0.1}) as run:
        for bad in ({"loss": "high"}, {"loss": None}, {"": 1}, {"x" * 251: 1}, {"a\nb": 1}, {5: 1}, {"c": 1j}):
            with pytest.raises(InvalidInput):
                run.log(bad)
        with pytest.raises(InvalidInput):
            run.log({"loss": 1}, step="one")
        with pytest.raises(InvalidInput):
            run.log({"loss": 1}, timestamp=datetime(2026, 1, 1))
        with pytest.raises(Conflict, match="params are set once"):
            run.log_param("lr", 0.2)
        with pytest.raises(Conflict):
            run.log_param("lr", "0.1")
        run.log_param("lr", 0.1)
        with pytest.raises(NotFound):
            run.log_artifact("missing.bin")
        with pytest.raises(InvalidInput):
            run.log_text("x", "../escape")
        run.log({"loss": 1.5}, step=0)
    found = gittrack.get_run(run.id)
    assert found.params == {"lr": 0.1}
    assert found.series("loss")["value"].to_pylist() == [1.5]
    assert found.snapshot.run.incomplete == ""
    with pytest.raises(Conflict, match="has ended"):
        run.log({"loss": 1})
    with pytest.raises(Conflict, match="has ended"):
        run.log_param("x", 1)


def test_values_and_times_are_kept(repo: Path) -> None:
    numpy = pytest.importorskip("numpy")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    with gittrack.start_run() as run:
        run.log({"a": math.nan, "b": math.inf, "c": -0.0, "d": numpy.float32(0.5), "e": True}, step=7, timestamp=moment)
        run.log_metric("a", numpy.array(3), step=numpy.int64(8), timestamp=5)
    found = gittrack.get_run(run.id)
    a = found.series("a")
    assert a["step"].to_pylist() == [7, 8]
    assert a["timestamp"].to_pylist() == [moment, datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=timezone.utc)]
    assert math.isnan(a["value"][0].as_py())
    assert found.metrics["b"] == math.inf
    assert math.copysign(1, found.metrics["c"]) == -1
    assert (found.metrics["d"], found.metrics["e"], found.metrics["a"]) == (0.5, 1.0, 3.0)


def test_only_one_run_is_active_unless_nested(repo: Path) -> None:
    with gittrack.start_run("outer") as outer:
        with pytest.raises(Conflict, match="still active"):
            gittrack.start_run()
        with gittrack.start_run("inner", nested=True) as inner:
            assert gittrack.active_run() is inner
            gittrack.log({"x": 1})
        assert gittrack.active_run() is outer
        gittrack.log({"y": 2})
    assert gittrack.get_run(inner.id).parent == outer.id
    assert gittrack.get_run(inner.id).metrics == {"x": 1.0}
    assert gittrack.get_run(outer.id).metrics == {"y": 2.0}


def test_module_level_functions(repo: Path) -> None:
    with pytest.raises(Conflict, match="no run is active"):
        gittrack.log({"x": 1})
    gittrack.start_run(note="a note")
    gittrack.log_params({"a": {"b": 1}})
    gittrack.log_param("c", "x")
    gittrack.set_tag("k", 5)
    gittrack.log_metrics({"m": 1}, step=3)
    gittrack.log_dict({"a": [1]}, "conf.yaml")
    (repo / "data").mkdir()
    (repo / "data/a.csv").write_text("1\n")
    gittrack.log_input("data", name="train", context="training")
    gittrack.log_artifacts("data", "copies")
    gittrack.end_run()
    found = gittrack.get_run("latest")
    assert found.params == {"a.b": 1, "c": "x"}
    assert (found.tags, found.note) == ({"k": "5"}, "a note")
    assert sorted(found.artifacts()) == ["conf.yaml", "copies/a.csv"]
    assert found.open_artifact("conf.yaml").read() == b"a:\n- 1\n"
    (entry,) = found.inputs
    assert (entry.name, entry.kind, entry.size, entry.context) == ("train", "directory", 2, "training")


def test_resume_is_the_next_revision(repo: Path) -> None:
    with gittrack.start_run("churn", params={"lr": 0.1}) as run:
        run.log({"loss": 1.0}, step=0)
        run.log_text("one", "a.txt")
    with gittrack.start_run(run_id=run.id[:8]) as again:
        assert again.id == run.id
        again.log({"loss": 0.5}, step=1)
        again.log_text("two", "b.txt")
        with pytest.raises(Conflict):
            again.log_param("lr", 0.2)
    found = gittrack.get_run(run.id)
    assert (found.revision, found.status) == (2, "FINISHED")
    assert found.series("loss")["value"].to_pylist() == [1.0, 0.5]
    assert found.summary["loss"].count == 2
    assert sorted(found.artifacts()) == ["a.txt", "b.txt"]
    assert found.snapshot.parts == ("metrics/0001.parquet", "metrics/0002.parquet")
    assert len(committed(repo, "churn")) == 3
    with pytest.raises(NotFound):
        gittrack.start_run(run_id="f" * 32)


def test_checkpoints_write_only_what_is_new(repo: Path) -> None:
    run = gittrack.start_run()
    run.log({"loss": 1.0}, step=0)
    run.checkpoint()
    first = git(repo, "rev-parse", "gittrack/default:metrics/0001.parquet")
    assert committed(repo)[0].endswith("  RUNNING  loss=1")
    run.log({"loss": 0.5}, step=1)
    live = gittrack.get_run(run.id)
    assert live.live
    assert live.status == "RUNNING"
    assert live.series("loss")["value"].to_pylist() == [1.0, 0.5]
    run.checkpoint()
    run.log_param("late", 1)
    run.end()
    found = gittrack.get_run(run.id)
    assert (found.revision, found.status, found.params) == (3, "FINISHED", {"late": 1})
    assert found.snapshot.parts == ("metrics/0001.parquet", "metrics/0002.parquet")
    assert git(repo, "rev-parse", "gittrack/default:metrics/0001.parquet") == first
    assert found.summary["loss"].mean == 0.75
    assert git(repo, "rev-list", "--count", "gittrack/default") == "4"


def test_live_runs_are_listed(repo: Path) -> None:
    run = gittrack.start_run("churn")
    run.log({"loss": 2.0})
    (found,) = gittrack.runs("churn")
    assert (found.live, found.status, found.metrics, found.commit) == (True, "RUNNING", {"loss": 2.0}, None)
    run.end()
    (found,) = gittrack.runs("churn")
    assert (found.live, found.status) == (False, "FINISHED")


def test_threads_share_a_run(repo: Path) -> None:
    with gittrack.start_run() as run:

        def work(number: int) -> None:
            for step in range(500):
                gittrack.log({f"m{number}": step, "all": number}, step=step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = gittrack.get_run(run.id)
    assert found.summary["all"].count == 4000
    for number in range(8):
        assert found.series(f"m{number}")["value"].to_pylist() == list(range(500))


def test_secrets_do_not_pass_the_door(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hunter2-hunter2")
    with gittrack.start_run(params={"api_key": "abcdef123456", "lr": 0.1}, note="token hunter2-hunter2") as run:
        run.set_tag("url", "https://user:pa55word@example.com/x")
        run.log_text("see hunter2-hunter2", "log.txt")
    found = gittrack.get_run(run.id)
    assert found.params == {"api_key": "[scrubbed]", "lr": 0.1}
    assert "hunter2" not in found.note
    assert "pa55word" not in found.tags["url"]
    assert b"hunter2" not in found.open_artifact("log.txt").read()
    assert "params.api_key" in found.snapshot.run.scrubbed
    everything = git(repo, "grep", "-c", "hunter2", "gittrack/default", ok=(1,))
    assert everything == ""


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="not inside a Git repository") as caught:
        gittrack.start_run()
    assert caught.value.hint == "git init"


def test_a_figure_is_kept(repo: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([1, 2])
    with gittrack.start_run() as run:
        run.log_figure(figure, "plot.png")
        with pytest.raises(InvalidInput):
            run.log_figure(figure, "plot.xyz")
        with pytest.raises(InvalidInput):
            run.log_figure("no figure", "plot.png")
    assert gittrack.get_run(run.id).open_artifact("plot.png").read().startswith(b"\x89PNG")


def test_tables(repo: Path) -> None:
    for seed, lr in enumerate((0.1, 1)):
        with gittrack.start_run("churn", params={"lr": lr, "seed": seed, "mixed": lr if seed else "text"}) as run:
            run.log({"auc": 0.5 + seed})
    table = gittrack.runs("churn")
    assert len(table) == 2
    arrow = table.to_arrow()
    assert arrow["params.lr"].to_pylist() == [1.0, 0.1]
    assert arrow["params.seed"].to_pylist() == [1, 0]
    assert arrow["params.mixed"].to_pylist() == ["1", "text"]
    assert arrow["metrics.auc"].to_pylist() == [1.5, 0.5]
    assert str(arrow.schema.field("started").type) == "timestamp[us, tz=UTC]"
    frame = table.to_pandas()
    assert list(frame["metrics.auc"]) == [1.5, 0.5]
    assert "<table>" in table._repr_html_()
    with gittrack.start_run("html", params={"x": "<script>"}):
        pass
    assert "<script>" not in gittrack.get_run("latest")._repr_html_()


def test_edits_are_revisions(repo: Path) -> None:
    with gittrack.start_run("churn", name="run-a", tags={"a": "1", "b": "2"}) as run:
        run.log({"loss": 1.0})
    with gittrack.Tracker.open() as tracker:
        edited = tracker.edit_run("run-a", name="run-b", note="good", tags={"a": None, "c": "3"})
        assert (edited.name, edited.note, edited.tags, edited.revision) == ("run-b", "good", {"b": "2", "c": "3"}, 2)
        assert edited.series("loss")["value"].to_pylist() == [1.0]
        assert tracker.edit_run("run-b", name="run-b").revision == 2
        tracker.edit_run("run-b", removed=True)
        assert len(tracker.list_runs()) == 0
        assert [entry.removed is not None for entry in tracker.list_runs(removed=True)] == [True]
        restored = tracker.edit_run(run.id, removed=False)
        assert (restored.removed, restored.revision) == (None, 4)
        assert [entry.revision for entry in tracker.list_revisions(run.id)] == [4, 3, 2, 1]
    git(repo, "fsck", "--strict")


def test_experiments(repo: Path) -> None:
    with gittrack.Tracker.open() as tracker:
        made = tracker.create_experiment("Churn Model", description="who leaves")
        assert (made.slug, made.name, made.description) == ("churn-model", "Churn Model", "who leaves")
        with pytest.raises(Conflict):
            tracker.create_experiment("churn model")
        with gittrack.start_run("CHURN model"):
            pass
        assert tracker.count_runs("churn-model") == 1
        renamed = tracker.edit_experiment("churn-model", new_name="Leavers", tags={"k": "v"})
        assert (renamed.slug, renamed.name, renamed.revision) == ("churn-model", "Leavers", 2)
        tracker.edit_experiment("churn-model", removed=True)
        assert tracker.list_experiments() == []
        assert tracker.get_experiment("churn-model").removed is not None
        with pytest.raises(NotFound):
            tracker.get_experiment("other")
    assert committed(repo, "churn-model")[0] == "experiment Leavers (removed)"


def test_teammates_runs_are_visible_after_a_plain_fetch(repo: Path, tmp_path: Path) -> None:
    with gittrack.start_run("churn", name="mine") as run:
        run.log({"loss": 1.0})
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo), str(clone))
    found = gittrack.get_run("mine", store=clone)
    assert (found.id, found.metrics) == (run.id, {"loss": 1.0})
    assert len(gittrack.runs("churn", store=clone)) == 1


def test_a_damaged_run_is_named_and_the_others_are_served(repo: Path) -> None:
    for name in ("good", "bad"):
        with gittrack.start_run("churn", name=name):
            pass
    blob = git(repo, "rev-parse", "gittrack/churn:run.json")
    path = repo / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")
    with gittrack.Tracker.open() as tracker:
        assert [run.name for run in tracker.list_runs()] == ["good"]
        assert len(tracker.damaged) == 1


def test_no_warnings(repo: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gittrack.start_run() as run:
            run.log({"loss": 1})
        gittrack.get_run(run.id).series()


def test_many_runs_are_packed_by_the_users_own_settings(repo: Path) -> None:
    git(repo, "config", "gc.auto", "100")
    texts = (b"%d" % number for number in itertools.count())
    crowd = (text for text in texts if hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest().startswith("17"))
    for text in itertools.islice(crowd, 3):
        git(repo, "hash-object", "-w", "--stdin", stdin=text)
    for number in range(4):
        with gittrack.start_run("churn") as run:
            run.log({"loss": number})
    deadline = time.monotonic() + 30
    while not (packs := list((repo / ".git/objects/pack").glob("*.pack"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert packs
    assert len(gittrack.runs("churn")) == 4
    git(repo, "fsck", "--strict")


def test_real_git_lfs_reads_the_artifacts(repo: Path, tmp_path: Path) -> None:
    if shutil.which("git-lfs") is None:
        pytest.skip("git-lfs is not installed")
    with gittrack.start_run("churn") as run:
        run.log_text("model" * 100, "models/model.bin")
        run.log_text("", "empty.txt")
    oid = hashlib.sha256(b"model" * 100).hexdigest()
    listed = git(repo, "lfs", "ls-files", "--long", "--size", "gittrack/churn").splitlines()
    assert f"{oid} - artifacts/models/model.bin (500 B)" in listed
    git(repo, "lfs", "fsck", "gittrack/churn")
    git(repo, "lfs", "install", "--local", "--skip-repo")
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "look"), "gittrack/churn")
    assert (tmp_path / "look/artifacts/models/model.bin").read_text() == "model" * 100
    assert (tmp_path / "look/artifacts/empty.txt").read_text() == ""
    assert git(tmp_path / "look", "status", "--porcelain") == ""

"""`gittrack record` adds to a live run from shell scripts: each kind of thing, many at once, and never in their way."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import gittrack
from gittrack.cli.steps import note_step, take_step

GITTRACK = [sys.executable, "-c", "import sys; from gittrack.cli import main; sys.exit(main())"]
RECORD = shlex.join([*GITTRACK, "record"])


def run_script(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a run; a line that begins with `record` is a call of `gittrack record`."""
    body = "\n".join(f"{RECORD}{line.removeprefix('record')}" if line.startswith("record") else line for line in lines)
    script = [*GITTRACK, "run", "-q", "--", "sh", "-euc", body]
    return subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)


def record(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GITTRACK, "record", *words], capture_output=True, text=True, check=False, timeout=60)


def points(metric: str) -> list[tuple[int, float]]:
    table = gittrack.get_run("latest").series(metric)
    return list(zip(table["step"].to_pylist(), table["value"].to_pylist(), strict=True))


def test_a_script_records_everything(repo: Path) -> None:
    (repo / "data").mkdir()
    (repo / "data" / "model.txt").write_text("model")
    done = run_script(
        "record param lr=0.1 name=mlp 'version=\"1.10\"'",
        "record tag stage=test",
        "record metric loss 2 --step 5",
        "record metric loss=-1.5 acc=.5 --step 6",
        "record metric low -inf",
        "record artifact data/model.txt --as best.txt",
        "record artifact data --dir models",
        "record note a fine 'run, this'",
        "record input data/model.txt --name weights --context start",
        "record input data",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = gittrack.get_run("latest")
    assert found.params == {"lr": 0.1, "name": "mlp", "version": "1.10"}
    assert found.tags == {"stage": "test"}
    assert found.note == "a fine run, this"
    assert [(entry.name, entry.path, entry.kind, entry.size, entry.context) for entry in found.inputs] == [
        ("weights", "data/model.txt", "file", 5, "start"),
        ("data", "data", "directory", 5, ""),
    ]
    assert points("loss") == [(5, 2.0), (6, -1.5)]
    assert points("acc") == [(6, 0.5)]
    assert points("low") == [(0, float("-inf"))]
    assert sorted(found.artifacts()) == ["best.txt", "models/data/model.txt", "output.log"]


def test_points_without_a_step_are_numbered_across_processes(repo: Path) -> None:
    done = run_script(
        "record metric loss 3",
        "record metric loss 2",
        "record metric acc 0.5",
        "record metric loss 1 --step 10",
        "record metric loss=0 acc=1",
        "record metric acc 1",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert points("loss") == [(0, 3.0), (1, 2.0), (10, 1.0), (11, 0.0)]
    assert points("acc") == [(0, 0.5), (11, 1.0), (12, 1.0)]


def test_the_numbering_goes_on_where_a_python_program_stopped(repo: Path) -> None:
    code = "import gittrack; run = gittrack.start_run(); [run.log({'loss': i, 'acc': 0}) for i in range(5)]"
    done = run_script(shlex.join([sys.executable, "-c", code]), "record metric loss 9", "record metric loss 8")
    assert (done.returncode, done.stderr) == (0, "")
    assert points("loss")[-3:] == [(4, 4.0), (5, 9.0), (6, 8.0)]


def test_many_at_once(repo: Path) -> None:
    done = run_script(
        "for i in $(seq 12); do",
        "  (" + RECORD + ' metric loss "$i"; ' + RECORD + ' param "p$i=$i") &',
        "done",
        "wait",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = gittrack.get_run("latest")
    assert found.params == {f"p{i}": i for i in range(1, 13)}
    assert [step for step, _ in points("loss")] == list(range(12))
    assert sorted(value for _, value in points("loss")) == list(range(1, 13))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["metric", "loss", "low"], 2, "'low'"),
        (["metric", "loss"], 2, "NAME=VALUE"),
        (["metric", "a", "b", "c"], 2, "NAME=VALUE"),
        (["metric", "a=1", "--stpe", "3"], 2, "--stpe"),
        (["metric", "a=1", "--step", "x"], 2, "'x'"),
        (["metric", "=1"], 2, "NAME=VALUE"),
        (["metric", "a\tb=1"], 2, "control"),
        (["param", "a"], 2, "NAME=VALUE"),
        (["tag", "a"], 2, "NAME=VALUE"),
        (["artifact", "no-such-file"], 3, "no-such-file"),
        (["metirc", "a=1"], 2, "gittrack record metric"),
    ],
)
def test_what_cannot_be_recorded_is_said(repo: Path, words: list[str], code: int, said: str) -> None:
    with gittrack.start_run() as run:
        done = record(*words, "--run", run.id) if words[0] != "metirc" else record(*words)
        assert done.returncode == code
        assert said in done.stderr
        assert len(done.stderr.splitlines()) <= 5
    assert dict(gittrack.get_run("latest").summary) == {}


def test_a_param_is_set_once(repo: Path) -> None:
    done = run_script("record param lr=0.1", "record param lr=0.1", "record param lr=0.2")
    assert done.returncode == 4
    assert "already 0.1" in done.stderr
    assert gittrack.get_run("latest").params == {"lr": 0.1}


def test_outside_of_a_run(repo: Path) -> None:
    done = record("metric", "loss", "1")
    assert done.returncode == 4
    assert "hint: gittrack run" in done.stderr
    done = record("metric", "loss", "1", "--run", "0" * 32)
    assert done.returncode == 3


def test_another_live_run_is_named_by_name_or_id(repo: Path) -> None:
    with gittrack.start_run(name="live") as run:
        for ref in ("live", run.id[:8], run.id):
            assert record("metric", "loss", "1", "--run", ref).returncode == 0
    done = record("metric", "loss", "1", "--run", "live")
    assert done.returncode == 3
    assert "has ended" in done.stderr
    assert [step for step, _ in points("loss")] == [0, 1, 2]


def test_a_journal_that_cannot_be_written_does_not_end_a_script(repo: Path) -> None:
    limit = "ulimit -f 0; trap '' XFSZ"  # no file may grow any more
    done = run_script(f"({limit}; {RECORD} metric loss 1 && {RECORD} param a=1 && echo good)", "exit 3")
    assert (done.returncode, done.stdout) == (3, "good\n")
    assert "warning:" in done.stderr


def test_a_numbering_that_is_damaged_is_worked_out_anew(repo: Path) -> None:
    with gittrack.start_run() as run:
        journal = run.journal_directory
        assert journal is not None
        run.log({"loss": 1.0}, step=4)
        with take_step(journal, ["loss"]) as step:
            assert step == 5
            run.log({"loss": 1.0}, step=step)
        note_step(journal, ["loss", "other"], 20)
        with take_step(journal, ["loss", "other"]) as step:
            assert step == 21
        (journal / "steps.json").write_text('{"loss": 2')
        with pytest.raises(ZeroDivisionError), take_step(journal, ["loss"]) as step:
            1 / (step - 6)
        with take_step(journal, ["loss", "other"]) as step:
            assert step == 6
        with take_step(journal, ["other"]) as step:
            assert step == 7


def test_data_that_cannot_be_reached_is_said_and_recorded_by_its_url(repo: Path) -> None:
    done = run_script(
        "record input http://ann:hunter22secret@127.0.0.1:9/train.csv", "record input missing.csv || echo no"
    )
    assert (done.returncode, done.stdout) == (0, "no\n")
    assert "alone, without size and digest" in done.stderr
    assert "no data file or directory 'missing.csv'" in done.stderr
    assert "hunter22secret" not in done.stderr
    (entry,) = gittrack.get_run("latest").inputs
    assert (entry.name, entry.path, entry.digest, entry.size) == (
        "train.csv",
        "http://127.0.0.1:9/train.csv",
        "",
        None,
    )

"""`gittrack export` and `gittrack sql` on real runs in a real repository."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from exported import HOSTILE, NOISE
from snapshots.invocation import COMMAND, call, read, spawn_in_terminal

import gittrack


@pytest.fixture
def runs(repo: Path) -> dict[str, str]:
    """Record three runs; return their ids by name."""
    ids = {}
    for number, experiment in enumerate(["churn", "churn", "Wild Ideas"]):
        run = gittrack.start_run(experiment, name=f"run-{number}", params={"lr": 10.0**-number, "seed": number})
        with run:
            for step in range(3):
                run.log({"loss": 1 / (step + 1), "auc": number / 2}, step=step)
            run.log_param("text", HOSTILE)
            run.set_note(NOISE)
            run.log_text("model\n", "model.txt")
        ids[run.name] = run.id
    return ids


def read_rows(*words: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read("export", *words).out, newline="")))


def ask(sql: str, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read("sql", sql, "--json", *words).json("rows")
    return rows


def test_runs_are_exported_newest_first(runs: dict[str, str]) -> None:
    rows = read_rows()
    assert [row["name"] for row in rows] == ["run-2", "run-1", "run-0"]
    assert [row["id"] for row in rows] == [runs[row["name"]] for row in rows]
    assert [row["experiment"] for row in rows] == ["wild-ideas", "churn", "churn"]
    assert [row["params.lr"] for row in rows] == ["0.01", "0.1", "1.0"]
    assert [row["metrics.auc"] for row in rows] == ["1.0", "0.5", "0.0"]
    assert {row["params.text"] for row in rows} == {"'" + HOSTILE}
    assert {row["note"] for row in rows} == {NOISE}
    assert [row["name"] for row in read_rows("-e", "Wild Ideas")] == ["run-2"]


def test_tables_are_narrowed_as_ls_is(runs: dict[str, str]) -> None:
    assert call("rm", "run-0").code == 0
    assert [row["name"] for row in read_rows()] == ["run-2", "run-1"]
    assert len(read_rows("--removed")) == 3
    points = read_rows("--table", "points", "-e", "churn")
    assert {row["run_id"] for row in points} == {runs["run-1"]}
    assert [(row["key"], row["step"]) for row in points] == [(key, str(n)) for key in ("auc", "loss") for n in range(3)]


def test_a_query_chooses_the_runs(runs: dict[str, str]) -> None:
    assert [row["name"] for row in read_rows("metrics.auc < 1 and params.seed > 0")] == ["run-1"]
    assert ask("SELECT name FROM runs", "--where", "params.lr <= 0.1") == [{"name": "run-2"}, {"name": "run-1"}]
    answer = call("export", "metrics.acu > 0")
    assert answer.code == 2
    assert "auc" in answer.err
    first, line, caret = call("sql", "SELECT 1", "--where", "metrics.auc >> 0").err.splitlines()[:3]
    assert line.index(">>") == caret.index("^"), first


def test_a_file_is_written_in_the_format_of_its_ending(runs: dict[str, str], tmp_path: Path) -> None:
    files = {ending: tmp_path / f"runs.{ending}" for ending in ("csv", "jsonl", "parquet")}
    for file in files.values():
        answer = call("export", "-o", str(file))
        assert (answer.code, answer.out) == (0, "")
        assert answer.err == f"note: wrote 3 rows of 3 runs to {file}\n"
    names = ["run-2", "run-1", "run-0"]
    assert pq.read_table(files["parquet"]).column("name").to_pylist() == names
    assert [json.loads(line)["name"] for line in files["jsonl"].read_text().splitlines()] == names
    assert files["csv"].read_bytes() == read("export").data
    assert sorted(os.listdir(tmp_path)) == ["repo", *sorted(f"runs.{ending}" for ending in files)]
    assert read("export", "--format", "jsonl", "-o", "-").data == files["jsonl"].read_bytes()


def test_standard_output_by_its_name_is_standard_output(runs: dict[str, str], tmp_path: Path) -> None:
    expected = read("export").data
    done = subprocess.run([*COMMAND, "export", "-o", "/dev/stdout"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (expected, b"")
    kept = tmp_path / "kept"
    kept.write_bytes(b"before\n")
    with kept.open("ab") as stream:
        subprocess.run([*COMMAND, "export", "-o", "/dev/stdout"], stdout=stream, check=True)
    assert kept.read_bytes() == b"before\n" + expected
    refused = call("export", "-o", "none/x.csv")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: 'none/x.csv' cannot be written: there is no directory 'none'\n")


def test_a_dataset_is_written(runs: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "data"
    assert call("export", "--dataset", str(place)).err.endswith(f"of 3 runs below {place}/\n")
    assert call("export", "--dataset", str(place)).code == 4
    assert call("export", "--dataset", str(place), "--force", "-t", "points", "-e", "churn").code == 0
    (file,) = place.rglob("*.parquet")
    assert str(file.relative_to(place)) == "points/experiment=churn/0.parquet"
    assert pq.ParquetFile(file).metadata.num_rows == 12


def test_parquet_goes_through_a_pipe(runs: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "export", "--format", "parquet"], capture_output=True, check=True)
    assert pq.read_table(io.BytesIO(done.stdout)).num_rows == 3
    assert done.stderr == b""


def test_a_reader_may_stop_early(runs: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "export", "-t", "points"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.wait() in (0, 141)
        assert child.stderr is not None
        assert child.stderr.read() == b""


def test_a_terminal_is_not_acted_on(runs: dict[str, str]) -> None:
    for words in (["export"], ["export", "--format", "jsonl"], ["sql", "SELECT note FROM runs"]):
        code, shown = spawn_in_terminal(*words, columns=2000)
        assert code == 0
        assert "second line" in shown
        assert not set(shown) & set("\x07\u202e\u2028")
        assert "\x1b[31m" not in shown
    code, shown = spawn_in_terminal("export", "--format", "parquet")
    assert code == 2
    assert "Parquet is nothing for a terminal" in shown


def test_a_repository_without_runs_gives_a_header(repo: Path) -> None:
    assert read("export").lines[0].startswith('"id","name","experiment","status"')
    assert len(read("export").lines) == 1
    assert read("export", "-t", "points").lines == ['"run_id","key","step","timestamp","value"']
    assert ask("SELECT count(*) AS n FROM runs") == [{"n": 0}]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-e", "nowhere"], 3, "no experiment 'nowhere'"),
        (["-o", "x.xls"], 2, "the ending of 'x.xls' stands for no format"),
        (["--dataset", "d", "-o", "x.csv"], 2, "--dataset goes without -o"),
        (["-t", "params", "-t", "tags"], 2, "a file holds one table"),
        (["-o", "nowhere/x.csv"], 2, "there is no directory 'nowhere'"),
    ],
)
def test_what_cannot_be_exported_is_said(runs: dict[str, str], words: list[str], code: int, said: str) -> None:
    answer = call("export", *words)
    assert answer.code == code
    assert said in answer.err
    assert answer.out == ""


def test_sql_prints_a_table(runs: dict[str, str]) -> None:
    lines = read(
        "sql", 'SELECT name, "params.lr" AS lr, note IS NULL AS bare, NULL AS gone FROM runs ORDER BY lr'
    ).lines
    assert [line.split() for line in lines] == [
        ["name", "lr", "bare", "gone"],
        ["run-2", "0.01", "false", "NULL"],
        ["run-1", "0.1", "false", "NULL"],
        ["run-0", "1.0", "false", "NULL"],
    ]
    assert lines[1].index(".") == lines[2].index(".") == lines[3].index(".")


def test_sql_prints_json_and_csv(runs: dict[str, str]) -> None:
    question = "SELECT name, value FROM runs JOIN params ON run_id = id WHERE key = 'text' ORDER BY name LIMIT 1"
    assert ask(question) == [{"name": "run-0", "value": HOSTILE}]
    quoted = HOSTILE.replace('"', '""')
    assert read("sql", question, "--csv").lines == ['"name","value"', f'"run-0","\'{quoted}"']
    assert ask("SELECT count(*) AS n FROM points", "-e", "churn") == [{"n": 12}]
    assert ask("SELECT 1 AS a, NULL AS b, 'nan'::DOUBLE AS c") == [{"a": 1, "b": None, "c": "NaN"}]
    assert call("sql", "SELECT 1", "--csv", "--json").code == 2


def test_sql_is_read_from_standard_input(runs: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "sql", "-"], input="SELECT 42 AS answer", capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["answer", "42"]


def test_sql_points_at_what_is_wrong(runs: dict[str, str]) -> None:
    answer = call("sql", "SELEC 1")
    assert answer.code == 2
    first, line, caret = answer.err.splitlines()[:3]
    assert "SELEC" in first
    assert line.index("SELEC") == caret.index("^")
    assert call("sql", "SELECT * FROM read_text('/etc/passwd')").code == 2

"""SQL sees the tables of runs, reads them, and reaches nothing else."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from exported import HOSTILE, make_frame, make_points, make_tables

from gittrack.errors import InvalidInput, Unsupported
from gittrack.exchange.sql import find_tables, query_tables
from gittrack.exchange.tables import TABLES, RunTables
from gittrack.frame import Frame

pytest.importorskip("duckdb")


def ask(sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = query_tables(make_tables(), sql).table.to_pylist()
    return rows


def test_the_wide_and_the_tall_tables_agree() -> None:
    wide = ask('SELECT id, "params.lr" AS lr FROM runs WHERE lr IS NOT NULL ORDER BY name')
    tall = ask("SELECT run_id AS id, number AS lr FROM params WHERE key = 'lr' ORDER BY lr")
    assert wide == tall == [{"id": f"{1:032x}", "lr": 0.1}, {"id": f"{2:032x}", "lr": 1.0}]


def test_every_table_is_there() -> None:
    counts = {name: ask(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in TABLES}
    assert counts == {"runs": 3, "params": 15, "metrics": 4, "points": 6, "tags": 2, "artifacts": 1, "inputs": 1}
    assert sorted(row["name"] for row in ask("SHOW TABLES")) == sorted(TABLES)
    assert [row["column_name"] for row in ask("DESCRIBE points")] == ["run_id", "key", "step", "timestamp", "value"]
    assert find_tables("SELECT * FROM Runs JOIN params USING (x)") == ["runs", "params"]


def test_times_are_utc() -> None:
    (row,) = ask("SELECT started::VARCHAR AS said, started FROM runs WHERE name = 'run-1'")
    assert row["said"] == "2026-01-31 09:30:00.000002+00"
    assert row["started"].isoformat() == "2026-01-31T09:30:00.000002+00:00"


def test_points_are_read_as_often_as_they_are_named() -> None:
    rows = ask(
        "SELECT a.run_id, a.value FROM points a JOIN points b USING (run_id, step) WHERE step = 0 ORDER BY a.value"
    )
    assert [row["value"] for row in rows] == [0.5, 1.0, 1.5]
    assert ask("SELECT count(*) AS n FROM points WHERE isnan(value)") == [{"n": 3}]


def test_points_are_read_only_where_they_are_asked_for() -> None:
    read = []

    def read_points(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
        for number in range(1, 200):
            read.append(number)
            yield f"{number:032x}", make_points(number)

    tables = RunTables(make_frame(), read_points=read_points)
    query_tables(tables, "SELECT count(*) FROM runs")
    query_tables(tables, "DESCRIBE points")
    assert read == []
    assert query_tables(tables, "SELECT max(value) AS m FROM points WHERE NOT isnan(value)").to_rows() == [{"m": 99.5}]
    assert len(read) == 199


def test_a_point_that_cannot_be_read_is_no_crash() -> None:
    def fail(frame: Frame) -> Iterator[tuple[str, pa.Table]]:
        yield "a", make_points(1)
        raise RuntimeError("the disk is gone")

    with pytest.raises(InvalidInput, match="the disk is gone"):
        query_tables(RunTables(make_frame(), read_points=fail), "SELECT * FROM points")


FORBIDDEN = [
    "COPY (SELECT 1) TO '{path}/out.csv'",
    "COPY runs FROM '{path}/secret.csv'",
    "ATTACH '{path}/new.db'",
    "EXPORT DATABASE '{path}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE TEMP VIEW runs AS SELECT 1",
    "DROP VIEW runs",
    "INSERT INTO runs VALUES (1)",
    "DELETE FROM runs",
    "CALL pragma_version()",
    "BEGIN",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '{path}/out.csv'",
    "SELECT * FROM read_csv('{path}/secret.csv')",
    "SELECT * FROM '{path}/secret.csv'",
    "SELECT * FROM read_text('{path}/secret.csv')",
    "SELECT * FROM read_blob('{path}/*')",
    "SELECT * FROM glob('{path}/*')",
    "SELECT * FROM parquet_metadata('{path}/secret.csv')",
    "SELECT * FROM sniff_csv('{path}/secret.csv')",
    "SELECT * FROM read_csv('https://localhost/x.csv')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{path}/out.csv''')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{path}/out.csv'",
    "SELECT getenv('HOME')",
    "SELECT * FROM pandas_frame",
    "SELECT * FROM arrow_table",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_nothing_else_is_reached(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrow_table = pa.table({"secret": [1]})
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput) as caught:
        query_tables(make_tables(), sql.format(path=tmp_path))
    assert "1,2" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    assert arrow_table.num_rows == 1


def test_no_file_is_left_by_a_query_that_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ask("SELECT count(*) FROM (SELECT range % 1000, range FROM range(300000) ORDER BY 1, 2)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nme FROM runs", "nme"),
        ("SELEC 1", "SELEC"),
        ("", "there is no query"),
        ("-- nothing", "there is no query"),
        ("SELECT * FROM tag", "tag"),
        ("SELECT 1; SELECT 2", "one query at a time"),
        ("DROP TABLE runs", "this is DROP, not SELECT"),
    ],
)
def test_an_error_says_what_is_wrong(sql: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ask(sql)


def test_hostile_names_are_names() -> None:
    (row,) = ask(
        f"""SELECT "tags.{HOSTILE.replace('"', '""')}" AS tag, "params.-x" AS x FROM runs WHERE tag IS NOT NULL"""
    )
    assert row == {"tag": "-1.5", "x": "+1 800 555"}
    assert math.isnan(ask("SELECT last FROM metrics WHERE key = 'loss' AND isnan(last)")[0]["last"])


def test_a_column_stands_once() -> None:
    assert ask("SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a") == [{"a": 1, "a_1": 2, "b": 3, "a_2": 4}]


def test_without_duckdb_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Unsupported, match="needs DuckDB") as caught:
        ask("SELECT 1")
    assert caught.value.hint == "pip install 'gittrack[sql]'"

"""What leaves gittrack is read by others as it was: CSV, JSON lines, Parquet and datasets, by real readers."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from exported import HOSTILE, MOMENT, NOISE, make_frame, make_points, make_run, make_tables, read_points
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import Conflict, InvalidInput
from gittrack.exchange.dataset import MARK, write_dataset
from gittrack.exchange.formats import TableStream, find_format, gather, write_table
from gittrack.exchange.spelling import escape_formulas, spell_json
from gittrack.exchange.tables import TABLES, points_schema
from gittrack.exchange.target import open_replacing
from gittrack.frame import Frame, RunRecord, build_segment

START = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=MOMENT)
COUNTS = {"runs": 3, "params": 15, "metrics": 4, "points": 6, "tags": 2, "artifacts": 1, "inputs": 1}


def export(name: str, format: str) -> bytes:
    sink = io.BytesIO()
    assert write_table(make_tables().stream(name), sink, format=format) == COUNTS[name]
    return sink.getvalue()


def write(table: pa.Table, format: str) -> str:
    sink = io.BytesIO()
    write_table(TableStream(table.schema, [table]), sink, format=format)
    return sink.getvalue().decode()


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("name", TABLES)
def test_all_formats_hold_the_same_rows(name: str) -> None:
    parquet = pq.read_table(io.BytesIO(export(name, "parquet")))
    lines = [json.loads(line) for line in export(name, "jsonl").decode().splitlines()]
    cells = read_csv(export(name, "csv"))
    assert parquet.num_rows == len(lines) == len(cells) == COUNTS[name]
    for row, line, cell in zip(parquet.to_pylist(), lines, cells, strict=True):
        assert line == {key: in_json(value) for key, value in row.items() if value is not None}
        assert {key: unescape(text) for key, text in cell.items()} == {key: in_csv(value) for key, value in row.items()}


def in_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


def in_csv(value: Any) -> str:
    if isinstance(value, datetime):
        return str(in_json(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return "" if value is None else str(value)


def unescape(cell: str) -> str:
    return re.sub("^'('*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])", r"\1", cell)


def test_the_wide_table_has_a_column_for_everything() -> None:
    row, second, third = pq.read_table(io.BytesIO(export("runs", "parquet"))).to_pylist()
    assert list(row)[:7] == ["id", "name", "experiment", "status", "started", "ended", "duration"]
    assert (row["duration"], second["duration"]) == (1.5, None)
    assert row["started"] == START + timedelta(microseconds=1)
    assert (row["params.lr"], row["params.seed"], row["params.big"], row["params.flag"]) == (0.1, 7, 2**60, True)
    assert (row["params.mixed"], second["params.mixed"], third["params.mixed"]) == ("1", "-2", None)
    assert (row["metrics.auc"], row[f"tags.{HOSTILE}"], row["note"]) == (0.9, "-1.5", HOSTILE)
    assert math.isnan(row["metrics.loss"])
    assert second["metrics.loss"] == -math.inf
    assert (second["failure"], second["command"], second["note"]) == ("ValueError: @home", "python -c =1", NOISE)
    assert third["experiment"] == "语言-模型"


def test_params_keep_their_kind_and_value() -> None:
    found = {
        (int(row["run_id"], 16), row["key"]): (row["kind"], row["value"], row["number"])
        for row in pq.read_table(io.BytesIO(export("params", "parquet"))).to_pylist()
    }
    assert found[1, "lr"] == ("float", "0.1", 0.1)
    assert found[1, "seed"] == ("int", "7", 7.0)
    assert found[1, "big"] == ("int", str(2**60), float(2**60))
    assert found[1, "flag"] == ("bool", "true", 1.0)
    assert found[2, "flag"] == ("bool", "false", 0.0)
    assert found[1, "null"] == ("null", None, None)
    assert found[2, "model"] == ("str", "", None)
    assert found[2, "mixed"] == ("str", "-2", None)
    assert found[2, "only"] == ("float", "Infinity", math.inf)


def test_tall_tables_name_what_they_hold() -> None:
    def first(name: str) -> dict[str, Any]:
        row: dict[str, Any] = pq.read_table(io.BytesIO(export(name, "parquet"))).to_pylist()[0]
        return row

    assert first("artifacts") == {"run_id": f"{1:032x}", "path": "model.pt", "oid": "a" * 64, "size": 12}
    assert first("tags") == {"run_id": f"{1:032x}", "key": HOSTILE, "value": "-1.5"}
    assert first("inputs")["name"] == "train"
    assert first("metrics")["key"] == "auc"
    assert first("points") == {
        "run_id": f"{1:032x}",
        "key": "m1",
        "step": 0,
        "timestamp": START,
        "value": 0.5,
    }


@pytest.mark.parametrize("name", TABLES)
def test_the_help_lists_the_columns(name: str) -> None:
    from gittrack.cli.help import TOPICS

    said = re.search(rf"^  {name} +(.*(?:\n {{5,}}.*)*)", TOPICS["tables"][1], re.MULTILINE)
    assert said is not None
    words = set(re.findall(r"[a-z_]+(?:\.NAME)?", re.sub(r"\(.*?\)", "", said.group(1))))
    columns = make_tables().stream(name).schema.names
    wanted = {re.sub(r"^(params|metrics|tags)\..*", r"\1.NAME", column, flags=re.DOTALL) for column in columns}
    assert wanted <= words
    assert words - wanted <= {"a", "row", "run", "then"}


def test_csv_tells_texts_from_numbers_and_nothing_from_empty() -> None:
    table = pa.table({"text": ["a", "", None], "number": [1.0, math.nan, None], "flag": [True, None, False]})
    assert write(table, "csv") == '"text","number","flag"\n"a",1.0,true\n"",NaN,\n,,false\n'


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1", "'+49 30 1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-1+cmd|' /c calc'!A0", "'-1+cmd|' /c calc'!A0"),
        ("-1.5", "-1.5"),
        ("+.5e-3", "+.5e-3"),
        ("-", "'-"),
        ("-1.5\n=1", "'-1.5\n=1"),
        ("a=1", "a=1"),
        ("'quoted'", "'quoted'"),
        ("'=1", "''=1"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert escape_formulas(pa.array([text, None])).to_pylist() == [cell, None]
    table = pa.table({"a": [text], "b": pa.array([text]).dictionary_encode()})
    assert [tuple(row.values()) for row in read_csv(write(table, "csv").encode())] == [(cell, cell)]


# The csv module of Python 3.10 refuses a NUL wherever it stands.
_UNREADABLE = "\0" if sys.version_info < (3, 11) else ""
characters = st.characters(codec="utf-8", exclude_characters=_UNREADABLE)
texts = st.text(st.sampled_from("=+-@\t\r\n'\"a1., ") | characters, max_size=12)


@given(st.lists(texts | st.none(), min_size=1, max_size=5))
def test_escaped_csv_reads_back(values: list[str | None]) -> None:
    written = write(pa.table({"text": pa.array(values, pa.string()), "n": range(len(values))}), "csv")
    cells = [row["text"] for row in read_csv(written.encode())]
    assert [unescape(cell) for cell in cells] == [value or "" for value in values]
    assert [cell for cell in cells if re.match(r"[=+\-@\t\r\n]", cell) and not is_number(cell)] == []
    read = pa.csv.read_csv(
        io.BytesIO(written.encode()),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={"text": pa.string()}, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert [None if cell is None else unescape(cell) for cell in read["text"].to_pylist()] == values


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) or "e" in text.lower()  # 1e999 is one
    except ValueError:
        return False


@given(st.lists(texts | st.none(), max_size=5), st.lists(st.floats() | st.none(), max_size=5))
def test_json_reads_back_and_stays_on_its_line(words: list[str | None], numbers: list[float | None]) -> None:
    spelled = spell_json(pa.array(words, pa.string())).to_pylist()
    assert [None if text is None else json.loads(text) for text in spelled] == words
    assert all(len(text.splitlines()) == 1 for text in spelled if text is not None)
    read = [
        None if text is None else json.loads(text) for text in spell_json(pa.array(numbers, pa.float64())).to_pylist()
    ]
    assert read == [None if number is None else in_json(number) for number in numbers]


@given(st.lists(st.datetimes() | st.none(), max_size=6))
def test_times_are_iso_8601(moments: list[datetime | None]) -> None:
    said = [None if moment is None else moment.isoformat(timespec="microseconds") for moment in moments]
    for zone in (None, "UTC"):
        column = pa.array(moments, pa.timestamp("us")).cast(pa.timestamp("us", zone))
        end = "" if zone is None else "Z"
        spelled = [None if text is None else json.loads(text) for text in spell_json(column).to_pylist()]
        assert spelled == [None if text is None else text + end for text in said]


def test_json_shows_no_terminal_what_it_acts_on() -> None:
    (line,) = [line for line in export("runs", "jsonl").splitlines() if b'"run-2"' in line]
    assert b"\\u001b[31mred\\u0007\\nsecond line\\u202e\\u2028end" in line
    assert json.loads(line)["note"] == NOISE


def test_values_that_runs_have_not_are_spelled_too() -> None:
    table = pa.table(
        {
            "list": [[1.5, None, math.nan]],
            "struct": [{"a": "=1\u2028"}],
            "bytes": [b"\x00\xff"],
            "naive": pa.array([0], pa.timestamp("ns")),
            "day": pa.array([0], pa.date32()),
            "money": pa.array(["1.50"]).cast(pa.decimal128(10, 2)),
            "view": pa.array(["=x"], pa.string_view()),
            "nothing": pa.nulls(1),
        }
    )
    (cells,) = read_csv(write(table, "csv").encode())
    assert cells == {
        "list": '[1.5, null, "NaN"]',
        "struct": '{"a": "=1\\u2028"}',
        "bytes": "00ff",
        "naive": "1970-01-01T00:00:00.000000",
        "day": "1970-01-01",
        "money": "1.50",
        "view": "'=x",
        "nothing": "",
    }
    assert json.loads(write(table, "jsonl")) == {
        "list": [1.5, None, "NaN"],
        "struct": {"a": "=1\u2028"},
        "bytes": "00ff",
        "naive": "1970-01-01T00:00:00.000000",
        "day": "1970-01-01",
        "money": 1.5,
        "view": "=x",
    }


def test_points_are_written_as_they_come() -> None:
    made = []

    def make() -> Iterator[pa.Table]:
        for number in range(300):
            made.append(number)
            yield big

    codes = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x"]))
    big = pa.Table.from_arrays(
        [
            codes,
            codes,
            pa.array(range(10_000)),
            pa.array([MOMENT] * 10_000, pa.timestamp("us", "UTC")),
            pa.array([0.5] * 10_000),
        ],
        schema=points_schema(),
    )
    written: list[int] = []

    class Sink(io.BytesIO):
        def write(self, data: Any) -> int:
            written.append(made[-1] if made else -1)
            return super().write(data)

    sink = Sink()
    assert write_table(TableStream(points_schema(), make()), sink, format="parquet") == 3_000_000
    assert [number for number in written if 0 <= number < 15], "nothing is written until all is made"
    file = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert {file.metadata.row_group(group).num_rows for group in range(file.num_row_groups - 1)} == {131_072}


def test_progress_is_told_where_the_end_is_known() -> None:
    told: list[tuple[int, int]] = []
    table = pa.table({"a": range(40_000)})
    stream = TableStream(table.schema, [table], table.num_rows)
    write_table(stream, io.BytesIO(), format="csv", progress=lambda done, total: told.append((done, total)))
    assert told == [(16_384, 40_000), (32_768, 40_000), (40_000, 40_000)]


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 9))
def test_pieces_are_gathered(sizes: list[int], rows: int) -> None:
    pieces = [pa.table({"a": pa.array([size] * size, pa.int64())}) for size in sizes]
    schema = pa.schema([("a", pa.int64())])
    gathered = list(gather(TableStream(schema, pieces), rows=rows))
    assert [value for table in gathered for value in table["a"].to_pylist()] == [n for n in sizes for _ in range(n)]
    assert all(table.num_rows == rows for table in gathered[:-1])
    assert all(0 < table.num_rows <= rows for table in gathered)


def test_a_format_is_told_by_the_ending() -> None:
    assert [find_format(Path(name)) for name in ("a.CSV", "b.parquet", "c.jsonl", "d.ndjson", "e.txt", "f")] == [
        "csv",
        "parquet",
        "jsonl",
        "jsonl",
        None,
        None,
    ]
    with pytest.raises(InvalidInput, match="no format 'xls'"):
        write_table(make_tables().stream("runs"), io.BytesIO(), format="xls")
    with pytest.raises(InvalidInput, match="no table 'tag'"):
        make_tables().stream("tag")


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with pytest.raises(TypeError), open_replacing(path) as sink:
        sink.writelines([b"half", "text"])  # type: ignore[list-item]
    assert path.read_bytes() == b"before"
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    with open_replacing(link) as sink:
        sink.write(b"after")
    assert (path.read_bytes(), link.is_symlink(), stat.S_IMODE(path.stat().st_mode)) == (b"after", True, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["link.csv", "out.csv"]
    with open_replacing(Path("/dev/null")) as sink:
        sink.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        with open_replacing(Path(f"/dev/fd/{writer}")) as sink:
            sink.write(b"through")
        os.close(writer)
        assert stream.read() == b"through"


def test_a_missing_directory_is_named_as_the_user_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as refused, open_replacing(Path("no such/x.csv")):
        pass
    assert refused.value.message == "'no such/x.csv' cannot be written: there is no directory 'no such'"
    assert refused.value.hint == "mkdir -p 'no such'"
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory: 'file/x.csv'"), open_replacing(Path("file/x.csv")):
        pass


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    assert write_dataset(tmp_path / "data", make_frame(), read_points=read_points) == COUNTS
    return tmp_path / "data"


def test_a_dataset_is_cut_by_experiment(dataset: Path) -> None:
    files = sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file())
    slugs = ("churn", "语言-模型")
    assert files == sorted([MARK, *(f"{name}/experiment={slug}/0.parquet" for name in TABLES for slug in slugs)])
    for name in TABLES:
        schemas = [pq.read_schema(dataset / name / f"experiment={slug}" / "0.parquet") for slug in slugs]
        assert schemas[0] == schemas[1]
        assert "experiment" not in schemas[0].names
    assert json.loads((dataset / MARK).read_text())["tables"] == COUNTS


def test_duckdb_reads_a_dataset(dataset: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        runs, params, points = (
            f"read_parquet('{dataset}/{name}/**/*.parquet', hive_partitioning=true)"
            for name in ("runs", "params", "points")
        )
        rows = connection.execute(
            f"SELECT r.name, r.experiment, p.number FROM {runs} r JOIN {params} p ON p.run_id = r.id "
            "WHERE p.key = 'lr' ORDER BY 1"
        ).fetchall()
        assert rows == [("run-1", "churn", 0.1), ("run-2", "churn", 1.0)]
        counts = {
            name: connection.execute(f"SELECT count(*) FROM read_parquet('{dataset}/{name}/**/*.parquet')").fetchone()[
                0
            ]
            for name in TABLES
        }
        assert counts == COUNTS
        found = connection.execute(f"SELECT run_id, key, step FROM {points} WHERE experiment = '语言-模型'")
        assert found.fetchall() == [(f"{3:032x}", "m3", 0), (f"{3:032x}", "m3", 1)]


def test_polars_reads_a_dataset_and_the_files(dataset: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    runs = polars.read_parquet(dataset / "runs", hive_partitioning=True).sort("name")
    assert runs["experiment"].to_list() == ["churn", "churn", "语言-模型"]
    assert runs["started"][0] == START + timedelta(microseconds=1)
    for name in TABLES:
        (tmp_path / f"{name}.csv").write_bytes(export(name, "csv"))
        (tmp_path / f"{name}.jsonl").write_bytes(export(name, "jsonl"))
        assert polars.read_csv(tmp_path / f"{name}.csv", infer_schema_length=None).height == COUNTS[name]
        assert polars.read_ndjson(tmp_path / f"{name}.jsonl").height == COUNTS[name]
    loss = polars.read_csv(tmp_path / "runs.csv", infer_schema_length=None)["metrics.loss"].to_list()
    assert math.isnan(loss[0])
    assert loss[1:] == [-math.inf, None]


def test_pandas_and_duckdb_read_csv_and_json(tmp_path: Path) -> None:
    pandas, duckdb = pytest.importorskip("pandas"), pytest.importorskip("duckdb")
    (tmp_path / "runs.csv").write_bytes(export("runs", "csv"))
    (tmp_path / "runs.jsonl").write_bytes(export("runs", "jsonl"))
    frame = pandas.read_csv(tmp_path / "runs.csv")
    assert frame["metrics.loss"][1] == -math.inf
    assert frame["note"][0] == "'" + HOSTILE
    assert frame["note"][1] == NOISE
    assert pandas.read_json(tmp_path / "runs.jsonl", lines=True)["params.seed"].tolist()[:2] == [7, -3]
    with duckdb.connect() as connection:
        question = 'SELECT "params.lr", "metrics.loss", "started"::TIMESTAMPTZ = ? FROM '
        for reader in ("read_csv", "read_json"):
            cast = question.replace('"metrics.loss"', '"metrics.loss"::DOUBLE')
            rows = connection.execute(
                f"{cast} {reader}('{tmp_path / ('runs.csv' if reader == 'read_csv' else 'runs.jsonl')}') ORDER BY name",
                [START + timedelta(microseconds=2)],
            ).fetchall()
            assert [row[0] for row in rows] == [0.1, 1.0, None]
            assert math.isnan(rows[0][1])
            assert rows[1][1:] == (-math.inf, True)


def test_pyarrow_reads_a_dataset(dataset: Path) -> None:
    table = pa.dataset.dataset(dataset / "metrics", format="parquet", partitioning="hive").to_table()
    assert table.num_rows == COUNTS["metrics"]
    assert sorted(set(table["experiment"].to_pylist())) == ["churn", "语言-模型"]


def test_no_experiment_leads_out_of_a_dataset(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    hostile = "../../x=%2F\\\n'*"
    frame = Frame([build_segment([RunRecord(make_run(1, hostile), {}, {}, {})])])
    write_dataset(tmp_path / "data", frame, read_points=read_points)
    assert sorted(os.listdir(tmp_path)) == ["data"]
    assert os.listdir(tmp_path / "data" / "runs") == ["experiment=..%2F..%2Fx%3D%252F%5C%0A%27%2A"]
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT experiment FROM read_parquet('{tmp_path}/data/runs/*/*.parquet', hive_partitioning=true)"
        ).fetchall()
    assert found == [(hostile,)]


def test_a_dataset_replaces_only_a_dataset(dataset: Path) -> None:
    with pytest.raises(Conflict, match="holds a dataset already"):
        write_dataset(dataset, make_frame(), read_points=read_points)
    assert write_dataset(dataset, make_frame(), read_points=read_points, tables=["tags"], replace=True) == {"tags": 2}
    assert sorted(os.listdir(dataset)) == [MARK, "tags"]
    (dataset / MARK).unlink()
    with pytest.raises(Conflict, match="no dataset of gittrack's"):
        write_dataset(dataset, make_frame(), read_points=read_points, replace=True)
    assert sorted(os.listdir(dataset)) == ["tags"]


def test_a_dataset_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(frame: object) -> Iterator[tuple[str, pa.Table]]:
        yield "a", make_points(1)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_dataset(tmp_path / "data", make_frame(), read_points=fail)
    assert os.listdir(tmp_path) == []
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data", make_frame(), read_points=read_points, tables=["runs"])
    assert sorted(os.listdir(tmp_path / "data")) == [MARK, "runs"]

"""What a run records about the data it reads: files, DVC, Git LFS, buckets, web servers, tables in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import warnings
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import git
from hypothesis import given, settings
from hypothesis import strategies as st

import gittrack
from gittrack.errors import InvalidInput, NotFound
from gittrack.inputs import describe_input
from gittrack.model import Input
from gittrack.pointer import encode_pointer

CONTENT = b"a,b\n1,2\n"
MD5 = "e5ebd4c02cefbe7955977c67ada242b7"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def fail(text: str) -> None:
    raise AssertionError(f"unexpected warning: {text}")


def describe(data: object, **more: Any) -> Input:
    return describe_input(data, warn=fail, **more)


def facts(entry: Input) -> dict[str, object]:
    return dict(entry.facts)


# Files


def test_a_file_and_a_directory(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "x.csv").write_bytes(CONTENT)
    (tmp_path / "data" / "deep" / "y").write_bytes(b"")
    assert describe(tmp_path / "data" / "x.csv") == Input(
        "x.csv", str(tmp_path / "data" / "x.csv"), "file", f"sha256:{SHA256}", 8
    )
    lines = f"{hashlib.sha256(b'').hexdigest()}  deep/y\n{SHA256}  x.csv\n"
    wanted = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    entry = describe(str(tmp_path / "data"), name="train", context="training")
    assert entry == Input("train", str(tmp_path / "data"), "directory", wanted, 8, "training")
    as_url = describe(f"file://{tmp_path}/data")
    assert (as_url.path, as_url.digest) == (str(tmp_path / "data"), wanted)


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no data file or directory"):
        describe(tmp_path / "missing.csv")
    for bad in ("", "a\0b", b"bytes", 5, None, object()):
        with pytest.raises(InvalidInput):
            describe(bad, name="train")
    with pytest.raises(InvalidInput, match="needs a name"):
        describe(np.zeros(3))
    with pytest.raises(InvalidInput, match="must be strings"):
        describe(tmp_path, name=5)


# Git LFS


def test_a_git_lfs_pointer_counts_as_what_it_stands_for(tmp_path: Path) -> None:
    content, pointers = tmp_path / "content", tmp_path / "pointers"
    for directory in (content, pointers):
        directory.mkdir()
        (directory / "small").write_bytes(b"version 1 of something\n")
        (directory / "empty").write_bytes(b"")
    (content / "x").write_bytes(CONTENT)
    pointer = gittrack.Pointer(SHA256, 8)
    (pointers / "x").write_bytes(encode_pointer(pointer))
    assert describe(pointers / "x") == Input(
        "x", str(pointers / "x"), "file", f"sha256:{SHA256}", 8, "", (("origin", "git-lfs"),)
    )
    here, there = describe(content), describe(pointers)
    assert (here.digest, here.size) == (there.digest, there.size)
    assert describe(content / "empty").facts == ()
    (pointers / "x").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid nonsense\n")
    assert describe(pointers / "x").size == 56


# DVC: the digests are those that DVC 3.67 itself gave these files.

DVC_DIRECTORY = "9044ba56aae413a06728b65510329ab1.dir"


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """Return a directory with a file and a directory that DVC tracks."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "x.csv").write_bytes(CONTENT)
    (tmp_path / "data" / "sub" / "y.txt").write_bytes(b"hi\n")
    (tmp_path / "data" / "sub.txt").write_bytes(b"z\n")
    (tmp_path / "one.csv").write_bytes(CONTENT)
    (tmp_path / "data.dvc").write_text(
        f"outs:\n- md5: {DVC_DIRECTORY}\n  size: 13\n  nfiles: 3\n  hash: md5\n  path: data\n"
    )
    (tmp_path / "one.csv.dvc").write_text(
        f"outs:\n- md5: {MD5}\n  size: 8\n  hash: md5\n  path: one.csv\n  remote: bucket\n"
    )
    return tmp_path


def test_what_dvc_tracks_has_its_digest_here_or_not(tracked: Path) -> None:
    file = describe(tracked / "one.csv")
    assert (file.kind, file.digest, file.size) == ("file", f"md5:{MD5}", 8)
    assert facts(file) == {"origin": "dvc", "remote": "bucket", "tracked_by": "one.csv.dvc"}
    directory = describe(tracked / "data")
    assert (directory.kind, directory.digest, directory.size) == ("directory", f"md5:{DVC_DIRECTORY}", 13)
    (tracked / "one.csv").unlink()
    for path in sorted((tracked / "data").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tracked / "data").rmdir()
    assert describe(tracked / "one.csv") == file
    assert describe(tracked / "data") == directory


@pytest.mark.parametrize("name", ["one.csv", "data/sub/y.txt"])
def test_what_was_changed_since_has_its_own_digest(tracked: Path, name: str) -> None:
    said: list[str] = []
    content = bytes(reversed((tracked / name).read_bytes()))  # of the same size
    (tracked / name).write_bytes(content)
    top = tracked / name.partition("/")[0]
    entry = describe_input(top, warn=said.append)
    assert entry.digest.startswith("sha256:")
    assert entry.facts == ()
    assert len(said) == 1
    assert f"is not what {top.name}.dvc says" in said[0]


def test_an_older_dvc_is_believed_by_the_size(tracked: Path) -> None:
    (tracked / "one.csv.dvc").write_text(f"outs:\n- md5: {MD5}\n  size: 8\n  path: one.csv\n")
    assert describe(tracked / "one.csv").digest == f"md5-dos2unix:{MD5}"
    (tracked / "one.csv").write_bytes(CONTENT + b"more")
    said: list[str] = []
    assert describe_input(tracked / "one.csv", warn=said.append).digest.startswith("sha256:")
    assert len(said) == 1


def test_a_stage_s_output_is_found_in_dvc_lock(tracked: Path) -> None:
    (tracked / ".dvc").mkdir()
    (tracked / "out").mkdir()
    (tracked / "out" / "three.csv").write_bytes(CONTENT)
    (tracked / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  prep:\n    cmd: x\n    outs:\n"
        f"    - path: out/three.csv\n      hash: md5\n      md5: {MD5}\n      size: 8\n"
    )
    entry = describe(tracked / "out" / "three.csv")
    assert entry.digest == f"md5:{MD5}"
    assert facts(entry) == {"origin": "dvc", "tracked_by": "dvc.lock"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "outs: 3",
        "outs: [3]",
        "outs: [{path: 5}]",
        "outs: [{path: other.csv, md5: " + MD5 + "}]",
        "outs: [{path: one.csv, md5: nonsense}]",
        "outs: [{path: one.csv, etag: abc}]",
        "outs: [",
        "outs: !!python/object:os.system {}",
        "[" * 5000,
    ],
)
def test_a_dvc_file_that_says_nothing_is_passed_over(tracked: Path, text: str) -> None:
    (tracked / "one.csv.dvc").write_text(text)
    assert describe(tracked / "one.csv").digest == f"sha256:{SHA256}"


# Web servers


class Web(BaseHTTPRequestHandler):
    """A server that says what `pages` says: a status, headers; and notes what it was asked."""

    pages: ClassVar[dict[str, tuple[int, dict[str, str]]]] = {}
    asked: ClassVar[list[tuple[str, str, str | None]]] = []

    def do_HEAD(self) -> None:
        Web.asked.append((self.command, self.path, self.headers["Authorization"]))
        status, headers = self.pages.get(f"{self.command} {self.path}") or self.pages.get(self.path) or (404, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = Thread(target=server.serve_forever)
    thread.start()
    Web.pages, Web.asked = {}, []
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server_says_etag_date_and_size(web: str) -> None:
    Web.pages["/d/train.csv?v=1"] = (
        200,
        {"ETag": '"abc"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Content-Length": "12345"},
    )
    entry = describe(f"http://{web}/d/train.csv?v=1")
    assert (entry.name, entry.kind, entry.digest, entry.size) == ("train.csv", "file", 'etag:"abc"', 12345)
    assert facts(entry) == {"origin": "http", "etag": '"abc"', "modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert [method for method, _, _ in Web.asked] == ["HEAD"]
    Web.pages["/bare"] = (200, {})
    assert describe(f"http://{web}/bare") == Input(
        "bare", f"http://{web}/bare", "file", "", None, "", (("origin", "http"),)
    )


def test_a_url_signed_for_get_alone_is_asked_for_its_first_byte(web: str) -> None:
    Web.pages["HEAD /x"] = (403, {})
    Web.pages["GET /x"] = (206, {"ETag": '"e"', "Content-Range": "bytes 0-0/777", "Content-Length": "1"})
    entry = describe(f"http://{web}/x")
    assert (entry.digest, entry.size) == ('etag:"e"', 777)


def test_a_redirect_is_followed_without_the_credentials(web: str) -> None:
    Web.pages["/from"] = (302, {"Location": f"http://{web.replace('127.0.0.1', 'localhost')}/to"})
    Web.pages["/to"] = (200, {"ETag": 'W/"weak"', "Content-Length": "5"})
    entry = describe(f"http://ann:s%20cret@{web}/from")
    assert (entry.digest, entry.size) == ('etag:W/"weak"', 5)
    token = base64.b64encode(b"ann:s cret").decode()
    assert Web.asked == [("HEAD", "/from", f"Basic {token}"), ("HEAD", "/to", None)]


@pytest.mark.parametrize("status", [404, 500, 401])
def test_a_server_that_refuses_is_said_and_no_error(web: str, status: int) -> None:
    Web.pages["/x"] = (status, {})
    said: list[str] = []
    entry = describe_input(f"http://{web}/x", warn=said.append)
    assert (entry.path, entry.digest, entry.size, entry.facts) == (f"http://{web}/x", "", None, ())
    assert len(said) == 1
    assert str(status) in said[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x",
        "https://127.0.0.1:9/x",
        "http://no such host/x",
        "http://[::1/x",
        "gs://bucket/key",
        "hdfs://host/key",
        "s3://bucket",
        "s3://bucket/prefix/",
        "s3://bucket/key?endpoint_override=http://127.0.0.1:9&region=us-east-1",
        "s3://not_a valid bucket!/key?region=nowhere&scheme=gopher",
    ],
)
def test_what_cannot_be_reached_is_recorded_by_its_url_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said: list[str] = []
    entry = describe_input(url, name="train", warn=said.append)
    assert (entry.name, entry.path, entry.digest, entry.size) == ("train", url, "", None)
    assert len(said) == 1
    assert "alone, without size and digest" in said[0]


def test_a_redirect_to_a_file_is_not_followed(web: str) -> None:
    Web.pages["/x"] = (302, {"Location": "ftp://127.0.0.1/etc/passwd"})
    said: list[str] = []
    assert describe_input(f"http://{web}/x", warn=said.append).digest == ""
    assert len(said) == 1


# Buckets


def test_an_object_of_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="data")
        client.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        put = client.put_object(Bucket="data", Key="a/train?.csv", Body=CONTENT)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        entry = describe("s3://data/a/train?.csv")
        assert (entry.name, entry.digest, entry.size) == ("train", f'etag:"{MD5}"', 8)
        assert entry.find_fact("version") == put["VersionId"]
        assert entry.find_fact("origin") == "s3"
        assert str(entry.find_fact("modified")).startswith("20")
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        named = describe(f"s3a://data/a/train?.csv?endpoint_override={endpoint}&region=us-east-1", name="train")
        assert named.digest == entry.digest
        said: list[str] = []
        missing = describe_input(f"s3://data/none?endpoint_override={endpoint}", warn=said.append)
        assert (missing.digest, said[0].rpartition(": ")[2]) == ("", "there is no such object")
    finally:
        server.stop()


# Tables and arrays in memory

COLUMNS: dict[str, list[Any]] = {
    "number": [1, 2, None],
    "text": ["x", None, "żółć"],
    "float": [1.5, float("nan"), 0.0],
    "flag": [True, None, False],
}


def digest(data: object) -> str:
    return describe(data, name="train").digest


def test_the_bytes_of_a_table_are_those_of_the_format() -> None:
    wanted = b'gittrack table 1\n{"columns":[["number","int64"],["text","string"],["float","double"],["flag","bool"]],'
    wanted += b'"rows":3}\n'
    wanted += b"\1\1\0" + struct.pack("<3q", 1, 2, 0)
    wanted += b"\1\0\1" + struct.pack("<3q", 1, 0, 8) + "xżółć".encode()
    wanted += b"\1\1\1" + struct.pack("<d", 1.5) + bytes.fromhex("000000000000f87f") + struct.pack("<d", 0.0)
    wanted += b"\1\0\1" + b"\1\0\0"
    entry = describe(COLUMNS, name="train")
    assert entry.digest == f"sha256:{hashlib.sha256(wanted).hexdigest()}"
    assert (entry.path, entry.kind, entry.size) == ("", "file", len(wanted))
    assert facts(entry) == {"origin": "memory", "type": "dict", "rows": 3, "columns": 4}


def test_the_bytes_of_nested_columns_are_those_of_the_format() -> None:
    table = pa.table(
        {
            "list": [[1, 2], None, [3]],
            "struct": [{"a": 1}, None, {"a": None}],
            "decimal": [Decimal("1.50"), None, Decimal("-2")],
            "day": [date(1970, 1, 2), None, date(1970, 1, 3)],
            "nothing": pa.nulls(3),
        }
    )
    types = [
        ["list", "list<int64>"],
        ["struct", "struct<a: int64>"],
        ["decimal", "decimal128(3, 2)"],
        ["day", "date32[day]"],
        ["nothing", "null"],
    ]
    wanted = b"gittrack table 1\n" + json.dumps({"columns": types, "rows": 3}, separators=(",", ":")).encode() + b"\n"
    wanted += b"\1\0\1" + struct.pack("<3q", 2, 0, 1) + b"\1\1\1" + struct.pack("<3q", 1, 2, 3)
    wanted += b"\1\0\1" + b"\1\0\0" + struct.pack("<3q", 1, 0, 0)
    wanted += b"\1\0\1" + struct.pack("<3q", 4, 0, 5) + b"1.50-2.00"
    wanted += b"\1\0\1" + struct.pack("<3i", 1, 0, 2)
    wanted += b"\0\0\0"
    assert digest(table) == f"sha256:{hashlib.sha256(wanted).hexdigest()}"


def test_equal_data_has_one_digest_whatever_holds_it() -> None:
    table = pa.table(COLUMNS)
    frame = pl.DataFrame(COLUMNS)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    same = [
        COLUMNS,
        rows,
        frame,
        frame.with_columns(pl.col("text").cast(pl.Categorical)),
        table.cast(table.schema.set(1, pa.field("text", pa.large_string()))),
        table.set_column(1, "text", table.column("text").dictionary_encode()),
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        pa.concat_tables([table, table]).slice(3),
        table.replace_schema_metadata({"pandas": "{}"}),
        table.combine_chunks().to_batches()[0],
    ]
    assert {digest(data) for data in same} == {digest(table)}
    plain = {"a": [1, 2], "t": ["x", "y"], "f": [0.5, 2.0], "when": [datetime(2024, 1, 1, tzinfo=timezone.utc)] * 2}
    pandas = pd.DataFrame(plain)
    pandas["when"] = pandas["when"].astype("datetime64[us, UTC]")
    assert digest(pandas) == digest(pl.DataFrame(plain)) == digest(pa.table(plain))
    assert digest(pandas["a"]) == digest(pl.Series("a", [1, 2])) == digest({"a": [1, 2]})
    with_gap = pd.DataFrame({"f": [1.0, None]})
    assert digest(with_gap) == digest({"f": [1.0, None]})


def test_other_data_has_another_digest() -> None:
    variants: list[object] = [
        {"a": [1, 2]},
        {"a": [2, 1]},
        {"b": [1, 2]},
        {"a": [1, 2, None]},
        {"a": [1.0, 2.0]},
        {"a": ["1", "2"]},
        {"a": ["12", ""]},
        {"a": ["", "12"]},
        {"a": [None, "12"]},
        {"a": [1, 2], "b": [1, 2]},
        {"a": [[1], [2]]},
        {"a": [[1, 2], []]},
        {"a": [b"1", b"2"]},
        {"a": []},
        {},
        pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
        np.array([1, 2]),
        np.array([1.0, 2.0]),
        np.array([[1, 2]]),
    ]
    assert len({digest(data) for data in variants}) == len(variants)


def test_blocks_do_not_show_where_chunks_end() -> None:
    values = pa.table({"x": list(range(150_000)), "t": [str(number) for number in range(150_000)]})
    pieces = pa.concat_tables([values.slice(0, 70_001), values.slice(70_001, 1), values.slice(70_002)])
    assert digest(values) == digest(pieces) == digest(pl.from_arrow(values))


cells = st.none() | st.integers(-(2**63), 2**63 - 1)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(cells, texts, st.none() | st.floats(), st.lists(cells, max_size=3)), max_size=8),
    st.integers(0, 8),
)
def test_any_table_keeps_its_digest_when_it_is_cut_and_converted(rows: list[tuple[Any, ...]], cut: int) -> None:
    schema = pa.schema({"i": pa.int64(), "t": pa.string(), "f": pa.float64(), "l": pa.list_(pa.int64())})
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert (
        digest(table)
        == digest(pieces)
        == digest(pl.from_arrow(table))
        == digest(table.take(pa.array(range(len(rows)), pa.int64())))
    )


def test_the_bytes_of_an_array_are_those_of_the_format() -> None:
    values = np.arange(6, dtype="f8").reshape(2, 3)
    wanted = b'gittrack array 1\n{"dtype":"<f8","shape":[2,3]}\n' + struct.pack("<6d", *range(6))
    entry = describe(values, name="x")
    assert entry.digest == f"sha256:{hashlib.sha256(wanted).hexdigest()}"
    assert entry.size == len(wanted)
    assert facts(entry) == {"origin": "memory", "type": "numpy.ndarray", "rows": 2, "columns": 3, "shape": "2x3"}
    for same in (np.asfortranarray(values), values.astype(">f8"), np.repeat(values, 2, axis=1)[:, ::2]):
        assert digest(same) == entry.digest
    assert facts(describe(np.zeros((4, 2, 2), "u1"), name="x"))["shape"] == "4x2x2"
    assert digest(np.array(["2024-01-01"], "M8[D]")) != digest(np.array([19723]))
    assert digest(np.zeros((0, 3))) != digest(np.zeros((3, 0)))


def test_what_has_no_bytes_of_its_own_is_refused() -> None:
    for bad in (
        np.array([object()]),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
        {"a": [object()]},
        {"a": [1], "b": [1, 2]},
        {"a": "text"},
        [1, 2],
        pd.DataFrame({"a": [1, "x"]}),
        pa.table({"a": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}),
    ):
        with pytest.raises(InvalidInput):
            digest(bad)
    with pytest.raises(InvalidInput, match="LazyFrame") as caught:
        digest(pl.LazyFrame({"a": [1]}))
    assert caught.value.hint == "frame.collect()"


# In a run


def test_a_run_keeps_its_inputs(repo: Path, web: str) -> None:
    Path("train.csv").write_bytes(CONTENT)
    Web.pages["/x.csv"] = (200, {"ETag": '"e"', "Content-Length": "5"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gittrack.start_run("churn", name="first") as run:
            run.log_input("train.csv", name="train", context="training")
            gittrack.log_input(pd.DataFrame({"a": [1]}), name="frame")
            run.log_input(f"http://ann:hunter22secret@{web}/x.csv")
    found = gittrack.get_run("first")
    assert [(entry.name, entry.path, entry.size) for entry in found.inputs] == [
        ("train", "train.csv", 8),
        ("frame", "", found.inputs[1].size),
        ("x.csv", f"http://{web}/x.csv", 5),
    ]
    assert found.inputs[1].find_fact("type") == "pandas.DataFrame"
    assert found.snapshot.run.scrubbed == ("inputs",)
    assert "hunter22secret" not in git(repo, "show", "gittrack/churn:run.json")
    record = json.loads(git(repo, "show", "gittrack/churn:run.json"))["inputs"]
    assert record[0] == {
        "context": "training",
        "digest": f"sha256:{SHA256}",
        "kind": "file",
        "name": "train",
        "path": "train.csv",
        "size": 8,
    }
    with gittrack.Tracker.open() as tracker:
        tracker.edit_run(found.id, tags={"stage": "prod"})
    assert gittrack.get_run("first").inputs == found.inputs
    assert [run.name for run in gittrack.runs(query=f"input.train.digest = '{SHA256[:8]}'")] == ["first"]


def test_a_server_out_of_reach_warns_and_the_training_goes_on(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        with pytest.warns(gittrack.TrackingWarning, match="URL 'http://.*' alone, without size and digest") as caught:
            run.log_input("http://ann:hunter22secret@127.0.0.1:9/x.csv", name="train")
        run.log({"loss": 1})
    assert caught[0].filename == __file__
    assert "hunter22secret" not in str(caught[0].message)
    found = gittrack.get_run("latest")
    assert found.inputs == (Input("train", "http://127.0.0.1:9/x.csv", "file", "", None),)
    assert json.loads(git(repo, "show", "gittrack/churn:run.json"))["inputs"][0]["size"] == -1
    assert not found.snapshot.run.incomplete
    assert gittrack.runs(query="input.train.size > 0").to_arrow().num_rows == 0
    assert gittrack.runs(query="input.train.size IS NULL").to_arrow().num_rows == 1


def test_a_fact_of_a_later_version_is_kept(repo: Path) -> None:
    from gittrack.snapshot import input_record, read_input_record

    record = {"name": "a", "path": "b", "kind": "file", "digest": "c:d", "size": 1, "context": "", "lines": 7, "x": [1]}
    entry = read_input_record(record, where="here")
    assert entry.facts == (("lines", 7),)
    assert input_record(entry) == {key: value for key, value in record.items() if key != "x"}

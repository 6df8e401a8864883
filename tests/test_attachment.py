"""Images, tables and pages: what each becomes, and what is refused and how."""

from __future__ import annotations

import io
import json
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import gittrack
from gittrack.attachment import render_image, render_table
from gittrack.errors import InvalidInput, Unsupported


def read_image(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image


# Images


@pytest.mark.parametrize(
    ("shape", "mode"), [((2, 3), "L"), ((2, 3, 1), "L"), ((2, 3, 3), "RGB"), ((2, 3, 4), "RGBA"), ((1, 1), "L")]
)
def test_bytes_are_kept_as_they_are(shape: tuple[int, ...], mode: str) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = read_image(render_image(pixels, "a/x.PNG"))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), pixels[:, :, 0] if shape[2:] == (1,) else pixels)
    flipped = np.asfortranarray(pixels[::-1, ::-1])
    assert np.array_equal(np.asarray(read_image(render_image(flipped, "x.png"))).reshape(shape), flipped)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8"])
def test_floats_go_from_0_to_1(kind: str) -> None:
    pixels = np.array([[0.0, 0.5, 1.0, 0.25, 128 / 255]], kind)
    assert np.asarray(read_image(render_image(pixels, "x.png"))).tolist() == [[0, 128, 255, 64, 128]]


def test_flags_are_black_and_white() -> None:
    assert np.asarray(read_image(render_image(np.array([[True, False]]), "x.png"))).tolist() == [[255, 0]]


class Tensor:
    """What frameworks hand out: it has numbers, and says so the way numpy asks."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.values is None:
            raise TypeError("cannot convert a tensor on the GPU")
        return np.asarray(self.values)


def test_a_tensor_is_an_array() -> None:
    assert np.asarray(read_image(render_image(Tensor([[0.0, 1.0]]), "x.png"))).tolist() == [[0, 255]]
    with pytest.raises(InvalidInput, match="on the GPU"):
        render_image(Tensor(None), "x.png")


@pytest.mark.parametrize(
    ("mode", "kept"), [("1", "1"), ("L", "L"), ("P", "P"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("CMYK", "RGB")]
)
def test_an_image_of_pillow(mode: str, kept: str) -> None:
    assert read_image(render_image(Image.new(mode, (3, 2)), "x.png")).mode == kept
    assert read_image(render_image(Image.new(mode, (3, 2)), "x.png")).size == (3, 2)


@pytest.mark.parametrize(
    ("image", "message", "hint"),
    [
        (np.zeros((3, 8, 8)), "not 3x8x8", "image.transpose(1, 2, 0)"),
        (np.zeros((8, 8, 5)), "not 8x8x5", None),
        (np.zeros(8), "not 8", None),
        (np.zeros((0, 8)), "not 0x8", None),
        (np.zeros((8, 8), "i8"), "uint8, or floats from 0 to 1, not int64", "image.astype(numpy.uint8)"),
        (np.full((8, 8), 255.0), "these from 255 to 255", "image.clip(0, 1), or image / 255"),
        (np.array([[-0.1, 1.0]]), "these from -0.1 to 1", "image.clip(0, 1), or image / 255"),
        (np.array([[np.nan, 1.0]]), "these from nan to nan", "image.clip(0, 1), or image / 255"),
        ("x.png", "neither an array of pixels nor an image of Pillow: str", None),
        (None, "NoneType", None),
        (Image.new("F", (2, 2)), "no pixels of mode 'F'", 'image.convert("RGB")'),
    ],
)
def test_what_is_no_image_is_refused(image: object, message: str, hint: str | None) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        render_image(image, "x.png")
    assert caught.value.hint == hint


@pytest.mark.parametrize(("path", "hint"), [("x.jpg", "x.png"), ("a/x", "a/x.png"), ("", "image.png")])
def test_an_image_is_a_png(path: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=r"ends in \.png") as caught:
        render_image(np.zeros((2, 2)), path)
    assert caught.value.hint == hint


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(Unsupported) as caught:
        render_image(np.zeros((2, 2)), "x.png")
    assert caught.value.hint == 'pip install "gittrack[image]"'


# Tables

COLUMNS = {"epoch": [1, 2], "auc": [0.5, None], "name": ["a", "ż"]}


@pytest.mark.parametrize(
    "table",
    [
        COLUMNS,
        [{"epoch": 1, "auc": 0.5, "name": "a"}, {"epoch": 2, "name": "ż"}],
        pa.table(COLUMNS),
        pa.table(COLUMNS).to_batches()[0],
        pl.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS),
        {"epoch": np.array([1, 2]), "auc": pl.Series([0.5, None]), "name": ("a", "ż")},
        {"epoch": range(1, 3), "auc": pa.array([0.5, None]), "name": pd.Series(["a", "ż"])},
    ],
)
def test_any_table_becomes_parquet(table: object) -> None:
    read = pq.read_table(io.BytesIO(render_table(table, "a/x.parquet")))
    assert read.to_pydict() == COLUMNS
    assert render_table(table, "x.csv").decode() == '"epoch","auc","name"\n1,0.5,"a"\n2,,"ż"\n'
    rows = [{"epoch": 1, "auc": 0.5, "name": "a"}, {"epoch": 2, "auc": None, "name": "ż"}]
    assert json.loads(render_table(table, "x.json")) == rows
    assert [json.loads(line) for line in render_table(table, "x.jsonl").splitlines()] == rows


def test_a_series_and_an_index_are_columns() -> None:
    assert pq.read_table(io.BytesIO(render_table(pd.Series([1, 2], name="s"), "x.parquet"))).to_pydict() == {
        "s": [1, 2]
    }
    frame = pd.DataFrame({"v": [1]}, index=pd.Index(["k"], name="key"))
    assert pd.read_parquet(io.BytesIO(render_table(frame, "x.parquet"))).equals(frame)
    assert render_table(frame, "x.csv") == b'"v","key"\n1,"k"\n'


def test_values_of_all_kinds_in_json() -> None:
    row = {
        "inf": float("inf"),
        "nan": float("nan"),
        "when": datetime(2024, 1, 1, 12, tzinfo=timezone.utc),
        "day": date(2024, 1, 1),
        "took": timedelta(seconds=1.5),
        "exact": Decimal("1.50"),
        "list": [1.0, float("-inf")],
        "struct": {"a": None},
    }
    assert json.loads(render_table([row], "x.json")) == [
        {
            "inf": "Infinity",
            "nan": "NaN",
            "when": "2024-01-01T12:00:00+00:00",
            "day": "2024-01-01",
            "took": 1.5,
            "exact": "1.50",
            "list": [1.0, "-Infinity"],
            "struct": {"a": None},
        }
    ]
    assert render_table([], "x.json") == b"[]\n"
    assert render_table({}, "x.jsonl") == b""


def test_categories_are_texts_in_csv() -> None:
    assert render_table(pd.DataFrame({"c": pd.Categorical(["x", "y", "x"])}), "c.csv") == b'"c"\n"x"\n"y"\n"x"\n'


@pytest.mark.parametrize(
    ("table", "path", "message", "hint"),
    [
        (COLUMNS, "x.xlsx", "ends in .parquet, .csv, .json, .jsonl", "x.parquet"),
        (COLUMNS, "x", "ends in", "x.parquet"),
        ({"a": [1], "b": [1, 2]}, "x.csv", "cannot become an Arrow table", None),
        ({"a": [object()]}, "x.csv", "cannot become an Arrow table", None),
        ({"a": "text"}, "x.csv", "a column is a list of values, not str", None),
        ({"a": 5}, "x.csv", "a column is a list of values, not int", None),
        ([1, 2], "x.csv", "columns by name or rows, not list", "run.log_table"),
        (np.zeros((2, 2)), "x.csv", "columns by name or rows, not ndarray", "run.log_table"),
        ("text", "x.csv", "not str", "run.log_table"),
        ({"a": [[1]]}, "x.csv", "csv cannot hold this table", "x.parquet"),
        ({"a": [b"x"]}, "x.json", "json cannot hold this table", "x.parquet"),
        (pl.LazyFrame({"a": [1]}), "x.csv", "a LazyFrame has no rows yet", "frame.collect()"),
    ],
)
def test_what_is_no_table_is_refused(table: object, path: str, message: str, hint: str | None) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        render_table(table, path)
    assert (caught.value.hint or "").startswith(hint or "")
    assert (caught.value.hint is None) == (hint is None)


# In a run


def test_they_are_artifacts_of_the_run(repo: Path) -> None:
    with gittrack.start_run("churn") as run:
        run.log_image(np.zeros((2, 2)), "samples/first.png")
        gittrack.log_image(Image.new("RGB", (1, 1)), "second.png")
        run.log_table(COLUMNS, "scores.parquet")
        gittrack.log_table(pl.DataFrame(COLUMNS), "scores.csv")
        gittrack.log_html("<p>http://ann:hunter22secret@host/", "page.html")
        for refused in (
            lambda: run.log_image(np.zeros((2, 2)), "../x.png"),
            lambda: run.log_table(COLUMNS, "/x.csv"),
            lambda: run.log_html(b"<p>", "x.html"),  # type: ignore[arg-type]
            lambda: run.log_html("<p>", "x.txt"),
        ):
            with pytest.raises(InvalidInput):
                refused()
    found = gittrack.get_run("latest")
    assert sorted(found.artifacts()) == [
        "page.html",
        "samples/first.png",
        "scores.csv",
        "scores.parquet",
        "second.png",
    ]
    with found.open_artifact("scores.parquet") as file:
        assert pq.read_table(io.BytesIO(file.read())).to_pydict() == COLUMNS
    with found.open_artifact("page.html") as file:
        assert file.read() == b"<p>http://[scrubbed]@host/"
    with found.open_artifact("samples/first.png") as file:
        assert read_image(file.read()).size == (2, 2)
    assert found.snapshot.run.incomplete == ""

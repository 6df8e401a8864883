"""Params become flat, typed scalars."""

from __future__ import annotations

import argparse
import enum
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import InvalidInput
from gittrack.model import Scalar
from gittrack.params import flatten_params


class Color(enum.Enum):
    RED = "red"


@dataclass
class Config:
    lr: float
    sizes: list[int]


@given(st.dictionaries(strategies.keys, strategies.scalars, max_size=5))
def test_scalars_stay_what_they_are(params: dict[str, Scalar]) -> None:
    assert strategies.same(flatten_params(params), params)


def test_what_people_pass() -> None:
    numpy = pytest.importorskip("numpy")
    params = {
        "opt": {"name": "adam", "betas": (0.9, 0.99), "nested": {"eps": 1e-8}},
        "path": Path("data/train.csv"),
        "color": Color.RED,
        "empty": {},
        "f32": numpy.float32(0.5),
        "i64": numpy.int64(7),
        "flag": numpy.bool_(True),
        "zero_d": numpy.array(2.5),
        "decimal": Decimal("1.5"),
    }
    flat = flatten_params(params)
    assert flat == {
        "opt.name": "adam",
        "opt.betas": "[0.9, 0.99]",
        "opt.nested.eps": 1e-8,
        "path": "data/train.csv",
        "color": "red",
        "empty": "{}",
        "f32": 0.5,
        "i64": 7,
        "flag": True,
        "zero_d": 2.5,
        "decimal": "1.5",
    }
    assert [type(flat[key]) for key in ("f32", "i64", "flag", "zero_d")] == [float, int, bool, float]


def test_namespaces_and_dataclasses_are_mappings() -> None:
    assert flatten_params(argparse.Namespace(lr=0.1, model="svm")) == {"lr": 0.1, "model": "svm"}
    assert flatten_params(Config(0.1, [1, 2])) == {"lr": 0.1, "sizes": "[1, 2]"}


@pytest.mark.parametrize(
    "params",
    [5, "lr=1", {"": 1}, {5: 1}, {"a\n": 1}, {"x" * 251: 1}, {"a.b": 1, "a": {"b": 2}},
     {"long": "x" * 100_001}, {"n": 1 << 5000}],
)  # fmt: skip
def test_unusable_params(params: object) -> None:
    with pytest.raises(InvalidInput):
        flatten_params(params)

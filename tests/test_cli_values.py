"""Values as people write them on a command line or in a file: how each is typed, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli.values import (
    find_command_params,
    parse_params,
    parse_value,
    read_metrics_file,
    read_params_file,
    split_assignments,
)
from gittrack.errors import InvalidInput, NotFound


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("+4", 4),
        ("0", 0),
        ("0.1", 0.1),
        ("-2.50", -2.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("1.5e+3", 1500.0),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("None", None),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("1.10", 1.1),
        ('"1.10"', "1.10"),
        ("'true'", "true"),
        ('""', ""),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "adam",
        "007",
        "00.5",
        "-01",
        "0x1f",
        "0o17",
        "1_000",
        "1,5",
        "1.2.3",
        "12:30",
        "2024-01-01",
        "yes",
        "no",
        "on",
        "none",
        "tRUE",
        "~",
        "~/data",
        "[1, 2]",
        '"',
        "'a\"",
        "1e",
        "e5",
        ".",
        "+",
        "--1",
        "1e999",
        "9223372036854775808",
        "1" * 5000,
        "٣",
    ],
)
def test_what_reads_differently_in_different_places_stays_text(text: str) -> None:
    assert parse_value(text) == text


def test_nan_is_a_number() -> None:
    parsed = parse_value("nan")
    assert isinstance(parsed, float)
    assert math.isnan(parsed)


@given(st.text(max_size=40))
def test_quotes_keep_any_text(text: str) -> None:
    assert parse_value(f'"{text}"') == text


@given(st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False)))
def test_a_number_comes_back_from_its_own_spelling(number: float) -> None:
    parsed = parse_value(repr(number))
    assert parsed == number
    assert type(parsed) is type(number)


def test_assignments_keep_everything_behind_the_first_sign() -> None:
    assert split_assignments(["a=b=c", "d=", "e f=g h"]) == {"a": "b=c", "d": "", "e f": "g h"}
    assert split_assignments(["a=1", "a=1"]) == {"a": "1"}


@pytest.mark.parametrize("words", [["lr"], ["=0.1"], [""], ["a=1", "a=2"]])
def test_assignments_that_say_nothing_or_two_things_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        split_assignments(words)


def test_params_are_typed() -> None:
    assert parse_params(["lr=0.1", "name=a=b", "amp=true"]) == {"lr": 0.1, "name": "a=b", "amp": True}


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("./train --lr 0.1 --epochs=5 --amp", {"lr": 0.1, "epochs": 5, "amp": True}),
        ("./train --amp --lr 0.1", {"amp": True, "lr": 0.1}),
        ("./train --offset -0.5 --min -inf", {"offset": -0.5, "min": -math.inf}),
        ("./train --learning-rate 1e-3 --no-amp", {"learning-rate": 1e-3, "no-amp": True}),
        ("./train --config conf.py --lr 1", {"config": "conf.py", "lr": 1}),
        ("./train --layers 64 64 32 --lr 1", {"layers": "64 64 32", "lr": 1}),
        ("./train --tag a --tag b", {"tag": "a b"}),
        ("./train --name= --out x", {"name": "", "out": "x"}),
        ("./train -b 32 -v data.csv", {}),
        ("./train --lr 1 -- --epochs 5", {"lr": 1}),
        ("./train -- x=1", {}),
        ("python train.py --lr 0.1 data.csv", {"lr": 0.1}),
        ("python -u train.py lr=0.1 +model.size=3 ++seed=1", {"lr": 0.1, "model.size": 3, "seed": 1}),
        ("/usr/bin/python3.11 -m pkg.train --lr 2", {"lr": 2}),
        ("python -c a=1 --lr 2", {"lr": 2}),
        ("torchrun --nproc_per_node 4 train.py --lr 0.1", {"lr": 0.1}),
        ("python -m torch.distributed.run --nproc_per_node 4 train.py --lr 0.1", {"lr": 0.1}),
        ("accelerate launch --multi_gpu train.py --lr 0.1", {"lr": 0.1}),
        ("uv run --frozen python train.py --lr 0.1", {"lr": 0.1}),
        ("env OMP_NUM_THREADS=1 python train.py --lr 0.1", {"lr": 0.1}),
        ("bash train.sh --lr 0.1", {"lr": 0.1}),
        ("Rscript fit.R --trees 500", {"trees": 500}),
        ("true", {}),
        ("./train --", {}),
        ("./train --=3 --lr 1", {"lr": 1}),
    ],
)
def test_the_params_in_a_command(command: str, params: dict[str, object]) -> None:
    assert find_command_params(command.split(" ")) == params


def test_a_shell_command_in_one_word_is_no_override() -> None:
    assert find_command_params(["sh", "-c", "LR=1 ./train", "name", "--lr", "2"]) == {"lr": 2}


PARAMS = {"lr": 0.1, "model": {"layers": [64, 32], "name": "mlp"}, "amp": True}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("params.json", json.dumps(PARAMS)),
        ("params.yaml", "lr: 1.0e-1\nmodel: {layers: [64, 32], name: mlp}\namp: true\n"),
        ("params.yml", "lr: 1e-1\nmodel: {layers: [64, 32], name: mlp}\namp: true\n"),
        ("params.toml", 'lr = 0.1\namp = true\n[model]\nlayers = [64, 32]\nname = "mlp"\n'),
        ("params", json.dumps(PARAMS)),
        ("params.cfg", "lr: 0.1\nmodel: {layers: [64, 32], name: mlp}\namp: true\n"),
        ("bom.json", "\ufeff" + json.dumps(PARAMS)),
    ],
)
def test_params_are_read_from_each_format(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_params_file(tmp_path / name) == PARAMS


def test_yaml_numbers_without_a_point_are_numbers_and_the_loader_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: 1e-4\nb: -2E+3\nc: '1e-4'\nd: 3e\n")
    assert read_params_file(tmp_path / "p.yaml") == {"a": 1e-4, "b": -2000.0, "c": "1e-4", "d": "3e"}
    assert yaml.safe_load("a: 1e-4") == {"a": "1e-4"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", "{"),
        ("p.json", "[1]"),
        ("p.json", ""),
        ("p.toml", "a = "),
        ("p.yaml", "a: [1"),
        ("p.yaml", "!!python/object/apply:os.system [true]"),
        ("p.yaml", "just text"),
        ("p.jsonl", '{"a": 1}\n{"b": 2}\n'),
    ],
)
def test_a_file_without_params_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=name):
        read_params_file(tmp_path / name)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.json"):
        read_params_file(tmp_path / "none.json")
    (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput):
        read_params_file(tmp_path / "p.json")
    with pytest.raises(InvalidInput):
        read_metrics_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("m.json", '{"auc": 0.9, "n": 3}', [(None, {"auc": 0.9, "n": 3.0})]),
        ("m.json", '{"step": 7, "auc": 0.9}', [(7, {"auc": 0.9})]),
        ("m.json", '{"val": {"auc": 0.9, "step": 2}, "model": "rf", "ok": true, "x": null}', None),
        ("m.json", '[{"loss": 2}, {"loss": 1}]', [(0, {"loss": 2.0}), (1, {"loss": 1.0})]),
        ("m.json", '[{"step": 10, "loss": 2}, {"step": 20.0, "loss": 1}]', [(10, {"loss": 2.0}), (20, {"loss": 1.0})]),
        ("m.jsonl", '{"loss": 2}\n\n{"step": 5, "loss": 1}\n', [(0, {"loss": 2.0}), (5, {"loss": 1.0})]),
        ("m.json", '{"loss": 2}\n{"loss": 1}\n', [(0, {"loss": 2.0}), (1, {"loss": 1.0})]),
        ("m.json", '{"loss": [2, 1], "auc": [0.5]}', [(0, {"loss": 2.0, "auc": 0.5}), (1, {"loss": 1.0})]),
        ("m.json", '{"loss": [2, 1], "best": 1}', [(0, {"loss": 2.0}), (1, {"loss": 1.0}), (None, {"best": 1.0})]),
        ("m.json", '{"step": [5, 6], "loss": [2, 1]}', [(5, {"loss": 2.0}), (6, {"loss": 1.0})]),
        ("m.yaml", "- {step: 1, loss: 1e-3}\n", [(1, {"loss": 1e-3})]),
        ("m.toml", "auc = 0.9\n", [(None, {"auc": 0.9})]),
        ("m.json", '{"a": "inf", "b": "-Infinity", "c": "12"}', [(None, {"a": math.inf, "b": -math.inf})]),
    ],
)
def test_metrics_are_read_from_each_shape(
    tmp_path: Path, name: str, text: str, rows: list[tuple[int | None, dict[str, float]]] | None
) -> None:
    (tmp_path / name).write_text(text)
    assert read_metrics_file(tmp_path / name) == (rows or [(None, {"val.auc": 0.9, "val.step": 2.0})])


def test_nan_in_a_metrics_file(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": NaN, "b": "NaN"}')
    ((step, values),) = read_metrics_file(tmp_path / "m.json")
    assert step is None
    assert [math.isnan(value) for value in values.values()] == [True, True]


@pytest.mark.parametrize("text", ["3", "[]", "{}", '{"a": "x"}', "[1, 2]", '[{"step": "x", "a": 1}]', '{"step": true}'])
def test_a_file_without_metrics_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"m\.json"):
        read_metrics_file(tmp_path / "m.json")

"""Which runs a query finds, and in what order: every example of the help, MLflow's filters, what is missing or odd."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from test_query_parser import QUERIES

from gittrack.errors import InvalidInput
from gittrack.frame import Frame, RunRecord, build_segment
from gittrack.frame.arrays import make_mask
from gittrack.model import Failure, Input, MetricSummary, Run, Scalar, SourceLink, Status
from gittrack.query import (
    Column,
    Key,
    check_keys,
    filter_frame,
    find_column,
    get_column,
    parse_query,
    parse_sort,
    sort_rows,
)

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = 20_485 * DAY + 9 * HOUR  # 2026-02-01 09:00 UTC
NAN, INF = float("nan"), float("inf")


def summarise(last: float, *, least: float | None = None) -> MetricSummary:
    least = last if least is None else least
    return MetricSummary(
        count=10, first=1.0, first_step=0, last=last, last_step=9, min=least, min_step=4, max=2.0, max_step=5, mean=0.5
    )


def make_record(
    name: str,
    *,
    params: dict[str, Scalar] | None = None,
    metrics: dict[str, MetricSummary] | None = None,
    live: bool = False,
    **attributes: object,
) -> RunRecord:
    """Return a run that started an hour before NOW for each letter of its name, with what is given."""
    run = Run(
        **{  # type: ignore[arg-type]
            "id": name.encode().hex().ljust(32, "0"),
            "name": name,
            "experiment": "my-churn",
            "revision": 1,
            "status": Status.FINISHED,
            "started": NOW - len(name) * HOUR,
            **attributes,
        }
    )
    return RunRecord(run, params or {}, metrics or {}, {}, commit=run.id + "0" * 8, live=live)


def make_frame(records: list[RunRecord], *, cut: int = 1) -> Frame:
    return Frame([build_segment(records[:cut]), build_segment(records[cut:])])


def find(query: str, frame: Frame) -> list[str]:
    names = frame.filter(filter_frame(parse_query(query), frame, now=NOW)).to_table(["name"])["name"]
    return sorted(names.to_pylist())


SOURCE = "c2bd78b3" + "1" * 32
RECORDS = [
    make_record(
        "brave-ant-1",
        params={"lr": 0.01, "model": "svm", "amp": True, "resnet": None},
        metrics={"auc": summarise(0.95, least=0.5), "loss": summarise(0.2, least=0.05)},
        started=NOW - 20 * DAY,
        ended=NOW - 20 * DAY + 90 * SECOND,
        tags={"stage": "prod", "who": "it's me", "ready": "true"},
        user="ann",
        source=SourceLink(commit=SOURCE, branch="main", dirty=False, captured="worktree"),
        inputs=(Input("train", "data/a.csv", "file", "sha256:aa", 10, "training"),),
    ),
    make_record(
        "calm-bee-22",
        params={"lr": "1e-2", "model": "resnet_50", "amp": "True"},
        metrics={"auc": summarise(0.85), "loss": summarise(NAN)},
        started=20_484 * DAY + 7 * HOUR + 30 * 60 * SECOND + 5,
        ended=20_484 * DAY + 9 * HOUR + 30 * 60 * SECOND + 5,
        tags={"stage": "test"},
        user="bob",
        source=SourceLink(commit="d" * 40, dirty=True, captured="worktree"),
        inputs=(
            Input("train", "data/b.csv", "file", "sha256:9f86d081", 20, "training"),
            Input("eval", "data/c", "directory", "md5:c0ffee1234.dir", 30, "evaluation"),
        ),
    ),
    make_record(
        "deft-cat-333",
        params={"lr": 0.1, "model": "mlp", "amp": False},
        metrics={"auc": summarise(INF), "loss": summarise(0.3)},
        status=Status.FAILED,
        started=NOW - 2 * HOUR,
        ended=NOW - HOUR,
        failure=Failure("ValueError", "no"),
        removed=NOW,
        source=SourceLink(commit="e" * 40, dirty=True, captured="worktree"),
    ),
    make_record(
        "eager-dog-4444",
        params={"model": "ResNet-50"},
        metrics={"loss": summarise(0.01)},
        status=Status.RUNNING,
        live=True,
        started=NOW - 60 * SECOND,
        experiment="other",
    ),
]
A, B, C, D = (record.run.name for record in RECORDS)
FRAME = make_frame(RECORDS)

DOCUMENTED = {
    "metrics.auc > 0.9 AND params.model = 'svm'": [A],
    "metrics.loss.min < 0.1 OR NOT (params.lr > 0.01 AND params.amp)": [A, B, C, D],
    "status IN ('failed', 'killed') AND started >= '7 days ago'": [C],
    "name LIKE 'brave-%' AND tags.stage IS NOT NULL": [A],
    "source.dirty AND duration > '1h30m'": [B],
    "input.train.digest = '9f86d0'": [B],
    "params.lr != 0.1": [A, B],
    "params.model IN ('svm', 'mlp')": [A, C],
    "metrics.auc BETWEEN 0.8 AND 0.9": [B],
    "params.model LIKE 'resnet%'": [B],
    "params.model ILIKE '%NET_50'": [B, D],
    "params.lr IS NULL": [D],
    "params.amp": [A, B],
    "params.lr = 0.01": [A, B],
    "params.lr = '0.01'": [A],
    "params.amp = true": [A, B],
    "metrics.loss = nan": [B],
    "metrics.auc < inf": [A, B],
    "tags.who = 'it''s me'": [A],
    "status = 'Failed'": [C],
    "experiment = 'My Churn'": [A, B, C],
    "source.commit = 'c2bd78b3'": [A],
    "duration >= '90s'": [A, B, C],
    "started = '2026-01-31'": [B],
    "started < '2026-01-31 09:30+02:00'": [A],
    "started >= 'yesterday'": [B, C, D],
    "started > '2 weeks ago'": [B, C, D],
    "start_time > 1769817600000": [B, C, D],
    "params.lr != 0.1 OR params.lr IS NULL": [A, B, D],
}


def test_the_answer_to_every_example_of_the_help_is_known() -> None:
    assert set(QUERIES) == set(DOCUMENTED)


@pytest.mark.parametrize(("query", "names"), DOCUMENTED.items(), ids=DOCUMENTED)
def test_an_example_of_the_help_finds_what_it_says(query: str, names: list[str]) -> None:
    assert find(query, FRAME) == names


# Forms of MLflow's run filters: any identifier, its aliases and quotes, and the comparisons each of them has.
MLFLOW = {
    "": [A, B, C, D],
    "metrics.auc > 0.9": [A, C],
    "metric.auc <= 0.85": [B],
    "metrics.`auc` >= 0.85 and metrics.auc < 1": [A, B],
    'metrics."auc" != 0.85': [A, C],
    "metrics.auc = 0.95 AND params.model = 'svm'": [A],
    "params.model = \"svm\"": [A],
    "param.lr = '0.01'": [A],
    "parameters.lr != '0.01'": [B, C],
    "parameter.model LIKE '%net%'": [B],
    "params.model ILIKE '%NET%'": [B, D],
    "params.`model` != 'svm'": [B, C, D],
    "tags.stage = 'prod'": [A],
    "tag.`stage` != 'prod'": [B],
    "tags.stage LIKE 'p%'": [A],
    "tags.stage IS NULL": [C, D],
    "tags.stage IS NOT NULL and params.amp IS NOT NULL": [A, B],
    "params.missing != 'x'": [],
    "status = 'FINISHED'": [A, B],
    "attributes.status != 'FINISHED'": [C, D],
    "attribute.status = 'SCHEDULED'": [],
    "attr.run_name = 'brave-ant-1'": [A],
    "tags.mlflow.runName = 'brave-ant-1'": [A],
    "tag.`mlflow.runName` LIKE '%-bee-%'": [B],
    "run_name LIKE '%-bee-%'": [B],
    "attributes.`run name` ILIKE 'BRAVE%'": [A],
    "attributes.\"Run name\" = 'calm-bee-22'": [B],
    f"run_id = '{RECORDS[0].run.id}'": [A],
    f"attributes.run_id IN ('{RECORDS[0].run.id}', '{RECORDS[1].run.id}')": [A, B],
    f"attributes.run_id NOT IN ('{RECORDS[0].run.id}')": [B, C, D],
    "attributes.user_id = 'ann'": [A],
    f"attributes.start_time >= {(NOW - 2 * HOUR) // 1000}": [C, D],
    f"created < {(NOW - 10 * DAY) // 1000}": [A],
    f"attributes.end_time = {RECORDS[1].run.ended // 1000}": [B],  # type: ignore[operator]
    "dataset.name = 'eval'": [B],
    "datasets.name != 'eval'": [A, B],
    "dataset.name IN ('train')": [A, B],
    "dataset.digest = 'sha256:aa'": [A],
    "input.train.digest = 'sha256:9f86'": [B],
    "input.train.digest != 'sha256:9f86d0'": [A],
    "input.eval.digest = 'C0FFEE'": [B],
    "input.eval.digest = 'md5:c0ff'": [B],
    "input.eval.digest = 'md5:c0f'": [],
    "input.eval.digest = 'sha256:c0ff'": [],
    "input.eval.digest IN ('0000', 'c0ffee12')": [B],
    "dataset.digest = 'c0ff'": [B],
    "dataset.digest != 'c0ff' AND dataset.name = 'eval'": [B],
    "dataset.digest LIKE 'sha256:%' AND dataset.context = 'evaluation'": [B],
    "dataset.context ILIKE 'TRAIN%'": [A, B],
}  # fmt: skip


@pytest.mark.parametrize(("query", "names"), MLFLOW.items(), ids=[query or "empty" for query in MLFLOW])
def test_a_filter_of_mlflow_finds_what_it_finds_there(query: str, names: list[str]) -> None:
    assert find(query, FRAME) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("auc > 0.9", [A, C]),
        ("loss.min < 0.1", [A, D]),
        ("stage = 'prod'", [A]),
        ("amp", [A, B]),
        ("NOT amp", [C]),
        ("tags.ready", [A]),
        ("removed", [C]),
        ("NOT removed", [A, B, D]),
        ("removed = false", [A, B, D]),
        ("removed > 'yesterday'", [C]),
        ("live", [D]),
        ("live != true", [A, B, C]),
        ("ended IS NULL", [D]),
        ("duration > 0", [A, B, C]),
        ("NOT duration > 0", []),
        ("failure LIKE 'ValueError:%'", [C]),
        ("input.train.size < 15", [A]),
        ("input.train = 'sha256:9f86d081'", [B]),
        ("input.eval.kind = 'directory'", [B]),
        ("dataset.size > 10", [B]),
        ("NOT dataset.size > 10", [A]),
        ("dataset.name IS NULL", [C, D]),
        ("metrics.auc.count = 10", [A, B, C]),
        ("metrics.auc.step = 9 AND metrics.auc.max_step = 5 AND metrics.auc.min_step = 4", [A, B, C]),
        ("metrics.nothing > 1", []),
        ("NOT metrics.nothing > 1", []),
        ("metrics.nothing > 1 OR live", [D]),
        ("NOT (metrics.nothing > 1 AND live)", [A, B, C]),
        ("metrics.nothing IS NULL", [A, B, C, D]),
        ("params.resnet IS NULL", [A, B, C, D]),
        ("params.resnet = 'x' OR params.resnet != 'x'", []),
        ("metrics.loss < 1", [A, C, D]),
        ("NOT metrics.loss < 1", [B]),
        ("params.lr > '0.02'", [B, C]),
        ("params.lr LIKE '0.%'", [A, C]),
        ("params.amp LIKE 'Tr%'", [A, B]),
        ("exit_code IS NULL", [A, B, C, D]),
    ],
)
def test_a_query_finds(query: str, names: list[str]) -> None:
    assert find(query, FRAME) == names


def test_a_whole_key_comes_before_a_field() -> None:
    short, whole = summarise(0.5, least=0.1), summarise(0.9)
    both = make_frame([make_record("a", metrics={"x": short, "x.min": whole}), make_record("b", metrics={"x": whole})])
    assert find("metrics.x.min = 0.9", both) == ["a"]
    assert find("metrics.`x`.min = 0.1", both) == ["a"]
    assert find("metrics.`x.min` = 0.9", both) == ["a"]
    assert find("metrics.x.min.min = 0.9", both) == ["a"]
    short_only = make_frame([make_record("a", metrics={"x": short})])
    assert find("metrics.x.min = 0.1", short_only) == ["a"]
    assert find("metrics.`x.min` = 0.1", short_only) == []


def test_a_key_of_runs_that_do_not_count_is_not_there() -> None:
    records = [
        make_record("a", metrics={"x.min": summarise(5.0)}),
        make_record("b", metrics={"x": summarise(1.0, least=0.1)}),
    ]
    frame = Frame([build_segment(records)], make_mask(bytes([0, 1])))
    assert find("metrics.x.min = 0.1", frame) == ["b"]
    assert find("metrics.x.min = 5", frame) == []
    with pytest.raises(InvalidInput, match=r"no run has a metric 'x\.min'"):
        check_keys(parse_query("metrics.`x.min` > 1"), frame)


def test_a_column_has_the_name_it_is_shown_by() -> None:
    assert find_column(Key("metrics", "loss.step"), FRAME) == Column("metrics", "loss", "last_step", "integer")
    for text, name in [("loss", "metrics.loss"), ("metrics.loss.min", "metrics.loss.min"), ("run_name", "name")]:
        (rank,) = parse_sort(text)
        assert get_column(rank.key, FRAME, text=text).name == name
    assert find_column(Key("params", "nothing"), FRAME) is None


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("metrics.acu > 1", "no run has a metric 'acu'", "metrics.auc"),
        ("metrics.los.min > 1", "no run has a metric 'los.min'", "metrics.loss.min"),
        ("metrics.model = 1", "no run has a metric 'model'", "params.model"),
        ("params.modle = 'x'", "no run has a param 'modle'", "params.model"),
        ("tags.zzzz = 'x'", "no run has a tag 'zzzz'", None),
        ("input.trian = 'x'", "no run has an input 'trian'", "input.train"),
        ("lrr > 1", "no attribute, metric, param or tag is called 'lrr'", "params.lr"),
        ("statu = 'x'", "no attribute, metric, param or tag is called 'statu'", "status or started or tags.stage"),
    ],
)
def test_a_key_that_no_run_has_is_pointed_at_with_the_nearest(query: str, message: str, hint: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_keys(parse_query(f"live OR {query}"), FRAME)
    assert caught.value.message == f"{message}\n  live OR {query}\n          ^"
    assert caught.value.hint == hint


def test_a_key_that_no_run_has_is_no_error_by_itself_unless_it_is_bare() -> None:
    assert find("metrics.acu > 1", FRAME) == []
    with pytest.raises(InvalidInput, match="is called 'acu'"):
        find("acu > 1", FRAME)
    with pytest.raises(InvalidInput, match="is called 'acu'"):
        sort_rows(FRAME, parse_sort("acu"), FRAME.visible)
    with pytest.raises(InvalidInput, match="no run has a metric 'acu'"):
        check_keys(parse_sort("-metrics.acu"), FRAME)
    check_keys(parse_sort("-metrics.auc, name"), FRAME)


def test_a_bare_name_that_may_be_two_things_is_refused() -> None:
    frame = make_frame([make_record("a", params={"x y": 1}, tags={"x y": "1"})])
    with pytest.raises(InvalidInput, match="'x y' may be several things") as caught:
        find("`x y` = 1", frame)
    assert caught.value.hint == "params.`x y` or tags.`x y`"


def test_a_bare_name_is_compared_as_what_it_turns_out_to_be() -> None:
    with pytest.raises(InvalidInput) as caught:
        find("auc LIKE '0%'", FRAME)
    assert caught.value.message == "auc is no text, which LIKE needs\n  auc LIKE '0%'\n           ^"
    with pytest.raises(InvalidInput, match="auc is a number"):
        find("auc = 'high'", FRAME)


@pytest.mark.parametrize(
    "query", ["", "live", "metrics.auc > 1", "NOT params.x = 1", "dataset.name = 'x'", "params.x IS NULL"]
)
def test_a_frame_without_runs_has_an_answer(query: str) -> None:
    for frame in (Frame([]), Frame([build_segment([])]), make_frame([], cut=0)):
        assert filter_frame(parse_query(query), frame, now=NOW).to_pylist() == []
        assert sort_rows(frame, parse_sort("-metrics.auc, name"), frame.visible, limit=5).to_pylist() == []


def order(sort: str, frame: Frame = FRAME, *, limit: int | None = None) -> list[str]:
    rows = sort_rows(frame, parse_sort(sort), frame.visible, limit=limit)
    return frame.take(rows).to_table(["name"])["name"].to_pylist()


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", [D, C, B, A]),
        ("name", [A, B, C, D]),
        ("-name", [D, C, B, A]),
        ("metrics.auc", [B, A, C, D]),
        ("-metrics.auc", [C, A, B, D]),
        ("metrics.loss DESC", [C, A, D, B]),
        ("loss.min", [D, A, C, B]),
        ("params.amp", [C, A, B, D]),
        ("-params.lr, name", [C, A, B, D]),
        ("params.lr, -name", [B, A, C, D]),
        ("source.dirty DESC", [C, B, D, A]),
        ("duration", [A, C, B, D]),
        ("tags.stage", [A, B, D, C]),
        ("metrics.nothing", [D, C, B, A]),
        ("input.train.size DESC", [B, A, D, C]),
    ],
)
def test_runs_are_put_in_order(sort: str, names: list[str]) -> None:
    assert order(sort) == names
    for limit in range(6):
        assert order(sort, limit=limit) == names[:limit]


def test_what_cannot_be_an_order_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a run may have several datasets"):
        order("dataset.name")
    with pytest.raises(InvalidInput, match="limited to -1 runs"):
        order("name", limit=-1)


def test_the_first_few_are_the_first_of_all() -> None:
    chance = random.Random(7)
    values: list[Scalar] = [1, 2.5, True, "10", "auto", "b", None, NAN, 2**53 + 1, 2**53, -(2**70)]
    records = [
        make_record(
            f"run-{number}",
            id=f"{chance.getrandbits(128):032x}",
            started=NOW - chance.randrange(5),
            params={"p": chance.choice(values)} if chance.random() < 0.9 else {},
            metrics={"m": summarise(chance.choice([0.0, 1.0, NAN, INF]))} if chance.random() < 0.8 else {},
            user=chance.choice(["", "ann", "bob"]),
        )
        for number in range(400)
    ]
    frame = make_frame(records, cut=150)
    mask = make_mask(bytes(chance.random() < 0.7 for _ in records))
    for sort in ("", "-metrics.m", "metrics.m, -params.p", "-params.p, user", "-user, -metrics.m", "live, name"):
        keys = parse_sort(sort)
        everything = sort_rows(frame, keys, mask).to_pylist()
        assert len(everything) == mask.true_count
        for limit in (1, 2, 50, 100, 250, 399):
            assert sort_rows(frame, keys, mask, limit=limit).to_pylist() == everything[:limit], (sort, limit)


def test_asking_does_not_import_pandas() -> None:
    code = """
import sys
sys.path.insert(0, "tests")
from gittrack.frame import Frame, build_segment
from gittrack.model import MetricSummary, Run, Status
from gittrack.frame import RunRecord
from gittrack.query import *
run = Run(id="a" * 32, name="a", experiment="x", revision=1, status=Status.FINISHED, started=0)
metrics = {"m": MetricSummary(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)}
frame = Frame([build_segment([RunRecord(run, {"p": 1, "q": "x"}, metrics, {})])])
text = "metrics.m > 0.5 AND params.p = 1 AND params.q IN ('x') AND started < '7 days ago' OR params.q LIKE '%x_'"
query = parse_query(text)
check_keys(query, frame)
rows = sort_rows(frame, parse_sort("-metrics.m, params.q, name"), filter_frame(query, frame, now=2**50), limit=5)
print(len(rows), "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"

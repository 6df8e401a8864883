"""The `plot` command: pictures on the terminal to the letter, the words that choose metrics and runs, and the files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from snapshots.check import check_snapshot
from snapshots.invocation import call, read, spawn, spawn_in_terminal
from snapshots.samples import EVIL, NOW

import gittrack
from gittrack.cli.canvas import render_picture
from gittrack.cli.room import Room, speaks_unicode
from gittrack.cli.terminal import Screen
from gittrack.cli.text import count_cells
from gittrack.errors import Unsupported
from gittrack.figure import (
    Chart,
    Look,
    Sample,
    Scatter,
    Trace,
    make_chart,
    make_parallel,
    make_points,
    make_scatter,
    parse_axis,
)

ROOMS = {
    "40": Room(Screen(40), rows=24),
    "80": Room(Screen(80), rows=40),
    "200": Room(Screen(200), rows=60),
    "pipe": Room(Screen()),
    "ascii": Room(Screen(), unicode=False),
    "color": Room(Screen(80, color=True), rows=30),
}


def make_trace(number: int, *, name: str = "", group: str = "", metrics: tuple[str, ...] = ("loss",)) -> Trace:
    """Return a run whose metrics decay and rise, each run faster than the one before it."""
    steps = list(range(0, 400, 4))
    times = [NOW + step * 15_000_000 for step in steps]
    values = {
        "loss": [math.exp(-step * (number + 1) / 300) + (step * 7 % 5) / 100 for step in steps],
        "accuracy": [1 - math.exp(-step * (number + 1) / 200) for step in steps],
    }
    series = {metric: make_points(steps, times, values.get(metric, values["loss"])) for metric in metrics}
    return Trace(f"{number + 1:08x}" * 4, name or f"brave-otter-{number}", NOW, series, group)


def make_dots() -> list[Sample]:
    models = ("gbm", "mlp")
    return [
        Sample(
            f"{number:032x}",
            f"run-{number}",
            {"params.lr": 10.0 ** -(number % 4), "params.model": models[number % 2], "metrics.auc": 0.5 + number / 40},
            models[number % 2],
        )
        for number in range(16)
    ]


PICTURES: dict[str, Callable[[], Chart | Scatter]] = {
    "one": lambda: make_chart([make_trace(1)], ["loss"], Look(title="loss of brave-otter-1 in churn")),
    "several": lambda: make_chart(
        [make_trace(number, metrics=("loss", "accuracy")) for number in range(3)],
        ["loss", "accuracy"],
        Look(title="loss, accuracy of 3 runs in churn", axis=parse_axis("time"), smoothing=0.5),
    ),
    "groups": lambda: make_chart(
        [make_trace(number, group=f"lr=0.{number % 2 + 1}") for number in range(4)],
        ["loss"],
        Look(title="loss of 4 runs in churn", grouped=True, log=frozenset({"y"})),
    ),
    "wall": lambda: make_chart([make_trace(1)], ["loss"], Look(title="loss", axis=parse_axis("wall"))),
    "scatter": lambda: make_scatter(make_dots(), "params.lr", ["metrics.auc"], log=frozenset({"x"}), title="auc"),
    "categories": lambda: make_scatter(make_dots(), "params.model", ["metrics.auc"], title="auc by model"),
}


@pytest.mark.parametrize("place", ROOMS)
@pytest.mark.parametrize("picture", PICTURES)
def test_what_is_drawn_is_exactly_this(picture: str, place: str) -> None:
    check_snapshot(f"plot-{picture}-{place}", render_picture(PICTURES[picture](), ROOMS[place]))


@pytest.mark.parametrize("width", [20, 27, 40, 79, 80, 133])
@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_fits_its_room(picture: str, width: int) -> None:
    lines = render_picture(PICTURES[picture](), Room(Screen(width), rows=30))
    assert [line for line in lines if count_cells(line) > width] == []
    assert len(lines) <= 30


@pytest.mark.parametrize("picture", PICTURES)
def test_a_pipe_gets_no_escape_and_an_old_terminal_nothing_but_ascii(picture: str) -> None:
    assert not [line for line in render_picture(PICTURES[picture](), ROOMS["pipe"]) if not line.isprintable()]
    assert not [line for line in render_picture(PICTURES[picture](), ROOMS["ascii"]) if not line.isascii()]


@pytest.mark.parametrize("picture", PICTURES)
def test_colours_mark_the_runs_and_leave_the_rest_alone(picture: str) -> None:
    lines = render_picture(PICTURES[picture](), ROOMS["color"])
    assert any("\x1b[38;5;32m" in line for line in lines)
    assert not [line for line in lines if re.search("[\x00-\x1a\x1c-\x1f\x7f-\x9f]", line)]
    assert not [line for line in lines if re.search(r"\x1b(?!\[[0-9;]*m)", line)]


def test_nothing_a_run_says_reaches_the_terminal_as_a_command() -> None:
    series = {EVIL: make_trace(1).series["loss"]}
    traces = [Trace("1" * 32, EVIL, 0, series, EVIL), Trace("2" * 32, EVIL + "2", 0, series, EVIL)]
    samples = [Sample(str(number) * 32, EVIL, {EVIL: EVIL + str(number), "y": number}, EVIL) for number in (1, 2)]
    pictures = [
        make_chart(traces, [EVIL], Look(title=EVIL)),
        make_chart(traces, [EVIL, EVIL], Look(title=EVIL, grouped=True, axis=parse_axis(EVIL))),
        make_scatter(samples, EVIL, ["y"], title=EVIL),
    ]
    for picture in pictures:
        for room in (ROOMS["pipe"], ROOMS["80"], ROOMS["40"]):
            unsafe = [
                line for line in render_picture(picture, room) if re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)
            ]
            assert unsafe == []


@pytest.mark.parametrize(
    "values",
    [[], [math.nan], [1.0], [5e-324, 0.0], [1.7e308, -1.7e308], [math.inf, 1.0, math.nan, 2.0], [3.0, 3.0]],
)
def test_odd_values_are_drawn_too(values: list[float]) -> None:
    points = make_points(range(len(values)), [0] * len(values), values)
    for log in (frozenset(), frozenset({"x", "y"})):
        picture = make_chart([Trace("1" * 32, "odd", 0, {"a": points})], ["a"], Look(log=log))  # type: ignore[arg-type]
        assert len(render_picture(picture, ROOMS["pipe"])) > 10


def test_parallel_axes_are_for_a_page() -> None:
    picture = make_parallel(make_dots(), ["params.lr", "metrics.auc"])
    with pytest.raises(Unsupported, match="do not fit into a terminal"):
        render_picture(picture, ROOMS["80"])


@pytest.mark.parametrize(("encoding", "spoken"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_a_stream_says_whether_it_has_the_characters(encoding: str | None, spoken: bool) -> None:
    class Stream:
        pass

    stream = Stream()
    stream.encoding = encoding  # type: ignore[attr-defined]
    assert speaks_unicode(stream) is spoken  # type: ignore[arg-type]


# The command


@pytest.fixture
def runs(repo: Path) -> list[str]:
    """Record four runs of two params each, and one in another experiment; return their names, the oldest first."""
    names = []
    for number in range(4):
        lr = (0.1, 0.01)[number % 2]
        with gittrack.start_run("churn", params={"lr": lr, "seed": number}) as run:
            for step in range(6):
                run.log({"loss": lr + 1 / (step + 1), "auc": 0.5 + step / 10 + lr}, step=step * 10, timestamp=step)
                run.log({"epoch": step}, step=step * 10)
        names.append(run.name)
    with gittrack.start_run("other", name="loss") as run:
        run.log({"reward": 1.0})
    return names


def read_curves(*words: str) -> dict[str, object]:
    curves = read("plot", *words, "--json").json("plot")["curves"]
    return {f"{curve['metric']} {curve['name']}": curve for curve in curves}


def test_words_are_metrics_and_then_runs(runs: list[str]) -> None:
    newest = list(reversed(runs))
    assert list(read_curves("loss")) == [f"loss {name}" for name in newest]
    assert list(read_curves("loss", "auc", runs[0])) == [f"loss {runs[0]}", f"auc {runs[0]}"]
    assert list(read_curves("loss", runs[0], runs[2])) == [f"loss {runs[0]}", f"loss {runs[2]}"]
    assert list(read_curves("loss", "-r", runs[1], runs[1])) == [f"loss {runs[1]}"]
    assert list(read_curves("loss", "-n", "2")) == [f"loss {name}" for name in newest[:2]]
    assert list(read_curves("-e", "other")) == ["reward loss"]
    assert list(read_curves("-r", runs[0])) == [f"auc {runs[0]}"]


def test_json_has_every_point(runs: list[str]) -> None:
    curve = read_curves("loss", runs[0])[f"loss {runs[0]}"]
    assert curve == {
        "metric": "loss",
        "name": runs[0],
        "runs": [gittrack.get_run(runs[0]).id],
        "x": [0, 10, 20, 30, 40, 50],
        "y": [0.1 + 1 / (step + 1) for step in range(6)],
    }
    smoothed = read_curves("loss", runs[0], "--smooth", "2")[f"loss {runs[0]}"]
    assert smoothed["raw"] == curve["y"]
    by_epoch = read("plot", "loss", runs[0], "--x", "epoch", "--json").json("plot")
    assert (by_epoch["x"], by_epoch["curves"][0]["x"]) == ("metrics.epoch", [0, 1, 2, 3, 4, 5])
    by_time = read("plot", "loss", runs[0], "--x", "wall", "--json").json("plot")
    assert by_time["curves"][0]["x"] == [0, 1, 2, 3, 4, 5]


def test_groups_are_told_by_their_params(runs: list[str]) -> None:
    curves = read_curves("loss", "--group", "params.lr")
    assert sorted(curves) == ["loss lr=0.01", "loss lr=0.1"]
    curve = curves["loss lr=0.1"]
    assert curve["n"] == [2] * 6
    assert curve["y"] == curve["lower"] == curve["upper"] == [0.1 + 1 / (step + 1) for step in range(6)]
    assert len(read_curves("loss", "--group", "lr,seed")) == 4
    refused = call("plot", "loss", "--group", "depth")
    assert (refused.code, refused.err) == (2, "error: none of these runs has 'depth' to group by\n")


def test_a_param_on_the_x_axis_makes_a_scatter(runs: list[str]) -> None:
    plot = read("plot", "loss", "--x", "params.lr", "--group", "seed", "--json").json("plot")
    assert plot["kind"] == "scatter"
    found = {(dot["x"], round(dot["y"], 6), dot["group"]) for dot in plot["dots"]}
    assert found == {(lr, round(lr + 1 / 6, 6), f"seed={seed}") for seed, lr in enumerate((0.1, 0.01, 0.1, 0.01))}
    assert read("plot", "loss", "--kind", "scatter", "--x", "auc", "--json").json("plot")["dots"][0]["x_key"] == (
        "metrics.auc"
    )


def test_parallel_coordinates_take_the_params_that_matter(runs: list[str]) -> None:
    plot = read("plot", "auc", "loss", "--kind", "parcoords", "--json").json("plot")
    assert list(plot["columns"]) == ["params.seed", "params.lr", "metrics.loss", "metrics.auc"]
    assert plot["columns"]["params.seed"] == [3, 2, 1, 0]
    chosen = read("plot", "auc", "--kind", "parcoords", "--x", "seed", "--json").json("plot")
    assert list(chosen["columns"]) == ["params.seed", "metrics.auc"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("lss",), 3, "'lss' is neither a metric of these runs nor a run"),
        (("loss", "--smooth", "1.5"), 2, "cannot smooth by 1.5"),
        (("loss", "--x", "nothing"), 2, "'nothing' that is to be the x axis"),
        (
            ("loss", "--x", "lr"),
            2,
            "'lr' is a param, and a line needs step, time, wall or a metric as its x\n",
        ),
        (("loss", "--x", "lr"), 2, "hint: gittrack plot loss --x params.lr\n"),
        (("loss", "--kind", "line", "--x", "params.lr"), 2, "step, time, wall or a metric as its x, not 'params.lr'"),
        (("loss", "--kind", "line", "--x", "params.lr"), 2, "hint: gittrack plot METRIC --kind scatter --x params.lr"),
        (("loss", "--kind", "scatter"), 2, "needs a param or metric as its x"),
        (("loss", "--kind", "parcoords", "--smooth", "0.5"), 2, "only curves can be smoothed"),
        (("loss", "--kind", "parcoords"), 5, "do not fit into a terminal"),
        (("loss", "-o", "plot.bmp"), 2, "plotly does not write 'bmp'"),
        (("loss", "-o", "none/plot.json"), 1, "No such file or directory: none/plot.json"),
        (("loss", "-e", "nothing"), 3, "no experiment 'nothing'"),
    ],
)
def test_what_cannot_be_plotted_is_said(runs: list[str], words: tuple[str, ...], code: int, said: str) -> None:
    answer = call("plot", *words)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_a_store_without_metrics_says_so(repo: Path) -> None:
    assert call("plot").err == "error: no run has a metric\nhint: gittrack ls\n"
    gittrack.start_run("empty").end()
    assert call("plot").err == "error: these runs have no metrics to plot\nhint: gittrack ls\n"
    assert call("plot", "-r", "latest").err == "error: these runs have no metrics to plot\nhint: gittrack ls\n"


def test_a_query_chooses_runs(runs: list[str]) -> None:
    assert list(read_curves("loss", "params.lr < 0.05")) == [f"loss {runs[3]}", f"loss {runs[1]}"]
    assert list(read_curves("loss", "params.lr < 0.05", "-n", "1")) == [f"loss {runs[3]}"]
    assert list(read_curves("loss", "seed = 0", runs[1])) == [f"loss {runs[0]}", f"loss {runs[1]}"]
    assert list(read_curves("seed = 2")) == [f"auc {runs[2]}"]
    refused = call("plot", "loss", "seed > 100")
    assert (refused.code, refused.err) == (
        3,
        "error: no run that 'seed > 100' finds has the metric 'loss'\nhint: gittrack ls\n",
    )
    assert "params.sed" in call("plot", "loss", "params.sed > 100").err


def test_what_is_not_drawn_is_noted(repo: Path) -> None:
    with gittrack.start_run("x") as run:
        for value in (1.0, 0.0, 2.0):
            run.log({"loss": value})
    answer = call("plot", "loss", "--log", "y")
    assert answer.code == 0
    assert answer.err == "note: 1 point of loss not drawn: a log axis has no place for what is not positive\n"


def test_the_legend_has_the_last_value_also_where_it_cannot_be_drawn(repo: Path) -> None:
    ends = {"up": math.inf, "down": -math.inf, "zero": 0.0, "gone": math.nan, "well": 0.25}
    for name, end in ends.items():
        with gittrack.start_run("x", name=name) as run:
            run.log({"loss": 2.0})
            run.log({"loss": end})
    with gittrack.start_run("x", name="only") as run:
        run.log({"loss": math.inf})
    for words in (["--log", "y"], ["--smooth", "2"]):
        lines = call("plot", "loss", *words).lines
        legend = {line.split()[-3]: line.split()[-1] for line in lines[-6:]}
        assert legend == {
            "up": "inf",
            "down": "-inf",
            "zero": "0.0000",
            "gone": "nan",
            "well": "0.2500",
            "only": "inf",
        }
    grouped = call("plot", "loss", "-r", "only", "--group", "experiment").lines[-1].split()
    assert (grouped[-3], grouped[-1]) == ("experiment=x", "inf")


def test_a_terminal_is_filled_and_colours_are_left_out_where_they_are_not_wanted(runs: list[str]) -> None:
    code, text = spawn_in_terminal("plot", "loss", columns=60)
    assert code == 0
    assert "\x1b[38;5;32m" in text
    plain = re.sub("\x1b\\[[0-9;]*m", "", text).splitlines()
    assert max(map(count_cells, plain)) <= 60
    assert len(plain) <= 24
    code, text = spawn_in_terminal("plot", "loss", columns=60, variables={"NO_COLOR": "1"})
    assert (code, "\x1b" in text, "⠤" in text or "A" in text) == (0, False, True)
    assert "\x1b" not in spawn("plot", "loss").stdout


def test_a_stream_without_unicode_gets_ascii(runs: list[str]) -> None:
    import os

    done = spawn("plot", "loss", runs[0], env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "?" not in done.stdout


def test_json_of_a_plot_is_one_document(runs: list[str]) -> None:
    document = json.loads(call("plot", "loss", "--json").out)
    assert document["gittrack"] == 1
    assert sorted(document["plot"]) == ["curves", "kind", "notes", "smoothing", "title", "unit", "x"]

"""Figures on a page: what plotly is given, that a page loads nothing from elsewhere, that images are really written."""

from __future__ import annotations

import importlib.util
import math
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from snapshots.invocation import call, read

import gittrack
from gittrack.errors import InvalidInput, Unsupported
from gittrack.figure import (
    Look,
    Sample,
    Trace,
    build_figure,
    make_chart,
    make_parallel,
    make_points,
    make_scatter,
    parse_axis,
)
from gittrack.figure.plotly import MOST_POINTS, escape

pytest.importorskip("plotly", reason="plotly is not installed here")
needs_kaleido = pytest.mark.skipif(
    importlib.util.find_spec("kaleido") is None, reason="kaleido, which writes images, is not installed here"
)
NASTY = '<script>alert(1)</script> %{y} <b>&amp; $x$ <a href="http://x">'


def make_trace(number: int, values: list[float], *, group: str = "", name: str = "") -> Trace:
    steps = range(len(values))
    points = make_points(steps, [step * 1_000_000 for step in steps], values)
    return Trace(f"{number:032x}", name or f"run-{number}", 0, {"loss": points, "acc": points}, group)


def build(look: Look, *traces: Trace, metrics: tuple[str, ...] = ("loss",)) -> dict[str, Any]:
    figure: dict[str, Any] = build_figure(make_chart(traces, metrics, look)).to_plotly_json()
    return figure


def test_each_run_has_one_look_and_one_entry_in_the_legend() -> None:
    figure = build(Look(title="two runs"), make_trace(1, [1, 2]), make_trace(2, [3, 4]), metrics=("loss", "acc"))
    assert [trace["name"] for trace in figure["data"]] == ["run-1", "run-2"] * 2
    assert [trace["showlegend"] for trace in figure["data"]] == [True, True, False, False]
    assert [trace["line"]["color"] for trace in figure["data"]] == ["#0072b2", "#d55e00"] * 2
    assert [trace["legendgroup"] for trace in figure["data"]] == ["0", "1"] * 2
    layout = figure["layout"]
    assert (layout["title"]["text"], layout["yaxis"]["title"]["text"]) == ("two runs", "loss")
    assert (layout["xaxis2"]["title"]["text"], layout["showlegend"]) == ("step", True)
    assert "run-1" in figure["data"][0]["hovertemplate"]


def test_gaps_bands_and_values_before_smoothing_are_there() -> None:
    (raw, smoothed) = build(Look(smoothing=2), make_trace(1, [1.0, math.nan, 3.0]))["data"]
    assert list(raw["y"]) == [1.0, None, 3.0]
    assert list(smoothed["y"]) == [1.0, None, 2.0]
    assert [entry[0] for entry in smoothed["customdata"]] == [1.0, None, 3.0]
    grouped = build(Look(grouped=True), make_trace(1, [1.0], group="a"), make_trace(2, [3.0], group="a"))
    low, high, mean = grouped["data"]
    assert (low["y"][0], high["y"][0]) == pytest.approx((2 - math.sqrt(2), 2 + math.sqrt(2)))
    assert (high["fill"], mean["name"], list(mean["y"])) == ("tonexty", "a", [2.0])


def test_axes_are_logarithmic_or_dates_where_they_should_be() -> None:
    layout = build(Look(log=frozenset({"x", "y"})), make_trace(1, [1.0, 2.0]))["layout"]
    assert (layout["xaxis"]["type"], layout["yaxis"]["type"]) == ("log", "log")
    figure = build(Look(axis=parse_axis("wall")), make_trace(1, [1.0, 2.0]))
    assert figure["layout"]["xaxis"]["type"] == "date"
    assert list(figure["data"][0]["x"]) == [0, 1000]


def test_a_long_curve_is_thinned() -> None:
    values = [float(step % 7) for step in range(50_000)]
    values[31_415] = 99.0
    (trace,) = build(Look(), make_trace(1, values))["data"]
    assert len(trace["x"]) <= MOST_POINTS
    assert max(trace["y"]) == 99.0


def test_scatters_and_parallel_axes() -> None:
    samples = [
        Sample(str(number) * 32, f"run-{number}", {"lr": 10.0**-number, "model": "mlp", "auc": number / 2}, "g")
        for number in range(3)
    ]
    scatter = build_figure(make_scatter(samples, "lr", ["auc"], log=frozenset({"x"}))).to_plotly_json()
    assert list(scatter["data"][0]["x"]) == [1, 0.1, 0.01]
    assert scatter["data"][0]["text"][0] == "<b>run-0</b> (00000000)"
    parallel = build_figure(make_parallel(samples, ["lr", "model", "auc"])).to_plotly_json()["data"][0]
    assert [dimension["label"] for dimension in parallel["dimensions"]] == ["lr", "model", "auc"]
    assert list(parallel["dimensions"][1]["ticktext"]) == ["mlp"]
    assert list(parallel["line"]["color"]) == [0, 0.5, 1]


def test_what_a_run_says_is_text() -> None:
    assert escape("<b>&") == "&lt;b&gt;&amp;"
    assert escape("a\x1b\nb\u202e") == "a  b "
    assert len(escape("x" * 999)) == 60
    trace = Trace("1" * 32, NASTY, 0, {NASTY: make_points([1], [1], [1.0])}, NASTY)
    samples = [Sample("1" * 32, NASTY, {NASTY: NASTY, "y": 1}, NASTY)] * 2
    for picture in (
        make_chart([trace], [NASTY], Look(title=NASTY, axis=parse_axis(NASTY))),
        make_chart([trace], [NASTY], Look(title=NASTY, grouped=True)),
        make_scatter(samples, NASTY, ["y"], title=NASTY),
        make_parallel(samples, [NASTY, "y"], title=NASTY),
    ):
        figure = build_figure(picture).to_plotly_json()
        assert "<script" not in str(figure)
        assert "<a " not in str(figure)
        templates = [trace["hovertemplate"] for trace in figure["data"] if "hovertemplate" in trace]
        assert not [template for template in templates if "%{y} " in template]


class Loads(HTMLParser):
    """Gathers what a page would load: every address in an attribute that makes a browser fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def runs(repo: Path) -> list[str]:
    names = []
    for number in range(3):
        with gittrack.start_run("churn", params={"lr": 10.0**-number, "kind": "ab"[number % 2]}) as run:
            for step in range(5):
                run.log({"loss": 1 / (step + 1) + number, "auc": step / 10})
        names.append(run.name)
    return names


def test_a_page_loads_nothing(runs: list[str], tmp_path: Path) -> None:
    page = tmp_path / "plot.html"
    assert read("plot", "loss", "auc", "-o", str(page)).out == ""
    text = page.read_text(encoding="utf-8")
    parser = Loads()
    parser.feed(text)
    assert parser.found == []
    assert "@import" not in text
    assert runs[0] in text
    assert len(text) > 1_000_000  # the script is in it


def test_the_options_reach_the_page(runs: list[str], tmp_path: Path) -> None:
    import json

    def write(*words: str) -> dict[str, Any]:
        file = tmp_path / "plot.json"
        read("plot", *words, "-o", str(file))
        figure: dict[str, Any] = json.loads(file.read_text())
        return figure

    figure = write("loss", "--log", "y", "--title", "My title", "--group", "kind")
    assert figure["layout"]["title"]["text"] == "My title"
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert [trace["name"] for trace in figure["data"] if "name" in trace] == ["kind=a", "kind=b"]
    assert write("auc", "--kind", "parcoords")["data"][0]["type"] == "parcoords"
    assert write("auc", "--x", "params.lr")["data"][0]["mode"] == "markers"


def read_png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@needs_kaleido
@pytest.mark.slow
def test_images_are_written(runs: list[str], tmp_path: Path) -> None:
    for kind, start in (("svg", b"<svg"), ("pdf", b"%PDF")):
        read("plot", "loss", "-o", str(tmp_path / f"plot.{kind}"))
        assert (tmp_path / f"plot.{kind}").read_bytes().startswith(start)
    assert runs[0].encode() in (tmp_path / "plot.svg").read_bytes()
    read("plot", "loss", "auc", "-o", str(tmp_path / "plot.png"))
    assert read_png_size((tmp_path / "plot.png").read_bytes()) == (1000, 740)


@needs_kaleido
@pytest.mark.slow
def test_an_image_of_parallel_axes_shows_them(runs: list[str], tmp_path: Path) -> None:
    read("plot", "loss", "auc", "--kind", "parcoords", "-o", str(tmp_path / "plot.svg"))
    text = (tmp_path / "plot.svg").read_text()
    assert all(f">{title}</text>" in text for title in ("lr", "kind", "loss", "auc"))


@needs_kaleido
@pytest.mark.slow
def test_a_run_keeps_a_plotly_figure(runs: list[str]) -> None:
    with gittrack.start_run("kept") as run:
        run.log_figure(gittrack.plot("loss"), "plots/loss.png")
        run.log_figure(gittrack.plot("loss"), "plots/loss.html")
        with pytest.raises(InvalidInput, match="does not write 'bmp'"):
            run.log_figure(gittrack.plot("loss"), "plots/loss.bmp")
    kept = gittrack.get_run(run.name)
    assert read_png_size(kept.artifact_file("plots/loss.png").read_bytes()) == (700, 420)
    assert sorted(kept.artifacts()) == ["plots/loss.html", "plots/loss.png"]


def test_the_api_plots_what_it_is_given(runs: list[str]) -> None:
    names = [trace.name for trace in gittrack.plot("loss").data]
    assert names == list(reversed(runs))
    assert [trace.name for trace in gittrack.plot("loss", limit=1).data] == runs[2:]
    assert [trace.name for trace in gittrack.plot("loss", runs=gittrack.runs("churn")[1:]).data] == names[1:]
    assert [trace.name for trace in gittrack.plot(runs=gittrack.get_run(runs[0])).data] == runs[:1]
    grouped = gittrack.plot("loss", group="params.kind", smooth=0.5, log="y", x="time", title="t")
    assert [trace.name for trace in grouped.data if trace.name] == ["kind=a", "kind=b"]
    assert grouped.layout.xaxis.title.text == "time since start (s)"
    assert gittrack.plot("auc", x="params.lr").data[0].mode == "markers"
    with pytest.raises(InvalidInput, match="no runs to plot"):
        gittrack.plot("loss", runs=[])
    with pytest.raises(InvalidInput, match="a log axis is x or y"):
        gittrack.plot("loss", log="z")
    with pytest.raises(InvalidInput, match="line, scatter or parcoords"):
        gittrack.plot("loss", kind="pie")
    with pytest.raises(InvalidInput, match="needs a param or metric as its x"):
        gittrack.plot("loss", kind="scatter")


WITHOUT = """
import sys
sys.modules[{package!r}] = None
from gittrack.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("package", "words", "hint"),
    [
        ("plotly", ("-o", "plot.html"), 'pip install "gittrack[plot]"'),
        ("plotext", (), 'pip install "plotext>=5.3,<6"'),
    ],
)
def test_a_missing_library_is_named_with_how_to_get_it(
    runs: list[str], package: str, words: tuple[str, ...], hint: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package), "plot", "loss", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr.endswith(f"hint: {hint}\n")
    assert f"need the {package} package" in done.stderr


def test_an_image_without_its_writer_says_what_to_install(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    monkeypatch.setitem(sys.modules, "kaleido.scopes", None)
    monkeypatch.setitem(sys.modules, "kaleido.scopes.plotly", None)
    figure = gittrack.plot("loss")
    monkeypatch.setattr(type(figure), "to_image", _fail)
    answer = call("plot", "loss", "-o", "plot.png")
    assert (answer.code, answer.err) == (
        5,
        'error: plotly cannot write png: Image export requires Kaleido\nhint: pip install "kaleido==0.2.1"\n',
    )
    assert not Path("plot.png").exists()


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("\nImage export requires Kaleido\n\nand more")


def test_plotext_of_another_major_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    from gittrack.figure import Surface, draw_panel

    strange = types.ModuleType("plotext")
    strange.__version__ = "6.1.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plotext", strange)
    chart = make_chart([make_trace(1, [1.0, 2.0])], ["loss"], Look())
    with pytest.raises(Unsupported, match=r"need plotext 5, and this is plotext 6\.1\.0"):
        draw_panel(chart.panels[0], chart, Surface(80, 20))

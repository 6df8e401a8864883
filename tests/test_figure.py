"""The computing parts of figures: places on an axis, smoothing, thinning, bands, ticks, and the charts made of them."""

from __future__ import annotations

import math
from array import array
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import InvalidInput
from gittrack.figure import (
    Axis,
    Chart,
    Look,
    Points,
    Sample,
    Trace,
    find_varying,
    make_chart,
    make_parallel,
    make_points,
    make_scatter,
    parse_axis,
    read_points,
)
from gittrack.figure.axis import choose_unit, place_points
from gittrack.figure.band import average_curves
from gittrack.figure.palette import COLORS, DASHES, LETTERS, TERMINAL_COLORS, find_color, find_dash
from gittrack.figure.smoothing import average_exponentially, average_running, check_smoothing, smooth
from gittrack.figure.thinning import thin
from gittrack.figure.ticks import choose_log_ticks, choose_moments, choose_ticks, say_number
from gittrack.series import Columns, build_table, select_series

NAN = math.nan
finite = st.floats(-1e6, 1e6)
values = st.lists(st.floats(), max_size=200)


def make(values: list[float], *, steps: list[int] | None = None, times: list[int] | None = None) -> Points:
    steps = list(range(len(values))) if steps is None else steps
    return make_points(steps, [step * 1_000_000 for step in steps] if times is None else times, values)


def same(left: list[float], right: list[float]) -> bool:
    return len(left) == len(right) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(left, right, strict=True)
    )


# Points


def test_a_series_table_is_read_as_arrays() -> None:
    columns = {"a": Columns(array("q", [1, 2]), array("q", [5, 6]), array("d", [0.5, NAN]))}
    columns["b"] = Columns(array("q", [7]), array("q", [8]), array("d", [9.0]))
    table = build_table(columns)
    first, second = (read_points(select_series(table, metric)) for metric in ("a", "b"))
    assert (list(first.steps), list(first.times)) == ([1, 2], [5, 6])
    assert same(list(first.values), [0.5, NAN])
    assert (list(second.steps), list(second.times), list(second.values)) == ([7], [8], [9.0])
    assert len(read_points(select_series(table, "c"))) == 0


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_points_that_come_later_find_their_place(early: list[int], late: list[int]) -> None:
    early.sort()
    late.sort()
    joined = make([0.0] * len(early), steps=early).join(make([1.0] * len(late), steps=late))
    expected = sorted([(step, 0.0) for step in early] + [(step, 1.0) for step in late])
    assert list(zip(joined.steps, joined.values, strict=True)) == expected
    assert len(joined.times) == len(expected)


# Axes


def test_an_axis_is_named_by_a_word() -> None:
    assert [parse_axis(word) for word in ("step", "time", "relative", "wall")] == [
        Axis("step"),
        Axis("time"),
        Axis("time"),
        Axis("wall"),
    ]
    assert parse_axis("epoch") == Axis("metric", "epoch")
    assert parse_axis("metrics.time") == Axis("metric", "time")
    with pytest.raises(InvalidInput):
        parse_axis("metrics.")


def test_points_stand_by_step_by_time_and_by_wall_time() -> None:
    points = make([1.0, 2.0, 3.0], steps=[3, 4, 8], times=[11_000_000, 10_000_000, 15_000_000])
    step = place_points(points, Axis("step"), started=0)
    assert (step.xs, step.ys) == ([3, 4, 8], [1, 2, 3])
    time = place_points(points, Axis("time"), started=9_500_000)
    assert (time.xs, time.ys) == ([0.5, 1.5, 5.5], [2, 1, 3])
    wall = place_points(points, Axis("wall"), started=9_500_000)
    assert (wall.xs, wall.ys) == ([10_000_000, 11_000_000, 15_000_000], [2, 1, 3])


def test_points_stand_by_a_metric_that_only_rises_also_beyond_its_ends() -> None:
    points = make([0.0] * 6, steps=[0, 10, 15, 20, 25, 40])
    epoch = make([1.0, 2.0, 3.0], steps=[10, 20, 30])
    placed = place_points(points, Axis("metric", "epoch"), started=0, along=epoch)
    assert (placed.xs, placed.left_out) == ([0.0, 1.0, 1.5, 2.0, 2.5, 4.0], 0)


def test_points_beside_a_metric_that_falls_are_left_out() -> None:
    points = make([5.0, 6.0, 7.0, 8.0], steps=[0, 10, 12, 30])
    swing = make([1.0, NAN, 0.0], steps=[10, 11, 20])
    placed = place_points(points, Axis("metric", "swing"), started=0, along=swing)
    assert (placed.xs, placed.ys, placed.left_out) == ([1.0, 0.8], [6.0, 7.0], 2)
    assert place_points(points, Axis("metric", "none"), started=0).left_out == 4
    nothing = place_points(points, Axis("metric", "nan"), started=0, along=make([NAN]))
    assert (nothing.xs, nothing.left_out) == ([], 4)


@given(st.lists(st.integers(-50, 50), min_size=1), st.dictionaries(st.integers(-50, 50), finite, min_size=1))
def test_every_point_is_placed_or_counted(steps: list[int], known: dict[int, float]) -> None:
    points = make([1.0] * len(steps), steps=sorted(steps))
    along = make([known[step] for step in sorted(known)], steps=sorted(known))
    placed = place_points(points, Axis("metric", "x"), started=0, along=along)
    assert len(placed.xs) + placed.left_out == len(steps)
    inside = [step for step in steps if min(known) <= step <= max(known)]
    assert len(placed.xs) >= len(inside)
    for step, x in zip((step for step in sorted(steps) if step in known), placed.xs, strict=False):
        if all(step in known for step in steps):
            assert x == known[step]


@pytest.mark.parametrize(("seconds", "unit"), [(0, "s"), (179, "s"), (180, "min"), (7200, "h"), (300_000, "d")])
def test_a_duration_has_a_fitting_unit(seconds: float, unit: str) -> None:
    assert choose_unit(seconds)[1] == unit


# Smoothing


def test_the_moving_average_is_the_one_people_know() -> None:
    assert average_exponentially([1.0, 2.0], weight=0.5) == [1.0, 2.5 / 1.5]
    # By hand: 0.4*1 / 0.4; (0.24*1 + 0.4*2) / 0.64; (0.144*1 + 0.24*2 + 0.4*4) / 0.784
    expected = [1.0, 1.04 / 0.64, 2.224 / 0.784]
    assert average_exponentially([1.0, 2.0, 4.0], weight=0.6) == pytest.approx(expected)


def test_the_running_mean_is_centred() -> None:
    assert average_running([0, 3, 6, 9, 0], points=3) == pytest.approx([1.5, 3, 6, 5, 4.5])
    assert average_running([2.0, 4.0, 6.0], points=2) == pytest.approx([2.0, 3.0, 5.0])
    assert average_running([1.0, 2.0], points=1000) == pytest.approx([1.5, 1.5])
    assert average_running([1e300, 1.0, 2.0, 3.0, 4.0], points=2)[2:] == [1.5, 2.5, 3.5]


@given(st.lists(finite | st.sampled_from([NAN, math.inf, -math.inf])), st.integers(1, 12))
def test_the_running_mean_is_a_mean(values: list[float], points: int) -> None:
    smoothed = average_running(values, points=points)
    known = [Fraction(value) for value in values if math.isfinite(value)]
    means = []
    for index in range(len(known)):
        window = known[max(0, index - points // 2) : index - points // 2 + points]
        means.append(float(sum(window) / len(window)))
    assert [value for value in smoothed if math.isfinite(value)] == pytest.approx(means, rel=1e-9, abs=1e-6)
    rest = [value for value in values if not math.isfinite(value)]
    assert same([value for value in smoothed if not math.isfinite(value)], rest)


@given(st.lists(finite | st.just(NAN), min_size=1), st.floats(0, 0.999))
def test_an_average_stays_between_the_extremes_and_leaves_gaps(values: list[float], weight: float) -> None:
    averages = average_exponentially(values, weight=weight)
    assert [math.isnan(value) for value in averages] == [math.isnan(value) for value in values]
    known = [value for value in values if not math.isnan(value)]
    room = 1e-9 * max(map(abs, known), default=0)
    assert all(min(known) - room <= value <= max(known) + room for value in averages if not math.isnan(value))


def test_what_is_constant_and_what_is_not_smoothed_stay_as_they_are() -> None:
    assert smooth([0.1] * 50, 0.9) == [0.1] * 50
    assert smooth([3.0, 1.0, 2.0], 0) == [3.0, 1.0, 2.0]
    assert smooth([3.0, 1.0, 2.0], 1) == [3.0, 1.0, 2.0]
    assert smooth([], 0.5) == smooth([], 7) == []


@pytest.mark.parametrize("amount", [-0.1, 1.5, NAN, math.inf, -3])
def test_a_smoothing_that_means_nothing_is_refused(amount: float) -> None:
    with pytest.raises(InvalidInput, match="cannot smooth by"):
        check_smoothing(amount)


# Thinning


@given(values, st.integers(8, 60))
def test_thinning_keeps_ends_extremes_and_gaps(values: list[float], limit: int) -> None:
    kept = thin(values, limit=limit)
    assert kept == sorted(set(kept))
    assert len(kept) <= max(limit, 0)
    if not values:
        return
    assert {kept[0], kept[-1]} == {0, len(values) - 1}
    chosen = [values[position] for position in kept]
    numbers = [value for value in values if math.isfinite(value)]
    if numbers:
        assert (min(numbers), max(numbers)) == (
            min(value for value in chosen if math.isfinite(value)),
            max(value for value in chosen if math.isfinite(value)),
        )
    assert any(not math.isfinite(value) for value in values) == any(not math.isfinite(value) for value in chosen)


def test_a_short_curve_is_not_thinned_and_a_spike_is_kept() -> None:
    assert thin([1.0, 2.0, NAN], limit=8) == [0, 1, 2]
    line = [0.0] * 100_000
    line[54_321] = 1.0
    line[77_777] = NAN
    kept = thin(line, limit=100)
    assert {54_321, 77_777} <= set(kept)


# Bands


def test_a_band_is_the_mean_and_the_deviation_of_what_is_there() -> None:
    band = average_curves([([0, 2, 4], [0.0, 2.0, 4.0]), ([1, 3], [3.0, 5.0]), ([], [])])
    assert band.xs == [0, 1, 2, 3, 4]
    assert band.counts == [1, 2, 2, 2, 1]
    assert band.means == pytest.approx([0, 2, 3, 4, 4])
    half = math.sqrt(2)
    assert [upper - mean for upper, mean in zip(band.uppers, band.means, strict=True)] == pytest.approx(
        [0, half, half, half, 0]
    )
    assert band.least == pytest.approx([0, 1, 2, 3, 4])


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), finite), min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_band_agrees_with_the_textbook(curves: list[list[tuple[int, float]]]) -> None:
    band = average_curves([([float(x) for x, _ in curve], [y for _, y in curve]) for curve in curves])
    tables = [dict(sorted(curve, key=lambda point: point[0])) for curve in curves]
    for index, x in enumerate(band.xs):
        ys = []
        for table in tables:
            before, after = [k for k in table if k <= x], [k for k in table if k >= x]
            if before and after:
                low, high = max(before), min(after)
                share = Fraction(0) if low == high else Fraction(x - low) / (high - low)
                ys.append(Fraction(table[low]) * (1 - share) + Fraction(table[high]) * share)
        mean = sum(ys) / len(ys)
        assert band.counts[index] == len(ys)
        assert band.means[index] == pytest.approx(float(mean), abs=1e-6)
        variance = sum((y - mean) ** 2 for y in ys) / max(1, len(ys) - 1)
        assert band.uppers[index] - band.means[index] == pytest.approx(math.sqrt(variance), abs=1e-5)
    assert sorted({x for table in tables for x in table}) == band.xs


def test_a_band_of_long_curves_has_both_ends_and_a_limit() -> None:
    xs = [float(x) for x in range(5000)]
    band = average_curves([(xs, xs), (xs, [x + 2 for x in xs])], limit=100)
    assert len(band.xs) == 100
    assert (band.xs[0], band.xs[-1]) == (0, 4999)
    assert band.means == pytest.approx([x + 1 for x in band.xs])


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 1e200, 8e307])
def test_a_band_of_extreme_values_is_still_a_band(scale: float) -> None:
    band = average_curves([([0], [scale]), ([0], [-scale]), ([0], [scale])])
    assert math.isfinite(band.means[0])
    assert band.uppers[0] > band.means[0] or scale == 5e-324


# Ticks


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_ticks_lie_on_the_axis_and_can_be_told_apart(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    ticks = choose_ticks(low, high, at_most=5)
    room = (high / 2 - low / 2) * 1e-6
    assert all(low - room <= position <= high + room for position in ticks.positions)
    assert list(ticks.positions) == sorted(ticks.positions)
    assert 1 <= len(ticks.positions) <= 6
    assert len(ticks.positions) == len(ticks.texts)
    if high - low > 1e-4 * max(abs(low), abs(high)) and high - low < math.inf:
        assert len(set(ticks.texts)) == len(ticks.texts) >= 2


def test_ticks_are_round() -> None:
    assert choose_ticks(0, 1, at_most=3).texts == ("0.0", "0.5", "1.0")
    assert choose_ticks(0.013, 0.99, at_most=3).texts == ("0.2", "0.4", "0.6", "0.8")
    assert choose_ticks(0, 99_999, at_most=6).texts == ("0", "20k", "40k", "60k", "80k")
    assert choose_ticks(-1e-5, 1e-5, at_most=3).texts == ("-1e-05", "0", "1e-05")
    assert choose_ticks(3, 3, at_most=3).texts == ("3",)
    assert choose_log_ticks(-3.5, 0.2, at_most=5).texts == ("0.001", "0.01", "0.1", "1")
    assert choose_log_ticks(-30, 30, at_most=4).texts == ("1e-30", "1e-10", "1e10", "1e30")
    assert choose_log_ticks(0.31, 0.9, at_most=4).texts == ("4", "6")
    assert [say_number(value) for value in (0.25, 1234, 12_000, 3e6, 2.5e9, 1e20)] == [
        "0.25",
        "1234",
        "12k",
        "3M",
        "2.5G",
        "1e+20",
    ]


def test_moments_are_round_and_say_the_date_once() -> None:
    start = 1_769_850_000_000_000  # 2026-01-31 09:00:00
    minutes = choose_moments(start, start + 600_000_000, at_most=4)
    assert minutes.texts == ("01-31 09:00", "09:05", "09:10")
    over_midnight = choose_moments(start + 14 * 3_600_000_000, start + 16 * 3_600_000_000, at_most=4)
    assert over_midnight.texts == ("01-31 23:00", "02-01 00:00", "01:00")
    days = choose_moments(start, start + 30 * 86_400_000_000, at_most=4)
    assert days.texts == ("02-06", "02-16", "02-26")
    assert choose_moments(start, start, at_most=4).positions == (start,)
    assert len(choose_moments(0, 9e18, at_most=4).positions) >= 2  # years that no date can say


# Looks


def test_looks_are_told_apart_for_long() -> None:
    assert len({(find_color(number), find_dash(number)) for number in range(28)}) == 28
    assert len(COLORS) == len(TERMINAL_COLORS) == 7
    assert len(DASHES) == 4
    assert len(set(LETTERS)) == len(LETTERS)


# Charts


def trace(number: int, series: dict[str, Points], *, group: str = "", started: int = 0) -> Trace:
    return Trace(f"{number:032x}", f"run-{number}", started, series, group)


def test_a_chart_has_a_panel_a_metric_and_a_line_a_run() -> None:
    traces = [trace(1, {"a": make([1.0, 2.0]), "b": make([3.0])}), trace(2, {"b": make([4.0, 5.0])})]
    chart = make_chart(traces, ["b", "a"], Look(title="t"))
    assert [(panel.metric, [line.name for line in panel.lines]) for panel in chart.panels] == [
        ("b", ["run-1", "run-2"]),
        ("a", ["run-1"]),
    ]
    assert [line.number for panel in chart.panels for line in panel.lines] == [0, 1, 0]
    assert (chart.x_title, chart.notes, chart.title) == ("step", (), "t")


def test_what_a_chart_lacks_is_refused() -> None:
    traces = [trace(1, {"a": make([1.0])})]
    with pytest.raises(InvalidInput, match="has a metric 'b'"):
        make_chart(traces, ["b"], Look())
    with pytest.raises(InvalidInput, match="metric 'epoch' that is to be the x axis"):
        make_chart(traces, ["a"], Look(axis=parse_axis("epoch")))


def test_a_chart_by_time_says_its_unit() -> None:
    traces = [trace(1, {"a": make([1.0, 2.0], steps=[0, 7200])})]
    chart = make_chart(traces, ["a"], Look(axis=parse_axis("time")))
    assert chart.x_title == "time since start (h)"
    assert list(chart.panels[0].lines[0].xs) == [0, 2]


def test_what_cannot_be_drawn_is_told() -> None:
    traces = [trace(1, {"a": make([0.0, -1.0, NAN, math.inf, 5.0])})]
    chart = make_chart(traces, ["a"], Look(log=frozenset({"y"})))
    assert same(list(chart.panels[0].lines[0].ys), [NAN, NAN, NAN, NAN, 5.0])
    assert chart.notes == (
        "1 point of a not drawn: they are infinite",
        "2 points of a not drawn: a log axis has no place for what is not positive",
    )
    by_x = make_chart(traces, ["a"], Look(log=frozenset({"x"})))
    assert list(by_x.panels[0].lines[0].xs) == [1, 2, 3, 4]
    assert by_x.notes[-1] == "1 point of a not drawn: a log axis has no place for an x that is not positive"


def test_a_smoothed_line_keeps_its_values_behind_it() -> None:
    chart = make_chart([trace(1, {"a": make([1.0, 2.0, 4.0])})], ["a"], Look(smoothing=3))
    (line,) = chart.panels[0].lines
    assert list(line.ys) == pytest.approx([1.5, 7 / 3, 3.0])
    assert list(line.raw) == [1.0, 2.0, 4.0]
    (thinned,) = chart.thin(8).panels[0].lines
    assert (thinned.ys, thinned.raw) == (line.ys, line.raw)


def test_groups_are_averaged_with_a_band() -> None:
    series = [[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]
    traces = [
        trace(number, {"a": make(values)}, group=group)
        for number, (values, group) in enumerate(zip(series, ["x", "x", ""], strict=True))
    ]
    chart = make_chart(traces, ["a"], Look(grouped=True))
    first, second = chart.panels[0].lines
    assert (first.name, list(first.ys), list(first.counts), len(first.run_ids)) == ("x", [2.0, 3.0], [2, 2], 2)
    assert list(first.uppers) == pytest.approx([2 + math.sqrt(2), 3 + math.sqrt(2)])
    assert (second.name, list(second.ys), list(second.lowers)) == ("(none)", [9.0, 9.0], [9.0, 9.0])


def test_a_band_on_a_log_axis_stays_above_nothing() -> None:
    traces = [trace(number, {"a": make([value])}, group="g") for number, value in enumerate([0.001, 1.0, 0.01])]
    (line,) = make_chart(traces, ["a"], Look(grouped=True, log=frozenset({"y"}))).panels[0].lines
    assert list(line.lowers) == [0.001]


@given(st.lists(values, min_size=1, max_size=3), st.sampled_from([0.0, 0.5, 3.0]), st.sets(st.sampled_from("xy")))
def test_any_values_make_a_chart(columns: list[list[float]], smoothing: float, log: set[str]) -> None:
    traces = [trace(number, {"a": make(values)}, group=str(number % 2)) for number, values in enumerate(columns)]
    for grouped in (False, True):
        look = Look(smoothing=smoothing, log=frozenset(log), grouped=grouped)  # type: ignore[arg-type]
        chart = make_chart(traces, ["a"], look).thin(20)
        assert isinstance(chart, Chart)
        for line in chart.panels[0].lines:
            assert len(line.xs) == len(line.ys) <= 500
            assert "y" not in log or all(y > 0 for y in line.ys if not math.isnan(y))


# Samples


def sample(number: int, group: str = "", **values: object) -> Sample:
    return Sample(f"{number:032x}", f"run-{number}", values, group)  # type: ignore[arg-type]


def test_a_scatter_has_a_dot_a_run_by_group() -> None:
    samples = [sample(1, "a", x=1, y=0.5), sample(2, "b", x=2, y=0.25), sample(3, "a", x=3, y=NAN), sample(4, x=4)]
    scatter = make_scatter(samples, "x", ["y"])
    (panel,) = scatter.panels
    assert [(dots.name, dots.xs, dots.ys) for dots in panel.dots] == [("a", (1.0,), (0.5,)), ("b", (2.0,), (0.25,))]
    assert scatter.notes == ("2 runs not drawn: without x or y",)
    with pytest.raises(InvalidInput, match="has 'z'"):
        make_scatter(samples, "z", ["y"])


def test_texts_are_categories_and_logarithms_leave_out_what_is_not_positive() -> None:
    samples = [sample(1, x="svm", y=1.0), sample(2, x="gbm", y=0.0), sample(3, x=True, y=2.0), sample(4, x=3, y=4)]
    (panel,) = make_scatter(samples, "x", ["y"], log=frozenset({"y"})).panels
    assert panel.x.texts == ("3", "gbm", "svm", "true")
    assert panel.dots[0].xs == (2.0, 3.0, 0.0)
    assert make_scatter(samples, "x", ["y"], log=frozenset({"y"})).notes == (
        "1 run not drawn: a log axis has no place for what is not positive",
    )


def test_parallel_axes_spread_what_lies_powers_of_ten_apart() -> None:
    samples = [sample(number, lr=10.0**-number, depth=number, auc=number / 10) for number in range(1, 5)]
    parallel = make_parallel([*samples, sample(9, lr=1.0)], ["lr", "depth", "auc"])
    lr, depth, auc = parallel.dimensions
    assert lr.values == pytest.approx((-1, -2, -3, -4))
    assert lr.texts == ("1e-4", "1e-3", "1e-2", "1e-1")
    assert (depth.values, depth.texts) == ((1, 2, 3, 4), ())
    assert auc.values == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert parallel.names == ("run-1", "run-2", "run-3", "run-4")
    assert parallel.notes == ("1 run not drawn: without lr or depth or auc",)


def test_numbers_beyond_a_float_and_many_categories_are_still_drawn() -> None:
    samples = [sample(number, big=-(10**400), kind=f"k{number:03}", y=number) for number in range(100)]
    parallel = make_parallel(samples, ["big", "kind", "y"])
    assert parallel.dimensions[0].values[0] < -1e308
    assert len(parallel.dimensions[1].texts) <= 40
    assert len(set(parallel.dimensions[1].values)) == 100


def test_params_that_vary_are_found() -> None:
    samples = [
        sample(1, **{"params.lr": 0.1, "params.seed": 1, "params.same": "x", "metrics.a": 1.0}),
        sample(2, **{"params.lr": 0.2, "params.seed": 1, "params.same": "x", "metrics.a": 2.0}),
    ]
    assert find_varying(samples, "params.") == ["params.lr"]

"""Turns recorded runs into pictures: which curves, samples and groups a plot of some metrics has.

The command line, `gittrack.plot` and the page all come through here. Knows nothing of what draws a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .compare import ABSENT, Value, rank_metrics
from .errors import InvalidInput, NotFound
from .figure import (
    Axis,
    Chart,
    Look,
    Parallel,
    Sample,
    Scatter,
    Side,
    Trace,
    check_smoothing,
    find_varying,
    make_chart,
    make_parallel,
    make_scatter,
    parse_axis,
    read_points,
)
from .group import group_runs
from .importance import rank_params
from .model import Scalar
from .query import Key, Query, filter_frame, sort_rows
from .query.tree import Missing, Not, Or

if TYPE_CHECKING:
    from .frame import Frame
    from .stored_run import StoredRun
    from .tracker import Tracker

Kind = Literal["line", "scatter", "parcoords"]
Picture = Chart | Scatter | Parallel

_FEW, _MANY = 10, 1000
_RECENT = 20
_MOST_PARAMS = 7
_PARAMS = "params."
_METRICS = "metrics."
_TAGS = "tags."
_ATTRIBUTES = ("experiment", "status", "name", "id", "user", "host", "parent", "branch")
_NO_VALUE = "-"


@dataclass(frozen=True)
class Plan:
    """What a plot is to show.

    `x` is an axis for curves, a key such as `params.lr` for a scatter, and keys with commas between for parallel
    coordinates (an axis there stands for the params that go with the metric the most). `group` are keys: curves are
    averaged over runs that have the same values, dots are coloured by them.
    """

    kind: Kind = "line"
    x: Axis | str = field(default_factory=Axis)
    smoothing: float = 0.0
    log: frozenset[Side] = frozenset()
    group: tuple[str, ...] = ()
    title: str = ""

    @property
    def limit(self) -> int:
        """How many runs are plotted unless otherwise said: many where each is only part of a group or cloud."""
        return _MANY if self.group or self.kind != "line" else _FEW


def make_plan(
    *,
    kind: str | None = None,
    x: str | None = None,
    smoothing: float = 0.0,
    log: Iterable[str] = (),
    group: Iterable[str] = (),
    title: str | None = None,
) -> Plan:
    """Return a plan of what people say; a scatter is meant where x is a param or tag. Raises InvalidInput."""
    if kind is None:
        kind = "scatter" if x is not None and x.startswith((_PARAMS, _TAGS)) else "line"
    if kind not in ("line", "scatter", "parcoords"):
        raise InvalidInput(f"a plot is line, scatter or parcoords, not {kind!r:.40}")
    if kind != "line" and smoothing:
        raise InvalidInput("only curves can be smoothed")
    if kind == "scatter" and x is None:
        raise InvalidInput("a scatter needs a param or metric as its x", hint="gittrack plot METRIC --x params.lr")
    if kind == "line" and x is not None and x.startswith((_PARAMS, _TAGS)):
        raise InvalidInput(
            f"a line needs step, time, wall or a metric as its x, not {x!r:.100}",
            hint=f"gittrack plot METRIC --kind scatter --x {x}",
        )
    sides = frozenset(log)
    if not sides <= {"x", "y"}:
        raise InvalidInput(f"a log axis is x or y, not {', '.join(sorted(sides - {'x', 'y'})):.40}")
    axis: Axis | str = x if kind != "line" and x is not None else parse_axis(x or "step")
    return Plan(kind, axis, check_smoothing(smoothing), sides, tuple(group), title or "")  # type: ignore[arg-type]


def choose_runs(tracker: Tracker, metrics: Sequence[str], *, experiment: str | None, limit: int) -> list[StoredRun]:
    """Return the newest runs that have one of the metrics, or else any metric, newest first.

    Raises NotFound where there is no such run.
    """
    frame = tracker.load_frame(experiment)
    return read_newest(tracker, frame, metrics, limit=limit)


def read_newest(
    tracker: Tracker, frame: Frame, metrics: Sequence[str], *, limit: int, which: str = "run"
) -> list[StoredRun]:
    """Return the newest of a frame's runs that have one of the metrics, or else the most telling one.

    Raises NotFound, saying `which` runs were looked at, where there is none.
    """
    if not metrics:
        recent = list(tracker.load_runs(choose_newest(frame, (), limit=_RECENT)))
        metrics = choose_metrics(recent, most=1) if recent else ()
    chosen = choose_newest(frame, metrics, limit=limit)
    if not chosen.count:
        wanted = f"the metric {metrics[0]!r:.100}" if metrics else "a metric"
        raise NotFound(f"no {which} has {wanted}", hint="gittrack ls")
    return list(tracker.load_runs(chosen))


def choose_newest(frame: Frame, metrics: Sequence[str], *, limit: int) -> Frame:
    """Return the runs of a frame that have one of the metrics (any run where none is named), newest first."""
    having = tuple(Not(Missing(Key("metrics", metric, exact=True))) for metric in metrics)
    mask = filter_frame(Query(Or(having) if having else None), frame, now=0)
    return frame.take(sort_rows(frame, (), mask, limit=limit))


def choose_metrics(runs: Sequence[StoredRun], *, most: int) -> list[str]:
    """Return the most telling metrics of some runs; raises NotFound where they have none."""
    ranked = rank_metrics([run.summary for run in runs])
    if not ranked:
        raise NotFound("these runs have no metrics to plot", hint="gittrack ls")
    return ranked[:most]


def make_picture(runs: Sequence[StoredRun], metrics: Sequence[str], plan: Plan) -> Picture:
    """Return what a plot of metrics shows; the points are read now.

    Raises InvalidInput where none of the runs has a metric or key, or the plan contradicts itself.
    """
    if not runs:
        raise InvalidInput("there are no runs to plot")
    title = plan.title or say_title(runs, metrics)
    if plan.kind == "line":
        if isinstance(plan.x, str):
            raise InvalidInput(f"the x axis of curves is step, time, wall or a metric, not {plan.x!r:.100}")
        _check_axis(plan.x, runs, metrics)
        look = Look(plan.x, plan.smoothing, plan.log, bool(plan.group), title)
        return make_chart(list(gather_traces(runs, metrics, plan)), metrics, look)
    samples = _gather_samples(runs, plan.group)
    keys = [_METRICS + metric for metric in metrics]
    if plan.kind == "scatter":
        if not isinstance(plan.x, str):
            raise InvalidInput("a scatter needs a param or metric as its x")
        x = _find_key(plan.x, samples)
        return make_scatter(samples, x, keys, log=plan.log, title=title)
    named = plan.x.split(",") if isinstance(plan.x, str) else []
    params = [_find_key(key, samples) for key in named] or _choose_params(samples, keys[0])
    if not params:
        raise InvalidInput("parallel coordinates need a param in which these runs differ")
    return make_parallel(samples, [*params, *keys[1:], keys[0]], title=title)


def _check_axis(axis: Axis, runs: Sequence[StoredRun], metrics: Sequence[str]) -> None:
    """Raise InvalidInput where what is to be the x axis of curves is no metric, but a param or tag of these runs."""
    name = axis.metric
    if axis.kind != "metric" or any(name in run.summary for run in runs):
        return
    for prefix, what in ((_PARAMS, "param"), (_TAGS, "tag")):
        if any(name in (run.params if prefix == _PARAMS else run.tags) for run in runs):
            raise InvalidInput(
                f"{name!r:.100} is a {what}, and a line needs step, time, wall or a metric as its x",
                hint=f"gittrack plot {metrics[0]} --x {prefix}{name}",
            )


def gather_traces(runs: Sequence[StoredRun], metrics: Sequence[str], plan: Plan) -> Iterable[Trace]:
    """Yield each run with the points of the metrics it has, those on the x axis included."""
    groups = say_groups(runs, plan.group) if plan.group else [""] * len(runs)
    wanted = list(metrics)
    if isinstance(plan.x, Axis) and plan.x.kind == "metric":
        wanted.append(plan.x.metric)
    for run, group in zip(runs, groups, strict=True):
        series = {metric: read_points(run.series(metric)) for metric in dict.fromkeys(wanted) if metric in run.summary}
        yield Trace(run.id, run.name, run.started, series, group)


def say_groups(runs: Sequence[StoredRun], keys: Sequence[str]) -> list[str]:
    """Return the name of each run's group, such as `lr=0.1, model=gbm`; equal values give one group.

    Raises InvalidInput for a key that none of the runs has.
    """
    columns: list[list[Value]] = []
    for key in keys:
        column = [find_value(run, key) for run in runs]
        if all(value is ABSENT for value in column):
            raise InvalidInput(f"none of these runs has {key!r:.100} to group by")
        columns.append(column)
    names = [""] * len(runs)
    for group in group_runs(columns, {}):
        named = zip(keys, group.values, strict=True)
        text = ", ".join(f"{key.removeprefix(_PARAMS)}={_say(value)}" for key, value in named)
        for position in group.members:
            names[position] = text
    return names


def find_value(run: StoredRun, key: str) -> Value:
    """Return what a run has under `params.NAME`, `tags.NAME`, `metrics.NAME` (the last value), or a bare name.

    A bare name is a param, else a tag, else an attribute. ABSENT where the run has no such thing.
    """
    if key.startswith(_PARAMS):
        return run.params.get(key.removeprefix(_PARAMS), ABSENT)
    if key.startswith(_TAGS):
        return run.tags.get(key.removeprefix(_TAGS), ABSENT)
    if key.startswith(_METRICS):
        return run.metrics.get(key.removeprefix(_METRICS), ABSENT)
    if key in run.params:
        return run.params[key]
    if key in run.tags:
        return run.tags[key]
    if key in _ATTRIBUTES:
        value = run.source.branch if key == "branch" else getattr(run.snapshot.run, key)
        return ABSENT if value is None else str(value)
    return ABSENT


def say_title(runs: Sequence[StoredRun], metrics: Sequence[str]) -> str:
    """Return the title of a plot: its metrics, and whose they are."""
    experiments = dict.fromkeys(run.experiment for run in runs)
    whose = runs[0].name or runs[0].id[:8] if len(runs) == 1 else f"{len(runs)} runs"
    return f"{', '.join(metrics)} of {whose}" + (f" in {next(iter(experiments))}" if len(experiments) == 1 else "")


def _gather_samples(runs: Sequence[StoredRun], group: Sequence[str]) -> list[Sample]:
    groups = say_groups(runs, group) if group else [""] * len(runs)
    samples = []
    for run, name in zip(runs, groups, strict=True):
        values: dict[str, Scalar] = {_PARAMS + key: value for key, value in run.params.items()}
        values.update((_TAGS + key, value) for key, value in run.tags.items())
        values.update((_METRICS + metric, value) for metric, value in run.metrics.items())
        samples.append(Sample(run.id, run.name or run.id[:8], values, name))
    return samples


def _choose_params(samples: Sequence[Sample], metric: str) -> list[str]:
    """Return the params that most runs have and that go with a metric the most, the most telling one last."""
    varying = find_varying(samples, _PARAMS)
    common = [key for key in varying if 2 * sum(key in sample.values for sample in samples) > len(samples)] or varying
    columns = {key: [sample.values.get(key, ABSENT) for sample in samples] for key in common}
    outcomes = [sample.values.get(metric) for sample in samples]
    ranked = rank_params(columns, [value if isinstance(value, float) else None for value in outcomes])
    chosen = [importance.param for importance in ranked] or common
    return chosen[:_MOST_PARAMS][::-1]


def _find_key(key: str, samples: Sequence[Sample]) -> str:
    """Return the whole of a key that may stand without what it is: a param, a metric or a tag."""
    candidates = [key, _PARAMS + key, _METRICS + key, _TAGS + key]
    known = {name for sample in samples for name in sample.values}
    return next((candidate for candidate in candidates if candidate in known), key)


def _say(value: Value) -> str:
    if value is ABSENT:
        return _NO_VALUE
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)

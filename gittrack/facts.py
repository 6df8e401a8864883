"""Owns what is known of a run without its tree: what a list of runs shows, read off a frame many rows at a time.

Pure. Knows nothing of where frames and snapshots come from.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .frame.arrays import make_plain
from .frame.schema import BOOL, FLOAT, INT, METRIC_FLOATS, METRIC_INTEGERS, METRICS, NULL, PARAMS, TAGS
from .model import MetricSummary, Run, Scalar, Status

if TYPE_CHECKING:
    from .frame import Frame

# What stands in a frame for a lone surrogate, which it cannot hold: such a text is not to be believed.
_ESCAPED = "\\ud"
_WIDEST = (-(2**63), 2**63 - 1)

_ATTRIBUTES = (
    *("id", "name", "experiment", "revision", "status", "started", "ended", "removed"),
    *("parent", "user", "host", "note"),
)


@dataclass(frozen=True)
class RunFacts:
    """A run as a row of a frame has it; all times are UTC microseconds, an empty text means nothing was said."""

    id: str
    name: str
    experiment: str
    revision: int
    status: Status
    started: int
    ended: int | None
    removed: int | None
    parent: str | None
    user: str
    host: str
    note: str
    tags: Mapping[str, str]
    params: Mapping[str, Scalar]
    summary: Mapping[str, MetricSummary]


def make_facts(run: Run, params: Mapping[str, Scalar], summary: Mapping[str, MetricSummary]) -> RunFacts:
    """Return the facts of a run whose snapshot is at hand."""
    return RunFacts(
        run.id,
        run.name,
        run.experiment,
        run.revision,
        run.status,
        run.started,
        run.ended,
        run.removed,
        run.parent,
        run.user,
        run.host,
        run.note,
        run.tags,
        params,
        summary,
    )


def read_facts(frame: Frame, start: int, stop: int) -> list[RunFacts | None]:
    """Return the facts of a frame's rows from start up to stop; None where a row may not say exactly what was recorded.

    That is so for texts with lone surrogates and for numbers as large as a column can hold.
    """
    import pyarrow as pa

    part = frame.take(make_plain(array("q", range(start, stop)), pa.int64()))
    tags: list[dict[str, str]] = [{} for _ in range(part.height)]
    for key in part.list_keys(TAGS):
        for row, text in enumerate(_read(part, TAGS, key, "text")):
            if text is not None:
                tags[row][key] = text
    params, summaries = _read_params(part), _read_summaries(part)
    columns = [_read_attribute(part, name) for name in _ATTRIBUTES]
    facts: list[RunFacts | None] = []
    for row, values in enumerate(zip(*columns, strict=True)):
        said = dict(zip(_ATTRIBUTES, values, strict=True))
        said["status"] = Status(said["status"])
        said.update((name, said[name] or "") for name in ("user", "host", "note"))
        found = RunFacts(**said, tags=tags[row], params=params[row], summary=summaries[row])
        facts.append(found if _is_exact(found) else None)
    return facts


def _read_attribute(part: Frame, name: str) -> list[Any]:
    import pyarrow as pa

    column = part.get_attribute(name)
    values: list[Any] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return values


def _read(part: Frame, table: str, key: str, field: str) -> list[Any]:
    column = part.get_column(table, key, field)
    return [None] * part.height if column is None else column.to_pylist()


def _read_params(part: Frame) -> list[dict[str, Scalar]]:
    params: list[dict[str, Scalar]] = [{} for _ in range(part.height)]
    for key in part.list_keys(PARAMS):
        columns = (_read(part, PARAMS, key, field) for field in ("kind", "number", "text"))
        for row, (kind, number, text) in enumerate(zip(*columns, strict=True)):
            if kind is not None:
                params[row][key] = _read_scalar(kind, number, text)
    return params


def _read_scalar(kind: int, number: float | None, text: str | None) -> Scalar:
    if kind == INT:
        return int(number or 0) if text is None else int(text, 0)
    if kind == FLOAT:
        return number
    if kind == BOOL:
        return bool(number)
    return None if kind == NULL else text


def _read_summaries(part: Frame) -> list[dict[str, MetricSummary]]:
    summaries: list[dict[str, MetricSummary]] = [{} for _ in range(part.height)]
    fields = (*METRIC_FLOATS, *METRIC_INTEGERS)
    for key in part.list_keys(METRICS):
        columns = [_read(part, METRICS, key, field) for field in fields]
        for row, values in enumerate(zip(*columns, strict=True)):
            if values[0] is not None:
                summaries[row][key] = MetricSummary(**dict(zip(fields, values, strict=True)))
    return summaries


def _is_exact(facts: RunFacts) -> bool:
    texts = [facts.name, facts.experiment, facts.user, facts.host, facts.note]
    texts += [*facts.tags, *facts.tags.values(), *facts.params, *facts.summary]
    texts += [value for value in facts.params.values() if type(value) is str]
    if any(_ESCAPED in text for text in texts):
        return False
    if facts.revision == 2**31 - 1:
        return False
    return not any(getattr(value, name) in _WIDEST for value in facts.summary.values() for name in METRIC_INTEGERS)

"""Encodes a run as path→bytes and back: the JSON files, artifact pointers and attributes of format 1.

Metric parts and `source/` are carried by object id, so they never pass through here. Knows nothing of git, files or
clocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, get_args

from . import layout, pointer
from .canonical import (
    decode_object,
    encode_json,
    encode_rows,
    find_nonfinite,
    format_time,
    parse_time,
    read_float,
    spell_float,
)
from .errors import Corrupt, Unsupported
from .model import (
    FORMAT_VERSION,
    Captured,
    Experiment,
    Fact,
    Failure,
    Input,
    LeftOut,
    LeftOutReason,
    MetricSummary,
    Run,
    Scalar,
    Snapshot,
    SourceLink,
    Status,
)

_INPUT_KEYS = ("name", "path", "kind", "digest", "size", "context")
_UNKNOWN_SIZE = -1
ATTRIBUTES = b"artifacts/** filter=lfs diff=lfs merge=lfs -text\nmetrics/*.parquet binary\n"

T = TypeVar("T")


def encode_snapshot(snapshot: Snapshot) -> dict[str, bytes]:
    """Return every file of a run's tree but `metrics/` and `source/`, as tree path → bytes.

    Equal snapshots give equal bytes. Raises InvalidInput for an artifact path or time that format 1 cannot hold.
    """
    files = {
        layout.RUN_FILE: encode_run(snapshot.run),
        layout.PARAMS_FILE: encode_params(snapshot.params),
        layout.SUMMARY_FILE: encode_summary(snapshot.summary),
        layout.ENVIRONMENT_FILE: _indent_environment(json.dumps(snapshot.environment, sort_keys=True)),
        layout.ATTRIBUTES_FILE: ATTRIBUTES,
    }
    for path, content in snapshot.artifacts.items():
        files[layout.artifact_tree_path(path)] = pointer.encode_pointer(content)
    return files


@lru_cache(maxsize=4)
def _indent_environment(text: str) -> bytes:
    """Return JSON text as canonical JSON; the runs of one process share theirs, and indenting it takes milliseconds."""
    return encode_json(json.loads(text))


def decode_snapshot(
    files: Mapping[str, bytes], *, artifacts: Mapping[str, bytes], parts: tuple[str, ...], where: str
) -> Snapshot:
    """Return the snapshot that a run's tree holds.

    `files` are the top-level files; `artifacts` maps artifact paths to pointer texts; `parts` names the metric parts.
    Raises Corrupt (or Unsupported, for a newer format) naming `where`.
    """
    try:
        run = decode_run(files[layout.RUN_FILE], where=f"{where}:{layout.RUN_FILE}")
        params = files.get(layout.PARAMS_FILE, b"{}")
        summary = files.get(layout.SUMMARY_FILE, b"{}")
        environment = files.get(layout.ENVIRONMENT_FILE, b"{}")
    except KeyError as error:
        raise Corrupt(f"{where}: not a run, {error} is missing") from None
    return Snapshot(
        run=run,
        params=decode_params(params, where=f"{where}:{layout.PARAMS_FILE}"),
        summary=decode_summary(summary, where=f"{where}:{layout.SUMMARY_FILE}"),
        artifacts={path: pointer.decode_pointer(text) for path, text in artifacts.items()},
        environment=decode_object(environment, where=f"{where}:{layout.ENVIRONMENT_FILE}"),
        parts=parts,
    )


def encode_params(params: Mapping[str, Scalar]) -> bytes:
    """Return params.json: one key a line, sorted, typed.

    A non-finite float is spelled as a string; a *string* that reads like one is wrapped as {"string": …} to stay one.
    """
    return encode_json({key: _spell_scalar(value) for key, value in params.items()})


def _spell_scalar(value: Scalar) -> object:
    if isinstance(value, float):
        return spell_float(value)
    return value if find_nonfinite(value) is None else {"string": value}


def decode_params(data: bytes, *, where: str) -> dict[str, Scalar]:
    """Return the params that encode_params wrote; raises Corrupt, naming `where`, for anything else."""
    params: dict[str, Scalar] = {}
    for key, value in decode_object(data, where=where).items():
        if isinstance(value, dict) and set(value) == {"string"} and isinstance(value["string"], str):
            params[key] = value["string"]
        elif value is None or isinstance(value, (str, int, float, bool)):
            spelled = find_nonfinite(value)
            params[key] = value if spelled is None else spelled
        else:
            raise Corrupt(f"{where}: {key!r:.60} is not a scalar")
    return params


def encode_summary(summary: Mapping[str, MetricSummary]) -> bytes:
    """Return summary.json: one metric a line, sorted."""
    return encode_rows({metric: summary_record(value) for metric, value in summary.items()})


def summary_record(summary: MetricSummary) -> dict[str, object]:
    """Return the JSON-ready object that a line of summary.json holds."""
    return {
        "count": summary.count,
        "first": spell_float(summary.first),
        "first_step": summary.first_step,
        "last": spell_float(summary.last),
        "last_step": summary.last_step,
        "max": spell_float(summary.max),
        "max_step": summary.max_step,
        "mean": spell_float(summary.mean),
        "min": spell_float(summary.min),
        "min_step": summary.min_step,
    }


def decode_summary(data: bytes, *, where: str) -> dict[str, MetricSummary]:
    """Return the summaries that encode_summary wrote; raises Corrupt, naming `where`, for anything else."""
    summaries = {}
    for metric, row in decode_object(data, where=where).items():
        place = f"{where}: {metric!r:.60}"
        fields = _Fields(row, where=place)
        summaries[metric] = MetricSummary(
            count=fields.get("count", int),
            first=fields.number("first"),
            first_step=fields.get("first_step", int),
            last=fields.number("last"),
            last_step=fields.get("last_step", int),
            min=fields.number("min"),
            min_step=fields.get("min_step", int),
            max=fields.number("max"),
            max_step=fields.get("max_step", int),
            mean=fields.number("mean"),
        )
    return summaries


def encode_run(run: Run) -> bytes:
    """Return run.json. A field at its default is left out, so that a diff shows only what was said."""
    return encode_json(run_record(run))


def run_record(run: Run) -> dict[str, object]:
    """Return the JSON-ready object that run.json holds."""
    record: dict[str, object] = {
        "format": FORMAT_VERSION,
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "revision": run.revision,
        "status": run.status.value,
        "started": format_time(run.started),
        "source": _source_record(run.source),
    }
    optional: dict[str, object] = {
        "ended": None if run.ended is None else format_time(run.ended),
        "parent": run.parent,
        "reproduces": run.reproduces,
        "user": run.user,
        "host": run.host,
        "command": list(run.command),
        "tags": dict(run.tags),
        "note": run.note,
        "removed": None if run.removed is None else format_time(run.removed),
        "incomplete": run.incomplete,
        "failure": None if run.failure is None else vars(run.failure),
        "inputs": [input_record(entry) for entry in run.inputs],
        "scrubbed": list(run.scrubbed),
        "redacted": list(run.redacted),
    }
    record.update((key, value) for key, value in optional.items() if value)
    if run.exit_code is not None:
        record["exit_code"] = run.exit_code
    return record


def _source_record(source: SourceLink) -> dict[str, object]:
    record: dict[str, object] = {"captured": source.captured, "dirty": source.dirty, "directory": source.directory}
    optional = {"commit": source.commit, "branch": source.branch, "remote": source.remote, "tree": source.tree}
    record.update((key, value) for key, value in optional.items() if value)
    if source.left_out:
        record["left_out"] = [vars(entry) for entry in source.left_out]
    return record


def decode_run(data: bytes, *, where: str) -> Run:
    """Return the run that encode_run wrote.

    Raises Unsupported where the format is newer than this version reads, Corrupt, naming `where`, for anything else.
    """
    return read_run_record(decode_object(data, where=where), where=where)


def read_run_record(record: object, *, where: str) -> Run:
    """Return the run that a decoded run_record describes; raises as decode_run does."""
    fields = _Fields(record, where=where)
    check_format(fields.get("format", int), where=where)
    run_id = fields.get("id", str)
    if not layout.is_run_id(run_id):
        raise Corrupt(f"{where}: not a run id: {run_id!r:.60}")
    return Run(
        id=run_id,
        name=fields.get("name", str),
        experiment=fields.get("experiment", str),
        revision=fields.get("revision", int),
        status=fields.choose("status", Status),
        started=fields.time("started"),
        ended=fields.find_time("ended"),
        parent=fields.find("parent", str),
        reproduces=fields.find("reproduces", str),
        user=fields.find("user", str) or "",
        host=fields.find("host", str) or "",
        command=tuple(fields.texts("command")),
        exit_code=fields.find("exit_code", int),
        tags=fields.text_map("tags"),
        note=fields.find("note", str) or "",
        removed=fields.find_time("removed"),
        incomplete=fields.find("incomplete", str) or "",
        failure=fields.find_record("failure", _read_failure),
        inputs=tuple(fields.records("inputs", _read_input)),
        scrubbed=tuple(fields.texts("scrubbed")),
        redacted=tuple(fields.texts("redacted")),
        source=fields.find_record("source", _read_source) or SourceLink(),
    )


def _read_failure(fields: _Fields) -> Failure:
    return Failure(fields.get("type", str), fields.get("message", str), fields.find("traceback", str) or "")


def read_input_record(record: object, *, where: str) -> Input:
    """Return the data input that a run.json entry describes; raises Corrupt, naming `where`, otherwise."""
    return _read_input(_Fields(record, where=where))


def input_record(entry: Input) -> dict[str, object]:
    """Return the JSON-ready object of a data input; a size that is not known is -1, and facts stand beside the rest."""
    size = _UNKNOWN_SIZE if entry.size is None else entry.size
    record: dict[str, object] = {name: spell_float(v) if isinstance(v, float) else v for name, v in entry.facts}
    return {**record, **{key: getattr(entry, key) for key in _INPUT_KEYS}, "size": size}


def _read_input(fields: _Fields) -> Input:
    size = fields.get("size", int)
    facts = [(key, value) for key, value in fields.record.items() if key not in _INPUT_KEYS and value is not None]
    return Input(
        name=fields.get("name", str),
        path=fields.get("path", str),
        kind=fields.literal("kind", ("file", "directory")),
        digest=fields.get("digest", str),
        size=None if size == _UNKNOWN_SIZE else size,
        context=fields.find("context", str) or "",
        facts=tuple(sorted((key, value) for key, value in facts if isinstance(value, get_args(Fact)))),
    )


def _read_source(fields: _Fields) -> SourceLink:
    return SourceLink(
        commit=fields.find("commit", str),
        branch=fields.find("branch", str),
        remote=fields.find("remote", str),
        dirty=fields.find("dirty", bool) or False,
        captured=fields.literal("captured", get_args(Captured)),
        tree=fields.find("tree", str),
        directory=fields.find("directory", str) or ".",
        left_out=tuple(fields.records("left_out", _read_left_out)),
    )


def _read_left_out(fields: _Fields) -> LeftOut:
    return LeftOut(fields.get("path", str), fields.get("size", int), fields.literal("reason", get_args(LeftOutReason)))


def encode_experiment(experiment: Experiment) -> dict[str, bytes]:
    """Return the tree of an experiment's own record, as tree path → bytes."""
    record: dict[str, object] = {
        "format": FORMAT_VERSION,
        "slug": experiment.slug,
        "name": experiment.name,
        "revision": experiment.revision,
        "created": format_time(experiment.created),
    }
    optional: dict[str, object] = {
        "description": experiment.description,
        "tags": dict(experiment.tags),
        "removed": None if experiment.removed is None else format_time(experiment.removed),
    }
    record.update((key, value) for key, value in optional.items() if value)
    return {layout.EXPERIMENT_FILE: encode_json(record)}


def decode_experiment(data: bytes, *, where: str) -> Experiment:
    """Return the experiment that encode_experiment wrote; raises as decode_run does."""
    fields = _Fields(decode_object(data, where=where), where=where)
    check_format(fields.get("format", int), where=where)
    return Experiment(
        slug=fields.get("slug", str),
        name=fields.get("name", str),
        revision=fields.get("revision", int),
        description=fields.find("description", str) or "",
        tags=fields.text_map("tags"),
        created=fields.time("created"),
        removed=fields.find_time("removed"),
    )


def check_format(version: int, *, where: str) -> None:
    """Raise Unsupported unless this version of gittrack reads the format."""
    if version > FORMAT_VERSION or version < 1:
        raise Unsupported(
            f"{where}: written in format {version}; this gittrack reads format {FORMAT_VERSION}",
            hint="pip install --upgrade gittrack",
        )


class _Fields:
    """Typed access to one decoded JSON object; whatever is missing or of another type raises Corrupt."""

    def __init__(self, record: object, *, where: str) -> None:
        if not isinstance(record, dict):
            raise Corrupt(f"{where}: expected a JSON object, found {type(record).__name__}")
        self.record: dict[str, Any] = record
        self.where = where

    def find(self, key: str, kind: type[T]) -> T | None:
        value = self.record.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Corrupt(f"{self.where}: {key} should be {kind.__name__}, found {type(value).__name__}")
        return value

    def get(self, key: str, kind: type[T]) -> T:
        value = self.find(key, kind)
        if value is None:
            raise Corrupt(f"{self.where}: {key} is missing")
        return value

    def number(self, key: str) -> float:
        return read_float(self.record.get(key), where=f"{self.where}: {key}")

    def time(self, key: str) -> int:
        return parse_time(self.record.get(key), where=f"{self.where}: {key}")

    def find_time(self, key: str) -> int | None:
        return self.time(key) if self.record.get(key) is not None else None

    def choose(self, key: str, kind: Callable[[str], T]) -> T:
        try:
            return kind(self.get(key, str))
        except ValueError:
            raise Corrupt(f"{self.where}: unknown {key} {self.record[key]!r:.60}") from None

    def literal(self, key: str, allowed: tuple[str, ...]) -> Any:
        value = self.get(key, str)
        if value not in allowed:
            raise Corrupt(f"{self.where}: unknown {key} {value!r:.60}")
        return value

    def texts(self, key: str) -> list[str]:
        values = self.find(key, list) or []
        if not all(isinstance(value, str) for value in values):
            raise Corrupt(f"{self.where}: {key} should hold strings")
        return values

    def text_map(self, key: str) -> dict[str, str]:
        values = self.find(key, dict) or {}
        if not all(isinstance(value, str) for value in values.values()):
            raise Corrupt(f"{self.where}: {key} should hold strings")
        return values

    def records(self, key: str, read: Callable[[_Fields], T]) -> list[T]:
        place = f"{self.where}: {key}"
        return [read(_Fields(value, where=place)) for value in self.find(key, list) or []]

    def find_record(self, key: str, read: Callable[[_Fields], T]) -> T | None:
        value = self.record.get(key)
        return None if value is None else read(_Fields(value, where=f"{self.where}: {key}"))

"""Owns the vocabulary of a journal's events, and folds them into the run they describe.

A draft is a run that is not committed yet. Pure: events in, values out. Knows nothing of files, locks, git or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import Conflict, Corrupt, InvalidInput
from .model import Failure, Input, Pointer, Run, Scalar, Snapshot, Status
from .snapshot import input_record, read_input_record, read_run_record, run_record

Event = dict[str, Any]

MAX_PARAMS_SIZE = 16 << 20


@dataclass(frozen=True)
class Intent:
    """A revision that was about to be committed: its tree, and how much of the journal that holds.

    `offsets` tell how far each points file was read, `records` how many of the events that say something of the run.
    """

    revision: int
    tree: str
    offsets: Mapping[str, int]
    records: int


@dataclass
class Draft:
    """What a journal's events say so far. `base` is the commit that a resumed run continues, if any."""

    run: Run
    experiment_name: str = ""
    base: str | None = None
    empty: bool = True
    started: bool = False
    params: dict[str, Scalar] = field(default_factory=dict)
    artifacts: dict[str, Pointer] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    records: int = 0
    _directories: dict[str, str] = field(default_factory=dict)
    _key_sets: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Fold one more event in. An event of an unknown kind, from a newer writer, is passed over."""
        self.empty = False
        handler = _HANDLERS.get(event.get("kind", ""))
        if handler is None:
            return
        try:
            handler(self, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Corrupt(f"a journal's {event.get('kind')!r:.40} event makes no sense: {error!r}") from error
        if event["kind"] not in ("keys", "commit"):
            self.records += 1

    def has_keys(self, file: str, number: int) -> bool:
        """Tell whether the metric names of a points file's key set are known."""
        return number in self._key_sets.get(file, {})

    def get_keys(self, file: str, number: int) -> tuple[str, ...]:
        """Return the metric names of a points file's key set; raises Corrupt where the event naming them is lost."""
        try:
            return self._key_sets[file][number]
        except KeyError:
            raise Corrupt(f"the metric names of key set {number} in {file} are lost") from None

    def find_conflict(self, params: Mapping[str, Scalar]) -> str | None:
        """Return the first key of params that is set already to something else, if any."""
        for key, value in params.items():
            if key in self.params and not same_scalar(self.params[key], value):
                return key
        return None

    def snapshot(self) -> Snapshot:
        """Return the draft's state so far as a snapshot with no summary and no parts."""
        return Snapshot(self.run, dict(self.params), {}, dict(self.artifacts), self.environment)

    def _start(self, event: Mapping[str, Any]) -> None:
        self.run = read_run_record(event["run"], where="journal")
        self.experiment_name = event.get("experiment_name") or self.run.experiment
        self.base = event.get("base")
        self.environment = event.get("environment") or {}
        self.started = True

    def _set_params(self, event: Mapping[str, Any]) -> None:
        for key, value in event["values"].items():
            self.params.setdefault(key, value)

    def _set_tags(self, event: Mapping[str, Any]) -> None:
        self.run = replace(self.run, tags=merge_tags(self.run.tags, event["values"]))

    def _set_attributes(self, event: Mapping[str, Any]) -> None:
        self.run = replace(self.run, **{key: event[key] for key in ("name", "note", "removed") if key in event})

    def _define_keys(self, event: Mapping[str, Any]) -> None:
        self._key_sets.setdefault(event["file"], {})[event["id"]] = tuple(event["names"])

    def find_obstacle(self, path: str) -> str | None:
        """Return the artifact that keeps another from lying at path: one is a file where the other has a directory."""
        parts = path.split("/")
        above = ("/".join(parts[:length]) for length in range(1, len(parts)))
        return next((name for name in above if name in self.artifacts), self._directories.get(path))

    def _add_artifact(self, event: Mapping[str, Any]) -> None:
        path = event["path"]
        obstacle = self.find_obstacle(path)
        if obstacle is not None:
            self._lack({"reason": f"artifact {path} could not be kept beside {obstacle}"})
            return
        self.artifacts[path] = Pointer(event["oid"], event["size"])
        parts = path.split("/")
        self._directories.update({"/".join(parts[:length]): path for length in range(1, len(parts))})

    def _add_output(self, event: Mapping[str, Any]) -> None:
        self.outputs[event["path"]] = event["file"]

    def _add_input(self, event: Mapping[str, Any]) -> None:
        entry = read_input_record(event["input"], where="journal")
        others = tuple(known for known in self.run.inputs if (known.name, known.path) != (entry.name, entry.path))
        self.run = replace(self.run, inputs=(*others, entry))

    def _fail(self, event: Mapping[str, Any]) -> None:
        failure = Failure(event["type"], event["message"], event.get("traceback", ""))
        self.run = replace(self.run, failure=failure)

    def _set_base(self, event: Mapping[str, Any]) -> None:
        self.base = event["commit"]

    def _set_environment(self, event: Mapping[str, Any]) -> None:
        self.environment = dict(event["environment"])

    def _lack(self, event: Mapping[str, Any]) -> None:
        if event["reason"] not in self.run.incomplete:
            self.run = replace(self.run, incomplete=f"{self.run.incomplete}; {event['reason']}".lstrip("; "))

    def _scrub(self, event: Mapping[str, Any]) -> None:
        places = dict.fromkeys((*self.run.scrubbed, *event["places"]))
        self.run = replace(self.run, scrubbed=tuple(places))

    def _intend(self, event: Mapping[str, Any]) -> None:
        self.intents.append(Intent(event["revision"], event["tree"], event["offsets"], event["records"]))

    def _end(self, event: Mapping[str, Any]) -> None:
        exit_code = event.get("exit_code", self.run.exit_code)
        status = Status(event["status"])
        self.run = replace(self.run, status=status, ended=event["time"], exit_code=exit_code)
        self.ended = True


_HANDLERS = {
    "start": Draft._start,
    "params": Draft._set_params,
    "tags": Draft._set_tags,
    "attributes": Draft._set_attributes,
    "keys": Draft._define_keys,
    "artifact": Draft._add_artifact,
    "output": Draft._add_output,
    "input": Draft._add_input,
    "failure": Draft._fail,
    "base": Draft._set_base,
    "environment": Draft._set_environment,
    "incomplete": Draft._lack,
    "scrubbed": Draft._scrub,
    "commit": Draft._intend,
    "end": Draft._end,
}


def fold_events(events: Iterable[Mapping[str, Any]], *, run_id: str, started: int) -> Draft:
    """Return the draft that events describe.

    Where the start event is lost, the run keeps what else is known: its id, the given start time (UTC microseconds)
    and a note that the record is incomplete. An event that makes no sense is passed over the same way.
    """
    draft = Draft(Run(run_id, run_id[:8], "default", 1, Status.RUNNING, started))
    for event in events:
        try:
            draft.apply(event)
        except Corrupt as error:
            draft.apply(incomplete_event(error.message))
    if not draft.started and not draft.empty:
        draft.apply(incomplete_event("the journal's first record was lost"))
    return draft


def start_event(run: Run, *, experiment_name: str, environment: Mapping[str, object], base: str | None = None) -> Event:
    """Return the event that opens a journal: the run as it stands, and the commit it continues, if any."""
    return {
        "kind": "start",
        "run": run_record(run),
        "experiment_name": experiment_name,
        "environment": environment,
        "base": base,
    }


def params_event(values: Mapping[str, Scalar]) -> Event:
    """Return the event that sets params; the first value that a key is given stays."""
    return {"kind": "params", "values": dict(values)}


def tags_event(values: Mapping[str, str | None]) -> Event:
    """Return the event that sets tags, or removes those whose value is None."""
    return {"kind": "tags", "values": dict(values)}


def attributes_event(**attributes: object) -> Event:
    """Return the event that sets a run's `name`, `note` or `removed` time."""
    return {"kind": "attributes", **attributes}


def keys_event(file: str, number: int, names: tuple[str, ...]) -> Event:
    """Return the event that names the metrics of one key set of one points file."""
    return {"kind": "keys", "file": file, "id": number, "names": list(names)}


def artifact_event(path: str, pointer: Pointer) -> Event:
    """Return the event that names an artifact whose content is in the content store."""
    return {"kind": "artifact", "path": path, "oid": pointer.oid, "size": pointer.size}


def output_event(path: str, file: str) -> Event:
    """Return the event saying that `file`, in the journal's directory, becomes the artifact `path` at the end."""
    return {"kind": "output", "path": path, "file": file}


def input_event(entry: Input) -> Event:
    """Return the event that adds a data input; a later one of the same name and path replaces it."""
    return {"kind": "input", "input": input_record(entry)}


def failure_event(failure: Failure) -> Event:
    """Return the event that records the exception which ended the run."""
    return {"kind": "failure", **vars(failure)}


def base_event(commit: str) -> Event:
    """Return the event saying that the run continues another commit than its start event says."""
    return {"kind": "base", "commit": commit}


def environment_event(environment: Mapping[str, object]) -> Event:
    """Return the event that replaces the environment: by that of the program itself, where a wrapper began the run."""
    return {"kind": "environment", "environment": environment}


def describe_base(base: Snapshot) -> list[Event]:
    """Return the events that give a journal what the snapshot it continues has already: params and artifacts."""
    events = [params_event(base.params)] if base.params else []
    return [*events, *(artifact_event(path, pointer) for path, pointer in base.artifacts.items())]


def incomplete_event(reason: str) -> Event:
    """Return the event saying that the tracker failed to record something."""
    return {"kind": "incomplete", "reason": reason}


def scrubbed_event(places: Iterable[str]) -> Event:
    """Return the event that lists where secrets were replaced."""
    return {"kind": "scrubbed", "places": list(places)}


def commit_event(intent: Intent) -> Event:
    """Return the event written just before the branch moves to a revision of this journal."""
    return {
        "kind": "commit",
        "revision": intent.revision,
        "tree": intent.tree,
        "offsets": dict(intent.offsets),
        "records": intent.records,
    }


def end_event(status: Status, *, time: int, exit_code: int | None) -> Event:
    """Return the event that ends the run at `time` (UTC microseconds)."""
    event: Event = {"kind": "end", "status": status.value, "time": time}
    return event if exit_code is None else {**event, "exit_code": exit_code}


def merge_tags(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags with changes made; a change to None removes the tag."""
    merged = {**tags, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def same_scalar(left: Scalar, right: Scalar) -> bool:
    """Tell whether two params are the same value of the same type; NaN is the same as NaN."""
    return type(left) is type(right) and (left == right or (left != left and right != right))


def check_params(draft: Draft, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return those of params that are new to the draft; raises Conflict for one that is something else already."""
    key = draft.find_conflict(params)
    if key is not None:
        raise Conflict(
            f"param {key!r} of run {draft.run.name} is already {draft.params[key]!r:.80} and cannot become "
            f"{params[key]!r:.80}: params are set once",
            hint=f'run.set_tag("{key}", …)  # for what changes during a run',
        )
    new = {name: value for name, value in params.items() if name not in draft.params}
    size = sum(len(value) for value in (*draft.params.values(), *new.values()) if isinstance(value, str))
    if size > MAX_PARAMS_SIZE:
        raise InvalidInput(
            f"the params of run {draft.run.name} would be over {MAX_PARAMS_SIZE} characters long in all",
            hint="run.log_dict(…, 'params.json')",
        )
    return new


def check_artifact(draft: Draft, path: str) -> None:
    """Raise Conflict where path cannot be an artifact beside those there are."""
    obstacle = draft.find_obstacle(path)
    if obstacle is not None:
        raise Conflict(f"artifact {path!r:.200} of run {draft.run.name} cannot lie beside {obstacle!r:.200}")

"""What a push is about to show to whoever can read the remote, and which values in it look like secrets.

Reads the runs that the remote lacks; changes nothing. Knows nothing of terminals and of who agreed to what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .. import layout
from ..canonical import decode_object
from ..errors import GittrackError
from ..index.reader import GitReader, Tree
from ..message import RunTrailers
from ..model import Run
from ..scrub import Scrubber, has_secret
from ..snapshot import decode_experiment, decode_params, decode_run, decode_summary
from .arrival import read_trees
from .joining import list_records
from .link import Link
from .pushing import Plan
from .unseen import File, Unseen

_CHUNK = 500
# A larger file is taken for data.
_MAX_SOURCE_FILE = 1 << 20
# As many files of that size as are read together.
_SOURCE_CHUNK = 64
_MAX_DEPTH = 50
_RUN_FILES = (layout.RUN_FILE, layout.PARAMS_FILE, layout.ENVIRONMENT_FILE, layout.SUMMARY_FILE)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Finding:
    """A value that looks like a secret: the run it is in, the field, and a name for the value in that field.

    Without a run it is in what the experiment says of itself. Nothing here shows the value.
    """

    id: str
    experiment: str
    run_id: str
    run_name: str
    field: str


@dataclass(frozen=True)
class Disclosure:
    """What a push sends that the remote lacks.

    `sources` counts the different source trees among the runs, `modified` those that are no commit's own, `commits` the
    commits the code was at that no branch of the remote contains; `people` and `machines` are the users and hosts that
    the runs name.
    """

    experiments: tuple[str, ...]
    first: tuple[str, ...]
    runs: int
    sources: int
    modified: int
    commits: int
    environments: int
    artifacts: int
    people: tuple[str, ...]
    machines: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass
class _Part:
    """One experiment's part; `sources` are its source trees, with the first run that has each."""

    slug: str
    sources: dict[str, Run] = field(default_factory=dict)
    environments: set[str] = field(default_factory=set)
    artifact_trees: set[str] = field(default_factory=set)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)


@dataclass
class _Tally:
    runs: dict[str, None] = field(default_factory=dict)
    modified: set[str] = field(default_factory=set)
    artifacts: set[str] = field(default_factory=set)
    people: dict[str, None] = field(default_factory=dict)
    machines: dict[str, None] = field(default_factory=dict)
    commits: set[str] = field(default_factory=set)


def describe(link: Link, plans: Sequence[Plan]) -> Disclosure:
    """Return what a push of these plans would disclose. Records that cannot be read are passed over."""
    tally = _Tally()
    parts = [_Part(plan.slug) for plan in plans]
    with GitReader(link.store) as reader:
        for part, plan in zip(parts, plans, strict=True):
            records = list_records(plan.commits)
            runs = [record.commit.tree for record in records if isinstance(record.trailers, RunTrailers)]
            for start in range(0, len(runs), _CHUNK):
                _read_runs(reader, runs[start : start + _CHUNK], tally, part)
            others = [record.commit.tree for record in records if not isinstance(record.trailers, RunTrailers)]
            _read_experiments(reader, others, part)
        if not link.repository.is_partial:  # what is not here was not recorded here
            _scan_sources(reader, Unseen(link), tally, parts)
    return Disclosure(
        experiments=tuple(plan.slug for plan in plans),
        first=tuple(plan.slug for plan in plans if plan.first),
        runs=len(tally.runs),
        sources=len({tree for part in parts for tree in part.sources}),
        modified=len(tally.modified),
        commits=len(tally.commits),
        environments=len({id for part in parts for id in part.environments}),
        artifacts=len(tally.artifacts),
        people=tuple(tally.people),
        machines=tuple(tally.machines),
        findings=tuple(finding for part in parts for finding in part.findings.values()),
    )


def _read_runs(reader: GitReader, trees: Sequence[str], tally: _Tally, part: _Part) -> None:
    found = [tree for tree in read_trees(reader, trees).values() if layout.RUN_FILE in tree]
    files = _read_files(reader, found, _RUN_FILES)
    directories: list[tuple[Run, str]] = []
    for tree in found:
        run = _decode(decode_run, _get_file(files, tree, layout.RUN_FILE), where=layout.RUN_FILE)
        if run is None:
            continue
        params = _decode(decode_params, _get_file(files, tree, layout.PARAMS_FILE), where=layout.PARAMS_FILE) or {}
        metrics = _decode(decode_summary, _get_file(files, tree, layout.SUMMARY_FILE), where=layout.SUMMARY_FILE) or {}
        _scan_run(part, run, params, metrics)
        tally.runs[run.id] = None
        tally.people.update({run.user: None} if run.user else {})
        tally.machines.update({run.host: None} if run.host else {})
        if layout.ARTIFACTS_DIRECTORY in tree:
            tally.artifacts.add(run.id)
            directories.append((run, tree[layout.ARTIFACTS_DIRECTORY].id))
        if layout.SOURCE_DIRECTORY in tree:
            source = tree[layout.SOURCE_DIRECTORY].id
            part.sources.setdefault(source, run)
            if run.source.dirty:
                tally.modified.add(source)
        environment = tree.get(layout.ENVIRONMENT_FILE)
        if environment is not None and environment.id not in part.environments:
            part.environments.add(environment.id)
            _scan_environment(part, run, files.get(environment.id))
    _scan_artifact_names(reader, directories, part)


def _read_experiments(reader: GitReader, trees: Sequence[str], part: _Part) -> None:
    """Look through what an experiment says of itself."""
    found = [tree for tree in read_trees(reader, trees).values() if layout.EXPERIMENT_FILE in tree]
    files = _read_files(reader, found, (layout.EXPERIMENT_FILE,))
    for tree in found:
        data = _get_file(files, tree, layout.EXPERIMENT_FILE)
        experiment = _decode(decode_experiment, data, where=layout.EXPERIMENT_FILE)
        if experiment is not None:
            said = {"name": experiment.name, "description": experiment.description, "tags": dict(experiment.tags)}
            _scan_texts(part, None, said)
            _scan_names(part, None, "tags", experiment.tags)


def _read_files(reader: GitReader, trees: Iterable[Tree], names: Sequence[str]) -> dict[str, bytes]:
    reader.ask((), list(dict.fromkeys(tree[name].id for tree in trees for name in names if name in tree)))
    return reader.receive().files


def _get_file(files: Mapping[str, bytes], tree: Tree, name: str) -> bytes:
    return files.get(tree[name].id, b"") if name in tree else b""


def _decode(decode: Callable[..., _T], data: bytes, *, where: str) -> _T | None:
    try:
        return decode(data, where=where)
    except GittrackError:
        return None


def _scan_run(part: _Part, run: Run, params: Mapping[str, object], metrics: Iterable[str]) -> None:
    """Look through all that a run says in words, as the scrubber did when it was recorded, or should have."""
    failure = {} if run.failure is None else {"message": run.failure.message, "traceback": run.failure.traceback}
    said: dict[str, object] = {
        "name": run.name,
        "note": run.note,
        "tags": dict(run.tags),
        "incomplete": run.incomplete,
        "failure": failure,
        "inputs": {entry.name: entry.path for entry in run.inputs},
        "source": {"remote": run.source.remote or "", "branch": run.source.branch or ""},
        "params": params,
    }
    _scan_texts(part, run, said)
    _scan_names(part, run, "params", params)
    _scan_names(part, run, "metrics", metrics)
    _scan_names(part, run, "tags", run.tags)
    for number, (word, clean) in enumerate(zip(run.command, Scrubber({}).is_clean_argv(run.command), strict=True)):
        if not clean:
            _add(part, run, f"command[{number}]", word)


def _scan_environment(part: _Part, run: Run, data: bytes | None) -> None:
    environment = _decode(decode_object, data or b"{}", where=layout.ENVIRONMENT_FILE)
    _scan_texts(part, run, {"environment": environment or {}})


def _scan_texts(part: _Part, run: Run | None, said: Mapping[str, object]) -> None:
    scrubber = Scrubber({})
    for place, key, text in _list_texts(said):
        if not scrubber.is_clean(text, key=key):
            _add(part, run, place, text)


def _scan_names(part: _Part, run: Run | None, kind: str, names: Iterable[str]) -> None:
    """Look through names that people gave: one may be a secret that was put in its value's place."""
    scrubber = Scrubber({})
    for name in names:
        if not scrubber.is_clean(name):
            _add(part, run, f"{kind}.{name}", name)


def _scan_artifact_names(reader: GitReader, directories: Sequence[tuple[Run, str]], part: _Part) -> None:
    scrubber = Scrubber({})
    level = [(run, layout.ARTIFACTS_DIRECTORY, id) for run, id in directories]
    for _ in range(layout.MAX_PATH_DEPTH):
        level = [(run, place, id) for run, place, id in level if id not in part.artifact_trees]
        part.artifact_trees.update(id for _, _, id in level)
        trees = read_trees(reader, list(dict.fromkeys(id for _, _, id in level)))
        below = []
        for run, place, id in level:
            for name, entry in trees.get(id, {}).items():
                if entry.is_tree:
                    below.append((run, f"{place}/{name}", entry.id))
                if not scrubber.is_clean(name):
                    _add(part, run, f"{place}/{name}", name)
        level = below


def _scan_sources(reader: GitReader, unseen: Unseen, tally: _Tally, parts: Sequence[_Part]) -> None:
    """Look through those files of the source trees that are new to whoever has the remote's code."""
    files = {}
    for part in parts:
        commits = {run.source.commit for run in part.sources.values()}
        tally.commits.update(unseen.list_commits(commits))
        listed = unseen.list_files(list(part.sources), commits) if part.sources else []
        files[part.slug] = [file for file in listed if file.size <= _MAX_SOURCE_FILE]
    suspects = _find_suspects(reader, [file for listed in files.values() for file in listed])
    new = set(unseen.drop_old(suspects))
    for part in parts:
        for file in files[part.slug]:
            if file in new:
                holder = unseen.find_holder(file, part.sources) or next(iter(part.sources))
                _add(part, part.sources[holder], f"{layout.SOURCE_DIRECTORY}/{file.path}", file.id)


def _find_suspects(reader: GitReader, files: Sequence[File]) -> list[File]:
    ids = list(dict.fromkeys(file.id for file in files))
    bad: set[str] = set()
    for start in range(0, len(ids), _SOURCE_CHUNK):
        reader.ask((), ids[start : start + _SOURCE_CHUNK])
        bad.update(id for id, data in reader.receive().files.items() if has_secret(data))
    return list(dict.fromkeys(file for file in files if file.id in bad))


def _add(part: _Part, run: Run | None, place: str, text: str) -> None:
    digest = hashlib.sha256(f"{place}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    scrubber = Scrubber({})
    run_id, name = ("", "") if run is None else (run.id, scrubber.text(run.name))
    finding = Finding(digest, part.slug, run_id, name, scrubber.text(place))
    part.findings.setdefault((digest, place), finding)


def _list_texts(value: object, place: str = "", key: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield where each text in a value stands, the key it stands under, and the text."""
    if isinstance(value, str):
        yield place, key, value
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _list_texts(inner, f"{place}.{name}" if place else str(name), str(name), depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _list_texts(inner, f"{place}[{number}]", key, depth + 1)

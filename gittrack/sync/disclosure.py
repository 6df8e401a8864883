"""What a push is about to show to whoever can read the remote, and which values in it look like secrets.

Reads the runs that the remote lacks; changes nothing. Knows nothing of terminals and of who agreed to what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import layout
from ..canonical import decode_object
from ..errors import GittrackError
from ..git import Git, GitFailed
from ..index.reader import GitReader
from ..message import RunTrailers
from ..model import Run
from ..scrub import Scrubber, has_secret
from ..snapshot import decode_params, decode_run
from ..store import Store
from .arrival import read_trees
from .joining import list_records
from .pushing import Plan

_CHUNK = 500
# A larger file is taken for data.
_MAX_SOURCE_FILE = 1 << 20
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Finding:
    """A value that looks like a secret: the run it is in, the field, and a name for the value in that field."""

    id: str
    run_id: str
    run_name: str
    field: str


@dataclass(frozen=True)
class Disclosure:
    """What a push sends that the remote lacks.

    `sources` counts the different source trees among the runs, `modified` those that are no commit's own; `people` and
    `machines` are the users and hosts that the runs name.
    """

    experiments: tuple[str, ...]
    first: tuple[str, ...]
    runs: int
    sources: int
    modified: int
    environments: int
    artifacts: int
    people: tuple[str, ...]
    machines: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    runs: dict[str, None]
    sources: dict[str, tuple[Run, str | None]]
    modified: set[str]
    environments: dict[str, tuple[str, str]]
    artifacts: set[str]
    people: dict[str, None]
    machines: dict[str, None]
    findings: dict[tuple[str, str], Finding]


def describe(store: Store, git: Git, plans: Sequence[Plan]) -> Disclosure:
    """Return what a push of these plans would disclose. Records that cannot be read are passed over."""
    tally = _Tally({}, {}, set(), {}, set(), {}, {}, {})
    records = [record for plan in plans for record in list_records(plan.commits)]
    runs = [record.commit.tree for record in records if isinstance(record.trailers, RunTrailers)]
    with GitReader(store) as reader:
        for start in range(0, len(runs), _CHUNK):
            _read_runs(reader, runs[start : start + _CHUNK], tally)
        if not store.repository.is_partial:  # what is not here was not recorded here
            _scan_sources(reader, git, tally)
    return Disclosure(
        experiments=tuple(plan.slug for plan in plans),
        first=tuple(plan.slug for plan in plans if plan.first),
        runs=len(tally.runs),
        sources=len(tally.sources),
        modified=len(tally.modified),
        environments=len(tally.environments),
        artifacts=len(tally.artifacts),
        people=tuple(tally.people),
        machines=tuple(tally.machines),
        findings=tuple(tally.findings.values()),
    )


def _read_runs(reader: GitReader, trees: Sequence[str], tally: _Tally) -> None:
    found = [tree for tree in read_trees(reader, trees).values() if layout.RUN_FILE in tree]
    names = (layout.RUN_FILE, layout.PARAMS_FILE, layout.ENVIRONMENT_FILE)
    wanted = list(dict.fromkeys(tree[name].id for tree in found for name in names if name in tree))
    wanted = [id for id in wanted if id not in tally.environments]
    reader.ask((), wanted)
    files = reader.receive().files
    for tree in found:
        data = files.get(tree[layout.RUN_FILE].id)
        try:
            run = decode_run(data or b"", where=layout.RUN_FILE)
            params = files.get(tree[layout.PARAMS_FILE].id) if layout.PARAMS_FILE in tree else None
            _scan(tally, run, {"params": decode_params(params or b"{}", where=layout.PARAMS_FILE)})
        except GittrackError:
            continue
        tally.runs[run.id] = None
        tally.people.update({run.user: None} if run.user else {})
        tally.machines.update({run.host: None} if run.host else {})
        if layout.ARTIFACTS_DIRECTORY in tree:
            tally.artifacts.add(run.id)
        if layout.SOURCE_DIRECTORY in tree:
            source = tree[layout.SOURCE_DIRECTORY].id
            tally.sources.setdefault(source, (run, run.source.commit))
            if run.source.dirty:
                tally.modified.add(source)
        environment = tree.get(layout.ENVIRONMENT_FILE)
        if environment is not None and environment.id not in tally.environments:
            tally.environments[environment.id] = (run.id, run.name)
            _scan_environment(tally, run, files.get(environment.id))


def _scan(tally: _Tally, run: Run, more: Mapping[str, object]) -> None:
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
        **more,
    }
    scrubber = Scrubber({})
    for field, key, text in _list_texts(said):
        if scrubber.value(key, text) != text:
            _add(tally, run, field, text)
    for number, (word, clean) in enumerate(zip(run.command, scrubber.argv(run.command, where=""), strict=True)):
        if word != clean:
            _add(tally, run, f"command[{number}]", word)


def _scan_environment(tally: _Tally, run: Run, data: bytes | None) -> None:
    try:
        environment = decode_object(data or b"{}", where=layout.ENVIRONMENT_FILE)
    except GittrackError:
        return
    scrubber = Scrubber({})
    for field, key, text in _list_texts({"environment": environment}):
        if scrubber.value(key, text) != text:
            _add(tally, run, field, text)


def _scan_sources(reader: GitReader, git: Git, tally: _Tally) -> None:
    """Look through what the source trees hold that is in no commit: that is new to whoever has the code."""
    places: dict[str, tuple[Run, str]] = {}
    for tree, (run, commit) in tally.sources.items():
        for path, id in _list_changes(git, tree, commit) if tree in tally.modified or commit is None else ():
            places.setdefault(id, (run, path))
    reader.ask((), list(places))
    for id, data in reader.receive().files.items():
        if len(data) <= _MAX_SOURCE_FILE and has_secret(data):
            run, path = places[id]
            _add(tally, run, f"{layout.SOURCE_DIRECTORY}/{path}", id)


def _list_changes(git: Git, tree: str, commit: str | None) -> Iterator[tuple[str, str]]:
    """Yield path and id of the files of a source tree that its commit does not have."""
    try:
        listing = git.run("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=AM", f"{commit}^{{tree}}", tree)
        words = listing.split(b"\0")
        entries = [(head.split()[3], path) for head, path in zip(words[::2], words[1::2], strict=False)]
    except GitFailed:  # no commit, or one that is not here
        lines = git.run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")
        entries = [(line.split()[2], line.partition(b"\t")[2]) for line in lines if b" blob " in line]
    for id, path in entries:
        yield path.decode("utf-8", "replace"), id.decode("ascii")


def _add(tally: _Tally, run: Run, field: str, text: str) -> None:
    digest = hashlib.sha256(f"{field}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    tally.findings.setdefault((digest, field), Finding(digest, run.id, run.name, field))


def _list_texts(value: object, field: str = "", key: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield where each text in a value stands, the key it stands under, and the text."""
    if isinstance(value, str):
        yield field, key, value
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _list_texts(inner, f"{field}.{name}" if field else str(name), str(name), depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _list_texts(inner, f"{field}[{number}]", key, depth + 1)

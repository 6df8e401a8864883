"""Owns the commit message of a record: the subject people read, and the trailers gittrack reads.

Pure text in, values out. Knows nothing of git, files or clocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import layout
from .canonical import format_time, parse_time
from .errors import Corrupt
from .model import FORMAT_VERSION, Experiment, MetricSummary, Snapshot, Status
from .snapshot import check_format

_SUBJECT_WIDTH = 100
_MAX_EPOCH = 10**9
_ID = r"[0-9a-f]{40}([0-9a-f]{24})?"
_NAME = re.compile("  (?:" + "|".join(Status.__members__) + ")(?=[ \n])")


@dataclass(frozen=True)
class RunTrailers:
    """What a run's commit says of itself without its tree being read."""

    name: str
    run_id: str
    revision: int
    status: Status
    started: int
    removed: bool
    experiment: str
    source_commit: str | None
    source_dirty: bool
    parent_run: str | None
    previous: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExperimentTrailers:
    """What an experiment record's commit says of itself."""

    experiment: str
    revision: int
    previous: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochTrailers:
    """What the first commit of an epoch says of itself: which one it is, counted from 1; without any it is epoch 0."""

    experiment: str
    number: int


def write_run_message(snapshot: Snapshot, *, previous: Iterable[str] = ()) -> str:
    """Return the commit message of a run's revision: subject, blank line, trailers, trailing newline.

    `previous` are the trees of the revisions that this one was made from.
    """
    run = snapshot.run
    status = run.status.value if run.removed is None else f"{run.status.value} (removed)"
    trailers = [("Run", run.id), ("Revision", str(run.revision)), ("Status", run.status.value)]
    trailers += [("Started", format_time(run.started)), ("Experiment", run.experiment)]
    if run.removed is not None:
        trailers.append(("Removed", format_time(run.removed)))
    if run.source.commit:
        trailers += [("Source-Commit", run.source.commit), ("Source-Dirty", "yes" if run.source.dirty else "no")]
    if run.parent:
        trailers.append(("Parent-Run", run.parent))
    trailers += _list_previous(previous)
    trailers.append(("Format", str(FORMAT_VERSION)))
    return _write(_subject(f"{run.name}  {status}", snapshot.summary), trailers)


def write_experiment_message(experiment: Experiment, *, previous: Iterable[str] = ()) -> str:
    """Return the commit message of an experiment's own record; `previous` as for a run."""
    subject = f"experiment {experiment.name}" + (" (removed)" if experiment.removed is not None else "")
    trailers = [
        ("Record", "experiment"),
        ("Experiment", experiment.slug),
        ("Revision", str(experiment.revision)),
        *_list_previous(previous),
        ("Format", str(FORMAT_VERSION)),
    ]
    return _write(subject, trailers)


def write_merge_message(slug: str) -> str:
    """Return the commit message of a merge, which carries no record."""
    return _write(f"merge two lines of {slug}", [("Experiment", slug), ("Format", str(FORMAT_VERSION))])


def write_epoch_message(slug: str, number: int, *, dropped: int, redacted: str = "") -> str:
    """Return the message of an epoch's first commit, which carries no record.

    `dropped` counts the runs it lists; `redacted` is a digest of what is redacted in those that are left of them.
    """
    subject = f"epoch {number} of {slug}: {dropped} run{'' if dropped == 1 else 's'} deleted or redacted so far"
    trailers = [("Epoch", str(number)), ("Experiment", slug), ("Redacted", redacted), ("Format", str(FORMAT_VERSION))]
    return _write(subject, [(key, value) for key, value in trailers if value])


def parse_epoch(message: str, *, where: str) -> EpochTrailers | None:
    """Return what the first commit of an epoch says, or None where a commit is none; raises as parse_message does."""
    if "\nEpoch: " not in message:  # this is asked of every commit
        return None
    trailers = _find_trailers(message)
    if not {"Format", "Epoch"} <= trailers.keys() or "Run" in trailers or "Record" in trailers:
        return None
    try:
        check_format(int(trailers["Format"]), where=where)
        number = int(trailers["Epoch"])
        if not 1 <= number <= _MAX_EPOCH:
            raise ValueError(f"epoch {number}")
        return EpochTrailers(trailers["Experiment"], number)
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{where}: the commit's trailers are damaged ({error})") from None


def _list_previous(trees: Iterable[str]) -> list[tuple[str, str]]:
    ids = " ".join(trees)
    return [("Previous", ids)] if ids else []


def _write(subject: str, trailers: list[tuple[str, str]]) -> str:
    return subject + "\n\n" + "".join(f"{key}: {value}\n" for key, value in trailers)


def _subject(head: str, summary: Mapping[str, MetricSummary]) -> str:
    subject, separator = head, "  "
    for metric in sorted(summary):
        part = f"{separator}{metric}={summary[metric].last:.4g}"
        if len(subject) + len(part) > _SUBJECT_WIDTH:
            break
        subject, separator = subject + part, " "
    return subject


def parse_message(message: str, *, where: str) -> RunTrailers | ExperimentTrailers | None:
    """Return what a commit's trailers say, or None where the commit is no record (a merge, somebody's own commit).

    Raises Unsupported for a newer format, and Corrupt, naming `where`, for a record whose trailers make no sense.
    """
    trailers = _find_trailers(message)
    if "Format" not in trailers or not ("Run" in trailers or "Record" in trailers):
        return None
    try:
        check_format(int(trailers["Format"]), where=where)
        if "Run" not in trailers:
            revision = int(trailers.get("Revision", "1"))
            return ExperimentTrailers(trailers["Experiment"], revision, _find_previous(trailers))
        if not layout.is_run_id(trailers["Run"]):
            raise Corrupt(f"{where}: not a run id: {trailers['Run']!r:.60}")
        return RunTrailers(
            name=_NAME.split(message, maxsplit=1)[0],
            run_id=trailers["Run"],
            revision=int(trailers["Revision"]),
            status=Status(trailers["Status"]),
            started=parse_time(trailers["Started"], where=where),
            removed="Removed" in trailers,
            experiment=trailers["Experiment"],
            source_commit=trailers.get("Source-Commit"),
            source_dirty=trailers.get("Source-Dirty") == "yes",
            parent_run=trailers.get("Parent-Run"),
            previous=_find_previous(trailers),
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{where}: the commit's trailers are damaged ({error})") from None


def _find_previous(trailers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(id for id in trailers.get("Previous", "").split() if re.fullmatch(_ID, id))


def _find_trailers(message: str) -> dict[str, str]:
    paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    pairs = (line.partition(": ") for line in paragraph.split("\n"))
    return {key: value.strip() for key, separator, value in pairs if separator}

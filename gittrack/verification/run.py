"""Checks one run after the other: the objects of its tree, then what they say, then the content of its artifacts.

What runs share, such as source files, is read once. Nothing that is damaged keeps the rest from being looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .. import layout
from ..admission import MAX_PART_SIZE, MAX_RECORD_SIZE, find_parts_fault, find_run_fault
from ..canonical import decode_object
from ..content import ContentStore
from ..errors import Corrupt, GittrackError
from ..history import History, Revision
from ..model import MetricSummary, Pointer
from ..series import SummaryBuilder, decode_part
from ..snapshot import decode_params, decode_run, decode_summary, encode_summary
from ..store import TreeEntry
from ..store.encoding import GITLINK_MODE, Kind
from .findings import Absent, Finding, Verdict, list_sections
from .objects import ObjectChecker

# How much of a run's check is done when its objects are read, and when its metrics are too.
_OBJECTS_SHARE, _METRICS_SHARE = 0.2, 0.4

Report = Callable[[float], None]


@dataclass
class _Look:
    """What has been seen of one run so far."""

    revision: Revision
    findings: list[Finding] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    objects: int = 0
    promised: int = 0
    points: int = 0
    artifacts: int = 0
    contents: int = 0

    def is_hurt(self, place: str) -> bool:
        """Tell whether a finding is about this place already, or about all that is around it."""
        return any(
            found.place in ("", place) or place.startswith(found.place.rstrip("/") + "/") for found in self.findings
        )

    def add(self, kind: str, place: str, reason: str, *, id: str = "", missing: bool = False) -> None:
        """Note what is wrong in a place, unless something there is known to be."""
        if not self.is_hurt(place):
            self.findings.append(Finding(kind, missing, place, reason, id=id))  # type: ignore[arg-type]


class Verifier:
    """Checks the runs of one store; with `read_content` the bytes of artifacts are hashed, and not just measured.

    Use it as a context manager, or close it.
    """

    def __init__(self, history: History, content: ContentStore, *, read_content: bool) -> None:
        self._history = history
        self._store = history.store
        self._content = content
        self._read_content = read_content
        self._objects = ObjectChecker(history.store)
        self._good: set[bytes] = set()
        self._promised: set[str] = set()
        self._contents: dict[Pointer, Finding | Absent | None] = {}

    def close(self) -> None:
        """Let go of what reads objects; safe to repeat."""
        self._objects.close()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def verify(self, revision: Revision, *, report: Report = lambda share: None) -> Verdict:
        """Check the revision that speaks for a run; `report` is told which share of it is done.

        Raises Unsupported where no git is installed.
        """
        look = _Look(revision)
        entries = self._check_objects(look)
        report(_OBJECTS_SHARE)
        if entries is not None:
            summary = self._check_records(look, entries)
            self._check_metrics(look, summary)
            report(_METRICS_SHARE)
            self._check_artifacts(look, report)
        findings = tuple(look.findings)
        trailers = revision.trailers
        return Verdict(
            run_id=trailers.run_id,
            name=trailers.name,
            experiment=trailers.experiment,
            commit=revision.commit.id,
            findings=findings,
            absent=tuple(look.absent),
            good=list_sections(frozenset(entries or ()), findings),
            objects=look.objects,
            promised=look.promised,
            points=look.points,
            artifacts=look.artifacts,
            contents=look.contents,
            hashed=self._read_content,
        )

    def _check_objects(self, look: _Look) -> Mapping[str, TreeEntry] | None:
        """Read every object of a run; return what is at the root of its tree, or None where that cannot be told."""
        commit = look.revision.commit
        root: Mapping[str, TreeEntry] | None = None
        wanted: dict[str, tuple[Kind, str]] = {commit.id: ("commit", ""), commit.tree: ("tree", "")}
        seen = set(wanted)
        while wanted:
            below: dict[str, tuple[Kind, str]] = {}
            for checked in self._objects.check({id: kind for id, (kind, _) in wanted.items()}):
                place = wanted[checked.id][1]
                if checked.promised:
                    look.promised += 1
                    self._promised.add(checked.id)
                if checked.fault:
                    look.add("object", place, checked.fault, id=checked.id, missing=checked.missing)
                    continue
                look.objects += not checked.promised
                if checked.id == commit.tree:
                    root = checked.entries
                for name, entry in (checked.entries or {}).items():
                    if (
                        entry.id not in seen
                        and entry.mode != GITLINK_MODE
                        and bytes.fromhex(entry.id) not in self._good
                    ):
                        seen.add(entry.id)
                        kind: Kind = "tree" if entry.is_tree else "blob"
                        below[entry.id] = (kind, f"{place}/{name}" if place else name)
            wanted = below
        if not look.findings:  # only then is every tree good with all that is in it
            self._good.update(bytes.fromhex(id) for id in seen)
        return root

    def _check_records(self, look: _Look, entries: Mapping[str, TreeEntry]) -> Mapping[str, MetricSummary] | None:
        """Read what a run's own files say; return its summary, None where that cannot be read."""
        fault = find_run_fault(entries)
        if fault is not None:
            first = fault.partition(" ")[0]
            look.add("record", first if first in entries or first == layout.RUN_FILE else ".", fault)
        self._decode(look, entries, layout.RUN_FILE, self._make_run_check(look.revision))
        self._decode(look, entries, layout.PARAMS_FILE, lambda data: decode_params(data, where=layout.PARAMS_FILE))
        self._decode(look, entries, layout.ENVIRONMENT_FILE, lambda data: decode_object(data, where="environment.json"))
        summary: dict[str, MetricSummary] = {}
        self._decode(
            look,
            entries,
            layout.SUMMARY_FILE,
            lambda data: summary.update(decode_summary(data, where=layout.SUMMARY_FILE)),
        )
        return None if look.is_hurt(layout.SUMMARY_FILE) else summary

    def _make_run_check(self, revision: Revision) -> Callable[[bytes], None]:
        trailers = revision.trailers

        def check(data: bytes) -> None:
            run = decode_run(data, where=layout.RUN_FILE)
            if (run.id, run.revision) != (trailers.run_id, trailers.revision):
                raise Corrupt(
                    f"it speaks of revision {run.revision} of {run.id}, its commit of revision {trailers.revision} of "
                    f"{trailers.run_id}"
                )

        return check

    def _decode(
        self, look: _Look, entries: Mapping[str, TreeEntry], name: str, decode: Callable[[bytes], object]
    ) -> None:
        if name not in entries or look.is_hurt(name):
            return
        try:
            decode(self._store.get_blob(entries[name].id, limit=MAX_RECORD_SIZE))
        except GittrackError as error:
            look.add("record", name, error.message)

    def _check_metrics(self, look: _Look, summary: Mapping[str, MetricSummary] | None) -> None:
        """Read every part in full, and compare what follows from the points with what the summary says."""
        directory = layout.METRICS_DIRECTORY
        builder = SummaryBuilder()
        try:
            parts = self._history.find_parts(look.revision.commit)
            entry = self._store.find_entry(look.revision.commit.tree, directory)
            fault = None if entry is None else find_parts_fault(self._store.get_tree(entry.id))
            if fault is not None:
                look.add("record", directory, fault)
        except GittrackError as error:
            look.add("record", directory, error.message)
            return
        for path, part in parts.items():
            if look.is_hurt(path) or part.id in self._promised:
                continue
            try:
                table = decode_part(self._store.get_blob(part.id, limit=MAX_PART_SIZE))
            except GittrackError as error:
                look.add("part", path, error.message)
                continue
            look.points += table.num_rows
            builder.add(table)
        whole = not any(found.place.startswith(directory) for found in look.findings)
        if summary is not None and whole and self._promised.isdisjoint(part.id for part in parts.values()):
            fault = compare_summaries(summary, builder.build())
            if fault:
                look.add("summary", layout.SUMMARY_FILE, fault)

    def _check_artifacts(self, look: _Look, report: Report) -> None:
        """Read every pointer, and look for the content it names."""
        directory = layout.ARTIFACTS_DIRECTORY
        try:
            pointers, faults = self._history.salvage_pointers(look.revision.commit)
        except GittrackError as error:
            look.add("record", directory, error.message)
            return
        for path, fault in faults.items():
            look.add("pointer", f"{directory}/{path}", fault)
        look.artifacts = len(pointers) + len(faults)
        total = sum(pointer.size for pointer in pointers.values()) or 1
        done = 0
        for path, pointer in sorted(pointers.items()):
            found = self._check_content(pointer)
            if found is None:
                look.contents += 1
            elif isinstance(found, Absent):
                look.absent.append(Absent(path, pointer))
            else:
                place = f"{directory}/{path}"
                look.findings.append(Finding("content", False, place, found.reason, id=pointer.oid, pointer=pointer))
            done += pointer.size
            report(_METRICS_SHARE + (1 - _METRICS_SHARE) * done / total)

    def _check_content(self, pointer: Pointer) -> Finding | Absent | None:
        if pointer not in self._contents:
            self._contents[pointer] = verify_content(self._content, pointer, read=self._read_content)
        return self._contents[pointer]


def verify_content(content: ContentStore, pointer: Pointer, *, read: bool) -> Finding | Absent | None:
    """Return what is wrong with a content on this machine, that it is not here, or None where it is good.

    With `read` its bytes are hashed; else its size alone is looked at. Place and path are left empty.
    """
    if not pointer.size:
        return None
    if content.find(pointer) is None:
        if content.find_stamp(pointer.oid) is None:
            return Absent("", pointer)
        return Finding(
            "content", False, "", f"its file has not {pointer.size:,} bytes", id=pointer.oid, pointer=pointer
        )
    if read:
        try:
            content.verify(pointer)
        except GittrackError as error:
            reason = "its bytes have another sha256" if isinstance(error, Corrupt) else error.message
            return Finding("content", False, "", reason, id=pointer.oid, pointer=pointer)
    return None


def compare_summaries(said: Mapping[str, MetricSummary], found: Mapping[str, MetricSummary]) -> str:
    """Return how a summary differs from what follows from the points, in words; empty where it does not."""
    for metric in sorted(said.keys() | found.keys()):
        if metric not in found:
            return f"there are no points of {metric!r:.80}"
        if metric not in said:
            return f"there are points of {metric!r:.80}, of which it says nothing"
        if encode_summary({metric: said[metric]}) != encode_summary({metric: found[metric]}):
            return f"what it says of {metric!r:.80} does not follow from the points"
    return ""


def list_revisions(history: History, slugs: Iterable[str]) -> tuple[list[Revision], list[Verdict]]:
    """Return the revisions that speak for all runs of some experiments, and a verdict of each whose history is damaged.

    A commit that cannot be understood is a finding of its own; the others are passed on.
    """
    revisions: list[Revision] = []
    verdicts = []
    for slug in slugs:
        try:
            branch = history.get_branch(slug)
        except GittrackError as error:
            verdicts.append(Verdict("", slug, slug, "", (Finding("object", False, "", error.message),)))
            continue
        revisions += branch.revisions
        if branch.damaged:
            findings = tuple(Finding("record", False, "", error.message) for error in branch.damaged)
            verdicts.append(Verdict("", slug, slug, "", findings))
    return revisions, verdicts

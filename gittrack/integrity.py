"""Checks recorded runs from end to end: what is here, and who has a copy of what is not good here.

Knows nothing of terminals; what there is to check and to ask is left to `verification` and `sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from . import layout
from .errors import Ambiguous, GittrackError, NotFound
from .history import Revision
from .lookup import choose_row
from .message import RunTrailers, parse_message
from .model import Pointer
from .tracker import Tracker
from .verification import (
    Absent,
    Copies,
    Finding,
    Verdict,
    Verifier,
    find_copies,
    list_questionable,
    list_revisions,
    verify_content,
)

_SCALE = 1000

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Inspection:
    """What became of a check: a verdict for each run, and what the content remote said it has."""

    verdicts: tuple[Verdict, ...]
    copies: Copies


def verify_runs(
    tracker: Tracker,
    refs: Sequence[str],
    *,
    read_content: bool,
    offline: bool = False,
    interactive: bool = False,
    report: Report = lambda done, total: None,
) -> Inspection:
    """Check the runs that are named, or all where none is, and say of what is damaged or not here who has it.

    With `read_content` the bytes of artifacts are read, and not just measured; `offline` asks no remote, and
    `interactive` lets git ask the person at the terminal for a password. `report` is told how much is done, of how much
    in all. Changes nothing. Raises NotFound for a run that does not exist, Unsupported where no git is installed.
    """
    verdicts: list[Verdict] = []
    if refs:
        revisions = [find_revision(tracker, ref) for ref in dict.fromkeys(refs)]
    else:
        revisions, verdicts = list_revisions(tracker.history, tracker.history.find_tips())
    total = len(revisions) * _SCALE
    with Verifier(tracker.history, tracker.content, read_content=read_content) as verifier:
        for number, revision in enumerate(revisions):

            def tell(share: float, number: int = number) -> None:
                report(int((number + share) * _SCALE), total)

            tell(0.0)
            verdicts.append(verifier.verify(revision, report=tell))
    report(total, total)
    copies = _ask(tracker, list_questionable(verdicts), offline=offline, interactive=interactive)
    return Inspection(tuple(find_copies(tracker.history, verdict, copies) for verdict in verdicts), copies)


def check_artifacts(
    tracker: Tracker,
    run_id: str,
    name: str,
    artifacts: Mapping[str, Pointer],
    *,
    faults: Mapping[str, str],
    offline: bool = False,
    interactive: bool = False,
    report: Report = lambda done, total: None,
) -> Inspection:
    """Read the content of artifacts of one run, and say of what is damaged or not here who has it.

    `faults` are what is wrong with pointers that cannot be read, by path. Else as `verify_runs`.
    """
    directory = layout.ARTIFACTS_DIRECTORY
    findings = [Finding("pointer", False, f"{directory}/{path}", fault) for path, fault in faults.items()]
    absent = []
    known: dict[Pointer, Finding | Absent | None] = {}
    total = sum(pointer.size for pointer in artifacts.values())
    done = 0
    for path, pointer in artifacts.items():
        report(done, total)
        if pointer not in known:
            known[pointer] = verify_content(tracker.content, pointer, read=True)
        found = known[pointer]
        if isinstance(found, Absent):
            absent.append(Absent(path, pointer))
        elif found is not None:
            findings.append(replace(found, place=f"{directory}/{path}"))
        done += pointer.size
    report(total, total)
    verdict = Verdict(
        run_id,
        name,
        "",
        "",
        tuple(findings),
        tuple(absent),
        artifacts=len(artifacts) + len(faults),
        contents=sum(known[pointer] is None for pointer in artifacts.values()),
        hashed=True,
    )
    copies = _ask(tracker, list_questionable([verdict]), offline=offline, interactive=interactive)
    return Inspection((find_copies(tracker.history, verdict, copies),), copies)


def find_revision(tracker: Tracker, ref: str) -> Revision:
    """Return the revision that speaks for a run, be its record damaged or not: by the index, else by the branches.

    Raises NotFound for a run that does not exist or of which nothing is committed yet, Ambiguous, and Corrupt where its
    commit itself cannot be read.
    """
    frame = tracker.load_frame(removed=True)
    try:
        row = choose_row(ref, frame)
    except Ambiguous:
        raise
    except NotFound:
        revision = tracker.history.find_revision(ref)
        if revision is None:
            raise
        return revision
    id = frame.get_attribute("commit")[row].as_py()
    if id is None:
        raise NotFound(f"run {ref} is being recorded, and nothing of it is committed yet", hint="gittrack ls")
    commit = tracker.store.get_commit(id)
    trailers = parse_message(commit.message, where=f"commit {id[:12]}")
    assert isinstance(trailers, RunTrailers)
    return Revision(commit, trailers)


def _ask(tracker: Tracker, pointers: Sequence[Pointer], *, offline: bool, interactive: bool) -> Copies:
    from .sync.holdings import ask_holdings

    if offline:
        return Copies(unknown="no remote was asked")
    if not pointers:
        return Copies()
    try:
        found = ask_holdings(tracker.repository, pointers, settings=tracker.settings, interactive=interactive)
    except GittrackError as error:
        return Copies(unknown=error.message)
    return Copies(found.remote, found.held)

"""Finds the artifacts that a command line means, and has their content fetched; what all `artifact` commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..artifact_choice import Limits, choose_allowed, find_named, is_pattern, parse_size
from ..errors import Ambiguous, Corrupt, GittrackError, NotFound
from .amounts import count, format_size
from .content_transfer import ContentTransfer
from .failure import find_close
from .session import Session
from .text import clean

if TYPE_CHECKING:
    from ..model import Pointer
    from ..tracker import Tracker

F = TypeVar("F", bound=Callable[..., Any])

PATHS = click.argument("paths", metavar="[PATH]...", nargs=-1)


@dataclass(frozen=True)
class Artifacts:
    """The artifacts of one run, by path.

    Of a run whose record is damaged or unfit, `damage` says so, and `faults` what is wrong with artifacts that are not
    among the pointers.
    """

    run_id: str
    name: str
    pointers: Mapping[str, Pointer]
    damage: GittrackError | None = None
    faults: Mapping[str, str] | None = None


def find_artifacts(tracker: Tracker, ref: str) -> Artifacts:
    """Return the artifacts of a run, as far as they can be read; raises as `Tracker.get_run` does otherwise.

    A record that is damaged or unfit as a whole still gives out those of its artifacts that are neither.
    """
    try:
        run = tracker.get_run(ref)
        return Artifacts(run.id, run.name, run.artifacts())
    except Ambiguous:
        raise
    except (Corrupt, NotFound) as error:
        from ..integrity import find_revision

        revision = find_revision(tracker, ref)
        try:
            good, faults = tracker.history.salvage_pointers(revision.commit)
        except GittrackError:
            raise error from None
        trailers = revision.trailers
        return Artifacts(trailers.run_id, trailers.name, good, damage=error, faults=faults)


def raise_damage(session: Session, found: Artifacts) -> None:
    """Name what of a damaged record could not be read, and raise Corrupt; does nothing for a good one."""
    for path, fault in (found.faults or {}).items():
        session.terminal.warn(f"artifact {clean(path)!r:.200} is refused: {fault}")
    if found.damage is not None:
        raise Corrupt(
            f"the record of run {found.name} ({found.run_id[:8]}) is damaged: {found.damage.message}",
            hint=f"gittrack verify {found.run_id[:8]}",
        )


def choose_paths(known: Iterable[str], wanted: Sequence[str], *, run: str) -> list[str]:
    """Return the artifact paths that are wanted: each names one, a directory of them, or is a pattern; all without any.

    Raises NotFound for a word that finds nothing.
    """
    paths = sorted(known)
    if not wanted:
        return paths
    chosen: dict[str, None] = {}
    for word in wanted:
        matches = find_named(paths, word)
        if not matches:
            close = find_close(word, paths)
            what = "artifact that fits" if is_pattern(word) else "artifact"
            raise NotFound(
                f"run {run} has no {what} {word!r:.200}", hint=close[0] if close else f"gittrack artifact ls {run}"
            )
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def limit_options() -> Callable[[F], F]:
    """Declare `--include`, `--exclude` and `--max-size`; `read_limits` takes what they say."""

    def declare(function: F) -> F:
        size = click.option("--max-size", metavar="SIZE", help="Nothing larger than this, such as 20m.")
        exclude = click.option("--exclude", metavar="GLOB", multiple=True, help="Nothing that fits GLOB.")
        include = click.option("--include", metavar="GLOB", multiple=True, help="Only what fits GLOB, or another.")
        return include(exclude(size(function)))

    return declare


def read_limits(include: Sequence[str], exclude: Sequence[str], max_size: str | None) -> Limits:
    """Return what the options say; raises InvalidInput for a size that is none."""
    return Limits(tuple(include), tuple(exclude), None if max_size is None else parse_size(max_size))


def choose(artifacts: Artifacts, paths: Sequence[str], limits: Limits) -> dict[str, Pointer]:
    """Return the artifacts that are wanted and within the limits, by path; raises as `choose_paths` does."""
    wanted = choose_paths(artifacts.pointers, paths, run=artifacts.name)
    return {path: artifacts.pointers[path] for path in choose_allowed(artifacts.pointers, wanted, limits)}


def fetch_missing(session: Session, tracker: Tracker, artifacts: Mapping[str, Pointer]) -> None:
    """Fetch the content of artifacts that is not here, with a progress bar.

    Raises NotFound, naming the first artifact, where nobody has the content of one, and what its transfer failed with.
    """
    missing = {pointer: path for path, pointer in artifacts.items() if tracker.content.find(pointer) is None}
    if not missing:
        return
    terminal = session.terminal
    with ContentTransfer(terminal.error_screen, "fetching content") as transfer:
        done = tracker.fetch_contents(missing, report=transfer, asking=terminal.error_screen.interactive)
    if done.moved:
        terminal.note(f"fetched {count(len(done.moved), 'file')}, {format_size(sum(p.size for p in done.moved))}")
    for failed in done.failed[1:]:
        terminal.warn(f"artifact {clean(missing[failed.pointer])}: {failed.error.message}")
    if done.failed:
        raise done.failed[0].error
    if done.missing:
        pointer = done.missing[0]
        raise NotFound(
            f"the content of artifact {missing[pointer]!r:.200} ({format_size(pointer.size)}, sha256 "
            f"{pointer.oid[:12]}) is neither on this machine nor with the remote",
            hint="gittrack push --content  # where the run was recorded",
        )

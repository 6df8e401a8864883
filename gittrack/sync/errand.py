"""Pushes in the background: what is wanted, who is at it, and what became of it. It never delays or fails a run.

One process at a time does it; whoever wants a push leaves a mark, and starts one where none is at work. A mark is taken
away only when its push is in, so that what one killed process owed the next one does.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import layout
from ..background import start_in_background
from ..errors import GittrackError
from ..repository import Repository
from ..transport.failure import TransportFailed

if TYPE_CHECKING:
    from .pushing import Pushed

# Its own source of chance: the module-wide one belongs to the user's experiment, which may have seeded it.
_chance = random.SystemRandom()

_MAX_LOG = 256 << 10
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0


@dataclass(frozen=True)
class Report:
    """What became of the last push in the background: when (UTC microseconds), of what, and what was in the way."""

    time: int
    experiments: tuple[str, ...]
    pushed: bool
    message: str = ""
    hint: str = ""


class Errand:
    """The pushes that one store is owed."""

    def __init__(self, common_directory: Path) -> None:
        self._directory = layout.push_directory(common_directory)

    @property
    def log(self) -> Path:
        """Where the process in the background writes what it has to say."""
        return self._directory / "log"

    def want(self, slug: str) -> None:
        """Leave a mark that an experiment is to be pushed; raises OSError."""
        (self._directory / "wanted").mkdir(parents=True, exist_ok=True)
        (self._directory / "wanted" / slug).touch()

    def list_wanted(self) -> list[str]:
        """Return the experiments that are to be pushed, or are being pushed, sorted."""
        found: set[str] = set()
        for name in ("wanted", "doing"):
            with suppress(OSError):
                found.update(os.listdir(self._directory / name))
        return sorted(slug for slug in found if layout.is_slug(slug))

    def take(self) -> list[str]:
        """Take all marks in hand, those of a dead process too, and return their experiments; only for who holds it."""
        doing = self._directory / "doing"
        doing.mkdir(parents=True, exist_ok=True)
        for slug in self.list_wanted():
            with suppress(FileNotFoundError):
                os.replace(self._directory / "wanted" / slug, doing / slug)
        return sorted(slug for slug in os.listdir(doing) if layout.is_slug(slug))

    def finish(self, slugs: Iterable[str]) -> None:
        """Take away the marks in hand of what is pushed, or will not be."""
        for slug in slugs:
            (self._directory / "doing" / slug).unlink(missing_ok=True)

    def settle(self, slugs: Iterable[str]) -> None:
        """Take away all marks of experiments that somebody has pushed by hand, and the report that says they failed."""
        for slug in slugs:
            for name in ("wanted", "doing"):
                (self._directory / name / slug).unlink(missing_ok=True)
        report = self.find_report()
        if report is not None and not report.pushed and not self.list_wanted():
            (self._directory / "report.json").unlink(missing_ok=True)

    @contextmanager
    def hold(self, attempts: int = 1) -> Iterator[bool]:
        """Be the one process that pushes in the background; gives False where another one is.

        Who only asks whether there is one holds the lock for a moment, so whoever means it attempts it several times.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield any(_try_lock(descriptor, wait=number > 0) for number in range(attempts))
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Tell whether a process is pushing in the background."""
        if not (self._directory / "lock").exists():
            return False
        with self.hold() as free:
            return not free

    def write_report(self, report: Report) -> None:
        """Say what became of a push; the last word stays."""
        temporary = self._directory / f"report.{os.getpid()}"
        temporary.write_text(json.dumps(asdict(report)), encoding="utf-8")
        os.replace(temporary, self._directory / "report.json")

    def find_report(self) -> Report | None:
        """Return what became of the last push in the background, if there was one."""
        try:
            found = json.loads((self._directory / "report.json").read_text(encoding="utf-8"))
            return Report(**{**found, "experiments": tuple(found["experiments"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def trim_log(self) -> None:
        """Keep the end of a log that has grown long."""
        with suppress(OSError):
            if self.log.stat().st_size > _MAX_LOG:
                self.log.write_bytes(self.log.read_bytes()[-_MAX_LOG // 2 :])


def _try_lock(descriptor: int, *, wait: bool) -> bool:
    if wait:
        time.sleep(_chance.uniform(0.01, 0.05))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def request_push(repository: Repository, slug: str, *, directory: Path, remote: str | None) -> None:
    """Let an experiment be pushed in the background; takes a few milliseconds and never raises.

    `directory` is where the settings are looked for, `remote` the one that is set, if any.
    """
    errand = Errand(repository.common_directory)
    try:
        errand.want(slug)
        if errand.is_held():
            return
    except OSError:
        return
    arguments = ["push", "--store", str(repository.directory), "--detached", *([remote] if remote else [])]
    start_in_background(arguments, directory=directory, log=errand.log)


def run_errands(
    errand: Errand, push: Callable[[Sequence[str]], Sequence[Pushed]], *, now: Callable[[], int], patience: float
) -> None:
    """Push what is wanted until nothing is; where the remote cannot be used for now, try again for `patience` seconds.

    Leaves at once where another process is at it. Writes a report. Raises the GittrackError of a failure that will not
    pass by itself; what is wanted stays wanted, for the next who asks.
    """
    while errand.list_wanted():
        with errand.hold(attempts=10) as held:
            if not held:
                return
            errand.trim_log()
            deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
            while slugs := errand.take():
                if _deliver(errand, slugs, push, now):
                    continue
                if time.monotonic() + pause > deadline:
                    return
                time.sleep(_chance.uniform(pause / 2, pause))
                pause = min(pause * 2, _LONGEST_PAUSE)


def _deliver(
    errand: Errand, slugs: Sequence[str], push: Callable[[Sequence[str]], Sequence[Pushed]], now: Callable[[], int]
) -> bool:
    """Push, and report; tell whether to go on at once. Raises what will not pass by itself, after reporting it."""
    try:
        results = push(slugs)
    except GittrackError as error:
        errand.write_report(Report(now(), tuple(slugs), pushed=False, message=error.message, hint=error.hint or ""))
        if not (isinstance(error, TransportFailed) and error.passing):
            raise
        return False
    refused = [result for result in results if result.failure is not None]
    gone = [result.slug for result in results if result.result == "deleted"]
    errand.finish(slug for slug in slugs if slug not in {result.slug for result in refused})
    lasting = [r.failure for r in refused if not (isinstance(r.failure, TransportFailed) and r.failure.passing)]
    failure = next(iter(lasting or [result.failure for result in refused]), None)
    if failure is not None:
        slugs = [result.slug for result in refused]
        errand.write_report(Report(now(), tuple(slugs), pushed=False, message=failure.message, hint=failure.hint or ""))
        if not lasting:
            return False
        raise failure
    message = f"{', '.join(gone)} was deleted there, and is not pushed again unless it is named" if gone else ""
    errand.write_report(Report(now(), tuple(slugs), pushed=not gone, message=message))
    return True

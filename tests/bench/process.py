"""Owns the measured processes as their parent sees them: one child a tracker, each in a repository of its own.

A child per tracker, and not all in one: a peer's threads, its imports and its garbage then weigh on nobody else, and
peers that cannot be installed together can still be measured together. The children take turns, round by round.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .driven.trackers import TRACKERS
from .scratch import hermetic_environment, make_repository

CHILD = Path(__file__).resolve().parent / "driven"
CHECKOUT = CHILD.parents[2]
QUIET_SECONDS = 8.0


class TrackerFailed(Exception):
    """A tracker answered a command with an error, or its process ended."""


class TrackerProcess:
    """A child that drives one tracker; a context manager that ends it and all it started.

    It stands in `repository`, or in a new one with `files` files. The gittrack it imports is this checkout's.
    """

    def __init__(
        self, name: str, python: str, directory: Path, *, files: int = 0, repository: Path | None = None
    ) -> None:
        self.name = name
        self.repository = repository or make_repository(directory / "code", files)
        environment = hermetic_environment(directory / "home")
        if name == "gittrack":
            environment["PYTHONPATH"] = str(CHECKOUT)
        self.data = directory / "data"
        self.data.mkdir()
        self.log = directory / "child.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, str(CHILD), name, str(self.data)],
                cwd=self.repository,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def send(self, command: str, **arguments: Any) -> None:
        """Give the child a command without waiting for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise TrackerFailed(f"its process has ended: {self._read_end_of_log()}") from error

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to the command given last; raises TrackerFailed where that is an error."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise TrackerFailed(f"its process has ended: {self._read_end_of_log()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TrackerFailed(answer["error"])
        return answer

    def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Give the child a command and return its answer."""
        self.send(command, **arguments)
        return self.receive()

    def settle(self) -> None:
        """Wait until the child and all it started are idle: what a tracker left to a thread is done by then."""
        if not Path("/proc/self/stat").exists():
            time.sleep(0.2)
            return
        deadline, last = time.monotonic() + QUIET_SECONDS, -1
        while (ticks := self._count_ticks()) != last and time.monotonic() < deadline:
            last = ticks
            time.sleep(0.05)

    def _count_ticks(self) -> int:
        ticks = 0
        for directory in Path("/proc").iterdir():
            if not directory.name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError):
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._process.pid:  # the session
                    ticks += int(fields[11]) + int(fields[12])
        return ticks

    def _read_end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """End the child and every process of its session."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> TrackerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def find_installed(pythons: Sequence[str]) -> dict[str, str]:
    """Return, for each tracker that one of the interpreters can import, the first such interpreter."""
    found: dict[str, str] = {}
    for python in pythons:
        done = subprocess.run([python, str(CHILD), "--installed"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{python} cannot drive a tracker: {done.stderr.strip()}")
        for name in json.loads(done.stdout):
            found.setdefault(name, python)
    return found


@contextlib.contextmanager
def open_trackers(
    names: Sequence[str], pythons: Mapping[str, str], directory: Path, *, files: int
) -> Iterator[tuple[dict[str, TrackerProcess], dict[str, str]]]:
    """Start and open a child for each name; gives those that opened, and why each other one is left out."""
    opened: dict[str, TrackerProcess] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(names):
            if name not in pythons:
                missing[name] = f"{TRACKERS[name].package} is not installed"
                continue
            place = directory / f"{number:02d}"
            place.mkdir(parents=True)
            process = stack.enter_context(TrackerProcess(name, pythons[name], place, files=files))
            try:
                process.do("open")
            except TrackerFailed as error:
                missing[name] = str(error)
                continue
            process.settle()
            opened[name] = process
        yield opened, missing

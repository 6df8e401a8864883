"""Gives a part of a long reading to a second process, which lays its runs out and writes their segments.

Reading very many records is work for a processor, of which Python uses one at a time. Whatever goes wrong with the
second process, its part is read here after all. Knows nothing of which runs those are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import GittrackError
from ..frame import Block
from ..history import History
from ..repository import get_repository
from ..store import open_store
from ..store.disk import parse_sharing
from .finding import Damage, Finding
from .loader import Loader, uncollected
from .reader import GitReader
from .segment_file import open_segment, read_stored, write_segment
from .state import Piece, make_piece

# With fewer runs the second process would hardly have begun when the first one is done.
LEAST = 6000

# How much longer than this one the second process may take, in seconds.
PATIENCE = 300.0

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from gittrack.index.share import work; work()"


class ShareFailed(Exception):
    """The second process did not do its part."""


class Share:
    """The part that a second process does. Collect it, or cancel it."""

    def __init__(
        self, process: subprocess.Popen[bytes], directory: Path, findings: Sequence[Finding], *, width: int
    ) -> None:
        self._process = process
        self._directory = directory
        self._width = width
        self.findings = findings

    def collect(self) -> tuple[list[Piece], list[Damage]]:
        """Wait for the end, and return the pieces and what could not be read; raises ShareFailed."""
        try:
            output, _ = self._process.communicate(timeout=PATIENCE)
            *said, last = [json.loads(line) for line in output.splitlines()]
            damages = [Damage(**{**entry, "order": tuple(entry["order"])}) for entry in last["damages"]]
            stored = [read_stored(entry) for entry in said]
            pieces = [open_segment(self._directory, entry, width=self._width) for entry in stored]
        except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, TypeError, GittrackError) as error:
            raise ShareFailed from error
        finally:
            self.cancel()
        if self._process.returncode != 0 or sum(piece.height for piece in pieces) + len(damages) != len(self.findings):
            raise ShareFailed
        return pieces, damages

    def cancel(self) -> None:
        """End the second process where it still runs; safe to repeat."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()


def start_share(history: History, directory: Path, findings: Sequence[Finding]) -> Share | None:
    """Start a second process on some findings; its segments go to directory. None where that cannot be done."""
    if not sys.executable or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()) == 1:
        return None
    repository = history.store.repository
    order = {
        "repository": os.fspath(repository.directory),
        "namespace": history.namespace,
        "directory": os.fspath(directory),
        "findings": findings,
    }
    try:
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(order).encode())
            file.seek(0)
            # Its own session, so that Ctrl-C is for this process alone, which then ends the other.
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, *(entry for entry in sys.path if entry)],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except (OSError, ValueError):
        return None
    return Share(process, directory, findings, width=repository.id_length // 2)


def work() -> None:
    """Do what the order on standard input says: write segments, and say a line of each on standard output."""
    order = json.loads(sys.stdin.buffer.read())
    repository = get_repository(Path(order["repository"]))
    sharing = parse_sharing(repository.config.find("core.sharedrepository"))
    findings = [Finding(run_id, tuple(place), tree) for run_id, place, tree in order["findings"]]

    def emit(block: Block) -> None:
        piece = make_piece(block, (), width=repository.id_length // 2)
        _say(asdict(write_segment(Path(order["directory"]), piece, sharing=sharing)))

    with open_store(repository) as store, GitReader(store) as reader, uncollected():
        loader = Loader(History(store, order["namespace"]), reader, emit=emit)
        loader.load(findings, advance=lambda count: None)
    _say({"damages": [damage._asdict() for damage in loader.damages]})


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()

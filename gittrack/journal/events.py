"""Owns events.jsonl, the log of everything in a journal but points: one event a line, each with its own checksum.

Knows nothing of what events mean. Several processes may append to one log.

A line is the crc32 of the JSON text as 8 lowercase hex digits, a space, the JSON text, a newline. The text is one
compact object in ASCII: whatever else is in a string is escaped, so every Python string survives, also one with lone
surrogates such as an undecodable file name. NaN and the infinities stand as the bare words NaN, Infinity, -Infinity.
Tuples come back as lists. Lines that are empty mean nothing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar
from zlib import crc32

from ..errors import InvalidInput, StoreFailed
from .lock import wait_for_flock

Event = dict[str, Any]

EVENTS_FILE = "events.jsonl"

_T = TypeVar("_T")

_PATIENCE = 10.0
_LINE_START = re.compile(rb"(?=[0-9a-f]{8} \{)")

_encode_json = json.JSONEncoder(separators=(",", ":")).encode


class EventLog:
    """One process's hold on an event log that others may append to at the same time.

    What `append` wrote survives `kill -9`, and after `sync` a power failure too. Safe for threads. Safe for signal
    handlers: one that interrupts an append may append, read or close (the file is then closed when the append is done).
    After a fork the child must call `abandon`, and open a log of its own.
    """

    def __init__(self, path: Path) -> None:
        """Open the log at path, which is created (mode 0600) where it is missing; raises OSError."""
        self._path = path
        self._lock = RLock()
        self._depth = 0
        self._locked = False
        self._closed = False
        self._read_to = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @property
    def closed(self) -> bool:
        """Whether the log refuses further use, because it was closed or abandoned."""
        return self._closed

    def append(self, event: Mapping[str, object]) -> None:
        """Append one event, with one write.

        Raises OSError where the disk is full or the log stays locked, with nothing left of the event; InvalidInput
        where JSON cannot express it; StoreFailed once closed.
        """
        line = encode_event(event)
        self._alone(lambda: self._write(line))

    def append_checked(self, make_event: Callable[[list[Event]], Mapping[str, object] | None]) -> None:
        """Append the event that `make_event` returns, if any, while no other process can append.

        It is given what `read_new` would have returned: with that it knows everything in the log, and can decide or
        raise, upon which nothing is appended. Those events count as read. It must be quick, as other processes wait.
        Raises what `append` raises.
        """

        def decide() -> None:
            event = make_event(self._take_new())
            if event is not None:
                self._write(encode_event(event))

        self._alone(decide)

    def read_new(self) -> list[Event]:
        """Return the events since the last call, in the order of the log, whoever appended them: this process's too."""
        return self._alone(self._take_new)

    def sync(self) -> None:
        """Make the log durable against power failure; raises OSError where the disk fails."""
        with self._lock:
            self._check_open()
            file = os.dup(self._file)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the log; safe to repeat."""
        with self._lock:
            self._closed = True
            if self._depth == 0:
                self.abandon()

    def abandon(self) -> None:
        """Close this process's copy of the file without unlocking it: what a forked child must do first."""
        self._lock = RLock()
        self._closed = True
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _alone(self, action: Callable[[], _T]) -> _T:
        # A signal handler may come back in here at any call. It finds the file locked, or locks it: the lock belongs to
        # the open file, so it is the same one. Only the outermost action unlocks it, and closes the file if need be.
        with self._lock:
            self._check_open()
            self._depth += 1
            try:
                if not self._locked:
                    if not wait_for_flock(self._file, fcntl.LOCK_EX, timeout=_PATIENCE):
                        raise OSError(
                            errno.EAGAIN, f"locked by another process for over {_PATIENCE:g} s", str(self._path)
                        )
                    self._locked = True
                return action()
            finally:
                self._depth -= 1
                if self._depth == 0 and self._file >= 0:
                    self._locked = False
                    fcntl.flock(self._file, fcntl.LOCK_UN)
                    if self._closed:
                        self.abandon()

    def _write(self, line: bytes) -> None:
        end = os.lseek(self._file, 0, os.SEEK_END)
        if end and os.pread(self._file, 1, end - 1) != b"\n":
            line = b"\n" + line
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        if written < len(line):
            if os.lseek(self._file, 0, os.SEEK_END) == end + written:
                os.ftruncate(self._file, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def _take_new(self) -> list[Event]:
        while True:
            start = self._read_to
            data = _read_from(self._file, start)
            end = data.rfind(b"\n") + 1
            events, _ = _decode_lines(data[:end].split(b"\n"))
            last = _decode_line(data[end:])
            if last is not None:
                events.append(last)
                end = len(data)
            # No jump between the comparison and the claim: a signal handler could read in between.
            claimed = self._read_to == start
            self._read_to += claimed * end
            if claimed:
                return events

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed(f"the event log {self._path} is closed")


def read_events(path: Path) -> tuple[list[Event], int]:
    """Return the events of a log and the number of damaged lines that were passed over.

    A last line without its end, which a dying process leaves behind, is passed over and not counted. Raises OSError
    where the file cannot be read; its content, however damaged, raises nothing.
    """
    with open(path, "rb") as stream:
        lines = stream.read().split(b"\n")
    last = lines.pop()
    events, damaged = _decode_lines(lines)
    event = _decode_line(last)
    if event is not None:
        events.append(event)
    return events, damaged


def encode_event(event: Mapping[str, object]) -> bytes:
    """Return an event's line, newline included; raises InvalidInput where JSON cannot express it."""
    try:
        text = _encode_json(dict(event)).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"an event cannot be written as JSON: {error}") from error
    return b"%08x %s\n" % (crc32(text), text)


def _decode_lines(lines: Iterable[bytes]) -> tuple[list[Event], int]:
    events: list[Event] = []
    damaged = 0
    for line in lines:
        if not line:
            continue
        event = _decode_line(line)
        if event is None:
            damaged += 1
            event = _find_event(line)
        if event is not None:
            events.append(event)
    return events, damaged


def _decode_line(line: bytes) -> Event | None:
    if line[8:9] != b" " or line[:8] != b"%08x" % crc32(line[9:]):
        return None
    try:
        event = json.loads(line[9:].decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _find_event(line: bytes) -> Event | None:
    """Return the good event that a damaged line ends with: the one after a damaged line end, or after lost blocks."""
    for match in _LINE_START.finditer(line, 1):
        event = _decode_line(line[match.start() :])
        if event is not None:
            return event
    return None


def _read_from(file: int, start: int) -> bytes:
    parts = []
    while part := os.pread(file, 16 << 20, start):
        parts.append(part)
        start += len(part)
    return b"".join(parts)

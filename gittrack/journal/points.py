"""Owns the points file of a journal: rows of metric values appended to a mapped file, and read back.

Knows nothing of runs, events, git, or what metrics are called: a row names its key set by a number, and the caller
keeps the names.

The file, little-endian, in units of 8 bytes: a header (magic 8s, version u32, mark u32, zeros 12s, crc32 u32), then
records (see `row`), then perhaps zeros, preallocated and not used yet. The mark is random, odd, and repeated in each
record. It is what a reader looks for after damage: a place that holds the mark where a record would have it, a sane
size and the right checksum is a record. Neither zeros nor stale blocks of another file can pass for one.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from time import time_ns
from typing import SupportsFloat
from zlib import crc32

from ..errors import InvalidInput, StoreFailed, Unsupported
from .row import (
    HEAD_SIZE,
    MAX_RECORD_SIZE,
    KeySet,
    check_integer,
    check_names,
    check_reals,
    is_record,
    pack_carefully,
    pack_checksum,
    unpack_head,
)

_FIRST_WINDOW = 64 << 10
_LAST_WINDOW = 4 << 20
_CHUNK = 2 << 20

_MAGIC = b"GTPOINTS"
_VERSION = 1
_HEADER = struct.Struct("<8sII12s")
_HEADER_SIZE = 32

_NO_PREALLOCATION = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)


class _Window:
    """The mapped stretch of a points file, from offset base to limit. It is unmapped when nobody refers to it."""

    __slots__ = ("base", "limit", "memory")

    def __init__(self, base: int, limit: int, memory: mmap.mmap) -> None:
        self.base = base
        self.limit = limit
        self.memory = memory


_NO_WINDOW = _Window(0, 0, mmap.mmap(-1, 1))
_CLOSED = 1 << 62


class PointsWriter:
    """Appends rows to one points file, which this process alone writes.

    A row is in the file when `log` returns: it survives `kill -9`, and after `sync` a power failure too. Safe for
    threads. Safe for signal handlers: one that interrupts `log` may log, sync or close. No lock is held while foreign
    code runs (`__float__` of a value, `define_keys`). After a fork the child must call `abandon` before anything else.
    """

    def __init__(self, path: Path, *, define_keys: Callable[[int, tuple[str, ...]], None]) -> None:
        """Create the file at path (mode 0600), which must not exist.

        `define_keys(number, names)` is called before the first row of a new key set is written, and the row is not
        written where it raises. Numbers count from 0, and may have gaps; rarely, two numbers stand for the same names.
        Raises OSError, and leaves no file, where the file or its first window cannot be had.
        """
        self._path = path
        self._define_keys = define_keys
        self._lock = RLock()
        self._key_sets: dict[tuple[object, ...], KeySet] = {}
        self._key_set_count = 0
        self._plain_types: set[type] = {float, int, bool}
        self._mark = int.from_bytes(os.urandom(4), "little") | 1
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._window_size = _FIRST_WINDOW
        try:
            self._window = self._map_window(0, _FIRST_WINDOW)
        except BaseException:
            os.close(self._file)
            os.unlink(path)
            raise
        header = _HEADER.pack(_MAGIC, _VERSION, self._mark, bytes(12))
        self._window.memory[:_HEADER_SIZE] = header + pack_checksum(crc32(header))
        self._end = self._last_end = _HEADER_SIZE

    @property
    def path(self) -> Path:
        """The file the rows go to."""
        return self._path

    @property
    def offset(self) -> int:
        """The end of the last row, in bytes from the start of the file; every row before it is complete."""
        with self._lock:
            end = self._end
            return self._last_end if end == _CLOSED else end

    @property
    def closed(self) -> bool:
        """Whether the writer refuses rows, because it was closed or abandoned."""
        return self._file < 0

    def log(self, metrics: Mapping[str, SupportsFloat], step: int | None = None, timestamp: int | None = None) -> None:
        """Append one row: a value for each of the metrics at one step and time.

        `step` is any int64, or None for one more than the last step of the same keys in the same order, from 0.
        `timestamp` is UTC microseconds, or None for now. An empty mapping logs nothing. Raises InvalidInput for keys,
        values, steps or timestamps that cannot be recorded, OSError where the disk is full, StoreFailed once closed;
        nothing of the row is written then, and the next call is as good as the first.
        """
        try:
            key_set = self._key_sets[tuple(metrics)]
        except (KeyError, TypeError):
            if isinstance(metrics, Mapping) and not metrics:
                return
            key_set = self._add_key_set(metrics)
        self._append(key_set, metrics.values(), step, timestamp)

    def log_one(self, key: str, value: SupportsFloat, step: int | None = None, timestamp: int | None = None) -> None:
        """Append one row of one metric: the same as `log({key: value}, step, timestamp)`, and quicker."""
        try:
            key_set = self._key_sets[key,]
        except (KeyError, TypeError):
            key_set = self._add_key_set({check_names((key,))[0]: value})
        self._append(key_set, (value,), step, timestamp)

    def sync(self) -> None:
        """Make every row logged so far durable against power failure; raises OSError where the disk fails."""
        with self._lock:
            if self._file < 0:
                raise self._closed_error()
            if sys.platform != "linux":
                self._window.memory.flush()
            file = os.dup(self._file)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Cut the preallocated tail off and close the file; safe to repeat. Raises OSError where the cut fails."""
        with self._lock:
            file, self._file = self._file, -1
            if file < 0:
                return
            self._last_end, self._end = self._end, _CLOSED
            self._window = _NO_WINDOW
            try:
                os.ftruncate(file, self._last_end)
            finally:
                os.close(file)

    def abandon(self) -> None:
        """Let go of the file without a trace on it: what a forked child must do first. The writer is closed then."""
        self._lock = RLock()
        file, self._file = self._file, -1
        if file >= 0:
            self._last_end, self._end = self._end, _CLOSED
            self._window = _NO_WINDOW
            os.close(file)

    def _append(
        self, key_set: KeySet, values: Collection[SupportsFloat], step: int | None, timestamp: int | None
    ) -> None:
        if step is not None and type(step) is not int:
            step = check_integer(step, "step")
        if timestamp is None:
            timestamp = time_ns() // 1000
        elif type(timestamp) is not int:
            timestamp = check_integer(timestamp, "timestamp")
        if not self._plain_types.issuperset(map(type, values)):
            self._plain_types |= check_reals(key_set.names, values)
        # The record is finished before a place is claimed for it. A signal handler may run, and log,
        # after any call or jump. So there is neither between the look at what handlers and threads changed meanwhile
        # and the moment when the row is in place. Where that place is not free, the claim is of no length, so it claims
        # nothing and the assignment fails.
        size = key_set.size
        while True:
            before = key_set.next_step
            number = before if step is None else step
            try:
                body = key_set.pack(key_set.head, number, timestamp, *values)
            except struct.error:
                body = pack_carefully(key_set, number, timestamp, values)
            record = pack_checksum(crc32(body)) + body
            with self._lock:
                try:
                    window = self._window
                    start = self._end
                    free = (start + size <= window.limit) & (key_set.next_step == before)
                    key_set.next_step += free * (number + 1 - before)
                    self._end = end = start + free * size
                    window.memory[start - window.base : end - window.base] = record
                    return
                except IndexError:
                    if start + size > window.limit:
                        self._move_window(start, size)
            values = key_set.unpack(body)[3:]

    def _add_key_set(self, metrics: Mapping[str, SupportsFloat]) -> KeySet:
        if not isinstance(metrics, Mapping):
            raise InvalidInput(f"metrics must be a mapping of names to numbers, not {type(metrics).__name__}")
        names = check_names(tuple(metrics))
        known = self._key_sets.get(names)
        if known is None:
            with self._lock:
                if self._file < 0:
                    raise self._closed_error()
                number = self._key_set_count
                self._key_set_count = number + 1
            made = KeySet(number, names, self._mark)
            pack_carefully(made, 0, 0, metrics.values())
            self._define_keys(number, names)
            known = self._key_sets.setdefault(names, made)
        return known

    def _move_window(self, start: int, size: int) -> None:
        """Map a window with room for size bytes from offset start; the lock is held.

        A signal handler may log or close meanwhile. Then this window is not where the next row goes, and is replaced.
        """
        base = start - start % mmap.ALLOCATIONGRANULARITY
        smallest = start + size - base
        smallest += -smallest % mmap.ALLOCATIONGRANULARITY
        try:
            window = self._map_window(base, max(smallest, min(2 * self._window_size, _LAST_WINDOW)))
        except OSError:
            window = self._map_window(base, max(smallest, _FIRST_WINDOW))
        self._window_size = window.limit - base
        self._window = window

    def _map_window(self, base: int, length: int) -> _Window:
        """Return a window whose every byte has its place on disk, so that writing to it cannot end in SIGBUS."""
        try:
            if self._file >= 0:
                self._allocate(base, length)
                return _Window(base, base + length, mmap.mmap(self._file, length, offset=base))
        except OSError as error:
            if self._file >= 0:
                raise OSError(error.errno, error.strerror, str(self._path)) from None
        raise self._closed_error()

    def _allocate(self, base: int, length: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._file, base, length)
                return
            except OSError as error:
                if error.errno not in _NO_PREALLOCATION:
                    raise
        # The file is open for appending, so these zeros can never land on rows, whoever logs in between.
        while (missing := base + length - os.lseek(self._file, 0, os.SEEK_END)) > 0:
            os.write(self._file, bytes(min(missing, _FIRST_WINDOW)))

    def _closed_error(self) -> StoreFailed:
        return StoreFailed(f"the points file {self._path} is closed, so the row was not recorded")


@dataclass(frozen=True)
class Rows:
    """Rows of one key set in the order they were logged.

    `values` is row after row: with `width` metrics in the key set, those of the k-th metric are `values[k::width]`.
    """

    key_set: int
    width: int
    steps: array[int]
    timestamps: array[int]
    values: array[float]


@dataclass(frozen=True)
class Batch:
    """Some successive rows of a points file, sorted by key set.

    `end` is the offset after the last of these rows: give it as `start` to read on later. `skipped` counts the bytes of
    damage that were passed over on the way to it.
    """

    rows: tuple[Rows, ...]
    end: int
    skipped: int


def read_points(path: Path, *, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
    """Yield the rows of a points file from offset start, in batches of at most 2 MiB of the file (53,000 rows).

    `start` is 0 or the `end` of an earlier batch; records that reach beyond `stop` are left out. The file may be
    written to meanwhile: reading ends after the last complete record. A damaged record is skipped and counted; what
    lies behind the last good one (zeros, or what a dying process left half written) is not. A file without a row yields
    nothing. Raises OSError where the file cannot be read, Unsupported where a newer version of gittrack wrote it; the
    content itself, however damaged, raises nothing.
    """
    with open(path, "rb", buffering=0) as stream:
        file = stream.fileno()
        mark = _read_mark(file)
        position = max(start + -start % 8, _HEADER_SIZE)
        skipped = 0
        while mark is not None:
            rows, length = _scan(_read(file, position, _CHUNK, stop), mark)
            position += length
            if rows:
                yield Batch(rows, position, skipped)
                skipped = 0
                continue
            found = _find_record(file, position + 8, mark, stop)
            if found is None:
                return
            # The record here may have been in the making when it was read. A later one is there now, so this one is
            # complete by now or never will be.
            if not _is_record_at(file, position, mark, stop):
                skipped += found - position
                position = found


def find_end(path: Path, *, start: int = 0) -> int:
    """Return the offset after the last good record of a points file, or start where there is none after it."""
    end = start
    for batch in read_points(path, start=start):
        end = batch.end
    return end


def _read(file: int, position: int, size: int, stop: int | None) -> bytes:
    return os.pread(file, size if stop is None else max(0, min(size, stop - position)), position)


def _scan(data: bytes, mark: int) -> tuple[tuple[Rows, ...], int]:
    """Return the rows of the whole, good records that data begins with, and the length of those records."""
    view = memoryview(data)
    groups: dict[tuple[int, int], tuple[bytearray, bytearray]] = {}
    length = len(data)
    at = 0
    while at <= length - HEAD_SIZE:
        checksum, found, size, key_set = unpack_head(data, at)
        end = at + size
        if found != mark or end > length or size <= HEAD_SIZE or size & 7 or crc32(view[at + 4 : end]) != checksum:
            break
        group = groups.get((key_set, size))
        if group is None:
            group = groups[key_set, size] = (bytearray(), bytearray())
        times, values = group
        times += view[at + 16 : at + 32]
        values += view[at + 32 : end]
        at = end
    return tuple(_make_rows(key_set, size, *group) for (key_set, size), group in groups.items()), at


def _make_rows(key_set: int, size: int, times: bytearray, values: bytearray) -> Rows:
    integers, floats = array("q"), array("d")
    integers.frombytes(times)
    floats.frombytes(values)
    if sys.byteorder == "big":
        integers.byteswap()
        floats.byteswap()
    return Rows(key_set, (size - HEAD_SIZE) // 8, integers[0::2], integers[1::2], floats)


def _find_record(file: int, position: int, mark: int, stop: int | None) -> int | None:
    """Return the offset of the first good record at or after position, or None."""
    needle = pack_checksum(mark)
    while len(data := _read(file, position, _CHUNK, stop)) >= HEAD_SIZE:
        at = data.find(needle, 4)
        while at >= 0:
            if at % 8 == 4 and _is_record_at(file, position + at - 4, mark, stop):
                return position + at - 4
            at = data.find(needle, at + 1)
        position += len(data) - len(data) % 8
    return None


def _is_record_at(file: int, position: int, mark: int, stop: int | None) -> bool:
    head = _read(file, position, HEAD_SIZE, stop)
    if len(head) < HEAD_SIZE:
        return False
    size = unpack_head(head)[2]
    return HEAD_SIZE < size <= MAX_RECORD_SIZE and size % 8 == 0 and is_record(_read(file, position, size, stop), mark)


def _read_mark(file: int) -> int | None:
    """Return the file's mark: from its header or, where that is damaged, what most records agree on; None if none."""
    data = os.pread(file, _HEADER_SIZE, 0)
    if len(data) == _HEADER_SIZE and data[-4:] == pack_checksum(crc32(data[:-4])):
        magic, version, mark, _ = _HEADER.unpack_from(data)
        if magic == _MAGIC and version != _VERSION:
            raise Unsupported(f"a points file of format {version}; this gittrack reads format {_VERSION}")
        if magic == _MAGIC:
            return int(mark)
    return _guess_mark(file)


def _guess_mark(file: int) -> int | None:
    votes: Counter[int] = Counter()
    position = 0
    while votes.total() < 64 and len(data := os.pread(file, _CHUNK, position)) >= HEAD_SIZE:
        at = 0
        while at <= len(data) - HEAD_SIZE and votes.total() < 64:
            _, mark, size, _ = unpack_head(data, at)
            if mark & 1 and HEAD_SIZE < size <= MAX_RECORD_SIZE and _is_record_at(file, position + at, mark, None):
                votes[mark] += 1
                at += size
            else:
                at += 8
        position += at
    return votes.most_common(1)[0][0] if votes else None

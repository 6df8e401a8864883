"""The points file: rows survive kills, full disks, forks, threads, signal handlers and damage."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import random
import resource
import signal
import stat
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from children import Child, run_in_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.errors import InvalidInput, StoreFailed, Unsupported
from gittrack.journal.points import PointsWriter, find_end, read_points

Row = tuple[int, int, int, tuple[float, ...]]

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
HEADER = 32


def open_writer(path: Path, keys: dict[int, tuple[str, ...]] | None = None) -> PointsWriter:
    return PointsWriter(path, define_keys=({} if keys is None else keys).__setitem__)


def read_rows(path: Path, *, start: int = 0, stop: int | None = None) -> list[Row]:
    """Return all rows of a file in order of their key sets, then as logged: (key set, step, timestamp, values)."""
    rows: list[Row] = []
    for batch in read_points(path, start=start, stop=stop):
        for part in batch.rows:
            assert len(part.steps) == len(part.timestamps) == len(part.values) // part.width
            values = zip(*(part.values[k :: part.width] for k in range(part.width)), strict=True)
            rows += zip([part.key_set] * len(part.steps), part.steps, part.timestamps, values, strict=True)
    return sorted(rows, key=lambda row: row[0])


def bits(values: tuple[float, ...]) -> bytes:
    return struct.pack(f"{len(values)}d", *values)


@contextmanager
def alarms(handler: Callable[[], None], interval: float, *, once: bool = False) -> Iterator[None]:
    """Call handler from a signal every interval seconds, or once after it."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: handler())
    try:
        signal.setitimer(signal.ITIMER_REAL, interval, 0 if once else interval)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Writing and reading


def test_rows_come_back_as_logged(tmp_path: Path) -> None:
    keys: dict[int, tuple[str, ...]] = {}
    writer = open_writer(tmp_path / "p", keys)
    writer.log({"loss": 0.5, "acc": 1}, 3, 1_000)
    writer.log_one("lr", 1e-3, 7, 2_000)
    writer.log({"loss": float("nan"), "acc": float("-inf")}, 4, 3_000)
    writer.close()
    assert keys == {0: ("loss", "acc"), 1: ("lr",)}
    first, second, third = read_rows(tmp_path / "p")
    assert first == (0, 3, 1_000, (0.5, 1.0))
    assert second[:3] == (0, 4, 3_000)
    assert bits(second[3]) == bits((float("nan"), float("-inf")))
    assert third == (1, 7, 2_000, (1e-3,))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.dictionaries(st.sampled_from("abcdef"), st.floats(), min_size=1), INT64, INT64)),
    cut=st.integers(0, 20),
)
def test_any_rows_survive_the_round_trip(tmp_path: Path, rows: list[Any], cut: int) -> None:
    path = tmp_path / "p"
    path.unlink(missing_ok=True)
    keys: dict[int, tuple[str, ...]] = {}
    writer = open_writer(path, keys)
    middle = writer.offset
    for number, (metrics, step, timestamp) in enumerate(rows):
        if number == cut:
            middle = writer.offset
        writer.log(metrics, step, timestamp)
    end = writer.offset
    found = read_rows(path)
    parts = read_rows(path, stop=middle) + read_rows(path, start=middle)
    assert repr(sorted(parts, key=lambda row: row[0])) == repr(found)
    writer.close()
    assert path.stat().st_size == end
    numbers = {names: number for number, names in keys.items()}
    expected = sorted(((numbers[tuple(m)], s, t, bits(tuple(m.values()))) for m, s, t in rows), key=lambda row: row[0])
    assert [(k, s, t, bits(v)) for k, s, t, v in read_rows(path)] == expected
    assert find_end(path) == (end if rows else 0)


def test_steps_count_on_from_the_last_of_the_same_keys(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    writer.log({"a": 1, "b": 1})
    writer.log_one("a", 1)
    writer.log({"a": 1, "b": 1}, 10)
    writer.log({"a": 1, "b": 1})
    writer.log({"a": 1}, None)
    writer.log({"a": 1, "b": 1}, -5)
    writer.log({"a": 1, "b": 1})
    assert [(row[0], row[1]) for row in read_rows(tmp_path / "p")] == [
        (0, 0),
        (0, 10),
        (0, 11),
        (0, -5),
        (0, -4),
        (1, 0),
        (1, 1),
    ]


def test_time_is_now_unless_given(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    before = time.time_ns() // 1000
    writer.log_one("a", 1)
    after = time.time_ns() // 1000
    assert before <= read_rows(tmp_path / "p")[0][2] <= after


def test_names_are_told_before_the_first_row_and_once(tmp_path: Path) -> None:
    seen: list[tuple[int, tuple[str, ...], int]] = []
    writer = PointsWriter(tmp_path / "p", define_keys=lambda n, names: seen.append((n, names, writer.offset)))
    for _ in range(3):
        writer.log({"a": 1, "b": 2})
        writer.log({"b": 2, "a": 1})
        writer.log_one("a", 1)
    assert [entry[:2] for entry in seen] == [(0, ("a", "b")), (1, ("b", "a")), (2, ("a",))]
    assert [entry[2] for entry in seen] == [HEADER, HEADER + 48, HEADER + 96]


def test_a_row_waits_for_its_names(tmp_path: Path) -> None:
    faults = [OSError(28, "No space left on device")]

    def define(number: int, names: tuple[str, ...]) -> None:
        if faults:
            raise faults.pop()

    writer = PointsWriter(tmp_path / "p", define_keys=define)
    with pytest.raises(OSError, match="No space"):
        writer.log_one("a", 1)
    assert read_rows(tmp_path / "p") == []
    writer.log_one("a", 2)
    assert [row[1:2] + row[3:] for row in read_rows(tmp_path / "p")] == [(0, (2.0,))]


class Floatlike:
    def __float__(self) -> float:
        return 2.5


class Indexlike:
    def __index__(self) -> int:
        return 3


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("two elements")

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (True, 1.0),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (2**53 + 1, float(2**53)),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 4), 0.25),
        (Floatlike(), 2.5),
        (Indexlike(), 3.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_that_float_takes_is_a_value(tmp_path: Path, value: Any, expected: float) -> None:
    writer = open_writer(tmp_path / "p")
    for _ in range(2):
        writer.log({"a": value, "b": 1})
        writer.log_one("c", value)
    found = [bits(row[3][:1]) for row in read_rows(tmp_path / "p")]
    assert found == [bits((expected,))] * 4


BAD_VALUES = ["1.5", b"1", None, 1j, 10**400, [1.0], object(), Broken()]


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda value: type(value).__name__)
def test_a_bad_value_is_refused_and_harms_nothing(tmp_path: Path, value: Any) -> None:
    keys: dict[int, tuple[str, ...]] = {}
    writer = open_writer(tmp_path / "p", keys)
    for call in range(2):
        with pytest.raises(InvalidInput, match="'b'"):
            writer.log({"a": 1.0, "b": value})
        with pytest.raises(InvalidInput, match="'b'"):
            writer.log_one("b", value, None, None)
        if call == 0:
            assert keys == {}
            writer.log({"a": 1.0, "b": 2.0})
            writer.log_one("b", 3.0)
    writer.log({"a": 4.0, "b": 5.0})
    writer.log_one("b", 6.0)
    assert [(row[1], row[3]) for row in read_rows(tmp_path / "p")] == [
        (0, (1.0, 2.0)),
        (1, (4.0, 5.0)),
        (0, (3.0,)),
        (1, (6.0,)),
    ]


def test_numpy_scalars(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    writer = open_writer(tmp_path / "p")
    for value in (numpy.float32(1.5), numpy.float64(1.5), numpy.float16(1.5), numpy.array(1.5)):
        writer.log_one("a", value, numpy.int64(4), numpy.int64(9))
    complexes = [numpy.complex128(1 + 2j), numpy.complex64(1), numpy.array(1j)]
    for value in (*complexes, numpy.str_("1.5"), numpy.array([1.0, 2.0])):
        with pytest.raises(InvalidInput, match="'a'"):
            writer.log_one("a", value)
    with pytest.raises(InvalidInput, match="step"):
        writer.log_one("a", 1, numpy.float64(3))
    assert read_rows(tmp_path / "p") == [(0, 4, 9, (1.5,))] * 4


@pytest.mark.parametrize(
    "step",
    [True, 1.0, "1", 1 << 63, -(1 << 63) - 1, b"1", object()],
    ids=lambda step: f"{type(step).__name__}-{step!r:.5}",
)
def test_a_bad_step_or_time_is_refused(tmp_path: Path, step: Any) -> None:
    writer = open_writer(tmp_path / "p")
    for _ in range(2):
        with pytest.raises(InvalidInput, match="step"):
            writer.log({"a": 1.0}, step)
        with pytest.raises(InvalidInput, match="timestamp"):
            writer.log_one("a", 1.0, 0, step)
    assert read_rows(tmp_path / "p") == []


def test_no_step_after_the_last(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    writer.log_one("a", 1, (1 << 63) - 1)
    with pytest.raises(InvalidInput, match="step"):
        writer.log_one("a", 1)
    writer.log_one("a", 1, 5)
    writer.log_one("a", 1)
    assert [row[1] for row in read_rows(tmp_path / "p")] == [(1 << 63) - 1, 5, 6]


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 251, 5, None, ("a",), ["a"]], ids=lambda key: repr(key)[:10])
def test_a_bad_key_is_refused(tmp_path: Path, key: Any) -> None:
    writer = open_writer(tmp_path / "p")
    with pytest.raises(InvalidInput, match="metric name"):
        writer.log_one(key, 1.0)
    assert writer.offset == HEADER


def test_other_shapes_of_input(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    writer.log({})
    for wrong in ([("a", 1)], "ab", ["a"], [["a"]], 5, {"a"}):
        with pytest.raises(InvalidInput):
            writer.log(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="too long"):
        writer.log({f"m{i}": 1.0 for i in range(131_069)})
    assert writer.offset == HEADER
    many = {f"m{i}": float(i) for i in range(131_068)}
    writer.log(many)
    writer.log(many)
    assert [row[3] for row in read_rows(tmp_path / "p")] == [tuple(many.values())] * 2


def test_the_file_is_new_and_private(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        open_writer(tmp_path / "p")
    writer.log_one("a", 1)
    assert len(read_rows(tmp_path / "p")) == 1


def test_a_closed_writer_refuses(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    writer.log_one("a", 1)
    writer.sync()
    writer.close()
    writer.close()
    assert writer.closed
    assert writer.offset == (tmp_path / "p").stat().st_size == HEADER + 40
    for attempt in (lambda: writer.log_one("a", 1), lambda: writer.log({"new": 1}), writer.sync):
        with pytest.raises(StoreFailed, match="closed"):
            attempt()


# The window


def mapped(path: Path) -> list[int]:
    """Return the sizes of this process's mappings of a file."""
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    return [int(end, 16) - int(start, 16) for start, end in (line.split()[0].split("-") for line in lines)]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_one_bounded_window_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "p"
    writer = open_writer(path)
    assert mapped(path) == [64 << 10]
    windows = set()
    for step in range(300_000):
        writer.log_one("a", step, step)
        if step % 1000 == 0:
            (window,) = mapped(path)
            windows.add(window)
            assert path.stat().st_size - writer.offset <= window
    assert windows == {(64 << 10) << doublings for doublings in range(7)}
    descriptors = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert descriptors.count(str(path)) <= 2
    writer.close()
    assert path.stat().st_size == HEADER + 40 * 300_000
    assert mapped(path) == []
    assert [row[1] for row in read_rows(path)] == list(range(300_000))


@pytest.mark.parametrize("missing", [True, False])
def test_without_preallocation_the_window_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    def refuse(*args: int) -> None:
        raise OSError(95, "Operation not supported")

    if missing:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    writer = open_writer(tmp_path / "p")
    for step in range(20_000):
        writer.log_one("a", step, step)
    assert (tmp_path / "p").stat().st_blocks * 512 >= (tmp_path / "p").stat().st_size
    assert [(row[1], row[3][0]) for row in read_rows(tmp_path / "p")] == [(i, float(i)) for i in range(20_000)]


def log_until_full(writer: PointsWriter, start: int) -> int:
    """Log rows until the disk is full; return the number of the first row that did not fit."""
    for step in range(start, 1_000_000):
        try:
            writer.log({"a": step, "b": -step}, step, step)
        except OSError as error:
            if error.filename != str(writer.path):
                raise
            return step
    raise AssertionError("the disk never was full")


def test_a_file_size_limit_is_an_error_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "p"

    def fill() -> tuple[int, int]:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        writer = open_writer(path)
        first = log_until_full(writer, 0)
        assert path.stat().st_size <= 300_000
        assert log_until_full(writer, first) == first
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, hard))
        second = log_until_full(writer, first)
        writer.close()
        return first, second

    first, second = run_in_child(fill)
    # What fits is used up, but for less than a window of the smallest size.
    assert (300_000 - 65_536) / 48 < first <= 300_000 / 48
    assert (900_000 - 65_536) / 48 < second <= 900_000 / 48
    assert read_rows(path) == [(0, step, step, (float(step), float(-step))) for step in range(second)]


def test_no_file_is_left_where_not_even_the_first_window_fits(tmp_path: Path) -> None:
    def attempt() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(OSError, match="p") as caught:
            open_writer(tmp_path / "p")
        return str(caught.value)

    assert str(tmp_path / "p") in run_in_child(attempt)
    assert not (tmp_path / "p").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount command")
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs to be allowed")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_is_an_error_and_no_end(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(500_000))
    writer = open_writer(small_disk / "p")
    first = log_until_full(writer, 0)
    assert log_until_full(writer, first) == first
    (small_disk / "ballast").unlink()
    second = log_until_full(writer, first)
    assert second > first + 5_000
    writer.close()
    assert read_rows(small_disk / "p") == [(0, step, step, (float(step), float(-step))) for step in range(second)]


# Kills, forks, threads, signals


def test_every_acknowledged_row_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(9)
    threads = 3
    total = 0
    for attempt in range(24):
        path = tmp_path / f"p{attempt}"
        told = mmap.mmap(-1, 8 * threads)

        def record(path: Path = path, told: mmap.mmap = told) -> None:
            writer = open_writer(path)

            def log(thread: int) -> None:
                for step in range(10_000_000):
                    writer.log({f"{thread}/{k}": step * 3 + k for k in range(1 + 4 * thread)}, step, thread)
                    told[8 * thread : 8 * thread + 8] = struct.pack("<Q", step + 1)

            for thread in range(threads):
                threading.Thread(target=log, args=(thread,)).start()

        child = Child(record)
        time.sleep(chance.uniform(0.005, 0.06))
        child.kill()
        acknowledged = struct.unpack(f"<{threads}Q", told[:])
        total += sum(acknowledged)
        by_thread: dict[int, list[Row]] = {thread: [] for thread in range(threads)}
        for row in read_rows(path) if path.exists() else ():
            by_thread[row[2]].append(row)
        for thread, rows in by_thread.items():
            width = 1 + 4 * thread
            assert len(rows) - acknowledged[thread] in (0, 1)
            assert [row[1] for row in rows] == list(range(len(rows)))
            assert all(row[3] == tuple(float(row[1] * 3 + k) for k in range(width)) for row in rows)
    assert total > 1_000


def test_eight_threads(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "p")
    count = 4_000
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def log(thread: int) -> None:
        try:
            start.wait()
            for step in range(count):
                writer.log({f"own/{thread}": step, "twice": -step}, step, thread)
                writer.log_one("shared", thread)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    rows = read_rows(tmp_path / "p")
    shared = [row for row in rows if len(row[3]) == 1]
    assert [row[1] for row in shared] == list(range(8 * count))
    assert sorted(row[3][0] for row in shared) == sorted(list(range(8)) * count)
    for thread in range(8):
        own = [row for row in rows if len(row[3]) == 2 and row[2] == thread]
        assert [(row[1], row[3]) for row in own] == [(step, (float(step), float(-step))) for step in range(count)]


def test_a_forked_child_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "p"
    keys: dict[int, tuple[str, ...]] = {}
    writer = open_writer(path, keys)
    stop = threading.Event()

    def log() -> None:
        while not stop.is_set():
            writer.log_one("thread", 1)

    def child() -> tuple[bool, int]:
        writer.abandon()
        with pytest.raises(StoreFailed, match="closed"):
            writer.log_one("main", -1.0)
        with pytest.raises(StoreFailed, match="closed"):
            writer.log({"new": -1.0})
        writer.close()
        writer.abandon()
        own = open_writer(path.with_name(f"p-{os.getpid()}"))
        for step in range(100):
            own.log_one("main", step)
        own.close()
        return writer.closed, len(read_rows(own.path))

    thread = threading.Thread(target=log)
    thread.start()
    for step in range(6):
        writer.log_one("main", step, step, step)
        assert run_in_child(child) == (True, 100)
    stop.set()
    thread.join()
    assert not writer.closed
    writer.log_one("main", 6, 6, 6)
    numbers = {names: number for number, names in keys.items()}
    assert set(numbers) == {("main",), ("thread",)}
    rows = read_rows(path)
    main = [row for row in rows if row[0] == numbers["main",]]
    assert [row[1:] for row in main] == [(step, step, (float(step),)) for step in range(7)]
    other = [row for row in rows if row[0] == numbers["thread",]]
    assert [(row[1], row[3]) for row in other] == [(step, (1.0,)) for step in range(len(other))]


def test_a_fork_while_another_thread_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, leave = threading.Event(), threading.Event()

    def wait(*args: int) -> None:
        inside.set()
        leave.wait(30)
        raise OSError(28, "No space left on device")

    def child() -> str:
        writer.abandon()
        with pytest.raises(StoreFailed, match="closed"):
            writer.log_one("a", 1.0)
        return "not stuck"

    writer = open_writer(tmp_path / "p")
    monkeypatch.setattr(os, "posix_fallocate", wait, raising=False)
    thread = threading.Thread(target=log_until_full, args=(writer, 0))
    thread.start()
    assert inside.wait(30)
    started = Child(child)
    leave.set()
    assert started.result() == "not stuck"
    thread.join()


def test_a_fork_inside_a_handler_inside_log(tmp_path: Path) -> None:
    def log_in_child(step: int) -> None:
        while True:
            writer.log_one("a", -1.0, step)

    writer = open_writer(tmp_path / "p")
    step = 0
    for _ in range(10):
        forked: list[int] = []

        def fork(forked: list[int] = forked) -> None:
            forked.append(os.fork())
            if forked == [0]:
                writer.abandon()

        with alarms(fork, 0.004, once=True):
            try:
                while not forked:
                    writer.log_one("a", step, step)
                    step += forked != [0]
                if forked == [0]:
                    log_in_child(step)
            except StoreFailed:
                os._exit(17)
            finally:
                if forked == [0]:
                    os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 17
    assert [(row[1], row[3][0]) for row in read_rows(tmp_path / "p")] == [(i, float(i)) for i in range(step)]


def test_handlers_may_log_in_the_middle_of_log(tmp_path: Path) -> None:
    path = tmp_path / "p"
    writer = open_writer(path)
    count = itertools.count()
    handled: list[int] = []

    def handler() -> None:
        # More signals come in the meantime, so handlers interrupt each other too.
        number = next(count)
        writer.log_one("shared", 2.0)
        writer.log({"handler": number, f"new/{number % 50}": 1}, number)
        handled.append(number)

    logged = 0
    with alarms(handler, 0.0003):
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            for _ in range(100):
                writer.log_one("shared", 1.0)
                writer.log({"x": logged, "y": Fraction(logged), "z": -logged}, logged)
                logged += 1
    assert len(handled) > 100
    writer.close()
    assert sum(batch.skipped for batch in read_points(path)) == 0
    by_width: dict[int, list[Row]] = {1: [], 2: [], 3: []}
    for row in read_rows(path):
        by_width[len(row[3])].append(row)
    assert [row[3] for row in by_width[3]] == [(float(i), float(i), float(-i)) for i in range(logged)]
    assert sorted(row[3][0] for row in by_width[2]) == sorted(handled)
    assert [row[1] for row in by_width[1]] == list(range(logged + len(handled)))
    assert sum(row[3] == (2.0,) for row in by_width[1]) == len(handled)


def test_a_handler_may_raise_in_the_middle_of_log(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt() -> None:
        raise Interrupted

    writer = open_writer(tmp_path / "p")
    returned: list[int] = []
    attempts = 0
    for interruption in range(300):
        with contextlib.suppress(Interrupted), alarms(interrupt, 0.001 + interruption * 1e-6, once=True):
            while True:
                attempts += 1
                writer.log({"a": attempts, "b": 1}, attempts)
                returned.append(attempts)
    other = threading.Thread(target=writer.log_one, args=("from another thread", 5))
    other.start()
    other.join(10)
    assert not other.is_alive(), "an interrupted call left the lock taken"
    rows = read_rows(tmp_path / "p")
    steps = [row[1] for row in rows if len(row[3]) == 2]
    assert sorted(set(steps)) == steps
    assert set(returned) <= set(steps) <= set(range(attempts + 1))
    assert len(rows) == len(steps) + 1


def test_a_handler_may_close_in_the_middle_of_log(tmp_path: Path) -> None:
    for attempt in range(40):
        path = tmp_path / f"p{attempt}"
        writer = open_writer(path)
        step = 0
        with alarms(writer.close, 0.001 + attempt * 0.00005), contextlib.suppress(StoreFailed):
            while True:
                writer.log_one("a", step, step)
                step += 1
        assert writer.closed
        assert [(row[1], row[3][0]) for row in read_rows(path)] == [(i, float(i)) for i in range(step)]
        assert path.stat().st_size == HEADER + 40 * step


def test_a_value_may_log_while_it_is_converted(tmp_path: Path) -> None:
    class Nested:
        def __float__(self) -> float:
            writer.log_one("a", 1.0)
            return 2.0

    writer = open_writer(tmp_path / "p")
    writer.log_one("a", 0.0)
    for _ in range(3):
        writer.log_one("a", Nested(), None)  # type: ignore[arg-type]
    rows = read_rows(tmp_path / "p")
    assert [row[1] for row in rows] == list(range(len(rows)))
    assert [row[3][0] for row in rows].count(2.0) == 3


# Reading what is being written


def test_reading_follows_a_live_writer(tmp_path: Path) -> None:
    path = tmp_path / "p"
    count = 150_000

    def record() -> None:
        writer = open_writer(path)
        for step in range(count):
            writer.log({"a": step, "b": step * 2}, step, step)
            if step % 3 == 0:
                writer.log_one("c", step, step, step)
        writer.close()

    child = Child(record)
    while not path.exists():
        time.sleep(0.001)
    steps: dict[int, list[int]] = {0: [], 1: []}
    end = reads = 0
    deadline = time.monotonic() + 60
    while len(steps[0]) < count and time.monotonic() < deadline:
        reads += 1
        for batch in read_points(path, start=end):
            assert batch.skipped == 0
            assert batch.end > end
            end = batch.end
            for rows in batch.rows:
                assert list(rows.values[0 :: rows.width]) == list(rows.steps)
                steps[rows.key_set] += rows.steps
    child.result()
    steps[1] += [row[1] for row in read_rows(path, start=end)]
    assert steps == {0: list(range(count)), 1: list(range(0, count, 3))}
    assert reads > 2


def test_batches_are_bounded_and_resume_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "p"
    writer = open_writer(path)
    for step in range(150_000):
        writer.log_one("a", step, step)
    batches = list(read_points(path))
    assert max(len(rows.steps) for batch in batches for rows in batch.rows) <= 100_000
    assert len(batches) == 3
    for batch in batches:
        rest = [row[1] for row in read_rows(path, start=batch.end)]
        assert rest == list(range((batch.end - HEADER) // 40, 150_000))
    assert find_end(path) == writer.offset == batches[-1].end
    assert find_end(path, start=batches[0].end) == writer.offset
    assert [row[1] for row in read_rows(path, stop=HEADER + 3 * 40 + 39)] == [0, 1, 2]
    assert read_rows(path, start=writer.offset) == []
    assert find_end(path, start=writer.offset + (1 << 40)) == writer.offset + (1 << 40)


# Damage


def make_file(path: Path, count: int) -> list[tuple[int, int, Row]]:
    """Write rows of three key sets; return where each record starts and ends, and what it holds."""
    writer = open_writer(path)
    records = []
    for step in range(count):
        metrics = {f"m{k}": float(step * 10 + k) for k in range((1, 3, 8)[step % 3])}
        start = writer.offset
        writer.log(metrics, step, step * 7)
        records.append((start, writer.offset, (step % 3, step, step * 7, tuple(metrics.values()))))
    writer.close()
    return records


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), count=st.integers(1, 40), tail=st.sampled_from([0, 8, 1000, 100_000]))
def test_damage_costs_no_other_record(tmp_path: Path, data: st.DataObject, count: int, tail: int) -> None:
    path = tmp_path / "p"
    path.unlink(missing_ok=True)
    records = make_file(path, count)
    before = path.read_bytes() + bytes(tail)
    after = bytearray(before)
    for _ in range(data.draw(st.integers(0, 5))):
        start = data.draw(st.integers(0, len(before) - tail - 1))
        junk = data.draw(st.binary(min_size=1, max_size=60) | st.integers(1, 400).map(bytes))
        after[start : start + len(junk)] = junk
    after = after[: data.draw(st.integers(0, len(before)) | st.just(len(before)))]
    path.write_bytes(after)
    whole = [(start, end, row) for start, end, row in records if after[start:end] == before[start:end]]
    assert read_rows(path) == sorted((row for _, _, row in whole), key=lambda row: row[0])
    assert find_end(path) == (whole[-1][1] if whole else 0)
    lost = (whole[-1][1] - HEADER - sum(end - start for start, end, _ in whole)) if whole else 0
    assert sum(batch.skipped for batch in read_points(path)) == lost


@pytest.mark.parametrize("hole", [500_000, 5_000_000])
def test_a_lost_stretch_longer_than_a_batch_is_skipped(tmp_path: Path, hole: int) -> None:
    path = tmp_path / "p"
    writer = open_writer(path)
    for step in range(200_000):
        writer.log_one("a", step, step)
    writer.close()
    with open(path, "r+b") as stream:
        stream.seek(1_000_003)
        stream.write(bytes(hole))
    first, last = (1_000_003 - HEADER) // 40, (1_000_002 + hole - HEADER) // 40
    assert [row[1] for row in read_rows(path)] == [*range(first), *range(last + 1, 200_000)]
    assert sum(batch.skipped for batch in read_points(path)) == (last + 1 - first) * 40


def test_a_record_inside_a_damaged_record_is_no_row(tmp_path: Path) -> None:
    make_file(tmp_path / "other", 1)
    record = (tmp_path / "other").read_bytes()[HEADER:]
    writer = open_writer(tmp_path / "p")
    values = struct.unpack(f"<{len(record) // 8}d", record)
    for step in range(2):
        writer.log({f"m{k}": value for k, value in enumerate(values)}, step)
    writer.close()
    data = bytearray((tmp_path / "p").read_bytes())
    data[HEADER] ^= 1
    (tmp_path / "p").write_bytes(data)
    assert [(row[0], row[1]) for row in read_rows(tmp_path / "p")] == [(0, 1)]


@pytest.mark.parametrize("content", [b"", b"\0" * 31, b"\0" * 100_000, b"GTPOINTS", os.urandom(100_000)], ids=len)
def test_a_file_without_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    assert list(read_points(tmp_path / "p")) == []
    assert find_end(tmp_path / "p", start=0) == 0


def test_a_missing_file_and_a_newer_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_points(tmp_path / "p"))
    header = struct.pack("<8sII12s", b"GTPOINTS", 2, 7, bytes(12))
    (tmp_path / "p").write_bytes(header + struct.pack("<I", zlib.crc32(header)))
    with pytest.raises(Unsupported, match="format 2"):
        list(read_points(tmp_path / "p"))


def test_each_file_has_its_own_mark(tmp_path: Path) -> None:
    marks = set()
    for number in range(8):
        open_writer(tmp_path / f"p{number}").close()
        marks.add((tmp_path / f"p{number}").read_bytes()[12:16])
    assert len(marks) == 8
    assert all(mark[0] & 1 for mark in marks)


def test_rows_lie_side_by_side(tmp_path: Path) -> None:
    records = make_file(tmp_path / "p", 30)
    assert all(left[1] == right[0] for left, right in pairwise(records))
    assert all(start % 8 == 0 for start, _, _ in records)

"""The event log: events survive kills, full disks, damage, and other processes appending at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import math
import mmap
import os
import random
import resource
import signal
import stat
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from children import Child, run_in_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.errors import Conflict, InvalidInput, StoreFailed
from gittrack.journal.events import EventLog, read_events

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner), max_leaves=6
)
events = st.dictionaries(st.text(st.characters()), values, max_size=4)
in_one_directory = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, *written: dict[str, Any]) -> None:
    log = EventLog(path)
    for event in written:
        log.append(event)
    log.close()


# Writing and reading


def test_a_line_is_a_checksum_and_an_object(tmp_path: Path) -> None:
    write(tmp_path / "e", {"kind": "param", "key": "é\n", "value": 0.1}, {})
    first, second, rest = (tmp_path / "e").read_bytes().split(b"\n")
    assert first[8:] == b' {"kind":"param","key":"\\u00e9\\n","value":0.1}'
    assert first[:8] == b"%08x" % zlib.crc32(first[9:])
    assert second[9:] == b"{}"
    assert rest == b""
    assert stat.S_IMODE((tmp_path / "e").stat().st_mode) == 0o600


@in_one_directory
@given(written=st.lists(events, max_size=6))
def test_any_events_survive_the_round_trip(tmp_path: Path, written: list[dict[str, Any]]) -> None:
    (tmp_path / "e").unlink(missing_ok=True)
    write(tmp_path / "e", *written)
    found, damaged = read_events(tmp_path / "e")
    assert damaged == 0
    assert repr(found) == repr(written)
    log = EventLog(tmp_path / "e")
    assert repr(log.read_new()) == repr(written)
    log.close()


def test_numbers_and_names_json_has_no_words_for(tmp_path: Path) -> None:
    name = os.fsdecode(b"model-\xff.bin")
    write(
        tmp_path / "e", {"nan": math.nan, "inf": math.inf, "minus": -math.inf, "zero": -0.0, "path": name, "t": (1, 2)}
    )
    ((event,), damaged) = read_events(tmp_path / "e")
    assert damaged == 0
    assert math.isnan(event["nan"])
    assert (event["inf"], event["minus"], event["t"]) == (math.inf, -math.inf, [1, 2])
    assert math.copysign(1, event["zero"]) == -1
    assert os.fsencode(event["path"]) == b"model-\xff.bin"


def test_what_json_cannot_express_is_refused(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    loop: dict[str, Any] = {}
    loop["self"] = loop
    for event in ({"a": object()}, {"a": b"x"}, {"a": {1, 2}}, {("a",): 1}, loop, {"a": 10**5000}):
        with pytest.raises(InvalidInput, match="event"):
            log.append(event)
    log.append({"fine": 1})
    assert read_events(tmp_path / "e") == ([{"fine": 1}], 0)


def test_a_closed_log_refuses(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    log.append({"n": 1})
    log.sync()
    log.close()
    log.close()
    assert log.closed
    for attempt in (lambda: log.append({"n": 2}), log.read_new, log.sync, lambda: log.append_checked(lambda new: None)):
        with pytest.raises(StoreFailed, match="closed"):
            attempt()
    assert read_events(tmp_path / "e") == ([{"n": 1}], 0)


# One log, several writers


def test_everybody_reads_every_event_once_in_one_order(tmp_path: Path) -> None:
    one, two = EventLog(tmp_path / "e"), EventLog(tmp_path / "e")
    one.append({"n": 1})
    two.append({"n": 2})
    assert one.read_new() == [{"n": 1}, {"n": 2}]
    one.append({"n": 3})
    assert two.read_new() == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert one.read_new() == [{"n": 3}]
    assert one.read_new() == two.read_new() == []
    assert EventLog(tmp_path / "e").read_new() == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_checked_append_sees_what_others_wrote_first(tmp_path: Path) -> None:
    one, two = EventLog(tmp_path / "e"), EventLog(tmp_path / "e")
    one.append({"lr": 1})

    def refuse(new: list[dict[str, Any]]) -> dict[str, Any]:
        assert new == [{"lr": 1}]
        raise Conflict("lr is 1 already")

    with pytest.raises(Conflict):
        two.append_checked(refuse)
    seen: list[Any] = []
    two.append_checked(lambda new: seen.append(new))
    two.append_checked(lambda new: {"momentum": len(new)})
    assert seen == [[]]
    assert one.read_new() == [{"lr": 1}, {"momentum": 0}]


def test_processes_agree_on_the_first_of_them(tmp_path: Path) -> None:
    path = tmp_path / "e"
    keys = 200

    def claim(own: int) -> int:
        log = EventLog(path)
        taken: set[int] = set()
        won = 0

        def decide(key: int, new: list[dict[str, Any]]) -> dict[str, Any] | None:
            nonlocal won
            taken.update(event["key"] for event in new if "key" in event)
            if key in taken:
                return None
            won += 1
            return {"key": key, "owner": own}

        for key in range(keys):
            log.append_checked(lambda new, key=key: decide(key, new))
            log.append({"noise": own})
        return won

    children = [Child(lambda own=own: claim(own)) for own in range(4)]
    won = [child.result() for child in children]
    found, damaged = read_events(path)
    claims = [event for event in found if "key" in event]
    assert damaged == 0
    assert [event["key"] for event in claims] == list(range(keys))
    assert [sum(event["owner"] == own for event in claims) for own in range(4)] == won
    assert len(found) - len(claims) == 4 * keys


def test_a_process_that_dies_holding_the_log_holds_up_nobody(tmp_path: Path) -> None:
    def die(new: list[dict[str, Any]]) -> None:
        told[0] = 1
        time.sleep(60)

    told = mmap.mmap(-1, 1)
    child = Child(lambda: EventLog(tmp_path / "e").append_checked(die))
    while told[0] == 0:
        time.sleep(0.001)
    log = EventLog(tmp_path / "e")
    threading.Timer(0.1, child.kill).start()
    started = time.monotonic()
    log.append({"n": 1})
    assert 0.05 < time.monotonic() - started < 5
    assert read_events(tmp_path / "e") == ([{"n": 1}], 0)


# Full disks


def test_an_append_is_whole_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "e"

    def fill() -> int:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        log = EventLog(path)
        names = []
        for number in range(1000):
            try:
                log.append({"n": number, "text": "x" * 300})
            except OSError as error:
                names.append(error.filename)
                break
        assert names == [str(path)]
        assert path.read_bytes().endswith(b'"}\n')
        with pytest.raises(OSError, match="e"):
            log.append({"n": -1, "text": "x" * 300})
        log.append({"n": -2})
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.append({"n": -3})
        return number

    fitted = run_in_child(fill)
    found, damaged = read_events(path)
    assert damaged == 0
    assert fitted == 10_000 // (9 + len(json.dumps({"n": 10, "text": "x" * 300}, separators=(",", ":"))) + 1)
    assert [event["n"] for event in found] == [*range(fitted), -2, -3]


# Kills, forks, threads, signals


def test_every_acknowledged_event_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(4)
    path = tmp_path / "e"
    acknowledged: list[tuple[int, int]] = []
    for attempt in range(24):
        told = mmap.mmap(-1, 8)

        def record(attempt: int = attempt, told: mmap.mmap = told) -> None:
            log = EventLog(path)
            for number in itertools.count():
                log.append({"attempt": attempt, "n": number, "text": "x" * (number % 5000)})
                told[:] = struct.pack("<Q", number + 1)

        child = Child(record)
        time.sleep(chance.uniform(0.002, 0.02))
        child.kill()
        acknowledged += [(attempt, number) for number in range(struct.unpack("<Q", told[:])[0])]
    found, damaged = read_events(path)
    assert damaged <= 24
    kept = [(event["attempt"], event["n"]) for event in found]
    assert sorted(set(kept)) == kept
    assert set(acknowledged) <= set(kept)
    assert len(kept) <= len(acknowledged) + 24
    assert len(kept) > 200


def test_threads(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    seen: list[dict[str, Any]] = []

    def append(thread: int) -> None:
        for number in range(300):
            log.append({"thread": thread, "n": number})
            if number % 10 == 0:
                seen.extend(log.read_new())

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen += log.read_new()
    found, damaged = read_events(tmp_path / "e")
    assert damaged == 0
    for thread in range(8):
        assert [event["n"] for event in found if event["thread"] == thread] == list(range(300))
    assert sorted(map(repr, seen)) == sorted(map(repr, found))


def test_a_forked_child_opens_its_own(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    log.append({"n": 1})

    def child() -> list[dict[str, Any]]:
        log.abandon()
        with pytest.raises(StoreFailed, match="closed"):
            log.append({"n": -1})
        own = EventLog(tmp_path / "e")
        own.append({"n": 2})
        return own.read_new()

    assert run_in_child(child) == [{"n": 1}, {"n": 2}]
    log.append({"n": 3})
    assert log.read_new() == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_fork_while_the_log_is_locked(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    children: list[Child] = []

    def child() -> str:
        log.abandon()
        own = EventLog(tmp_path / "e")
        own.append({"from": "child"})
        return "done"

    def fork(new: list[dict[str, Any]]) -> dict[str, Any]:
        children.append(Child(child))
        return {"from": "parent"}

    log.append_checked(fork)
    assert children[0].result() == "done"
    assert read_events(tmp_path / "e") == ([{"from": "parent"}, {"from": "child"}], 0)


def test_handlers_may_append_in_the_middle_of_an_append(tmp_path: Path) -> None:
    log, other = EventLog(tmp_path / "e"), EventLog(tmp_path / "e")
    count = itertools.count()
    handled: list[int] = []
    seen: list[dict[str, Any]] = []

    def handler(number: int, frame: object) -> None:
        number = next(count)
        log.append({"handler": number})
        if number % 3 == 0:
            seen.extend(log.read_new())
        handled.append(number)

    appended = 0
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            log.append({"main": appended})
            log.append_checked(lambda new: (seen.extend(new), {"checked": appended})[1])  # noqa: B023
            appended += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) > 50
    other.append({"unlocked": True})
    found, damaged = read_events(tmp_path / "e")
    assert damaged == 0
    assert [event["main"] for event in found if "main" in event] == list(range(appended))
    assert [event["checked"] for event in found if "checked" in event] == list(range(appended))
    assert sorted(event["handler"] for event in found if "handler" in event) == sorted(handled)
    seen += log.read_new()
    assert sorted(map(repr, seen)) == sorted(map(repr, found))


def test_an_append_within_an_append_leaves_the_log_locked(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    other = os.open(tmp_path / "e", os.O_RDWR)

    def nest(new: list[dict[str, Any]]) -> dict[str, Any]:
        log.append({"n": 1})
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return {"n": 2}

    log.append_checked(nest)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert log.read_new() == [{"n": 1}, {"n": 2}]


def test_a_close_within_an_append_waits_for_its_end(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")

    def close(new: list[dict[str, Any]]) -> dict[str, Any]:
        log.close()
        with pytest.raises(StoreFailed, match="closed"):
            log.append({"n": 0})
        return {"n": 1}

    before = len(os.listdir("/dev/fd"))
    log.append_checked(close)
    assert log.closed
    assert len(os.listdir("/dev/fd")) == before - 1
    assert read_events(tmp_path / "e") == ([{"n": 1}], 0)


def test_a_handler_may_raise_or_close_in_the_middle_of_an_append(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        if attempt % 2:
            log.close()
        raise Interrupted

    path = tmp_path / "e"
    returned: list[int] = []
    number = 0
    opened = len(os.listdir("/dev/fd"))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        log = EventLog(path)
        for attempt in range(200):
            with contextlib.suppress(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0.0004 + attempt * 1e-6)
                while True:
                    number += 1
                    log.append({"n": number})
                    returned.append(number)
            if attempt % 2:
                assert log.closed
                log = EventLog(path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(os.listdir("/dev/fd")) <= opened + 1
    other = threading.Thread(target=lambda: EventLog(path).append({"n": 0}))
    other.start()
    log.append({"n": 0})
    other.join(5)
    assert not other.is_alive(), "an interrupted append left the log locked"
    found, damaged = read_events(path)
    kept = [event["n"] for event in found[:-2]]
    assert damaged == 0
    assert sorted(set(kept)) == kept
    assert set(returned) <= set(kept) <= set(range(number + 1))


# Damage


def test_a_torn_end_swallows_no_later_event(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, {"n": 1}, {"n": 2})
    whole = path.read_bytes()
    for cut in range(1, len(whole) + 1):
        path.write_bytes(whole[:-cut])
        before, damaged = read_events(path)
        assert damaged == 0
        log = EventLog(path)
        assert log.read_new() == before
        log.append({"n": 3})
        assert log.read_new() == [{"n": 3}]
        log.close()
        assert read_events(path)[0] == [*before, {"n": 3}]
        assert len(before) == (2 if cut == 1 else 1 if cut <= 18 else 0)


@in_one_directory
@given(data=st.data(), written=st.lists(events, min_size=1, max_size=8))
def test_damage_costs_no_other_event(tmp_path: Path, data: st.DataObject, written: list[dict[str, Any]]) -> None:
    path = tmp_path / "e"
    path.unlink(missing_ok=True)
    write(path, *written)
    before = path.read_bytes()
    after = bytearray(before)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(before) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=30) | st.integers(1, 60).map(bytes) | st.just(b"\n"))
        after[start : start + len(junk)] = junk[: len(before) - start]
    path.write_bytes(after)
    start = 0
    whole = []
    for event, line in zip(written, before.splitlines(keepends=True), strict=True):
        if after[start : start + len(line)] == line:
            whole.append(repr(event))
        start += len(line)
    found, damaged = read_events(path)
    kept = [repr(event) for event in found]
    rest = iter(kept)
    assert all(event in rest for event in whole)
    # An event can outlive damage to its line end alone, so more than the whole ones may be found, but nothing invented.
    assert set(kept) <= {repr(event) for event in written}
    assert bool(damaged) <= (after != before)
    log = EventLog(path)
    assert [repr(event) for event in log.read_new()] == kept
    log.close()


@pytest.mark.parametrize(
    "text",
    [b"[1]", b"3", b'{"a":', b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":%s}' % (b"9" * 5000), b""],
    ids=lambda text: repr(text[:8]),
)
def test_a_right_checksum_over_nonsense_is_damage(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "e").write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    write(tmp_path / "e", {"n": 1})
    assert read_events(tmp_path / "e") == ([{"n": 1}], 1)


def test_lost_blocks_before_an_event_and_empty_files(tmp_path: Path) -> None:
    write(tmp_path / "e", {"n": 1})
    line = (tmp_path / "e").read_bytes()
    (tmp_path / "e").write_bytes(bytes(4096) + line + bytes(100))
    assert read_events(tmp_path / "e") == ([{"n": 1}], 1)
    (tmp_path / "e").write_bytes(b"")
    assert read_events(tmp_path / "e") == ([], 0)
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "missing")

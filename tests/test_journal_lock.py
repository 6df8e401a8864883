"""The lock of a live run: who holds it, who may take it, and that nobody is ever taken for dead."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import Child, run_in_child

from gittrack.errors import StoreFailed
from gittrack.journal.lock import RunLock, hold, is_live


class Holder:
    """A child that holds a lock until it is told to stop."""

    def __init__(self, take: Callable[[], object]) -> None:
        self._told = mmap.mmap(-1, 2)

        def run() -> None:
            held = take()
            self._told[0] = 1
            while self._told[1] == 0:
                time.sleep(0.001)
            del held

        self.child = Child(run)
        while self._told[0] == 0:
            time.sleep(0.001)

    def stop(self) -> None:
        self._told[1] = 1
        self.child.result()


def test_shared_holds_keep_out_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, two = RunLock.hold_shared(path), RunLock.hold_shared(path)
    assert not one.exclusive
    assert is_live(path)
    assert RunLock.try_exclusive(path) is None
    one.release()
    assert RunLock.try_exclusive(path) is None
    two.release()
    two.release()
    assert not is_live(path)
    alone = RunLock.try_exclusive(path)
    assert alone is not None
    assert alone.exclusive
    started = time.monotonic()
    assert is_live(path)
    assert RunLock.try_exclusive(path) is None
    assert time.monotonic() - started < 0.5, "whoever holds the lock no longer needs the gate"
    with pytest.raises(StoreFailed, match="committing"):
        RunLock.hold_shared(path, timeout=0.05)
    alone.release()
    with RunLock.hold_shared(path):
        assert is_live(path)
    assert not is_live(path)


def test_a_look_creates_nothing(tmp_path: Path) -> None:
    assert not is_live(tmp_path / "lock")
    assert not is_live(tmp_path / "missing" / "lock")
    assert list(tmp_path.iterdir()) == []


def test_no_directory_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunLock.hold_shared(tmp_path / "missing" / "lock")
    assert RunLock.try_exclusive(tmp_path / "missing" / "lock") is None


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(5):
        holder = Holder(lambda: RunLock.hold_shared(path))
        assert is_live(path)
        assert RunLock.try_exclusive(path) is None
        holder.child.kill()
        assert not is_live(path)
        lock = RunLock.try_exclusive(path)
        assert lock is not None
        lock.release()


def test_programs_started_meanwhile_do_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock.hold_shared(path)
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    lock.abandon()
    # A program may be reported as started a moment before the kernel has closed its copies.
    deadline = time.monotonic() + 5
    while is_live(path) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not is_live(path)
    program.communicate(b"\n")


def test_a_forked_child_lets_go_without_unlocking(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock.hold_shared(path)

    def abandon() -> bool:
        lock.abandon()
        return is_live(path)

    def release() -> bool:
        lock.release()
        return is_live(path)

    assert run_in_child(abandon)
    assert run_in_child(release)
    assert is_live(path)
    keeper = Holder(lambda: None)
    abandoner = Holder(lock.abandon)
    lock.release()
    assert not is_live(path), "released, although a forked child has it open"
    keeper.stop()
    lock = RunLock.hold_shared(path)
    second = Holder(lock.abandon)
    lock.abandon()
    assert not is_live(path), "no process but an abandoning child has it open"
    abandoner.stop()
    second.stop()


def test_a_child_may_hold_it_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock.hold_shared(path)

    def take() -> RunLock:
        lock.abandon()
        return RunLock.hold_shared(path)

    holder = Holder(take)
    lock.release()
    assert is_live(path)
    holder.stop()
    assert not is_live(path)


# Upgrades


def test_an_upgrade_needs_to_be_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, two = RunLock.hold_shared(path), RunLock.hold_shared(path)
    assert not one.try_upgrade()
    assert not one.exclusive
    two.release()
    assert RunLock.try_exclusive(path) is None, "the refused upgrade lost the shared lock"
    assert one.try_upgrade()
    assert one.try_upgrade()
    assert one.exclusive
    with pytest.raises(StoreFailed):
        RunLock.hold_shared(path, timeout=0.02)
    one.release()
    assert not one.try_upgrade()
    assert not is_live(path)


def test_an_upgrade_after_the_directory_was_renamed(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    lock = RunLock.hold_shared(tmp_path / "new" / "lock")
    (tmp_path / "new").rename(tmp_path / "run")
    path = tmp_path / "run" / "lock"
    assert is_live(path)
    other = RunLock.hold_shared(path)
    assert not lock.try_upgrade()
    other.release()
    assert lock.try_upgrade()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def test_refused_upgrades_never_lose_the_shared_lock(tmp_path: Path) -> None:
    """Processes keep asking for an upgrade while another tries to recover: it must never get the lock."""
    path = tmp_path / "lock"
    lock = RunLock.hold_shared(path)
    counts = mmap.mmap(-1, 4)

    def upgrade(place: int) -> None:
        lock.abandon()
        own = RunLock.hold_shared(path)
        while counts[3] == 0:
            if counts[1 - place]:
                assert not own.try_upgrade()
            counts[place] = min(counts[place] + 1, 200)

    def recover() -> None:
        lock.abandon()
        while counts[3] == 0:
            assert RunLock.try_exclusive(path) is None
            assert is_live(path)
            counts[2] = min(counts[2] + 1, 200)

    upgraders = [Child(lambda: upgrade(0)), Child(lambda: upgrade(1))]
    wait_for(lambda: min(counts[:2]) > 0)
    lock.release()
    recoverer = Child(recover)
    wait_for(lambda: min(counts[:3]) == 200)
    with RunLock.hold_shared(path):
        counts[3] = 1
        for child in (*upgraders, recoverer):
            child.result()


def test_of_processes_that_end_together_one_is_the_last(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / f"lock{attempt}"
        start = mmap.mmap(-1, 1)
        own = RunLock.hold_shared(path)

        def end(path: Path = path, start: mmap.mmap = start, own: RunLock = own) -> bool:
            own.abandon()
            lock = RunLock.hold_shared(path)
            while start[0] == 0:
                time.sleep(0)
            if lock.try_upgrade():
                return True
            lock.release()
            last = RunLock.try_exclusive(path)
            if last is not None:
                time.sleep(0.1)
            return last is not None

        children = [Child(end) for _ in range(3)]
        time.sleep(0.03)
        own.release()
        start[0] = 1
        assert sum(child.result() for child in children) >= 1


# Races


def test_many_looks_at_a_dead_run_all_say_dead(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    RunLock.hold_shared(path).release()

    def look() -> int:
        return sum(is_live(path) for _ in range(1500))

    assert [child.result() for child in [Child(look) for _ in range(3)]] == [0, 0, 0]


def test_a_look_does_not_keep_a_recoverer_or_a_joiner_away(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    stop = mmap.mmap(-1, 1)

    def look() -> None:
        while stop[0] == 0:
            is_live(path)

    child = Child(look)
    for _ in range(300):
        lock = RunLock.try_exclusive(path)
        assert lock is not None
        lock.release()
        RunLock.hold_shared(path, timeout=1).release()
    stop[0] = 1
    child.result()


def test_nobody_holds_a_deleted_lock(tmp_path: Path) -> None:
    """A recoverer deletes the directory while others join: a joiner holds the lock by its name, or is told."""
    path = tmp_path / "run" / "lock"
    counts = mmap.mmap(-1, 3)

    def join(place: int) -> None:
        chance = random.Random(place)
        while counts[2] == 0:
            try:
                lock = RunLock.hold_shared(path)
            except FileNotFoundError:
                continue
            assert os.path.samestat(os.fstat(lock._file), os.stat(path))
            time.sleep(chance.uniform(0, 0.0005))
            assert os.path.samestat(os.fstat(lock._file), os.stat(path))
            lock.release()
            counts[place] = min(counts[place] + 1, 200)
            time.sleep(chance.uniform(0, 0.002))

    path.parent.mkdir()
    children = [Child(lambda: join(0)), Child(lambda: join(1))]
    deleted = 0

    def recover() -> bool:
        nonlocal deleted
        lock = RunLock.try_exclusive(path)
        if lock is not None:
            # Its name goes first: nobody can then make a new lock file in a directory that is about to go.
            path.parent.rename(tmp_path / "gone")
            shutil.rmtree(tmp_path / "gone")
            lock.release()
            path.parent.mkdir()
            deleted += 1
        return deleted >= 50 and min(counts[:2]) >= 50

    wait_for(recover)
    counts[2] = 1
    for child in children:
        child.result()


def test_a_lock_waits_for_the_name_to_be_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    old = RunLock.try_exclusive(path)
    assert old is not None
    joined: list[RunLock] = []
    thread = threading.Thread(target=lambda: joined.append(RunLock.hold_shared(path)))
    thread.start()
    time.sleep(0.05)
    path.unlink()
    old.release()
    thread.join(5)
    assert len(joined) == 1
    assert RunLock.try_exclusive(path) is None
    joined[0].release()
    lock = RunLock.try_exclusive(path)
    assert lock is not None
    lock.release()


def test_a_run_of_somebody_else_counts_as_live(tmp_path: Path) -> None:
    RunLock.hold_shared(tmp_path / "lock").release()
    (tmp_path / "lock").chmod(0)
    tmp_path.chmod(0o755)

    def look() -> tuple[bool, bool]:
        os.chdir(tmp_path)
        if os.geteuid() == 0:
            os.setuid(65534)
        return is_live(Path("lock")), RunLock.try_exclusive(Path("lock")) is None

    assert run_in_child(look) == (True, True)


def test_a_readable_lock_of_somebody_else_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock.hold_shared(path)
    for file in tmp_path.iterdir():
        file.chmod(0o444)
    tmp_path.chmod(0o755)

    def look() -> bool:
        os.chdir(tmp_path)
        lock.abandon()
        if os.geteuid() == 0:
            os.setuid(65534)
        return is_live(Path("lock"))

    assert run_in_child(look)
    lock.release()
    assert not run_in_child(look)


# The plain lock


def test_hold_keeps_everybody_else_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    counter = mmap.mmap(-1, 2)

    def count() -> None:
        for _ in range(100):
            with hold(path, 20):
                assert counter[1] == 0
                counter[1] = 1
                time.sleep(0)
                counter[0] += 1
                counter[1] = 0

    children = [Child(count) for _ in range(2)]
    for child in children:
        child.result()
    assert counter[0] == 200
    assert path.exists()


def test_hold_gives_up_with_a_clear_message(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    started = time.monotonic()
    with (
        hold(path, 1),
        pytest.raises(StoreFailed, match=r"held by another process for over 0\.1 s") as caught,
        hold(path, 0.1),
    ):
        pass
    assert 0.1 <= time.monotonic() - started < 5
    assert str(path) in caught.value.message
    assert caught.value.hint == f"lsof {path}"
    with hold(path, 0):
        assert path.exists()


def test_hold_lets_go_after_an_error_and_in_a_dead_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), hold(path, 1):
        raise ZeroDivisionError
    with hold(path, 0):
        pass

    def take() -> object:
        held = hold(path, 1)
        held.__enter__()
        return held

    holder = Holder(take)
    with pytest.raises(StoreFailed), hold(path, 0):
        pass
    holder.child.kill()
    with hold(path, 0):
        pass


def test_a_fork_does_not_take_hold_away_nor_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, 1):
        held = hold(tmp_path / "other", 1)
        held.__enter__()
        assert run_in_child(lambda: held.__exit__(None, None, None)) in (None, False)
        with pytest.raises(StoreFailed), hold(tmp_path / "other", 0):
            pass
        keeper = Holder(lambda: None)
    with hold(path, 0):
        keeper.stop()
    held.__exit__(None, None, None)


def test_hold_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreFailed, match="cannot be locked"), hold(tmp_path / "lock", 1):
        pass


def test_descriptors_are_closed_again(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for _ in range(50):
        lock = RunLock.hold_shared(tmp_path / "lock")
        assert RunLock.try_exclusive(tmp_path / "lock") is None
        is_live(tmp_path / "lock")
        lock.release()
        with hold(tmp_path / "other", 0):
            pass
    assert len(os.listdir("/dev/fd")) == before
    lock = RunLock.hold_shared(tmp_path / "lock")
    assert all(fcntl.fcntl(file, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for file in (lock._file, lock._gate))

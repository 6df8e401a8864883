"""Content on its way in: gone on with by the next process, by one at a time, and under its name only when whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import git
from content_remotes import make_data, name

from gittrack.content import ContentStore
from gittrack.content_remote import ContentFailed, incoming, receive
from gittrack.errors import Corrupt, StoreFailed
from gittrack.model import Pointer
from gittrack.repository import get_repository

DATA = make_data(3 << 20)
POINTER = name(DATA)
HALF = len(DATA) // 2


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "lfs")


def list_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def write(
    content: ContentStore, *pieces: bytes, pointer: Pointer = POINTER, then: Callable[[], object] = lambda: None
) -> int:
    """Write pieces, and return how many bytes were there before."""
    with receive(content, pointer) as sink:
        assert sink is not None
        start = sink.start
        for piece in pieces:
            sink.write(piece)
        then()
        return start


def begin(content: ContentStore, data: bytes) -> Path:
    """Leave a download that was broken off, and return its file."""
    with suppress(KeyError), receive(content, POINTER) as sink:
        assert sink is not None
        sink.write(data)
        raise KeyError
    (left,) = list_files(content.directory / "incomplete")
    return left


def test_it_is_kept_when_it_is_whole(content: ContentStore) -> None:
    assert write(content, DATA[:10], b"", DATA[10:]) == 0
    assert list_files(content.directory) == [content.find(POINTER)]
    content.verify(POINTER)
    with receive(content, POINTER) as sink:
        assert sink is None
    path = content.find(POINTER)
    assert path is not None
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask


def test_what_is_broken_off_is_gone_on_with(content: ContentStore) -> None:
    begin(content, DATA[:HALF])
    assert content.find(POINTER) is None
    assert write(content, DATA[HALF:]) == HALF
    content.verify(POINTER)
    assert list_files(content.directory) == [content.find(POINTER)]


def test_it_may_begin_again(content: ContentStore) -> None:
    begin(content, b"wrong" * 100)
    with receive(content, POINTER) as sink:
        assert sink is not None
        assert sink.start == 500
        sink.restart()
        assert sink.start == 0
        sink.write(DATA)
    content.verify(POINTER)


def test_missing_bytes_are_told_and_what_came_stays(content: ContentStore) -> None:
    with pytest.raises(ContentFailed, match=f"only {HALF:,} of {len(DATA):,}") as caught:
        write(content, DATA[:HALF])
    assert caught.value.retry_after == 0
    assert write(content, DATA[HALF:]) == HALF


@pytest.mark.parametrize("begun", [b"", b"?" * 10], ids=["now", "before"])
def test_wrong_bytes_are_dropped(content: ContentStore, begun: bytes) -> None:
    if begun:
        begin(content, begun)
    with pytest.raises(Corrupt, match=POINTER.oid):
        write(content, DATA[len(begun) : -1], DATA[-1:] if begun else b"?")
    assert list_files(content.directory) == []
    assert write(content, DATA) == 0


def test_it_never_gets_longer_than_it_should(content: ContentStore) -> None:
    with pytest.raises(ContentFailed, match=f"{len(DATA):,}") as caught:
        write(content, DATA, b"more")
    assert caught.value.retry_after is None
    assert list_files(content.directory) == []
    begin(content, DATA[:HALF])
    small = Pointer(POINTER.oid, 10)
    with pytest.raises(Corrupt):
        write(content, DATA[:10], pointer=small)


def test_of_two_the_second_waits_for_the_first(content: ContentStore) -> None:
    waits: list[float] = []
    seen: list[object] = []

    def second() -> None:
        with receive(content, POINTER, wait=lambda s: (waits.append(s), time.sleep(0.01))[1]) as sink:
            seen.append(sink)

    thread = threading.Thread(target=second)
    with receive(content, POINTER) as sink:
        assert sink is not None
        sink.write(DATA[:HALF])
        thread.start()
        while len(waits) < 3:
            time.sleep(0.005)
        sink.write(DATA[HALF:])
    thread.join()
    assert seen == [None]
    assert list_files(content.directory) == [content.find(POINTER)]


def test_one_that_does_not_get_on_is_not_waited_for(content: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_PATIENCE", 0.2)
    with receive(content, POINTER) as stuck:
        assert stuck is not None
        stuck.write(DATA[:HALF])
        assert write(content, DATA) == 0
        content.verify(POINTER)
        stuck.write(DATA[HALF:])
    content.verify(POINTER)
    assert list_files(content.directory) == [content.find(POINTER)]


def test_a_file_that_was_taken_away_never_gets_the_name_of_another(content: ContentStore) -> None:
    def replace() -> None:
        (path,) = list_files(content.directory)
        path.unlink()
        path.write_bytes(b"another process has begun")

    with pytest.raises(ContentFailed, match="removed") as caught:
        write(content, DATA, then=replace)
    assert caught.value.retry_after == 0
    assert content.find(POINTER) is None


def test_what_nobody_went_on_with_for_a_week_is_removed(content: ContentStore) -> None:
    left = begin(content, DATA[:HALF])
    foreign = left.with_name("of-git-lfs.part")
    foreign.touch()
    for path in (left, foreign):
        os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    write(content, b"x", pointer=name(b"x"))
    assert list_files(left.parent) == [foreign]


def test_git_lfs_leaves_it_alone(repo: Path) -> None:
    git(repo, "lfs", "install", "--local")
    git(repo, "lfs", "track", "*.bin")
    content = ContentStore.of(get_repository(repo))
    left = begin(content, DATA[:HALF])
    old = content.directory / "tmp" / "gittrack-old"
    old.parent.mkdir(exist_ok=True)
    old.touch()
    for path in (left, old):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    (repo / "model.bin").write_bytes(b"m" * 100)
    git(repo, "add", "-A")
    git(repo, "lfs", "prune")
    assert not old.exists()  # so it did look for what to remove
    assert write(content, DATA[HALF:]) == HALF


CRASH = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from content_remotes import make_data, name
from gittrack.content import ContentStore
from gittrack.content_remote import receive
from gittrack.errors import StoreFailed
data = make_data(3 << 20)
pointer = name(data)
content = ContentStore(Path({directory!r}))
def bring():
    with receive(content, pointer) as sink:
        if sink is not None:
            start = sink.start
            for at in range(start, len(data), 1 << 20):
                sink.write(data[at : at + (1 << 20)])
"""

KILL = """
calls = ["open", "mkdir", "write", "fsync", "rename", "replace", "unlink", "utime", "close"]
def count_down(steps):
    left = [steps]
    def wrap(call):
        def stepped(*arguments, **rest):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **rest)
        return stepped
    for call in calls:
        setattr(os, call, wrap(getattr(os, call)))
def run(steps):
    pid = os.fork()
    if not pid:
        if steps:
            count_down(steps)
        bring()
        os._exit(0)
    return os.waitpid(pid, 0)[1]
steps = 1
while True:
    ended = run(steps)
    place = content.directory / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
    assert not place.exists() or place.read_bytes() == data, steps
    assert run(0) == 0
    assert place.read_bytes() == data, steps
    print(steps, ended)
    if not ended:
        break
    place.unlink()
    if steps % 2:
        place.parent.rmdir()
    steps += 1
"""


def run_child(directory: Path, body: str) -> tuple[str, str]:
    code = CRASH.format(tests=str(Path(__file__).parent), directory=str(directory)) + body
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    return done.stdout, done.stderr


def test_a_kill_at_any_step_leaves_nothing_under_the_name_and_the_next_goes_on(content: ContentStore) -> None:
    output, errors = run_child(content.directory, KILL)
    assert errors == ""
    ends = [line.split()[1] for line in output.splitlines()]
    assert len(ends) > 12
    assert set(ends[:-1]) == {"9"}
    assert ends[-1] == "0"


def test_a_full_disk_is_told_and_leaves_nothing(content: ContentStore) -> None:
    body = (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
        "try: bring()\n"
        "except StoreFailed as error: print(error)\n"
    )
    output, errors = run_child(content.directory, body)
    assert (output.count("File too large"), errors) == (1, "")
    assert list_files(content.directory) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "lfs").write_text("a file where a directory belongs")
    with pytest.raises(StoreFailed, match="lfs"):
        write(ContentStore(tmp_path / "lfs"), DATA)


def test_bytes_are_synced_before_they_get_their_name(
    content: ContentStore, disk_steps: list[tuple[Path, Path | None]]
) -> None:
    write(content, DATA)
    oid = POINTER.oid
    names = [path.name if target is None else f"-> {target.name}" for path, target in disk_steps]
    assert names == [f"gittrack-{oid}.part", f"-> {oid}", oid[2:4], oid[:2], "objects", "lfs"]

"""Many transfers at once: at least five under way, again after a failure, counted, and ended when somebody stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from content_remotes import make_data, name

from gittrack.content import ContentStore
from gittrack.content_remote import (
    Advance,
    ContentFailed,
    DirectoryRemote,
    Progress,
    RemoteUnusable,
    Sink,
    fetch_content,
    receive,
    send_content,
)
from gittrack.errors import StoreFailed
from gittrack.model import Pointer


class TroubledRemote(DirectoryRemote):
    """A directory that first goes through its troubles, one each time it is asked for content."""

    def __init__(self, directory: Path, *troubles: Exception, after: int = 0) -> None:
        directory.mkdir(exist_ok=True)
        super().__init__(directory, name="hub")
        self.troubles = list(troubles)
        self.after = after
        self.asked: list[float] = []
        self.lock = threading.Lock()

    def _trouble(self) -> None:
        with self.lock:
            self.asked.append(time.monotonic())
            if self.troubles:
                raise self.troubles.pop(0)

    def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
        self._trouble()
        super().upload(pointer, file, advance=advance)

    def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
        if self.after:  # so many bytes come before the trouble does
            with open(self._path(pointer), "rb") as file:
                file.seek(sink.start)
                data = file.read(self.after)
            sink.write(data)
            advance(len(data))
        self._trouble()
        super().download(pointer, sink, advance=advance)


def passing(seconds: float = 0) -> ContentFailed:
    return ContentFailed("busy", retry_after=seconds)


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


@pytest.fixture
def other(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "there")


def put(content: ContentStore, count: int, size: int = 1000) -> list[Pointer]:
    return [content.put_bytes(make_data(size, number)) for number in range(count)]


def ignore(_: Progress) -> None:
    pass


@pytest.mark.parametrize("workers", [5, 8])
def test_at_least_five_are_under_way_at_once(
    tmp_path: Path, content: ContentStore, other: ContentStore, workers: int
) -> None:
    meeting = threading.Barrier(workers, timeout=20)  # breaks unless as many come together

    class Meeting(DirectoryRemote):
        def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
            meeting.wait()
            super().upload(pointer, file, advance=advance)

        def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
            meeting.wait()
            super().download(pointer, sink, advance=advance)

    (tmp_path / "hub").mkdir()
    remote = Meeting(tmp_path / "hub")
    pointers = put(content, workers * 3)
    assert send_content(remote, content, pointers, report=ignore, workers=workers).moved == tuple(pointers)
    assert fetch_content(remote, other, pointers, report=ignore, workers=workers).moved == tuple(pointers)


def test_what_is_not_here_is_only_missed_where_the_remote_lacks_it(tmp_path: Path, content: ContentStore) -> None:
    remote = TroubledRemote(tmp_path / "hub")
    sent, here = put(content, 2)
    send_content(remote, content, [sent], report=ignore)
    fresh = ContentStore(tmp_path / "fresh")
    done = send_content(remote, fresh, [here, sent, name(b"")], report=ignore)
    assert (done.missing, done.there, done.moved) == ((here,), (sent, name(b"")), ())


def test_what_may_pass_is_tried_again(tmp_path: Path, content: ContentStore, other: ContentStore) -> None:
    (pointer,) = put(content, 1)
    remote = TroubledRemote(tmp_path / "hub", passing(), passing(), passing(), passing())
    assert send_content(remote, content, [pointer], report=ignore, pause=0.02).moved == (pointer,)
    pauses = [after - before for before, after in zip(remote.asked, remote.asked[1:], strict=False)]
    assert len(pauses) == 4
    for number, pause in enumerate(pauses):
        assert pause >= 0.02 * 2**number * 0.5
    remote.troubles = [passing()] * 5
    done = fetch_content(remote, other, [pointer], report=ignore, pause=0.01)
    assert done.moved == ()
    assert [failed.error.message for failed in done.failed] == ["busy"]
    assert fetch_content(remote, other, [pointer], report=ignore).moved == (pointer,)


def test_it_waits_as_long_as_it_is_asked_to(tmp_path: Path, content: ContentStore) -> None:
    pointers = put(content, 2)
    remote = TroubledRemote(tmp_path / "hub", passing(0.5))
    assert send_content(remote, content, pointers[:1], report=ignore, pause=0.001).moved == (pointers[0],)
    assert remote.asked[1] - remote.asked[0] >= 0.5
    remote.troubles = [passing(3600)]
    began = time.monotonic()
    assert [failed.pointer for failed in send_content(remote, content, pointers, report=ignore).failed] == [pointers[1]]
    assert time.monotonic() - began < 5


def test_what_cannot_pass_is_not_tried_again_and_the_rest_goes_on(tmp_path: Path, content: ContentStore) -> None:
    pointers = put(content, 6)
    remote = TroubledRemote(tmp_path / "hub", ContentFailed("too large"))
    done = send_content(remote, content, pointers, report=ignore, workers=1)
    assert [failed.pointer for failed in done.failed] == pointers[:1]
    assert done.moved == tuple(pointers[1:])
    assert len(remote.asked) == 6


def test_a_download_that_gets_on_each_time_is_not_given_up(
    tmp_path: Path, content: ContentStore, other: ContentStore
) -> None:
    (pointer,) = put(content, 1, size=100_000)
    remote = TroubledRemote(tmp_path / "hub")
    send_content(remote, content, [pointer], report=ignore)
    remote.after, remote.troubles = 5000, [passing()] * 12
    told: list[Progress] = []
    assert fetch_content(remote, other, [pointer], report=told.append, pause=0.001).moved == (pointer,)
    other.verify(pointer)
    assert max(progress.bytes for progress in told) == 100_000
    assert told[-1] == Progress(1, 1, 100_000, 100_000)


def test_wrong_bytes_from_before_are_fetched_anew(tmp_path: Path, content: ContentStore, other: ContentStore) -> None:
    (pointer,) = put(content, 1)
    remote = TroubledRemote(tmp_path / "hub")
    send_content(remote, content, [pointer], report=ignore)
    with suppress(ContentFailed), receive(other, pointer) as sink:
        assert sink is not None
        sink.write(b"zeros")
    assert [path.read_bytes() for path in (other.directory / "incomplete").iterdir()] == [b"zeros"]
    assert fetch_content(remote, other, [pointer], report=ignore, pause=0.001).moved == (pointer,)
    other.verify(pointer)


def test_a_remote_that_cannot_be_used_ends_everything(tmp_path: Path, content: ContentStore) -> None:
    pointers = put(content, 300)
    remote = TroubledRemote(tmp_path / "hub", *[RemoteUnusable("not for you")] * 300)
    with pytest.raises(RemoteUnusable, match="not for you"):
        send_content(remote, content, pointers, report=ignore, workers=4)
    assert len(remote.asked) <= 5
    remote.troubles = []
    assert send_content(remote, content, pointers, report=ignore).moved == tuple(pointers)


def test_a_remote_that_cannot_be_asked_ends_everything(tmp_path: Path, content: ContentStore) -> None:
    with pytest.raises(RemoteUnusable, match="mounted"):
        send_content(DirectoryRemote(tmp_path / "unmounted"), content, put(content, 3), report=ignore)
    assert not (tmp_path / "unmounted").exists()


def test_a_transfer_that_ends_everything_while_the_remote_is_asked(tmp_path: Path, content: ContentStore) -> None:
    class Slow(TroubledRemote):
        def prepare_uploads(self, pointers: object) -> list[Pointer]:
            if self.asked:
                raise passing(60)
            return super().prepare_uploads(pointers)  # type: ignore[arg-type]

    began = time.monotonic()
    remote = Slow(tmp_path / "hub", *[passing(0.5)] * 8, *[RemoteUnusable("not for you")] * 300)
    with pytest.raises(RemoteUnusable):
        send_content(remote, content, put(content, 110), report=ignore, pause=0.01)
    assert time.monotonic() - began < 20


def test_a_full_disk_here_ends_everything(tmp_path: Path, content: ContentStore, other: ContentStore) -> None:
    remote = TroubledRemote(tmp_path / "hub")
    pointers = put(content, 20)
    send_content(remote, content, pointers, report=ignore)
    other.directory.mkdir()
    (other.directory / "objects").write_text("a file where a directory belongs")
    with pytest.raises(StoreFailed):
        fetch_content(remote, other, pointers, report=ignore)


def test_progress_only_grows_and_ends_at_all(tmp_path: Path, content: ContentStore, other: ContentStore) -> None:
    remote = TroubledRemote(tmp_path / "hub")
    pointers = put(content, 30, size=50_000)
    send_content(remote, content, pointers[:10], report=ignore)
    told: list[Progress] = []
    busy = threading.Lock()

    def report(progress: Progress) -> None:
        assert busy.acquire(blocking=False)  # never from two threads at once
        told.append(progress)
        busy.release()

    done = send_content(remote, content, [*pointers, name(b"nowhere")], report=report)
    assert (done.there, done.moved, done.missing) == (tuple(pointers[:10]), tuple(pointers[10:]), (name(b"nowhere"),))
    assert told[-1] == Progress(20, 20, 20 * 50_000, 20 * 50_000)
    assert [progress.bytes for progress in told] == sorted(progress.bytes for progress in told)
    assert all(progress.bytes <= progress.bytes_total for progress in told)


STOP = """
import sys, time, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_content_transfer import *
content = ContentStore(Path({directory!r}) / "here")
pointers = put(content, 40, size=3 << 20)
class Slow(DirectoryRemote):
    def upload(self, pointer, file, *, advance):
        def slowly(size):
            advance(size)
            print("moved", flush=True)
            time.sleep(0.3)
        super().upload(pointer, file, advance=slowly)
root = Path({directory!r}) / "hub"
root.mkdir()
print("ready", flush=True)
try:
    send_content(Slow(root), content, pointers, report=ignore)
except KeyboardInterrupt:
    # One that was being started when the interrupt came is known to nobody, and ends by itself.
    for thread in set(threading.enumerate()) - {{threading.current_thread()}}:
        thread.join(2)
    print("stopped", threading.active_count(), flush=True)
"""


def test_ctrl_c_ends_it_at_once_and_leaves_nothing_half(tmp_path: Path) -> None:
    code = STOP.format(tests=str(Path(__file__).parent), directory=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert child.stdout is not None
    with child.stdout:
        while (line := child.stdout.readline()) != "moved\n":
            assert line
        child.send_signal(signal.SIGINT)
        sent = time.monotonic()
        rest = child.stdout.read()
    assert child.wait(20) == 0
    assert rest.splitlines()[-1] == "stopped 1"
    assert time.monotonic() - sent < 3
    for path in (tmp_path / "hub").rglob("*"):
        assert path.is_dir() or path.stat().st_size == 3 << 20
    assert list((tmp_path / "hub" / "tmp").iterdir()) == []

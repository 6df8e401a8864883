"""What every content remote keeps to, whatever it is made of: whole under its name or not there, verified, resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from content_remotes import MAKERS, Place, make_data, name, serve_s3

from gittrack.content import ContentStore
from gittrack.content_remote import ContentFailed, ContentRemote, Progress, fetch_content, receive, send_content
from gittrack.errors import Corrupt, GittrackError, InvalidInput
from gittrack.model import Pointer

SMALL = make_data(70_000)
# More than two parts of what is sent to S3 at once, and not a whole number of them.
LARGE = make_data((25 << 20) + 17)


@pytest.fixture(scope="module")
def s3_host() -> Iterator[str]:
    with serve_s3() as host:
        yield host


@pytest.fixture(params=MAKERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "s3":
        monkeypatch.setenv("GITTRACK_TEST_S3", request.getfixturevalue("s3_host"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with MAKERS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def remote(place: Place) -> Iterator[ContentRemote]:
    opened = place.open()
    yield opened
    opened.close()
    opened.close()


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


@pytest.fixture
def other(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "there")


def ignore(_: object) -> None:
    pass


def upload(remote: ContentRemote, content: ContentStore, data: bytes) -> Pointer:
    pointer = content.put_bytes(data)
    file = content.find(pointer)
    assert file is not None
    moved: list[int] = []
    remote.upload(pointer, file, advance=moved.append)
    assert sum(moved) in (0, len(data))
    return pointer


def begin(content: ContentStore, pointer: Pointer, data: bytes) -> None:
    """Leave what a process leaves that is killed when so much has come."""
    with suppress(KeyError), receive(content, pointer) as sink:
        assert sink is not None
        sink.write(data)
        raise KeyError


def download(remote: ContentRemote, content: ContentStore, pointer: Pointer) -> None:
    with receive(content, pointer) as sink:
        assert sink is not None
        remote.download(pointer, sink, advance=ignore)


def read(content: ContentStore, pointer: Pointer) -> bytes | None:
    file = content.find(pointer)
    return None if file is None else file.read_bytes()


@pytest.mark.parametrize("data", [b"x", SMALL, LARGE], ids=["one", "small", "large"])
def test_what_is_sent_is_there_and_comes_back(
    place: Place, remote: ContentRemote, content: ContentStore, other: ContentStore, data: bytes
) -> None:
    pointer = upload(remote, content, data)
    assert place.read(pointer) == data
    moved: list[int] = []
    with receive(other, pointer) as sink:
        assert sink is not None
        remote.download(pointer, sink, advance=moved.append)
        assert other.find(pointer) is None
    assert read(other, pointer) == data
    assert sum(moved) == len(data)


def test_sending_again_changes_nothing(
    place: Place, remote: ContentRemote, content: ContentStore, other: ContentStore
) -> None:
    pointers = [upload(remote, content, data) for data in (SMALL, LARGE, SMALL, LARGE)][:2]
    assert [place.read(pointer) for pointer in pointers] == [SMALL, LARGE]
    for _ in range(2):
        done = send_content(remote, content, [*pointers, *pointers], report=ignore)
        assert (done.there, done.moved, done.failed) == (tuple(pointers), (), ())
    assert fetch_content(remote, other, pointers, report=ignore).moved == tuple(pointers)
    assert fetch_content(remote, other, pointers, report=ignore).there == tuple(pointers)


def test_the_remote_tells_what_it_has(place: Place, remote: ContentRemote, content: ContentStore) -> None:
    here = [upload(remote, content, make_data(100, seed)) for seed in range(3)]
    lacking = [name(make_data(100, seed)) for seed in range(10, 13)]
    mixed = [lacking[0], here[0], here[1], lacking[1], here[2], lacking[2]]
    assert remote.prepare_uploads(mixed) == lacking
    assert remote.prepare_downloads(mixed) == here
    assert remote.list_whole(mixed) == here
    assert remote.prepare_uploads([]) == remote.prepare_downloads([]) == remote.list_whole([]) == []
    place.write(here[1], b"cut short")
    assert place.open().list_whole(mixed) == [here[0], here[2]]


def test_nothing_at_all_needs_no_remote(remote: ContentRemote, content: ContentStore) -> None:
    empty = name(b"")
    assert remote.prepare_uploads([empty]) == remote.prepare_downloads([empty]) == remote.list_whole([empty]) == []
    assert send_content(remote, content, [empty], report=ignore).there == (empty,)
    assert fetch_content(remote, content, [empty], report=ignore).there == (empty,)
    assert read(content, empty) == b""


def test_a_download_goes_on_where_it_was_broken_off(
    remote: ContentRemote, content: ContentStore, other: ContentStore
) -> None:
    pointer = upload(remote, content, LARGE)
    begin(other, pointer, LARGE[: 11 << 20])
    with receive(other, pointer) as sink:
        assert sink is not None
        assert sink.start == 11 << 20
        moved: list[int] = []
        remote.download(pointer, sink, advance=moved.append)
        assert sum(moved) == len(LARGE) - (11 << 20)
    assert read(other, pointer) == LARGE


def test_wrong_bytes_at_the_remote_are_not_kept(place: Place, remote: ContentRemote, content: ContentStore) -> None:
    pointer = name(SMALL)
    place.write(pointer, SMALL[:-1] + b"!")
    done = fetch_content(remote, content, [pointer], report=ignore, pause=0.01)
    (failed,) = done.failed
    assert failed.pointer == pointer
    assert isinstance(failed.error, Corrupt)
    assert remote.name in failed.error.message
    assert [path for path in content.directory.rglob("*") if path.is_file()] == []


def test_truncated_content_at_the_remote_is_told(place: Place, remote: ContentRemote, content: ContentStore) -> None:
    pointer = name(SMALL)
    place.write(pointer, SMALL[:1000])
    done = fetch_content(remote, content, [pointer], report=ignore, pause=0.01)
    assert [failed.pointer for failed in done.failed] == [pointer]
    assert pointer.oid in done.failed[0].error.message
    assert content.find(pointer) is None


def test_what_the_remote_does_not_have(remote: ContentRemote, content: ContentStore) -> None:
    pointer = name(SMALL)
    assert fetch_content(remote, content, [pointer], report=ignore).missing == (pointer,)
    with pytest.raises(ContentFailed) as caught:
        download(remote, content, pointer)
    assert remote.name in caught.value.message
    assert content.find(pointer) is None


def test_many_send_the_same_at_once(place: Place, content: ContentStore) -> None:
    pointer = content.put_bytes(LARGE)
    file = content.find(pointer)
    assert file is not None
    failures: list[GittrackError] = []

    def send() -> None:
        try:
            place.open().upload(pointer, file, advance=ignore)
        except GittrackError as error:
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert place.read(pointer) == LARGE


BREAK_OFF = """
import sys, time
from gittrack.content import ContentStore
from gittrack.model import Pointer
from pathlib import Path
content = ContentStore(Path({directory!r}))
pointer = Pointer({oid!r}, {size})
moved = 0
def advance(size):
    global moved
    moved += size
    if moved > 12 << 20:
        print("moved", flush=True)
        {then}
try:
    remote.upload(pointer, content.find(pointer), advance=advance)
except KeyError:
    pass
"""


@pytest.mark.parametrize("then", ["time.sleep(600)", "raise KeyError"], ids=["killed", "stopped"])
def test_an_upload_that_is_broken_off_leaves_nothing_under_the_name(
    place: Place, content: ContentStore, then: str
) -> None:
    pointer = content.put_bytes(LARGE)
    code = BREAK_OFF.format(directory=str(content.directory), oid=pointer.oid, size=pointer.size, then=then)
    child = subprocess.Popen([sys.executable, "-c", place.code + code], stdout=subprocess.PIPE, env=dict(os.environ))
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"moved\n"
        if "sleep" in then:
            child.send_signal(signal.SIGKILL)
        code_at_end = child.wait(60)
    assert code_at_end == (-signal.SIGKILL if "sleep" in then else 0)
    assert place.read(pointer) is None
    remote = place.open()
    assert remote.prepare_downloads([pointer]) == []
    assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
    assert place.read(pointer) == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_content_that_is_damaged_here_does_not_spread(
    place: Place, remote: ContentRemote, content: ContentStore, data: bytes
) -> None:
    pointer = content.put_bytes(data)
    file = content.find(pointer)
    assert file is not None
    file.write_bytes(b"!" + data[1:])
    with pytest.raises(ContentFailed) as caught:
        remote.upload(pointer, file, advance=ignore)
    assert caught.value.retry_after is None
    assert place.read(pointer) is None


@pytest.mark.parametrize(
    "oid", ["../../../../etc/passwd", "..", "", "a" * 63, "A" * 64, "a" * 63 + "/", "a" * 64 + "\n"]
)
def test_names_that_lead_elsewhere_are_refused(remote: ContentRemote, content: ContentStore, oid: str) -> None:
    pointer = Pointer(oid, 5)
    for ask in (remote.prepare_uploads, remote.prepare_downloads):
        with pytest.raises((InvalidInput, ContentFailed)):
            ask([pointer])
    with pytest.raises((InvalidInput, ContentFailed)):
        remote.upload(pointer, content.directory, advance=ignore)


def test_many_small_ones_go_there_and_back(remote: ContentRemote, content: ContentStore, other: ContentStore) -> None:
    data = [make_data(200 + number, number) for number in range(130)]
    pointers = [content.put_bytes(each) for each in data]
    told: list[Progress] = []
    assert send_content(remote, content, pointers, report=told.append).moved == tuple(pointers)
    assert told[-1] == Progress(130, 130, sum(map(len, data)), sum(map(len, data)))
    done = fetch_content(remote, other, [*pointers, name(b"nowhere")], report=told.append)
    assert (done.moved, done.missing) == (tuple(pointers), (name(b"nowhere"),))
    assert told[-1] == Progress(130, 130, sum(map(len, data)), sum(map(len, data)))
    assert [read(other, pointer) for pointer in pointers] == data


def test_its_name_can_be_printed(remote: ContentRemote) -> None:
    assert remote.name
    assert remote.name.isprintable()
    assert "?" not in remote.name

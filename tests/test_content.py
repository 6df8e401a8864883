"""Artifact bytes in git-lfs's own place: found by git-lfs, whole or absent, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import git

from gittrack.content import ContentStore
from gittrack.errors import Corrupt, GittrackError, InvalidInput, NotFound, StoreFailed
from gittrack.model import Pointer
from gittrack.pointer import encode_pointer
from gittrack.repository import get_repository

DATA = b"weights" * 1000


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "lfs")


def name(data: bytes) -> Pointer:
    return Pointer(hashlib.sha256(data).hexdigest(), len(data))


def list_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_a_file_is_kept_under_its_name(content: ContentStore, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(DATA)
    path.chmod(0o600)
    pointer = content.put_file(path)
    assert pointer == name(DATA)
    kept = tmp_path / "lfs" / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
    assert content.find(pointer) == kept
    assert kept.read_bytes() == DATA
    umask = os.umask(0)
    os.umask(umask)
    assert kept.stat().st_mode & 0o777 == 0o644 & ~umask
    assert content.put_file(path) == content.put_bytes(DATA) == pointer
    assert list_files(tmp_path / "lfs") == [kept]
    with content.open(pointer) as file:
        assert file.read() == DATA
    content.verify(pointer)
    path.unlink()
    content.verify(pointer)


def test_what_is_not_here_is_not_found(content: ContentStore, tmp_path: Path) -> None:
    assert content.find(name(DATA)) is None
    for read in (content.open, content.verify):
        with pytest.raises(NotFound) as caught:
            read(name(DATA))
        assert caught.value.hint == "gittrack pull --content --all"
    with pytest.raises(NotFound, match="no such file"):
        content.put_file(tmp_path / "none")
    assert not (tmp_path / "lfs").exists()


def test_nothing_at_all_is_content_too(content: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    pointer = content.put_file(tmp_path / "empty")
    assert pointer == name(b"")
    fresh = ContentStore(tmp_path / "fresh")
    with fresh.open(pointer) as file:
        assert file.read() == b""
    fresh.verify(pointer)
    found = fresh.find(pointer)
    assert found is not None
    assert found.read_bytes() == b""


def test_only_regular_files_are_kept(content: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)
        server.bind("socket")
        for path in ("link", "directory", "pipe", "socket", "/dev/null", "nul\0"):
            with pytest.raises(InvalidInput, match="cannot be kept"):
                content.put_file(tmp_path / path)
    assert list_files(tmp_path / "lfs") == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(content: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0)
    with pytest.raises(InvalidInput, match="Permission denied"):
        content.put_file(tmp_path / "file")


@pytest.mark.parametrize("oid", ["", "../../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_names_that_lead_elsewhere_are_refused(content: ContentStore, oid: str) -> None:
    for call in (content.find, content.open, content.verify):
        with pytest.raises(InvalidInput):
            call(Pointer(oid, 1))


@pytest.mark.parametrize("bad", [b"", DATA[:-1], DATA + b"x", b"W" + DATA[1:]])
def test_damage_is_told_and_healed_by_putting_again(content: ContentStore, bad: bytes) -> None:
    pointer = content.put_bytes(DATA)
    path = content.find(pointer)
    assert path is not None
    path.write_bytes(bad)
    if len(bad) != len(DATA):
        assert content.find(pointer) is None
    with pytest.raises((Corrupt, NotFound)):
        content.verify(pointer)
    assert content.put_bytes(DATA) == pointer
    content.verify(pointer)


def test_a_file_that_changes_is_kept_as_it_was_read(content: ContentStore, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (8 << 20))
    stop = threading.Event()

    def change() -> None:
        with open(path, "r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0, os.SEEK_END)
                file.write(b"more")
                file.seek(7 << 20)
                file.write(os.urandom(8))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        pointers = [content.put_file(path) for _ in range(3)]
    finally:
        stop.set()
        thread.join()
    for pointer in pointers:
        content.verify(pointer)


def test_a_file_that_grows_without_end_is_kept_to_where_it_was(content: ContentStore, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(DATA)
    with open(path, "ab", buffering=0) as file:
        look = os.fstat
        sizes: list[int] = []

        def grow(descriptor: int) -> os.stat_result:
            found = look(descriptor)
            sizes.append(found.st_size)
            file.write(b"late")
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fstat", grow)
            pointer = content.put_file(path)
    assert pointer == name(path.read_bytes()[: sizes[-1]])
    assert path.stat().st_size == sizes[-1] + 4
    assert content.put_file(Path("/proc/self/status")).size > 100


def test_many_at_once_put_the_same(content: ContentStore, tmp_path: Path) -> None:
    failures: list[GittrackError] = []

    def put() -> None:
        try:
            for _ in range(5):
                content.put_bytes(DATA)
        except GittrackError as error:
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list_files(tmp_path / "lfs") == [content.find(name(DATA))]


def run_child(directory: Path, body: str) -> subprocess.Popen[str]:
    code = f"""
import os, resource, sys
from pathlib import Path
from gittrack.content import ContentStore
from gittrack.errors import StoreFailed
sys.path.insert(0, {str(Path(__file__).parent)!r})
from memory import measure_peak
directory = Path({str(directory)!r})
content = ContentStore(directory / "lfs")
{body}
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_kill_while_copying_leaves_nothing_under_a_name(content: ContentStore, tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(20 << 30)  # sparse: it is never copied to its end
    child = run_child(tmp_path, "content.put_file(directory / 'big')")
    temporary = tmp_path / "lfs" / "tmp"
    deadline = time.monotonic() + 30
    while not (temporary.is_dir() and any(path.stat().st_size for path in temporary.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (left,) = list_files(tmp_path / "lfs")
    assert left.parent == temporary
    content.put_bytes(b"while it is young, it may be in use")
    assert left.exists()
    foreign = temporary / "of-another-program"
    foreign.touch()
    for path in (left, foreign):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    content.put_bytes(DATA)
    assert list(temporary.iterdir()) == [foreign]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(3 << 20))
    child = run_child(
        tmp_path,
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
        "for put in (lambda: content.put_file(directory / 'big'), lambda: content.put_bytes(bytes(3 << 20))):\n"
        "    try: put()\n"
        "    except StoreFailed as error: print(error)\n",
    )
    output, errors = child.communicate()
    assert (output.count("File too large"), errors) == (2, "")
    assert list_files(tmp_path / "lfs") == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "lfs").write_text("a file where a directory belongs")
    with pytest.raises(StoreFailed, match="lfs"):
        ContentStore(tmp_path / "lfs").put_bytes(DATA)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(256 << 20)
    child = run_child(
        tmp_path,
        "content.put_bytes(b'warm')\n"
        "before = measure_peak()\n"
        "content.verify(content.put_file(directory / 'big'))\n"
        "print(measure_peak() - before)\n",
    )
    output, errors = child.communicate()
    assert errors == ""
    assert int(output) < 20 << 20


def test_bytes_are_synced_before_they_get_their_name(
    content: ContentStore, disk_steps: list[tuple[Path, Path | None]]
) -> None:
    path = content.find(content.put_bytes(DATA))
    assert path is not None
    source, target = disk_steps[1]
    assert (disk_steps[0], target) == ((source, None), path)
    assert disk_steps[2:] == [(parent, None) for parent in path.parents[:4]]


def test_the_place_is_git_lfs_own(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", str(tmp_path / "side"))
    for setting, expected in [
        (None, repo / ".git" / "lfs"),
        ("other/place", repo / ".git" / "other" / "place"),
        (str(tmp_path / "elsewhere"), tmp_path / "elsewhere"),
    ]:
        if setting:
            git(repo, "config", "lfs.storage", setting)
        for worktree in (repo, tmp_path / "side"):
            assert ContentStore.of(get_repository(worktree)).directory == expected
            assert f"LocalMediaDir={expected}/objects" in git(worktree, "lfs", "env").splitlines()


def test_git_lfs_finds_what_is_put(repo: Path) -> None:
    git(repo, "lfs", "install", "--local")
    pointer = ContentStore.of(get_repository(repo)).put_bytes(DATA)
    done = subprocess.run(
        ["git", "lfs", "smudge"], cwd=repo, input=encode_pointer(pointer), capture_output=True, check=True
    )
    assert done.stdout == DATA
    (repo / "back.bin").write_bytes(b"back" * 100)
    git(repo, "lfs", "track", "*.bin")
    git(repo, "add", "back.bin")
    ContentStore.of(get_repository(repo)).verify(name(b"back" * 100))

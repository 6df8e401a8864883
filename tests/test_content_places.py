"""Where content goes that is kept in a directory or below a URL: found, refused, shared, and told what went wrong."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.fs
import pytest
from conftest import git
from content_remotes import make_data, name, place_of

from gittrack.content import ContentStore
from gittrack.content_remote import (
    ContentFailed,
    ContentRemote,
    DirectoryRemote,
    FilesystemRemote,
    RemoteUnusable,
    fetch_content,
    find_directory_remote,
    open_filesystem,
    receive,
    send_content,
)
from gittrack.errors import InvalidInput
from gittrack.model import Pointer
from gittrack.pointer import encode_pointer
from gittrack.repository import get_repository
from gittrack.store.disk import parse_sharing

DATA = make_data(5000)
POINTER = name(DATA)


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    store = ContentStore(tmp_path / "here")
    store.put_bytes(DATA)
    return store


def ignore(_: object) -> None:
    pass


def send(remote: ContentRemote, content: ContentStore) -> None:
    assert send_content(remote, content, [POINTER], report=ignore).failed == ()


def make_bare(path: Path) -> Path:
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare")
    return path


def test_it_is_beside_the_repository_that_the_address_names(repo: Path, tmp_path: Path, content: ContentStore) -> None:
    bare = make_bare(tmp_path / "a hub.git")
    git(repo, "worktree", "add", "-q", str(tmp_path / "side"))
    own, other = repo / ".git" / "lfs" / "objects", bare / "lfs" / "objects"
    for address, expected in [
        (str(bare), other),
        (f"{tmp_path}/a hub", other),
        (f"file://{tmp_path}/a%20hub.git", other),
        ("../a hub.git", other),
        (str(repo), own),
        (".", own),
        (f"{repo}/.git", own),
        (str(tmp_path / "side"), own),
    ]:
        remote = find_directory_remote(address, base=repo, name="hub")
        assert remote is not None
        assert remote.directory == expected
        assert remote.name == "hub"
        send(remote, content)
        assert (expected / place_of(POINTER)).read_bytes() == DATA


@pytest.mark.parametrize(
    "address", ["https://host/x.git", "ssh://host/x", "host:x.git", "user@host:/x", "git://host/x", "s3://bucket"]
)
def test_an_address_on_another_machine_is_no_directory(tmp_path: Path, address: str) -> None:
    assert find_directory_remote(address, base=tmp_path, name="hub") is None


@pytest.mark.parametrize("address", ["sub", "nowhere", "README"])
def test_where_no_repository_is_there_is_no_content(repo: Path, address: str) -> None:
    (repo / "sub").mkdir()
    with pytest.raises(RemoteUnusable, match="no repository"):
        find_directory_remote(address, base=repo, name="hub")


def test_lfs_storage_counts_if_the_remote_says_so(repo: Path, tmp_path: Path, content: ContentStore) -> None:
    bare = make_bare(tmp_path / "hub.git")
    git(repo, "config", "--global", "lfs.storage", str(tmp_path / "mine"))
    remote = find_directory_remote(str(bare), base=repo, name="hub")
    assert remote is not None
    assert remote.directory == bare / "lfs" / "objects"
    for setting, expected in [("big", bare / "big"), (str(tmp_path / "disk"), tmp_path / "disk")]:
        git(bare, "config", "lfs.storage", setting)
        remote = find_directory_remote(str(bare), base=repo, name="hub")
        assert remote is not None
        assert remote.directory == expected / "objects"
        send(remote, content)
        assert (expected / "objects" / place_of(POINTER)).read_bytes() == DATA


def test_git_lfs_finds_what_is_sent_and_what_it_sent_is_found(repo: Path, tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "hub.git")
    git(repo, "lfs", "install", "--local")
    git(repo, "remote", "add", "origin", f"file://{bare}")
    git(repo, "lfs", "track", "*.bin")
    ours = ContentStore.of(get_repository(repo))
    ours.put_bytes(DATA)
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=encode_pointer(POINTER))
    git(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},model.bin")
    git(repo, "add", ".gitattributes")
    git(repo, "commit", "-qm", "model")
    remote = find_directory_remote(f"file://{bare}", base=repo, name="origin")
    assert remote is not None
    send(remote, ours)
    git(repo, "push", "-q", "--no-verify", "origin", "main")
    git(tmp_path, "clone", "-q", f"file://{bare}", "clone")
    git(tmp_path / "clone", "lfs", "install", "--local")
    git(tmp_path / "clone", "lfs", "pull")
    assert (tmp_path / "clone" / "model.bin").read_bytes() == DATA
    theirs = make_data(700)
    (tmp_path / "clone" / "more.bin").write_bytes(theirs)
    git(tmp_path / "clone", "add", "more.bin")
    git(tmp_path / "clone", "commit", "-qm", "more")
    git(tmp_path / "clone", "push", "-q", "origin", "main")
    assert fetch_content(remote, ours, [name(theirs)], report=ignore).moved == (name(theirs),)
    git(bare, "lfs", "fsck")


@pytest.mark.parametrize(
    ("setting", "file_mode", "directory_mode"),
    [("group", 0o664, 0o2775), ("all", 0o664, 0o2775), ("0640", 0o640, 0o2750), ("umask", 0o644, 0o755)],
)
def test_those_who_share_the_repository_can_use_it(
    tmp_path: Path, content: ContentStore, setting: str, file_mode: int, directory_mode: int
) -> None:
    root = tmp_path / "objects"
    old = os.umask(0o022)
    try:
        send(DirectoryRemote(root, anchor=tmp_path, sharing=parse_sharing(setting)), content)
    finally:
        os.umask(old)
    path = root / place_of(POINTER)
    assert stat.S_IMODE(path.stat().st_mode) == file_mode
    for directory in (path.parent, path.parent.parent, root, root / "tmp"):
        assert stat.S_IMODE(directory.stat().st_mode) == directory_mode, directory


def make_link(path: Path) -> None:
    (path.parent / "target").write_bytes(DATA)
    path.symlink_to("target")


def make_socket(path: Path) -> None:
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name[:20])
    os.rename(path.name[:20], path.name)


@pytest.mark.parametrize("make", [make_link, make_socket, os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, content: ContentStore, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hub" / place_of(POINTER)
    path.parent.mkdir(parents=True)
    make(path)
    remote = DirectoryRemote(tmp_path / "hub")
    file = content.find(POINTER)
    assert file is not None
    fresh = ContentStore(tmp_path / "fresh")
    with receive(fresh, name(b"any")) as sink:
        assert sink is not None
        for act in (
            lambda: remote.prepare_uploads([POINTER]),
            lambda: remote.prepare_downloads([POINTER]),
            lambda: remote.upload(POINTER, file, advance=ignore),
            lambda: remote.download(POINTER, sink, advance=ignore),
        ):
            with pytest.raises(ContentFailed) as caught:
                act()
            assert str(path) in caught.value.message
            assert caught.value.retry_after is None
        assert sink.start == 0
        sink.write(b"any")
    assert not (tmp_path / "hub" / "tmp").exists() or list((tmp_path / "hub" / "tmp").iterdir()) == []


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_truncated_there_is_healed_by_sending_again(tmp_path: Path, content: ContentStore, kind: str) -> None:
    path = tmp_path / "hub" / place_of(POINTER)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA[:-1])
    remote = DirectoryRemote(tmp_path / "hub") if kind == "directory" else open_filesystem(f"file://{tmp_path}/hub")
    assert send_content(remote, content, [POINTER], report=ignore).moved == (POINTER,)
    assert path.read_bytes() == DATA


def test_a_full_disk_leaves_nothing(tmp_path: Path, content: ContentStore) -> None:
    pointer = content.put_bytes(make_data(3 << 20))
    (tmp_path / "hub").mkdir()
    code = f"""
import resource
from pathlib import Path
from gittrack.content import ContentStore
from gittrack.content_remote import DirectoryRemote, open_filesystem, send_content
from gittrack.model import Pointer
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
content = ContentStore(Path({str(content.directory)!r}))
pointer = Pointer({pointer.oid!r}, {pointer.size})
for remote in (DirectoryRemote(Path({str(tmp_path / "hub")!r})), open_filesystem("file://{tmp_path}/hub")):
    done = send_content(remote, content, [pointer], report=lambda _: None, pause=0.01)
    print(done.failed[0].error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.count("File too large"), done.stderr) == (2, "")
    assert [path for path in (tmp_path / "hub").rglob("*") if path.is_file()] == []


def test_what_a_dead_process_left_is_removed_after_a_day(tmp_path: Path, content: ContentStore) -> None:
    left = tmp_path / "hub" / "tmp"
    left.mkdir(parents=True)
    for file, age in (("gittrack-old", 25), ("gittrack-young", 23), ("foreign", 25)):
        (left / file).touch()
        os.utime(left / file, (time.time() - age * 3600,) * 2)
    send(DirectoryRemote(tmp_path / "hub"), content)
    assert sorted(path.name for path in left.iterdir()) == ["foreign", "gittrack-young"]


def test_bytes_are_synced_before_they_get_their_name(
    tmp_path: Path, content: ContentStore, disk_steps: list[tuple[Path, Path | None]]
) -> None:
    (tmp_path / "hub").mkdir()
    remote = DirectoryRemote(tmp_path / "hub")
    send(remote, content)
    oid = POINTER.oid
    names = [path.name.partition("-")[0] if target is None else f"-> {target.name}" for path, target in disk_steps]
    assert names == ["gittrack", f"-> {oid}", oid[2:4], oid[:2], "hub"]


def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path: Path, content: ContentStore) -> None:
    remote = DirectoryRemote(tmp_path / "mount")
    file = content.find(POINTER)
    assert file is not None
    for act in (
        lambda: remote.prepare_uploads([POINTER]),
        lambda: remote.prepare_downloads([POINTER]),
        lambda: remote.upload(POINTER, file, advance=ignore),
    ):
        with pytest.raises(RemoteUnusable, match="mounted"):
            act()
    assert not (tmp_path / "mount").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:SECRET@bucket/x", "credential"),
        ("s3://key@bucket/x", "credential"),
        ("s3://bucket/x?secret_key=SECRET", "credential"),
        ("abfs://:SECRET@account/container", "credential"),
        ("abfs://c@a.dfs.core.windows.net/p?account_key=SECRET", "credential"),
        ("s3://", "no bucket"),
        ("s3://bucket?zone=1", "zone"),
        ("s3://bucket?region", "not a URL"),
        ("gs://bucket?unknown=1", "unknown"),
        ("ftp://host/x", "ftp"),
        ("bucket/x", "cannot be kept"),
        ("s3://[bucket", "not a URL"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        open_filesystem(url)
    assert "SECRET" not in caught.value.message


class RefusingHandler(pyarrow.fs.FileSystemHandler):
    """A file system that refuses everything in the words of some store."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def refuse(self, *_: object, **__: object) -> object:
        raise self.error

    def get_type_name(self) -> str:
        return "refusing"


for _method in pyarrow.fs.FileSystemHandler.__abstractmethods__ - {"get_type_name"}:
    setattr(RefusingHandler, _method, RefusingHandler.refuse)
RefusingHandler.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError("AWS Error ACCESS_DENIED during HeadObject operation"), RemoteUnusable, "does not let you"),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject"), RemoteUnusable, "no such bucket"),
        (OSError("AWS Error INVALID_ACCESS_KEY_ID (HTTP status 403)"), RemoteUnusable, "who you are"),
        (PermissionError(13, "Permission denied"), RemoteUnusable, "does not let you"),
        (OSError(28, "No space left on device"), RemoteUnusable, "no room"),
        (OSError("AWS Error SLOW_DOWN during GetObject"), ContentFailed, "SLOW_DOWN"),
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 7"), ContentFailed, "NETWORK_CONNECTION"),
    ],
)
def test_what_a_store_says_is_made_clear(error: Exception, kind: type[ContentFailed], said: str) -> None:
    remote = FilesystemRemote(pyarrow.fs.PyFileSystem(RefusingHandler(error)), "p", name="store://p")
    with pytest.raises(ContentFailed, match=said) as caught:
        remote.prepare_uploads([POINTER])
    assert type(caught.value) is kind
    assert caught.value.message.startswith("store://p: ")
    assert caught.value.retry_after == (None if kind is RemoteUnusable else 0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from gittrack.content import ContentStore
from gittrack.content_remote import DirectoryRemote, fetch_content, open_filesystem, send_content
root = Path({str(tmp_path)!r})
content = ContentStore(root / "here")
pointer = content.put_chunks(bytes([n]) * (1 << 20) for n in range(200))
for kind in ("directory", "file"):
    (root / kind).mkdir()
    remote = DirectoryRemote(root / kind) if kind == "directory" else open_filesystem(f"file://{{root}}/file")
    assert send_content(remote, content, [pointer], report=lambda _: None).moved == (pointer,)
    assert fetch_content(remote, ContentStore(root / f"{{kind}}-back"), [pointer], report=lambda _: None).moved
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    directory, file = map(int, done.stdout.split())
    assert directory < 60_000  # KiB
    assert file < 200_000


def test_pyarrow_is_only_loaded_when_it_is_needed(tmp_path: Path) -> None:
    code = "import sys, gittrack.content_remote; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_odd_names_of_content_are_no_paths() -> None:
    with pytest.raises(InvalidInput):
        DirectoryRemote(Path("/")).prepare_downloads([Pointer("../etc/passwd", 1)])

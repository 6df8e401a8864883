"""The real git-lfs and gittrack at the same server: what one of them sends, the other fetches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import git
from content_remotes import make_data
from lfs_servers import make_giftless

from gittrack.content import ContentStore
from gittrack.content_remote import fetch_content, send_content
from gittrack.content_remote.lfs import LfsRemote, find_lfs_remote
from gittrack.git import Git
from gittrack.gitconfig import ask_git
from gittrack.pointer import decode_pointer, encode_pointer
from gittrack.transport.remote import find_remote

pytestmark = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="git-lfs is not installed (apt-get install git-lfs)"
)
FILES = {"model.bin": make_data(3_000_000), "some plot.bin": make_data(700), "é.bin": make_data(50_000)}


def ignore(_: object) -> None:
    pass


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    directory = tmp_path / "hub.git"
    directory.mkdir()
    git(directory, "init", "-q", "--bare")
    return directory


@pytest.fixture
def url() -> str:
    return make_giftless().url


def open_remote(directory: Path) -> LfsRemote:
    config = ask_git(Git(directory))
    remote = find_lfs_remote(directory, config, find_remote("origin", config, why=""))
    assert remote is not None
    return remote


def use_lfs(directory: Path, url: str) -> None:
    git(directory, "lfs", "install", "--local", "--skip-repo")
    git(directory, "config", "lfs.url", url)
    git(directory, "config", f"lfs.{url}.locksverify", "false")


def test_git_lfs_pulls_what_gittrack_sent(repo: Path, hub: Path, tmp_path: Path, url: str) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    git(repo, "config", "lfs.url", url)
    content = ContentStore(repo / ".git" / "lfs")
    pointers = {path: content.put_bytes(data) for path, data in FILES.items()}
    # The blobs are pointers as gittrack writes them: no filter of git-lfs is set up in this repository.
    (repo / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    for path, pointer in pointers.items():
        (repo / path).write_bytes(encode_pointer(pointer))
    git(repo, "-c", "filter.lfs.clean=cat", "add", "-A")
    git(repo, "commit", "-qm", "a run")
    assert len(send_content(open_remote(repo), content, pointers.values(), report=ignore).moved) == len(FILES)
    git(repo, "push", "-q", "origin", "main")

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(hub), str(clone))
    use_lfs(clone, url)
    git(clone, "lfs", "fetch")
    git(clone, "lfs", "fsck")
    theirs = ContentStore(clone / ".git" / "lfs")
    for path, pointer in pointers.items():
        file = theirs.find(pointer)
        assert file is not None
        assert file.read_bytes() == FILES[path]
    git(clone, "lfs", "pull")
    assert {path: (clone / path).read_bytes() for path in FILES} == FILES


def test_gittrack_fetches_what_git_lfs_pushed(repo: Path, hub: Path, tmp_path: Path, url: str) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    use_lfs(repo, url)
    git(repo, "lfs", "track", "*.bin")
    for path, data in FILES.items():
        (repo / path).write_bytes(data)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "files")
    git(repo, "lfs", "push", "origin", "main")
    pointers = {path: decode_pointer(git(repo, "show", f"HEAD:{path}").encode() + b"\n") for path in FILES}
    content = ContentStore(tmp_path / "here")
    remote = open_remote(repo)
    assert remote.prepare_uploads(list(pointers.values())) == []
    assert set(fetch_content(remote, content, pointers.values(), report=ignore).moved) == set(pointers.values())
    for path, pointer in pointers.items():
        file = content.find(pointer)
        assert file is not None
        assert file.read_bytes() == FILES[path]

"""Content that is not here, and comes when it is asked for: from the remote's directory, or from where it is set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import git
from hubs import make_hub
from snapshots.invocation import call

import gittrack
from gittrack.content_remote import DirectoryRemote, FilesystemRemote, find_content_remote
from gittrack.errors import Corrupt, InvalidInput, NotFound, RemoteFailed
from gittrack.repository import get_repository
from gittrack.settings import load_settings
from gittrack.tracker import Tracker
from gittrack.transport import Remote

TEXTS = {"model.bin": b"weights" * 1000, "plots/a.txt": b"a picture"}


@pytest.fixture
def hub(tmp_path: Path, repo: Path) -> Path:
    """A bare repository, the remote of `repo`."""
    directory = make_hub(tmp_path / "hub.git")
    git(repo, "remote", "add", "origin", str(directory))
    return directory


def record(repo: Path) -> str:
    with gittrack.start_run("churn", name="one") as run:
        for path, data in TEXTS.items():
            run.log_text(data.decode(), path)
    return run.id


def move_content(repo: Path, target: Path) -> None:
    """Let the content be elsewhere, and no longer here."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(repo / ".git" / "lfs" / "objects", target)


def test_an_artifact_is_fetched_when_it_is_opened(repo: Path, hub: Path) -> None:
    record(repo)
    move_content(repo, hub / "lfs" / "objects")
    run = gittrack.get_run("one")
    with pytest.raises(NotFound, match="not on this machine") as caught:
        run.artifact_file("model.bin")
    assert caught.value.hint == "gittrack artifact get one model.bin"
    assert run.open_artifact("model.bin").read() == TEXTS["model.bin"]
    assert run.artifact_file("model.bin").read_bytes() == TEXTS["model.bin"]
    with pytest.raises(NotFound, match="not on this machine"):
        run.artifact_file("plots/a.txt")


def test_the_commands_fetch_what_is_asked_for_and_nothing_else(repo: Path, hub: Path, tmp_path: Path) -> None:
    record(repo)
    move_content(repo, hub / "lfs" / "objects")
    done = call("artifact", "cat", "one", "plots/a.txt")
    assert (done.code, done.out) == (0, TEXTS["plots/a.txt"].decode())
    assert "note: fetched 1 file, 9 B" in done.err
    done = call("artifact", "get", "one", "-o", str(tmp_path / "out"))
    assert done.code == 0
    assert "note: fetched 1 file, 7.0 kB" in done.err
    assert {path: (tmp_path / "out" / path).read_bytes() for path in TEXTS} == TEXTS
    assert "fetched" not in call("artifact", "get", "one", "-o", str(tmp_path / "again")).err


def test_damaged_content_is_not_taken(repo: Path, hub: Path, tmp_path: Path) -> None:
    record(repo)
    move_content(repo, hub / "lfs" / "objects")
    for file in (hub / "lfs" / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(b"x" * file.stat().st_size)
    failed = call("artifact", "get", "one", "model.bin", "-o", str(tmp_path / "out"))
    assert failed.code == 6
    assert "origin: what came is not the content" in failed.err
    assert not (tmp_path / "out" / "model.bin").exists()
    with pytest.raises(Corrupt, match="origin: what came is not the content"):
        gittrack.get_run("one").open_artifact("model.bin")
    with pytest.raises(NotFound):
        gittrack.get_run("one").artifact_file("model.bin")


def test_content_that_nobody_has_is_named(repo: Path, hub: Path) -> None:
    record(repo)
    shutil.rmtree(repo / ".git" / "lfs")
    missing = call("artifact", "get", "one", "model.bin")
    assert missing.code == 3
    assert "artifact 'model.bin' (7.0 kB, sha256" in missing.err
    assert "neither on this machine nor with the remote" in missing.err
    with pytest.raises(NotFound, match="not on this machine"):
        gittrack.get_run("one").open_artifact("model.bin")
    git(repo, "remote", "remove", "origin")
    missing = call("artifact", "get", "one", "model.bin")
    assert (missing.code, "no remote that could have it" in missing.err) == (3, True)
    git(repo, "remote", "add", "origin", str(hub / "gone"))
    assert call("artifact", "get", "one", "model.bin").code == 8
    with Tracker.open() as tracker, pytest.raises(RemoteFailed, match="there is no repository at origin"):
        tracker.get_run("one").open_artifact("model.bin")


def test_a_setting_says_where_content_is(repo: Path, hub: Path, tmp_path: Path) -> None:
    record(repo)
    move_content(repo, tmp_path / "shared disk" / "runs")
    git(repo, "config", "gittrack.contentRemote", (tmp_path / "shared disk" / "runs").as_uri())
    assert gittrack.get_run("one").open_artifact("plots/a.txt").read() == TEXTS["plots/a.txt"]
    git(repo, "config", "gittrack.contentRemote", "none")
    assert "no remote that could have it" in call("artifact", "get", "one", "model.bin").err
    git(repo, "config", "gittrack.contentRemote", "../shared disk/runs")
    assert gittrack.get_run("one").open_artifact("model.bin").read() == TEXTS["model.bin"]


def test_a_project_file_must_not_say_where_content_goes(repo: Path) -> None:
    (repo / "pyproject.toml").write_text('[tool.gittrack]\ncontent-remote = "s3://mine/now"\n')
    with pytest.raises(InvalidInput, match="'content-remote', which is none of auto-push, experiment"):
        load_settings(get_repository(repo), environ={}, directory=repo)


def test_each_address_has_its_kind_of_remote(repo: Path, hub: Path, tmp_path: Path) -> None:
    repository = get_repository(repo)
    none = Remote("origin", str(hub), str(tmp_path), "")

    def choose(setting: str | None, remote: Remote | None = none, *, uploads: bool = False) -> object:
        return find_content_remote(repository, lambda: remote, setting=setting, uploads=uploads)

    directory = choose(str(tmp_path))
    assert isinstance(directory, DirectoryRemote)
    assert directory.directory == tmp_path
    assert isinstance(choose("s3://bucket/runs?region=eu-west-1"), FilesystemRemote)
    found = choose(None)
    assert isinstance(found, DirectoryRemote)
    assert found.directory == hub / "lfs" / "objects"
    with pytest.raises(RemoteFailed, match="no repository at origin"):
        choose(None, uploads=True)
    assert choose(None, None) is choose("none") is None
    assert type(choose(None, Remote("o", "https://host/a.git", "https://host/a.git", ""))).__name__ == "LfsRemote"
    with pytest.raises(InvalidInput, match="gopher://"):
        choose("gopher://x/y")

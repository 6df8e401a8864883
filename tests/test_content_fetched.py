"""Content that is not here, and comes when it is asked for: from the remote's directory, or from where it is set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import git
from hubs import make_hub
from snapshots.invocation import call

import gittrack
from gittrack.content_remote import DirectoryRemote, FilesystemRemote, find_content_place, find_content_remote
from gittrack.errors import Corrupt, InvalidInput, NotFound, RemoteFailed
from gittrack.git import Git
from gittrack.gitconfig import ask_git
from gittrack.repository import get_repository, read_config
from gittrack.settings import load_settings
from gittrack.tracker import Tracker
from gittrack.transport import Remote, find_remote

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


def test_a_server_that_is_set_counts_before_the_remotes_directory(repo: Path, hub: Path, tmp_path: Path) -> None:
    other = make_hub(tmp_path / "other.git")
    assert find_place(repo) == find_place(repo, uploads=True) == str(hub)
    git(repo, "config", "remote.origin.lfsurl", "https://host/lfs")
    assert find_place(repo) == find_place(repo, uploads=True) == "https://host/lfs"
    git(repo, "config", "lfs.url", other.as_uri())
    git(repo, "config", "lfs.pushurl", "ssh://git@host:2222/lfs")
    assert (find_place(repo), find_place(repo, uploads=True)) == (str(other), "ssh://git@host:2222/lfs")
    remote = find_remote("origin", read_config(get_repository(repo)), why="")
    found = find_content_remote(get_repository(repo), lambda: remote, setting=None, uploads=False)
    assert isinstance(found, DirectoryRemote)
    assert found.directory == other / "lfs" / "objects"
    git(repo, "config", "lfs.url", str(tmp_path / "nowhere"))
    with pytest.raises(RemoteFailed, match="no repository at origin") as caught:
        find_content_remote(get_repository(repo), lambda: remote, setting=None, uploads=False)
    assert caught.value.hint == "git config lfs.url URL"


def test_addresses_are_rewritten_as_git_does(repo: Path, tmp_path: Path) -> None:
    for key, value in [
        ("remote.origin.url", "gh:ml/x"),
        (f"url.{tmp_path}/.insteadOf", "gh:"),
        ("url.https://push/.pushInsteadOf", "gh:"),
    ]:
        git(repo, "config", key, value)
    assert find_place(repo) == git(repo, "remote", "get-url", "origin") == f"{tmp_path}/ml/x"
    assert git(repo, "remote", "get-url", "--push", "origin") == "https://push/ml/x"
    assert find_place(repo, uploads=True) == "https://push/ml/x.git/info/lfs"
    git(repo, "config", "remote.origin.pushurl", "gh:own/x")
    assert find_place(repo, uploads=True) == git(repo, "remote", "get-url", "--push", "origin") == f"{tmp_path}/own/x"


def test_of_several_addresses_the_first_counts_as_for_git(repo: Path) -> None:
    for number in (1, 2):
        git(repo, "config", "--add", "remote.origin.url", f"https://host{number}/x")
    assert find_place(repo) == git(repo, "remote", "get-url", "origin") + ".git/info/lfs"
    assert find_place(repo) == find_place(repo, uploads=True) == "https://host1/x.git/info/lfs"
    for number in (3, 4):
        git(repo, "config", "--add", "remote.origin.pushurl", f"https://host{number}/x")
    assert git(repo, "remote", "get-url", "--push", "origin") == "https://host3/x"
    assert find_place(repo, uploads=True) == "https://host3/x.git/info/lfs"


def test_a_pulled_file_does_not_say_where_content_goes(repo: Path, hub: Path) -> None:
    (repo / ".lfsconfig").write_text('[lfs]\n\turl = https://evil/lfs\n[remote "origin"]\n\tlfsurl = https://evil\n')
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "a trap")
    assert find_place(repo) == find_place(repo, uploads=True) == str(hub)


def test_an_address_that_is_shown_holds_no_credentials(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "https://ada:s3cret@host/x?sig=s3cret")
    assert find_place(repo) == "https://host/x.git/info/lfs"
    for setting in ("s3://key:s3cret@bucket/x", "s3://bucket/x?secret_key=s3cret&region=eu"):
        assert "s3cret" not in (find_place(repo, setting=setting) or "")
    assert find_place(repo, setting="none") is None
    assert find_place(repo, setting="s3://bucket/x?region=eu") == "s3://bucket/x?region=eu"


def find_place(repo: Path, *, setting: str | None = None, uploads: bool = False) -> str | None:
    repository = get_repository(repo)
    remote = find_remote("origin", ask_git(Git(repo)), why="")
    place = find_content_place(repository, lambda: remote, setting=setting, uploads=uploads)
    return None if place is None else place.address

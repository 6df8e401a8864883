"""The way to a Git LFS server that ssh tells: `git-lfs-authenticate`, behind a real sshd and a user's wrapper."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import git
from content_remotes import make_data
from hubs import serve_ssh
from lfs_servers import Scripted, serve_scripted

from gittrack.content import ContentStore
from gittrack.content_remote import ContentFailed, RemoteUnusable, fetch_content, send_content
from gittrack.content_remote.lfs import LfsRemote, find_lfs_remote
from gittrack.git import Git
from gittrack.gitconfig import ask_git
from gittrack.model import Pointer
from gittrack.transport.remote import find_remote

DATA = make_data(100_000)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serve_scripted() as running:
        yield running


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


@pytest.fixture
def pointer(content: ContentStore) -> Pointer:
    return content.put_bytes(DATA)


def ignore(_: object) -> None:
    pass


def connect(repo: Path, url: str, *settings: tuple[str, str]) -> LfsRemote:
    git(repo, "remote", "add", "origin", url)
    for key, value in settings:
        git(repo, "config", key, value)
    config = ask_git(Git(repo))
    remote = find_lfs_remote(repo, config, find_remote("origin", config, why=""))
    assert remote is not None
    return remote


def make_doorman(directory: Path, answer: object, *, code: int = 0, said: str = "") -> Path:
    """Write a git-lfs-authenticate that keeps a log, and return the directory it is in."""
    programs = directory / "programs"
    programs.mkdir()
    script = programs / "git-lfs-authenticate"
    text = answer if isinstance(answer, str) else json.dumps(answer)
    script.write_text(
        f'#!/bin/sh\nprintf "%s|" "$@" >> {directory}/asked\nprintf "%b" {shlex.quote(said)} >&2\n'
        f"printf '%s' {shlex.quote(text)}\nexit {code}\n"
    )
    script.chmod(0o755)
    return programs


def make_ssh(directory: Path, programs: Path) -> Path:
    """Write an ssh that runs the command here, as the shell of another machine would."""
    ssh = directory / "my ssh"
    ssh.write_text(
        f'#!/bin/sh\nprintf "%s|" "$@" >> {directory}/called\nfor last; do :; done\n'
        f'PATH={programs}:$PATH exec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    return ssh


def test_a_real_ssh_server_opens_the_door(
    repo: Path, tmp_path: Path, hermetic_home: Path, server: Scripted, content: ContentStore, pointer: Pointer
) -> None:
    programs = make_doorman(
        tmp_path, {"href": f"{server.url}/info/lfs", "header": {"Authorization": "RemoteAuth t1"}, "expires_in": 3600}
    )
    with serve_ssh(hermetic_home) as host:
        shell = tmp_path / "shell.sh"
        shell.write_text(f'#!/bin/sh\nPATH={programs}:$PATH\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
        shell.chmod(0o755)
        keys = hermetic_home / ".ssh" / "authorized_keys"
        keys.write_text(f'command="{shell}" {keys.read_text()}')
        remote = connect(repo, f"{host}:team/it's $(touch evil).git")
        assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
        assert fetch_content(remote, ContentStore(tmp_path / "b"), [pointer], report=ignore).moved == (pointer,)
    asked = (tmp_path / "asked").read_text()
    assert asked == "team/it's $(touch evil).git|upload|team/it's $(touch evil).git|download|"
    assert list(Path.home().rglob("evil")) + list(repo.rglob("evil")) == []
    batches = [seen for seen in server.seen if seen.kind == "batch"]
    assert [seen.authorization for seen in batches] == ["RemoteAuth t1"] * 2
    # Headers that ssh told are for the batches; actions bring their own.
    assert {seen.authorization for seen in server.seen if seen.kind != "batch"} == {None}


@pytest.mark.parametrize("way", ["GIT_SSH_COMMAND", "core.sshCommand", "GIT_SSH"])
def test_the_users_own_ssh_is_started(
    repo: Path, tmp_path: Path, server: Scripted, pointer: Pointer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    ssh = make_ssh(tmp_path, make_doorman(tmp_path, {"href": f"{server.url}/info/lfs"}))
    settings = []
    if way == "GIT_SSH":
        monkeypatch.setenv(way, str(ssh))
    elif way == "GIT_SSH_COMMAND":
        monkeypatch.setenv(way, f'X="1 2" {shlex.quote(str(ssh))} -v')
    else:
        settings = [(way, f"{shlex.quote(str(ssh))} -v")]
    remote = connect(repo, "ssh://git@host:2222/team/x.git", *settings)
    assert remote.prepare_uploads([pointer]) == [pointer]
    called = (tmp_path / "called").read_text()
    option = "" if way == "GIT_SSH" else "-v|"
    assert called == f"{option}-p|2222|git@host|git-lfs-authenticate /team/x.git upload|"


def test_plain_ssh_ends_its_options_before_the_host(
    repo: Path, tmp_path: Path, server: Scripted, pointer: Pointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_ssh(tmp_path, make_doorman(tmp_path, {"href": f"{server.url}/info/lfs"})).rename(tmp_path / "ssh")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    connect(repo, "git@host:x.git").prepare_uploads([pointer])
    assert (tmp_path / "called").read_text() == "--|git@host|git-lfs-authenticate x.git upload|"


def test_an_answer_is_kept_as_long_as_it_holds(
    repo: Path, tmp_path: Path, server: Scripted, pointer: Pointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, fields in enumerate([{"expires_in": 900}, {"expires_in": 2}, {}]):
        place = tmp_path / str(number)
        place.mkdir()
        ssh = make_ssh(place, make_doorman(place, {"href": f"{server.url}/info/lfs", **fields}))
        monkeypatch.setenv("GIT_SSH", str(ssh))
        if number:
            git(repo, "remote", "remove", "origin")
        remote = connect(repo, "host:x.git")
        for _ in range(3):
            remote.prepare_downloads([pointer])
        assert (place / "asked").read_text().count("download") == (3 if fields.get("expires_in") == 2 else 1)


def test_a_grant_that_is_refused_is_asked_for_again_once(
    repo: Path, tmp_path: Path, server: Scripted, pointer: Pointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = {"Authorization": "RemoteAuth old"}
    ssh = make_ssh(tmp_path, make_doorman(tmp_path, {"href": f"{server.url}/info/lfs", "header": header}))
    monkeypatch.setenv("GIT_SSH", str(ssh))
    server.password = "something else"
    with pytest.raises(RemoteUnusable, match="does not accept who you are"):
        connect(repo, "host:x.git").prepare_downloads([pointer])
    assert (tmp_path / "asked").read_text() == "x.git|download|" * 2
    assert [seen.authorization for seen in server.seen] == ["RemoteAuth old"] * 2


def test_a_server_that_says_no(repo: Path, tmp_path: Path, pointer: Pointer, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = make_doorman(tmp_path, "", code=1, said="ERROR: \\033[31mread-only\\033[0m token\\n")
    monkeypatch.setenv("GIT_SSH", str(make_ssh(tmp_path, programs)))
    with pytest.raises(RemoteUnusable) as caught:
        connect(repo, "host:x.git").prepare_uploads([pointer])
    assert caught.value.message == "origin does not let you upload: ERROR: read-only token"


NONSENSE = {
    "no JSON": "Welcome!",
    "a list": [],
    "a file": {"href": "file:///etc/passwd"},
    "no text": {"href": 7},
    "a bad header": {"href": "http://127.0.0.1/", "header": {"X": "1\r\nY: 2"}},
}


@pytest.mark.parametrize("case", NONSENSE)
def test_an_answer_over_ssh_that_cannot_be_used(
    repo: Path, tmp_path: Path, pointer: Pointer, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("GIT_SSH", str(make_ssh(tmp_path, make_doorman(tmp_path, NONSENSE[case]))))
    with pytest.raises(RemoteUnusable, match="git-lfs-authenticate of origin"):
        connect(repo, "host:x.git").prepare_uploads([pointer])


def test_a_real_ssh_server_that_knows_nothing_of_git_lfs(repo: Path, hermetic_home: Path, pointer: Pointer) -> None:
    with serve_ssh(hermetic_home) as host:
        remote = connect(repo, f"ssh://{host}/team/x.git")
        with pytest.raises(RemoteUnusable, match=r"nothing of Git LFS over ssh, and https://hub/team/x\.git") as caught:
            remote.prepare_uploads([pointer])
    assert caught.value.hint == "git config remote.origin.lfsurl URL"


def test_nobody_there_over_ssh(repo: Path, pointer: Pointer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=2")
    with pytest.raises(ContentFailed, match="cannot be reached over ssh") as caught:
        connect(repo, "ssh://127.0.0.1:1/x.git").prepare_uploads([pointer])
    assert caught.value.retry_after == 0

"""As whom a Git LFS server is spoken to, and that credentials reach nobody else: passwords, headers, redirects, TLS."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import git
from content_remotes import make_data, name
from hubs import PASSWORD, USER, use_credential_helper
from lfs_servers import BASIC, Reply, Scripted, make_certificate, open_lfs, serve_scripted

from gittrack.content import ContentStore
from gittrack.content_remote import ContentFailed, RemoteUnusable, fetch_content, send_content
from gittrack.content_remote.lfs import find_lfs_remote
from gittrack.content_remote.lfs_credential import Credential
from gittrack.errors import InvalidInput
from gittrack.git import Git
from gittrack.gitconfig import ask_git
from gittrack.model import Pointer
from gittrack.transport.remote import find_remote

DATA = make_data(200_000)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serve_scripted() as running:
        yield running


@pytest.fixture
def stranger() -> Iterator[Scripted]:
    """Another server, which is another origin: its port differs."""
    with serve_scripted() as running:
        yield running


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


def ignore(_: object) -> None:
    pass


def endpoint(server: Scripted, userinfo: str = "") -> str:
    return f"{server.url}/info/lfs".replace("://", f"://{userinfo}", 1)


def put(server: Scripted, data: bytes) -> Pointer:
    server.objects[name(data).oid] = data
    return name(data)


def log_helper(home: Path, *, password: str = PASSWORD, then: str = PASSWORD) -> Path:
    """Set up a credential helper that keeps a log; it answers with another password once the first was rejected."""
    helper, log = home / "helper.sh", home / "helper.log"
    helper.write_text(
        f'#!/bin/sh\necho "$1" >> {log}\ncat >> {log}\n[ "$1" = erase ] && touch {home}/erased\n'
        f'[ "$1" = get ] && if [ -e {home}/erased ]; then p={then}; else p={password}; fi '
        f'&& printf "username={USER}\\npassword=$p\\n"\nexit 0\n'
    )
    helper.chmod(0o755)
    git(home, "config", "--global", "credential.helper", str(helper))
    log.touch()
    return log


def find_commands(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line in ("get", "store", "erase")]


def test_git_is_asked_for_the_password_once_and_told_that_it_is_right(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home)
    server.password = PASSWORD
    pointers = [content.put_bytes(make_data(50, seed)) for seed in range(20)]
    remote = open_lfs(tmp_path, endpoint(server))
    assert len(send_content(remote, content, pointers, report=ignore).moved) == 20
    assert len(fetch_content(remote, ContentStore(tmp_path / "b"), pointers, report=ignore).moved) == 20
    assert find_commands(log) == ["get", "store", "get", "store"]  # one for each direction
    assert f"host=127.0.0.1:{server.server_port}" in log.read_text()
    assert "protocol=http\n" in log.read_text()
    first = [seen.authorization for seen in server.seen if seen.kind == "batch"][:2]
    assert first == [None, BASIC]
    # The actions are said to be authenticated, so they go without.
    assert {seen.authorization for seen in server.seen if seen.kind != "batch"} == {None}


def test_an_action_that_is_not_authenticated_gets_the_credential_of_its_own_host(
    server: Scripted, stranger: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    use_credential_helper(hermetic_home)
    server.password = PASSWORD

    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            del entry["authenticated"]
            entry["actions"]["verify"]["href"] = f"{stranger.root}/verify"
        return answer

    server.alter = alter
    remote = open_lfs(tmp_path, endpoint(server))
    pointer = content.put_bytes(DATA)
    stranger.objects[pointer.oid] = DATA
    assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
    assert [seen.authorization for seen in server.seen if seen.kind == "upload"] == [BASIC]
    assert [seen.authorization for seen in stranger.seen] == [None]


def test_another_host_that_asks_for_a_password_gets_none(
    server: Scripted, stranger: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home)

    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            entry.pop("authenticated")
            entry["actions"]["upload"]["href"] = f"{stranger.root}/objects/x"
        return answer

    server.alter = alter
    stranger.script["upload"] = [Reply(401)] * 9
    pointer = content.put_bytes(DATA)
    (failed,) = send_content(open_lfs(tmp_path, endpoint(server)), content, [pointer], report=ignore, pause=0).failed
    assert "refuses the content" in failed.error.message
    assert find_commands(log) == []
    assert {seen.authorization for seen in stranger.seen} == {None}


def test_a_password_that_is_refused_is_rejected_and_asked_for_again_once(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home, password="old")
    server.password = PASSWORD
    pointer = content.put_bytes(DATA)
    assert open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer]) == [pointer]
    assert find_commands(log) == ["get", "erase", "get", "store"]
    assert "password=old" in log.read_text().partition("erase")[2].partition("get")[0]


def test_a_password_that_stays_wrong(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home, password="old", then="older")
    server.password = PASSWORD
    pointer = content.put_bytes(DATA)
    with pytest.raises(RemoteUnusable, match="refused twice") as caught:
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer])
    assert caught.value.hint == "git ls-remote origin  # git has to get in first"
    assert find_commands(log) == ["get", "erase", "get", "erase"]
    assert "old" not in caught.value.message


def test_no_password_is_an_error_at_once(server: Scripted, tmp_path: Path, content: ContentStore) -> None:
    server.password = PASSWORD
    pointer = content.put_bytes(DATA)
    with pytest.raises(RemoteUnusable, match=r"git knows no password for it: .*prompts disabled"):
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer])


def test_the_password_of_the_address_counts_and_is_never_shown(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home)
    server.password = "p@ss/wörd"
    pointer = content.put_bytes(DATA)
    remote = open_lfs(tmp_path, endpoint(server, f"{USER}:p%40ss%2Fw%C3%B6rd@"))
    assert remote.prepare_uploads([pointer]) == [pointer]
    assert find_commands(log) == []
    server.script["batch"] = [Reply(404)]
    with pytest.raises(RemoteUnusable) as caught:
        remote.prepare_uploads([pointer])
    assert "p%40ss" not in caught.value.message
    assert "ada" not in caught.value.message
    assert "hunter2" not in repr(Credential("ada", "hunter2"))


def test_the_user_of_the_address_is_told_to_git(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home)
    server.password = PASSWORD
    open_lfs(tmp_path, endpoint(server, f"{USER}@")).prepare_uploads([content.put_bytes(DATA)])
    assert f"username={USER}" in log.read_text().partition("store")[0]


def test_netrc_counts_for_the_host_it_names(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    log = log_helper(hermetic_home)
    server.password = PASSWORD
    pointer = content.put_bytes(DATA)
    notes = hermetic_home / ".netrc"
    notes.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    notes.chmod(0o600)
    assert open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer]) == [pointer]
    assert find_commands(log) == []
    notes.write_text(f"machine 127.0.0.1 login {USER} password old\n")
    assert open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer]) == [pointer]
    assert find_commands(log) == ["get", "store"]
    notes.write_text(f"default login {USER} password s3cret\n")
    assert open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer]) == [pointer]
    assert find_commands(log) == ["get", "store"] * 2


def test_a_server_that_is_known_to_need_a_password_gets_it_first(
    server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore
) -> None:
    use_credential_helper(hermetic_home)
    settings = {f"lfs__{endpoint(server)}__access": "basic"}
    open_lfs(tmp_path, endpoint(server), **settings).prepare_uploads([content.put_bytes(DATA)])
    assert [seen.authorization for seen in server.seen] == [BASIC]


def test_many_threads_ask_once(server: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore) -> None:
    log = log_helper(hermetic_home)
    server.password = PASSWORD
    remote = open_lfs(tmp_path, endpoint(server))
    pointers = [content.put_bytes(make_data(50, seed)) for seed in range(8)]
    failures: list[Exception] = []

    def ask(pointer: Pointer) -> None:
        try:
            remote.prepare_uploads([pointer])
        except ContentFailed as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(pointer,)) for pointer in pointers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert find_commands(log) == ["get", "store"]


def test_an_address_cannot_say_more_to_git_than_a_line(server: Scripted, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="control character"):
        open_lfs(tmp_path, endpoint(server, "ada%0ahost=evil.example.org@"))


def redirect(status: int, target: str) -> Reply:
    return Reply(status, headers={"Location": target})


def test_a_redirect_to_another_host_gets_no_credentials(
    server: Scripted, stranger: Scripted, tmp_path: Path, content: ContentStore
) -> None:
    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            for action in entry["actions"].values():
                action["header"] = {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret"}
        return answer

    server.alter = alter
    pointer = content.put_bytes(DATA)
    target = f"{stranger.root}/objects/{pointer.oid}"
    server.script["upload"] = [redirect(307, target)]
    server.script["verify"] = [redirect(308, f"{stranger.root}/verify")]
    remote = open_lfs(tmp_path, endpoint(server), http__extraHeader="X-Everywhere: s3cret")
    moved: list[int] = []
    file = content.find(pointer)
    assert file is not None
    remote.upload(pointer, file, advance=moved.append)
    assert sum(moved) == len(DATA)
    assert stranger.objects[pointer.oid] == DATA
    assert "s3cret" in str(server.seen)
    server.objects[pointer.oid] = DATA
    server.script["download"] = [redirect(302, target)]
    assert fetch_content(remote, ContentStore(tmp_path / "b"), [pointer], report=ignore).moved == (pointer,)
    assert [seen.kind for seen in stranger.seen] == ["upload", "verify", "download"]
    assert "s3cret" not in str(stranger.seen)


@pytest.mark.parametrize("userinfo", ["", f"{USER}:{PASSWORD}@"])
def test_a_batch_that_is_redirected_to_another_host(
    server: Scripted, stranger: Scripted, hermetic_home: Path, tmp_path: Path, content: ContentStore, userinfo: str
) -> None:
    log = log_helper(hermetic_home)
    target = f"{stranger.url}/info/lfs/objects/batch"
    server.script["batch"] = [redirect(307, target)] * 2
    pointer = content.put_bytes(DATA)
    remote = open_lfs(tmp_path, endpoint(server, userinfo), http__extraHeader="Authorization: Bearer s3cret")
    assert remote.prepare_uploads([pointer]) == [pointer]
    stranger.password = PASSWORD
    with pytest.raises(RemoteUnusable, match="does not accept who you are"):
        remote.prepare_uploads([pointer])
    assert [seen.authorization for seen in stranger.seen] == [None, None]
    assert server.seen[0].authorization == (BASIC if userinfo else "Bearer s3cret")
    assert find_commands(log) == []


def test_a_redirect_on_the_same_host_keeps_all(server: Scripted, tmp_path: Path, content: ContentStore) -> None:
    pointer = content.put_bytes(DATA)
    server.script["batch"] = [redirect(307, "/new/info/lfs/objects/batch")]
    remote = open_lfs(tmp_path, endpoint(server, f"{USER}:{PASSWORD}@"))
    assert remote.prepare_uploads([pointer]) == [pointer]
    assert [seen.authorization for seen in server.seen] == [BASIC, BASIC]
    assert server.seen[1].path == "/new/info/lfs/objects/batch"
    assert server.seen[1].body == server.seen[0].body


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_lose_the_body(
    server: Scripted, stranger: Scripted, tmp_path: Path, content: ContentStore, status: int
) -> None:
    server.script["batch"] = [redirect(status, f"{stranger.url}/info/lfs/objects/batch?sig=s3cret")]
    with pytest.raises(ContentFailed, match=f"redirects a POST to {stranger.root}.* with status {status}") as caught:
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([content.put_bytes(DATA)])
    assert "s3cret" not in caught.value.message
    assert stranger.seen == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "", "gopher://x", "http://", "http://a\tb/"])
def test_a_redirect_to_nowhere(server: Scripted, tmp_path: Path, content: ContentStore, target: str) -> None:
    server.script["batch"] = [redirect(307, target)]
    with pytest.raises(ContentFailed, match="redirects to an address that is no http URL"):
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([content.put_bytes(DATA)])


def test_redirects_in_a_circle(server: Scripted, tmp_path: Path, content: ContentStore) -> None:
    server.script["batch"] = [redirect(307, endpoint(server) + "/objects/batch")] * 20
    with pytest.raises(ContentFailed, match="more than 5 redirects"):
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([content.put_bytes(DATA)])
    assert len(server.seen) == 6


def test_extra_headers_go_where_they_are_set_for(
    server: Scripted, stranger: Scripted, tmp_path: Path, content: ContentStore
) -> None:
    pointer = put(server, DATA)
    stranger.objects[pointer.oid] = DATA
    server.script["download"] = [redirect(307, f"{stranger.root}/objects/{pointer.oid}")]
    settings = {
        f"http__{server.root}/team__extraHeader": "X-Here: 1",
        f"http__{stranger.root}/__extraHeader": "X-There: 1",
        f"http__{stranger.root}/other__extraHeader": "X-Nowhere: 1",
        "http__extraHeader": "X-Mine: 1",
    }
    remote = open_lfs(tmp_path, endpoint(server), **settings)
    assert fetch_content(remote, content, [pointer], report=ignore).moved == (pointer,)
    batch, first = server.seen
    (second,) = stranger.seen
    names = ("x-here", "x-there", "x-nowhere", "x-mine")
    assert [name for name in names if name in batch.headers] == ["x-here", "x-mine"]
    assert [name for name in names if name in first.headers] == ["x-mine"]  # outside of /team
    assert [name for name in names if name in second.headers] == ["x-there"]


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Scripted, Path]]:
    context, certificate = make_certificate(tmp_path)
    with serve_scripted(context) as running:
        yield running, certificate


def test_tls_is_verified_as_git_is_told(
    secure: tuple[Scripted, Path], tmp_path: Path, content: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = secure
    pointer = content.put_bytes(DATA)
    with pytest.raises(RemoteUnusable, match="cannot show that it is who it should be") as caught:
        open_lfs(tmp_path, endpoint(server)).prepare_uploads([pointer])
    assert caught.value.hint == "git config http.sslCAInfo FILE"
    trusting = {f"http__{server.root}__sslCAInfo": str(certificate)}
    assert open_lfs(tmp_path, endpoint(server), **trusting).prepare_uploads([pointer]) == [pointer]
    with pytest.warns(match="Unverified HTTPS"):
        assert open_lfs(tmp_path, endpoint(server), http__sslVerify="false").prepare_uploads([pointer]) == [pointer]
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
    remote = open_lfs(tmp_path, endpoint(server))
    assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
    assert server.objects[pointer.oid] == DATA


def test_nothing_goes_from_https_to_http(
    secure: tuple[Scripted, Path], stranger: Scripted, tmp_path: Path, content: ContentStore
) -> None:
    server, certificate = secure
    pointer = put(server, DATA)
    remote = open_lfs(tmp_path, endpoint(server), http__sslCAInfo=str(certificate))
    server.script["download"] = [redirect(302, f"{stranger.root}/objects/{pointer.oid}")]
    (failed,) = fetch_content(remote, content, [pointer], report=ignore, pause=0).failed
    assert "which is without TLS" in failed.error.message

    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        answer["objects"][0]["actions"]["download"]["href"] = f"{stranger.root}/objects/{pointer.oid}"
        return answer

    server.alter = alter
    (failed,) = fetch_content(remote, content, [pointer], report=ignore, pause=0).failed
    assert "without TLS" in failed.error.message
    assert stranger.seen == []


@pytest.mark.parametrize("way", ["http.proxy", "remote.origin.proxy", "environment"])
def test_the_proxy_of_git_is_used(
    server: Scripted, tmp_path: Path, content: ContentStore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    # A proxy for plain http gets the whole address; the scripted server answers to that as well.
    url = "http://lfs.example.org/team/project.git/info/lfs"
    proxy = f"http://ada:s3cret@127.0.0.1:{server.server_port}"
    settings = {} if way == "environment" else {way.replace(".", "__"): proxy}
    for variable in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    if way == "environment":
        monkeypatch.setenv("http_proxy", proxy)
    pointer = content.put_bytes(DATA)
    assert open_lfs(tmp_path, url, **settings).prepare_uploads([pointer]) == [pointer]
    assert server.seen[0].path == f"{url}/objects/batch"
    assert server.seen[0].headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert open_lfs(tmp_path, endpoint(server), **settings).prepare_uploads([pointer]) == [pointer]
    assert server.seen[1].path == "/team/project.git/info/lfs/objects/batch"
    assert "proxy-authorization" not in server.seen[1].headers


def test_a_proxy_passes_tls_through(secure: tuple[Scripted, Path], tmp_path: Path, content: ContentStore) -> None:
    server, certificate = secure
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode())
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", server.server_port)) as there:
                back = threading.Thread(target=pump, args=(there, self.connection))
                back.start()
                pump(self.connection, there)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_address[1]}"
        remote = open_lfs(tmp_path, endpoint(server), http__proxy=address, http__sslCAInfo=str(certificate))
        pointer = content.put_bytes(DATA)
        assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
        remote.close()
        proxy.shutdown()
    assert {line.rpartition(" ")[0] for line in asked} == {f"CONNECT 127.0.0.1:{server.server_port}"}
    assert server.objects[pointer.oid] == DATA


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_proxy_of_another_kind(tmp_path: Path, content: ContentStore) -> None:
    remote = open_lfs(tmp_path, "http://lfs.example.org/x", http__proxy="socks5://ada:s3cret@127.0.0.1:1")
    with pytest.raises(RemoteUnusable, match="kind of proxy") as caught:
        remote.prepare_uploads([content.put_bytes(DATA)])
    assert "s3cret" not in caught.value.message


def test_a_pulled_lfsconfig_changes_nothing(
    server: Scripted, stranger: Scripted, repo: Path, content: ContentStore
) -> None:
    (repo / ".lfsconfig").write_text(
        f'[lfs]\n\turl = {endpoint(stranger)}\n\tpushurl = {endpoint(stranger)}\n[remote "origin"]\n\tlfsurl = '
        f"{endpoint(stranger)}\n\tlfspushurl = {endpoint(stranger)}\n[http]\n\textraHeader = X-Evil: 1\n"
        f'[url "{stranger.root}/"]\n\tinsteadOf = {server.root}/\n[credential]\n\thelper = !touch evil\n'
    )
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "a trap")
    git(repo, "remote", "add", "origin", server.url)
    server.password = PASSWORD
    use_credential_helper(Path.home())
    config = ask_git(Git(repo))
    remote = find_lfs_remote(repo, config, find_remote("origin", config, why=""))
    assert remote is not None
    pointer = content.put_bytes(DATA)
    assert send_content(remote, content, [pointer], report=ignore).moved == (pointer,)
    assert fetch_content(remote, ContentStore(repo / "b"), [pointer], report=ignore).moved == (pointer,)
    assert stranger.seen == []
    assert "x-evil" not in str(server.seen)
    assert not (repo / "evil").exists()

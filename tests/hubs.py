"""Real remotes for tests: the same bare repository behind every transport that git knows, all on loopback.

Each server ends with its context, and what cannot run here says why.
"""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import git

USER, PASSWORD = "ada", "correct-horse"
_CHUNK = 1 << 16


def make_hub(directory: Path) -> Path:
    """Return a new bare repository that can be pushed to over every transport."""
    directory.mkdir(parents=True)
    git(directory, "init", "-q", "--bare")
    git(directory, "config", "http.receivepack", "true")
    git(directory, "config", "uploadpack.allowFilter", "true")
    git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")
    return directory


@contextmanager
def serve_daemon(root: Path, *, writable: bool = True) -> Iterator[str]:
    """Serve all repositories below root with `git daemon`; yield the URL of root."""
    port = find_free_port()
    options = ["--enable=receive-pack"] if writable else []
    command = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    command += [*options, f"--base-path={root}", str(root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for_port(port)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


class _Backend(BaseHTTPRequestHandler):
    """Hands each request to `git http-backend`, as RFC 3875 has it, after asking for a password if one is needed."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server = self.server
        body = self._read_body()
        server.requests.append(f"{self.command} {self.path}")
        if server.override is not None:
            status = server.override(self)
            if status is not None:
                self._refuse(status)
                return
        if server.password is not None:
            expected = "Basic " + base64.b64encode(f"{USER}:{server.password}".encode()).decode()
            if self.headers.get("Authorization") != expected:
                self._refuse(401, ("WWW-Authenticate", 'Basic realm="hub"'))
                return
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USER,
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refuse(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, password: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Backend)
        self.root = root
        self.password = password
        self.override: Callable[[BaseHTTPRequestHandler], int | None] | None = None
        self.requests: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        return  # a client that hung up


@contextmanager
def run_server(server: socketserver.BaseServer) -> Iterator[None]:
    """Let a server answer meanwhile, in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_http(root: Path, *, password: str | None = None) -> Iterator[_Server]:
    """Serve all repositories below root over smart HTTP; `url(server)` is the URL of root."""
    server = _Server(root, password)
    with run_server(server):
        yield server


def url(server: _Server) -> str:
    """Return where a server's root is."""
    return f"http://127.0.0.1:{server.server_port}"


def use_credential_helper(home: Path, *, password: str = PASSWORD) -> None:
    """Set a helper up, in the user's Git configuration, that knows the password."""
    helper = home / "credentials.sh"
    helper.write_text(f'#!/bin/sh\n[ "$1" = get ] && printf "username={USER}\\npassword={password}\\n"\nexit 0\n')
    helper.chmod(0o755)
    git(home, "config", "--global", "credential.helper", str(helper))


@contextmanager
def serve_ssh(home: Path) -> Iterator[str]:
    """Run an sshd of this user's own on loopback; yield the alias that an ssh configuration has for it.

    Skips the test, saying why, where there is no sshd or it does not let this user in.
    """
    sshd, keygen = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin"), shutil.which("ssh-keygen")
    if sshd is None or keygen is None:
        pytest.skip("no sshd is installed (apt-get install openssh-server)")
    directory = home / ".ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in ("host_key", "user_key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user_key.pub", directory / "authorized_keys")
    port = find_free_port()
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host_key\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized_keys\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin yes\nAcceptEnv GIT_PROTOCOL LC_ALL\n"
    )
    host_key = (directory / "host_key.pub").read_text().split()[:2]
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    (directory / "config").write_text(
        f"Host hub\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {directory}/user_key\n  IdentitiesOnly yes\n  UserKnownHostsFile {directory}/known_hosts\n"
    )
    git(home, "config", "--global", "core.sshCommand", f"ssh -F {directory}/config")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = directory / "sshd.log"
    command = [sshd, "-D", "-E", str(log), "-f", str(directory / "sshd_config")]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        wait_for_port(port)
        check = subprocess.run(
            ["ssh", "-F", str(directory / "config"), "hub", "true"], capture_output=True, check=False
        )
        if check.returncode != 0:
            pytest.skip(f"sshd lets nobody in here: {check.stderr.decode()} {log.read_text()[-300:]}")
        yield "hub"
    finally:
        process.terminate()
        process.wait()


class Proxy:
    """A TCP proxy on loopback that cuts every connection once so many bytes have passed, either way, in all.

    `passed` counts the bytes of the connections so far; `cut` is None where nothing is cut.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.passed = 0
        self.cut: int | None = None
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def arm(self, cut: int | None) -> None:
        """Count from zero, and cut after so many bytes."""
        with self._lock:
            self.passed, self.cut = 0, cut

    def close(self) -> None:
        """Take no more connections."""
        # A thread that still waited at a closed descriptor would take the connections of the next socket of its number.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass bytes on, one way, until they end. The other way goes on: what it still carries may be an answer."""
        while data := self._read(source):
            with self._lock:
                left = len(data) if self.cut is None else max(self.cut - self.passed, 0)
                self.passed += min(len(data), left)
            with suppress(OSError):  # who hung up is no more interested, but may have said something before
                sink.sendall(data[:left])
            if left < len(data):
                for end in (source, sink):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                return
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _read(self, source: socket.socket) -> bytes:
        try:
            return source.recv(_CHUNK)
        except OSError:
            return b""


def find_free_port() -> int:
    """Return a port on loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Return once something listens on a port; fails the test where nothing does within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"nothing listens on port {port}")

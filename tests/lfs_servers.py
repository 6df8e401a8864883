"""Git LFS servers for tests, all on loopback: a real one from a package, and one that says what a test wants it to."""

from __future__ import annotations

import atexit
import base64
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from hubs import PASSWORD, USER, run_server

from gittrack.content_remote.lfs import LfsRemote, find_lfs_remote
from gittrack.gitconfig import collect
from gittrack.transport.remote import Remote

MEDIA_TYPE = "application/vnd.git-lfs+json"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Reply:
    """What the scripted server answers: or, with `act`, whatever that writes to the connection."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    act: Callable[[Handler], None] | None = None


@dataclass(frozen=True)
class Seen:
    """One request, as it came."""

    kind: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        self._answer("download")

    def do_PUT(self) -> None:
        self._answer("upload")

    def do_POST(self) -> None:
        self._answer("batch" if self.path.endswith("/objects/batch") else "verify")

    def _answer(self, kind: str) -> None:
        server = self.server
        body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.lock:
            server.seen.append(Seen(kind, self.path, headers, body))
            scripted = server.script.get(kind, [])
            reply = scripted.pop(0) if scripted else None
        if reply is None:
            reply = getattr(server, f"_do_{kind}")(self.path, headers, body)
        if reply.act is not None:
            reply.act(self)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class Scripted(ThreadingHTTPServer):
    """A Git LFS server that keeps content in memory.

    `script` holds, by kind of request (batch, upload, download, verify), the replies that come before the right ones.
    `alter` may change a batch answer. With `password` a batch needs one. `seen` lists all requests.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http" if context is None else "https"
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.objects: dict[str, bytes] = {}
        self.script: dict[str, list[Reply]] = {}
        self.alter: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.password: str | None = None
        self.seen: list[Seen] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where the Git repository would be."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}/team/project.git"

    @property
    def root(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def kinds(self) -> list[str]:
        """Return what was asked, in order."""
        return [seen.kind for seen in self.seen]

    def handle_error(self, request: object, client_address: object) -> None:
        return  # a client that hung up

    def _do_batch(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if not self._lets_in(headers):
            return Reply(401, headers={"LFS-Authenticate": 'Basic realm="lfs"'})
        asked = json.loads(body)
        answer: dict[str, Any] = {"transfer": "basic", "objects": []}
        for each in asked["objects"]:
            there = each["oid"] in self.objects
            action: dict[str, Any] = {"href": f"{self.root}/objects/{each['oid']}?token=t0k3n"}
            entry: dict[str, Any] = {**each, "authenticated": True}
            if asked["operation"] == "download" and there:
                entry["actions"] = {"download": action}
            elif asked["operation"] == "download":
                entry["error"] = {"code": 404, "message": "Object does not exist"}
            elif not there:
                entry["actions"] = {"upload": action, "verify": {"href": f"{self.root}/verify"}}
            answer["objects"].append(entry)
        answer = self.alter(answer)
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Reply(200, raw, {"Content-Type": MEDIA_TYPE})

    def _do_upload(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        self.objects[_find_oid(path)] = body
        return Reply()

    def _do_verify(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        asked = json.loads(body)
        return Reply(200 if len(self.objects.get(asked["oid"], b"")) == asked["size"] else 404)

    def _do_download(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        data = self.objects.get(_find_oid(path))
        if data is None:
            return Reply(404, b'{"message": "gone"}')
        match = re.fullmatch(r"bytes=([0-9]+)-", headers.get("range", ""))
        if match is None:
            return Reply(200, data)
        start = int(match[1])
        if start >= len(data):
            return Reply(416, headers={"Content-Range": f"bytes */{len(data)}"})
        return Reply(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def _lets_in(self, headers: dict[str, str]) -> bool:
        wanted = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        return self.password is None or headers.get("authorization") == wanted


def open_lfs(directory: Path, url: str, **settings: str) -> LfsRemote:
    """Return the remote `origin`, whose Git LFS server is at url; further git settings with `__` for a dot."""
    config = collect([("lfs.url", url), *((key.replace("__", "."), value) for key, value in settings.items())])
    remote = find_lfs_remote(directory, config, Remote("origin", f"{url}/git", f"{url}/git", ""))
    assert remote is not None
    return remote


@contextmanager
def serve_scripted(context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Run a scripted server."""
    server = Scripted(context)
    with run_server(server):
        yield server


def make_certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a context for a server at 127.0.0.1, and the certificate to trust."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@dataclass(frozen=True)
class Giftless:
    """A repository of a real Git LFS server: its address, and the directory that its content is in."""

    url: str
    directory: Path


def make_giftless() -> Giftless:
    """Return a new repository of the one Giftless server that runs in this process."""
    root, storage = _start_giftless()
    repository = f"r{uuid4().hex}"
    return Giftless(f"{root}/team/{repository}.git/info/lfs", storage / "team" / repository)


@cache
def _start_giftless() -> tuple[str, Path]:
    from giftless.app import init_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            return

    storage = Path(tempfile.mkdtemp(prefix="gittrack-giftless-"))
    atexit.register(shutil.rmtree, storage, ignore_errors=True)
    options = {
        "storage_class": "lfs_servers:make_storage",
        "storage_options": {"path": str(storage)},
        "action_lifetime": 900,
    }
    config = {
        "LEGACY_ENDPOINTS": False,
        "AUTH_PROVIDERS": ["lfs_servers:let_in"],
        "PRE_AUTHORIZED_ACTION_PROVIDER": {"options": {"private_key": uuid4().hex}},
        "TRANSFER_ADAPTERS": {"basic": {"factory": "giftless.transfer.basic_streaming:factory", "options": options}},
    }
    server = make_server("127.0.0.1", 0, init_app(additional_config=config), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", storage


def let_in(_: object) -> object:
    """Return the user that everybody is to Giftless: one with a name, which its tokens need."""
    from giftless.auth.identity import DefaultIdentity, Permission

    user = DefaultIdentity(id=USER, name=USER)
    user.allow(permissions=Permission.all())
    return user


def make_storage(path: str, **_: object) -> object:
    """Return Giftless's own storage, with one change: what is not whole is never under its name."""
    from giftless.storage.local_storage import LocalStorage

    class Atomic(LocalStorage):
        def put(self, prefix: str, oid: str, data_stream: IO[bytes]) -> int:
            target = self._get_path(prefix, oid)
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as temporary:
                try:
                    shutil.copyfileobj(data_stream, temporary)
                    size = temporary.tell()
                except BaseException:
                    Path(temporary.name).unlink()
                    raise
            Path(temporary.name).rename(target)
            return size

    return Atomic(path)


def _find_oid(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2]

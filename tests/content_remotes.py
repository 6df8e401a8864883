"""The kinds of content remotes that the contract is held against, each with a look behind its back.

A new kind is one more entry in MAKERS.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow.fs
from lfs_servers import make_giftless, open_lfs

from gittrack.content_remote import ContentRemote, DirectoryRemote, open_filesystem
from gittrack.model import Pointer

_TESTS = str(Path(__file__).parent)


@dataclass(frozen=True)
class Place:
    """One remote, made for one test.

    `open` returns it anew. `code` is Python that a child process runs to have it as `remote`. `read` returns the bytes
    that are under a content's name, whatever they are, or None; `write` puts any bytes there.
    """

    open: Callable[[], ContentRemote]
    code: str
    read: Callable[[Pointer], bytes | None]
    write: Callable[[Pointer, bytes], None]


def make_data(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not repeat."""
    return random.Random(f"{size} {seed}").randbytes(size)


def name(data: bytes) -> Pointer:
    """Return what data is called."""
    return Pointer(hashlib.sha256(data).hexdigest(), len(data))


def place_of(pointer: Pointer) -> str:
    """Return where content lies, in words of its own."""
    return f"{pointer.oid[0:2]}/{pointer.oid[2:4]}/{pointer.oid}"


@contextmanager
def make_directory(tmp_path: Path) -> Iterator[Place]:
    """A plain directory."""
    root = tmp_path / "shared"
    root.mkdir()
    code = (
        "from pathlib import Path; from gittrack.content_remote import DirectoryRemote; "
        f"remote = DirectoryRemote(Path({str(root)!r}))"
    )
    yield Place(lambda: DirectoryRemote(root), code, *look_into(root))


@contextmanager
def make_file_url(tmp_path: Path) -> Iterator[Place]:
    """A directory by way of pyarrow."""
    root = tmp_path / "shared"
    root.mkdir()
    url = f"file://{root}"
    yield Place(lambda: open_filesystem(url), open_in_child(url), *look_into(root))


@contextmanager
def make_s3(tmp_path: Path) -> Iterator[Place]:
    """A bucket of the server that the test session has started; see `serve_s3`."""
    host = os.environ["GITTRACK_TEST_S3"]
    bucket = f"bucket-{uuid4().hex}"
    s3 = pyarrow.fs.S3FileSystem(
        endpoint_override=host, scheme="http", region="us-east-1", allow_bucket_creation=True, background_writes=False
    )
    s3.create_dir(bucket)
    url = f"s3://{bucket}/some/prefix?endpoint_override={host}&scheme=http&region=us-east-1"

    def read(pointer: Pointer) -> bytes | None:
        try:
            with s3.open_input_file(f"{bucket}/some/prefix/{place_of(pointer)}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def write(pointer: Pointer, data: bytes) -> None:
        with s3.open_output_stream(f"{bucket}/some/prefix/{place_of(pointer)}") as file:
            file.write(data)

    yield Place(lambda: open_filesystem(url), open_in_child(url), read, write)


@contextmanager
def make_lfs(tmp_path: Path) -> Iterator[Place]:
    """A repository of a real Git LFS server."""
    server = make_giftless()

    def read(pointer: Pointer) -> bytes | None:
        path = server.directory / pointer.oid
        return path.read_bytes() if path.exists() else None

    def write(pointer: Pointer, data: bytes) -> None:
        server.directory.mkdir(parents=True, exist_ok=True)
        (server.directory / pointer.oid).write_bytes(data)

    code = (
        "from pathlib import Path; from lfs_servers import open_lfs; "
        f"remote = open_lfs(Path({str(tmp_path)!r}), {server.url!r})"
    )
    yield Place(
        lambda: open_lfs(tmp_path, server.url), f"import sys; sys.path.insert(0, {_TESTS!r}); {code}", read, write
    )


MAKERS: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "directory": make_directory,
    "file-url": make_file_url,
    "s3": make_s3,
    "lfs": make_lfs,
}


def open_in_child(url: str) -> str:
    """Return code that opens a URL."""
    return f"from gittrack.content_remote import open_filesystem; remote = open_filesystem({url!r})"


def look_into(root: Path) -> tuple[Callable[[Pointer], bytes | None], Callable[[Pointer, bytes], None]]:
    """Return how to read and write content behind the back of a remote that is a directory."""

    def read(pointer: Pointer) -> bytes | None:
        path = root / place_of(pointer)
        return path.read_bytes() if path.exists() else None

    def write(pointer: Pointer, data: bytes) -> None:
        path = root / place_of(pointer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return read, write


@contextmanager
def serve_s3() -> Iterator[str]:
    """Serve S3 on loopback, in this process; gives host and port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        server.stop()

"""Owns content below a URL that pyarrow knows: a bucket, HDFS, a directory; in the layout `aa/bb/<sha256>`.

pyarrow is only imported when such a remote is used. Credentials are the business of pyarrow's own look at the
environment and the user's configuration: none is taken from a URL, none is handed on. Knows nothing of which content is
wanted.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from ..errors import InvalidInput, Unsupported
from ..model import Pointer
from .outgoing import read_content
from .remote import Advance, ContentFailed, RemoteUnusable, Sink, make_place

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")

_PART = 10 << 20  # what pyarrow sends to S3 as one part
# pyarrow keeps a part, and what of it is being sent: of so many large ones at once the memory stays bounded.
_LARGE_AT_ONCE = 4
_CHUNK = 8 << 20
_ASKING = 8
_CONNECT_TIME = 10.0
# Where an object appears when its stream is closed, and not before; elsewhere it is renamed when it is whole.
_OBJECT_STORES = ("s3", "gcs")
_S3_SETTINGS = {"region", "scheme", "endpoint_override", "tls_ca_file_path"}
_SECRET = re.compile(r"(?i)key|secret|token|password|signature|credential|(?:^|_)sas")

# The first pattern that is found counts; what stands in none of them may pass. pyarrow tells S3's errors in capitals,
# and other stores' in their own words.
_UNUSABLE: tuple[tuple[str, str], ...] = (
    (r"NO_SUCH_BUCKET|NoSuchBucket|bucket does not exist|ContainerNotFound", "there is no such bucket"),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|MISSING_AUTHENTICATION|ExpiredToken"
        r"|UNRECOGNIZED_CLIENT|UNAUTHENTICATED|AuthenticationFailed|HTTP status 401|[Cc]ould not .*credential",
        "it does not accept who you are",
    ),
    (r"ACCESS_DENIED|AccessDenied|HTTP status 403|PermissionDenied|PERMISSION_DENIED", "it does not let you do this"),
    (r"No space left|[Qq]uota exceeded|DSQuotaExceeded", "there is no room"),
    (r"Unable to load libhdfs|Unable to load libjvm", "HDFS needs its libraries (ARROW_LIBHDFS_DIR, JAVA_HOME)"),
)


class FilesystemRemote:
    """The content below a directory or prefix of a pyarrow file system. A ContentRemote; `open_filesystem` makes one.

    What is there under a content's name in another size is damaged, and replaced by what is uploaded. An upload that
    is broken off leaves parts behind that an object store keeps until a rule of the bucket's own ends them.
    """

    def __init__(self, filesystem: FileSystem, prefix: str, *, name: str) -> None:
        self._filesystem = filesystem
        self._prefix = prefix.rstrip("/")
        self._name = name
        self._is_object_store = filesystem.type_name in _OBJECT_STORES
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)

    @property
    def name(self) -> str:
        """The address, without its settings."""
        return self._name

    def prepare_uploads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is not there, or not in its size."""
        sizes = self._find_sizes(pointers)
        return [pointer for pointer in pointers if pointer.size and sizes[pointer] != pointer.size]

    def prepare_downloads(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is there."""
        sizes = self._find_sizes(pointers)
        return [pointer for pointer in pointers if pointer.size and sizes[pointer] is not None]

    def list_whole(self, pointers: Sequence[Pointer]) -> list[Pointer]:
        """Return what is there in its size."""
        sizes = self._find_sizes(pointers)
        return [pointer for pointer in pointers if pointer.size and sizes[pointer] == pointer.size]

    def upload(self, pointer: Pointer, file: Path, *, advance: Advance) -> None:
        """Send a content as a stream: at most one part of it is in memory."""
        path = self._path(pointer)
        with self._explaining():
            # To ask first whether a small one is there costs as much as to send it.
            if (pointer.size > _PART or not self._is_object_store) and self._find_size(pointer) == pointer.size:
                return
            if self._is_object_store:
                with self._large if pointer.size > _PART else nullcontext():
                    self._write(path, pointer, file, advance)
                return
            temporary = f"{self._prefix}/tmp/gittrack-{os.getpid()}-{os.urandom(8).hex()}"
            self._filesystem.create_dir(f"{self._prefix}/tmp", recursive=True)
            try:
                self._write(temporary, pointer, file, advance)
                self._filesystem.create_dir(path.rpartition("/")[0], recursive=True)
                self._move(temporary, path)
            except BaseException:
                with suppress(OSError):
                    self._filesystem.delete_file(temporary)
                raise

    def download(self, pointer: Pointer, sink: Sink, *, advance: Advance) -> None:
        """Read a content as a stream, from the sink's start on."""
        path = self._path(pointer)
        with self._explaining(), self._filesystem.open_input_file(path) as source:
            size = source.size()
            if size != pointer.size:
                raise ContentFailed(
                    f"{self._name} has {size:,} bytes of the content {pointer.oid}, and should have {pointer.size:,}"
                )
            source.seek(sink.start)
            # What is asked for is reserved in memory, however little there is.
            while data := source.read(min(_CHUNK, size - sink.start)):
                sink.write(data)
                advance(len(data))

    def close(self) -> None:
        """Do nothing: connections end with the file system."""

    def _write(self, path: str, pointer: Pointer, file: Path, advance: Advance) -> None:
        stream = self._filesystem.open_output_stream(path, buffer_size=0)
        try:
            for data in read_content(file, pointer):
                stream.write(data)
                advance(len(data))
            stream.close()
        except BaseException:
            if self._is_object_store:
                _forsake(stream)
            else:
                with suppress(OSError):
                    stream.close()
            raise

    def _move(self, source: str, target: str) -> None:
        try:
            self._filesystem.move(source, target)
        except NotImplementedError:  # Azure without directories
            self._filesystem.copy_file(source, target)
            self._filesystem.delete_file(source)

    def _find_sizes(self, pointers: Sequence[Pointer]) -> dict[Pointer, int | None]:
        """Return the sizes of what is there: many are asked about at once, as pyarrow itself asks one by one."""
        with self._explaining(), ThreadPoolExecutor(_ASKING, thread_name_prefix="gittrack-content-asks") as pool:
            return dict(zip(pointers, pool.map(self._find_size, pointers), strict=True))

    def _find_size(self, pointer: Pointer) -> int | None:
        info = self._filesystem.get_file_info(self._path(pointer))
        if info.type.name == "NotFound":
            return None
        if not info.is_file:
            raise ContentFailed(f"{self._name} has something else than a file for the content {pointer.oid}")
        return int(info.size)

    def _path(self, pointer: Pointer) -> str:
        return f"{self._prefix}/{make_place(pointer)}"

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        with _explaining(self._name):
            yield


def open_filesystem(url: str) -> FilesystemRemote:
    """Return the remote below a URL that pyarrow knows, such as `s3://bucket/prefix?region=eu-central-1`.

    For S3 the settings `region`, `scheme`, `endpoint_override` and `tls_ca_file_path` may follow; for others, those of
    `pyarrow.fs.FileSystem.from_uri`. For a directory of this machine or a mounted one, `DirectoryRemote` is safer: it
    waits for the disk. Raises InvalidInput for a URL that is none, or holds a credential, Unsupported
    where this pyarrow was built without it, RemoteUnusable and ContentFailed where it cannot be reached.
    """
    try:
        parts = urlsplit(url)
        settings = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        secret = parts.password is not None or (parts.scheme == "s3" and parts.username is not None)
    except ValueError:
        raise InvalidInput("the address of the content remote is not a URL") from None
    if parts.scheme not in SCHEMES:
        raise InvalidInput(f"content cannot be kept at {parts.scheme}:// addresses (there is: {', '.join(SCHEMES)})")
    if secret or any(_SECRET.search(key) for key in settings):
        raise InvalidInput(
            f"the address of the {parts.scheme} remote holds a credential; those belong into the environment or the "
            "store's own configuration",
            hint="aws configure" if parts.scheme == "s3" else None,
        )
    name = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme != "file" and not parts.netloc and parts.scheme not in ("hdfs", "viewfs"):
        raise InvalidInput(f"{name} names no bucket", hint=f"{parts.scheme}://BUCKET/PREFIX")
    with _explaining(name):
        if parts.scheme == "s3":
            return FilesystemRemote(_open_s3(parts.netloc, settings, name), f"{parts.netloc}{parts.path}", name=name)
        from pyarrow.fs import FileSystem

        try:
            filesystem, prefix = FileSystem.from_uri(url)
        except (ValueError, NotImplementedError) as error:  # pyarrow's ArrowInvalid and ArrowNotImplementedError
            kind = Unsupported if isinstance(error, NotImplementedError) else InvalidInput
            raise kind(f"pyarrow cannot use {name}: {error}") from error
        return FilesystemRemote(filesystem, prefix, name=name)


def _open_s3(bucket: str, settings: dict[str, str], name: str) -> FileSystem:
    unknown = sorted(settings.keys() - _S3_SETTINGS)
    if unknown:
        raise InvalidInput(f"{name}: unknown setting {unknown[0]!r:.80} (there is: {', '.join(sorted(_S3_SETTINGS))})")
    try:
        from pyarrow.fs import S3FileSystem, resolve_s3_region
    except ImportError as error:
        raise Unsupported(f"this pyarrow was built without S3: {error}") from error
    region: str | None = settings.get("region")
    if region is None and "endpoint_override" not in settings:
        with suppress(OSError):  # then it is what the user's configuration says
            region = resolve_s3_region(bucket)
    # Without background writes the memory is bounded, and with the delayed open a small object is one request.
    return S3FileSystem(
        region=region,
        scheme=settings.get("scheme"),
        endpoint_override=settings.get("endpoint_override"),
        tls_ca_file_path=settings.get("tls_ca_file_path"),
        connect_timeout=_CONNECT_TIME,
        background_writes=False,
        allow_delayed_open=True,
    )


def _forsake(stream: Any) -> None:
    """Never close a stream, not even at the end of the process: to close it would make a truncated object of it.

    pyarrow offers no abort, and closes what is garbage; so this is never garbage.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))


@contextmanager
def _explaining(name: str) -> Iterator[None]:
    """Make pyarrow's errors those of a content remote."""
    try:
        yield
    except FileNotFoundError as error:
        message = _find_unusable(str(error))
        if message:
            raise RemoteUnusable(f"{name}: {message}") from error
        raise ContentFailed(f"{name}: it is not there: {_shorten(error)}") from error
    except PermissionError as error:
        raise RemoteUnusable(f"{name}: it does not let you do this: {_shorten(error)}") from error
    except OSError as error:
        message = _find_unusable(str(error))
        if message:
            raise RemoteUnusable(f"{name}: {message}: {_shorten(error)}") from error
        raise ContentFailed(f"{name}: {_shorten(error)}", retry_after=0) from error


def _find_unusable(said: str) -> str | None:
    return next((meaning for pattern, meaning in _UNUSABLE if re.search(pattern, said)), None)


def _shorten(error: OSError) -> str:
    return " ".join(str(error).split())[:400]

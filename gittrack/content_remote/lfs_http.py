"""Owns requests over HTTP for Git LFS: connections, proxies, TLS, redirects, time-outs. urllib3 does the work.

What must stay with one host stays with it: credentials and the headers of an action are dropped where a redirect leads
to another one, and none leads from https to http. Knows nothing of batches, contents and JSON.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urljoin
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from ..git import clean_environment
from ..gitconfig import GitConfig
from .lfs_endpoint import Origin, find_origin, show_url, split_url, strip_userinfo
from .lfs_failure import clean_words
from .lfs_settings import Headers, HttpSettings, find_extra_headers, find_settings, has_header
from .remote import ContentFailed, RemoteUnusable

_BLOCK = 1 << 17
_CHUNK = 1 << 18
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_DIAL_TIME = 30
_CONNECTIONS = 16


class Body(Protocol):
    """What is sent along, from its first byte on each time it is gone through."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


class Response:
    """An answer whose body is still to come. `url` is where it came from, safe to print.

    `moved` tells that redirects led to another host, where the private headers did not go along.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, settings: HttpSettings) -> None:
        self.moved = False
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        self._response = response
        self._settings = settings

    def read(self, limit: int) -> bytes:
        """Return the whole body; raises ContentFailed beyond limit bytes, and where it takes its time."""
        data = bytearray()
        end = time.monotonic() + 2 * self._settings.low_speed_time
        for piece in self.stream():
            data += piece
            if len(data) > limit:
                raise ContentFailed(f"{self.url} sends more than the {limit} bytes that such an answer can have")
            if time.monotonic() > end:
                raise self._slow()
        return bytes(data)

    def stream(self) -> Iterator[bytes]:
        """Yield the body in pieces, as they come; raises ContentFailed where they stop coming, or hardly come."""
        begin, count = time.monotonic(), 0
        while piece := self._read_piece():
            yield piece
            count += len(piece)
            passed = time.monotonic() - begin
            if passed >= self._settings.low_speed_time:
                if count < passed * self._settings.low_speed_limit:
                    raise self._slow()
                begin, count = time.monotonic(), 0

    def close(self) -> None:
        """Give the connection back, or end it where the body has not been read to its end; safe to repeat."""
        self._response.close()

    def _read_piece(self) -> bytes:
        try:
            return self._response.read1(_CHUNK, decode_content=False) or b""
        except (HTTPError, OSError) as error:
            raise explain_error(error, self.url) from error

    def _slow(self) -> ContentFailed:
        return ContentFailed(
            f"{self.url} sends less than {self._settings.low_speed_limit} bytes a second", retry_after=0.0
        )


class Http:
    """Requests on behalf of one Git remote. Safe for threads; connections are kept and used again."""

    def __init__(self, config: GitConfig, *, remote: str) -> None:
        self._config = config
        self._remote = remote
        self._lock = threading.Lock()
        self._pools: dict[tuple[HttpSettings, str | None], urllib3.PoolManager] = {}

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        plain: Headers,
        private: Headers,
        body: bytes | Body | None = None,
        home: Origin | None = None,
    ) -> Iterator[Response]:
        """Make a request, follow redirects, and hand over the answer, whatever its status.

        `plain` headers go along everywhere, `private` ones only to the host of `url`, and those of `http.extraHeader`
        without a URL only to `home`, the one that the user chose. A POST or PUT is repeated for 307 and 308 alone.
        Raises ContentFailed, and RemoteUnusable where TLS does not show who is there.
        """
        first = origin = None
        for _ in range(_MAX_REDIRECTS + 1):
            parts = split_url(url)
            if parts is None:
                raise ContentFailed(
                    f"{self._remote} leads to an address that is no http URL: {clean_words(url)!r:.200}"
                )
            origin = find_origin(parts)
            first = first or origin
            headers = self._compose(parts, plain, private if _is_same_site(first, origin) else {}, home=home)
            response = self._send(method, parts, headers, body)
            response.moved = not _is_same_site(first, origin)
            try:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = self._find_target(method, response, strip_userinfo(parts))
            finally:
                with suppress(HTTPError, OSError):
                    response.close()
        raise ContentFailed(f"{show_url(url)}: more than {_MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Let go of all connections; safe to repeat."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.clear()

    def _compose(self, parts: SplitResult, plain: Headers, private: Headers, *, home: Origin | None) -> Headers:
        extra = find_extra_headers(self._config, parts, named_only=not _is_same_site(home, find_origin(parts)))
        headers = {"User-Agent": "gittrack", **plain}
        for more in (private, extra):
            headers.update({name: value for name, value in more.items() if not has_header(headers, name)})
        return headers

    def _send(self, method: str, parts: SplitResult, headers: Headers, body: bytes | Body | None) -> Response:
        url = strip_userinfo(parts)
        settings = self._find_settings(parts)
        if body is not None:
            size = len(body) if isinstance(body, bytes) else body.size
            if headers.get("Transfer-Encoding", "").lower() != "chunked":
                headers = {**headers, "Content-Length": str(size)}
        try:
            response = self._find_pool(settings, parts).urlopen(
                method,
                url,
                headers=headers,
                body=body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                chunked=body is not None and "Content-Length" not in headers,
                timeout=urllib3.Timeout(connect=self._find_dial_time(), read=settings.low_speed_time),
            )
        except (HTTPError, OSError, ValueError) as error:
            raise explain_error(error, show_url(url)) from error
        return Response(response, show_url(url), settings)

    def _find_target(self, method: str, response: Response, url: str) -> str:
        location = response.headers.get("Location", "")
        # Joining drops what it takes for blanks, so that the parts are looked at first.
        relative = "://" not in location and location.isascii() and location.isprintable()
        target = split_url(urljoin(url, location) if relative and location else location)
        if target is None:
            raise ContentFailed(
                f"{response.url} redirects to an address that is no http URL: {clean_words(location)!r:.200}"
            )
        where = strip_userinfo(target)
        if method != "GET" and response.status not in (307, 308):
            raise ContentFailed(
                f"{response.url} redirects a {method} to {show_url(where)} with status {response.status}, which would "
                "lose what is sent",
                hint=f"git config remote.{self._remote}.lfsurl URL  # its new address",
            )
        if url.startswith("https:") and target.scheme != "https":
            raise ContentFailed(f"{response.url} redirects to {show_url(where)}, which is without TLS")
        return where

    def _find_settings(self, parts: SplitResult) -> HttpSettings:
        settings = find_settings(self._config, parts, remote=self._remote, environment=clean_environment())
        patience = self._config.find_int("lfs.activitytimeout")
        if patience is None or patience <= 0:
            return settings
        return replace(settings, low_speed_time=patience)

    def _find_dial_time(self) -> int:
        seconds = self._config.find_int("lfs.dialtimeout")
        return seconds if seconds is not None and seconds > 0 else _DIAL_TIME

    def _find_pool(self, settings: HttpSettings, parts: SplitResult) -> urllib3.PoolManager:
        proxy = _find_proxy(settings, parts)
        with self._lock:
            pool = self._pools.get((settings, proxy))
            if pool is None:
                pool = self._pools[settings, proxy] = _make_pool(settings, proxy)
            return pool


def explain_error(error: Exception, url: str) -> ContentFailed:
    """Return the error for a request that got no answer, or not all of it."""
    reason = re.sub(r"^\w*Connection(?:Pool)?\([^()]*\): ", "", clean_words(str(error)))
    if isinstance(error, ProxyError):
        return ContentFailed(f"the proxy to {url} cannot be used: {reason}", hint="git config --get http.proxy")
    if isinstance(error, SSLError):
        return RemoteUnusable(
            f"{url} cannot show that it is who it should be: {reason}", hint="git config http.sslCAInfo FILE"
        )
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        return ContentFailed(f"{url} cannot be reached: {reason}", retry_after=0.0)
    if isinstance(error, (ReadTimeoutError, TimeoutError)):
        return ContentFailed(f"{url} said nothing for too long", retry_after=0.0)
    if isinstance(error, ValueError) and not isinstance(error, HTTPError):
        return ContentFailed(f"{url} cannot be asked: {reason}")
    return ContentFailed(f"the connection to {url} was lost: {reason}", retry_after=0.0)


class _Connection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        with _limit(self.sock, self.timeout):
            return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        with _limit(self.sock, self.timeout):
            return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


@contextmanager
def _limit(connection: object, seconds: object) -> Iterator[None]:
    """End the connection where the head of an answer is not there in time: a server may send a byte now and then."""
    if not isinstance(connection, socket.socket) or not isinstance(seconds, (int, float)):
        yield
        return

    def end() -> None:
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _make_pool(settings: HttpSettings, proxy: str | None) -> urllib3.PoolManager:
    tls = {
        "cert_reqs": "CERT_REQUIRED" if settings.verify else "CERT_NONE",
        "ca_certs": settings.ca_file,
        "ca_cert_dir": settings.ca_directory,
        "cert_file": settings.client_certificate,
        "key_file": settings.client_key,
    }
    options: dict[str, Any] = {
        "maxsize": _CONNECTIONS,
        "blocksize": _BLOCK,
        **{key: value for key, value in tls.items() if value},
    }
    pool = urllib3.PoolManager(**options) if proxy is None else _make_proxy_pool(proxy, options)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pool


def _make_proxy_pool(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    parts = split_url(proxy if "://" in proxy else f"http://{proxy}")
    if parts is None:
        raise RemoteUnusable(
            f"this kind of proxy cannot be used, only http and https ones: {show_url(proxy)}",
            hint="git config --get http.proxy",
        )
    headers: Headers = {}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(strip_userinfo(parts), proxy_headers=headers, **options)


def _find_proxy(settings: HttpSettings, parts: SplitResult) -> str | None:
    if settings.proxy == "" or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies() if settings.proxy is None else {}
    return settings.proxy or proxies.get(parts.scheme) or proxies.get("all") or None


def _is_same_site(first: Origin | None, second: Origin) -> bool:
    """Tell whether two origins are one, or the second is the first with TLS where both are at their usual ports."""
    if first is None:
        return False
    return first == second or (first[::2] == ("http", 80) and second == ("https", first[1], 443))

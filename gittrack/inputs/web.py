"""Asks a web server for the ETag, date and size of what a URL names, by a HEAD request; downloads nothing.

Waits seconds, not minutes. Credentials of a URL go to its own host alone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from .found import Found, Unreachable

_SECONDS = 4.0
_HEAD_REFUSED = (400, 403, 404, 405, 501)


class _SameMethod(HTTPRedirectHandler):
    """Follows redirects with the method it began with, and to web servers alone."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise HTTPError(req.full_url, code, "redirected to no web server", headers, fp)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()
        return request


def find_page(url: str) -> Found:
    """Return what a web server says of a URL; where it refuses HEAD, as signed URLs do, of a GET of its first byte.

    Raises Unreachable for anything but an answer that it is there.
    """
    try:
        headers = _ask(url, "HEAD")
    except HTTPError as error:
        if error.code not in _HEAD_REFUSED:
            raise Unreachable(f"the server answers {error.code}") from None
        try:
            headers = _ask(url, "GET")
        except HTTPError:
            raise Unreachable(f"the server answers {error.code}") from None
        except (OSError, HTTPException, ValueError) as other:
            raise _explain(other) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _explain(error) from None
    etag = headers.get("etag", "")
    facts = {
        "origin": "http",
        "etag": etag,
        "version": headers.get("x-amz-version-id", ""),
        "modified": headers.get("last-modified", ""),
    }
    return Found(f"etag:{etag}" if etag else "", _read_size(headers), facts)


def _ask(url: str, method: str) -> Mapping[str, str]:
    """Return an answer's headers, their names in lower case; the body is left where it is."""
    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    request = Request(urlunsplit((parts.scheme, host, parts.path, parts.query, "")), method=method)
    request.add_header("User-Agent", "gittrack")
    request.add_header("Accept-Encoding", "identity")
    if method == "GET":
        request.add_header("Range", "bytes=0-0")
    if userinfo:
        token = base64.b64encode(unquote(userinfo).encode()).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {token}")
    answer: Any
    with build_opener(_SameMethod).open(request, timeout=_SECONDS) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


def _read_size(headers: Mapping[str, str]) -> int | None:
    part = re.fullmatch(r"bytes .*/([0-9]+)", headers.get("content-range", ""))
    if part:
        return int(part.group(1))
    length = headers.get("content-length", "")
    encoded = headers.get("content-encoding", "identity") != "identity" or "content-range" in headers
    return int(length) if re.fullmatch("[0-9]{1,18}", length) and not encoded else None


def _explain(error: Exception) -> Unreachable:
    reason = getattr(error, "reason", None) or error
    return Unreachable(f"{reason}"[:200] or type(error).__name__)

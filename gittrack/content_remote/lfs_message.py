"""The JSON of Git LFS: the batch request, and what a batch answer says about each content. Pure: values in, values out.

Follows git-lfs's docs/api/batch.md and basic-transfers.md. What a server says is believed in nothing: what was not
asked for is passed over, and an action that cannot be carried out safely is an error of its object alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..model import Pointer
from .lfs_endpoint import Operation, split_url
from .lfs_failure import clean_words
from .lfs_settings import has_header, is_header

MEDIA_TYPE = "application/vnd.git-lfs+json"
MAX_BATCH = 100

_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 1 << 15
# What the HTTP library says itself, what is between us and a proxy, and what would make another request of this one.
_OWN_HEADERS = frozenset(
    "connection content-length expect host keep-alive proxy-authorization proxy-connection range te trailer "
    "upgrade".split()
)


@dataclass(frozen=True)
class Action:
    """One request to make: where to, with which headers, and until when (seconds since 1970)."""

    href: str
    headers: Mapping[str, str]
    deadline: float


@dataclass(frozen=True)
class Answer:
    """What a server says about one content: what to do, or (`code` and `words`) why nothing can be done.

    `authenticated` tells that the actions need no credentials beside their headers.
    """

    actions: Mapping[str, Action]
    authenticated: bool = False
    code: int | None = None
    words: str = ""

    @property
    def deadline(self) -> float:
        """When the first of the actions expires."""
        return min((action.deadline for action in self.actions.values()), default=float("inf"))


class BadAnswer(Exception):
    """An answer that is none of Git LFS's; the message says why."""


def write_batch(operation: Operation, pointers: Sequence[Pointer], *, ref: str | None) -> bytes:
    """Return the body of a batch request."""
    body: dict[str, Any] = {"operation": operation, "transfers": ["basic"], "hash_algo": "sha256"}
    if ref is not None:
        body["ref"] = {"name": ref}
    body["objects"] = [write_object(pointer) for pointer in pointers]
    return json.dumps(body).encode("ascii")


def write_object(pointer: Pointer) -> dict[str, Any]:
    """Return how a content is named in JSON."""
    return {"oid": pointer.oid, "size": pointer.size}


def read_batch(
    body: bytes, operation: Operation, pointers: Sequence[Pointer], *, now: float, secure: bool
) -> dict[Pointer, Answer]:
    """Return what a batch answer says about each of the contents that were asked about, and of nothing else.

    `now` is in seconds since 1970; `secure` tells that the server is spoken to over https, so that no action may go
    without. Raises BadAnswer.
    """
    fields = _read_json(body)
    if fields.get("transfer") not in (None, "", "basic"):
        raise BadAnswer(
            f"it wants a kind of transfer that was not offered: {clean_words(fields['transfer']) or 'none'}"
        )
    if fields.get("hash_algo") not in (None, "", "sha256"):
        raise BadAnswer(f"it names content by {clean_words(fields['hash_algo']) or 'no hash'}, and not by sha256")
    objects = fields.get("objects")
    if not isinstance(objects, list):
        raise BadAnswer("its answer has no list of objects")
    said: dict[str, dict[str, Any]] = {}
    for entry in objects:
        if isinstance(entry, dict) and isinstance(entry.get("oid"), str):
            said.setdefault(entry["oid"], entry)
    return {pointer: _read_object(said.get(pointer.oid), pointer, operation, now, secure) for pointer in pointers}


def read_error(body: bytes) -> str:
    """Return the message in the body of an error, "" where there is none."""
    try:
        return clean_words(_read_json(body).get("message"))
    except BadAnswer:
        return ""


def read_headers(fields: object) -> dict[str, str] | None:
    """Return the headers an action asks for, those apart that are not its business; None where they cannot be sent."""
    if fields is None:
        return {}
    if not isinstance(fields, dict) or len(fields) > _MAX_HEADERS:
        return None
    headers: dict[str, str] = {}
    for name, value in fields.items():
        if not isinstance(value, str) or not is_header(name, value) or has_header(headers, name):
            return None
        if name.lower() == "transfer-encoding" and value.lower() != "chunked":
            return None
        if name.lower() not in _OWN_HEADERS:
            headers[name] = value
    return headers if sum(len(name) + len(value) for name, value in headers.items()) <= _MAX_HEADER_BYTES else None


def find_deadline(fields: Mapping[str, Any], *, now: float) -> float:
    """Return when an action expires, in seconds since 1970: infinite where it does not say so in a way that counts."""
    seconds = fields.get("expires_in")
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds != 0:
        return now + max(min(seconds, 2**31 - 1), -(2**31))
    when = fields.get("expires_at")
    if not isinstance(when, str) or when.startswith("0001-"):  # the zero time of servers written in Go
        return float("inf")
    try:
        # Python before 3.11 reads no Z, and only three or six digits of a second.
        date = datetime.fromisoformat(re.sub(r"\.[0-9]+", "", when[:40]).upper().replace("Z", "+00:00"))
        return date.timestamp() if date.tzinfo is not None else float("inf")
    except (ValueError, OverflowError):
        return float("inf")


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("its answer is no JSON") from None
    if not isinstance(fields, dict):
        raise BadAnswer("its answer is no JSON object")
    return fields


def _read_object(
    entry: dict[str, Any] | None, pointer: Pointer, operation: Operation, now: float, secure: bool
) -> Answer:
    if entry is None:
        return _refuse("the server's answer leaves it out")
    error = entry.get("error")
    if error:
        error = error if isinstance(error, dict) else {}
        code = error.get("code")
        known = isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600
        return Answer({}, code=code if known else 0, words=clean_words(error.get("message")))
    if entry.get("size", pointer.size) != pointer.size:
        return _refuse(f"the server has it with another size than {pointer.size} bytes")
    fields = entry.get("actions") or {}
    if not isinstance(fields, dict):
        return _refuse("the server's answer does not say what to do with it")
    actions: dict[str, Action] = {}
    for name in ("upload", "verify") if operation == "upload" else ("download",):
        if fields.get(name) is None:
            continue
        action = _read_action(fields[name], now=now, secure=secure)
        if isinstance(action, str):
            return _refuse(f"the server's answer {action}")
        actions[name] = action
    if operation == "download" and "download" not in actions:
        return _refuse("the server's answer does not say where it is")
    return Answer(actions, authenticated=entry.get("authenticated") is True)


def _read_action(fields: object, *, now: float, secure: bool) -> Action | str:
    """Return the action, or what is wrong with it."""
    if not isinstance(fields, dict) or not isinstance(fields.get("href"), str):
        return "names no address for it"
    parts = split_url(fields["href"])
    if parts is None:
        return "names an address for it that is no http URL"
    if secure and parts.scheme != "https":
        return f"would have it go to {parts.hostname} without TLS"
    headers = read_headers(fields.get("header"))
    if headers is None:
        return "names headers for it that cannot be sent"
    return Action(fields["href"], headers, find_deadline(fields, now=now))


def _refuse(words: str) -> Answer:
    return Answer({}, code=0, words=words)

"""Owns what git's configuration says about HTTP to one address: the `http.<url>.*` keys, and which of them count.

The rules are those of git-config(1) on `http.<url>.*`. Pure: knows nothing of sockets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import InvalidInput
from ..gitconfig import GitConfig, collect
from .lfs_endpoint import find_origin

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]{0,16000}")

Headers = dict[str, str]


@dataclass(frozen=True)
class HttpSettings:
    """How to reach one address: the proxy (None for the environment's, "" for none), whom to trust, who we are.

    `low_speed_limit` bytes a second is what a transfer must not stay below for `low_speed_time` seconds.
    """

    proxy: str | None = None
    verify: bool = True
    ca_file: str | None = None
    ca_directory: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    low_speed_limit: int = 100
    low_speed_time: int = 60


def find_settings(
    config: GitConfig, parts: SplitResult, *, remote: str, environment: Mapping[str, str]
) -> HttpSettings:
    """Return how git would reach a URL; git's variables in the environment count before the configuration."""
    limit = _find_int(config, parts, "lowspeedlimit", environment.get("GIT_HTTP_LOW_SPEED_LIMIT"))
    time = _find_int(config, parts, "lowspeedtime", environment.get("GIT_HTTP_LOW_SPEED_TIME"))
    verify = collect([("a.b", _find(config, parts, "sslverify") or "true")]).find_bool("a.b", default=True)
    proxy = config.find(f"remote.{remote}.proxy")
    return HttpSettings(
        proxy=proxy if proxy is not None else _find(config, parts, "proxy"),
        verify=verify and "GIT_SSL_NO_VERIFY" not in environment,
        ca_file=environment.get("GIT_SSL_CAINFO") or _find_path(config, parts, "sslcainfo"),
        ca_directory=environment.get("GIT_SSL_CAPATH") or _find_path(config, parts, "sslcapath"),
        client_certificate=environment.get("GIT_SSL_CERT") or _find_path(config, parts, "sslcert"),
        client_key=environment.get("GIT_SSL_KEY") or _find_path(config, parts, "sslkey"),
        **({"low_speed_limit": limit} if limit else {}),
        **({"low_speed_time": time} if time else {}),
    )


def find_extra_headers(config: GitConfig, parts: SplitResult, *, named_only: bool) -> Headers:
    """Return what `http.extraHeader` adds to a request to a URL; an empty value forgets those before it.

    With `named_only`, for an address that a server chose, only those count that are set for a URL it matches: the user
    gave those to that host.
    """
    headers: Headers = {}
    for value in _find_all(config, parts, "extraheader", named_only=named_only):
        name, colon, text = value.partition(":")
        if not value:
            headers = {}
        elif colon and is_header(name.strip(), text.strip()):
            headers = {**{key: kept for key, kept in headers.items() if key.lower() != name.strip().lower()}}
            headers[name.strip()] = text.strip()
        else:
            raise InvalidInput(
                "http.extraHeader holds what is no HTTP header", hint="git config --get-all http.extraHeader"
            )
    return headers


def is_header(name: str, value: str) -> bool:
    """Tell whether a name and value can stand in a request: no line break can add another one."""
    return _TOKEN.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


def has_header(headers: Mapping[str, str], name: str) -> bool:
    """Tell whether there is a header of that name, in whatever case."""
    return any(key.lower() == name.lower() for key in headers)


def _find(config: GitConfig, parts: SplitResult, name: str) -> str | None:
    values = _find_all(config, parts, name)
    return values[-1] if values else None


def _find_path(config: GitConfig, parts: SplitResult, name: str) -> str | None:
    from os.path import expanduser

    value = _find(config, parts, name)
    return expanduser(value) if value else None


def _find_int(config: GitConfig, parts: SplitResult, name: str, variable: str | None) -> int | None:
    value = variable if variable is not None else _find(config, parts, name)
    number = collect([("a.b", value or "")]).find_int("a.b")
    return number if number is not None and 0 < number < 1 << 31 else None


def _find_all(config: GitConfig, parts: SplitResult, name: str, *, named_only: bool = False) -> tuple[str, ...]:
    """Return the values of the `http.<url>.<name>` that matches best; without one, those of `http.<name>`.

    An exact host counts more than one with a `*`, then the longer path, then a named user.
    """
    best: tuple[int, int, int, int] | None = None
    values: tuple[str, ...] = () if named_only else config.find_all(f"http.{name}")
    for pattern in config.find_subsections("http"):
        found = config.find_all(f"http.{pattern}.{name}")
        score = _match(pattern, parts) if found else None
        if score is not None and (best is None or score > best):
            best, values = score, found if named_only or name != "extraheader" else (*values, *found)
    return values


def _match(pattern: str, parts: SplitResult) -> tuple[int, int, int, int] | None:
    """Return how well a URL in a key matches one that is used, or None where it does not."""
    try:
        wanted = urlsplit(pattern)
        same = wanted.scheme in ("http", "https") and find_origin(wanted)[::2] == find_origin(parts)[::2]
    except ValueError:
        return None
    wanted_labels, labels = (wanted.hostname or "").split("."), find_origin(parts)[1].split(".")
    host = len(wanted_labels) == len(labels) and all(a in ("*", b) for a, b in zip(wanted_labels, labels, strict=True))
    path, own = unquote(wanted.path).rstrip("/") + "/", unquote(parts.path).rstrip("/") + "/"
    user = wanted.username is None or wanted.username == parts.username
    if not (same and host and user and own.startswith(path)):
        return None
    return -wanted_labels.count("*"), len(wanted.hostname or ""), len(path), int(wanted.username is not None)

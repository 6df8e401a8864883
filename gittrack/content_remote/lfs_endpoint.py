"""Owns where a Git remote's Git LFS server is. Reads the configuration that is handed in; asks nobody.

Follows git-lfs's own docs/api/server-discovery.md, but for one point: a `.lfsconfig` file, which comes with what others
have pushed, is never looked at. Only the user's own git configuration says where content and credentials go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ..errors import InvalidInput
from ..gitconfig import GitConfig
from ..layout import has_control
from ..transport.remote import Remote

Operation = Literal["upload", "download"]

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\]")
_SSH_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+@-]*")
_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[^\]/\s]+\]|[^:/@\s]+):(?P<path>(?!//|:).+)", re.DOTALL)
_SSH_SCHEMES = ("ssh", "git+ssh", "ssh+git")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 8000

# A scheme, a host and a port: what credentials are for.
Origin = tuple[str, str, int]


@dataclass(frozen=True)
class Address:
    """Where content is, as git would spell it, and the key of the configuration that says so, if any does."""

    url: str
    key: str | None


@dataclass(frozen=True)
class SshServer:
    """Whom to ask over ssh for the way to the LFS server, and about which repository."""

    host: str
    path: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Endpoint:
    """A Git LFS server. `url` has no credentials in it; `ssh`, where there is one, is asked before it is used.

    `credential_url` is what git is asked a password for: the Git remote's own address where both are on one host.
    `guess` is for a server that nobody has said there is: it would be at the remote's own address (`there`), or, where
    that is of another protocol, on the same host (`elsewhere`).
    """

    url: str
    credential_url: str
    user: str | None = None
    password: str | None = None
    ssh: SshServer | None = None
    guess: Literal["there", "elsewhere"] | None = None


def find_endpoint(config: GitConfig, remote: Remote, operation: Operation) -> Endpoint | None:
    """Return the Git LFS server behind a remote, or None where its content is at a path, which has none.

    Where that is: `find_address`. Raises InvalidInput for an address that cannot be used.
    """
    address = find_address(config, remote, operation)
    git_url = find_git_address(config, remote, operation)
    if find_remote_path(address.url, base=Path()) is not None:
        return None
    if address.key is None:
        return _guess(git_url, config)
    key, found = address.key, _read(address.url.rstrip("/"), git_url)
    if found is None:
        raise InvalidInput(
            f"{key} is no address of a Git LFS server: it must begin with https://, http:// or ssh://",
            hint=f"git config {key} https://HOST/PATH",
        )
    return found


def find_address(config: GitConfig, remote: Remote, operation: Operation) -> Address:
    """Return where the content of a remote is, in git's words: the address of a Git LFS server, or of a repository.

    What counts, first to last: `lfs.pushurl` (to upload), `lfs.url`, `remote.<name>.lfspushurl` (to upload),
    `remote.<name>.lfsurl`, the remote's own address. `url.<base>.insteadOf` is applied to all.
    """
    pushing = operation == "upload"
    keys = ["lfs.pushurl"] if pushing else []
    keys += ["lfs.url"]
    keys += [f"remote.{remote.name}.lfspushurl"] if pushing else []
    keys += [f"remote.{remote.name}.lfsurl"]
    for key in keys:
        if said := config.find(key):
            return Address(rewrite(said, config, pushing=pushing), key)
    return Address(find_git_address(config, remote, operation), None)


def find_git_address(config: GitConfig, remote: Remote, operation: Operation) -> str:
    """Return the address that git itself fetches from or pushes to.

    As git has it, `pushInsteadOf` says nothing of a remote with a `pushurl`, which `insteadOf` is applied to.
    """
    if operation == "download":
        return rewrite(remote.url, config, pushing=False)
    return rewrite(remote.push_url, config, pushing=config.find(f"remote.{remote.name}.pushurl") is None)


def find_remote_path(url: str, *, base: Path) -> Path | None:
    """Return the path that the address of a Git remote stands for, or None where it is on another machine."""
    if url.startswith("file://"):
        return Path("/" + unquote(url.removeprefix("file://")).lstrip("/"))  # git knows no host in it either
    colon, slash = url.find(":"), url.find("/")
    if colon >= 0 and (slash < 0 or colon < slash):  # a scheme, or a host for ssh
        return None
    return base / url


def rewrite(url: str, config: GitConfig, *, pushing: bool) -> str:
    """Return a URL as git itself would use it, after `url.<base>.insteadOf` and `pushInsteadOf`."""
    for name in ("pushinsteadof", "insteadof") if pushing else ("insteadof",):
        found: list[tuple[int, str]] = []
        for base in config.find_subsections("url"):
            starts = (start for start in config.find_all(f"url.{base}.{name}") if start and url.startswith(start))
            found += [(len(start), base + url[len(start) :]) for start in starts]
        if found:
            return max(found, key=lambda pair: pair[0])[1]
    return url


def split_url(url: str) -> SplitResult | None:
    """Return the parts of an http or https URL that names a host and can be sent as it is, or None for anything else.

    What a server sends is judged here too: no space, control or other character that is not ASCII, no odd port.
    """
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    usable = parts.scheme in _DEFAULT_PORTS and _HOST.fullmatch(host) is not None and port != 0
    return parts if usable else None


def find_origin(parts: SplitResult) -> Origin:
    """Return the scheme, the host and the port of a URL."""
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS[parts.scheme]


def show_url(url: str) -> str:
    """Return a URL for a message: without credentials, and without its query, which often is one."""
    parts = split_url(url)
    if parts is None:
        return "an address that is no http URL"
    _, host, port = find_origin(parts)
    host = f"[{host}]" if ":" in host else host
    where = host if port == _DEFAULT_PORTS[parts.scheme] else f"{host}:{port}"
    return f"{parts.scheme}://{where}{parts.path}"[:200]


def strip_userinfo(parts: SplitResult) -> str:
    """Return a URL without the user and password, without the fragment, and without the colon of no port."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2].removesuffix(":"), fragment="").geturl()


def _guess(git_url: str, config: GitConfig) -> Endpoint | None:
    own = git_url.startswith(("http://", "https://"))
    if git_url.startswith("git://"):
        scheme = config.find("lfs.gitprotocol") or "https"
        git_url = f"{'http' if scheme == 'http' else 'https'}://{git_url[6:]}"
    found = _read(git_url.rstrip("/"), git_url)
    if found is None:
        return None
    url = found.url if found.url.endswith(".git") else found.url + ".git"
    return replace(found, url=url + "/info/lfs", guess="there" if own else "elsewhere")


def _read(url: str, git_url: str) -> Endpoint | None:
    """Return the server an address names, as it stands; None for a path or another protocol."""
    scheme, colon, _ = url.partition("://")
    if colon and scheme in _SSH_SCHEMES:
        return _read_ssh(url)
    if colon:
        return _read_http(url, git_url) if scheme in _DEFAULT_PORTS else None
    match = _SCP.fullmatch(url)
    if match is None or (len(match["host"]) == 1 and match["user"] is None):  # C:\ of Windows is no host
        return None
    # Of git's own two ways to write brackets, one is for a port: [host:2222]:path.
    ported = re.fullmatch(r"\[([^:\]]+):([0-9]{1,5})\]", match["host"])
    host, port = (ported[1], int(ported[2])) if ported else (match["host"], None)
    return _make_ssh(host, match["path"], match["user"], port)


def _read_http(url: str, git_url: str) -> Endpoint:
    parts = split_url(url)
    if parts is None:
        raise InvalidInput("the address of the Git LFS server is no URL that can be used", hint="git lfs env")
    clean = strip_userinfo(parts._replace(query=""))
    git_parts = split_url(git_url)
    same = git_parts is not None and find_origin(git_parts) == find_origin(parts)
    user, password = parts.username, parts.password
    if same and git_parts is not None and user is None:
        user, password = git_parts.username, git_parts.password
    asked = strip_userinfo(git_parts) if same and git_parts is not None else clean
    return Endpoint(clean, asked, _unquote(user), _unquote(password))


def _read_ssh(url: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"the remote's ssh address cannot be used: {error}") from None
    # git too takes `/~user/x` for a path below that user's home.
    path = unquote(parts.path)
    path = path[1:] if path.startswith("/~") else path
    netloc = parts.netloc.rpartition("@")[2]
    host = netloc[: netloc.index("]") + 1] if netloc.startswith("[") and "]" in netloc else netloc.partition(":")[0]
    user = _unquote(parts.username)
    return _make_ssh(host, path, user, port)


def _make_ssh(host: str, path: str, user: str | None, port: int | None) -> Endpoint:
    """Return the server that is asked over ssh, and the https address it is at where ssh knows no better."""
    bad = _HOST.fullmatch(host) is None or (user is not None and _SSH_USER.fullmatch(user) is None) or port == 0
    if bad or not path.strip("/") or path.startswith("-") or has_control(path) or len(path) > _LONGEST_URL:
        raise InvalidInput(
            f"the remote's ssh address cannot be used: {f'{host}:{path}'!r:.200}",
            hint="git remote set-url NAME ssh://USER@HOST/PATH",
        )
    url = f"https://{host}/{path.strip('/')}"
    server = SshServer(host.strip("[]"), path, user, port)
    if split_url(url) is None:  # a path that no URL can hold as it is; the answer over ssh may still name another
        url = f"https://{host}/{quote(path.strip('/'), safe='/~')}"
    return Endpoint(url, url, ssh=server)


def _unquote(text: str | None) -> str | None:
    if text is None:
        return None
    plain = unquote(text)
    if has_control(plain):
        raise InvalidInput("the user or password in the remote's address holds a control character")
    return plain

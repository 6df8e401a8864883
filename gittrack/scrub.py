"""Owns the one door secrets are stopped at: it replaces them in text, values, command lines, URLs and streams.

The environment's variables arrive as a mapping; nothing here reads a file's content, writes, or starts anything. Knows
nothing of runs, journals or git. Every pattern takes time linear in the text: a repetition starts only where a
lookbehind says a word begins, or is bounded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from .secret import (
    FORMATS,
    SCRUBBED,
    Kind,
    find_kind,
    is_given_secret,
    is_placeholder,
    is_secret_key,
    is_secret_name,
    looks_random,
)

__all__ = ["SCRUBBED", "Scrubber", "StreamScrubber", "has_secret", "is_secret_key", "is_secret_name"]

_T = TypeVar("_T")

# What stands where a secret was taken out of a run that had been recorded.
_REDACTED = "[redacted]"
_MIN_VALUE_LENGTH = 6
_MAX_LINE = 1 << 20
_MAX_BLOCK_LINES = 500

# Patterns are compiled where they are first needed, by `re` itself: most processes meet none of these.
_CODE_SHAPE = r"(?s)[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z_][\w.]*[(\[{].*|[(\[{].*"
_PATH_SHAPE = r"(?:~|\.{0,2})/|[A-Za-z]:[\\/]"

_PRIVATE_KEY = "PRIVATE KEY"
_KEY_BLOCK_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_BLOCK_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_BLOCK_LINE = r"[^\n]{0,200}?(?<![A-Za-z0-9+/=])[A-Za-z0-9+/=]{16,}|[A-Z][A-Za-z-]{2,30}: .*|"
_LINE = r"[^\n\r]*[\n\r]+|[^\n\r]+"

_WANDB_KEY = r"((?i:wandb)[ .:_-]{0,3}(?i:login|api[ _-]?key|key)[^\n0-9a-f]{0,20})[0-9a-f]{40}(?![0-9a-f])"
_AUTHORIZATION = r"((?i:authorization)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:[A-Za-z]{2,12} {1,3})?)[^\s\"',;]{4,}"
_BEARER = r"(?<![A-Za-z0-9])((?:[Bb]earer|BEARER) {1,3})(?=[^\s]{0,40}[0-9])[A-Za-z0-9._~+/=-]{16,}"
_USERINFO = r"://([^\s/?#\"'<>`\\]{1,2000})@"
_TAKEN_PASSWORD = r"://[^\s/?#@:]{0,200}:\[scrubbed\]@"
_QUERY = (
    r"(?i)([?&](?:sig|signature|token|access_token|api_key|apikey|key|password|secret|X-Amz-Signature|X-Amz-Security-Token"
    r"|X-Amz-Credential|X-Goog-Signature|X-Goog-Credential)=)[^\s&#\"'<>]{6,}"
)

_HINTS = ("pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "jwt", "bearer", "connection", "wandb")
_ASSIGNMENT = (
    r"(?a)(?<![\w.-])(--?)?([A-Za-z_][\w.-]{0,80})"
    r"(\\?[\"']?[ \t]{0,3}(?:=>|:=|==?|:)[ \t]{0,3}|(?(1) {1,3}(?=[^\s=:-])|(?!)))"
)
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SURELY_RANDOM = 64
# In quotes, in quotes that are escaped since all of it stands in quotes, or up to a delimiter.
_VALUE = (
    r"\"((?:[^\"\\\n]|\\.){0,8000})\"|'((?:[^'\\\n]|\\.){0,8000})'"
    r"|\\\"((?:[^\"\\\n]|\\[^\"\n]){0,8000})\\\"|\\'((?:[^'\\\n]|\\[^'\n]){0,8000})\\'"
    r"|([^\s,;\"'&)}\]]{1,8000})"
)
_UNQUOTED = 5


def has_secret(data: bytes) -> bool:
    """Tell whether a file's content holds a secret: a known key format, a private key, a password in a URL, or a
    literal of a random look that is given to a secret-looking name.

    Names that are given calls, variables or placeholders (`api_key = os.environ["KEY"]`, `password = "changeme"`) are
    no secrets. Takes about 50 ms a mebibyte.
    """
    text = data.decode("latin-1")
    return _has_format(text) or any(map(_is_real_userinfo, _find_userinfo(text))) or _has_literal(text)


class Scrubber:
    """Replaces secrets by `[scrubbed]` in what a run is about to record, and remembers where it did.

    `environ` is the process's environment: the value of each secret-named variable, and the password in a URL value,
    is replaced wherever it occurs. Values under 6 characters, words such as `none`, and paths that exist are not taken
    for secrets. `where` names the place that is reported in `scrubbed`; nothing is reported without it. Input without
    a secret is returned as the same object. Safe to use from several threads.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = _find_environment_secrets(environ)
        self._found: dict[str, None] = {}

    @property
    def scrubbed(self) -> tuple[str, ...]:
        """The places something was replaced at so far, such as `command[3]` or `params.api_key`, in order."""
        return tuple(self._found)

    def text(self, text: str, *, where: str = "") -> str:
        """Return text with every secret in it replaced."""
        return self._report(text, self._scrub(text), where)

    def value(self, key: str, value: _T, *, where: str = "") -> _T | str:
        """Return the value of a param or tag: replaced whole under a secret-looking key, else scrubbed like text.

        Only strings are ever changed; numbers, booleans and None never hold a secret.
        """
        if not isinstance(value, str):
            return value
        place = f"{where}.{key}" if where else ""
        kind = find_kind(key)
        clean = SCRUBBED if kind and is_given_secret(value, kind) else self._scrub(value)
        return self._report(value, clean, place)

    def is_clean(self, text: str, *, key: str = "") -> bool:
        """Tell whether a text that is recorded under key holds no secret; what one was replaced by is none."""
        text = _unify_marks(text)
        return self.value(key, text) == text

    def is_clean_argv(self, words: Sequence[str]) -> tuple[bool, ...]:
        """Tell of each word of a command line that is recorded whether it holds no secret."""
        words = [_unify_marks(word) for word in words]
        return tuple(word == clean for word, clean in zip(words, self.argv(words, where=""), strict=True))

    def argv(self, words: Sequence[str], *, where: str = "command") -> tuple[str, ...]:
        """Return a command line with secrets replaced: `--api-key X`, `--api-key=X`, `API_KEY=X`, and as in text."""
        clean: list[str] = []
        pending: Kind = ""
        for number, word in enumerate(words):
            if pending and not word.startswith("-") and is_given_secret(word, pending):
                result = SCRUBBED
            else:
                result = self._scrub(self._scrub_option(word))
            pending = find_kind(word.lstrip("-")) if word.startswith("-") and "=" not in word else ""
            clean.append(self._report(word, result, f"{where}[{number}]" if where else ""))
        return tuple(clean)

    def url(self, url: str, *, where: str = "") -> str:
        """Return a URL that is still usable but holds no credentials.

        The userinfo is dropped, but for the bare user name of other schemes than http, as in `ssh://git@host`.
        `git@host:path` and plain paths stay.
        """
        scheme, mark, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        userinfo, at, host = authority.rpartition("@")
        if mark and at:
            user = "" if scheme.lower() in ("http", "https", "ftp", "ftps") else userinfo.partition(":")[0]
            rest = (f"{user}@" if user else "") + host + slash + path
        return self._report(url, self._scrub(f"{scheme}{mark}{rest}") if mark else self._scrub(url), where)

    def has_secret(self, data: bytes) -> bool:
        """Tell what the function of this name tells, and whether the content holds an environment variable's secret."""
        text = data.decode("latin-1")
        return _replace_values(text, self._values) != text or has_secret(data)

    def stream(self, *, where: str = "") -> StreamScrubber:
        """Return a scrubber for one stream of bytes, such as a log that is being written."""
        return StreamScrubber(lambda text: self.text(text, where=where))

    def _scrub_option(self, word: str) -> str:
        name, sign, value = word.partition("=")
        if not sign or not value:
            return word
        kind = find_kind(name.lstrip("-+"))
        if kind and is_given_secret(value, kind):
            return f"{name}={SCRUBBED}"
        return f"{name}={self._scrub_option(value)}" if name.startswith("-") else word

    def _scrub(self, text: str) -> str:
        if len(text) < _MIN_VALUE_LENGTH:
            return text
        return _scrub_formats(_replace_values(text, self._values))

    def _report(self, old: str, new: str, where: str) -> str:
        if new == old:
            return old
        if where:
            self._found[where] = None
        return new


class StreamScrubber:
    """Scrubs a stream of bytes line by line; bytes that hold no secret stay as they are, in any encoding.

    A line ends with a newline or a carriage return. An incomplete line is held back until its end comes, or 1 MiB of
    it. A private key block is replaced across lines.
    """

    def __init__(self, scrub: Callable[[str], str]) -> None:
        self._scrub = scrub
        self._held = b""
        self._block_lines = 0
        self._strikes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the stream and return those that can be written now, scrubbed."""
        data = self._held + chunk
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if len(data) - end > _MAX_LINE:
            end = max(data.rfind(b" "), end) + 1 if b" " in data[end:] else len(data)
        self._held = data[end:]
        return self._scrub_lines(data[:end])

    def finish(self) -> bytes:
        """Return what was held back, scrubbed; the stream has ended."""
        data, self._held = self._held, b""
        return self._scrub_lines(data)

    def _scrub_lines(self, data: bytes) -> bytes:
        if not data:
            return data
        text = data.decode("latin-1")
        if not self._block_lines and _PRIVATE_KEY not in text:
            return self._scrub(text).encode("latin-1")
        return "".join(map(self._scrub_line, re.findall(_LINE, text))).encode("latin-1")

    def _scrub_line(self, line: str) -> str:
        if not self._block_lines:
            begin = re.search(_KEY_BLOCK_BEGIN, line)
            if begin is None or re.search(_KEY_BLOCK_END, line[begin.end() :]):
                return self._scrub(line)
            self._block_lines, self._strikes = 1, 0
            return self._scrub(line[: begin.start()]) + SCRUBBED + line[len(line.rstrip("\r\n")) :]
        end = re.search(_KEY_BLOCK_END, line)
        if end is not None:
            self._block_lines = 0
            return self._scrub(line[end.end() :].lstrip("\r\n"))
        self._block_lines += 1
        self._strikes = 0 if re.fullmatch(_KEY_BLOCK_LINE, line.rstrip()) else self._strikes + 1
        if self._strikes > 1 or self._block_lines > _MAX_BLOCK_LINES:
            self._block_lines = 0
            return self._scrub(line)
        return ""


def _unify_marks(text: str) -> str:
    """Return text with what secrets were replaced by as it would stand there, had the scrubber replaced them."""
    if _REDACTED not in text and SCRUBBED not in text:
        return text
    text = text.replace(_REDACTED, SCRUBBED)
    return re.sub(_TAKEN_PASSWORD, f"://{SCRUBBED}@", text)


def _find_environment_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    values: set[str] = set()
    for name, value in environ.items():
        if name in ("PWD", "OLDPWD"):
            continue
        if find_kind(name) or name.endswith("_PAT"):
            values.update(part for part in (value, *value.splitlines()) if _is_environment_secret(part))
        for userinfo in _find_userinfo(value):
            password = userinfo.partition(":")[2]
            if _is_environment_secret(password):
                values.add(password)
    # A value also occurs quoted in a URL, escaped in JSON, and as bytes in a log that is read as latin-1.
    for value in tuple(values):
        raw = value.encode("utf-8", "surrogateescape")
        values.update((_quote(raw), json.dumps(value)[1:-1], raw.decode("latin-1")))
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def _quote(raw: bytes) -> str:
    return "".join(
        char if char.isascii() and (char.isalnum() or char in "_.-~") else f"%{ord(char):02X}" for char in map(chr, raw)
    )


def _replace_values(text: str, values: Iterable[str]) -> str:
    for value in values:
        if value not in text:
            continue
        if len(value) < 12 and value.isalnum():
            # A short plain word may be part of an ordinary longer one.
            text = re.sub(f"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", SCRUBBED, text)
        else:
            text = text.replace(value, SCRUBBED)
    return text


def _is_environment_secret(value: str) -> bool:
    if len(value) < (8 if value.isdigit() else _MIN_VALUE_LENGTH) or not is_given_secret(value, "secret"):
        return False
    return not (re.match(_PATH_SHAPE, value) and os.path.lexists(os.path.expanduser(value)))


def _scrub_formats(text: str) -> str:
    if "://" in text:
        if "@" in text:
            text = re.sub(_USERINFO, _replace_userinfo, text)
        if "=" in text:
            text = re.sub(_QUERY, rf"\1{SCRUBBED}", text)
    if len(text) >= 16:
        for literal, pattern in FORMATS:
            if literal in text:
                text = re.sub(pattern, SCRUBBED, text)
        if _PRIVATE_KEY in text:
            text = _scrub_key_blocks(text)
    lowered = _lower(text)
    hints = [hint for hint in _HINTS if hint in lowered]
    if not hints:
        return text
    if "auth" in hints:
        text = re.sub(_AUTHORIZATION, rf"\1{SCRUBBED}", text)
    if "bearer" in hints:
        text = re.sub(_BEARER, rf"\1{SCRUBBED}", text)
    if "wandb" in hints:
        text = re.sub(_WANDB_KEY, rf"\1{SCRUBBED}", text)
    return _scrub_assignments(text)


def _replace_userinfo(match: re.Match[str]) -> str:
    user, colon, _ = match.group(1).partition(":")
    before = match.string[max(0, match.start() - 5) : match.start()].lower()
    if before.endswith(("http", "https")):
        return f"://{SCRUBBED}@"
    return f"://{user}:{SCRUBBED}@" if colon else match.group(0)


def _find_userinfo(text: str) -> Iterable[str]:
    return re.findall(_USERINFO, text) if "://" in text and "@" in text else ()


def _is_real_userinfo(userinfo: str) -> bool:
    user, colon, password = userinfo.partition(":")
    secret = password if colon else user
    return looks_random(secret) and not is_placeholder(secret)


def _has_format(text: str) -> bool:
    if _PRIVATE_KEY in text and re.search(_KEY_BLOCK_BEGIN, text):
        return True
    return any(literal in text and re.search(pattern, text) for literal, pattern in FORMATS)


def _scrub_key_blocks(text: str) -> str:
    begins, ends = re.compile(_KEY_BLOCK_BEGIN), re.compile(_KEY_BLOCK_END)
    parts: list[str] = []
    at = 0
    while (begin := begins.search(text, at)) is not None:
        end = ends.search(text, begin.end())
        parts += (text[at : begin.start()], SCRUBBED)
        at = end.end() if end else len(text)
    return "".join((*parts, text[at:]))


def _scrub_assignments(text: str) -> str:
    parts: list[str] = []
    at = 0
    for start, end in _find_assigned(text, _is_assigned_secret):
        parts += (text[at:start], SCRUBBED)
        at = end
    return "".join((*parts, text[at:])) if parts else text


def _has_literal(text: str) -> bool:
    return next(_find_assigned(text, _is_literal_secret), None) is not None


def _find_assigned(text: str, accept: Callable[[_Assigned], bool]) -> Iterator[tuple[int, int]]:
    """Yield where the values stand that are given to secret-looking names and that accept takes for secrets."""
    lowered = _lower(text)
    assignments, values = re.compile(_ASSIGNMENT), re.compile(_VALUE)
    at = 0
    for hint in _find_hints(lowered):
        if hint < at:
            continue
        start = hint
        while start > at and hint - start < 90 and lowered[start - 1] in _NAME_CHARACTERS:
            start -= 1
        match = assignments.match(text, start)
        at = match.end() if match else hint + 1
        kind = find_kind(match.group(2)) if match else ""
        value = values.match(text, at) if kind else None
        if match is None or value is None:
            continue
        group = value.lastindex or 0
        if accept(_Assigned(kind, match.group(2), match.group(3), value.group(group), group != _UNQUOTED)):
            at = value.end()
            yield value.span(group)
        elif len(value.group(group)) >= _SURELY_RANDOM:
            at = value.end()


def _find_hints(lowered: str) -> list[int]:
    found: list[int] = []
    for hint in _HINTS:
        at = lowered.find(hint)
        while at >= 0:
            found.append(at)
            at = lowered.find(hint, at + len(hint))
    found.sort()
    return found


def _lower(text: str) -> str:
    lowered = text.lower()
    # A few letters become two; every character must stay at its place.
    return lowered if len(lowered) == len(text) else text.translate(_ASCII_LOWER)


class _Assigned(NamedTuple):
    kind: Kind
    name: str
    sign: str
    value: str
    quoted: bool


def _is_assigned_secret(given: _Assigned) -> bool:
    value = given.value
    if not is_given_secret(value, given.kind):
        return False
    if given.kind == "token" or given.sign.isspace():
        return looks_random(value)
    if given.quoted or len(value) >= _SURELY_RANDOM:
        return True
    return len(value) >= 4 and not re.fullmatch(_CODE_SHAPE, value) and not is_secret_key(value)


def _is_literal_secret(given: _Assigned) -> bool:
    value = given.value
    if not looks_random(value) or is_placeholder(value) or re.fullmatch(_CODE_SHAPE, value):
        return False
    if given.quoted:
        return True
    # Without quotes it may be a variable's name, unless this is a line of a configuration file.
    plain_name = value.isidentifier() and (value.islower() or value.isupper())
    return (given.name.isupper() or ":" in given.sign) and not plain_name

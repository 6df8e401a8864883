"""Owns the user's Git configuration: the file syntax, where the files are, and the answer to "what is key set to".

Where git is installed it is asked, once, for everything: it alone knows its system file and every kind of conditional
include. Where it is not, the files are read here. Knows nothing of what the keys mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Corrupt
from .git import Git, find_git

_MAX_INCLUDE_DEPTH = 10
_SECTION = re.compile(r'\[([A-Za-z0-9.-]+)(?:[ \t]+"((?:[^"\\\n]|\\.)*)")?\]')
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_SPACE = " \t\r"
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off", "")


@dataclass(frozen=True)
class GitConfig:
    """The values of every key, in the order git reads them, so that the last one counts.

    Keys are written `section.name` or `section.Subsection.name`; section and name have no case. Text that is not UTF-8
    is kept with surrogate escapes, so a path can be given to the operating system as it was written.
    """

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, key: str) -> str | None:
        """Return the value of key that counts, or None where it is not set. A key without `=` has the value `true`."""
        values = self.find_all(key)
        return values[-1] if values else None

    def find_all(self, key: str) -> tuple[str, ...]:
        """Return all values of key, the one that counts last."""
        return self.values.get(_fold(key), ())

    def find_bool(self, key: str, *, default: bool = False) -> bool:
        """Return the value of key as git reads a boolean, or default where it is not set or no boolean."""
        value = self.find(key)
        if value is None:
            return default
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        return bool(int(word)) if re.fullmatch(r"[+-]?[0-9]{1,18}", word) else default

    def find_int(self, key: str) -> int | None:
        """Return the value of key as git reads an integer, with its suffixes k, m and g, or None."""
        match = re.fullmatch(r"\s*([+-]?[0-9]{1,18})([kmgKMG]?)\s*", self.find(key) or "")
        return int(match.group(1)) * 1024 ** " kmg".index(match.group(2).lower() or " ") if match else None

    def find_subsections(self, section: str) -> tuple[str, ...]:
        """Return the names of the subsections of section, such as the remotes, in the order they appear."""
        head = section.lower() + "."
        names = (key[len(head) :].rpartition(".")[0] for key in self.values if key.startswith(head))
        return tuple(dict.fromkeys(name for name in names if name))


def collect(entries: Iterable[tuple[str, str]]) -> GitConfig:
    """Return the configuration that these keys and values make, in this order."""
    values: dict[str, tuple[str, ...]] = {}
    for key, value in entries:
        name = _fold(key)
        values[name] = (*values.get(name, ()), value)
    return GitConfig(values)


def ask_git(git: Git) -> GitConfig:
    """Return what git says is configured in its directory, all files and includes resolved: one command, about 2 ms.

    Raises GitFailed where git cannot read a file.
    """
    return collect(_split_listing(git.run("config", "--list", "-z", "--includes")))


def read_files(paths: Iterable[Path]) -> GitConfig:
    """Return what these files and their `include.path` files say; files that are not there count as empty.

    Conditional includes are not followed. Raises Corrupt where a file is not in git's syntax.
    """
    return collect(entry for path in paths for entry in _read_file(path, depth=0))


def find_user_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where git looks for system-wide and user-wide configuration, in the order it reads them."""
    files = []
    if not _is_true(environment.get("GIT_CONFIG_NOSYSTEM")):
        files.append(Path(environment.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"))
    if "GIT_CONFIG_GLOBAL" in environment:
        return [*files, Path(environment["GIT_CONFIG_GLOBAL"])]
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    files.append(Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config")
    return [*files, home / ".gitconfig"]


def read_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what GIT_CONFIG_COUNT, GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n set, as git-config(1) describes them."""
    count = environment.get("GIT_CONFIG_COUNT", "")
    for number in range(int(count) if re.fullmatch("[0-9]{1,4}", count) else 0):
        key = environment.get(f"GIT_CONFIG_KEY_{number}")
        if key:
            yield key, environment.get(f"GIT_CONFIG_VALUE_{number}", "")


def is_git_installed() -> bool:
    """Tell whether `ask_git` can answer."""
    return find_git() is not None


def parse_config(raw: bytes) -> list[tuple[str, str]]:
    """Return the keys and values of a configuration file, in order, in the syntax of git-config(1).

    Raises Corrupt, with the line, for anything else.
    """
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff").replace("\r\n", "\n")
    return list(_Parser(text).parse())


class _Parser:
    """Reads one file's text from its start to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> Iterator[tuple[str, str]]:
        section = ""
        while self._skip_blank():
            if self._text[self._at] == "[":
                section = self._take_section()
            else:
                yield self._take_entry(section)

    def _skip_blank(self) -> bool:
        """Move to the next section or key; False at the end."""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in "#;":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif char in _SPACE or char == "\n":
                self._at += 1
            else:
                return True
        return False

    def _take_section(self) -> str:
        match = _SECTION.match(self._text, self._at)
        if match is None:
            raise self._fail("a section header that does not end")
        self._at = match.end()
        section, subsection = match.group(1).lower(), match.group(2)
        return section if subsection is None else section + "." + re.sub(r"\\(.)", r"\1", subsection)

    def _take_entry(self, section: str) -> tuple[str, str]:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._fail("not a key")
        self._at = match.end()
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1
        # git too takes a key before the first section, where nobody can ask for it.
        key = f"{section}.{match.group().lower()}" if section else match.group().lower()
        if self._text[self._at : self._at + 1] != "=":
            if self._text[self._at : self._at + 1] not in ("", "\n"):
                raise self._fail("a key without '='")
            return key, "true"
        self._at += 1
        return key, self._take_value()

    def _take_value(self) -> str:
        """Read to the end of the line: quotes and escapes undone, comments and outer blanks dropped."""
        value: list[str] = []
        kept = 0
        quoted = False
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char == "\n":
                break
            if char == '"':
                quoted = not quoted
                kept = len(value)
            elif char == "\\":
                escaped = self._text[self._at : self._at + 1]
                self._at += 1
                if escaped not in ("\n", ""):
                    if escaped not in _ESCAPES:
                        raise self._fail("an unknown escape in a value")
                    value.append(_ESCAPES[escaped])
                kept = len(value)
            elif char in "#;" and not quoted:
                self._at -= 1
                break
            elif quoted or char not in _SPACE or value:
                value.append(char)
                if quoted or char not in _SPACE:
                    kept = len(value)
        if quoted:
            raise self._fail("a quoted value that does not end on its line")
        return "".join(value[:kept])

    def _fail(self, problem: str) -> Corrupt:
        line = self._text.count("\n", 0, self._at) + 1
        return Corrupt(f"bad git configuration in line {line}: {problem}")


def _read_file(path: Path, *, depth: int) -> Iterator[tuple[str, str]]:
    try:
        raw = path.read_bytes()
    except OSError:
        return
    try:
        entries = parse_config(raw)
    except Corrupt as error:
        raise Corrupt(f"{path}: {error.message}") from None
    for key, value in entries:
        yield key, value
        if key == "include.path" and depth < _MAX_INCLUDE_DEPTH:
            yield from _read_file(path.parent / os.path.expanduser(value), depth=depth + 1)


def _split_listing(listing: bytes) -> Iterator[tuple[str, str]]:
    for entry in listing.decode("utf-8", "surrogateescape").split("\0"):
        key, equals, value = entry.partition("\n")
        if key:
            yield key, value if equals else "true"


def _fold(key: str) -> str:
    section, dot, rest = key.partition(".")
    subsection, second, name = rest.rpartition(".")
    return f"{section.lower()}{dot}{subsection}{second}{name.lower()}"


def _is_true(word: str | None) -> bool:
    return GitConfig({"a.b": (word,)}).find_bool("a.b") if word else False

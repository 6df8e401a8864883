"""Owns gittrack's settings: their names, their defaults, where they may be set and what is a valid value.

Environment variables count over `git config gittrack.*`, those over `[tool.gittrack]` in pyproject.toml. Knows nothing
of what the settings do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from . import layout
from .errors import InvalidInput
from .repository import Repository, read_config

# What a child of `gittrack run` finds its run by.
RUN_ID_VARIABLE = "GITTRACK_RUN_ID"

_MIB = 1 << 20
_UNITS = {"": 1, "k": 1 << 10, "m": _MIB, "g": 1 << 30}
_SIZE = r"(?ia)(\d{1,15}) ?([kmg]?)(?:i?b)?"
_REMOTE = r"(?a)[A-Za-z0-9_][\w./-]*"
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Settings:
    """What is set, and where.

    `experiment`: the experiment of runs that name none.
    `store`: the repository that holds the runs, an absolute path, or None for the one the code is in.
    `namespace`: the refs the experiments' branches live under.
    `run_id`: the run that a child of `gittrack run` joins; set by environment variable only.
    `remote`: the name of the remote that runs are shared through, or None for the branch's own, else `origin`.
    `content_remote`: where artifacts' content is kept for others: a URL that pyarrow knows, the path of a directory, or
    `none`; None for what goes with the remote. Not to be set in pyproject.toml, which comes with what others pushed.
    `auto_push`: whether a run is pushed when it ends.
    `source_file_limit`: the largest untracked file that is captured with the source, in bytes.
    `source_total_limit`: how much of untracked files is captured in all, in bytes.
    `source_count_limit`: how many untracked files are captured.
    `origin`: for each field that is not at its default, where its value stands, such as `git config gittrack.store`.
    """

    experiment: str = layout.DEFAULT_EXPERIMENT
    store: Path | None = None
    namespace: str = layout.DEFAULT_NAMESPACE
    run_id: str | None = None
    remote: str | None = None
    content_remote: str | None = None
    auto_push: bool = False
    source_file_limit: int = _MIB
    source_total_limit: int = 20 * _MIB
    source_count_limit: int = 2000
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class _Place:
    """One place settings are read from: what it is called, its raw values by field name, and how to mend one there."""

    name: Callable[[str], str]
    values: Mapping[str, object]
    directory: Path
    mend: Callable[[str, str], str]


def load_settings(
    repository: Repository | None,
    *,
    environ: Mapping[str, str],
    directory: Path,
    forgive: Callable[[InvalidInput], None] | None = None,
) -> Settings:
    """Return the settings that apply in directory, which stands in repository (None outside any).

    Relative paths count from directory where an environment variable holds them, from the root of the working tree in
    git's configuration, and from the file's own directory in pyproject.toml. Starts git once where it is installed.
    Raises InvalidInput for a bad value, saying where it stands, and GitFailed or Corrupt where git's configuration
    cannot be read. `forgive` is told of a bad value of a setting that only sharing needs, which is then as if not set.
    """
    chosen: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for place in _find_places(repository, environ=environ, directory=directory):
        for name, raw in place.values.items():
            if name not in chosen:
                try:
                    chosen[name] = _read(place, name, raw)
                except InvalidInput as error:
                    if forgive is None or name not in _FOR_SHARING:
                        raise
                    forgive(error)
                    continue
                origin[name] = place.name(name)
    return Settings(**chosen, origin=origin)


def _find_places(repository: Repository | None, *, environ: Mapping[str, str], directory: Path) -> Iterator[_Place]:
    yield _Place(
        name=_variable,
        values={name: value for name in _SETTINGS if (value := environ.get(_variable(name)))},
        directory=directory,
        mend=lambda name, example: f"export {_variable(name)}={example}",
    )
    yield _Place(
        name=lambda name: f"git config {_git_key(name)}",
        values=_pick_git_values(read_config(repository).find),
        directory=repository.directory if repository else directory,
        mend=lambda name, example: f"git config {_git_key(name)} {example}",
    )
    file, table = _find_project_table(directory, repository.worktree if repository else None)
    if file is not None:
        yield _Place(
            name=lambda name: f"[tool.gittrack] {_toml_key(name)} in {file}",
            values=_pick_project_values(file, table),
            directory=file.parent,
            mend=lambda name, example: f"{_toml_key(name)} = {_quote(example)}  # in [tool.gittrack] of {file}",
        )


def _variable(name: str) -> str:
    return f"GITTRACK_{name.upper()}"


def _git_key(name: str) -> str:
    first, *others = name.split("_")
    return "gittrack." + first + "".join(map(str.capitalize, others))


def _toml_key(name: str) -> str:
    return name.replace("_", "-")


def _quote(example: str) -> str:
    return example if example.isdigit() or example in _WORDS else f'"{example}"'


def _pick_git_values(find: Callable[[str], str | None]) -> dict[str, object]:
    found = {name: find(_git_key(name)) for name in _SETTINGS if name not in _VARIABLE_ONLY}
    return {name: value for name, value in found.items() if value is not None}


def _pick_project_values(file: Path, table: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    known = {_toml_key(name) for name in _SETTINGS} - {_toml_key(name) for name in _NOT_IN_PROJECTS}
    for key, value in table.items():
        if key == _CHECK:
            continue
        if _toml_key(key) not in known:
            raise InvalidInput(f"[tool.gittrack] in {file} has {key!r}, which is none of {', '.join(sorted(known))}")
        values[key.replace("-", "_")] = value
    return values


def _find_project_table(directory: Path, worktree: Path | None) -> tuple[Path | None, Mapping[str, object]]:
    """Return the nearest pyproject.toml, from directory up to the working tree's root, that has `[tool.gittrack]`."""
    here = Path(directory).resolve()
    above = here.parents if worktree and (here == worktree or worktree in here.parents) else ()
    for candidate in (here, *above):
        file = candidate / "pyproject.toml"
        try:
            raw = file.read_bytes()
        except OSError:
            raw = b""
        # Most projects set nothing here, and a TOML parser takes longer to load than everything else.
        table = parse_project(file, raw) if b"gittrack" in raw else None
        if table is not None:
            return file, table
        if candidate == worktree:
            break
    return None, {}


def parse_project(file: Path, raw: bytes) -> Mapping[str, object] | None:
    """Return the table `[tool.gittrack]` of a pyproject.toml's text, or None where it has none; raises InvalidInput."""
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        tool = tomllib.loads(raw.decode("utf-8")).get("tool")
    except ValueError as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None
    table = tool.get("gittrack") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise InvalidInput(f"tool.gittrack in {file} is not a table", hint="[tool.gittrack]")
    return table


def _read(place: _Place, name: str, raw: object) -> object:
    parse, example = _SETTINGS[name]
    try:
        return parse(place, raw)
    except ValueError as error:
        problem = f"{place.name(name)} is {raw!r:.100}, but {error}"
    except InvalidInput as error:
        problem = f"{place.name(name)}: {error.message}"
    raise InvalidInput(
        problem, hint=f"unset {_variable(name)}" if name in _VARIABLE_ONLY else place.mend(name, example)
    )


def _parse_text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("it must be a text")
    return raw.strip()


def _parse_experiment(_: _Place, raw: object) -> str:
    name = _parse_text(raw)
    layout.make_slug(layout.check_key(name, kind="experiment"))
    return name


def _parse_store(place: _Place, raw: object) -> Path:
    path = Path(_parse_text(raw)).expanduser()
    return place.directory.resolve() / path


def _parse_namespace(_: _Place, raw: object) -> str:
    return layout.check_namespace(_parse_text(raw))


def _parse_run_id(_: _Place, raw: object) -> str:
    text = _parse_text(raw)
    if not layout.is_run_id(text):
        raise ValueError("a run id is 32 hex digits")
    return text


def _parse_remote(_: _Place, raw: object) -> str:
    name = _parse_text(raw)
    if not re.fullmatch(_REMOTE, name) or ".." in name:
        raise ValueError("it must be the name of a remote")
    return name


def _parse_content_remote(place: _Place, raw: object) -> str:
    text = _parse_text(raw)
    is_path = text != "none" and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text)
    return str(place.directory.resolve() / Path(text).expanduser()) if is_path else text


def _parse_bool(_: _Place, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word not in _WORDS:
        raise ValueError("it must be true or false")
    return _WORDS[word]


def _parse_size(_: _Place, raw: object) -> int:
    return parse_size(raw)


def parse_size(raw: object) -> int:
    """Return a number of bytes that is said as `500k`, `1m` or `1048576`; raises ValueError."""
    match = re.fullmatch(_SIZE, str(raw).strip()) if isinstance(raw, (int, str)) and not isinstance(raw, bool) else None
    if match is None:
        raise ValueError("it must be a size such as 500k, 1m or 1048576")
    return int(match[1]) * _UNITS[match[2].lower()]


def _parse_count(_: _Place, raw: object) -> int:
    if isinstance(raw, bool) or not re.fullmatch(r"[0-9]{1,9}", str(raw).strip()):
        raise ValueError("it must be a whole number")
    return int(str(raw))


# How the value of each setting is read, and an example of a good one.
_SETTINGS: Mapping[str, tuple[Callable[[_Place, object], object], str]] = {
    "experiment": (_parse_experiment, "churn"),
    "store": (_parse_store, "../runs"),
    "namespace": (_parse_namespace, layout.DEFAULT_NAMESPACE),
    "run_id": (_parse_run_id, ""),
    "remote": (_parse_remote, "origin"),
    "content_remote": (_parse_content_remote, "s3://bucket/runs"),
    "auto_push": (_parse_bool, "true"),
    "source_file_limit": (_parse_size, "1m"),
    "source_total_limit": (_parse_size, "20m"),
    "source_count_limit": (_parse_count, "2000"),
}
_VARIABLE_ONLY = ("run_id",)
# A table of its own, which `gittrack check` reads.
_CHECK = "check"
_FOR_SHARING = ("remote", "auto_push")
# Who pushes a pyproject.toml must not decide where the content of others goes.
_NOT_IN_PROJECTS = (*_VARIABLE_ONLY, "content_remote")

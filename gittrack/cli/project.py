"""Owns gittrack's part of a pyproject.toml: adds `[tool.gittrack]` and leaves everything else as it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from ..errors import Conflict, InvalidInput, StoreFailed


def add_settings(file: Path, values: Mapping[str, str | bool]) -> None:
    """Append a `[tool.gittrack]` table with these values to a pyproject.toml, which is created where it is missing.

    The file is replaced as a whole or not at all. Raises Conflict, with the lines to write by hand, where it has such
    a table already, InvalidInput where it is no TOML, StoreFailed where it cannot be written.
    """
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    try:
        text = file.read_bytes().decode("utf-8") if file.exists() else ""
        tool = _parse(file, text).get("tool", {})
        if "gittrack" in tool:
            raise Conflict(f"{file} has [tool.gittrack] already", hint=f"edit it by hand: {'; '.join(lines)}")
        newline = "\r\n" if "\r\n" in text else "\n"
        gap = "" if not text else (newline if text.endswith("\n") else newline * 2)
        changed = text + gap + newline.join(["[tool.gittrack]", *lines]) + newline
        _parse(file, changed)
        _replace(file, changed)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise StoreFailed(f"{file} cannot be written: {error.strerror}") from error


def _parse(file: Path, text: str) -> Mapping[str, Mapping[str, object]]:
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return tomllib.loads(text)  # type: ignore[no-any-return]
    except ValueError as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error


def _replace(file: Path, text: str) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    target = file.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "x", encoding="utf-8", newline="") as output:
            output.write(text)
        os.chmod(draft, mode)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)

"""Turns what people want kept beside a run (directories, values, figures, images, tables) into files and bytes.

Knows nothing of runs or of where the bytes go.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path, PurePosixPath

from ..errors import InvalidInput, NotFound
from .figure import render_figure
from .image import render_image
from .table import render_table

__all__ = ["check_html", "encode_dict", "list_files", "render_figure", "render_image", "render_table"]


def list_files(root: Path) -> list[tuple[Path, str]]:
    """Return every file below a directory with its POSIX path relative to it, sorted.

    Raises NotFound where root is no directory, InvalidInput for a symlink, device, socket or fifo below it.
    """
    if not root.is_dir():
        raise NotFound(f"no directory {str(root)!r:.300}")
    files = []
    for directory, subdirectories, names in os.walk(root):
        for name in subdirectories + names:
            path = Path(directory, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                files.append((path, path.relative_to(root).as_posix()))
            elif not stat.S_ISDIR(mode):
                raise InvalidInput(f"not a regular file, so it cannot be an artifact: {str(path)!r:.300}")
    return sorted(files, key=lambda entry: entry[1])


def encode_dict(value: object, path: str) -> bytes:
    """Return a JSON-ready value as YAML where path ends in .yaml or .yml, else as JSON; keys keep their order."""
    try:
        if PurePosixPath(path).suffix in (".yaml", ".yml"):
            import yaml

            return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    except Exception as error:
        raise InvalidInput(f"cannot write {path!r:.100}: {error}") from error


def check_html(text: object, path: str) -> str:
    """Return text that is kept as a page; raises InvalidInput for what is no text or a path without .html or .htm."""
    if not isinstance(text, str):
        raise InvalidInput(
            f"log_html keeps a string of HTML, not {type(text).__name__}", hint="run.log_figure(figure, path)"
        )
    if PurePosixPath(path).suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(f"a page's artifact path ends in .html: {path!r:.100}", hint="run.log_text(text, path)")
    return text

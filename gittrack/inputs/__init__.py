"""Describes the data that a run reads: local files, what DVC and Git LFS track, objects on servers, tables in memory.

Says of each a digest, a size and where it lives; copies nothing. Knows nothing of git, journals and runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..errors import InvalidInput
from ..model import Input
from .found import Found, Unreachable

__all__ = ["describe_input", "is_url"]


def describe_input(
    data: object, *, name: str | None = None, context: str = "", warn: Callable[[str], None] = lambda text: None
) -> Input:
    """Return what a run records about data: a path, a URL, or a table or an array in memory.

    Without a name, a path or URL gives its last part. `warn` is told, in a sentence, what could not be found out: a
    server that cannot be asked is no error, and leaves digest and size unknown. `path` is as it was given, credentials
    in a URL included. Raises NotFound where there is no such file, InvalidInput for anything that is no data, OSError
    where a file cannot be read.
    """
    if not (name is None or isinstance(name, str)) or not isinstance(context, str):
        raise InvalidInput("the name and the context of a data input must be strings")
    if not isinstance(data, (str, os.PathLike)):
        if not name:
            raise InvalidInput("data in memory needs a name", hint='run.log_input(frame, name="train")')
        from .memory import find_in_memory

        return _make_input(find_in_memory(data), name, "", context)
    text = os.fspath(data)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInput(f"a data input is a path, a URL, a table or an array, not {data!r:.100}")
    if is_url(text) and not text.lower().startswith("file:"):
        _, _, path = text.partition("?")[0].partition("://")[2].partition("/")
        return _make_input(_find_url(text, warn), name or PurePosixPath(path).name or text, text, context)
    from .local import find_path

    path = unquote(urlsplit(text).path) if is_url(text) else text
    return _make_input(find_path(Path(path), warn=warn), name or Path(path).name or path, path, context)


def is_url(text: str) -> bool:
    """Tell whether text is a URL and no path: letters and `://`."""
    scheme, mark, rest = text.partition("://")
    return bool(mark and rest and scheme[:1].isalpha() and all(char.isalnum() or char in "+.-" for char in scheme))


def _find_url(url: str, warn: Callable[[str], None]) -> Found:
    scheme = url.partition("://")[0].lower()
    try:
        if scheme in ("http", "https"):
            from .web import find_page

            return find_page(url)
        if scheme in ("s3", "s3a"):
            from .bucket import find_object

            return find_object(url)
        raise Unreachable(f"it cannot ask a {scheme} server")
    except Unreachable as error:
        warn(f"gittrack records the URL {url!r:.200} alone, without size and digest: {error}")
    return Found("", None, kind="directory" if url.endswith("/") and scheme not in ("http", "https") else "file")


def _make_input(found: Found, name: str, path: str, context: str) -> Input:
    facts = tuple(sorted((key, value) for key, value in found.facts.items() if value is not None and value != ""))
    return Input(name, path, found.kind, found.digest, found.size, context, facts)

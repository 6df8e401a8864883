"""Owns every name in the store: ref names, tree paths, run ids, the files under `<git dir>/gittrack/`.

Builds and parses them here and nowhere else, and is the allow-list for names that came from elsewhere. Touches no file.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from os import PathLike
from pathlib import Path

from .errors import InvalidInput

DEFAULT_NAMESPACE = "refs/heads/gittrack"
DEFAULT_EXPERIMENT = "default"

RUN_FILE = "run.json"
PARAMS_FILE = "params.json"
SUMMARY_FILE = "summary.json"
ENVIRONMENT_FILE = "environment.json"
ATTRIBUTES_FILE = ".gitattributes"
EXPERIMENT_FILE = "experiment.json"
DROPPED_FILE = "dropped.json"
METRICS_DIRECTORY = "metrics"
ARTIFACTS_DIRECTORY = "artifacts"
SOURCE_DIRECTORY = "source"

MAX_KEY_LENGTH = 250
MAX_SLUG_LENGTH = 100
MAX_PATH_LENGTH = 1000
MAX_PATH_DEPTH = 32

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"metrics/([0-9]{4,9})\.parquet")
_NAMESPACE = re.compile(r"refs/[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*")


def is_run_id(text: str) -> bool:
    """Tell whether text is a whole run id: 32 lowercase hex digits."""
    return _RUN_ID.fullmatch(text) is not None


def has_control(text: str) -> bool:
    """Tell whether text holds a control, format, surrogate, or line-separator character."""
    if text.isascii() and text.isprintable():
        return False
    return any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        for char in text
    )


def check_key(key: object, *, kind: str) -> str:
    """Return key if it can name a param, metric or tag: 1 to 250 characters, none of them a control character.

    Raises InvalidInput, naming the kind and the key, otherwise.
    """
    what = f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind} name"
    if not isinstance(key, str):
        raise InvalidInput(f"{what} must be a string, not {type(key).__name__}: {key!r:.80}")
    if not key:
        raise InvalidInput(f"{what} must not be empty")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidInput(f"{what} is {len(key)} characters long, more than {MAX_KEY_LENGTH}: {key[:40]!r}…")
    if has_control(key):
        raise InvalidInput(f"{what} must not hold control characters: {key!r}")
    return key


def make_slug(name: str) -> str:
    """Return the branch component for an experiment called name; equal slugs mean the same experiment.

    Letters and digits of any script are kept, lowercased (some file systems fold case); every other run of characters
    becomes one `-`, but `.` and `_` stay inside a word. Raises InvalidInput where nothing is left or the result is over
    100 characters.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    text = "".join(
        char if char.isalnum() or char in "._" or unicodedata.category(char).startswith("M") else "-" for char in text
    )
    text = re.sub(r"\.{2,}", ".", re.sub(r"-{2,}", "-", text)).strip("-._")
    while text.endswith(".lock"):
        text = text[: -len(".lock")].rstrip("-._")
    if not text:
        raise InvalidInput(f"an experiment name needs at least one letter or digit: {name!r}")
    if len(text) > MAX_SLUG_LENGTH:
        raise InvalidInput(
            f"an experiment name is {len(text)} characters long, more than {MAX_SLUG_LENGTH}: {name[:40]!r}…"
        )
    return text


def is_slug(text: str) -> bool:
    """Tell whether text is exactly what make_slug would build from itself."""
    try:
        return make_slug(text) == text
    except InvalidInput:
        return False


def check_namespace(namespace: str) -> str:
    """Return namespace if branches may live under it, such as `refs/heads/gittrack`; raise InvalidInput otherwise."""
    if _NAMESPACE.fullmatch(namespace) is None or namespace in ("refs/heads", "refs/tags", "refs/remotes"):
        raise InvalidInput(
            f"not a usable ref namespace: {namespace!r}", hint=f"git config gittrack.namespace {DEFAULT_NAMESPACE}"
        )
    return namespace


def branch_ref(slug: str, namespace: str = DEFAULT_NAMESPACE) -> str:
    """Return the full name of an experiment's local branch."""
    return f"{namespace}/{slug}"


def find_branch_slug(ref: str, namespace: str = DEFAULT_NAMESPACE) -> str | None:
    """Return the experiment's slug if ref is a local experiment branch, else None."""
    head = namespace + "/"
    slug = ref[len(head) :] if ref.startswith(head) else ""
    return slug if slug and is_slug(slug) else None


def tracking_ref(remote: str, slug: str, namespace: str = DEFAULT_NAMESPACE) -> str:
    """Return the full name of the local copy of a remote's experiment branch, as plain `git fetch` would name it."""
    return f"refs/remotes/{remote}/{_short_namespace(namespace)}/{slug}"


def find_tracking_slug(ref: str, namespace: str = DEFAULT_NAMESPACE) -> str | None:
    """Return the experiment's slug if ref is a remote-tracking copy of an experiment branch, else None."""
    match = re.fullmatch(r"refs/remotes/.+?/" + re.escape(_short_namespace(namespace)) + r"/([^/]+)", ref)
    return match.group(1) if match and is_slug(match.group(1)) else None


def _short_namespace(namespace: str) -> str:
    return namespace.removeprefix("refs/").removeprefix("heads/")


def live_ref(run_id: str) -> str:
    """Return the ref that keeps a live run's captured source from being pruned until the run is committed."""
    return f"refs/gittrack/live/{run_id}"


def incoming_refs(token: str = "") -> str:
    """Return where the branches of one fetch stand until they are checked; without a token, those of all fetches.

    No slug begins with `_`, so this is no experiment in any namespace.
    """
    return f"refs/gittrack/_incoming/{token}".rstrip("/")


def part_path(number: int) -> str:
    """Return the tree path of the number-th metrics part, counted from 1."""
    return f"{METRICS_DIRECTORY}/{number:04d}.parquet"


def find_part_number(path: str) -> int | None:
    """Return the number of a metrics part's tree path, or None for any other path."""
    match = _PART.fullmatch(path)
    return int(match.group(1)) if match else None


def check_artifact_path(path: str | PathLike[str]) -> str:
    """Return path if it can name an artifact: relative, POSIX, and writable below a directory on every platform.

    Refused with InvalidInput: empty, absolute, `.` and `..` components, `.git` in any case, backslashes, colons,
    control characters, components over 255 bytes or ending in a dot or space, paths over 1000 characters, names that
    Windows reserves.
    """
    text = path if isinstance(path, str) else os.fspath(path) if isinstance(path, PathLike) else None
    if not isinstance(text, str):
        raise InvalidInput(f"an artifact path must be a string or a path, not {type(path).__name__}")
    problem = _find_path_problem(text)
    if problem:
        raise InvalidInput(f"not a usable artifact path, {problem}: {text[:200]!r}")
    return text


_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def _find_path_problem(path: str) -> str | None:
    if not path:
        return "it is empty"
    if len(path) > MAX_PATH_LENGTH:
        return f"it is over {MAX_PATH_LENGTH} characters"
    if has_control(path):
        return "it holds control characters"
    if path.count("/") >= MAX_PATH_DEPTH:
        return f"it is over {MAX_PATH_DEPTH} directories deep"
    if path.startswith("/") or "\\" in path or ":" in path:
        return "it is absolute or holds a backslash or a colon"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "it has an empty, '.' or '..' component"
        if part.lower() in (".git", "git~1") or part.endswith((".", " ")) or _RESERVED.fullmatch(part):
            return f"{part!r} is a reserved name"
        if len(part.encode("utf-8", "surrogatepass")) > 255:
            return "a component is over 255 bytes"
    return None


def check_run_name(name: object) -> str:
    """Return name if it can name a run: as a key can, and without two spaces in a row, which end it in a subject."""
    text = check_key(name, kind="run")
    if "  " in text or text != text.strip():
        raise InvalidInput(f"a run name must not begin or end with a space, nor hold two in a row: {text!r:.100}")
    if re.fullmatch(r"latest(~.*)?", text):
        raise InvalidInput(f"{text!r:.60} already means a run by when it was started, and cannot name one")
    return text


def artifact_tree_path(path: str) -> str:
    """Return the tree path of an artifact's pointer."""
    return f"{ARTIFACTS_DIRECTORY}/{check_artifact_path(path)}"


def artifact_name(path: PathLike[str] | str, directory: PathLike[str] | str | None = "") -> str:
    """Join an artifact's path below an optional artifact directory and check the result."""
    above = "" if directory is None else str(directory).strip("/")
    return check_artifact_path(f"{above}/{path}" if above not in ("", ".") else str(path))


def gittrack_directory(common_directory: Path) -> Path:
    """Return the one directory gittrack keeps its own files in, inside the repository's common directory."""
    return common_directory / "gittrack"


def journals_directory(common_directory: Path) -> Path:
    """Return the directory that holds one journal directory a run."""
    return gittrack_directory(common_directory) / "runs"


def journal_directory(common_directory: Path, run_id: str) -> Path:
    """Return a run's journal directory; raises InvalidInput unless run_id is 32 hex digits."""
    if not is_run_id(run_id):
        raise InvalidInput(f"not a run id (32 hex digits): {run_id[:80]!r}")
    return journals_directory(common_directory) / run_id


def quarantine_directory(common_directory: Path, token: str = "") -> Path:
    """Return the directory of a repository that holds one fetch while nobody trusts it; without a token, of all."""
    return gittrack_directory(common_directory) / "quarantine" / token


def push_directory(common_directory: Path) -> Path:
    """Return the directory that says what is to be pushed in the background, and what became of it."""
    return gittrack_directory(common_directory) / "push"


def content_directory(common_directory: Path) -> Path:
    """Return the directory that says which content is known to be where. All in it can be deleted at any time."""
    return gittrack_directory(common_directory) / "content"


def lock_path(common_directory: Path) -> Path:
    """Return the file whose lock is held while a branch of the store is moved."""
    return gittrack_directory(common_directory) / "lock"


def condemned_path(common_directory: Path) -> Path:
    """Return the file that lists the content which no run refers to any more and which is to be deleted."""
    return gittrack_directory(common_directory) / "condemned.json"


def index_directories(common_directory: Path) -> list[Path]:
    """Return the directories of the index that exist, of whatever version; see `index_directory`."""
    return sorted(path for path in (gittrack_directory(common_directory) / "index").glob("*") if path.is_dir())


def index_directory(common_directory: Path, version: int) -> Path:
    """Return the directory of the index in one version of its format. All below `index` can be deleted at any time."""
    return gittrack_directory(common_directory) / "index" / str(version)


def shelf_directory(index: Path, slug: str, namespace: str) -> Path:
    """Return the directory of one experiment below an index directory: readable, and short enough for a file name."""
    digest = hashlib.sha256(branch_ref(slug, namespace).encode()).hexdigest()[:16]
    return index / f"{re.sub('[^a-z0-9._-]+', '-', slug)[:60].strip('-.')}-{digest}"


def live_cache_path(index: Path, run_id: str) -> Path:
    """Return the file below an index directory that keeps what was read of a live run's journal."""
    return index / "live" / f"{run_id}.json"

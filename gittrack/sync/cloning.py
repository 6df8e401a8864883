"""Makes a bare repository that holds a remote's experiments and nothing else of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .. import layout
from ..errors import InvalidInput, NotFound, StoreFailed
from ..git import Git
from ..gitconfig import ask_git
from ..history import History
from ..repository import Ident, Repository, get_repository
from ..store import open_store
from ..transport import Remote, Report, Wire, find_remote, ignore, list_remote_ids
from .fetching import FetchReport, advance, fetch
from .link import Link
from .whereabouts import remember_address

BLOBLESS = "blob:none"
_LOOKED_AT = 50


def clone_store(
    url: str,
    directory: Path,
    *,
    namespace: str,
    author: Ident,
    everything: bool = False,
    interactive: bool = False,
    report: Report = ignore,
) -> tuple[Repository, FetchReport]:
    """Make a store in directory, which must not exist or be empty, of the experiments at url.

    Where the server allows it, files are left there until they are needed, but for those that say what a run is;
    `everything` fetches all of them. Removes what it made where it fails. Raises InvalidInput, TransportFailed.
    """
    if url.startswith("-") or not url.strip():
        raise InvalidInput(f"not the address of a repository: {url!r:.200}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InvalidInput(f"{directory} exists already and is not empty", hint=f"gittrack clone {url} OTHER")
    if Path(url).is_dir():
        url = str(Path(url).resolve())  # as git does: it is to be found from the new directory, too
    ids = list_remote_ids(Wire(_find_parent(directory), Remote(url, url, url, ""), "clone", interactive, report))
    if not ids:
        raise NotFound(f"there is nothing at {url}", hint="gittrack push  # where the runs were recorded")
    existed = directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
        raise StoreFailed(
            f"{directory.absolute()} cannot be made ({reason})", hint=f"gittrack clone {url} OTHER"
        ) from error
    try:
        _init(directory, url, namespace, sha256=len(next(iter(ids))) == 64, everything=everything)
        repository = get_repository(directory)
        with open_store(repository) as store:
            remote = find_remote("origin", ask_git(Git(directory)), why="it was cloned")
            link = Link(History(store, namespace), remote, author, "clone", interactive, report)
            remember_address(repository, remote)
            found = fetch(link)
            for branch in found.branches:
                if branch.tip is not None:
                    advance(link, branch.slug, branch.tip)
        if not everything and not _lacks_files(Git(directory), [branch.tip for branch in found.branches if branch.tip]):
            _forget_filter(repository)
        if found.branches:
            Git(directory).run("symbolic-ref", "HEAD", layout.branch_ref(found.branches[0].slug, namespace))
        return get_repository(directory), found
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        if existed:
            directory.mkdir(parents=True, exist_ok=True)
        raise


def _find_parent(directory: Path) -> Path:
    return next(parent for parent in directory.absolute().parents if parent.is_dir())


def _init(directory: Path, url: str, namespace: str, *, sha256: bool, everything: bool) -> None:
    git = Git(directory)
    git.run("init", "-q", "--bare", f"--object-format={'sha256' if sha256 else 'sha1'}")
    tracking = layout.tracking_ref("origin", "", namespace)
    settings = {
        "remote.origin.url": url,
        "remote.origin.fetch": f"+{namespace}/*:{tracking}*",
        "remote.origin.tagOpt": "--no-tags",
    }
    if namespace != layout.DEFAULT_NAMESPACE:
        settings["gittrack.namespace"] = namespace
    if not everything:
        settings |= {
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "origin",
            "remote.origin.promisor": "true",
            "remote.origin.partialCloneFilter": BLOBLESS,
        }
    for key, value in settings.items():
        git.run("config", "--local", "--", key, value)


def _lacks_files(git: Git, tips: Sequence[str]) -> bool:
    """Tell whether the server left files out: whether the newest runs have any that are not here."""
    if not tips:
        return True
    listing = git.run("rev-list", "--objects", "--missing=print", "-n", str(_LOOKED_AT), *tips)
    return any(line.startswith(b"?") for line in listing.splitlines())


def _forget_filter(repository: Repository) -> None:
    """Make an ordinary repository of one whose server knows no filters, and sent everything."""
    for key in ("extensions.partialClone", "remote.origin.promisor", "remote.origin.partialCloneFilter"):
        Git(repository.directory).run("config", "--local", "--unset-all", "--", key)
    for mark in (repository.objects_directory / "pack").glob("*.promisor"):
        mark.unlink()

"""Which commits a remote has already that git does not think of, so that their trees need not be sent again.

An experiment shares no commit with the code, so git, which looks for what two histories share, takes every file of
`source/` for new; and since an epoch shares none with the line it takes the place of, all that was written again. A
file of grafts, in git's old form, tells it for the time of one push that the first runs grow from the commits of the
code that the remote has, and an epoch from the old line: their trees are then left out, exactly. Commits are sent as
they are; where a git heeds no grafts, more is sent and nothing else happens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..message import RunTrailers
from ..store import Commit
from ..transport import list_remote_ids
from .joining import list_records
from .link import Link

_MOST_COMMITS = 20_000


@contextmanager
def graft_sources(link: Link, commits: Sequence[Commit], *, replaced: Sequence[str] = ()) -> Iterator[str | None]:
    """Yield the path of a file of grafts for a push of these commits, or None where there is nothing to gain.

    `replaced` are the commits of lines that the remote has, whose places epochs among these take.
    """
    roots = [commit.id for commit in commits if not commit.parents]
    sources = _list_sources(commits)
    bases = [*(_find_bases(link, sources) if roots and sources else []), *replaced[:_MOST_COMMITS]]
    if not bases:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gittrack-") as directory:
        path = Path(directory) / "grafts"
        path.write_text("".join(f"{' '.join((root, *bases))}\n" for root in roots), encoding="ascii")
        yield str(path)


def _list_sources(commits: Sequence[Commit]) -> list[str]:
    said = (record.trailers for record in list_records(commits))
    ids = (trailers.source_commit for trailers in said if isinstance(trailers, RunTrailers))
    return list(dict.fromkeys(id for id in ids if id is not None))[:_MOST_COMMITS]


def _find_bases(link: Link, sources: Sequence[str]) -> list[str]:
    """Return the commits among sources that the remote has, and those it has that the others grow from.

    What the remote has is what it says at this moment: were it guessed, the code's own history might be sent along.
    """
    length = link.repository.id_length
    asked = [id for id in sources if len(id) == length and all(digit in "0123456789abcdef" for digit in id)]
    here = link.graph.find_present(asked)
    there = link.graph.find_present(list_remote_ids(link.wire)) if here else set()
    if not there:
        return []
    missing, edge = link.graph.find_missing(here, known=there)
    return sorted((set(here) - missing) | edge)

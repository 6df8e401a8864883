"""Which content to fetch at once, before anybody opens it: of the runs that came, by path and size.

What came is told from what was here before, and that is kept until the content is here too: what was cut off is gone on
with by the next. Knows nothing of how content is fetched.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from .. import layout
from ..artifact_choice import Limits
from ..model import Pointer
from .artifacts import ArtifactReader, NamedArtifacts
from .link import Link


class Arrivals:
    """What comes from a remote by one fetch or pull. To be made before it; `everything` takes all runs for new."""

    def __init__(self, link: Link, *, everything: bool = False) -> None:
        self._link = link
        digest = hashlib.sha256(link.remote.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._file = layout.content_directory(link.repository.common_directory) / f"coming-{digest}.json"
        self._unfinished = self._read()
        self._before: Mapping[str, Sequence[str]] = {}
        if not everything:
            here = self._list_tips()
            # What is not in a list that was left is newer than the list.
            self._before = here if self._unfinished is None else self._unfinished
            self._write(self._before)

    def list_wanted(self, slugs: Iterable[str], choice: Limits) -> dict[Pointer, str]:
        """Return the contents that are wanted of what came of these experiments, each with a path it has in a run.

        Of several revisions of a run that came, the one that speaks for it counts.
        """
        reader, graph = ArtifactReader(self._link.store), self._link.graph
        newest: dict[str, NamedArtifacts] = {}
        for slug in slugs:
            tip = self._link.find_tracked(slug)
            if tip is None:
                continue
            known = graph.find_present(self._before.get(slug, ()))
            for named in reader.read(graph.list_new([tip], known=known)):
                if named.run_id not in newest or newest[named.run_id].order < named.order:
                    newest[named.run_id] = named
        pairs = ((path, pointer) for named in newest.values() for path, pointer in named.pointers.items())
        return {pointer: path for path, pointer in pairs if pointer.size and choice.allow(path, pointer)}

    def finish(self, slugs: Iterable[str] | None) -> None:
        """Note that the content of what came is here: of these experiments, or of all."""
        if slugs is None or self._unfinished is None:
            self._file.unlink(missing_ok=True)
            return
        here = self._list_tips()
        self._write({**self._unfinished, **{slug: here[slug] for slug in slugs if slug in here}})

    def _list_tips(self) -> dict[str, list[str]]:
        tips: dict[str, list[str]] = {}
        for found in (self._link.list_local(), self._link.list_tracked()):
            for slug, tip in found.items():
                tips.setdefault(slug, []).append(tip)
        return tips

    def _read(self) -> dict[str, list[str]] | None:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(slug): [str(tip) for tip in tips if tip.isalnum()] for slug, tips in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return None

    def _write(self, tips: Mapping[str, Sequence[str]]) -> None:
        with suppress(OSError):  # what is not kept is not gone on with
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            temporary.write_text(json.dumps(tips, indent=0, sort_keys=True), encoding="utf-8")
            os.replace(temporary, self._file)

"""Reads the runs that living processes record right now, and of a long journal only what is new since the last look.

What a look found out about a journal is kept in memory, and in a file below the index where reading it took a while.
Knows nothing of how stored runs are found.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from . import layout
from .checkpoint import Previous, build_summaries, find_previous
from .content import ContentStore
from .draft import Draft, incomplete_event
from .errors import NotFound
from .frame import RunRecord
from .history import History
from .journal import gather_tables, is_live, list_journals, read_draft
from .readers import JournalReader
from .series import SummaryBuilder
from .stored_run import StoredRun

# So many bytes of points are read as fast as a file that would spare it.
_QUICK_BYTES = 1 << 20


@dataclass(frozen=True)
class LiveRun:
    """A live run as it stood when it was read, as a handle and as a row for a frame."""

    run: StoredRun
    record: RunRecord


@dataclass(frozen=True)
class KnownRevision:
    """What the index knows of a run's last revision."""

    commit: str
    revision: int
    tree: str


@dataclass
class _Fold:
    """What a journal's points say up to some offset of each file.

    `base` is the commit that the journal continues, `lacking` what was found to be damaged on the way, and `kept` how
    many bytes the file of it covers.
    """

    base: str | None
    offsets: dict[str, int]
    builder: SummaryBuilder
    lacking: str = ""
    kept: int = 0

    @property
    def length(self) -> int:
        """How many bytes of points are folded in."""
        return sum(self.offsets.values())

    def fits(self, directory: Path, draft: Draft) -> bool:
        """Tell whether this is of the journal that is in a directory now, and not of an earlier one of the same run."""
        try:
            sizes = {name: (directory / name).stat().st_size for name in self.offsets}
        except FileNotFoundError:
            return False
        return self.base == draft.base and all(sizes[name] >= offset for name, offset in self.offsets.items())


class LiveRuns:
    """The live runs of one store. `cache` is the index directory, where what was found out may be kept."""

    def __init__(self, history: History, content: ContentStore, cache: Path) -> None:
        self._history = history
        self._content = content
        self._cache = cache
        self._folds: dict[str, _Fold] = {}

    def list_directories(self) -> list[Path]:
        """Return the journals that a living process holds."""
        return [path for path in list_journals(self._history.store.repository.common_directory) if is_live(path)]

    def load(
        self, directories: Sequence[Path], *, find_known: Callable[[str, str], KnownRevision | None]
    ) -> list[LiveRun]:
        """Return the runs of those journals that are still live; `find_known` is given an experiment and a run id."""
        found = [self._load(directory, find_known) for directory in directories]
        self._sweep({directory.name for directory in directories})
        return [run for run in found if run is not None]

    def _load(self, directory: Path, find_known: Callable[[str, str], KnownRevision | None]) -> LiveRun | None:
        if not is_live(directory):
            return None
        draft = read_draft(directory)
        if draft.ended or not draft.started:
            return None
        try:
            previous = None
            if draft.intents or draft.base:
                previous = self._find_previous(draft, find_known(draft.run.experiment, draft.run.id))
            summary = self._fold(directory, draft, previous).builder.build()
        except (NotFound, FileNotFoundError):  # it ended while it was read
            self._folds.pop(directory.name, None)
            return None
        snapshot = replace(draft.snapshot(), summary=summary)
        if previous is not None:
            snapshot = replace(snapshot, run=replace(snapshot.run, revision=previous.revision))
        record = RunRecord(snapshot.run, snapshot.params, summary, snapshot.artifacts, live=True)
        if previous is not None:
            commit = previous.commit
            record = replace(record, commit=commit.id, commit_time=commit.time, tree=commit.tree)
        reader = JournalReader(self._history, self._content, directory, draft=draft, previous=previous)
        return LiveRun(StoredRun(snapshot, reader, commit=record.commit, live=True), record)

    def _find_previous(self, draft: Draft, known: KnownRevision | None) -> Previous | None:
        """Return the revision a journal's next one follows: the one the index knows, so that no history is walked."""
        if known is not None:
            for intent in reversed(draft.intents):
                if (intent.revision, intent.tree) == (known.revision, known.tree):
                    commit = self._history.store.get_commit(known.commit)
                    return Previous(commit, known.revision, intent.offsets, intent)
        return find_previous(self._history, draft)

    def _fold(self, directory: Path, draft: Draft, previous: Previous | None) -> _Fold:
        """Fold in what is new in a journal, and note in the draft what of it was ever found to be damaged."""
        fold = self._folds.pop(directory.name, None) or self._read(directory.name)
        if fold is None or not fold.fits(directory, draft):
            offsets = dict(previous.offsets) if previous else {}
            fold = _Fold(draft.base, offsets, build_summaries(self._history, previous))
            fold.kept = -_QUICK_BYTES - 1 if previous else 0
        if fold.lacking:
            draft.apply(incomplete_event(fold.lacking))
        before = draft.run.incomplete
        for table, reached in gather_tables(directory, draft, offsets=fold.offsets):
            fold.builder.add(table)
            fold.offsets = reached
        fold.lacking = f"{fold.lacking}{draft.run.incomplete[len(before) :]}".lstrip("; ")
        if fold.length - fold.kept > _QUICK_BYTES:
            self._keep(directory.name, fold)
        self._folds[directory.name] = fold
        return fold

    def _read(self, run_id: str) -> _Fold | None:
        """Return what an earlier process kept, or None where there is nothing or it is damaged."""
        try:
            checksum, _, text = layout.live_cache_path(self._cache, run_id).read_bytes().partition(b"\n")
            if checksum != b"%08x" % crc32(text):
                return None
            kept = json.loads(text)
            fold = _Fold(kept["base"], kept["offsets"], SummaryBuilder.restore(kept["series"]), kept["lacking"])
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None
        fold.kept = fold.length
        return fold

    def _keep(self, run_id: str, fold: _Fold) -> None:
        """Keep what is known for the next process, where the disk allows it."""
        record: Mapping[str, object] = {
            "base": fold.base,
            "offsets": fold.offsets,
            "lacking": fold.lacking,
            "series": fold.builder.dump(),
        }
        text = json.dumps(record, separators=(",", ":")).encode()
        path = layout.live_cache_path(self._cache, run_id)
        temporary = path.with_name(f"{path.name}-{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(b"%08x\n%s" % (crc32(text), text))
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return
        fold.kept = fold.length

    def _sweep(self, live: set[str]) -> None:
        """Forget the runs that have ended."""
        for run_id in self._folds.keys() - live:
            del self._folds[run_id]
        with suppress(OSError):
            for entry in os.scandir(layout.live_cache_path(self._cache, "").parent):
                if entry.name[:32] not in live:
                    os.unlink(entry.path)

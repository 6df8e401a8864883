"""Keeps the index of one experiment: finds it on disk, brings it up to date, and writes what is new beside it.

Segments are written once and never changed; a manifest that names them is replaced. Whoever gets the lock writes; who
does not, or may not write here, goes on with what it has in memory. Knows nothing of other experiments.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from .. import layout
from ..errors import StoreFailed
from ..history import History
from ..journal.lock import hold
from ..store.disk import NewFile, Sharing, make_directories, parse_sharing
from .growth import Progress, grow, retry_damages
from .manifest import decode_manifest, encode_manifest
from .segment_file import SUFFIX, TEMPORARY, IndexDamaged, check_segment, open_segment, write_segment
from .share import start_share
from .state import Piece, State, StoredSegment, merge_pieces

MANIFEST = "manifest"
LOCK = "lock"

# So many segments of about one size are made one, several times as large.
FAN = 4
_MOST_MERGED_ROWS = 262_144
_MOST_MERGED_BYTES = 384 << 20

# Files that no manifest is known to have named are left alone for so many seconds: somebody may be about to name them.
_SWEEP_AGE = 3600.0
_ATTEMPTS = 4

Note = Callable[[str], None]


class Shelf:
    """The index of one experiment, in memory and on disk. Not safe for threads: its owner takes turns."""

    def __init__(self, history: History, slug: str, index: Path, *, note: Note) -> None:
        self._history = history
        self._slug = slug
        self._directory = layout.shelf_directory(index, slug, history.namespace)
        self._sharing: Sharing = parse_sharing(history.store.repository.config.find("core.sharedrepository"))
        self._width = history.store.repository.id_length // 2
        self._note = note
        self._state: State | None = None
        self._seen: tuple[int, ...] | None = None
        self._named: set[str] = set()
        self._noted = False

    @property
    def directory(self) -> Path:
        """Where the index of this experiment is kept."""
        return self._directory

    def refresh(self, tips: tuple[str, ...], shallow: str, *, progress: Progress | None) -> State:
        """Return the state at these tips (sorted). Where nothing has moved, no commit is read.

        Raises GittrackError where the history itself cannot be read; `state` is then what it was.
        """
        state = self._state
        if state is not None and state.is_at(tips, shallow):
            return state
        if state is None or not self._is_unchanged():
            state = self._load() or state
            if state is not None and state.is_at(tips, shallow) and not state.damages:
                self._state = state
                return state
        with self._try_lock() as held:
            if held and not self._is_unchanged():
                state = self._load() or state
            self._state = self._advance(state or State(self._slug), tips, shallow, held=held, progress=progress)
        return self._state

    @property
    def state(self) -> State | None:
        """What was known last, if anything."""
        return self._state

    def _advance(
        self, state: State, tips: tuple[str, ...], shallow: str, *, held: bool, progress: Progress | None
    ) -> State:
        keep = self._keep if held else _leave
        share = partial(start_share, self._history, self._directory) if held else None
        before = state
        if state is not self._state and state.damages:
            state = retry_damages(self._history, state, keep=keep)
        if not state.is_at(tips, shallow):
            state = grow(self._history, state, tips=tips, shallow=shallow, keep=keep, share=share, progress=progress)
        if held and state is not before:
            try:
                return self._save(state)
            except OSError:
                return state  # a full disk, say: what is in memory serves as well
            except IndexDamaged as error:
                self._say_damaged(error)
            state = State(self._slug)
            state = grow(self._history, state, tips=tips, shallow=shallow, keep=keep, share=share, progress=progress)
            with suppress(OSError):
                state = self._save(state)
        return state

    def _load(self) -> State | None:
        """Return what the disk holds, or None where there is nothing or it is damaged."""
        for _ in range(_ATTEMPTS):
            seen = self._look()
            if seen is None:
                self._seen = None
                return None
            try:
                data = (self._directory / MANIFEST).read_bytes()
                state = decode_manifest(data, slug=self._slug, namespace=self._history.namespace, open_piece=self._open)
            except FileNotFoundError as error:
                if self._look() != seen:
                    continue  # somebody replaced it meanwhile, and with it the segments
                self._say_damaged(error)
            except (IndexDamaged, OSError) as error:
                self._say_damaged(error)
            else:
                self._seen = seen
                self._named = _list_files(state)
                return state
            self._seen = seen
            return None
        return None

    def _open(self, stored: StoredSegment) -> Piece:
        """Return the piece of a file, the one in memory where that is the same: it may hold columns made before."""
        for piece in self._state.pieces if self._state is not None else ():
            if piece.file is not None and piece.file.name == stored.name:
                return replace(piece, file=stored)
        return open_segment(self._directory, stored, width=self._width)

    def _look(self) -> tuple[int, ...] | None:
        """Return what tells one manifest from the next, or None where there is none."""
        try:
            status = os.stat(self._directory / MANIFEST)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def _is_unchanged(self) -> bool:
        return self._look() == self._seen

    def _say_damaged(self, reason: Exception) -> None:
        if not self._noted:
            self._noted = True
            self._note(f"the index of experiment {self._slug} was damaged, and is rebuilt from git ({reason})")

    @contextmanager
    def _try_lock(self) -> Iterator[bool]:
        """Hold the lock, if nobody else does and this directory can be written; tell whether it is held."""
        with ExitStack() as stack:
            try:
                make_directories(self._directory, sharing=self._sharing)
                if not os.access(self._directory, os.W_OK):
                    raise PermissionError
                stack.enter_context(hold(self._directory / LOCK, 0))
                held = True
            except (OSError, StoreFailed):
                held = False
            yield held

    def _keep(self, piece: Piece) -> Piece:
        """Write a piece and return it as it is on disk, mapped; where that fails, as it was."""
        try:
            stored = write_segment(self._directory, piece, sharing=self._sharing)
            mapped = open_segment(self._directory, stored, width=self._width)
        except (OSError, IndexDamaged):
            return piece
        return replace(mapped, hidden=piece.hidden)

    def _save(self, state: State) -> State:
        """Write what is not on disk yet, with fewer and larger segments where there are many.

        Raises OSError where the disk does not take it, IndexDamaged where a segment to be merged is damaged.
        """
        present = {entry.name for entry in os.scandir(self._directory)}
        pieces = [self._write(piece, present) for piece in self._merge(state.pieces)]
        state = replace(state, pieces=tuple(pieces))
        path = self._directory / MANIFEST
        file = NewFile(path, temporary=self._directory / f"{MANIFEST}-{os.urandom(4).hex()}{TEMPORARY}", mode=0o666)
        try:
            file.write(encode_manifest(state, namespace=self._history.namespace))
            file.finish(sharing=self._sharing)
        except BaseException:
            file.abandon()
            raise
        self._seen = self._look()
        self._sweep(present, _list_files(state))
        return state

    def _write(self, piece: Piece, present: set[str]) -> Piece:
        if piece.file is not None and piece.file.name in present:
            return piece
        stored = write_segment(self._directory, replace(piece, file=None), sharing=self._sharing)
        try:
            return replace(open_segment(self._directory, stored, width=self._width), hidden=piece.hidden)
        except IndexDamaged as error:
            raise OSError(str(error)) from error

    def _merge(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return pieces with those of about one size merged where there are many, and mostly hidden ones cut down."""
        kept = list(pieces)
        while (chosen := _choose(kept)) is not None:
            for piece in chosen:
                if piece.file is not None:
                    check_segment(self._directory / piece.file.name, piece.file, whole=True)
            merged = merge_pieces(chosen, width=self._width)
            kept = [piece for piece in kept if not any(piece is other for other in chosen)] + [merged]
        return kept

    def _sweep(self, present: set[str], named: set[str]) -> None:
        """Delete the files that the manifest does not name: at once those it named until now, others when they are old.

        Who has mapped one keeps it; who has only read the former manifest will find the new one.
        """
        now = time.time()
        for name in present - named:
            path = self._directory / name
            with suppress(OSError):
                if name in self._named or (
                    name.endswith((SUFFIX, TEMPORARY)) and now - path.stat().st_mtime > _SWEEP_AGE
                ):
                    path.unlink()
        self._named = named


def _list_files(state: State) -> set[str]:
    return {piece.file.name for piece in state.pieces if piece.file is not None}


def _leave(piece: Piece) -> Piece:
    return piece


def _choose(pieces: Sequence[Piece]) -> list[Piece] | None:
    """Return the pieces that should be made one, or None.

    A row is written again only when its segment grows FAN-fold, or when a good part of the rows beside it are hidden:
    so the writing of all is at most a logarithm of their number times the writing of each once.
    """
    for piece in pieces:
        if piece.height and 3 * piece.hidden.count(1) > piece.height and piece.height > FAN:
            return [piece]
    tiers: dict[int, list[Piece]] = {}
    for piece in pieces:
        tiers.setdefault((max(piece.height, 1).bit_length() - 1) // 2, []).append(piece)
    for tier in sorted(tiers):
        chosen = tiers[tier]
        size = sum(0 if piece.file is None else piece.file.size for piece in chosen)
        rows = sum(piece.height for piece in chosen)
        if len(chosen) >= FAN and rows <= _MOST_MERGED_ROWS and size <= _MOST_MERGED_BYTES:
            return chosen
    return None

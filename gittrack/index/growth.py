"""Brings the index of one experiment from where it stands to where the branches are, by reading what is new.

A few new commits are read through the store, very many in bulk through git. Knows nothing of how the index is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..dropped import Dropped
from ..errors import GittrackError, StoreFailed, Unsupported
from ..frame import Block, build_segment
from ..git import find_git
from ..history import History
from ..model import Experiment
from .finding import Damage, Finding, Harvest
from .loader import Loader, uncollected
from .reader import GitReader, StoreReader
from .share import LEAST, Share, ShareFailed
from .state import Piece, Record, State, find_heads, is_continued, is_touched, make_piece, settle

# So many commits are walked through the store before git is asked instead.
FEW = 400

# So many damaged records are tried again each time an index is opened: what was missing may have been fetched.
_MOST_RETRIED = 64

Progress = Callable[[int, int], None]
StartShare = Callable[[Sequence[Finding]], Share | None]


def grow(
    history: History,
    state: State,
    *,
    tips: tuple[str, ...],
    shallow: str,
    keep: Callable[[Piece], Piece],
    share: StartShare | None,
    progress: Progress | None,
) -> State:
    """Return the state that covers just what is reachable from tips.

    Where that no longer includes all that `state` covers (a rewritten or deleted branch, another edge of a shallow
    clone), or where a run that is known was deleted since, everything is read anew. Each new piece is given to `keep`,
    and what that returns goes into the state. `share`, where it is given, may start a second process on a part of a
    long reading. `progress` is told how much of that is done, of how much in all. Raises GittrackError where the
    history itself cannot be read.
    """
    if state.pieces and state.shallow != shallow:
        state = State(state.slug)
    harvest, bulk = _gather(history, state, tips, progress)
    if not is_continued(state, harvest):
        state = State(state.slug)
        harvest, bulk = _gather(history, state, tips, progress)
    dropped = _load_dropped(history, state, harvest)
    if dropped != state.dropped:
        # Where nothing that is known speaks and is dropped, nothing that is known changes.
        if not is_touched(state, harvest, dropped):
            state = replace(state, dropped=dropped)
        else:
            state = State(state.slug, dropped=dropped)
            harvest, bulk = _gather(history, state, tips, progress)
    return _Growth(history, state, harvest, keep=keep, share=share, progress=progress).run(
        bulk, tips=tips, heads=find_heads(state, harvest, tips), shallow=shallow
    )


def _load_dropped(history: History, state: State, harvest: Harvest) -> Dropped:
    """Return what the state knows to be deleted, and what the harvest's epochs list."""
    dropped = state.dropped
    for commit in harvest.epochs:
        try:
            dropped |= history.load_dropped(commit)
        except GittrackError as error:
            harvest.damages.append(Damage(commit.id, error.message, error.hint))
    return dropped


def retry_damages(history: History, state: State, *, keep: Callable[[Piece], Piece]) -> State:
    """Return the state with those records in it that could not be read once and can be now."""
    state = _retry_record(history, state)
    retried = [entry for entry in state.damages if entry.run_id is not None and entry.order is not None]
    findings = []
    for damage in retried[:_MOST_RETRIED]:
        try:
            commit = history.store.get_commit(damage.commit)
            history.load_snapshot(commit)
        except GittrackError:
            continue
        if damage.run_id is not None and damage.order is not None:
            findings.append(Finding(damage.run_id, damage.order, commit.tree))
    if not findings:
        return state
    good = {finding.commit for finding in findings}
    state = replace(state, damages=tuple(entry for entry in state.damages if entry.commit not in good))
    growth = _Growth(history, state, Harvest(state.covers), keep=keep, share=None, progress=None)
    return growth.lay_out(findings, StoreReader(history.store))


def _retry_record(history: History, state: State) -> State:
    """Return the state with the experiment's own record, where that could not be read once and can be now."""
    for damage in state.damages:
        if damage.run_id is None and state.record is not None and damage.order == state.record.order:
            try:
                experiment = history.load_experiment(history.store.get_commit(damage.commit))
            except GittrackError:
                return state
            rest = tuple(entry for entry in state.damages if entry is not damage)
            return replace(state, record=replace(state.record, experiment=experiment), damages=rest)
    return state


def _gather(
    history: History, state: State, tips: tuple[str, ...], progress: Progress | None
) -> tuple[Harvest, GitReader | None]:
    """Return what is new, and git as a reader of it where there is much."""
    harvest = Harvest(state.covers, state.dropped)
    for commit in history.store.walk(tips, stop=harvest.meets):
        harvest.add(commit)
        if len(harvest.commits) == FEW and find_git() is not None:
            try:
                reader = GitReader(history.store)
                return _gather_in_bulk(reader, state, tips, progress), reader
            except (StoreFailed, Unsupported):
                continue
    return harvest, None


def _gather_in_bulk(reader: GitReader, state: State, tips: tuple[str, ...], progress: Progress | None) -> Harvest:
    harvest = Harvest(state.covers, state.dropped)
    ids = reader.list_commits(tips, without=state.heads)
    for number, commit in enumerate(reader.read_commits(ids)):
        harvest.add(commit)
        if progress is not None and number % 1000 == 0:
            progress(number // _COMMITS_PER_RUN, len(ids) + len(ids) // _COMMITS_PER_RUN)
    for id in {*tips, *harvest.parents}.difference(harvest.commits):
        harvest.meets(id)
    return harvest


# A commit is read in this part of the time that a run takes.
_COMMITS_PER_RUN = 4


class _Growth:
    """One step of growth: from a state, by a harvest that continues it, to the next state."""

    def __init__(
        self,
        history: History,
        state: State,
        harvest: Harvest,
        *,
        keep: Callable[[Piece], Piece],
        share: StartShare | None,
        progress: Progress | None,
    ) -> None:
        self._history = history
        self._state = state
        self._harvest = harvest
        self._keep = keep
        self._share = share
        self._progress = progress
        self._width = history.store.repository.id_length // 2
        self._commits = harvest.commits
        self._pieces: list[Piece] = []
        self._done = len(harvest.commits) // _COMMITS_PER_RUN

    def run(self, bulk: GitReader | None, *, tips: tuple[str, ...], heads: tuple[str, ...], shallow: str) -> State:
        findings = sorted(self._harvest.findings.values(), key=lambda finding: (finding.order[1], finding.commit))
        record, damages = self._find_record()
        self._state = replace(
            self._state, tips=tips, heads=heads, shallow=shallow, record=record, damages=self._state.damages + damages
        )
        if bulk is not None:
            try:
                with bulk:
                    return self.lay_out(findings, bulk)
            except (StoreFailed, Unsupported):
                self._commits = self._harvest.commits
                self._pieces = []
        return self.lay_out(findings, StoreReader(self._history.store))

    def lay_out(self, findings: list[Finding], reader: GitReader | StoreReader) -> State:
        """Return the state with these findings, so far as they speak, and with all commits of the harvest."""
        state, findings = settle(self._state, findings)
        loader = Loader(self._history, reader, emit=self._add)
        total, done = self._done + len(findings), self._done
        share = None
        if isinstance(reader, GitReader) and self._share is not None and len(findings) >= LEAST:
            share = self._share(findings[: len(findings) // 2])

        def advance(count: int) -> None:
            nonlocal done
            done += count if share is None else 2 * count  # the other process will be about as far
            if self._progress is not None and isinstance(reader, GitReader):
                self._progress(min(done, total), total)

        try:
            with uncollected():
                loader.load(findings if share is None else findings[len(share.findings) :], advance=advance)
                damages = [] if share is None else self._collect(share, loader, advance)
        finally:
            if share is not None:
                share.cancel()
        if self._commits:
            self._add(build_segment([]))
        return replace(
            state, pieces=(*state.pieces, *self._pieces), damages=(*state.damages, *loader.damages, *damages)
        )

    def _collect(self, share: Share, loader: Loader, advance: Callable[[int], None]) -> list[Damage]:
        """Take over what a second process did, or do it here; return the damages it met."""
        try:
            pieces, damages = share.collect()
        except ShareFailed:
            loader.load(share.findings, advance=advance)
            return []
        self._pieces += pieces
        return damages

    def _add(self, block: Block) -> None:
        """Make a piece of a block; the first one has all the commits."""
        self._pieces.append(self._keep(make_piece(block, self._commits, width=self._width)))
        self._commits = []

    def _find_record(self) -> tuple[Record | None, tuple[Damage, ...]]:
        known, found = self._state.record, self._harvest.record
        damages = tuple(self._harvest.damages)
        if found is None or (known is not None and known.order >= found[0]):
            return known, damages
        order, commit = found
        try:
            return Record(order, self._history.load_experiment(commit)), damages
        except GittrackError as error:
            # Nothing is known then, also by an earlier record: that is what a reading of the whole history makes of it.
            unknown = Record(order, Experiment(self._state.slug, self._state.slug))
            return unknown, (*damages, Damage(commit.id, error.message, error.hint, order=order))

"""An index says what a full reading of the history says, after any sequence of what can happen to either.

With GITTRACK_TEST_EXAMPLES in the environment, so many sequences are tried.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from conftest import git
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stores import START, check_index, edit_experiment, make_repository, make_snapshot, record

from gittrack import layout
from gittrack.history import History
from gittrack.index import Index, growth
from gittrack.model import Status
from gittrack.repository import get_repository
from gittrack.store import open_store

SLUGS = ("churn", "other")

slugs = st.sampled_from(SLUGS)
numbers = st.integers(0, 6)
times = st.integers(0, 3).map(lambda minutes: START + minutes * 60_000_000)


class IndexMachine(RuleBasedStateMachine):
    """One repository that is indexed, a clone of it beside, and two indexes that take turns in being refreshed."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="gittrack-test-"))
        self.here = make_repository(self.place / "here")
        self.there = self.place / "there"
        git(self.place, "clone", "-q", str(self.here), str(self.there))
        git(self.here, "remote", "add", "there", str(self.there))
        self.stores = {place: open_store(get_repository(place)) for place in (self.here, self.there)}
        self.histories = {place: History(store) for place, store in self.stores.items()}
        self.history = self.histories[self.here]
        self.notes: list[str] = []
        self.indexes = [self.open_index(), self.open_index()]
        self.few = growth.FEW

    def open_index(self) -> Index:
        return Index(self.history, note=self.notes.append)

    def teardown(self) -> None:
        growth.FEW = self.few
        for store in self.stores.values():
            store.close()
        shutil.rmtree(self.place)

    @initialize(few=st.sampled_from([1, 3, 400]))
    def choose_reader(self, few: int) -> None:
        growth.FEW = few

    def places(self, there: bool) -> tuple[Path, History]:
        place = self.there if there else self.here
        return place, self.histories[place]

    def find_tip(self, place: Path, slug: str) -> str:
        return git(place, "for-each-ref", "--format=%(objectname)", layout.branch_ref(slug))

    @rule(
        slug=slugs,
        number=numbers,
        revision=st.integers(1, 3),
        there=st.booleans(),
        time=times,
        note=st.text("xy", max_size=1),
    )
    def record(self, slug: str, number: int, revision: int, there: bool, time: int, note: str) -> None:
        snapshot = make_snapshot(number, slug=slug, revision=revision)
        record(self.places(there)[1], replace(snapshot, run=replace(snapshot.run, note=note)), time=time)

    @rule(slug=slugs, number=numbers, removed=st.booleans(), there=st.booleans())
    def edit(self, slug: str, number: int, removed: bool, there: bool) -> None:
        """Write the next revision of a run, as an edit, a resumed run or a removal does."""
        history = self.places(there)[1]
        known = History(history.store)
        if slug not in known.find_tips():
            return
        for entry in known.get_branch(slug).revisions:
            if entry.trailers.run_id == f"{number:032x}":
                snapshot = known.load_snapshot(entry.commit)
                changed = replace(
                    snapshot.run,
                    revision=snapshot.run.revision + 1,
                    removed=START if removed else None,
                    status=Status.KILLED if removed else Status.FINISHED,
                )
                record(history, replace(snapshot, run=changed, params={**snapshot.params, "more": 1}))
                return

    @rule(slug=slugs, removed=st.booleans(), there=st.booleans(), time=times)
    def edit_experiment(self, slug: str, removed: bool, there: bool, time: int) -> None:
        edit_experiment(self.places(there)[1], slug, removed=START if removed else None, time=time)

    @rule()
    def fetch(self) -> None:
        git(self.here, "fetch", "-q", "--prune", "there")

    @rule()
    def fetch_there(self) -> None:
        git(self.there, "fetch", "-q", "--prune", "origin")

    @rule(slug=slugs, there=st.booleans())
    def merge(self, slug: str, there: bool) -> None:
        """Join the branch with its tracking copy, by a merge that carries no run."""
        place, _ = self.places(there)
        remote = "origin" if there else "there"
        tips = [
            git(place, "for-each-ref", "--format=%(objectname)", ref)
            for ref in (layout.branch_ref(slug), layout.tracking_ref(remote, slug))
        ]
        if all(tips) and tips[0] != tips[1]:
            parents = [word for tip in tips for word in ("-p", tip)]
            merged = git(place, "commit-tree", *parents, "-m", "merge", f"{tips[0]}^{{tree}}")
            git(place, "update-ref", layout.branch_ref(slug), merged)

    @rule(slug=slugs, back=st.integers(1, 3), there=st.booleans())
    def rewind(self, slug: str, back: int, there: bool) -> None:
        place, _ = self.places(there)
        tip = self.find_tip(place, slug)
        older = tip and git(place, "rev-list", "-1", f"--skip={back}", "--first-parent", tip)
        if older:
            git(place, "update-ref", layout.branch_ref(slug), older)

    @rule(slug=slugs, there=st.booleans())
    def rewrite(self, slug: str, there: bool) -> None:
        """Put the newest commit on its grandparent, under another id."""
        place, _ = self.places(there)
        tip = self.find_tip(place, slug)
        ancestor = tip and git(place, "rev-list", "-1", "--skip=2", "--first-parent", tip)
        if ancestor:
            message = git(place, "log", "-1", "--format=%B", tip).encode()
            new = git(place, "commit-tree", "-p", ancestor, "-F", "-", f"{tip}^{{tree}}", stdin=message)
            git(place, "update-ref", layout.branch_ref(slug), new)

    @rule(slug=slugs, there=st.booleans())
    def delete(self, slug: str, there: bool) -> None:
        place, _ = self.places(there)
        if self.find_tip(place, slug):
            git(place, "update-ref", "-d", layout.branch_ref(slug))

    @rule()
    def repack(self) -> None:
        git(self.here, "repack", "-adq")

    @rule()
    def lose_the_index(self) -> None:
        shutil.rmtree(self.indexes[0].directory, ignore_errors=True)

    @precondition(lambda self: any(self.files()))
    @rule(seed=st.integers(0, 2**16), how=st.sampled_from(["flip", "cut", "remove"]))
    def damage_the_index(self, seed: int, how: str) -> None:
        chance = random.Random(seed)
        file = chance.choice(list(self.files()))
        data = bytearray(file.read_bytes())
        # A file that is mapped is never cut or changed in place: that would be the end of whoever mapped it.
        file.unlink()
        if how == "flip":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif how == "cut":
            del data[chance.randrange(len(data)) :]
        if how != "remove":
            file.write_bytes(data)

    def files(self) -> list[Path]:
        found = self.indexes[0].directory.glob("*/*")
        return sorted(path for path in found if path.name != "lock" and path.is_file() and os.path.getsize(path))

    @rule(which=st.integers(0, 1))
    def start_again(self, which: int) -> None:
        self.indexes[which] = self.open_index()

    @rule(which=st.integers(0, 1))
    def refresh(self, which: int) -> None:
        check_index(self.indexes[which], self.history)

    @invariant()
    def a_new_process_sees_the_same(self) -> None:
        check_index(self.indexes[0], self.history)


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(
    max_examples=int(os.environ.get("GITTRACK_TEST_EXAMPLES", "12")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

"""Three clones and a hub, and anything in any order: nothing that was recorded or said is lost, and all see the same.

But for what somebody who had seen it deleted for good: that goes everywhere, and does not come back. A little on every
change; a thousand examples and more with TEST_EFFORT=nightly.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clones import SECOND, Clone, number_id
from conftest import git
from effort import choose
from hubs import make_hub
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from gittrack.checkpoint import read_parts
from gittrack.deletion import delete_runs, redact_run
from gittrack.dropped import decode_dropped
from gittrack.errors import Conflict, NotFound
from gittrack.history import Revision
from gittrack.store.dulwich_store import DulwichStore
from gittrack.tracker import Tracker
from gittrack.transport.wire import Wire

NAMES = ("ada", "bob", "cleo")
LATE = 4_000_000_000 * SECOND
clones = st.sampled_from(NAMES)


class Crash(BaseException):
    """The process dies here."""


@contextmanager
def crash_at(step: int, *, after: bool) -> Iterator[None]:
    """Die at the n-th step that others can see: a command over the wire, or a ref that moves; before it or after it."""
    count = 0

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            mine = count
            if mine == step and not after:
                raise Crash
            answer = function(*args, **options)
            if mine == step:
                raise Crash
            return answer

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "ask", wrap(Wire.ask))
        patch.setattr(DulwichStore, "move_ref", wrap(DulwichStore.move_ref))
        yield


@dataclass(eq=False)
class Fact:
    """Something said of a run: a point, a tag or a line of the note, and the place that would have to be redacted.

    `covered`: that place had been redacted when it was said. `deleted`: who deleted the run had seen it. `cut`: who
    redacted the place had seen it.
    """

    value: float | str
    place: str
    covered: bool
    deleted: bool = False
    cut: bool = False


def read_facts(tracker: Tracker, revision: Revision) -> set[float | str]:
    """Return all that a revision of a run says: its points, the names of its tags, the lines of its note."""
    snapshot = tracker.history.load_snapshot(revision.commit)
    said: set[float | str] = {*snapshot.run.tags, *snapshot.run.note.splitlines()}
    for table in read_parts(tracker.store, tracker.history.find_parts(revision.commit), metric="loss"):
        said.update(table["value"].to_pylist())
    return said


class Sharing(RuleBasedStateMachine):
    """What people do with three clones; `facts` is what every clone must show in the end.

    `dropped` are the revisions (run and tree) that somebody deleted for good, `deleted` the runs of which nothing was
    left then, `redacted` the places that were redacted.
    """

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="gittrack-machine-"))
        self.hub = make_hub(self.root / "hub.git")
        self.clones = {name: Clone(self.root / name, str(self.hub)) for name in NAMES}
        self.facts: dict[str, list[Fact]] = {}
        self.dropped: set[tuple[str, str]] = set()
        self.deleted: set[str] = set()
        self.redacted: dict[str, set[str]] = {}
        self.known: dict[str, set[str]] = {name: set() for name in NAMES}
        self.number = 0
        self.tip = ""
        self.tips: list[str] = []

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def next(self) -> int:
        """Return a number that nobody has had; all clocks go on with it, so that writers have an order."""
        self.number += 1
        for number, clone in enumerate(self.clones.values()):
            clone.clock = max(clone.clock, *(other.clock for other in self.clones.values())) + number
        return self.number

    @initialize(target=runs, name=clones, shared=st.booleans())
    def begin(self, name: str, shared: bool) -> Any:
        """Somebody records the first run; perhaps everybody has it."""
        run_id = self.record(name)
        if shared:
            for clone in (name, *NAMES):
                self.push(clone)
        return multiple(run_id)

    @rule(target=runs, name=clones)
    def record(self, name: str) -> str:
        number = self.next()
        run_id = number_id(number)
        values = [float(number), number + 0.5]
        self.clones[name].record(run_id, losses=values, params={"number": number})
        self.facts[run_id], self.redacted[run_id] = [], set()
        self.say(name, run_id, "metrics.loss", *values)
        self.known[name].add(run_id)
        return run_id

    def find_knowing(self, name: str, run_id: str) -> str:
        """Return a clone that shows a run: this one, if it does; empty where there is none."""
        return next((other for other in (name, *NAMES) if run_id in self.known[other]), "")

    def say(self, name: str, run_id: str, place: str, *values: float | str) -> None:
        """Note what a clone has just said of a run."""
        with self.clones[name].open() as tracker:
            covered = place in tracker.get_run(run_id).snapshot.run.redacted
        self.facts[run_id] += [Fact(value, place, covered) for value in values]

    @rule(name=clones, run_id=runs)
    def tag(self, name: str, run_id: str) -> None:
        if name := self.find_knowing(name, run_id):
            key = f"{name}-{self.next()}"
            self.clones[name].edit(run_id, tags={key: "x"})
            self.say(name, run_id, f"tags.{key}", key)

    @rule(name=clones, run_id=runs)
    def write_note(self, name: str, run_id: str) -> None:
        """Add to the note that is there, as an editor does."""
        if name := self.find_knowing(name, run_id):
            line = f"line {self.next()} of {name}."
            with self.clones[name].open() as tracker:
                before = tracker.get_run(run_id).note
            self.clones[name].edit(run_id, note=f"{before}\n{line}".strip())
            self.say(name, run_id, "note", line)

    @rule(name=clones, run_id=runs, removed=st.booleans())
    def remove_or_restore(self, name: str, run_id: str, removed: bool) -> None:
        if name := self.find_knowing(name, run_id):
            self.next()
            self.clones[name].edit(run_id, removed=removed)

    @rule(name=clones, run_id=runs)
    def resume(self, name: str, run_id: str) -> None:
        if name := self.find_knowing(name, run_id):
            value = self.next() + 0.25
            self.clones[name].resume(run_id, [value])
            self.say(name, run_id, "metrics.loss", value)

    @rule(name=clones)
    def describe(self, name: str) -> None:
        """Change what is said about the experiment."""
        with self.clones[name].open() as tracker:
            if tracker.list_experiments():
                tracker.edit_experiment("churn", tags={f"{name}-{self.next()}": "x"})

    @rule(name=clones, run_id=runs)
    def delete(self, name: str, run_id: str) -> None:
        """Delete a run for good, and with it all that are marked removed."""
        if name := self.find_knowing(name, run_id):
            self.next()
            self.clones[name].edit(run_id, removed=True)
            with self.dropping(name):
                self.collect(name)
            assert run_id not in self.known[name]

    def collect(self, name: str) -> None:
        with self.clones[name].open() as tracker:
            delete_runs(tracker, ["churn"], now=LATE, period=0, grace=0)

    @rule(name=clones, run_id=runs, place=st.sampled_from(["params.number", "note", "metrics.loss", "tags"]))
    def redact(self, name: str, run_id: str, place: str) -> None:
        if name := self.find_knowing(name, run_id):
            self.next()
            places = [fact.place for fact in self.facts[run_id] if fact.place.startswith(place)]
            place = places[0] if places else "params.number"
            clone, refused = self.clones[name], suppress(Conflict, NotFound)  # edited on two sides, or not there
            with self.dropping(name, redacting=(run_id, place)), clone.open() as tracker, refused:
                redact_run(tracker, run_id, places=[place], texts=(), now=clone.tick())

    @contextmanager
    def dropping(self, name: str, *, redacting: tuple[str, str] = ("", "")) -> Iterator[None]:
        """Note what is deleted for good meanwhile, and what whoever did it had seen of it."""
        with self.clones[name].open() as tracker:
            known = tracker.history.get_branch("churn").known
            seen = {
                run_id: set().union(*(read_facts(tracker, entry) for entry in entries))
                for run_id, entries in known.items()
            }
        try:
            yield
        finally:
            with self.clones[name].open() as tracker:
                branch = tracker.history.get_branch("churn")
                for run_id, entries in known.items():
                    gone = {entry.commit.tree for entry in entries if branch.dropped.holds(run_id, entry.commit.tree)}
                    self.dropped.update((run_id, tree) for tree in gone)
                    met = [fact for fact in self.facts[run_id] if fact.value in seen[run_id]]
                    if run_id not in branch.known:
                        self.deleted.add(run_id)
                        for fact in met:
                            fact.deleted = True
                    elif gone and run_id == redacting[0]:
                        self.redacted[run_id].add(redacting[1])
                        for fact in met:
                            fact.cut = fact.cut or fact.place == redacting[1]
            self.look(name)

    @rule(name=clones)
    def fetch(self, name: str) -> None:
        self.clones[name].fetch()
        self.look(name)

    @rule(name=clones)
    def pull(self, name: str) -> None:
        self.clones[name].pull()
        self.look(name)

    @rule(name=clones)
    def push(self, name: str) -> None:
        mine = set(self.known[name])
        results = self.clones[name].push()
        assert all(result.result in ("pushed", "current") for result in results.values())
        self.look(name)
        if results:
            assert mine - self.deleted <= self.list_hub()

    @rule(
        name=clones,
        act=st.sampled_from(["push", "pull", "fetch", "collect"]),
        step=st.integers(1, 8),
        after=st.booleans(),
    )
    def crash(self, name: str, act: str, step: int, after: bool) -> None:
        """A process dies in the middle of it."""
        if act != "collect":
            with crash_at(step, after=after), suppress(Crash):
                getattr(self.clones[name], act)()
            self.look(name)
        elif self.known[name]:
            with self.dropping(name), crash_at(step, after=after), suppress(Crash):
                self.collect(name)

    @rule(name=clones)
    def plain_push(self, name: str) -> None:
        """Somebody without gittrack pushes with git, which works where nobody else has pushed."""
        git(self.clones[name].directory, "push", "-q", "origin", "refs/heads/gittrack/*", ok=(1, 128))

    @rule(back=st.integers(1, 3))
    def restore_hub(self, back: int) -> None:
        """The hub is put back to what it was a while ago, from a backup."""
        if len(self.tips) > back:
            self.tip = self.tips[-1 - back]
            git(self.hub, "update-ref", "refs/heads/gittrack/churn", self.tip)

    @rule(name=clones, run_id=consumes(runs))
    def forget(self, name: str, run_id: str) -> None:
        """Nobody touches this run any more."""

    def look(self, name: str) -> None:
        """Note which runs a clone shows now; it may never show fewer, but for those that were deleted for good."""
        with self.clones[name].open() as tracker:
            shown = {run.id for run in tracker.list_runs(removed=True)}
            if tracker.history.find_tips():
                assert shown == set(tracker.history.get_branch("churn").known)
        assert self.known[name] - self.deleted <= shown
        self.known[name] = shown

    def list_hub(self) -> set[str]:
        form = "--format=%(trailers:key=Run,valueonly,separator=%x2C)"
        return set(git(self.hub, "log", form, "refs/heads/gittrack/churn", "--").split())

    def read_line(self, tip: str) -> tuple[set[tuple[str, str]], set[str]]:
        """Return the revisions (run and tree) on a line of the hub, and the marks of what it lists as dropped."""
        form = "--format=%H %T %(trailers:key=Run,valueonly,separator=)/%(trailers:key=Epoch,valueonly,separator=)"
        revisions, marks = set(), set()
        for line in git(self.hub, "log", form, tip, "--").splitlines():
            commit, tree, said = line.split(" ")
            run_id, _, epoch = said.partition("/")
            if run_id:
                revisions.add((run_id, tree))
            if epoch:
                listed = decode_dropped(git(self.hub, "show", f"{commit}:dropped.json").encode(), where="the hub")
                marks.update(f"{run} {mark}" for run, found in listed.marks.items() for mark in found)
        return revisions, marks

    @invariant()
    def the_hub_only_grows(self) -> None:
        """Nothing is taken from the hub but by an epoch, and by that only what was deleted or redacted."""
        tip = git(self.hub, "for-each-ref", "--format=%(objectname)", "refs/heads/gittrack/churn")
        if self.tip and tip != self.tip and git(self.hub, "merge-base", "--all", self.tip, tip, ok=(1,)) != self.tip:
            had, listed = self.read_line(self.tip)
            has, now = self.read_line(tip)
            assert listed < now or any(self.redacted.values())
            assert listed <= now
            lost = {(run_id, tree) for run_id, tree in had - has - self.dropped if not self.redacted[run_id]}
            assert not lost
        if tip != self.tip:
            self.tips.append(tip)
        self.tip = tip

    def settle(self) -> None:
        """Everybody syncs twice; then all see the same, and all that was ever recorded and said."""
        for name in (*NAMES, *NAMES):
            self.clones[name].push()
        for clone in self.clones.values():
            clone.pull()
        seen = [clone.look() for clone in self.clones.values()]
        assert seen[0] == seen[1] == seen[2]
        shown = seen[0]["runs"]
        assert shown.keys() <= self.facts.keys()
        for run_id, facts in self.facts.items():
            if run_id in shown:
                self.check_run(run_id, shown[run_id], facts)
            else:
                assert run_id in self.deleted
                assert not [fact for fact in facts if self.must_be_shown(run_id, fact)]
        self.check_deleted()
        git(self.hub, "fsck", "--strict")

    def must_be_shown(self, run_id: str, fact: Fact) -> bool:
        if fact.deleted:
            return False
        return fact.place not in self.redacted[run_id] or (fact.covered and not fact.cut)

    def check_run(self, run_id: str, run: dict[str, Any], facts: list[Fact]) -> None:
        points = [point["value"] for point in run["points"]]
        said = {*points, *run.get("tags", {}), *run.get("note", "").splitlines()}
        missing = {fact.value for fact in facts if self.must_be_shown(run_id, fact)} - said
        assert not missing
        if run_id not in self.deleted and not self.redacted[run_id]:
            assert said - {""} == {fact.value for fact in facts}
        assert len(points) == len(set(points))
        assert run["summary"].get("loss", {"count": 0})["count"] == len(points)
        assert said - {"", "[redacted]"} <= {fact.value for fact in facts}

    def check_deleted(self) -> None:
        """Nothing that was deleted for good is on a branch, and nothing that was redacted is in any revision."""
        for clone in self.clones.values():
            with clone.open() as tracker:
                tips = tracker.history.find_tips()
                branch = tracker.history.get_branch("churn") if tips else None
                known = {} if branch is None else branch.known
                for run_id, entries in known.items():
                    assert not {(run_id, entry.commit.tree) for entry in entries} & self.dropped
                    for entry in entries if self.redacted[run_id] else ():
                        self.check_redacted(tracker, run_id, entry)
        if self.tip:
            revisions, _ = self.read_line("refs/heads/gittrack/churn")
            assert not revisions & self.dropped

    def check_redacted(self, tracker: Tracker, run_id: str, entry: Revision) -> None:
        places = self.redacted[run_id]
        said = read_facts(tracker, entry)
        snapshot = tracker.history.load_snapshot(entry.commit)
        hidden = {fact.value for fact in self.facts[run_id] if fact.place in places and not fact.covered}
        assert not {value for value in hidden & said if value not in snapshot.run.tags}
        assert places <= set(snapshot.run.redacted)
        for place in places:
            if place.startswith("tags."):
                assert snapshot.run.tags.get(place[len("tags.") :], "[redacted]") == "[redacted]"
        if "params.number" in places:
            assert snapshot.params["number"] == "[redacted]"


TestSharing = Sharing.TestCase
TestSharing.settings = settings(
    max_examples=choose(16, 1000),
    stateful_step_count=choose(15, 25),
    deadline=None,
    derandomize=choose(1, 0) == 1,
    suppress_health_check=list(HealthCheck),
)

"""Three clones and a hub, and anything in any order: nothing that was recorded or said is lost, and all see the same.

A little on every change; a thousand examples and more with TEST_EFFORT=nightly.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from clones import Clone, number_id
from conftest import git
from effort import choose
from hubs import make_hub
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from gittrack.store.dulwich_store import DulwichStore
from gittrack.transport.wire import Wire

NAMES = ("ada", "bob", "cleo")
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


class Sharing(RuleBasedStateMachine):
    """What people do with three clones; `points` and `tags` are what every clone must show in the end."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="gittrack-machine-"))
        self.hub = make_hub(self.root / "hub.git")
        self.clones = {name: Clone(self.root / name, str(self.hub)) for name in NAMES}
        self.points: dict[str, Counter[float]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.notes: dict[str, set[str]] = {}
        self.known: dict[str, set[str]] = {name: set() for name in NAMES}
        self.number = 0
        self.tip = ""

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
        self.points[run_id] = Counter(values)
        self.tags[run_id], self.notes[run_id] = {}, set()
        self.known[name].add(run_id)
        return run_id

    @rule(name=clones, run_id=runs)
    def tag(self, name: str, run_id: str) -> None:
        if run_id in self.known[name]:
            key = f"{name}-{self.next()}"
            self.clones[name].edit(run_id, tags={key: "x"})
            self.tags[run_id][key] = "x"

    @rule(name=clones, run_id=runs)
    def write_note(self, name: str, run_id: str) -> None:
        """Add to the note that is there, as an editor does."""
        if run_id in self.known[name]:
            line = f"line {self.next()} of {name}."
            with self.clones[name].open() as tracker:
                before = tracker.get_run(run_id).note
            self.clones[name].edit(run_id, note=f"{before}\n{line}".strip())
            self.notes[run_id].add(line)

    @rule(name=clones, run_id=runs, removed=st.booleans())
    def remove_or_restore(self, name: str, run_id: str, removed: bool) -> None:
        if run_id in self.known[name]:
            self.next()
            self.clones[name].edit(run_id, removed=removed)

    @rule(name=clones, run_id=runs)
    def resume(self, name: str, run_id: str) -> None:
        if run_id in self.known[name]:
            value = self.next() + 0.25
            self.clones[name].resume(run_id, [value])
            self.points[run_id][value] += 1

    @rule(name=clones)
    def describe(self, name: str) -> None:
        """Change what is said about the experiment."""
        with self.clones[name].open() as tracker:
            if tracker.list_experiments():
                tracker.edit_experiment("churn", tags={f"{name}-{self.next()}": "x"})

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
            assert mine <= self.list_hub()

    @rule(name=clones, act=st.sampled_from(["push", "pull", "fetch"]), step=st.integers(1, 8), after=st.booleans())
    def crash(self, name: str, act: str, step: int, after: bool) -> None:
        """A process dies in the middle of it."""
        with crash_at(step, after=after), suppress(Crash):
            getattr(self.clones[name], act)()
        self.look(name)

    @rule(name=clones)
    def plain_push(self, name: str) -> None:
        """Somebody without gittrack pushes with git, which works where nobody else has pushed."""
        git(self.clones[name].directory, "push", "-q", "origin", "refs/heads/gittrack/*", ok=(1, 128))

    @rule(name=clones, run_id=consumes(runs))
    def forget(self, name: str, run_id: str) -> None:
        """Nobody touches this run any more."""

    def look(self, name: str) -> None:
        """Note which runs a clone shows now; it may never show fewer."""
        with self.clones[name].open() as tracker:
            shown = {run.id for run in tracker.list_runs(removed=True)}
        assert self.known[name] <= shown
        self.known[name] = shown

    def list_hub(self) -> set[str]:
        form = "--format=%(trailers:key=Run,valueonly,separator=%x2C)"
        return set(git(self.hub, "log", form, "refs/heads/gittrack/churn", "--").split())

    @invariant()
    def the_hub_only_grows(self) -> None:
        tip = git(self.hub, "for-each-ref", "--format=%(objectname)", "refs/heads/gittrack/churn")
        if self.tip and tip != self.tip:
            git(self.hub, "merge-base", "--is-ancestor", self.tip, tip)
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
        assert shown.keys() == self.points.keys()
        for run_id, run in shown.items():
            assert Counter(point["value"] for point in run["points"]) == self.points[run_id]
            assert run["summary"]["loss"]["count"] == self.points[run_id].total()
            assert self.tags[run_id].keys() == run.get("tags", {}).keys()
            assert all(line in run.get("note", "") for line in self.notes[run_id])
        git(self.hub, "fsck", "--strict")


TestSharing = Sharing.TestCase
TestSharing.settings = settings(
    max_examples=choose(6, 1000),
    stateful_step_count=choose(12, 25),
    deadline=None,
    derandomize=choose(1, 0) == 1,
    suppress_health_check=list(HealthCheck),
)

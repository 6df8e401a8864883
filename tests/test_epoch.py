"""Deleting for good: nothing that was dropped comes back, nothing else is lost, and clones that do it apart agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gittrack.dropped import Dropped, decode_dropped, encode_dropped, make_mark
from gittrack.epoch import Line, Plan, Record, begin_epoch, follow
from gittrack.errors import Corrupt, Unsupported
from gittrack.message import EpochTrailers, parse_epoch, parse_message, write_epoch_message

RUNS = [f"{number:032x}" for number in range(1, 5)]
EXPERIMENT = Record("", 1, "0" * 40, 1, "Ada <ada@example.com>", "experiment churn\n")

trees = st.sampled_from([hashlib.sha1(bytes([number])).hexdigest() for number in range(6)])
places = st.sampled_from(["note", "params.key", "tags.key"])
records = st.builds(
    Record,
    run_id=st.sampled_from(RUNS),
    revision=st.integers(1, 3),
    tree=trees,
    time=st.integers(1, 5),
    author=st.sampled_from(["Ada <ada@example.com>", "Bob <>"]),
    message=st.sampled_from(["one\n", "two\n"]),
)
droppeds = st.lists(st.tuples(st.sampled_from(RUNS), trees), max_size=4).map(Dropped().add)
lines = st.builds(
    lambda **parts: Line(hashlib.sha1(repr(parts).encode()).hexdigest(), **parts),
    number=st.integers(0, 3),
    dropped=droppeds,
    records=st.lists(records, max_size=8).map(lambda found: (EXPERIMENT, *found)),
)


class Redactions:
    """What each tree says was redacted; trees are redacted in name only."""

    def __init__(self) -> None:
        self.known: dict[str, frozenset[str]] = {}
        self.made_of: dict[str, set[str]] = {}

    def find(self, record: Record) -> frozenset[str]:
        return self.known.get(record.tree, frozenset())

    def redact(self, record: Record, more: Iterable[str]) -> Record:
        everything = self.find(record) | frozenset(more)
        tree = hashlib.sha1(f"{record.tree} without {sorted(everything)}".encode()).hexdigest()
        self.known[tree] = everything
        self.made_of.setdefault(record.tree, set()).add(tree)
        return replace(record, tree=tree)

    def carry_out(self, plan: Plan) -> Line:
        """Return the line that a plan gives."""
        written = [self.redact(r.record, r.redact) if r.redact else r.record for r in plan.replays]
        before = plan.base.records if plan.base else ()
        if plan.base is not None and not written:
            return plan.base
        kept = tuple({record.key: record for record in (*written, *before)}.values())
        tip = hashlib.sha1(repr((plan.number, sorted(record.key for record in kept))).encode()).hexdigest()
        return Line(tip, plan.number, plan.dropped, kept, plan.redacted)


def keys(line: Line) -> set[tuple[str, int, str, str]]:
    return {record.key for record in line.records}


def survivors(*lines: Line, dropped: Dropped) -> set[tuple[str, int, str, str]]:
    return {r.key for line in lines for r in line.records if not dropped.holds(r.run_id, r.tree)}


@given(lines, lines)
def test_following_is_the_same_from_both_sides_and_loses_nothing_else(ours: Line, theirs: Line) -> None:
    world = Redactions()
    one = world.carry_out(follow(ours, theirs, find_redacted=world.find))
    other = world.carry_out(follow(theirs, ours, find_redacted=world.find))
    dropped = ours.dropped | theirs.dropped
    assert keys(one) == keys(other) == survivors(ours, theirs, dropped=dropped)
    assert one.dropped == other.dropped == dropped
    assert not any(dropped.holds(record.run_id, record.tree) for record in one.records)
    assert EXPERIMENT.key in keys(one)


@given(lines, lines)
def test_following_again_changes_nothing(ours: Line, theirs: Line) -> None:
    world = Redactions()
    joined = world.carry_out(follow(ours, theirs, find_redacted=world.find))
    for old in (ours, theirs, joined):
        again = follow(joined, old, find_redacted=world.find)
        assert again.replays == ()
        assert again.base is not None
        assert keys(again.base) == keys(joined)


@given(lines, lines, lines)
def test_in_whatever_order_lines_meet_the_same_is_left(first: Line, second: Line, third: Line) -> None:
    world = Redactions()

    def meet(*met: Line) -> Line:
        joined = met[0]
        for line in met[1:]:
            joined = world.carry_out(follow(joined, line, find_redacted=world.find))
        return joined

    one, other = meet(first, second, third), meet(third, second, first)
    assert keys(one) == keys(other)
    assert one.dropped == other.dropped
    assert keys(meet(one, other)) == keys(one)


@given(lines, droppeds)
def test_an_epoch_holds_what_is_not_dropped_in_one_order(line: Line, dropped: Dropped) -> None:
    everything = line.dropped | dropped
    plan = begin_epoch([line], everything, above=line.number, find_redacted=lambda record: ())
    shuffled = replace(line, tip="other", records=tuple(reversed(line.records)))
    again = begin_epoch([shuffled], everything, above=line.number, find_redacted=lambda record: ())
    assert plan == again
    assert plan.number == line.number + 1
    written = [replay.record for replay in plan.replays]
    assert {record.key for record in written} == survivors(line, dropped=everything)
    assert len(written) == len({record.key for record in written})
    assert [record.time for record in written] == sorted(record.time for record in written)
    assert {record.key for record in plan.left_out} == keys(line) - survivors(line, dropped=everything)


def test_what_one_side_has_redacted_the_other_does_not_bring_back() -> None:
    world = Redactions()
    first = Record(RUNS[0], 1, "1" * 40, 1, "Ada <>", "first\n")
    shared = Line("shared", 0, Dropped(), (EXPERIMENT, first))
    clean = replace(world.redact(first, ["note"]), revision=2, time=2)
    marked = Dropped().add([(first.run_id, first.tree)])
    ours = world.carry_out(
        begin_epoch([shared, replace(shared, records=(clean,))], marked, above=0, find_redacted=world.find)
    )
    edited = Record(RUNS[0], 2, "2" * 40, 3, "Bob <>", "edited apart\n")
    other = Record(RUNS[1], 1, "3" * 40, 3, "Bob <>", "recorded apart\n")
    theirs = replace(shared, records=(*shared.records, edited, other))
    joined = world.carry_out(follow(theirs, ours, find_redacted=world.find))
    assert joined.number == 2
    assert joined.dropped.holds(RUNS[0], edited.tree), "the edit as it was is dropped too"
    left = {record.tree for record in joined.records if record.run_id == RUNS[0]}
    assert left == {clean.tree, world.redact(edited, ["note"]).tree}
    assert other.key in keys(joined)
    assert keys(world.carry_out(follow(joined, theirs, find_redacted=world.find))) == keys(joined)


class Clones(RuleBasedStateMachine):
    """Three clones and a hub: each records, edits, deletes, redacts and syncs when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Redactions()
        self.clones = [Line(f"clone {number}", 0, Dropped(), (EXPERIMENT,)) for number in range(3)]
        self.hub = Line("hub", 0, Dropped(), (EXPERIMENT,))
        self.made: dict[tuple[str, int, str, str], Record] = {}
        self.deleted: set[tuple[str, str]] = set()
        self.count = 0

    @initialize()
    def start(self) -> None:
        self.count = 0

    who = st.integers(0, 2)

    def _write(self, clone: int, run_id: str, revision: int) -> None:
        self.count += 1
        tree = hashlib.sha1(f"{self.count}".encode()).hexdigest()
        record = Record(run_id, revision, tree, self.count, f"clone {clone} <>", f"{self.count}\n")
        self.made[record.key] = record
        known = self.clones[clone]
        self.clones[clone] = replace(known, tip=f"{known.tip[:40]}+{self.count}", records=(*known.records, record))

    def _of(self, clone: int, run_id: str) -> list[Record]:
        return [record for record in self.clones[clone].records if record.run_id == run_id]

    @rule(clone=who, run_id=st.sampled_from(RUNS))
    def edit(self, clone: int, run_id: str) -> None:
        """Record a run, or edit it: its next revision here, which may have the number of another clone's."""
        known = self._of(clone, run_id)
        before = {place for record in known for place in self.world.find(record)}
        self._write(clone, run_id, 1 + max((record.revision for record in known), default=0))
        made = self.clones[clone].records[-1]
        self.world.known[made.tree] = frozenset(before)

    @rule(clone=who, run_id=st.sampled_from(RUNS))
    def delete(self, clone: int, run_id: str) -> None:
        known = self._of(clone, run_id)
        if known:
            self._begin(clone, [(record.run_id, record.tree) for record in known], [])

    @rule(clone=who, run_id=st.sampled_from(RUNS), place=places)
    def redact(self, clone: int, run_id: str, place: str) -> None:
        known = self._of(clone, run_id)
        if known:
            last = max(known, key=lambda record: (record.revision, record.time, record.tree))
            self.count += 1
            clean = self.world.redact(replace(last, revision=last.revision + 1, time=self.count), [place])
            self._begin(clone, [(record.run_id, record.tree) for record in known], [clean])

    def _begin(self, clone: int, gone: list[tuple[str, str]], more: list[Record]) -> None:
        line = self.clones[clone]
        self.deleted.update(gone)
        plan = begin_epoch(
            [line, Line("", records=tuple(more))],
            line.dropped.add(gone),
            above=line.number,
            find_redacted=self.world.find,
        )
        self.clones[clone] = self.world.carry_out(plan)

    @rule(clone=who)
    def sync(self, clone: int) -> None:
        self.clones[clone] = self.hub = self._join(self.clones[clone], self.hub)

    def _join(self, ours: Line, theirs: Line) -> Line:
        if self._identify(ours) == self._identify(theirs):
            united = {record.key: record for record in (*theirs.records, *ours.records)}
            return replace(theirs, tip=max(ours.tip, theirs.tip), records=tuple(united.values()))
        return self.world.carry_out(follow(ours, theirs, find_redacted=self.world.find))

    def _identify(self, line: Line) -> object:
        """Return what makes two lines those of one epoch, so that they are merged as ever."""
        said: dict[str, set[str]] = {}
        for record in line.records:
            if record.run_id in line.dropped.marks:
                said.setdefault(record.run_id, set()).update(self.world.find(record))
        return line.number, line.dropped, said

    @invariant()
    def nothing_deleted_is_on_a_line_that_knows(self) -> None:
        for line in (*self.clones, self.hub):
            assert not any(line.dropped.holds(record.run_id, record.tree) for record in line.records)

    def teardown(self) -> None:
        for _ in range(2):
            for clone in range(3):
                self.sync(clone)
        assert all(keys(line) == keys(self.hub) and line.dropped == self.hub.dropped for line in self.clones)
        left = {(record.run_id, record.tree) for record in self.hub.records}
        assert not left & self.deleted, "something that was deleted came back"
        for record in self.made.values():
            trees = {record.tree}
            # Where somebody had redacted another revision of its run, it is there without what was redacted.
            while more := {tree for known in trees for tree in self.world.made_of.get(known, ())} - trees:
                trees |= more
            assert any({(record.run_id, tree)} & (left | self.deleted) for tree in trees), "a revision is lost"
        said: dict[str, set[frozenset[str]]] = {}
        for record in self.hub.records:
            if record.run_id in self.hub.dropped.marks:
                said.setdefault(record.run_id, set()).add(self.world.find(record))
        assert all(len(known) == 1 for known in said.values()), "a revision has what another one has redacted"


TestClones = Clones.TestCase
TestClones.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(droppeds)
def test_the_list_round_trips(dropped: Dropped) -> None:
    data = encode_dropped(dropped)
    assert decode_dropped(data, where="test") == dropped
    assert data.count(b"\n") == len(dropped.marks) + (2 if dropped.marks else 1)
    assert len(dropped) == sum(map(len, dropped.marks.values()))


def test_a_mark_says_which_revision_and_not_where_it_is() -> None:
    mark = make_mark(RUNS[0], "1" * 40)
    assert mark == hashlib.sha256(f"{RUNS[0]}:{'1' * 40}".encode()).hexdigest()[:16]
    listed = Dropped().add([(RUNS[0], "1" * 40)])
    assert listed.holds(RUNS[0], "1" * 40)
    assert not listed.holds(RUNS[1], "1" * 40)
    assert not listed.holds(RUNS[0], "2" * 40)
    assert b"1" * 40 not in encode_dropped(listed)


@pytest.mark.parametrize(
    "text",
    ['{"x": ["0123456789abcdef"]}', f'{{"{RUNS[0]}": []}}', f'{{"{RUNS[0]}": ["xyz"]}}', f'{{"{RUNS[0]}": 3}}', "[]"],
)
def test_a_damaged_list_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        decode_dropped(text.encode(), where="test")


def test_the_message_of_an_epoch_is_no_record() -> None:
    text = write_epoch_message("churn", 3, dropped=1)
    assert text.splitlines()[0] == "epoch 3 of churn: 1 run deleted or redacted so far"
    assert parse_epoch(text, where="test") == EpochTrailers("churn", 3)
    assert parse_message(text, where="test") is None
    assert parse_epoch("a run\n\nRun: x\nEpoch: 3\nFormat: 1\n", where="test") is None
    with pytest.raises(Unsupported):
        parse_epoch(text.replace("Format: 1", "Format: 2"), where="test")
    for damaged in ("0", "-1", "x", "9" * 30):
        with pytest.raises(Corrupt):
            parse_epoch(text.replace("Epoch: 3", f"Epoch: {damaged}"), where="test")

"""Owns the evidence: which recorded runs ran what a tree has on the guarded paths, and which of them vouches for it.

Asks the index of runs for columns, git for differences, and the record of a run only where its source fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import GittrackError, NotFound
from ..git import Git
from ..guard import Guard
from ..model import Status
from ..vouching import Difference, Finding, Witness, choose_nearest, list_gaps, list_objections
from .trees import compare_trees

if TYPE_CHECKING:
    from ..frame import Frame
    from ..query import Query
    from ..tracker import Tracker

# The newest sources are looked at first: most commits follow the run that they stand for.
_FIRST = 200
# Of runs that ran just this and may not vouch so many are looked into for the reason.
_MOST_REASONS = 50
# How far back a base with runs is looked for, in commits that changed something guarded.
_MOST_BASES = 20

_COLUMNS = ("id", "name", "experiment", "status", "live", "removed", "source_captured")


class Evidence:
    """The runs that may vouch, as they stand now; what was compared once is not compared again.

    `git` must see the objects of the code and of the store.
    """

    def __init__(self, tracker: Tracker, guard: Guard, git: Git) -> None:
        self._tracker = tracker
        self._guard = guard
        self._git = git
        self._compared: dict[str, dict[str, tuple[Difference, ...]]] = {}
        self._bases: dict[str, str | None] = {}

    @cached_property
    def frame(self) -> Frame:
        """The runs, the one that started last first, removed ones included; none where the experiment is not there."""
        from ..frame import Frame
        from ..query import sort_rows

        try:
            frame = self._tracker.load_frame(self._guard.experiment, removed=True)
        except NotFound:
            return Frame([])
        return frame.take(sort_rows(frame, (), frame.visible))

    @cached_property
    def trees(self) -> list[str | None]:
        """The source tree of each run, in the frame's order."""
        found: list[str | None] = self.frame.get_attribute("source_tree").to_pylist()
        return found

    def get_witness(self, number: int) -> Witness:
        """Return the run of a row of the frame as a witness."""
        values = {name: self.frame.get_attribute(name)[number].as_py() for name in _COLUMNS}
        started, ended = (self.frame.get_attribute(name)[number].value for name in ("started", "ended"))
        return Witness(
            values["id"],
            values["name"],
            values["experiment"],
            Status(values["status"]),
            started,
            ended,
            live=bool(values["live"]),
            removed=values["removed"] is not None,
            captured=values["source_captured"] or "none",
            tree=self.trees[number],
        )

    def find_run(self, tree: str, *, now: int, head: str | None) -> tuple[Finding | None, Finding | None, list[str]]:
        """Return the run that vouches for a tree, or None and the nearest one, and what else is to be said.

        `head` is the commit that the tree is put on, whose runs a requirement may speak of; `now`, in UTC microseconds,
        is what a run's age counts to.
        """
        notes: list[str] = []
        query = self._resolve_requirement(head, notes)
        fulfilled = self._ask(query, now=now)
        refused: list[Finding] = []
        for number in self._list_equal(tree):
            finding = self._judge(number, query, fulfilled=fulfilled, now=now)
            if finding.vouches:
                return finding, None, notes
            refused.append(finding)
            if len(refused) >= _MOST_REASONS:
                break
        nearest = choose_nearest(refused) or self._find_nearest(tree, now=now)
        return None, None if nearest is None else self._add_command(nearest), notes

    def list_vouching(self, tree: str, *, now: int) -> Frame:
        """Return every run that ran what a tree has on the guarded paths and ended well, whatever else is required."""
        rows = [
            number
            for number in self._list_equal(tree)
            if not list_objections(self.get_witness(number), self._guard, now=now)
        ]
        return self._take(rows)

    def find_base(self, head: str | None) -> tuple[str, Frame] | None:
        """Return the nearest commit from `head` back whose content was run, and the runs of it."""
        if head is None or not self.frame.count:
            return None
        for commit in self._list_bases(head):
            rows = [number for number in self._list_equal(f"{commit}^{{tree}}") if self._counts(number)]
            if rows:
                return commit, self._take(rows)
        return None

    def _counts(self, number: int) -> bool:
        witness = self.get_witness(number)
        return witness.status is Status.FINISHED and not witness.removed and not witness.live

    def _list_bases(self, head: str) -> list[str]:
        words = ("--first-parent", f"--max-count={_MOST_BASES}", "--end-of-options", head)
        found = self._git.run("rev-list", *words, "--", *self._guard.pathspecs)
        return list(dict.fromkeys([head, *found.decode("ascii").split()]))

    def _take(self, rows: Sequence[int]) -> Frame:
        from array import array

        import pyarrow as pa

        from ..frame.arrays import make_plain

        return self.frame.take(make_plain(array("q", rows), pa.int64()))

    def _list_equal(self, tree: str) -> Iterator[int]:
        """Yield the runs whose source is as a tree on the guarded paths, the newest first."""
        trees = [own for own in dict.fromkeys(self.trees) if own]
        for part in (trees[:_FIRST], trees[_FIRST:]):
            found = self._compare(tree, part)
            equal = {one for one in part if found.get(one) == ()}
            if equal:
                yield from (number for number, own in enumerate(self.trees) if own in equal)

    def _compare(self, reference: str, trees: Iterable[str]) -> dict[str, tuple[Difference, ...]]:
        if "^" in reference:
            if reference not in self._bases:
                self._bases[reference] = self._git.run("rev-parse", "--verify", reference).decode().strip()
            reference = self._bases[reference] or reference
        known = self._compared.setdefault(reference, {})
        new = [tree for tree in trees if tree not in known]
        if new:
            known.update(compare_trees(self._git, reference, new, self._guard))
        return known

    def _find_nearest(self, tree: str, *, now: int) -> Finding | None:
        places: dict[str | None, int] = {}
        for number, own in enumerate(self.trees):
            places.setdefault(own, number)
        known = self._compare(tree, ())
        least = min(known, key=lambda own: (len(known[own]), places[own]), default=None)
        if least is None:
            return None
        witness = self.get_witness(places[least])
        return Finding(witness, known[least], tuple(list_objections(witness, self._guard, now=now)))

    def _add_command(self, finding: Finding) -> Finding:
        try:
            run = self._tracker.get_run(finding.witness.id)
            return replace(finding, command=run.command)
        except GittrackError:
            return finding

    def _judge(self, number: int, query: Query | None, *, fulfilled: list[bool] | None, now: int) -> Finding:
        witness = self.get_witness(number)
        objections = list_objections(witness, self._guard, now=now)
        if fulfilled is not None and query is not None and not fulfilled[number]:
            objections.append(self._say_unfulfilled(number, query))
        if not objections:
            objections = self._find_gaps(number)
        return Finding(witness, (), tuple(objections))

    def _find_gaps(self, number: int) -> list[str]:
        try:
            history = self._tracker.history
            run = history.load_run(history.store.get_commit(self.frame.get_attribute("commit")[number].as_py()))
        except GittrackError as error:
            return [f"its record cannot be read: {error.message}"]
        return list_gaps(self._guard, run.source.left_out, run.redacted)

    def _resolve_requirement(self, head: str | None, notes: list[str]) -> Query | None:
        requirement = self._guard.requirement
        if requirement is None:
            return None
        from ..baseline import find_value

        values: dict[int, float | None] = {}
        base = self.find_base(head) if requirement.bounds else None
        for bound in requirement.bounds:
            values[bound.start] = None if base is None else find_value(bound, base[1])
        if requirement.bounds and base is None:
            notes.append("no run of what this is based on: there is nothing to compare with, so any value will do")
        elif requirement.bounds and base is not None:
            said = ", ".join(f"{value:.6g}" if value is not None else "nothing" for value in values.values())
            notes.append(
                f"the base is {base[0][:12]}, with {base[1].count} of its runs; what is required comes to {said}"
            )
        return requirement.resolve(values)

    def _ask(self, query: Query | None, *, now: int) -> list[bool] | None:
        if query is None or not self.frame.count:
            return None
        from ..query import filter_frame

        answers: list[bool] = filter_frame(query, self.frame, now=now).to_pylist()
        return answers

    def _say_unfulfilled(self, number: int, query: Query) -> str:
        from ..query import find_column, read_values, write_key

        row = self._take([number])
        said = []
        for key in query.keys:
            column = find_column(key, row)
            if key.group == "datasets":
                continue
            value = None if column is None else read_values(column, row)[0]
            shown = f"{value:.6g}" if isinstance(value, float) else "missing" if column is None else str(value)
            said.append(f"{write_key(key)} is {shown}")
        return f"it does not fulfil {self._guard.require}: {', '.join(said)}"

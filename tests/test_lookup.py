"""A row of a frame is found by what people call its run: the one that `choose_run` would choose among all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import make_snapshot

from gittrack.address import Candidate, choose_run
from gittrack.errors import GittrackError, NotFound
from gittrack.frame import Frame, RunRecord, build_segment
from gittrack.lookup import choose_row

hexes = st.sampled_from(["abcd", "abce", "ABCD", "12", "1234", "feed"])
ids = hexes.map(lambda start: start.lower().ljust(32, "0"))
candidates = st.lists(
    st.builds(
        Candidate,
        id=ids,
        name=st.sampled_from(["calm-fox-2", "calm-fox-3", "abcd", "1234"]),
        experiment=st.just("churn"),
        started=st.integers(0, 3),
        removed=st.booleans(),
        commit=st.none() | hexes.map(lambda start: start.lower().ljust(40, "1")),
    ),
    max_size=6,
    unique_by=lambda run: run.id,
)
refs = st.one_of(
    hexes,
    ids,
    st.sampled_from(
        ["calm-fox-2", "calm-fox-4", "latest", "latest~1", "latest~3", "latest~999999999", "abc", "", "\udcff"]
    ),
)


def make_frame(runs: list[Candidate], cut: int) -> Frame:
    records = [
        RunRecord(
            replace(
                make_snapshot(1).run,
                id=run.id,
                name=run.name,
                experiment=run.experiment,
                started=run.started,
                removed=1 if run.removed else None,
            ),
            {},
            {},
            {},
            commit=run.commit,
        )
        for run in runs
    ]
    hidden = [replace(record, run=replace(record.run, started=99)) for record in records[:1]]
    segments = [build_segment([*hidden, *records[:cut]]), build_segment(records[cut:])]
    return Frame(segments, pa.array([False] * len(hidden) + [True] * len(records), pa.bool_()))


def tell(find: Callable[[], str]) -> str | tuple[object, ...]:
    """Return the id that is found, or all that is said instead."""
    try:
        return find()
    except GittrackError as error:
        return type(error), error.message, error.hint, getattr(error, "candidates", ())


@settings(deadline=None)
@given(candidates, refs, st.integers(0, 6))
def test_the_row_is_that_of_the_run_that_is_meant(runs: list[Candidate], ref: str, cut: int) -> None:
    frame = make_frame(runs, cut)
    found = tell(lambda: frame.get_attribute("id")[choose_row(ref, frame)].as_py())
    assert found == tell(lambda: choose_run(ref, runs).id)
    if isinstance(found, str):
        assert frame.visible[choose_row(ref, frame)].as_py()


def test_a_misspelled_name_is_looked_for_among_the_newest() -> None:
    records = [
        RunRecord(replace(make_snapshot(number).run, name=f"fox-{number}"), {}, {}, {}) for number in range(3000)
    ]
    frame = Frame([build_segment(records)])
    with pytest.raises(NotFound) as caught:
        choose_row("fox-29999", frame)
    assert "gittrack show fox-2999" in str(caught.value.hint)

"""Two revisions made apart become one: whoever merges them gets the same bytes, and nothing that was said is lost."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from strategies import same

from gittrack import layout
from gittrack.merge import (
    ExperimentVersion,
    MergedRun,
    Node,
    RunVersion,
    find_base,
    find_heads,
    merge_experiments,
    merge_runs,
)
from gittrack.merge.choice import join_lists, join_tags, join_texts
from gittrack.model import Experiment, Failure, Input, MetricSummary, Pointer, Run, Snapshot, Status
from gittrack.series import Columns, SummaryBuilder, build_table, decode_part, encode_part
from gittrack.snapshot import encode_experiment, encode_params, encode_run, encode_snapshot

RUN = Run("a" * 32, "brave-otter-41", "churn", 1, Status.FINISHED, 5, 9)

ids = st.sampled_from([hashlib.sha1(bytes([n])).hexdigest() for n in range(5)])
scalars = st.sampled_from([None, True, 1, 1.0, -0.0, 0.0, math.nan, "1", "NaN", 2**70])
few_inputs = st.builds(
    Input, st.sampled_from("ab"), st.just("data"), st.just("file"), st.just("sha256:" + "0" * 64), st.integers(0, 1)
)
few_keys = st.sampled_from(["lr", "seed", "lr~0", "x" * 250])
few_paths = st.sampled_from(["model.bin", "model.bin/part", "a/b", "a/b/c", "a", ".hidden", "conflicts", "n" * 255])
few_pointers = st.builds(Pointer, oid=st.sampled_from(["1" * 64, "2" * 64, "2" * 60 + "1" * 4]), size=st.just(3))


def _is_tree(artifacts: Mapping[str, Pointer]) -> bool:
    return not any(other.startswith(path + "/") for path in artifacts for other in artifacts)


artifact_sets = st.dictionaries(few_paths, few_pointers, max_size=4).filter(_is_tree)
edits = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["brave-otter-41", "base", "best"]),
        "tags": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3),
        "note": st.sampled_from(["", "one", "two", "one and two"]),
        "removed": st.none() | st.integers(0, 2),
        "status": st.sampled_from(Status),
        "ended": st.integers(0, 2),
        "incomplete": st.sampled_from(["", "disk full", "no git"]),
        "inputs": st.lists(few_inputs, max_size=2, unique=True).map(tuple),
        "scrubbed": st.lists(st.sampled_from(["command[1]", "params.key"]), unique=True).map(tuple),
    },
)


@st.composite
def triples(draw: st.DrawFn, *, with_base: bool | None = None) -> tuple[RunVersion | None, RunVersion, RunVersion]:
    """Return a revision of a run and two that were made from it apart, with different commits."""
    base = replace(RUN, **draw(edits))
    params = draw(st.dictionaries(few_keys, scalars, max_size=2))
    artifacts = draw(artifact_sets)
    first = Snapshot(base, params, artifacts=artifacts, environment={"python": "3.12"})
    common = tuple(draw(st.lists(ids, unique=True, max_size=2)))
    versions = [RunVersion(first, common, draw(st.none() | ids), draw(st.integers(0, 5)), draw(ids))]
    for commit in draw(st.lists(ids, min_size=2, max_size=2, unique=True)):
        run = replace(base, revision=base.revision + draw(st.integers(1, 3)), **draw(edits))
        added = draw(st.dictionaries(few_keys, scalars, max_size=3))
        snapshot = Snapshot(
            run,
            {**params, **{key: value for key, value in added.items() if key not in params}},
            artifacts=draw(st.just(artifacts) | artifact_sets),
            environment=draw(st.sampled_from([{"python": "3.12"}, {"python": "3.13"}])),
        )
        parts = tuple(dict.fromkeys((*common, *draw(st.lists(ids, max_size=3)))))
        source = draw(st.just(versions[0].source) | ids)
        versions.append(RunVersion(snapshot, parts, source, draw(st.integers(0, 5)), commit))
    known = with_base if with_base is not None else draw(st.booleans())
    return (versions[0] if known else None), versions[1], versions[2]


def summarize(parts: tuple[str, ...]) -> dict[str, MetricSummary]:
    """Return a summary that tells which parts it was made from, whatever their order."""
    total = sum(int(part[:8], 16) for part in parts)
    return {"loss": MetricSummary(total, 0.0, 0, 0.0, 0, 0.0, 0, 0.0, 0, 0.0)}


def summarized(version: RunVersion) -> RunVersion:
    """Return the version with the summary its parts have."""
    summary = summarize(version.parts) if version.parts else {}
    paths = tuple(layout.part_path(number + 1) for number in range(len(version.parts)))
    return replace(version, snapshot=replace(version.snapshot, summary=summary, parts=paths))


def merge(base: RunVersion | None, one: RunVersion, other: RunVersion) -> MergedRun:
    return merge_runs(base, summarized(one), summarized(other), summarize=summarize)


def tree(merged: MergedRun) -> tuple[dict[str, bytes], tuple[str, ...], str | None]:
    """Return all that a revision's tree follows from."""
    return encode_snapshot(merged.snapshot), merged.parts, merged.source


def as_version(merged: MergedRun, *, time: int, commit: str) -> RunVersion:
    return RunVersion(merged.snapshot, merged.parts, merged.source, time, commit)


@given(triples())
def test_it_is_commutative_to_the_byte(triple: tuple[RunVersion | None, RunVersion, RunVersion]) -> None:
    base, ours, theirs = triple
    assert tree(merge(base, ours, theirs)) == tree(merge(base, theirs, ours))


@given(triples())
def test_it_is_deterministic(triple: tuple[RunVersion | None, RunVersion, RunVersion]) -> None:
    base, ours, theirs = triple
    again = replace(ours, snapshot=replace(ours.snapshot, params=dict(reversed(list(ours.snapshot.params.items())))))
    assert tree(merge(base, ours, theirs)) == tree(merge(base, again, theirs))


@given(triples())
def test_one_revision_with_itself_is_itself(triple: tuple[RunVersion | None, RunVersion, RunVersion]) -> None:
    base, ours, _ = triple
    merged = merge(base, ours, ours)
    expected = replace(
        summarized(ours).snapshot, run=replace(ours.snapshot.run, revision=ours.snapshot.run.revision + 1)
    )
    assert encode_snapshot(merged.snapshot) == encode_snapshot(expected)
    assert (set(merged.parts), merged.source) == (set(ours.parts), ours.source)


@given(triples())
def test_merging_again_what_is_merged_already_adds_nothing(
    triple: tuple[RunVersion | None, RunVersion, RunVersion],
) -> None:
    base, ours, theirs = triple
    merged = as_version(merge(base, ours, theirs), time=9, commit="f" * 40)
    for side in (ours, theirs):
        again = merge(side, merged, side)
        run = replace(merged.snapshot.run, revision=merged.snapshot.run.revision + 1)
        assert encode_snapshot(again.snapshot) == encode_snapshot(replace(merged.snapshot, run=run))
        assert (again.parts, again.source) == (merged.parts, merged.source)


@given(triples(with_base=True))
def test_a_side_that_changed_nothing_changes_nothing(
    triple: tuple[RunVersion, RunVersion, RunVersion],
) -> None:
    base, ours, _ = triple
    untouched = replace(base, time=9, commit="f" * 40)
    merged = merge(base, ours, untouched)
    run = merged.snapshot.run
    said = replace(ours.snapshot.run, revision=run.revision, inputs=run.inputs, scrubbed=run.scrubbed)
    assert encode_run(run) == encode_run(said)
    assert merged.snapshot.environment == ours.snapshot.environment
    assert merged.source == ours.source


@given(triples())
def test_nothing_is_dropped(triple: tuple[RunVersion | None, RunVersion, RunVersion]) -> None:
    base, ours, theirs = triple
    merged = merge(base, ours, theirs)
    run = merged.snapshot.run
    assert run.revision == max(ours.snapshot.run.revision, theirs.snapshot.run.revision) + 1
    assert set(merged.parts) == {*ours.parts, *theirs.parts}
    assert merged.snapshot.parts == tuple(layout.part_path(n + 1) for n in range(len(merged.parts)))
    assert merged.snapshot.summary == (summarize(merged.parts) if merged.parts else {})
    known = base.snapshot if base else None
    for side in (ours, theirs):
        for key, value in side.snapshot.params.items():
            spelled = [
                encode_params({key: found})
                for name, found in merged.snapshot.params.items()
                if name == key or ("~" in name and key.startswith(name.rpartition("~")[0]))
            ]
            assert encode_params({key: value}) in spelled
        for path, pointer in side.snapshot.artifacts.items():
            if known is None or known.artifacts.get(path) != pointer:
                assert pointer in merged.snapshot.artifacts.values()
        assert set(side.snapshot.run.inputs) <= set(run.inputs)
        assert set(side.snapshot.run.scrubbed) <= set(run.scrubbed)
        assert known is not None or side.snapshot.run.note in run.note
        for key, value in side.snapshot.run.tags.items():
            if known is None or known.run.tags.get(key) != value:
                assert key in run.tags
    for path in merged.snapshot.artifacts:
        layout.check_artifact_path(path)
    assert _is_tree(merged.snapshot.artifacts)


@given(triples())
def test_what_the_execution_was_comes_from_one_side(triple: tuple[RunVersion | None, RunVersion, RunVersion]) -> None:
    base, ours, theirs = triple
    merged = merge(base, ours, theirs)

    def execution(snapshot: Snapshot, source: str | None) -> object:
        run = snapshot.run
        return run.status, run.ended, run.host, run.command, run.failure, snapshot.environment, source

    last = max(ours, theirs, key=lambda version: (version.time, version.commit))
    sides = [execution(side.snapshot, side.source) for side in (ours, theirs)]
    assert execution(merged.snapshot, merged.source) in sides
    if base is None or execution(last.snapshot, last.source) != execution(base.snapshot, base.source):
        assert execution(merged.snapshot, merged.source) == execution(last.snapshot, last.source)


def version(time: int, *, parts: tuple[str, ...] = (), source: str | None = None, **facts: Any) -> RunVersion:
    """Return a second revision of RUN, by whoever wrote at this time."""
    about = {key: facts.pop(key) for key in ("params", "artifacts", "summary", "environment") if key in facts}
    return RunVersion(Snapshot(replace(RUN, revision=2, **facts), **about), parts, source, time, f"{time:040x}")


BASE = RunVersion(Snapshot(replace(RUN, tags={"stage": "new", "old": "1"}, note="first")), (), None, 0, "0" * 40)


def test_the_last_writer_counts_for_name_removal_and_tags() -> None:
    ours = version(7, name="mine", removed=70, tags={"stage": "best", "mine": "1", "old": "1"}, note="first")
    theirs = version(8, name="yours", removed=None, tags={"stage": "good", "yours": "2"}, note="first")
    run = merge(BASE, ours, theirs).snapshot.run
    assert (run.name, run.removed, run.revision) == ("yours", 70, 3)
    assert run.tags == {"stage": "good", "mine": "1", "yours": "2"}
    later = merge(BASE, replace(ours, time=9), theirs).snapshot.run
    assert (later.name, later.tags["stage"]) == ("mine", "best")
    both = merge(BASE, ours, replace(theirs, snapshot=replace(theirs.snapshot, run=replace(RUN, removed=80))))
    assert both.snapshot.run.removed == 80


def test_at_the_same_second_the_larger_commit_id_counts() -> None:
    one, other = replace(version(7, name="one"), commit="1" * 40), replace(version(7, name="other"), commit="2" * 40)
    assert merge(BASE, one, other).snapshot.run.name == "other"


def test_a_tag_taken_off_stays_off_unless_the_other_side_gave_it_a_value() -> None:
    assert join_tags({"a": "1"}, {}, {"a": "1"}) == {}
    assert join_tags({"a": "1"}, {"a": "1"}, {}) == {}
    assert join_tags({"a": "1"}, {}, {"a": "2"}) == join_tags({"a": "1"}, {"a": "2"}, {}) == {"a": "2"}


@pytest.mark.parametrize(
    ("base", "earlier", "later", "joined"),
    [
        ("", "one", "two", "one\n\ntwo"),
        ("", "", "two", "two"),
        ("old", "one", "old", "one"),
        ("old", "old", "", ""),
        ("old", "one", "one", "one"),
        ("old", "one", "one, and more", "one, and more"),
        ("old", "one, and more", "one", "one, and more"),
        ("one, and more", "one", "one, and more", "one"),
    ],
)
def test_texts_are_both_kept_where_both_sides_wrote(base: str, earlier: str, later: str, joined: str) -> None:
    assert join_texts(base, earlier, later, separator="\n\n") == joined


def test_lists_keep_the_order_they_had() -> None:
    assert join_lists("ba", "bac", "ba") == ("b", "a", "c")
    assert join_lists("ba", "bad", "bac") == ("b", "a", "d", "c")
    assert join_lists("ba", "dab", "cb") == ("b", "a", "d", "c")


def test_a_param_set_differently_keeps_the_last_value_and_the_other_beside_it() -> None:
    merged = merge(BASE, version(7, params={"lr": 1}), version(8, params={"lr": 1.0, "seed": 7}))
    digest = hashlib.sha256(encode_params({"lr": 1})).hexdigest()[:8]
    assert same(dict(merged.snapshot.params), {"lr": 1.0, "seed": 7, f"lr~{digest}": 1})


def test_an_artifact_with_two_contents_keeps_both() -> None:
    first, second = Pointer("1" * 64, 1), Pointer("2" * 64, 2)
    ours, theirs = (
        version(7, artifacts={"plots/a.png": first, "b": first}),
        version(8, artifacts={"plots/a.png": second}),
    )
    assert merge(BASE, ours, theirs).snapshot.artifacts == {
        "plots/a.png": second,
        "plots/a~11111111.png": first,
        "b": first,
    }
    known = replace(BASE, snapshot=replace(BASE.snapshot, artifacts={"plots/a.png": first}))
    assert merge(known, ours, theirs).snapshot.artifacts == {"plots/a.png": second, "b": first}


def test_a_file_makes_way_for_a_directory_of_its_name() -> None:
    first, second = Pointer("1" * 64, 1), Pointer("2" * 64, 2)
    merged = merge(BASE, version(8, artifacts={"model": first}), version(7, artifacts={"model/weights": second}))
    assert merged.snapshot.artifacts == {"model~11111111": first, "model/weights": second}


def test_the_status_of_the_last_execution_counts_as_a_whole() -> None:
    failed = version(7, status=Status.FAILED, ended=70, failure=Failure("E", "m"), host="a", source="a" * 40)
    resumed = version(8, status=Status.FINISHED, ended=90, host="b", source="b" * 40, environment={"python": "3.13"})
    merged = merge(BASE, failed, resumed)
    run = merged.snapshot.run
    assert (run.status, run.ended, run.failure, run.host, merged.source) == (
        Status.FINISHED,
        90,
        None,
        "b",
        "b" * 40,
    )
    assert merged.snapshot.environment == {"python": "3.13"}
    tagged = version(9, tags={"x": "1"})
    assert merge(BASE, failed, tagged).snapshot.run.status is Status.FAILED


def test_series_are_the_union_of_the_parts_and_the_summary_follows_from_all_points() -> None:
    def encode(values: list[float], *, start: int) -> bytes:
        from array import array

        steps = array("q", range(start, start + len(values)))
        return encode_part(build_table({"loss": Columns(steps, array("q", steps), array("d", values))}))

    blobs = {
        f"{n:040x}": encode(values, start=start)
        for n, start, values in [(1, 0, [4.0, 3.0]), (2, 2, [0.1, 0.2]), (3, 2, [0.3])]
    }
    common, mine, yours = blobs

    def summarize_points(parts: tuple[str, ...]) -> Mapping[str, MetricSummary]:
        builder = SummaryBuilder()
        for part in parts:
            builder.add(decode_part(blobs[part]))
        return builder.build()

    ours, theirs = (
        version(time, parts=(common, part), summary=summarize_points((common, part)))
        for time, part in ((7, yours), (8, mine))
    )
    merged = merge_runs(BASE, ours, theirs, summarize=summarize_points)
    assert merged.parts == (common, yours, mine)
    assert merged.snapshot.parts == ("metrics/0001.parquet", "metrics/0002.parquet", "metrics/0003.parquet")
    summary = merged.snapshot.summary["loss"]
    assert (summary.count, summary.min, summary.last, summary.last_step) == (5, 0.1, 0.2, 3)
    assert summary.mean == (4.0 + 3.0 + 0.1 + 0.2 + 0.3) / 5


def test_inputs_are_a_union() -> None:
    data = Input("train", "data.csv", "file", "sha256:" + "0" * 64, 3)
    merged = merge(BASE, version(7, inputs=(data,)), version(8, inputs=(replace(data, name="test"),)))
    assert [entry.name for entry in merged.snapshot.run.inputs] == ["train", "test"]


@given(strategies.experiments, strategies.experiments, st.none() | strategies.experiments, st.integers(0, 2))
def test_records_of_an_experiment_merge_like_runs(
    one: Experiment, other: Experiment, base: Experiment | None, time: int
) -> None:
    other = replace(other, slug=one.slug)
    known = None if base is None else ExperimentVersion(replace(base, slug=one.slug), 0, "0" * 40)
    ours, theirs = ExperimentVersion(one, 1, "1" * 40), ExperimentVersion(other, time, "2" * 40)
    merged = merge_experiments(known, ours, theirs)
    assert encode_experiment(merged) == encode_experiment(merge_experiments(known, theirs, ours))
    assert (merged.slug, merged.created) == (one.slug, min(one.created, other.created))
    assert merged.revision == max(one.revision, other.revision) + 1
    for side in (one, other):
        assert all(
            key in merged.tags for key, value in side.tags.items() if base is None or base.tags.get(key) != value
        )


def test_an_experiment_created_apart_keeps_the_name_somebody_gave() -> None:
    plain = ExperimentVersion(Experiment("wild-ideas", "wild-ideas", created=9), 9, "9" * 40)
    named = ExperimentVersion(Experiment("wild-ideas", "Wild Ideas", description="bold", created=5), 5, "5" * 40)
    merged = merge_experiments(None, plain, named)
    assert merged == Experiment("wild-ideas", "Wild Ideas", 2, "bold", created=5)


def node(tree: str, revision: int, *previous: str, time: int = 0) -> Node:
    return Node(tree, revision, time, f"c{tree}", previous)


def test_a_head_is_what_nothing_was_made_from() -> None:
    line = [node("a", 1), node("b", 2, "a"), node("c", 3, "b")]
    assert [head.tree for head in find_heads(line)] == ["c"]
    fork = [*line, node("d", 2, "a", time=5)]
    assert [head.tree for head in find_heads(fork)] == ["c", "d"]
    assert [head.tree for head in find_heads([*fork, node("m", 4, "c", "d")])] == ["m"]
    assert [head.tree for head in find_heads([node("a", 1), node("x", 3), node("b", 2, "a")])] == ["x"]


def test_equal_trees_are_one_revision() -> None:
    twice = [node("a", 1), replace(node("b", 2, "a"), commit="1"), replace(node("b", 2, "a", time=3), commit="0")]
    assert find_heads(twice) == [twice[2]]


def test_the_base_is_the_latest_that_both_know() -> None:
    line = [node("a", 1), node("b", 2, "a"), node("c", 3, "b"), node("d", 3, "b"), node("e", 4, "d")]
    assert find_base(line, ["c"], "e") == "b"
    assert find_base(line[2:], ["c"], "e") == "b"
    assert find_base([node("c", 1), node("e", 1)], ["c"], "e") is None
    cross = [*line, node("m", 5, "c", "e"), node("n", 4, "c")]
    assert find_base(cross, ["m"], "n") == "c"
    assert find_base(cross, ["c", "e"], "n") == "c"
    loop = [node("a", 2, "b"), node("b", 2, "a")]
    assert find_base(loop, ["a"], "b") == "b"

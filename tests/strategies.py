"""Hypothesis strategies for gittrack's values."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from gittrack import layout
from gittrack.errors import InvalidInput
from gittrack.model import (
    Experiment,
    Failure,
    Input,
    LeftOut,
    MetricSummary,
    Pointer,
    Run,
    Snapshot,
    SourceLink,
    Status,
)

text = st.text(max_size=20)
keys = st.text(min_size=1, max_size=30).filter(lambda key: not layout.has_control(key))
floats = st.floats()
integers = st.integers(-(2**70), 2**70)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, text, st.sampled_from(["NaN", "Infinity", "-Infinity"]))
times = st.integers(0, 4_102_444_800_000_000)
hex32 = st.text("0123456789abcdef", min_size=32, max_size=32)
hex40 = st.text("0123456789abcdef", min_size=40, max_size=40)
hex64 = st.text("0123456789abcdef", min_size=64, max_size=64)
sizes = st.integers(0, 2**62)
slugs = st.sampled_from(["churn", "default", "语言-模型", "a.b_c"])


def _is_artifact_path(path: str) -> bool:
    try:
        return layout.check_artifact_path(path) == path
    except InvalidInput:
        return False


artifact_paths = st.lists(st.text(min_size=1, max_size=10).filter(_is_artifact_path), min_size=1, max_size=4).map(
    "/".join
)

summaries = st.builds(
    MetricSummary,
    count=st.integers(1, 2**40),
    first=floats,
    first_step=st.integers(-(2**63), 2**63 - 1),
    last=floats,
    last_step=st.integers(-(2**63), 2**63 - 1),
    min=floats,
    min_step=st.integers(-(2**63), 2**63 - 1),
    max=floats,
    max_step=st.integers(-(2**63), 2**63 - 1),
    mean=floats,
)
left_out = st.builds(LeftOut, path=text, size=sizes, reason=st.sampled_from(["too-large", "secret-name", "unreadable"]))
sources = st.builds(
    SourceLink,
    commit=st.none() | hex40,
    branch=st.none() | st.text(min_size=1, max_size=10),
    remote=st.none() | st.text(min_size=1, max_size=10),
    dirty=st.booleans(),
    captured=st.sampled_from(["worktree", "commit", "none"]),
    tree=st.none() | hex40,
    directory=st.text(min_size=1, max_size=10),
    left_out=st.lists(left_out, max_size=3).map(tuple),
)
inputs = st.builds(
    Input,
    name=text,
    path=text,
    kind=st.sampled_from(["file", "directory"]),
    digest=text,
    size=sizes,
    context=text,
    facts=st.dictionaries(
        st.sampled_from(["origin", "rows", "version", "new"]), text | sizes | st.booleans(), max_size=3
    ).map(lambda facts: tuple(sorted(facts.items()))),
)
runs = st.builds(
    Run,
    id=hex32,
    name=keys,
    experiment=slugs,
    revision=st.integers(1, 10**6),
    status=st.sampled_from(Status),
    started=times,
    ended=st.none() | times,
    parent=st.none() | hex32,
    reproduces=st.none() | hex32,
    user=text,
    host=text,
    command=st.lists(st.text(st.characters(), max_size=10), max_size=4).map(tuple),
    exit_code=st.none() | st.integers(-255, 255),
    tags=st.dictionaries(keys, text, max_size=3),
    note=text,
    removed=st.none() | times,
    incomplete=text,
    failure=st.none() | st.builds(Failure, type=text, message=text, traceback=text),
    inputs=st.lists(inputs, max_size=2).map(tuple),
    scrubbed=st.lists(text, max_size=2).map(tuple),
    redacted=st.lists(text, max_size=2).map(tuple),
    source=sources,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
pointers = st.builds(Pointer, oid=hex64, size=st.integers(1, 2**40))
snapshots = st.builds(
    Snapshot,
    run=runs,
    params=st.dictionaries(keys, scalars, max_size=5),
    summary=st.dictionaries(keys, summaries, max_size=3),
    artifacts=st.dictionaries(artifact_paths, pointers, max_size=3),
    environment=st.dictionaries(text, json_values, max_size=3),
)
experiments = st.builds(
    Experiment,
    slug=slugs,
    name=keys,
    revision=st.integers(1, 1000),
    description=text,
    tags=st.dictionaries(keys, text, max_size=3),
    created=times,
    removed=st.none() | times,
)


def same(left: object, right: object) -> bool:
    """Compare as a codec must: NaN equals NaN, -0.0 is not 0.0, 1 is not 1.0 or True."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if hasattr(left, "__dataclass_fields__"):
        return same(vars(left), vars(right))
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right

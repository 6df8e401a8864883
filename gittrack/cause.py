"""Says why a metric of one run is not that of another: what else differs between them, the likeliest cause first.

Pure: values in, values out. Knows nothing of how runs are found, repeated or shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from .compare import (
    ABSENT,
    MetricRow,
    Row,
    Value,
    align_inputs,
    align_values,
    flatten_environment,
    is_machine_metric,
    judge_data,
)
from .model import Run, Snapshot

Kind = Literal["code", "command", "params", "data", "packages", "hardware", "randomness"]

_PACKAGES = "packages."
_PYTHON = "python."
_LONGEST_VALUE = 60
# What numbers come out of, before the other packages.
_NUMERIC = (
    "torch tensorflow jax jaxlib numpy scipy scikit-learn xgboost lightgbm catboost pandas polars transformers keras "
    "numba torchvision accelerate"
).split()


@dataclass(frozen=True)
class Cause:
    """Something that differs between two runs; `details` say what of it, such as file names, as they were recorded."""

    kind: Kind
    details: tuple[str, ...]


def find_causes(old: Snapshot, new: Snapshot, *, files: Sequence[str] = ()) -> tuple[Cause, ...]:
    """Return what may have made a metric differ, the likeliest first: code, params, data, environment.

    Where nothing differs that was recorded, it is chance: randomness without a seed, or what was not recorded. `files`
    are the paths of the code that differ, where they are known.
    """
    found = {
        "code": _compare_code(old.run, new.run, files),
        "command": _compare_commands(old.run.command, new.run.command),
        "params": [_say_row(row) for row in align_values([old.params, new.params]) if row.differs],
        "data": list(_compare_data(old.run, new.run)),
        **compare_environments(old.environment, new.environment),
    }
    kinds: tuple[Kind, ...] = ("code", "command", "params", "data", "packages", "hardware")
    causes = tuple(Cause(kind, tuple(found[kind])) for kind in kinds if found[kind])
    return causes or (Cause("randomness", tuple(_find_blind_spots(old.run, new.run))),)


def has_changed(rows: Iterable[MetricRow]) -> bool:
    """Tell whether any metric that two runs both have came out differently; figures of the machine always do."""
    return any(row.differs and None not in row.values and not is_machine_metric(row.metric) for row in rows)


def _compare_code(old: Run, new: Run, files: Sequence[str]) -> list[str]:
    if old.source.tree is None and new.source.tree is None:
        return []
    if old.source.tree is None or new.source.tree is None:
        return ["the code of one of them was not recorded"]
    return [] if old.source.tree == new.source.tree else list(files) or ["the files"]


def _compare_commands(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return what one command line has and the other has not, the place of the program apart."""
    if not old or not new:
        return []
    sides = [[PurePosixPath(words[0]).name, *words[1:]] for words in (old, new)]
    if sides[0] == sides[1]:
        return []
    gone = [word for word in sides[0] if word not in sides[1]]
    come = [word for word in sides[1] if word not in sides[0]]
    return [f"{_shorten(' '.join(gone)) or 'nothing'} → {_shorten(' '.join(come)) or 'nothing'}"]


def _compare_data(old: Run, new: Run) -> Iterator[str]:
    for row in align_inputs([old.inputs, new.inputs]):
        left, right = row.entries
        if row.differs:
            unknown = left and right and judge_data(left, right) == "unknown"
            what = "may be other content" if unknown else "other content" if left and right else "read by one of them"
            yield f"{row.name}: {what}"


def compare_environments(old: Mapping[str, object], new: Mapping[str, object]) -> dict[Kind, list[str]]:
    """Return how two environments differ, in words: their `packages`, Python included, and their `hardware` and system.

    What numbers come out of stands first. Nothing is said where either is not known.
    """
    if not old or not new:
        return {"packages": [], "hardware": []}
    rows = [row for row in align_values([flatten_environment(side) for side in (old, new)]) if row.differs]
    packages = sorted((row for row in rows if row.key.startswith((_PYTHON, _PACKAGES))), key=_rank_package)
    hardware = [row for row in rows if not row.key.startswith((_PYTHON, _PACKAGES))]
    return {
        "packages": [_say_row(Row(row.key.removeprefix(_PACKAGES), row.values)) for row in packages],
        "hardware": [_say_row(row) for row in hardware],
    }


def _rank_package(row: Row) -> tuple[int, str]:
    """Sort what numbers come out of before all else, and packages that both have before those of one."""
    name = row.key.removeprefix(_PACKAGES)
    if row.key.startswith(_PYTHON):
        return 0, name
    if name in _NUMERIC:
        return 1, f"{_NUMERIC.index(name):02d}"
    return 3 if ABSENT in row.values else 2, name


def _find_blind_spots(old: Run, new: Run) -> Iterator[str]:
    if old.source.tree is None or new.source.tree is None:
        yield "the code was not recorded"
    elif "commit" in (old.source.captured, new.source.captured):
        yield "only the commit's code was recorded"
    left_out = {entry.path for run in (old, new) for entry in run.source.left_out}
    if left_out:
        yield f"files left out of the record: {', '.join(sorted(left_out)[:3])}{', …' if len(left_out) > 3 else ''}"


def _say_row(row: Row) -> str:
    return f"{row.key} {' → '.join(map(_spell, row.values))}"


def _spell(value: Value) -> str:
    return "none" if value is ABSENT else _shorten(value if isinstance(value, str) else repr(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"

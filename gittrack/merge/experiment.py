"""Merges two records of one experiment. Pure; the rules of single values stand in `choice`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import Experiment
from .choice import choose, join_tags, join_texts, order_writers


@dataclass(frozen=True)
class ExperimentVersion:
    """One record of an experiment: its commit's time (UTC seconds) and id say who wrote last."""

    experiment: Experiment
    time: int
    commit: str


def merge_experiments(base: ExperimentVersion | None, ours: ExperimentVersion, theirs: ExperimentVersion) -> Experiment:
    """Return the record that follows two which do not know of each other, the same whichever comes first.

    Without a base (an experiment created twice, apart) a name that is just the slug, and every empty field, counts as
    not said. `created` is the earliest.
    """
    first, last = order_writers(ours, theirs)
    earlier, later = first.experiment, last.experiment
    known = Experiment(later.slug, later.slug) if base is None else base.experiment
    return replace(
        later,
        revision=max(earlier.revision, later.revision) + 1,
        name=choose(known.name, earlier.name, later.name),
        description=join_texts(known.description, earlier.description, later.description, separator="\n\n"),
        tags=join_tags(known.tags, earlier.tags, later.tags),
        created=min(earlier.created, later.created),
        removed=choose(known.removed, earlier.removed, later.removed),
    )

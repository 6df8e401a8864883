"""Says in words why a metric of one run is not that of another."""

from __future__ import annotations

from collections.abc import Sequence

from ..cause import Cause
from .show import render_facts
from .terminal import Screen
from .text import clean

_MOST_DETAILS = 5
_CHANCE = "nothing that was recorded differs: chance, such as a seed that is not set or an order of threads"


def render_causes(causes: Sequence[Cause], screen: Screen) -> list[str]:
    """Return a heading and a line for every cause, the likeliest first; nothing where there is none."""
    if not causes:
        return []
    facts = [(cause.kind, say_cause(cause)) for cause in causes]
    return [screen.paint("likely cause", "heading"), *render_facts(facts, screen, indent="  ")]


def say_cause(cause: Cause) -> str:
    """Return what of a cause differs, safe to print."""
    said = say_details(cause.details)
    return "; ".join(filter(None, (_CHANCE, said))) if cause.kind == "randomness" else said


def say_details(details: Sequence[str]) -> str:
    """Return the first few details, and how many more there are."""
    more = [f"{len(details) - _MOST_DETAILS} more"] if len(details) > _MOST_DETAILS else []
    return ", ".join([*map(clean, details[:_MOST_DETAILS]), *more])


def cause_records(causes: Sequence[Cause]) -> list[dict[str, object]]:
    """Return causes as JSON-ready values."""
    return [{"kind": cause.kind, "details": list(cause.details)} for cause in causes]

"""Reads git's progress: lines such as `Receiving objects:  45% (9/20), 1.20 MiB | 2.00 MiB/s`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_STEP = re.compile(
    r"(?P<remote>remote: )?"
    r"(?P<what>(?:Enumerat|Count|Compress|Writ|Receiv|Unpack|Resolv|Check|Find)ing [a-z ]{2,30}): +"
    r"(?:[0-9]{1,3}% \((?P<done>[0-9]{1,12})/(?P<total>[0-9]{1,12})\)|(?P<count>[0-9]{1,12}))"
    r"(?P<detail>, [0-9.]+ [A-Za-z]+(?: \| [0-9.]+ [A-Za-z]+/s)?)?(?P<end>, done\.)?\s*"
)


@dataclass(frozen=True)
class Step:
    """How far one step of a transfer is.

    `what` is git's word for it, such as `Receiving objects`; `total` is None where git does not know it; `detail` is
    the amount and rate, such as `1.20 MiB | 2.00 MiB/s`; `at_remote` tells whose work it is.
    """

    what: str
    done: int
    total: int | None = None
    detail: str = ""
    at_remote: bool = False


Report = Callable[[Step], None]


def ignore(step: Step) -> None:
    """Do nothing with a step."""


def find_step(line: str) -> Step | None:
    """Return the step that a line of git's error output tells of, or None where it says something else."""
    match = _STEP.fullmatch(line)
    if match is None:
        return None
    done = match["done"] or match["count"]
    total = int(match["total"]) if match["total"] else None
    detail = (match["detail"] or "").removeprefix(", ")
    return Step(match["what"], int(done), total, detail, at_remote=match["remote"] is not None)

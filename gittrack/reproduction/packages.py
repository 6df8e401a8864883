"""Says which packages make the environment that a run recorded. Pure: an environment in, requirements out.

Names and versions come from whoever recorded the run: what is no plain name and version is no requirement, so that no
option, path or address gets to an installer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,80}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+_-]{0,80}")
_PYTHON = re.compile(r"[0-9]+\.[0-9]+(?:\.[0-9]+)?")
# The installer brings its own pip; gittrack itself is linked in, so that the program meets the one that records it.
_OWN = ("pip", "gittrack")


@dataclass(frozen=True)
class Requirements:
    """What to install: the version of Python (empty where it is not known), lines of `name==version`, and the rest.

    `unfit` are entries that cannot be installed. `gittrack` tells whether the run's environment had gittrack in it.
    """

    python: str
    lines: tuple[str, ...]
    unfit: tuple[str, ...]
    gittrack: bool


def find_requirements(environment: Mapping[str, object], *, without: frozenset[str] = frozenset()) -> Requirements:
    """Return what a recorded environment takes; `without` are names of packages to leave out."""
    packages = environment.get("packages")
    known = packages if isinstance(packages, Mapping) else {}
    lines, unfit = [], []
    for name, version in sorted((str(name), str(version)) for name, version in known.items()):
        if name in _OWN or name in without:
            continue
        if _NAME.fullmatch(name) and _VERSION.fullmatch(version):
            lines.append(f"{name}=={version}")
        else:
            unfit.append(name)
    python = environment.get("python")
    version = str(python.get("version", "")) if isinstance(python, Mapping) else ""
    match = _PYTHON.match(version)
    return Requirements(match.group() if match else "", tuple(lines), tuple(unfit), "gittrack" in known)

"""Owns the description of what a run ran on: Python, packages, platform, hardware.

Reads small files and directory listings; starts no process and initialises no device. Nothing in it differs between
two runs on the same machine with the same packages, so that they share one blob: no times, process ids, host names,
paths, loads. Knows nothing of runs, git or environment variables.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

_GIB = 1 << 30
_MAX_ENTRIES = 5000
_INSTALLED = r"([A-Za-z0-9][\w.]*?)-([^-]+?)(?:-py\d[\d.]*)?(?:-[\w.-]+)?\.(?:egg|egg-info)"
_DRIVER = r"Kernel Module\D*(?:x86_64|aarch64|ppc64le|arm64)?\s+(\d+(?:\.\d+)+)"


def capture_environment() -> dict[str, object]:
    """Return what this process runs on, JSON-ready: `python`, `platform`, `cpu`, `memory`, `gpu`, `packages`.

    Looked up once a process (a few milliseconds); a key whose facts are not to be had is left out.
    """
    return {key: copy.copy(value) for key, value in _capture_once().items()}


@lru_cache(maxsize=1)
def _capture_once() -> dict[str, object]:
    return describe_environment(Path("/"), path=sys.path, modules=sys.modules)


def describe_environment(root: Path, *, path: Sequence[str], modules: Mapping[str, object]) -> dict[str, object]:
    """Return what capture_environment does, of the system whose `/proc`, `/sys` and `/etc` stand below root.

    `path` is where packages are looked for, the first that has one counts; `modules` are those already imported.
    """
    described: dict[str, object] = {
        "python": {"version": sys.version.split()[0], "implementation": sys.implementation.name},
        "platform": _describe_platform(root),
        "cpu": _describe_cpu(root),
        "memory": _describe_memory(root),
        "gpu": _describe_gpus(root, modules),
        "packages": find_packages(path),
    }
    return {key: value for key, value in described.items() if value}


def find_packages(path: Iterable[str]) -> dict[str, str]:
    """Return the installed distributions as normalised name → version, sorted by name.

    Told by the names of the `*.dist-info`, `*.egg-info` and `*.egg` entries below path; only where a name holds no
    version is the metadata read. Editable installs have such an entry like all others.
    """
    packages: dict[str, str] = {}
    for directory in dict.fromkeys(path):
        for name, version in _list_packages(directory or os.curdir):
            packages.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return dict(sorted(packages.items()))


def _list_packages(directory: str) -> Iterator[tuple[str, str]]:
    for entry in (os.path.basename(directory), *_list_names(directory)):
        if entry.endswith(".dist-info"):
            name, _, version = entry.removesuffix(".dist-info").rpartition("-")
            if name:
                yield name, version
        elif entry.endswith((".egg-info", ".egg")):
            match = re.fullmatch(_INSTALLED, entry)
            if match:
                yield match[1], match[2]
            elif entry.endswith(".egg-info"):
                yield from _read_metadata(Path(directory, entry, "PKG-INFO"))


def _list_names(directory: str) -> list[str]:
    # A script's own directory may hold a million files; packages are installed elsewhere.
    limit = None if directory.endswith(("-packages", "-packages/")) else _MAX_ENTRIES
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in islice(entries, limit)]
    except OSError:
        return []


def _read_metadata(path: Path) -> Iterator[tuple[str, str]]:
    text = _read(path)
    name = re.search(r"^Name: *(\S+)", text, re.MULTILINE)
    version = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    if name and version:
        yield name[1], version[1]


def _describe_platform(root: Path) -> dict[str, object]:
    if hasattr(os, "uname"):
        system, release, machine = os.uname().sysname, os.uname().release, os.uname().machine
    else:
        import platform

        system, release, machine = platform.system(), platform.version(), platform.machine()
    described: dict[str, object] = {"system": system, "release": release, "machine": machine}
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read(root / "etc/os-release"), re.MULTILINE)
    if name:
        described["name"] = name[1]
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        libc = None
    if libc:
        described["libc"] = libc
    return described


def _describe_cpu(root: Path) -> dict[str, object]:
    described: dict[str, object] = {}
    model = re.search(r"^(?:model name|Model|cpu model)\s*: *(.+)", _read(root / "proc/cpuinfo"), re.MULTILINE)
    if model:
        described["model"] = re.sub(r"\s+", " ", model[1]).strip()
    count = os.cpu_count()
    if count:
        described["count"] = count
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count
        limit = _find_cpu_limit(root)
        if min(usable, limit) < count:
            described["usable"] = round(min(usable, limit), 2)
    return described


def _describe_memory(root: Path) -> dict[str, object]:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return {}
    described: dict[str, object] = {"total_gib": _round_gib(total)}
    limit = _find_memory_limit(root)
    if limit < total:
        described["limit_gib"] = _round_gib(limit)
    return described


def _round_gib(size: float) -> float | int:
    # The kernel keeps a little for itself, and not the same at each start.
    return round(size / _GIB) if size >= 4 * _GIB else round(size / _GIB, 1)


def _describe_gpus(root: Path, modules: Mapping[str, object]) -> dict[str, object]:
    described: dict[str, object] = {}
    driver = re.search(_DRIVER, _read(root / "proc/driver/nvidia/version"))
    if driver:
        described["driver"] = driver[1]
    texts = map(_read, sorted((root / "proc/driver/nvidia/gpus").glob("*/information")))
    names = [match[1].strip() for text in texts if (match := re.search(r"^Model:\s*(.+)", text, re.MULTILINE))]
    torch = modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    # To ask torch for a device before the program did would initialise CUDA, which then fails in forked children.
    if not names and cuda is not None and hasattr(cuda, "is_initialized") and cuda.is_initialized():
        names = [str(cuda.get_device_name(number)) for number in range(cuda.device_count())]
    if names:
        described["models"] = names
    for toolkit in ("cuda", "hip"):
        version = getattr(getattr(torch, "version", None), toolkit, None)
        if isinstance(version, str):
            described[toolkit] = version
    return described


def _find_cpu_limit(root: Path) -> float:
    limits = []
    for directory in _find_groups(root, "cpu"):
        quota, _, period = _read(directory / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = (
                _read(directory / "cpu.cfs_quota_us").strip(),
                _read(directory / "cpu.cfs_period_us").strip(),
            )
        if quota.isdigit() and period.isdigit() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=float("inf"))


def _find_memory_limit(root: Path) -> float:
    limits = []
    for directory in _find_groups(root, "memory"):
        text = (_read(directory / "memory.max") or _read(directory / "memory.limit_in_bytes")).strip()
        if text.isdigit():
            limits.append(int(text))
    return min(limits, default=float("inf"))


def _find_groups(root: Path, controller: str) -> list[Path]:
    """Return the directories of this process's control group for controller and its parents; version 1 or 2."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        own = top / place.strip("/")
        return [own, *(parent for parent in own.parents if parent == top or top in parent.parents)]
    return []


def _read(path: Path) -> str:
    """Return the first 16 KiB of a file as text, empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(16384).decode("utf-8", "replace")
    except OSError:
        return ""

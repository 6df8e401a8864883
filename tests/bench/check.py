"""What the pre-commit hook costs, a whole process: with no guarded path staged, and beside many runs with one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from gittrack.hook.installation import HooksDirectory, install

from .process import CHECKOUT
from .report import Options, Report, run_benches
from .scratch import hermetic_environment, run_git, scratch_directory
from .synthetic_store import get_store

MILLI = 1e3
GUARD = '[tool.gittrack.check]\npaths = ["train.py", "src/**"]\n'
CASES = {"nothing guarded is staged": 150.0, "the run that vouches is found": 400.0, "no run vouches": 400.0}


def measure(options: Options) -> Report:
    """Time the check in a working tree of its own, in turns; what is staged is one source that runs had, or none."""
    runs = options.size(10_000, 50)
    report = Report("check: the pre-commit hook, whole processes")
    with scratch_directory() as directory:
        code = directory / "code"
        install(HooksDirectory(directory / "hooks", "", shared=False))
        store = get_store(runs, directory=options.stores)
        run_git(store, "worktree", "add", "-q", "--detach", str(code))
        try:
            environment = {**hermetic_environment(directory / "home"), "PYTHONPATH": str(CHECKOUT)}
            samples: dict[str, list[float]] = {case: [] for case in CASES}
            for number in range(options.size(9, 1) + 1):
                for case in CASES:
                    _stage(code, case)
                    seconds = _time_hook(directory, code, environment, expected=9 if case == "no run vouches" else 0)
                    if number:  # the round before the first fills the caches
                        samples[case].append(seconds * MILLI)
        finally:
            run_git(store, "worktree", "remove", "--force", str(code))
    for case, at_most in CASES.items():
        report.add(f"{runs:,} runs: {case}", "ms", samples[case], at_most=None if options.tiny else at_most)
    return report


def _stage(code: Path, case: str) -> None:
    (code / "pyproject.toml").write_text(GUARD)
    run_git(code, "read-tree", "HEAD")
    run_git(code, "add", "pyproject.toml")
    if case == "nothing guarded is staged":
        return
    layers = 7 if case.startswith("the run") else 1_000_000
    run_git(code, "rm", "-q", "-r", "--cached", "--ignore-unmatch", "src", "train.py")
    (code / "train.py").write_bytes(f"LAYERS = {layers}\n".encode() * 40)
    run_git(code, "add", "train.py")


def _time_hook(directory: Path, code: Path, environment: dict[str, str], *, expected: int) -> float:
    hook = str(directory / "hooks" / "pre-commit")
    began = time.perf_counter()
    done = subprocess.run([hook], cwd=code, env={**os.environ, **environment}, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != expected:
        raise RuntimeError(f"the hook ended with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    return seconds


if __name__ == "__main__":
    sys.exit(run_benches([measure]))

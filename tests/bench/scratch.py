"""Owns the places benches run in: a scratch directory, hermetic environments, repositories, and the sizes of them.

Knows nothing of gittrack's code; it knows that a store is a Git repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILES = 1000

# Stay offline, tell nobody, start nothing, print little.
OFFLINE = {
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "DVCLIVE_LOGLEVEL": "ERROR",
    "DVC_STUDIO_OFFLINE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NO_PROXY": "*",
    "SWANLAB_MODE": "offline",
    "TRACKIO_DISABLE_TELEMETRY": "1",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Give an empty directory, and remove it at the end. TMPDIR says where: durable writes need a real disk there."""
    directory = Path(tempfile.mkdtemp(prefix="gittrack-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def hermetic_environment(home: Path) -> dict[str, str]:
    """Return an environment with an empty home, a fixed Git identity, and every tracker told to stay offline."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / ".gitconfig"
    if not config.exists():
        config.write_text(
            "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"
        )
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "GITTRACK_", "MLFLOW_", "WANDB_", "PYTHON", "COVERAGE_"))
    }
    return {
        **inherited,
        **OFFLINE,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }


def run_git(directory: Path, *arguments: str) -> str:
    """Run git in directory with the hermetic home beside it, and return its output; raises where it fails."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=hermetic_environment(directory.parent / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def make_repository(directory: Path, files: int = FILES) -> Path:
    """Make a clean repository of `files` small source files, committed and packed, and return its directory.

    The files are an hour old, as a working tree's mostly are: git reads files again that are as young as its index.
    """
    directory.mkdir(parents=True)
    past = time.time() - 3600
    run_git(directory, "init", "-q")
    for number in range(files):
        file = directory / f"package_{number // 50:02d}" / f"module_{number:04d}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'"""Module {number}."""\n\n' + f"def work_{number}(x):\n    return x + {number}\n" * 20)
        os.utime(file, (past, past))
    run_git(directory, "add", "-A")
    run_git(directory, "commit", "-qm", "first")
    run_git(directory, "gc", "-q")
    return directory


def measure_size(directory: Path) -> int:
    """Return the bytes of all regular files below directory."""
    return sum(file.lstat().st_size for file in directory.rglob("*") if file.is_file() and not file.is_symlink())


def measure_blocks(directory: Path) -> int:
    """Return the bytes that the files below directory take on the disk, in whole blocks of the file system."""
    return sum(file.lstat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


def measure_packed_size(repository: Path) -> int:
    """Run `git gc` in the repository and return the bytes of everything below its Git directory."""
    run_git(repository, "gc", "-q")
    return measure_size(repository / ".git")


def find_file_system(directory: Path) -> str:
    """Return the type of the file system that directory is on, or an empty string where the system does not tell."""
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        point, this = line.split()[1:3]
        if str(directory.resolve()).startswith(point) and len(point) >= len(best):
            best, kind = point, this
    return kind

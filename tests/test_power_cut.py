"""A finished run survives a power cut: what was acknowledged is on the disk, and what was not leaves no damage.

The power is cut on an ext4 image of the test's own, by the ioctl that stops the file system without writing anything
more; whatever was only in memory is gone when the image is mounted again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import git

pytestmark = pytest.mark.slow

_SHUTDOWN = 0x8004587D
_WITHOUT_LOG_FLUSH = struct.pack("I", 2)

_RECORD = """
import sys, gittrack
run = gittrack.start_run("churn", name=sys.argv[1], params={"lr": 0.1})
for step in range(1000):
    run.log({"loss": step / 2}, step=step)
run.log_text("kept" * 1000, "a.txt")
print("started", flush=True)
if sys.argv[2] == "checkpoint":
    run.checkpoint()
    print("committed", flush=True)
    sys.stdin.read()
run.end()
print("committed", flush=True)
"""


class Disk:
    """An ext4 image, mounted; `cut_power` and `mount` are what happens to real ones."""

    def __init__(self, directory: Path) -> None:
        self.image, self.root = directory / "image", directory / "disk"
        self.root.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        maker = shutil.which("mkfs.ext4", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if os.geteuid() != 0 or maker is None:
            pytest.skip("needs root and mkfs.ext4")
        subprocess.run([maker, "-q", self.image], check=True)
        self.mount()

    def mount(self) -> None:
        done = subprocess.run(["mount", "-o", "loop", self.image, self.root], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount an image here: {done.stderr.strip()}")

    def unmount(self) -> None:
        subprocess.run(["umount", self.root], check=True)

    def cut_power(self) -> None:
        """Stop the file system as it is on the disk, and come back as after a reboot."""
        file = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(file, _SHUTDOWN, _WITHOUT_LOG_FLUSH)
        except OSError as error:
            pytest.skip(f"this kernel does not stop a file system: {error}")
        finally:
            os.close(file)
        self.unmount()
        self.mount()
        for lock in self.root.rglob("*.lock"):
            # The machine has been started since; the test's has not.
            os.utime(lock, (0, 0))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    subprocess.run(["umount", "-l", made.root], check=False)


@pytest.fixture
def disk_repo(disk: Disk) -> Path:
    """Return a repository on the disk, its own objects safely stored."""
    repo = disk.root / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    (repo / "train.py").write_text("print('training')\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "first")
    (repo / "train.py").write_text("print('dirty')\n")
    os.sync()
    return repo


def record(repo: Path, name: str, how: str = "end") -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _RECORD, name, how], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert [child.stdout.readline(), child.stdout.readline()] == ["started\n", "committed\n"]
    return child


def look(repo: Path) -> list[tuple[str, str, int, int]]:
    """Return each run's name, status, number of points and size of its artifact, in a process of its own."""
    code = """
import gittrack
for run in gittrack.runs():
    size = len(run.open_artifact("a.txt").read()) if run.artifacts() else 0
    print(run.name, run.status, run.series().num_rows, size)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(a, b, int(c), int(d)) for a, b, c, d in (line.split() for line in done.stdout.splitlines())]


def test_a_finished_run_survives(disk: Disk, disk_repo: Path) -> None:
    for number in range(3):
        assert record(disk_repo, f"run-{number}").wait() == 0
        disk.cut_power()
        assert look(disk_repo) == [(f"run-{n}", "FINISHED", 1000, 4000) for n in range(number, -1, -1)]
        git(disk_repo, "fsck", "--strict", "--no-dangling")
        assert git(disk_repo, "show", "gittrack/churn:source/train.py") == "print('dirty')"
    assert list((disk_repo / ".git/gittrack/runs").iterdir()) == []


def test_a_checkpoint_survives(disk: Disk, disk_repo: Path) -> None:
    child = record(disk_repo, "long", "checkpoint")
    child.kill()
    child.communicate()
    disk.cut_power()
    (found,) = look(disk_repo)
    assert found[0] == "long"
    assert found[1] in ("RUNNING", "KILLED")
    assert found[2:] == (1000, 4000)
    git(disk_repo, "fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("call", ["rename", "unlink"])
def test_the_power_may_go_at_any_step(disk: Disk, disk_repo: Path, call: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    assert record(disk_repo, "before").wait() == 0
    cut = 0
    for number in range(1, 200):
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        command = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
        child = subprocess.run(
            [*command, sys.executable, "-c", _RECORD, f"run-{number}", "end"],
            cwd=disk_repo,
            capture_output=True,
            text=True,
            check=False,
        )
        if "strace: attach" in child.stderr or "PTRACE" in child.stderr:
            pytest.skip(f"this machine does not let strace trace: {child.stderr.strip()}")
        disk.cut_power()
        git(disk_repo, "fsck", "--strict", "--no-dangling")
        found = {name: rest for name, *rest in look(disk_repo)}
        assert found["before"] == ["FINISHED", 1000, 4000]
        if "committed" in child.stdout:
            assert found[f"run-{number}"] == ["FINISHED", 1000, 4000]
        # An end that is on the disk never stands there without its points.
        assert all(rest[1:] == [1000, 4000] for rest in found.values() if rest[0] == "FINISHED")
        if child.returncode == 0:
            break
        cut += 1
    assert cut >= (8 if call == "rename" else 3)

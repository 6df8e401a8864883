"""Fixtures every test shares: a hermetic home and Git configuration, and real repositories in tmp_path."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import NIGHTLY
from hypothesis import HealthCheck, settings


def pytest_configure(config: pytest.Config) -> None:
    """Heed the signals that a shell lets its background jobs ignore: what tests interrupt would ignore them as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    leave_the_terminal()
    faulthandler.register(signal.SIGUSR1, file=os.dup(2))  # which the gate sends to tests that do not end
    # A change is judged by the same examples wherever it is tried, however slow it is there; nights look for new ones.
    slow = [HealthCheck.too_slow]
    settings.register_profile("change", derandomize=True, deadline=None, suppress_health_check=slow)
    settings.register_profile("night", deadline=None, suppress_health_check=slow, print_blob=True)
    settings.load_profile("night" if NIGHTLY else "change")
    if NIGHTLY:
        config.option.timeout = 0


def leave_the_terminal() -> None:
    """Give up the terminal of whoever runs the tests: ssh would ask it for a password, and wait, or stop them all."""
    with contextlib.suppress(OSError), open("/dev/tty", "rb", buffering=0) as terminal:
        fcntl.ioctl(terminal, termios.TIOCNOTTY)


@pytest.fixture(autouse=True)
def hermetic_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty HOME, a fixed Git identity, and no inherited GIT_* or GITTRACK_* variable."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITTRACK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("NO_COLOR", raising=False)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test User\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"
        '[protocol "file"]\n\tallow = always\n[core]\n\tpager = cat\n'
    )
    return home


def git(directory: Path, *args: str, stdin: bytes | None = None, ok: tuple[int, ...] = ()) -> str:
    """Run real git in directory and return its output without the last newline.

    Fails the test where git fails with an exit code that is not in `ok`.
    """
    done = subprocess.run(["git", *args], cwd=directory, input=stdin, capture_output=True, check=False)
    assert done.returncode in (0, *ok), f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one commit, and stand in it."""
    directory = tmp_path / "repo"
    directory.mkdir()
    git(directory, "init", "-q")
    (directory / "train.py").write_text("print('training')\n")
    (directory / "README").write_text("a model\n")
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "first")
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a new bare repository."""
    from hubs import make_hub  # which needs this module

    return make_hub(tmp_path / "srv" / "hub.git")


@pytest.fixture
def shared(repo: Path, hub: Path) -> Path:
    """Return the repository this stands in; its remote is the hub, and nothing is pushed yet."""
    git(repo, "remote", "add", "origin", str(hub))
    return repo


@pytest.fixture
def fast_directory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: what is swept here is the order of the steps, not the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path | None]]:
    """Return a list that grows with each sync of a path (path, None), and each rename (source, target)."""
    steps: list[tuple[Path, Path | None]] = []
    sync, rename = os.fsync, os.replace

    def traced_sync(descriptor: int) -> None:
        steps.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")), None))
        sync(descriptor)

    def traced_rename(source: Path, target: Path) -> None:
        steps.append((source, target))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_rename)
    return steps

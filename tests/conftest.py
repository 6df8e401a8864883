"""Fixtures every test shares: a hermetic home and Git configuration, and real repositories in tmp_path."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


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

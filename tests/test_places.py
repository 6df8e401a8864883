"""Recording and reading work wherever Git works: worktrees, bare and separate stores, new and shallow repositories."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import git

import gittrack
from gittrack.errors import GittrackError, NotFound
from gittrack.recording import TrackingWarning


def record(experiment: str = "churn", **arguments: object) -> gittrack.Run:
    """Record a small run here, expecting no warning, and read it back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gittrack.start_run(experiment, params={"lr": 0.1}, **arguments) as run:  # type: ignore[arg-type]
            run.log({"loss": 0.5})
            run.log_text("content", "a.txt")
        found = gittrack.get_run(run.id, store=arguments.get("store"))  # type: ignore[arg-type]
    assert (found.status, found.params, found.metrics) == ("FINISHED", {"lr": 0.1}, {"loss": 0.5})
    assert found.series("loss")["value"].to_pylist() == [0.5]
    assert found.open_artifact("a.txt").read() == b"content"
    assert found.snapshot.run.incomplete == ""
    return found


def test_linked_worktree(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    monkeypatch.chdir(tmp_path / "side")
    Path("train.py").write_text("print('side')\n")
    found = record()
    assert (found.source.branch, found.source.dirty) == ("side", True)
    assert git(repo, "show", "gittrack/churn:source/train.py") == "print('side')"
    monkeypatch.chdir(repo)
    assert gittrack.get_run(found.id).id == found.id
    assert git(repo, "status", "--porcelain") == ""
    assert sorted(path.name for path in (tmp_path / "side").iterdir()) == [".git", "README", "train.py"]
    assert (repo / ".git/lfs/objects").is_dir()


def test_subdirectory(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "src/deep").mkdir(parents=True)
    monkeypatch.chdir(repo / "src/deep")
    assert record().source.directory == "src/deep"


def test_bare_store_by_argument(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    store = tmp_path / "runs.git"
    (repo / "train.py").write_text("print('dirty')\n")
    found = record(store=store)
    assert git(store, "show", "gittrack/churn:source/train.py") == "print('dirty')"
    assert found.source.commit == git(repo, "rev-parse", "HEAD")
    git(store, "fsck", "--strict", "--full")
    assert git(repo, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert not (repo / ".git/gittrack/runs").exists()


@pytest.mark.parametrize("dirty", [False, True])
def test_separate_store_by_setting(repo: Path, tmp_path: Path, dirty: bool) -> None:
    git(tmp_path, "init", "-q", "team")
    git(repo, "config", "gittrack.store", "../team")
    if dirty:
        (repo / "train.py").write_text("print('dirty')\n")
    record()
    store = tmp_path / "team"
    assert git(store, "ls-tree", "--name-only", "gittrack/churn:source").splitlines() == ["README", "train.py"]
    expected = "print('dirty')" if dirty else "print('training')"
    assert git(store, "show", "gittrack/churn:source/train.py") == expected
    git(store, "fsck", "--strict", "--full")


def test_standing_in_a_bare_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    monkeypatch.chdir(tmp_path / "bare.git")
    assert record().source.captured == "none"


def test_no_commit_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "new")
    monkeypatch.chdir(tmp_path / "new")
    Path("train.py").write_text("print(1)\n")
    found = record()
    assert (found.source.commit, found.source.captured) == (None, "worktree")
    assert git(tmp_path / "new", "show", "gittrack/churn:source/train.py") == "print(1)"
    assert git(tmp_path / "new", "status", "--porcelain") == "?? train.py"


def test_shallow_clone(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "train.py").write_text("print(2)\n")
    git(repo, "commit", "-qam", "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    record()
    record()
    git(tmp_path / "shallow", "fsck", "--strict")


def test_submodule(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "outer")
    git(tmp_path / "outer", "submodule", "add", "-q", str(repo), "inner")
    git(tmp_path / "outer", "commit", "-qm", "with a submodule")
    monkeypatch.chdir(tmp_path / "outer")
    assert git(tmp_path / "outer", "ls-tree", record().source.tree or "").split()[1] == "blob"
    monkeypatch.chdir(tmp_path / "outer/inner")
    found = record()
    assert found.source.commit == git(repo, "rev-parse", "HEAD")
    assert git(tmp_path / "outer/inner", "log", "--format=%s", "-1", "gittrack/churn").startswith(found.name)
    git(tmp_path / "outer", "fsck", "--strict")


def test_detached_head(repo: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    found = record()
    assert found.source.branch is None
    assert found.source.commit == git(repo, "rev-parse", "HEAD")


def test_sha256_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    monkeypatch.chdir(tmp_path / "new")
    Path("train.py").write_text("print(1)\n")
    git(tmp_path / "new", "add", "-A")
    git(tmp_path / "new", "commit", "-qm", "first")
    record()
    Path("train.py").write_text("print(2)\n")
    found = record()
    assert len(found.commit or "") == 64
    git(tmp_path / "new", "fsck", "--strict")


def test_another_namespace(repo: Path) -> None:
    git(repo, "config", "gittrack.namespace", "refs/gittrack/experiments")
    found = record()
    assert git(repo, "rev-parse", "refs/gittrack/experiments/churn") == found.commit
    assert git(repo, "branch", "--format=%(refname:short)") == "main"


def test_packed_repository(repo: Path) -> None:
    first = record()
    git(repo, "gc", "-q", "--prune=now")
    second = record()
    git(repo, "pack-refs", "--all")
    git(repo, "repack", "-qad")
    third = record()
    assert [run.id for run in gittrack.runs()] == [third.id, second.id, first.id]
    assert gittrack.get_run(first.id).series("loss")["value"].to_pylist() == [0.5]


def test_inside_a_git_hook(repo: Path) -> None:
    hook = repo / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{sys.executable} -c 'import gittrack; gittrack.start_run(\"hook\").end()'\n")
    hook.chmod(0o755)
    (repo / "staged.py").write_text("x = 1\n")
    git(repo, "add", "staged.py")
    git(repo, "commit", "-qm", "second")
    assert git(repo, "show", "gittrack/hook:source/staged.py") == "x = 1"
    assert git(repo, "show", "--format=%s", "--name-only", "HEAD").split() == ["second", "staged.py"]


def test_no_git_executable(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, tree = git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "HEAD^{tree}")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "nothing-here"))
        found = record()
        assert len(gittrack.runs()) == 1
        with gittrack.Tracker.open() as tracker, pytest.raises(GittrackError, match="git"):
            tracker.diff_source(found, _with_other_source(found))
    assert (found.source.captured, found.source.commit, found.source.tree) == ("commit", head, tree)
    git(repo, "fsck", "--strict")


def _with_other_source(run: gittrack.Run) -> gittrack.Run:
    from dataclasses import replace

    source = replace(run.source, tree="0" * 40)
    snapshot = replace(run.snapshot, run=replace(run.snapshot.run, source=source))
    return gittrack.Run(snapshot, run._reader, commit=run.commit)


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for action in (gittrack.start_run, gittrack.runs, lambda: gittrack.get_run("latest")):
        with pytest.raises(NotFound, match="not inside a Git repository"):
            action()


@pytest.fixture
def read_only_repo(repo: Path) -> Iterator[Path]:
    """A repository with one run that nobody can write to: by permissions, or for root by a read-only mount."""
    record()
    if os.geteuid() != 0:
        for path in [repo, *repo.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        yield repo
        for path in [repo, *repo.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        return
    bound = subprocess.run(["mount", "--bind", repo, repo], capture_output=True, text=True, check=False)
    if bound.returncode != 0:
        pytest.skip(f"root cannot make a directory read-only here: {bound.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", repo], check=True)
        os.chdir(repo)
        yield repo
    finally:
        os.chdir(repo.parent)
        subprocess.run(["umount", "-l", repo], check=True)


def test_read_only_repository(read_only_repo: Path) -> None:
    (found,) = gittrack.runs()
    assert found.series("loss")["value"].to_pylist() == [0.5]
    with pytest.warns(TrackingWarning, match="could not start a run") as caught:
        run = gittrack.start_run("churn", params={"lr": 0.2})
    run.log({"loss": 1.0})
    run.log_param("a", 1)
    run.log_text("x", "x.txt")
    with pytest.raises(GittrackError):
        run.log_param("a\n", 1)
    run.end()
    assert len(caught) == 1
    assert len(gittrack.runs()) == 1


def test_a_store_that_becomes_unwritable_keeps_the_journal(repo: Path) -> None:
    run = gittrack.start_run("churn")
    run.log({"loss": 1.0})
    objects = repo / ".git/objects"
    objects.rename(repo / ".git/objects-away")
    objects.write_text("in the way")
    with pytest.warns(TrackingWarning, match="Nothing of it is lost"):
        run.end()
    objects.unlink()
    (repo / ".git/objects-away").rename(objects)
    (found,) = gittrack.runs()
    assert (found.id, found.status, found.metrics) == (run.id, "FINISHED", {"loss": 1.0})
    assert found.snapshot.run.incomplete == ""

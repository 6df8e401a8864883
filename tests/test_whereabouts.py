"""A remote that has another address than before, or has lost what it had."""

from __future__ import annotations

from pathlib import Path

import pytest
from clones import tip_of
from conftest import git
from hubs import make_hub
from snapshots.invocation import call, read

import gittrack


@pytest.fixture
def shared(shared: Path) -> Path:
    """Return the repository this stands in; its experiments are at the remote, the hub."""
    for slug in ("churn", "other"):
        gittrack.start_run(slug).end()
    assert call("push", "--yes").code == 0
    return shared


def test_an_empty_repository_at_another_address_is_a_new_remote(shared: Path, tmp_path: Path) -> None:
    other = make_hub(tmp_path / "srv" / "other.git")
    git(shared, "remote", "set-url", "origin", str(other))
    assert [line.split()[3:] for line in read("status").lines[1:]] == [["no", "longer", "on", "the", "remote"]] * 2
    refused = call("push")
    assert (refused.code, refused.err.splitlines()[-1]) == (4, "hint: gittrack push origin --yes")
    assert "deleted" not in refused.err
    assert git(other, "for-each-ref") == ""
    assert call("push", "--yes").code == 0
    assert tip_of(other) == git(shared, "rev-parse", "gittrack/churn")
    assert "up to date" in read("status").out


def test_what_only_the_old_address_had_is_kept(shared: Path, tmp_path: Path, hub: Path) -> None:
    git(shared, "branch", "-q", "-D", "gittrack/other")
    other = make_hub(tmp_path / "srv" / "other.git")
    git(shared, "remote", "set-url", "origin", str(other))
    assert call("fetch").err == "note: nothing new on origin\n"
    assert git(shared, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/gittrack") == ""
    assert git(shared, "rev-parse", "gittrack/other") == tip_of(hub, "other")
    assert call("push", "--yes").code == 0
    assert tip_of(other, "other") == tip_of(hub, "other")


def test_the_same_repository_at_another_address(shared: Path, hub: Path) -> None:
    git(shared, "remote", "set-url", "origin", hub.as_uri())
    assert call("fetch").err == "note: nothing new on origin\n"
    assert "up to date" in read("status").out
    assert call("push").err == "note: origin has everything\n"


def test_what_was_deleted_there_is_a_failure_with_one_hint(shared: Path, hub: Path) -> None:
    for slug in ("churn", "other"):
        git(hub, "update-ref", "-d", f"refs/heads/gittrack/{slug}")
    answer = call("push")
    assert (answer.code, answer.err.splitlines()) == (
        4,
        [
            "error: churn, other not pushed: their branches were deleted on origin",
            "hint: gittrack push origin churn other",
        ],
    )
    assert "up to date" not in read("status").out
    assert "no longer on the remote" in read("status").out
    assert call("push", "origin", "churn", "other").code == 0
    assert read("status").out.count("up to date") == 2


def test_a_fetch_tells_status_what_is_gone(shared: Path, hub: Path) -> None:
    git(hub, "update-ref", "-d", "refs/heads/gittrack/churn")
    call("fetch")
    assert [entry["remote"] for entry in read("status", "--json").json("status")["experiments"]] == [False, True]
    assert call("push").code == 4


def test_code_that_only_the_old_address_has_is_looked_through(shared: Path, tmp_path: Path) -> None:
    (shared / "train.py").write_text(f'TOKEN = "ghp_{"a1b2" * 9}"\n')
    git(shared, "commit", "-qam", "a mistake")
    git(shared, "push", "-q", "origin", "HEAD")
    gittrack.start_run("churn").end()
    other = make_hub(tmp_path / "srv" / "other.git")
    git(shared, "remote", "set-url", "origin", str(other))
    for _ in range(2):
        assert "source/train.py: --allow-secret" in call("push", "origin", "churn", "--yes").err
    assert git(other, "for-each-ref") == ""

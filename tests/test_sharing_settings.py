"""Bad settings of sharing: a command refuses them, training goes on without them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import git
from hubs import make_hub
from snapshots.invocation import call, read, spawn_in_terminal

import gittrack


@pytest.mark.parametrize(("name", "value"), [("GITTRACK_AUTO_PUSH", "maybe"), ("GITTRACK_REMOTE", "a b")])
def test_a_bad_setting_of_sharing_does_not_end_the_training(
    repo: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.warns(gittrack.TrackingWarning, match=f"{name} is '{value}'") as caught, gittrack.start_run() as run:
        run.log({"loss": 1.0}, step=0)
    assert caught[0].filename == __file__
    assert call("status").code == 2
    monkeypatch.delenv(name)
    assert read("show", run.name, "--json").json("run")["status"] == "FINISHED"


def test_a_bad_setting_of_recording_still_does(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_SOURCE_FILE_LIMIT", "much")
    with pytest.raises(gittrack.InvalidInput):
        gittrack.start_run()


def test_auto_says_that_somebody_has_to_agree_first(repo: Path, tmp_path: Path) -> None:
    git(repo, "remote", "add", "origin", str(make_hub(tmp_path / "hub.git")))
    answer = call("push", "--auto")
    assert answer.code == 0
    assert (
        "note: runs go only after sharing through origin was agreed to once\nhint: gittrack push origin\n" in answer.err
    )
    assert git(repo, "config", "gittrack.autoPush") == "true"
    gittrack.start_run(store=None).end()
    call("push", "--yes")
    assert "agreed" not in call("push", "--auto").err


def test_auto_asks_at_a_terminal(repo: Path, tmp_path: Path) -> None:
    git(repo, "remote", "add", "origin", str(make_hub(tmp_path / "hub.git")))
    gittrack.start_run().end()
    code, written = spawn_in_terminal("push", "--auto", keys=b"y\n", columns=200)
    assert (code, "Share runs through origin? (asked once) [y/N]: " in written) == (0, True)
    assert git(repo, "config", "gittrack.autoPush") == "true"
    assert git(repo, "config", "gittrack.sharedWith") == str(tmp_path / "hub.git")

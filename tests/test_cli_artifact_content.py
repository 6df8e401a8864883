"""Content is freed where a remote has it, checked, and shown by the system's programs, which never run it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call

import gittrack
from gittrack.cli.artifact_open import find_danger, find_ending
from gittrack.deletion import delete_local_content, survey_local_content
from gittrack.tracker import Tracker


@pytest.fixture
def run(shared: Path) -> gittrack.Run:
    """Record two runs with remote `origin`; the second one's model is the first one's, too."""
    with gittrack.start_run("churn", name="first-ox-1") as active:
        active.log_text("weights", "model.bin")
    with gittrack.start_run("churn", name="second-ox-2") as active:
        active.log_text("weights", "model.bin")
        active.log_text("weights", "again.bin")
        active.log_text("picture", "plots/a.png")
        active.log_text("", "empty.txt")
    return gittrack.get_run("second-ox-2")


def share(repo: Path, hub: Path, *files: Path) -> None:
    for file in files:
        target = hub / "lfs/objects" / file.relative_to(repo / ".git/lfs/objects")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())


def test_content_that_a_remote_has_is_freed_and_fetched_again(run: gittrack.Run, shared: Path, hub: Path) -> None:
    model, picture = run.artifact_file("model.bin"), run.artifact_file("plots/a.png")
    share(shared, hub, model, picture)
    words = ("artifact", "rm-content", "second-ox-2")
    dry = call(*words)
    assert dry.code == 0
    assert [line.split() for line in dry.lines] == [
        ["PATH", "SIZE", "COPY", "ALSO", "IN"],
        ["again.bin,", "model.bin", "7", "B", "origin", "first-ox-1"],
        ["plots/a.png", "7", "B", "origin"],
    ]
    assert dry.err.splitlines() == [
        "note: 1 content is other runs' as well, and gone from here for them too",
        "note: would delete 2 contents, 14 B, from this machine",
        "hint: nothing was deleted; to do it: gittrack artifact rm-content second-ox-2 --yes",
    ]
    assert model.exists()
    assert call(*words, "--yes", "--dry-run").code == 0
    assert model.exists()
    done = call(*words, "*.bin", "--yes")
    assert (done.code, model.exists(), picture.exists()) == (0, False, True)
    assert "note: deleted 1 content, 7 B\n" in done.err
    assert call(*words, "*.bin", "--yes").err == "note: none of this content is on this machine\n"
    assert call("artifact", "cat", "first-ox-1", "model.bin").data == b"weights"
    assert git(shared, "status", "--porcelain") == ""


def test_what_no_remote_has_stays_unless_that_is_said(run: gittrack.Run, shared: Path, hub: Path) -> None:
    model, picture = run.artifact_file("model.bin"), run.artifact_file("plots/a.png")
    share(shared, hub, picture)
    answer = call("artifact", "rm-content", "second-ox-2", "--yes")
    assert (answer.code, model.exists(), picture.exists()) == (4, True, False)
    assert "error: 1 content of 2 of run second-ox-2 stayed: origin does not have it" in answer.err
    git(shared, "remote", "remove", "origin")
    answer = call("artifact", "rm-content", "second-ox-2", "--yes", "--json")
    assert (answer.code, answer.json("content")["files"][0]["kept"]) == (4, "there is no remote that could have it")
    answer = call("artifact", "rm-content", "second-ox-2", "--yes", "--even-last-copy")
    assert (answer.code, model.exists()) == (0, False)


def test_a_remote_that_cannot_be_asked_has_nothing(run: gittrack.Run, shared: Path, hub: Path) -> None:
    model = run.artifact_file("model.bin")
    share(shared, hub, model)
    hub.rename(hub.with_name("gone.git"))
    answer = call("artifact", "rm-content", "second-ox-2", "model.bin", "--yes")
    assert (answer.code, model.exists()) == (4, True)
    assert "it is not known whether a remote has it" in answer.err


def test_what_the_remote_has_in_another_size_is_no_copy(run: gittrack.Run, shared: Path, hub: Path) -> None:
    model = run.artifact_file("model.bin")
    share(shared, hub, model)
    (hub / "lfs/objects" / model.relative_to(shared / ".git/lfs/objects")).write_bytes(b"wei")
    answer = call("artifact", "rm-content", "second-ox-2", "model.bin", "--yes")
    assert (answer.code, model.exists(), "origin does not have it" in answer.err) == (4, True, True)


def test_what_a_run_needs_that_is_being_recorded_stays(run: gittrack.Run, shared: Path, hub: Path) -> None:
    model = run.artifact_file("model.bin")
    share(shared, hub, model)
    with Tracker.open(shared) as tracker:
        survey = survey_local_content(tracker, run.id, run.artifacts(), last_copy=True)
        with gittrack.start_run("churn") as active:
            active.log_text("weights", "mine.bin")
            assert delete_local_content(tracker, [entry for entry in survey if "model.bin" in entry.paths]) == []
            again = survey_local_content(tracker, run.id, {"model.bin": run.artifacts()["model.bin"]}, last_copy=True)
            assert [entry.kept for entry in again] == ["a run needs it that is being recorded"]
    assert model.read_bytes() == b"weights"


def test_content_that_was_put_again_since_is_not_deleted(run: gittrack.Run, shared: Path) -> None:
    model = run.artifact_file("model.bin")
    with Tracker.open(shared) as tracker:
        survey = survey_local_content(tracker, run.id, run.artifacts(), last_copy=True)
        tracker.content.put_bytes(b"weights")
        deleted = delete_local_content(tracker, survey)
    assert [entry.paths for entry in deleted] == [("plots/a.png",)]
    assert model.exists()


def test_artifacts_of_a_run_are_read_and_compared(run: gittrack.Run, shared: Path, hub: Path) -> None:
    assert call("artifact", "verify", "second-ox-2").err == "note: 4 contents of run second-ox-2 good, 21 B read\n"
    model, picture = run.artifact_file("model.bin"), run.artifact_file("plots/a.png")
    share(shared, hub, model, picture)
    model.chmod(0o644)
    model.write_bytes(b"stheigw")
    picture.unlink()
    answer = call("artifact", "verify", "second-ox-2")
    assert answer.code == 6
    assert "damaged  artifacts/model.bin: its bytes have another sha256" in answer.out
    assert f"rm-content {run.id[:8]} model.bin --yes && gittrack artifact get {run.id[:8]} model.bin" in answer.out
    assert "1 content (7 B) is not here, and with origin" in answer.err
    (verdict,) = call("artifact", "verify", "second-ox-2", "*.png", "--json").json("verified")
    assert (verdict["findings"], verdict["not_here"]) == ([], [{"path": "plots/a.png", "size": 7}])
    (verdict,) = call("artifact", "verify", "second-ox-2", "*.bin", "--json").json("verified")
    assert {found["place"] for found in verdict["findings"]} == {"artifacts/model.bin", "artifacts/again.bin"}
    assert call("artifact", "rm-content", run.id[:8], "model.bin", "--yes").code == 0
    assert call("artifact", "cat", "second-ox-2", "model.bin").data == b"weights"
    assert call("artifact", "verify", "second-ox-2", "*.bin").code == 0


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an xdg-open on PATH that writes down what it is given; return the file it writes."""
    said = tmp_path / "opened.txt"
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "xdg-open"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" "$1" > "{said}.new" && mv "{said}.new" "{said}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    return said


def wait_for(file: Path) -> list[str]:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, "nothing was opened"
        time.sleep(0.01)
    return file.read_text().splitlines()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="other systems have another opener")
def test_an_artifact_is_opened_as_a_copy_by_the_system(run: gittrack.Run, opener: Path, tmp_path: Path) -> None:
    answer = call("artifact", "open", "second-ox-2", "plots/a.png")
    assert (answer.code, answer.out) == (0, "")
    number, path = wait_for(opener)
    copy = Path(path)
    assert (number, copy.name, copy.read_bytes()) == ("1", "a.png", b"picture")
    assert (tmp_path / "temporary") in copy.parents
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o400, 0o700)


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("evil.sh", "echo", 2),
        ("evil.desktop", "[Desktop Entry]", 2),
        ("evil.exe", "MZ", 2),
        ("evil.png.command", "x", 2),
        ("evil", "x", 2),
        ("evil.PY", "x", 2),
        ("evil.txt", "#!/bin/sh\nrm -rf /", 6),
        ("evil.png", "\n[Desktop Entry]\nExec=evil", 6),
        ("evil.pdf", "MZ\x90", 6),
    ],
)
def test_what_a_system_might_run_is_not_opened(
    repo: Path, opener: Path, tmp_path: Path, path: str, text: str, code: int
) -> None:
    with gittrack.start_run("churn") as active:
        active.log_text(text, path)
    answer = call("artifact", "open", "latest", path)
    assert answer.code == code
    assert f"hint: gittrack artifact get latest {path}" in answer.err
    assert not opener.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_endings_and_beginnings_tell_programs() -> None:
    assert find_ending("a.b/c.PNG") == "png"
    assert find_ending(".bashrc") == ""
    assert find_danger(b"\x7fELF\x02") == find_danger(b"#!/bin/sh") == "it is a program"
    assert find_danger(b"\xef\xbb\xbf\r\n[InternetShortcut]") == "it starts a program"
    assert find_danger(b"\x89PNG\r\n") == find_danger(b"") == ""


def test_one_artifact_is_opened_at_a_time(run: gittrack.Run, opener: Path) -> None:
    assert call("artifact", "open", "second-ox-2", "*.bin").code == 2
    assert call("artifact", "open", "second-ox-2", "nope.png").code == 3
    assert not opener.exists()

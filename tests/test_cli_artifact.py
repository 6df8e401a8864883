"""Artifacts are listed, fetched below one directory and nowhere else, and printed byte for byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call, read, spawn

import gittrack
from gittrack.cli.chosen import choose_paths
from gittrack.errors import NotFound

BINARY = bytes(range(256)) * 5000


@pytest.fixture
def run(repo: Path) -> gittrack.Run:
    """Record a run with three artifacts."""
    (repo / "model.bin").write_bytes(BINARY)
    (repo / "model.bin").chmod(0o600)
    with gittrack.start_run("churn") as active:
        active.log_artifact(repo / "model.bin")
        active.log_text("a\n", "plots/a.txt")
        active.log_text("b\n", "plots/deep/b.txt")
    (repo / "model.bin").unlink()
    return gittrack.get_run("latest")


def find_content(run: gittrack.Run, path: str) -> Path:
    return run.artifact_file(path)


def test_artifacts_are_listed(run: gittrack.Run) -> None:
    assert [line.split()[:3] for line in read("artifact", "ls", "latest").lines[1:]] == [
        ["model.bin", "1.3", "MB"],
        ["plots/a.txt", "2", "B"],
        ["plots/deep/b.txt", "2", "B"],
    ]
    rows = read("artifact", "ls", "latest", "plots", "--json").json("artifacts")
    assert [(row["path"], row["size"], row["here"]) for row in rows] == [
        ("plots/a.txt", 2, True),
        ("plots/deep/b.txt", 2, True),
    ]
    find_content(run, "plots/a.txt").unlink()
    assert "not here" in read("artifact", "ls", "latest").lines[2]
    assert call("artifact", "ls", "latest", "nope").code == 3


def test_a_run_without_artifacts_says_so(repo: Path) -> None:
    with gittrack.start_run("x") as active:
        pass
    assert call("artifact", "ls", "latest").err == f"note: run {active.name} has no artifacts\n"
    assert read("artifact", "ls", "latest", "--json").json("artifacts") == []


def test_artifacts_are_printed_byte_for_byte(run: gittrack.Run) -> None:
    assert read("artifact", "cat", "latest", "model.bin", "plots/a.txt").data == BINARY + b"a\n"
    directory = call("artifact", "cat", "latest", "plots")
    assert (directory.code, directory.out) == (2, "")
    near = call("artifact", "cat", "latest", "model.bni")
    assert (near.code, near.err) == (3, f"error: run {run.name} has no artifact 'model.bni'\nhint: model.bin\n")


def test_artifacts_are_fetched_under_their_own_paths(run: gittrack.Run, tmp_path: Path) -> None:
    answer = call("artifact", "get", "latest", "-o", str(tmp_path / "new/out"))
    assert answer.code == 0
    assert answer.err == f"note: wrote 3 files, 1.3 MB, below {tmp_path}/new/out/\n"
    out = tmp_path / "new/out"
    assert answer.lines == [str(out / path) for path in ("model.bin", "plots/a.txt", "plots/deep/b.txt")]
    assert (out / "model.bin").read_bytes() == BINARY
    assert (out / "plots/deep/b.txt").read_text() == "b\n"
    assert stat.S_IMODE((out / "model.bin").stat().st_mode) == 0o644
    assert sorted(file.name for file in out.rglob("*") if file.is_file()) == ["a.txt", "b.txt", "model.bin"]


def test_a_fetched_file_can_be_changed_without_touching_the_store(run: gittrack.Run, tmp_path: Path) -> None:
    assert call("artifact", "get", "latest", "plots/a.txt", "-o", str(tmp_path)).code == 0
    (tmp_path / "plots/a.txt").write_text("changed")
    assert read("artifact", "cat", "latest", "plots/a.txt").data == b"a\n"


def test_without_a_directory_files_are_written_here(run: gittrack.Run, repo: Path) -> None:
    assert call("artifact", "get", "latest", "plots").lines == ["plots/a.txt", "plots/deep/b.txt"]
    assert (repo / "plots/a.txt").read_text() == "a\n"


def test_nothing_is_overwritten_unless_it_is_forced(run: gittrack.Run, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/a.txt").write_text("precious")
    words = ("artifact", "get", "latest", "-o", str(tmp_path))
    refused = call(*words)
    assert refused.code == 4
    assert "plots/a.txt' is there already" in refused.err
    assert not (tmp_path / "model.bin").exists()
    assert call(*words, "--force").code == 0
    assert (tmp_path / "plots/a.txt").read_text() == "a\n"
    again = call(*words)
    assert (again.code, again.lines) == (0, [])
    assert again.err == "note: 3 files are there already, with the same content\n"


def test_a_symbolic_link_is_never_followed(run: gittrack.Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/plots").symlink_to(tmp_path / "elsewhere")
    words = ("artifact", "get", "latest", "-o", str(tmp_path / "out"))
    answer = call(*words)
    assert (answer.code, answer.lines) == (4, [str(tmp_path / "out/model.bin")])
    assert (
        "artifact 'plots/a.txt' was not written: 'plots' there is a symbolic link, which is not followed" in answer.err
    )
    assert f"error: 2 of 3 artifacts of run {run.name} could not be written" in answer.err
    (tmp_path / "out/model.bin").unlink()
    assert call(*words, "--force").code == 4
    (tmp_path / "out/plots").unlink()
    (tmp_path / "out/model.bin").unlink()
    (tmp_path / "target").write_text("precious")
    (tmp_path / "out/model.bin").symlink_to(tmp_path / "target")
    assert call(*words, "--force").code == 4
    (tmp_path / "out/model.bin").unlink()
    (tmp_path / "out/model.bin").symlink_to(tmp_path / "dangling")
    assert call(*words, "--force").code == 4
    assert (tmp_path / "target").read_text() == "precious"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (tmp_path / "dangling").exists()


def test_a_file_in_the_place_of_a_directory_is_left_alone(run: gittrack.Run, tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("a file")
    assert call("artifact", "get", "latest", "-o", str(tmp_path), "--force").code == 4
    assert (tmp_path / "plots").read_text() == "a file"
    (tmp_path / "plots").unlink()
    (tmp_path / "model.bin").unlink()
    (tmp_path / "model.bin").mkdir()
    assert call("artifact", "get", "latest", "-o", str(tmp_path), "--force").code == 4
    assert (tmp_path / "model.bin").is_dir()
    assert (tmp_path / "plots/deep/b.txt").read_text() == "b\n"


def test_damaged_content_is_not_written(run: gittrack.Run, tmp_path: Path) -> None:
    content = find_content(run, "model.bin")
    content.chmod(0o644)
    content.write_bytes(BINARY[::-1])
    answer = call("artifact", "get", "latest", "model.bin", "-o", str(tmp_path / "out"))
    assert answer.code == 6
    assert not any(file.is_file() for file in (tmp_path / "out").rglob("*"))


def test_content_that_is_elsewhere_is_an_error_with_a_command(run: gittrack.Run, tmp_path: Path) -> None:
    find_content(run, "model.bin").unlink()
    answer = call("artifact", "get", "latest", "-o", str(tmp_path / "out"))
    assert answer.code == 3
    assert "is not on this machine, and there is no remote that could have it\nhint: gittrack remote\n" in answer.err
    assert not (tmp_path / "out").exists()


def test_patterns_and_limits_choose_what_is_fetched(run: gittrack.Run, tmp_path: Path) -> None:
    def get(*words: str) -> list[str]:
        out = tmp_path / "-".join(words).replace("/", "_").replace("*", "x")
        answer = call("artifact", "get", "latest", *words, "-o", str(out))
        assert answer.code == 0, answer.err
        return [os.path.relpath(line, out) for line in answer.lines]

    assert get("*.txt") == ["plots/a.txt", "plots/deep/b.txt"]
    assert get("plots/*.txt") == ["plots/a.txt"]
    assert get("--exclude", "deep/", "--max-size", "10kB") == ["plots/a.txt"]
    assert get("--include", "*.bin", "--include", "b.*") == ["model.bin", "plots/deep/b.txt"]
    rows = read("artifact", "ls", "latest", "pl*", "--json").json("artifacts")
    assert [row["path"] for row in rows] == ["plots/a.txt", "plots/deep/b.txt"]
    refused = call("artifact", "get", "latest", "*.png", "-o", str(tmp_path))
    assert (refused.code, "has no artifact that fits '*.png'" in refused.err) == (3, True)
    assert call("artifact", "get", "latest", "--max-size", "many").code == 2
    assert call("artifact", "cat", "latest", "*.txt").code == 2


def test_names_that_are_one_on_other_systems_are_refused_and_the_rest_is_fetched(repo: Path, tmp_path: Path) -> None:
    with gittrack.start_run("churn") as active:
        for path in (
            "Model.bin",
            "model.bin",
            "d/x",
            "D/y",
            "caf\u00e9",
            "cafe\u0301",
            ".g\u200cit/config",
            "COM\u00b9",
        ):
            active.log_text(path, path)
    answer = call("artifact", "get", "latest", "-o", str(tmp_path / "out"))
    assert answer.code == 4
    written = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*"))
    assert written == ["Model.bin"]
    assert sorted(answer.lines) == [str(tmp_path / "out" / path) for path in ("D/y", "Model.bin", "cafe\u0301")]
    assert "artifact 'model.bin' was not written: it is the same name as 'Model.bin' on some systems" in answer.err
    assert "error: 5 of 8 artifacts" in answer.err
    assert call("artifact", "get", "latest", "model.bin", "-o", str(tmp_path / "one")).code == 0


def test_of_an_unfit_record_the_fit_artifacts_are_fetched(repo: Path, tmp_path: Path) -> None:
    with gittrack.start_run("churn") as active:
        active.log_text("good", "good.txt")
        active.log_text("evil", "evil.txt")
    name = git(repo, "rev-parse", "gittrack/churn")
    tree = git(repo, "ls-tree", f"{name}:artifacts").replace("\tevil.txt", "\t..\\\\evil.txt")
    artifacts = git(repo, "mktree", "-z", stdin=tree.replace("\\\\", "\\").replace("\n", "\0").encode() + b"\0")
    entries = git(repo, "ls-tree", name)
    entries = entries.replace(git(repo, "rev-parse", f"{name}:artifacts"), artifacts)
    root = git(repo, "mktree", stdin=entries.encode() + b"\n")
    message = git(repo, "log", "-1", "--format=%B", name).encode()
    parent = git(repo, "rev-parse", f"{name}~1")
    unfit = git(repo, "commit-tree", root, "-p", parent, stdin=message)
    git(repo, "update-ref", "refs/heads/gittrack/churn", unfit)
    out = tmp_path / "out"
    answer = call("artifact", "get", active.id[:8], "-o", str(out))
    assert (answer.code, answer.lines) == (6, [str(out / "good.txt")])
    assert "is refused: not a usable artifact path" in answer.err
    assert [file.name for file in tmp_path.rglob("*evil*")] == []
    assert (out / "good.txt").read_text() == "good"


def test_paths_are_chosen_by_name_and_by_directory() -> None:
    known = ["b/x", "b/c/y", "a", "bb"]
    assert choose_paths(known, (), run="r") == ["a", "b/c/y", "b/x", "bb"]
    assert choose_paths(known, ("b/", "a", "b/x"), run="r") == ["b/c/y", "b/x", "a"]
    with pytest.raises(NotFound):
        choose_paths(known, ("c",), run="r")


def test_a_run_out_of_a_clone_has_no_contents_here(run: gittrack.Run, repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(repo), "clone")
    done = spawn("artifact", "ls", "latest", "--json", directory=tmp_path / "clone", env=dict(os.environ))
    assert done.returncode == 0
    assert '"here": false' in done.stdout

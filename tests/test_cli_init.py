"""`gittrack init` says which settings apply, writes some of them where it is told to, and changes nothing else."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call, read

import gittrack
from gittrack.cli.project import add_settings
from gittrack.errors import Conflict, InvalidInput

PROJECT = '# a comment\n[project]\nname = "model"   # odd   spacing\n\n[tool.other]\nx = [1,\n  2]'


def test_without_options_it_prints_the_settings(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repo, "config", "gittrack.experiment", "churn")
    monkeypatch.setenv("GITTRACK_AUTO_PUSH", "yes")
    rows = [line.split(maxsplit=2) for line in read("init").lines]
    assert rows == [
        ["SETTING", "VALUE", "FROM"],
        ["experiment", "churn", "git config gittrack.experiment"],
        ["store", "(none)", "default"],
        ["remote", "(none)", "default"],
        ["auto-push", "true", "GITTRACK_AUTO_PUSH"],
        ["namespace", "refs/heads/gittrack", "default"],
    ]
    assert read("init", "--json").json("settings")["experiment"] == {
        "value": "churn",
        "from": "git config gittrack.experiment",
    }
    assert git(repo, "status", "--porcelain") == ""


def test_settings_are_written_to_git_config(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    git(repo, "remote", "add", "-f", "origin", str(tmp_path / "runs.git"))
    answer = call("init", "-e", "Churn 2026", "--remote", "origin", "--auto-push", "--store", "../runs.git")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.splitlines() == [
        "note: git config gittrack.experiment is now Churn 2026",
        f"note: git config gittrack.store is now {tmp_path}/runs.git",
        "note: git config gittrack.remote is now origin",
        "note: git config gittrack.autoPush is now true",
    ]
    settings = read("init", "--json").json("settings")
    assert [settings[name]["value"] for name in ("experiment", "store", "remote", "auto_push")] == [
        "Churn 2026",
        str(tmp_path / "runs.git"),
        "origin",
        True,
    ]
    assert call("init", "--no-auto-push").code == 0
    assert git(repo, "config", "--get-all", "gittrack.autoPush") == "false"


def test_what_it_wrote_is_what_a_run_uses(repo: Path) -> None:
    assert call("init", "-e", "churn").code == 0
    with gittrack.start_run():
        pass
    assert read("show", "latest", "--json").json("run")["experiment"] == "churn"


def test_shared_settings_go_into_pyproject_and_leave_the_rest_as_it_is(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    file = repo / "pyproject.toml"
    file.write_text(PROJECT)
    file.chmod(0o640)
    (repo / "sub").mkdir()
    answer = call("-C", "sub", "init", "--shared", "-e", 'the "best"', "--store", "../../runs.git", "--auto-push")
    assert answer.err == f"note: experiment, store, auto-push set in [tool.gittrack] of {file}; commit it to share it\n"
    assert file.read_text() == (
        PROJECT + '\n\n[tool.gittrack]\nexperiment = "the \\"best\\""\nstore = "../runs.git"\nauto-push = true\n'
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    settings = read("init", "--json").json("settings")
    assert settings["experiment"]["value"] == 'the "best"'
    assert Path(settings["store"]["value"]).resolve() == (tmp_path / "runs.git").resolve()
    again = call("init", "--shared", "-e", "other")
    assert again.code == 4
    assert again.err.endswith('hint: edit it by hand: experiment = "other"\n')
    assert sorted(path.name for path in repo.iterdir()) == [".git", "README", "pyproject.toml", "sub", "train.py"]


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("", '[tool.gittrack]\nexperiment = "x"\n'),
        ("a = 1\n", 'a = 1\n\n[tool.gittrack]\nexperiment = "x"\n'),
        ("a = 1\r\n", 'a = 1\r\n\r\n[tool.gittrack]\r\nexperiment = "x"\r\n'),
    ],
)
def test_a_table_is_added_in_the_files_own_style(text: str, added: str, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(text.encode())
    add_settings(file, {"experiment": "x"})
    assert file.read_bytes().decode() == added


@pytest.mark.parametrize(
    ("text", "error"), [("[broken", InvalidInput), ("\udcff", InvalidInput), ("[tool]\ngittrack={}", Conflict)]
)
def test_a_file_that_cannot_be_extended_is_left_as_it_is(text: str, error: type[Exception], tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    data = text.encode("utf-8", "surrogateescape")
    file.write_bytes(data)
    with pytest.raises(error):
        add_settings(file, {"experiment": "x"})
    assert file.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-e", "???"), 2),
        (("-e", "a\nb"), 2),
        (("--store", "../nowhere"), 3),
        (("--remote", "upstream"), 2),
        (("--shared",), 2),
    ],
)
def test_what_could_not_work_is_not_written(words: tuple[str, ...], code: int, repo: Path) -> None:
    before = (repo / ".git/config").read_bytes()
    assert call("init", *words).code == code
    assert (repo / ".git/config").read_bytes() == before
    assert not (repo / "pyproject.toml").exists()


def test_a_name_that_looks_like_an_option_is_a_name(repo: Path) -> None:
    assert call("init", "-e", "--unset-all").code == 0
    assert git(repo, "config", "gittrack.experiment") == "--unset-all"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_project_is_an_error(repo: Path) -> None:
    subprocess.run(["chmod", "a-w", str(repo)], check=True)
    assert call("init", "--shared", "-e", "x").code == 7

"""What a person sees at a terminal: colours, widths, the pager; and what NO_COLOR, TERM and git's settings change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import spawn, spawn_in_terminal

import gittrack

ESCAPE = "\x1b["


@pytest.fixture
def two_runs(repo: Path) -> Path:
    """Record two runs, one of which failed."""
    with gittrack.start_run("churn", params={"lr": 0.1}) as run:
        run.log({"val_accuracy": 0.9, "loss": 0.1})
    (repo / "train.py").write_text("print('changed')\n")
    failing = gittrack.start_run("churn", params={"lr": 0.2})
    failing.log({"val_accuracy": 0.8, "loss": 0.2})
    failing.end("FAILED")
    return repo


def test_a_terminal_gets_colours_ages_and_its_own_width(two_runs: Path) -> None:
    code, text = spawn_in_terminal("ls", columns=120)
    assert code == 0
    assert "\x1b[31mFAILED\x1b[0m" in text
    assert "\x1b[32mFINISHED\x1b[0m" in text
    assert re.search(r"just now|\d+ s ago", text)
    for columns in (40, 60):
        code, text = spawn_in_terminal("ls", columns=columns)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        assert max(map(len, lines)) <= columns
        assert any(line.startswith("note: ") and "left out" in line for line in lines)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_done_without(two_runs: Path, variables: dict[str, str]) -> None:
    for words in (("ls",), ("show", "latest"), ("nonsense",)):
        _, text = spawn_in_terminal(*words, variables=variables)
        assert ESCAPE not in text
    assert ESCAPE in spawn_in_terminal("ls", variables={"NO_COLOR": ""})[1]


def test_a_pipe_gets_no_colours_no_ages_and_everything(two_runs: Path) -> None:
    done = spawn("ls", directory=two_runs)
    assert done.stderr == ""
    assert ESCAPE not in done.stdout
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done.stdout)
    names = [run.name for run in gittrack.runs()]
    assert all(name in done.stdout for name in names)
    assert done.stdout.splitlines()[0].split()[-3:] == ["lr", "val_accuracy", "loss"]


def test_errors_are_coloured_on_a_terminal_only(two_runs: Path) -> None:
    assert "\x1b[31m\x1b[1merror:\x1b[0m" in spawn_in_terminal("nonsense")[1]
    assert ESCAPE not in spawn("nonsense", directory=two_runs).stderr


def test_diff_and_log_go_through_the_pager_git_would_use(two_runs: Path) -> None:
    words = ("diff", "latest~1", "latest")
    assert "PAGED" in spawn_in_terminal(*words, variables={"GIT_PAGER": "sed s/lr/PAGED/"})[1]
    assert "PAGED" in spawn_in_terminal("log", variables={"GIT_PAGER": "sed s/churn/PAGED/"})[1]
    git(two_runs, "config", "core.pager", "sed s/lr/CONFIGURED/")
    assert "CONFIGURED" in spawn_in_terminal(*words)[1]
    assert "CONFIGURED" not in spawn_in_terminal(*words, "--no-pager")[1]
    assert "CONFIGURED" not in spawn_in_terminal("ls")[1]
    assert "CONFIGURED" not in spawn(*words, directory=two_runs).stdout
    git(two_runs, "config", "--unset", "core.pager")
    (two_runs.parent / "home").mkdir(exist_ok=True)
    git(two_runs, "config", "--global", "--unset", "core.pager")
    assert "PAGED" in spawn_in_terminal(*words, variables={"PAGER": "sed s/lr/PAGED/"})[1]
    assert "PAGED" in spawn_in_terminal(*words, variables={"PAGER": "X=lr sed s/lr/PAGED/"})[1]


def test_the_pager_is_given_colours_and_what_git_gives_it(two_runs: Path) -> None:
    _, text = spawn_in_terminal("log", variables={"GIT_PAGER": "env"})
    assert "LESS=FRX" in text
    _, text = spawn_in_terminal("log", variables={"GIT_PAGER": "env", "LESS": "-S"})
    assert "LESS=-S" in text
    _, text = spawn_in_terminal("diff", "latest~1", "latest", variables={"GIT_PAGER": "cat -v"})
    assert "^[[32m+print('changed')^[[0m" in text


@pytest.mark.parametrize("pager", ["no-such-program", "cat", ""])
def test_without_a_pager_the_text_is_printed(two_runs: Path, pager: str) -> None:
    code, text = spawn_in_terminal("log", variables={"GIT_PAGER": pager})
    assert code == 0
    assert text.count("Experiment:") == 2


def test_a_pager_that_is_left_early_is_no_error(two_runs: Path) -> None:
    for _ in range(30):
        with gittrack.start_run("churn", note="word " * 1000):
            pass
    code, text = spawn_in_terminal("log", variables={"GIT_PAGER": "head -n 1"})
    assert code == 0
    assert len(text.splitlines()) == 1


def test_what_runs_say_cannot_command_the_terminal(repo: Path) -> None:
    with gittrack.start_run("churn", note="\x1b]0;owned\x07\x1b[2J\u202enote", tags={"t": "\x1b[5mblink"}) as run:
        run.log_param("p", "\x1b[31mred\x9b1m")
    (repo / "train.py").write_bytes(b"\x1b[2Jclear\r\n")
    with gittrack.start_run("churn"):
        pass
    for line in ("show latest~1", "log", "diff latest~1 latest", "compare latest latest~1", "ls"):
        words = line.split()
        _, text = spawn_in_terminal(*words, columns=200)
        rest = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", rest), words
        assert "\x1b[5m" not in text

"""What happens when something fails: a line of words, a line to paste, one exit code; the traceback with --debug."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from conftest import git
from snapshots.invocation import COMMAND, Answer, call, spawn

import gittrack
from gittrack import errors
from gittrack.cli.failure import EXIT_CODES, MEANINGS, find_close, find_exit_code, report
from gittrack.cli.process import CommandUnusable
from gittrack.cli.terminal import Terminal


def make_error(kind: type[BaseException]) -> BaseException:
    return kind() if kind in (KeyboardInterrupt, click.Abort) else kind("it failed")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.GittrackError, 1),
        (errors.InvalidInput, 2),
        (click.UsageError, 2),
        (click.NoSuchOption, 2),
        (errors.NotFound, 3),
        (errors.Ambiguous, 3),
        (errors.Conflict, 4),
        (errors.Unsupported, 5),
        (errors.Corrupt, 6),
        (errors.StoreFailed, 7),
        (errors.RemoteFailed, 8),
        (KeyError, 1),
        (OSError, 1),
        (KeyboardInterrupt, 130),
        (click.Abort, 130),
        (BrokenPipeError, 141),
    ],
)
def test_every_error_has_one_exit_code(kind: type[BaseException], code: int) -> None:
    assert find_exit_code(make_error(kind)) == code
    assert code in MEANINGS


def test_the_table_and_its_explanation_have_the_same_codes() -> None:
    assert {0, *EXIT_CODES.values()} == set(MEANINGS)


def test_every_public_error_is_in_the_table() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GittrackError)
    ]
    assert len(kinds) > 7
    unmapped = [kind for kind in kinds if find_exit_code(make_error(kind)) == 1]
    assert unmapped == [errors.GittrackError]


def test_a_command_that_cannot_run_has_the_code_of_a_shell() -> None:
    assert find_exit_code(CommandUnusable("no", exit_code=127)) == 127


def say(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    report(error, Terminal(), arguments=["ls", "-e", "a b"])
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_an_error_is_said_with_its_hint_and_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(errors.NotFound("no run 'x'", hint="gittrack ls"), capsys) == "error: no run 'x'\nhint: gittrack ls\n"
    ambiguous = errors.Ambiguous("'a' fits 2 runs", candidates=("1  a", "2  \x1b[31mb"), hint="gittrack show 1")
    assert say(ambiguous, capsys) == "error: 'a' fits 2 runs\n  1  a\n  2  b\nhint: gittrack show 1\n"


def test_what_an_error_quotes_is_safe_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(errors.NotFound("no \x1b]0;x\x07\x9b2J\u202erun", hint="a\x9bmb"), capsys) == "error: no run\nhint: ab\n"
    assert "\x1b" not in say(KeyError("\x1b[31m"), capsys)


def test_a_surprise_is_one_line_and_says_how_to_learn_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(ZeroDivisionError("division by zero"), capsys) == (
        "error: unexpected ZeroDivisionError: division by zero\n"
        "hint: run again with --debug: gittrack --debug ls -e 'a b'\n"
    )


def test_an_error_of_the_system_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(PermissionError(13, "Permission denied", "x/y"), capsys) == "error: Permission denied: x/y\n"


def test_interruptions_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in (KeyboardInterrupt, click.Abort, BrokenPipeError):
        assert say(make_error(kind), capsys) == ""


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["lss"], 2, "error: 'lss' is not a gittrack command\nhint: gittrack ls\n"),
        (["list"], 2, "error: 'list' is not a gittrack command\nhint: gittrack ls\n"),
        (["delete", "x"], 2, "error: 'delete' is not a gittrack command\nhint: gittrack rm\n"),
        (["compair"], 2, "error: 'compair' is not a gittrack command\nhint: gittrack compare\n"),
        (["xyzzy"], 2, "error: 'xyzzy' is not a gittrack command\nhint: gittrack --help\n"),
        (
            ["experiment", "list"],
            2,
            "error: 'list' is not a gittrack experiment command\nhint: gittrack experiment ls\n",
        ),
        (
            ["artifact"],
            2,
            "error: gittrack artifact needs a command: ls, get, cat, open, rm-content, verify\n"
            "hint: gittrack artifact --help\n",
        ),
        (
            ["ls", "--colums", "id"],
            2,
            "error: no such option '--colums'\n  usage: gittrack ls [OPTIONS] [QUERY]\nhint: gittrack ls --columns\n",
        ),
        (
            ["ls", "--zzz"],
            2,
            "error: no such option '--zzz'\n  usage: gittrack ls [OPTIONS] [QUERY]\nhint: gittrack ls --help\n",
        ),
        (
            ["--stor", "x", "ls"],
            2,
            "error: no such option '--stor'\n  usage: gittrack [OPTIONS] COMMAND [ARGS]...\nhint: gittrack --store\n",
        ),
        (
            ["show"],
            2,
            "error: missing argument 'RUN'\n  usage: gittrack show [OPTIONS] RUN\nhint: gittrack show --help\n",
        ),
        (["show", "latest"], 3, "error: there is no latest~0: 0 runs are recorded\nhint: gittrack ls\n"),
        (["-C", "nowhere", "ls"], 2, "error: cannot change to 'nowhere': No such file or directory\n"),
    ],
)
def test_a_mistake_on_the_command_line_is_answered_with_what_was_meant(
    words: list[str], code: int, err: str, repo: Path
) -> None:
    assert call(*words) == Answer(code, b"", err)


def test_an_ambiguous_name_lists_its_candidates(repo: Path) -> None:
    runs = []
    for _ in range(2):
        with gittrack.start_run("x", name="same") as run:
            runs.append(run.id)
    answer = call("show", "same")
    assert answer.code == 3
    first, *candidates, hint = answer.err.splitlines()
    assert first == "error: 'same' fits 2 runs"
    assert sorted(line.split()[0] for line in candidates) == sorted(run_id[:8] for run_id in runs)
    assert hint.startswith("hint: gittrack show ")


def test_a_directory_that_is_no_repository_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    done = spawn("ls", directory=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: not inside a Git repository")
    assert "hint: git init" in done.stderr


def test_a_traceback_is_shown_with_debug_only(repo: Path) -> None:
    with gittrack.start_run("x"):
        pass
    for objects in (repo / ".git/objects").glob("??"):
        if objects.name != git(repo, "rev-parse", "gittrack/x")[:2]:
            for file in objects.iterdir():
                file.chmod(0o644)
                file.write_bytes(b"damaged")
    quiet = spawn("show", "latest", directory=repo)
    assert quiet.returncode != 0
    assert "Traceback" not in quiet.stderr
    assert "\nerror: " in "\n" + quiet.stderr
    for words in (("--debug", "show", "latest"), ("show", "latest", "--debug")):
        loud = spawn(*words, directory=repo)
        assert "Traceback" in loud.stderr
        assert loud.returncode == quiet.returncode


def test_a_reader_that_goes_away_is_no_error(repo: Path) -> None:
    for number in range(40):
        gittrack.start_run("x", name="n" * 200, params={f"p{number}": "v" * 1000}).end()
    with subprocess.Popen(
        [*COMMAND, "ls", "--all", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_short_answer_to_nobody_is_no_error_either(repo: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "--version"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode in (1, 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_cannot_be_written_is_an_error(repo: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device\n"


def test_an_interrupt_ends_quietly(repo: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with gittrack.start_run("x"):
        pass
    process = subprocess.Popen(
        [*COMMAND, "note", "latest", "-F", str(tmp_path / "fifo")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=repo,
    )
    with open(tmp_path / "fifo", "w"):  # opened once the command reads
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert err.strip() == b""


def test_text_that_the_terminal_cannot_show_does_not_end_the_command(repo: Path) -> None:
    with gittrack.start_run("x", name="grün-日本") as run:
        run.log({"loss": 1.0})
    with gittrack.start_run("x") as run:
        run.log({"loss": 2.0})
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    words = ("compare", "latest", "latest~1")
    done = subprocess.run([*COMMAND, *words], capture_output=True, env=environment, check=False)
    assert done.returncode == 0
    assert b"v less is better, ^ more is better" in done.stdout
    assert "grün-??".encode("latin-1") in done.stdout


def test_near_words_are_found() -> None:
    assert find_close("comp", ["compare", "completion", "ls"]) == ["compare", "completion"]
    assert find_close("--colunms", ["--columns", "--all"]) == ["--columns"]
    assert find_close("zzz", ["ls"]) == []


def test_main_can_be_given_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    from gittrack.cli import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gittrack {gittrack.__version__}\n"
    assert sys.argv[0] != "gittrack"

"""The user's git as a subprocess: arguments, environment, exit status, error text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import git

from gittrack.errors import InvalidInput, StoreFailed, Unsupported
from gittrack.git import DURABLE, Git, GitFailed, clean_environment, clean_text, find_git


def test_output_and_input_are_bytes(repo: Path) -> None:
    runner = Git(repo)
    assert runner.run("rev-parse", "HEAD").decode().strip() == git(repo, "rev-parse", "HEAD")
    data = bytes(range(256))
    blob = runner.run("hash-object", "-w", "--stdin", input=data).decode().strip()
    assert runner.run("cat-file", "blob", blob) == data


def test_a_name_that_is_not_unicode_is_passed_as_it_is(repo: Path) -> None:
    name = b"caf\xe9"
    with open(os.fsencode(repo) + b"/" + name, "wb"):
        pass
    assert Git(repo).run("ls-files", "-z", "--others", "--", name) == name + b"\0"


def test_failure_has_code_words_and_command(repo: Path) -> None:
    with pytest.raises(GitFailed) as caught:
        Git(repo).run("-c", "a.b=c", "rev-parse", "--verify", "nothing")
    assert caught.value.code == 128
    assert caught.value.stderr == "fatal: Needed a single revision"
    assert caught.value.message == "git rev-parse failed: Needed a single revision"
    assert isinstance(caught.value, StoreFailed)


def test_failure_without_words_tells_the_status(repo: Path) -> None:
    with pytest.raises(GitFailed, match="git config failed: it ended with status 1"):
        Git(repo).run("config", "--get", "not.there")


def test_a_directory_that_is_gone_is_gits_own_error(tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="cannot change to"):
        Git(tmp_path / "gone").run("status")


def test_a_nul_in_an_argument_is_refused(repo: Path) -> None:
    with pytest.raises(InvalidInput, match="null"):
        Git(repo).run("rev-parse", "a\0b")


def test_where_no_git_is_installed_the_hint_says_what_to_do(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo))
    assert find_git() is None
    with pytest.raises(Unsupported) as caught:
        Git(repo).run("status")
    assert caught.value.hint


INHERITED = """
GIT_DIR
GIT_WORK_TREE
GIT_INDEX_FILE
GIT_OBJECT_DIRECTORY
GIT_COMMON_DIR
GIT_PREFIX
GIT_ALTERNATE_OBJECT_DIRECTORIES
GIT_NAMESPACE
GIT_QUARANTINE_PATH
GIT_CEILING_DIRECTORIES
GIT_CONFIG
GIT_EXTERNAL_DIFF
GIT_LITERAL_PATHSPECS
GIT_DEFAULT_HASH
GIT_SHALLOW_FILE
GIT_OPTIONAL_LOCKS
""".split()
KEPT = """
GIT_CONFIG_GLOBAL
GIT_CONFIG_COUNT
GIT_CONFIG_KEY_0
GIT_CONFIG_VALUE_0
GIT_CONFIG_PARAMETERS
GIT_SSH
GIT_SSH_COMMAND
GIT_ASKPASS
GIT_TERMINAL_PROMPT
GIT_SSL_NO_VERIFY
GIT_PROXY_COMMAND
GIT_TRACE
GIT_AUTHOR_NAME
GIT_COMMITTER_EMAIL
GIT_EXEC_PATH
HTTPS_PROXY
""".split()


def test_the_environment_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in INHERITED + KEPT:
        monkeypatch.setenv(name, "x")
    environment = clean_environment({"GIT_INDEX_FILE": "mine"})
    assert {name: environment.get(name) for name in KEPT} == dict.fromkeys(KEPT, "x")
    assert [name for name in INHERITED if name in environment] == ["GIT_INDEX_FILE"]
    assert environment["GIT_INDEX_FILE"] == "mine"
    assert environment["LC_ALL"] == "C"
    assert environment["GIT_ALLOW_PROTOCOL"] == "https:http:ssh:git:file"


def test_the_users_stricter_protocols_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "https")
    assert clean_environment()["GIT_ALLOW_PROTOCOL"] == "https"


def test_inside_a_hook_the_right_repository_is_used(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert Git(repo).run("rev-parse", "--show-toplevel").decode().strip() == str(repo)


def test_hooks_and_file_system_monitors_are_not_run(repo: Path) -> None:
    ran = repo / "ran"
    for name in ("post-commit", "reference-transaction"):
        hook = repo / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o755)
    git(repo, "config", "core.fsmonitor", str(repo / ".git" / "hooks" / "post-commit"))
    Git(repo).run("status")
    Git(repo).run("commit", "--allow-empty", "-qm", "second")
    assert not ran.exists()


def test_output_is_plain_whatever_the_user_configured(repo: Path) -> None:
    git(repo, "config", "color.ui", "always")
    (repo / "é").touch()
    assert Git(repo).run("status", "--short").decode() == "?? é\n"


def test_a_started_command_runs_while_the_caller_works(repo: Path) -> None:
    started = Git(repo).start("rev-parse", "HEAD")
    assert started.finish().decode().strip() == git(repo, "rev-parse", "HEAD")
    with pytest.raises(GitFailed, match="Needed a single revision"):
        Git(repo).start("rev-parse", "--verify", "nothing").finish()


def test_a_started_command_can_be_cancelled(repo: Path) -> None:
    started = Git(repo).start("-c", "alias.wait=!sleep 60", "wait")
    started.cancel()
    started.cancel()
    assert started._process.returncode is not None


def test_a_started_command_may_say_more_than_a_pipe_holds(repo: Path) -> None:
    size = 1 << 20
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"x" * size)
    assert len(Git(repo).start("cat-file", "blob", blob).finish()) == size


def test_a_stream_answers_while_it_is_asked(repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    with Git(repo).stream("cat-file", "--batch-check") as stream:
        for _ in range(3):
            stream.stdin.write(head.encode() + b"\n")
            stream.stdin.flush()
            assert stream.stdout.readline().split()[:2] == [head.encode(), b"commit"]
    assert stream._process.returncode == 0


def test_a_stream_that_fails_raises_what_git_said(repo: Path) -> None:
    stream = Git(repo).stream("cat-file", "--bogus")
    stream._process.wait()
    with pytest.raises(GitFailed, match="usage: git cat-file"), stream:
        os.write(stream.stdin.fileno(), b"x")


def test_a_stream_left_by_an_exception_is_ended(repo: Path) -> None:
    with pytest.raises(KeyError), Git(repo).stream("cat-file", "--batch") as stream:
        raise KeyError
    assert stream._process.returncode is not None


def test_an_answer_may_be_longer_than_a_pipe_and_so_may_the_questions(repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    asked = f"{head}\n".encode() * 20_000
    with Git(repo).answer("cat-file", "--batch-check", "--buffer", input=asked) as answer:
        assert (
            answer.stdout.read().splitlines()
            == [f"{head} commit {git(repo, 'cat-file', '-s', head)}".encode()] * 20_000
        )


def test_an_answer_that_fails_raises_what_git_said(repo: Path) -> None:
    with pytest.raises(GitFailed, match="bogus"), Git(repo).answer("cat-file", "--bogus", input=b"") as answer:
        assert answer.stdout.read() == b""
    with pytest.raises(KeyError), Git(repo).answer("cat-file", "--batch", input=b"HEAD\n" * 9999):
        raise KeyError


def test_durable_options_are_understood_and_say_nothing(repo: Path) -> None:
    runner = Git(repo)
    blob = runner.run(*DURABLE, "hash-object", "-w", "--stdin", input=b"x").decode().strip()
    assert git(repo, "cat-file", "-t", blob) == "blob"
    with pytest.raises(GitFailed) as caught:
        runner.run(*DURABLE, "hash-object", "-w", "--", "not-there")
    assert "deprecated" not in caught.value.stderr


def test_text_of_others_is_made_safe_to_print() -> None:
    raw = b"\x1b[31mremote:\x1b[0m \x1b]0;title\x07 a\tb\x00\x08\r50%\r100%\r\n"
    raw += b"at https://user:pa55@host/x \xff\xe2\x80\xae\n"
    assert clean_text(raw) == "remote:  a b\n50%\n100%\nat https://host/x \ufffd"


def test_importing_starts_nothing_and_loads_no_git_library() -> None:
    code = "import sys, gittrack.git, gittrack.repository, gittrack.store; print('dulwich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

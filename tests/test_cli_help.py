"""The help pages: quick, complete, with examples that work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from snapshots.check import check_snapshot
from snapshots.invocation import COMMAND, call, read

from gittrack.cli.help import TOPICS
from gittrack.cli.root import COMMANDS, make_root


def walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words[-1] if words else "gittrack")
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk(child, (*words, name))


ALL = dict(walk(make_root()))
# `gittrack record` explains its verbs by the shell scripts they stand in.
LEAVES = {
    words: command for words, command in ALL.items() if not isinstance(command, click.Group) and words[0] != "record"
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says_of_itself(name: str) -> None:
    command = ALL[(name,)]
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name].summary


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_help_page_begins_with_an_order_and_fits_its_line(words: tuple[str, ...]) -> None:
    command = ALL[words]
    summary = command.get_short_help_str(200)
    assert re.fullmatch(r"[A-Z][a-z]+,? .{3,90}\.", summary), summary
    assert not summary.split()[0].endswith("s"), summary


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_an_example(words: tuple[str, ...]) -> None:
    page = read(*words, "--help").out
    assert re.search(r"^Examples?:\n  .*gittrack ", page, re.MULTILINE), page


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_the_examples_are_command_lines_that_parse(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = read(*words, "--help").out
    examples = re.search(r"^Examples?:\n((?:  .*\n?)+)", page, re.MULTILINE)
    assert examples is not None
    for line in examples.group(1).splitlines():
        parse(line.strip())


def parse(line: str) -> None:
    """Parse the gittrack command of a shell line, without running it."""
    text = re.search(r"gittrack ((?:'[^']*'|\"(?:[^\"\\$]|\\.)*\"|[^'\"|>&)])*)", line.partition("  #")[0])
    assert text is not None, line
    words = shlex.split(text.group(1))
    command: click.Command = make_root()
    context = click.Context(command, info_name="gittrack")
    while isinstance(command, click.Group) and words:
        child = command.get_command(context, words[0])
        assert child is not None, line
        command = child
        context = command.make_context(
            words.pop(0), words if not isinstance(command, click.Group) else words[:1], parent=context
        )


def test_the_first_page_is_exactly_this() -> None:
    check_snapshot("help", read("--help").out)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_help_page_fits_80_columns(words: tuple[str, ...]) -> None:
    lines = read(*words, "--help").lines
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].startswith(" ".join(["Usage: gittrack", *words]))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_exactly_this_and_fits_80_columns(topic: str) -> None:
    text = read("help", topic).out
    check_snapshot(f"topic-{topic}", text)
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_help_is_help() -> None:
    assert read("help").out == read("--help").out == read().out == read("-h").out
    assert read("help", "experiment", "create").out == read("experiment", "create", "--help").out
    refused = call("help", "shwo")
    assert (refused.code, refused.err) == (3, "error: no command or topic 'shwo'\nhint: gittrack help show\n")


def find_imports(*words: str) -> set[str]:
    """Return the top-level packages that a command line imports, in a process of its own."""
    code = (
        "import sys; from gittrack.cli import main; code = main(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_a_help_page_imports_nothing_heavy(repo: Path) -> None:
    assert find_imports("--help") & {"pyarrow", "dulwich", "rich", "numpy", "subprocess", "json"} == set()
    assert find_imports("--version") & {"pyarrow", "dulwich", "rich", "numpy"} == set()
    assert find_imports("help", "ls") & {"pyarrow", "dulwich", "rich", "numpy"} == set()


def test_reading_runs_imports_no_pandas(repo: Path) -> None:
    import gittrack

    with gittrack.start_run("x", params={"a": 1}) as run:
        run.log({"loss": 0.5})
    for words in (["ls"], ["ls", "loss < 1", "--sort", "a"], ["best", "loss"], ["show", "latest"], ["log"]):
        assert find_imports(*words) & {"pandas", "matplotlib", "plotly"} == set(), words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    script = read("completion", shell).out
    assert f"_GITTRACK_COMPLETE={shell}_complete" in script
    assert "gittrack" in script


def complete(line: str, repo: Path, **variables: str) -> list[str]:
    """Return what bash would be offered at the end of line."""
    import os

    words = line.split(" ")
    done = subprocess.run(
        COMMAND,
        cwd=repo,
        env={
            **os.environ,
            "_GITTRACK_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry]


def test_commands_options_runs_and_experiments_are_completed(repo: Path) -> None:
    import gittrack

    with gittrack.start_run("churn", name="alpha") as first:
        pass
    with gittrack.start_run("chess", name="beta"):
        pass
    assert complete("gittrack com", repo) == ["compare", "completion"]
    assert complete("gittrack experiment r", repo) == ["rename", "rm", "restore"]
    assert complete("gittrack ls --so", repo) == ["--sort"]
    assert complete("gittrack show ", repo) == ["latest", "beta", "alpha"]
    assert complete("gittrack show al", repo) == ["alpha"]
    assert first.id[:8] in complete(f"gittrack compare beta {first.id[:3]}", repo)
    assert complete("gittrack ls -e ch", repo) == ["chess", "churn"]
    assert complete("gittrack log chu", repo) == ["churn"]
    assert complete("gittrack help js", repo) == ["json"]
    assert complete("gittrack -C repo show al", repo.parent) == ["alpha"]
    assert complete("gittrack show al", repo.parent) == []

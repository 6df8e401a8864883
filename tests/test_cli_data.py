"""`show`, `diff`, `compare` and `ls` tell which data runs read, and whether it was the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import gittrack
from gittrack.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    code = main(list(words))
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    return captured.out


def find_lines(text: str, section: str) -> list[str]:
    """Return a section's lines, runs of spaces as one."""
    block = re.search(rf"^{section}.*\n((?:  .*\n)+)", text, re.MULTILINE)
    return [re.sub(" +", " ", line).strip() for line in block.group(1).splitlines()] if block else []


@pytest.fixture
def runs(repo: Path) -> Path:
    """Record two runs: of the same test data, of other training data, and of one file that got another name."""
    (repo / "test.csv").write_text("1\n")
    (repo / "words.txt").write_text("a b\n")
    for name, content, vocabulary in (("old", "1\n2\n", "words"), ("new", "1\n3\n", "vocabulary")):
        (repo / "train.csv").write_text(content)
        with gittrack.start_run("churn", name=name) as active:
            active.log_input("train.csv", name="train", context="training")
            active.log_input("test.csv", name="test")
            active.log_input("words.txt", name=vocabulary)
            active.log_input({"x": [1, 2], "y": [3, 4]}, name="frame")
            if name == "new":
                active.log_input({"x": [1]}, name="more")
    return repo


def test_show_tells_what_was_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gittrack.get_run("new").inputs
    assert find_lines(run(capsys, "show", "new"), "inputs") == [
        f"train train.csv 4 B {found[0].digest[:19]} training",
        f"test test.csv 2 B {found[1].digest[:19]}",
        f"vocabulary words.txt 4 B {found[2].digest[:19]}",
        f"frame dict {found[3].size} B {found[3].digest[:19]} memory, 2 rows, 2 columns",
        f"more dict {found[4].size} B {found[4].digest[:19]} memory, 1 row, 1 column",
    ]
    shown = json.loads(run(capsys, "show", "new", "--json"))["run"]["inputs"]
    assert (shown[3]["path"], shown[3]["rows"], shown[3]["digest"]) == ("", 2, found[3].digest)


def test_diff_tells_other_content_from_other_names(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = ({entry.name: entry for entry in gittrack.get_run(name).inputs} for name in ("old", "new"))

    def say(entry: gittrack.model.Input) -> str:  # type: ignore[name-defined]
        return f"{entry.digest[:15]}, {entry.size} B"

    assert find_lines(run(capsys, "diff", "old", "new"), "inputs") == [
        f"+ more {say(new['more'])}",
        f"~ train {say(old['train'])} {say(new['train'])} other content",
        f"+ vocabulary {say(new['vocabulary'])} same content as words",
        f"- words {say(old['words'])} same content as vocabulary",
    ]
    record = json.loads(run(capsys, "diff", "old", "new", "--json"))["diff"]["inputs"]
    assert list(record) == ["more", "train", "vocabulary", "words"]
    ids = {name: gittrack.get_run(name).id for name in ("old", "new")}
    assert {run_id: value[0]["digest"] for run_id, value in record["train"]["values"].items()} == {
        ids["old"]: old["train"].digest,
        ids["new"]: new["train"].digest,
    }
    assert list(record["more"]["values"]) == [ids["new"]]


def test_compare_shows_data_that_differs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = ({entry.name: entry for entry in gittrack.get_run(name).inputs} for name in ("old", "new"))
    text = run(capsys, "compare", "old", "new")
    assert "inputs (2 equal not shown)" in text
    lines = find_lines(text, "inputs")
    assert lines[1] == f"train {old['train'].digest[:15]}, 4 B {new['train'].digest[:15]}, 4 B"
    assert lines[3] == f"words {old['words'].digest[:15]}, 4 B -"
    assert len(find_lines(run(capsys, "compare", "old", "new", "--all"), "inputs")) == 6
    record = json.loads(run(capsys, "compare", "old", "new", "--json"))["comparison"]["inputs"]
    assert {name: row["differs"] for name, row in record.items()} == {
        "frame": False,
        "more": True,
        "test": False,
        "train": True,
        "vocabulary": True,
        "words": True,
    }


def test_ls_finds_runs_by_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def find(query: str) -> set[str]:
        return set(run(capsys, "ls", query, "--columns", "name").split()) - {"NAME"}

    train = gittrack.get_run("old").inputs[0].digest
    assert find(f"input.train.digest = '{train}'") == {"old"}
    assert find(f"input.train = '{train[7:15]}'") == {"old"}
    assert find(f"input.train.digest != 'sha256:{train[7:13]}'") == {"new"}
    assert find(f"dataset.digest = '{train[7:].upper()}'") == {"old"}
    assert find("dataset.name = 'more'") == {"new"}
    assert find("dataset.name IN ('more', 'words')") == {"old", "new"}
    assert find("input.train.size = 4 AND input.train.context = 'training'") == {"old", "new"}
    assert find("dataset.path LIKE '%.txt'") == {"old", "new"}
    shown = run(capsys, "ls", "--columns", "name,input.train.digest,input.more.size")
    assert train in shown

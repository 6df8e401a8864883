"""`gittrack audit`: every commit of a range is judged by the guard it carries and the runs there are now."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import git
from snapshots.invocation import call, read

import gittrack

ROOT = Path(__file__).resolve().parent.parent
GUARD = '[tool.gittrack.check]\npaths = ["src/**", "train.py"]\n'


@pytest.fixture
def guarded(repo: Path) -> Path:
    """A repository with a guard; tag `base` is before all that is audited."""
    (repo / "pyproject.toml").write_text(GUARD)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "guard")
    git(repo, "tag", "base")
    return repo


def change(repo: Path, text: str, path: str = "train.py", *, message: str = "change") -> str:
    """Commit a file with this text and return the commit."""
    file = repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", message)
    return git(repo, "rev-parse", "HEAD")


def record() -> str:
    """Record a run of what is on disk and return its id."""
    with gittrack.start_run("churn") as run:
        run.log({"auc": 0.9})
    return run.id


def audit(range: str = "base..HEAD", code: int = 0) -> list[dict[str, Any]]:
    """Return the commits of the audit's JSON, which must end so."""
    answer = call("audit", range, "--json")
    assert answer.code == code, answer
    found = answer.json("audit")
    assert found["ok"] == (code == 0)
    commits: list[dict[str, Any]] = found["commits"]
    return commits


def test_each_commit_is_judged_for_itself(guarded: Path) -> None:
    first = change(guarded, "one\n")
    run = record()
    second = change(guarded, "docs\n", "README")
    third = change(guarded, "two\n")
    found = audit(code=9)
    assert [entry["commit"] for entry in found] == [first, second, third]
    assert [entry["ok"] for entry in found] == [True, True, False]
    assert found[0]["run"]["id"] == run
    assert found[1]["waived"] == "no guarded path changes"
    assert (found[2]["paths"], found[2]["nearest"]["id"]) == (["train.py"], run)


def test_a_run_that_is_logged_later_vouches_too(guarded: Path) -> None:
    commit = change(guarded, "one\n")
    answer = call("audit", "base..HEAD")
    assert answer.code == 9
    assert answer.lines[0].split() == ["COMMIT", "RUN", "SUBJECT"]
    assert re.fullmatch(f"{commit[:10]}  none +change", answer.lines[1])
    assert f"error: no run vouches for train.py in {commit[:10]}\n" in answer.err
    assert answer.err.endswith(
        f"hint: git checkout {commit[:10]} && gittrack run -- python train.py && gittrack push\n"
    )
    record()
    answer = call("audit", "base..HEAD")
    assert answer.code == 0
    assert answer.err == "note: 1 commit, 1 of them with a run behind, none without\n"


def test_the_first_commit_and_a_single_revision(guarded: Path) -> None:
    found = audit("HEAD", code=0)
    assert [entry["waived"] for entry in found] == ["nothing is guarded", "no guarded path changes"]
    git(guarded, "checkout", "-q", "--orphan", "fresh")
    git(guarded, "commit", "-qm", "root with a guard")
    (entry,) = audit("HEAD", code=9)
    assert entry["paths"] == ["train.py"]
    record()
    audit("HEAD")


def test_a_commit_is_judged_by_the_guard_it_carries(guarded: Path) -> None:
    (guarded / "pyproject.toml").write_text("")
    change(guarded, "one\n", message="slip by")
    (guarded / "pyproject.toml").write_text(GUARD)
    change(guarded, "one\n", message="back")
    found = audit()
    assert [entry["notes"] for entry in found] == [["it takes the guard away"], []]
    (guarded / "pyproject.toml").write_text(GUARD + 'max-age = "1d"\n')
    change(guarded, "one\n", message="other")
    assert audit()[2]["notes"] == ["it changes what is guarded or required"]


def test_a_merge_is_judged_beside_all_its_parents(guarded: Path) -> None:
    git(guarded, "checkout", "-qb", "side")
    change(guarded, "a\n", "src/a.py")
    record()
    git(guarded, "checkout", "-q", "main")
    change(guarded, "docs\n", "README")
    git(guarded, "merge", "-q", "--no-ff", "-m", "takes side's", "side")
    assert audit()[-1]["waived"] == "no guarded path changes"
    git(guarded, "reset", "-q", "--hard", "HEAD~")
    change(guarded, "main\n")
    record()
    git(guarded, "merge", "-q", "--no-ff", "-m", "mixes both", "side")
    merge = audit(code=9)[-1]
    assert (merge["subject"], merge["paths"]) == ("mixes both", ["src/a.py"])
    record()
    audit()


def test_the_run_that_a_message_names_is_not_believed(guarded: Path) -> None:
    other = record()
    change(guarded, "one\n", message=f"change\n\nGittrack-Run: {other}")
    found = audit(code=9)
    assert found[0]["named"] == [other]
    run = record()
    (found,) = audit()
    assert (found["run"]["id"], found["notes"]) == (run, [f"its message names {other[:8]}"])


def test_age_counts_to_the_commit(guarded: Path) -> None:
    (guarded / "pyproject.toml").write_text(GUARD + 'max-age = "1h"\n')
    (guarded / "train.py").write_text("one\n")
    record()
    git(guarded, "add", "-A")
    git(guarded, "-c", "user.name=x", "commit", "-qm", "soon")
    audit()


@pytest.mark.parametrize(("words", "code"), [(["--", "-x"], 2), (["gone..HEAD"], 7), ([""], 2)])
def test_what_is_no_range(guarded: Path, words: list[str], code: int) -> None:
    assert call("audit", *words).code == code


def test_an_empty_range(guarded: Path) -> None:
    assert audit("HEAD..HEAD") == []
    assert read_note("HEAD..HEAD") == "note: 0 commits, 0 of them with a run behind, none without\n"


def read_note(range: str) -> str:
    answer = call("audit", range)
    assert (answer.code, answer.out) == (0, "")
    return answer.err


def test_subjects_that_others_made_up_are_cleaned(guarded: Path) -> None:
    change(guarded, "one\n", "README", message="evil \x1b[31mred\u202e")
    answer = call("audit", "base..HEAD")
    assert "\x1b" not in answer.out
    assert "\u202e" not in answer.out
    assert answer.lines[1].endswith("evil red")


@pytest.mark.parametrize(("name", "jobs"), [("github.yml", "jobs"), ("gitlab.yml", "gittrack")])
def test_the_ci_examples_are_yaml_and_call_commands_there_are(name: str, jobs: str) -> None:
    text = (ROOT / "examples/ci" / name).read_text()
    assert jobs in yaml.safe_load(text)
    lines = re.findall(r"gittrack (?:audit|report|fetch)[^|>\n]*", text)
    assert [shlex.split(line)[1] for line in lines] == ["fetch", "report", "audit"]
    for line in lines:
        assert read(shlex.split(line)[1], "--help").code == 0

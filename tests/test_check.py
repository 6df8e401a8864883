"""`gittrack check`: what is staged on guarded paths is held against what runs had there, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import git
from snapshots.invocation import Answer, call, read, spawn

import gittrack

GUARD = '[tool.gittrack.check]\npaths = ["src/**", "train.py", "params.yaml"]\nignore = ["src/notes/**"]\n'


@pytest.fixture
def guarded(repo: Path) -> Path:
    """A repository whose train.py, params.yaml and src/ are guarded, all committed, without a run."""
    (repo / "pyproject.toml").write_text(GUARD)
    (repo / "src").mkdir()
    (repo / "src/model.py").write_text("layers = 1\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "guard")
    return repo


def set_guard(repo: Path, **more: str) -> None:
    """Write and stage the guard with more settings."""
    lines = "".join(f"{key.replace('_', '-')} = '{value}'\n" for key, value in more.items())
    (repo / "pyproject.toml").write_text(GUARD + lines)
    git(repo, "add", "pyproject.toml")


def record(*, experiment: str = "churn", **metrics: float) -> str:
    """Record a run of what is on disk and return its id."""
    with gittrack.start_run(experiment) as run:
        run.log(metrics or {"loss": 0.5})
    return run.id


def edit(repo: Path, path: str = "train.py", text: str = "changed\n") -> None:
    """Write a file and stage it."""
    file = repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(repo, "add", "-A", "--", path)


def check(code: int = 0) -> dict[str, Any]:
    """Return what the check says as JSON; it must end so."""
    answer = call("check", "--json")
    assert answer.code == code, answer
    found: dict[str, Any] = answer.json("check")
    assert found["ok"] == (code == 0)
    return found


def refuse() -> Answer:
    answer = call("check")
    assert (answer.code, answer.out) == (9, ""), answer
    return answer


def find_differences(found: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["change"] for entry in found["nearest"]["differences"]}


def test_a_run_of_what_is_staged_vouches_for_it(guarded: Path) -> None:
    edit(guarded)
    run = record()
    found = check()
    assert (found["run"]["id"], found["paths"]) == (run, ["train.py"])
    answer = read("check")
    assert answer.out.endswith(" of churn, just now, vouches for train.py\n")
    assert run[:8] in answer.out


def test_no_run_no_commit_and_the_message_says_how_to_log_one_and_how_to_skip(guarded: Path) -> None:
    edit(guarded)
    assert refuse().err == (
        "error: no run vouches for train.py\n"
        "  there is no run to compare with\n"
        "hint: gittrack run -- python train.py\n"
        "hint: git commit --no-verify skips this, as does SKIP=gittrack-check with pre-commit; an audit tells\n"
    )


def test_the_nearest_run_and_what_differs_from_it_is_named(guarded: Path) -> None:
    with gittrack.start_run("other"):
        pass
    edit(guarded, "src/model.py", "layers = 2\n")
    answer = spawn("run", "-e", "churn", "--", sys.executable, "-c", "pass", "a b")
    assert answer.returncode == 0, answer.stderr
    edit(guarded, "src/extra.py", "more\n")
    (guarded / "src/model.py").write_text("layers = 3\n")
    git(guarded, "add", "-A")
    edit(guarded, "train.py", "print('training')\n")
    said = refuse().err.splitlines()
    assert said[0] == "error: no run vouches for src/extra.py, src/model.py"
    assert said[1].startswith("  nearest: ")
    assert " of churn, " in said[1]
    assert said[2:4] == ["    src/extra.py: it ran without it", "    src/model.py: it ran another content"]
    assert said[4] == f"hint: gittrack run -e churn -- {sys.executable} -c pass 'a b'"


def test_what_is_not_guarded_needs_no_run_and_loads_nothing(guarded: Path) -> None:
    edit(guarded, "README", "other\n")
    edit(guarded, "src/notes/idea.md", "ignored\n")
    assert check()["waived"] == "no guarded path is staged"
    assert call("check").err == "note: no guarded path is staged\n"
    assert call("check", "--quiet").err == ""
    code = "import sys; from gittrack.cli import main; assert main(['check']) == 0; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & {"pyarrow", "dulwich", "rich", "lark", "gittrack.tracker", "gittrack.query"} == set()


def test_nothing_is_guarded_without_settings(repo: Path) -> None:
    edit(repo)
    assert check()["waived"] == "nothing is guarded: [tool.gittrack.check] in pyproject.toml says no paths"


def test_the_guard_is_read_as_it_is_staged(guarded: Path) -> None:
    edit(guarded)
    (guarded / "pyproject.toml").write_text("[tool.gittrack]\nexperiment = 'x'\n")
    check(9)
    git(guarded, "add", "pyproject.toml")
    assert check()["waived"].startswith("nothing is guarded")


def test_a_guard_that_is_not_tracked_yet_counts(repo: Path) -> None:
    (repo / "pyproject.toml").write_text(GUARD)
    edit(repo)
    check(9)


def test_only_a_part_is_staged(guarded: Path) -> None:
    (guarded / "train.py").write_text("one\ntwo\n")
    record()
    blob = git(guarded, "hash-object", "-w", "--stdin", stdin=b"one\n")
    git(guarded, "update-index", "--cacheinfo", f"100644,{blob},train.py")
    found = check(9)
    assert find_differences(found) == {"train.py": "other"}
    assert found["notes"][0].startswith("a run now would not vouch, since on disk is not what is staged: train.py (")
    git(guarded, "add", "train.py")
    assert check()["notes"] == []


def test_a_file_that_was_forgotten_to_be_added(guarded: Path) -> None:
    edit(guarded)
    (guarded / "src/forgotten.py").write_text("x = 1\n")
    record()
    assert find_differences(check(9)) == {"src/forgotten.py": "extra"}
    git(guarded, "add", "src/forgotten.py")
    assert check()["run"] is not None


def test_what_else_the_run_had_does_not_matter(guarded: Path) -> None:
    edit(guarded)
    (guarded / "README").write_text("not committed\n")
    (guarded / "scratch.txt").write_text("untracked\n")
    (guarded / "src/notes").mkdir()
    (guarded / "src/notes/mine").write_text("ignored by the guard\n")
    run = record()
    assert check()["run"]["id"] == run


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["rm", "-q", "src/model.py"], {"src/model.py": "extra"}),
        (["mv", "src/model.py", "src/moved.py"], {"src/model.py": "extra", "src/moved.py": "missing"}),
        (["update-index", "--chmod=+x", "src/model.py"], {"src/model.py": "other"}),
        (["mv", "train.py", "elsewhere.py"], {"train.py": "extra"}),
    ],
    ids=["deletion", "rename", "exec-bit", "rename-out"],
)
def test_deletions_renames_and_modes_count(guarded: Path, change: list[str], said: dict[str, str]) -> None:
    record()
    git(guarded, *change)
    assert find_differences(check(9)) == said
    if change[0] == "update-index":
        (guarded / "src/model.py").chmod(0o755)
    run = record()
    assert check()["run"]["id"] == run


def test_odd_names(guarded: Path) -> None:
    for name in ("with space.py", "naïve-ünï.py", "tab\there.py", "new\nline.py", 'quo"te.py', "-dash.py", "[x].py"):
        edit(guarded, f"src/{name}", "x\n")
    record()
    edit(guarded, "src/naïve-ünï.py", "y\n")
    edit(guarded, "src/new\nline.py", "y\n")
    found = check(9)
    assert find_differences(found) == {"src/naïve-ünï.py": "other", "src/new\nline.py": "other"}
    assert "src/new line.py: it ran another content" in refuse().err
    record()
    assert check()["run"] is not None


def test_line_ends_as_git_stores_them(guarded: Path) -> None:
    git(guarded, "config", "core.autocrlf", "true")
    (guarded / "train.py").write_bytes(b"one\r\ntwo\r\n")
    git(guarded, "add", "train.py")
    run = record()
    assert git(guarded, "cat-file", "blob", ":train.py") == "one\ntwo"
    assert check()["run"]["id"] == run


def test_the_first_commit_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    edit(tmp_path, "pyproject.toml", GUARD)
    edit(tmp_path)
    check(9)
    run = record()
    found = check()
    assert (found["run"]["id"], found["paths"]) == (run, ["train.py"])


def test_the_index_that_git_gives_its_hook(guarded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `git commit FILE` does: what else is staged does not count."""
    edit(guarded, "src/model.py", "staged, not committed now\n")
    alone = guarded / ".git/next-index-1.lock"
    monkeypatch.setenv("GIT_INDEX_FILE", str(alone))
    git(guarded, "read-tree", "HEAD")
    (guarded / "README").write_text("other\n")
    git(guarded, "add", "README")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/next-index-1.lock")
    assert check()["waived"] == "no guarded path is staged"
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert check(9)["paths"] == ["src/model.py"]


def test_another_repository_by_git_dir_is_refused(
    guarded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere/.git"))
    assert call("check").code == 5


def test_neither_index_nor_objects_are_touched(guarded: Path) -> None:
    record()
    edit(guarded)
    index = (guarded / ".git/index").read_bytes()
    before = sorted((guarded / ".git/objects").rglob("*"))
    check(9)
    assert (guarded / ".git/index").read_bytes() == index
    assert sorted((guarded / ".git/objects").rglob("*")) == before
    assert not (guarded / ".git/index.lock").exists()


def test_a_locked_index_is_no_obstacle(guarded: Path) -> None:
    edit(guarded)
    record()
    (guarded / ".git/index.lock").touch()
    check()


def test_a_run_that_failed_is_named_and_does_not_vouch(guarded: Path) -> None:
    edit(guarded)
    with pytest.raises(ZeroDivisionError), gittrack.start_run("churn"):
        raise ZeroDivisionError
    found = check(9)
    assert (found["nearest"]["differences"], found["nearest"]["objections"]) == ([], ["it failed"])
    assert "    it ran just that, but\n    it failed\n" in refuse().err


def test_a_run_that_lives_or_is_removed_does_not_vouch(guarded: Path) -> None:
    edit(guarded)
    with gittrack.start_run("churn") as run:
        assert check(9)["nearest"]["objections"] == ["it has not ended yet"]
    assert check()["run"]["id"] == run.id
    assert call("rm", run.id).code == 0
    assert check(9)["nearest"]["objections"] == ["it is marked removed"]


def test_of_two_runs_the_newer_one_vouches_and_another_may_where_it_cannot(guarded: Path) -> None:
    edit(guarded)
    first, second = record(), record()
    assert check()["run"]["id"] == second
    call("rm", second)
    assert check()["run"]["id"] == first


def test_the_experiment_must_be_the_one(guarded: Path) -> None:
    set_guard(guarded, experiment="Churn")
    edit(guarded)
    record(experiment="other")
    assert check(9)["nearest"] is None
    run = record(experiment="churn")
    record(experiment="other")
    assert check()["run"]["id"] == run


def test_a_run_may_not_be_too_old(guarded: Path) -> None:
    edit(guarded)
    run = record()
    set_guard(guarded, max_age="1h")
    assert check()["run"]["id"] == run
    set_guard(guarded, max_age="0s")
    (said,) = check(9)["nearest"]["objections"]
    assert said.startswith("it ended ")
    assert said.endswith(" ago, and max-age is 0 seconds")


def test_a_metric_may_be_required(guarded: Path) -> None:
    set_guard(guarded, require="metrics.auc >= 0.9 AND metrics.loss < 1")
    edit(guarded)
    record(auc=0.85, loss=0.5)
    assert check(9)["nearest"]["objections"] == [
        "it does not fulfil metrics.auc >= 0.9 AND metrics.loss < 1: metrics.auc is 0.85, metrics.loss is 0.5"
    ]
    run = record(auc=0.9, loss=0.1)
    record(loss=0.1)
    assert check()["run"]["id"] == run


def test_a_requirement_that_cannot_be_read_is_a_fault_in_the_settings(guarded: Path) -> None:
    set_guard(guarded, require="metrics.auc >=")
    edit(guarded)
    answer = call("check")
    assert answer.code == 2
    assert answer.err.startswith("error: require of [tool.gittrack.check]: ")


def test_a_requirement_beside_the_base_and_its_noise(guarded: Path) -> None:
    set_guard(guarded, require="metrics.auc >= base.metrics.auc - noise")
    for seed, auc in enumerate((0.90, 0.92)):
        with gittrack.start_run("churn", params={"seed": seed, "lr": 0.1}) as run:
            run.log({"auc": auc})
    record(auc=0.5)  # another setting, without lr: not the base's best
    git(guarded, "commit", "-qm", "base")
    edit(guarded, "README", "a commit between\n")
    git(guarded, "commit", "-qm", "between")
    edit(guarded)
    record(auc=0.89)
    found = check(9)
    (said,) = found["nearest"]["objections"]
    assert said.endswith("metrics.auc is 0.89")
    assert found["notes"][0].endswith("with 3 of its runs; what is required comes to 0.895858")
    run_id = record(auc=0.896)
    assert check()["run"]["id"] == run_id


def test_without_a_base_there_is_nothing_to_compare_with(guarded: Path) -> None:
    set_guard(guarded, require="metrics.auc >= base.metrics.auc")
    edit(guarded)
    record(loss=1.0)
    check(9)
    record(auc=0.1)
    assert check()["notes"] == [
        "no run of what this is based on: there is nothing to compare with, so any value will do"
    ]


def test_a_guarded_file_that_was_left_out_of_the_source_is_not_vouched_for(guarded: Path) -> None:
    edit(guarded)
    (guarded / "src/.env").write_text("TOKEN=1\n")
    record()
    assert check(9)["nearest"]["objections"] == [
        "src/.env is not in its source as it was: it was left out (its name is that of a secret)"
    ]
    (guarded / ".gitignore").write_text(".env\n")
    run = record()
    assert check()["run"]["id"] == run


def test_a_tracked_file_with_a_secret_name_that_was_changed(guarded: Path) -> None:
    """Its committed version stands in the source, which is not what ran."""
    edit(guarded, "src/id_rsa", "one\n")
    git(guarded, "commit", "-qm", "a key")
    edit(guarded)
    (guarded / "src/id_rsa").write_text("two\n")
    record()
    (said,) = check(9)["nearest"]["objections"]
    assert said.startswith("src/id_rsa is not in its source as it was")
    git(guarded, "checkout", "-q", "--", "src/id_rsa")
    record()
    check()


def test_a_file_too_large_for_the_source(guarded: Path) -> None:
    edit(guarded)
    (guarded / "src/weights.bin").write_bytes(b"0" * (1 << 21))
    record()
    (said,) = check(9)["nearest"]["objections"]
    assert said.endswith("it was left out (it was too large)")


def test_a_file_that_was_redacted(guarded: Path) -> None:
    edit(guarded, "src/model.py", "layers = 1  # and a word\n")
    record()
    done = call("redact", "latest", "--source", "src/model.py", "--yes")
    assert done.code == 0, done
    found = check(9)
    assert find_differences(found) == {"src/model.py": "missing"}


def test_a_merge_that_takes_the_guarded_paths_as_they_are(guarded: Path) -> None:
    git(guarded, "checkout", "-qb", "side")
    edit(guarded, text="side\n")
    edit(guarded, "README", "side\n")
    git(guarded, "commit", "-qm", "side")
    git(guarded, "checkout", "-q", "main")
    edit(guarded, "README", "main\n")
    git(guarded, "commit", "-qm", "main")
    git(guarded, "merge", "-q", "--no-commit", "side", ok=(1,))
    edit(guarded, "README", "both\n")
    side = git(guarded, "rev-parse", "side")
    assert check()["waived"] == f"the guarded paths are taken as they are in {side[:12]}, which is merged"
    edit(guarded, "src/model.py", "more\n")
    assert check(9)["paths"] == ["src/model.py", "train.py"]
    record()
    check()


def test_unresolved_conflicts_are_an_error_of_git(guarded: Path) -> None:
    git(guarded, "checkout", "-qb", "side")
    edit(guarded, text="side\n")
    git(guarded, "commit", "-qm", "side")
    git(guarded, "checkout", "-q", "main")
    edit(guarded, text="main\n")
    git(guarded, "commit", "-qm", "main")
    git(guarded, "merge", "-q", "side", ok=(1,))
    answer = call("check")
    assert answer.code == 7
    assert "write-tree failed" in answer.err


def test_a_worktree_of_its_own(guarded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(guarded, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    monkeypatch.chdir(tmp_path / "linked")
    edit(tmp_path / "linked", text="linked\n")
    check(9)
    run = record()
    assert check()["run"]["id"] == run
    monkeypatch.chdir(guarded)
    assert check()["waived"] == "no guarded path is staged"
    edit(guarded, text="linked\n")
    assert check()["run"]["id"] == run


def test_a_submodule_that_is_guarded(guarded: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    git(tmp_path, "init", "-q", str(library))
    edit(library, "lib.py", "1\n")
    git(library, "commit", "-qm", "one")
    git(guarded, "submodule", "--quiet", "add", str(library), "src/library")
    check(9)
    run = record()
    assert check()["run"]["id"] == run
    git(guarded, "commit", "-qm", "submodule")
    (guarded / "src/library/lib.py").write_text("2\n")
    edit(guarded)
    record()
    (said,) = check(9)["nearest"]["objections"]
    assert said.startswith("src/library/ is not in its source as it was")
    git(guarded / "src/library", "commit", "-qam", "two")
    git(guarded, "add", "src/library")
    assert check(9)["paths"] == ["src/library", "train.py"]
    record()
    check()


def test_from_below_the_root(guarded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(guarded)
    run = record()
    monkeypatch.chdir(guarded / "src")
    assert check()["run"]["id"] == run


def test_runs_that_live_in_another_repository(guarded: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs: all")
    git(guarded, "config", "gittrack.store", str(tmp_path / "runs: all"))
    edit(guarded)
    check(9)
    run = record()
    assert check()["run"]["id"] == run


def test_a_teammates_run_vouches_once_it_is_fetched(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shared, "pyproject.toml", GUARD)
    edit(shared)
    record()
    assert call("push", "--yes").code == 0
    git(shared, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", str(tmp_path / "srv/hub.git"), "mine")
    mine = tmp_path / "mine"
    monkeypatch.chdir(mine)
    edit(mine, "pyproject.toml", GUARD)
    edit(mine)
    assert check()["run"] is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('paths = "src/**"\nwhat = 1', "has 'what'"),
        ("paths = [1]", "it must be a list of paths"),
        ('paths = ["/abs"]', "is no path from the root"),
        ('paths = ["../up"]', "is no path from the root"),
        ('paths = ["a"]\nmax-age = "soon"', "it must be a duration"),
        ('paths = ["a"]\nexperiment = 3', "it must be a text"),
        ('paths = ["a"]\nrequire = ""', "it must be a text"),
    ],
)
def test_settings_that_cannot_be_used(repo: Path, line: str, said: str) -> None:
    edit(repo, "pyproject.toml", f"[tool.gittrack.check]\n{line}\n")
    answer = call("check")
    assert answer.code == 2
    assert said in answer.err


def test_names_that_others_made_up_are_shown_without_control_characters(guarded: Path) -> None:
    edit(guarded, "src/a\x1b[31m\u202eb.py", "x\n")
    assert "error: no run vouches for src/ab.py\n" in refuse().err
    record()
    assert read("check").out.endswith(" vouches for src/ab.py\n")

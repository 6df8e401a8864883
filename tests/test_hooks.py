"""Git's own hooks: real commits, merges, rebases and pushes with gittrack's hooks installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call

import gittrack
from gittrack.hook.installation import HOOKS

ROOT = Path(__file__).resolve().parent.parent
GUARD = '[tool.gittrack.check]\npaths = ["src/**", "train.py"]\nexperiment = "churn"\n'


@pytest.fixture
def hooked(repo: Path) -> Path:
    """A repository with a guard and all hooks; what is committed has no run."""
    (repo / "pyproject.toml").write_text(GUARD)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "guard")
    assert call("hooks", "install").code == 0
    return repo


def commit(directory: Path, *words: str, editor: str = "", path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run git commit as it is, hooks included; with an editor, that writes the message."""
    environment = {**os.environ, **({"GIT_EDITOR": editor} if editor else {}), **({"PATH": path} if path else {})}
    program = shutil.which("git")
    assert program is not None
    done = subprocess.run(
        [program, "commit", *words], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def record(*, experiment: str = "churn") -> str:
    """Record a run of what is on disk and return its id."""
    with gittrack.start_run(experiment) as run:
        run.log({"auc": 0.9})
    return run.id


def edit(directory: Path, path: str = "train.py", text: str = "changed\n") -> None:
    """Write a file and stage it."""
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(directory, "add", "-A", "--", path)


def read_trailers(directory: Path, revision: str = "HEAD") -> list[str]:
    return git(directory, "log", "-1", "--format=%(trailers:key=Gittrack-Run,valueonly)", revision).split()


def read_head(directory: Path) -> str:
    return git(directory, "rev-parse", "HEAD")


def test_a_commit_without_a_run_is_refused_and_one_with_it_names_the_run(hooked: Path) -> None:
    before = read_head(hooked)
    edit(hooked)
    refused = commit(hooked, "-qm", "change")
    assert refused.returncode == 1
    assert "error: no run vouches for train.py\n" in refused.stderr
    assert read_head(hooked) == before
    run = record()
    done = commit(hooked, "-qm", "change")
    assert done.returncode == 0, done.stderr
    assert f" ({run[:8]}) of churn, just now, vouches for train.py\n" in done.stdout + done.stderr
    assert git(hooked, "log", "-1", "--format=%B") == f"change\n\nGittrack-Run: {run}\n"
    assert not (hooked / ".git/gittrack/verified").exists()


def test_a_commit_of_nothing_guarded_is_not_talked_about(hooked: Path) -> None:
    edit(hooked, "README", "more\n")
    done = commit(hooked, "-qm", "docs")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read_trailers(hooked) == []


def test_no_verify_skips_openly_and_is_reminded_of(hooked: Path) -> None:
    edit(hooked)
    done = commit(hooked, "-qnm", "in a hurry")
    assert done.returncode == 0
    assert (
        "warning: no run vouches for this commit's train.py; one that is logged before the audit does\n" in done.stderr
    )
    assert "hint: gittrack run -e churn -- python train.py\n" in done.stderr
    assert read_trailers(hooked) == []
    edit(hooked, text="more\n")
    run = record()
    done = commit(hooked, "-qnm", "in a hurry, but logged")
    assert (done.returncode, done.stderr) == (0, "")
    assert read_trailers(hooked) == [run]


def test_commit_all_and_commit_one_file(hooked: Path) -> None:
    edit(hooked, "src/model.py", "one\n")
    (hooked / "train.py").write_text("other\n")
    assert commit(hooked, "-qm", "staged only").returncode == 1
    record()
    assert commit(hooked, "-qm", "staged only").returncode == 1
    run = record()
    done = commit(hooked, "-qam", "all")
    assert done.returncode == 0, done.stderr
    assert read_trailers(hooked) == [run]
    (hooked / "train.py").write_text("alone\n")
    run = record()
    edit(hooked, "src/model.py", "two\n")
    done = commit(hooked, "-qm", "one file", "--", "train.py")
    assert done.returncode == 0, done.stderr
    assert read_trailers(hooked) == [run]
    assert commit(hooked, "-qm", "the other").returncode == 1


def test_a_part_of_a_file(hooked: Path) -> None:
    (hooked / "train.py").write_text("first\nprint('training')\nlast\n")
    record()
    keys = b"s\ny\nn\n"  # split the change, take its first part, leave the second
    git(hooked, "add", "-p", "train.py", stdin=keys)
    assert git(hooked, "show", ":train.py") == "first\nprint('training')"
    refused = commit(hooked, "-qm", "a part")
    assert refused.returncode == 1
    assert "on disk is not what is staged: train.py" in refused.stderr


def test_amend(hooked: Path) -> None:
    edit(hooked)
    first = record()
    commit(hooked, "-qm", "change")
    done = commit(hooked, "-q", "--amend", "-m", "better words")
    assert (done.returncode, done.stderr) == (0, "")
    commit(hooked, "-q", "--amend", "-m", f"words\n\nGittrack-Run: {first}")
    assert read_trailers(hooked) == [first]


def test_an_amended_commit_names_the_run_of_what_it_is_now(hooked: Path) -> None:
    edit(hooked)
    commit(hooked, "-qnm", f"change\n\nGittrack-Run: {'ab' * 16}")
    edit(hooked, text="more\n")
    assert commit(hooked, "-q", "--amend", "--no-edit").returncode == 1
    run = record()
    assert commit(hooked, "-q", "--amend", "--no-edit").returncode == 0
    assert read_trailers(hooked) == [run]
    edit(hooked, text="even more\n")
    assert commit(hooked, "-qn", "--amend", "--no-edit").returncode == 0
    assert read_trailers(hooked) == []


def test_the_editor(hooked: Path, tmp_path: Path) -> None:
    edit(hooked)
    run = record()
    before = read_head(hooked)
    aborted = commit(hooked, "-q", editor="true")
    assert aborted.returncode == 1
    assert "empty commit message" in aborted.stderr
    assert read_head(hooked) == before
    git(hooked, "config", "commit.verbose", "true")
    git(hooked, "config", "core.commentChar", ";")
    assert commit(hooked, "-q", editor="true").returncode == 1
    writer = tmp_path / "writer"
    writer.write_text('#!/bin/sh\nprintf "#1 said >8\\n" | cat - "$1" >"$1.new" && mv "$1.new" "$1"\n')
    writer.chmod(0o755)
    done = commit(hooked, "-q", editor=str(writer))
    assert done.returncode == 0, done.stderr
    assert git(hooked, "log", "-1", "--format=%B").split() == ["#1", "said", ">8", "Gittrack-Run:", run]


def test_a_message_of_comments_alone_that_was_given_is_kept(hooked: Path) -> None:
    edit(hooked)
    record()
    assert commit(hooked, "-q", "--cleanup=whitespace", "-m", "#12").returncode == 0
    assert git(hooked, "log", "-1", "--format=%s") == "#12"


def test_rebase_and_cherry_pick_hold_as_long_as_the_content_is_the_same(hooked: Path) -> None:
    base = read_head(hooked)
    git(hooked, "checkout", "-qb", "side")
    edit(hooked)
    run = record()
    commit(hooked, "-qm", "change")
    side = read_head(hooked)
    git(hooked, "checkout", "-q", "main")
    edit(hooked, "README", "on main\n")
    commit(hooked, "-qm", "docs")
    git(hooked, "cherry-pick", "side")
    assert read_trailers(hooked) == [run]
    assert call("audit", f"{base}..HEAD").code == 0
    git(hooked, "reset", "-q", "--hard", "HEAD~")
    git(hooked, "checkout", "-q", "side")
    git(hooked, "rebase", "-q", "main")
    assert read_head(hooked) != side
    assert read_trailers(hooked) == [run]
    assert call("audit", "main..side").code == 0
    git(hooked, "checkout", "-q", "main")
    git(hooked, "merge", "-q", "--squash", "side")
    done = commit(hooked, "-qm", "squashed")
    assert done.returncode == 0, done.stderr
    assert read_trailers(hooked) == [run]


def test_merge(hooked: Path) -> None:
    git(hooked, "checkout", "-qb", "side")
    edit(hooked, "src/a.py", "a\n")
    record()
    commit(hooked, "-qm", "a")
    git(hooked, "checkout", "-q", "main")
    edit(hooked, "README", "docs\n")
    commit(hooked, "-qm", "docs")
    base = read_head(hooked)
    git(hooked, "merge", "-q", "--no-ff", "-m", "merge", "side")
    assert call("audit", f"{base}..HEAD").code == 0
    git(hooked, "reset", "-q", "--hard", base)
    edit(hooked, text="main\n")
    record()
    commit(hooked, "-qm", "main")
    git(hooked, "merge", "-q", "--no-commit", "--no-ff", "side")
    refused = commit(hooked, "-qm", "both at once, which nobody ran")
    assert refused.returncode == 1
    assert "no run vouches for src/a.py" in refused.stderr
    run = record()
    assert commit(hooked, "-qm", "both").returncode == 0
    assert read_trailers(hooked) == [run]


def test_the_first_commit_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = tmp_path / "with space & ünï"
    fresh.mkdir()
    git(fresh, "init", "-q")
    monkeypatch.chdir(fresh)
    call("hooks", "install")
    edit(fresh, "pyproject.toml", GUARD)
    edit(fresh)
    assert commit(fresh, "-qm", "first").returncode == 1
    run = record()
    done = commit(fresh, "-qm", "first")
    assert done.returncode == 0, done.stderr
    assert read_trailers(fresh) == [run]


def test_a_worktree_has_the_hooks_and_an_index_of_its_own(
    hooked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = tmp_path / "linked"
    git(hooked, "worktree", "add", "-q", "-b", "side", str(linked))
    monkeypatch.chdir(linked)
    states = json.loads(call("hooks", "status", "--json").out)
    assert {hook["state"] for hook in states["hooks"]} == {"installed"}
    assert states["directory"] == str(hooked / ".git/hooks")
    edit(linked)
    assert commit(linked, "-qm", "linked").returncode == 1
    run = record()
    assert commit(linked, "-qm", "linked").returncode == 0
    assert read_trailers(linked) == [run]


def test_a_submodule_has_hooks_of_its_own(hooked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "library")
    edit(tmp_path / "library", "pyproject.toml", GUARD)
    git(tmp_path / "library", "commit", "-qm", "one")
    git(hooked, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    inner = hooked / "library"
    monkeypatch.chdir(inner)
    assert call("hooks", "install").code == 0
    assert (hooked / ".git/modules/library/hooks/pre-commit").exists()
    edit(inner)
    assert commit(inner, "-qm", "inner").returncode == 1
    record()
    assert commit(inner, "-qm", "inner").returncode == 0
    monkeypatch.chdir(hooked)
    git(hooked, "add", "library")
    assert commit(hooked, "-qm", "outer: the submodule is not guarded").returncode == 0


def test_a_graphical_clients_path_is_enough(hooked: Path, tmp_path: Path) -> None:
    """Nothing on it but what git itself puts there and the system's own tools."""
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "git", "cat"):
        found = shutil.which(program)
        assert found is not None
        (bare / program).symlink_to(found)
    edit(hooked)
    refused = commit(hooked, "-qm", "change", path=str(bare))
    assert refused.returncode == 1
    assert "no run vouches" in refused.stderr
    run = record()
    assert commit(hooked, "-qm", "change", path=str(bare)).returncode == 0
    assert read_trailers(hooked) == [run]


def test_without_the_python_that_installed_them_the_hooks_say_so_and_let_go(hooked: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "git", "cat"):
        (bare / program).symlink_to(str(shutil.which(program)))
    for name in HOOKS:
        file = hooked / ".git/hooks" / name
        file.write_text(file.read_text().replace(Path(sys.executable).as_posix(), "/gone/python"))
    assert [hook["state"] for hook in call("hooks", "status", "--json").json("hooks")].count("outdated") == 4
    edit(hooked)
    done = commit(hooked, "-qm", "change", path=str(bare))
    assert done.returncode == 0
    assert "gittrack: not found, so its pre-commit hook does nothing (gittrack hooks install mends that)" in done.stderr
    assert call("hooks", "install").code == 0
    edit(hooked, text="more\n")
    assert commit(hooked, "-qm", "change", path=str(bare)).returncode == 1


def test_modules_in_the_working_tree_are_not_taken_for_ours(hooked: Path) -> None:
    for name in ("click", "gittrack", "json", "subprocess"):
        (hooked / f"{name}.py").write_text("raise SystemExit('taken')\n")
    edit(hooked)
    refused = commit(hooked, "-qm", "change")
    assert refused.returncode == 1
    assert "no run vouches" in refused.stderr


def test_hooks_that_were_there_run_first_and_come_back(repo: Path) -> None:
    directory = repo / ".git/hooks"
    directory.mkdir(exist_ok=True)
    for name, code in (("pre-commit", 0), ("post-commit", 0)):
        (directory / name).write_text(f'#!/bin/sh\necho "{name} of old $#" >&2\nexit {code}\n')
        (directory / name).chmod(0o755)
    old = (directory / "pre-commit").read_text()
    answer = call("hooks", "install")
    assert (
        "note: pre-commit, post-commit was there before: it is kept as *.before-gittrack, and runs first" in answer.err
    )
    assert call("hooks", "install").err.startswith("note: all hooks are in ")
    edit(repo)
    done = commit(repo, "-qm", "change")
    assert done.stderr.splitlines() == ["pre-commit of old 0", "post-commit of old 0"]
    kept = directory / "pre-commit.before-gittrack"
    kept.write_text("#!/bin/sh\nexit 3\n")
    edit(repo, text="more\n")
    assert commit(repo, "-qm", "refused by the old one").returncode == 1
    kept.write_text(old)
    assert "back is: pre-commit, post-commit" in call("hooks", "uninstall").err
    assert (directory / "pre-commit").read_text() == old
    assert sorted(path.name for path in directory.iterdir() if not path.name.endswith(".sample")) == [
        "post-commit",
        "pre-commit",
    ]
    assert "no hook of gittrack is here" in call("hooks", "uninstall").err


def test_a_hook_that_took_our_place_is_left_alone(hooked: Path) -> None:
    theirs = hooked / ".git/hooks/pre-commit"
    theirs.rename(theirs.with_name("pre-commit.before-gittrack"))
    theirs.write_text("#!/bin/sh\n")
    assert call("hooks", "install").code == 4
    assert call("hooks", "uninstall").code == 0
    assert theirs.read_text() == "#!/bin/sh\n"


def test_core_hooks_path(repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "core.hooksPath", ".githooks")
    assert call("hooks", "install").code == 0
    assert (repo / ".githooks/pre-commit").exists()
    edit(repo, "pyproject.toml", GUARD)
    edit(repo)
    assert commit(repo, "-qm", "change").returncode == 1
    git(repo, "config", "core.hooksPath", str(tmp_path / "everybodys"))
    answer = call("hooks", "install")
    assert answer.code == 4
    assert answer.err.endswith("hint: gittrack hooks install --shared\n")
    assert call("hooks", "install", "--shared").code == 0
    assert commit(repo, "-qm", "change").returncode == 1


def test_the_status(hooked: Path) -> None:
    (hooked / ".git/hooks/pre-push").unlink()
    (hooked / ".git/hooks/commit-msg").write_text("#!/bin/sh\n")
    answer = call("hooks", "status")
    assert answer.lines == [
        "HOOK                STATE",
        "pre-commit          installed",
        "prepare-commit-msg  installed",
        "commit-msg          not gittrack's",
        "post-commit         installed",
        "pre-push            not installed",
    ]
    assert answer.err == "hint: gittrack hooks install\n"


def test_a_push_takes_the_runs_along_that_its_commits_name(hooked: Path, hub: Path) -> None:
    git(hooked, "remote", "add", "origin", str(hub))
    git(hooked, "push", "-q", "origin", "main")
    edit(hooked)
    run = record()
    record(experiment="private")
    assert commit(hooked, "-qm", "change").returncode == 0
    unasked = subprocess.run(["git", "push", "origin", "main"], cwd=hooked, capture_output=True, text=True, check=False)
    assert unasked.returncode == 0
    assert "has to be agreed to first" in unasked.stderr
    assert git(hub, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert call("push", "--yes", "origin", "churn").code == 0
    edit(hooked, text="more\n")
    run = record()
    assert commit(hooked, "-qm", "more").returncode == 0
    done = subprocess.run(["git", "push", "origin", "main"], cwd=hooked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "note: churn: 1 run pushed to origin" in done.stderr
    assert git(hub, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/gittrack/churn", "refs/heads/main"]
    assert run in git(hub, "log", "--format=%B", "gittrack/churn")


def test_a_push_of_the_code_goes_on_where_the_runs_cannot_be_pushed(hooked: Path, hub: Path, tmp_path: Path) -> None:
    git(hooked, "remote", "add", "origin", str(hub))
    git(hooked, "remote", "add", "elsewhere", str(tmp_path / "gone.git"))
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    edit(hooked)
    commit(hooked, "-qnm", f"change\n\nGittrack-Run: {'ab' * 16}")
    done = subprocess.run(["git", "push", "origin", "main"], cwd=hooked, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "a pushed commit names run abababab, which is not here" in done.stderr


def test_the_old_pre_push_hook_reads_what_ours_does(hooked: Path, hub: Path, tmp_path: Path) -> None:
    kept = hooked / ".git/hooks/pre-push.before-gittrack"
    kept.write_text(f'#!/bin/sh\ncat >"{tmp_path}/lines"\necho "$@" >>"{tmp_path}/lines"\n')
    kept.chmod(0o755)
    git(hooked, "remote", "add", "origin", str(hub))
    git(hooked, "push", "-q", "origin", "main")
    head = read_head(hooked)
    assert (tmp_path / "lines").read_text() == f"refs/heads/main {head} refs/heads/main {'0' * 40}\norigin {hub}\n"


def test_the_shims_are_alike_and_what_a_strict_shell_takes() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "hooks").iterdir()}
    assert set(texts) == set(HOOKS)
    for name, text in texts.items():
        assert text.startswith(f"#!/bin/sh\n# gittrack hook: {name}\n")
        assert "\r" not in text
        assert "[[" not in text
        assert os.access(ROOT / "hooks" / name, os.X_OK)
        shell = shutil.which("dash") or "sh"
        subprocess.run([shell, "-n", str(ROOT / "hooks" / name)], check=True)
    assert '"hooks" = "gittrack/hook/shims"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.skipif(importlib.util.find_spec("pre_commit") is None, reason="pre-commit is not installed")
def test_the_pre_commit_framework(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real framework, with our own entry; only that the gittrack is used that is here, and not built anew."""
    hook_repository = tmp_path / "gittrack"
    hook_repository.mkdir()
    git(hook_repository, "init", "-q")
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hook_repository)
    git(hook_repository, "add", "-A")
    git(hook_repository, "commit", "-qm", "hooks")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gittrack").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gittrack "$@"\n')
    (programs / "gittrack").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    edit(repo, "pyproject.toml", GUARD)
    edit(
        repo,
        ".pre-commit-config.yaml",
        f"repos:\n- repo: {hook_repository}\n  rev: {read_head(hook_repository)}\n"
        "  hooks:\n  - id: gittrack-check\n    language: system\n    verbose: true\n",
    )
    subprocess.run([sys.executable, "-m", "pre_commit", "install"], cwd=repo, check=True, capture_output=True)
    edit(repo)
    refused = commit(repo, "-qm", "change")
    assert refused.returncode == 1, refused.stderr
    assert "a run vouches for what is committed" in refused.stdout + refused.stderr
    assert "no run vouches for train.py" in refused.stdout + refused.stderr
    monkeypatch.setenv("SKIP", "gittrack-check")
    assert commit(repo, "-qm", "skipped").returncode == 0
    monkeypatch.delenv("SKIP")
    edit(repo, text="more\n")
    run = record()
    done = commit(repo, "-qm", "change")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run[:8] in done.stdout + done.stderr
    assert call("hooks", "install").code == 0
    edit(repo, text="both of them\n")
    refused = commit(repo, "-qm", "change")
    assert refused.returncode == 1
    assert (refused.stdout + refused.stderr).count("no run vouches for train.py") == 1
    run = record()
    assert commit(repo, "-qm", "change").returncode == 0
    assert read_trailers(repo) == [run]

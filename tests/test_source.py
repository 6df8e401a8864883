"""The tree that is captured is the tree on disk, in every state a working tree can be in, and nothing else changes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import git
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gittrack.errors import InvalidInput, StoreFailed, Unsupported
from gittrack.git import GitFailed
from gittrack.model import LeftOut, SourceLink
from gittrack.repository import get_repository
from gittrack.scrub import Scrubber
from gittrack.settings import Settings
from gittrack.source import Capture, capture_commit, copy_source

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def capture(directory: Path, **limits: int) -> SourceLink:
    """Capture, and make sure that nothing of the user's was touched and no file was left behind."""
    repository = get_repository(directory)
    before = describe(directory)
    work = Capture(repository, directory)
    link = work.finish(settings=replace(Settings(), **limits), scrubber=Scrubber({}))
    work.cancel()
    assert work.problem is None
    assert describe(directory) == before
    own = repository.common_directory / "gittrack"
    assert not own.exists() or list(own.iterdir()) == []
    if link.tree:
        git(directory, "fsck", "--strict", "--no-dangling", link.tree)
    return link


def describe(directory: Path) -> tuple[object, ...]:
    repository = get_repository(directory)
    index = repository.git_directory / "index"
    entry = index.stat() if index.exists() else None
    times = (entry.st_mtime_ns, entry.st_ino) if entry else None
    files = sorted(str(path) for path in repository.directory.rglob("*") if ".git" not in path.parts)
    head = (repository.git_directory / "HEAD").read_bytes()
    own = [name for name in os.listdir(repository.git_directory) if name not in ("gittrack", "objects")]
    return head, index.read_bytes() if entry else b"", times, files, sorted(own)


def list_tree(directory: Path, tree: str | None) -> dict[str, str]:
    """Return path → mode and content of a tree; names outside UTF-8 as surrogate escapes."""
    assert tree is not None
    found = {}
    for line in git(directory, "ls-tree", "-rz", "--full-tree", tree).split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, kind, name = facts.split()
            found[path] = mode if kind == "commit" else f"{mode} {git(directory, 'cat-file', 'blob', name)}"
    return found


def tree_of_disk(directory: Path) -> str:
    """Return the tree that the user's own `git add -A` would make, by way of another index."""
    repository = get_repository(directory)
    index = repository.git_directory.parent.parent / "oracle-index"
    if (repository.git_directory / "index").exists():
        shutil.copy2(repository.git_directory / "index", index)
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)}
    subprocess.run(["git", "add", "-A"], cwd=repository.directory, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        ["git", "write-tree"], cwd=repository.directory, env=environment, check=True, capture_output=True, text=True
    )
    index.unlink()
    return done.stdout.strip()


def reasons(link: SourceLink) -> dict[str, str]:
    return {entry.path: entry.reason for entry in link.left_out}


def test_a_clean_tree_is_its_commit(repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    assert capture(repo) == SourceLink(commit=head, branch="main", captured="worktree")


def test_changed_removed_new_and_executable_files_and_links(repo: Path) -> None:
    for name in ("gone", "script.sh", "link", "kind"):
        (repo / name).write_text(f"{name}\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "second")
    (repo / "train.py").write_text("print('changed')\n")
    (repo / "gone").unlink()
    (repo / "script.sh").chmod(0o755)
    (repo / "kind").unlink()
    (repo / "kind").symlink_to("train.py")
    (repo / "new" / "deep").mkdir(parents=True)
    (repo / "new" / "deep" / "file.py").write_text("new\n")
    (repo / "dangling").symlink_to("/nowhere")
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "x.log").write_text("ignored\n")
    link = capture(repo)
    assert link.dirty
    assert link.captured == "worktree"
    assert link.left_out == ()
    assert link.tree == tree_of_disk(repo)
    assert list_tree(repo, link.tree) == {
        ".gitignore": "100644 *.log",
        "README": "100644 a model",
        "dangling": "120000 /nowhere",
        "kind": "120000 train.py",
        "link": "100644 link",
        "new/deep/file.py": "100644 new",
        "script.sh": "100755 script.sh",
        "train.py": "100644 print('changed')",
    }


def test_what_is_staged_and_what_is_on_disk(repo: Path) -> None:
    (repo / "train.py").write_text("staged\n")
    (repo / "added.py").write_text("staged\n")
    (repo / "both.py").write_text("staged\n")
    git(repo, "add", "-A")
    (repo / "both.py").write_text("on disk\n")
    git(repo, "rm", "-q", "--cached", "README")
    link = capture(repo)
    assert link.tree == tree_of_disk(repo)
    assert list_tree(repo, link.tree) == {
        "README": "100644 a model",
        "added.py": "100644 staged",
        "both.py": "100644 on disk",
        "train.py": "100644 staged",
    }


def test_a_file_becomes_a_directory_and_a_directory_a_file(repo: Path) -> None:
    (repo / "dir").mkdir()
    (repo / "dir" / "inner").write_text("inner\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "second")
    (repo / "README").unlink()
    (repo / "README").mkdir()
    (repo / "README" / "part").write_text("part\n")
    (repo / "dir" / "inner").unlink()
    (repo / "dir").rmdir()
    (repo / "dir").write_text("file\n")
    link = capture(repo)
    assert link.tree == tree_of_disk(repo)
    assert list_tree(repo, link.tree) == {
        "README/part": "100644 part",
        "dir": "100644 file",
        "train.py": "100644 print('training')",
    }


def test_file_names_of_every_kind(repo: Path) -> None:
    names = [
        b"new\nline",
        b'quo"te',
        b"-dash",
        b"--",
        b"sp ace",
        b"\xff\xfe",
        b"\xc3\xa4.py",
        b":(top)x",
        b"*?[",
        b"tab\t",
    ]
    for name in names:
        with open(os.path.join(os.fsencode(repo), name), "wb") as file:
            file.write(b"one\n")
    link = capture(repo)
    assert link.tree == tree_of_disk(repo)
    assert {os.fsencode(name) for name in list_tree(repo, link.tree)} == {*names, b"README", b"train.py"}
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "names")
    for name in names:
        with open(os.path.join(os.fsencode(repo), name), "wb") as file:
            file.write(b"two\n")
    link = capture(repo)
    assert link.tree == tree_of_disk(repo)
    assert set(list_tree(repo, link.tree).values()) == {"100644 two", "100644 a model", "100644 print('training')"}
    with open(os.path.join(os.fsencode(repo), b"\xff.env"), "wb") as file:
        file.write(b"x")
    assert reasons(capture(repo)) == {"\udcff.env": "secret-name"}


def test_a_change_in_the_same_moment_as_the_index_is_seen(repo: Path) -> None:
    for number in range(20):
        (repo / "train.py").write_text(f"{number:04d}a\n")
        git(repo, "add", "train.py")
        (repo / "train.py").write_text(f"{number:04d}b\n")
        assert list_tree(repo, capture(repo).tree)["train.py"] == f"100644 {number:04d}b"


def test_no_commit_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    empty = tmp_path / "empty"
    assert capture(empty) == SourceLink(branch="main", captured="none")
    (empty / "train.py").write_text("first\n")
    link = capture(empty)
    assert (link.commit, link.branch, link.dirty, link.captured) == (None, "main", True, "worktree")
    assert list_tree(empty, link.tree) == {"train.py": "100644 first"}
    git(empty, "add", "train.py")
    assert capture(empty) == link


def test_a_detached_head(repo: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    link = capture(repo)
    assert link.branch is None
    assert link.commit == git(repo, "rev-parse", "HEAD")


def test_a_linked_working_tree(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked" / "train.py").write_text("linked\n")
    link = capture(tmp_path / "linked")
    assert link.branch == "other"
    assert list_tree(repo, link.tree) == {"README": "100644 a model", "train.py": "100644 linked"}
    assert not capture(repo).dirty


def test_a_shallow_clone(repo: Path, tmp_path: Path) -> None:
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repo}", "shallow")
    shallow = tmp_path / "shallow"
    assert not capture(shallow).dirty
    (shallow / "train.py").write_text("changed\n")
    assert list_tree(shallow, capture(shallow).tree)["train.py"] == "100644 changed"


def test_a_sparse_checkout_keeps_what_is_not_on_disk(repo: Path) -> None:
    for name in ("near", "far"):
        (repo / name).mkdir()
        (repo / name / "file").write_text(f"{name}\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "second")
    git(repo, "sparse-checkout", "set", "--cone", "near")
    assert not (repo / "far").exists()
    assert not capture(repo).dirty
    (repo / "near" / "file").write_text("changed\n")
    assert list_tree(repo, capture(repo).tree) == {
        "README": "100644 a model",
        "far/file": "100644 far",
        "near/file": "100644 changed",
        "train.py": "100644 print('training')",
    }


def test_files_git_was_told_to_skip_stay_as_the_index_has_them(repo: Path) -> None:
    git(repo, "update-index", "--skip-worktree", "README")
    (repo / "README").write_text("mine\n")
    (repo / "train.py").write_text("changed\n")
    assert list_tree(repo, capture(repo).tree) == {"README": "100644 a model", "train.py": "100644 changed"}


def test_files_that_are_only_to_be_added(repo: Path) -> None:
    (repo / "later.py").write_text("later\n")
    git(repo, "add", "-N", "later.py")
    assert list_tree(repo, capture(repo).tree)["later.py"] == "100644 later"


def test_a_merge_in_conflict_is_captured_as_it_is_on_disk(repo: Path) -> None:
    (repo / "both").write_text("base\n")
    (repo / "ours-gone").write_text("base\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "base")
    git(repo, "checkout", "-q", "-b", "other")
    (repo / "both").write_text("theirs\n")
    (repo / "ours-gone").write_text("theirs\n")
    git(repo, "commit", "-qam", "theirs")
    git(repo, "checkout", "-q", "main")
    (repo / "both").write_text("ours\n")
    git(repo, "rm", "-q", "ours-gone")
    git(repo, "commit", "-qam", "ours")
    assert subprocess.run(["git", "merge", "-q", "other"], cwd=repo, capture_output=True, check=False).returncode == 1
    link = capture(repo)
    found = list_tree(repo, link.tree)
    assert found["both"].startswith("100644 <<<<<<< HEAD\nours\n")
    assert found["ours-gone"] == "100644 theirs"
    (repo / "both").unlink()
    (repo / "ours-gone").unlink()
    assert set(list_tree(repo, capture(repo).tree)) == {"README", "train.py"}


def test_line_ends_are_what_git_would_commit(repo: Path) -> None:
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "config", "core.safecrlf", "true")
    (repo / "train.py").write_bytes(b"one\r\ntwo\r\n")
    (repo / "new.py").write_bytes(b"mixed\r\nends\n")
    link = capture(repo)
    assert git(repo, "cat-file", "blob", f"{link.tree}:train.py") == "one\ntwo"
    assert git(repo, "cat-file", "blob", f"{link.tree}:new.py") == "mixed\nends"


def test_a_split_index_with_every_cache(repo: Path) -> None:
    for number in range(50):
        (repo / f"file{number}").write_text("x\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "many")
    git(repo, "config", "core.splitIndex", "true")
    git(repo, "config", "core.untrackedCache", "true")
    git(repo, "update-index", "--split-index", "--untracked-cache")
    for number in range(30):
        (repo / f"file{number}").write_text("changed\n")
        (repo / f"new{number}.py").write_text("new\n")
    assert list(repo.glob(".git/sharedindex.*"))
    assert capture(repo).tree == tree_of_disk(repo)


def test_many_new_files_become_one_pack_and_are_stored_as_git_would(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.up filter=upper\n*.txt text eol=crlf\n")
    git(repo, "config", "filter.upper.clean", "tr a-z A-Z")
    for number in range(100):
        (repo / f"file{number}.py").write_text(f"{number}\n" * number)
    (repo / "text.up").write_text("hello\n")
    (repo / "ends.txt").write_bytes(b"one\r\ntwo\r\n")
    (repo / "link").symlink_to("file1.py")
    link = capture(repo)
    assert len(list(repo.glob(".git/objects/pack/*.pack"))) == 1
    assert link.tree == tree_of_disk(repo)
    assert list_tree(repo, link.tree)["text.up"] == "100644 HELLO"
    again = capture(repo)
    assert again == link
    assert len(list(repo.glob(".git/objects/pack/*.pack"))) == 1


def test_a_clean_filter_runs_as_it_would_for_a_commit(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.up filter=upper\n")
    git(repo, "config", "filter.upper.clean", "tr a-z A-Z")
    (repo / "text.up").write_text("hello\n")
    assert list_tree(repo, capture(repo).tree)["text.up"] == "100644 HELLO"


def test_a_filter_that_fails_leaves_the_commit(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.up filter=upper\n")
    git(repo, "config", "filter.upper.clean", "false")
    git(repo, "config", "filter.upper.required", "true")
    (repo / "text.up").write_text("hello\n")
    work = Capture(get_repository(repo), repo)
    link = work.finish(settings=Settings(), scrubber=Scrubber({}))
    assert (link.captured, link.commit, link.branch) == ("commit", git(repo, "rev-parse", "HEAD"), "main")
    assert isinstance(work.problem, GitFailed)
    assert list((repo / ".git" / "gittrack").iterdir()) == []


@pytest.mark.parametrize("damaged", ["index", "gittrack"])
def test_a_repository_that_cannot_be_read_or_written_leaves_the_commit(repo: Path, damaged: str) -> None:
    head = git(repo, "rev-parse", "HEAD")
    (repo / "train.py").write_text("changed\n")
    (repo / ".git" / damaged).write_bytes(b"not what it should be")
    inner = repo / "inner"
    inner.mkdir()
    work = Capture(get_repository(repo), inner)
    assert work.finish(settings=Settings(), scrubber=Scrubber({})) == SourceLink(
        commit=head, branch="main", captured="commit", directory="inner"
    )
    assert isinstance(work.problem, StoreFailed)


def test_a_subdirectory_is_named_and_the_whole_tree_captured(repo: Path, tmp_path: Path) -> None:
    inner = repo / "a dir" / "inner"
    inner.mkdir(parents=True)
    (repo / "train.py").write_text("changed\n")
    (tmp_path / "way-in").symlink_to(inner)
    link = capture(inner)
    assert link.directory == "a dir/inner"
    assert list_tree(repo, link.tree)["train.py"] == "100644 changed"
    assert capture(tmp_path / "way-in") == link
    assert capture(repo).directory == "."


def test_inside_a_hook_with_another_index(repo: Path) -> None:
    program = (
        "from pathlib import Path\nfrom gittrack.source import Capture\nfrom gittrack.repository import *\n"
        "from gittrack.settings import Settings\nfrom gittrack.scrub import Scrubber\nimport os\n"
        "assert 'GIT_INDEX_FILE' in os.environ\n"
        "here = Path.cwd()\n"
        "link = Capture(get_repository(here), here).finish(settings=Settings(), scrubber=Scrubber({}))\n"
        "Path('.git/captured').write_text(link.tree)\n"
    )
    hook = repo / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} - <<'EOT'\n{program}EOT\n")
    hook.chmod(0o755)
    (repo / "train.py").write_text("committed\n")
    (repo / "README").write_text("not committed\n")
    git(repo, "commit", "-qm", "part", "train.py")
    assert list_tree(repo, (repo / ".git" / "captured").read_text()) == {
        "README": "100644 not committed",
        "train.py": "100644 committed",
    }
    assert git(repo, "diff", "--name-only") == "README"


def test_outside_of_working_trees_there_is_nothing_to_capture(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    nothing = SourceLink()
    for place in (None, get_repository(tmp_path / "bare.git"), get_repository(repo / ".git")):
        assert Capture(place, tmp_path).finish(settings=Settings(), scrubber=Scrubber({})) == nothing


def test_without_git_the_commit_is_the_source(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repo, "remote", "add", "origin", "https://token123@example.com/me/x.git")
    head = git(repo, "rev-parse", "HEAD")
    (repo / "train.py").write_text("changed\n")
    repository, scrubber = get_repository(repo), Scrubber({})
    monkeypatch.setenv("PATH", "")
    work = Capture(repository, repo)
    want = SourceLink(commit=head, branch="main", remote="https://example.com/me/x.git", captured="commit")
    assert (
        work.finish(settings=Settings(), scrubber=scrubber)
        == want
        == capture_commit(repository, repo, scrubber=Scrubber({}))
    )
    assert isinstance(work.problem, Unsupported)
    work.cancel()
    assert scrubber.scrubbed == ("source.remote",)


def test_the_remote_is_the_branch_s_own(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "git@example.com:me/origin.git")
    git(repo, "remote", "add", "fork", "ssh://git@example.com/me/fork.git")
    assert capture(repo).remote == "git@example.com:me/origin.git"
    git(repo, "config", "branch.main.remote", "fork")
    assert capture(repo).remote == "ssh://git@example.com/me/fork.git"
    git(repo, "config", "branch.main.remote", ".")
    assert capture(repo).remote == "git@example.com:me/origin.git"


def test_large_files_are_left_out_and_listed(repo: Path) -> None:
    (repo / "big.bin").write_bytes(b"x" * 2001)
    (repo / "fits.bin").write_bytes(b"y" * 2000)
    link = capture(repo, source_file_limit=2000)
    assert link.left_out == (LeftOut("big.bin", 2001, "too-large"),)
    assert "fits.bin" in list_tree(repo, link.tree)


def test_code_is_taken_first_where_the_total_is_limited(repo: Path) -> None:
    (repo / "a.bin").write_bytes(b"x" * 600)
    (repo / "b.yaml").write_bytes(b"y" * 500)
    (repo / "z.py").write_bytes(b"z" * 900)
    link = capture(repo, source_total_limit=1500)
    assert link.left_out == (LeftOut("a.bin", 600, "total-too-large"),)
    link = capture(repo, source_count_limit=1)
    assert link.left_out == (LeftOut("a.bin", 600, "too-many"), LeftOut("b.yaml", 500, "too-many"))
    assert "z.py" in list_tree(repo, link.tree)


def test_tracked_files_have_no_limit(repo: Path) -> None:
    (repo / "train.py").write_bytes(b"# long\n" * 1000)
    link = capture(repo, source_file_limit=10, source_total_limit=10, source_count_limit=0)
    assert link.left_out == ()
    assert len(list_tree(repo, link.tree)["train.py"]) > 6000


def test_left_out_files_alone_make_nothing_dirty(repo: Path) -> None:
    (repo / "big.bin").write_bytes(b"x" * 100)
    link = capture(repo, source_file_limit=10)
    assert (link.dirty, link.tree, link.captured) == (False, None, "worktree")
    assert link.left_out == (LeftOut("big.bin", 100, "too-large"),)


def test_a_long_list_names_directories(repo: Path) -> None:
    for directory in ("data/a", "data/b"):
        (repo / directory).mkdir(parents=True)
        for number in range(150):
            (repo / directory / f"{number}.bin").write_bytes(b"12345")
    (repo / "other.bin").write_bytes(b"1234567")
    link = capture(repo, source_count_limit=0)
    assert link.left_out == (
        LeftOut("data/a/", 750, "too-many"),
        LeftOut("data/b/", 750, "too-many"),
        LeftOut("other.bin", 7, "too-many"),
    )
    for number in range(300):
        (repo / f"{number}.bin").write_bytes(b"1")
    assert capture(repo, source_count_limit=0).left_out == (LeftOut("./", 1807, "too-many"),)


def test_untracked_secrets_are_left_out(repo: Path) -> None:
    (repo / ".env").write_text("A=1\n")
    (repo / "id_rsa").write_text("x\n")
    (repo / "config.yaml").write_text(f"key: {KEY}\n")
    (repo / "id_map.py").write_text("ids = {}\n")
    link = capture(repo)
    assert reasons(link) == {".env": "secret-name", "id_rsa": "secret-name", "config.yaml": "secret-content"}
    assert set(list_tree(repo, link.tree)) == {"README", "id_map.py", "train.py"}


def test_an_untracked_file_with_the_value_of_a_secret_variable_is_left_out(repo: Path) -> None:
    (repo / "client.py").write_text("connect('zebra-crossing')\n")
    scrubber = Scrubber({"ACME_TOKEN": "zebra-crossing"})
    link = Capture(get_repository(repo), repo).finish(settings=Settings(), scrubber=scrubber)
    assert reasons(link) == {"client.py": "secret-content"}


def test_a_tracked_secret_keeps_its_committed_version(repo: Path) -> None:
    for name in (".env", "a.pem", "b.pem", "c.pem", "d.pem"):
        (repo / name).write_text("committed\n")
    git(repo, "add", "-f", "-A")
    git(repo, "commit", "-qm", "oh no")
    assert not capture(repo).dirty
    (repo / ".env").write_text("changed on disk\n")
    (repo / "a.pem").write_text("staged\n")
    (repo / "new.pem").write_text("staged and new\n")
    git(repo, "add", "a.pem", "new.pem")
    (repo / "later.pem").write_text("to be added\n")
    git(repo, "add", "-N", "later.pem")
    (repo / "b.pem").unlink()
    git(repo, "rm", "-q", "--cached", "c.pem")
    (repo / "train.py").write_text("changed\n")
    (repo / "d.pem").unlink()
    (repo / "d.pem").mkdir()
    (repo / "d.pem" / "inner.py").write_text("inner\n")
    link = capture(repo)
    assert list_tree(repo, link.tree) == {
        ".env": "100644 committed",
        "README": "100644 a model",
        "a.pem": "100644 committed",
        "d.pem/inner.py": "100644 inner",
        "train.py": "100644 changed",
    }
    assert reasons(link) == dict.fromkeys([".env", "a.pem", "new.pem", "later.pem", "c.pem"], "secret-name")
    assert link.dirty


def test_a_secret_in_conflict_keeps_its_committed_version(repo: Path) -> None:
    first = git(repo, "rev-parse", "HEAD")
    for branch, text in (("other", "theirs"), ("main", "ours")):
        git(repo, "checkout", "-q", "-B", branch, first)
        (repo / ".env").write_text(f"{text}\n")
        git(repo, "add", "-f", ".env")
        git(repo, "commit", "-qm", text)
    assert subprocess.run(["git", "merge", "-q", "other"], cwd=repo, capture_output=True, check=False).returncode == 1
    link = capture(repo)
    assert list_tree(repo, link.tree)[".env"] == "100644 ours"
    assert reasons(link) == {".env": "secret-name"}


def test_special_files_are_never_opened(repo: Path) -> None:
    os.mkfifo(repo / "pipe")
    os.mkfifo(repo / "pipe.py")
    (repo / "README").unlink()
    os.mkfifo(repo / "README")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(repo)
        server.bind("socket")
        os.chdir(here)
        link = capture(repo)
    assert list_tree(repo, link.tree)["README"] == "100644 a model"
    assert set(list_tree(repo, link.tree)) == {"README", "train.py"}
    assert link.dirty
    assert reasons(link)["README"] == "special-file"
    assert set(reasons(link)) <= {"README", "pipe", "pipe.py", "socket"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_files_are_left_out(repo: Path) -> None:
    (repo / "closed.py").write_text("x\n")
    (repo / "closed.py").chmod(0)
    (repo / "train.py").write_text("changed\n")
    (repo / "train.py").chmod(0)
    link = capture(repo)
    assert reasons(link) == {"closed.py": "unreadable", "train.py": "unreadable"}
    assert list_tree(repo, link.tree)["train.py"] == "100644 print('training')"


def test_a_repository_inside_this_one_is_left_out(repo: Path) -> None:
    for name in ("empty", "nested"):
        git(repo, "init", "-q", name)
    (repo / "nested" / "file.py").write_text("x\n")
    git(repo / "nested", "add", "-A")
    git(repo / "nested", "commit", "-qm", "inner")
    (repo / "new.py").write_text("new\n")
    link = capture(repo)
    assert reasons(link) == {"empty/": "special-file", "nested/": "special-file"}
    assert set(list_tree(repo, link.tree)) == {"README", "new.py", "train.py"}


def test_a_submodule_is_its_commit(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "library")
    library = tmp_path / "library"
    (library / "lib.py").write_text("one\n")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "one")
    git(repo, "submodule", "-q", "add", str(library), "lib")
    git(repo, "commit", "-qm", "with a library")
    assert not capture(repo).dirty
    inner = repo / "lib"
    (inner / "untracked").write_text("x\n")
    assert not capture(repo).dirty
    (inner / "lib.py").write_text("changed\n")
    link = capture(repo)
    assert link.dirty
    assert link.left_out == (LeftOut("lib/", 0, "special-file"),)
    assert link.tree == git(repo, "rev-parse", "HEAD^{tree}")
    git(inner, "commit", "-qam", "two")
    link = capture(repo)
    assert link.left_out == ()
    assert git(repo, "rev-parse", f"{link.tree}:lib") == git(inner, "rev-parse", "HEAD")
    assert list_tree(repo, link.tree)["lib"] == "160000"
    assert capture(inner).directory == "."


def test_a_cancelled_capture_leaves_nothing(repo: Path) -> None:
    (repo / "train.py").write_text("changed\n")
    work = Capture(get_repository(repo), repo)
    work.begin()
    work.cancel()
    work.cancel()
    assert not (repo / ".git" / "gittrack").exists()


def test_copies_of_killed_processes_are_removed_but_not_those_of_live_ones(repo: Path) -> None:
    own = repo / ".git" / "gittrack"
    for name in ("index-dead", "index-live", "runs"):
        (own / name).mkdir(parents=True)
    long_ago = time.time() - 3 * 24 * 3600
    for name in ("index-dead", "runs"):
        os.utime(own / name, (long_ago, long_ago))
    (repo / "train.py").write_text("changed\n")
    Capture(get_repository(repo), repo).finish(settings=Settings(), scrubber=Scrubber({}))
    assert sorted(path.name for path in own.iterdir()) == ["index-live", "runs"]


NAMES = ["a", "b.py", "d/e", "d/f.sh", "d/g/h", "i"]
CONTENTS = st.none() | st.sampled_from(["one\n", "two\n", "link"])
STATE = st.fixed_dictionaries(dict.fromkeys(NAMES, CONTENTS))


def lay_out(directory: Path, state: dict[str, str | None]) -> None:
    for name, content in state.items():
        file = directory / name
        file.unlink(missing_ok=True)
        if content is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            if content == "link":
                file.symlink_to("a")
            else:
                file.write_text(content)
                file.chmod(0o755 if content == "two\n" else 0o644)


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATE, STATE, STATE)
def test_any_commit_index_and_disk_give_the_tree_on_disk(
    tmp_path_factory: pytest.TempPathFactory,
    committed: dict[str, str | None],
    staged: dict[str, str | None],
    on_disk: dict[str, str | None],
) -> None:
    directory = tmp_path_factory.mktemp("any") / "repo"
    directory.mkdir()
    git(directory, "init", "-q")
    for state in (committed, staged):
        lay_out(directory, state)
        git(directory, "add", "-A")
        if state is committed:
            git(directory, "commit", "-q", "--allow-empty", "-m", "first")
    lay_out(directory, on_disk)
    link = capture(directory)
    tree = link.tree or git(directory, "rev-parse", "HEAD^{tree}")
    assert tree == tree_of_disk(directory)
    assert link.dirty == (git(directory, "status", "--porcelain") != "")


def make_store(tmp_path: Path, *arguments: str) -> Path:
    git(tmp_path, "init", "-q", "--bare", *arguments, "store.git")
    return tmp_path / "store.git"


@pytest.mark.parametrize("files", [3, 150])
def test_a_tree_is_copied_to_a_store_of_its_own(repo: Path, tmp_path: Path, files: int) -> None:
    for number in range(files):
        (repo / f"file{number}.py").write_text(f"{number}\n")
    link = capture(repo)
    assert link.tree is not None
    store = make_store(tmp_path)
    copy_source(get_repository(repo), get_repository(store), link.tree)
    assert list_tree(store, link.tree) == list_tree(repo, link.tree)
    git(store, "fsck", "--strict")
    before = sorted(store.rglob("*"))
    copy_source(get_repository(repo), get_repository(store), link.tree)
    assert sorted(store.rglob("*")) == before
    (repo / "file1.py").write_text("changed\n")
    second = capture(repo).tree
    assert second is not None
    copy_source(get_repository(repo), get_repository(store), second)
    added = [path for path in store.rglob("*") if path.is_file() and path not in before]
    assert len(added) == 2
    assert list_tree(store, second)["file1.py"] == "100644 changed"


def test_a_store_that_lost_a_file_of_the_tree_gets_it_again(repo: Path, tmp_path: Path) -> None:
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    store = make_store(tmp_path)
    copy_source(get_repository(repo), get_repository(store), tree)
    blob = git(repo, "rev-parse", "HEAD:train.py")
    (store / "objects" / blob[:2] / blob[2:]).unlink()
    copy_source(get_repository(repo), get_repository(store), tree)
    assert git(store, "cat-file", "blob", blob) == "print('training')"


def test_trees_that_cannot_be_copied(repo: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with pytest.raises(GitFailed):
        copy_source(get_repository(repo), get_repository(store), "1" * 40)
    with pytest.raises(InvalidInput):
        copy_source(get_repository(repo), get_repository(store), "--output=/tmp/x")


def test_stores_of_another_hash_are_refused(repo: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path, "--object-format=sha256")
    with pytest.raises(Unsupported, match=r"sha1.*sha256"):
        copy_source(get_repository(repo), get_repository(store), git(repo, "rev-parse", "HEAD^{tree}"))


def test_many_untracked_files_are_listed_quickly(repo: Path) -> None:
    for number in range(100):
        directory = repo / "data" / str(number)
        directory.mkdir(parents=True)
        for inner in range(100):
            (directory / f"{inner}.bin").write_bytes(b"x")
    started = time.perf_counter()
    link = capture(repo, source_count_limit=100)
    assert time.perf_counter() - started < 10
    assert sum(entry.size for entry in link.left_out) == 9_900

"""A run's source tree in a directory: all of it as it was, whatever a hostile tree holds, or nothing."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from clones import Clone
from conftest import git
from hypothesis import given
from hypothesis import strategies as st
from snapshots.invocation import call, read

import gittrack
from gittrack.checkout import CheckedOut, plan_checkout, write_checkout
from gittrack.checkout.names import Links, find_collisions, is_git_name
from gittrack.content import ContentStore
from gittrack.errors import Conflict, Corrupt, InvalidInput, NotFound
from gittrack.model import Pointer, SourceLink
from gittrack.pointer import encode_pointer
from gittrack.repository import get_repository
from gittrack.store import open_store
from gittrack.tracker import Tracker

LINK = 0o120000


def make_tree(repo: Path, files: Mapping[str, bytes | tuple[int, bytes]]) -> str:
    """Write a tree with git's own plumbing, which takes any name that the format can spell."""
    nested: dict[str, dict[str, bytes | tuple[int, bytes]]] = {}
    lines = b""
    for path, content in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            nested.setdefault(head, {})[rest] = content
            continue
        mode, data = content if isinstance(content, tuple) else (0o100644, content)
        id = git(repo, "hash-object", "-w", "--stdin", stdin=data) if mode != 0o160000 else data.decode()
        kind = "commit" if mode == 0o160000 else "blob"
        lines += f"{mode:06o} {kind} {id}\t{path}".encode("utf-8", "surrogateescape") + b"\0"
    for name, below in nested.items():
        lines += f"040000 tree {make_tree(repo, below)}\t".encode() + name.encode("utf-8", "surrogateescape") + b"\0"
    return git(repo, "mktree", "-z", stdin=lines)


def write(repo: Path, tree: str, target: Path) -> CheckedOut:
    repository = get_repository(repo)
    with open_store(repository) as store:
        return write_checkout(store, ContentStore.of(repository), plan_checkout(store, tree), target)


def read_files(directory: Path) -> dict[str, bytes]:
    return {
        os.fsdecode(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_dirty_tree_comes_back_as_it_was_on_disk(repo: Path, tmp_path: Path) -> None:
    (repo / "train.py").write_text("print('changed')\n")
    (repo / "new dir").mkdir()
    (repo / "new dir" / "größe\n.txt").write_bytes(b"\0\r\nraw")
    (repo / "tool.sh").write_text("#!/bin/sh\n")
    (repo / "tool.sh").chmod(0o755)
    (repo / "link").symlink_to("new dir/größe\n.txt")
    (repo / ".env").write_text("TOKEN=1\n")
    gittrack.start_run("churn", name="dirty").end()
    status, index = git(repo, "status", "--porcelain=v2", "-b"), (repo / ".git/index").read_bytes()

    answer = call("checkout", "dirty", str(tmp_path / "out"))
    assert (answer.code, answer.out) == (0, f"{tmp_path}/out\n")
    assert ".env: not recorded, its name is that of a secret (8 B)" in answer.err
    assert "wrote 5 files" in answer.err
    out = tmp_path / "out"
    assert read_files(out) == {
        "train.py": b"print('changed')\n",
        "README": b"a model\n",
        "new dir/größe\n.txt": b"\0\r\nraw",
        "tool.sh": b"#!/bin/sh\n",
    }
    assert os.readlink(out / "link") == "new dir/größe\n.txt"
    mask = os.umask(0)
    os.umask(mask)
    modes = [stat.S_IMODE((out / name).stat().st_mode) for name in ("tool.sh", "train.py", "new dir", ".")]
    assert modes == [0o777 & ~mask, 0o666 & ~mask, 0o777 & ~mask, 0o777 & ~mask]
    assert (git(repo, "status", "--porcelain=v2", "-b"), (repo / ".git/index").read_bytes()) == (status, index)


def test_the_directory_is_made_beside_the_working_tree(repo: Path) -> None:
    gittrack.start_run("churn", name="clean").end()
    record = read("checkout", "clean", "--json").json("checkout")
    assert record["directory"] == f"{repo}-clean"
    assert (record["files"], record["missing"], record["collisions"]) == (2, [], [])
    assert record["tree"] == git(repo, "rev-parse", "HEAD^{tree}")
    assert read_files(Path(f"{repo}-clean")) == {"train.py": b"print('training')\n", "README": b"a model\n"}
    assert [path.name for path in repo.parent.iterdir() if path.name.endswith(".part")] == []


def test_a_live_run_s_source(repo: Path, tmp_path: Path) -> None:
    with gittrack.start_run("churn") as run, Tracker.open(recover=False) as tracker:
        tracker.checkout_source(tracker.get_run(run.id), tmp_path / "out")
    assert read_files(tmp_path / "out")["train.py"] == b"print('training')\n"


def test_nothing_is_ever_written_over(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gittrack.start_run("churn", name="one").end()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "away").symlink_to(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    cases = {"full": 4, "file": 4, "away": 2, "no/such": 3, str(repo): 2, str(repo / ".git" / "x"): 2}
    for name, code in cases.items():
        assert call("checkout", "one", str(tmp_path / name)).code == code, name
    monkeypatch.chdir(tmp_path)
    assert call("checkout", "one", str(repo), "-C", str(repo / ".git")).code == 4
    assert call("checkout", "one", str(tmp_path / "empty"), "-C", str(repo)).code == 0
    assert read_files(tmp_path / "full") == {"mine": b"mine"}
    assert sorted(read_files(tmp_path / "empty")) == ["README", "train.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["away", "empty", "file", "full", "repo"]


def test_somebody_else_fills_the_directory_meanwhile(repo: Path, tmp_path: Path) -> None:
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").write_text("theirs")
    with pytest.raises(Conflict, match="meanwhile"):
        write(repo, tree, tmp_path / "out")
    assert read_files(tmp_path / "out") == {"theirs": b"theirs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "repo"]


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/x",
        ".GIT",
        "a/.Git/config",
        "git~1",
        "GIT~1/config",
        ".git./x",
        ".git /x",
        ".g\u200cit/x",
        ".git::$INDEX_ALLOCATION/x",
        "．git/x",
    ],
)
def test_a_git_directory_in_any_spelling_is_refused(repo: Path, tmp_path: Path, path: str) -> None:
    tree = make_tree(repo, {path.replace(".git/", ".giX/") if path.startswith(".git/") else path: b"x"})
    if path == ".git/hooks/x":  # git's own plumbing would not write this one
        raw = git(repo, "cat-file", "-p", tree)
        below = raw.split()[2]
        data = b"40000 .git\0" + bytes.fromhex(below)
        tree = git(repo, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=data)
    with pytest.raises(Corrupt, match="Git directory"):
        write(repo, tree, tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["repo"]


def test_names_that_only_look_like_a_git_directory() -> None:
    names = (".gitignore", ".gitattributes", "git", "x.git", ".git2", "git~2", ".github", "a.git:b")
    assert [name for name in names if is_git_name(name)] == []


def test_links_that_lead_out_are_left_out_and_named(repo: Path, tmp_path: Path) -> None:
    files: dict[str, bytes | tuple[int, bytes]] = {
        "a/b/c/file": b"x",
        "a/in": (LINK, b"b/c/file"),
        "a/b/up": (LINK, b"../../a"),
        "dangling": (LINK, b"nowhere/yet"),
        "out": (LINK, b"/etc/passwd"),
        "a/out": (LINK, b"../../secret"),
        "a/b/c/jump": (LINK, b"../../../a"),  # lies at depth 1, looks like depth 4
        "trick": (LINK, b"a/b/c/jump/../.."),
        "loop": (LINK, b"loop"),
        "via": (LINK, b"out/.."),
    }
    done = write(repo, make_tree(repo, files), tmp_path / "out")
    assert {path for path, _ in done.plan.outside} == {"out", "a/out", "trick", "loop", "via"}
    links = {str(path.relative_to(done.directory)) for path in done.directory.rglob("*") if path.is_symlink()}
    assert links == {"a/in", "a/b/up", "dangling", "a/b/c/jump"}
    assert (done.directory / "a/in").read_bytes() == b"x"


NAMES = st.sampled_from(["a", "b", "c"])
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=6).map("/".join)


@given(st.dictionaries(st.tuples(NAMES, NAMES).map("/".join), TARGETS, max_size=4))
def test_no_link_that_is_kept_leads_out_on_a_real_file_system(targets: dict[str, str]) -> None:
    import tempfile

    targets = {path: target for path, target in targets.items() if target}
    links = Links(targets)
    kept = {path: target for path, target in targets.items() if not links.leads_outside(path)}
    with tempfile.TemporaryDirectory() as place:
        root = os.path.realpath(os.path.join(place, "x", "root"))
        for path, target in kept.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            os.symlink(target, os.path.join(root, path))
        for path in kept:
            end = os.path.realpath(os.path.join(root, path))
            assert end == root or end.startswith(root + os.sep), (path, targets)


def test_a_file_below_what_some_file_systems_take_for_a_link(repo: Path, tmp_path: Path) -> None:
    tree = make_tree(
        repo,
        {
            "A": (LINK, b"b"),
            "a/x": b"1",
            "b/y": b"2",
            "README": b"1",
            "readme": b"2",
            "caf\u00e9": b"",
            "cafe\u0301": b"",
        },
    )
    done = write(repo, tree, tmp_path / "out")
    assert done.plan.collisions == (("A", "a"), ("README", "readme"), ("cafe\u0301", "caf\u00e9"))
    assert read_files(tmp_path / "out")["a/x"] == b"1"
    assert find_collisions(["a", "a/b", "a/c", "b/c"]) == ()


def test_content_of_git_lfs_where_it_is_here(repo: Path, tmp_path: Path) -> None:
    here = ContentStore.of(get_repository(repo)).put_bytes(b"weights")
    gone = Pointer(hashlib.sha256(b"gone").hexdigest(), 4)
    damaged = ContentStore.of(get_repository(repo)).put_bytes(b"damaged")
    tree = make_tree(
        repo,
        {
            "here.bin": encode_pointer(here),
            "gone.bin": encode_pointer(gone),
            "empty": b"",
            "no.bin": b"version https://git-lfs.github.com/spec/v1\nnonsense\n",
        },
    )
    done = write(repo, tree, tmp_path / "out")
    assert (done.filled, done.pointers) == (("here.bin",), (("gone.bin", gone),))
    files = read_files(tmp_path / "out")
    assert (files["here.bin"], files["gone.bin"], files["empty"]) == (b"weights", encode_pointer(gone), b"")

    path = ContentStore.of(get_repository(repo)).find(damaged)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"DAMAGED")
    with pytest.raises(Corrupt, match="is damaged"):
        write(repo, make_tree(repo, {"a": b"1", "b": encode_pointer(damaged)}), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_submodules_are_empty_directories_and_old_modes_are_files(repo: Path, tmp_path: Path) -> None:
    tree = make_tree(repo, {"lib/sub": (0o160000, b"1" * 40), "x": b"1"})
    done = write(repo, tree, tmp_path / "out")
    assert done.plan.submodules == (("lib/sub", "1" * 40),)
    assert list((tmp_path / "out/lib/sub").iterdir()) == []


def test_a_file_that_is_missing_leaves_nothing_behind(repo: Path, tmp_path: Path) -> None:
    tree = make_tree(repo, {"a": b"1", "b": b"to be lost"})
    blob = git(repo, "rev-parse", f"{tree}:b")
    (repo / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(NotFound):
        write(repo, tree, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repo"]


def test_what_a_run_says_of_its_tree_is_not_believed(repo: Path, tmp_path: Path) -> None:
    """The tree in its commit counts; one that run.json names may be anything that happens to be in the store."""
    private = make_tree(repo, {"private": b"x"})
    clone = Clone(tmp_path / "other", str(repo))
    with clone.open() as tracker:
        source = tracker.store.write_tree({"public": b"y"})
    lie = SourceLink(captured="worktree", tree=private)
    clone.record("a" * 32, source=source)
    with clone.open() as tracker:
        found = tracker.get_run("a" * 32)
        lying = found.with_run(replace(found.snapshot.run, source=lie))
        tracker.checkout_source(lying, tmp_path / "out")
    assert read_files(tmp_path / "out") == {"public": b"y"}


def test_a_run_without_source(tmp_path: Path, repo: Path) -> None:
    clone = Clone(tmp_path / "other", str(repo))
    clone.record("b" * 32, name="bare\x1b[31m")
    answer = call("checkout", "b" * 32, "-C", str(clone.directory), str(tmp_path / "out"))
    assert answer.code == 3
    assert "has no source" in answer.err
    assert "\x1b" not in answer.err


def test_a_tree_that_no_git_would_write(repo: Path) -> None:
    with open_store(get_repository(repo)) as store:
        blob = store.write_blob(b"x")
        data = b"100600 odd\0" + bytes.fromhex(blob)
        tree = git(repo, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=data)
        with pytest.raises(Corrupt, match="mode 100600"):
            plan_checkout(store, tree)


def test_the_current_directory_is_not_written_into(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gittrack.start_run("churn", name="one").end()
    (tmp_path / "here").mkdir()
    with Tracker.open(repo) as tracker:
        monkeypatch.chdir(tmp_path / "here")
        with pytest.raises(InvalidInput, match="current directory"):
            tracker.checkout_source(tracker.get_run("one"), Path())

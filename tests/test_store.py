"""One contract for every store: what is written is read back, by git too, in crowds, after crashes, while repacked."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import git
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import Corrupt, InvalidInput, NotFound, StoreFailed, Unsupported
from gittrack.repository import get_repository
from gittrack.store import Commit, Ident, Store, TreeEntry, open_store
from gittrack.store.dulwich_store import DulwichStore
from gittrack.store.encoding import format_commit, format_tree, hash_object, parse_commit, parse_tree
from gittrack.store.git_store import GitStore
from gittrack.store.loose import loose_path
from gittrack.store.objects import check_ref
from gittrack.store.walk import walk_commits

REF = "refs/heads/gittrack/churn"
ADA = Ident("Ada Lovelace", "ada@example.com")
BACKENDS = {
    "dulwich-sha1": (DulwichStore, "sha1"),
    "dulwich-sha256": (DulwichStore, "sha256"),
    "git-sha1": (GitStore, "sha1"),
    "git-sha256": (GitStore, "sha256"),
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def directory(backend: str, tmp_path: Path) -> Path:
    directory = tmp_path / "repo"
    git(tmp_path, "init", "-q", f"--object-format={BACKENDS[backend][1]}", str(directory))
    return directory


@pytest.fixture
def opener(backend: str) -> Callable[[Path], Store]:
    return lambda path: BACKENDS[backend][0](get_repository(path))


@pytest.fixture
def store(opener: Callable[[Path], Store], directory: Path) -> Iterator[Store]:
    with opener(directory) as store:
        yield store


def write(store: Store, text: str = "x", *parents: str, time: int = 1_700_000_000) -> str:
    tree = store.write_tree({"run.json": text.encode()})
    return store.write_commit(tree=tree, parents=parents, author=ADA, time=time, message=f"{text}\n\nRun: x\n")


def build_chain(store: Store, count: int) -> list[str]:
    """Put a line of commits on the branch, and return their ids, oldest first."""
    ids: list[str] = []
    for number in range(count):
        ids.append(write(store, f"run {number}", *ids[-1:], time=1_700_000_000 + number))
    store.sync()
    assert store.move_ref(REF, old=None, new=ids[-1], message="gittrack: record")
    return ids


def check_with_git(directory: Path) -> None:
    done = subprocess.run(
        ["git", "fsck", "--strict", "--full"], cwd=directory, capture_output=True, text=True, check=False
    )
    complaints = [
        line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(("notice", "dangling"))
    ]
    assert (done.returncode, complaints) == (0, [])


def test_what_is_written_is_what_git_reads(store: Store, directory: Path) -> None:
    files = {
        "run.json": b"{}\n",
        "metrics/0001.parquet": bytes(range(256)),
        "metrics.json": b"",
        "artifacts/a/b.txt": b"deep",
        "artifacts/a.txt": b"flat",
        "é 日本": b"name",
    }
    tree = store.write_tree(files)
    first = store.write_commit(tree=tree, parents=[], author=ADA, time=0, message="first")
    second = store.write_commit(tree=tree, parents=[first], author=ADA, time=1_700_000_000, message="brave\n\nRun: é\n")
    store.sync()
    assert store.move_ref(REF, old=None, new=second, message="gittrack: record")
    check_with_git(directory)
    listing = git(directory, "ls-tree", "-r", "-z", "--name-only", REF).rstrip("\0").split("\0")
    assert set(listing) == set(files)
    for path, data in files.items():
        done = subprocess.run(
            ["git", "cat-file", "blob", f"{REF}:{path}"], cwd=directory, capture_output=True, check=True
        )
        assert done.stdout == data
    shown = git(directory, "log", "-1", "--format=%H|%T|%P|%an|%ae|%at|%cn|%ct|%B", REF)
    assert (
        shown
        == f"{second}|{tree}|{first}|Ada Lovelace|ada@example.com|1700000000|Ada Lovelace|1700000000|brave\n\nRun: é\n"
    )
    assert store.get_commit(first).message == "first\n"
    assert store.get_commit(second) == Commit(
        second, tree, (first,), "Ada Lovelace <ada@example.com>", 1_700_000_000, "brave\n\nRun: é\n"
    )
    assert dict(store.list_files(tree)).keys() == files.keys()
    assert {path: store.get_blob(entry.id) for path, entry in store.list_files(tree)} == files


@pytest.mark.parametrize("count", [0, 3, 700])
def test_a_chain_of_commits_is_what_single_commits_are(store: Store, directory: Path, count: int) -> None:
    root = write(store, "root")
    tree = store.get_commit(root).tree
    blob = store.write_blob(b"a blob")
    assert git(directory, "cat-file", "blob", blob) == "a blob"
    links = [(tree, ADA, 1_700_000_000 + number, f"run {number}\n\nRun: x\n") for number in range(count)]
    tip = store.write_chain(links, parent=root)
    store.sync()
    expected = root
    for _, author, time_, message in links:
        expected = store.write_commit(tree=tree, parents=(expected,), author=author, time=time_, message=message)
    assert tip == expected
    assert store.move_ref(REF, old=None, new=tip, message="gittrack: record")
    assert git(directory, "rev-list", "--count", REF) == str(count + 1)
    assert [commit.time for commit in store.walk((tip,))][:count] == [time_ for _, _, time_, _ in reversed(links)]
    check_with_git(directory)


def test_equal_input_gives_equal_ids_and_no_second_file(store: Store, directory: Path) -> None:
    first = write(store)
    path = loose_path(directory / ".git" / "objects", first)
    before = path.stat().st_ino
    assert write(store) == first
    assert path.stat().st_ino == before
    store.sync()


def test_what_git_writes_is_read(store: Store, directory: Path) -> None:
    (directory / "dir").mkdir()
    (directory / "dir" / "tool").write_text("#!/bin/sh\n")
    (directory / "dir" / "tool").chmod(0o755)
    (directory / "link").symlink_to("dir/tool")
    (directory / "dir.txt").write_text("text")
    git(directory, "add", "-A")
    git(directory, "-c", "user.name=Jörg <x> ", "commit", "-qm", "sübject\n\nbody")
    head = git(directory, "rev-parse", "HEAD")
    commit = store.get_commit(head)
    assert (commit.message, commit.parents) == ("sübject\n\nbody\n", ())
    assert commit.tree == git(directory, "rev-parse", "HEAD^{tree}")
    assert abs(commit.time - time.time()) < 600
    entries = store.get_tree(commit.tree)
    assert {name: entry.mode for name, entry in entries.items()} == {
        "dir": 0o40000,
        "dir.txt": 0o100644,
        "link": 0o120000,
    }
    tool = store.find_entry(commit.tree, "dir/tool")
    assert tool == TreeEntry(0o100755, git(directory, "rev-parse", "HEAD:dir/tool"))
    assert store.find_entry(commit.tree, "dir/none") is None
    assert store.find_entry(commit.tree, "none/tool") is None
    assert store.find_entry(commit.tree, "dir.txt/tool") is None
    assert store.find_entry(commit.tree, "dir") == entries["dir"]
    assert store.find_ref("refs/heads/main") == head


def test_entries_that_exist_are_kept_as_they_are(store: Store, directory: Path) -> None:
    (directory / "tool").write_text("#!/bin/sh\n")
    (directory / "tool").chmod(0o755)
    git(directory, "add", "-A")
    source = TreeEntry(0o40000, git(directory, "write-tree"))
    inner = store.get_tree(source.id)["tool"]
    tree = store.write_tree({"source": source, "copy/tool": inner, "copy/new": b"n"})
    assert store.get_tree(tree)["source"] == source
    assert store.find_entry(tree, "copy/tool") == inner
    write(store)
    commit = store.write_commit(tree=tree, parents=(), author=ADA, time=1, message="m")
    assert store.move_ref(REF, old=None, new=commit, message="m")
    check_with_git(directory)
    missing = TreeEntry(0o40000, "1" * store.repository.id_length)
    with pytest.raises(NotFound, match="'source' cannot be written"):
        store.write_tree({"source": missing})
    with pytest.raises(InvalidInput):
        store.write_tree({"source": TreeEntry(0o40000, "../../etc")})


BAD_PATHS = ["", "/a", "a/", "a//b", "./a", "a/../b", ".git/config", "a/.GIT", "a\0b", "\udc80"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_no_tree_may_hold_are_refused(store: Store, directory: Path, path: str) -> None:
    with pytest.raises(InvalidInput):
        store.write_tree({path: b""})
    assert git(directory, "count-objects") == "0 objects, 0 kilobytes"


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_file_that_is_a_directory_too_is_refused(store: Store, paths: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput):
        store.write_tree(dict.fromkeys(paths, b""))


def test_an_identity_can_hold_anything(store: Store, directory: Path) -> None:
    tree = store.write_tree({})
    for name, email in [("A <b>\n", "x>y\n"), ("", ""), ("名 前", "ü@x"), (".", "a b"), ("\udcff", "s")]:
        commit = store.write_commit(tree=tree, parents=(), author=Ident(name, email), time=1, message="m")
        assert store.move_ref(
            "refs/heads/gittrack/who", old=store.find_ref("refs/heads/gittrack/who"), new=commit, message="m"
        )
        check_with_git(directory)
    for change in ({"time": -1}, {"message": "a\0b"}):
        with pytest.raises(InvalidInput):
            store.write_commit(**{"tree": tree, "parents": (), "author": ADA, "time": 1, "message": "m", **change})


def test_missing_objects_and_wrong_kinds_are_not_found(store: Store) -> None:
    missing = "1" * store.repository.id_length
    for read in (store.get_commit, store.get_tree, store.get_blob):
        with pytest.raises(NotFound):
            read(missing)
    commit = write(store)
    with pytest.raises(NotFound, match="that is a commit"):
        store.get_blob(commit)
    for text in ("", "HEAD", "1" * 39, "1" * store.repository.id_length + "\n", "../" + "1" * 40, "G" * 40):
        with pytest.raises(InvalidInput):
            store.get_commit(text)


def test_a_limit_is_checked_before_bytes_are_read(store: Store, directory: Path) -> None:
    tree = store.write_tree({"big": b"x" * 100_000, "small": b"y"})
    big, small = (store.get_tree(tree)[name].id for name in ("big", "small"))
    for _ in range(2):
        with pytest.raises(Corrupt, match="100000 bytes large, more than the 99999 expected"):
            store.get_blob(big, limit=99_999)
        assert len(store.get_blob(big, limit=100_000)) == 100_000
        assert store.get_blob(small, limit=1) == b"y"
        commit = store.write_commit(tree=tree, parents=(), author=ADA, time=1, message="m")
        store.move_ref(REF, old=store.find_ref(REF), new=commit, message="m")
        git(directory, "repack", "-adq")
        git(directory, "prune-packed")


def test_a_small_delta_of_a_large_base_is_held_to_the_limit_of_its_result(store: Store, directory: Path) -> None:
    base = random.Random(1).randbytes(50_000)
    tree = store.write_tree({"a": base, "b": base + b"more", "c": base[:49_000]})
    commit = store.write_commit(tree=tree, parents=(), author=ADA, time=1, message="m")
    store.move_ref(REF, old=None, new=commit, message="m")
    git(directory, "repack", "-adfq")
    chains = git(directory, "verify-pack", "-v", *map(str, (directory / ".git/objects/pack").glob("*.idx")))
    assert "chain length = 1" in chains
    entries = store.get_tree(tree)
    for name, size in (("a", 50_000), ("b", 50_004), ("c", 49_000)):
        assert len(store.get_blob(entries[name].id, limit=size)) == size
        with pytest.raises(Corrupt, match=f"{size} bytes large"):
            store.get_blob(entries[name].id, limit=size - 1)


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["empty", "cut", "flipped", "other", "garbage"])
def test_damaged_objects_are_told(store: Store, directory: Path, opener: Callable[[Path], Store], kind: str) -> None:
    tree = store.write_tree({"a": b"content of a", "b": b"content of b"})
    a, b = (store.get_tree(tree)[name].id for name in "ab")
    objects = directory / ".git" / "objects"
    raw = loose_path(objects, a).read_bytes()
    bad = {
        "empty": b"",
        "cut": raw[:-6],
        "flipped": raw[:-1] + bytes([raw[-1] ^ 1]),
        "other": loose_path(objects, b).read_bytes(),
        "garbage": b"not zlib at all",
    }[kind]
    damage(loose_path(objects, a), bad)
    with opener(directory) as fresh:
        with pytest.raises(Corrupt, match=a):
            fresh.get_blob(a)
        assert fresh.get_blob(b) == b"content of b"


def test_a_damaged_pack_is_told(store: Store, directory: Path, opener: Callable[[Path], Store]) -> None:
    ids = build_chain(store, 3)
    git(directory, "repack", "-adq")
    git(directory, "prune-packed")
    (pack,) = (directory / ".git" / "objects" / "pack").glob("*.pack")
    raw = bytearray(pack.read_bytes())
    trailer = store.repository.id_length // 2
    raw[14:-trailer] = bytes(len(raw) - 14 - trailer)
    damage(pack, bytes(raw))
    with opener(directory) as fresh, pytest.raises(Corrupt):
        fresh.get_commit(ids[0])


def test_an_object_damaged_by_a_power_cut_is_written_anew(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    with DulwichStore(get_repository(tmp_path / "repo")) as store:
        commit = write(store)
        damage(loose_path(tmp_path / "repo" / ".git" / "objects", commit), b"")
        assert write(store) == commit
        assert store.get_commit(commit).id == commit


def test_a_hostile_tree_is_refused(directory: Path, store: Store) -> None:
    blob = git(directory, "hash-object", "-w", "--stdin", stdin=b"x")
    entry = bytes.fromhex(blob)
    for name in (b"..", b".", b"", b"a/b"):
        data = b"100644 " + name + b"\0" + entry
        tree = git(directory, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=data)
        with pytest.raises(Corrupt):
            store.get_tree(tree)
    twice = (b"100644 a\0" + entry) * 2
    tree = git(directory, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=twice)
    with pytest.raises(Corrupt, match="or two are"):
        store.get_tree(tree)


def test_refs_are_found_listed_and_deleted(store: Store, directory: Path) -> None:
    one, two = build_chain(store, 2)
    assert store.find_ref(REF) == two
    assert store.find_ref("refs/heads/gittrack/none") is None
    assert store.list_refs("refs/nothing/") == {}
    tracking = "refs/remotes/origin/gittrack/churn"
    live = "refs/gittrack/live/" + "a" * 32
    assert store.move_ref(tracking, old=None, new=one, message="gittrack: fetch")
    assert store.move_ref(live, old=None, new=store.get_commit(one).tree, message="gittrack: live")
    assert store.move_ref("refs/heads/gittrackish", old=None, new=one, message="m")
    git(directory, "symbolic-ref", "refs/remotes/origin/HEAD", tracking)
    for _ in range(2):
        assert store.list_refs("refs/heads/gittrack/") == {REF: two}
        assert store.list_refs("refs/heads/gittrack") == {REF: two}
        assert store.list_refs("refs/remotes/") == {tracking: one, "refs/remotes/origin/HEAD": one}
        assert store.find_ref("refs/remotes/origin/HEAD") == one
        git(directory, "pack-refs", "--all")
        assert not (directory / ".git" / REF).exists()
    three = write(store, "three", two)
    assert store.move_ref(REF, old=two, new=three, message="m")
    assert store.list_refs("refs/heads/gittrack/") == {REF: three}
    assert git(directory, "rev-parse", REF) == three
    assert not store.delete_ref(REF, old=two)
    assert store.delete_ref(REF, old=three)
    assert store.find_ref(REF) is None
    assert not store.delete_ref(REF, old=three)
    assert store.delete_ref(live, old=store.get_commit(one).tree)
    assert git(directory, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/gittrackish",
        "refs/remotes/origin/HEAD",
        tracking,
    ]
    assert store.move_ref(REF, old=None, new=one, message="m")


def test_a_ref_moves_only_from_what_it_was(store: Store, directory: Path) -> None:
    one, two = build_chain(store, 2)
    assert not store.move_ref(REF, old=None, new=one, message="m")
    assert not store.move_ref(REF, old=one, new=two, message="m")
    assert not store.move_ref("refs/heads/gittrack/other", old=one, new=two, message="m")
    git(directory, "pack-refs", "--all")
    assert not store.move_ref(REF, old=None, new=one, message="m")
    assert store.move_ref(REF, old=two, new=one, message="m")
    assert git(directory, "rev-parse", REF) == one
    assert store.find_ref("refs/heads/gittrack/other") is None


BAD_REFS = [
    "",
    "HEAD",
    "heads/x",
    "refs/",
    "refs/heads/../../config",
    "refs/heads/a b",
    "refs/heads/a.lock",
    "-d",
    "refs/heads/.a",
    "refs//heads",
    "refs/heads/a/",
    "refs/heads/a.",
    "refs/heads/a@{1}",
    "refs/heads/a\nb",
    "refs/heads/a:b",
    "refs/heads/a\\b",
    "refs/heads/\udc80",
]


@pytest.mark.parametrize("ref", BAD_REFS)
def test_names_that_are_no_refs_are_refused(store: Store, ref: str) -> None:
    one = "1" * store.repository.id_length
    for call in (
        lambda: store.find_ref(ref),
        lambda: store.move_ref(ref, old=None, new=one, message="m"),
        lambda: store.delete_ref(ref, old=one),
    ):
        with pytest.raises(InvalidInput):
            call()


@settings(max_examples=200, deadline=None)
@given(st.text("ab./@{~^:?*[\\- é\x7f", max_size=10))
def test_every_ref_name_we_take_git_takes(tail: str) -> None:
    ref = "refs/heads/" + tail
    try:
        check_ref(ref)
    except InvalidInput:
        return
    subprocess.run(["git", "check-ref-format", ref], check=True)


def test_a_ref_cannot_lie_below_a_ref(store: Store) -> None:
    (one,) = build_chain(store, 1)
    with pytest.raises(StoreFailed):
        store.move_ref(REF + "/below", old=None, new=one, message="m")
    assert store.delete_ref(REF, old=one)
    assert store.move_ref(REF + "/below", old=None, new=one, message="m")
    assert store.delete_ref(REF + "/below", old=one)
    assert store.move_ref(REF, old=None, new=one, message="m")


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\0" * 41])
def test_a_damaged_ref_is_told_and_left_out_of_lists(store: Store, directory: Path, content: bytes) -> None:
    (one,) = build_chain(store, 1)
    (directory / ".git" / "refs" / "heads" / "gittrack" / "bad").write_bytes(content)
    with pytest.raises(Corrupt, match="refs/heads/gittrack/bad is damaged"):
        store.find_ref("refs/heads/gittrack/bad")
    assert store.list_refs("refs/heads/gittrack/") == {REF: one}


def test_the_reflog_is_kept_as_the_repository_says(store: Store, directory: Path) -> None:
    one, two = build_chain(store, 2)
    store.move_ref(REF, old=two, new=one, message="gittrack: back\nagain")
    log = git(directory, "reflog", "show", "--format=%H %gn <%ge> %gs", REF).splitlines()
    assert [line.split(" ", 1)[0] for line in log] == [one, two]
    assert [line.rpartition("> ")[2] for line in log] == ["gittrack: back again", "gittrack: record"]
    live = "refs/gittrack/live/" + "a" * 32
    store.move_ref(live, old=None, new=one, message="m")
    assert not (directory / ".git" / "logs" / live).exists()
    store.delete_ref(REF, old=one)
    assert not (directory / ".git" / "logs" / "refs" / "heads" / "gittrack").exists()


def test_no_reflog_where_the_repository_wants_none(directory: Path, opener: Callable[[Path], Store]) -> None:
    git(directory, "config", "core.logAllRefUpdates", "false")
    with opener(directory) as store:
        build_chain(store, 1)
    assert not (directory / ".git" / "logs" / REF).exists()


def test_walk_goes_newest_first_and_stops_where_told(store: Store, directory: Path) -> None:
    ids = build_chain(store, 6)
    assert [commit.id for commit in store.walk([ids[-1]])] == ids[::-1]
    assert [commit.id for commit in store.walk([ids[-1], ids[2]])] == ids[::-1]
    assert [commit.id for commit in store.walk([ids[-1]], stop={ids[2]})] == ids[:2:-1]
    assert [commit.id for commit in store.walk([ids[-1]], stop=lambda id: id == ids[4])] == [ids[5]]
    assert list(store.walk([ids[-1]], stop=ids)) == []
    side = write(store, "side", ids[1], time=1_700_000_004)
    merge = write(store, "merge", ids[5], side, time=1_700_000_100)
    walked = [commit.id for commit in store.walk([merge])]
    assert len(walked) == len(set(walked)) == 8
    git(directory, "update-ref", REF, merge)
    assert walked == git(directory, "rev-list", "--date-order", REF).split()


def test_walk_of_a_shallow_clone_ends_at_its_edge(
    store: Store, directory: Path, tmp_path: Path, opener: Callable[[Path], Store]
) -> None:
    ids = build_chain(store, 5)
    git(tmp_path, "clone", "-q", "--depth=2", "--branch=gittrack/churn", directory.as_uri(), "shallow")
    with opener(tmp_path / "shallow") as shallow:
        walked = list(shallow.walk([ids[-1]]))
        assert [(commit.id, commit.parents) for commit in walked] == [(ids[4], (ids[3],)), (ids[3], ())]


def test_a_hole_in_the_history_is_told(store: Store, directory: Path) -> None:
    ids = build_chain(store, 3)
    loose_path(directory / ".git" / "objects", ids[0]).unlink()
    with pytest.raises(NotFound, match=ids[0]):
        list(store.walk([ids[-1]]))


def test_commits_are_found_by_the_start_of_their_id(store: Store, directory: Path) -> None:
    ids = build_chain(store, 3)
    git(directory, "repack", "-adq")
    git(directory, "prune-packed")
    loose = write(store, "another", ids[-1])
    for id in (*ids, loose):
        for length in (4, 7, 9, store.repository.id_length):
            assert id in store.find_commits_by_prefix(id[:length])
        assert store.find_commits_by_prefix(id[:12].upper()) == [id]
    assert store.find_commits_by_prefix(store.get_commit(ids[0]).tree) == []
    for text in ("", "abc", "xyz1", ids[0] + "0", "ab/../.."):
        with pytest.raises(InvalidInput):
            store.find_commits_by_prefix(text)


def test_reading_goes_on_while_git_repacks(store: Store, directory: Path) -> None:
    ids = build_chain(store, 8)
    trees = [store.get_commit(id).tree for id in ids]
    for arguments in (["repack", "-adq"], ["repack", "-adfq", "--window=5"], ["gc", "-q"]):
        git(directory, *arguments)
        git(directory, "prune-packed")
        assert [store.get_commit(id).tree for id in ids] == trees
        assert store.get_blob(store.get_tree(trees[3])["run.json"].id, limit=100) == b"run 3"
    (pack,) = (directory / ".git" / "objects" / "pack").glob("*.pack")
    moved = pack.rename(directory / "moved.pack")
    for path in (directory / ".git" / "objects" / "pack").iterdir():
        path.unlink()
    git(directory, "unpack-objects", "-q", stdin=moved.read_bytes())
    assert [store.get_commit(id).tree for id in ids] == trees


def test_a_multi_pack_index_changes_nothing(store: Store, directory: Path) -> None:
    ids = build_chain(store, 3)
    git(directory, "repack", "-adq", "--write-midx")
    git(directory, "prune-packed")
    more = write(store, "more", ids[-1])
    git(directory, "update-ref", REF, more)
    git(directory, "repack", "-dq")
    git(directory, "multi-pack-index", "write")
    assert [commit.id for commit in store.walk([more])] == [more, *ids[::-1]]


def test_linked_working_trees_share_refs_and_objects(
    store: Store, directory: Path, tmp_path: Path, opener: Callable[[Path], Store]
) -> None:
    git(directory, "commit", "-q", "--allow-empty", "-m", "first")
    git(directory, "worktree", "add", "-q", str(tmp_path / "side"))
    (one,) = build_chain(store, 1)
    with opener(tmp_path / "side") as side:
        assert side.find_ref(REF) == one
        two = write(side, "two", one)
        side.sync()
        assert side.move_ref(REF, old=one, new=two, message="m")
    assert store.get_commit(store.find_ref(REF) or "").id == two
    assert (directory / ".git" / "gittrack" / "lock").exists()


def test_borrowed_objects_are_read(
    store: Store, directory: Path, tmp_path: Path, opener: Callable[[Path], Store]
) -> None:
    git(directory, "commit", "-q", "--allow-empty", "-m", "first")
    ids = build_chain(store, 3)
    git(tmp_path, "clone", "-q", "--shared", str(directory), "middle")
    git(tmp_path, "clone", "-q", "--shared", str(tmp_path / "middle"), "borrower")
    alternates = tmp_path / "borrower" / ".git" / "objects" / "info" / "alternates"
    alternates.write_text("# a comment\n\n" + alternates.read_text() + "\n")
    for _ in range(2):
        with opener(tmp_path / "borrower") as borrower:
            assert [commit.id for commit in borrower.walk([ids[-1]])] == ids[::-1]
            assert borrower.find_commits_by_prefix(ids[0][:10]) == [ids[0]]
            entry = TreeEntry(0o40000, store.get_commit(ids[0]).tree)
            assert borrower.find_entry(borrower.write_tree({"source": entry}), "source/run.json") is not None
        git(directory, "gc", "-q")


def test_objects_a_partial_clone_lacks_are_fetched(
    store: Store, directory: Path, tmp_path: Path, opener: Callable[[Path], Store]
) -> None:
    (one,) = build_chain(store, 1)
    git(directory, "config", "uploadpack.allowFilter", "true")
    git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(directory, "symbolic-ref", "HEAD", REF)
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", directory.as_uri(), "partial")
    with opener(tmp_path / "partial") as partial:
        blob = partial.get_tree(partial.get_commit(one).tree)["run.json"].id
        assert partial.get_blob(blob, limit=100) == b"run 0"
        with pytest.raises((NotFound, Corrupt)):
            partial.get_blob("1" * partial.repository.id_length)


def test_a_bare_repository_is_a_store(
    directory: Path, tmp_path: Path, backend: str, opener: Callable[[Path], Store]
) -> None:
    git(tmp_path, "init", "-q", "--bare", f"--object-format={BACKENDS[backend][1]}", "runs.git")
    with opener(tmp_path / "runs.git") as store:
        ids = build_chain(store, 2)
    check_with_git(tmp_path / "runs.git")
    assert git(tmp_path / "runs.git", "rev-list", REF).split() == ids[::-1]
    assert not (tmp_path / "runs.git" / "logs" / REF).exists()


def test_head_index_and_working_tree_stay(store: Store, directory: Path) -> None:
    (directory / "a").write_text("a")
    git(directory, "add", "-A")
    before = {path: (directory / ".git" / path).read_bytes() for path in ("HEAD", "index")}
    build_chain(store, 2)
    assert {path: (directory / ".git" / path).read_bytes() for path in before} == before
    assert git(directory, "status", "--porcelain") == "A  a"


def test_a_shared_repository_stays_shared(backend: str, tmp_path: Path, opener: Callable[[Path], Store]) -> None:
    git(tmp_path, "init", "-q", "--bare", "--shared=group", f"--object-format={BACKENDS[backend][1]}", "team.git")
    old = os.umask(0o077)
    try:
        with opener(tmp_path / "team.git") as store:
            (one,) = build_chain(store, 1)
    finally:
        os.umask(old)
    path = loose_path(tmp_path / "team.git" / "objects", one)
    assert path.stat().st_mode & 0o777 == 0o440
    assert path.parent.stat().st_mode & 0o7777 == 0o2770
    assert (tmp_path / "team.git" / "refs/heads/gittrack").stat().st_mode & 0o7777 == 0o2770


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere")
def test_a_read_only_repository_is_read_and_refuses_writing(store: Store, directory: Path, backend: str) -> None:
    (one,) = build_chain(store, 1)
    code = f"""
from pathlib import Path
from gittrack.errors import StoreFailed
from gittrack.repository import get_repository
from test_store import BACKENDS, REF, write
store = BACKENDS[{backend!r}][0](get_repository(Path({str(directory)!r})))
one = store.find_ref(REF)
assert [commit.id for commit in store.walk([one])] == [{one!r}]
for attempt in (lambda: write(store, "new"), lambda: store.move_ref(REF, old=one, new=one, message="m")):
    try:
        attempt()
    except StoreFailed as error:
        assert "ermission" in str(error) or "unable" in str(error), error
    else:
        raise AssertionError("was written")
store.close()
"""
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(directory)], check=True)
    for parent in directory.parents:
        if parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o555)
    prefix = ["setpriv", "--reuid=65534", "--clear-groups"] if os.getuid() == 0 else []
    probe = [*prefix, sys.executable, "-c", "import gittrack"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        subprocess.run(["chmod", "-R", "u+w", str(directory)], check=True)
        pytest.skip("another user cannot reach this checkout or its interpreter")
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    environment |= {"PYTHONPATH": str(Path(__file__).parent), "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(directory)], check=True)
    assert done.returncode == 0, done.stderr


def test_a_store_says_where_nothing_can_be_written(store: Store, directory: Path) -> None:
    objects = directory / ".git" / "objects"
    id = hash_object("tree", b"", store.repository.object_format)
    (objects / id[:2]).write_text("a file where a directory belongs")
    with pytest.raises(StoreFailed):
        store.write_tree({})


def append_runs(backend: str, directory: str, worker: int, count: int) -> None:
    """Append runs to the branch, as a process of its own would: lock, read, write, sync, move."""
    with BACKENDS[backend][0](get_repository(Path(directory))) as store:
        for number in range(count):
            tree = store.write_tree({"run.json": b"%d %d" % (worker, number), "shared.json": b"same for all"})
            with store.lock():
                tip = store.find_ref(REF)
                message = f"worker {worker} run {number}"
                new = store.write_commit(
                    tree=tree, parents=() if tip is None else (tip,), author=ADA, time=1_700_000_000, message=message
                )
                store.sync()
                assert store.move_ref(REF, old=tip, new=new, message="gittrack: record")


def test_a_crowd_of_processes_loses_nothing(store: Store, directory: Path, backend: str) -> None:
    workers, count = (8, 15) if "dulwich" in backend else (4, 5)
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "fork")
    crowd = [context.Process(target=append_runs, args=(backend, str(directory), n, count)) for n in range(workers)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0] * workers
    commits = list(store.walk([store.find_ref(REF) or ""]))
    expected = {f"worker {worker} run {number}\n" for worker in range(workers) for number in range(count)}
    assert {commit.message for commit in commits} == expected
    assert len(commits) == workers * count
    assert sum(not commit.parents for commit in commits) == 1
    check_with_git(directory)


def test_without_the_lock_compare_and_swap_alone_loses_nothing(store: Store, directory: Path, backend: str) -> None:
    count = 10
    stores = [BACKENDS[backend][0](store.repository) for _ in range(3)]
    failures: list[BaseException] = []

    def work(own: Store, worker: int) -> None:
        try:
            for number in range(count):
                while True:
                    tip = own.find_ref(REF)
                    new = write(own, f"{worker} {number}", *([tip] if tip else []))
                    if own.move_ref(REF, old=tip, new=new, message="m"):
                        break
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(own, number)) for number, own in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(store.walk([store.find_ref(REF) or ""]))) == 3 * count
    for own in stores:
        own.close()


def test_one_store_serves_several_threads(store: Store) -> None:
    ids = build_chain(store, 4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert [commit.id for commit in store.walk([ids[-1]])] == ids[::-1]
                assert store.find_ref(REF) == ids[-1]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_forked_child_and_its_parent_do_not_mix_up_answers(store: Store) -> None:
    ids = build_chain(store, 4)
    assert store.get_commit(ids[0]).id == ids[0]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if [commit.id for commit in store.walk([ids[-1]])] == ids[::-1] else 2
        finally:
            os._exit(status)
    for _ in range(20):
        assert [commit.id for commit in store.walk([ids[-1]])] == ids[::-1]
    assert os.waitpid(child, 0)[1] == 0


def test_a_process_killed_at_any_moment_leaves_a_whole_branch(tmp_path: Path) -> None:
    directory, backend = tmp_path / "repo", "dulwich-sha1"
    git(tmp_path, "init", "-q", str(directory))
    chance = random.Random(7)
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                append_runs(backend, str(directory), os.getpid(), 10_000)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.03, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lock = directory / ".git" / (REF + ".lock")
        if lock.exists():  # what the killed one held: no live process does, so it is swept once it is old
            os.utime(lock, (time.time() - 3600,) * 2)
        append_runs(backend, str(directory), 0, 1)
    with open_store(get_repository(directory)) as store:
        commits = list(store.walk([store.find_ref(REF) or ""]))
    assert len(commits) > 6
    check_with_git(directory)
    assert list((directory / ".git" / "refs").rglob("*.lock")) == []


def test_a_dead_ref_lock_is_swept_and_a_live_one_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "repo")
    monkeypatch.setattr("gittrack.store.refs._LONGEST_WAIT", 0.3)
    with DulwichStore(get_repository(tmp_path / "repo")) as store:
        (one,) = build_chain(store, 1)
        two = write(store, "two", one)
        lock = tmp_path / "repo" / ".git" / (REF + ".lock")
        lock.touch()
        with pytest.raises(StoreFailed, match="locked by another process") as caught:
            store.move_ref(REF, old=one, new=two, message="m")
        assert caught.value.hint == f"rm {lock}"
        os.utime(lock, (time.time() - 3600,) * 2)
        with lock.open("ab"), pytest.raises(StoreFailed):
            store.move_ref(REF, old=one, new=two, message="m")
        assert store.move_ref(REF, old=one, new=two, message="m")
        assert not lock.exists()
        threading.Timer(0.1, lock.unlink).start()
        lock.touch()
        assert store.move_ref(REF, old=two, new=one, message="m")


def test_a_git_that_holds_the_ref_is_waited_for(store: Store, directory: Path) -> None:
    (one,) = build_chain(store, 1)
    lock = directory / ".git" / (REF + ".lock")
    lock.touch()
    threading.Timer(0.2, lock.unlink).start()
    two = write(store, "two", one)
    assert store.move_ref(REF, old=one, new=two, message="m")


def test_the_lock_keeps_others_out_and_lets_its_holder_in(
    store: Store, opener: Callable[[Path], Store], directory: Path
) -> None:
    entered = threading.Event()
    with opener(directory) as other:

        def enter() -> None:
            with other.lock():
                entered.set()

        with store.lock(), store.lock():
            thread = threading.Thread(target=enter)
            thread.start()
            assert not entered.wait(0.1)
        thread.join()
        assert entered.is_set()


def test_a_forked_child_does_not_hold_on_to_the_lock(
    store: Store, opener: Callable[[Path], Store], directory: Path
) -> None:
    with store.lock():
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with opener(directory) as other, other.lock():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_syncing_waits_for_files_their_names_and_the_ref(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may take anything not synced: every file is synced before its rename, and its directory after."""
    git(tmp_path, "init", "-q", "repo")
    events: list[tuple[str, str]] = []
    sync, rename = os.fsync, os.replace

    def traced_sync(descriptor: int) -> None:
        events.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def traced_rename(source: str | Path | bytes, target: str | Path | bytes) -> None:
        events.append((os.fsdecode(source), os.fsdecode(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_rename)
    with DulwichStore(get_repository(tmp_path / "repo")) as store:
        (one,) = build_chain(store, 1)
        common = tmp_path / "repo" / ".git"
        moves = [(index, *event) for index, event in enumerate(events) if event[0] != "sync"]
        assert len(moves) == 4  # a blob, a tree, a commit, a ref
        for index, source, target in moves:
            assert ("sync", source) in events[:index]
            assert ("sync", str(Path(target).parent)) in events[index:]
        ref_moved = moves[-1][0]
        assert moves[-1][2] == str(common / REF)
        for _, _, target in moves[:-1]:
            assert ("sync", str(Path(target).parent)) in events[:ref_moved]
        assert ("sync", str(common / "objects")) in events[:ref_moved]
        assert ("sync", str(common / "refs" / "heads")) in events[ref_moved:]
        events.clear()
        assert write(store, "run 0") == one
        store.sync()
        assert ("sync", str(loose_path(common / "objects", one))) in events


def test_a_temporary_file_does_not_stay_where_the_disk_is_full(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    code = f"""
import os, resource
from pathlib import Path
from gittrack.errors import StoreFailed
from gittrack.repository import get_repository
from gittrack.store import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store = open_store(get_repository(Path({str(tmp_path / "repo")!r})))
try:
    store.write_tree({{"a": os.urandom(100_000)}})
except StoreFailed as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert [path for path in (tmp_path / "repo" / ".git" / "objects").rglob("*") if path.is_file()] == []


def test_an_ordinary_repository_is_opened_in_process(directory: Path) -> None:
    with open_store(get_repository(directory)) as store:
        assert isinstance(store, DulwichStore)


def test_a_repository_only_git_knows_is_opened_through_git(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(directory, "config", "core.repositoryFormatVersion", "1")
    git(directory, "config", "extensions.worktreeConfig", "true")
    with open_store(get_repository(directory)) as store:
        assert isinstance(store, DulwichStore)
    git(directory, "config", "extensions.refStorage", "reftable")
    with open_store(get_repository(directory)) as store:
        assert isinstance(store, GitStore)
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(Unsupported, match="reftable"):
        open_store(get_repository(directory))


def test_recording_needs_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "repo")
    with open_store(get_repository(tmp_path / "repo")) as store, monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        ids = build_chain(store, 3)
        assert [commit.id for commit in store.walk([ids[-1]])] == ids[::-1]
    check_with_git(tmp_path / "repo")


def test_packs_are_read_without_git_and_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "repo")
    with open_store(get_repository(tmp_path / "repo")) as store:
        ids = build_chain(store, 3)
        git(tmp_path / "repo", "repack", "-adq")
        git(tmp_path / "repo", "prune-packed")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert [commit.id for commit in store.walk([ids[-1]])] == ids[::-1]
    open_files = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)]
    assert [path for path in open_files if path.startswith(str(tmp_path)) and ".pack" in path] == []
    assert store.get_commit(ids[0]).id == ids[0]
    store.close()


def test_a_store_left_open_says_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    with open_store(get_repository(tmp_path / "repo")) as store:
        (one,) = build_chain(store, 1)
    git(tmp_path / "repo", "repack", "-adq")
    git(tmp_path / "repo", "prune-packed")
    code = f"""
from pathlib import Path
from gittrack.repository import get_repository
from gittrack.store import open_store
store = open_store(get_repository(Path({str(tmp_path / "repo")!r})))
print(store.get_commit({one!r}).time)
"""
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1700000000\n", "")


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and name.lower() not in (".git", "git~1")
)
IDS = st.binary(min_size=20, max_size=20).map(bytes.hex)
ENTRIES = st.dictionaries(NAMES, st.builds(TreeEntry, st.sampled_from([0o100644, 0o100755, 0o120000, 0o40000]), IDS))


@settings(max_examples=60, deadline=None)
@given(ENTRIES)
def test_trees_round_trip_and_sort_as_git_sorts(entries: dict[str, TreeEntry]) -> None:
    data = format_tree(entries)
    assert parse_tree(data, "sha1") == entries
    names = [(name + "/" if entry.is_tree else name).encode() for name, entry in parse_tree(data, "sha1").items()]
    assert names == sorted(names)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_tree_or_refused(data: bytes) -> None:
    try:
        entries = parse_tree(data, "sha1")
    except Corrupt:
        return
    assert sum(len(name.encode("utf-8", "surrogateescape")) + 22 for name in entries) <= len(data)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=100, deadline=None)
@given(IDS, st.lists(IDS, max_size=3), TEXTS, TEXTS, st.integers(0, 2**40), TEXTS)
def test_commits_round_trip(tree: str, parents: list[str], name: str, email: str, time: int, message: str) -> None:
    data = format_commit(tree=tree, parents=parents, author=Ident(name, email), time=time, message=message)
    commit = parse_commit("f" * 40, data)
    assert (commit.tree, commit.parents, commit.time) == (tree, tuple(parents), time)
    assert commit.message == (message if message.endswith("\n") or not message else message + "\n")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_commit_or_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        parse_commit("f" * 40, data)


def test_a_signed_commit_with_more_headers_is_read() -> None:
    data = (
        b"tree " + b"a" * 40 + b"\nparent " + b"b" * 40 + b"\nauthor A <a@x> 5 +0200\ncommitter C <c@x> 7 -0130\n"
        b"encoding ISO-8859-1\ngpgsig -----BEGIN\n tree nothing\n author X <x@x> 1 +0000\n -----END\n\n"
        b"subject\n\nbody \xff\n"
    )
    commit = parse_commit("f" * 40, data)
    assert commit == Commit("f" * 40, "a" * 40, ("b" * 40,), "A <a@x>", 7, "subject\n\nbody \ufffd\n")


def make_history(parents: dict[str, tuple[str, ...]], times: dict[str, int]) -> dict[str, Commit]:
    return {id: Commit(id, "t", parents[id], "a", times[id], "m") for id in parents}


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Commit], list[str]]:
    """Draw a history whose clocks disagree by less than half an hour, and tips of it."""
    count = draw(st.integers(1, 14))
    parents: dict[str, tuple[str, ...]] = {}
    times: dict[str, int] = {}
    for number in range(count):
        id = f"{number:02d}"
        below = draw(st.lists(st.sampled_from(sorted(parents)), max_size=3)) if parents else []
        parents[id] = tuple(below)
        times[id] = number * draw(st.sampled_from([1, 600, 4000])) + draw(st.integers(0, 1700))
        times[id] = max([times[id], *(times[parent] - 1700 for parent in below)])
    tips = draw(st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=3))
    return make_history(parents, times), tips


def find_ancestors(commits: dict[str, Commit], tips: list[str], stop: set[str]) -> set[str]:
    found: set[str] = set()
    todo = list(tips)
    while todo:
        id = todo.pop()
        if id not in found and id not in stop:
            found.add(id)
            todo += commits[id].parents
    return found


@settings(max_examples=300, deadline=None)
@given(histories(), st.sets(st.sampled_from([f"{number:02d}" for number in range(14)]), max_size=2))
def test_a_walk_visits_each_commit_once_after_its_children(
    history: tuple[dict[str, Commit], list[str]], stop: set[str]
) -> None:
    commits, tips = history
    walked = [commit.id for commit in walk_commits(tips, read=commits.__getitem__, is_known=stop.__contains__)]
    assert len(walked) == len(set(walked))
    assert set(walked) == find_ancestors(commits, tips, stop)
    if max(commit.time for commit in commits.values()) < 3600:  # so all is within the slack: the order is exact
        place = {id: index for index, id in enumerate(walked)}
        for id in walked:
            assert all(place[parent] > place[id] for parent in commits[id].parents if parent in place)


def test_a_walk_along_one_line_reads_no_further_than_it_goes() -> None:
    parents = {f"{number:02d}": (f"{number - 1:02d}",) if number else () for number in range(50)}
    commits = make_history(parents, {id: int(id) for id in parents})
    read: list[str] = []

    def get(id: str) -> Commit:
        read.append(id)
        return commits[id]

    walk = walk_commits(["49"], read=get, is_known=lambda id: False)
    assert [next(walk).id for _ in range(3)] == ["49", "48", "47"]
    assert read == ["49", "48", "47"]


def test_equal_times_put_children_first() -> None:
    parents = {"a": (), "b": ("a",), "c": ("b",), "d": ("a",), "e": ("c", "d")}
    commits = make_history(parents, dict.fromkeys(parents, 5))
    walked = [commit.id for commit in walk_commits(["e", "a"], read=commits.__getitem__, is_known=lambda id: False)]
    assert walked[0] == "e"
    assert walked[-1] == "a"
    assert walked.index("c") < walked.index("b")

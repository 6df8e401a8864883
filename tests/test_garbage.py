"""Content that nobody needs goes, later; what a run, a journal or the user's own Git LFS files need never does."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from children import Child, run_in_child
from conftest import git

import gittrack
from gittrack import layout
from gittrack.content import ContentStore
from gittrack.deletion import DAY, GRACE, delete_runs, survey_deletion
from gittrack.errors import NotFound
from gittrack.garbage import collect, condemn, read_condemned
from gittrack.garbage.condemned import Condemned, write_condemned
from gittrack.model import Pointer
from gittrack.pointer import encode_pointer
from gittrack.tracker import Tracker

NOW = 4_000_000_000_000_000


@pytest.fixture
def tracker(repo: Path) -> Iterator[Tracker]:
    with Tracker.open() as tracker:
        yield tracker


def keep(name: str, *texts: str) -> str:
    """Record a run with one artifact for each text; return its id."""
    with gittrack.start_run("churn", name=name) as run:
        for text in texts:
            run.log_text(text, f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.txt")
    return run.id


def name_content(text: str) -> Pointer:
    return Pointer(hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))


def is_here(tracker: Tracker, text: str) -> bool:
    pointer = name_content(text)
    place = tracker.repository.common_directory / "lfs" / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
    if place.exists():
        assert place.read_text() == text
    return place.exists()


def delete(tracker: Tracker, *names: str, now: int = NOW, grace: int = 0) -> None:
    for name in names:
        tracker.edit_run(name, removed=True)
    delete_runs(tracker, now=now, period=0, grace=grace)


def test_content_is_condemned_first_and_deleted_once_its_time_has_come(tracker: Tracker) -> None:
    keep("gone", "only here", "shared")
    keep("stays", "shared", "of its own")
    tracker.edit_run("gone", removed=True)
    survey = survey_deletion(tracker, now=NOW)
    assert [run.name for run in survey.runs] == ["gone"]
    assert survey.unneeded == (name_content("only here"),)
    assert (survey.condemned, survey.unsure) == ((), "")
    assert len(tracker.list_runs(removed=True)) == 2, "a survey changes nothing"
    done = delete_runs(tracker, now=NOW)
    assert [entry.pointer for entry in done.content.waiting] == [name_content("only here")]
    assert done.content.needed == (name_content("shared"),)
    assert read_condemned(tracker.store).keys() == {name_content("only here").oid}
    for early in (0, GRACE - 1):
        assert delete_runs(tracker, now=NOW + early).content.deleted == ()
        assert survey_deletion(tracker, now=NOW + early).due == ()
        assert is_here(tracker, "only here")
    assert len(survey_deletion(tracker, now=NOW + GRACE).due) == 1
    assert delete_runs(tracker, now=NOW + GRACE).content.deleted == (name_content("only here"),)
    assert not is_here(tracker, "only here")
    assert is_here(tracker, "shared")
    assert is_here(tracker, "of its own")
    assert read_condemned(tracker.store) == {}
    tracker.content.verify(name_content("shared"))
    assert list((tracker.content.directory / "gittrack-condemned").iterdir()) == []


def test_content_that_is_needed_again_meanwhile_stays(tracker: Tracker) -> None:
    keep("gone", "popular")
    delete(tracker, "gone", grace=GRACE)
    assert name_content("popular").oid in read_condemned(tracker.store)
    keep("new", "popular")
    done = delete_runs(tracker, now=NOW + GRACE)
    assert done.content.needed == (name_content("popular"),)
    assert is_here(tracker, "popular")
    assert read_condemned(tracker.store) == {}


def test_content_of_any_revision_of_any_run_that_is_left_stays(tracker: Tracker, repo: Path) -> None:
    first = keep("stays", "first")
    (file := repo / "second.txt").write_text("second")
    with gittrack.start_run(run_id=first) as run:
        run.log_artifact(file)
    keep("gone", "first", "second")
    git(repo, "update-ref", "refs/remotes/origin/gittrack/churn", "refs/heads/gittrack/churn~2")
    delete(tracker, "gone")
    assert is_here(tracker, "first")
    assert is_here(tracker, "second")


def test_a_copy_of_the_branch_from_before_does_not_keep_content(tracker: Tracker, repo: Path) -> None:
    keep("gone", "only here")
    git(repo, "update-ref", "refs/remotes/origin/gittrack/churn", "refs/heads/gittrack/churn")
    delete(tracker, "gone")
    assert not is_here(tracker, "only here")


def _on_a_branch(repo: Path, blob: str) -> None:
    _commit(repo, blob, "refs/heads/topic")


def _in_a_tag(repo: Path, blob: str) -> None:
    commit = _commit(repo, blob, None)
    git(repo, "tag", "-a", "-m", "release", "v1", commit)


def _in_an_old_commit(repo: Path, blob: str) -> None:
    commit = _commit(repo, blob, None)
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    git(repo, "update-ref", "refs/heads/topic", git(repo, "commit-tree", tree, "-p", commit, "-m", "without it"))


def _in_the_index(repo: Path, blob: str) -> None:
    git(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},data.bin")


def _in_another_working_tree(repo: Path, blob: str) -> None:
    git(repo, "worktree", "add", "-q", "--detach", "../other")
    git(repo.parent / "other", "update-index", "--add", "--cacheinfo", f"100644,{blob},data.bin")


def _checked_out_detached_elsewhere(repo: Path, blob: str) -> None:
    commit = _commit(repo, blob, None)
    git(
        repo,
        "-c",
        "core.logAllRefUpdates=false",
        "worktree",
        "add",
        "-q",
        "--detach",
        "--no-checkout",
        "../other",
        commit,
    )
    for log in repo.glob(".git/worktrees/other/logs/*"):
        log.unlink()
    (repo.parent / "other" / ".git").rename(repo.parent / "other" / "moved")


def _in_the_second_stash(repo: Path, blob: str) -> None:
    commits = [_commit(repo, blob, None), git(repo, "rev-parse", "HEAD")]
    for commit in commits:
        git(repo, "update-ref", "--create-reflog", "-m", "stash", "refs/stash", commit)


def _in_the_reflog_of_head(repo: Path, blob: str) -> None:
    before = git(repo, "symbolic-ref", "HEAD")
    git(repo, "checkout", "-q", "--detach", _commit(repo, blob, None))
    git(repo, "checkout", "-q", "-f", before.removeprefix("refs/heads/"))


def _under_an_odd_ref(repo: Path, blob: str) -> None:
    _commit(repo, blob, "refs/heads/gittrack/not/an/experiment")


def _on_the_experiment_itself(repo: Path, blob: str) -> None:
    tip = "refs/heads/gittrack/churn"
    tree = git(repo, "mktree", stdin=f"100644 blob {blob}\tdata.bin\n".encode())
    git(repo, "update-ref", tip, git(repo, "commit-tree", tree, "-p", tip, "-m", "somebody's own"))


def _in_the_source_of_a_run(repo: Path, blob: str) -> None:
    git(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},data.bin")
    git(repo, "commit", "-qm", "data")
    (repo / "data.bin").write_text(git(repo, "cat-file", "blob", blob) + "\n")
    with gittrack.start_run("other"):
        pass
    git(repo, "reset", "-q", "--hard", "HEAD~1")
    git(repo, "reflog", "expire", "--expire=now", "--all")


def _commit(repo: Path, blob: str, ref: str | None) -> str:
    tree = git(repo, "mktree", stdin=f"100644 blob {blob}\tdata.bin\n".encode())
    commit = git(repo, "commit-tree", tree, "-p", "HEAD", "-m", "data")
    if ref is not None:
        git(repo, "update-ref", ref, commit)
    return commit


PLACES = [
    _on_a_branch,
    _in_a_tag,
    _in_an_old_commit,
    _in_the_index,
    _in_another_working_tree,
    _checked_out_detached_elsewhere,
    _in_the_second_stash,
    _in_the_reflog_of_head,
    _under_an_odd_ref,
    _on_the_experiment_itself,
    _in_the_source_of_a_run,
]
POINTERS = {
    "plain": lambda pointer: encode_pointer(pointer),
    "extended": lambda pointer: encode_pointer(pointer).replace(
        b"\noid", b"\next-0-foo sha256:" + b"0" * 64 + b"\noid"
    ),
    "old": lambda pointer: encode_pointer(pointer).replace(b"git-lfs.github.com/spec", b"hawser.github.com/spec"),
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__.strip("_"))
@pytest.mark.parametrize("spelling", ["plain", "extended"])
def test_the_users_own_lfs_files_keep_their_content(
    tracker: Tracker, repo: Path, place: Callable[[Path, str], None], spelling: str
) -> None:
    keep("gone", "also the user's", "only the run's")
    data = POINTERS[spelling](name_content("also the user's"))
    place(repo, git(repo, "hash-object", "-w", "--stdin", stdin=data))
    delete(tracker, "gone")
    assert is_here(tracker, "also the user's")
    assert not is_here(tracker, "only the run's"), "else this test would hold with nothing ever deleted"


def test_a_pointer_of_the_oldest_kind_counts_too(tracker: Tracker, repo: Path) -> None:
    keep("gone", "also the user's")
    _on_a_branch(
        repo, git(repo, "hash-object", "-w", "--stdin", stdin=POINTERS["old"](name_content("also the user's")))
    )
    delete(tracker, "gone")
    assert is_here(tracker, "also the user's")


@pytest.mark.parametrize("directory", [None, ".new-{}-1", ".old-{}-1"])
def test_a_journal_keeps_content(tracker: Tracker, repo: Path, directory: str | None) -> None:
    keep("gone", "popular")
    live = gittrack.start_run("churn", name="live")
    live.log_text("popular", "copy.txt")
    if directory is not None:
        journal = layout.journal_directory(repo / ".git", live.id)
        events = (journal / "events.jsonl").read_bytes()
        live.discard()
        other = journal.with_name(directory.format(live.id))
        other.mkdir()
        (other / "events.jsonl").write_bytes(events)
    delete(tracker, "gone")
    assert is_here(tracker, "popular")
    assert read_condemned(tracker.store) == {}
    live.discard()


def test_content_that_was_put_again_is_condemned_anew(tracker: Tracker) -> None:
    keep("gone", "put again")
    delete(tracker, "gone", grace=GRACE)
    tracker.content.put_bytes(b"put again")
    done = delete_runs(tracker, now=NOW + GRACE)
    assert done.content.deleted == ()
    assert [entry.since for entry in done.content.waiting] == [NOW + GRACE]
    assert is_here(tracker, "put again")
    assert delete_runs(tracker, now=NOW + 2 * GRACE).content.deleted == (name_content("put again"),)
    assert not is_here(tracker, "put again")


def test_content_that_is_being_kept_right_now_is_left_alone(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gittrack.garbage.collection._PATIENCE", 0.2)
    keep("gone", "just now")
    tracker.edit_run("gone", removed=True)
    with tracker.content.hold():
        done = delete_runs(tracker, now=NOW, period=0, grace=0)
    assert done.content.deleted == ()
    assert "keeping content" in done.content.unsure
    assert is_here(tracker, "just now")
    assert delete_runs(tracker, now=NOW, period=0, grace=0).content.deleted == (name_content("just now"),)


def test_nothing_goes_while_git_adds_files(tracker: Tracker, repo: Path) -> None:
    keep("gone", "being added")
    lock = repo / ".git" / "index.lock"
    lock.touch()
    delete(tracker, "gone")
    assert is_here(tracker, "being added")
    assert name_content("being added").oid in read_condemned(tracker.store)
    lock.unlink()
    assert delete_runs(tracker, now=NOW, grace=0).content.deleted == (name_content("being added"),)


def test_what_is_named_between_the_two_looks_stays(
    tracker: Tracker, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("by git", "by a branch", "by a run", "by a journal", "by nobody"):
        keep(text, text)
    texts = ["by git", "by a branch", "by a run", "by a journal", "by nobody"]
    aside: list[str] = []
    set_aside = ContentStore.set_aside
    live = gittrack.start_run("churn", name="live")

    def name_it(content: ContentStore, oid: str, stamp: tuple[int, int]) -> bool:
        aside.append(oid)
        if len(aside) == len(texts):  # all were looked for, none was needed: now somebody names them
            blobs = [git(repo, "hash-object", "-w", "--stdin", stdin=encode_pointer(name_content(t))) for t in texts]
            _in_the_index(repo, blobs[0])
            _on_a_branch(repo, blobs[1])
            tree = git(repo, "rev-parse", "refs/heads/gittrack/churn^{tree}")
            entries = git(repo, "ls-tree", tree) + "\n"
            artifacts = git(repo, "mktree", stdin=f"100644 blob {blobs[2]}\ta.txt\n".encode())
            tree = git(repo, "mktree", stdin=f"{entries}040000 tree {artifacts}\tartifacts\n".encode())
            message = git(repo, "log", "-1", "--format=%B", "gittrack/churn")
            commit = git(repo, "commit-tree", tree, "-p", "gittrack/churn", "-m", message)
            git(repo, "update-ref", "refs/heads/gittrack/churn", commit)
            with (layout.journal_directory(repo / ".git", live.id) / "events.jsonl").open("a") as events:
                events.write(f"damaged or not {name_content('by a journal').oid}\n")
        return set_aside(content, oid, stamp)

    monkeypatch.setattr(ContentStore, "set_aside", name_it)
    live.checkpoint()
    delete(tracker, *texts)
    assert len(aside) == len(texts)
    assert [is_here(tracker, text) for text in texts] == [True, True, True, True, False]
    live.discard()


def test_content_that_others_may_share_is_never_deleted(repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "lfs.storage", str(tmp_path / "shared"))
    with Tracker.open() as tracker:
        keep("gone", "maybe somebody's")
        tracker.edit_run("gone", removed=True)
        assert "lfs.storage" in survey_deletion(tracker, now=NOW).unsure
        done = delete_runs(tracker, now=NOW, grace=0)
        assert "lfs.storage" in done.content.unsure
        assert [run.name for run in done.runs] == ["gone"]
        assert tracker.content.find(name_content("maybe somebody's")) is not None


def test_where_objects_are_missing_content_stays(tracker: Tracker, repo: Path) -> None:
    keep("gone", "who knows")
    blob = git(repo, "rev-parse", "HEAD:README")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    git(repo, "config", "extensions.partialClone", "origin")
    git(repo, "config", "remote.origin.promisor", "true")
    git(repo, "config", "remote.origin.url", "/nowhere")
    with Tracker.open() as partial:
        delete(partial, "gone")
        done = delete_runs(partial, now=NOW, grace=0)
        assert "partial clone" in done.content.unsure
        assert is_here(partial, "who knows")


def test_what_a_dead_process_left_aside_is_found_and_brought_back(tracker: Tracker) -> None:
    keep("one", "aside")
    keep("two", "aside too")
    content = tracker.content
    for text in ("aside", "aside too"):
        stamp = content.find_stamp(name_content(text).oid)
        assert stamp is not None
        with content.hold_alone(patience=0) as alone:
            assert alone
            assert content.set_aside(name_content(text).oid, stamp)
        assert not is_here(tracker, text)
    assert tracker.get_run("one").open_artifact(f"{name_content('aside').oid[:8]}.txt").read() == b"aside"
    assert is_here(tracker, "aside")
    collect(tracker.history, content, now=NOW, grace=0, find_dropped=lambda slug: None)  # type: ignore[arg-type,return-value]
    assert is_here(tracker, "aside too")


def test_content_that_changed_since_it_was_stamped_is_not_set_aside(tracker: Tracker) -> None:
    keep("one", "fresh")
    oid = name_content("fresh").oid
    stamp = tracker.content.find_stamp(oid)
    assert stamp is not None
    tracker.content.put_bytes(b"fresh")
    assert not tracker.content.set_aside(oid, stamp)
    assert is_here(tracker, "fresh")
    assert not tracker.content.set_aside("0" * 64, stamp)


def test_the_list_survives_and_a_damaged_one_deletes_nothing(tracker: Tracker, repo: Path) -> None:
    keep("one", "listed")
    pointer = name_content("listed")
    (added,) = condemn(tracker.store, tracker.content, [pointer, pointer, Pointer("0" * 64, 3)], now=NOW)
    assert read_condemned(tracker.store) == {pointer.oid: added}
    assert condemn(tracker.store, tracker.content, [pointer], now=NOW + DAY) == []
    path = layout.condemned_path(repo / ".git")
    whole = path.read_bytes()
    for damaged in (b"", b"{", b"[]", whole[:-20], whole.replace(b'"size"', b'"sise"'), b'{"../../x": {}}\n'):
        path.write_bytes(damaged)
        assert read_condemned(tracker.store) == {}
    write_condemned(tracker.store, {pointer.oid: replace(added, since=5)})
    assert read_condemned(tracker.store) == {pointer.oid: Condemned(pointer, 5, added.stamp)}
    assert json.loads(path.read_text())[pointer.oid]["since"] == "1970-01-01T00:00:00.000005Z"


def test_recording_and_collecting_at_once_loses_nothing(repo: Path) -> None:
    """Runs come and go with the same content while another process deletes what it can, at once."""
    stop, enough = repo / "stop", repo / "enough"

    def record() -> int:
        count = 0
        while not stop.exists():
            with gittrack.start_run("churn") as run:
                run.log_text(f"{'popular' if count % 2 else 'kept'} {count % 30}", "a.txt")
            if count % 2:
                assert gittrack.get_run(run.id).open_artifact("a.txt").read() == f"popular {count % 30}".encode()
                with Tracker.open(recover=False) as tracker, suppress(NotFound):  # it may be deleted at once
                    tracker.edit_run(run.id, removed=True)
            count += 1
        return count

    def sweep() -> int:
        deleted = 0
        while not stop.exists():
            with Tracker.open(recover=False) as tracker:
                deleted += len(delete_runs(tracker, now=time.time_ns() // 1000, period=0, grace=0).content.deleted)
            if deleted >= 3:
                enough.touch()
        return deleted

    children = [Child(record), Child(record), Child(sweep)]
    began = time.monotonic()
    while time.monotonic() - began < 45 and not (enough.exists() and time.monotonic() - began > 5):
        time.sleep(0.1)
    stop.touch()
    counts = [child.result() for child in children]
    assert min(counts) >= 3, "on what machine is this?"

    def look() -> tuple[int, list[str]]:
        with Tracker.open() as tracker:
            runs = list(tracker.list_runs(removed=True))
            for run in runs:
                for path, pointer in run.artifacts().items():
                    tracker.content.verify(pointer)
                    assert run.open_artifact(path).read().startswith((b"popular", b"kept"))
            return len(runs), [error.message for error in tracker.damaged]

    kept, damaged = run_in_child(look)
    assert damaged == []
    assert kept >= sum((count + 1) // 2 for count in counts[:2]), "a run that nobody removed is lost"
    git(repo, "fsck", "--strict")
    assert not list(os.scandir(repo / ".git" / "lfs" / "gittrack-condemned"))

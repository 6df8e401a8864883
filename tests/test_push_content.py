"""Content goes before the refs: to every kind of place, in one piece with the push, or not at all, and status knows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clones import check_hub, tip_of, wait_until
from conftest import git
from content_remotes import make_s3, place_of, serve_s3
from content_remotes import name as name_content
from hubs import PASSWORD, make_hub, serve_daemon, serve_http, url, use_credential_helper
from lfs_servers import Reply, Scripted, make_giftless, serve_scripted
from snapshots.invocation import COMMAND, Answer, call, read
from test_lfs_ssh import make_ssh

import gittrack
from gittrack.artifact_choice import Limits
from gittrack.content import ContentStore
from gittrack.model import Pointer
from gittrack.repository import get_repository
from gittrack.sync.errand import Errand
from gittrack.sync.ledger import Ledger

TEXTS = {"model.bin": "weights" * 1000, "plots/a.txt": "a picture", "empty.txt": ""}
ALL = ["model.bin", "plots/a.txt"]


def record(experiment: str = "churn", **texts: str) -> str:
    """Record a run with artifacts and return its name."""
    with gittrack.start_run(experiment) as run:
        for path, text in (texts or TEXTS).items():
            run.log_text(text, path)
    return run.name


def find_in(hub: Path, text: str) -> bytes | None:
    file = hub / "lfs" / "objects" / place_of(name_content(text.encode()))
    return file.read_bytes() if file.exists() else None


def list_content(status: Answer) -> list[str]:
    return [line for line in status.lines if line.startswith("content: ")]


def clone(hub: Path, directory: Path) -> Path:
    git(hub.parent, "clone", "-q", hub.as_uri(), str(directory))
    return directory


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serve_scripted() as running:
        yield running


def test_the_first_push_tells_how_much_content_goes_where(shared: Path, hub: Path) -> None:
    record()
    refused = call("push")
    assert (refused.code, find_in(hub, TEXTS["model.bin"])) == (4, None)
    assert f"note: with the content of these artifacts (2 files, 7.0 kB), to {hub}\n" in refused.err
    assert f"(2 files, 7.0 kB), to {hub}" in call("push", "--dry-run").err
    git(shared, "config", "gittrack.contentRemote", "none")
    assert "note: without the content of these artifacts, which stays here\n" in call("push").err


def test_content_goes_along_and_status_knows(shared: Path, hub: Path) -> None:
    record()
    assert list_content(read("status")) == [
        f"content: 2 artifacts (7.0 kB) of runs that are not pushed is not known to be at {hub}; "
        "gittrack push origin sends it"
    ]
    pushed = call("push", "--yes")
    assert (pushed.code, pushed.err) == (
        0,
        f"note: churn: 1 run pushed to origin\nnote: sent the content of 2 artifacts (7.0 kB) to {hub}\n",
    )
    assert {path: find_in(hub, TEXTS[path]) for path in ALL} == {path: TEXTS[path].encode() for path in ALL}
    assert list_content(read("status")) == []
    record(same=TEXTS["model.bin"])
    assert list_content(read("status")) == []
    again = call("push", "--json")
    assert json.loads(again.out)["content"] == {"sent": 0, "bytes": 0, "there": 1, "missing": 0, "kept": 0}
    record(other="new")
    found = read("status", "--json").json("status")["content"]
    nothing = {"artifacts": 0, "bytes": 0}
    assert found == {"place": str(hub), "artifacts": 1, "bytes": 3, "of_pushed_runs": nothing}
    check_hub(hub)


def test_git_lfs_finds_the_content_in_a_plain_clone(shared: Path, hub: Path, tmp_path: Path) -> None:
    record()
    assert call("push", "--yes").code == 0
    there = clone(hub, tmp_path / "plain")
    git(there, "lfs", "install", "--local")
    git(there, "lfs", "fetch", "origin", "origin/gittrack/churn")
    pointer = name_content(TEXTS["model.bin"].encode())
    assert (there / ".git/lfs/objects" / place_of(pointer)).read_text() == TEXTS["model.bin"]
    git(there, "checkout", "-q", "gittrack/churn")
    assert {path: (there / "artifacts" / path).read_text() for path in TEXTS} == TEXTS
    git(there, "lfs", "fsck")


def test_git_lfs_finds_what_went_to_a_server(shared: Path, hub: Path, tmp_path: Path) -> None:
    server = make_giftless()
    git(shared, "config", "lfs.url", server.url)
    record()
    assert call("push", "--yes").code == 0
    there = clone(hub, tmp_path / "plain")
    git(there, "lfs", "install", "--local")
    git(there, "config", "lfs.url", server.url)
    git(there, "lfs", "fetch", "origin", "origin/gittrack/churn")
    pointer = name_content(TEXTS["model.bin"].encode())
    assert (there / ".git/lfs/objects" / place_of(pointer)).read_text() == TEXTS["model.bin"]
    record(more="more")
    git(shared, "lfs", "push", "origin", "gittrack/churn")
    again = json.loads(call("push", "--json").out)
    assert again["content"] == {"sent": 0, "bytes": 0, "there": 1, "missing": 0, "kept": 0}


def test_content_goes_to_a_bucket(shared: Path, hub: Path, tmp_path: Path) -> None:
    with serve_s3() as host, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITTRACK_TEST_S3", host)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with make_s3(tmp_path) as place:
            address = place.code.rpartition("open_filesystem(")[2].rstrip(")").strip("'")
            git(shared, "config", "gittrack.contentRemote", address)
            record()
            assert f", to {address}\n" in call("push").err
            assert call("push", "--yes").code == 0
            assert place.read(name_content(TEXTS["model.bin"].encode())) == TEXTS["model.bin"].encode()
            assert list_content(read("status")) == []
    assert not (hub / "lfs").exists()


def test_what_comes_from_elsewhere_and_is_not_here_holds_nobody_up(shared: Path, hub: Path) -> None:
    record()
    shutil.rmtree(shared / ".git" / "lfs")
    assert list_content(read("status")) == []
    pushed = call("push", "--yes")
    assert pushed.code == 0
    assert "note: the content of 2 artifacts (7.0 kB) is neither here nor there, and is left to where " in pushed.err
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")


def test_content_of_runs_that_are_pushed_is_made_up_for(shared: Path, hub: Path) -> None:
    record()
    assert call("push", "--yes", "--no-content").code == 0
    record("other", mine="mine")
    (waiting, stranded) = list_content(read("status"))
    assert waiting.startswith("content: 1 artifact (4 B) of runs that are not pushed ")
    assert stranded == (
        f"content: 2 artifacts (7.0 kB) of runs that are pushed is not known to be at {hub}; "
        "gittrack push origin --content sends it"
    )
    call("push")
    assert find_in(hub, TEXTS["model.bin"]) is None
    assert call("push", "--content", "--dry-run").code == 0
    assert find_in(hub, TEXTS["model.bin"]) is None
    done = call("push", "--content")
    assert f"note: sent the content of 2 artifacts (7.0 kB) to {hub}\n" in done.err
    assert find_in(hub, TEXTS["model.bin"]) == TEXTS["model.bin"].encode()
    assert list_content(read("status")) == []


def test_what_a_place_has_lost_is_sent_again(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    assert list_content(read("status")) == []
    shutil.rmtree(hub / "lfs")
    assert "sent the content of 2 artifacts" in call("push", "--content").err
    assert find_in(hub, TEXTS["model.bin"]) is not None


def test_what_is_known_may_be_deleted_and_is_asked_for_again(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    shutil.rmtree(shared / ".git/gittrack/content")
    assert list_content(read("status"))[0].endswith("gittrack push origin --content sends it")
    assert "sent" not in call("push", "--content").err
    assert list_content(read("status")) == []


def test_another_remote_knows_nothing_of_what_the_old_one_had(shared: Path, hub: Path, tmp_path: Path) -> None:
    record()
    call("push", "--yes")
    other = make_hub(tmp_path / "srv" / "other.git")
    git(shared, "remote", "set-url", "origin", str(other))
    assert list_content(read("status"))[0].startswith("content: 2 artifacts (7.0 kB) of runs that are not pushed ")
    assert call("push", "--yes").code == 0
    assert find_in(other, TEXTS["model.bin"]) == TEXTS["model.bin"].encode()
    assert list_content(read("status")) == []
    git(shared, "config", "gittrack.contentRemote", str(tmp_path / "disk"))
    (tmp_path / "disk").mkdir()
    assert list_content(read("status"))[0].startswith("content: 2 artifacts (7.0 kB) of runs that are pushed ")
    assert call("push", "--content").code == 0
    assert list_content(read("status")) == []
    assert (tmp_path / "disk" / place_of(name_content(TEXTS["model.bin"].encode()))).exists()


def test_status_is_right_after_runs_are_deleted(shared: Path, hub: Path) -> None:
    kept, gone = record(kept="kept"), record(gone="gone")
    call("push", "--yes")
    assert list_content(read("status")) == []
    call("rm", gone)
    assert call("gc", "--older-than", "0d", "--yes").code == 0
    assert list_content(read("status")) == []
    call("push")
    record(new="new")
    assert [line.split()[1] for line in list_content(read("status"))] == ["1"]
    call("push")
    assert list_content(read("status")) == []
    assert kept in read("ls").out


def test_a_failed_upload_leaves_the_refs_and_the_retry_completes(
    repo: Path, hub: Path, server: Scripted, tmp_path: Path
) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    git(repo, "config", "remote.origin.lfsurl", f"{server.url}/info/lfs")
    with gittrack.start_run("plain"):
        pass
    record()
    no = Reply(403, b'{"message": "quota"}', {"Content-Type": "application/json"})
    server.script["upload"] = [no] * 4
    failed = call("push", "--yes")
    assert failed.code == 8
    error, hint = failed.err.splitlines()[-2:]
    assert error.startswith("error: churn: not pushed, since the content of ")
    assert "quota" in error
    assert error.endswith("; gittrack push origin --no-content shares the runs without it")
    assert hint == "hint: gittrack push origin"
    assert git(hub, "for-each-ref", "--format=%(refname:short)") == "gittrack/plain"
    assert call("push").code == 0
    assert tip_of(hub) == git(repo, "rev-parse", "gittrack/churn")
    assert sorted(map(len, server.objects.values())) == [9, 7000]


@pytest.mark.parametrize(("status", "said"), [(500, "in trouble"), (401, "who you are"), (403, "not let you")])
def test_a_server_that_answers_and_fails_refuses_the_push(
    repo: Path, tmp_path: Path, server: Scripted, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hub(tmp_path / "srv" / "hub.git")
    monkeypatch.setattr("gittrack.content_remote.transfer._ATTEMPTS", 1)
    with serve_http(tmp_path / "srv") as host:
        git(repo, "remote", "add", "origin", f"{url(host)}/hub.git")
        host.override = lambda request: status if "/info/lfs/" in request.path else None
        record()
        failed = call("push", "--yes")
    assert failed.code == 8
    assert said in failed.err
    assert git(tmp_path / "srv" / "hub.git", "for-each-ref") == ""


@contextmanager
def serve_over_http(root: Path) -> Iterator[str]:
    with serve_http(root) as host:
        yield url(host)


@contextmanager
def serve_over_ssh(root: Path) -> Iterator[str]:
    """Stand in for a host that has git and nothing else, and nothing at its https port."""
    (root.parent / "programs").mkdir()
    git(root, "config", "--global", "core.sshCommand", f"'{make_ssh(root.parent, root.parent / 'programs')}'")
    yield f"127.0.0.1:{root}"


@pytest.mark.parametrize("serve", [serve_over_http, serve_daemon, serve_over_ssh])
def test_a_host_without_git_lfs_gets_the_runs_and_status_goes_on_telling(
    repo: Path, tmp_path: Path, serve: Callable[[Path], contextmanager[str]]
) -> None:
    hub = make_hub(tmp_path / "srv" / "hub.git")
    (tmp_path / "disk").mkdir()
    with serve(tmp_path / "srv") as root:
        git(repo, "remote", "add", "origin", f"{root}/hub.git")
        gittrack.start_run("plain").end()
        assert "warning" not in call("push", "--yes").err
        record()
        pushed = call("push")
        assert pushed.code == 0
        assert "warning: the content of 2 artifacts (7.0 kB) stayed here: " in pushed.err
        assert pushed.err.splitlines()[-1] == (
            "hint: git config gittrack.contentRemote s3://BUCKET/PATH && gittrack push --content origin"
        )
        assert tip_of(hub) == git(repo, "rev-parse", "gittrack/churn")
        for _ in range(2):
            assert [line.split()[1] for line in list_content(read("status"))] == ["2"]
        git(repo, "config", "gittrack.contentRemote", str(tmp_path / "disk"))
        assert call("push", "--content", "origin").code == 0
    assert list_content(read("status")) == []


def test_a_push_that_is_killed_while_content_goes_leaves_the_refs(repo: Path, hub: Path, server: Scripted) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    git(repo, "config", "lfs.url", f"{server.url}/info/lfs")
    gittrack.start_run("churn").end()
    assert call("push", "--yes").code == 0
    before = tip_of(hub)
    record()
    server.script["upload"] = [Reply(act=lambda handler: time.sleep(60)), Reply(act=lambda handler: time.sleep(60))]
    process = subprocess.Popen([*COMMAND, "push"], start_new_session=True)
    wait_until(lambda: "upload" in server.kinds())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert tip_of(hub) == before
    server.script.clear()
    assert [line.split()[1] for line in list_content(read("status"))] == ["2"]
    assert call("push").code == 0
    assert tip_of(hub) == git(repo, "rev-parse", "gittrack/churn")
    assert sorted(map(len, server.objects.values())) == [9, 7000]


def test_a_push_in_the_background_sends_content_and_goes_on_after_a_failure(
    repo: Path, hub: Path, server: Scripted
) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    git(repo, "config", "lfs.url", f"{server.url}/info/lfs")
    gittrack.start_run("churn").end()
    assert call("push", "--yes").code == 0
    git(repo, "config", "gittrack.autoPush", "true")
    server.script["batch"] = [Reply(503)] * 5
    record()
    errand = Errand(repo / ".git")
    wait_until(lambda: not errand.list_wanted() and not errand.is_held(), seconds=60)
    assert tip_of(hub) == git(repo, "rev-parse", "gittrack/churn")
    assert sorted(map(len, server.objects.values())) == [9, 7000]
    assert list_content(read("status")) == []


def test_a_password_is_asked_of_git(repo: Path, hub: Path, server: Scripted) -> None:
    git(repo, "remote", "add", "origin", str(hub))
    git(repo, "config", "lfs.url", f"{server.url}/info/lfs")
    server.password = PASSWORD
    record()
    assert call("push", "--yes").code == 8
    assert git(hub, "for-each-ref") == ""
    use_credential_helper(Path.home())
    assert call("push", "--yes").code == 0
    assert len(server.objects) == 2


def test_an_address_that_cannot_be_used_refuses_runs_with_content_alone(shared: Path, hub: Path) -> None:
    git(shared, "config", "gittrack.contentRemote", "gopher://x/y")
    gittrack.start_run("churn").end()
    assert call("push", "--yes").code == 0
    record()
    before = tip_of(hub)
    failed = call("push")
    assert (failed.code, "gopher://" in failed.err) == (2, True)
    assert tip_of(hub) == before
    assert call("status").code == 0


def test_damaged_content_is_not_sent(shared: Path, hub: Path) -> None:
    record()
    file = shared / ".git/lfs/objects" / place_of(name_content(TEXTS["model.bin"].encode()))
    file.chmod(0o644)
    file.write_text("x" * 7000)
    failed = call("push", "--yes")
    assert failed.code == 8
    assert "is damaged on this machine" in failed.err
    assert git(hub, "for-each-ref") == ""
    assert find_in(hub, TEXTS["model.bin"]) is None


@pytest.fixture
def colleague(shared: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a clone that this process stands in, of a hub that has a run with artifacts."""
    record()
    assert call("push", "--yes").code == 0
    directory = clone(hub, tmp_path / "colleague")
    monkeypatch.chdir(directory)
    return directory


def list_here(directory: Path) -> list[str]:
    content = ContentStore.of(get_repository(directory))
    named = {path: name_content(text.encode()) for path, text in TEXTS.items() if text}
    return sorted(path for path, pointer in named.items() if content.find(pointer) is not None)


@pytest.mark.parametrize("command", ["pull", "fetch"])
@pytest.mark.parametrize(
    ("options", "here"),
    [
        ((), []),
        (("--content",), ALL),
        (("--content", "--include", "*.bin"), ["model.bin"]),
        (("--content", "--include", "plots/"), ["plots/a.txt"]),
        (("--content", "--exclude", "plots/*"), ["model.bin"]),
        (("--content", "--max-size", "1k"), ["plots/a.txt"]),
    ],
)
def test_content_comes_at_once_where_it_is_wanted(
    colleague: Path, command: str, options: tuple[str, ...], here: list[str]
) -> None:
    git(colleague, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")
    done = call(command, *options)
    assert done.code == 0
    assert list_here(colleague) == here
    assert ("note: fetched the content of " in done.err) == bool(here)


def test_only_what_came_is_fetched_unless_all_is_asked_for(shared: Path, hub: Path, colleague: Path) -> None:
    assert call("pull", "--content").err.splitlines()[-1] == "note: all content that was asked for is here"
    assert list_here(colleague) == []
    answer = read("pull", "--content", "--all", "--max-size", "1k", "--json")
    assert json.loads(answer.out)["content"] == {"fetched": 1, "bytes": 9, "missing": 0, "failed": 0}
    assert list_here(colleague) == ["plots/a.txt"]
    assert list_content(read("status")) == []


def test_a_fetch_of_content_that_was_cut_off_is_gone_on_with(shared: Path, hub: Path, colleague: Path) -> None:
    git(colleague, "update-ref", "-d", "refs/remotes/origin/gittrack/churn")
    (hub / "lfs").rename(hub / "away")
    (hub / "lfs").write_text("in the way")
    failed = call("fetch", "--content")
    assert (failed.code, list_here(colleague)) == (8, [])
    (hub / "lfs").unlink()
    (hub / "away").rename(hub / "lfs")
    assert call("fetch", "--content").code == 0
    assert list_here(colleague) == ALL
    shutil.rmtree(colleague / ".git" / "lfs")
    assert call("fetch", "--content").code == 0
    assert list_here(colleague) == []


def test_content_that_nobody_sent_is_named(shared: Path, hub: Path, colleague: Path) -> None:
    shutil.rmtree(hub / "lfs" / "objects")
    (hub / "lfs" / "objects").mkdir()
    done = call("pull", "--content", "--all", "--include", "model.*")
    assert done.code == 0
    assert (
        "warning: the content of 1 artifact (7.0 kB) is not there yet, the first is model.bin" in done.err.splitlines()
    )


def test_filters_without_content_are_a_mistake(shared: Path) -> None:
    for option in (("--include", "*"), ("--exclude", "*"), ("--max-size", "1m"), ("--all",)):
        done = call("pull", *option)
        assert (done.code, "about content" in done.err) == (2, True)
    assert call("pull", "--content", "--max-size", "much").code == 2


def test_a_server_that_is_set_and_is_none_refuses_the_push(repo: Path, tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "srv" / "hub.git")
    with serve_http(tmp_path / "srv") as host:
        git(repo, "remote", "add", "origin", f"{url(host)}/hub.git")
        git(repo, "config", "remote.origin.lfsurl", f"{url(host)}/hub.git/info/lfs")
        record()
        failed = call("push", "--yes")
    assert failed.code == 8
    assert "there is no Git LFS at " in failed.err
    assert git(hub, "for-each-ref") == ""


def test_a_note_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    first, second = (name_content(text) for text in (b"one", b"two"))
    Ledger(tmp_path, "somewhere").learn(there=[first])
    (file,) = (tmp_path / "gittrack" / "content").glob("*/known")
    with file.open("a") as text:
        text.write(second.oid[:40])
    Ledger(tmp_path, "somewhere").learn(there=[second])
    assert Ledger(tmp_path, "somewhere").known == {first.oid, second.oid}
    assert Ledger(tmp_path, "elsewhere").known == set()
    Ledger(tmp_path, "somewhere").note_seen({"churn": "1" * 40})
    Ledger(tmp_path, "somewhere").learn(absent=[first])
    assert Ledger(tmp_path, "somewhere").known == {second.oid}
    assert Ledger(tmp_path, "somewhere").list_seen() == {}


@pytest.mark.parametrize(
    ("path", "choice", "fits"),
    [
        ("a/b.png", Limits(), True),
        ("a/b.png", Limits(include=("*.png",)), True),
        ("a/b.png", Limits(include=("a",)), True),
        ("a/b.png", Limits(include=("a/",)), True),
        ("a/b.png", Limits(include=("a/*.png",)), True),
        ("x/a/b.png", Limits(include=("a/*.png",)), False),
        ("x/a/b.png", Limits(include=("x/a",)), True),
        ("a/b.png", Limits(include=("b",)), False),
        ("a/B.png", Limits(include=("b.png",)), False),
        ("a/b.png", Limits(include=("*.png",), exclude=("a/*",)), False),
        ("a/b.png", Limits(max_size=10), True),
        ("a/b.png", Limits(max_size=9), False),
    ],
)
def test_what_globs_and_a_size_choose(path: str, choice: Limits, fits: bool) -> None:
    assert choice.allow(path, Pointer("0" * 64, 10)) is fits

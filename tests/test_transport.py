"""Experiments go over every transport that git knows, with the user's own set-up, and each failure says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from clones import Clone, check_hub, number_id, tip_of
from conftest import git
from hubs import (
    PASSWORD,
    find_free_port,
    make_hub,
    serve_daemon,
    serve_http,
    serve_ssh,
    url,
    use_credential_helper,
)

from gittrack.errors import InvalidInput, NotFound
from gittrack.git import Ended, Git
from gittrack.gitconfig import collect
from gittrack.layout import incoming_refs
from gittrack.transport import Step, TransportFailed, choose_remote, explain, find_remote, find_step
from gittrack.transport.failure import find_reason

TRANSPORTS = ["path", "file", "daemon", "http", "http with a password", "ssh"]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a new bare repository."""
    return make_hub(tmp_path / "srv" / "hub.git")


@pytest.fixture(params=TRANSPORTS)
def address(request: pytest.FixtureRequest, hub: Path, hermetic_home: Path) -> Iterator[str]:
    """Serve the hub over one transport and return its URL; the user's set-up lets them in."""
    with ExitStack() as stack:
        kind = request.param
        if kind == "path":
            yield str(hub)
        elif kind == "file":
            yield hub.as_uri()
        elif kind == "daemon":
            yield stack.enter_context(serve_daemon(hub.parent)) + "/hub.git"
        elif kind == "http":
            yield url(stack.enter_context(serve_http(hub.parent))) + "/hub.git"
        elif kind == "http with a password":
            use_credential_helper(hermetic_home)
            yield url(stack.enter_context(serve_http(hub.parent, password=PASSWORD))) + "/hub.git"
        else:
            yield f"{stack.enter_context(serve_ssh(hermetic_home))}:{hub}"


def test_runs_are_shared_over_every_transport(address: str, hub: Path, tmp_path: Path) -> None:
    ada, bob = (Clone(tmp_path / name, address) for name in ("ada", "bob"))
    ada.record(number_id(1), params={"lr": 0.1})
    ada.record(number_id(2), experiment="other")
    bob.record(number_id(3), losses=[3.0])
    assert {slug: done.result for slug, done in ada.push().items()} == {"churn": "pushed", "other": "pushed"}
    assert bob.push()["churn"].result == "pushed"
    bob.edit(number_id(1), tags={"seen": "yes"})
    bob.push()
    ada.pull()
    bob.pull()
    assert ada.look() == bob.look()
    assert set(ada.look()["runs"]) == {number_id(1), number_id(2), number_id(3)}
    assert ada.look()["runs"][number_id(1)]["tags"] == {"seen": "yes"}
    assert ada.tip() == bob.tip() == tip_of(hub)
    check_hub(hub)


def test_plain_git_does_as_well(address: str, hub: Path, tmp_path: Path) -> None:
    ada, plain = Clone(tmp_path / "ada", address), Clone(tmp_path / "plain", address)
    ada.record(number_id(1))
    ada.push()
    git(plain.directory, "fetch", "-q", "origin")
    assert plain.look() == ada.look()
    git(tmp_path, "clone", "-q", address, "clone")
    assert git(tmp_path / "clone", "log", "--format=%s", "origin/gittrack/churn").splitlines() == [
        "run-0000  FINISHED  loss=0.5",
        "experiment churn",
    ]
    plain.record(number_id(2))
    git(plain.directory, "push", "-q", "origin", "gittrack/churn")
    ada.record(number_id(3))
    ada.push()
    git(plain.directory, "pull", "-q", "--ff-only", "origin", "gittrack/churn:gittrack/churn")
    assert set(plain.look()["runs"]) == {number_id(1), number_id(2), number_id(3)}
    assert plain.look() == ada.look()


@pytest.fixture
def ada(hub: Path, tmp_path: Path) -> Clone:
    """Return a clone of the hub in which a run was recorded."""
    clone = Clone(tmp_path / "ada", str(hub))
    clone.record(number_id(1))
    return clone


def fail(act: Callable[[], object]) -> TransportFailed:
    """Return the failure that an action ends with."""
    with pytest.raises(TransportFailed) as caught:
        act()
    return caught.value


def refuse(clone: Clone) -> TransportFailed:
    """Return the failure of a push that the remote refuses."""
    done = clone.push()["churn"]
    assert (done.result, done.rounds) == ("refused", 1)
    assert done.failure is not None
    return done.failure


def point(clone: Clone, address: object) -> None:
    """Let a clone's remote be elsewhere."""
    git(clone.directory, "remote", "set-url", "origin", str(address))


@pytest.mark.parametrize("kind", ["path", "file", "daemon", "http", "ssh"])
def test_a_repository_that_is_not_there(kind: str, ada: Clone, hub: Path, hermetic_home: Path) -> None:
    with ExitStack() as stack:
        nowhere = hub.parent / "nowhere.git"
        if kind == "daemon":
            point(ada, stack.enter_context(serve_daemon(hub.parent)) + "/nowhere.git")
        elif kind == "http":
            point(ada, url(stack.enter_context(serve_http(hub.parent))) + "/nowhere.git")
        elif kind == "ssh":
            point(ada, f"{stack.enter_context(serve_ssh(hermetic_home))}:{nowhere}")
        else:
            point(ada, nowhere if kind == "path" else nowhere.as_uri())
        for act in (ada.fetch, ada.push):
            error = fail(act)
            assert (error.reason, error.hint) == ("missing", "git remote set-url origin URL")
            assert error.message.startswith("there is no repository at origin: ")
            assert "nowhere.git" in error.message


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:{port}/hub.git", "connect"),
        ("git://127.0.0.1:{port}/hub.git", "Connection refused"),
        ("ssh://127.0.0.1:{port}/hub.git", "Connection refused"),
        ("https://no-such-host.invalid/hub.git", "no-such-host.invalid"),
        ("git@no-such-host.invalid:hub.git", "no-such-host.invalid"),
    ],
)
def test_a_remote_that_cannot_be_reached(address: str, words: str, ada: Clone) -> None:
    point(ada, address.format(port=find_free_port()))
    error = fail(ada.push)
    assert (error.reason, error.passing) == ("unreachable", True)
    assert words in error.message
    assert error.hint == "gittrack push origin  # nothing is lost, and it is safe to repeat"


def test_a_password_that_is_missing_or_wrong_is_not_waited_for(ada: Clone, hub: Path, hermetic_home: Path) -> None:
    with serve_http(hub.parent, password=PASSWORD) as server:
        point(ada, url(server) + "/hub.git")
        error = fail(ada.fetch)
        assert error.reason == "authentication"
        assert error.hint == "git ls-remote origin  # git has to get in first"
        use_credential_helper(hermetic_home, password="wrong")
        assert fail(ada.push).reason == "authentication"
        assert PASSWORD not in fail(ada.push).message


def test_a_key_that_ssh_does_not_accept(ada: Clone, hub: Path, hermetic_home: Path) -> None:
    with serve_ssh(hermetic_home) as host:
        point(ada, f"{host}:{hub}")
        (hermetic_home / ".ssh/authorized_keys").write_text("")
        error = fail(ada.push)
        assert error.reason == "authentication"
        assert "Permission denied" in error.message
        (hermetic_home / ".ssh/known_hosts").write_text("")
        assert fail(ada.push).reason == "untrusted"


def test_a_remote_that_may_only_be_read(ada: Clone, hub: Path) -> None:
    with serve_daemon(hub.parent, writable=False) as daemon:
        point(ada, daemon + "/hub.git")
        error = fail(ada.push)
        assert error.message.startswith("origin cannot be written to: ")
        assert error.hint == "gittrack push origin  # once its owner allows it; nothing is lost here"
    with serve_http(hub.parent) as server:
        server.override = lambda request: 403 if "receive-pack" in request.path else None
        point(ada, url(server) + "/hub.git")
        error = fail(ada.push)
        assert (error.reason, error.hint) == ("forbidden", "git push --dry-run origin HEAD")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble(status: int, ada: Clone, hub: Path) -> None:
    with serve_http(hub.parent) as server:
        server.override = lambda request: status
        point(ada, url(server) + "/hub.git")
        error = fail(ada.push)
        assert (error.reason, error.passing) == ("busy", True)
        server.override = None
        assert ada.push()["churn"].result == "pushed"


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_hook_that_refuses(hook: str, ada: Clone, hub: Path) -> None:
    script = hub / "hooks" / hook
    script.parent.mkdir(exist_ok=True)
    script.write_text("#!/bin/sh\necho 'No runs\x1b[31m on Friday' >&2\nexit 1\n")
    script.chmod(0o755)
    error = refuse(ada)
    assert error.message.startswith("origin refuses this: No runs on Friday; ")
    assert "hook declined" in error.message
    script.unlink()
    assert ada.push()["churn"].result == "pushed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of a file system of 300 kB; skips the test where none can be mounted."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(disk: Path) -> Path:
    """Fill a file system up; return the file that takes the room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return filler


def test_a_remote_whose_disk_is_full_or_read_only(ada: Clone, small_disk: Path) -> None:
    hub = make_hub(small_disk / "hub.git")
    point(ada, hub)
    filler = fill(small_disk)
    error = refuse(ada)
    assert (error.reason, error.passing) == ("disk-full", False)
    assert error.message.startswith("the disk of origin is full: ")
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert refuse(ada).reason == "read-only"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert ada.push()["churn"].result == "pushed"
    assert ada.tip() == tip_of(hub)


def test_a_disk_here_that_is_full_is_not_the_remotes(ada: Clone, hub: Path, small_disk: Path) -> None:
    ada.push()
    bob = Clone(small_disk / "bob", str(hub))
    filler = fill(small_disk)
    error = fail(bob.fetch)
    assert error.message.startswith("the disk of this repository is full: ")
    filler.unlink()
    bob.fetch()
    assert bob.look() == ada.look()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("remote: error: GH006: Protected branch update failed for refs/heads/gittrack/churn.", "refused"),
        ("remote: GitLab: You are not allowed to push code to protected branches on this project.", "refused"),
        ("remote: ERROR: The project you were looking for could not be found.", "unknown"),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "missing"),
        ("fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate", "untrusted"),
        ("error: unable to write file x: Disk quota exceeded", "disk-full"),
        ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", "interrupted"),
        ("error: object 1234: hasDotgit: contains '.git'\nfatal: fsck error in packed object", "damaged"),
        ("fatal: something nobody has seen", "unknown"),
    ],
)
def test_the_words_of_hosts(said: str, reason: str) -> None:
    if reason == "unknown":
        assert find_reason(said) in ("unknown", "missing")
    else:
        assert find_reason(said) == reason


def test_a_failure_says_what_git_said_and_no_more() -> None:
    said = (
        "Enumerating objects: 3, done.\nDelta compression using up to 2 threads\nremote: boom\nfatal: it broke\n"
        "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n"
        "and the repository exists.\nerror: failed to push some refs to 'x'\n"
    )
    assert explain(said, remote="hub", purpose="push").message == "the connection to hub was lost: boom; it broke"
    assert explain("", remote="hub", purpose="push").message == "hub could not be used"


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Receiving objects:  45% (9/20)", Step("Receiving objects", 9, 20)),
        (
            "Writing objects: 100% (7/7), 1.20 MiB | 2.00 MiB/s, done.",
            Step("Writing objects", 7, 7, "1.20 MiB | 2.00 MiB/s"),
        ),
        ("remote: Counting objects: 100% (5/5), done.        ", Step("Counting objects", 5, 5, at_remote=True)),
        ("remote: Enumerating objects: 15, done.", Step("Enumerating objects", 15, at_remote=True)),
        ("Resolving deltas:   0% (0/3)", Step("Resolving deltas", 0, 3)),
        ("remote: No runs on Friday: 5", None),
        ("fatal: early EOF", None),
        ("", None),
    ],
)
def test_progress_is_read(line: str, step: Step | None) -> None:
    assert find_step(line) == step


def test_progress_is_reported_while_it_happens(ada: Clone, hub: Path, tmp_path: Path) -> None:
    from gittrack.sync.pushing import push

    steps: list[Step] = []
    for number in range(2, 40):
        ada.record(number_id(number), losses=[float(number)] * 50)
    with ada.open() as tracker:
        link = ada.link(tracker)
        push(type(link)(link.history, link.remote, link.author, report=steps.append), ["churn"], approve=lambda _: None)
    written = [step for step in steps if step.what == "Writing objects"]
    assert written[-1].done == written[-1].total == int(git(hub, "rev-list", "--objects", "--all", "--count"))
    assert "B | " in written[-1].detail


def test_git_is_watched_line_by_line(repo: Path) -> None:
    alias = r"alias.say=!printf 'one\rtwo\rthree\r\nfour\nfive' >&2; printf out; exit 3"
    lines: list[str] = []
    ended = Git(repo).watch("-c", alias, "say", on_line=lines.append)
    assert lines == ["one", "two", "three", "four"]
    assert (ended.code, ended.output, ended.stderr) == (3, b"out", "three\nfour\nfive")


def test_a_git_that_falls_silent_is_ended(repo: Path) -> None:
    with pytest.raises(Exception, match="git said nothing for 0 seconds"):
        Git(repo).watch("-c", "alias.sleep=!sleep 60", "sleep", on_line=print, patience=0.2)


def test_an_interrupt_lets_git_clean_up(repo: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    # A while before it says so: git passes a signal on only to a child that it has noted to have started.
    script = "trap 'touch cleaned; exit 1' TERM; sleep 0.5; echo ready >&2; while :; do sleep 0.05; done"
    with pytest.raises(KeyboardInterrupt):
        Git(repo).watch("-c", f"alias.wait=!{script}", "wait", on_line=interrupt)
    deadline = 1000
    while not (repo / "cleaned").exists() and deadline:
        subprocess.run(["sleep", "0.02"], check=True)
        deadline -= 1
    assert deadline


def config(*lines: str) -> object:
    return collect([tuple(line.split("=", 1)) for line in lines])  # type: ignore[misc]


ORIGIN, HUB = "remote.origin.url=https://a/x.git", "remote.hub.url=/srv/x.git"


@pytest.mark.parametrize(
    ("lines", "setting", "branch", "name", "why"),
    [
        ([ORIGIN, HUB], None, "main", "origin", "it is called origin"),
        ([ORIGIN, HUB], "hub", "main", "hub", "it is set in git config gittrack.remote"),
        ([ORIGIN, HUB, "branch.main.remote=hub"], None, "main", "hub", "the branch main follows it"),
        ([ORIGIN, HUB, "branch.main.remote=hub"], None, None, "origin", "it is called origin"),
        ([ORIGIN, "branch.main.remote=."], None, "main", "origin", "it is called origin"),
        ([HUB], None, "main", "hub", "it is the only one"),
    ],
)
def test_the_remote_is_chosen(lines: list[str], setting: str | None, branch: str | None, name: str, why: str) -> None:
    found = choose_remote(config(*lines), setting=setting, origin="git config gittrack.remote", branch=branch)  # type: ignore[arg-type]
    assert (found.name, found.why) == (name, why)


def test_no_remote_can_be_chosen() -> None:
    with pytest.raises(NotFound, match="there is no remote to share runs through") as caught:
        choose_remote(config(), setting=None, origin="", branch=None)  # type: ignore[arg-type]
    assert caught.value.hint == "git remote add origin URL"
    with pytest.raises(NotFound, match=r"is not set \(there is: hub, team\)"):
        choose_remote(config(HUB, "remote.team.url=x"), setting=None, origin="", branch=None)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match=r"there is no remote 'team' here \(there is: hub\)"):
        find_remote("team", config(HUB), why="")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="is not the name of a remote") as wrong:
        find_remote("https://a/x.git", config(HUB), why="")  # type: ignore[arg-type]
    assert wrong.value.hint == "git remote add hub https://a/x.git"
    with pytest.raises(InvalidInput, match="cannot be used"):
        find_remote("--exec", config("remote.--exec.url=y"), why="")  # type: ignore[arg-type]


def test_pushes_and_fetches_go_to_their_own_addresses(ada: Clone, hub: Path, tmp_path: Path) -> None:
    other = make_hub(tmp_path / "other.git")
    git(ada.directory, "config", "remote.origin.pushurl", "short:other.git")
    git(ada.directory, "config", f"url.{tmp_path}/.insteadOf", "short:")
    ada.push()
    assert git(other, "for-each-ref", "--format=%(refname)") == "refs/heads/gittrack/churn"
    assert git(hub, "for-each-ref") == ""


def test_a_fetch_touches_nothing_but_the_tracking_refs(ada: Clone, hub: Path, tmp_path: Path) -> None:
    ada.push()
    git(hub, "update-ref", "refs/tags/v1", tip_of(hub))
    bob = Clone(tmp_path / "bob", str(hub))
    git(bob.directory, "config", "fetch.prune", "true")
    git(bob.directory, "update-ref", "refs/remotes/origin/main", git(bob.directory, "hash-object", "-w", "/dev/null"))
    bob.fetch()
    assert git(bob.directory, "for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/remotes/origin/gittrack/churn",
        "refs/remotes/origin/main",
    ]
    assert not (bob.directory / ".git/FETCH_HEAD").exists()
    assert git(bob.directory, "status", "--porcelain") == ""


def test_refs_that_a_dead_fetch_left_are_swept_after_a_day(ada: Clone) -> None:
    tip = ada.tip()
    young, old = f"{2**33}-aa", "1000000000-bb"
    for token in (young, old):
        git(ada.directory, "update-ref", f"{incoming_refs(token)}/churn", tip)
    ada.fetch()
    assert git(ada.directory, "for-each-ref", "--format=%(refname)", incoming_refs()) == f"{incoming_refs(young)}/churn"


def test_names_that_are_no_experiments_are_named(ada: Clone, hub: Path, tmp_path: Path) -> None:
    ada.push()
    for name in ("Upper", "a/b", "x-"):
        git(hub, "update-ref", f"refs/heads/gittrack/{name}", tip_of(hub))
    bob = Clone(tmp_path / "bob", str(hub))
    report = bob.fetch()
    assert report.ignored == ("Upper", "a/b", "x-")
    assert [branch.slug for branch in report.branches] == ["churn"]
    assert "Upper" not in git(bob.directory, "for-each-ref")


def test_a_failed_command_can_be_checked(repo: Path) -> None:
    ended = Git(repo).watch("rev-parse", "--verify", "nope", on_line=lambda _: None)
    with pytest.raises(Exception, match="git rev-parse failed"):
        ended.check()
    Ended(("x",), 0, b"", "").check()

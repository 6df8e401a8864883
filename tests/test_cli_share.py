"""Sharing from the command line: what is said before, during and after, in words and as JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import tip_of, wait_until
from conftest import git
from hubs import make_hub
from snapshots.invocation import COMMAND, call, read, spawn, spawn_in_terminal

import gittrack
from gittrack.errors import RemoteFailed
from gittrack.sync.errand import Errand


@pytest.fixture
def colleague(shared: Path, hub: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a command line in a colleague's clone."""
    directory = tmp_path / "colleague"
    git(tmp_path, "clone", "-q", str(hub), str(directory))

    def run(*words: str) -> str:
        done = spawn(*words, directory=directory)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def record(experiment: str = "churn", **params: object) -> str:
    """Record a run and return its name."""
    with gittrack.start_run(experiment, params=params) as run:
        run.log({"loss": 0.5}, step=0)
    return run.name


def test_the_first_push_says_what_it_discloses_and_is_asked_once(shared: Path, hub: Path) -> None:
    record()
    (shared / "train.py").write_text("print('changed')\n")
    record("other")
    refused = call("push")
    assert refused.code == 4
    assert refused.err.splitlines() == [
        f"note: origin ({hub}) will get 2 runs of experiments churn, other: params, metrics, tags, notes, "
        "command lines",
        "note: with the source code that ran: 2 versions, 1 of them with changes that are in no commit; "
        "code of 1 commit that origin does not have",
        "note: with the environment: Python, packages and their versions, hardware",
        f"note: with the names they ran under: user Test User, host {os.uname().nodename}",
        "error: nothing was pushed: sharing runs through origin has to be agreed to first",
        "hint: gittrack push origin --yes",
    ]
    assert git(hub, "for-each-ref") == ""
    agreed = call("push", "--yes")
    assert (agreed.code, agreed.err) == (
        0,
        "note: churn: 1 run pushed to origin\nnote: other: 1 run pushed to origin\n",
    )
    record()
    assert call("push").err == "note: churn: 1 run pushed to origin\n"
    assert call("push").err == "note: origin has everything\n"
    assert call("push", "churn").err == "note: churn: origin has everything\n"
    git(shared, "remote", "set-url", "origin", hub.as_uri())
    record()
    assert call("push").code == 4


def test_a_person_is_asked(shared: Path, hub: Path) -> None:
    record()
    code, written = spawn_in_terminal("push", keys=b"n\n", columns=200)
    assert code == 4
    assert "Share runs through origin? (asked once) [y/N]: " in written
    assert written.endswith("hint:\x1b[0m gittrack push origin\n")
    assert git(hub, "for-each-ref") == ""
    code, written = spawn_in_terminal("push", keys=b"y\n", columns=200)
    assert code == 0
    # On a busy machine the terminal shows the answer before the question, and the note stands beside the question.
    assert written.endswith("\x1b[1mnote:\x1b[0m churn: 1 run pushed to origin\n")
    record()
    assert spawn_in_terminal("push")[1] == "\x1b[1mnote:\x1b[0m churn: 1 run pushed to origin\n"


def test_what_looks_like_a_secret_is_not_pushed(shared: Path, hub: Path) -> None:
    from dataclasses import replace

    from gittrack.revision import append_run, stage_snapshot

    name = record()
    with gittrack.Tracker.open() as tracker:
        found = tracker.get_run("latest")
        commit = tracker.store.get_commit(found.commit or "")
        # As a run looks that was recorded before the scrubber knew of such keys.
        tags = {"who": "ghp_" + "a1b2" * 9}
        snapshot = replace(
            found.snapshot, run=replace(found.snapshot.run, revision=2, tags=tags), params={"api_key": "x" * 9}
        )
        parts = tracker.history.find_parts(commit)
        staged = stage_snapshot(tracker.store, snapshot, parts=parts, source=None, previous=(commit.tree,))
        append_run(tracker.history, staged, tracker.make_stamp(found.started))
        run_id = found.id
    refused = call("push", "--yes")
    assert refused.code == 4
    first, second, last, hint = refused.err.splitlines()
    assert first.startswith(f"warning: this looks like a secret: run {name} ({run_id[:8]}), tags.who: --allow-secret ")
    assert second.startswith(f"warning: this looks like a secret: run {name} ({run_id[:8]}), params.api_key: --allow-")
    assert last == (
        "error: nothing was pushed: 2 values in these runs would be seen by others and look like secrets, "
        f"the first in run {name} ({run_id[:8]}), tags.who; gittrack redact {run_id[:8]} --tag who takes it out"
    )
    assert "ghp_" not in refused.err
    assert git(hub, "for-each-ref") == ""
    ids = [line.split()[-1] for line in (first, second)]
    assert hint == f"hint: gittrack push origin --allow-secret {ids[0]}  # if it is none"
    assert call("push", "--yes", "--allow-secret", ids[0]).code == 4
    assert call("push", "--yes", "--allow-secret", ids[1]).code == 0
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")


def test_a_secret_in_changed_code_is_found(shared: Path, hub: Path) -> None:
    (shared / "train.py").write_text(f'TOKEN = "ghp_{"a1b2" * 9}"\n')
    name = record()
    refused = call("push", "--yes")
    assert f"run {name} (" in refused.err
    assert "), source/train.py: --allow-secret " in refused.err
    assert git(hub, "for-each-ref") == ""


def test_committed_code_is_not_looked_through_again(shared: Path) -> None:
    (shared / "train.py").write_text(f'TOKEN = "ghp_{"a1b2" * 9}"\n')
    git(shared, "commit", "-qam", "a mistake that was made already")
    git(shared, "push", "-q", "origin", "HEAD")
    record()
    assert call("push", "--yes").code == 0


def test_pushed_is_told_as_json(shared: Path) -> None:
    record()
    refused = call("push", "--json")
    assert (refused.code, refused.out) == (4, "")
    assert "will get 1 run of experiment churn" in refused.err
    answer = call("push", "--yes", "--json")
    told = {"experiment": "churn", "result": "pushed", "runs": 1, "merged": [], "rounds": 1}
    assert json.loads(answer.out) == {
        "gittrack": 1,
        "pushed": [{**told, "reason": None, "findings": []}],
        "remote": "origin",
        "content": {"sent": 0, "bytes": 0, "there": 0, "missing": 0, "kept": 0},
    }


def test_fetch_and_pull_tell_what_came(shared: Path, colleague: Callable[..., str]) -> None:
    name = record()
    call("push", "--yes")
    assert colleague("fetch") == "note: churn: new here, with 1 run\n"
    assert colleague("fetch") == "note: nothing new on origin\n"
    assert name in colleague("ls")
    colleague("tag", name, "stage=good")
    colleague("push", "--yes")
    call("tag", name, "seen=yes")
    assert call("fetch").err == "note: churn: 1 run new or changed\n"
    assert call("pull").err == (
        "note: churn: joined what was fetched before with yours\n"
        f"note: churn: {name} was edited here and there; both edits are kept, and where both set the same the later "
        f"one counts\nhint: gittrack show --revisions -- {name}\n"
    )
    pulled = call("pull", "--json")
    assert json.loads(pulled.out)["pulled"][0]["merged"] == []
    assert read("tag", name, "--json").json("tags") == {"stage": "good", "seen": "yes"}


def test_fetched_is_told_as_json(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    answer = read("fetch", "--json")
    assert answer.json("fetched") == [
        {"experiment": "churn", "change": "same", "tip": tip_of(hub), "runs": 0, "refused": []}
    ]


def test_a_push_that_the_remote_refuses_ends_with_8(shared: Path, hub: Path) -> None:
    record()
    hook = hub / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'No runs on Friday'\nexit 1\n")
    hook.chmod(0o755)
    answer = call("push", "--yes")
    assert answer.code == 8
    assert answer.err.splitlines()[-2].startswith("error: origin refuses this: No runs on Friday; ")
    assert answer.err.splitlines()[-1] == "hint: gittrack push origin  # once its owner allows it; nothing is lost here"


def test_an_experiment_deleted_on_the_remote_is_pushed_when_it_is_named(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    git(hub, "update-ref", "-d", "refs/heads/gittrack/churn")
    answer = call("push")
    assert (answer.code, answer.err.splitlines()) == (
        4,
        [
            "error: churn not pushed: its branch was deleted on origin",
            "hint: gittrack push origin churn",
        ],
    )
    assert call("fetch").err.startswith("warning: churn: its branch was deleted on origin; its runs are kept here\n")
    assert call("push", "origin", "churn").err == "note: churn: 1 run pushed to origin\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("push", "nope"), 3, "error: 'nope' is neither a remote (there is: origin) nor an experiment\n"),
        (("fetch", "https://a/b.git"), 2, "error: 'https://a/b.git' is not the name of a remote (there is: origin)\n"),
        (("fetch", "origin", "churm"), 3, "error: there is no experiment 'churm' here or on origin\n"),
        (("pull", "origin", "churm"), 3, "error: there is no experiment 'churm' here or on origin\n"),
        (("push", "origin", "nope"), 4, "error: experiment 'nope' has nothing that was recorded here\n"),
        (("push", "--yes", "--allow-secret"), 2, "error: option '--allow-secret' requires an argument\n"),
    ],
)
def test_names_that_are_none(shared: Path, words: tuple[str, ...], code: int, said: str) -> None:
    record()
    answer = call(*words)
    assert (answer.code, answer.err.splitlines(keepends=True)[0]) == (code, said)


def test_an_experiment_that_is_nowhere_is_answered_with_the_closest(shared: Path) -> None:
    record()
    for word in ("fetch", "pull"):
        assert call(word, "origin", "churm").err.endswith(f"hint: gittrack {word} origin churn\n")


def test_a_closed_standard_output_is_no_failure_of_ours(shared: Path) -> None:
    record()
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *COMMAND, "status"], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_clone_to_where_nothing_can_be_made(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    answer = call("clone", str(hub), "/proc/nowhere/runs.git")
    assert answer.code == 7
    assert answer.err.startswith("error: /proc/nowhere/runs.git cannot be made (")
    assert answer.err.splitlines()[1] == f"hint: gittrack clone {hub} OTHER"


def test_a_refusal_is_said_once(shared: Path, hub: Path) -> None:
    record()
    hook = hub / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    answer = call("push", "origin", "churn", "--yes")
    assert (answer.code, answer.err.splitlines()) == (
        8,
        [
            "error: origin refuses this: hook declined to update refs/heads/gittrack/churn",
            "hint: gittrack push origin churn  # once its owner allows it; nothing is lost here",
        ],
    )


def test_without_a_remote(repo: Path) -> None:
    record()
    for word in ("push", "pull", "fetch"):
        answer = call(word)
        assert (answer.code, answer.err) == (
            3,
            "error: there is no remote to share runs through\nhint: git remote add origin URL\n",
        )
    assert call("remote").err == "note: there is no remote to share runs through\nhint: git remote add origin URL\n"
    status = call("status")
    assert status.lines == [
        "EXPERIMENT  RUNS  TO PUSH  TO PULL",
        "churn          1        1           not on the remote",
    ]
    assert read("remote", "--json").json("remotes") == []


def test_status_says_what_is_to_be_pushed_and_pulled(shared: Path, hub: Path, colleague: Callable[..., str]) -> None:
    first = record()
    call("push", "--yes")
    colleague("fetch")
    colleague("tag", first, "x=1")
    colleague("run", "-e", "theirs", "--", "true")
    colleague("push", "--yes")
    record()
    record("mine")
    with gittrack.start_run("mine") as run:
        run.log_text("content", "a.txt")
    call("fetch")
    answer = read("status")
    assert answer.lines[:4] == [
        "EXPERIMENT  RUNS  TO PUSH  TO PULL",
        "churn          2        1        1",
        "mine           2        2           not on the remote",
        "theirs         1                    theirs alone",
    ]
    assert answer.lines[4] == (
        f"content: 1 artifact (7 B) of runs that are not pushed is not known to be at {hub}; "
        "gittrack push origin sends it"
    )
    live = gittrack.start_run("mine")
    found = read("status", "--json").json("status")
    live.end()
    assert (found["remote"], found["why"]) == ("origin", "it is called origin")
    assert [(entry["experiment"], len(entry["ahead"]), len(entry["behind"])) for entry in found["experiments"]] == [
        ("churn", 1, 1),
        ("mine", 2, 0),
        ("theirs", 0, 0),
    ]
    assert found["live"] == [{"id": live.id, "name": live.name, "experiment": "mine"}]
    nothing = {"artifacts": 0, "bytes": 0}
    assert found["content"] == {"place": str(hub), "artifacts": 1, "bytes": 7, "of_pushed_runs": nothing}
    call("push")
    call("pull")
    assert [line.split()[2:] for line in read("status").lines[1:3]] == [["up", "to", "date"]] * 2


def test_remote_says_which_is_used_and_why(shared: Path, hub: Path) -> None:
    git(shared, "remote", "add", "team", f"https://ada:secret@example.com/{hub.name}")
    (_, origin_line, team_line) = read("remote").lines
    assert origin_line == f"origin  {hub}  used: it is called origin"
    assert team_line.split() == ["team", "https://example.com/hub.git"]
    assert "secret" not in read("remote").out
    call("init", "--remote", "team")
    (origin, team) = read("remote", "--json").json("remotes")
    assert (origin["used"], team["used"]) == (False, True)
    assert team["why"] == "it is set in git config gittrack.remote"
    assert team["url"] == f"https://example.com/{hub.name}"


def test_remote_says_where_pushes_go_if_elsewhere(shared: Path, hub: Path) -> None:
    git(shared, "remote", "set-url", "--push", "origin", "https://ada:secret@example.com/other.git")
    line = read("remote").lines[1]
    assert line == f"origin  {hub} (pushes go to https://example.com/other.git)  used: it is called origin"


def test_clone_makes_a_store_of_the_experiments_alone(shared: Path, hub: Path, tmp_path: Path) -> None:
    git(shared, "push", "-q", "origin", "main")
    name = record(lr=0.1)
    record("other")
    call("push", "--yes")
    os.chdir(tmp_path)
    answer = call("clone", str(hub))
    assert (answer.code, answer.err.splitlines()) == (
        0,
        ["note: churn: 1 run", "note: other: 1 run", "hint: to look at them: gittrack ls -C hub.git"],
    )
    os.chdir("hub.git")
    assert sorted(git(Path(), "for-each-ref", "--format=%(refname)").split()) == [
        "refs/heads/gittrack/churn",
        "refs/heads/gittrack/other",
        "refs/remotes/origin/gittrack/churn",
        "refs/remotes/origin/gittrack/other",
    ]
    assert git(Path(), "rev-parse", "--is-bare-repository") == "true"
    missing = git(Path(), "rev-list", "--objects", "--all", "--missing=print").splitlines()
    assert [line for line in missing if line.startswith("?")]
    run = read("show", name, "--json").json("run")
    assert run["params"] == {"lr": 0.1}
    with gittrack.Tracker.open() as tracker:
        assert tracker.get_run(name).series("loss").num_rows == 1
    assert call("pull").code == 0


def test_a_blobless_clone_lists_its_runs_without_asking_again(shared: Path, hub: Path, tmp_path: Path) -> None:
    for number in range(3):
        record(lr=number)
    call("push", "--yes")
    os.chdir(tmp_path)
    call("clone", str(hub), "mine")
    hub.rename(hub.with_name("gone.git"))
    runs = read("ls", "--json", "-C", "mine").json("runs")
    assert sorted(run["params"]["lr"] for run in runs) == [0, 1, 2]


def test_a_blobless_clone_whose_remote_is_gone_says_so(shared: Path, hub: Path, tmp_path: Path) -> None:
    record()
    call("push", "--yes")
    os.chdir(tmp_path)
    call("clone", hub.as_uri(), "mine")
    hub.rename(hub.with_name("gone.git"))
    os.chdir("mine")
    with gittrack.Tracker.open() as tracker, pytest.raises(RemoteFailed, match="the remote did not send it") as caught:
        tracker.get_run("latest").series("loss")
    assert "fatal" not in caught.value.message
    assert caught.value.hint == "git remote -v"
    assert call("plot", "loss").code == 8


@pytest.mark.parametrize("full", [False, True])
def test_a_clone_of_everything(shared: Path, hub: Path, tmp_path: Path, full: bool) -> None:
    record()
    call("push", "--yes")
    if not full:
        git(hub, "config", "uploadpack.allowFilter", "false")
    os.chdir(tmp_path)
    answer = read("clone", hub.as_uri(), "mine", "--json", *(["--full"] if full else []))
    assert json.loads(answer.out)["partial"] is False
    assert git(tmp_path / "mine", "rev-list", "--objects", "--all", "--missing=error").count("\n") > 5
    assert "promisor" not in (tmp_path / "mine/config").read_text()


def test_a_clone_that_fails_leaves_nothing(shared: Path, hub: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    empty = call("clone", str(hub), "mine")
    assert (empty.code, empty.err.splitlines()[0]) == (3, f"error: there is nothing at {hub}")
    assert call("clone", "nowhere.git").code == 8
    assert call("clone", "--", "--upload-pack=touch x").code == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert call("clone", str(hub), "full").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "repo", "srv"]


def test_a_clone_of_a_repository_with_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, source = tmp_path / "hub", tmp_path / "source"
    for directory, bare in ((hub, ["--bare"]), (source, [])):
        directory.mkdir()
        git(directory, "init", "-q", "--object-format=sha256", *bare)
    git(source, "remote", "add", "origin", str(hub))
    monkeypatch.chdir(source)
    name = record()
    call("push", "--yes")
    monkeypatch.chdir(tmp_path)
    assert call("clone", str(hub), "mine").code == 0
    assert name in read("ls", "-C", "mine").out


def push_in_background(shared: Path) -> Errand:
    git(shared, "config", "gittrack.autoPush", "true")
    return Errand(shared / ".git")


def test_a_run_is_pushed_in_the_background_when_it_ends(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    errand = push_in_background(shared)
    for _ in range(3):
        record()
    wait_until(lambda: not errand.list_wanted() and not errand.is_held())
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")
    assert int(git(hub, "rev-list", "--count", "gittrack/churn")) == 5
    report = errand.find_report()
    assert report is not None
    assert (report.pushed, report.experiments) == (True, ("churn",))


def test_a_push_in_the_background_that_fails_is_told_by_status(shared: Path, hub: Path) -> None:
    errand = push_in_background(shared)
    record()
    wait_until(lambda: errand.find_report() is not None and not errand.is_held())
    assert git(hub, "for-each-ref") == ""
    status = call("status")
    assert status.code == 0
    warning, hint = status.err.splitlines()
    assert warning.startswith("warning: the last push in the background failed at ")
    assert "sharing runs through origin has to be agreed to first; origin (" in warning
    assert str(errand.log) in warning
    assert hint == "hint: gittrack push origin --yes"
    assert read_background() == {"running": False, "waiting": ["churn"]}
    call("push", "--yes")
    assert call("status").err == ""
    assert errand.list_wanted() == []


def read_background() -> dict[str, object]:
    found = json.loads(call("status", "--json").out)["status"]["background"]
    return {key: found[key] for key in ("running", "waiting")}


def test_a_run_ends_well_whatever_the_push_in_the_background_does(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    errand = push_in_background(shared)
    git(shared, "remote", "set-url", "origin", str(hub.parent / "nowhere.git"))
    git(shared, "config", "gittrack.sharedWith", str(hub.parent / "nowhere.git"))
    began = time.monotonic()
    record()
    assert time.monotonic() - began < 5
    wait_until(lambda: errand.find_report() is not None)
    report = errand.find_report()
    assert report is not None
    assert (report.pushed, report.hint) == (False, "git remote set-url origin URL")
    make_hub(hub.parent / "nowhere.git")  # as what is mounted in the end
    wait_until(lambda: not errand.list_wanted() and not errand.is_held())
    assert tip_of(hub.parent / "nowhere.git") == git(shared, "rev-parse", "gittrack/churn")
    (shared / ".git/gittrack/push").rename(shared / ".git/gittrack/pushes")
    (shared / ".git/gittrack/push").write_text("in the way")
    record()
    assert len(read("ls", "--json").json("runs")) == 3


def test_marks_of_a_killed_push_are_taken_up_by_the_next(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    record()
    errand = Errand(shared / ".git")
    errand.want("churn")
    with errand.hold() as held:
        assert held
        assert errand.is_held()
        assert errand.take() == ["churn"]
        assert call("push", "--detached").code == 0
    assert errand.list_wanted() == ["churn"]
    assert call("push", "--detached").code == 0
    assert errand.list_wanted() == []
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")


def test_a_log_that_has_grown_long_keeps_its_end(shared: Path) -> None:
    errand = Errand(shared / ".git")
    errand.want("churn")
    errand.log.write_bytes(b"a" * 300_000 + b"end")
    errand.trim_log()
    assert errand.log.stat().st_size == 131_072
    assert errand.log.read_bytes().endswith(b"end")


def test_auto_is_a_setting(shared: Path) -> None:
    record()
    call("push", "--yes", "--auto")
    assert git(shared, "config", "gittrack.autoPush") == "true"
    call("push", "--no-auto")
    assert git(shared, "config", "gittrack.autoPush") == "false"


def test_ctrl_c_leaves_all_as_it_was(shared: Path, hub: Path) -> None:
    record()
    call("push", "--yes")
    before = tip_of(hub)
    record()
    hook = hub / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {shared}/waiting\nwhile [ -e {shared}/waiting ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    process = subprocess.Popen(
        [*COMMAND, "push"], stderr=subprocess.PIPE, text=True, start_new_session=True, stdin=subprocess.DEVNULL
    )
    wait_until((shared / "waiting").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; every experiment is as it was or wholly done, and nothing is lost: gittrack push origin" in err
    hook.unlink()
    (shared / "waiting").unlink(missing_ok=True)
    wait_until(
        lambda: "hub.git" not in subprocess.run(["pgrep", "-af", "receive-pack"], capture_output=True, text=True).stdout
    )
    assert tip_of(hub) in (before, git(shared, "rev-parse", "gittrack/churn"))
    assert call("push").code == 0
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")


def test_pull_says_that_it_joined_what_was_fetched_before(shared: Path, hub: Path, tmp_path: Path) -> None:
    record()
    assert call("push", "--yes").code == 0
    git(tmp_path, "clone", "-q", str(hub), "other")
    other = str(tmp_path / "other")
    assert call("pull", "--store", other).code == 0
    assert call("tag", "latest", "kind=mine", "--store", other).code == 0
    name = record()
    assert call("push").code == 0
    assert call("fetch", "--store", other).err == "note: churn: 1 run new or changed\n"
    assert call("pull", "--store", other).err == "note: churn: joined what was fetched before with yours\n"
    assert call("pull", "--store", other).err == "note: nothing new on origin\n"
    assert call("rm", name).code == 0
    assert call("gc", "--now", "--yes").code == 0
    assert call("push").code == 0
    assert call("pull", "--store", other).err == "note: churn: 1 run was deleted for good on origin\n"

"""What a push finds that looks like a secret, and what it makes of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from clones import tip_of
from conftest import git
from snapshots.invocation import call

import gittrack

TOKEN = "ghp_" + "a1b2" * 9


def record(experiment: str = "churn", **params: object) -> str:
    """Record a run and return its id."""
    with gittrack.start_run(experiment, params=params) as run:
        run.log({"loss": 0.5}, step=0)
    return run.id


def plant(experiment: str = "leaky", *, params: Mapping[str, str] | None = None, **tags: str) -> str:
    """Record a run as it looks that was recorded before the scrubber knew of such secrets; return its id."""
    from gittrack.revision import append_run, stage_snapshot

    run_id = record(experiment)
    with gittrack.Tracker.open() as tracker:
        found = tracker.get_run(run_id)
        commit = tracker.store.get_commit(found.commit or "")
        changed = replace(found.snapshot.run, revision=2, tags=tags)
        snapshot = replace(found.snapshot, run=changed, params=params or {})
        parts = tracker.history.find_parts(commit)
        staged = stage_snapshot(tracker.store, snapshot, parts=parts, source=None, previous=(commit.tree,))
        append_run(tracker.history, staged, tracker.make_stamp(found.started))
    return run_id


def find_fields(*words: str) -> list[str]:
    """Return where a push finds secrets."""
    answer = call("push", "--yes", "--json", *words)
    assert answer.code in (0, 4), answer.err
    return [finding["field"] for entry in json.loads(answer.out)["pushed"] for finding in entry["findings"]]


def test_what_was_taken_out_is_no_secret(shared: Path, hub: Path) -> None:
    marks = {
        "password": "[redacted]",
        "token": "[scrubbed]",
        "url": "https://ada:[redacted]@example.com/?token=[redacted]",
    }
    plant(params=marks, api_key="[redacted]", header="Authorization: Bearer [redacted]")
    answer = call("push", "--yes")
    assert (answer.code, answer.err) == (0, "note: leaky: 1 run pushed to origin\n")


def test_redacting_a_run_lets_it_be_pushed(shared: Path, hub: Path) -> None:
    run_id = plant(params={"api_key": "x" * 9})
    refused = call("push", "--yes")
    assert refused.code == 4
    *_, error, hint = refused.err.splitlines()
    assert error.endswith(f"params.api_key; gittrack redact {run_id[:8]} --param api_key takes it out")
    assert hint.startswith("hint: gittrack push origin --allow-secret ")
    assert call("redact", run_id[:8], "--param", "api_key", "--yes").code == 0
    assert call("push", "--yes").code == 0
    assert tip_of(hub, "leaky") == git(shared, "rev-parse", "gittrack/leaky")


@pytest.mark.parametrize("changed", [False, True])
def test_code_that_only_the_local_branch_has_is_looked_through(shared: Path, hub: Path, changed: bool) -> None:
    git(shared, "push", "-q", "origin", "main")
    (shared / "client.py").write_text(f'TOKEN = "{TOKEN}"\n')
    git(shared, "add", "client.py")
    git(shared, "commit", "-qm", "not pushed")
    if changed:
        (shared / "train.py").write_text("print('changed')\n")
    record()
    assert (
        "; code of 1 commit that origin does not have\n" in call("push").err
        or "looks like a secret" in call("push").err
    )
    assert find_fields() == ["source/client.py"]
    assert git(hub, "for-each-ref", "refs/heads/gittrack") == ""
    git(shared, "push", "-q", "origin", "main")
    assert find_fields() == []
    assert tip_of(hub) == git(shared, "rev-parse", "gittrack/churn")


def test_code_that_the_remote_has_had_is_no_news(shared: Path) -> None:
    good, bad = (shared / "train.py").read_text(), f'TOKEN = "{TOKEN}"\n'
    for text in (bad, good):
        (shared / "train.py").write_text(text)
        git(shared, "commit", "-qam", "a mistake, or its end")
    git(shared, "push", "-q", "origin", "main")
    (shared / "train.py").write_text(bad)
    record()
    assert find_fields() == []
    (shared / "train.py").write_text(f"{bad}# once more\n")
    record()
    assert find_fields() == ["source/train.py"]


def test_the_disclosure_counts_the_commits_that_the_remote_lacks(shared: Path) -> None:
    git(shared, "push", "-q", "origin", "main")
    record()
    assert "note: with the source code that ran: 1 version\n" in call("push").err
    for number in range(2):
        (shared / "train.py").write_text(f"print({number})\n")
        git(shared, "commit", "-qam", f"change {number}")
        record()
    assert (
        "note: with the source code that ran: 3 versions; code of 2 commits that origin does not have\n"
        in call("push").err
    )


def test_a_secret_that_two_experiments_have_keeps_both_back(shared: Path, hub: Path) -> None:
    good = (shared / "train.py").read_text()
    (shared / "train.py").write_text(f'TOKEN = "{TOKEN}"\n')
    record("one")
    record("two")
    (shared / "train.py").write_text(good)
    record("three")
    assert find_fields() == ["source/train.py", "source/train.py"]
    assert git(hub, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/gittrack/three"]


def test_names_are_looked_through(shared: Path, hub: Path) -> None:
    plant(params={f"p.{TOKEN}": "1"}, **{f"t.{TOKEN}": "x"})
    with gittrack.start_run("leaky") as run:
        run.log({f"m.{TOKEN}": 1.0}, step=0)
        run.log_text("content", f"models/{TOKEN}/a.txt")
    answer = call("push", "--yes")
    assert answer.code == 4
    assert TOKEN not in answer.err
    places = {
        line.split("), ")[1].split(": ")[0]
        for line in answer.err.splitlines()
        if "--allow-secret" in line and "), " in line
    }
    assert places == {"params.p.[scrubbed]", "tags.t.[scrubbed]", "metrics.m.[scrubbed]", "artifacts/models/[scrubbed]"}


def test_an_experiment_is_looked_through(shared: Path) -> None:
    record()
    assert call("experiment", "describe", "churn", f"uses {TOKEN}").code == 0
    answer = call("push", "--yes")
    assert answer.code == 4
    assert "the first in experiment churn, description" in answer.err
    assert TOKEN not in answer.err


def test_one_secret_does_not_keep_the_others_back(shared: Path, hub: Path) -> None:
    record("clean")
    run_id = plant("leaky", who=TOKEN)
    answer = call("push", "--yes", "--json")
    assert answer.code == 4
    clean, leaky = json.loads(answer.out)["pushed"]
    assert (clean["result"], clean["findings"]) == ("pushed", [])
    assert (leaky["result"], leaky["runs"]) == ("refused", 1)
    (finding,) = leaky["findings"]
    assert (finding["run"], finding["field"]) == (run_id, "tags.who")
    *_, error, hint = answer.err.splitlines()
    assert error.startswith("error: clean went through, but leaky was not pushed: 1 value in these runs would be seen")
    assert hint == f"hint: gittrack push origin --allow-secret {finding['id']}  # if it is none"
    assert tip_of(hub, "clean") == git(shared, "rev-parse", "gittrack/clean")
    assert git(hub, "for-each-ref", "refs/heads/gittrack/leaky") == ""
    again = call("push", "origin", "leaky")
    assert (
        again.err.splitlines()[-1]
        == f"hint: gittrack push origin leaky --allow-secret {finding['id']}  # if it is none"
    )
    assert call("push", "origin", "leaky", "--allow-secret", finding["id"]).code == 0


def test_a_push_in_the_background_lets_the_others_through(shared: Path, hub: Path) -> None:
    from gittrack.sync.errand import Errand

    record("first")
    call("push", "--yes")
    record("clean")
    plant("leaky", who=TOKEN)
    errand = Errand(shared / ".git")
    for slug in ("clean", "leaky"):
        errand.want(slug)
    assert call("push", "--detached").code == 4
    assert errand.list_wanted() == ["leaky"]
    assert tip_of(hub, "clean") == git(shared, "rev-parse", "gittrack/clean")
    assert "leaky was not pushed" in call("status").err


def test_only_what_is_clean_is_disclosed_and_agreed_to(shared: Path) -> None:
    record("clean")
    plant("leaky", who=TOKEN)
    assert "will get 1 run of experiment clean:" in call("push").err


def test_an_id_that_is_no_finding_is_an_error(shared: Path, hub: Path) -> None:
    record()
    for _ in range(2):
        answer = call("push", "origin", "churn", "--yes", "--allow-secret", "nonsense")
        assert (answer.code, answer.err.splitlines()[-2:]) == (
            2,
            [
                "error: --allow-secret nonsense: nothing that is to be pushed has this name",
                "hint: gittrack push origin churn",
            ],
        )
        assert git(shared, "config", "--default", "none", "gittrack.allowedSecret") == "none"
        call("push", "--yes")


def test_hints_keep_what_was_named(shared: Path) -> None:
    record("default")
    record("other")
    assert call("push", "origin", "default").err.splitlines()[-1] == "hint: gittrack push origin default --yes"
    assert call("push", "default").err.splitlines()[-1] == "hint: gittrack push origin default --yes"


def test_the_advice_after_a_redaction_names_remote_and_experiment(shared: Path) -> None:
    git(shared, "remote", "add", "team", "elsewhere.git")
    run_id = record(lr="0.1")
    assert "hint: gittrack push origin churn\n" in call("redact", run_id[:8], "--param", "lr", "--yes").err


def test_a_rehearsal_sends_nothing(shared: Path, hub: Path) -> None:
    record("clean")
    plant("leaky", who=TOKEN)
    answer = call("push", "--dry-run")
    assert answer.code == 0
    assert f"note: origin ({hub}) will get 1 run of experiment clean: params" in answer.err
    assert answer.err.endswith("note: clean: 1 run would be pushed to origin\nnote: leaky: 1 run would be kept back\n")
    told = json.loads(call("push", "--dry-run", "--json").out)["would_push"]
    assert [(entry["experiment"], entry["runs"], entry["first"], len(entry["findings"])) for entry in told] == [
        ("clean", 1, True, 0),
        ("leaky", 1, True, 1),
    ]
    assert git(hub, "for-each-ref") == ""
    assert git(shared, "config", "--default", "none", "gittrack.sharedWith") == "none"


def test_a_further_experiment_is_announced(shared: Path) -> None:
    record()
    call("push", "--yes")
    record("private")
    record("private")
    assert call("push").err.splitlines()[0] == "note: also shares private: 2 runs"


def test_force_and_all(shared: Path) -> None:
    record()
    answer = call("push", "--force", "origin")
    assert answer.code == 2
    assert "nothing on the remote is ever overwritten" in answer.err
    assert answer.err.endswith("hint: gittrack push origin\n")
    assert call("push", "--all", "--yes").code == 0
    assert call("push", "--all", "churn").code == 2

"""The commands on real runs in a real repository: what they read, what they change, what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import git
from snapshots.invocation import call, read

import gittrack


@pytest.fixture
def runs(repo: Path) -> dict[str, str]:
    """Record three runs; return their names by what they are."""
    names = {}
    for index, (kind, lr) in enumerate([("base", 0.1), ("slow", 0.001), ("wild", 10.0)]):
        (repo / "train.py").write_text(f"print('version {index}')\n")
        experiment = "churn" if kind != "wild" else "Wild Ideas"
        with gittrack.start_run(experiment, params={"lr": lr, "seed": 7}, tags={"kind": kind}) as run:
            for step in range(5):
                run.log({"loss": lr + 1 / (step + 1), "auc": 0.5 + step / 10}, step=step)
            run.log_text(f"model {kind}\n", "model.txt")
            run.log_text("a\n", "plots/a.txt")
            run.log_text("b\n", "plots/b.txt")
        names[kind] = run.name
    return names


def find_id(ref: str) -> str:
    found: str = read("show", ref, "--json").json("run")["id"]
    return found


def test_ls_lists_the_newest_first(runs: dict[str, str]) -> None:
    lines = read("ls").lines
    assert lines[0].split() == ["RUN", "NAME", "EXPERIMENT", "STATUS", "STARTED", "TIME", "lr", "auc", "loss"]
    assert [line.split()[1] for line in lines[1:]] == [runs["wild"], runs["slow"], runs["base"]]
    assert [line.split()[3] for line in lines[1:]] == ["FINISHED"] * 3
    assert [line.split()[-3:] for line in lines[1:]] == [
        ["10.0", "0.9000", "10.200"],
        ["0.001", "0.9000", "0.201"],
        ["0.1", "0.9000", "0.300"],
    ]


def test_ls_narrows_sorts_and_limits(runs: dict[str, str]) -> None:
    def names(*words: str) -> list[str]:
        return [run["name"] for run in read("ls", "--json", *words).json("runs")]

    assert names("-e", "churn") == [runs["slow"], runs["base"]]
    assert names("-e", "Wild Ideas") == [runs["wild"]]
    assert names("--sort", "loss") == [runs["slow"], runs["base"], runs["wild"]]
    assert names("--sort", "-params.lr", "-n", "1") == [runs["wild"]]
    assert names("-n", "2") == [runs["wild"], runs["slow"]]
    assert read("ls", "--sort", "loss").lines[0].split()[-3:] == ["lr", "auc", "loss"]
    assert read("ls", "--columns", "name,lr,tags.kind", "--sort", "lr", "-n", "1").lines == [
        f"{'NAME':<{len(runs['slow'])}}  {'lr':>5}  kind",
        f"{runs['slow']}  0.001  slow",
    ]


def test_ls_shows_twenty_runs_unless_it_is_asked_for_all(repo: Path) -> None:
    for number in range(22):
        gittrack.start_run("many", params={"n": number}).end()
    answer = call("ls")
    assert len(answer.out.splitlines()) == 1 + 20
    assert answer.err == "note: there are more runs\nhint: gittrack ls --all\n"
    assert len(read("ls", "--all").lines) == 1 + 22
    assert len(read("ls", "--all", "-n", "3").lines) == 1 + 3
    assert [run["params"]["n"] for run in read("ls", "--json", "--sort", "n", "-n", "2").json("runs")] == [0, 1]


def test_json_of_a_run_is_the_same_everywhere(runs: dict[str, str]) -> None:
    run = read("show", runs["base"], "--json").json("run")
    assert run == read("ls", "--json").json("runs")[2] == read("log", "--json").json("runs")[2]
    assert run["params"] == {"lr": 0.1, "seed": 7}
    assert run["summary"]["auc"]["last"] == 0.9
    assert run["artifacts"]["model.txt"]["size"] == len("model base\n")
    assert run == gittrack.get_run(runs["base"]).to_dict()


def test_a_run_is_named_in_five_ways(runs: dict[str, str]) -> None:
    run = read("show", runs["slow"], "--json").json("run")
    for ref in (run["id"], run["id"][:6], run["name"], run["commit"][:9], "latest~1"):
        assert find_id(ref) == run["id"]


def test_show_says_everything(runs: dict[str, str]) -> None:
    text = read("show", "latest").out
    for said in (runs["wild"], "FINISHED", "wild-ideas", "kind=wild", "model.txt", "with changes", "params (2)"):
        assert said in text


def test_log_is_the_history(runs: dict[str, str]) -> None:
    assert [line.split()[1] for line in read("log", "--oneline").lines] == [runs["wild"], runs["slow"], runs["base"]]
    blocks = read("log", "churn", "--no-pager").out.split("\n\nrun ")
    assert len(blocks) == 2
    assert f"Name:        {runs['slow']}, FINISHED" in blocks[0]
    assert read("log", "-n", "1", "--oneline").lines[0].startswith(find_id("latest")[:8])


def test_compare_marks_the_best(runs: dict[str, str]) -> None:
    text = read("compare", runs["base"], runs["slow"]).out
    assert "loss ↓" in text
    assert [line.split() for line in text.splitlines() if line.startswith("  lr")] == [["lr", "0.1", "0.001"]]
    assert "seed" not in text
    assert "seed" in read("compare", runs["base"], runs["slow"], "--all").out
    comparison = read("compare", runs["base"], runs["slow"], "latest", "--json").json("comparison")
    base, slow, wild = (run["id"] for run in comparison["runs"])
    assert comparison["metrics"]["loss"]["best"] == [slow]
    assert comparison["metrics"]["auc"]["best"] == []
    assert comparison["params"]["lr"] == {"differs": True, "values": {base: 0.1, slow: 0.001, wild: 10.0}}
    assert comparison["params"]["seed"]["differs"] is False


def test_compare_takes_goals(runs: dict[str, str]) -> None:
    words = ("compare", runs["base"], runs["slow"], "--json")
    metrics = read(*words, "--max", "loss").json("comparison")["metrics"]
    assert metrics["loss"]["goal"] == "max"
    assert metrics["loss"]["best"] == [find_id(runs["base"])]
    refused = call(*words, "--max", "los")
    assert (refused.code, refused.err) == (2, "error: none of these runs has a metric 'los'\nhint: loss\n")
    assert call(*words, "--max", "loss", "--min", "loss").code == 2
    assert call("compare", "latest").code == 2


def test_diff_shows_params_metrics_and_code(runs: dict[str, str]) -> None:
    text = read("diff", runs["base"], runs["slow"]).out
    assert "-print('version 0')\n+print('version 1')\n" in text
    assert [line.split() for line in text.splitlines() if line.startswith("  ~  lr")] == [["~", "lr", "0.1", "0.001"]]
    assert "better" in text
    assert " train.py | 2 +-\n" in read("diff", runs["base"], runs["slow"], "--stat").out
    assert "code: the same" in read("diff", "latest", "latest").out
    record = read("diff", runs["base"], runs["slow"], "--json").json("diff")
    assert list(record["params"]) == ["lr"]
    assert "+print('version 1')" in record["code"]
    assert record["causes"] == [
        {"kind": "code", "details": ["train.py"]},
        {"kind": "params", "details": ["lr 0.1 → 0.001"]},
    ]
    assert "likely cause\n  code    train.py\n  params  lr 0.1 → 0.001\n" in text


def test_a_metric_that_changes_for_no_reason_anybody_recorded(repo: Path) -> None:
    for auc in (0.8, 0.9, 0.9):
        with gittrack.start_run("churn") as run:
            run.log({"auc": auc, "fit_seconds": auc * len(gittrack.runs())})
    record = read("diff", "latest~2", "latest~1", "--json").json("diff")
    assert record["causes"] == [{"kind": "randomness", "details": []}]
    assert "likely cause\n  randomness  nothing that was recorded differs" in read("diff", "latest~2", "latest~1").out
    assert read("diff", "latest~1", "latest", "--json").json("diff")["causes"] == []
    assert "likely cause" not in read("diff", "latest~1", "latest").out


def test_the_code_of_a_diff_is_a_patch_that_applies(runs: dict[str, str], repo: Path) -> None:
    (repo / "train.py").write_bytes(b"print('tab\there\x1b[31m')\r\n")
    with gittrack.start_run("churn"):
        pass
    patch = read("diff", runs["base"], "latest", "--code").data
    (repo / "train.py").write_text("print('version 0')\n")
    git(repo, "apply", "-", stdin=patch)
    assert (repo / "train.py").read_bytes() == b"print('tab\there\x1b[31m')\r\n"


def test_tags_are_set_read_and_taken_off(runs: dict[str, str]) -> None:
    assert read("tag", "latest").lines == ["kind=wild"]
    answer = call("tag", "latest", "stage=prod", "eq=a=b", "-d", "kind")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("note: changed the tags of run ")
    assert read("tag", "latest").lines == ["eq=a=b", "stage=prod"]
    assert read("tag", "latest", "--json").json("tags") == {"eq": "a=b", "stage": "prod"}
    assert call("tag", "latest", "-d", "nope").code == 2
    assert call("tag", "latest", "noequals").code == 2
    assert call("tag", "latest", "a=1", "-d", "a").code == 2
    assert len(read("show", "latest", "--revisions").lines) == 1 + 2


def test_a_note_is_written_in_three_ways(runs: dict[str, str], repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("note", "latest").out == ""
    assert call("note", "latest", "first\nsecond").code == 0
    assert read("note", "latest").lines == ["first", "second"]
    (repo / "text").write_text("from a file ä\n")
    assert call("note", "latest", "-F", "text").code == 0
    assert read("note", "latest", "--json").json("note") == "from a file ä"
    monkeypatch.setenv("GIT_EDITOR", "sed -i s/file/editor/")
    assert call("note", "latest", "-e").code == 0
    assert read("note", "latest").out == "from a editor ä\n"
    assert "as it was" in call("note", "latest", "-e").err
    git(repo, "config", "core.editor", "sed -i s/editor/config/")
    monkeypatch.delenv("GIT_EDITOR")
    assert call("note", "latest", "-e").code == 0
    assert read("note", "latest").out == "from a config ä\n"
    monkeypatch.setenv("GIT_EDITOR", "false")
    assert call("note", "latest", "-e").code == 7
    assert call("note", "latest", "text", "-e").code == 2
    (repo / "text").write_bytes(b"\xff")
    assert call("note", "latest", "-F", "text").code == 2
    assert call("note", "latest", "").code == 0
    assert read("note", "latest").out == ""


def test_a_run_is_renamed(runs: dict[str, str]) -> None:
    answer = call("rename", "latest", "base line")
    assert answer.err.endswith(f"is now called base line, no longer {runs['wild']}\n")
    assert find_id("base line") == find_id("latest")
    assert call("rename", "latest", "bad\nname").code == 2


def test_rm_says_how_to_undo_and_restore_does(runs: dict[str, str]) -> None:
    run_id = find_id(runs["slow"])
    answer = call("rm", runs["slow"], run_id[:10])
    assert answer.err == (
        f"note: removed run {runs['slow']} ({run_id[:8]})\nhint: to undo: gittrack restore {run_id[:8]}\n"
    )
    assert len(read("ls").lines) == 1 + 2
    assert "removed" in read("ls", "--removed").out
    assert "removed already" in call("rm", run_id).err
    assert call("restore", run_id[:8]).err == f"note: restored run {runs['slow']} ({run_id[:8]})\n"
    assert len(read("ls").lines) == 1 + 3


def test_nothing_is_removed_where_one_name_is_wrong(runs: dict[str, str]) -> None:
    assert call("rm", runs["base"], "no-such-run").code == 3
    assert len(read("ls").lines) == 1 + 3


def test_experiments_are_listed_and_changed(runs: dict[str, str]) -> None:
    assert [line.split()[:2] for line in read("experiment").lines] == [
        ["EXPERIMENT", "NAME"],
        ["churn", "churn"],
        ["wild-ideas", "Wild"],
    ]
    assert call("experiment", "create", "New One", "--description", "why", "-t", "a=b").code == 0
    assert call("experiment", "create", "new-one").code == 4
    assert call("experiment", "rename", "churn", "Churn 2026").code == 0
    assert call("experiment", "describe", "churn", "who leaves", "-t", "team=a").code == 0
    assert read("experiment", "describe", "churn").out == "who leaves\n"
    record = read("experiment", "show", "churn", "--json").json("experiment")
    assert (record["slug"], record["name"], record["description"]) == ("churn", "Churn 2026", "who leaves")
    assert (record["tags"], record["runs"], record["removed"]) == ({"team": "a"}, 2, None)
    text = read("experiment", "show", "churn").out
    assert runs["base"] in text
    assert "Churn 2026" in text
    removed = call("experiment", "rm", "churn")
    assert removed.err == (
        "note: removed experiment Churn 2026 with its 2 runs\nhint: to undo: gittrack experiment restore churn\n"
    )
    assert [entry["slug"] for entry in read("experiment", "ls", "--json").json("experiments")] == [
        "new-one",
        "wild-ideas",
    ]
    assert len(read("experiment", "ls", "--removed").lines) == 1 + 3
    assert len(read("ls").lines) == 1 + 1
    assert call("experiment", "restore", "churn").code == 0
    assert len(read("ls").lines) == 1 + 3
    assert call("experiment", "show", "nope").code == 3


def test_recover_keeps_the_run_of_a_dead_process(repo: Path) -> None:
    assert call("recover").err == "note: there is nothing to recover\n"
    child = "import gittrack, os; r = gittrack.start_run('x', params={'a': 1}); r.log({'loss': 1.0}); os._exit(9)"
    import subprocess
    import sys

    assert subprocess.run([sys.executable, "-c", child], cwd=repo).returncode == 9
    answer = call("recover", "--json")
    (run,) = answer.json("runs")
    assert (run["status"], run["params"], run["summary"]["loss"]["last"]) == ("KILLED", {"a": 1}, 1.0)
    assert answer.err.startswith(f"note: recovered run {run['name']} ({run['id'][:8]})")
    assert "KILLED" in read("ls").out


def test_a_live_run_is_listed_and_edited(repo: Path) -> None:
    with gittrack.start_run("x", params={"a": 1}) as run:
        run.log({"loss": 0.5})
        assert read("ls", "--json").json("runs")[0]["live"] is True
        assert "RUNNING (live)" in read("show", "latest").out
        assert call("tag", run.name, "seen=yes").code == 0
    assert read("tag", "latest").lines == ["seen=yes"]
    assert "FINISHED" in read("ls").out


def add_damaged_record(repo: Path, like: str, run_id: str) -> str:
    """Commit a record that cannot be read to the experiment `churn`, and return the commit."""
    tip = git(repo, "rev-parse", "gittrack/churn")
    message = git(repo, "log", "-1", "--format=%B", tip).replace(f"Run: {like}", f"Run: {run_id}")
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"{ damaged \x1b[31m")
    tree = git(repo, "mktree", stdin=f"100644 blob {blob}\trun.json\n".encode())
    commit = git(repo, "commit-tree", tree, "-p", tip, "-m", message)
    git(repo, "update-ref", "refs/heads/gittrack/churn", commit)
    return commit


def test_a_damaged_record_is_passed_over_and_named(runs: dict[str, str], repo: Path) -> None:
    commit = add_damaged_record(repo, find_id(runs["slow"]), "7" * 32)
    answer = call("ls")
    assert answer.code == 0
    assert len(answer.lines) == 1 + 3
    assert answer.err.startswith(f"warning: commit {commit[:12]}")
    assert "\x1b" not in answer.err
    assert call("show", "7777").code == 6


def test_of_many_damaged_records_the_first_are_named(runs: dict[str, str], repo: Path) -> None:
    like = find_id(runs["slow"])
    for number in range(6):
        add_damaged_record(repo, like, like := str(number) * 32)
        warnings = [line for line in call("ls").err.splitlines() if line.startswith("warning: ")]
        assert len(warnings) == min(number + 1, 4)
        if number > 3:
            assert warnings[-1] == f"warning: {number - 2} more records are damaged"
    assert call("ls").err.endswith("hint: gittrack verify --all\n")
    assert call("verify", "--all").code == 6


def test_nothing_there_is_said_with_what_to_do(repo: Path) -> None:
    for words in (("ls",), ("log",), ("experiment",)):
        answer = call(*words)
        assert (answer.code, answer.out) == (0, "")
        assert answer.err.startswith("note: no ")
        assert "\nhint: gittrack run " in answer.err
    assert read("ls", "--json").json("runs") == []
    assert read("experiment", "ls", "--json").json("experiments") == []
    assert call("show", "latest").code == 3


def test_a_directory_is_chosen_before_and_behind_the_command(
    runs: dict[str, str], repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (
        ("-C", str(repo), "ls", "--json"),
        ("ls", "-C", str(repo), "--json"),
        ("-C", str(tmp_path), "-C", "repo", "ls", "--json"),
        ("-C", str(tmp_path), "ls", "--json", "-C", "repo"),
        ("--store", str(repo), "ls", "--json"),
        ("ls", "--json", "--store", "repo"),
        ("experiment", "-C", str(repo), "ls", "--json"),
    ):
        monkeypatch.chdir(tmp_path)
        assert call(*words).code == 0
    monkeypatch.chdir(tmp_path)
    assert call("ls").code == 3
    assert call("-C", "nowhere", "ls").code == 2


def test_another_store_is_read(runs: dict[str, str], repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "store.git")
    with gittrack.start_run("kept-apart", store=tmp_path / "store.git"):
        pass
    assert [run["experiment"] for run in read("--store", "../store.git", "ls", "--json").json("runs")] == ["kept-apart"]
    assert len(read("ls").lines) == 1 + 3


def test_the_version_says_what_it_stands_on(repo: Path) -> None:
    versions = read("version", "--json").json("versions")
    assert versions["gittrack"] == gittrack.__version__
    assert versions["format"] == 1
    assert git(repo, "version").endswith(versions["git"])
    assert {"python", "dulwich", "pyarrow", "click"} <= versions.keys()
    assert read("--version").out == f"gittrack {gittrack.__version__}\n"


def test_json_is_the_only_thing_on_standard_output(runs: dict[str, str]) -> None:
    for words in (
        ("ls",),
        ("show", "latest"),
        ("show", "latest", "--revisions"),
        ("log",),
        ("compare", "latest", "latest~1"),
        ("diff", "latest", "latest~1"),
        ("tag", "latest"),
        ("note", "latest"),
        ("artifact", "ls", "latest"),
        ("experiment", "ls"),
        ("experiment", "show", "churn"),
        ("init",),
        ("recover",),
        ("version",),
    ):
        document = json.loads(call(*words, "--json").out)
        assert document["gittrack"] == 1
        assert len(document) == 2

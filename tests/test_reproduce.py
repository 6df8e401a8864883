"""A recorded run is run again: shown first, recorded as a run of its own, judged bit by bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clones import Clone
from conftest import git
from snapshots.invocation import COMMAND, call, spawn, spawn_in_terminal

import gittrack
from gittrack.cli.values import replace_command_params
from gittrack.errors import InvalidInput
from gittrack.model import Input, Run, Snapshot, SourceLink, Status
from gittrack.reproduction import find_requirements
from gittrack.revision import append_run, stage_snapshot
from gittrack.tracker import Tracker

TRAIN = """\
import random, sys
import gittrack

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
seed = options.get("--seed", "3")
chance = random.Random(int(seed)) if seed != "none" else random.SystemRandom()
with gittrack.start_run(params={"seed": seed}) as run:
    for step in range(4):
        run.log({"loss": chance.random(), "step_seconds": random.SystemRandom().random()}, step=step)
"""

SKLEARN = """\
import gittrack
from sklearn.datasets import load_wine
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

features, labels = load_wine(return_X_y=True)
train, test, train_labels, test_labels = train_test_split(features / features.max(0), labels, random_state=0)
model = SGDClassifier(loss="log_loss", random_state=0)
with gittrack.start_run(params={"model": "sgd"}) as run:
    for epoch in range(5):
        model.partial_fit(train, train_labels, classes=[0, 1, 2])
        run.log({"loss": log_loss(test_labels, model.predict_proba(test)), "accuracy": model.score(test, test_labels)})
"""


@pytest.fixture
def project(repo: Path) -> Path:
    """Return a repository whose train.py logs a seeded metric."""
    (repo / "train.py").write_text(TRAIN)
    git(repo, "commit", "-qam", "train")
    return repo


def record(*words: str, options: Sequence[str] = ()) -> gittrack.Run:
    """Record a Python program as a run, and return it."""
    done = spawn("run", *options, "--", sys.executable, *words)
    assert done.returncode == 0, done.stderr
    return gittrack.get_run("latest")


def reproduce(*words: str, code: int = 0, **options: Any) -> tuple[dict[str, Any], str]:
    """Reproduce a run without asking; return what JSON says and what was said beside it."""
    done = spawn("reproduce", "--yes", "--json", *words, **options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)["reproduction"], done.stderr


def forge(repo: Path, run_id: str, **facts: Any) -> None:
    """Put a run on a branch as anybody with a Git could: with any command, source or text in it."""
    with Tracker.open(repo) as tracker:
        files = facts.pop("files", {"train.py": TRAIN.encode()})
        tree = tracker.store.write_tree(files)
        source = facts.pop("source", SourceLink(captured="worktree"))
        environment = facts.pop("environment", {})
        now = tracker.get_run("latest").started if list(tracker.list_runs()) else 1_770_000_000_000_000
        run = Run(run_id, facts.pop("name", run_id[:8]), "churn", 1, Status.FINISHED, now, now + 1, **facts)
        snapshot = Snapshot(replace(run, source=replace(source, tree=tree)), environment=environment)
        staged = stage_snapshot(tracker.store, snapshot, parts={}, source=tree)
        append_run(tracker.history, staged, tracker.make_stamp(now))


def test_scikit_learn_on_a_clean_and_a_dirty_tree_after_a_squash_merge_and_gc(repo: Path) -> None:
    pytest.importorskip("sklearn")
    git(repo, "checkout", "-qb", "topic")
    (repo / "train.py").write_text(SKLEARN)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "on the branch")
    clean = record("train.py", options=["-n", "clean", "-e", "wine"])
    (repo / "train.py").write_text(SKLEARN.replace("range(5)", "range(7)"))
    dirty = record("train.py", options=["-n", "dirty", "-e", "wine"])
    git(repo, "checkout", "-qf", "main")
    git(repo, "merge", "-q", "--squash", "topic")
    git(repo, "commit", "-qm", "squashed")
    git(repo, "branch", "-qD", "topic")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    assert git(repo, "cat-file", "-e", str(dirty.source.commit), ok=(1, 128)) == ""
    before = git(repo, "status", "--porcelain=v2", "-b"), (repo / "train.py").read_bytes()

    for run, points in ((clean, 5), (dirty, 7)):
        found, _ = reproduce(run.name)
        assert found["verdict"] == "same"
        metrics = found["metrics"]
        assert {name: entry["verdict"] for name, entry in metrics.items()} == {"loss": "same", "accuracy": "same"}
        assert metrics["loss"]["points"] == [points, points]
        again = gittrack.get_run(found["reproduced_by"])
        assert again.series("loss").column("value").equals(run.series("loss").column("value"))
        assert (again.snapshot.run.reproduces, again.experiment) == (run.id, "wine")
        assert again.source.tree == run.source.tree
        assert (again.source.commit, again.source.dirty) == (run.source.commit, run.source.dirty)
    assert (git(repo, "status", "--porcelain=v2", "-b"), (repo / "train.py").read_bytes()) == before


def test_a_run_whose_seed_is_not_set(project: Path) -> None:
    run = record("train.py", "--seed", "none", options=["-n", "loose"])
    done = spawn("reproduce", run.id, "--yes")
    assert done.returncode == 9
    assert "does not reproduce loose: 1 of 1 metric off" in done.stdout
    assert "randomness" in done.stdout
    rows = {words[0]: line for line in done.stdout.splitlines() if (words := line.split())}
    assert rows["loss"].endswith("off")
    assert rows["step_seconds"].endswith("not judged")
    assert "not be reproduced" not in done.stderr
    found, _ = reproduce(run.id, "--tolerance", "1e9")
    assert found["verdict"] == "close"


def test_other_code_on_disk_now_changes_nothing_and_other_params_are_a_cause(project: Path) -> None:
    run = record("train.py", "--seed", "5", options=["-p", "lr=0.1"])
    (project / "train.py").write_text("raise SystemExit('the code of today')\n")
    found, said = reproduce(run.id)
    assert found["verdict"] == "same"
    assert f"to reproduce {run.name} ({run.id[:8]}), FINISHED, of default" in said
    again = gittrack.get_run(found["reproduced_by"])
    assert again.params == run.params == {"lr": 0.1, "seed": "5"}

    found, _ = reproduce(run.id, "--param", "seed=6", code=9)
    assert [cause["kind"] for cause in found["causes"]] == ["command", "params"]
    assert found["causes"][1]["details"] == ["seed 5 → 6"]
    assert gittrack.get_run(found["reproduced_by"]).params == {"lr": 0.1, "seed": "6"}
    answer = call("reproduce", run.id, "--param", "depth=6", "--yes")
    assert (answer.code, "does not say 'depth'" in answer.err) == (2, True)


def test_nobody_who_could_agree(project: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    forge(project, "a" * 32, command=("touch", str(mark)), name="evil")
    for words in (["reproduce", "evil"], ["reproduce", "evil", "--json"], ["reproduce", "evil", "--directory", "keep"]):
        answer = call(*words)
        assert (answer.code, answer.out) == (4, "")
        assert "hint: gittrack reproduce aaaaaaaa --yes" in answer.err
        assert f"command      touch {mark}" in answer.err
    assert not mark.exists()
    assert not (project / "keep").exists()
    assert len(gittrack.runs()) == 1
    code, screen = spawn_in_terminal("reproduce", "evil", keys=b"n\n")
    assert (code, mark.exists()) == (4, False)
    assert "Run this?" in screen
    code, screen = spawn_in_terminal("reproduce", "evil", keys=b"y\n")
    assert (code, mark.exists()) == (0, True)
    assert "repeats evil, and ended the same way" in screen


def test_a_hostile_run_is_shown_without_control_characters_and_runs_nothing(project: Path, tmp_path: Path) -> None:
    nasty = "x\x1b[2J\x1b]0;gotcha\x07\r\n\u202eevil"
    mark = tmp_path / "ran"
    files = {
        f"{nasty}.txt": b"1",
        ".gitattributes": b"* filter=evil diff=evil\n",
        "sitecustomize.py": f"open({str(mark)!r}, 'w')".encode(),
        "python": f"#!/bin/sh\ntouch {mark}\n".encode(),
        "conftest.py": f"open({str(mark)!r}, 'w')".encode(),
    }
    git(project, "config", "filter.evil.smudge", f"touch {mark}")
    git(project, "config", "diff.evil.textconv", f"touch {mark}")
    hook = project / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    inputs = tuple(
        Input(nasty, path, "file", "sha256:" + "1" * 64, 1)
        for path in (
            "/",
            "/dev/zero",
            "../../../etc/passwd",
            f"{nasty}.txt",
            "http://127.0.0.1:9/x",
            "a\0b",
            "/dev/stdin",
        )
    )
    forge(
        project,
        "b" * 32,
        command=("python", "-c", nasty),
        files=files,
        inputs=inputs,
        host=nasty,
        scrubbed=(nasty,),
        source=SourceLink(commit=git(project, "rev-parse", "HEAD"), branch=nasty, dirty=True, captured="worktree"),
        environment={"packages": {nasty: nasty, "evil": "1.0 @ http://127.0.0.1"}, "python": {"version": nasty}},
    )
    for kind in ("current", "none", "venv"):
        answer = call("reproduce", "b" * 32, "--env", kind)
        assert answer.code == 4, answer.err
        said = answer.err.replace("\n", "")
        assert said.isprintable()
        assert "\u202e" not in said
        assert not mark.exists()
    assert "outside of the source" in answer.err


@pytest.mark.parametrize("directory", ["/etc", "../..", "up", "a\0b"])
def test_a_directory_that_is_not_in_the_source(project: Path, directory: str) -> None:
    with Tracker.open(project) as tracker:
        link = gittrack.store.TreeEntry(0o120000, tracker.store.write_blob(b"sub/.."))  # type: ignore[attr-defined]
    source = SourceLink(captured="worktree", directory=directory)
    forge(project, "c" * 32, command=("true",), source=source, files={"up": link, "sub/x": b"1"})
    answer = call("reproduce", "c" * 32, "--yes")
    assert answer.code == (0 if directory == "up" else 6), answer.err


def test_a_secret_of_the_command_must_be_given(project: Path) -> None:
    (project / "train.py").write_text(TRAIN.replace('"--seed", "3"', '"--seed", options["--api-key"][:1]'))
    run = record("train.py", "--api-key", "7Kq9ZpXv31LmWcRt")
    assert "[scrubbed]" in run.command
    answer = call("reproduce", run.id, "--yes")
    assert answer.code == 4
    assert "--api-key [scrubbed]: not recorded, to be given" in answer.err
    found, said = reproduce(run.id, "--param", "api-key=7Kq9ZpXv31LmWcRt")
    assert found["verdict"] == "same"
    assert "7Kq9ZpXv31LmWcRt" not in said
    assert gittrack.get_run(found["reproduced_by"]).command == run.command
    found, _ = reproduce(run.id, "--", sys.executable, "train.py", "--api-key", "8" * 16, code=9)
    assert found["verdict"] == "off"


def test_data_of_the_working_tree_is_linked_and_what_changed_is_said(project: Path, tmp_path: Path) -> None:
    (project / ".gitignore").write_text("data/\nmodel.bin\n")
    (project / "data").mkdir()
    (project / "data/train.csv").write_text("1\n")
    (project / "model.bin").write_text("weights")
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("2\n")
    (project / "train.py").write_text(
        textwrap.dedent(f"""\
        import gittrack
        with gittrack.start_run() as run:
            for path in ("data/train.csv", {str(elsewhere)!r}):
                run.log_input(path)
                run.log({{"sum": float(open(path).read())}})
            run.log({{"size": len(open("model.bin").read())}})
        """)
    )
    run = record("train.py")
    answer = spawn("reproduce", run.id, "--yes")
    assert (answer.returncode, "model.bin" in answer.stderr) == (9, True)  # the program's own words
    assert "did not end as" in answer.stdout
    assert "likely cause" not in answer.stdout
    found, said = reproduce(run.id, "--link", "model.bin")
    assert found["verdict"] == "same"
    assert f"train.csv (data/train.csv): the same, linked from {project}/data/train.csv" in said
    assert f"elsewhere.csv ({elsewhere}): the same" in said
    assert "model.bin of the working tree, linked" in said

    (project / "data/train.csv").write_text("3\n")
    found, said = reproduce(run.id, "--link", "model.bin", code=9)
    assert "train.csv (data/train.csv): CHANGED" in said
    assert [cause["kind"] for cause in found["causes"]] == ["data"]
    elsewhere.unlink()
    _, said = reproduce(run.id, "--link", "model.bin", code=9)
    assert f"elsewhere.csv ({elsewhere}): MISSING" in said
    for path, code in (("../x", 2), ("/etc", 2), ("nothing", 3), ("train.py", 4)):
        assert call("reproduce", run.id, "--yes", "--link", path).code == code, path


def test_a_command_that_fails_now(project: Path) -> None:
    forge(project, "d" * 32, command=("sh", "-c", "exit 3"))
    found, _ = reproduce("d" * 32, code=9)
    assert (found["verdict"], found["status"]) == ("failed", "FAILED")
    forge(project, "e" * 32, command=("no-such-program-anywhere",))
    assert call("reproduce", "e" * 32, "--yes").code == 127
    assert len(gittrack.runs()) == 3


def test_runs_that_cannot_be_run_again(project: Path) -> None:
    forge(project, "f" * 32, command=())
    answer = call("reproduce", "f" * 32, "--yes")
    assert (answer.code, "no command" in answer.err) == (2, True)
    with gittrack.start_run() as run:
        assert call("reproduce", run.id, "--yes").code == 4


def test_a_subdirectory_a_kept_directory_and_a_shell_that_logs(repo: Path, tmp_path: Path) -> None:
    (repo / "sub").mkdir()
    (repo / "sub/train.sh").write_text(
        '#!/bin/sh\nbasename "$PWD"\necho note >&2\n' + f"{sys.executable} -m gittrack record metric auc 0.5\n"
    )
    (repo / "sub/train.sh").chmod(0o755)
    done = spawn("run", "-e", "shell", "--", "./train.sh", directory=repo / "sub")
    assert done.returncode == 0
    done = spawn("reproduce", "latest", "--yes", "--directory", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("METRIC")  # what the command prints stands beside the verdict, not in it
    assert "\nsub\nnote\n" in done.stderr
    assert os.access(tmp_path / "kept/sub/train.sh", os.X_OK)
    assert gittrack.get_run("latest").source.directory == "sub"
    with gittrack.get_run("latest").open_artifact("output.log") as log:
        assert log.read().startswith(b"sub\nnote\n")
    assert call("reproduce", "latest", "--yes", "--directory", str(tmp_path / "kept")).code == 4
    assert (tmp_path / "kept/sub").is_dir()


def test_a_fresh_clone_of_another_user_has_all_it_takes(project: Path, hub: Path, tmp_path: Path) -> None:
    (project / "new.py").write_text("never committed\n")
    run = record("train.py", "--seed", "9", options=["-n", "shared", "-e", "churn"])
    git(project, "remote", "add", "origin", str(hub))
    git(project, "push", "-q", "origin", "main")
    assert call("push", "--yes").code == 0
    git(hub, "config", "uploadpack.allowFilter", "true")  # so that the clone of the runs is a partial one
    git(tmp_path, "clone", "-q", str(hub), "plain")
    assert call("clone", f"file://{hub}", str(tmp_path / "runs.git")).code == 0
    for place in (tmp_path / "plain", tmp_path / "runs.git"):
        found, said = reproduce("shared", directory=place)
        assert found["verdict"] == "same", said
        with Tracker.open(place) as tracker:
            again = tracker.get_run(found["reproduced_by"])
            assert (again.experiment, again.source.tree) == ("churn", run.source.tree)
    assert len(gittrack.runs("churn")) == 1
    answer = call("checkout", "shared", "-C", str(tmp_path / "runs.git"))
    assert (answer.code, answer.out) == (0, f"{tmp_path}/runs-shared\n")
    assert (tmp_path / "runs-shared/new.py").read_text() == "never committed\n"


def make_wheel(directory: Path, name: str, version: str, code: str) -> None:
    """Write a package that pip can install without a network."""
    directory.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_the_recorded_packages_by_venv(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path / "wheels", "weather", "1.2", "TODAY = 'rain'\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    version = sys.version.split()[0]
    program = "import weather, sys; print(weather.TODAY, sys.prefix != sys.base_prefix)"
    forge(
        project,
        "1" * 32,
        command=("/somewhere/else/.venv/bin/python", "-c", program),
        environment={"python": {"version": version}, "packages": {"weather": "1.2", "--index-url": "x", "gone": "1"}},
    )
    found, said = reproduce("1" * 32, "--env", "venv", "--without", "gone")
    assert found["verdict"] == "none"
    assert "\nrain True\n" in said
    assert "installs     weather 1.2\n" in said
    assert "leaves out   '--index-url'" in said
    assert gittrack.get_run("latest").command == ("python", "-c", program)


@pytest.mark.parametrize("fails", [False, True])
def test_the_recorded_packages_by_uv(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """What uv is told, by a program in its place: uv itself would want a network."""
    bin = tmp_path / "bin"
    bin.mkdir()
    script = f"""#!/bin/sh
echo "$@" >> {tmp_path}/told
for last; do :; done
case $1 in
    venv) mkdir -p "$last/bin" "$last/lib/python3/site-packages"; ln -s {sys.executable} "$last/bin/python";;
    pip) cat "$last" >> {tmp_path}/told; exit {int(fails)};;
esac
"""
    (bin / "uv").write_text(script)
    (bin / "uv").chmod(0o755)
    environment = {"python": {"version": "3.11.2"}, "packages": {"numpy": "1.0", "gittrack": "9"}}
    code = "import os, sys; print('in', os.environ['VIRTUAL_ENV'].rpartition('/')[2])"
    forge(project, "4" * 32, command=("python3.9", "-c", code), environment=environment)
    monkeypatch.setenv("PATH", str(bin), prepend=os.pathsep)
    done = spawn("reproduce", "4" * 32, "--env", "uv", "--yes")
    assert done.returncode == (5 if fails else 0), done.stderr
    assert ("\nin env\n" in done.stderr) is not fails
    told = re.sub(r"/\S*/gittrack-[^/ ]+/", "", (tmp_path / "told").read_text())
    assert told.splitlines() == [
        "venv -q --python 3.11.2 env",
        "pip install --python env/bin/python --no-deps -r env.txt",
        "numpy==1.0",
    ]


def test_an_environment_that_nobody_here_can_make(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(project, "5" * 32, command=("python", "x.py"), environment={"python": {"version": "3.2.1"}})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for kind, reason in (("uv", "uv is not installed"), ("venv", "there is no Python 3.2 here")):
        answer = call("reproduce", "5" * 32, "--env", kind, "--yes")
        assert (answer.code, reason in answer.err) == (5, True)


def test_requirements_are_names_and_versions_and_nothing_else() -> None:
    packages = {
        "numpy": "1.26.0",
        "torch": "2.1.0+cu118",
        "pip": "24",
        "gittrack": "0.1.0",
        "-e": "1",
        "x @ file:///x": "1",
        "a": "1 --hash",
        "b": "1\n--index-url=http://evil",
        "c": "latest",
        "d": "1.0",
    }
    needed = find_requirements({"packages": packages, "python": {"version": "3.11.2+"}}, without=frozenset({"d"}))
    assert needed.lines == ("numpy==1.26.0", "torch==2.1.0+cu118")
    assert needed.unfit == ("-e", "a", "b", "c", "x @ file:///x")
    assert (needed.python, needed.gittrack) == ("3.11.2", True)
    assert find_requirements({}).lines == ()


@pytest.mark.parametrize(
    ("command", "changes", "changed"),
    [
        ("python t.py --lr 0.1 --n 2", {"lr": "3"}, "python t.py --lr 3 --n 2"),
        ("python t.py --lr=0.1", {"lr": "3"}, "python t.py --lr=3"),
        ("python t.py lr=0.1 +x=2", {"lr": "3", "x": "4"}, "python t.py lr=3 +x=4"),
        ("python t.py --learning-rate 1", {"learning_rate": "2"}, "python t.py --learning-rate 2"),
        ("python t.py --layers 64 32 --lr 1", {"layers": "8"}, "python t.py --layers 8 --lr 1"),
        ("uv run --lr 1 t.py --lr 2", {"lr": "3"}, "uv run --lr 1 t.py --lr 3"),
        ("./t --amp --lr 1", {"amp": "0", "lr": "2"}, "./t --amp 0 --lr 2"),
    ],
)
def test_a_command_with_other_params(command: str, changes: dict[str, str], changed: str) -> None:
    assert replace_command_params(command.split(), changes) == tuple(changed.split())


def test_a_param_behind_two_dashes_is_not_the_command_s_own() -> None:
    with pytest.raises(InvalidInput):
        replace_command_params(["./t", "--", "--lr", "1"], {"lr": "2"})


def test_what_interrupts_the_command_ends_gittrack_the_same_way(project: Path) -> None:
    forge(project, "2" * 32, command=("sh", "-c", "kill -TERM $$"))
    done = subprocess.run([*COMMAND, "reproduce", "2" * 32, "--yes"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-15, b"")
    assert gittrack.get_run("latest").snapshot.run.reproduces == "2" * 32


def test_a_run_that_was_recorded_without_source(tmp_path: Path, hub: Path) -> None:
    clone = Clone(tmp_path / "alice", str(hub))
    clone.record("3" * 32, command=("true",))
    answer = call("reproduce", "3" * 32, "-C", str(clone.directory), "--yes")
    assert (answer.code, "has no source" in answer.err) == (3, True)

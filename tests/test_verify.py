"""Whatever is damaged is named, with what is still good, who has a copy, and a command that gets it back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import git
from snapshots.invocation import Answer, call, read

import gittrack
from gittrack.content import ContentStore
from gittrack.errors import NotFound
from gittrack.history import History
from gittrack.integrity import verify_runs
from gittrack.model import MetricSummary
from gittrack.repository import get_repository
from gittrack.store import open_store
from gittrack.tracker import Tracker
from gittrack.verification import Verifier
from gittrack.verification.run import compare_summaries


@pytest.fixture
def run(repo: Path) -> gittrack.Run:
    """Record a run with params, two parts of metrics, three artifacts and source."""
    with gittrack.start_run("churn", params={"lr": 0.1}) as active:
        for step in range(50):
            active.log({"loss": 1 / (step + 1), "acc": step / 50}, step=step)
        active.checkpoint()
        active.log({"loss": 0.5}, step=50)
        active.log_text("a\n", "plots/a.txt")
        active.log_text("b\n", "plots/b.txt")
        active.log_text("weights", "model.bin")
    return gittrack.get_run("latest")


def find_file(repo: Path, spec: str) -> Path:
    id = git(repo, "rev-parse", spec)
    return repo / ".git/objects" / id[:2] / id[2:]


def damage(file: Path, data: bytes = b"damage") -> None:
    file.chmod(0o644)
    file.write_bytes(data)


def verify(*words: str) -> tuple[int, Any]:
    answer = call("verify", *words, "--json")
    return answer.code, answer.json("verified")


def verify_one(*words: str) -> tuple[int, Any]:
    code, (verdict,) = verify(*words)
    return code, verdict


def list_findings(verdict: Any) -> list[tuple[str, str, str]]:
    return [(found["kind"], found["state"], found["place"]) for found in verdict["findings"]]


def test_a_good_run_is_good(run: gittrack.Run, repo: Path) -> None:
    code, verdict = verify_one("latest", "--read-content")
    assert code == 0
    assert list_findings(verdict) == []
    assert verdict["good"] == [
        "identity and tags",
        "params",
        "summary",
        "environment",
        "metrics",
        "artifacts",
        "source",
    ]
    assert (verdict["points"], verdict["artifacts"], verdict["contents"]) == (101, 3, 3)
    reachable = {line.split()[0] for line in git(repo, "rev-list", "--objects", f"{run.commit}^{{tree}}").splitlines()}
    assert verdict["objects"] == len(reachable) + 1
    assert call("verify", "--all").err.startswith(f"note: 1 run good: {verdict['objects']} objects, 101 points, 3 cont")
    assert (call("verify").code, call("verify", "latest", "--all").code) == (2, 2)
    assert call("verify", "nobody").code == 3


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("params.json", "identity and tags, summary, environment, source, 101 points of metrics, 3 of 3 artifacts"),
        ("summary.json", "identity and tags, params, environment, source, 101 points of metrics, 3 of 3 artifacts"),
        ("environment.json", "identity and tags, params, summary, source, 101 points of metrics, 3 of 3 artifacts"),
        ("run.json", "params, summary, environment, source, 101 points of metrics, 3 of 3 artifacts"),
        ("metrics/0001.parquet", "identity and tags, params, summary, environment, source, 1 point of metrics, 3 of"),
        (
            "artifacts/model.bin",
            "identity and tags, params, summary, environment, source, 101 points of metrics, 2 of 3",
        ),
        ("artifacts/plots", "identity and tags, params, summary, environment, source, 101 points of metrics, 1 of 2"),
        ("source/train.py", "identity and tags, params, summary, environment, 101 points of metrics, 3 of 3 artifacts"),
    ],
)
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_damaged_object_is_named_and_the_rest_is_good(
    run: gittrack.Run, repo: Path, place: str, kept: str, how: str
) -> None:
    file = find_file(repo, f"{run.commit}:{place}")
    id = file.parent.name + file.name
    if how == "missing":
        file.unlink()
    else:
        damage(file)
    answer = call("verify", run.id[:8])
    assert answer.code == 6, answer
    assert f"  still good: {kept}" in answer.out
    assert (answer.lines[1].split()[:2]) == [how, f"{place}:"]
    code, verdict = verify_one(run.id[:8])
    found = verdict["findings"][0]
    assert (code, found["kind"], found["state"], found["place"], found["id"]) == (6, "object", how, place, id)
    assert found["copies"] == []


def test_bytes_that_were_exchanged_are_found(run: gittrack.Run, repo: Path) -> None:
    """An object that can be unpacked, and is another one."""
    target, other = (find_file(repo, f"{run.commit}:{name}") for name in ("params.json", "source/train.py"))
    damage(target, other.read_bytes())
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("object", "damaged", "params.json")])


def test_damage_in_a_pack_is_found_and_only_that(run: gittrack.Run, repo: Path) -> None:
    id = git(repo, "rev-parse", f"{run.commit}:params.json")
    git(repo, "repack", "-adq")
    (index,) = (repo / ".git/objects/pack").glob("*.idx")
    listing = git(repo, "verify-pack", "-v", str(index))
    offset = next(int(line.split()[4]) for line in listing.splitlines() if line.startswith(id))
    pack = index.with_suffix(".pack")
    data = bytearray(pack.read_bytes())
    data[offset + 6 : offset + 10] = b"\xff\xff\xff\xff"
    damage(pack, bytes(data))
    assert verify_one(run.id)[0] == 6
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("object", "damaged", "params.json")])
    assert verdict["good"] == ["identity and tags", "summary", "environment", "metrics", "artifacts", "source"]


def replace_file(repo: Path, run: gittrack.Run, path: str, data: bytes) -> None:
    """Let the run's branch end in a commit whose objects are good, and in whose tree one file is another."""
    id = git(repo, "hash-object", "-w", "--stdin", stdin=data)
    index = {"GIT_INDEX_FILE": str(repo / ".git/other-index")}

    def plumb(*words: str) -> None:
        subprocess.run(["git", *words], cwd=repo, env={**os.environ, **index}, check=True)

    plumb("read-tree", f"{run.commit}^{{tree}}")
    plumb("update-index", "--add", "--cacheinfo", f"100644,{id},{path}")
    tree = (
        subprocess.run(["git", "write-tree"], cwd=repo, env={**os.environ, **index}, check=True, capture_output=True)
        .stdout.decode()
        .strip()
    )
    message = git(repo, "log", "-1", "--format=%B", str(run.commit)).encode()
    commit = git(repo, "commit-tree", tree, "-p", f"{run.commit}~1", stdin=message)
    git(repo, "update-ref", "refs/heads/gittrack/churn", commit)


def test_what_intact_objects_must_not_say_is_found(run: gittrack.Run, repo: Path) -> None:
    summary = git(repo, "cat-file", "-p", f"{run.commit}:summary.json").replace('"count": 51', '"count": 52')
    replace_file(repo, run, "summary.json", summary.encode() + b"\n")
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("summary", "damaged", "summary.json")])
    assert verdict["findings"][0]["reason"] == "what it says of 'loss' does not follow from the points"
    replace_file(repo, run, "artifacts/plots/a.txt", b"version https://git-lfs.github.com/spec/v1\nnonsense\n")
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("pointer", "damaged", "artifacts/plots/a.txt")])
    other = git(repo, "cat-file", "-p", f"{run.commit}:run.json").replace(run.id, "f" * 32)
    replace_file(repo, run, "run.json", other.encode() + b"\n")
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("record", "damaged", "run.json")])


def test_a_part_with_a_flipped_bit_is_found(run: gittrack.Run, repo: Path) -> None:
    part = subprocess.run(
        ["git", "cat-file", "blob", f"{run.commit}:metrics/0001.parquet"], cwd=repo, capture_output=True, check=True
    ).stdout
    replace_file(repo, run, "metrics/0001.parquet", part[:200] + bytes([part[200] ^ 1]) + part[201:])
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("part", "damaged", "metrics/0001.parquet")])
    assert verdict["points"] == 1


def test_content_is_measured_and_read_only_when_that_is_asked_for(run: gittrack.Run, repo: Path) -> None:
    damage(run.artifact_file("model.bin"), b"stheigw")
    damage(run.artifact_file("plots/b.txt"), b"b")
    code, verdict = verify_one(run.id)
    assert (code, list_findings(verdict)) == (6, [("content", "damaged", "artifacts/plots/b.txt")])
    code, verdict = verify_one(run.id, "--read-content")
    assert list_findings(verdict) == [
        ("content", "damaged", "artifacts/model.bin"),
        ("content", "damaged", "artifacts/plots/b.txt"),
    ]
    assert verdict["contents"] == 1


def push_content(repo: Path, hub: Path) -> None:
    git(repo, "push", "-q", "origin", "refs/heads/gittrack/*:refs/heads/gittrack/*")
    git(repo, "fetch", "-q", "origin")
    for file in (repo / ".git/lfs/objects").rglob("*"):
        if file.is_file():
            target = hub / "lfs/objects" / file.relative_to(repo / ".git/lfs/objects")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())


def run_shell(repo: Path, line: str) -> None:
    """Run a remedy as a person pastes it, with this gittrack."""
    line = line.replace("gittrack ", f"{sys.executable} -m gittrack ")
    subprocess.run(["sh", "-c", line], cwd=repo, check=True, capture_output=True)


def test_an_object_comes_back_from_the_remote_by_the_command_that_is_said(shared: Path, hub: Path) -> None:
    with gittrack.start_run("churn", params={"lr": 0.1}) as active:
        active.log_text("weights", "model.bin")
    run = gittrack.get_run("latest")
    push_content(shared, hub)
    for name in ("params.json", "artifacts/model.bin"):
        damage(find_file(shared, f"{run.commit}:{name}"))
    code, verdict = verify_one(active.id)
    assert (code, [found["copies"] for found in verdict["findings"]]) == (6, [["origin"], ["origin"]])
    for found in verdict["findings"]:
        run_shell(shared, found["remedy"])
    assert verify_one(active.id)[0] == 0


def test_content_comes_back_from_the_remote_by_the_command_that_is_said(shared: Path, hub: Path) -> None:
    with gittrack.start_run("churn") as active:
        active.log_text("weights", "model 1.bin")
        active.log_text("other", "other.bin")
        active.log_text("lost", "lost.bin")
    run = gittrack.get_run("latest")
    push_content(shared, hub)
    run.artifact_file("other.bin").unlink()
    code, verdict = verify_one("latest")
    assert (code, verdict["not_here"]) == (0, [{"path": "other.bin", "size": 5}])
    answer = call("verify", "latest")
    assert "note: 1 content (5 B) is not here, and with origin\n" in answer.err
    lost = run.artifact_file("lost.bin")
    (hub / "lfs/objects" / lost.relative_to(shared / ".git/lfs/objects")).unlink()
    lost.unlink()
    code, verdict = verify_one("latest")
    assert (code, list_findings(verdict)) == (3, [("content", "missing", "artifacts/lost.bin")])
    damage(run.artifact_file("model 1.bin"))
    code, verdict = verify_one("latest")
    assert (code, verdict["findings"][0]["copies"]) == (6, ["origin"])
    offline = call("verify", "latest", "--offline")
    assert offline.code == 6
    assert "who has it is not known: no remote was asked" in offline.err
    hub.rename(hub.with_name("gone.git"))
    assert "who has it is not known: there is no repository at origin" in call("verify", "latest").err


def test_a_damaged_commit_does_not_hide_other_experiments(run: gittrack.Run, repo: Path) -> None:
    with gittrack.start_run("other"):
        pass
    damage(find_file(repo, "gittrack/churn"))
    code, verdicts = verify("--all")
    assert code == 6
    assert [(verdict["experiment"], len(verdict["findings"])) for verdict in verdicts] == [("churn", 1), ("other", 0)]


def test_what_runs_share_is_read_once_and_reported_for_each(run: gittrack.Run, repo: Path) -> None:
    with gittrack.start_run("churn"):
        pass
    history = History(open_store(get_repository(repo)))
    revisions = history.get_branch("churn").revisions
    with Verifier(history, ContentStore(repo / ".git/lfs"), read_content=False) as verifier:
        first, second = (verifier.verify(revision) for revision in revisions)
    assert first.findings == second.findings == ()
    assert first.objects > 0 < second.objects
    assert sum((first.objects, second.objects)) < 2 * second.objects + first.objects
    damage(find_file(repo, f"{run.commit}:source/train.py"))
    code, verdicts = verify("--all")
    assert code == 6
    assert [list_findings(verdict) for verdict in verdicts] == [[("object", "damaged", "source/train.py")]] * 2


def test_a_damaged_run_is_found_by_any_of_its_names(run: gittrack.Run, repo: Path, tmp_path: Path) -> None:
    assert call("verify", "latest").code == 0
    damage(find_file(repo, f"{run.commit}:params.json"))
    for ref in ("latest", run.name, run.id, run.id[:6], str(run.commit)[:10]):
        assert [verdict["id"] for verdict in verify(ref)[1]] == [run.id]
    answer = call("artifact", "get", "latest", "-o", str(tmp_path / "out"))
    assert (answer.code, len(answer.lines)) == (6, 3)
    assert f"hint: gittrack verify {run.id[:8]}" in answer.err
    assert call("artifact", "verify", "latest").code == 6
    index = repo / ".git/gittrack/index"
    index.rename(index.with_name("index-before"))
    for ref in (run.name, run.id, run.id[:6]):
        assert [verdict["id"] for verdict in verify(ref)[1]] == [run.id]


def test_a_run_that_is_only_being_recorded_cannot_be_checked(repo: Path) -> None:
    with gittrack.start_run("churn") as active:
        answer = call("verify", active.id)
    assert (answer.code, "nothing of it is committed yet" in answer.err) == (3, True)


def test_progress_reaches_its_end(run: gittrack.Run, repo: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Tracker.open(repo) as tracker:
        done = verify_runs(tracker, (), read_content=True, report=lambda done, total: seen.append((done, total)))
        with pytest.raises(NotFound):
            verify_runs(tracker, ["nobody"], read_content=False)
    assert [verdict.name for verdict in done.verdicts] == [run.name]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ((0, 1000), (1000, 1000))


def test_a_partial_clone_is_not_filled_by_looking(run: gittrack.Run, repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{repo}", "clone")
    answer: Answer = call("-C", str(tmp_path / "clone"), "verify", "--all")
    assert answer.code in (0, 3)
    assert "damaged" not in answer.out


def test_a_summary_has_to_follow_from_the_points() -> None:
    one = MetricSummary(1, float("nan"), 0, float("nan"), 0, float("nan"), 0, float("nan"), 0, float("nan"))
    assert compare_summaries({"a": one}, {"a": one}) == ""
    assert "no points of 'a'" in compare_summaries({"a": one}, {})
    assert "of which it says nothing" in compare_summaries({}, {"a": one})


def test_errors_are_those_of_the_table(run: gittrack.Run, repo: Path) -> None:
    damage(find_file(repo, f"{run.commit}:params.json"))
    answer = call("verify", "--all")
    assert answer.code == 6
    assert answer.err.splitlines()[-2].endswith("error: 1 run is damaged, of 1 that were checked")
    assert read("help", "verify").out.startswith("Usage: gittrack verify")

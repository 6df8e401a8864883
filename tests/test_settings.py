"""Where a setting may stand, which place counts, and what a bad one is answered with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import git

from gittrack.errors import InvalidInput
from gittrack.repository import get_repository
from gittrack.settings import Settings, load_settings

RUN_ID = "0123456789abcdef" * 2


def load(directory: Path, **environ: str) -> Settings:
    return load_settings(get_repository(directory), environ=environ, directory=directory)


def test_nothing_needs_to_be_set(repo: Path) -> None:
    settings = load(repo)
    assert settings == Settings()
    assert settings.origin == {}
    assert (settings.experiment, settings.store, settings.namespace) == ("default", None, "refs/heads/gittrack")
    assert (settings.source_file_limit, settings.source_total_limit) == (1 << 20, 20 << 20)


def test_the_environment_counts_over_git_and_git_over_the_project(repo: Path) -> None:
    (repo / "pyproject.toml").write_text('[tool.gittrack]\nexperiment = "c"\nremote = "three"\nauto-push = true\n')
    git(repo, "config", "gittrack.experiment", "b")
    git(repo, "config", "gittrack.remote", "two")
    settings = load(repo, GITTRACK_EXPERIMENT="a")
    assert (settings.experiment, settings.remote, settings.auto_push) == ("a", "two", True)
    assert settings.origin == {
        "experiment": "GITTRACK_EXPERIMENT",
        "remote": "git config gittrack.remote",
        "auto_push": f"[tool.gittrack] auto-push in {repo / 'pyproject.toml'}",
    }


def test_every_setting_can_stand_in_every_place_but_a_run_id(repo: Path) -> None:
    want = Settings("churn", repo / "runs", "refs/gittrack", None, "backup", None, True, 2048, 3 << 20, 7)
    texts = {
        "experiment": "churn", "store": "runs", "namespace": "refs/gittrack", "remote": "backup", "auto_push": "yes",
        "source_file_limit": "2k", "source_total_limit": "3 MiB", "source_count_limit": "7",
    }  # fmt: skip
    assert load(repo, **{f"GITTRACK_{name.upper()}": text for name, text in texts.items()}) == want
    lines = [f'{name} = "{text}"' for name, text in texts.items()]
    (repo / "pyproject.toml").write_text("\n".join(["[tool.gittrack]", *lines]))
    assert load(repo) == want
    (repo / "pyproject.toml").unlink()
    for key in ("experiment", "store", "namespace", "remote"):
        git(repo, "config", f"gittrack.{key}", texts[key])
    git(repo, "config", "gittrack.autoPush", "on")
    git(repo, "config", "gittrack.sourceFileLimit", "2k")
    git(repo, "config", "gittrack.sourcetotallimit", "3m")
    git(repo, "config", "gittrack.sourceCountLimit", "7")
    git(repo, "config", "gittrack.runId", RUN_ID)
    assert load(repo) == want
    assert load(repo, GITTRACK_RUN_ID=RUN_ID).run_id == RUN_ID


def test_the_user_wide_configuration_counts_too(repo: Path) -> None:
    git(repo, "config", "--global", "gittrack.experiment", "mine")
    assert load(repo).experiment == "mine"
    assert load_settings(None, environ={}, directory=repo.parent).experiment == "mine"


def test_an_empty_variable_sets_nothing(repo: Path) -> None:
    git(repo, "config", "gittrack.experiment", "b")
    assert load(repo, GITTRACK_EXPERIMENT="", GITTRACK_STORE="").experiment == "b"


def test_a_store_is_found_from_where_it_is_set(repo: Path, hermetic_home: Path) -> None:
    inner = repo / "inner"
    inner.mkdir()
    assert load(inner, GITTRACK_STORE="../runs").store == inner / "../runs"
    (repo / "pyproject.toml").write_text('[tool.gittrack]\nstore = "there"\n')
    assert load(inner).store == repo / "there"
    git(repo, "config", "gittrack.store", "../runs")
    assert load(inner).store == repo / "../runs"
    assert load(inner, GITTRACK_STORE="~/runs").store == hermetic_home / "runs"
    assert load(inner, GITTRACK_STORE="/srv/runs").store == Path("/srv/runs")


def test_the_nearest_project_file_with_a_table_counts(repo: Path) -> None:
    (repo / "pyproject.toml").write_text('[tool.gittrack]\nexperiment = "outer"\n')
    inner = repo / "packages/one/src"
    inner.mkdir(parents=True)
    (repo / "packages/one/pyproject.toml").write_text('[project]\nname = "gittrack-user"\n')
    assert load(inner).experiment == "outer"
    (repo / "packages/one/pyproject.toml").write_text('[tool.gittrack]\nexperiment = "one"\n')
    assert load(inner).experiment == "one"
    assert load(repo).experiment == "outer"


def test_a_project_file_above_the_repository_does_not_count(repo: Path) -> None:
    (repo.parent / "pyproject.toml").write_text('[tool.gittrack]\nexperiment = "above"\n')
    assert load(repo).experiment == "default"


def test_a_broken_project_file_matters_only_where_it_speaks_of_gittrack(repo: Path) -> None:
    (repo / "pyproject.toml").write_text("[tool\n")
    assert load(repo) == Settings()
    (repo / "pyproject.toml").write_text("[tool.gittrack\n")
    with pytest.raises(InvalidInput, match=r"pyproject\.toml cannot be read"):
        load(repo)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("EXPERIMENT", "...", "export GITTRACK_EXPERIMENT=churn"),
        ("EXPERIMENT", "a\x07b", "export GITTRACK_EXPERIMENT=churn"),
        ("NAMESPACE", "refs/heads", "export GITTRACK_NAMESPACE=refs/heads/gittrack"),
        ("RUN_ID", "latest", "unset GITTRACK_RUN_ID"),
        ("REMOTE", "--upload-pack=x", "export GITTRACK_REMOTE=origin"),
        ("REMOTE", "ext::sh -c x", "export GITTRACK_REMOTE=origin"),
        ("REMOTE", "https://example.com/x", "export GITTRACK_REMOTE=origin"),
        ("AUTO_PUSH", "perhaps", "export GITTRACK_AUTO_PUSH=true"),
        ("SOURCE_FILE_LIMIT", "lots", "export GITTRACK_SOURCE_FILE_LIMIT=1m"),
        ("SOURCE_FILE_LIMIT", "-1", "export GITTRACK_SOURCE_FILE_LIMIT=1m"),
        ("SOURCE_COUNT_LIMIT", "1.5", "export GITTRACK_SOURCE_COUNT_LIMIT=2000"),
        ("STORE", "  ", "export GITTRACK_STORE=../runs"),
    ],
)
def test_a_bad_variable_is_named_with_the_command_that_mends_it(repo: Path, name: str, value: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=f"GITTRACK_{name}") as caught:
        load(repo, **{f"GITTRACK_{name}": value})
    assert caught.value.hint == hint


def test_a_bad_value_in_git_config_is_named_with_the_command_that_mends_it(repo: Path) -> None:
    git(repo, "config", "gittrack.autoPush", "perhaps")
    with pytest.raises(InvalidInput, match=r"git config gittrack\.autoPush is 'perhaps', but it must be") as caught:
        load(repo)
    assert caught.value.hint == "git config gittrack.autoPush true"
    assert load(repo, GITTRACK_AUTO_PUSH="no").auto_push is False


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("source-file-limit = true", "source-file-limit in", 'source-file-limit = "1m"'),
        ("source-count-limit = []", "source-count-limit in", "source-count-limit = 2000"),
        ("auto-push = 3", "auto-push in", "auto-push = true"),
        ("experiment = 3", "experiment in", 'experiment = "churn"'),
        ("experiment_ = 'x'", "has 'experiment_', which is none of auto-push, experiment", None),
        ("run-id = 'x'", "has 'run-id', which is none of", None),
    ],
)
def test_a_bad_value_in_the_project_file(repo: Path, line: str, message: str, hint: str | None) -> None:
    (repo / "pyproject.toml").write_text(f"[tool.gittrack]\n{line}\n")
    with pytest.raises(InvalidInput) as caught:
        load(repo)
    assert message in caught.value.message
    assert (caught.value.hint or "").startswith(hint or "")


def test_a_table_that_is_none(repo: Path) -> None:
    (repo / "pyproject.toml").write_text("[tool]\ngittrack = 3\n")
    with pytest.raises(InvalidInput, match="is not a table"):
        load(repo)


def test_it_works_without_git(repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git(repo, "config", "gittrack.experiment", "b")
    git(repo, "config", "--global", "gittrack.remote", "two")
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = load(repo)
    assert (settings.experiment, settings.remote) == ("b", "two")


def test_it_is_quick(repo: Path) -> None:
    repository = get_repository(repo)
    best = 1.0
    for _ in range(20):
        started = time.perf_counter()
        load_settings(repository, environ={}, directory=repo)
        best = min(best, time.perf_counter() - started)
    assert best < 0.05

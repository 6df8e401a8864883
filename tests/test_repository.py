"""Finding the repository a path stands in, its HEAD and its configuration, checked against what git itself says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import gitconfig
from gittrack.errors import Corrupt, NotFound, Unsupported
from gittrack.repository import (
    Ident,
    find_head,
    find_ident,
    find_repository,
    get_repository,
    read_config,
    read_identity,
)


@pytest.fixture
def no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_an_ordinary_repository_is_found_from_below(repo: Path) -> None:
    below = repo / "a" / "b"
    below.mkdir(parents=True)
    for start in (repo, below, repo / "train.py"):
        found = get_repository(start)
        assert (found.worktree, found.git_directory, found.common_directory) == (repo, repo / ".git", repo / ".git")
        assert (found.bare, found.object_format, found.ref_format, found.extensions) == (False, "sha1", "files", {})
    assert found.objects_directory == repo / ".git" / "objects"
    assert found.directory == repo
    assert not found.is_partial


def test_outside_any_repository_the_hint_is_git_init(tmp_path: Path) -> None:
    assert find_repository(tmp_path) is None
    with pytest.raises(NotFound) as caught:
        get_repository(tmp_path)
    assert caught.value.hint == "git init"


def test_inside_the_git_directory_there_is_no_working_tree(repo: Path) -> None:
    found = get_repository(repo / ".git" / "refs")
    assert (found.worktree, found.bare, found.directory) == (None, False, repo / ".git")


def test_a_bare_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    found = get_repository(tmp_path / "runs.git" / "objects")
    assert (found.worktree, found.bare, found.common_directory) == (None, True, tmp_path / "runs.git")


def test_a_linked_working_tree_shares_the_common_directory(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    found = get_repository(tmp_path / "side")
    assert found.worktree == tmp_path / "side"
    assert found.git_directory == repo / ".git" / "worktrees" / "side"
    assert found.common_directory == repo / ".git"
    assert find_head(found) == ("side", git(repo, "rev-parse", "HEAD"))


def test_a_linked_working_tree_of_a_bare_repository_is_not_bare(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repo), "central.git")
    git(tmp_path / "central.git", "worktree", "add", "-q", str(tmp_path / "side"), "main")
    found = get_repository(tmp_path / "side")
    assert (found.worktree, found.bare) == (tmp_path / "side", False)


def test_a_submodule_is_a_repository_of_its_own(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "outer")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(repo), "inner")
    found = get_repository(tmp_path / "outer" / "inner")
    assert found.worktree == tmp_path / "outer" / "inner"
    assert found.git_directory == found.common_directory == tmp_path / "outer" / ".git" / "modules" / "inner"


def test_a_configured_working_tree_is_used(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    git(repo, "config", "core.worktree", "../../elsewhere")
    assert get_repository(repo).worktree == tmp_path / "elsewhere"


def test_symbolic_links_are_resolved(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repo)
    assert get_repository(tmp_path / "link").worktree == repo


def test_a_git_file_that_leads_nowhere_is_no_silent_none(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: gone\n")
    with pytest.raises(NotFound, match="gone, which is not one"):
        find_repository(tmp_path)
    (tmp_path / ".git").write_text("")
    with pytest.raises(NotFound, match="does not say"):
        find_repository(tmp_path)


def test_an_empty_git_directory_is_passed_over(repo: Path) -> None:
    (repo / "sub" / ".git").mkdir(parents=True)
    assert get_repository(repo / "sub").worktree == repo


def test_sha256_and_other_extensions_are_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    git(tmp_path / "new", "config", "extensions.partialClone", "Origin")
    git(tmp_path / "new", "config", "extensions.someThing", "x")
    found = get_repository(tmp_path / "new")
    assert (found.object_format, found.id_length) == ("sha256", 64)
    assert found.extensions == {"partialclone": "Origin", "something": "x"}
    assert found.is_partial


def test_a_reftable_repository_is_told_and_its_head_not_guessed(repo: Path) -> None:
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "extensions.refStorage", "reftable")
    found = get_repository(repo)
    assert (found.ref_format, found.extensions) == ("reftable", {})
    with pytest.raises(Unsupported, match="reftable"):
        find_head(found)


def test_an_extension_of_a_version_0_repository_does_not_count(repo: Path) -> None:
    git(repo, "config", "extensions.refStorage", "reftable")
    assert get_repository(repo).ref_format == "files"


def test_a_newer_format_is_refused(repo: Path) -> None:
    git(repo, "config", "core.repositoryFormatVersion", "2")
    with pytest.raises(Unsupported, match="format 2"):
        find_repository(repo)


def test_a_damaged_configuration_is_told_with_its_line(repo: Path) -> None:
    (repo / ".git" / "config").write_text("[core]\n\tbare = false\n[oops\n")
    with pytest.raises(Corrupt, match="line 3"):
        find_repository(repo)


def test_head_is_read_without_git(repo: Path, no_git: None) -> None:
    head = (repo / ".git" / "refs" / "heads" / "main").read_text().strip()
    assert find_head(get_repository(repo)) == ("main", head)


def test_head_of_packed_detached_and_unborn_branches(repo: Path, tmp_path: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    found = get_repository(repo)
    git(repo, "checkout", "-q", "-b", "topic/a.b")
    git(repo, "pack-refs", "--all")
    assert find_head(found) == ("topic/a.b", head)
    git(repo, "checkout", "-q", "--detach")
    assert find_head(found) == (None, head)
    git(repo, "symbolic-ref", "HEAD", "refs/heads/new")
    assert find_head(found) == ("new", None)
    git(repo, "symbolic-ref", "refs/heads/new", "refs/heads/main")
    assert find_head(found) == ("new", head)


def test_configuration_is_what_git_says_with_includes(repo: Path, hermetic_home: Path) -> None:
    (hermetic_home / "more").write_text("[gittrack]\n\tuser = more\n")
    (hermetic_home / "here").write_text("[gittrack]\n\tplace = here\n")
    with open(hermetic_home / ".gitconfig", "a") as file:
        file.write(f'[include]\n\tpath = more\n[includeIf "gitdir:{repo}/"]\n\tpath = here\n')
    git(repo, "config", "--add", "gittrack.list", "a")
    git(repo, "config", "--add", "gittrack.list", "b\nc")
    (repo / ".git" / "config").open("a").write("[gittrack]\n\tflag\n")
    config = read_config(get_repository(repo))
    assert config.find("gittrack.user") == "more"
    assert config.find("gittrack.place") == "here"
    assert config.find_all("GitTrack.List") == ("a", "b\nc")
    assert config.find_bool("gittrack.flag") is True
    assert config.find("gittrack.none") is None
    assert read_config(None).find("gittrack.user") == "more"
    assert read_config(None).find("gittrack.place") is None


def test_configuration_is_read_without_git_too(
    repo: Path, hermetic_home: Path, monkeypatch: pytest.MonkeyPatch, no_git: None
) -> None:
    (hermetic_home / "more").write_text("[gittrack]\n\tuser = more\n\tkey = global\n")
    with open(hermetic_home / ".gitconfig", "a") as file:
        file.write("[include]\n\tpath = more\n")
    (repo / ".git" / "config").open("a").write("[gittrack]\n\tkey = local\n\tother = local\n")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "gittrack.Other")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "environment")
    config = read_config(get_repository(repo))
    assert config.find("gittrack.user") == "more"
    assert config.find_all("gittrack.key") == ("global", "local")
    assert config.find("gittrack.other") == "environment"
    assert read_identity(get_repository(repo)) == Ident("Test User", "test@example.com")


def test_subsections_and_numbers() -> None:
    config = gitconfig.collect(
        gitconfig.parse_config(b'[remote "Two"]\nurl=b\n[remote "o.x"]\nurl=a\n[pack]\nsize = 2k\n')
    )
    assert config.find_subsections("remote") == ("Two", "o.x")
    assert config.find("Remote.Two.URL") == "b"
    assert config.find("remote.two.url") is None
    assert config.find_int("pack.size") == 2048
    assert config.find_int("pack.none") is None


def test_identity_follows_gits_order() -> None:
    config = gitconfig.collect([("user.name", "User"), ("user.email", "u@x"), ("author.name", "Author")])
    assert find_ident(config, {}) == Ident("Author", "u@x")
    assert find_ident(config, {"GIT_AUTHOR_NAME": "Env", "GIT_AUTHOR_EMAIL": "e@x"}) == Ident("Env", "e@x")
    nobody = find_ident(gitconfig.GitConfig(), {"EMAIL": "me@x"})
    assert nobody.name
    assert nobody.email == "me@x"
    assert "@" in find_ident(gitconfig.GitConfig(), {}).email


def list_with_git(path: Path) -> list[tuple[str, str]] | None:
    """Return what git reads from a configuration file, or None where it refuses it."""
    done = subprocess.run(["git", "config", "--list", "-z", "--file", str(path)], capture_output=True, check=False)
    return list(gitconfig._split_listing(done.stdout)) if done.returncode == 0 else None


def compare_with_git(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    try:
        parsed: list[tuple[str, str]] | None = gitconfig.parse_config(text.encode())
    except Corrupt:
        parsed = None
    assert parsed == list_with_git(path)


SYNTAX = [
    "[a]b=c",
    "[a]\n  b = c  \n",
    "[a]\r\nb = c\r\n",
    "[A.B]\nC = d\n",
    '[a "B c"]\nd = e\n',
    '[a "q\\"\\\\z"]\nd = e\n',
    "[a]\nb\nc =\nd = \n",
    '[a]\nb = " x "  # not this\nc = y ; nor this\nd = "#;" \n',
    "[a]\nb = one \\\n  two\n",
    '[a]\nb = a\\tb\\nc\\\\d\\"e\n',
    "# only a comment\n;\n\n",
    "\ufeff[a]\nb = c\n",
    "[a] b = c\n[d]\n",
    "[a]\nb-c1 = d\n",
    '[a]\nb = x"y z"w\n',
    "[include]\npath = nowhere\n",
    "b = c\n",
    "[a\nb = c\n",
    '[a]\nb = "open\n',
    "[a]\nb = \\q\n",
    "[a]\n1b = c\n",
    "[a]\nb c\n",
    '[a"b"]\nc = d\n',
    "[a b]\nc = d\n",
]


@pytest.mark.parametrize("text", SYNTAX)
def test_the_syntax_is_gits_own(tmp_path: Path, text: str) -> None:
    compare_with_git(tmp_path / "config", text)


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, name=st.text('ab c."\\#', min_size=1, max_size=6))
def test_what_git_writes_is_read_back(tmp_path: Path, value: str, name: str) -> None:
    path = tmp_path / "config"
    path.unlink(missing_ok=True)
    subprocess.run(["git", "config", "--file", str(path), f"one.{name}.two", value], check=True)
    assert gitconfig.parse_config(path.read_bytes()) == [(f"one.{name}.two", value)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('[]ab ="\\\n#;', max_size=30))
def test_any_text_is_read_as_git_reads_it(tmp_path: Path, text: str) -> None:
    compare_with_git(tmp_path / "config", text)


def test_a_path_that_is_not_unicode_survives(repo: Path) -> None:
    (repo / ".git" / "config").open("ab").write(b"[gittrack]\n\tstore = /caf\xe9\n")
    for config in (read_config(get_repository(repo)), get_repository(repo).config):
        assert os.fsencode(config.find("gittrack.store") or "") == b"/caf\xe9"


@pytest.mark.skipif(os.getuid() == 0, reason="root may look everywhere")
def test_what_may_not_be_looked_into_is_passed_over(repo: Path) -> None:
    inner = repo / "a" / ".git"
    inner.mkdir(parents=True)
    inner.chmod(0)
    assert get_repository(repo / "a").worktree == repo

"""README's two commands are the ones that work: CI types the test command, and the gate behind it can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def find_command(marker: str) -> str:
    """Return the one line in README's code fence behind a marker comment."""
    found = re.search(rf"^<!-- {marker} -->\n```\w*\n(.*)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found, f"README has no single command line behind <!-- {marker} -->"
    return found.group(1)


def run_ci(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(checkout / ".ci/run"), *arguments], capture_output=True, text=True, check=False)


def test_ci_types_the_readme_s_test_command() -> None:
    command = find_command("test command")
    assert run_ci(ROOT, "--show").stdout == command + "\n"
    assert command.endswith(" -m tests")


@pytest.mark.parametrize("fence", ["```sh\n```", "```sh\nmake\nmake test\n```", "make test"])
def test_ci_refuses_a_readme_without_one_command_line(tmp_path: Path, fence: str) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "README.md").write_text(f"<!-- test command -->\n{fence}\n")
    refused = run_ci(tmp_path, "--show")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "README.md has no single command line" in refused.stderr


@pytest.mark.parametrize("marker", ["test command", "try command"])
def test_a_command_names_only_what_the_checkout_has(marker: str) -> None:
    command = find_command(marker)
    project = (ROOT / "pyproject.toml").read_text()
    (extra,) = re.findall(r"\.\[(\w+)\]", command)
    assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
    assert [file for file in re.findall(r"\S+\.py\b", command) if not (ROOT / file).is_file()] == []


PASSING_TEST = '"""Passes."""\n\n\ndef test_one() -> None:\n    assert 1 + 1 == 2\n'
FAILING_TEST = PASSING_TEST.replace("== 2", "== 3")


def run_gate(directory: Path, package: str, test: str) -> subprocess.CompletedProcess[str]:
    """Run the gate on a project of one module and one file of tests."""
    (directory / "tests").mkdir()
    (directory / "pyproject.toml").write_text(
        '[tool.mypy]\nfiles = ["pkg.py"]\n[tool.ruff]\nexclude = ["__main__.py", "effort.py", "stall.py"]\n'
    )
    (directory / "pkg.py").write_text(package)
    (directory / "tests/test_one.py").write_text(test)
    for name in ("__main__.py", "effort.py", "stall.py"):
        shutil.copy(ROOT / "tests" / name, directory / "tests" / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "tests"], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("package", "test", "failing"),
    [
        ('"""Owns one number."""\n\nNUMBER: int = 1\n', PASSING_TEST, []),
        ('"""Owns one number."""\n\nNUMBER: int = 1\n', FAILING_TEST, ["tests"]),
        ('"""Owns one number."""\nimport os\nNUMBER: str = 1\n', PASSING_TEST, ["lint", "format", "types"]),
    ],
)
def test_the_gate_runs_every_step_and_fails_with_any(
    tmp_path: Path, package: str, test: str, failing: list[str]
) -> None:
    done = run_gate(tmp_path, package, test)
    ends = re.findall(r"^== (\w+): (ok|FAILED) in ", done.stdout, re.MULTILINE)
    assert [name for name, _ in ends] == ["lint", "format", "types", "tests"], done.stdout
    assert [name for name, how in ends if how == "FAILED"] == failing, done.stdout
    assert done.returncode == (1 if failing else 0)


def test_what_passes_only_the_second_time_is_said_to_be_flaky(tmp_path: Path) -> None:
    test = (
        '"""Fails once."""\n\nfrom pathlib import Path\n\n\ndef test_one() -> None:\n'
        '    seen = Path("seen").exists()\n    Path("seen").touch()\n    assert seen\n'
    )
    done = run_gate(tmp_path, '"""Owns nothing."""\n', test)
    assert "\nFLAKY, passed only the second time: test_one.py\n" in done.stdout
    assert done.returncode == 0, done.stdout

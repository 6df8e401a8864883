"""The package keeps its layers; and each rule of layers.py is shown to fail where it should, on a small package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from layers import (
    LAYERS,
    MAX_LINES,
    RULES,
    SIDEWAYS,
    check_environment,
    check_layers,
    check_no_cycle,
    check_owners,
    check_processes,
    check_purity,
    check_shape,
)

PACKAGE = Path(__file__).resolve().parent.parent / "gittrack"


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_every_rule(rule: Callable[[Path], list[str]]) -> None:
    problems = rule(PACKAGE)
    assert not problems, "\n".join(problems)


def test_the_tables_are_sound() -> None:
    assert check_no_cycle(SIDEWAYS) == []
    assert [edge for edge in SIDEWAYS if LAYERS[edge[0]] != LAYERS[edge[1]]] == [], (
        "an edge that is not inside one layer"
    )


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a package from paths and texts, each with a docstring put in front."""

    def write(files: Mapping[str, str]) -> Path:
        root = tmp_path / "gittrack"
        for path, text in {"__init__.py": "", **files}.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'"""Owns {path}."""\n{text}')
        return root

    return write


def test_a_package_in_order_passes(package: Callable[..., Path]) -> None:
    root = package(
        {
            "errors.py": "",
            "git.py": "import subprocess\nimport os\nos.environ\n",
            "store/__init__.py": "from .objects import blob\nfrom ..errors import NotFound\nfrom .. import git\n",
            "store/objects.py": "from dulwich.objects import Blob\nfrom . import refs\n",
            "store/refs.py": "",
            "cli/main.py": "import click\n\ndef ls():\n    from gittrack.store.objects import blob\n",
        }
    )
    assert [problem for rule in RULES for problem in rule(root)] == []


UPWARD = [
    ("errors.py", "from .tracker import Tracker\n"),
    ("errors.py", "from . import tracker\n"),
    ("errors.py", "import gittrack.tracker\n"),
    ("errors.py", "from gittrack import tracker\n"),
    ("errors.py", "from gittrack.tracker import Tracker as T\n"),
    ("errors.py", "def late():\n    from .tracker import Tracker\n"),
    ("errors.py", "class C:\n    def late(self):\n        import gittrack.tracker as t\n"),
    ("errors.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .tracker import Tracker\n"),
    ("errors.py", "import importlib\nimportlib.import_module('gittrack.tracker')\n"),
    ("errors.py", "import importlib\nimportlib.import_module('.tracker', 'gittrack')\n"),
    ("store/deep/refs.py", "from ...tracker import Tracker\n"),
    ("store/refs.py", "from .. import tracker\n"),
]


@pytest.mark.parametrize(("path", "text"), UPWARD)
def test_an_upward_import_is_found(package: Callable[..., Path], path: str, text: str) -> None:
    (problem,) = check_layers(package({"tracker.py": "", path: text}))
    assert problem.startswith(path + ":")
    assert problem.endswith("imports tracker (layer 4)")


def test_importing_a_name_of_the_public_api_counts_as_importing_the_package(package: Callable[..., Path]) -> None:
    (problem,) = check_layers(package({"recorder.py": "from gittrack import start_run\n"}))
    assert "recorder (layer 5) imports __init__ (layer 6)" in problem


def test_an_edge_inside_a_layer_needs_a_permit_and_one_way_only(package: Callable[..., Path]) -> None:
    allowed = package({"source.py": "from .git import run_git\n", "git.py": ""})
    assert check_layers(allowed) == []
    reverse = package({"source.py": "", "git.py": "def f():\n    from .source import capture\n"})
    assert check_layers(reverse) == ["git.py:3: git imports source of its own layer, which SIDEWAYS does not allow"]


def test_a_cycle_of_permits_is_found() -> None:
    assert check_no_cycle({("a", "b"), ("b", "c")}) == []
    (problem,) = check_no_cycle({("a", "b"), ("b", "c"), ("c", "a")})
    assert problem.startswith("SIDEWAYS has a cycle: ")


def test_a_new_module_must_be_placed(package: Callable[..., Path]) -> None:
    assert check_layers(package({"gadget.py": "", "widget/part.py": ""})) == [
        "gadget: not placed in LAYERS",
        "widget: not placed in LAYERS",
    ]


@pytest.mark.parametrize(
    ("path", "text", "library"),
    [
        ("tracker.py", "from dulwich.repo import Repo\n", "dulwich"),
        ("recorder.py", "def f():\n    import pyarrow as pa\n", "pyarrow"),
        ("tracker.py", "import click\n", "click"),
        ("server/app.py", "from rich import print\n", "rich"),
        ("sync.py", "from subprocess import run\n", "subprocess"),
        ("cli/ls.py", "import subprocess\n", "subprocess"),
        ("sync.py", "from urllib.request import urlopen\n", "urllib.request"),
        ("sync.py", "from urllib import request\n", "urllib.request"),
    ],
)
def test_a_library_in_other_hands_is_found(package: Callable[..., Path], path: str, text: str, library: str) -> None:
    (problem,) = check_owners(package({path: text}))
    assert problem.startswith(path + ":")
    assert problem.endswith(f"may import {library}")


def test_a_banned_import_is_found_with_its_owner_too(package: Callable[..., Path]) -> None:
    assert check_owners(package({"store/refs.py": "from dulwich import porcelain\n"})) == [
        "store/refs.py:2: imports dulwich.porcelain"
    ]


@pytest.mark.parametrize("call", ["os.system('ls')", "os.execvp('ls', ['ls'])", "os.posix_spawn('ls', [], {})"])
def test_a_process_started_by_another_door_is_found(package: Callable[..., Path], call: str) -> None:
    assert len(check_processes(package({"sync.py": f"import os\n{call}\n"}))) == 1


@pytest.mark.parametrize(("value", "found"), [("True", 1), ("flag", 1), ("False", 0)])
def test_a_shell_is_found_in_every_module(package: Callable[..., Path], value: str, found: int) -> None:
    assert len(check_processes(package({"git.py": f"run('ls', shell={value})\n"}))) == found


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.environ['A']\n",
        "import os\nos.getenv('A')\n",
        "from os import environ\n",
        "from os import getenv as g\n",
    ],
)
def test_a_read_of_the_environment_is_found(package: Callable[..., Path], text: str) -> None:
    assert len(check_environment(package({"sync.py": text, "git.py": text}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.listdir('.')\n",
        "from os import listdir\n",
        "from time import time\n",
        "open('a')\n",
        "def f(clock):\n    return clock.now()\n",
        "from pathlib import Path\nPath('a').read_text()\n",
    ],
)
def test_an_impure_pure_module_is_found(package: Callable[..., Path], text: str) -> None:
    (problem,) = check_purity(package({"merge.py": text, "store.py": text}))
    assert problem.startswith("merge.py:")


def test_a_file_too_long_or_nameless_or_mute_is_found(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text('"""Owns much."""\n' + "x = 1\n" * MAX_LINES)
    (tmp_path / "mute.py").write_text("x = 1\n")
    for name in ("utils", "git_helpers", "run_manager", "common"):
        (tmp_path / f"{name}.py").write_text('"""Owns nothing."""\n')
    assert check_shape(tmp_path) == [
        "common.py: named common",
        "git_helpers.py: named git_helpers",
        f"long.py: {MAX_LINES + 1} lines, more than {MAX_LINES}",
        "mute.py: no module docstring",
        "run_manager.py: named run_manager",
        "utils.py: named utils",
    ]

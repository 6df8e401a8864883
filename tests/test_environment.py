"""What a run's environment says, told from file trees laid out like a machine's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from gittrack.environment import capture_environment, describe_environment, find_packages


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def describe(root: Path, **modules: object) -> dict[str, dict[str, object]]:
    described = describe_environment(root, path=[], modules=modules)
    return {key: value for key, value in described.items() if isinstance(value, dict)}


def test_it_is_json_ready_and_says_what_runs() -> None:
    captured = capture_environment()
    assert json.loads(json.dumps(captured)) == captured
    python, packages = captured["python"], captured["packages"]
    assert python == {"version": "{}.{}.{}".format(*sys.version_info[:3]), "implementation": sys.implementation.name}
    assert isinstance(packages, dict)
    assert list(packages) == sorted(packages)
    assert packages["pytest"] == pytest.__version__


def test_nothing_differs_between_two_processes_or_names_this_machine(tmp_path: Path) -> None:
    program = "import json; from gittrack.environment import capture_environment as c; print(json.dumps(c()))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=directory, capture_output=True, check=True, text=True
        ).stdout
        for directory in (Path("/"), tmp_path)
    }
    assert len(texts) == 1
    text = texts.pop()
    assert socket.gethostname() not in text
    assert '"/' not in text


def test_a_caller_cannot_change_what_the_next_one_gets() -> None:
    first = capture_environment()
    first["python"] = "changed"
    packages = first["packages"]
    assert isinstance(packages, dict)
    packages.clear()
    assert capture_environment()["packages"] != {}
    assert capture_environment()["python"] != "changed"


def test_packages_are_told_by_the_names_of_their_metadata(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    for name in (
        "Foo.Bar_baz-1.0.dist-info", "torch-2.3.0+cu121.dist-info", "old-1.2-py3.8.egg-info",
        "ext-0.9-py3.8-linux-x86_64.egg", "a_b-1.0rc1.post2.dist-info", "-1.0.dist-info", "notes.txt",
    ):  # fmt: skip
        (site / name).mkdir(parents=True)
    write(tmp_path / "src/mine.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: My_Own\nVersion: 0.3.dev1\n\nText\n")
    write(tmp_path / "late/Foo.Bar_baz-9.0.dist-info/METADATA", "")
    write(tmp_path / "late/broken.egg-info/other", "")
    path = [str(site), str(tmp_path / "src"), str(tmp_path / "late"), str(tmp_path / "gone"), str(site), "x.zip"]
    assert find_packages(path) == {
        "a-b": "1.0rc1.post2", "ext": "0.9", "foo-bar-baz": "1.0", "my-own": "0.3.dev1", "old": "1.2",
        "torch": "2.3.0+cu121",
    }  # fmt: skip


def test_packages_agree_with_importlib() -> None:
    known = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            known.setdefault(name.replace("_", "-").replace(".", "-").lower(), distribution.version)
    assert find_packages(sys.path) == known


def test_hardware(tmp_path: Path) -> None:
    write(tmp_path / "etc/os-release", 'NAME="X"\nPRETTY_NAME="Example Linux 9"\n')
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Example  CPU @ 2 GHz\nmodel name\t: Other\n")
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
    write(tmp_path / "proc/driver/nvidia/version", version)
    for number in (1, 0):
        place = tmp_path / f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information"
        write(place, f"Model: \t\t Example GPU {number}\nIRQ:   \t\t 57\n")
    described = describe(tmp_path)
    assert described["platform"]["name"] == "Example Linux 9"
    assert described["platform"]["system"] == os.uname().sysname
    assert described["cpu"]["model"] == "Example CPU @ 2 GHz"
    assert described["cpu"]["count"] == os.cpu_count()
    assert described["gpu"] == {"driver": "535.104.05", "models": ["Example GPU 0", "Example GPU 1"]}


def test_the_open_nvidia_driver(tmp_path: Path) -> None:
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (x)  Thu Feb 22\n"
    write(tmp_path / "proc/driver/nvidia/version", version)
    assert describe(tmp_path)["gpu"] == {"driver": "550.54.14"}


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    described = describe(tmp_path)
    assert set(described) == {"python", "platform", "cpu", "memory"}
    assert "model" not in described["cpu"]
    assert "limit_gib" not in described["memory"]


def test_torch_is_asked_for_devices_only_after_it_woke_them(tmp_path: Path) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError("asked before the program did")

    version = SimpleNamespace(cuda="12.1", hip=None)
    asleep = SimpleNamespace(is_initialized=lambda: False, device_count=refuse, get_device_name=refuse)
    assert describe(tmp_path, torch=SimpleNamespace(cuda=asleep, version=version))["gpu"] == {"cuda": "12.1"}
    awake = SimpleNamespace(is_initialized=lambda: True, device_count=lambda: 2, get_device_name="GPU {}".format)
    described = describe(tmp_path, torch=SimpleNamespace(cuda=awake, version=version))
    assert described["gpu"] == {"cuda": "12.1", "models": ["GPU 0", "GPU 1"]}


@pytest.mark.parametrize("place", ["", "docker/abc"])
def test_limits_of_a_control_group_of_version_2(tmp_path: Path, place: str) -> None:
    write(tmp_path / "proc/self/cgroup", f"0::/{place}\n")
    write(tmp_path / "sys/fs/cgroup" / place / "cpu.max", "50000 100000\n")
    write(tmp_path / "sys/fs/cgroup" / place / "memory.max", str(512 << 20) + "\n")
    described = describe(tmp_path)
    assert described["cpu"]["usable"] == 0.5
    assert described["memory"]["limit_gib"] == 0.5


def test_a_parent_group_limits_too_and_max_is_no_limit(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/slurm/job/step\n")
    group = tmp_path / "sys/fs/cgroup/slurm"
    write(group / "memory.max", str(1 << 30))
    write(group / "job/step/memory.max", "max\n")
    write(group / "job/step/cpu.max", "max 100000\n")
    described = describe(tmp_path)
    assert described["memory"]["limit_gib"] == 1
    assert described["cpu"].get("usable") == describe(tmp_path / "none")["cpu"].get("usable")


def test_limits_of_a_control_group_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "5:memory:/job\n4:cpuacct,cpu:/job\n0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "25000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "sys/fs/cgroup/memory/job/memory.limit_in_bytes", str(256 << 20))
    described = describe(tmp_path)
    assert described["cpu"]["usable"] == 0.25
    assert described["memory"]["limit_gib"] == 0.2


def test_the_usual_number_of_packages_is_found_in_milliseconds(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    for number in range(150):
        (site / f"package_{number}-1.{number}.dist-info").mkdir(parents=True)
        for kind in ("", "_data", "_more"):
            (site / f"package_{number}{kind}").mkdir()
    best = 1.0
    for _ in range(20):
        started = time.perf_counter()
        assert len(find_packages([str(site)])) == 150
        best = min(best, time.perf_counter() - started)
    assert best < 0.01

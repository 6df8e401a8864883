"""A connection may break at any byte, a process die at any moment: the old state or the new, and the next try works."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from children import Child
from clones import Clone, check_hub, number_id, tip_of
from conftest import git
from effort import choose
from hubs import Proxy, make_hub, serve_daemon, serve_http, url

from gittrack.errors import GittrackError, RemoteFailed


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return a new bare repository."""
    return make_hub(tmp_path / "srv" / "hub.git")


@pytest.fixture(params=["http", "daemon"])
def line(request: pytest.FixtureRequest, hub: Path) -> Iterator[tuple[str, Proxy]]:
    """Serve the hub behind a proxy that can cut; return its URL there, and the proxy."""
    with ExitStack() as stack:
        if request.param == "http":
            address = url(stack.enter_context(serve_http(hub.parent)))
        else:
            address = stack.enter_context(serve_daemon(hub.parent))
        found = urlsplit(address)
        assert found.port is not None
        proxy = Proxy(found.port)
        stack.callback(proxy.close)
        yield f"{found.scheme}://127.0.0.1:{proxy.port}/hub.git", proxy


def choose_cuts(total: int, count: int) -> list[int]:
    """Return so many places in so many bytes, evenly spread, the first and the last among them."""
    return sorted({1, total - 1, *(total * number // count + 1 for number in range(count))})


def settle(hub: Path, slug: str = "churn") -> str:
    """Return the hub's tip once no server works on it any more: one that lost its client may still finish."""
    seen = [tip_of(hub, slug)]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not (len(seen) > 3 and len(set(seen[-4:])) == 1 and not find_locks(hub)):
        time.sleep(0.03)
        seen.append(tip_of(hub, slug))
    return seen[-1]


def find_locks(hub: Path) -> list[Path]:
    return list((hub / "refs").rglob("*.lock"))


def test_a_push_cut_at_any_byte(line: tuple[str, Proxy], hub: Path, tmp_path: Path) -> None:
    address, proxy = line
    ada = Clone(tmp_path / "ada", address)
    ada.record(number_id(0))
    ada.push()
    ada.record(number_id(1))
    proxy.arm(None)
    ada.push()
    outcomes = set()
    for number, cut in enumerate(choose_cuts(proxy.passed, choose(8, 60))):
        ada.record(number_id(number + 2))
        old, new = tip_of(hub), ada.tip()
        proxy.arm(cut)
        try:
            outcomes.add(ada.push()["churn"].result)
        except RemoteFailed as error:
            outcomes.add(error.message.partition(":")[0])
        assert settle(hub) in (old, new)
        assert ada.tip() == new
        check_hub(hub)
        proxy.arm(None)
        assert ada.push()["churn"].result in ("pushed", "current")
        assert tip_of(hub) == new
    assert len(outcomes) > 1
    assert git(ada.directory, "for-each-ref", "refs/gittrack") == ""


def test_a_fetch_cut_at_any_byte(line: tuple[str, Proxy], hub: Path, tmp_path: Path) -> None:
    address, proxy = line
    ada, bob = Clone(tmp_path / "ada", str(hub)), Clone(tmp_path / "bob", address)
    ada.record(number_id(0))
    ada.push()
    proxy.arm(None)
    bob.fetch()
    failed = 0
    for number, cut in enumerate(choose_cuts(proxy.passed, choose(8, 60))):
        ada.record(number_id(number + 1))
        ada.push()
        before = bob.look()
        proxy.arm(cut)
        try:
            bob.fetch()
        except RemoteFailed:
            failed += 1
            assert bob.look() == before
        git(bob.directory, "fsck", "--strict", "--connectivity-only")
        proxy.arm(None)
        bob.fetch()
        assert bob.look() == ada.look()
    assert failed
    assert git(bob.directory, "for-each-ref", "refs/gittrack") == ""


def wait_until_dead(directory: Path) -> None:
    """Return when no git that was started in a directory is at work in it any more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        busy = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if _mentions(entry, directory)]
        if not busy:
            return
        time.sleep(0.02)
    pytest.fail(f"git is still at work in {directory}")


def _mentions(entry: Path, directory: Path) -> bool:
    try:
        words = entry.read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"git") and os.fsencode(directory) in b"\0".join(words)


@pytest.mark.parametrize("act", ["push", "pull"])
def test_a_process_killed_at_any_moment(act: str, hub: Path, tmp_path: Path) -> None:
    ada, bob = (Clone(tmp_path / name, str(hub)) for name in ("ada", "bob"))
    ada.record(number_id(0))
    ada.push()
    bob.pull()
    chance = random.Random(7)
    for number in range(choose(8, 100)):
        ada.record(number_id(2 * number + 1))
        bob.record(number_id(2 * number + 2))
        bob.edit(number_id(0), tags={"bob": str(number)})
        ada.edit(number_id(0), tags={"ada": str(number)})
        bob.push()
        mine, theirs = ada.tip(), tip_of(hub)
        child = Child(getattr(ada, act))
        time.sleep(chance.uniform(0, 0.4))
        child.kill()
        wait_until_dead(tmp_path)
        git(ada.directory, "merge-base", "--is-ancestor", mine, ada.tip())
        git(hub, "merge-base", "--is-ancestor", theirs, tip_of(hub))
        check_hub(hub)
        git(ada.directory, "fsck", "--strict")
        for lock in tmp_path.rglob(
            "*.lock"
        ):  # of a git that was killed: gittrack waits minutes before it takes it away
            lock.unlink()
        ada.push()
        bob.pull()
        assert ada.look() == bob.look()
        assert ada.look()["runs"][number_id(0)]["tags"] == {"ada": str(number), "bob": str(number)}


def test_an_interrupt_is_passed_on_and_leaves_no_refs(hub: Path, tmp_path: Path) -> None:
    ada = Clone(tmp_path / "ada", str(hub))
    ada.record(number_id(0))
    hook = hub / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -INT $VICTIM\nsleep 1\n")
    hook.chmod(0o755)

    def push() -> str:
        os.environ["VICTIM"] = str(os.getpid())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            ada.push()
        except KeyboardInterrupt:
            return "interrupted"
        except GittrackError as error:
            return error.message
        return "pushed"

    assert Child(push).result() == "interrupted"
    hook.unlink()
    assert git(ada.directory, "for-each-ref", "refs/gittrack") == ""
    assert ada.push()["churn"].result in ("pushed", "current")

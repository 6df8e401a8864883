"""Content is delivered below one directory and nowhere else, whatever artifacts are called and whoever is racing."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.artifact_choice import Limits, find_named, is_match, parse_size
from gittrack.delivery import Item, deliver, find_unsafe
from gittrack.delivery.names import fold
from gittrack.errors import Conflict, Corrupt, InvalidInput, StoreFailed
from gittrack.layout import check_artifact_path
from gittrack.model import Pointer


def make_item(path: str, directory: Path, data: bytes = b"content") -> Item:
    pointer = Pointer(hashlib.sha256(data).hexdigest(), len(data))
    content = directory / f"content-{pointer.oid}"
    content.write_bytes(data)
    return Item(path, pointer, content)


def list_files(directory: Path) -> list[str]:
    return sorted(file.relative_to(directory).as_posix() for file in directory.rglob("*") if not file.is_dir())


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a/./b",
        "C:evil",
        "C:/evil",
        "\\\\host\\share\\evil",
        "a\\b",
        "",
        "a//b",
        "a/",
        ".git/config",
        ".GIT/config",
        "sub/.Git",
        "git~1/config",
        "GIT~2",
        "gi7eba~1/config",
        ".g\u200cit/config",
        "\ufeff.git",
        ".gi\u200dt",
        "aux",
        "d/NUL.txt",
        "com7.log",
        "COM\u00b9",
        "lpt\u00b3.x",
        "con .txt",
        "CONOUT$",
        "dot.",
        "space ",
        "\u200c\u200d",
        "line\nbreak",
        "\x1b[31mred",
        "\u202egnp.exe",
        "lone\udcff",
        "x" * 256,
        "/".join(["d"] * 40),
    ],
)
def test_a_path_that_is_not_safe_is_refused_and_the_rest_delivered(path: str, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    done = deliver([make_item(path, tmp_path), make_item("good/x", tmp_path)], out, replace=True)
    assert [item.path for item in done.written] == ["good/x"]
    assert [(entry.path, type(entry.error)) for entry in done.refused] == [(path, Conflict)]
    assert list_files(out) == ["good/x"]
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("content")) == ["a"]


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        ("Model.bin", "model.bin"),
        ("A/x", "a/y"),
        ("A", "a/y"),
        ("STRASSE", "stra\u00dfe"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u212b.txt", "\u00e5.txt"),
        ("a", "a/b"),
        ("x\u200cy", "xy"),
        ("\u0130", "i\u0307"),
    ],
)
def test_of_two_paths_that_are_one_somewhere_one_is_delivered(kept: str, refused: str, tmp_path: Path) -> None:
    kept, refused = sorted((kept, refused))
    items = [make_item(refused, tmp_path, b"2"), make_item(kept, tmp_path, b"1")]
    done = deliver(items, tmp_path / "out", replace=False)
    assert [item.path for item in done.written] == [kept]
    assert [entry.path for entry in done.refused] == [refused]
    assert (tmp_path / "out" / kept).read_bytes() == b"1"


NAMES = st.one_of(
    st.text(max_size=6),
    st.text(alphabet="aAbB.\u00e9e\u0301\u200c ~1/\\:", max_size=8),
    st.sampled_from(["..", ".", ".git", "con", "a", "A", "caf\u00e9", "cafe\u0301", "git~1", "\u212b", "\u00c5"]),
)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=8)


@given(PATHS)
def test_paths_that_are_left_can_stand_side_by_side_anywhere(paths: list[str]) -> None:
    unsafe = find_unsafe(paths)
    left = [path for path in dict.fromkeys(paths) if path not in unsafe]
    assert set(unsafe) <= set(paths)
    places: dict[str, set[str]] = {}
    for path in left:
        check_artifact_path(path)
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            place = "/".join(names[:depth])
            for key in (
                place.casefold(),
                unicodedata.normalize("NFC", place),
                unicodedata.normalize("NFD", place).lower(),
            ):
                places.setdefault(key, set()).add(place)
    assert all(len(spellings) == 1 for spellings in places.values())
    assert not any(other.startswith(path + "/") for path in left for other in left)


@given(st.text(max_size=10))
def test_what_is_equal_when_folded_stays_equal(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)
    assert fold(text.casefold()) == fold(text)


@settings(max_examples=60, deadline=None)
@given(PATHS)
def test_nothing_is_ever_written_outside(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    base = tmp_path_factory.mktemp("jail")
    (base / "content").mkdir()
    items = [make_item(path, base / "content", path.encode("utf-8", "replace")) for path in dict.fromkeys(paths)]
    done = deliver(items, base / "jail" / "out", replace=True)
    assert {item.path for item in done.written} | {entry.path for entry in done.refused} == set(paths)
    outside = [file for file in base.rglob("*") if file.is_file() and (base / "content") not in file.parents]
    assert sorted(file.relative_to(base / "jail/out").as_posix() for file in outside) == sorted(
        item.path for item in done.written
    )


def test_links_in_the_way_are_not_followed(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    (out / "deep").mkdir(parents=True)
    (out / "parent").symlink_to(elsewhere)
    (out / "deep/parent").symlink_to("../../elsewhere")
    (out / "gone").symlink_to(tmp_path / "not-there")
    (out / "file").symlink_to(elsewhere / "precious")
    paths = ["parent/x", "deep/parent/y/z", "gone/x", "file", "deep/good"]
    done = deliver([make_item(path, tmp_path) for path in paths], out, replace=True)
    assert [item.path for item in done.written] == ["deep/good"]
    assert [entry.path for entry in done.refused] == paths[:4]
    assert all("symbolic link" in entry.error.message for entry in done.refused)
    assert {entry.error.hint for entry in done.refused} == {"-o DIR"}
    assert list_files(elsewhere) == ["precious"]
    assert (elsewhere / "precious").read_text() == "precious"
    assert not (tmp_path / "not-there").exists()


def test_the_chosen_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert deliver([make_item("a/b", tmp_path)], tmp_path / "link", replace=False).refused == ()
    assert list_files(tmp_path / "real") == ["a/b"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"):
        deliver([make_item("a", tmp_path)], tmp_path / "file", replace=False)


def test_a_parent_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "d").mkdir(parents=True)
    stop = threading.Event()

    def race() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            with contextlib.suppress(OSError):  # it was made anew meanwhile
                os.rename(out / "d", out / f"aside-{number}")
                os.symlink(elsewhere, out / "d")
                os.unlink(out / "d")
                os.mkdir(out / "d")

    thread = threading.Thread(target=race)
    thread.start()
    try:
        items = [make_item(f"d/sub/{number}", tmp_path) for number in range(200)]
        done = deliver(items, out, replace=True)
    finally:
        stop.set()
        thread.join()
    assert list(elsewhere.iterdir()) == []
    assert len(done.written) + len(done.refused) == 200


def test_other_content_is_replaced_only_when_that_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    item = make_item("a", tmp_path, b"new")
    assert deliver([item], out, replace=False).written == (item,)
    assert deliver([item], out, replace=False).there == (item,)
    (out / "a").write_bytes(b"old")
    (refused,) = deliver([item], out, replace=False).refused
    assert (type(refused.error), (out / "a").read_bytes()) == (Conflict, b"old")
    assert deliver([item], out, replace=True).written == (item,)
    assert (out / "a").read_bytes() == b"new"
    (out / "a").unlink()
    os.mkfifo(out / "a")
    (refused,) = deliver([item], out, replace=True).refused
    assert "a device, a pipe or a socket" in refused.error.message


def test_what_comes_to_stand_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """A pipe as the content lets the test act between the look at the place and the writing of the file."""
    out, item = tmp_path / "out", make_item("a", tmp_path, b"new")
    item.content.unlink()
    os.mkfifo(item.content)

    def come_between() -> None:
        with item.content.open("wb") as pipe:  # opens once the content is being read
            (out / "a").write_bytes(b"mine")
            pipe.write(b"new")

    thread = threading.Thread(target=come_between, daemon=True)
    thread.start()
    (refused,) = deliver([item], out, replace=False).refused
    thread.join(10)
    assert "has come to be there meanwhile" in refused.error.message
    assert (list_files(out), (out / "a").read_bytes()) == (["a"], b"mine")


def test_damaged_content_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    bad, good = make_item("bad", tmp_path, b"one"), make_item("good", tmp_path, b"two")
    bad.content.write_bytes(b"eno")
    done = deliver([bad, good], tmp_path / "out", replace=False)
    assert [(entry.path, type(entry.error)) for entry in done.refused] == [("bad", Corrupt)]
    assert list_files(tmp_path / "out") == ["good"]


def test_what_the_system_refuses_is_named(tmp_path: Path) -> None:
    missing = Item("a", Pointer("a" * 64, 1), tmp_path / "not-there")
    (refused,) = deliver([missing], tmp_path / "out", replace=False).refused
    assert type(refused.error) is StoreFailed
    assert list_files(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("*.png", "a.png", True),
        ("*.png", "plots/deep/a.png", True),
        ("/*.png", "plots/a.png", False),
        ("plots/*.png", "plots/a.png", True),
        ("plots/*.png", "plots/deep/a.png", False),
        ("plots/**/*.png", "plots/a.png", True),
        ("plots/**/*.png", "plots/x/y/a.png", True),
        ("**", "anything/at/all", True),
        ("deep", "plots/deep/a.png", True),
        ("deep/", "plots/deep/a.png", True),
        ("deep/", "plots/deep", False),
        ("[ab].txt", "b.txt", True),
        ("?", "ab", False),
        ("*.PNG", "a.png", False),
        ("*" * 50 + "x", "a" * 900, False),
    ],
)
def test_a_pattern_finds_names(pattern: str, path: str, found: bool) -> None:
    assert is_match(pattern, path) is found


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    assert find_named(["a[1].txt", "a1.txt"], "a[1].txt") == ["a[1].txt"]
    assert find_named(["b[2].txt", "a1.txt"], "a[1].txt") == ["a1.txt"]
    limits = Limits(("*.txt",), ("secret*",), 10)
    pointer = Pointer("a" * 64, 10)
    assert [limits.allow(path, pointer) for path in ("x.txt", "d/secret.txt", "x.bin")] == [True, False, False]
    assert not limits.allow("x.txt", Pointer("a" * 64, 11))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("10MB", 10_000_000),
        ("1.5 GiB", 3 << 29),
        ("2k", 2048),
        ("3Ki", 3072),
        ("20m", 20 << 20),
        ("2 kB", 2000),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "ten", "1 0", "1.2.3", "5 parsecs", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_size(text)

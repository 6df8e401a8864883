"""Git LFS pointers: the bytes git-lfs writes, and nothing read that the specification does not allow."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from conftest import git
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import Corrupt, InvalidInput
from gittrack.model import Pointer
from gittrack.pointer import EMPTY, MAX_POINTER_BYTES, VERSION, decode_pointer, encode_pointer, find_pointer

OID = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
TEXT = f"version {VERSION}\noid sha256:{OID}\nsize 2\n"

oids = st.text("0123456789abcdef", min_size=64, max_size=64).filter(lambda oid: oid != EMPTY.oid)
pointers = st.just(EMPTY) | st.builds(Pointer, oids, st.integers(1, 2**63 - 1))

needs_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")


@given(pointers)
def test_round_trip(pointer: Pointer) -> None:
    data = encode_pointer(pointer)
    assert decode_pointer(data) == pointer
    assert find_pointer(data) == pointer
    assert len(data) <= MAX_POINTER_BYTES


def test_canonical_bytes() -> None:
    assert encode_pointer(Pointer(OID, 2)) == TEXT.encode()
    assert encode_pointer(EMPTY) == b""
    assert Pointer("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0) == EMPTY


def test_the_empty_content_is_also_read_from_three_lines() -> None:
    assert decode_pointer(f"version {VERSION}\noid sha256:{EMPTY.oid}\nsize 0\n".encode()) == EMPTY


@pytest.mark.parametrize(
    "extra",
    [
        "ext-0-foo sha256:" + "a" * 64 + "\noid sha256:" + OID + "\nsize 2\n",
        "abc ünïcode\noid sha256:" + OID + "\nsize 2\n",
        "oid sha256:" + OID + "\nsize 2\nz.9-key a value with  spaces\n",
    ],
)
def test_unknown_keys_in_order_are_accepted(extra: str) -> None:
    assert decode_pointer(f"version {VERSION}\n{extra}".encode()) == Pointer(OID, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT[:-1], "newline"),
        (TEXT.replace("\n", "\r\n"), "line 1"),
        (TEXT + "\n", "line 4"),
        ("\n" + TEXT, "line 1"),
        (TEXT.replace("size 2", "size  2"), "size"),
        (TEXT.replace("size 2", "size +2"), "size"),
        (TEXT.replace("size 2", "size 02"), "size"),
        (TEXT.replace("size 2", "size -2"), "size"),
        (TEXT.replace("size 2", "size ٢"), "size"),
        (TEXT.replace("size 2", "size 9223372036854775808"), "9223372036854775808 bytes"),
        (TEXT.replace("size 2", "size 0"), "cannot have the sha256"),
        (TEXT.replace(OID, EMPTY.oid), "cannot have the sha256"),
        (TEXT.replace("size 2\n", ""), "size"),
        (TEXT.replace(f"oid sha256:{OID}\n", ""), "oid"),
        (TEXT.replace(OID, OID.upper()), "oid"),
        (TEXT.replace(OID, OID + "0"), "oid"),
        (TEXT.replace("sha256:", "sha1:"), "oid"),
        (TEXT.replace("spec/v1", "spec/v2"), "version"),
        (TEXT.replace("version ", "Version "), "line 1"),
        (f"oid sha256:{OID}\nsize 2\nversion {VERSION}\n", "version"),
        (f"version {VERSION}\nsize 2\noid sha256:{OID}\n", "out of order"),
        (f"version {VERSION}\noid sha256:{OID}\noid sha256:{OID}\nsize 2\n", "repeated"),
        (f"version {VERSION}\n" + TEXT, "version"),
        (TEXT + "zz " + "a" * 1024 + "\n", "1023"),
        ("hello\n", "line 1"),
    ],
)
def test_what_the_specification_forbids_is_corrupt(text: str, reason: str) -> None:
    with pytest.raises(Corrupt, match=reason):
        decode_pointer(text.encode())


def test_bytes_that_are_not_utf8_are_corrupt() -> None:
    with pytest.raises(Corrupt, match="UTF-8"):
        decode_pointer(TEXT.encode() + b"z \xff\n")


@pytest.mark.parametrize(
    "pointer",
    [
        Pointer("abc", 3),
        Pointer(OID.upper(), 3),
        Pointer(OID, -1),
        Pointer(OID, 0),
        Pointer(EMPTY.oid, 1),
        Pointer(OID, 2**63),
    ],
)
def test_a_pointer_to_nothing_is_not_written(pointer: Pointer) -> None:
    with pytest.raises(InvalidInput):
        encode_pointer(pointer)


@pytest.mark.parametrize("data", [b"hello", b"\x00\xff" * 300, TEXT.encode() + b"a" * 1000, b"version 1.2.3\n"])
def test_ordinary_content_is_no_pointer(data: bytes) -> None:
    assert find_pointer(data) is None


def test_a_broken_pointer_is_not_mistaken_for_content() -> None:
    with pytest.raises(Corrupt):
        find_pointer(TEXT.replace(OID, "abc").encode())


@given(
    st.binary(max_size=1100)
    | st.tuples(st.integers(0, len(TEXT)), st.binary(max_size=20)).map(
        lambda cut: TEXT.encode()[: cut[0]] + cut[1] + TEXT.encode()[cut[0] + len(cut[1]) :]
    )
)
def test_no_bytes_raise_anything_but_our_own_errors(data: bytes) -> None:
    try:
        pointer = decode_pointer(data)
    except Corrupt:
        return
    assert decode_pointer(encode_pointer(pointer)) == pointer


@needs_lfs
@pytest.mark.parametrize("content", [b"", b"hi", bytes(range(256)) * 20], ids=["empty", "text", "binary"])
def test_git_lfs_writes_and_reads_the_same_bytes(repo: Path, content: bytes) -> None:
    ours = encode_pointer(Pointer(hashlib.sha256(content).hexdigest(), len(content)))
    (repo / "model.bin").write_bytes(content)
    (repo / "pointer.txt").write_bytes(ours)
    assert (git(repo, "lfs", "pointer", "--file=model.bin") + "\n").encode() == (ours or b"\n")
    assert git(repo, "lfs", "pointer", "--check", "--strict", "--file=pointer.txt") == ""

    git(repo, "lfs", "install", "--local")
    (repo / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    git(repo, "add", "model.bin")
    assert git(repo, "rev-parse", ":model.bin") == git(repo, "hash-object", "--no-filters", "pointer.txt")

    (repo / "model.bin").unlink()
    git(repo, "checkout", "--", "model.bin")
    assert (repo / "model.bin").read_bytes() == content

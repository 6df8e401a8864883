"""The Git LFS pointer: the text that stands in a tree for an artifact's content.

Follows the Git LFS specification, version 1. Knows nothing of where content lies, of git or of files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from .errors import Corrupt, InvalidInput
from .model import Pointer

VERSION = "https://git-lfs.github.com/spec/v1"
MAX_POINTER_BYTES = 1023
MAX_CONTENT_BYTES = 2**63 - 1
EMPTY = Pointer(hashlib.sha256(b"").hexdigest(), 0)

_MARK = b"version https://git-lfs.github.com/spec/"
_LINE = re.compile(r"([a-z0-9.-]+) ([^\r\n]+)")
_OID = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def encode_pointer(pointer: Pointer) -> bytes:
    """Return the bytes that git-lfs itself writes for this content: three lines, or nothing for the empty content.

    The specification has an empty file pass through unchanged, so its pointer is the empty blob; three lines in its
    place would make every clone that has git-lfs report the file as modified.
    Raises InvalidInput for an oid or size that names no content.
    """
    problem = _find_problem(pointer)
    if problem:
        raise InvalidInput(f"cannot write a Git LFS pointer: {problem}")
    if pointer == EMPTY:
        return b""
    return f"version {VERSION}\noid sha256:{pointer.oid}\nsize {pointer.size}\n".encode("ascii")


def decode_pointer(data: bytes) -> Pointer:
    """Return the pointer that data spells; raises Corrupt for anything the specification does not allow.

    Keys it does not know, such as `ext-0-name` of an extension, are accepted where they stand in order; with an
    extension, the pointer names the bytes that are stored, not those the extension makes of them.
    """
    if not data:
        return EMPTY
    if len(data) > MAX_POINTER_BYTES:
        raise Corrupt(f"not a Git LFS pointer: {len(data)} bytes, where at most {MAX_POINTER_BYTES} are allowed")
    keys = dict(_read_lines(data))
    if keys["version"] != VERSION:
        raise Corrupt(f"not a Git LFS pointer of version 1: version {keys['version']!r:.80}")
    method, _, oid = keys.get("oid", "").partition(":")
    if method != "sha256" or _OID.fullmatch(oid) is None:
        raise Corrupt(
            f"a Git LFS pointer needs an oid of the form sha256:<64 hex digits>, not {keys.get('oid')!r:.120}"
        )
    size = keys.get("size", "")
    if _SIZE.fullmatch(size) is None:
        raise Corrupt(f"a Git LFS pointer needs a decimal size in bytes, not {keys.get('size')!r:.80}")
    pointer = Pointer(oid, int(size))
    problem = _find_problem(pointer)
    if problem:
        raise Corrupt(f"a Git LFS pointer that cannot be right: {problem}")
    return pointer


def find_pointer(data: bytes) -> Pointer | None:
    """Return the pointer that a blob spells, or None where the blob is ordinary content.

    A blob that announces itself as a pointer of at most 1023 bytes and is not a valid one raises Corrupt, as
    decode_pointer does; the empty blob is the pointer of the empty content.
    """
    if len(data) > MAX_POINTER_BYTES or (data and not data.startswith(_MARK)):
        return None
    return decode_pointer(data)


def _read_lines(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Corrupt("not a Git LFS pointer: it is not UTF-8") from error
    if not text.endswith("\n"):
        raise Corrupt("not a Git LFS pointer: its last line does not end in a newline")
    previous = ""
    for number, line in enumerate(text[:-1].split("\n")):
        match = _LINE.fullmatch(line)
        if match is None:
            raise Corrupt(f"not a Git LFS pointer: line {number + 1} is not `key value`: {line!r:.80}")
        key, value = match.groups()
        if (number == 0) != (key == "version"):
            raise Corrupt(f"not a Git LFS pointer: `version` must be the first line and no other, line {number + 1}")
        if number > 1 and key <= previous:
            raise Corrupt(f"not a Git LFS pointer: key {key!r:.80} is out of order or repeated")
        previous = key
        yield key, value


def _find_problem(pointer: Pointer) -> str | None:
    if _OID.fullmatch(pointer.oid) is None:
        return f"{pointer.oid!r:.80} is not a sha256 of 64 lowercase hex digits"
    if not 0 <= pointer.size <= MAX_CONTENT_BYTES:
        return f"a size of {pointer.size} bytes"
    if (pointer.size == 0) != (pointer.oid == EMPTY.oid):
        return f"{pointer.size} bytes cannot have the sha256 {pointer.oid}"
    return None

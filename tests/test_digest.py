"""The digest of bytes that come in pieces is that of all of them, however they come."""

from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import digest
from gittrack.digest import Digest


@given(pieces=st.lists(st.binary(max_size=50)), small=st.integers(0, 200))
def test_it_is_that_of_all_pieces_in_their_order(pieces: list[bytes], small: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "_SMALL", small)
        made = Digest()
        for number, piece in enumerate(pieces):
            made.update(piece)
            if number % 3 == 0:
                assert made.hexdigest() == hashlib.sha256(b"".join(pieces[: number + 1])).hexdigest()
        assert made.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_thread_helps_with_much_and_ends_with_it() -> None:
    made = Digest()
    made.update(bytes(8 << 20))
    assert not find_threads()
    for _ in range(9):
        made.update(bytes(1 << 20))
    (thread,) = find_threads()
    assert made.hexdigest() == hashlib.sha256(bytes(17 << 20)).hexdigest()
    del made
    thread.join(30)
    assert not find_threads()


def find_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("digest")]

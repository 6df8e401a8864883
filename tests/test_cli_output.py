"""The file that a command's output is kept in: whole at any moment, without secrets, and no reason to fail."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from children import run_in_child
from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli.output import OutputFile
from gittrack.scrub import Scrubber

SECRET = "Zx81kQmPw93LtRv7"

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"\n", b"\r", b"loss 0.1\n", SECRET.encode(), b"." * 3000]),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output") / "output.log"


@given(pieces=PIECES)
def test_all_that_came_is_there_at_any_moment(place: Path, pieces: list[bytes]) -> None:
    output = OutputFile(place, Scrubber({"API_TOKEN": SECRET}), where="output")
    came = b""
    for piece in pieces:
        output.write(piece)
        came += piece
        kept = place.read_bytes()
        line_end = max(came.rfind(b"\n"), came.rfind(b"\r")) + 1
        assert kept.startswith(came[:line_end].replace(SECRET.encode(), b"[scrubbed]"))
        if len(came) - line_end <= 4096:
            assert kept == came.replace(SECRET.encode(), b"[scrubbed]")
    output.close()
    output.close()
    assert place.read_bytes() == came.replace(SECRET.encode(), b"[scrubbed]")
    assert output.fault is None


def test_a_secret_in_pieces_is_scrubbed_in_the_end_and_reported(place: Path) -> None:
    scrubber = Scrubber({"API_TOKEN": SECRET})
    output = OutputFile(place, scrubber, where="artifacts.output.log")
    for char in f"key {SECRET} end".encode():
        output.write(bytes([char]))
    assert place.read_bytes() == b"key [scrubbed] end"
    output.close()
    assert place.read_bytes() == b"key [scrubbed] end"
    assert scrubber.scrubbed == ("artifacts.output.log",)


def test_a_full_disk_keeps_the_beginning_and_raises_nothing(tmp_path: Path) -> None:
    def fill() -> tuple[int, str]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        output = OutputFile(tmp_path / "output.log", Scrubber({}), where="output")
        for _ in range(100):
            output.write(b"x" * 999 + b"\n")
        output.close()
        return (tmp_path / "output.log").stat().st_size, str(output.fault)

    size, fault = run_in_child(fill)
    assert size == 10_000
    assert "File too large" in fault


def test_a_file_that_cannot_be_made_raises_nothing(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "none" / "output.log", Scrubber({}), where="output")
    output.write(b"x\n")
    output.close()
    assert isinstance(output.fault, FileNotFoundError)

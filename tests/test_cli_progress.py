"""Progress is shown to people, after a second, and is gone at the end."""

from __future__ import annotations

import pytest

from gittrack.cli.progress import Progress, draw
from gittrack.cli.terminal import Screen, Terminal


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_terminal(screen: Screen) -> Terminal:
    terminal = Terminal()
    terminal.error_screen = screen
    return terminal


def test_the_first_second_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(make_terminal(Screen(width=80)), "reading points", things="runs", clock=clock) as progress:
        clock.now = 0.99
        progress(1, 4)
    assert capsys.readouterr().err == ""


def test_a_line_is_written_over_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(make_terminal(Screen(width=80)), "reading points", things="runs", clock=clock) as progress:
        clock.now = 2.0
        progress(1000, 4000)
        clock.now = 2.01
        progress(1001, 4000)  # too soon after the last one
        clock.now = 3.0
        progress(3000, 4000)
        first = "reading points [#####...............] 1,000 of 4,000 runs, 6.00 s left"
        second = "reading points [###############.....] 3,000 of 4,000 runs, 1.00 s left"
        assert capsys.readouterr().err == f"\r{first}\x1b[K\r{second}\x1b[K"
        progress(4000, 4000)
        assert capsys.readouterr().err == "\r\x1b[K"
    assert capsys.readouterr().err == ""


def test_a_line_is_taken_away_when_the_work_stops(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(make_terminal(Screen(width=80)), "x", clock=clock) as progress:
        clock.now = 2.0
        progress(1, 4)
    assert capsys.readouterr().err == "\rx [#####...............] 25%, 6.00 s left\x1b[K\r\x1b[K"


def test_a_program_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(make_terminal(Screen()), "reading points", things="runs", clock=clock) as progress:
        clock.now = 5.0
        progress(1, 4)
    assert capsys.readouterr().err == ""


def test_a_line_fits_its_terminal() -> None:
    line = draw("reading points", 1, 10**9, things="runs", seconds=3, screen=Screen(width=30))
    assert len(line) <= 29
    assert draw("reading", 0, 0, things="runs", seconds=1, screen=Screen(width=60)).endswith("] 0 of 0 runs")

"""`gittrack run` on a terminal: the command has one too, and the keys that stop, suspend and resume it work."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gittrack

GITTRACK = [sys.executable, "-c", "import sys; from gittrack.cli import main; sys.exit(main())"]


class Person:
    """Somebody at a terminal of 100 columns and 24 rows, on which one program runs."""

    def __init__(self, words: list[str]) -> None:
        self.seen = b""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            time.sleep(0.05)  # until the size is set
            os.execvp(words[0], words)
        self.resize(rows=24, columns=100)

    def resize(self, *, rows: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def wait_for(self, text: bytes) -> bytes:
        """Watch until text is shown, and return what was shown before; from there on is what the next call sees."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was never shown, but {self.seen!r}"
            self._read()
        before, _, self.seen = self.seen.partition(text)
        return before

    def end(self) -> int:
        """Watch until the program ends, and return its exit status, negative for a signal."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def close(self) -> None:
        """Close the window."""
        os.close(self._terminal)


@contextmanager
def at_terminal(*words: str) -> Iterator[Person]:
    person = Person(list(words))
    try:
        yield person
    finally:
        person.close()


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def read_output() -> bytes:
    with gittrack.get_run("latest").open_artifact("output.log") as file:
        return file.read()


def test_the_command_is_on_a_terminal_of_the_same_size(repo: Path) -> None:
    code = "import os; print([os.isatty(fd) for fd in range(3)], *os.get_terminal_size(1), *os.get_terminal_size(2))"
    with at_terminal(*GITTRACK, "run", "-q", "--", *python(code)) as person:
        assert person.end() == 0
        assert person.seen == b"[True, True, True] 100 24 100 24\r\n"
    assert read_output() == b"[True, True, True] 100 24 100 24\n"


def test_newlines_and_control_sequences_pass_as_they_are(repo: Path) -> None:
    code = r"import os; os.write(1, b'\x1b[31mred\x1b[0m\r 50%\r100%\n\ttab\n')"
    with at_terminal(*GITTRACK, "run", "-q", "--", *python(code)) as person:
        assert person.end() == 0
        assert person.seen == b"\x1b[31mred\x1b[0m\r 50%\r100%\r\n\ttab\r\n"
    assert read_output() == b"\x1b[31mred\x1b[0m\r 50%\r100%\n\ttab\n"


@pytest.mark.parametrize(
    ("redirection", "kinds"), [("> file", "[True, False, True]"), ("2> file", "[True, True, False]")]
)
def test_only_what_is_a_terminal_stays_one(repo: Path, redirection: str, kinds: str) -> None:
    code = "import os; print([os.isatty(fd) for fd in range(3)]); os.write(2, b'error\\n')"
    words = shlex.join([*GITTRACK, "run", "-q", "--", *python(code)])
    with at_terminal("sh", "-c", f"{words} {redirection}") as person:
        assert person.end() == 0
        shown = person.seen.replace(b"\r\n", b"\n").decode()
    texts = {"> file": ("error\n", f"{kinds}\n"), "2> file": (f"{kinds}\n", "error\n")}
    assert (shown, (repo / "file").read_text()) == texts[redirection]


def test_a_new_size_arrives(repo: Path) -> None:
    code = (
        "import os, signal, time\n"
        "sizes = []\n"
        "signal.signal(signal.SIGWINCH, lambda *_: sizes.append(tuple(os.get_terminal_size(1))))\n"
        "print('ready', flush=True)\n"
        "while (132, 50) not in sizes: time.sleep(0.01)\n"
        "print('resized')"
    )
    with at_terminal(*GITTRACK, "run", "-q", "--", *python(code)) as person:
        person.wait_for(b"ready\r\n")
        person.resize(rows=50, columns=132)
        person.wait_for(b"resized")
        assert person.end() == 0


def test_a_debugger_can_be_talked_to(repo: Path) -> None:
    (repo / "train.py").write_text("loss = 0.25\nbreakpoint()\nprint('done', loss)\n")
    with at_terminal(*GITTRACK, "run", "-q", "--", sys.executable, "train.py") as person:
        person.wait_for(b"(Pdb) ")
        person.type(b"p loss * 2\n")
        person.wait_for(b"0.5")
        person.wait_for(b"(Pdb) ")
        person.type(b"loss = 7\n")
        person.wait_for(b"(Pdb) ")
        person.type(b"c\n")
        person.wait_for(b"done 7")
        assert person.end() == 0
    assert b"done 7\n" in read_output()


def test_a_password_is_not_shown_and_not_kept(repo: Path) -> None:
    code = "import getpass; print(len(getpass.getpass('Key: ')))"
    with at_terminal(*GITTRACK, "run", "-q", "--", *python(code)) as person:
        person.wait_for(b"Key: ")
        person.type(b"hunter2\n")
        assert person.end() == 0
        assert person.seen.strip() == b"7"
    assert b"hunter2" not in read_output()


def test_ctrl_c_interrupts_the_command_once_and_the_run_is_recorded(repo: Path) -> None:
    code = (
        "import time\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.3)\n"
        "    print('saved', flush=True)\n"
        "    raise"
    )
    with at_terminal(*GITTRACK, "run", "-q", "--", *python(code)) as person:
        person.wait_for(b"ready")
        person.type(b"\x03")
        person.wait_for(b"saved")
        assert person.end() == -2
        assert person.seen.count(b"KeyboardInterrupt") == 1
    found = gittrack.get_run("latest")
    assert (found.status, found.snapshot.run.exit_code) == ("KILLED", 130)
    assert b"saved" in read_output()


def test_ctrl_c_ends_a_pipeline_in_a_shell(repo: Path) -> None:
    words = shlex.join([*GITTRACK, "run", "-q", "--", "sh", "-c", "echo ready; sleep 20"])
    with at_terminal("bash", "-c", f"for i in 1 2; do {words} | cat; done; echo after") as person:
        person.wait_for(b"ready")
        person.type(b"\x03")
        assert person.end() in (-2, 130)
        assert b"after" not in person.seen
    assert [run.status for run in gittrack.runs()] == ["KILLED"]


def test_ctrl_z_suspends_and_fg_resumes(repo: Path) -> None:
    code = "import time\nfor i in range(400):\n    print('tick', i, flush=True)\n    time.sleep(0.05)"
    (repo / "slow.py").write_text(code)
    with at_terminal("bash", "--norc", "--noediting", "-i") as person:
        person.type(shlex.join([*GITTRACK, "run", "-q", "--", sys.executable, "slow.py"]).encode() + b"\n")
        person.wait_for(b"tick 3\r\n")
        person.type(b"\x1a")
        person.wait_for(b"Stopped")
        person.seen = b""
        person.type(b"echo still $((40 + 2))\n")
        assert b"tick" not in person.wait_for(b"still 42")
        person.type(b"fg\n")
        person.wait_for(b"tick ")
        person.wait_for(b"tick ")
        person.type(b"\x03")
        person.type(b"echo code $((1000 + $?))\n")
        person.wait_for(b"code 1130")
        person.type(b"exit\n")
        person.end()
    assert gittrack.get_run("latest").status == "KILLED"


def test_closing_the_window_ends_the_command_and_the_run_is_recorded(repo: Path) -> None:
    words = [*GITTRACK, "run", "-n", "left", "-q", "--", "sh", "-c", "echo ready; exec sleep 20"]
    person = Person(["bash", "-c", shlex.join(words) + "; true"])
    person.wait_for(b"ready")
    person.close()
    os.waitpid(person.pid, 0)
    journals = repo / ".git/gittrack/runs"
    deadline = time.monotonic() + 20
    while list(journals.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = gittrack.get_run("left")
    assert (found.status, found.live) == ("KILLED", False)
    assert read_output() == b"ready\n"

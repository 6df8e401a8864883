"""Runs command lines in this process, and real ones in processes of their own, with or without a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gittrack.cli import main

COMMAND = (sys.executable, "-c", "import sys; from gittrack.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Answer:
    """How a command line ended, and what it wrote."""

    code: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.data.decode()

    @property
    def lines(self) -> list[str]:
        """Standard output, line by line."""
        return self.out.splitlines()

    def json(self, key: str) -> Any:
        """What stands under key in the one JSON document on standard output."""
        document = json.loads(self.out)
        assert document["gittrack"] == 1
        return document[key]


def call(*words: str) -> Answer:
    """Run a command line in this process, its output going to no terminal."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return Answer(code, out.buffer.getvalue(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]


def read(*words: str) -> Answer:
    """Run a command line that must work, and say nothing on standard error."""
    answer = call(*words)
    assert (answer.code, answer.err) == (0, ""), answer
    return answer


def spawn(*words: str, directory: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own, its output going to pipes."""
    return subprocess.run([*COMMAND, *words], cwd=directory, capture_output=True, text=True, timeout=60, **options)


def spawn_in_terminal(
    *words: str, columns: int = 80, variables: Mapping[str, str] | None = None, keys: bytes = b""
) -> tuple[int, str]:
    """Run a command line on a pseudo-terminal of that width; return its exit code and all that was written there.

    `keys` are typed once something has been written.
    """
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(variables or {})}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=writer, stdout=writer, stderr=writer, env=environment, start_new_session=True
    )
    os.close(writer)
    written = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([reader], [], [], 0.1)[0]:
            try:
                piece = os.read(reader, 65536)
            except OSError:
                break
            if not piece:
                break
            written += piece
            if keys:
                os.write(reader, keys)
                keys = b""
        elif process.poll() is not None:
            break
    os.close(reader)
    return process.wait(timeout=10), written.decode().replace("\r\n", "\n")

"""A process in our group that tells whether a signal was meant for the whole group; see `signals` for why.

Owns that one process, a `cat` that waits for input that never comes. Knows nothing of commands or runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time

# How long the witness may take to die of a signal that it was sent together with us.
_WITNESS_SECONDS = 0.1
_POLL_SECONDS = 0.002


class Witness:
    """A process of our group that does nothing but die of the signals that are passed on."""

    def __init__(self, signals: set[signal.Signals], *, mask: set[int]) -> None:
        self._signals = signals
        self._mask = mask
        self._lock = threading.Lock()
        self._program = shutil.which("cat")
        self._input, self._hold = os.pipe()  # its end comes when we end, however that is
        self._pid = self._start()

    def _start(self) -> int | None:
        if self._program is None:
            return None
        actions = [
            (os.POSIX_SPAWN_DUP2, self._input, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            return os.posix_spawn(
                self._program, ["cat"], {}, file_actions=actions, setsigmask=self._mask, setsigdef=self._signals
            )
        except OSError:
            return None

    def had(self, number: int) -> bool:
        """Tell whether the witness, too, was sent the signal that just came to us; takes up to 100 ms."""
        deadline = time.monotonic() + _WITNESS_SECONDS
        with self._lock:
            while self._pid is not None:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                if pid:
                    self._pid = self._start()
                    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == number
                if time.monotonic() > deadline:
                    return False
                time.sleep(_POLL_SECONDS)
        return False

    def dismiss(self) -> int | None:
        """End the witness, and return the signal that had ended it already, if one had; to be called once."""
        with self._lock:
            os.close(self._hold)
            os.close(self._input)
            if self._pid is None:
                return None
            os.kill(self._pid, signal.SIGKILL)
            status = os.waitpid(self._pid, 0)[1]
            self._pid = None
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGKILL
        return None if number == signal.SIGKILL else number

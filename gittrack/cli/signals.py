"""Passes this process's signals on to the command it runs, each once, and keeps them from ending the recording.

Owns the signal mask of this process while a command runs. Knows nothing of the command's output, or of runs.

A signal may be meant for the whole process group, which the command is in (a terminal's Ctrl-C, `timeout`, a job
scheduler, a notebook's interrupt), or for this process alone (`kill PID`, a supervisor, an editor's stop button). The
system does not say which. Passing on the first kind would interrupt a command twice, in the middle of its cleaning up;
not passing on the second would leave it running. So a witness is kept in the group, a `cat` that waits for input that
never comes: it dies of every signal that is passed on here, and where it does, the command has had that signal too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType

from .witness import Witness

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PASSED_ON = (*STOP_SIGNALS, signal.SIGUSR1, signal.SIGUSR2)

# A Ctrl-C this soon after the command ended was meant for the command.
_LATE_SECONDS = 0.3


class SignalRelay:
    """Holds the signals back from this process, and passes them on to a command while there is one.

    A context manager, for the main thread. Signals that this process was started with as ignored (`nohup`) stay so.
    After the command has ended they are dropped, so that recording is not cut short, but for a second SIGINT: that one
    ends this process at once, and what was recorded stays in the run's journal. `stopped_by` is the last signal of
    STOP_SIGNALS that came while the command ran, or None; `passed_on` are those that are passed on at all.
    """

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        self.inherited_mask: set[int] = set()
        self.passed_on = {number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN}
        self._signals = {*self.passed_on, signal.SIGWINCH}
        self._pid: int | None = None
        self._resize: Callable[[], bool] = lambda: False
        self._ended_at = 0.0
        self._late_interrupts = 0
        self._witness: Witness | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def __enter__(self) -> SignalRelay:
        # An ignored SIGCHLD, which a caller may have left us, would lose the command's status.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.inherited_mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, self._signals))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None and self._thread.ident is not None:
            self._closing = True
            signal.pthread_kill(self._thread.ident, signal.SIGWINCH)
            self._thread.join()
        while signal.sigpending() & self._signals:
            signal.sigwait(self._signals)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.inherited_mask)

    def follow(self, pid: int, *, witness: Witness, resize: Callable[[], bool]) -> None:
        """Pass signals on to the command with this process id, also those that came since the relay was entered.

        `resize` is called when the terminal's size changed, and tells whether the command has to hear of it.
        """
        self._witness = witness
        self._pid, self._resize = pid, resize
        self._thread = threading.Thread(target=self._listen, name="gittrack-signals", daemon=True)
        self._thread.start()

    def unfollow(self) -> None:
        """Stop passing signals on: the command has ended."""
        self._pid = None
        self._ended_at = time.monotonic()
        self._resize = lambda: False
        # The command may have ended of a signal that has come here, too, but was not looked at yet.
        number = None if self._witness is None else self._witness.dismiss()
        if number in STOP_SIGNALS:
            self.stopped_by = number

    def _listen(self) -> None:
        while not self._closing:
            number = signal.sigwait(self._signals)
            if number == signal.SIGWINCH:
                if self._resize():
                    # The group had this signal from the terminal, but maybe before the size it now reads was set.
                    os.killpg(os.getpgrp(), signal.SIGWINCH)
            elif self._pid is None:
                self._drop(number)
            else:
                self._pass_on(number, self._pid)

    def _pass_on(self, number: int, pid: int) -> None:
        if number in STOP_SIGNALS:
            self.stopped_by = number
        if self._witness is not None and self._witness.had(number):
            # Who signals a group often signals its leader besides, as `timeout` does.
            if number in signal.sigpending():
                signal.sigwait({number})
            return
        if pid == self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _drop(self, number: int) -> None:
        if number != signal.SIGINT or time.monotonic() - self._ended_at < _LATE_SECONDS:
            return
        self._late_interrupts += 1
        if self._late_interrupts > 1:
            os._exit(128 + number)
        os.write(2, b"gittrack: recording the run; Ctrl-C again leaves that to the next gittrack command\n")

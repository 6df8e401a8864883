"""Forked children for tests: code that runs in a process of its own, to be limited, killed, or asked for its result."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any


class Child:
    """A forked child that runs an action; what the action returns comes back pickled, what it raises as text.

    It has a minute, or `seconds`: a test that failed before it told its children to stop leaves none behind.
    """

    def __init__(self, action: Callable[[], Any], *, seconds: int = 60) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            signal.alarm(seconds)
            try:
                answer = (True, action())
            except BaseException:
                answer = (False, traceback.format_exc())
            with os.fdopen(writer, "wb") as stream:
                stream.write(pickle.dumps(answer))
            os._exit(0)
        os.close(writer)

    def result(self) -> Any:
        """Wait for the action's result; fails the test where it raised or the child died."""
        with os.fdopen(self._reader, "rb") as stream:
            data = stream.read()
        _, status = os.waitpid(self.pid, 0)
        assert status == 0, f"the child ended with status {status}"
        good, answer = pickle.loads(data)
        assert good, answer
        return answer

    def kill(self) -> None:
        """Kill the child as `kill -9` does, and wait for its end."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._reader)


def run_in_child(action: Callable[[], Any]) -> Any:
    """Return what action returns in a forked child."""
    return Child(action).result()

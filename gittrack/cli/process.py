"""Runs the user's command and passes its output and signals through, as if nobody stood between it and the caller.

Owns the child process: what program a name means, the pipes and pseudo-terminals its output comes through, how it
ended. Knows nothing of runs, journals or settings: a copy of the output goes to whoever asks for it.

The child stays in this process's own process group and session and keeps its standard input. So a terminal's Ctrl-C,
Ctrl-Z and line editing, and a kill of the whole group, reach it directly. Only its standard output and error go through
here, each by a pseudo-terminal where ours is a terminal and by a pipe where it is not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import GittrackError, Unsupported
from ..scrub import Scrubber
from .signals import SignalRelay
from .variables import RUN_ID_VARIABLE
from .witness import Witness

Keep = Callable[[bytes], None]

NOT_FOUND = 127
NOT_EXECUTABLE = 126

_CHUNK = 1 << 18
# How long output may stay silent, and how long it may go on, after the command itself has ended while something that
# it started still holds the output open.
_QUIET_SECONDS = 0.25
_GRACE_SECONDS = 2.0


class CommandUnusable(GittrackError):
    """The command cannot be started; `exit_code` is what a shell would return: 127 not found, 126 not executable."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    `code` is what a shell would say: the exit status, or 128 and the signal that ended it, which `signal` names then.
    `held` tells that something it left running still held its output, so that what is printed later is lost.
    """

    code: int
    signal: int | None = None
    held: bool = False


def leave_outer_run() -> str | None:
    """Forget which run this process itself is part of, so that it can start one of its own; return that run's id."""
    return os.environ.pop(RUN_ID_VARIABLE, None)


def hide_secrets(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command line as it may be shown: without what looks like a secret, or is one of this environment."""
    return Scrubber(os.environ).argv(words)


def find_command(name: str) -> str:
    """Return the path of the program that a shell would run for name; raises CommandUnusable."""
    if not hasattr(os, "posix_spawn"):
        raise Unsupported(
            "this system cannot pass a command's signals through", hint="gittrack.start_run()  # in Python"
        )
    found = shutil.which(name) if name else None
    if found is not None:
        return found
    places = [""] if os.path.dirname(name) else os.get_exec_path()
    for path in (os.path.join(place, name) for place in places if name):
        if os.path.isdir(path) and os.path.dirname(name):
            raise CommandUnusable(f"cannot run {name!r}: it is a directory", exit_code=NOT_EXECUTABLE)
        if os.path.isfile(path):
            raise CommandUnusable(f"cannot run {path!r}: it is not executable", exit_code=NOT_EXECUTABLE)
    raise CommandUnusable(f"command not found: {name!r}", exit_code=NOT_FOUND)


def run_command(
    program: str,
    words: Sequence[str],
    *,
    variables: Mapping[str, str],
    keep: Keep | None,
    relay: SignalRelay,
    aside: bool = False,
) -> Ending:
    """Run `program` (a path) with the argument list `words`, and return how it ended.

    `variables` are added to the environment that it inherits. Each piece of its output is written to where ours goes,
    at once and as it is, and then given to `keep`. Where a reader of ours goes away, the child's next write fails, as
    it would without us. With `aside`, all of it goes to our standard error. Raises CommandUnusable where the system
    cannot start it.
    """
    channels = _open_channels(aside=aside)
    try:
        pid = _start(program, words, variables=variables, channels=channels, mask=relay.inherited_mask)
    except BaseException:
        for channel in channels:
            channel.close()
        raise
    finally:
        for channel in channels:
            channel.close_writer()
    witness = Witness(relay.passed_on, mask=relay.inherited_mask)
    relay.follow(pid, witness=witness, resize=lambda: _copy_sizes(channels))
    waiter = _Waiter(pid)
    try:
        held = _pass_output(channels, waiter, keep)
        code = waiter.get_code()
    finally:
        relay.unfollow()
        waiter.close()
        for channel in channels:
            channel.close()
    return Ending(128 - code, signal=-code, held=held) if code < 0 else Ending(code, held=held)


def end_like(ending: Ending) -> None:
    """End this process as the command ended: by the same signal, or with the same exit status."""
    if ending.signal is not None:
        _drop_core_limit()
        with contextlib.suppress(OSError, ValueError):  # SIGKILL and SIGSTOP have no handler to reset
            signal.signal(ending.signal, signal.SIG_DFL)
        signal.raise_signal(ending.signal)
    raise SystemExit(ending.code)


def _drop_core_limit() -> None:
    """Keep this process from leaving a core file beside the command's own."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class _Channel:
    """The way of a stream from the child to a file descriptor of ours: a pseudo-terminal or a pipe.

    `targets` are the child's descriptors that lead into it: both, where our output and error are one file, so that
    the order between them is kept.
    """

    def __init__(self, sink: int, targets: tuple[int, ...]) -> None:
        self.sink = sink
        self.targets = targets
        self.terminal = os.isatty(sink)
        self.reader, self.writer = os.openpty() if self.terminal else os.pipe()
        if self.terminal:
            self._make_transparent()
            self.copy_size()

    def _make_transparent(self) -> None:
        """Leave newlines as they are: the real terminal behind `sink` translates them."""
        import termios

        attributes = termios.tcgetattr(self.writer)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(self.writer, termios.TCSANOW, attributes)

    def copy_size(self) -> bool:
        """Give the pseudo-terminal the size of ours, and tell whether that changed it."""
        if not self.terminal or self.reader < 0:
            return False
        import fcntl
        import termios

        try:
            size = fcntl.ioctl(self.sink, termios.TIOCGWINSZ, bytes(8))
            if size == fcntl.ioctl(self.reader, termios.TIOCGWINSZ, bytes(8)):
                return False
            fcntl.ioctl(self.reader, termios.TIOCSWINSZ, size)
        except OSError:  # the terminal is gone
            return False
        return True

    def read(self) -> bytes:
        """Return what has arrived, or nothing at the end."""
        try:
            return os.read(self.reader, _CHUNK)
        except OSError as error:
            if error.errno == errno.EIO:  # how Linux says that nobody holds a pseudo-terminal any more
                return b""
            raise

    def count_unread(self) -> int:
        """Return how many bytes have arrived and were not read yet."""
        import fcntl
        import termios

        try:
            return int.from_bytes(fcntl.ioctl(self.reader, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    def write(self, data: bytes) -> bool:
        """Write data to where ours goes, and tell whether there is still somebody to write to."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.sink, rest) :]
            except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
                with selectors.DefaultSelector() as selector:
                    selector.register(self.sink, selectors.EVENT_WRITE)
                    selector.select()
            except OSError:
                return False
        return True

    def close_writer(self) -> None:
        """Let go of the child's end, so that its last holder's exit ends the stream."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """Close both ends; safe to repeat."""
        self.close_writer()
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1


class _Waiter:
    """Waits for the child on a thread; `descriptor` becomes readable when it has ended."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status = 0
        self.descriptor, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._wait, name="gittrack-wait", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        with contextlib.suppress(ChildProcessError):
            self._status = os.waitpid(self._pid, 0)[1]
        os.close(self._ended)

    def get_code(self) -> int:
        """Wait for the child and return its exit status, or the number of the signal that ended it, negative."""
        self._thread.join()
        return os.waitstatus_to_exitcode(self._status)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.descriptor)


def _open_channels(*, aside: bool) -> list[_Channel]:
    _fill_standard_descriptors()
    if aside:
        return [_Channel(2, (1, 2))]
    if os.path.sameopenfile(1, 2):
        return [_Channel(1, (1, 2))]
    return [_Channel(1, (1,)), _Channel(2, (2,))]


def _fill_standard_descriptors() -> None:
    """Keep a pipe from landing on a standard descriptor that the caller had closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _copy_sizes(channels: Sequence[_Channel]) -> bool:
    """Give each pseudo-terminal the size of ours, and tell whether that changed any."""
    changed = [channel.copy_size() for channel in channels]
    return any(changed)


def _start(
    program: str,
    words: Sequence[str],
    *,
    variables: Mapping[str, str],
    channels: Sequence[_Channel],
    mask: set[int],
) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, channel.writer, target) for channel in channels for target in channel.targets]
    attempts = [(program, list(words)), ("/bin/sh", ["sh", program, *words[1:]])]
    for path, arguments in attempts:
        try:
            return os.posix_spawn(
                path,
                arguments,
                {**os.environ, **variables},
                file_actions=actions,
                setsigmask=mask,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # the two that Python itself ignores
            )
        except OSError as error:
            # A script without a `#!` line is the shell's to run, as execvp has it.
            if error.errno != errno.ENOEXEC or path == "/bin/sh":
                raise _explain(program, error) from error
    raise AssertionError("the shell's attempt returns or raises")


def _explain(program: str, error: OSError) -> CommandUnusable:
    if error.errno == errno.ENOENT:
        return CommandUnusable(f"cannot run {program!r}: its interpreter is not there", exit_code=NOT_FOUND)
    return CommandUnusable(f"cannot run {program!r}: {error.strerror}", exit_code=NOT_EXECUTABLE)


def _pass_output(channels: Sequence[_Channel], waiter: _Waiter, keep: Keep | None) -> bool:
    """Pass output on until it ends; tell whether it had to be left because something outlives the command with it."""
    with selectors.DefaultSelector() as selector:
        for channel in channels:
            selector.register(channel.reader, selectors.EVENT_READ, channel)
        ended = selector.register(waiter.descriptor, selectors.EVENT_READ)
        tail: _Tail | None = None
        while any(channel.reader >= 0 for channel in channels):
            ready = [key for key, _ in selector.select(None if tail is None else _QUIET_SECONDS)]
            if ended in ready:
                selector.unregister(waiter.descriptor)
                tail = _Tail(sum(channel.count_unread() for channel in channels if channel.reader >= 0))
            elif tail is not None and (not ready or tail.is_over()):
                return True
            for channel in _find_channels(ready):
                data = channel.read()
                if not data or not channel.write(data):
                    selector.unregister(channel.reader)
                    channel.close()
                if data and keep is not None:
                    keep(data)
                if tail is not None:
                    tail.owed -= len(data)
    return False


def _find_channels(ready: Sequence[selectors.SelectorKey]) -> Iterator[_Channel]:
    return (key.data for key in ready if key.data is not None)


class _Tail:
    """What is passed on after the command ended: all that it left unread, and a little of what others still print."""

    def __init__(self, owed: int) -> None:
        self.owed = owed
        self._deadline = time.monotonic() + _GRACE_SECONDS

    def is_over(self) -> bool:
        """Tell whether the command's own output has been passed on and the grace period is over."""
        return self.owed <= 0 and time.monotonic() > self._deadline

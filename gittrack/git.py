"""Owns the user's own `git` as a subprocess: the argument prefix, the environment, the exit status, the error text.

The only module that starts git. Knows no ref name, no tree path and no repository layout; what the commands mean is
their callers' business, and so is `--` before every ref and path.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from .errors import InvalidInput, StoreFailed, Unsupported

_PREFIX = (
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.quotePath=false",
    "-c",
    "color.ui=false",
)

# Put before a command that writes objects or refs which a run will rely on: the first is for git 2.36 and later, whose
# own default leaves loose objects to the page cache, the second for older ones; each ignores what it does not know.
DURABLE = ("-c", "core.fsync=objects,pack-metadata,reference", "-c", "core.fsyncObjectFiles=true")

# Of the inherited GIT_* variables only those are passed on that say how the user's git works. All others say which
# repository, index or object directory some outer git command is busy with, or change the output we read.
_KEPT_VARIABLES = (
    r"GIT_(CONFIG_.*|SSH.*|ASKPASS|TERMINAL_PROMPT|SSL_.*|PROXY.*|HTTP_.*|CURL_.*|TRACE.*|TR2.*|AUTHOR_.*|COMMITTER_.*"
    r"|EXEC_PATH|ALLOW_PROTOCOL)"
)
_ALLOWED_PROTOCOLS = "https:http:ssh:git:file"

_CONTROL = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
_ESCAPE_SEQUENCE = "\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|.)"
_USERINFO = r"(https?://)[^/@\s]+@"
_DEPRECATION = r"(?m)^warning: core\.fsyncObjectFiles is deprecated.*\n?"
_MAX_ERROR_LENGTH = 4000
_LONG_BUFFER = 1 << 18
_MAX_KEPT_ERRORS = 1 << 20
# How many seconds a command that is not wanted any more has to remove its temporary files.
_CLEAN_UP_TIME = 3.0

_AnswerT = TypeVar("_AnswerT", bound="Answer")


class GitFailed(StoreFailed):
    """A git command that ended with a status other than 0.

    `code` is its exit status (negative: the signal that ended it), `stderr` what it said, safe to print: no control
    characters but newlines, no credentials of URLs.
    """

    def __init__(self, message: str, *, code: int, stderr: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.stderr = stderr


def find_git() -> str | None:
    """Return the path of the git program, or None where none is installed."""
    path = os.environ.get("PATH")
    found = _found.get(path)
    if found is None or not os.access(found, os.X_OK):  # it may have been moved since
        found = shutil.which("git", path=path)
        if found is not None and os.path.isabs(found):
            _found[path] = found
    return found


# Where git was found, by the PATH it was looked for on: to look costs as much as what some commands do.
_found: dict[str | None, str] = {}


class Git:
    """The user's git, bound to a directory.

    `environment` is added to the cleaned environment of each command, and may hold variables that are cleaned away
    when inherited, such as GIT_INDEX_FILE. Nothing is started before a method is called. Options of git itself, such
    as `-c`, may come before the command's name. Arguments as bytes are passed as they are.
    """

    def __init__(self, directory: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._environment = dict(environment or {})

    def run(self, *args: str | bytes, input: bytes | None = None) -> bytes:
        """Run one command to its end and return its output.

        Raises GitFailed where it ends with a status other than 0, and Unsupported where no git is installed.
        """
        source = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self._spawn(args, stdin=source, stderr=subprocess.PIPE) as process:
            output, errors = _communicate(process, input)
        _check(args, process.returncode, errors)
        return output

    def start(self, *args: str | bytes) -> Started:
        """Start one command and return at once; the caller must call `finish` or `cancel` on what is returned.

        Raises Unsupported where no git is installed.
        """
        return Started(args, self._spawn(args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE))

    def stream(self, *args: str | bytes) -> Stream:
        """Start one command and return its pipes, for commands that answer while they are being asked.

        Raises Unsupported where no git is installed.
        """
        import tempfile

        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the stream owns and closes it
        try:
            return Stream(args, self._spawn(args, stdin=subprocess.PIPE, stderr=errors), errors)
        except BaseException:
            errors.close()
            raise

    def answer(self, *args: str | bytes, input: bytes) -> Answer:
        """Start one command with its whole input, however long, and return the pipe it answers on.

        The input goes by way of a temporary file, so that neither side waits for the other. Raises Unsupported where no
        git is installed.
        """
        import tempfile

        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the answer owns and closes it
        try:
            with tempfile.TemporaryFile() as questions:
                questions.write(input)
                questions.seek(0)
                process = self._spawn(args, stdin=questions, stderr=errors, buffer=_LONG_BUFFER)
                return Answer(args, process, errors)
        except BaseException:
            errors.close()
            raise

    def watch(
        self,
        *args: str | bytes,
        on_line: Callable[[str], None],
        input: bytes = b"",
        patience: float | None = None,
    ) -> Ended:
        """Run one command, however it ends, and hand over each line of its error output when it comes.

        A line ends with a newline or, as progress does, with a carriage return; it is safe to print. A command that
        says nothing for `patience` seconds is ended. Where this is left by an exception, the command is asked to end
        first, so that it can clean up. Raises Unsupported where no git is installed.
        """
        process = self._spawn(args, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the exit status says more
                process.stdin.write(input)
                process.stdin.close()
            output, errors = _listen(process, on_line, patience)
            code = process.wait()
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLEAN_UP_TIME)
            raise
        finally:
            _end(process)
        return Ended(args, code, output, re.sub(_DEPRECATION, "", clean_text(errors)))

    def _spawn(
        self, args: tuple[str | bytes, ...], *, stdin: int | IO[bytes], stderr: int | IO[bytes], buffer: int = -1
    ) -> subprocess.Popen[bytes]:
        program = find_git()
        if program is None:
            raise Unsupported("git is not installed, or not on PATH", hint=_find_install_command())
        # `-C` and not cwd: a directory that is gone is then git's error, with git's words, and not a spawn failure.
        argv = [program, "-C", os.fspath(self.directory), *_PREFIX, *map(os.fsdecode, args)]
        try:
            return subprocess.Popen(
                argv,
                bufsize=buffer,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=clean_environment(self._environment),
            )
        except OSError as error:
            raise StoreFailed(f"git could not be started: {error.strerror or error}") from error
        except ValueError as error:
            raise InvalidInput(f"git cannot be given such an argument: {error}") from error


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, its output, and what it said (safe to print, without progress)."""

    args: tuple[str | bytes, ...]
    code: int
    output: bytes
    stderr: str

    def check(self) -> None:
        """Raise GitFailed unless the command succeeded."""
        _check(self.args, self.code, self.stderr.encode())


class Started:
    """A command that is running. Output beyond what a pipe holds (64 KiB on Linux) makes it wait for `finish`."""

    def __init__(self, args: tuple[str | bytes, ...], process: subprocess.Popen[bytes]) -> None:
        self._args = args
        self._process = process

    def finish(self) -> bytes:
        """Wait for the command's end and return its output; to be called once. Raises GitFailed."""
        with self._process as process:
            output, errors = _communicate(process, None)
        _check(self._args, process.returncode, errors)
        return output

    def cancel(self) -> None:
        """End the command where it still runs, and forget what it said; safe to repeat, also after `finish`."""
        _end(self._process)


class Answer:
    """A command that is running, with the pipe it writes to.

    As a context manager: leaving it waits for the command's end and raises GitFailed where it failed; leaving it by an
    exception ends the command.
    """

    def __init__(self, args: tuple[str | bytes, ...], process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        assert process.stdout is not None
        self._args = args
        self._process = process
        self._errors = errors
        self.stdout: IO[bytes] = process.stdout

    def finish(self) -> None:
        """Let the command end, and drop output that nobody read. Raises GitFailed."""
        try:
            while self.stdout.read(1 << 16):
                pass
            self._process.wait()
            self._errors.seek(0)
            errors = self._errors.read()
        finally:
            self.cancel()
        _check(self._args, self._process.returncode, errors)

    def cancel(self) -> None:
        """End the command where it still runs; safe to repeat, also after `finish`."""
        _end(self._process)
        self._errors.close()

    def __enter__(self: _AnswerT) -> _AnswerT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A broken pipe only tells that the command ended early; its status and words tell why.
        if kind is None or isinstance(error, BrokenPipeError):
            self.finish()
        else:
            self.cancel()


class Stream(Answer):
    """A command that is running, with both its pipes, for one that answers while it is being asked."""

    def __init__(self, args: tuple[str | bytes, ...], process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        super().__init__(args, process, errors)
        assert process.stdin is not None
        self.stdin: IO[bytes] = process.stdin

    def finish(self) -> None:
        """Close `stdin`, let the command end, and drop output that nobody read. Raises GitFailed."""
        with contextlib.suppress(BrokenPipeError):  # the exit status says more
            self.stdin.close()
        super().finish()


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment git commands run in: this process's, without what an outer git command left, and extra."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or re.fullmatch(_KEPT_VARIABLES, name)
    }
    environment.setdefault("GIT_ALLOW_PROTOCOL", _ALLOWED_PROTOCOLS)
    environment["LC_ALL"] = "C"
    environment.update(extra or {})
    return environment


def find_hook_variables() -> dict[str, str]:
    """Return what an outer git command tells its hooks of the repository and the index it works on."""
    return {name: os.environ[name] for name in ("GIT_DIR", "GIT_INDEX_FILE") if os.environ.get(name)}


def clean_text(raw: bytes) -> str:
    """Return what git or a remote said as text that is safe to print.

    Escape sequences and control characters are removed, carriage returns become newlines, the userinfo of http URLs is
    removed, and beyond 4000 characters only the end is kept.
    """
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(_CONTROL, "", re.sub(_ESCAPE_SEQUENCE, "", text.replace("\t", " ")))
    return re.sub(_USERINFO, r"\1", text).strip()[-_MAX_ERROR_LENGTH:]


def _listen(
    process: subprocess.Popen[bytes], on_line: Callable[[str], None], patience: float | None
) -> tuple[bytes, bytes]:
    """Return all output, and the lines of error output that ended with a newline; raises GitFailed after patience."""
    output, errors, rest = bytearray(), bytearray(), b""
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(patience)
            if not ready:
                raise GitFailed(
                    f"git said nothing for {patience:.0f} seconds", code=-signal.SIGTERM, stderr="timed out"
                )
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    output += piece
                else:
                    *lines, rest = re.split(b"(?<=\n)|(?<=\r)(?=[^\n])", rest[-_MAX_KEPT_ERRORS:] + piece)
                    errors += b"".join(line for line in lines if line.endswith(b"\n"))
                    del errors[:-_MAX_KEPT_ERRORS]
                    for line in lines:
                        on_line(clean_text(line))
    return bytes(output), bytes(errors) + rest


def _communicate(process: subprocess.Popen[bytes], input: bytes | None) -> tuple[bytes, bytes]:
    try:
        return process.communicate(input)
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _check(args: tuple[str | bytes, ...], code: int, errors: bytes) -> None:
    if code == 0:
        return
    said = re.sub(_DEPRECATION, "", clean_text(errors))
    reason = said.removeprefix("fatal: ").removeprefix("error: ") or (
        f"it ended with status {code}" if code > 0 else f"signal {-code} ended it"
    )
    raise GitFailed(f"git {_find_command(args)} failed: {reason}", code=code, stderr=said, hint=_find_hint(said))


def _find_command(args: tuple[str | bytes, ...]) -> str:
    rest = iter(map(os.fsdecode, args))
    for arg in rest:
        if arg == "-c":
            next(rest, None)
        elif not arg.startswith("-"):
            return arg
    return ""


def _find_hint(said: str) -> str | None:
    advice = re.search(r"^\s*(git config --global --add safe\.directory .+)$", said, re.MULTILINE)
    return advice.group(1) if advice else None


def _find_install_command() -> str:
    if sys.platform == "darwin":
        return "xcode-select --install"
    if sys.platform == "win32":
        return "winget install --id Git.Git"
    return "apt-get install git"

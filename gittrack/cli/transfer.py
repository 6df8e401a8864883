"""What the commands that use a remote share: which remote and experiments were named, and how far a transfer is."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import click

from .. import layout
from ..errors import GittrackError, InvalidInput, NotFound
from .progress import PATIENCE
from .session import Session
from .text import clean

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ..sync.link import Link
    from ..tracker import Tracker
    from ..transport import Step
    from .terminal import Screen, Terminal

NAMES = click.argument("names", nargs=-1, metavar="[REMOTE] [EXPERIMENT]...")


class Transfer:
    """Shows the steps of a transfer to a person: from the second second on, and gone at the end.

    Use it as a context manager, and call it with each step. Nothing is shown where standard error is no terminal.
    """

    def __init__(self, screen: Screen) -> None:
        self._interactive = screen.interactive
        self._color = screen.color
        self._began = time.monotonic()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        """Show one more step, or how far a shown one has come."""
        if not self._interactive or time.monotonic() - self._began < PATIENCE:
            return
        if self._bars is None:
            self._bars = _make_bars(color=self._color)
            self._bars.start()
        what = ("remote: " if step.at_remote else "") + clean(step.what)
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._bars.add_task(what, total=step.total, detail="")
        self._bars.update(task, completed=step.done, total=step.total, detail=clean(step.detail))

    def stop(self) -> None:
        """Take the display away, as before a question; the next step brings it back."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()

    def __enter__(self) -> Transfer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _make_bars(*, color: bool) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(file=sys.stderr, no_color=not color, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TextColumn("{task.fields[detail]}")
    return Progress(*columns, console=console, transient=True)


@contextmanager
def open_link(
    session: Session, names: Sequence[str], *, purpose: str, silent: bool = False
) -> Iterator[tuple[Tracker, Link, list[str]]]:
    """Open the store and the way to the remote; yield them with the experiments that were named.

    `purpose` is the command's name. With `silent` git may ask nobody for a password. Says what an interrupt left.
    """
    from ..sync.link import connect

    with session.open_tracker() as tracker, Transfer(session.terminal.error_screen) as transfer:
        remote, experiments = _split_names(tracker, names)
        interactive = not silent and session.terminal.error_screen.interactive
        link = connect(
            tracker.history,
            tracker.settings,
            author=tracker.make_stamp(session.now).author,
            remote=remote,
            purpose=purpose,
            interactive=interactive,
            report=transfer,
            names=experiments,
        )
        try:
            yield tracker, link, experiments
        except KeyboardInterrupt:
            transfer.stop()
            session.terminal.note(
                f"interrupted; every experiment is as it was or wholly done, and nothing is lost: {link.again}"
            )
            raise


def _split_names(tracker: Tracker, names: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the remote that is named, if any, and the slugs of the experiments.

    A first name that no remote has, but an experiment, is the experiment's.
    """
    from ..repository import read_config
    from ..transport import list_remotes

    if not names:
        return None, []
    first, *rest = names
    remotes = list_remotes(read_config(tracker.repository))
    remote: str | None = first
    if first not in remotes and _is_experiment(tracker, first):
        remote, rest = None, list(names)
    elif first not in remotes and not {"/", ":"} & set(first):
        known = ", ".join(remotes) or "none"
        raise NotFound(
            f"{first!r:.100} is neither a remote (there is: {known}) nor an experiment", hint="gittrack status"
        )
    return remote, [layout.make_slug(name) for name in rest]


def _is_experiment(tracker: Tracker, name: str) -> bool:
    try:
        return layout.make_slug(name) in tracker.history.find_tips()
    except InvalidInput:
        return False


def find_remote_name(tracker: Tracker) -> str | None:
    """Return the name of the remote that runs are shared through, or None where there is none, or several."""
    from ..repository import read_config
    from ..sync.link import find_head_branch
    from ..transport import choose_remote

    branch = find_head_branch(tracker.repository)
    try:
        return choose_remote(
            read_config(tracker.repository), setting=tracker.settings.remote, origin="", branch=branch
        ).name
    except GittrackError:
        return None


def show_address(url: str) -> str:
    """Return an address for a person: without credentials, on one line."""
    from ..git import clean_text

    return clean(clean_text(url.encode("utf-8", "surrogateescape")))


def tell_merged(terminal: Terminal, slug: str, names: Sequence[str]) -> None:
    """Tell which runs, or which experiment's record, were edited on both sides, and where each side's words stand."""
    for name in names:
        shown = clean(name)
        terminal.note(
            f"{slug}: {shown} was edited here and there; both edits are kept, and where both set the same the later "
            "one counts",
            hint=None if name.startswith("experiment ") else f"gittrack show --revisions -- {shlex.quote(shown)}",
        )

"""The `export` command: runs as files that other programs read."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from ..errors import InvalidInput
from .amounts import count
from .command import Command, complete_experiment, pass_session
from .progress import Progress
from .selection import load_selection
from .session import Session
from .terminal import Terminal
from .text import clean_document

if TYPE_CHECKING:
    from ..frame import Frame
    from ..tracker import Tracker

TABLES = ("runs", "params", "metrics", "points", "tags", "artifacts", "inputs")
FORMATS = ("csv", "jsonl", "parquet")


class CleanStream:
    """Takes the bytes of a text and writes it to a terminal, without what a terminal acts on but line ends."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes | memoryview) -> int:
        """Write the next bytes."""
        text = clean_document(self._decoder.decode(bytes(data)))
        self._terminal.write_bytes(text.encode(sys.stdout.encoding, sys.stdout.errors or "replace"))
        return len(data)


@contextmanager
def open_output(terminal: Terminal, output: Path | None, *, format: str) -> Iterator[IO[bytes]]:
    """Give the stream that a file is written to: one at `output`, whole or not at all, or standard output.

    Raises InvalidInput for Parquet on a terminal. Texts are shown there without what a terminal acts on.
    """
    from ..exchange.target import open_replacing

    if output is not None and not is_standard_output(output):
        with open_replacing(output) as stream:
            yield stream
    elif not terminal.screen.interactive:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif format == "parquet":
        raise InvalidInput("Parquet is nothing for a terminal", hint="add -o runs.parquet")
    else:
        yield CleanStream(terminal)  # type: ignore[misc]


def is_standard_output(path: Path) -> bool:
    """Tell whether a path means standard output: `-`, or what that is called as a file."""
    return str(path) == "-" or path.as_posix() in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def choose_format(format: str | None, output: Path | None) -> str:
    """Return the format to write: the one asked for, else the one the file's ending stands for, else CSV."""
    from ..exchange.formats import SUFFIXES, find_format

    if format is not None:
        return format
    if output is None or is_standard_output(output):
        return "csv"
    found = find_format(output)
    if found is None and output.exists() and not output.is_file():
        return "csv"  # a pipe, whose name says nothing of what goes through it
    if found is None:
        raise InvalidInput(
            f"the ending of {output.name!r:.100} stands for no format", hint=f"-o x{', -o x'.join(SUFFIXES)}"
        )
    return found


@click.command(
    "export",
    cls=Command,
    examples=(
        "gittrack export -e churn > runs.csv",
        "gittrack export \"params.model = 'svm'\" -t points -o points.parquet",
        "gittrack export --dataset runs.dataset",
    ),
)
@click.argument("query", required=False)
@click.option(
    "-e", "--experiment", metavar="EXPERIMENT", shell_complete=complete_experiment, help="Only this experiment."
)
@click.option(
    "-t",
    "--table",
    "tables",
    type=click.Choice(TABLES),
    multiple=True,
    help="What to export; runs by default, all of them into a dataset.",
)
@click.option("--format", type=click.Choice(FORMATS), help="Default: by the ending of FILE, else csv.")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write FILE instead of printing.")
@click.option(
    "--dataset",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write Parquet files below DIR, cut by experiment as Hive has it.",
)
@click.option("--force", is_flag=True, help="Replace the dataset in DIR.")
@click.option("--removed", is_flag=True, help="Export removed runs too.")
@pass_session
def export(
    session: Session,
    query: str | None,
    experiment: str | None,
    tables: tuple[str, ...],
    format: str | None,
    output: Path | None,
    dataset: Path | None,
    force: bool,
    removed: bool,
) -> None:
    """Export runs as CSV, JSON lines, Parquet or a dataset.

    The table of runs is wide: a column for each attribute, param, metric (its last value) and tag. The others are
    long: params, metrics (their summaries), points, tags, artifacts, inputs, each row with the run's id. Text that a
    spreadsheet would run as a formula has a ' in front in CSV.
    """
    if dataset is not None and (format is not None or output is not None):
        raise InvalidInput("a dataset is Parquet in a directory of its own: --dataset goes without -o and --format")
    if dataset is None and len(tables) > 1:
        raise InvalidInput("a file holds one table", hint=f"gittrack export --table {tables[0]}")
    with session.open_tracker() as tracker:
        frame = load_selection(tracker, query, experiment=experiment, removed=removed)
        if dataset is None:
            said = _export_file(session, tracker, frame, tables[0] if tables else "runs", format=format, output=output)
        else:
            said = _export_dataset(session, tracker, frame, tables or TABLES, directory=dataset, replace=force)
    if said:
        session.terminal.note(said)


def _export_file(
    session: Session, tracker: Tracker, frame: Frame, table: str, *, format: str | None, output: Path | None
) -> str:
    """Write one table to a file or to standard output; return what there is to say about it."""
    from ..exchange.formats import write_table
    from ..exchange.points import read_points
    from ..exchange.tables import RunTables

    terminal = session.terminal
    chosen = choose_format(format, output)
    printed = output is None or is_standard_output(output)
    with Progress(terminal, "exporting", things="runs" if table == "points" else "rows") as shown:
        progress = None if printed and terminal.screen.interactive else shown  # both would be on one terminal
        stream = RunTables(frame, read_points=partial(read_points, tracker, progress=progress)).stream(table)
        with open_output(terminal, output, format=chosen) as sink:
            rows = write_table(stream, sink, format=chosen, progress=progress)
    return "" if printed else f"wrote {count(rows, 'row')} of {count(frame.count, 'run')} to {output}"


def _export_dataset(
    session: Session, tracker: Tracker, frame: Frame, tables: Sequence[str], *, directory: Path, replace: bool
) -> str:
    """Write a dataset; return what there is to say about it."""
    from ..exchange.dataset import write_dataset
    from ..exchange.points import read_points

    with Progress(session.terminal, "exporting points", things="runs") as progress:
        read = partial(read_points, tracker, progress=progress)
        written = write_dataset(directory, frame, read_points=read, tables=tables, replace=replace)
    return f"wrote {count(sum(written.values()), 'row')} of {count(frame.count, 'run')} below {directory}/"

"""Owns the dataset: a directory of Parquet files, cut by experiment, that DuckDB, Polars, Spark and Trino read.

    runs/experiment=churn/0.parquet   params/experiment=churn/0.parquet   points/…

The columns do not depend on what the runs hold, so that files of several exports and experiments go together. The
experiment stands in the path alone, as Hive has it. Knows nothing of the store.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import Conflict
from ..frame import Frame
from .formats import TableStream, write_table
from .tables import RUNS, TABLES, PointReader, RunTables
from .target import open_replacing

MARK = "_gittrack.json"
VERSION = 1

# No slug has any of these; but where runs come from, anything may.
_ESCAPED = re.compile("[\x00-\x1f\"#%'*/:=?\\\\\x7f{\\[\\]^]")


def write_dataset(
    directory: Path, frame: Frame, *, read_points: PointReader, tables: Sequence[str] = TABLES, replace: bool = False
) -> dict[str, int]:
    """Write tables of a frame's visible runs below a directory, and return the number of rows of each.

    The directory appears when all is written. Raises Conflict where it holds anything, unless it is a dataset written
    by this function and `replace` is given: then it is replaced.
    """
    directory = Path(os.path.abspath(directory))
    _check_place(directory, replace=replace)
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = directory.with_name(f".{directory.name[:100]}.{os.getpid()}.part")
    draft.mkdir()
    try:
        rows = _write_tables(draft, frame, read_points, tables)
        mark = {"gittrack": VERSION, "tables": {name: rows[name] for name in tables}}
        (draft / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
        _move(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return rows


def _check_place(directory: Path, *, replace: bool) -> None:
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / MARK).is_file():
        raise Conflict(f"{str(directory)!r} is there already, and is no dataset of gittrack's", hint="--dataset OTHER")
    if not replace:
        raise Conflict(f"{str(directory)!r} holds a dataset already", hint="add --force to replace it")


def _write_tables(draft: Path, frame: Frame, read_points: PointReader, tables: Sequence[str]) -> dict[str, int]:
    rows = dict.fromkeys(tables, 0)
    for slug, part in split_by_experiment(frame).items():
        made = RunTables(part, read_points=read_points)
        for name in tables:
            place = draft / name / f"experiment={escape_partition(slug)}"
            place.mkdir(parents=True)
            with open_replacing(place / "0.parquet") as sink:
                rows[name] += write_table(_stream(made, name), sink, format="parquet")
    return rows


def _stream(tables: RunTables, name: str) -> TableStream:
    if name != RUNS:
        return tables.stream(name)
    table = tables.make_attributes().drop_columns(["experiment"])
    return TableStream(table.schema, [table])


def escape_partition(value: str) -> str:
    """Return a value as it stands in a directory's name: what Hive escapes there is `%` and two hex digits."""
    return _ESCAPED.sub(lambda match: f"%{ord(match.group()):02X}", value)


def split_by_experiment(frame: Frame) -> dict[str, Frame]:
    """Return the visible runs of each experiment as a frame, sorted by slug."""
    import pyarrow.compute as pc

    from ..frame.arrays import make_texts

    column = frame.get_attribute("experiment")
    slugs = sorted(column.filter(frame.visible).unique().to_pylist())
    return {slug: frame.filter(pc.equal(column, make_texts([slug])[0])) for slug in slugs}


def _move(draft: Path, directory: Path) -> None:
    """Put a directory in the place of another one."""
    if not os.path.lexists(directory):
        draft.rename(directory)
        return
    old = directory.with_name(f".{directory.name[:100]}.{os.getpid()}.old")
    directory.rename(old)
    try:
        draft.rename(directory)
    except OSError:
        old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)

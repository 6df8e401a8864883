"""Deletes what the index keeps of an experiment's deleted runs; it is made again when it is next read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress

from .. import layout
from ..history import History


def forget_index(history: History, slug: str, run_ids: Iterable[str]) -> None:
    """Delete the index of an experiment, of whatever version, and what it keeps of these runs' journals."""
    for index in layout.index_directories(history.store.repository.common_directory):
        shutil.rmtree(layout.shelf_directory(index, slug, history.namespace), ignore_errors=True)
        for run_id in run_ids:
            with suppress(OSError):
                layout.live_cache_path(index, run_id).unlink()

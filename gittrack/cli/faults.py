"""Says what the recorder failed to record the way the command line says things: a line, not a warning with a source.

Knows nothing of commands or of runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..recording import TrackingWarning


@contextmanager
def say_faults(say: Callable[[str], None]) -> Iterator[None]:
    """Hand the recorder's warnings to `say`, each of them; those of libraries are not for who runs a command."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", TrackingWarning)
        warnings.showwarning = show
        yield

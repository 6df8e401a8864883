"""Where the metrics of a run go: a journal; nowhere, where no run could be started; or a refusal, after its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, SupportsFloat

MetricValues = Mapping[str, SupportsFloat]


class MetricSink(Protocol):
    """Where metrics go: a journal; nowhere, when no run could be started; or a refusal, when the run has ended."""

    def log(self, metrics: MetricValues, step: int | None, timestamp: int | None, /) -> None:
        """Take a row."""

    def log_one(self, key: str, value: SupportsFloat, step: int | None, timestamp: int | None, /) -> None:
        """Take a value."""


class DroppedMetrics:
    """Takes the metrics of a run that could not be started."""

    def log(self, *_: object) -> None:
        """Drop a row."""

    log_one = log


class RefusedMetrics:
    """Refuses the metrics of a run that has ended."""

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    def log(self, *_: object) -> None:
        """Refuse a row."""
        self._refuse()

    log_one = log

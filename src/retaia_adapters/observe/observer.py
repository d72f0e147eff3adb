"""The observer of a server: its numbers and its traces."""

from __future__ import annotations

from contextlib import AbstractContextManager

from retaia_core.ports.observer import Observer

from .metrics import Metrics
from .traces import spans


class MeasuringObserver(Metrics, Observer):
    """Keeps numbers for Prometheus, and opens spans where OpenTelemetry is installed."""

    def __init__(self) -> None:
        super().__init__()
        self._span = spans()

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        """Open a span."""
        return self._span(name, attributes)

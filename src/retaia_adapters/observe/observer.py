"""The observer of a program: its numbers and its traces."""

from __future__ import annotations

from retaia_core.ports.observer import Observer

from .metrics import Metrics
from .traces import Traces


class MeasuringObserver(Metrics, Traces, Observer):
    """Keeps numbers for Prometheus, and opens spans where OpenTelemetry was set up."""

    def __init__(self) -> None:
        Metrics.__init__(self)
        Traces.__init__(self)

"""Traces through OpenTelemetry, where it is installed and was set up before the program began."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Span = Callable[[str, dict[str, str | int]], AbstractContextManager[object]]


def _nothing(name: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
    return nullcontext()


def spans() -> Span:
    """How to open a span, as part of the one that is open in this task."""
    try:
        from opentelemetry import trace
    except ImportError:
        return _nothing
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return _nothing  # The API without an SDK: spans would go nowhere, and each costs its time.
    tracer = trace.get_tracer("retaia")

    def span(name: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
        return tracer.start_as_current_span(name, attributes=attributes)

    return span

"""Traces through OpenTelemetry, where its API is installed; without its SDK they cost next to nothing."""

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
    tracer = trace.get_tracer("retaia")

    def span(name: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
        return tracer.start_as_current_span(name, attributes=attributes)

    return span

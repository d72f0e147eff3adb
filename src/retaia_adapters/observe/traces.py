"""Traces through OpenTelemetry, where it is installed and was set up before the program began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


def find_tracer() -> Tracer | None:
    """The tracer, where spans would go anywhere."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None  # The API without an SDK: each span would cost its time for nothing.
    return trace.get_tracer("retaia")


class Traces:
    """Opens spans, or does nothing."""

    def __init__(self) -> None:
        self._tracer = find_tracer()
        self._open: dict[tuple[str, str], Span] = {}

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        """Open a span, as part of the one that is open in this task."""
        if self._tracer is None:
            return nullcontext()
        return self._tracer.start_as_current_span(name, attributes=attributes)

    def agent(self, name: str, data: Mapping[str, object]) -> None:
        """Follow what an agent tells: one span for each job, from its claim to its end."""
        if self._tracer is None:
            return
        asset = str(data.get("asset_uuid", ""))
        if name == "claimed":
            self._begin(self._tracer, asset, data["jobs"])
        elif name in ("submitted", "failed"):
            self._end(asset, str(data["job_type"]), name)
        elif name in ("bundle_done", "lost", "released"):
            for of, job_type in [key for key in self._open if key[0] == asset]:
                self._end(of, job_type, name)

    def _begin(self, tracer: Tracer, asset: str, job_types: object) -> None:
        assert isinstance(job_types, Iterable)
        for job_type in map(str, job_types):
            span = tracer.start_span("agent.job", attributes={"job_type": job_type, "asset": asset})
            self._open[asset, job_type] = span

    def _end(self, asset: str, job_type: str, outcome: str) -> None:
        span = self._open.pop((asset, job_type), None)
        if span is not None:
            span.set_attribute("outcome", outcome)
            span.end()

"""Spans, where OpenTelemetry was set up; next to nothing, where it was not."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext

from retaia_adapters.observe.observer import MeasuringObserver
from retaia_adapters.observe.traces import find_tracer

PROGRAM = """
import json
import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from retaia_adapters.observe.observer import MeasuringObserver
from retaia_core.shell.observed_store import ObservedStore
from retaia_core.testing.memory_store import MemoryStore


def look(tx):
    return tx.last_event()


async def main():
    observer = MeasuringObserver()
    store = ObservedStore(MemoryStore(), observer)
    with observer.span("listAssets"):
        await store.read(look)
    told = {"asset_uuid": "a"}
    observer.agent("claimed", {**told, "path": "x", "jobs": ("extract_facts", "generate_proxy")})
    observer.agent("submitted", {**told, "job_id": "1", "job_type": "extract_facts"})
    observer.agent("idle", {})
    observer.agent("bundle_done", {**told, "path": "x"})
    observer.agent("bundle_done", {**told, "path": "x"})


anyio.run(main)
names = {s.context.span_id: s.name for s in exporter.get_finished_spans()}
print(json.dumps([
    [s.name, names.get(s.parent.span_id) if s.parent else None, dict(s.attributes)]
    for s in exporter.get_finished_spans()
]))
"""

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from retaia_adapters.observe.observer import MeasuringObserver
observer = MeasuringObserver()
with observer.span("listAssets", n=1) as span:
    print(span)
observer.agent("claimed", {"asset_uuid": "a", "jobs": ["extract_facts"]})
"""


def run(program: str) -> str:
    """Run a program of its own: a tracer provider is set once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_a_span() -> None:
    """A transaction is a child of its operation, and names its function; an agent's job is a span."""
    job = {"asset": "a"}
    assert json.loads(run(PROGRAM)) == [
        ["store.read", "listAssets", {"work": "look"}],
        ["listAssets", None, {}],
        ["agent.job", None, {**job, "job_type": "extract_facts", "outcome": "submitted"}],
        ["agent.job", None, {**job, "job_type": "generate_proxy", "outcome": "bundle_done"}],
    ]


def test_without_the_library() -> None:
    """Where the extra is not installed, a span is nothing."""
    assert run(WITHOUT) == "None\n"


def test_without_an_sdk() -> None:
    """Where nobody set an SDK up, no span is made."""
    assert find_tracer() is None
    assert isinstance(MeasuringObserver().span("listAssets"), nullcontext)

"""The observer port: what a running program tells whoever watches over it, in logs, numbers and traces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from attrs import field, frozen

from ..domain.jobs import JobStatus
from ..domain.leases import LockKind
from ..domain.lifecycle import State
from ..domain.scans import ScanReport

correlation_id: ContextVar[str] = ContextVar("retaia_correlation_id", default="")
"""What the lines of one request have in common, as its client may have chosen it; empty outside of any."""

request_id: ContextVar[str] = ContextVar("retaia_request_id", default="")
"""The server's own name for the request that is being answered; empty outside of any."""


@frozen(kw_only=True)
class LogStyle:
    """How log lines are written: an object each, or text; ``everything``, or only what is out of order."""

    json: bool
    everything: bool


@frozen(kw_only=True)
class Levels:
    """How much there is of everything now, as the store counts it."""

    jobs: Mapping[tuple[str, JobStatus], int] = field(factory=dict)
    assets: Mapping[State, int] = field(factory=dict)
    locks: Mapping[LockKind, int] = field(factory=dict)
    agents_alive: int = 0


@frozen(kw_only=True)
class Exposition:
    """Numbers as a monitoring system reads them."""

    content_type: str
    body: bytes


class Observer(Protocol):
    """Takes in what happens. Nothing here may raise, wait, or cost more than a few microseconds."""

    def request(self, operation: str, status: int, seconds: float) -> None:
        """A request was answered; ``operation`` is one of the document's, or ``-``."""
        ...

    def transaction(self, kind: str, seconds: float, *, ok: bool) -> None:
        """A transaction (``read`` or ``write``) ended; its time includes the wait for its turn."""
        ...

    def scanned(self, report: ScanReport) -> None:
        """A scan ended."""
        ...

    def uploaded(self, kind: str, size: int) -> None:
        """A derived file of so many bytes was published."""
        ...

    def agent(self, name: str, data: Mapping[str, object]) -> None:
        """An agent told an event of its own (`ports.agent.AgentEvent`)."""
        ...

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        """Trace a piece of work, as part of the one that is going on here."""
        ...

    def expose(self, levels: Levels) -> Exposition | None:
        """Every number so far, with the levels now; None where none are kept."""
        ...


class SilentObserver(Observer):
    """Takes nothing in: for commands and libraries that nobody watches."""

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Forget it."""

    def transaction(self, kind: str, seconds: float, *, ok: bool) -> None:
        """Forget it."""

    def scanned(self, report: ScanReport) -> None:
        """Forget it."""

    def uploaded(self, kind: str, size: int) -> None:
        """Forget it."""

    def agent(self, name: str, data: Mapping[str, object]) -> None:
        """Forget it."""

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        """Trace nothing."""
        return nullcontext()

    def expose(self, levels: Levels) -> Exposition | None:
        """Keep no numbers."""
        return None

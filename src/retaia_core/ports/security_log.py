"""The security log port: where security events go."""

from __future__ import annotations

from typing import Protocol

from ..domain.security_events import SecurityEvent


class SecurityLog(Protocol):
    """Keeps security events, each once and in order; recording never fails the request it is about."""

    def record(self, event: SecurityEvent) -> None:
        """Keep an event. It is told after the change that it is about was committed."""
        ...

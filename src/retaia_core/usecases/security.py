"""Recording security events of a request."""

from __future__ import annotations

from datetime import datetime

from ..domain.actors import Actor
from ..domain.security_events import EventName, security_event
from ..ports.observer import correlation_id, request_id
from ..ports.security_log import SecurityLog


def record(
    log: SecurityLog,
    name: EventName,
    *,
    at: datetime,
    actor: Actor | None,
    client_id: str = "",
    error_code: str = "",
) -> None:
    """Record an event of the request that is being answered; ``actor`` None: nobody proven."""
    log.record(
        security_event(
            name,
            at=at,
            actor=actor,
            client_id=client_id,
            request_id=request_id.get(),
            correlation_id=correlation_id.get(),
            error_code=error_code,
        )
    )


def record_denied(
    log: SecurityLog, *, at: datetime, actor: Actor | None, error_code: str, client_id: str = ""
) -> None:
    """Record that a request was refused for who sent it (401 or 403)."""
    name = EventName.AUTHORISATION_DENIED
    record(log, name, at=at, actor=actor, client_id=client_id, error_code=error_code)

"""Security events: one typed table of what is worth a line in the log (protocol.md, *Security events*)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

from .actors import Actor

EVENT_VERSION = 1
"""The version of the events' fields; it grows when one of them changes its meaning."""

ANONYMOUS = "ANONYMOUS"
"""The ``actor_type`` of somebody who did not prove who they are."""


class EventName(StrEnum):
    """Everything that is recorded."""

    LOGIN_SUCCEEDED = "auth.login.succeeded"
    LOGIN_FAILED = "auth.login.failed"
    LOGGED_OUT = "auth.logout"
    TWO_FACTOR_SET_UP = "auth.2fa.set_up"
    TWO_FACTOR_ENABLED = "auth.2fa.enabled"
    TWO_FACTOR_DISABLED = "auth.2fa.disabled"
    TOKEN_MINTED = "auth.client.token_minted"
    TOKEN_REVOKED = "auth.client.token_revoked"
    SECRET_ROTATED = "auth.client.secret_rotated"
    DEVICE_APPROVED = "auth.device.approved"
    DEVICE_DENIED = "auth.device.denied"
    AUTHORISATION_DENIED = "authz.denied"


class Severity(StrEnum):
    """How much an event asks for somebody's attention."""

    INFO = "INFO"
    NOTICE = "NOTICE"
    WARNING = "WARNING"


class Outcome(StrEnum):
    """What became of the attempt."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DENIED = "DENIED"


@frozen(kw_only=True)
class EventKind:
    """One row of the table: what is always the same for an event of this name."""

    severity: Severity
    outcome: Outcome
    meaning: str


def _row(severity: Severity, outcome: Outcome, meaning: str) -> EventKind:
    return EventKind(severity=severity, outcome=outcome, meaning=meaning)


EVENT_KINDS: Mapping[EventName, EventKind] = MappingProxyType(
    {
        EventName.LOGIN_SUCCEEDED: _row(Severity.INFO, Outcome.SUCCESS, "a person logged in"),
        EventName.LOGIN_FAILED: _row(
            Severity.WARNING, Outcome.FAILURE, "a login was refused; `error_code` says why"
        ),
        EventName.LOGGED_OUT: _row(Severity.INFO, Outcome.SUCCESS, "a person logged out"),
        EventName.TWO_FACTOR_SET_UP: _row(
            Severity.NOTICE,
            Outcome.SUCCESS,
            "a second factor was prepared, and is not yet asked for",
        ),
        EventName.TWO_FACTOR_ENABLED: _row(
            Severity.NOTICE, Outcome.SUCCESS, "a person's second factor was switched on"
        ),
        EventName.TWO_FACTOR_DISABLED: _row(
            Severity.WARNING, Outcome.SUCCESS, "a person's second factor was switched off"
        ),
        EventName.TOKEN_MINTED: _row(
            Severity.INFO, Outcome.SUCCESS, "a client got a token; its former one ended"
        ),
        EventName.TOKEN_REVOKED: _row(
            Severity.NOTICE, Outcome.SUCCESS, "a client's tokens were revoked"
        ),
        EventName.SECRET_ROTATED: _row(
            Severity.NOTICE, Outcome.SUCCESS, "a client's secret was replaced; its tokens ended"
        ),
        EventName.DEVICE_APPROVED: _row(
            Severity.NOTICE, Outcome.SUCCESS, "a person let a device in"
        ),
        EventName.DEVICE_DENIED: _row(
            Severity.WARNING, Outcome.DENIED, "a person refused a device"
        ),
        EventName.AUTHORISATION_DENIED: _row(
            Severity.WARNING, Outcome.DENIED, "a request was refused: nobody's, or not this actor's"
        ),
    }
)


@frozen(kw_only=True)
class SecurityEvent:
    """One event. ``actor_id`` and ``client_id`` are stable names, never a secret; empty where unknown."""

    event_name: EventName
    event_version: int
    timestamp_utc: datetime
    severity: Severity
    actor_type: str
    actor_id: str
    client_id: str
    request_id: str
    correlation_id: str
    outcome: Outcome
    error_code: str


def security_event(
    name: EventName,
    *,
    at: datetime,
    actor: Actor | None,
    client_id: str = "",
    request_id: str = "",
    correlation_id: str = "",
    error_code: str = "",
) -> SecurityEvent:
    """Make an event as its row says; ``actor`` is None for somebody who did not prove who they are.

    >>> from datetime import UTC, datetime
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> event = security_event(EventName.LOGIN_FAILED, at=noon, actor=None, error_code="UNAUTHORIZED")
    >>> event.outcome.value, event.severity.value, event.actor_type
    ('FAILURE', 'WARNING', 'ANONYMOUS')
    """
    kind = EVENT_KINDS[name]
    return SecurityEvent(
        event_name=name,
        event_version=EVENT_VERSION,
        timestamp_utc=at,
        severity=kind.severity,
        actor_type=ANONYMOUS if actor is None else actor.kind.value,
        actor_id="" if actor is None else actor.id,
        client_id=client_id,
        request_id=request_id,
        correlation_id=correlation_id,
        outcome=kind.outcome,
        error_code=error_code,
    )

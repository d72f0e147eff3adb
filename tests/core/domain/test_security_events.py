"""Security events are rows of one table (protocol.md, *Security events*)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from attrs import asdict

from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.security_events import (
    EVENT_KINDS,
    EventName,
    Outcome,
    Severity,
    security_event,
)
from retaia_core.ports.observer import correlation_id, request_id
from retaia_core.shell.security_log import LoggedSecurity
from retaia_core.testing.memory_security import MemorySecurityLog
from retaia_core.usecases.security import record, record_denied

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor(kind=ActorKind.PERSON, id="ana")
FIELDS = {
    "event_name",
    "event_version",
    "timestamp_utc",
    "severity",
    "actor_type",
    "actor_id",
    "client_id",
    "request_id",
    "correlation_id",
    "outcome",
    "error_code",
}


class TestTable:
    """Every event has a row, and every row makes an event."""

    def test_every_name_has_a_row(self) -> None:
        """No event is without severity and outcome."""
        assert set(EVENT_KINDS) == set(EventName)

    @pytest.mark.parametrize("name", EventName)
    def test_an_event_has_the_fields_of_the_protocol(self, name: EventName) -> None:
        """The fields are the protocol's, and severity and outcome are the row's."""
        event = security_event(name, at=NOON, actor=ANA, client_id="web", error_code="X")
        assert set(asdict(event)) == FIELDS
        assert (event.severity, event.outcome) == (
            EVENT_KINDS[name].severity,
            EVENT_KINDS[name].outcome,
        )
        assert (event.actor_type, event.actor_id) == ("PERSON", "ana")

    def test_nobody_is_anonymous(self) -> None:
        """Somebody who did not prove who they are has a type and no id."""
        event = security_event(EventName.LOGIN_FAILED, at=NOON, actor=None)
        assert (event.actor_type, event.actor_id) == ("ANONYMOUS", "")


class TestRecording:
    """An event knows the request that it is about."""

    def test_a_refusal(self) -> None:
        """A refusal is recorded with its code, under the request's two names."""
        log = MemorySecurityLog()
        tokens = correlation_id.set("asked-by-client"), request_id.set("given-by-server")
        try:
            record_denied(log, at=NOON, actor=ANA, error_code="FORBIDDEN_ACTOR", client_id="web")
        finally:
            correlation_id.reset(tokens[0])
            request_id.reset(tokens[1])
        (event,) = log.named(EventName.AUTHORISATION_DENIED)
        assert (event.correlation_id, event.request_id) == ("asked-by-client", "given-by-server")
        assert (event.outcome, event.error_code) == (Outcome.DENIED, "FORBIDDEN_ACTOR")
        assert event.client_id == "web"
        assert log.named(EventName.LOGGED_OUT) == []

    def test_lines_of_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each event is one record with every field; a warning is a warning there too."""
        caplog.set_level(logging.INFO, "retaia.security")
        log = LoggedSecurity()
        record(log, EventName.LOGIN_SUCCEEDED, at=NOON, actor=ANA)
        record_denied(log, at=NOON, actor=None, error_code="UNAUTHORIZED")
        assert [r.levelname for r in caplog.records] == ["INFO", "WARNING"]
        first, second = (vars(r)["retaia"] for r in caplog.records)
        assert set(first) == FIELDS | {"event"}
        assert (first["event"], first["timestamp_utc"]) == (
            "auth.login.succeeded",
            "2026-01-01T12:00:00Z",
        )
        assert (second["outcome"], second["severity"]) == (Outcome.DENIED, Severity.WARNING)

"""The security log as lines of the program's log."""

from __future__ import annotations

import logging

from attrs import asdict

from ..domain.security_events import SecurityEvent, Severity
from ..ports.security_log import SecurityLog

log = logging.getLogger("retaia.security")

_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.NOTICE: logging.INFO,
    Severity.WARNING: logging.WARNING,
}


def _document(event: SecurityEvent) -> dict[str, object]:
    at = event.timestamp_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"event": event.event_name.value, **asdict(event), "timestamp_utc": at}


class LoggedSecurity(SecurityLog):
    """Writes each event to the logger ``retaia.security``; ``retaia`` on the record has its fields."""

    def record(self, event: SecurityEvent) -> None:
        """Write a line."""
        level = _LEVELS[event.severity]
        if log.isEnabledFor(level):
            log.log(level, event.event_name.value, extra={"retaia": _document(event)})

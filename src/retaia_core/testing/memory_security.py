"""A security log in memory, for tests that ask what was recorded."""

from __future__ import annotations

from attrs import define, field

from ..domain.security_events import EventName, SecurityEvent
from ..ports.security_log import SecurityLog


@define
class MemorySecurityLog(SecurityLog):
    """Keeps every event in ``events``, the oldest first."""

    events: list[SecurityEvent] = field(factory=list)

    def record(self, event: SecurityEvent) -> None:
        """Keep an event."""
        self.events.append(event)

    def named(self, name: EventName) -> list[SecurityEvent]:
        """The events of one name."""
        return [event for event in self.events if event.event_name is name]

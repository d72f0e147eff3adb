"""What the server remembers of an agent."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

from .identifiers import AgentId, Capability

ALIVE = timedelta(seconds=90)
"""An agent that was not heard of for longer is shown as away."""


@frozen(kw_only=True)
class AgentRecord:
    """A registered agent; it keeps its id when it registers again under the same name and client."""

    agent_id: AgentId
    name: str
    version: str
    platform: str
    client_id: str
    capabilities: frozenset[Capability]
    registered_at: datetime
    last_seen_at: datetime

    def alive(self, now: datetime) -> bool:
        """Whether it was heard of lately."""
        return now - self.last_seen_at <= ALIVE

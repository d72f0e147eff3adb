"""Who acts."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class ActorKind(StrEnum):
    """The kinds of actor: people, technical agents, orchestration clients, and the system itself."""

    PERSON = "PERSON"
    AGENT = "AGENT"
    MCP = "MCP"
    SYSTEM = "SYSTEM"


@frozen(kw_only=True)
class Actor:
    """An actor, as journal and audit trail name it; ``id`` is stable and no secret."""

    kind: ActorKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}:{self.id}"


SYSTEM = Actor(kind=ActorKind.SYSTEM, id="retaia")
"""The actor of everything that nobody ordered: scans, recovery, the end of a job."""

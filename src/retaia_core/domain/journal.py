"""What was done: events of the audit trail, and the journal of filesystem actions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from .identifiers import RelPath, StorageId, Subject


@frozen(kw_only=True)
class Event:
    """One line of the audit trail: who did what to which subject, when, on what evidence.

    ``actor`` reads ``kind:id``; ``seq`` is given by the store and only grows.
    """

    subject: Subject
    name: str
    actor: str
    at: datetime
    data: Mapping[str, object] = field(factory=dict)
    seq: int = 0


class Phase(StrEnum):
    """Before an action, after it, or after it was found undone or impossible."""

    INTENT = "INTENT"
    DONE = "DONE"
    FAILED = "FAILED"


@frozen(kw_only=True)
class JournalEntry:
    """One filesystem action, written before it happens (INTENT) and after (DONE or FAILED)."""

    operation: str
    phase: Phase
    subject: Subject
    storage_id: StorageId
    source: RelPath
    target: RelPath | None
    at: datetime
    batch_id: str = ""
    fencing: int = 0
    evidence: Mapping[str, object] = field(factory=dict)
    seq: int = 0

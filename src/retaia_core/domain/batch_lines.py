"""Batches in a list: how each ended, in numbers."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from .identifiers import BatchId
from .moves import Batch, BatchStatus, Outcome


@frozen(kw_only=True)
class BatchLine:
    """A batch without a line per asset.

    The numbers are of assets; ``undone`` were moved by this batch and taken back by later ones, and
    ``blocked`` stayed where they were because the plan said so.
    """

    batch_id: BatchId
    status: BatchStatus
    created_at: datetime
    created_by: str
    total: int
    moved: int
    failed: int
    parked: int
    blocked: int
    undone: int = 0
    undoes: str = ""
    finished_at: datetime | None = None

    @property
    def place(self) -> BatchPlace:
        """Where it stands in the list."""
        return self.created_at, self.batch_id


BatchPlace = tuple[datetime, str]
"""A place in a list of batches: when one was made, and which."""


def line_of(batch: Batch, undone: int) -> BatchLine:
    """The line of a batch, of whose moves so many were taken back."""
    outcomes = [result.outcome for result in batch.results]
    return BatchLine(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        created_by=batch.created_by,
        total=len(outcomes),
        moved=outcomes.count(Outcome.MOVED),
        failed=outcomes.count(Outcome.FAILED),
        parked=outcomes.count(Outcome.PARKED),
        blocked=len(batch.blocked),
        undone=undone,
        undoes=batch.undoes,
        finished_at=batch.finished_at,
    )

"""The words in which the suites of claims and leases are written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ...domain.identifiers import AgentId, JobId
from ...domain.jobs import Job, JobProgress
from ...domain.leases import Lock
from ...ports.store import Claim, ClaimableQuery, Claimed, Transaction, Work
from ..clock import START
from ..samples import (
    ALICE,
    FACTS,
    LATE,
    PROXY,
    after,
    asset,
    job_id,
)
from .database import Database

SUBJECT = asset(1).subject
OVER = LATE.total_seconds()
"""Seconds after `START` at which a lease that was taken at `START` is over."""


def add(db: Database, *jobs: Job) -> None:
    """Add jobs."""
    db.write(lambda tx: tx.add_jobs(jobs))


def wish(by: AgentId = ALICE, at: float = 0, **changes: Any) -> Claim:
    """A claim of everything that is open for the first asset, by an agent that can do all."""
    values: dict[str, Any] = {
        "subject": SUBJECT,
        "agent_id": by,
        "capabilities": frozenset({FACTS, PROXY}),
        "token": f"token of {by} at {at}",
        "now": after(at),
        "until": after(at) + LATE,
    }
    return Claim(**values | changes)


def claim(db: Database, by: AgentId = ALICE, at: float = 0, **changes: Any) -> Claimed:
    """Claim in a transaction of its own."""
    return db.write(claiming(wish(by, at, **changes)))


def ids(claimed: Claimed) -> list[JobId]:
    """The ids of the jobs that a claim won, in their order."""
    return [won.job_id for won in claimed.jobs]


def stored(db: Database, n: int = 1) -> Job:
    """The n-th job as it is kept."""
    found = db.read(lambda tx: tx.job(job_id(n)))
    assert found is not None
    return found


def lease(db: Database) -> Lock:
    """The lock row of the first asset."""
    found = db.read(lambda tx: tx.lock(SUBJECT))
    assert found is not None
    return found


def offers(db: Database, by: AgentId = ALICE, at: float = 0, **changes: Any) -> list[JobId]:
    """The ids of the jobs that an agent is offered."""
    values: dict[str, Any] = {"capabilities": frozenset({FACTS, PROXY})}
    query = ClaimableQuery(agent_id=by, now=after(at), **values | changes)
    return [offered.job_id for offered in db.read(lambda tx: tx.claimable(query))]


def everything(db: Database) -> list[object]:
    """All that a claim may touch."""
    return [
        db.read(lambda tx: tx.find_jobs(limit=1000)),
        db.read(lambda tx: tx.lock(SUBJECT)),
        db.read(lambda tx: tx.locks(now=START, expired=False)),
    ]


def refused(db: Database, error: type[Exception], act: Work[object]) -> None:
    """Assert that an act is refused with an error, and changes nothing, even where it is caught."""
    before = everything(db)
    with pytest.raises(error):
        db.write(act)
    assert everything(db) == before

    def caught(tx: Transaction) -> None:
        with pytest.raises(error):
            act(tx)

    db.write(caught)
    assert everything(db) == before


def claiming(claim: Claim) -> Work[Claimed]:
    """The act of a claim."""
    return lambda tx: tx.claim(claim)


def saving(lock: Lock) -> Work[None]:
    """The act of writing a lock row."""
    return lambda tx: tx.save_lock(lock)


def beating(
    n: int,
    token: str,
    *,
    at: float,
    until: datetime | None = None,
    progress: JobProgress | None = None,
) -> Work[Lock]:
    """The heartbeat of the n-th job: its lease lasts two minutes more where nothing else is said."""
    end = until or after(at) + LATE
    return lambda tx: tx.extend(job_id(n), token=token, now=after(at), until=end, progress=progress)


def completing(n: int, token: str, *, at: float) -> Work[Job]:
    """The completion of the n-th job."""
    return lambda tx: tx.complete(job_id(n), token=token, now=after(at))

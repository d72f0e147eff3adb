"""Jobs: one atomic, deterministic, idempotent unit of work (domain.md, *Jobs*)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from attrs import evolve, field, frozen

from .identifiers import Capability, JobId, Subject

MAX_ATTEMPTS = 3
BACKOFF_BASE = timedelta(seconds=5)
BACKOFF_CAP = timedelta(minutes=10)


class JobStatus(StrEnum):
    """``pending → claimed → completed | failed``."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"


@frozen(kw_only=True)
class Failure:
    """Why a try failed: a stable code, a sentence, whether a new try may help, and when."""

    code: str
    message: str
    retryable: bool
    at: datetime


@frozen(kw_only=True)
class JobProgress:
    """``current`` of ``total`` (0 where unknown), with a short text."""

    current: int
    total: int
    text: str = ""


# With slots, a frozen value of so many fields would take four times as long to make.
@frozen(kw_only=True, slots=False)
class Job:
    """A job. While claimed, ``claimed_by``, ``lock_token`` and ``locked_until`` mirror its subject's lease.

    ``required`` says whether the subject's main state waits for it; ``review_version`` is the version of
    the asset's review that asked for it, so that a result of an older one is never applied; ``waiting``
    says that other jobs or derived inputs must be there first.
    ``waiting`` says that other jobs or derived inputs must be there first (`scheduling.unblocked`).
    """

    job_id: JobId
    job_type: str
    subject: Subject
    capabilities: frozenset[Capability]
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.PENDING
    parameters: Mapping[str, object] = field(factory=dict)
    required: bool = True
    review: bool = True
    priority: int = 0
    not_before: datetime | None = None
    depends_on: tuple[JobId, ...] = ()
    derived_inputs: tuple[str, ...] = ()
    waiting: bool = False
    review_version: int = 1
    attempts: int = 0
    max_attempts: int = MAX_ATTEMPTS
    claimed_by: str | None = None
    lock_token: str | None = None
    locked_until: datetime | None = None
    fencing: int = 0
    failure: Failure | None = None
    progress: JobProgress | None = None
    result: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether work may still come of it."""
        return self.status in (JobStatus.PENDING, JobStatus.CLAIMED)


class Offer(NamedTuple):
    """Of a pending job what agents are told before they claim it, and no more: they ask often."""

    job_id: JobId
    job_type: str
    subject: Subject
    capabilities: frozenset[Capability]


def offer_of(job: Job) -> Offer:
    """What agents are told of a job."""
    return Offer(job.job_id, job.job_type, job.subject, job.capabilities)


def backoff(attempts: int) -> timedelta:
    """Wait this long after the n-th failed or lost try (doubling, capped).

    >>> [backoff(n).total_seconds() for n in (1, 2, 3)]
    [5.0, 10.0, 20.0]
    """
    doublings = max(0, min(attempts - 1, 16))
    return min(BACKOFF_CAP, BACKOFF_BASE * (1 << doublings))


def _let_go(job: Job, now: datetime) -> Job:
    return evolve(
        job, claimed_by=None, lock_token=None, locked_until=None, progress=None, updated_at=now
    )


def claimed(job: Job, *, by: str, token: str, until: datetime, fencing: int, now: datetime) -> Job:
    """The job in an agent's hands; each claim is one attempt."""
    return evolve(
        job,
        status=JobStatus.CLAIMED,
        claimed_by=by,
        lock_token=token,
        locked_until=until,
        fencing=fencing,
        attempts=job.attempts + 1,
        progress=None,
        updated_at=now,
    )


def completed(
    job: Job,
    now: datetime,
    *,
    result: Mapping[str, object] | None = None,
    warnings: tuple[str, ...] = (),
) -> Job:
    """The job done; ``result`` is its data where it has a result of its own."""
    done = evolve(_let_go(job, now), status=JobStatus.COMPLETED, failure=None)
    return evolve(done, result=result or {}, warnings=warnings)


NOT_THE_FILE = frozenset(
    {"STORAGE_NOT_MOUNTED", "STORAGE_OFFLINE", "SOURCE_CHANGED", "WORKSPACE_FULL"}
)
"""Failures of a machine or a moment, which say nothing about the file: they cost no attempt."""

PAUSE_ELSEWHERE = timedelta(seconds=30)


def failed(job: Job, failure: Failure) -> Job:
    """A try failed: back to pending after a pause while tries are left and it may help, else for good.

    A lost mount or a full disk of an agent never makes a file unprocessable (`NOT_THE_FILE`).
    """
    let_go = evolve(_let_go(job, failure.at), failure=failure)
    if failure.retryable and failure.code in NOT_THE_FILE:
        return evolve(
            let_go,
            status=JobStatus.PENDING,
            attempts=max(0, job.attempts - 1),
            not_before=failure.at + PAUSE_ELSEWHERE,
        )
    if failure.retryable and job.attempts < job.max_attempts:
        return evolve(
            let_go, status=JobStatus.PENDING, not_before=failure.at + backoff(job.attempts)
        )
    return evolve(let_go, status=JobStatus.FAILED)


def lost(job: Job, now: datetime) -> Job:
    """The lease ran out: claimable again at once, while tries are left; the reason is kept."""
    failure = Failure(
        code="LEASE_EXPIRED",
        message=f"{job.claimed_by or 'the agent'} was not heard of before the lease ran out",
        retryable=True,
        at=now,
    )
    let_go = evolve(_let_go(job, now), failure=failure)
    if job.attempts < job.max_attempts:
        return evolve(let_go, status=JobStatus.PENDING, not_before=None)
    return evolve(let_go, status=JobStatus.FAILED)


def released(job: Job, now: datetime) -> Job:
    """An agent gave the job back on purpose (it stops): pending at once, and no attempt is counted."""
    attempts = max(0, job.attempts - 1)
    return evolve(_let_go(job, now), status=JobStatus.PENDING, attempts=attempts, not_before=None)


def renewed(job: Job, now: datetime) -> Job:
    """A person asked for a new try of a failed job."""
    return evolve(
        _let_go(job, now), status=JobStatus.PENDING, attempts=0, not_before=None, failure=None
    )


def superseded(job: Job, now: datetime) -> Job:
    """The asset's review started anew: what is still open of the old one is closed."""
    failure = Failure(
        code="SUPERSEDED", message="the review of the asset started anew", retryable=False, at=now
    )
    return evolve(_let_go(job, now), status=JobStatus.FAILED, failure=failure, waiting=False)


def withdrawn(job: Job, now: datetime) -> Job:
    """The asset was purged: what is still open of its work is closed."""
    failure = Failure(code="PURGED", message="the asset was purged", retryable=False, at=now)
    return evolve(_let_go(job, now), status=JobStatus.FAILED, failure=failure, waiting=False)

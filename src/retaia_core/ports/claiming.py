"""What a claim means: `leases` and `jobs` applied to a subject's lock and jobs, before anything is written.

Every store decides by these functions, whatever shorter ways it has for the usual case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from attrs import evolve

from ..domain.identifiers import JobId
from ..domain.jobs import Job, JobStatus, claimed, lost
from ..domain.leases import Lock, LockKind, acquire
from ..errors import NotFound, RetaiaError, StaleLockToken, StateConflict
from .store import Claim, ClaimableQuery, Claimed

Item = TypeVar("Item")
T = TypeVar("T")


def one_by_one(act: Callable[[Item], T], items: Iterable[Item]) -> Sequence[T | RetaiaError]:
    """What comes of each of several acts, none of which writes anything where it is refused."""
    outcomes: list[T | RetaiaError] = []
    for item in items:
        try:
            outcomes.append(act(item))
        except RetaiaError as error:
            outcomes.append(error)
    return outcomes


def offer_order(job: Job) -> tuple[object, ...]:
    """By priority (high first), then by age."""
    return (-job.priority, job.created_at, job.job_id)


def won(claim: Claim, jobs: Iterable[Job]) -> Claimed:
    """What a claim got whose jobs were taken as it wished: their lease, and they in the order of offers."""
    ordered = tuple(sorted(jobs, key=offer_order))
    lock = Lock(
        subject=claim.subject,
        kind=LockKind.JOB_LEASE,
        holder=claim.agent_id,
        token=claim.token,
        fencing=ordered[0].fencing,
        expires_at=claim.until,
    )
    return Claimed(lock=lock, jobs=ordered)


def under(lock: Lock, job: Job) -> bool:
    """Whether a job is held under a lock."""
    return job.status is JobStatus.CLAIMED and job.lock_token == lock.token


def held_under(lock: Lock, job: Job) -> Job:
    """The job, where it is one of those that the lease holds.

    Raises:
        StaleLockToken: it ended, was given back, or belongs to another lease.
    """
    if not under(lock, job):
        raise StaleLockToken(
            f"job {job.job_id} is {job.status} and not held under this lease; nothing was applied",
            status=job.status.value,
        )
    return job


def due(job: Job, wish: Claim | ClaimableQuery) -> bool:
    """Whether a job can be claimed as far as it is the job's own matter."""
    return (
        job.status is JobStatus.PENDING
        and not job.waiting
        and (job.not_before is None or job.not_before <= wish.now)
        and job.capabilities <= wish.capabilities
        and (wish.job_types is None or job.job_type in wish.job_types)
    )


def offered(job: Job, lock: Lock | None, query: ClaimableQuery) -> bool:
    """Whether a job may be offered: it is due, and nobody else holds its subject."""
    if lock is not None and lock.held(query.now):
        mine = (lock.kind, lock.holder) == (LockKind.JOB_LEASE, query.agent_id)
        return mine and due(job, query)
    return due(job, query)


def _wished(claim: Claim, jobs: Mapping[JobId, Job]) -> Iterable[Job]:
    if claim.job_ids is None:
        return jobs.values()
    unknown = [job_id for job_id in claim.job_ids if job_id not in jobs]
    if unknown:
        raise NotFound(f"{claim.subject} has no job {', '.join(unknown)}", jobs=unknown)
    return [jobs[job_id] for job_id in dict.fromkeys(claim.job_ids)]


def _lease(claim: Claim, current: Lock | None) -> Lock:
    return acquire(
        current,
        claim.subject,
        kind=LockKind.JOB_LEASE,
        holder=claim.agent_id,
        token=claim.token,
        now=claim.now,
        duration=claim.until - claim.now,
    )


def _won(claim: Claim, lock: Lock, job: Job) -> Job:
    until, now = lock.expires_at, claim.now
    return claimed(
        job, by=claim.agent_id, token=lock.token, until=until, fencing=lock.fencing, now=now
    )


def take(claim: Claim, current: Lock | None, jobs: Iterable[Job]) -> tuple[Claimed, list[Job]]:
    """Decide a claim over the subject's lock and all its jobs; returns also every job that changed.

    Raises:
        NotFound, StateConflict: as `Transaction.claim` says.
    """
    present = {job.job_id: job for job in jobs}
    _wished(claim, present)
    lock = _lease(claim, current)
    joins = current is not None and current.held(claim.now)
    changed = {
        job.job_id: evolve(job, locked_until=lock.expires_at) if joins else lost(job, claim.now)
        for job in present.values()
        if job.status is JobStatus.CLAIMED
    }
    wished = _wished(claim, present | changed)
    ready = sorted((job for job in wished if due(job, claim)), key=offer_order)
    if not ready:
        raise StateConflict(
            f"no job of {claim.subject} can be claimed now; list the claimable jobs again",
            jobs={job.job_id: job.status.value for job in wished},
        )
    won = tuple(_won(claim, lock, job) for job in ready)
    changed |= {job.job_id: job for job in won}
    return Claimed(lock=lock, jobs=won), list(changed.values())

"""How much work there is, and what it waits for: the store's counts of jobs, read by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from enum import StrEnum

from attrs import field, frozen

from .identifiers import Capability
from .jobs import JobStatus


@frozen(kw_only=True)
class JobCount:
    """How many jobs are alike; ``waiting`` says that others must be done before them."""

    job_type: str
    status: JobStatus
    capabilities: frozenset[Capability]
    waiting: bool
    count: int


class WaitReason(StrEnum):
    """What a pending job waits for."""

    NO_AGENT = "NO_AGENT_OFFERS_IT"
    OTHER_JOBS = "OTHER_JOBS_OF_ITS_ASSET"
    FREE_AGENT = "A_FREE_AGENT"


@frozen(kw_only=True)
class Waiting:
    """Pending jobs of one type that wait for the same; ``missing`` are capabilities nobody offers."""

    job_type: str
    reason: WaitReason
    missing: tuple[Capability, ...]
    count: int


@frozen(kw_only=True)
class Workload:
    """Jobs by type and status, and why the pending ones wait."""

    counts: Mapping[tuple[str, JobStatus], int] = field(factory=dict)
    waiting: tuple[Waiting, ...] = ()


def _reason(
    count: JobCount, offered: Set[Capability]
) -> tuple[str, WaitReason, tuple[Capability, ...]]:
    missing = tuple(sorted(count.capabilities - offered))
    if missing:
        return count.job_type, WaitReason.NO_AGENT, missing
    reason = WaitReason.OTHER_JOBS if count.waiting else WaitReason.FREE_AGENT
    return count.job_type, reason, ()


def workload(counts: Iterable[JobCount], offered: Set[Capability]) -> Workload:
    """Sum up what the store counted; ``offered`` is what agents that are alive can do.

    A job that nobody can do says so first, whatever else it waits for: that is what a person can mend.
    """
    totals: Counter[tuple[str, JobStatus]] = Counter()
    reasons: Counter[tuple[str, WaitReason, tuple[Capability, ...]]] = Counter()
    for count in counts:
        totals[count.job_type, count.status] += count.count
        if count.status is JobStatus.PENDING:
            reasons[_reason(count, offered)] += count.count
    return Workload(
        counts=dict(sorted(totals.items())),
        waiting=tuple(
            Waiting(job_type=job_type, reason=reason, missing=missing, count=number)
            for (job_type, reason, missing), number in sorted(reasons.items())
        ),
    )

"""Jobs and locks as rows, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from retaia_core.domain.identifiers import Capability, JobId, Subject
from retaia_core.domain.jobs import Failure, Job, JobProgress, JobStatus, Offer
from retaia_core.domain.leases import Lock, LockKind
from retaia_core.ports.store import Claim

from .dialects import Row
from .schema import jobs
from .values import dump, load_object, maybe_micros, micros, time_of

OF_CLAIM = ("status", "claimed_by", "lock_token", "locked_until", "updated_at", "progress")
"""What a claim sets to the same for all its jobs."""

KEPT = tuple(c.name for c in jobs.c if c.name not in {*OF_CLAIM, "offered_as"})
COLUMNS = (*KEPT, *OF_CLAIM)
"""Those that a job is made of."""

OFFER_COLUMNS = (
    *("priority", "created_at", "job_id", "job_type", "subject_kind", "subject_id", "capabilities"),
)
CHANGING = (
    *("status", "offered_as", "not_before", "attempts", "claimed_by", "lock_token"),
    *("locked_until", "fencing", "updated_at", "failure", "progress", "result", "warnings"),
)
"""The columns that claiming, completing and losing a job touch."""


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job is born with and no query looks at; what has its default is left out."""

    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    depends_on: tuple[JobId, ...] = ()
    derived_inputs: tuple[str, ...] = ()


_document = msgspec.json.Decoder(_Document)
_failure = msgspec.json.Decoder(Failure | None)
_progress = msgspec.json.Decoder(JobProgress)
_warnings = msgspec.json.Decoder(tuple[str, ...])
_NOTHING = _Document()
_STATUSES = {status.value: status for status in JobStatus}


def lane_of(job: Job) -> str | None:
    """What a job is offered as: its type and capabilities, while it may be claimed at all."""
    if job.status is not JobStatus.PENDING or job.waiting:
        return None
    return f"{job.job_type} {','.join(sorted(job.capabilities))}"


def parse_lane(lane: str) -> tuple[str, frozenset[str]]:
    """The job type and the capabilities back from `lane_of`."""
    job_type, _, capabilities = lane.partition(" ")
    return job_type, frozenset(filter(None, capabilities.split(",")))


def _unknown(job: Job) -> str:
    """The reason of a failed job that has none: it is looked up by its not being empty."""
    return "null" if job.status is JobStatus.FAILED else ""


def changing_of(job: Job) -> dict[str, object]:
    """The values of `CHANGING`."""
    return {
        "status": job.status.value,
        "offered_as": lane_of(job),
        "not_before": maybe_micros(job.not_before),
        "attempts": job.attempts,
        "claimed_by": job.claimed_by,
        "lock_token": job.lock_token,
        "locked_until": maybe_micros(job.locked_until),
        "fencing": job.fencing,
        "updated_at": micros(job.updated_at),
        "failure": dump(job.failure) or _unknown(job),
        "progress": dump(job.progress),
        "result": dump(job.result),
        "warnings": dump(job.warnings),
    }


def row_of(job: Job) -> dict[str, object]:
    """The whole row."""
    rest = _Document(job.parameters, job.depends_on, job.derived_inputs)
    plain = not (job.parameters or job.depends_on or job.derived_inputs)
    return changing_of(job) | {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "subject_kind": job.subject.kind,
        "subject_id": job.subject.id,
        "capabilities": ",".join(sorted(job.capabilities)),
        "required": job.required,
        "review": job.review,
        "priority": job.priority,
        "waiting": job.waiting,
        "review_version": job.review_version,
        "max_attempts": job.max_attempts,
        "created_at": micros(job.created_at),
        "document": "" if plain else dump(rest),
    }


@lru_cache(256)
def _capabilities(text: str) -> frozenset[Capability]:
    """They are the same for many jobs."""
    return frozenset(Capability(name) for name in text.split(",") if name)


@lru_cache(256)
def _subject(kind: str, identity: str) -> Subject:
    """Several jobs in a row are about the same."""
    return Subject(kind=kind, id=identity)


_time = lru_cache(256)(time_of)
"""The times of jobs that were made, claimed or completed together are the same."""


def job_of(row: Row) -> Job:
    """The job back from its row, whose columns are `COLUMNS`."""
    (job_id, job_type, kind, identity, capabilities, required, review, priority) = row[:8]
    (not_before, waiting, version, attempts, most, fencing, created, failure) = row[8:16]
    (result, warnings, document, status, by, token, until, updated, progress) = row[16:25]
    rest = _document.decode(document) if document else _NOTHING
    return Job(
        job_id=job_id,
        job_type=job_type,
        subject=_subject(kind, identity),
        capabilities=_capabilities(capabilities),
        created_at=_time(created),
        updated_at=_time(updated),
        status=_STATUSES[status],
        parameters=rest.parameters,
        required=bool(required),
        review=bool(review),
        priority=priority,
        not_before=None if not_before is None else _time(not_before),
        depends_on=rest.depends_on,
        derived_inputs=rest.derived_inputs,
        waiting=bool(waiting),
        review_version=version,
        attempts=attempts,
        max_attempts=most,
        claimed_by=by,
        lock_token=token,
        locked_until=None if until is None else _time(until),
        fencing=fencing,
        failure=_failure.decode(failure) if failure else None,
        progress=_progress.decode(progress) if progress else None,
        result=load_object(result),
        warnings=_warnings.decode(warnings) if warnings else (),
    )


def of_claim(claim: Claim) -> Row:
    """The values of `OF_CLAIM`."""
    until, now = micros(claim.until), micros(claim.now)
    return JobStatus.CLAIMED.value, claim.agent_id, claim.token, until, now, ""


def offer_order_of(row: Row) -> tuple[object, ...]:
    """`claiming.offer_order` of a row, whose columns are `OFFER_COLUMNS`."""
    return -row[0], row[1], row[2]


def offers_of(rows: Iterable[Row]) -> list[Offer]:
    """Offers from their rows, whose columns are `OFFER_COLUMNS`."""
    return [
        Offer(job_id, job_type, _subject(kind, identity), _capabilities(capabilities))
        for _, _, job_id, job_type, kind, identity, capabilities in rows
    ]


def lock_row(lock: Lock) -> dict[str, object]:
    """A lock as a row."""
    return {
        "subject_kind": lock.subject.kind,
        "subject_id": lock.subject.id,
        "kind": lock.kind.value,
        "holder": lock.holder,
        "token": lock.token,
        "fencing": lock.fencing,
        "expires_at": micros(lock.expires_at),
    }


def lock_of(row: Row) -> Lock:
    """A lock back from its row."""
    subject_kind, subject_id, kind, holder, token, fencing, expires = row
    return Lock(
        subject=Subject(kind=subject_kind, id=subject_id),
        kind=LockKind(kind),
        holder=holder,
        token=token,
        fencing=fencing,
        expires_at=time_of(expires),
    )


def nobodys(subject: Subject) -> Lock:
    """A row that is there only to be locked: its fencing number says that nobody ever held it."""
    return Lock(
        subject=subject,
        kind=LockKind.JOB_LEASE,
        holder="",
        token="",
        fencing=0,
        expires_at=time_of(0),
    )

"""Which jobs an asset needs, and what its state does when one of them ends: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from .assets import Asset
from .identifiers import Capability, JobId
from .job_types import JobType, parse_parameters
from .jobs import Job, JobStatus
from .lifecycle import Action, State
from .profiles import Profile


@frozen(kw_only=True)
class JobRequest:
    """A job that should be, without identity and times: those come from the use case."""

    job_type: str
    capability: Capability
    required: bool
    review: bool
    parameters: Mapping[str, object] = field(factory=dict)
    after: tuple[str, ...] = ()
    derived_inputs: tuple[str, ...] = ()
    priority: int = 0


def _request(asset: Asset, profile: Profile, job_type: JobType) -> JobRequest:
    return JobRequest(
        job_type=job_type.name,
        capability=job_type.capability_for(asset.media_type),
        required=job_type.name in profile.required,
        review=job_type.review or job_type.name in profile.required,
        parameters=parse_parameters(job_type, profile.parameters.get(job_type.name, {})),
        after=job_type.after,
        derived_inputs=job_type.derived_inputs,
        priority=job_type.priority,
    )


def review_jobs(
    asset: Asset, profile: Profile, job_types: Mapping[str, JobType]
) -> tuple[JobRequest, ...]:
    """The jobs of a review: what the profile requires, then its optional review jobs.

    An optional job whose need shows only in the facts (a waveform of a video) is asked for all the
    same, so that one decode can serve it; it fails for good, harmlessly, where there is no audio track.
    """
    optional = (name for name in profile.optional if job_types[name].review)
    return tuple(
        _request(asset, profile, job_types[name]) for name in (*profile.required, *optional)
    )


def later_jobs(
    asset: Asset,
    profile: Profile,
    job_types: Mapping[str, JobType],
    switched_on: frozenset[str],
) -> tuple[JobRequest, ...]:
    """The jobs that become eligible after PROCESSED, where they are switched on."""
    everywhere = (row.name for row in job_types.values() if row.any_profile)
    return tuple(
        _request(asset, profile, job_types[name])
        for name in dict.fromkeys((*profile.optional, *everywhere))
        if not job_types[name].review
        and name in switched_on
        and name not in profile.forbidden
        and not (job_types[name].needs_audio and "audio_codec" not in asset.facts)
    )


def waits(after: Iterable[str], inputs: Iterable[str], asset: Asset, jobs: Sequence[Job]) -> bool:
    """Whether a job must wait for others of its asset, or for derived files that are not there."""
    done = {job.job_type for job in jobs if job.status is JobStatus.COMPLETED}
    kinds = {ref.kind for ref in asset.derived}
    return not (set(after) <= done and set(inputs) <= kinds)


def unblocked(asset: Asset, jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The waiting jobs whose dependencies are now there, ready to be claimed."""
    done = {job.job_id for job in jobs if job.status is JobStatus.COMPLETED}
    kinds = {ref.kind for ref in asset.derived}
    return tuple(
        evolve(job, waiting=False)
        for job in jobs
        if job.waiting and set(job.depends_on) <= done and set(job.derived_inputs) <= kinds
    )


class Cause(StrEnum):
    """Why `advance` is asked: a job was completed, or let go (failed, lost, released)."""

    COMPLETED = "completed"
    LET_GO = "let_go"


@frozen(kw_only=True)
class Advance:
    """What follows: the steps of the state machine in order, and whether the asset is unprocessable."""

    actions: tuple[Action, ...] = ()
    unprocessable: bool = False
    reasons: Mapping[JobId, str] = field(factory=dict)


def advance(asset: Asset, jobs: Sequence[Job], cause: Cause) -> Advance:
    """Say what an asset's state does after one of its jobs ended (domain.md, *State machine*).

    ``jobs`` are all jobs of the asset's present review version. Only an asset in PROCESSING_REVIEW
    moves; a result that comes later (an optional job) never changes the main state.
    """
    if asset.state is not State.PROCESSING_REVIEW:
        return Advance()
    required = [job for job in jobs if job.required]
    if all(job.status is JobStatus.COMPLETED for job in required):
        return Advance(actions=(Action.COMPLETE,))
    if any(job.status is JobStatus.CLAIMED for job in jobs):
        return Advance()
    reasons = {
        job.job_id: job.failure.message if job.failure else "failed without a reason"
        for job in required
        if job.status is JobStatus.FAILED
    }
    tried_in_vain = any(job.status is JobStatus.PENDING and job.failure for job in jobs)
    if reasons or tried_in_vain or cause is Cause.LET_GO:
        return Advance(actions=(Action.RELEASE,), unprocessable=bool(reasons), reasons=reasons)
    return Advance()

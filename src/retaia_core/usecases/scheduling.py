"""Making jobs of what an asset needs, and doing what their ends mean for its state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import evolve

from ..catalog import Catalog
from ..domain.actors import SYSTEM, Actor, ActorKind
from ..domain.assets import Asset, Flag, advanced, flagged
from ..domain.identifiers import JobId
from ..domain.jobs import Job, JobStatus, renewed, superseded
from ..domain.lifecycle import Action, State
from ..domain.scheduling import (
    Cause,
    JobRequest,
    advance,
    later_jobs,
    review_jobs,
    unblocked,
    waits,
)
from ..ports.clock import Ids
from ..ports.store import Transaction
from .trail import save_step


def _jobs(
    asset: Asset, requests: Iterable[JobRequest], ids: Ids, now: datetime, known: Sequence[Job]
) -> list[Job]:
    made: list[Job] = []
    by_type = {job.job_type: job.job_id for job in known}
    for request in requests:
        job = Job(
            job_id=JobId(ids.uuid()),
            job_type=request.job_type,
            subject=asset.subject,
            capabilities=frozenset({request.capability}),
            created_at=now,
            updated_at=now,
            parameters=request.parameters,
            required=request.required,
            review=request.review,
            priority=request.priority,
            depends_on=tuple(by_type[name] for name in request.after if name in by_type),
            derived_inputs=request.derived_inputs,
            waiting=waits(request.after, request.derived_inputs, asset, known),
            review_version=asset.review_version,
        )
        by_type[request.job_type] = job.job_id
        made.append(job)
    return made


def open_review(tx: Transaction, asset: Asset, catalog: Catalog, ids: Ids, now: datetime) -> None:
    """Add the review jobs of an asset's present version; open jobs of older versions are closed."""
    for old in tx.jobs_of(asset.subject):
        if old.open:
            tx.save_job(superseded(old, now))
    requests = review_jobs(asset, catalog.profiles[asset.profile], catalog.job_types)
    tx.add_jobs(_jobs(asset, requests, ids, now, ()))


def open_later(
    tx: Transaction,
    asset: Asset,
    catalog: Catalog,
    ids: Ids,
    now: datetime,
    switched_on: frozenset[str],
) -> None:
    """Add the jobs that become eligible after PROCESSED, where they are switched on."""
    profile = catalog.profiles[asset.profile]
    requests = later_jobs(asset, profile, catalog.job_types, switched_on)
    known = tx.jobs_of(asset.subject, asset.review_version)
    have = {job.job_type for job in known}
    wanted = [request for request in requests if request.job_type not in have]
    tx.add_jobs(_jobs(asset, wanted, ids, now, known))


def after_job(tx: Transaction, asset: Asset, cause: Cause, now: datetime) -> Asset:
    """Take the steps that follow from the end of a job, and free the jobs that waited for it."""
    jobs = list(tx.jobs_of(asset.subject, asset.review_version))
    for job in unblocked(asset, jobs):
        tx.save_job(job)
    step = advance(asset, jobs, cause)
    for action in step.actions:
        after = advanced(asset, action, SYSTEM, now)
        after = flagged(after, Flag.UNPROCESSABLE, on=step.unprocessable)
        reasons = {"reasons": sorted(set(step.reasons.values()))} if step.unprocessable else {}
        asset = save_step(tx, asset, after, f"asset.{action.lower()}", SYSTEM, now, **reasons)
    return asset


def begin_processing(tx: Transaction, asset: Asset, agent: str, now: datetime) -> Asset:
    """The first claim of a review job takes the asset out of READY; later claims change nothing."""
    if asset.state is not State.READY:
        return asset
    actor = Actor(kind=ActorKind.AGENT, id=agent)
    return save_step(
        tx, asset, advanced(asset, Action.CLAIM, actor, now), "asset.claim", actor, now
    )


def let_go(tx: Transaction, asset: Asset | None, now: datetime) -> Asset | None:
    """What follows when a job was failed, lost or released."""
    return after_job(tx, asset, Cause.LET_GO, now) if asset is not None else None


def renew_failed(tx: Transaction, asset: Asset, now: datetime) -> Asset:
    """Give every failed job of the present review a new try."""
    for job in tx.jobs_of(asset.subject, asset.review_version):
        if job.status is JobStatus.FAILED:
            tx.save_job(renewed(job, now))
    return evolve(asset, flags=asset.flags - {Flag.UNPROCESSABLE})

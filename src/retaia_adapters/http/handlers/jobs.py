"""Jobs: list, claim, hold, submit, fail, give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from retaia_core.domain.assets import Asset
from retaia_core.domain.jobs import Job, JobProgress
from retaia_core.domain.query import DEFAULT_LIMIT
from retaia_core.ports.store import Transaction
from retaia_core.usecases.results import DerivedClaim, Submission

from ..call import Call, Handler, once_only
from ..views import bundle_of, claimed_of, lease_of, offered_of, outcome_of, pending_of


async def _allowed(call: Call) -> frozenset[str] | None:
    """The job types that the server hands out, those of features that are off aside; None for all."""
    allowed = frozenset(call.serving.options.allowed_job_types)
    closed = await call.services.features.closed_job_types()
    if not closed:
        return allowed or None
    return (allowed or frozenset(call.services.catalog.job_types)) - closed


async def _of_contract(call: Call) -> frozenset[str]:
    known, allowed = call.serving.contract_job_types, await _allowed(call)
    return known if allowed is None else known & allowed


async def list_jobs(call: Call) -> object:
    """The pending jobs that fit the agent, of the types that the contract names."""
    processing = call.services.processing
    await call.services.agents.heard_of(call.agent)
    offered = await processing.offered(call.agent, job_types=await _of_contract(call))
    return [pending_of(row) for row in offered]


async def list_offered(call: Call) -> object:
    """The pending jobs that fit the agent, of every type."""
    processing = call.services.processing
    await call.services.agents.heard_of(call.agent)
    limit = call.query.get("limit", DEFAULT_LIMIT)
    offered = await processing.offered(call.agent, limit=limit, job_types=await _allowed(call))
    return {"items": [offered_of(row) for row in offered]}


async def claim_job(call: Call) -> object:
    """Claim one job, of a type that the contract names."""
    claimed = await call.services.processing.claim(
        call.agent, call.job_id, job_types=await _of_contract(call)
    )
    return claimed_of(claimed)


async def claim_bundle(call: Call) -> object:
    """Reserve everything of one asset that the agent can do."""
    bundle = await call.services.processing.claim_bundle(
        call.agent, call.uuid, job_types=await _allowed(call)
    )
    return bundle_of(bundle)


async def heartbeat(call: Call) -> object:
    """Extend the lease."""
    progress = call.body.get("progress")
    shown = JobProgress(**progress) if progress else None
    lock = await call.services.processing.heartbeat(
        call.agent, call.job_id, call.body["lock_token"], shown
    )
    return lease_of(lock)


def _claims(manifest: Sequence[Mapping[str, Any]]) -> tuple[DerivedClaim, ...]:
    return tuple(DerivedClaim(**row) for row in manifest)


def _contract_submission(body: Mapping[str, Any]) -> Submission:
    result = body["result"]
    return Submission(
        lock_token=body["lock_token"],
        job_type=body["job_type"],
        facts=result.get("facts_patch", {}),
        derived=_claims(result.get("derived_patch", {}).get("derived_manifest", ())),
        warnings=tuple(result.get("warnings", ())),
        metrics=result.get("metrics", {}),
    )


def _own_submission(body: Mapping[str, Any]) -> Submission:
    return Submission(
        lock_token=body["lock_token"],
        job_type=body["job_type"],
        facts=body.get("facts_patch", {}),
        derived=_claims(body.get("derived_manifest", ())),
        data=body.get("data", {}),
        warnings=tuple(body.get("warnings", ())),
        metrics=body.get("metrics", {}),
    )


def _job(result: tuple[Job, Asset | None]) -> object:
    return outcome_of(result[0])


async def _submit(call: Call, submission: Submission) -> object:
    processing = call.services.processing
    work = partial(processing.submit_in, call.agent, call.job_id, submission)
    once = await once_only(call, work, _job, durable=False)
    if once.made is not None:
        await processing.settle(once.made[1])
    return once.answer


async def submit_job(call: Call) -> object:
    """Apply a result, in the contract's form."""
    return await _submit(call, _contract_submission(call.body))


async def submit_result(call: Call) -> object:
    """Apply a result, in our own form, which has room for plugins."""
    return await _submit(call, _own_submission(call.body))


async def fail_job(call: Call) -> object:
    """Record that a job failed."""
    body, processing = call.body, call.services.processing

    def work(tx: Transaction) -> tuple[Job, Asset | None]:
        return processing.fail_in(
            call.agent,
            call.job_id,
            body["lock_token"],
            body["error_code"],
            body.get("message", ""),
            body["retryable"],
            tx,
        )

    once = await once_only(call, work, _job, durable=False)
    if once.made is not None:
        await processing.settle(once.made[1])
    return once.answer


async def release_job(call: Call) -> object:
    """Take a job back from an agent that stops."""
    processing = call.services.processing
    return outcome_of(await processing.give_back(call.agent, call.job_id, call.body["lock_token"]))


HANDLERS: Mapping[str, Handler] = {
    "listJobs": list_jobs,
    "listOfferedJobs": list_offered,
    "claimJob": claim_job,
    "claimBundle": claim_bundle,
    "heartbeatJob": heartbeat,
    "submitJob": submit_job,
    "submitJobResult": submit_result,
    "failJob": fail_job,
    "releaseJob": release_job,
}

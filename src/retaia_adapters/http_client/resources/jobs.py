"""What agents do: register, take jobs, hold them, give results."""

from __future__ import annotations

from collections.abc import Sequence

from ..ask import ask
from ..convert import plain
from ..modes import M, Resource, operation
from ..values.assets import JobProgress
from ..values.jobs import (
    AgentRegistered,
    Bundle,
    Job,
    JobOutcome,
    JobResultRequest,
    LeaseExtended,
    OfferedJobs,
    SubmitDerived,
    SubmitExtractFacts,
)


class Agents(Resource[M]):
    """``/agents``."""

    @operation
    async def register(
        self,
        agent_name: str,
        agent_version: str,
        capabilities: Sequence[str],
        *,
        platform: str | None = None,
        max_parallel_jobs: int | None = None,
        client_feature_flags_contract_version: str | None = None,
    ) -> AgentRegistered:
        """Say what this agent is and can do.

        Where several agents share one credential, set the client's ``agent_id`` to the answer's.

        Raises:
            UnsupportedFeatureFlagsContractVersion: the version given is not accepted.
        """
        given = {
            "platform": platform,
            "max_parallel_jobs": max_parallel_jobs,
            "client_feature_flags_contract_version": client_feature_flags_contract_version,
        }
        body = {
            "agent_name": agent_name,
            "agent_version": agent_version,
            "capabilities": capabilities,
            **{name: value for name, value in given.items() if value is not None},
        }
        request = ask("POST", "/agents/register", body=body)
        return await self._engine.call(request, AgentRegistered)


class Jobs(Resource[M]):
    """``/jobs``, and the claim of all that one asset needs."""

    @operation
    async def list(self) -> tuple[Job, ...]:
        """Pending jobs of the contract's types that fit this agent."""
        return await self._engine.call(ask("GET", "/jobs"), tuple[Job, ...])

    @operation
    async def offered(self, *, limit: int | None = None) -> OfferedJobs:
        """Pending jobs of any type that fit this agent."""
        request = ask("GET", "/jobs/offered", query={"limit": limit})
        return await self._engine.call(request, OfferedJobs)

    @operation
    async def claim(self, job_id: str) -> Job:
        """Take one job; the answer has its lock token and until when it holds.

        Raises:
            StateConflict: another was faster.
        """
        return await self._engine.call(ask("POST", "/jobs/{job_id}/claim", job_id), Job)

    @operation
    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        """Take every pending job of an asset that this agent can do, under one lease.

        Raises:
            StateConflict: another was faster.
        """
        request = ask("POST", "/assets/{uuid}/claim-bundle", asset_uuid)
        return await self._engine.call(request, Bundle)

    @operation
    async def heartbeat(
        self, job_id: str, lock_token: str, *, progress: JobProgress | None = None
    ) -> LeaseExtended:
        """Extend the lease.

        Raises:
            StaleLockToken: it was lost; throw the work away.
        """
        body = {"lock_token": lock_token}
        if progress is not None:
            body["progress"] = plain(progress)
        request = ask("POST", "/jobs/{job_id}/heartbeat", job_id, body=body, again=True)
        return await self._engine.call(request, LeaseExtended)

    @operation
    async def submit(
        self, job_id: str, body: SubmitExtractFacts | SubmitDerived, *, key: str | None = None
    ) -> JobOutcome:
        """Give the result of a job of the contract's types.

        Raises:
            StaleLockToken: the lease was lost; nothing was applied.
        """
        return await self._give(job_id, "submit", plain(body), self._key(key))

    @operation
    async def submit_result(
        self, job_id: str, body: JobResultRequest, *, key: str | None = None
    ) -> JobOutcome:
        """Give the result of a job of any type; errors as `submit`."""
        return await self._give(job_id, "result", plain(body), self._key(key))

    @operation
    async def fail(
        self,
        job_id: str,
        lock_token: str,
        error_code: str,
        *,
        message: str = "",
        retryable: bool,
        key: str | None = None,
    ) -> JobOutcome:
        """Say that a job failed, and whether trying again may help."""
        body = {
            "lock_token": lock_token,
            "error_code": error_code,
            "message": message,
            "retryable": retryable,
        }
        return await self._give(job_id, "fail", body, self._key(key))

    @operation
    async def release(self, job_id: str, lock_token: str) -> JobOutcome:
        """Give a job back; no attempt is counted."""
        return await self._give(job_id, "release", {"lock_token": lock_token}, None)

    async def _give(self, job_id: str, what: str, body: object, key: str | None) -> JobOutcome:
        request = ask("POST", f"/jobs/{{job_id}}/{what}", job_id, body=body, key=key)
        return await self._engine.call(request, JobOutcome)

"""The agent's transport over HTTP: the port's words in those of the client."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from retaia_core.domain.identifiers import parse_name
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Progress
from retaia_core.ports.transport import (
    Bundle,
    BundleJob,
    JobFailure,
    JobResult,
    OfferedJob,
    Registered,
    Registration,
    Transport,
    UploadedFile,
)

from .client import Client
from .retrying import ONCE
from .tokens import TokenSource
from .values import jobs as wire
from .values.assets import JobProgress
from .wire import HttpxTransport

_PROGRESS_TEXT = 500
_SUFFIXES = {
    "application/json": ".json",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
}


class HttpTransport(Transport):
    """A connection to a server. It retries nothing: whoever calls knows when to back off."""

    def __init__(
        self, url: str, token: str | TokenSource, *, transport: HttpxTransport | None = None
    ) -> None:
        self._client = Client(
            url, token, retries=ONCE, user_agent="retaia-agent", transport=transport
        )

    async def register(self, registration: Registration) -> Registered:
        """Register; every later call is made in the name of this agent."""
        answer = await self._client.agents.register(
            registration.name,
            registration.version,
            registration.capabilities,
            platform=registration.platform,
            max_parallel_jobs=registration.max_parallel_jobs,
        )
        self._client.agent_id = answer.agent_id
        return _registered(answer)

    async def jobs(self) -> tuple[OfferedJob, ...]:
        """Pending jobs that fit this agent."""
        answer = await self._client.jobs.offered()
        return tuple(
            OfferedJob(job_id=job.job_id, job_type=job.job_type, asset_uuid=job.asset_uuid)
            for job in answer.items
        )

    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        """Reserve every pending job of an asset that this agent can do."""
        return _bundle(await self._client.jobs.claim_bundle(asset_uuid))

    async def heartbeat(
        self, job_id: str, lock_token: str, progress: Progress | None = None
    ) -> datetime:
        """Extend the lease; returns until when."""
        told = None
        if progress is not None:
            told = JobProgress(
                current=progress.current,
                total=progress.total,
                text=progress.text[:_PROGRESS_TEXT],
            )
        answer = await self._client.jobs.heartbeat(job_id, lock_token, progress=told)
        return answer.locked_until

    async def upload(
        self, asset_uuid: str, path: Path, *, kind: str, content_type: str, key: str
    ) -> UploadedFile:
        """Upload one derived file in parts and complete it; the same key goes on where it was."""
        done = await self._client.uploads.upload(
            asset_uuid, path, kind=kind, content_type=content_type, key=key
        )
        return UploadedFile(
            kind=done.kind, ref=done.ref, size_bytes=done.size_bytes, sha256=done.sha256
        )

    async def submit(self, job_id: str, lock_token: str, result: JobResult, *, key: str) -> None:
        """Submit the result of a held job."""
        body = wire.JobResultRequest(
            lock_token=lock_token,
            job_type=result.job_type,
            facts_patch=dict(result.facts),
            derived_manifest=_manifest(result.files),
            data=dict(result.data),
            warnings=tuple(result.warnings),
            metrics=dict(result.metrics),
        )
        await self._client.jobs.submit_result(job_id, body, key=key)

    async def fail(self, job_id: str, lock_token: str, failure: JobFailure, *, key: str) -> None:
        """Report that a held job failed."""
        await self._client.jobs.fail(
            job_id,
            lock_token,
            failure.code,
            message=failure.message,
            retryable=failure.retryable,
            key=key,
        )

    async def release(self, job_id: str, lock_token: str) -> None:
        """Give a held job back."""
        await self._client.jobs.release(job_id, lock_token)

    async def fetch_derived(self, asset_uuid: str, kind: str, folder: Path) -> tuple[Path, ...]:
        """Download the derived files of a kind into a folder, by index, each checked by its digest."""
        name = parse_name(kind, "derived kind")
        listed = await self._client.derived.list(asset_uuid)
        paths = []
        for file in listed.items:
            if file.kind != name:
                continue
            target = folder / f"{name}-{file.index}{_SUFFIXES.get(file.content_type, '')}"
            path = await self._client.derived.download(
                asset_uuid, name, target, index=file.index, sha256=file.sha256
            )
            paths.append(path)
        return tuple(paths)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _registered(answer: wire.AgentRegistered) -> Registered:
    policy = answer.server_policy
    interval, parallel = policy.min_poll_interval_seconds, policy.max_parallel_jobs_allowed
    return Registered(
        agent_id=answer.agent_id,
        effective_capabilities=answer.effective_capabilities,
        capability_warnings=answer.capability_warnings,
        min_poll_interval_s=5.0 if interval is None else float(interval),
        max_parallel_jobs=1 if parallel is None else parallel,
    )


def _bundle(answer: wire.Bundle) -> Bundle:
    return Bundle(
        asset_uuid=answer.asset_uuid,
        media_type=MediaType(answer.media_type),
        storage_id=answer.source.storage_id,
        path=answer.source.original_relative,
        size=answer.size_bytes,
        mtime_ns=answer.mtime_ns,
        lock_token=answer.lock_token,
        locked_until=answer.locked_until,
        jobs=tuple(
            BundleJob(
                job_id=job.job_id,
                job_type=job.job_type,
                parameters=job.parameters,
                derived_inputs=job.derived_inputs,
            )
            for job in answer.jobs
        ),
        sidecars=answer.source.sidecars_relative,
        facts=answer.facts,
    )


def _manifest(files: Sequence[UploadedFile]) -> tuple[wire.ManifestEntry, ...]:
    return tuple(
        wire.ManifestEntry(
            kind=file.kind, ref=file.ref, size_bytes=file.size_bytes, sha256=file.sha256
        )
        for file in files
    )

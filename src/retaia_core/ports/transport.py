"""The agent's side of the wire: what an agent asks of a server, whatever carries it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from ..domain.facts import Facts
from ..domain.media import MediaType
from .processor import Progress


@frozen(kw_only=True)
class Registration:
    """What an agent says of itself."""

    name: str
    version: str
    platform: str
    capabilities: tuple[str, ...]
    max_parallel_jobs: int = 1


@frozen(kw_only=True)
class Registered:
    """What the server answers: identity, what counts of the capabilities, and its limits."""

    agent_id: str
    effective_capabilities: tuple[str, ...]
    capability_warnings: tuple[str, ...] = ()
    min_poll_interval_s: float = 5.0
    max_parallel_jobs: int = 1


@frozen(kw_only=True)
class OfferedJob:
    """A pending job as `Transport.jobs` lists it."""

    job_id: str
    job_type: str
    asset_uuid: str


@frozen(kw_only=True)
class BundleJob:
    """One job of a bundle."""

    job_id: str
    job_type: str
    parameters: Mapping[str, object] = field(factory=dict)
    derived_inputs: tuple[str, ...] = ()


@frozen(kw_only=True)
class Bundle:
    """The jobs of one asset under one lease. ``path`` is relative to the storage root."""

    asset_uuid: str
    media_type: MediaType
    storage_id: str
    path: str
    size: int
    mtime_ns: int
    lock_token: str
    locked_until: datetime
    jobs: tuple[BundleJob, ...]
    sidecars: tuple[str, ...] = ()
    facts: Facts = field(factory=dict)


@frozen(kw_only=True)
class UploadedFile:
    """A derived file that was uploaded and completed; ``ref`` is named in the submit."""

    kind: str
    ref: str
    size_bytes: int
    sha256: str


@frozen(kw_only=True)
class JobResult:
    """What an agent submits for a job: only of the job type's own domain."""

    job_type: str
    facts: Facts = field(factory=dict)
    files: tuple[UploadedFile, ...] = ()
    data: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class JobFailure:
    """How a job failed."""

    code: str
    message: str
    retryable: bool


class Transport(Protocol):
    """A connection to a server. Every call may raise errors of `retaia_core.errors`.

    `Unavailable` (and its subclasses) means: the same call may work later; the caller backs off.
    `StaleLockToken` means: the lease is lost, the work must be thrown away.
    """

    async def register(self, registration: Registration) -> Registered: ...

    async def jobs(self) -> tuple[OfferedJob, ...]:
        """Pending jobs that fit this agent."""
        ...

    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        """Reserve every pending job of an asset that this agent can do; may answer without jobs.

        Raises:
            StateConflict: another was faster.
        """
        ...

    async def heartbeat(
        self, job_id: str, lock_token: str, progress: Progress | None = None
    ) -> datetime:
        """Extend the lease; returns until when."""
        ...

    async def upload(
        self, asset_uuid: str, path: Path, *, kind: str, content_type: str, key: str
    ) -> UploadedFile:
        """Upload one derived file in parts and complete it.

        ``key`` makes it resumable: the same key after a broken connection goes on where it was.
        """
        ...

    async def submit(
        self, job_id: str, lock_token: str, result: JobResult, *, key: str
    ) -> None: ...

    async def fail(
        self, job_id: str, lock_token: str, failure: JobFailure, *, key: str
    ) -> None: ...

    async def release(self, job_id: str, lock_token: str) -> None:
        """Give a held job back (the agent stops); no attempt is counted."""
        ...

    async def fetch_derived(self, asset_uuid: str, kind: str, folder: Path) -> tuple[Path, ...]:
        """Download the derived files of a kind into a folder (inputs of dependent jobs)."""
        ...

    async def close(self) -> None: ...

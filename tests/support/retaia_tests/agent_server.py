"""A server in memory for tests of the agent: leases, uploads and jobs with the rules of the real one."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define, field

from retaia_core.catalog import builtin_catalog
from retaia_core.domain.media import MediaType
from retaia_core.errors import (
    IdempotencyConflict,
    NotFound,
    RetaiaError,
    StaleLockToken,
    StateConflict,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
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


@define
class JobRow:
    """A job as the server keeps it."""

    job_id: str
    job_type: str
    derived_inputs: tuple[str, ...] = ()
    status: str = "pending"
    attempts: int = 0
    result: JobResult | None = None
    failure: JobFailure | None = None
    progress: list[Progress] = field(factory=list)


@define
class AssetRow:
    """An asset with its jobs and its lease."""

    uuid: str
    storage_id: str
    path: str
    size: int
    mtime_ns: int
    jobs: dict[str, JobRow]
    derived: dict[str, list[bytes]] = field(factory=dict)
    token: str = ""
    until: float = 0.0


@define
class MemoryServer(Transport):
    """The state, and faults on demand.

    ``down`` makes every call raise `Unavailable`; ``before`` is called with the name of each call and
    may raise, or do anything, ahead of it.
    """

    lease_s: float = 120.0
    max_attempts: int = 3
    max_parallel: int = 4
    down: bool = False
    skew: timedelta = timedelta(0)
    before: Callable[[str], None] = lambda name: None
    assets: dict[str, AssetRow] = field(factory=dict, init=False)
    registered: bool = field(default=False, init=False)
    registrations: list[Registration] = field(factory=list, init=False)
    calls: Counter[str] = field(factory=Counter, init=False)
    order: list[str] = field(factory=list, init=False)
    uploads: dict[str, bytes] = field(factory=dict, init=False)
    keys: dict[str, object] = field(factory=dict, init=False)
    _claims: int = field(default=0, init=False)

    def add(
        self,
        root: Path,
        path: str,
        *job_types: str,
        storage_id: str = "nas",
        inputs: Mapping[str, tuple[str, ...]] | None = None,
    ) -> AssetRow:
        """Make an asset of a file, with one job of each type."""
        seen = (root / path).stat()
        uuid = f"asset-{len(self.assets)}"
        jobs = {
            f"{uuid}.{name}": JobRow(f"{uuid}.{name}", name, (inputs or {}).get(name, ()))
            for name in job_types
        }
        row = AssetRow(uuid, storage_id, path, seen.st_size, seen.st_mtime_ns, jobs)
        self.assets[uuid] = row
        return row

    def forget_agents(self) -> None:
        """Lose the registrations, as a restarted server with another database would."""
        self.registered = False

    def expire(self, asset: AssetRow) -> None:
        """End a lease now and make its jobs claimable again."""
        asset.token, asset.until = "", 0.0
        for job in asset.jobs.values():
            if job.status == "claimed":
                job.status = "pending"

    def _enter(self, name: str, *, agent: bool = True) -> None:
        self.calls[name] += 1
        self.before(name)
        if self.down:
            raise Unavailable("the server does not answer")
        if agent and not self.registered:
            raise Unauthorized("this agent is not registered")

    def _until(self, asset: AssetRow) -> datetime:
        asset.until = time.monotonic() + self.lease_s
        return datetime.now(UTC) + timedelta(seconds=self.lease_s) + self.skew

    def _held(self, job_id: str, token: str) -> tuple[AssetRow, JobRow]:
        for asset in self.assets.values():
            job = asset.jobs.get(job_id)
            if job is None:
                continue
            if asset.token != token or time.monotonic() > asset.until or job.status != "claimed":
                raise StaleLockToken("the lease is over")
            return asset, job
        raise NotFound("no such job")

    def _close(self, asset: AssetRow, job: JobRow, status: str) -> None:
        job.status = status
        if all(row.status != "claimed" for row in asset.jobs.values()):
            asset.token = ""

    def _replayed(self, key: str, body: object) -> bool:
        if key in self.keys and self.keys[key] != body:
            raise IdempotencyConflict("another body under the same key")
        known = key in self.keys
        self.keys[key] = body
        return known

    async def register(self, registration: Registration) -> Registered:
        self._enter("register", agent=False)
        self.registered = True
        self.registrations.append(registration)
        return Registered(
            agent_id="agent-1",
            effective_capabilities=registration.capabilities,
            min_poll_interval_s=0.0,
            max_parallel_jobs=self.max_parallel,
        )

    async def jobs(self) -> tuple[OfferedJob, ...]:
        self._enter("jobs")
        return tuple(
            OfferedJob(job_id=job.job_id, job_type=job.job_type, asset_uuid=asset.uuid)
            for asset in self.assets.values()
            for job in asset.jobs.values()
            if job.status == "pending" and not self._is_held(asset)
        )

    def _is_held(self, asset: AssetRow) -> bool:
        return bool(asset.token) and time.monotonic() <= asset.until

    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        self._enter("claim_bundle")
        asset = self.assets[asset_uuid]
        if self._is_held(asset):
            raise StateConflict("another was faster")
        self._claims += 1
        asset.token = f"token-{self._claims}"
        claimed = [job for job in asset.jobs.values() if job.status == "pending"]
        for job in claimed:
            job.status, job.attempts = "claimed", job.attempts + 1
        return Bundle(
            asset_uuid=asset.uuid,
            media_type=MediaType.VIDEO,
            storage_id=asset.storage_id,
            path=asset.path,
            size=asset.size,
            mtime_ns=asset.mtime_ns,
            lock_token=asset.token,
            locked_until=self._until(asset),
            jobs=tuple(
                BundleJob(job_id=j.job_id, job_type=j.job_type, derived_inputs=j.derived_inputs)
                for j in claimed
            ),
        )

    async def heartbeat(
        self, job_id: str, lock_token: str, progress: Progress | None = None
    ) -> datetime:
        self._enter("heartbeat")
        asset, job = self._held(job_id, lock_token)
        if progress:
            job.progress.append(progress)
        return self._until(asset)

    async def upload(
        self, asset_uuid: str, path: Path, *, kind: str, content_type: str, key: str
    ) -> UploadedFile:
        self._enter("upload")
        if kind not in builtin_catalog().derived_kinds:
            raise ValidationFailed(f"{kind!r} is no derived kind")
        content = path.read_bytes()  # noqa: ASYNC240 - small, and a test's
        self._replayed(key, content)
        self.uploads[key] = content
        digest = hashlib.sha256(content).hexdigest()
        return UploadedFile(kind=kind, ref=key, size_bytes=len(content), sha256=digest)

    async def submit(self, job_id: str, lock_token: str, result: JobResult, *, key: str) -> None:
        self._enter("submit")
        if not self._replayed(key, result):
            asset, job = self._held(job_id, lock_token)
            allowed = builtin_catalog().job_types[job.job_type].outputs_for(MediaType.VIDEO)
            if {file.kind for file in result.files} != set(allowed):
                raise ValidationFailed(f"{job.job_type} makes {allowed}")
            job.result = result
            self.order.append(job.job_type)
            self._close(asset, job, "completed")
        self.before("submitted")

    async def fail(self, job_id: str, lock_token: str, failure: JobFailure, *, key: str) -> None:
        self._enter("fail")
        if self._replayed(key, failure):
            return
        asset, job = self._held(job_id, lock_token)
        job.failure = failure
        again = failure.retryable and job.attempts < self.max_attempts
        self._close(asset, job, "pending" if again else "failed")

    async def release(self, job_id: str, lock_token: str) -> None:
        self._enter("release")
        asset, job = self._held(job_id, lock_token)
        job.attempts -= 1
        self._close(asset, job, "pending")

    async def fetch_derived(self, asset_uuid: str, kind: str, folder: Path) -> tuple[Path, ...]:
        self._enter("fetch_derived")
        contents = self.assets[asset_uuid].derived.get(kind)
        if contents is None:
            raise NotFound(f"there is no {kind} of it")
        paths = tuple(folder / f"{kind}-{index}" for index in range(len(contents)))
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return paths

    async def close(self) -> None:
        self._enter("close")


def failing(error: RetaiaError, name: str, *, times: int = 1) -> Callable[[str], None]:
    """A fault: the first ``times`` calls of a name raise an error."""
    left = [times]

    def before(called: str) -> None:
        if called == name and left[0] > 0:
            left[0] -= 1
            raise error

    return before

"""A held bundle: its lease, which of its jobs are open, and what the server is told about them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

import anyio
from attrs import define, field

from retaia_core.errors import (
    LockInvalid,
    LockRequired,
    NotFound,
    Purged,
    RetaiaError,
    StaleLockToken,
    StateConflict,
)
from retaia_core.ports.processor import DerivedFile, Progress
from retaia_core.ports.transport import Bundle, BundleJob, JobFailure, JobResult, UploadedFile

from .events import Teller
from .polling import Session

T = TypeVar("T")

GONE = (StaleLockToken, LockInvalid, LockRequired, NotFound, Purged, StateConflict)
"""Answers after which nothing of the bundle will be taken any more."""

_HEARTBEATS_A_LEASE = 4
_LONGEST_MESSAGE = 2000


def key_of(job_id: str, lock_token: str, kind: str, index: int = 0) -> str:
    """The idempotency key of one write of one claim: the same again after any interruption.

    >>> key_of("j", "t", "submit") == key_of("j", "t", "submit"), len(key_of("j", "t", "thumb", 3))
    (True, 40)
    """
    text = "\0".join((job_id, lock_token, kind, str(index)))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@define(eq=False)
class Held:
    """A bundle that this agent holds. ``open`` are the jobs that have no end yet.

    Heartbeats and results go to the server one at a time, so that no heartbeat speaks of a job that was
    just submitted.
    """

    session: Session
    bundle: Bundle
    tell: Teller
    open: dict[str, BundleJob] = field(init=False)
    progress: dict[str, Progress] = field(factory=dict, init=False)
    _ends: float = field(init=False)
    _length: float = field(init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.open = {job.job_id: job for job in self.bundle.jobs}
        self._length = self.session.timing.lease
        self._extend(self.bundle.locked_until)

    def left(self) -> float:
        """Seconds until the lease runs out, as far as is known here."""
        return self._ends - anyio.current_time()

    def _extend(self, until: datetime) -> None:
        timing = self.session.timing
        length = (until - timing.now()).total_seconds()
        # A server whose clock is behind ours by more than a lease: believe the usual length.
        self._length = length if length > 0 else timing.lease
        self._ends = anyio.current_time() + self._length

    @property
    def heartbeat_every(self) -> float:
        """Seconds between two heartbeats."""
        return min(self._length / _HEARTBEATS_A_LEASE, self.session.timing.heartbeat_most)

    async def beat(self) -> None:
        """Extend the lease once, and tell the server how far each job is.

        Raises:
            LeaseOver: the server was away for too long.
            RetaiaError: one of `GONE`, or another answer of the server.
        """
        news, self.progress = self.progress, {}
        for job_id in [i for i in news if i in self.open] or list(self.open)[:1]:
            await self._call(partial(self._beat, job_id, news.get(job_id)))

    async def _beat(self, job_id: str, progress: Progress | None) -> None:
        if job_id in self.open:
            transport = self.session.transport
            until = await transport.heartbeat(job_id, self.bundle.lock_token, progress)
            self._extend(until)

    async def upload(self, job: BundleJob, file: DerivedFile) -> UploadedFile:
        """Upload a derived file; a broken upload goes on where it was."""
        bundle = self.bundle
        key = key_of(job.job_id, bundle.lock_token, file.kind, file.index)
        uploaded = await self.session.call(
            lambda: self.session.transport.upload(
                bundle.asset_uuid,
                file.path,
                kind=file.kind,
                content_type=file.content_type,
                key=key,
            ),
            lease_left=self.left,
        )
        self.tell(
            "uploaded",
            asset_uuid=bundle.asset_uuid,
            job_id=job.job_id,
            kind=file.kind,
            size_bytes=uploaded.size_bytes,
        )
        return uploaded

    async def submit(self, job: BundleJob, result: JobResult) -> None:
        """Hand in a result, and close the job."""
        token = self.bundle.lock_token
        key = key_of(job.job_id, token, "submit")
        transport = self.session.transport
        await self._close(job, lambda: transport.submit(job.job_id, token, result, key=key))
        self.tell("submitted", **self._about(job), warnings=result.warnings)

    async def fail(self, job: BundleJob, code: str, message: str, *, retryable: bool) -> None:
        """Hand in a failure, and close the job."""
        token = self.bundle.lock_token
        failure = JobFailure(code=code, message=message[:_LONGEST_MESSAGE], retryable=retryable)
        key = key_of(job.job_id, token, "fail")
        transport = self.session.transport
        await self._close(job, lambda: transport.fail(job.job_id, token, failure, key=key))
        self.tell("failed", **self._about(job), code=code, message=message, retryable=retryable)

    async def release(self, job_ids: list[str]) -> None:
        """Give jobs back, each with one try: a lease that cannot be given back runs out by itself."""
        given_back = []
        for job_id in job_ids:
            self.open.pop(job_id, None)
            try:
                await self.session.transport.release(job_id, self.bundle.lock_token)
            except RetaiaError as error:
                self.refused(error)
            else:
                given_back.append(job_id)
        if given_back:
            self.tell("released", asset_uuid=self.bundle.asset_uuid, jobs=given_back)

    def refused(self, error: RetaiaError) -> None:
        """Tell that the server did not accept something about this bundle."""
        uuid = self.bundle.asset_uuid
        self.tell("refused", asset_uuid=uuid, code=error.code, error=error.message)

    def _about(self, job: BundleJob) -> dict[str, object]:
        uuid = self.bundle.asset_uuid
        return {"asset_uuid": uuid, "job_id": job.job_id, "job_type": job.job_type}

    async def _close(self, job: BundleJob, attempt: Callable[[], Awaitable[None]]) -> None:
        async def closing() -> None:
            await attempt()
            self.open.pop(job.job_id, None)

        await self._call(closing)

    async def _call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        async def in_turn() -> T:
            async with self._turn:
                return await attempt()

        return await self.session.call(in_turn, lease_left=self.left)

"""The stories of jobs: list, claim, heartbeat, submit, fail, give back, recover."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.actors import SYSTEM
from ..domain.agents import AgentRecord
from ..domain.assets import Asset, Flag, Source, advanced
from ..domain.identifiers import AssetId, JobId
from ..domain.job_types import FINGERPRINT
from ..domain.jobs import (
    Failure,
    Job,
    JobProgress,
    JobStatus,
    Offer,
    failed,
    lost,
    released,
)
from ..domain.leases import DURATIONS, Lock, LockKind, check, release
from ..domain.lifecycle import Action, State
from ..domain.scheduling import Cause
from ..domain.storage import Health
from ..errors import RetaiaError, StaleLockToken, StateConflict, StorageOffline
from ..hooks.lifecycle import HookPoint
from ..ports.claiming import one_by_one
from ..ports.clock import Clock, Ids
from ..ports.store import Claim, ClaimableQuery, Claimed, Store, Transaction
from .agents import Agents, agent_actor
from .blocking import Blocking, in_thread
from .fixity import note_fingerprints
from .known_results import Reuse, apply_known, cloned, jobs_by_key, remember, usable
from .lifecycle_hooks import HookRunner
from .lookups import asset_of, need_asset, need_job, need_living
from .results import Submission, check_domain, derived_refs, merged
from .scheduling import after_job, begin_processing, let_go, open_later
from .storages import OpenDerived
from .trail import record, save_step

MOST_LOOKED_AT = 20_000
"""How many pending jobs are looked at, at most, to find some whose file can be reached."""


class OfferedJob(NamedTuple):
    """A job that may be claimed, and where the files of its asset are."""

    job: Offer
    source: Source


@frozen(kw_only=True)
class ClaimedJob:
    """A job that was claimed, with its asset."""

    job: Job
    asset: Asset


@frozen(kw_only=True)
class BundleClaim:
    """The jobs of one asset under one lease."""

    asset: Asset
    lock: Lock
    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class ClaimRequest:
    """An agent's wish for named jobs, or for what it can do of an asset; ``token`` is the lease's."""

    agent: AgentRecord
    uuid: AssetId | None
    job_ids: tuple[JobId, ...] | None
    job_types: frozenset[str] | None
    token: str


@frozen(kw_only=True)
class Processing:
    """The stories of jobs. ``switched_on`` are the later job types that settings enable."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    agents: Agents
    open_derived: OpenDerived
    hooks: HookRunner
    switched_on: frozenset[str] = frozenset()
    blocking: Blocking = in_thread

    # Listing and claiming

    async def offered(
        self,
        agent: AgentRecord,
        *,
        limit: int = 50,
        job_types: frozenset[str] | None = None,
    ) -> tuple[OfferedJob, ...]:
        """The pending jobs that an agent may claim now; of online storages, files not missing."""
        query = ClaimableQuery(
            agent_id=agent.agent_id,
            capabilities=agent.capabilities,
            now=self.clock.now(),
            limit=limit,
            job_types=job_types,
        )
        return await self.store.read(partial(self._offered, query))

    def _offered(self, query: ClaimableQuery, tx: Transaction) -> tuple[OfferedJob, ...]:
        """Look further while what comes first lies on a storage that is offline, or is missing."""
        wider = query
        while True:
            jobs = tx.claimable(wider)
            offers = self._reachable(jobs, tx)
            if len(offers) >= query.limit or len(jobs) < wider.limit:
                return offers[: query.limit]
            if wider.limit >= MOST_LOOKED_AT:
                return offers
            wider = evolve(wider, limit=wider.limit * 8)

    def _reachable(self, jobs: Sequence[Offer], tx: Transaction) -> tuple[OfferedJob, ...]:
        wanted = {AssetId(job.subject.id) for job in jobs if job.subject.kind == "asset"}
        offline = {s.storage_id for s in tx.storages() if s.health is Health.OFFLINE}
        reachable: dict[str, Source] = {
            uuid: source
            for uuid, source in tx.sources(wanted).items()
            if source.storage_id not in offline
            and Flag.MISSING not in source.flags
            and source.state is not State.MOVE_QUEUED
        }
        return tuple(
            OfferedJob(job, reachable[job.subject.id])
            for job in jobs
            if job.subject.id in reachable
        )

    async def claim(
        self, agent: AgentRecord, job_id: JobId, *, job_types: frozenset[str] | None = None
    ) -> ClaimedJob:
        """Claim one job; the asset is then reserved for this agent.

        Raises:
            NotFound: no such job.
            StateConflict: it is held, not pending, of no type that is handed out one by one, or its
                asset is another's, moving or missing.
            StorageOffline: its storage cannot be trusted now.
        """
        bundle = await self._claim(agent, None, (job_id,), job_types)
        return ClaimedJob(job=bundle.jobs[0], asset=bundle.asset)

    async def claim_bundle(
        self, agent: AgentRecord, uuid: AssetId, *, job_types: frozenset[str] | None = None
    ) -> BundleClaim:
        """Reserve every pending job of an asset that the agent can do, under one lease.

        Jobs whose result is known already are completed at once and not handed out, so that the
        bundle may come without jobs.
        """
        bundle = await self._claim(agent, uuid, None, job_types)
        return await self._without_known(agent, bundle)

    async def _claim(
        self,
        agent: AgentRecord,
        uuid: AssetId | None,
        job_ids: tuple[JobId, ...] | None,
        job_types: frozenset[str] | None = None,
    ) -> BundleClaim:
        request = ClaimRequest(
            agent=agent, uuid=uuid, job_ids=job_ids, job_types=job_types, token=self.ids.token()
        )
        return await self.store.transact_shared(self._claim_each, request, durable=False)

    def _claim_each(
        self, tx: Transaction, requests: Sequence[ClaimRequest]
    ) -> Sequence[BundleClaim | RetaiaError]:
        """Claim for all who ask at the same time."""
        now = self.clock.now()
        assets = one_by_one(partial(_asset_to_claim, tx), requests)
        asked = [(r, a) for r, a in zip(requests, assets, strict=True) if isinstance(a, Asset)]
        outcomes = iter(tx.claim_all([_claim_of(r, a, now) for r, a in asked]))
        seen: dict[AssetId, Asset] = {}

        def settle(request: ClaimRequest, asset: Asset | RetaiaError) -> BundleClaim | RetaiaError:
            if isinstance(asset, RetaiaError):
                return asset
            outcome = next(outcomes)
            if isinstance(outcome, RetaiaError):
                return outcome
            asset = seen.get(asset.uuid, asset)
            if any(job.review for job in outcome.jobs):
                asset = begin_processing(tx, asset, request.agent.agent_id, now)
            seen[asset.uuid] = asset
            self._note_claim(tx, request.agent, outcome, now)
            return BundleClaim(asset=asset, lock=outcome.lock, jobs=outcome.jobs)

        return [*map(settle, requests, assets)]

    def _note_claim(
        self, tx: Transaction, agent: AgentRecord, claimed: Claimed, now: datetime
    ) -> None:
        types = [job.job_type for job in claimed.jobs]
        actor = agent_actor(agent.agent_id)
        subject = claimed.lock.subject
        record(tx, subject, "jobs.claimed", actor, now, jobs=types, fencing=claimed.lock.fencing)

    async def _without_known(self, agent: AgentRecord, bundle: BundleClaim) -> BundleClaim:
        asset, token = bundle.asset, bundle.lock.token
        by_key = jobs_by_key(asset, bundle.jobs)
        if not by_key:
            return bundle
        results = await self.store.read(lambda tx: usable(tx, by_key, bundle.asset, agent))
        if not results:
            return bundle
        storage = await self.store.read(lambda tx: tx.storage(bundle.asset.storage_id))
        assert storage is not None
        derived = self.open_derived(storage)
        reuses = []
        for result in results:
            job = by_key[result.key]
            refs = await self.blocking(cloned, derived, result, asset.uuid, job)
            if refs is not None:
                reuses.append(Reuse(job=job, result=result, refs=refs))
        if not reuses:
            return bundle
        work = partial(self._reuse, token, reuses)
        asset = await self.store.transact(work, durable=False)
        await self.settle(asset)
        gone = {reuse.job.job_id for reuse in reuses}
        left = tuple(job for job in bundle.jobs if job.job_id not in gone)
        return evolve(bundle, asset=asset, jobs=left)

    def _reuse(self, token: str, reuses: Sequence[Reuse], tx: Transaction) -> Asset:
        return apply_known(tx, token, reuses, self.clock.now())

    # Holding, and letting go

    async def heartbeat(
        self, agent: AgentRecord, job_id: JobId, token: str, progress: JobProgress | None = None
    ) -> Lock:
        """Extend the lease of a held job.

        Raises:
            NotFound, LockRequired, LockInvalid, StaleLockToken: the lease is not this agent's now.
        """
        now = self.clock.now()
        until = now + DURATIONS[LockKind.JOB_LEASE]
        lock = await self.store.transact(
            lambda tx: tx.extend(job_id, token=token, now=now, until=until, progress=progress),
            durable=False,
        )
        await self.agents.heard_of(agent)
        return lock

    async def submit(self, agent: AgentRecord, job_id: JobId, submission: Submission) -> Job:
        """Apply the result of a held job, whole or not at all.

        Raises:
            StaleLockToken, LockRequired, LockInvalid: the job is not held under this token.
            ValidationFailed: the result is not of the job type's domain, or malformed.
        """
        job, asset = await self.store.transact(
            partial(self.submit_in, agent, job_id, submission), durable=False
        )
        await self.settle(asset)
        return job

    def submit_in(
        self, agent: AgentRecord, job_id: JobId, submission: Submission, tx: Transaction
    ) -> tuple[Job, Asset | None]:
        """The part of `submit` that is one transaction."""
        now = self.clock.now()
        job = _held(tx, need_job(tx, job_id), submission.lock_token, now)
        job_type = self.catalog.job_types[job.job_type]
        asset = asset_of(tx, job)
        facts = check_domain(job_type, job, submission, asset)
        refs = derived_refs(tx, job, submission, asset, agent)
        done = tx.complete(
            job_id,
            token=submission.lock_token,
            now=now,
            result=submission.data,
            warnings=submission.warnings,
        )
        actor = agent_actor(agent.agent_id)
        record(
            tx,
            job.subject,
            "job.completed",
            actor,
            now,
            job=job.job_type,
            warnings=list(submission.warnings),
            metrics=dict(submission.metrics),
        )
        if asset is None or job.review_version != asset.review_version:
            return done, asset
        with_result = merged(asset, job, facts, refs, submission.warnings, submission.data, now)
        saved = tx.save_asset(with_result)
        if job.job_type == FINGERPRINT:
            saved = note_fingerprints(tx, saved, submission.data, actor, now)
        remember(tx, saved, job, facts, refs, submission.warnings, agent, now)
        return done, after_job(tx, saved, Cause.COMPLETED, now)

    async def fail(
        self,
        agent: AgentRecord,
        job_id: JobId,
        token: str,
        code: str,
        message: str,
        *,
        retryable: bool,
    ) -> Job:
        """Record that a held job failed; the asset goes back when nothing of it is held any more."""
        work = partial(self.fail_in, agent, job_id, token, code, message, retryable)
        job, asset = await self.store.transact(work, durable=False)
        await self.settle(asset)
        return job

    def fail_in(
        self,
        agent: AgentRecord,
        job_id: JobId,
        token: str,
        code: str,
        message: str,
        retryable: bool,
        tx: Transaction,
    ) -> tuple[Job, Asset | None]:
        """The part of `fail` that is one transaction."""
        now = self.clock.now()
        job = _held(tx, need_job(tx, job_id), token, now)
        may_help = retryable and code not in self.catalog.job_types[job.job_type].fatal
        failure = Failure(code=code[:100], message=message[:2000], retryable=may_help, at=now)
        after = failed(job, failure)
        tx.save_job(after)
        _release_if_last(tx, after, now)
        record(
            tx,
            job.subject,
            "job.failed",
            agent_actor(agent.agent_id),
            now,
            job=job.job_type,
            code=failure.code,
            message=failure.message,
            for_good=after.status is JobStatus.FAILED,
        )
        return after, let_go(tx, asset_of(tx, after), now)

    async def give_back(self, agent: AgentRecord, job_id: JobId, token: str) -> Job:
        """Take a held job back from an agent that stops; no attempt is counted."""
        job, asset = await self.store.transact(
            partial(self._give_back, agent, job_id, token), durable=False
        )
        await self.settle(asset)
        return job

    def _give_back(
        self, agent: AgentRecord, job_id: JobId, token: str, tx: Transaction
    ) -> tuple[Job, Asset | None]:
        now = self.clock.now()
        job = released(_held(tx, need_job(tx, job_id), token, now), now)
        tx.save_job(job)
        _release_if_last(tx, job, now)
        actor = agent_actor(agent.agent_id)
        record(tx, job.subject, "job.released", actor, now, job=job.job_type)
        return job, let_go(tx, asset_of(tx, job), now)

    # Watchdog

    async def recover_leases(self) -> int:
        """Return the jobs of expired leases to the queue; returns how many leases were over."""
        now = self.clock.now()
        expired = await self.store.read(lambda tx: tx.locks(now=now, expired=True))
        over = 0
        for lock in expired:
            if lock.kind is not LockKind.JOB_LEASE:
                continue
            asset = await self.store.transact(partial(self._lose, lock), durable=False)
            await self.settle(asset)
            over += 1
        return over

    async def take_back(self, client_id: str, name: str) -> int:
        """Return what an agent held that is known to be dead; returns how many leases it held.

        For the agent that is embedded in a server: when the server starts, it does not run.
        """
        now = self.clock.now()
        held = await self.store.read(
            lambda tx: [
                lock
                for agent in tx.agents()
                if (agent.client_id, agent.name) == (client_id, name)
                for lock in tx.locks(now=now, expired=False)
                if (lock.kind, lock.holder) == (LockKind.JOB_LEASE, agent.agent_id)
            ]
        )
        for lock in held:
            work = partial(self._lose, lock, dead=True)
            await self.settle(await self.store.transact(work, durable=False))
        return len(held)

    def _lose(self, lock: Lock, tx: Transaction, *, dead: bool = False) -> Asset | None:
        now = self.clock.now()
        current = tx.lock(lock.subject)
        if current is None or current.token != lock.token or (current.held(now) and not dead):
            return None
        tx.save_lock(release(current, now))
        gone = [j for j in tx.jobs_of(lock.subject) if j.status is JobStatus.CLAIMED]
        for job in gone:
            tx.save_job(lost(job, now))
            record(tx, job.subject, "job.lost", SYSTEM, now, job=job.job_type, agent=lock.holder)
        return let_go(tx, asset_of(tx, gone[0]), now) if gone else None

    async def offer_processed(self) -> int:
        """Offer for decision what a crash left PROCESSED; returns how many."""
        waiting = await self.store.read(lambda tx: tx.assets_in_states([State.PROCESSED]))
        for asset in waiting:
            await self.settle(asset)
        return len(waiting)

    async def settle(self, asset: Asset | None) -> None:
        """From PROCESSED on: the hooks, then DECISION_PENDING, then the later jobs."""
        if asset is None or asset.state is not State.PROCESSED:
            return
        if not await self.hooks.run(HookPoint.AFTER_PROCESSED, asset):
            return
        offered = await self.store.transact(partial(self._offer, asset.uuid), durable=False)
        if offered is not None:
            await self.hooks.run(HookPoint.ON_DECISION_PENDING, offered)

    def _offer(self, uuid: AssetId, tx: Transaction) -> Asset | None:
        now = self.clock.now()
        asset = need_asset(tx, uuid)
        if asset.state is not State.PROCESSED:
            return None
        after = advanced(asset, Action.OFFER, SYSTEM, now)
        saved = save_step(tx, asset, after, "asset.offer", SYSTEM, now)
        open_later(tx, saved, self.catalog, self.ids, now, self.switched_on)
        return saved


def _asset_to_claim(tx: Transaction, request: ClaimRequest) -> Asset:
    uuid = request.uuid
    if uuid is None:
        assert request.job_ids is not None
        job = need_job(tx, request.job_ids[0])
        if request.job_types is not None and job.job_type not in request.job_types:
            raise StateConflict(
                f"{job.job_type} is not handed out one by one, or its feature is off; "
                "claim the bundle of its asset"
            )
        uuid = AssetId(job.subject.id)
    asset = need_living(tx, uuid)
    _claimable(tx, asset)
    return asset


def _claim_of(request: ClaimRequest, asset: Asset, now: datetime) -> Claim:
    return Claim(
        subject=asset.subject,
        agent_id=request.agent.agent_id,
        capabilities=request.agent.capabilities,
        token=request.token,
        now=now,
        until=now + DURATIONS[LockKind.JOB_LEASE],
        job_ids=request.job_ids,
        job_types=request.job_types,
    )


def _claimable(tx: Transaction, asset: Asset) -> None:
    storage = tx.storage(asset.storage_id)
    if storage is None or storage.health is Health.OFFLINE:
        reason = storage.health_reason if storage else "it is not known"
        raise StorageOffline(f"storage {asset.storage_id} is offline: {reason}")
    if Flag.MISSING in asset.flags:
        raise StateConflict("the file is missing at present; nothing of it can be claimed")
    if asset.state is State.MOVE_QUEUED:
        raise StateConflict(
            f"the asset is {asset.state}; nothing of it can be claimed", state=asset.state.value
        )


def _held(tx: Transaction, job: Job, token: str, now: datetime) -> Job:
    check(tx.lock(job.subject), token=token, now=now)
    if job.status is not JobStatus.CLAIMED or job.lock_token != token:
        raise StaleLockToken(
            "the job is not held under this token any more; nothing was applied",
            status=job.status.value,
        )
    return job


def _release_if_last(tx: Transaction, job: Job, now: datetime) -> None:
    others = tx.jobs_of(job.subject)
    if any(j.status is JobStatus.CLAIMED and j.job_id != job.job_id for j in others):
        return
    lock = tx.lock(job.subject)
    if lock is not None:
        tx.save_lock(release(lock, now))

"""The stories of agents and jobs: register, list, claim, heartbeat, submit, fail, release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import anyio.to_thread
from attrs import evolve, field, frozen

from ..catalog import Catalog
from ..domain.actors import SYSTEM, Actor, ActorKind
from ..domain.agents import AgentRecord
from ..domain.assets import (
    Asset,
    DerivedRef,
    Flag,
    Suggestion,
    Transcript,
    advanced,
)
from ..domain.facts import Facts, missing_facts, parse_facts
from ..domain.identifiers import AgentId, AssetId, Capability, JobId, parse_capability
from ..domain.job_types import JobType
from ..domain.jobs import (
    Failure,
    Job,
    JobProgress,
    JobStatus,
    failed,
    lost,
    released,
)
from ..domain.leases import DURATIONS, Lock, LockKind, check, release
from ..domain.lifecycle import Action, State
from ..domain.results import StoredResult, result_key
from ..domain.scheduling import Cause
from ..domain.storage import Health, Storage
from ..domain.uploads import Upload, UploadStatus
from ..errors import (
    NotFound,
    RetaiaError,
    StaleLockToken,
    StateConflict,
    StorageOffline,
    ValidationFailed,
)
from ..hooks.lifecycle import HookPoint
from ..ports.clock import Clock, Ids
from ..ports.derived_storage import DerivedStorage
from ..ports.store import Claim, ClaimableQuery, Claimed, Store, Transaction
from .lifecycle_hooks import HookRunner
from .scheduling import after_job, begin_processing, let_go, open_later
from .trail import record, save_step

MOST_LOOKED_AT = 20_000
"""How many pending jobs are looked at, at most, to find some whose file can be reached."""

OpenDerived = Callable[[Storage], DerivedStorage]


@frozen(kw_only=True)
class OfferedJob:
    """A job with the asset that it is about, as a list or a claim answers it."""

    job: Job
    asset: Asset


@frozen(kw_only=True)
class BundleClaim:
    """The jobs of one asset under one lease."""

    asset: Asset
    lock: Lock
    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class DerivedClaim:
    """A derived file that a submit names: the ``ref`` of a completed upload."""

    kind: str
    ref: str
    size_bytes: int | None = None
    sha256: str | None = None


@frozen(kw_only=True)
class Submission:
    """What an agent submits. Only the job type's own domain may be filled."""

    lock_token: str
    job_type: str
    facts: Mapping[str, object] = field(factory=dict)
    derived: tuple[DerivedClaim, ...] = ()
    data: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, object] = field(factory=dict)


def _agent_actor(agent: AgentId) -> Actor:
    return Actor(kind=ActorKind.AGENT, id=agent)


def need_job(tx: Transaction, job_id: JobId) -> Job:
    """Read a job.

    Raises:
        NotFound: there is none.
    """
    job = tx.job(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job


def need_asset(tx: Transaction, uuid: AssetId) -> Asset:
    """Read an asset.

    Raises:
        NotFound: there is none.
    """
    asset = tx.asset(uuid)
    if asset is None:
        raise NotFound(f"there is no asset {uuid!r}")
    return asset


def _asset_of(tx: Transaction, job: Job) -> Asset | None:
    return tx.asset(AssetId(job.subject.id)) if job.subject.kind == "asset" else None


def source_digest(asset: Asset) -> str | None:
    """What tells a source apart from all others: fingerprint, size and mtime; None before it is known."""
    if asset.fingerprint is None:
        return None
    return f"{asset.fingerprint}:{asset.size}:{asset.mtime_ns}:{asset.media_type}"


@frozen(kw_only=True)
class Processing:
    """The stories of agents and jobs. ``switched_on`` are the later job types that settings enable."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    open_derived: OpenDerived
    hooks: HookRunner
    switched_on: frozenset[str] = frozenset()

    # Agents

    async def register(
        self, client_id: str, name: str, version: str, platform: str, capabilities: Iterable[str]
    ) -> tuple[AgentRecord, tuple[str, ...]]:
        """Register an agent (again); returns its record, and a warning for each odd capability.

        Raises:
            ValidationFailed: the name is empty or too long.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise ValidationFailed("agent_name must be 1 to 200 printable characters")
        good, warnings = self._capabilities(capabilities)
        work = partial(self._register, client_id, name, version, platform, good)
        return await self.store.transact(work, durable=False), warnings

    def _capabilities(self, raw: Iterable[str]) -> tuple[frozenset[Capability], tuple[str, ...]]:
        needed = {c for t in self.catalog.job_types.values() for c in t.capabilities.values()}
        good: set[Capability] = set()
        warnings = []
        for text in raw:
            try:
                capability = parse_capability(text)
            except ValidationFailed as error:
                warnings.append(error.message)
                continue
            good.add(capability)
            if capability not in needed:
                warnings.append(f"{capability} is needed by no job type of this server")
        return frozenset(good), tuple(warnings)

    def _register(
        self,
        client_id: str,
        name: str,
        version: str,
        platform: str,
        capabilities: frozenset[Capability],
        tx: Transaction,
    ) -> AgentRecord:
        now = self.clock.now()
        known = next((a for a in tx.agents() if (a.client_id, a.name) == (client_id, name)), None)
        record_ = AgentRecord(
            agent_id=known.agent_id if known else AgentId(self.ids.uuid()),
            name=name,
            version=version,
            platform=platform,
            client_id=client_id,
            capabilities=capabilities,
            registered_at=known.registered_at if known else now,
            last_seen_at=now,
        )
        tx.save_agent(record_)
        return record_

    async def agent(self, agent_id: AgentId) -> AgentRecord:
        """A registered agent.

        Raises:
            NotFound: it is not registered (any more); it must register again.
        """
        found = await self.store.read(lambda tx: tx.agent(agent_id))
        if found is None:
            raise NotFound("this agent is not registered; register it (again)")
        return found

    async def heard_of(self, agent: AgentRecord) -> None:
        """Remember that an agent is alive, at most every ten seconds."""
        now = self.clock.now()
        if (now - agent.last_seen_at).total_seconds() < 10:
            return
        seen = evolve(agent, last_seen_at=now)
        await self.store.transact(lambda tx: tx.save_agent(seen), durable=False)

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

    def _reachable(self, jobs: Sequence[Job], tx: Transaction) -> tuple[OfferedJob, ...]:
        wanted = {AssetId(job.subject.id) for job in jobs if job.subject.kind == "asset"}
        assets = tx.assets(wanted)
        offline = {s.storage_id for s in tx.storages() if s.health is Health.OFFLINE}
        return tuple(
            OfferedJob(job=job, asset=asset)
            for job in jobs
            if (asset := assets.get(AssetId(job.subject.id))) is not None
            and asset.storage_id not in offline
            and Flag.MISSING not in asset.flags
            and asset.state is not State.MOVE_QUEUED
        )

    async def claim(self, agent: AgentRecord, job_id: JobId) -> OfferedJob:
        """Claim one job; the asset is then reserved for this agent.

        Raises:
            NotFound: no such job.
            StateConflict: it is held, not pending, or its asset is another's, moving or missing.
            StorageOffline: its storage cannot be trusted now.
        """
        bundle = await self._claim(agent, None, (job_id,))
        return OfferedJob(job=bundle.jobs[0], asset=bundle.asset)

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
        token = self.ids.token()
        work = partial(self._claim_in, agent, uuid, job_ids, job_types, token)
        return await self.store.transact(work, durable=False)

    def _claim_in(
        self,
        agent: AgentRecord,
        uuid: AssetId | None,
        job_ids: tuple[JobId, ...] | None,
        job_types: frozenset[str] | None,
        token: str,
        tx: Transaction,
    ) -> BundleClaim:
        now = self.clock.now()
        if uuid is None:
            assert job_ids is not None
            uuid = AssetId(need_job(tx, job_ids[0]).subject.id)
        asset = need_asset(tx, uuid)
        _claimable(tx, asset)
        claimed = tx.claim(
            Claim(
                subject=asset.subject,
                agent_id=agent.agent_id,
                capabilities=agent.capabilities,
                token=token,
                now=now,
                until=now + DURATIONS[LockKind.JOB_LEASE],
                job_ids=job_ids,
                job_types=job_types,
            )
        )
        if any(job.review for job in claimed.jobs):
            asset = begin_processing(tx, asset, agent.agent_id, now)
        self._note_claim(tx, agent, claimed, now)
        return BundleClaim(asset=asset, lock=claimed.lock, jobs=claimed.jobs)

    def _note_claim(
        self, tx: Transaction, agent: AgentRecord, claimed: Claimed, now: datetime
    ) -> None:
        types = [job.job_type for job in claimed.jobs]
        actor = _agent_actor(agent.agent_id)
        subject = claimed.lock.subject
        record(tx, subject, "jobs.claimed", actor, now, jobs=types, fencing=claimed.lock.fencing)

    async def _without_known(self, agent: AgentRecord, bundle: BundleClaim) -> BundleClaim:
        digest = source_digest(bundle.asset)
        if digest is None:
            return bundle
        keys = {result_key(digest, job.job_type, job.parameters): job for job in bundle.jobs}
        known = await self.store.read(
            lambda tx: [r for key in keys if (r := tx.known_result(key)) is not None]
        )
        usable = [r for r in known if r.asset != bundle.asset.uuid and r.version == agent.version]
        if not usable:
            return bundle
        storage = await self.store.read(lambda tx: tx.storage(bundle.asset.storage_id))
        assert storage is not None
        derived = self.open_derived(storage)
        asset, jobs = bundle.asset, list(bundle.jobs)
        for result in usable:
            job = keys[result.key]
            refs = await anyio.to_thread.run_sync(_clone, derived, result, asset.uuid, job)
            if refs is None:
                continue
            asset = await self.store.transact(
                partial(self._apply_known, agent, bundle.lock.token, job, result, refs),
                durable=False,
            )
            jobs.remove(job)
        await self.offer_if_processed(asset.uuid)
        return evolve(bundle, asset=asset, jobs=tuple(jobs))

    def _apply_known(
        self,
        agent: AgentRecord,
        token: str,
        job: Job,
        result: StoredResult,
        refs: tuple[DerivedRef, ...],
        tx: Transaction,
    ) -> Asset:
        now = self.clock.now()
        asset = need_asset(tx, AssetId(job.subject.id))
        tx.complete(job.job_id, token=token, now=now, warnings=result.warnings)
        merged = _merged(asset, job, result.facts, refs, result.warnings, {}, now)
        saved = tx.save_asset(merged)
        record(tx, asset.subject, "job.reused", SYSTEM, now, job=job.job_type, of=result.asset)
        return after_job(tx, saved, Cause.COMPLETED, now)

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
        await self.heard_of(agent)
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
        asset = _asset_of(tx, job)
        facts = _check_domain(job_type, job, submission, asset)
        refs = self._refs(tx, job, submission, asset, agent)
        done = tx.complete(
            job_id,
            token=submission.lock_token,
            now=now,
            result=submission.data,
            warnings=submission.warnings,
        )
        actor = _agent_actor(agent.agent_id)
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
        merged = _merged(asset, job, facts, refs, submission.warnings, submission.data, now)
        saved = tx.save_asset(merged)
        self._remember(tx, saved, job, facts, refs, submission, agent, now)
        return done, after_job(tx, saved, Cause.COMPLETED, now)

    def _refs(
        self,
        tx: Transaction,
        job: Job,
        submission: Submission,
        asset: Asset | None,
        agent: AgentRecord,
    ) -> tuple[DerivedRef, ...]:
        if not submission.derived:
            return ()
        by_ref: dict[str, Upload] = {}
        for claim in submission.derived:
            upload = tx.upload(upload_id_of(claim.ref))
            if upload is None or upload.status is not UploadStatus.COMPLETE:
                raise ValidationFailed(
                    f"{claim.ref!r} is no completed upload; upload and complete it first",
                    fields={"derived_manifest": "unknown ref"},
                )
            _check_upload(upload, claim, asset, agent)
            by_ref[claim.ref] = upload
        counts: dict[str, int] = {}
        refs = []
        for claim in submission.derived:
            upload = by_ref[claim.ref]
            index = counts.get(claim.kind, 0)
            counts[claim.kind] = index + 1
            refs.append(_derived_ref(upload, index, job, agent))
        return tuple(refs)

    def _remember(
        self,
        tx: Transaction,
        asset: Asset,
        job: Job,
        facts: Facts,
        refs: tuple[DerivedRef, ...],
        submission: Submission,
        agent: AgentRecord,
        now: datetime,
    ) -> None:
        digest = source_digest(asset)
        if digest is None or not (facts or refs):
            return
        result = StoredResult(
            key=result_key(digest, job.job_type, job.parameters),
            asset=asset.uuid,
            facts=facts,
            derived=refs,
            version=agent.version,
            warnings=submission.warnings,
            created_at=now,
        )
        tx.save_result(result)

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
            _agent_actor(agent.agent_id),
            now,
            job=job.job_type,
            code=failure.code,
            message=failure.message,
            for_good=after.status is JobStatus.FAILED,
        )
        return after, let_go(tx, _asset_of(tx, after), now)

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
        actor = _agent_actor(agent.agent_id)
        record(tx, job.subject, "job.released", actor, now, job=job.job_type)
        return job, let_go(tx, _asset_of(tx, job), now)

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

    def _lose(self, lock: Lock, tx: Transaction) -> Asset | None:
        now = self.clock.now()
        current = tx.lock(lock.subject)
        if current is None or current.token != lock.token or current.held(now):
            return None
        tx.save_lock(release(current, now))
        gone = [j for j in tx.jobs_of(lock.subject) if j.status is JobStatus.CLAIMED]
        for job in gone:
            tx.save_job(lost(job, now))
            record(tx, job.subject, "job.lost", SYSTEM, now, job=job.job_type, agent=lock.holder)
        return let_go(tx, _asset_of(tx, gone[0]), now) if gone else None

    async def offer_processed(self) -> int:
        """Offer for decision what a crash left PROCESSED; returns how many."""
        waiting = await self.store.read(lambda tx: tx.assets_in_states([State.PROCESSED]))
        for asset in waiting:
            await self.settle(asset)
        return len(waiting)

    async def offer_if_processed(self, uuid: AssetId) -> None:
        """Run the hooks and offer an asset for decision, where it is PROCESSED."""
        await self.settle(await self.store.read(lambda tx: tx.asset(uuid)))

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


def upload_id_of(ref: str) -> str:
    """The upload that made a derived file: the last part of its ref, without the suffix."""
    return ref.rpartition("/")[2].partition(".")[0].rpartition("-")[2]


def _claimable(tx: Transaction, asset: Asset) -> None:
    storage = tx.storage(asset.storage_id)
    if storage is None or storage.health is Health.OFFLINE:
        reason = storage.health_reason if storage else "it is not known"
        raise StorageOffline(f"storage {asset.storage_id} is offline: {reason}")
    if Flag.MISSING in asset.flags:
        raise StateConflict("the file is missing at present; nothing of it can be claimed")
    if asset.state in (State.MOVE_QUEUED, State.PURGED):
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


def _check_domain(
    job_type: JobType, job: Job, submission: Submission, asset: Asset | None
) -> Facts:
    """Refuse anything outside the job type's own domain (domain.md, *Claims*)."""
    media_type = asset.media_type if asset else None
    problems: dict[str, str] = {}
    if submission.job_type != job_type.name:
        problems["job_type"] = f"the job is {job_type.name}"
    if submission.facts and not job_type.states_facts:
        problems["facts_patch"] = f"{job_type.name} states no facts"
    allowed = job_type.outputs_for(media_type)
    for claim in submission.derived:
        if claim.kind not in allowed:
            problems["derived_manifest"] = f"{job_type.name} makes {', '.join(allowed) or 'none'}"
    lacking = sorted(set(allowed) - {claim.kind for claim in submission.derived})
    if lacking:
        problems.setdefault("derived_manifest", f"{', '.join(lacking)} is missing")
    if submission.data and not job_type.result_domain:
        problems["data"] = f"{job_type.name} has no result of its own"
    if problems:
        said = "; ".join(f"{name}: {text}" for name, text in problems.items())
        raise ValidationFailed(f"the result is refused: {said}", fields=problems)
    facts = parse_facts(submission.facts)
    if job_type.states_facts and asset is not None and job.review_version == asset.review_version:
        missing = missing_facts(facts, asset.media_type)
        if missing:
            raise ValidationFailed(
                f"facts of a {asset.media_type} must state {', '.join(missing)}",
                fields=dict.fromkeys(missing, "missing"),
            )
    return facts


def _check_upload(
    upload: Upload, claim: DerivedClaim, asset: Asset | None, agent: AgentRecord
) -> None:
    mismatch = (
        asset is None
        or upload.asset != asset.uuid
        or upload.kind != claim.kind
        or upload.created_by != str(_agent_actor(agent.agent_id))
        or claim.size_bytes not in (None, upload.size_bytes)
        or claim.sha256 not in (None, upload.sha256)
    )
    if mismatch:
        raise ValidationFailed(
            f"{claim.ref!r} was uploaded as something else (asset, kind, size, digest or agent)",
            fields={"derived_manifest": "does not fit its upload"},
        )


def _derived_ref(upload: Upload, index: int, job: Job, agent: AgentRecord) -> DerivedRef:
    assert upload.ref is not None
    assert upload.sha256 is not None
    return DerivedRef(
        kind=upload.kind,
        index=index,
        ref=upload.ref,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        job_id=job.job_id,
        made_by=f"{agent.name}/{agent.version}",
    )


def _merged(
    asset: Asset,
    job: Job,
    facts: Facts,
    refs: tuple[DerivedRef, ...],
    warnings: Sequence[str],
    data: Mapping[str, object],
    now: datetime,
) -> Asset:
    """Put one job's result into the asset, each part in its own domain."""
    kinds = {ref.kind for ref in refs}
    after = evolve(
        asset,
        facts={**asset.facts, **facts},
        derived=(*(d for d in asset.derived if d.kind not in kinds), *refs),
        warnings=tuple(dict.fromkeys((*asset.warnings, *warnings))),
        updated_at=now,
    )
    if job.job_type == "transcribe_audio":
        return evolve(after, transcript=_transcript(data, now))
    if job.job_type == "suggest_tags":
        return evolve(after, suggestions=_suggestions(asset, data))
    return after


def _transcript(data: Mapping[str, object], now: datetime) -> Transcript:
    text, segments = data.get("text"), data.get("segments", [])
    if not isinstance(text, str) or not isinstance(segments, list):
        raise ValidationFailed("a transcript has a text, and segments as a list")
    return Transcript(
        text=text,
        language=str(data.get("language", "")),
        segments=tuple(s for s in segments if isinstance(s, dict)),
        updated_at=now,
    )


def _suggestions(asset: Asset, data: Mapping[str, object]) -> tuple[Suggestion, ...]:
    """Replace pending suggestions; one that a person refused or accepted stays as it is."""
    settled = tuple(s for s in asset.suggestions if s.status != "PENDING")
    known = {s.tag for s in settled}
    tags, source = data.get("tags"), data.get("source")
    if not isinstance(tags, list) or not isinstance(source, str):
        raise ValidationFailed("suggestions have tags as a list, and their source")
    fresh = dict.fromkeys(str(tag) for tag in tags if str(tag) not in known)
    return (*settled, *(Suggestion(tag=tag, source=source) for tag in fresh))


def _clone(
    derived: DerivedStorage, result: StoredResult, uuid: AssetId, job: Job
) -> tuple[DerivedRef, ...] | None:
    """Give the files of a known result a second name; None where one of them is gone."""
    refs = []
    for ref in result.derived:
        if derived.size(ref.ref) != ref.size_bytes:
            return None
        name = ref.ref.rpartition("/")[2]
        target = f"{uuid}/{name}"
        try:
            derived.clone(ref.ref, target)
        except RetaiaError:
            return None
        refs.append(evolve(ref, ref=target, job_id=job.job_id))
    return tuple(refs)

"""The store in memory: the reference of the port's semantics, and the fake that use cases are tested on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar

import anyio.lowlevel
from attrs import define, evolve, field

from ..domain import jobs as job_rules
from ..domain import leases
from ..domain.agents import AgentRecord
from ..domain.assets import Asset, Source, source_of
from ..domain.discovery import Found, discovered
from ..domain.fixity import Fixity
from ..domain.identifiers import (
    AgentId,
    AssetId,
    BatchId,
    JobId,
    StorageId,
    Subject,
    asset_subject,
    folder_of,
)
from ..domain.jobs import Job, JobProgress, JobStatus, Offer, offer_of
from ..domain.journal import Event, JournalEntry
from ..domain.leases import Lock
from ..domain.lifecycle import State
from ..domain.moves import Batch, BatchStatus, Candidate, MoveResult, candidate_of
from ..domain.query import AssetPage, AssetQuery, TagUse
from ..domain.results import StoredResult
from ..domain.scans import FolderRecord, UnmatchedSidecar
from ..domain.seals import Seal
from ..domain.storage import Storage
from ..domain.uploads import Upload
from ..errors import NotFound, RetaiaError, StateConflict, StoreError
from ..ports import claiming
from ..ports.store import (
    Claim,
    ClaimableQuery,
    Claimed,
    Completion,
    Replay,
    SharedWork,
    Store,
    Transaction,
    Work,
    alone,
)
from . import memory_query
from .memory_accounts import AccountTables, MemoryAccounts
from .memory_fixity import MemoryFixity
from .memory_history import MemoryHistory
from .memory_monitoring import MemoryMonitoring
from .memory_tables import Table, Undo, rewind

Item = TypeVar("Item")
T = TypeVar("T")


@define
class Tables:
    """Everything that a store keeps."""

    storages: Table[StorageId, Storage] = field(factory=Table)
    assets: Table[AssetId, Asset] = field(factory=Table)
    paths: Table[tuple[StorageId, str], AssetId] = field(factory=Table)
    folders: Table[tuple[StorageId, str], FolderRecord] = field(factory=Table)
    unmatched: Table[tuple[StorageId, str], tuple[UnmatchedSidecar, ...]] = field(factory=Table)
    jobs: Table[JobId, Job] = field(factory=Table)
    jobs_of: Table[Subject, tuple[JobId, ...]] = field(factory=Table)
    locks: Table[Subject, Lock] = field(factory=Table)
    agents: Table[AgentId, AgentRecord] = field(factory=Table)
    uploads: Table[str, Upload] = field(factory=Table)
    results: Table[str, StoredResult] = field(factory=Table)
    batches: Table[BatchId, Batch] = field(factory=Table)
    events: Table[int, Event] = field(factory=Table)
    journal: Table[int, JournalEntry] = field(factory=Table)
    replays: Table[str, Replay] = field(factory=Table)
    fixities: Table[AssetId, Fixity] = field(factory=Table)
    seals: Table[int, Seal] = field(factory=Table)
    people: AccountTables = field(factory=AccountTables)


class MemoryTransaction(MemoryAccounts, MemoryMonitoring, MemoryFixity, MemoryHistory, Transaction):
    """One transaction over the tables; what it wrote can be taken back until it is committed."""

    def __init__(self, tables: Tables, *, writes: bool) -> None:
        self._tables = self._watched = self._contents = self._trails = tables
        self._writes = writes
        self._undo: Undo = []

    @property
    def _people(self) -> AccountTables:
        return self._tables.people

    def rewind(self) -> None:
        """Take back everything that this transaction wrote."""
        rewind(self._undo)

    @property
    def _log(self) -> Undo:
        """The undo list; every write passes here, so that a read cannot write."""
        if not self._writes:
            raise StoreError("a function given to `read` must not write; give it to `transact`")
        return self._undo

    # Storages

    def storages(self) -> Sequence[Storage]:
        return sorted(self._tables.storages.values(), key=lambda storage: storage.storage_id)

    def storage(self, storage_id: StorageId) -> Storage | None:
        return self._tables.storages.get(storage_id)

    def save_storage(self, storage: Storage) -> None:
        self._tables.storages.put(storage.storage_id, storage, self._log)

    # Assets

    def asset(self, uuid: AssetId) -> Asset | None:
        return self._tables.assets.get(uuid)

    def assets(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Asset]:
        found = self._tables.assets
        return {uuid: found[uuid] for uuid in uuids if uuid in found}

    def states(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, State]:
        return {uuid: asset.state for uuid, asset in self.assets(uuids).items()}

    def sources(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Source]:
        return {uuid: source_of(asset) for uuid, asset in self.assets(uuids).items()}

    def asset_at(self, storage_id: StorageId, path: str) -> Asset | None:
        uuid = self._tables.paths.get((storage_id, path))
        return None if uuid is None else self._tables.assets[uuid]

    def known_at(self, storage_id: StorageId, paths: Iterable[str]) -> Mapping[str, AssetId]:
        found = self._tables.paths
        return {path: found[storage_id, path] for path in paths if (storage_id, path) in found}

    def _living(self, storage_id: StorageId) -> Iterable[Asset]:
        """The assets of a storage that were not purged, by path."""
        here = (
            asset
            for asset in self._tables.assets.values()
            if asset.storage_id == storage_id and asset.state is not State.PURGED
        )
        return sorted(here, key=lambda asset: asset.path)

    def assets_in_folder(self, storage_id: StorageId, folder: str) -> Sequence[Asset]:
        return [asset for asset in self._living(storage_id) if folder_of(asset.path) == folder]

    def assets_like(
        self, storage_id: StorageId, shapes: Iterable[tuple[int, int]]
    ) -> Sequence[Asset]:
        wanted = set(shapes)
        here = self._living(storage_id)
        return [a for a in here if a.fingerprint is not None and (a.size, a.mtime_ns) in wanted]

    def assets_in_states(
        self,
        states: Iterable[State],
        *,
        storage_id: StorageId | None = None,
        after: AssetId | None = None,
        limit: int = 1000,
    ) -> Sequence[Asset]:
        wanted = set(states)
        found = (
            asset
            for asset in self._tables.assets.values()
            if asset.state in wanted
            and storage_id in (None, asset.storage_id)
            and (after is None or asset.uuid > after)
        )
        return sorted(found, key=lambda asset: asset.uuid)[:limit]

    def candidates(
        self, state: State, *, after: AssetId | None = None, limit: int = 1000
    ) -> Sequence[Candidate]:
        return list(map(candidate_of, self.assets_in_states([state], after=after, limit=limit)))

    def _put_asset(self, asset: Asset) -> None:
        """Write an asset and keep the index of paths, which a purged asset leaves."""
        old = self._tables.assets.get(asset.uuid)
        if old is not None and self._tables.paths.get((old.storage_id, old.path)) == old.uuid:
            self._tables.paths.drop((old.storage_id, old.path), self._log)
        self._tables.assets.put(asset.uuid, asset, self._log)
        if asset.state is not State.PURGED:
            self._tables.paths.put((asset.storage_id, asset.path), asset.uuid, self._log)

    def _refuse_taken_path(self, asset: Asset) -> None:
        holder = self._tables.paths.get((asset.storage_id, asset.path))
        if asset.state is not State.PURGED and holder not in (None, asset.uuid):
            raise StateConflict(
                f"{asset.path!r} is asset {holder}'s path already; scan again",
                path=asset.path,
                asset=holder,
            )

    def _add_asset(self, asset: Asset) -> None:
        if asset.uuid in self._tables.assets:
            raise StateConflict(f"asset {asset.uuid} is there already; read it again")
        self._refuse_taken_path(asset)
        self._put_asset(asset)

    def add_assets(self, assets: Iterable[Asset]) -> None:
        before = len(self._log)
        try:
            for asset in assets:
                self._add_asset(asset)
        except StateConflict:
            added, self._undo[before:] = self._undo[before:], []
            rewind(added)
            raise

    def add_found(self, found: Found) -> None:
        self.add_assets(discovered(found))

    def save_asset(self, asset: Asset) -> Asset:
        stored = self._tables.assets.get(asset.uuid)
        if stored is None or stored.revision != asset.revision:
            raise StateConflict(
                f"asset {asset.uuid} was changed since it was read; read it again",
                asset=asset.uuid,
            )
        self._refuse_taken_path(asset)
        saved = evolve(asset, revision=asset.revision + 1)
        self._put_asset(saved)
        return saved

    def save_assets(self, assets: Sequence[Asset]) -> None:
        for asset in assets:
            self.save_asset(asset)

    def find_assets(self, query: AssetQuery) -> AssetPage:
        return memory_query.page(self._tables.assets.values(), query)

    def find_tags(self, prefix: str, *, after: str | None, limit: int) -> Sequence[TagUse]:
        return memory_query.tags(self._tables.assets.values(), prefix, after)[:limit]

    def count_assets(self, storage_id: StorageId | None = None) -> Mapping[State, int]:
        counts: dict[State, int] = {}
        for asset in self._tables.assets.values():
            if storage_id in (None, asset.storage_id):
                counts[asset.state] = counts.get(asset.state, 0) + 1
        return counts

    # Discovery

    def folders(self, storage_id: StorageId) -> Mapping[str, FolderRecord]:
        records = self._tables.folders.values()
        return {record.folder: record for record in records if record.storage_id == storage_id}

    def save_folders(self, records: Iterable[FolderRecord]) -> None:
        for record in records:
            self._tables.folders.put((record.storage_id, record.folder), record, self._log)

    def drop_folders(self, storage_id: StorageId, folders: Iterable[str]) -> None:
        for folder in folders:
            self._tables.folders.drop((storage_id, folder), self._log)

    def set_unmatched(
        self, storage_id: StorageId, folder: str, sidecars: Iterable[UnmatchedSidecar]
    ) -> None:
        self._tables.unmatched.put((storage_id, folder), tuple(sidecars), self._log)

    def unmatched(self, storage_id: StorageId | None = None) -> Sequence[UnmatchedSidecar]:
        found = (
            sidecar
            for sidecars in self._tables.unmatched.values()
            for sidecar in sidecars
            if storage_id in (None, sidecar.storage_id)
        )
        return sorted(found, key=lambda sidecar: (sidecar.storage_id, sidecar.path))

    # Jobs, claims, leases

    def add_jobs(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.job_id in self._tables.jobs:
                raise StateConflict(f"job {job.job_id} is there already")
            self.save_job(job)

    def job(self, job_id: JobId) -> Job | None:
        return self._tables.jobs.get(job_id)

    def jobs_of(self, subject: Subject, review_version: int | None = None) -> Sequence[Job]:
        jobs = (self._tables.jobs[job_id] for job_id in self._tables.jobs_of.get(subject, ()))
        wanted = (job for job in jobs if review_version in (None, job.review_version))
        return sorted(wanted, key=lambda job: (job.created_at, job.job_id))

    def save_job(self, job: Job) -> None:
        ids = self._tables.jobs_of.get(job.subject, ())
        if job.job_id not in ids:
            self._tables.jobs_of.put(job.subject, (*ids, job.job_id), self._log)
        self._tables.jobs.put(job.job_id, job, self._log)

    def claimable(self, query: ClaimableQuery) -> Sequence[Offer]:
        locks = self._tables.locks
        found = (
            job
            for job in self._tables.jobs.values()
            if claiming.offered(job, locks.get(job.subject), query)
        )
        first = sorted(found, key=claiming.offer_order)[: query.limit]
        return [offer_of(job) for job in first]

    def find_jobs(
        self, *, statuses: Iterable[JobStatus] = (), limit: int = 100, after: JobId | None = None
    ) -> Sequence[Job]:
        wanted = set(statuses) or set(JobStatus)
        found = (
            job
            for job in self._tables.jobs.values()
            if job.status in wanted and (after is None or job.job_id > after)
        )
        return sorted(found, key=lambda job: job.job_id)[:limit]

    def claim(self, claim: Claim) -> Claimed:
        current = self.lock(claim.subject)
        answer, changed = claiming.take(claim, current, self.jobs_of(claim.subject))
        self.save_lock(answer.lock)
        for job in changed:
            self.save_job(job)
        return answer

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        return claiming.one_by_one(self.claim, claims)

    def _held(self, job_id: JobId, token: str, now: datetime) -> tuple[Job, Lock]:
        job = self.job(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id}")
        lock = leases.check(self.lock(job.subject), token=token, now=now)
        return claiming.held_under(lock, job), lock

    def extend(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        until: datetime,
        progress: JobProgress | None = None,
    ) -> Lock:
        job, held = self._held(job_id, token, now)
        lock = leases.extend(held, now, until - now)
        self.save_lock(lock)
        self.save_job(evolve(job, progress=progress or job.progress))
        for member in self._under(lock):
            self.save_job(evolve(member, locked_until=lock.expires_at))
        return lock

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        job, lock = self._held(job_id, token, now)
        done = job_rules.completed(job, now, result=result, warnings=warnings)
        self.save_job(done)
        if not self._under(lock):
            self.save_lock(leases.release(lock, now))
        return done

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        def complete(one: Completion) -> None:
            self.complete(
                one.job_id, token=one.token, now=now, result=one.result, warnings=one.warnings
            )

        return claiming.one_by_one(complete, completions)

    def _under(self, lock: Lock) -> list[Job]:
        """The jobs that are held under a lock."""
        return [job for job in self.jobs_of(lock.subject) if claiming.under(lock, job)]

    def lock(self, subject: Subject) -> Lock | None:
        return self._tables.locks.get(subject)

    def asset_locks(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Lock]:
        found = {uuid: self.lock(asset_subject(uuid)) for uuid in uuids}
        return {uuid: lock for uuid, lock in found.items() if lock is not None}

    def save_lock(self, *locks: Lock) -> None:
        for lock in locks:
            self._tables.locks.put(lock.subject, lock, self._log)

    def locks(self, *, now: datetime, expired: bool, limit: int = 1000) -> Sequence[Lock]:
        found = (
            lock
            for lock in self._tables.locks.values()
            if lock.token and lock.held(now) is not expired
        )
        return sorted(found, key=lambda lock: (lock.expires_at, str(lock.subject)))[:limit]

    # Agents

    def agent(self, agent_id: AgentId) -> AgentRecord | None:
        return self._tables.agents.get(agent_id)

    def agents(self) -> Sequence[AgentRecord]:
        return sorted(self._tables.agents.values(), key=lambda agent: agent.agent_id)

    def save_agent(self, agent: AgentRecord) -> None:
        self._tables.agents.put(agent.agent_id, agent, self._log)

    # Uploads and known results

    def upload(self, upload_id: str) -> Upload | None:
        return self._tables.uploads.get(upload_id)

    def save_upload(self, upload: Upload) -> None:
        self._tables.uploads.put(upload.upload_id, upload, self._log)

    def drop_upload(self, upload_id: str) -> None:
        self._tables.uploads.drop(upload_id, self._log)

    def uploads_before(self, time: datetime, limit: int = 100) -> Sequence[Upload]:
        found = (upload for upload in self._tables.uploads.values() if upload.created_at < time)
        return sorted(found, key=lambda u: (u.created_at, u.upload_id))[:limit]

    def known_result(self, key: str) -> StoredResult | None:
        return self._tables.results.get(key)

    def save_result(self, result: StoredResult) -> None:
        self._tables.results.put(result.key, result, self._log)

    # Batches

    def add_batch(self, batch: Batch) -> None:
        if batch.batch_id in self._tables.batches:
            raise StateConflict(f"batch {batch.batch_id} is there already")
        self._tables.batches.put(batch.batch_id, batch, self._log)

    def batch(self, batch_id: BatchId) -> Batch | None:
        return self._tables.batches.get(batch_id)

    def batches(self, *, open_only: bool = False, limit: int = 50) -> Sequence[Batch]:
        found = (
            batch
            for batch in self._tables.batches.values()
            if not open_only or batch.status is not BatchStatus.DONE
        )
        return sorted(found, key=lambda b: (b.created_at, b.batch_id), reverse=True)[:limit]

    def _known_batch(self, batch_id: BatchId) -> Batch:
        stored = self.batch(batch_id)
        if stored is None:
            raise NotFound(f"there is no batch {batch_id}")
        return stored

    def save_batch(self, batch: Batch) -> None:
        stored = self._known_batch(batch.batch_id)
        saved = evolve(stored, status=batch.status, finished_at=batch.finished_at)
        self._tables.batches.put(batch.batch_id, saved, self._log)

    def save_move_result(self, batch_id: BatchId, *results: MoveResult) -> None:
        stored = self._known_batch(batch_id)
        known = {result.asset: result for result in stored.results}
        for result in results:
            if result.asset not in known:
                raise NotFound(f"batch {batch_id} does not move asset {result.asset}")
            known[result.asset] = result
        saved = evolve(stored, results=tuple(known.values()))
        self._tables.batches.put(batch_id, saved, self._log)

    # Audit trail, journal, idempotency

    def add_event(self, *events: Event) -> None:
        for seq, event in enumerate(events, start=len(self._tables.events) + 1):
            self._tables.events.put(seq, evolve(event, seq=seq), self._log)

    def events(
        self, subject: Subject | None = None, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Event]:
        found = (
            event
            for event in self._tables.events.values()
            if event.seq > after and subject in (None, event.subject)
        )
        return sorted(found, key=lambda event: event.seq)[:limit]

    def add_journal(self, *entries: JournalEntry) -> None:
        for seq, entry in enumerate(entries, start=len(self._tables.journal) + 1):
            self._tables.journal.put(seq, evolve(entry, seq=seq), self._log)

    def journal(
        self, *, subject: Subject | None = None, batch_id: str | None = None
    ) -> Sequence[JournalEntry]:
        found = (
            entry
            for entry in self._tables.journal.values()
            if subject in (None, entry.subject) and batch_id in (None, entry.batch_id)
        )
        return sorted(found, key=lambda entry: entry.seq)

    def replay(self, scope: str) -> Replay | None:
        return self._tables.replays.get(scope)

    def save_replay(self, replay: Replay) -> None:
        self._tables.replays.put(replay.scope, replay, self._log)

    def drop_replays_before(self, time: datetime) -> int:
        old = [r.scope for r in self._tables.replays.values() if r.created_at < time]
        for scope in old:
            self._tables.replays.drop(scope, self._log)
        return len(old)


class MemoryStore(Store):
    """A store that lives as long as the object.

    ``rehearse`` runs every writing function twice and takes the first run back, as a store does after a
    serialisation failure: a function that has another effect than on its transaction shows itself.
    ``problem`` is what every call raises while it is set (a database that does not answer, say).
    ``transaction_type`` can be replaced in a subclass, to put a fault between a use case and its tables.
    """

    transaction_type: ClassVar[type[MemoryTransaction]] = MemoryTransaction

    def __init__(self, *, rehearse: bool = False) -> None:
        self.rehearse = rehearse
        self.problem: RetaiaError | None = None
        self._tables = Tables()
        self._lock = threading.Lock()

    async def prepare(self) -> None:
        """Nothing is to be prepared in memory; fails where a ``problem`` is set."""
        await self._enter()

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        """Run a function alone, and take back what it wrote where it raises.

        Raises:
            RetaiaError: ``problem``, or whatever the function raised; nothing was changed.
        """
        await self._enter()
        with self._lock:
            if self.rehearse:
                self._attempt(work, commit=False)
            return self._attempt(work, commit=True)

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        """Run a function alone with its item: nobody waits here together with others.

        Raises:
            RetaiaError: as `transact`, or the outcome of the item.
        """
        return await self.transact(alone(work, item), durable=durable)

    async def read(self, work: Work[T]) -> T:
        """Run a function that only reads; no write comes in between.

        Raises:
            StoreError: the function tried to write.
        """
        await self._enter()
        with self._lock:
            return work(self.transaction_type(self._tables, writes=False))

    async def close(self) -> None:
        """Nothing is held open; what was stored stays with the object."""

    async def _enter(self) -> None:
        # A task that asks lets others go first, as it would while a database answers.
        await anyio.lowlevel.checkpoint()
        if self.problem is not None:
            raise self.problem

    def _attempt(self, work: Work[T], *, commit: bool) -> T:
        transaction = self.transaction_type(self._tables, writes=True)
        done = False
        try:
            answer = work(transaction)
            done = commit
        finally:
            if not done:
                transaction.rewind()
        return answer

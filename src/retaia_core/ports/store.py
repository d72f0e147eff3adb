"""The store port: truth, kept in transactions.

A use case hands the store a *function of one transaction*; the store runs it whole, away from the event
loop (or in it, for a moment only), and commits or rolls back. The function is synchronous, has no other
effect than on the transaction, and may be run again after a serialisation failure. So a decision and its
audit event are one commit, and several functions can share one (group commit) without knowing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from attrs import field, frozen

from ..domain.agents import AgentRecord
from ..domain.assets import Asset, Source
from ..domain.discovery import Found
from ..domain.identifiers import AgentId, AssetId, BatchId, Capability, JobId, StorageId, Subject
from ..domain.jobs import Job, JobProgress, JobStatus, Offer
from ..domain.journal import Event, JournalEntry
from ..domain.leases import Lock
from ..domain.lifecycle import State
from ..domain.moves import Batch, Candidate, MoveResult
from ..domain.query import AssetPage, AssetQuery, TagUse
from ..domain.results import StoredResult
from ..domain.scans import FolderRecord, UnmatchedSidecar
from ..domain.storage import Storage
from ..domain.uploads import Upload
from ..errors import RetaiaError
from .accounts_store import AccountsTransaction
from .fixity_store import FixityTransaction
from .history_store import HistoryTransaction
from .monitoring import MonitoringTransaction

Item = TypeVar("Item")
T = TypeVar("T")


@frozen(kw_only=True)
class Replay:
    """The first answer given under an idempotency key. ``body_digest`` tells another body apart."""

    scope: str
    body_digest: str
    status: int
    body: bytes
    created_at: datetime


@frozen(kw_only=True)
class ClaimableQuery:
    """Which jobs an agent may be offered: pending, not waiting, due, of subjects nobody else holds."""

    agent_id: AgentId
    capabilities: frozenset[Capability]
    now: datetime
    limit: int = 50
    job_types: frozenset[str] | None = None


@frozen(kw_only=True)
class Claim:
    """A wish to hold jobs of one subject: those named, or (None) every one that the agent can do.

    ``token`` is fresh randomness, ``until`` the lease's expiry.
    """

    subject: Subject
    agent_id: AgentId
    capabilities: frozenset[Capability]
    token: str
    now: datetime
    until: datetime
    job_ids: tuple[JobId, ...] | None = None
    job_types: frozenset[str] | None = None


@frozen(kw_only=True)
class Claimed:
    """A claim that won: the lease, and the jobs under it."""

    lock: Lock
    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class Completion:
    """A wish to complete a held job under its lease's token; the rest as `jobs.completed` takes it."""

    job_id: JobId
    token: str
    result: Mapping[str, object] = field(factory=dict)
    warnings: tuple[str, ...] = ()


class Transaction(
    AccountsTransaction, MonitoringTransaction, FixityTransaction, HistoryTransaction, Protocol
):
    """Everything that can be read and written in one transaction.

    Reads in a write transaction see its own writes and, where the name says so, lock the row.
    ``save_*`` inserts or replaces by key. Times are aware UTC with microseconds.
    """

    # Storages
    def storages(self) -> Sequence[Storage]: ...
    def storage(self, storage_id: StorageId) -> Storage | None: ...
    def save_storage(self, storage: Storage) -> None: ...

    # Assets
    def asset(self, uuid: AssetId) -> Asset | None:
        """Read one asset; in a write transaction nobody else can change it until the end."""
        ...

    def assets(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Asset]:
        """Read some assets, in the order that is asked for; in a write transaction as `asset` does."""
        ...

    def states(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, State]:
        """Read the states of some assets; in a write transaction as `asset` does."""
        ...

    def sources(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Source]:
        """Where the files of some assets are, of those that there are."""
        ...

    def asset_at(self, storage_id: StorageId, path: str) -> Asset | None:
        """The asset whose main file has this path now (purged ones aside)."""
        ...

    def known_at(self, storage_id: StorageId, paths: Iterable[str]) -> Mapping[str, AssetId]:
        """Whose main file has each of these paths now, where one has (purged ones aside)."""
        ...

    def assets_in_folder(self, storage_id: StorageId, folder: str) -> Sequence[Asset]:
        """The assets whose main file lies directly in a folder (purged ones aside)."""
        ...

    def assets_like(
        self, storage_id: StorageId, shapes: Iterable[tuple[int, int]]
    ) -> Sequence[Asset]:
        """The assets with a fingerprint that have one of these ``(size, mtime_ns)`` (purged aside)."""
        ...

    def assets_in_states(
        self,
        states: Iterable[State],
        *,
        storage_id: StorageId | None = None,
        after: AssetId | None = None,
        limit: int = 1000,
    ) -> Sequence[Asset]:
        """Whole assets in UUID order, after the one given."""
        ...

    def candidates(
        self, state: State, *, after: AssetId | None = None, limit: int = 1000
    ) -> Sequence[Candidate]:
        """What a plan of their moves depends on, of the assets in a state, in UUID order."""
        ...

    def add_assets(self, assets: Iterable[Asset]) -> None:
        """Insert new assets.

        Raises:
            StateConflict: a UUID or a ``(storage_id, path)`` is there already.
        """
        ...

    def add_found(self, found: Found) -> None:
        """Insert the assets that found files become, as `discovery.discovered` says.

        Raises:
            StateConflict: as `add_assets`.
        """
        ...

    def save_asset(self, asset: Asset) -> Asset:
        """Replace an asset that was read at ``asset.revision``; returns it with the next revision.

        Raises:
            StateConflict: it was changed (or removed) since; or its path is another asset's.
        """
        ...

    def save_assets(self, assets: Sequence[Asset]) -> None:
        """Replace assets as `save_asset` would one after another.

        Raises:
            StateConflict: as `save_asset`; others of them may have been replaced in this transaction.
        """
        ...

    def find_assets(self, query: AssetQuery) -> AssetPage: ...
    def find_tags(self, prefix: str, *, after: str | None, limit: int) -> Sequence[TagUse]:
        """The tags of assets that begin so without case, after the one given.

        They come in order of their case-folded form, then of their own.
        """
        ...

    def count_assets(self, storage_id: StorageId | None = None) -> Mapping[State, int]: ...

    # Discovery
    def folders(self, storage_id: StorageId) -> Mapping[str, FolderRecord]: ...
    def save_folders(self, records: Iterable[FolderRecord]) -> None: ...
    def drop_folders(self, storage_id: StorageId, folders: Iterable[str]) -> None: ...
    def set_unmatched(
        self, storage_id: StorageId, folder: str, sidecars: Iterable[UnmatchedSidecar]
    ) -> None:
        """Replace the unmatched sidecars of one folder."""
        ...

    def unmatched(self, storage_id: StorageId | None = None) -> Sequence[UnmatchedSidecar]: ...

    # Jobs, claims, leases
    def add_jobs(self, jobs: Iterable[Job]) -> None: ...
    def job(self, job_id: JobId) -> Job | None: ...
    def jobs_of(self, subject: Subject, review_version: int | None = None) -> Sequence[Job]:
        """The jobs of a subject in order of creation; of one review version where given."""
        ...

    def save_job(self, job: Job) -> None: ...
    def claimable(self, query: ClaimableQuery) -> Sequence[Offer]:
        """The pending jobs that an agent may be offered, by priority (high first), then by age."""
        ...

    def find_jobs(
        self, *, statuses: Iterable[JobStatus] = (), limit: int = 100, after: JobId | None = None
    ) -> Sequence[Job]:
        """Jobs in order of their ids, after the one given; of some statuses where given."""
        ...

    def claim(self, claim: Claim) -> Claimed:
        """Take the subject's lease (as `leases.acquire` says) and the jobs under it, atomically.

        An expired lease of another holder is no hindrance: its jobs become claimable by this very
        call, as `jobs.lost` says.

        Raises:
            NotFound: a job that is named does not exist.
            StateConflict: another holds the subject, or none of the jobs can be claimed now.
        """
        ...

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Claimed | RetaiaError]:
        """Claim several subjects as `claim` would one after another; the outcome of each, in order.

        A claim that is refused leaves nothing, and hinders no other.
        """
        ...

    def extend(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        until: datetime,
        progress: JobProgress | None = None,
    ) -> Lock:
        """A heartbeat: move the lease's expiry on.

        Raises:
            NotFound, LockRequired, LockInvalid, StaleLockToken: as `leases.check` says.
        """
        ...

    def complete(
        self,
        job_id: JobId,
        *,
        token: str,
        now: datetime,
        result: Mapping[str, object] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Job:
        """Complete a held job, as `jobs.completed` says; the lease ends with its last held job.

        Raises:
            NotFound, LockRequired, LockInvalid, StaleLockToken: nothing was changed.
        """
        ...

    def complete_all(
        self, completions: Sequence[Completion], *, now: datetime
    ) -> Sequence[RetaiaError | None]:
        """Complete several jobs as `complete` would one after another; None, or why it was refused.

        A completion that is refused leaves nothing, and hinders no other.
        """
        ...

    def lock(self, subject: Subject) -> Lock | None:
        """Read the lock row of a subject; in a write transaction it is locked until the end."""
        ...

    def asset_locks(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Lock]:
        """Read the lock rows of some assets, where they have one; in a write transaction as `lock` does."""
        ...

    def save_lock(self, *locks: Lock) -> None: ...
    def locks(self, *, now: datetime, expired: bool, limit: int = 1000) -> Sequence[Lock]:
        """The locks with a token that are held now, or (``expired``) whose time is over."""
        ...

    # Agents
    def agent(self, agent_id: AgentId) -> AgentRecord | None: ...
    def agents(self) -> Sequence[AgentRecord]: ...
    def save_agent(self, agent: AgentRecord) -> None: ...

    # Uploads and known results
    def upload(self, upload_id: str) -> Upload | None: ...
    def save_upload(self, upload: Upload) -> None: ...
    def drop_upload(self, upload_id: str) -> None: ...
    def uploads_before(self, time: datetime, limit: int = 100) -> Sequence[Upload]:
        """Uploads that were announced before a time, complete or not."""
        ...

    def known_result(self, key: str) -> StoredResult | None: ...
    def save_result(self, result: StoredResult) -> None: ...

    # Batches
    def add_batch(self, batch: Batch) -> None: ...
    def batch(self, batch_id: BatchId) -> Batch | None: ...
    def batches(self, *, open_only: bool = False, limit: int = 50) -> Sequence[Batch]:
        """Batches, newest first."""
        ...

    def save_batch(self, batch: Batch) -> None:
        """Replace status and times of a batch; its results are saved by themselves."""
        ...

    def save_move_result(self, batch_id: BatchId, *results: MoveResult) -> None:
        """Replace the results of some assets of a batch.

        Raises:
            NotFound: there is no such batch, or it does not move one of the assets.
        """
        ...

    # Audit trail, journal, idempotency
    def add_event(self, *events: Event) -> None: ...
    def events(
        self, subject: Subject | None = None, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Event]:
        """Events in their order; of one subject where given."""
        ...

    def add_journal(self, *entries: JournalEntry) -> None: ...
    def journal(
        self, *, subject: Subject | None = None, batch_id: str | None = None
    ) -> Sequence[JournalEntry]: ...

    def replay(self, scope: str) -> Replay | None:
        """The answer kept under a scope; in a write transaction a second asker waits for the first."""
        ...

    def save_replay(self, replay: Replay) -> None: ...
    def drop_replays_before(self, time: datetime) -> int: ...


Work = Callable[[Transaction], T]

SharedWork = Callable[[Transaction, Sequence[Item]], Sequence[T | RetaiaError]]
"""A function of one transaction for several callers: their items, and the outcome of each, in order."""


def alone(work: SharedWork[Item, T], item: Item) -> Work[T]:
    """The same function for one item, whose outcome is answered or raised."""

    def run(tx: Transaction) -> T:
        (outcome,) = work(tx, (item,))
        if isinstance(outcome, RetaiaError):
            raise outcome
        return outcome

    return run


class Store(Protocol):
    """A store. It is opened by its plugin, migrated by `prepare`, and closed once."""

    async def prepare(self) -> None:
        """Create or migrate the schema.

        Raises:
            StoreError: the database is from a newer version, or in use by another server.
        """
        ...

    async def transact(self, work: Work[T], *, durable: bool = True) -> T:
        """Run a function in one write transaction and commit it.

        ``durable`` says that the commit must survive a loss of power (decisions, moves, purges);
        without it, it survives a crash of the process, and may share its sync with others.

        Raises:
            StoreUnavailable: the database does not answer.
            RetaiaError: whatever the function raised; nothing was changed.
        """
        ...

    async def transact_shared(
        self, work: SharedWork[Item, T], item: Item, *, durable: bool = True
    ) -> T:
        """Run a function in one write transaction for all who wait for the same one meanwhile.

        An outcome that is a `RetaiaError` is raised to its own caller alone; the function must have
        written nothing for that item. Where the function itself raises, everything is taken back, and
        it runs for each item alone.

        Raises:
            StoreUnavailable: the database does not answer.
            RetaiaError: the outcome of this item; nothing was changed for it.
        """
        ...

    async def read(self, work: Work[T]) -> T:
        """Run a function that only reads, on one consistent snapshot."""
        ...

    async def close(self) -> None: ...

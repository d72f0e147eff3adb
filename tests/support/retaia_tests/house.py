"""A whole program over ports in memory, for tests of the use cases."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from attrs import define, field

from retaia_core.catalog import Catalog, builtin_catalog
from retaia_core.domain.actors import Actor, ActorKind
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.assets import Asset
from retaia_core.domain.custom_fields import CustomFields
from retaia_core.domain.features import server_flags
from retaia_core.domain.health import Problem
from retaia_core.domain.identifiers import AssetId, JobId, StorageId
from retaia_core.domain.scans import ScanReport
from retaia_core.domain.storage import Layout, Marker, Storage, Trouble
from retaia_core.hooks.lifecycle import LifecycleHook
from retaia_core.ports.derived_storage import DerivedStorage
from retaia_core.ports.originals import FolderFound, Originals, OriginalsDriver
from retaia_core.ports.secrets import Secrets
from retaia_core.ports.store import Store
from retaia_core.shell.people import People, people_of
from retaia_core.testing.clock import FakeClock, SequentialIds
from retaia_core.testing.memory_copies import MemoryCopies
from retaia_core.testing.memory_files import MemoryDerived, MemoryOriginals
from retaia_core.testing.memory_notifier import MemoryNotifier
from retaia_core.testing.memory_secrets import PlainSecrets
from retaia_core.testing.memory_security import MemorySecurityLog
from retaia_core.testing.memory_store import MemoryStore
from retaia_core.usecases.agents import Agents
from retaia_core.usecases.annotations import Annotations
from retaia_core.usecases.attachments import Attachments
from retaia_core.usecases.bulk_decisions import BulkDecisions
from retaia_core.usecases.clients import Clients
from retaia_core.usecases.devices import Devices
from retaia_core.usecases.discovery import Discovery
from retaia_core.usecases.features import Features
from retaia_core.usecases.lifecycle_hooks import HookRunner
from retaia_core.usecases.moves import Moves
from retaia_core.usecases.operations import Operations
from retaia_core.usecases.processing import BundleClaim, Processing
from retaia_core.usecases.proofs import Proofs
from retaia_core.usecases.purges import Purges
from retaia_core.usecases.recovery import Recovery
from retaia_core.usecases.results import DerivedClaim, Submission
from retaia_core.usecases.review import Review
from retaia_core.usecases.scan_tally import ScanOptions
from retaia_core.usecases.second_factors import SecondFactors
from retaia_core.usecases.sessions import Sessions
from retaia_core.usecases.storages import Storages
from retaia_core.usecases.undo import Undo
from retaia_core.usecases.uploads import Uploads

PERSON = Actor(kind=ActorKind.PERSON, id="local/ana")
ROOT = "/footage"
UNPLUGGED = Problem(trouble=Trouble.MARKER, reason="unplugged")
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 10
MP4 = (
    (16).to_bytes(4, "big")
    + b"ftypisom"
    + b"\0" * 4
    + (8).to_bytes(4, "big")
    + b"moov"
    + (8).to_bytes(4, "big")
    + b"mdat"
)
FACTS = {
    "VIDEO": {
        "duration_ms": 1000, "media_format": "mp4", "video_codec": "h264",
        "width": 64, "height": 48, "fps": 25.0,
    },
    "PHOTO": {"media_format": "jpeg", "width": 64, "height": 48},
}  # fmt: skip


class MemoryDriver(OriginalsDriver):
    """Opens the one storage of a house."""

    def __init__(self, originals: MemoryOriginals) -> None:
        self.originals = originals

    def open(self, root: str, storage_id: StorageId) -> Originals:
        return self.originals

    def survey(self, root: str, extensions: AbstractSet[str]) -> FolderFound:
        return FolderFound(files=len(self.originals.files), media=0, has_inbox=True)

    def adopt(self, root: str, marker: Marker) -> Marker:
        return marker


@define(kw_only=True)
class House:
    """Use cases wired over memory; `start` adopts the storage.

    ``twin`` is a second way into the same database, for a second server beside the first.
    """

    clock: FakeClock = field(factory=FakeClock)
    ids: SequentialIds = field(factory=SequentialIds)
    store: Store = field(factory=MemoryStore)
    catalog: Catalog = field(factory=builtin_catalog)
    originals: MemoryOriginals = field(factory=MemoryOriginals)
    derived: MemoryDerived = field(factory=MemoryDerived)
    copies: MemoryCopies = field(factory=lambda: MemoryCopies("backup", "tape"))
    require_proof: bool = False
    hooks: Sequence[LifecycleHook] = ()
    blocking: frozenset[str] = frozenset()
    switched_on: frozenset[str] = frozenset()
    quiet: timedelta = timedelta(0)
    policies: frozenset[str] = frozenset()
    secrets: Secrets = field(factory=PlainSecrets)
    security: MemorySecurityLog = field(factory=MemorySecurityLog)
    flags: dict[str, bool] = field(factory=dict)
    notifier: MemoryNotifier = field(factory=MemoryNotifier)
    twin: Store | None = None
    fields: CustomFields = field(factory=dict)
    sessions: Sessions = field(init=False)
    storages: Storages = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.storages = Storages(
            store=self.store, clock=self.clock, ids=self.ids,
            driver=MemoryDriver(self.originals), catalog=self.catalog,
        )  # fmt: skip
        self.sessions = Sessions(
            store=self.store, clock=self.clock, ids=self.ids, secrets=self.secrets
        )

    @property
    def clients(self) -> Clients:
        return Clients(
            store=self.store, clock=self.clock, ids=self.ids, sessions=self.sessions,
            security=self.security, flags=self.flags,
        )  # fmt: skip

    @property
    def devices(self) -> Devices:
        return Devices(
            store=self.store, clock=self.clock, ids=self.ids, security=self.security,
            factor=self.factors, flags=self.flags,
        )  # fmt: skip

    @property
    def factors(self) -> SecondFactors:
        return self.people.second_factors

    @property
    def people(self) -> People:
        return people_of(
            store=self.store, clock=self.clock, ids=self.ids, secrets=self.secrets,
            sessions=self.sessions, security=self.security, notifier=self.notifier,
        )  # fmt: skip

    @property
    def discovery(self) -> Discovery:
        return Discovery(
            store=self.store, clock=self.clock, ids=self.ids,
            catalog=self.catalog, storages=self.storages,
        )  # fmt: skip

    @property
    def agents(self) -> Agents:
        return Agents(store=self.store, clock=self.clock, ids=self.ids, catalog=self.catalog)

    def open_derived(self, storage: Storage) -> DerivedStorage:
        return self.storages.watch(storage, self.derived)

    @property
    def processing(self) -> Processing:
        runner = HookRunner(
            store=self.store, clock=self.clock, hooks=self.hooks, blocking=self.blocking
        )
        return Processing(
            store=self.store, clock=self.clock, ids=self.ids, catalog=self.catalog,
            agents=self.agents, open_derived=self.open_derived, hooks=runner,
            switched_on=self.switched_on,
        )  # fmt: skip

    @property
    def uploads(self) -> Uploads:
        return Uploads(
            store=self.store, clock=self.clock, ids=self.ids, catalog=self.catalog,
            open_derived=self.open_derived,
        )  # fmt: skip

    @property
    def review(self) -> Review:
        return Review(
            store=self.store, clock=self.clock, ids=self.ids, catalog=self.catalog,
            fields=self.fields,
        )  # fmt: skip

    @property
    def attachments(self) -> Attachments:
        return Attachments(
            store=self.store, clock=self.clock, catalog=self.catalog, storages=self.storages
        )

    @property
    def annotations(self) -> Annotations:
        return Annotations(store=self.store, clock=self.clock, fields=self.fields)

    @property
    def moves(self) -> Moves:
        return Moves(store=self.store, clock=self.clock, ids=self.ids, storages=self.storages)

    @property
    def undo(self) -> Undo:
        return Undo(moves=self.moves)

    @property
    def recovery(self) -> Recovery:
        return Recovery(moves=self.moves)

    @property
    def purges(self) -> Purges:
        return Purges(
            store=self.store, clock=self.clock, ids=self.ids, storages=self.storages,
            open_derived=self.open_derived, copies=lambda storage: self.copies,
            require_proof=self.require_proof,
        )  # fmt: skip

    @property
    def proofs(self) -> Proofs:
        return Proofs(
            store=self.store, clock=self.clock, storages=self.storages,
            copies=lambda storage: self.copies, places=tuple(self.copies.places),
        )  # fmt: skip

    @property
    def bulk(self) -> BulkDecisions:
        return BulkDecisions(store=self.store, clock=self.clock, ids=self.ids)

    @property
    def features(self) -> Features:
        server = {**server_flags((), self.switched_on), **self.flags}
        return Features(store=self.store, clock=self.clock, ids=self.ids, server=server)

    @property
    def operations(self) -> Operations:
        return Operations(store=self.store, clock=self.clock)

    # Short ways to a situation

    async def start(self) -> Storage:
        await self.store.prepare()
        return await self.storages.adopt(
            PERSON, ROOT, Layout(), storage_id=self.originals.storage_id
        )

    async def scan(self, after: timedelta = timedelta(seconds=10)) -> ScanReport:
        self.clock.advance(after)
        options = ScanOptions(quiet=self.quiet, policies=self.policies)
        return await self.discovery.scan(self.originals.storage_id, options)

    async def ready(self, path: str, content: bytes = b"content") -> Asset:
        """A file that was found and is proven stable."""
        self.originals.add(path, content)
        await self.scan()
        await self.scan()
        return await self.at(path)

    async def at(self, path: str) -> Asset:
        return (await self.operations.at(self.originals.storage_id, path)).asset

    async def agent(self, name: str = "agent") -> AgentRecord:
        capabilities = {c for t in self.catalog.job_types.values() for c in t.capabilities.values()}
        record, _ = await self.agents.register("client", name, "1", "test", capabilities)
        return record

    async def upload(
        self, agent: AgentRecord, uuid: AssetId, kind: str, content_type: str, content: bytes
    ) -> DerivedClaim:
        upload = await self.uploads.init(
            agent, uuid, kind=kind, content_type=content_type, size_bytes=len(content)
        )
        part = await self.uploads.put_part(agent, uuid, upload.upload_id, 1, [content])
        done = await self.uploads.complete(agent, uuid, upload.upload_id, {1: part.etag})
        assert done.ref is not None
        return DerivedClaim(kind=kind, ref=done.ref)

    async def finish(self, agent: AgentRecord, bundle: BundleClaim) -> None:
        """Do a photo's bundle as an agent would."""
        for job in bundle.jobs:
            await self.submit(agent, bundle, job.job_id, job.job_type)

    async def submit(
        self, agent: AgentRecord, bundle: BundleClaim, job_id: JobId, job_type: str
    ) -> None:
        kinds = {"generate_proxy": "proxy_photo", "generate_thumbnails": "thumb"}
        derived: tuple[DerivedClaim, ...] = ()
        if job_type in kinds:
            uuid = bundle.asset.uuid
            derived = (await self.upload(agent, uuid, kinds[job_type], "image/jpeg", JPEG),)
        facts = FACTS["PHOTO"] if job_type == "extract_facts" else {}
        submission = Submission(
            lock_token=bundle.lock.token, job_type=job_type, facts=facts, derived=derived
        )
        await self.processing.submit(agent, job_id, submission)

    async def pending(self, path: str, content: bytes = b"content") -> Asset:
        """A photo that waits for a decision."""
        asset = await self.ready(path, content)
        agent = await self.agent()
        bundle = await self.processing.claim_bundle(agent, asset.uuid)
        await self.finish(agent, bundle)
        return await self.review.asset(asset.uuid)

"""Storages: adopt a folder, look at it, know whether it can be trusted now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.actors import Actor, ActorKind
from ..domain.identifiers import StorageId, Subject, parse_storage_id
from ..domain.storage import Health, Layout, Marker, Storage, with_health
from ..errors import ForbiddenActor, NotFound, StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.derived_storage import DerivedStorage
from ..ports.originals import FolderFound, Originals, OriginalsDriver
from ..ports.store import Store, Transaction
from .blocking import Blocking, in_thread
from .trail import record

OpenOriginals = Callable[[Storage], Originals]
OpenDerived = Callable[[Storage], DerivedStorage]


def storage_subject(storage_id: StorageId) -> Subject:
    """A storage as the subject of events."""
    return Subject(kind="storage", id=storage_id)


def need_storage(tx: Transaction, storage_id: StorageId) -> Storage:
    """Read a storage.

    Raises:
        NotFound: nobody adopted it.
    """
    storage = tx.storage(storage_id)
    if storage is None:
        raise NotFound(f"no storage {storage_id!r} is known; adopt its folder first")
    return storage


@frozen(kw_only=True)
class Storages:
    """The stories about storages."""

    store: Store
    clock: Clock
    ids: Ids
    driver: OriginalsDriver
    catalog: Catalog
    blocking: Blocking = in_thread

    def open(self, storage: Storage) -> Originals:
        """Open the originals of a storage."""
        return self.driver.open(storage.root, storage.storage_id)

    async def survey(self, root: str) -> FolderFound:
        """Look at a folder without changing it."""
        extensions = frozenset(self.catalog.formats)
        return await self.blocking(self.driver.survey, root, extensions)

    async def adopt(
        self, actor: Actor, root: str, layout: Layout, storage_id: str | None = None
    ) -> Storage:
        """Make a folder a storage, on a person's word: folders and marker are made, nothing moves.

        Adopting a folder again is harmless; a folder whose marker a former installation wrote keeps
        its identity and its layout.

        Raises:
            ForbiddenActor: the actor is no person.
            StateConflict: the id belongs to another folder, or another storage's marker stands there.
        """
        if actor.kind is not ActorKind.PERSON:
            raise ForbiddenActor("only a person adopts a storage")
        found = await self.survey(root)
        if found.problem:
            raise StateConflict(
                f"the folder has a marker that cannot be used: {found.problem}; "
                "repair or remove the file .retaia, then adopt again"
            )
        fresh = parse_storage_id(storage_id or self.ids.uuid())
        marker = found.marker or Marker(storage_id=fresh, layout=layout)
        if storage_id and marker.storage_id != storage_id:
            raise StateConflict(f"the folder is storage {marker.storage_id!r}, not {storage_id!r}")
        marker = await self.blocking(self.driver.adopt, root, marker)
        return await self.store.transact(partial(self._adopt, actor, root, marker))

    def _adopt(self, actor: Actor, root: str, marker: Marker, tx: Transaction) -> Storage:
        now = self.clock.now()
        known = tx.storage(marker.storage_id)
        if known is not None and known.root != root and known.health is Health.ONLINE:
            problem = self.open(known).check()
            if problem is None:
                raise StateConflict(
                    f"storage {marker.storage_id!r} is known at another folder and online there"
                )
        storage = known or Storage(
            storage_id=marker.storage_id,
            root=root,
            layout=marker.layout,
            adopted_at=now,
            adopted_by=str(actor),
            health_since=now,
        )
        storage = evolve(with_health(storage, problem=None, now=now), root=root)
        tx.save_storage(storage)
        if known is None or known.root != root:
            subject = storage_subject(storage.storage_id)
            record(tx, subject, "storage.adopted", actor, now, inbox=marker.layout.inbox)
        return storage

    async def all(self) -> tuple[Storage, ...]:
        """Every storage, with its health as it was last seen."""
        return await self.store.read(lambda tx: tuple(tx.storages()))

    async def get(self, storage_id: StorageId) -> Storage:
        """One storage.

        Raises:
            NotFound: nobody adopted it.
        """
        return await self.store.read(lambda tx: need_storage(tx, storage_id))

    async def look(self, storage: Storage) -> Storage:
        """Look at the marker now, and remember the answer where it is another one."""
        problem = await self.blocking(self.open(storage).check)
        return await self.note(storage.storage_id, problem)

    async def note(self, storage_id: StorageId, problem: str | None) -> Storage:
        """Remember that a storage is online, or why it is not."""
        return await self.store.transact(partial(self._note, storage_id, problem), durable=False)

    def _note(self, storage_id: StorageId, problem: str | None, tx: Transaction) -> Storage:
        now = self.clock.now()
        storage = need_storage(tx, storage_id)
        after = with_health(storage, problem=problem, now=now)
        if after != storage:
            tx.save_storage(after)
            name = "storage.online" if problem is None else "storage.offline"
            system = Actor(kind=ActorKind.SYSTEM, id="retaia")
            record(tx, storage_subject(storage_id), name, system, now, reason=problem or "")
        return after

    async def online(self, storage_id: StorageId) -> Storage:
        """The storage, having looked at its marker now.

        Raises:
            StorageOffline: the marker is absent, invalid or foreign.
        """
        storage = await self.look(await self.get(storage_id))
        if storage.health is Health.OFFLINE:
            raise StorageOffline(
                f"storage {storage_id} is offline: {storage.health_reason}; nothing was touched"
            )
        return storage

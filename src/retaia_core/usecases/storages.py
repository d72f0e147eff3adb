"""Storages: adopt a folder, look at it, know whether it can be trusted now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import Factory, evolve, field, frozen

from ..catalog import Catalog
from ..domain.actors import Actor, ActorKind
from ..domain.health import (
    Problem,
    makes_room,
    may_look,
    must_write,
    unmounted,
    with_health,
)
from ..domain.identifiers import StorageId, Subject, parse_storage_id
from ..domain.storage import Health, Layout, Marker, Storage, Trouble
from ..errors import ForbiddenActor, NotFound, StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.derived_storage import DerivedStorage
from ..ports.originals import FolderFound, Originals, OriginalsDriver
from ..ports.store import Store, Transaction
from .blocking import Blocking, in_thread, in_thread_of_its_own
from .looking import Looking, Looks
from .trail import record
from .watched import Watcher, offline, watched_derived, watched_originals

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


def _looks(storages: Storages) -> Looks:
    """Looks are given up on in threads of their own, unless blocking work runs somewhere special."""
    here = storages.blocking
    return Looks(run=in_thread_of_its_own if here is in_thread else here)


@frozen(kw_only=True)
class Storages:
    """The stories about storages."""

    store: Store
    clock: Clock
    ids: Ids
    driver: OriginalsDriver
    catalog: Catalog
    blocking: Blocking = in_thread
    looking: Looking = field(factory=Looking)
    looks: Looks = field(default=Factory(_looks, takes_self=True), repr=False)
    _met: dict[StorageId, Problem] = field(factory=dict, init=False, repr=False)
    _seen: dict[StorageId, frozenset[str]] = field(factory=dict, init=False, repr=False)
    _mounts: dict[StorageId, frozenset[str]] = field(factory=dict, init=False, repr=False)

    @property
    def reading(self) -> Blocking:
        """Runs what only reads a storage, and may be given up where the storage does not answer."""
        return self.looks.run

    def open(self, storage: Storage) -> Originals:
        """Open the originals of a storage for one piece of work; errors of the whole disk are noted."""
        originals = self.driver.open(storage.root, storage.storage_id)
        return watched_originals(originals, self._watcher(storage))

    def watch(self, storage: Storage, derived: DerivedStorage) -> DerivedStorage:
        """The derived files that lie on a storage, for one piece of work, watched like its originals."""
        return watched_derived(derived, self._watcher(storage))

    def _watcher(self, storage: Storage) -> Watcher:
        return Watcher(
            storage_id=storage.storage_id,
            tell=self._met.__setitem__,
            ask=partial(self._probe, storage, write=True),
        )

    def _probe(self, storage: Storage, *, write: bool) -> Problem | None:
        originals = self.driver.open(storage.root, storage.storage_id)
        problem = originals.probe(reserve=self.looking.reserve, write=write)
        if problem is not None:
            return problem
        try:
            mounts = originals.mounts(storage.layout)
        except StorageOffline as error:
            reason = str(error.details.get("reason", error.message))
            return Problem(trouble=Trouble.FAILING, reason=reason)
        # Twice in a row: a disk that comes or goes while it is looked at shows what is not so.
        before = self._seen.get(storage.storage_id, frozenset())
        self._seen[storage.storage_id] = mounts
        self._mounts[storage.storage_id] = mounts & before
        return unmounted(storage, mounts)

    def require_mounts(self, storage: Storage, originals: Originals) -> None:
        """Refuse what was just read where a folder has lost its disk meanwhile.

        Raises:
            StorageOffline: its disk is not mounted.
        """
        problem = unmounted(storage, originals.mounts(storage.layout))
        if problem is not None:
            raise offline(storage.storage_id, problem.reason)

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
            problem = self.driver.open(known.root, known.storage_id).check()
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
        storage = evolve(with_health(storage, problem=None, now=now), root=root, mounts=())
        self._mounts.pop(storage.storage_id, None)
        self._seen.pop(storage.storage_id, None)
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

    async def look(self, storage: Storage, *, at_once: bool = False) -> Storage:
        """Look at a storage now, and remember the answer where it is another one.

        What work met since the last look counts before any look. While it is too early for another
        look, the storage stays offline as it is, unless a person wants it ``at_once``.
        """
        met = self._met.pop(storage.storage_id, None)
        if met is not None:
            return await self._keep(storage, met)
        if not (at_once or may_look(storage, self.clock.now())):
            return storage
        answer = partial(self._probe, storage, write=must_write(storage))
        within = self.looking.answer_within
        return await self._keep(storage, await self.looks.ask(storage.storage_id, answer, within))

    async def _keep(self, storage: Storage, problem: Problem | None) -> Storage:
        known = self._with_mounts(storage)
        if with_health(known, problem=problem, now=self.clock.now()) == storage:
            return storage
        return await self.note(storage.storage_id, problem)

    def _with_mounts(self, storage: Storage) -> Storage:
        """The storage, with the disks that its folders were seen to be."""
        seen = self._mounts.get(storage.storage_id, frozenset())
        mounts = tuple(sorted({*storage.mounts, *seen}))
        return storage if mounts == storage.mounts else evolve(storage, mounts=mounts)

    async def note(self, storage_id: StorageId, problem: Problem | None) -> Storage:
        """Remember that a storage is online, or why it is not."""
        return await self.store.transact(partial(self._note, storage_id, problem), durable=False)

    def _note(self, storage_id: StorageId, problem: Problem | None, tx: Transaction) -> Storage:
        now = self.clock.now()
        storage = need_storage(tx, storage_id)
        after = with_health(self._with_mounts(storage), problem=problem, now=now)
        if after != storage:
            tx.save_storage(after)
        if after.health_since != storage.health_since:
            name = "storage.online" if problem is None else "storage.offline"
            system = Actor(kind=ActorKind.SYSTEM, id="retaia")
            subject = storage_subject(storage_id)
            record(tx, subject, name, system, now, reason=after.health_reason)
        return after

    async def online(self, storage_id: StorageId, *, to_make_room: bool = False) -> Storage:
        """The storage, having looked at it now; one that is only full will do ``to_make_room``.

        Raises:
            StorageOffline: it cannot be trusted or worked on now.
        """
        storage = await self.look(await self.get(storage_id))
        if storage.health is Health.ONLINE or (to_make_room and makes_room(storage)):
            return storage
        raise offline(storage_id, f"{storage.health_reason}; nothing was touched")

"""The stories of sidecars that belong to nothing: a person attaches one, and takes that back."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.actors import Actor
from ..domain.assets import Asset
from ..domain.attachments import attached, detached, refuse_closed
from ..domain.identifiers import AssetId, RelPath, StorageId, folder_of, name_of, parse_rel_path
from ..domain.lifecycle import State
from ..domain.scans import UnmatchedSidecar
from ..domain.sidecars import BY_PERSON, Parent, Trace, attach
from ..errors import NotFound, StateConflict
from ..ports.clock import Clock
from ..ports.store import Store, Transaction
from .lookups import need_asset, need_person
from .review import refuse_if_locked
from .storages import Storages
from .trail import save_step

CANDIDATES = 500
"""So many assets of a folder, at most, are offered as parents."""


@frozen(kw_only=True)
class Candidates:
    """An unmatched sidecar and the assets of its folder, those that its name points at first."""

    sidecar: UnmatchedSidecar
    assets: tuple[Asset, ...]


@frozen(kw_only=True)
class Attachments:
    """The stories of a person who says what a sidecar belongs to."""

    store: Store
    clock: Clock
    catalog: Catalog
    storages: Storages

    async def candidates(self, storage_id: StorageId, path: str) -> Candidates:
        """What an unmatched sidecar may be attached to.

        Raises:
            NotFound: no unmatched sidecar has this path.
        """
        place = parse_rel_path(path)

        def find(tx: Transaction) -> Candidates:
            sidecar = _unmatched(tx, storage_id, place)
            if sidecar is None:
                raise _unknown(place)
            assets = _open_assets(tx, storage_id, folder_of(place))
            stem = name_of(place).rpartition(".")[0].casefold()
            near = sorted(assets, key=lambda a: (not a.name.casefold().startswith(stem), a.name))
            return Candidates(sidecar=sidecar, assets=tuple(near[:CANDIDATES]))

        return await self.store.read(find)

    async def attach(self, actor: Actor, uuid: AssetId, path: str) -> Asset:
        """Attach an unmatched sidecar to an asset of its folder; a second time is harmless.

        Raises:
            ForbiddenActor: the actor is no person.
            NotFound: there is no such asset or unmatched sidecar, or its file is gone.
            StateConflict: the asset is being moved or under a lock, or the sidecar is attached already.
            ValidationFailed: they lie in different folders.
            Purged, StorageOffline: as said.
        """
        need_person(actor, "says what a sidecar belongs to")
        place, now = parse_rel_path(path), self.clock.now()
        asset = await self.store.read(lambda tx: need_asset(tx, uuid))
        refuse_closed(asset)
        storage = await self.storages.online(asset.storage_id)
        file = await self.storages.reading(self.storages.open(storage).stat, place)
        if file is None:
            raise NotFound(f"{place!r} is not there (any more); scan, and look again")

        def work(tx: Transaction) -> Asset:
            before = need_asset(tx, uuid)
            after = attached(before, place, file, now)
            refuse_if_locked(tx, before, now)
            owner = _owner(tx, before.storage_id, place)
            if owner is not None:
                return _same(owner, before, place)
            if _unmatched(tx, before.storage_id, place) is None:
                raise _unknown(place)
            forget_unmatched(tx, before.storage_id, folder_of(place), {place})
            return save_step(tx, before, after, "sidecar.attached", actor, now, sidecar=place)

        return await self.store.transact(work)

    async def detach(self, actor: Actor, uuid: AssetId, path: str) -> Asset:
        """Take back that a person attached a sidecar; the next scan decides by its name again.

        Raises:
            ForbiddenActor: the actor is no person.
            NotFound: there is no such asset, or it has no such sidecar.
            StateConflict: the asset is being moved or under a lock, or a rule attached the sidecar.
            Purged: as said.
        """
        need_person(actor, "says what a sidecar belongs to")
        place, now = parse_rel_path(path), self.clock.now()

        def work(tx: Transaction) -> Asset:
            before, folder = need_asset(tx, uuid), folder_of(place)
            after = detached(before, place, now)
            refuse_if_locked(tx, before, now)
            saved = save_step(tx, before, after, "sidecar.detached", actor, now, sidecar=place)
            gone = any(s.missing for s in before.sidecars if s.path == place)
            trace = self._trace(tx, before, place)
            if not gone and trace is not None and trace.reason is not None:
                row = UnmatchedSidecar(
                    storage_id=before.storage_id,
                    path=place,
                    rule=trace.rule,
                    reason=trace.reason.value,
                )
                others = _unmatched_but(tx, before.storage_id, folder, {place})
                tx.set_unmatched(before.storage_id, folder, [*others, row])
            unsettle(tx, before.storage_id, folder)
            return saved

        return await self.store.transact(work)

    def _trace(self, tx: Transaction, asset: Asset, path: RelPath) -> Trace | None:
        """What the rules say of a sidecar that nobody attached; None where they do not know its kind."""
        assets = _open_assets(tx, asset.storage_id, folder_of(path))
        parents = [Parent(each.name, each.media_type) for each in assets]
        found = attach([name_of(path)], parents, rules=self.catalog.sidecar_rules)
        return found[0] if found else None


def unsettle(tx: Transaction, storage_id: StorageId, folder: str) -> None:
    """Have the next scan look at a folder whatever its digest is."""
    known = tx.folders(storage_id).get(folder)
    if known is not None:
        tx.save_folders([evolve(known, settled=False)])


def forget_unmatched(
    tx: Transaction, storage_id: StorageId, folder: str, attached_now: Collection[str]
) -> None:
    """Take sidecars that were attached out of a folder's unmatched ones."""
    if attached_now:
        tx.set_unmatched(storage_id, folder, _unmatched_but(tx, storage_id, folder, attached_now))


def _unmatched_but(
    tx: Transaction, storage_id: StorageId, folder: str, paths: Collection[str]
) -> list[UnmatchedSidecar]:
    found = tx.unmatched(storage_id)
    return [s for s in found if folder_of(s.path) == folder and s.path not in paths]


def _unmatched(tx: Transaction, storage_id: StorageId, path: str) -> UnmatchedSidecar | None:
    return next((s for s in tx.unmatched(storage_id) if s.path == path), None)


def _open_assets(tx: Transaction, storage_id: StorageId, folder: str) -> list[Asset]:
    """The assets of a folder that still have files."""
    found = tx.assets_in_folder(storage_id, folder)
    return [asset for asset in found if asset.state is not State.PURGED]


def _owner(tx: Transaction, storage_id: StorageId, path: str) -> Asset | None:
    """The asset whose sidecar this is."""
    found = _open_assets(tx, storage_id, folder_of(path))
    return next((a for a in found if any(s.path == path for s in a.sidecars)), None)


def _same(owner: Asset, asset: Asset, path: str) -> Asset:
    """The asset, where a person attached the sidecar to it before.

    Raises:
        StateConflict: it is attached otherwise.
    """
    rule = next(s.rule for s in owner.sidecars if s.path == path)
    if owner.uuid == asset.uuid and rule == BY_PERSON:
        return owner
    raise StateConflict(
        f"{path!r} is attached to {owner.path!r} already (by {rule})", asset=owner.uuid, rule=rule
    )


def _unknown(path: str) -> NotFound:
    return NotFound(
        f"no unmatched sidecar has the path {path!r}; `retaia sidecars list` shows them"
    )

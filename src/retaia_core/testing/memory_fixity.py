"""The part of the store in memory that keeps what is known of the content of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ..domain.assets import Asset
from ..domain.fixity import Fixity
from ..domain.identifiers import AssetId, StorageId
from ..domain.lifecycle import State
from ..ports.fixity_store import FixitySums, FixityTransaction
from .memory_tables import Table, Undo


class FixityTables(Protocol):
    """The tables that it reads and writes."""

    assets: Table[AssetId, Asset]
    fixities: Table[AssetId, Fixity]


def _place(fixity: Fixity) -> tuple[datetime, AssetId]:
    return fixity.checked_at, fixity.asset


class MemoryFixity(FixityTransaction):
    """The part of a transaction that is about them."""

    _contents: FixityTables

    @property
    def _log(self) -> Undo:
        raise NotImplementedError

    def fixity(self, uuid: AssetId) -> Fixity | None:
        return self._contents.fixities.get(uuid)

    def fixities(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Fixity]:
        known = self._contents.fixities
        return {uuid: known[uuid] for uuid in uuids if uuid in known}

    def save_fixity(self, fixity: Fixity) -> None:
        self._contents.fixities.put(fixity.asset, fixity, self._log)

    def _settled(self, storage_id: StorageId | None) -> Iterator[AssetId]:
        for asset in self._contents.assets.values():
            here = storage_id in (None, asset.storage_id)
            if here and asset.state not in (State.DISCOVERED, State.PURGED):
                yield asset.uuid

    def fixity_due(
        self,
        *,
        before: datetime,
        storage_id: StorageId | None = None,
        after: Fixity | None = None,
        limit: int = 100,
    ) -> Sequence[Fixity]:
        known = self.fixities(self._settled(storage_id)).values()
        due = (
            one
            for one in known
            if one.checked_at < before and (after is None or _place(one) > _place(after))
        )
        return sorted(due, key=_place)[:limit]

    def assets_without_fixity(
        self, *, storage_id: StorageId | None = None, after: AssetId | None = None, limit: int = 100
    ) -> Sequence[AssetId]:
        known = self._contents.fixities
        never = (uuid for uuid in self._settled(storage_id) if uuid not in known)
        return sorted(uuid for uuid in never if after is None or uuid > after)[:limit]

    def fixity_sums(self, storage_id: StorageId | None = None) -> FixitySums:
        settled = list(self._settled(storage_id))
        known = self.fixities(settled)
        return FixitySums(
            known=len(known),
            never=len(settled) - len(known),
            oldest=min((one.checked_at for one in known.values()), default=None),
        )

"""What the store keeps of the content of files: digests, and when they were verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from ..domain.fixity import Fixity
from ..domain.identifiers import AssetId, StorageId


@frozen(kw_only=True)
class FixitySums:
    """How many assets have records, how many have none yet, and the oldest look at one that has."""

    known: int = 0
    never: int = 0
    oldest: datetime | None = None


class FixityTransaction(Protocol):
    """One record per asset, by its UUID.

    An asset counts as *settled* here while it is neither DISCOVERED (its file may still grow) nor PURGED.
    """

    def fixity(self, uuid: AssetId) -> Fixity | None:
        """The records of an asset; in a write transaction read the asset first, which locks both."""
        ...

    def fixities(self, uuids: Iterable[AssetId]) -> Mapping[AssetId, Fixity]:
        """The records of several assets, of those that have any."""
        ...

    def save_fixity(self, fixity: Fixity) -> None:
        """Insert or replace by asset."""
        ...

    def fixity_due(
        self,
        *,
        before: datetime,
        storage_id: StorageId | None = None,
        after: Fixity | None = None,
        limit: int = 100,
    ) -> Sequence[Fixity]:
        """Records of settled assets that were looked at before a time, oldest look first.

        ``after`` is the record that the page before ended with, as it was then.
        """
        ...

    def assets_without_fixity(
        self, *, storage_id: StorageId | None = None, after: AssetId | None = None, limit: int = 100
    ) -> Sequence[AssetId]:
        """Settled assets of which no file was ever looked at, in UUID order, after the one given."""
        ...

    def fixity_sums(self, storage_id: StorageId | None = None) -> FixitySums:
        """Count the settled assets."""
        ...

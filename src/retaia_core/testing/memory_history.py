"""The part of the store in memory that answers about the trails as a whole, and keeps the seals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from ..domain.assets import Asset
from ..domain.history import Place
from ..domain.identifiers import AssetId, StorageId, Subject
from ..domain.journal import Event, JournalEntry, Phase
from ..domain.seals import Seal
from ..errors import StateConflict
from ..ports.history_store import HistoryTransaction, Stretch
from .memory_tables import Table, Undo


class HistoryTables(Protocol):
    """The tables that it reads and writes."""

    assets: Table[AssetId, Asset]
    events: Table[int, Event]
    journal: Table[int, JournalEntry]
    seals: Table[int, Seal]


def _ends(
    rows: Iterable[Event | JournalEntry], since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    """The number before the first row from a time on, and that of the last before another."""
    times = [(row.seq, row.at) for row in rows]
    to = max((seq for seq, at in times if until is None or at < until), default=0)
    if since is None:
        return 0, to
    return min((seq - 1 for seq, at in times if at >= since), default=to), to


class MemoryHistory(HistoryTransaction):
    """The part of a transaction that is about them."""

    _trails: HistoryTables

    @property
    def _log(self) -> Undo:
        raise NotImplementedError

    def journal_page(
        self,
        *,
        subject: Subject | None = None,
        batch_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[JournalEntry]:
        found = (
            entry
            for entry in self._trails.journal.values()
            if subject in (None, entry.subject)
            and batch_id in (None, entry.batch_id)
            and entry.seq > after
        )
        return sorted(found, key=lambda entry: entry.seq)[:limit]

    def latest_events(self, subject: Subject, limit: int = 1000) -> Sequence[Event]:
        found = (event for event in self._trails.events.values() if event.subject == subject)
        return sorted(found, key=lambda event: event.seq)[-limit:]

    def events_at(self, numbers: Iterable[int]) -> Sequence[Event]:
        events = self._trails.events
        return [events[number] for number in sorted(set(numbers)) if number in events]

    def journal_at(self, numbers: Iterable[int]) -> Sequence[JournalEntry]:
        journal = self._trails.journal
        return [journal[number] for number in sorted(set(numbers)) if number in journal]

    def stretch(self, since: datetime | None, until: datetime | None) -> Stretch:
        events = _ends(self._trails.events.values(), since, until)
        journal = _ends(self._trails.journal.values(), since, until)
        return Stretch(
            after=Place(event=events[0], entry=journal[0]),
            to=Place(event=events[1], entry=journal[1]),
        )

    def count_behind(self, place: Place) -> int:
        events = sum(number > place.event for number in self._trails.events)
        return events + sum(number > place.entry for number in self._trails.journal)

    def assets_once_at(self, storage_id: StorageId, path: str) -> Sequence[Asset]:
        moved = {
            entry.subject
            for entry in self._trails.journal.values()
            if entry.storage_id == storage_id
            and (entry.source == path or (entry.target == path and entry.phase is Phase.DONE))
        }
        found = (
            asset
            for asset in self._trails.assets.values()
            if asset.storage_id == storage_id and (asset.subject in moved or _was_at(asset, path))
        )
        return sorted(found, key=lambda asset: asset.uuid)

    def last_seal(self) -> Seal | None:
        return max(self._trails.seals.values(), key=lambda seal: seal.number, default=None)

    def seals(self, *, after: int = 0, limit: int = 10) -> Sequence[Seal]:
        found = (seal for seal in self._trails.seals.values() if seal.number > after)
        return sorted(found, key=lambda seal: seal.number)[:limit]

    def add_seal(self, seal: Seal) -> None:
        if seal.number in self._trails.seals:
            raise StateConflict(f"seal {seal.number} is there already; another server made it")
        self._trails.seals.put(seal.number, seal, self._log)


def _was_at(asset: Asset, path: str) -> bool:
    return path in {
        asset.path,
        *(sidecar.path for sidecar in asset.sidecars),
        *(record.path for record in asset.path_history),
    }

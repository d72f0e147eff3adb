"""What the store answers about the trail as a whole, and the seals over it; part of its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from ..domain.assets import Asset
from ..domain.history import Place
from ..domain.identifiers import StorageId, Subject
from ..domain.journal import Event, JournalEntry
from ..domain.seals import Seal


@frozen(kw_only=True)
class Stretch:
    """A part of both trails: behind ``after``, up to and with ``to``."""

    after: Place
    to: Place


class HistoryTransaction(Protocol):
    """The trails in pages, and the chain of seals."""

    def journal_page(
        self,
        *,
        subject: Subject | None = None,
        batch_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[JournalEntry]:
        """Entries of the journal in their order, behind a number; of a subject or a batch where given."""
        ...

    def latest_events(self, subject: Subject, limit: int = 1000) -> Sequence[Event]:
        """The newest events of a subject, in their order."""
        ...

    def events_at(self, numbers: Iterable[int]) -> Sequence[Event]:
        """The events with these numbers that are there, in their order."""
        ...

    def journal_at(self, numbers: Iterable[int]) -> Sequence[JournalEntry]:
        """The entries of the journal with these numbers that are there, in their order."""
        ...

    def stretch(self, since: datetime | None, until: datetime | None) -> Stretch:
        """Where the rows from ``since`` on and before ``until`` lie; others may lie between them.

        It looks at every row's time.
        """
        ...

    def count_behind(self, place: Place) -> int:
        """How many rows of both trails lie behind a place."""
        ...

    def assets_once_at(self, storage_id: StorageId, path: str) -> Sequence[Asset]:
        """The assets that were ever known under a path, as main file or as a sidecar that was moved.

        It looks at every asset and at the whole journal; those that are there now or were purged too.
        In order of their UUIDs, which is that of their discovery.
        """
        ...

    def last_seal(self) -> Seal | None:
        """The newest seal."""
        ...

    def seals(self, *, after: int = 0, limit: int = 10) -> Sequence[Seal]:
        """Seals in order of their numbers, behind one."""
        ...

    def add_seal(self, seal: Seal) -> None:
        """Add a seal.

        Raises:
            StateConflict: there is one of this number.
        """
        ...

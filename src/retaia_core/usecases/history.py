"""The stories of the trail: what was done, as a person reads it, and whether anybody changed it since."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from attrs import evolve, frozen

from ..domain.actors import SYSTEM
from ..domain.assets import Asset
from ..domain.history import Place, Row, woven
from ..domain.identifiers import AssetId, BatchId, StorageId, Subject
from ..domain.journal import Event
from ..domain.lifecycle import State
from ..domain.seals import Finding, Kind, Seal, Unsealed, Verifier, sealed
from ..errors import NotFound, StateConflict
from ..ports.clock import Clock
from ..ports.history_store import Stretch
from ..ports.store import Store, Transaction
from .blocking import Blocking, in_thread
from .lookups import need_asset

log = logging.getLogger("retaia.seals")

PAGE = 500
"""So many rows of each trail are read at a time."""

MOST_SEALS = 10
"""So many seals are made in a round; what is left waits for the next."""


@frozen(kw_only=True)
class Trail:
    """Whose history: that of a subject, of a batch and the files that it moved, or all there is."""

    subject: Subject | None = None
    batch: BatchId | None = None

    @property
    def of_asset(self) -> AssetId | None:
        """The asset whose history it is."""
        asset = self.subject is not None and self.subject.kind == "asset"
        return AssetId(self.subject.id) if self.subject is not None and asset else None


@frozen(kw_only=True)
class HistoryPage:
    """A part of a history, in the order in which things were done; ``next`` is where it goes on."""

    rows: tuple[Row, ...]
    next: Place | None


@frozen(kw_only=True)
class CheckReport:
    """What a check of the whole trail found.

    ``head`` is the newest seal; ``unsealed`` rows are not covered by any yet, ``unproven`` ones were
    covered by a seal that is gone. ``findings`` are the first of ``wrong`` ones.
    """

    head: Seal | None
    rows: int
    unsealed: int
    unproven: int
    wrong: int
    findings: tuple[Finding, ...]


def discovery_of(asset: Asset) -> Event:
    """The discovery of an asset, which writes no event of its own.

    A first scan may find a million files; the asset's own row says when it was found, and where.
    """
    first = asset.path_history[0].path if asset.path_history else asset.path
    return Event(
        subject=asset.subject,
        name="asset.discovered",
        actor=str(SYSTEM),
        at=asset.created_at,
        data={"to": State.DISCOVERED.value, "path": first},
    )


@frozen(kw_only=True)
class History:
    """The stories of the trail."""

    store: Store
    clock: Clock
    blocking: Blocking = in_thread

    # Reading

    async def page(self, trail: Trail, place: Place | None, limit: int) -> HistoryPage:
        """A page of a history behind a place; None begins.

        Raises:
            NotFound: there is no such asset or batch, or nothing is known of the subject.
        """
        return await self.store.read(partial(_page, trail, place, limit))

    async def rows(
        self, trail: Trail, *, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Row]:
        """A whole history, page by page; of what was done from ``since`` on and before ``until``.

        Raises:
            NotFound: as `page`.
        """
        place: Place | None = None
        to: Place | None = None
        if trail == Trail() and (since or until):
            # All there is may be much: the stretch spares reading what lies before and behind.
            stretch = await self.store.read(partial(_stretch, since, until))
            place, to = stretch.after, stretch.to
        while True:
            page = await self.page(trail, place, PAGE)
            for row in page.rows:
                if (since is None or row.at >= since) and (until is None or row.at < until):
                    yield row
            if page.next is None or (to is not None and _behind(page.next, to)):
                return
            place = page.next

    async def assets_at(self, storage_id: StorageId, path: str) -> Sequence[Asset]:
        """The assets that were ever known under a path, in the order of their discovery."""
        return await self.store.read(lambda tx: tx.assets_once_at(storage_id, path))

    # Sealing

    async def seal(self) -> int:
        """Seal what no seal covers yet, up to some thousand rows; how many rows were sealed.

        Of several servers that seal at once, one does.
        """
        done = 0
        for _ in range(MOST_SEALS):
            found = await self.store.read(_unsealed)
            seal = await self.blocking(sealed, found, self.clock.now())
            if seal is None:
                break
            try:
                await self.store.transact(partial(_add, seal))
            except StateConflict:
                break  # Another server was faster, and goes on.
            log.info("sealed %d rows as seal %d: %s", seal.rows, seal.number, seal.digest)
            done += seal.rows
            if found.rows < PAGE:
                break
        return done

    async def check(self, head: str | None = None) -> CheckReport:
        """Recompute every seal, and compare each row with them; ``head`` is a digest noted earlier."""
        verifier = Verifier(head=head)
        number, place = 0, Place()
        while seals := await self.store.read(partial(_seals, number)):
            for seal in seals:
                await self._check_one(verifier, seal, place)
                number, place = seal.number, _furthest(place, seal)
        verifier.close()
        unsealed = await self.store.read(lambda tx: tx.count_behind(place))
        return CheckReport(
            head=verifier.last,
            rows=verifier.rows,
            unsealed=unsealed + verifier.waiting,
            unproven=verifier.unproven,
            wrong=verifier.wrong,
            findings=tuple(verifier.findings),
        )

    async def _check_one(self, verifier: Verifier, seal: Seal, place: Place) -> None:
        verifier.begin(seal)
        for kind, after in ((Kind.EVENT, place.event), (Kind.JOURNAL, place.entry)):
            while rows := await self.store.read(partial(_rows, kind, after, seal.to(kind))):
                await self.blocking(_each, verifier.row, rows)
                after = rows[-1].seq
        for kind in Kind:
            numbers = [seq for its, seq in verifier.unseen if its is kind]
            for start in range(0, len(numbers), PAGE):
                some = numbers[start : start + PAGE]
                _each(verifier.later, await self.store.read(partial(_numbered, kind, some)))
        verifier.end()


def _each(check: Callable[[Row], None], rows: Iterable[Row]) -> None:
    for row in rows:
        check(row)


def _behind(place: Place, to: Place) -> bool:
    return place.event >= to.event and place.entry >= to.entry


def _stretch(since: datetime | None, until: datetime | None, tx: Transaction) -> Stretch:
    return tx.stretch(since, until)


def _page(trail: Trail, place: Place | None, limit: int, tx: Transaction) -> HistoryPage:
    start, begin = place or Place(), place is None
    subject = trail.subject
    if trail.batch is not None:
        subject = Subject(kind="batch", id=trail.batch)
    rows: list[Row] = []
    if begin and trail.of_asset is not None:
        rows.append(discovery_of(need_asset(tx, trail.of_asset)))
    events = tx.events(subject, after=start.event, limit=limit)
    entries = tx.journal_page(
        subject=trail.subject, batch_id=trail.batch, after=start.entry, limit=limit
    )
    rows += islice(woven(events, entries), limit - len(rows))
    if begin and not rows and trail != Trail():
        raise NotFound(f"nothing is known of {subject}; give an asset, a batch or a storage")
    for row in rows:
        start = start.past(row) if row.seq else start
    return HistoryPage(rows=tuple(rows), next=start if len(rows) == limit else None)


def _unsealed(tx: Transaction) -> Unsealed:
    last = tx.last_seal()
    if last is None:
        return Unsealed(
            last=None, events=tx.events(limit=PAGE), journal=tx.journal_page(limit=PAGE)
        )
    awaited = {kind: [one.seq for one in last.awaited if one.kind is kind] for kind in Kind}
    late: list[Row] = []
    for kind, numbers in awaited.items():
        if numbers:
            late += _numbered(kind, numbers, tx)
    return Unsealed(
        last=last,
        events=tx.events(after=last.events_to, limit=PAGE),
        journal=tx.journal_page(after=last.journal_to, limit=PAGE),
        late=late,
    )


def _add(seal: Seal, tx: Transaction) -> None:
    tx.add_seal(seal)


def _seals(after: int, tx: Transaction) -> Sequence[Seal]:
    return tx.seals(after=after)


def _rows(kind: Kind, after: int, to: int, tx: Transaction) -> Sequence[Row]:
    """Rows of a trail behind a number, up to and with another."""
    rows: Sequence[Row]
    if kind is Kind.EVENT:
        rows = tx.events(after=after, limit=PAGE)
    else:
        rows = tx.journal_page(after=after, limit=PAGE)
    return [row for row in rows if row.seq <= to]


def _numbered(kind: Kind, numbers: Sequence[int], tx: Transaction) -> Sequence[Row]:
    return tx.events_at(numbers) if kind is Kind.EVENT else tx.journal_at(numbers)


def _furthest(place: Place, seal: Seal) -> Place:
    """How far the seals reach; one that was changed may say less than the one before."""
    return evolve(
        place,
        event=max(place.event, seal.events_to),
        entry=max(place.entry, seal.journal_to),
    )

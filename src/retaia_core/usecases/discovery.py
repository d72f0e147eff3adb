"""The story of a scan: walk, compare, remember; nothing on the storage is touched."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain

import anyio
from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.actors import SYSTEM
from ..domain.assets import Asset, AttachedSidecar, Flag
from ..domain.attachments import by_person, followed, news
from ..domain.discovery import (
    Arrival,
    Finding,
    Found,
    FoundFile,
    Noted,
    SeenFile,
    match_moves,
    miss,
    moved_by_hand,
)
from ..domain.identifiers import AssetId, StorageId, folder_of, name_of
from ..domain.lifecycle import State
from ..domain.media import extension_of
from ..domain.moves import DiskFile
from ..domain.scans import ScanReport, UnmatchedSidecar
from ..domain.storage import Storage
from ..errors import StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.originals import FolderListing
from ..ports.store import Store, Transaction
from .attachments import forget_unmatched, unsettle
from .scan_compare import ComparedFolder, Comparison, count_folder, discovers, folder_record
from .scan_tally import ScanOptions, Tally, report
from .scan_walk import FolderContents, WalkStep, join, seen_files, walk_on
from .scheduling import open_review
from .storages import Storages
from .trail import record

_Batch = tuple[Sequence[FolderContents], list[ComparedFolder]]


@frozen(kw_only=True)
class Discovery:
    """The stories of discovery."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    storages: Storages

    async def scan(
        self,
        storage_id: StorageId,
        options: ScanOptions,
        progress: Callable[[int], None] = lambda seen: None,
    ) -> ScanReport:
        """Scan one storage and report; an offline storage is reported, and nothing is called missing.

        ``progress`` is told the number of files seen so far, from time to time.
        """
        started, clock = self.clock.now(), time.monotonic()
        storage = await self.storages.get(storage_id)
        try:
            storage = await self.storages.online(storage_id)
            tally = await self._scan(storage, options, progress)
        except StorageOffline as error:
            await self.storages.look(storage)
            return ScanReport(
                storage_id=storage_id,
                number=storage.scans,
                started_at=started,
                duration_s=time.monotonic() - clock,
                problem=error.message,
            )
        number = await self.store.transact(partial(self._finish, storage_id, tally), durable=False)
        return report(tally, number, started, time.monotonic() - clock)

    async def _scan(
        self, storage: Storage, options: ScanOptions, progress: Callable[[int], None]
    ) -> Tally:
        known = await self.store.read(lambda tx: tx.folders(storage.storage_id))
        # A first scan that was cut off has left folders behind, and its assets with them.
        first = storage.scans == 0 and not known
        tally = Tally(storage=storage, options=options, known=known, first=first)
        originals = self.storages.open(storage)
        comparison = Comparison(
            clock=self.clock,
            ids=self.ids,
            catalog=self.catalog,
            originals=originals,
            tally=tally,
        )
        settled = {name: r.digest for name, r in known.items() if r.settled}
        walk = originals.walk(storage.layout, settled.get)
        try:
            await self._walk(partial(self._read_on, walk, comparison), comparison, progress)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        if problem := await self.storages.reading(originals.check):
            raise StorageOffline(problem)
        await self._close(comparison)
        return tally

    def _read_on(self, walk: Iterator[FolderListing], comparison: Comparison) -> WalkStep:
        """Walk on; what was read counts only where every disk is still there afterwards."""
        tally = comparison.tally
        step = walk_on(walk, tally.known, self.catalog)
        self.storages.require_mounts(tally.storage, comparison.originals)
        return step

    async def _walk(
        self,
        read_on: Callable[[], WalkStep],
        comparison: Comparison,
        progress: Callable[[int], None],
    ) -> None:
        """Walk and compare batch after batch, while the store writes the one before."""
        tally = comparison.tally
        done, todo = anyio.create_memory_object_stream[_Batch](0)

        async def write_all() -> None:
            async with todo:
                async for batch, folders in todo:
                    await self._save_batch(batch, folders, comparison)
                    progress(tally.counts["seen"])

        async with anyio.create_task_group() as tasks, done:
            tasks.start_soon(write_all)
            while (step := await self.storages.reading(read_on)).visited:
                tally.take(step)
                if batch := list(step.batch.values()):
                    await done.send((batch, await self._compare(batch, comparison)))
            progress(tally.counts["seen"])

    async def _compare(
        self, batch: Sequence[FolderContents], comparison: Comparison
    ) -> list[ComparedFolder]:
        known: Mapping[str, Sequence[Asset]] = {}
        if not comparison.tally.first:
            known = await self.store.read(partial(self._known, batch, comparison.tally))
        return await self.storages.reading(comparison.folders, batch, known)

    async def _save_batch(
        self,
        batch: Sequence[FolderContents],
        folders: Sequence[ComparedFolder],
        comparison: Comparison,
    ) -> None:
        """Write what changed in a batch of folders; once more, compared anew, on a conflict."""
        tally = comparison.tally
        try:
            await self.store.transact(partial(self._write, folders, tally), durable=False)
        except StateConflict:
            tally.first = False  # Somebody else adds assets here as well.
            folders = await self._compare(batch, comparison)
            await self.store.transact(partial(self._write, folders, tally), durable=False)
        for folder in folders:
            count_folder(folder, tally)

    def _known(
        self, batch: Sequence[FolderContents], tally: Tally, tx: Transaction
    ) -> Mapping[str, Sequence[Asset]]:
        storage_id = tally.storage.storage_id
        folders = [contents.listing.folder for contents in batch]
        known = {folder: tx.assets_in_folder(storage_id, folder) for folder in folders}
        self._hold_back(batch, known, tally, tx)
        return known

    def _hold_back(
        self,
        batch: Sequence[FolderContents],
        known: Mapping[str, Sequence[Asset]],
        tally: Tally,
        tx: Transaction,
    ) -> None:
        """Keep files that look like a known asset of another path for the end of the scan."""
        strangers: dict[tuple[int, int], list[tuple[FolderContents, SeenFile]]] = {}
        for contents in batch:
            paths = {asset.path for asset in known[contents.listing.folder]}
            for seen in seen_files(contents):
                if seen.path not in paths and seen.path not in tally.held_back:
                    strangers.setdefault((seen.size, seen.mtime_ns), []).append((contents, seen))
        if not strangers:
            return
        shapes = {
            (a.size, a.mtime_ns)
            for a in tx.assets_like(tally.storage.storage_id, strangers)
            if a.fingerprint
        }
        for shape in shapes:
            for contents, seen in strangers[shape]:
                tally.held_back.add(seen.path)
                tally.held.append((contents, Arrival(seen=seen)))

    def _write(self, folders: Sequence[ComparedFolder], tally: Tally, tx: Transaction) -> None:
        now = self.clock.now()
        tx.add_found(
            Found(
                storage_id=tally.storage.storage_id,
                at=now,
                profiles=self.catalog.default_profiles,
                files=list(chain.from_iterable(folder.found for folder in folders)),
            )
        )
        for folder in folders:
            if not tally.first:
                _refuse_other_words(tx, folder, tally)
            for before, finding in folder.findings:
                if finding.asset != before:
                    self._save(tx, before, finding, now)
            self._save_unmatched(tx, folder, tally)
        tx.save_folders([folder_record(folder, tally) for folder in folders])

    def _save(self, tx: Transaction, before: Asset, finding: Finding, now: datetime) -> None:
        saved = tx.save_asset(finding.asset)
        for noted in finding.noted:
            if noted in (Noted.SAME, Noted.SIGHTED):
                continue
            data: dict[str, object] = {}
            # A file that came back may be found stable at once: that is told after it, and once.
            if saved.state is not before.state and noted is finding.noted[-1]:
                data = {"from": before.state.value, "to": saved.state.value}
            if saved.path != before.path:
                data |= {"source": before.path, "target": saved.path}
            record(tx, saved.subject, f"asset.{noted}", SYSTEM, now, **data)
        for path, said in news(before, saved):
            record(tx, saved.subject, f"sidecar.{said}", SYSTEM, now, sidecar=path)
        if {Noted.STABLE, Noted.REPLACED} & set(finding.noted):
            open_review(tx, saved, self.catalog, self.ids, now)

    def _save_unmatched(self, tx: Transaction, folder: ComparedFolder, tally: Tally) -> None:
        before = tally.known.get(folder.listing.folder)
        unmatched = [trace for trace in folder.traces if trace.reason is not None]
        if not unmatched and before is None:
            return
        storage_id = tally.storage.storage_id
        rows = [
            UnmatchedSidecar(
                storage_id=storage_id,
                path=join(folder.listing.folder, trace.sidecar),
                rule=trace.rule,
                reason=str(trace.reason),
            )
            for trace in unmatched
        ]
        tx.set_unmatched(storage_id, folder.listing.folder, rows)

    async def _close(self, comparison: Comparison) -> None:
        """After the walk: folders that are gone, then what was held back."""
        tally = comparison.tally
        lost = [n for n in tally.known if n not in tally.visited and not tally.hidden(n)]
        for start in range(0, len(lost), 200):
            gone = lost[start : start + 200]
            counts = await self.store.transact(partial(self._lose, gone, tally), durable=False)
            tally.counts.update(counts)
        if tally.held:
            await self._settle_moves(comparison)

    def _lose(self, folders: Sequence[str], tally: Tally, tx: Transaction) -> Counter[str]:
        storage_id, now = tally.storage.storage_id, self.clock.now()
        counts: Counter[str] = Counter()
        for folder in folders:
            for asset in tx.assets_in_folder(storage_id, folder):
                finding = miss(asset, now)
                if finding.asset != asset:
                    self._save(tx, asset, finding, now)
                counts.update(noted.value for noted in finding.noted)
            tx.set_unmatched(storage_id, folder, ())
        tx.drop_folders(storage_id, folders)
        return counts

    async def _settle_moves(self, comparison: Comparison) -> None:
        """Decide for what was held back: a known asset that was moved by hand, or a new one."""
        tally, originals = comparison.tally, comparison.originals

        def fingerprint(arrival: Arrival) -> Arrival:
            return evolve(arrival, fingerprint=originals.fingerprint(arrival.seen))

        def fingerprints() -> list[tuple[FolderContents, Arrival]]:
            return [(contents, fingerprint(arrival)) for contents, arrival in tally.held]

        held = await self.storages.reading(fingerprints)
        counts = await self.store.transact(partial(self._match, held, comparison), durable=False)
        tally.counts.update(counts)

    def _match(
        self,
        held: Sequence[tuple[FolderContents, Arrival]],
        comparison: Comparison,
        tx: Transaction,
    ) -> Counter[str]:
        tally, now = comparison.tally, self.clock.now()
        storage_id = tally.storage.storage_id
        shapes = {(a.seen.size, a.seen.mtime_ns) for _, a in held}
        alike = tx.assets_like(storage_id, shapes)
        candidates = [a for a in alike if Flag.MISSING in a.flags]
        # An undo may be bringing it back right now; the next scan sees whose file it is.
        moving = {a.fingerprint for a in alike if a.state is State.MOVE_QUEUED}
        unsure = _unsure(alike, held, tally)
        held = [(c, a) for c, a in held if (a.seen.size, a.seen.mtime_ns) not in unsure]
        matches = match_moves(candidates, [arrival for _, arrival in held])
        by_id = {asset.uuid: asset for asset in candidates}
        counts: Counter[str] = Counter(ambiguous=len(matches.ambiguous))
        fresh: list[FoundFile] = []
        # By listing, not by folder: a folder may be listed twice.
        sidecars: dict[int, Mapping[str, tuple[AttachedSidecar, ...]]] = {}
        for contents, arrival in held:
            if id(contents) not in sidecars:
                there = tx.assets_in_folder(storage_id, contents.listing.folder)
                sidecars[id(contents)] = comparison.sidecars(contents, there)
            seen, path = arrival.seen, arrival.seen.path
            name = name_of(path)
            mine = sidecars[id(contents)].get(name, ())
            if path in matches.moved:
                asset = by_id[matches.moved[path]]
                finding = moved_by_hand(asset, path, now)
                moved = _with_persons(tx, asset, contents, evolve(finding.asset, sidecars=mine))
                self._save(tx, asset, evolve(finding, asset=moved), now)
                counts[Noted.MOVED.value] += 1
                counts[Noted.MISSING.value] -= 1
            elif arrival.fingerprint in moving or tx.asset_at(storage_id, path):
                continue
            elif discovers(tally.storage.layout, contents.listing.folder):
                folder, media_type = folder_of(path), self.catalog.media_types[extension_of(name)]
                uuid = AssetId(self.ids.uuid())
                fresh.append(
                    FoundFile(uuid, folder, name, media_type, seen.size, seen.mtime_ns, mine)
                )
        profiles = self.catalog.default_profiles
        tx.add_found(Found(storage_id=storage_id, at=now, profiles=profiles, files=fresh))
        counts["new"] += len(fresh)
        for path in matches.ambiguous:
            tally.skipped.setdefault(path, "moved by hand? several candidates fit; taken as new")
        return counts

    def _finish(self, storage_id: StorageId, tally: Tally, tx: Transaction) -> int:
        storage = tx.storage(storage_id)
        assert storage is not None
        number = storage.scans + 1
        tx.save_storage(evolve(storage, scans=number, last_scan_at=self.clock.now()))
        tally.unmatched = len(tx.unmatched(storage_id))
        return number


def _refuse_other_words(tx: Transaction, folder: ComparedFolder, tally: Tally) -> None:
    """Compare a folder anew where a person attached a sidecar in it, or took one off, meanwhile.

    Raises:
        StateConflict: that happened.
    """
    seen = {s.path for before, _ in folder.findings for s in by_person(before)}
    if not folder.traces and not seen:
        return
    known = tx.assets_in_folder(tally.storage.storage_id, folder.listing.folder)
    if seen != {s.path for asset in known for s in by_person(asset)}:
        raise StateConflict("what a person attached changed meanwhile")


def _with_persons(tx: Transaction, before: Asset, contents: FolderContents, moved: Asset) -> Asset:
    """An asset that was moved by hand, with what a person attached to it as far as that lies beside it."""
    if not by_person(before):
        return moved
    folder = contents.listing.folder
    files = {
        name: DiskFile(size=size, mtime_ns=mtime) for name, size, mtime in contents.listing.files
    }
    there = followed(before, folder, files)
    paths = [sidecar.path for sidecar in there]
    forget_unmatched(tx, before.storage_id, folder, paths)
    unsettle(tx, before.storage_id, folder_of(before.path))
    others = (sidecar for sidecar in moved.sidecars if sidecar.path not in paths)
    sidecars = sorted((*others, *there), key=lambda sidecar: sidecar.path)
    return evolve(moved, sidecars=tuple(sidecars))


def _unsure(
    alike: Iterable[Asset], held: Iterable[tuple[FolderContents, Arrival]], tally: Tally
) -> set[tuple[int, int]]:
    """Sizes and times of which nothing is guessed now: a file, or an old place, could not be looked at.

    The next scan looks again; until then the files are passed over, with the reason.
    """
    gone = {(a.size, a.mtime_ns) for a in alike if Flag.MISSING in a.flags}
    unsure = {(a.size, a.mtime_ns) for a in alike if tally.hidden(a.path)}
    arrivals = [arrival for _, arrival in held]
    unread = {(a.seen.size, a.seen.mtime_ns) for a in arrivals if a.fingerprint is None}
    unsure |= gone & unread
    for arrival in arrivals:
        if (arrival.seen.size, arrival.seen.mtime_ns) in unsure:
            tally.skip(
                arrival.seen.path, "moved by hand? it cannot be compared now; looked at again"
            )
    return unsure

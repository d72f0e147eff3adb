"""The story of a scan: walk, compare, remember; nothing on the storage is touched."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread
from attrs import define, evolve, field, frozen

from ..catalog import Catalog
from ..domain.actors import SYSTEM
from ..domain.assets import Asset, AttachedSidecar, Flag
from ..domain.discovery import (
    Arrival,
    Finding,
    Found,
    FoundFile,
    Noted,
    SeenFile,
    Skip,
    match_moves,
    miss,
    moved_by_hand,
    sight,
)
from ..domain.identifiers import AssetId, RelPath, StorageId, folder_of, name_of
from ..domain.lifecycle import State
from ..domain.media import MediaType, extension_of
from ..domain.scans import FolderRecord, ScanReport, UnmatchedSidecar
from ..domain.sidecars import Parent, Trace, attach
from ..domain.storage import Layout, Storage
from ..errors import StateConflict, StorageOffline
from ..ports.clock import Clock, Ids
from ..ports.originals import Entry, FolderListing, Originals
from ..ports.store import Store, Transaction
from .scheduling import open_review
from .storages import Storages
from .trail import record

BATCH_FILES = 2000
"""So many files, at least, are compared and written in one transaction."""

SKIPPED_SHOWN = 1000


@frozen(kw_only=True)
class ScanOptions:
    """How a scan judges: the quiet period, and which sidecar policies are on."""

    quiet: timedelta
    policies: frozenset[str] = frozenset()


@frozen(kw_only=True)
class _Contents:
    """A folder as the walk listed it, its files told apart: media, sidecars, empty media."""

    listing: FolderListing
    media: tuple[tuple[Entry, MediaType], ...]
    sidecars: tuple[Entry, ...]
    empty: tuple[str, ...]


@define(kw_only=True)
class _Step:
    """What one step of the walk brought: folders to compare, and what needs only counting."""

    batch: list[_Contents] = field(factory=list)
    visited: set[str] = field(factory=set)
    unreadable: set[str] = field(factory=set)
    seen: int = 0
    skipped: list[tuple[str, str]] = field(factory=list)


@define(kw_only=True)
class _Tally:
    """What a running scan has counted and still holds back."""

    storage: Storage
    options: ScanOptions
    first: bool
    known: Mapping[str, FolderRecord]
    visited: set[str] = field(factory=set)
    counts: Counter[str] = field(factory=Counter)
    skipped: dict[str, str] = field(factory=dict)
    held: list[tuple[_Contents, Arrival]] = field(factory=list)
    held_back: set[str] = field(factory=set)
    unmatched: int = 0
    unreadable: set[str] = field(factory=set)

    def take(self, step: _Step) -> None:
        """Count what a step of the walk brought."""
        self.visited |= step.visited
        self.unreadable |= step.unreadable
        self.counts["folders"] += len(step.visited)
        self.counts["seen"] += step.seen
        for path, reason in step.skipped:
            self.skip(path, reason)

    def hidden(self, path: str) -> bool:
        """Whether a path could not be looked at, so that not seeing it means nothing."""
        return any(path == top or path.startswith(f"{top}/") for top in self.unreadable)

    def skip(self, path: str, reason: str) -> None:
        self.counts["skipped"] += 1
        if len(self.skipped) < SKIPPED_SHOWN:
            self.skipped[path] = reason


@frozen(kw_only=True)
class _Folder:
    """One folder compared: what is to be written about it."""

    listing: FolderListing
    findings: tuple[tuple[Asset, Finding], ...]
    fresh: tuple[Asset, ...]
    found: Found | None
    traces: tuple[Trace, ...]
    empty: tuple[str, ...]


def _join(folder: str, name: str) -> RelPath:
    return RelPath(f"{folder}/{name}" if folder else name)


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
            await self.storages.note(storage_id, error.message)
            return ScanReport(
                storage_id=storage_id,
                number=storage.scans,
                started_at=started,
                duration_s=time.monotonic() - clock,
                problem=error.message,
            )
        number = await self.store.transact(partial(self._finish, storage_id, tally), durable=False)
        return _report(tally, number, started, time.monotonic() - clock)

    async def _scan(
        self, storage: Storage, options: ScanOptions, progress: Callable[[int], None]
    ) -> _Tally:
        known = await self.store.read(lambda tx: tx.folders(storage.storage_id))
        tally = _Tally(storage=storage, options=options, known=known, first=storage.scans == 0)
        originals = self.storages.open(storage)
        settled = {name: r.digest for name, r in known.items() if r.settled}
        walk = originals.walk(storage.layout, settled.get)
        step = await anyio.to_thread.run_sync(self._walk_on, walk, tally.known)
        while step.visited:
            tally.take(step)
            step = await self._compare_while_walking(step.batch, walk, tally, originals)
            progress(tally.counts["seen"])
        if problem := await anyio.to_thread.run_sync(originals.check):
            raise StorageOffline(problem)
        await self._close(tally, originals)
        return tally

    async def _compare_while_walking(
        self,
        batch: Sequence[_Contents],
        walk: Iterator[FolderListing],
        tally: _Tally,
        originals: Originals,
    ) -> _Step:
        """Compare a batch of folders while the next one is read from the disk."""
        ahead = _Step()

        async def walk_on() -> None:
            nonlocal ahead
            ahead = await anyio.to_thread.run_sync(self._walk_on, walk, tally.known)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(walk_on)
                if batch:
                    await self._compare(batch, tally, originals)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise
        return ahead

    def _walk_on(self, walk: Iterator[FolderListing], known: Mapping[str, FolderRecord]) -> _Step:
        """Take folders from the walk until enough files are at hand; unchanged ones only count."""
        step, files = _Step(), 0
        for listing in walk:
            step.visited.add(listing.folder)
            for name, reason in listing.skipped:
                if reason is Skip.UNREADABLE:
                    step.unreadable.add(_join(listing.folder, name))
            before = known.get(listing.folder)
            if before is not None and before.settled and before.digest == listing.digest:
                step.seen += before.files
                step.skipped += [(_join(listing.folder, n), r) for n, r in before.skipped.items()]
                continue
            step.batch.append(self._contents(listing))
            files += len(listing.files) + 1
            if files >= BATCH_FILES:
                break
        return step

    def _contents(self, listing: FolderListing) -> _Contents:
        types, sidecar_extensions = self.catalog.media_types, self.catalog.sidecar_extensions
        media: list[tuple[Entry, MediaType]] = []
        sidecars: list[Entry] = []
        empty: list[str] = []
        for entry in listing.files:
            extension = extension_of(entry.name)
            media_type = types.get(extension)
            if media_type is None:
                if extension in sidecar_extensions:
                    sidecars.append(entry)
            elif entry.size:
                media.append((entry, media_type))
            else:
                empty.append(entry.name)
        return _Contents(
            listing=listing, media=tuple(media), sidecars=tuple(sidecars), empty=tuple(empty)
        )

    async def _compare(
        self, batch: Sequence[_Contents], tally: _Tally, originals: Originals
    ) -> None:
        """Compare a batch of folders with the store and write what changed; once more on a conflict."""
        for attempt in (1, 2):
            known = await self.store.read(partial(self._known, batch, tally))
            work = partial(self._decide, batch, known, tally, originals)
            folders = await anyio.to_thread.run_sync(work)
            try:
                await self.store.transact(partial(self._write, folders, tally), durable=False)
            except StateConflict:
                if attempt == 2:
                    raise
            else:
                for folder in folders:
                    _count(folder, tally)
                return

    def _known(
        self, batch: Sequence[_Contents], tally: _Tally, tx: Transaction
    ) -> Mapping[str, Sequence[Asset]]:
        if tally.first:
            return {}
        storage_id = tally.storage.storage_id
        folders = [contents.listing.folder for contents in batch]
        known = {folder: tx.assets_in_folder(storage_id, folder) for folder in folders}
        self._hold_back(batch, known, tally, tx)
        return known

    def _hold_back(
        self,
        batch: Sequence[_Contents],
        known: Mapping[str, Sequence[Asset]],
        tally: _Tally,
        tx: Transaction,
    ) -> None:
        """Keep files that look like a known asset of another path for the end of the scan."""
        strangers: dict[tuple[int, int], list[tuple[_Contents, SeenFile]]] = {}
        for contents in batch:
            paths = {asset.path for asset in known[contents.listing.folder]}
            for seen in _seen(contents):
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

    def _decide(
        self,
        batch: Sequence[_Contents],
        known: Mapping[str, Sequence[Asset]],
        tally: _Tally,
        originals: Originals,
    ) -> list[_Folder]:
        return [
            self._decide_one(b, known.get(b.listing.folder, ()), tally, originals) for b in batch
        ]

    def _decide_one(
        self, contents: _Contents, known: Sequence[Asset], tally: _Tally, originals: Originals
    ) -> _Folder:
        now = self.clock.now()
        traces = self._attach(contents, tally.options.policies)
        sidecars = _sidecars(contents, traces)
        findings: list[tuple[Asset, Finding]] = []
        if known:
            seen = {file.path: file for file in _seen(contents)}
            for asset in known:
                finding = self._sight(asset, seen.get(asset.path), sidecars, tally, originals, now)
                findings.append((asset, finding))
        fresh, found = self._fresh(contents, known, sidecars, tally, now)
        return _Folder(
            listing=contents.listing,
            findings=tuple(findings),
            fresh=fresh,
            found=found,
            traces=traces,
            empty=contents.empty,
        )

    def _fresh(
        self,
        contents: _Contents,
        known: Sequence[Asset],
        sidecars: Mapping[str, tuple[AttachedSidecar, ...]],
        tally: _Tally,
        now: datetime,
    ) -> tuple[tuple[Asset, ...], Found | None]:
        """What becomes of the files of an inbox folder that nobody knows and that are not held back.

        Those with sidecars are whole assets; all others, nearly all of a first scan, are `Found`.
        """
        folder = contents.listing.folder
        if not contents.media or not _discovers(tally.storage.layout, folder):
            return (), None
        strangers: Sequence[tuple[Entry, MediaType]] = contents.media
        taken = {asset.name for asset in known}
        taken |= {name_of(path) for path in tally.held_back if folder_of(path) == folder}
        if taken:
            strangers = [(e, m) for e, m in strangers if e.name not in taken]
        fresh = tuple(
            self._new(_join(folder, e.name), e, m, sidecars, tally.storage, now)
            for e, m in strangers
            if e.name in sidecars
        )
        uuid = self.ids.uuid
        files = [
            FoundFile(AssetId(uuid()), e.name, m, e.size, e.mtime_ns)
            for e, m in strangers
            if e.name not in sidecars
        ]
        found = Found(
            storage_id=tally.storage.storage_id,
            folder=folder,
            at=now,
            profiles=self.catalog.default_profiles,
            files=files,
        )
        return fresh, found if files else None

    def _attach(self, contents: _Contents, policies: frozenset[str]) -> tuple[Trace, ...]:
        if not contents.sidecars:
            return ()
        parents = [Parent(name=e.name, media_type=media_type) for e, media_type in contents.media]
        types = self.catalog.media_types
        parents += [
            Parent(name=name, media_type=types[extension_of(name)]) for name in contents.empty
        ]
        names = [entry.name for entry in contents.sidecars]
        return attach(names, parents, rules=self.catalog.sidecar_rules, policies=policies)

    def _sight(
        self,
        asset: Asset,
        seen: SeenFile | None,
        sidecars: Mapping[str, tuple[AttachedSidecar, ...]],
        tally: _Tally,
        originals: Originals,
        now: datetime,
    ) -> Finding:
        if asset.state is State.MOVE_QUEUED:
            return Finding(asset=asset, noted=(Noted.SAME,))
        if seen is None:
            hidden = tally.hidden(asset.path)
            return Finding(asset=asset, noted=(Noted.SAME,)) if hidden else miss(asset, now)
        finding = sight(asset, seen, now=now, quiet=tally.options.quiet)
        after = finding.asset
        if after.fingerprint is None and {Noted.STABLE, Noted.REPLACED} & set(finding.noted):
            after = evolve(after, fingerprint=originals.fingerprint(seen))
        attached = sidecars.get(asset.name, ())
        if attached != asset.sidecars:
            after = evolve(after, sidecars=attached, updated_at=now)
        return evolve(finding, asset=after)

    def _new(
        self,
        path: RelPath,
        entry: Entry,
        media_type: MediaType,
        sidecars: Mapping[str, tuple[AttachedSidecar, ...]],
        storage: Storage,
        now: datetime,
    ) -> Asset:
        return Asset(
            uuid=AssetId(self.ids.uuid()),
            storage_id=storage.storage_id,
            path=path,
            media_type=media_type,
            size=entry.size,
            mtime_ns=entry.mtime_ns,
            profile=self.catalog.default_profiles[media_type],
            created_at=now,
            updated_at=now,
            state_since=now,
            sidecars=sidecars.get(entry.name, ()) if sidecars else (),
        )

    def _write(self, folders: Sequence[_Folder], tally: _Tally, tx: Transaction) -> None:
        now = self.clock.now()
        tx.add_assets(asset for folder in folders for asset in folder.fresh)
        for folder in folders:
            if folder.found is not None:
                tx.add_found(folder.found)
        for folder in folders:
            for before, finding in folder.findings:
                if finding.asset != before:
                    self._save(tx, before, finding, now)
            self._save_unmatched(tx, folder, tally)
        tx.save_folders([_folder_record(folder, tally) for folder in folders])

    def _save(self, tx: Transaction, before: Asset, finding: Finding, now: datetime) -> None:
        saved = tx.save_asset(finding.asset)
        for noted in finding.noted:
            if noted in (Noted.SAME, Noted.SIGHTED):
                continue
            data: dict[str, object] = {}
            if saved.state is not before.state:
                data = {"from": before.state.value, "to": saved.state.value}
            if saved.path != before.path:
                data |= {"source": before.path, "target": saved.path}
            record(tx, saved.subject, f"asset.{noted}", SYSTEM, now, **data)
        if {Noted.STABLE, Noted.REPLACED} & set(finding.noted):
            open_review(tx, saved, self.catalog, self.ids, now)

    def _save_unmatched(self, tx: Transaction, folder: _Folder, tally: _Tally) -> None:
        before = tally.known.get(folder.listing.folder)
        unmatched = [trace for trace in folder.traces if trace.reason is not None]
        if not unmatched and before is None:
            return
        storage_id = tally.storage.storage_id
        rows = [
            UnmatchedSidecar(
                storage_id=storage_id,
                path=_join(folder.listing.folder, trace.sidecar),
                rule=trace.rule,
                reason=str(trace.reason),
            )
            for trace in unmatched
        ]
        tx.set_unmatched(storage_id, folder.listing.folder, rows)

    async def _close(self, tally: _Tally, originals: Originals) -> None:
        """After the walk: folders that are gone, then what was held back."""
        lost = [n for n in tally.known if n not in tally.visited and not tally.hidden(n)]
        for start in range(0, len(lost), 200):
            gone = lost[start : start + 200]
            counts = await self.store.transact(partial(self._lose, gone, tally), durable=False)
            tally.counts.update(counts)
        if tally.held:
            await self._settle_moves(tally, originals)

    def _lose(self, folders: Sequence[str], tally: _Tally, tx: Transaction) -> Counter[str]:
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

    async def _settle_moves(self, tally: _Tally, originals: Originals) -> None:
        """Decide for what was held back: a known asset that was moved by hand, or a new one."""

        def fingerprint(arrival: Arrival) -> Arrival:
            return evolve(arrival, fingerprint=originals.fingerprint(arrival.seen))

        def fingerprints() -> list[tuple[_Contents, Arrival]]:
            return [(contents, fingerprint(arrival)) for contents, arrival in tally.held]

        held = await anyio.to_thread.run_sync(fingerprints)
        counts = await self.store.transact(partial(self._match, held, tally), durable=False)
        tally.counts.update(counts)

    def _match(
        self, held: Sequence[tuple[_Contents, Arrival]], tally: _Tally, tx: Transaction
    ) -> Counter[str]:
        now, storage_id = self.clock.now(), tally.storage.storage_id
        shapes = {(a.seen.size, a.seen.mtime_ns) for _, a in held}
        candidates = [a for a in tx.assets_like(storage_id, shapes) if Flag.MISSING in a.flags]
        matches = match_moves(candidates, [arrival for _, arrival in held])
        by_id = {asset.uuid: asset for asset in candidates}
        counts: Counter[str] = Counter(ambiguous=len(matches.ambiguous))
        fresh = []
        for contents, arrival in held:
            sidecars = _sidecars(contents, self._attach(contents, tally.options.policies))
            path = arrival.seen.path
            entry, media_type = next(
                (e, m) for e, m in contents.media if _join(contents.listing.folder, e.name) == path
            )
            if path in matches.moved:
                asset = by_id[matches.moved[path]]
                finding = moved_by_hand(asset, path, now)
                moved = evolve(finding.asset, sidecars=sidecars.get(entry.name, ()))
                self._save(tx, asset, evolve(finding, asset=moved), now)
                counts[Noted.MOVED.value] += 1
                counts[Noted.MISSING.value] -= 1
            elif _discovers(tally.storage.layout, contents.listing.folder):
                fresh.append(self._new(path, entry, media_type, sidecars, tally.storage, now))
        tx.add_assets(fresh)
        counts["new"] += len(fresh)
        for path in matches.ambiguous:
            tally.skipped.setdefault(path, "moved by hand? several candidates fit; taken as new")
        return counts

    def _finish(self, storage_id: StorageId, tally: _Tally, tx: Transaction) -> int:
        storage = tx.storage(storage_id)
        assert storage is not None
        number = storage.scans + 1
        tx.save_storage(evolve(storage, scans=number, last_scan_at=self.clock.now()))
        tally.unmatched = len(tx.unmatched(storage_id))
        return number


def _discovers(layout: Layout, folder: str) -> bool:
    """Whether files of a folder become assets: those of the inbox do; elsewhere only known ones count."""
    return layout.inside_inbox(f"{folder}/x" if folder else "x") is not None


def _seen(contents: _Contents) -> Iterator[SeenFile]:
    for entry, _ in contents.media:
        path = _join(contents.listing.folder, entry.name)
        yield SeenFile(path=path, size=entry.size, mtime_ns=entry.mtime_ns)


def _sidecars(
    contents: _Contents, traces: Iterable[Trace]
) -> Mapping[str, tuple[AttachedSidecar, ...]]:
    """The attached sidecars of a folder, by the name of their parent."""
    found: dict[str, list[AttachedSidecar]] = {}
    entries = {entry.name: entry for entry in contents.sidecars}
    for trace in traces:
        if trace.parent is None:
            continue
        entry = entries[trace.sidecar]
        sidecar = AttachedSidecar(
            path=_join(contents.listing.folder, entry.name),
            rule=trace.rule,
            size=entry.size,
            mtime_ns=entry.mtime_ns,
        )
        found.setdefault(trace.parent, []).append(sidecar)
    return {parent: tuple(sidecars) for parent, sidecars in found.items()}


def _waits(asset: Asset) -> bool:
    replaced = {Flag.CHANGED, Flag.UNPROCESSABLE} <= asset.flags and asset.state is State.READY
    return asset.state in (State.DISCOVERED, State.MOVE_QUEUED) or replaced


def _passed_over(folder: _Folder) -> dict[str, str]:
    skipped = {name: reason.value for name, reason in folder.listing.skipped}
    return skipped | dict.fromkeys(folder.empty, Skip.EMPTY.value)


def _folder_record(folder: _Folder, tally: _Tally) -> FolderRecord:
    """What the next scan needs to know; a folder in which something waits is looked at again."""
    held = any(
        _join(folder.listing.folder, e.name) in tally.held_back for e in folder.listing.files
    )
    waiting = any(_waits(finding.asset) for _, finding in folder.findings)
    return FolderRecord(
        storage_id=tally.storage.storage_id,
        folder=folder.listing.folder,
        digest=folder.listing.digest,
        settled=not (folder.fresh or folder.found or held or waiting),
        files=len(folder.listing.files),
        skipped=_passed_over(folder),
    )


def _count(folder: _Folder, tally: _Tally) -> None:
    tally.counts["seen"] += len(folder.listing.files)
    fresh = len(folder.fresh) + (len(folder.found.files) if folder.found else 0)
    tally.counts["new"] += fresh
    tally.counts["waiting"] += fresh
    for _, finding in folder.findings:
        tally.counts.update(noted.value for noted in finding.noted)
        tally.counts["waiting"] += _waits(finding.asset)
    for name, reason in _passed_over(folder).items():
        tally.skip(_join(folder.listing.folder, name), reason)


def _report(tally: _Tally, number: int, started: datetime, duration: float) -> ScanReport:
    counts = tally.counts
    return ScanReport(
        storage_id=tally.storage.storage_id,
        number=number,
        started_at=started,
        duration_s=duration,
        folders=counts["folders"],
        seen=counts["seen"],
        new=counts["new"],
        changed=counts[Noted.CHANGED.value],
        became_ready=counts[Noted.STABLE.value] + counts[Noted.REPLACED.value],
        waiting=counts["waiting"],
        missing=counts[Noted.MISSING.value],
        returned=counts[Noted.RETURNED.value],
        moved_by_hand=counts[Noted.MOVED.value],
        unmatched_sidecars=tally.unmatched,
        skipped_count=counts["skipped"],
        skipped=dict(tally.skipped),
    )

"""The comparison of a scan: what is to be written about a folder, of what is seen and what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from ..catalog import Catalog
from ..domain.assets import Asset, AttachedSidecar, Flag
from ..domain.attachments import by_person, parents_by_person, seen_again
from ..domain.discovery import Finding, FoundFile, Noted, SeenFile, Skip, miss, sight
from ..domain.lifecycle import State
from ..domain.media import MediaType, extension_of
from ..domain.scans import FolderRecord
from ..domain.sidecars import BY_PERSON, Parent, Trace, attach
from ..domain.storage import Layout
from ..ports.clock import Clock, Ids
from ..ports.originals import Entry, FolderListing, Originals
from .scan_tally import Tally
from .scan_walk import FolderContents, join, seen_files

_found_file: Callable[[tuple[object, ...]], FoundFile] = partial(tuple.__new__, FoundFile)
"""A found file of its fields; at half the cost, which every file of a first scan pays."""


@frozen(kw_only=True)
class ComparedFolder:
    """One folder compared: what is to be written about it."""

    listing: FolderListing
    findings: tuple[tuple[Asset, Finding], ...]
    found: Sequence[FoundFile]
    traces: tuple[Trace, ...]
    empty: tuple[str, ...]


@frozen(kw_only=True)
class Comparison:
    """Compares folders of one scan, in a worker thread; reads files for fingerprints, writes nothing."""

    clock: Clock
    ids: Ids
    catalog: Catalog
    originals: Originals
    tally: Tally

    def folders(
        self, batch: Sequence[FolderContents], known: Mapping[str, Sequence[Asset]]
    ) -> list[ComparedFolder]:
        """Compare a batch of folders with the assets that are known in each."""
        return [self.folder(b, known.get(b.listing.folder, ())) for b in batch]

    def folder(self, contents: FolderContents, known: Sequence[Asset]) -> ComparedFolder:
        """Compare one folder with the assets that are known in it."""
        now = self.clock.now()
        persons = parents_by_person(known, contents.listing.folder)
        traces = self._attach(contents, persons)
        sidecars = _by_parent(contents, traces)
        findings: list[tuple[Asset, Finding]] = []
        if known:
            seen = {file.path: file for file in seen_files(contents)}
            for asset in known:
                finding = self._sight(asset, seen.get(asset.path), sidecars, now)
                findings.append((asset, finding))
        return ComparedFolder(
            listing=contents.listing,
            findings=tuple(findings),
            found=self._found(contents, known, sidecars),
            traces=traces,
            empty=contents.empty,
        )

    def _found(
        self,
        contents: FolderContents,
        known: Sequence[Asset],
        sidecars: Mapping[str, tuple[AttachedSidecar, ...]],
    ) -> Sequence[FoundFile]:
        """The files of an inbox folder that nobody knows and that are not held back."""
        folder = contents.listing.folder
        if not contents.media or not discovers(self.tally.storage.layout, folder):
            return ()
        strangers: Sequence[tuple[Entry, MediaType]] = contents.media
        taken = {asset.name for asset in known}
        held = self.tally.held_back
        if held:
            taken |= {entry.name for entry, _ in contents.media if join(folder, entry.name) in held}
        if taken:
            strangers = [(e, m) for e, m in strangers if e.name not in taken]
        attached = sidecars.get
        uuids = self.ids.uuids(len(strangers))
        return [
            _found_file((uuid, folder, name, media_type, size, mtime_ns, attached(name, ())))
            for uuid, ((name, size, mtime_ns), media_type) in zip(uuids, strangers, strict=True)
        ]

    def _attach(self, contents: FolderContents, persons: Mapping[str, str]) -> tuple[Trace, ...]:
        if not contents.sidecars and not persons:
            return ()
        parents = [Parent(entry.name, media_type) for entry, media_type in contents.media]
        types = self.catalog.media_types
        parents += [
            Parent(name=name, media_type=types[extension_of(name)]) for name in contents.empty
        ]
        names = [entry.name for entry in contents.sidecars]
        if persons:  # A plugin whose rule knew the extension may be gone.
            names += [entry.name for entry in contents.listing.files if entry.name in persons]
        policies, rules = self.tally.options.policies, self.catalog.sidecar_rules
        return attach(names, parents, rules=rules, policies=policies, by_person=persons)

    def _sight(
        self,
        asset: Asset,
        seen: SeenFile | None,
        sidecars: Mapping[str, tuple[AttachedSidecar, ...]],
        now: datetime,
    ) -> Finding:
        if asset.state is State.MOVE_QUEUED:
            return Finding(asset=asset, noted=(Noted.SAME,))
        if seen is None:
            hidden = self.tally.hidden(asset.path)
            return Finding(asset=asset, noted=(Noted.SAME,)) if hidden else miss(asset, now)
        finding = sight(asset, seen, now=now, quiet=self.tally.options.quiet)
        after = finding.asset
        if after.fingerprint is None and {Noted.STABLE, Noted.REPLACED} & set(finding.noted):
            after = evolve(after, fingerprint=self.originals.fingerprint(seen))
        attached = sidecars.get(asset.name, ())
        if persons := by_person(asset):
            unseen = [s.path for s in persons if self.tally.hidden(s.path)]
            attached = seen_again(asset, attached, unseen)
        if attached != asset.sidecars:
            after = evolve(after, sidecars=attached, updated_at=now)
        return evolve(finding, asset=after)

    def sidecars(
        self, contents: FolderContents, known: Sequence[Asset]
    ) -> Mapping[str, tuple[AttachedSidecar, ...]]:
        """The attached sidecars of a folder, by the name of their parent; ``known`` are its assets."""
        persons = parents_by_person(known, contents.listing.folder)
        return _by_parent(contents, self._attach(contents, persons))


def discovers(layout: Layout, folder: str) -> bool:
    """Whether files of a folder become assets: those of the inbox do; elsewhere only known ones count."""
    return layout.inside_inbox(f"{folder}/x" if folder else "x") is not None


def _by_parent(
    contents: FolderContents, traces: Iterable[Trace]
) -> Mapping[str, tuple[AttachedSidecar, ...]]:
    """The attached sidecars of a folder, by the name of their parent."""
    found: dict[str, list[AttachedSidecar]] = {}
    spoken = any(trace.rule == BY_PERSON for trace in traces)
    entries = {e.name: e for e in (contents.listing.files if spoken else contents.sidecars)}
    for trace in traces:
        if trace.parent is None:
            continue
        entry = entries[trace.sidecar]
        sidecar = AttachedSidecar(
            path=join(contents.listing.folder, entry.name),
            rule=trace.rule,
            size=entry.size,
            mtime_ns=entry.mtime_ns,
        )
        found.setdefault(trace.parent, []).append(sidecar)
    return {parent: tuple(sidecars) for parent, sidecars in found.items()}


def waits(asset: Asset) -> bool:
    """Whether a later scan has to look at an asset again, even in an unchanged folder."""
    replaced = {Flag.CHANGED, Flag.UNPROCESSABLE} <= asset.flags and asset.state is State.READY
    return asset.state in (State.DISCOVERED, State.MOVE_QUEUED) or replaced


def passed_over(folder: ComparedFolder) -> dict[str, str]:
    """The names in a folder that were passed over, with the reason."""
    skipped = {name: reason.value for name, reason in folder.listing.skipped}
    return skipped | dict.fromkeys(folder.empty, Skip.EMPTY.value)


def folder_record(folder: ComparedFolder, tally: Tally) -> FolderRecord:
    """What the next scan needs to know; a folder in which something waits is looked at again."""
    at, back = folder.listing.folder, tally.held_back
    held = bool(back) and any(join(at, entry.name) in back for entry in folder.listing.files)
    waiting = any(waits(finding.asset) for _, finding in folder.findings)
    return FolderRecord(
        storage_id=tally.storage.storage_id,
        folder=folder.listing.folder,
        digest=folder.listing.digest,
        settled=not (folder.found or held or waiting),
        files=len(folder.listing.files),
        skipped=passed_over(folder),
    )


def count_folder(folder: ComparedFolder, tally: Tally) -> None:
    """Add what was found in a folder to the tally, once it is written."""
    tally.counts["seen"] += len(folder.listing.files)
    tally.counts["new"] += len(folder.found)
    tally.counts["waiting"] += len(folder.found)
    for _, finding in folder.findings:
        tally.counts.update(noted.value for noted in finding.noted)
        # What is parked waits for a person, who may take long.
        tally.counts["waiting"] += waits(finding.asset) and Flag.PARKED not in finding.asset.flags
    for name, reason in passed_over(folder).items():
        tally.skip(join(folder.listing.folder, name), reason)

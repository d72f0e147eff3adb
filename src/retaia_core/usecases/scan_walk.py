"""The walk of a scan: folders are listed, unchanged ones counted, the files of others told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from ..catalog import Catalog
from ..domain.discovery import SeenFile, Skip
from ..domain.identifiers import RelPath
from ..domain.media import MediaType, extension_of
from ..domain.scans import FolderRecord
from ..ports.originals import Entry, FolderListing

BATCH_FILES = 2000
"""So many files, at least, are compared and written in one transaction."""


@frozen(kw_only=True)
class FolderContents:
    """A folder as the walk listed it, its files told apart: media, sidecars, empty media."""

    listing: FolderListing
    media: tuple[tuple[Entry, MediaType], ...]
    sidecars: tuple[Entry, ...]
    empty: tuple[str, ...]


@define(kw_only=True)
class WalkStep:
    """What one step of the walk brought: folders to compare, by path, and what needs only counting."""

    batch: dict[str, FolderContents] = field(factory=dict)
    visited: set[str] = field(factory=set)
    unreadable: set[str] = field(factory=set)
    seen: int = 0
    skipped: list[tuple[str, str]] = field(factory=list)


def join(folder: str, name: str) -> RelPath:
    """The path of a name in a folder, which is empty at the root."""
    return RelPath(f"{folder}/{name}" if folder else name)


def seen_files(contents: FolderContents) -> Iterator[SeenFile]:
    """The media files of a folder, as the domain compares them."""
    for entry, _ in contents.media:
        path = join(contents.listing.folder, entry.name)
        yield SeenFile(path=path, size=entry.size, mtime_ns=entry.mtime_ns)


def walk_on(
    walk: Iterator[FolderListing], known: Mapping[str, FolderRecord], catalog: Catalog
) -> WalkStep:
    """Take folders from the walk until enough files are at hand; unchanged ones only count."""
    step, files = WalkStep(), 0
    for listing in walk:
        step.visited.add(listing.folder)
        for name, reason in listing.skipped:
            if reason is Skip.UNREADABLE:
                step.unreadable.add(join(listing.folder, name))
        before = known.get(listing.folder)
        if before is not None and before.settled and before.digest == listing.digest:
            step.seen += before.files
            step.skipped += [(join(listing.folder, n), r) for n, r in before.skipped.items()]
            continue
        # A parent is listed once more where a folder in it turns out to be unreadable.
        step.batch[listing.folder] = contents_of(listing, catalog)
        files += len(listing.files) + 1
        if files >= BATCH_FILES:
            break
    return step


def contents_of(listing: FolderListing, catalog: Catalog) -> FolderContents:
    """Tell the files of a folder apart by their extensions."""
    types, sidecar_extensions = catalog.media_types, catalog.sidecar_extensions
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
    return FolderContents(
        listing=listing, media=tuple(media), sidecars=tuple(sidecars), empty=tuple(empty)
    )

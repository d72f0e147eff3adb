"""Seeing what a plan needs to know of the disk: one look for every planner of moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from attrs import define, field

from ..domain.identifiers import AssetId, RelPath, StorageId
from ..domain.moves import DiskFile, World
from ..domain.storage import Health, Storage
from ..errors import RetaiaError, StorageOffline
from ..ports.originals import Originals
from .storages import Storages

T = TypeVar("T")

_AT_ONCE = 1000
"""The files of so many assets are looked at in one go."""


class Sought(NamedTuple):
    """What a plan wants to know about one asset: what stands at paths, and the names in a folder."""

    asset: AssetId
    storage_id: StorageId
    paths: tuple[RelPath, ...]
    folder: str


@define
class Seen:
    """What was seen so far, as `World` says."""

    files: dict[tuple[StorageId, str], DiskFile] = field(factory=dict)
    taken: dict[tuple[StorageId, str], frozenset[str]] = field(factory=dict)
    unreadable: dict[AssetId, str] = field(factory=dict)


async def look_at_all(storages: Storages) -> dict[StorageId, Storage]:
    """Every storage, having looked at it now."""
    return {s.storage_id: await storages.look(s) for s in await storages.all()}


def look_on_disk(
    storages: Storages, looked: Mapping[StorageId, Storage], sought: Iterable[Sought]
) -> World:
    """See the files of some groups and the names in their folders now; who holds them is not seen here.

    ``looked`` are the storages, as they are now. What cannot be looked at is said of the asset that it
    belongs to; a storage that goes away meanwhile is said to be offline.
    """
    offline = {s.storage_id: s.health_reason for s in looked.values() if s.health is Health.OFFLINE}
    of_storage: dict[StorageId, list[Sought]] = defaultdict(list)
    for one in sought:
        of_storage[one.storage_id].append(one)
    seen = Seen()
    for storage_id in of_storage.keys() - offline.keys():
        originals = storages.open(looked[storage_id])
        try:
            for some in parts_of(of_storage[storage_id]):
                look(originals, some, seen)
        except StorageOffline as error:
            offline[storage_id] = error.message
    return World(
        files=seen.files,
        taken=seen.taken,
        unreadable=seen.unreadable,
        offline=offline,
        layouts={s.storage_id: s.layout for s in looked.values()},
    )


def parts_of(many: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many as are looked at in one go, until all were."""
    return (many[start : start + _AT_ONCE] for start in range(0, len(many), _AT_ONCE))


def look(originals: Originals, wanted: Sequence[Sought], seen: Seen) -> None:
    """See some groups of one storage, and the names in those of their folders that were not seen yet.

    Raises:
        StorageOffline: the storage went away.
    """
    found = originals.look([path for one in wanted for path in one.paths])
    for one in wanted:
        for path in one.paths:
            there = found.get(path)
            if isinstance(there, DiskFile):
                seen.files[one.storage_id, path] = there
            elif there is not None:
                seen.unreadable.setdefault(one.asset, there.message)
        key = (one.storage_id, one.folder)
        if key in seen.taken:
            continue
        try:
            seen.taken[key] = originals.names_in(one.folder)
        except StorageOffline:
            raise
        except RetaiaError as error:
            seen.unreadable.setdefault(one.asset, error.message)

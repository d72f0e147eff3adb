"""Sidecars that a person attached: put on, taken off, and seen again by a scan (domain.md, *Sidecars*).

A person's word stands: no rule gives the sidecar to another asset, and a scan that does not see the
file keeps the attachment and says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from attrs import evolve

from ..errors import NotFound, Purged, StateConflict, ValidationFailed
from .assets import Asset, AttachedSidecar
from .identifiers import RelPath, folder_of, name_of
from .lifecycle import State
from .moves import DiskFile
from .sidecars import BY_PERSON


class News(StrEnum):
    """What a scan found out about a sidecar that a person attached."""

    MISSING = "missing"
    RETURNED = "returned"
    CHANGED = "changed"
    LEFT = "left_behind"


def by_person(asset: Asset) -> tuple[AttachedSidecar, ...]:
    """The sidecars that a person attached."""
    return tuple(sidecar for sidecar in asset.sidecars if sidecar.rule == BY_PERSON)


def parents_by_person(assets: Iterable[Asset], folder: str) -> Mapping[str, str]:
    """By the name of a sidecar in a folder, the asset there that a person attached it to."""
    return {
        name_of(sidecar.path): asset.name
        for asset in assets
        if asset.sidecars
        for sidecar in by_person(asset)
        if folder_of(sidecar.path) == folder
    }


def refuse_closed(asset: Asset) -> None:
    """Refuse what changes a group that is being moved or was purged.

    Raises:
        Purged, StateConflict: as said.
    """
    if asset.state is State.PURGED:
        raise Purged(f"{asset.path!r} was purged", state=asset.state.value)
    if asset.state is State.MOVE_QUEUED:
        raise StateConflict(
            f"{asset.path!r} is being moved; its group changes before or after that",
            state=asset.state.value,
        )


def _in_order(sidecars: Iterable[AttachedSidecar]) -> tuple[AttachedSidecar, ...]:
    return tuple(sorted(sidecars, key=lambda sidecar: sidecar.path))


def attached(asset: Asset, path: RelPath, file: DiskFile, now: datetime) -> Asset:
    """The asset with a sidecar that a person attached, as its file is now.

    Raises:
        Purged, StateConflict: the asset is purged or being moved.
        ValidationFailed: the sidecar lies in another folder, or is the asset's own file.
    """
    refuse_closed(asset)
    if folder_of(path) != folder_of(asset.path) or path == asset.path:
        raise ValidationFailed(
            f"{path!r} and {asset.path!r} are not two files of one folder; a group lies in one",
            fields={"path": "a sidecar in the folder of its asset"},
        )
    sidecar = AttachedSidecar(path=path, rule=BY_PERSON, size=file.size, mtime_ns=file.mtime_ns)
    others = (s for s in asset.sidecars if s.path != path)
    return evolve(asset, sidecars=_in_order((*others, sidecar)), updated_at=now)


def detached(asset: Asset, path: str, now: datetime) -> Asset:
    """The asset without a sidecar that a person attached.

    Raises:
        Purged, StateConflict: the asset is purged or being moved, or a rule attached it, not a person.
        NotFound: it has no such sidecar.
    """
    refuse_closed(asset)
    sidecar = next((s for s in asset.sidecars if s.path == path), None)
    if sidecar is None:
        raise NotFound(f"{asset.path!r} has no sidecar {path!r}")
    if sidecar.rule != BY_PERSON:
        raise StateConflict(
            f"the rule {sidecar.rule} attached {path!r} by its name; only what a person attached is "
            "taken off",
            rule=sidecar.rule,
        )
    return evolve(
        asset, sidecars=tuple(s for s in asset.sidecars if s.path != path), updated_at=now
    )


def seen_again(
    asset: Asset, found: Iterable[AttachedSidecar], hidden: Collection[str] = ()
) -> tuple[AttachedSidecar, ...]:
    """An asset's sidecars after a scan saw some: what a person attached stays, seen or not.

    Of paths in ``hidden`` nothing is known: they could not be looked at.
    """
    there = {sidecar.path: sidecar for sidecar in found}
    kept = (
        s if s.path in hidden else evolve(s, missing=True)
        for s in by_person(asset)
        if s.path not in there
    )
    return _in_order((*there.values(), *kept))


def followed(
    asset: Asset, folder: str, files: Mapping[str, DiskFile]
) -> tuple[AttachedSidecar, ...]:
    """What a person attached to an asset that was moved by hand, as far as it lies beside it again."""
    return tuple(
        evolve(
            sidecar,
            path=RelPath(f"{folder}/{name}" if folder else name),
            size=files[name].size,
            mtime_ns=files[name].mtime_ns,
            missing=False,
        )
        for sidecar in by_person(asset)
        if (name := name_of(sidecar.path)) in files
    )


def news(before: Asset, after: Asset) -> Iterator[tuple[RelPath, News]]:
    """What is to be told of the sidecars that people attached, by path, once a scan has seen them."""
    now = {name_of(sidecar.path): sidecar for sidecar in by_person(after)}
    for old in by_person(before):
        new = now.get(name_of(old.path))
        if new is None:
            yield old.path, News.LEFT
        elif new.missing != old.missing:
            yield new.path, News.MISSING if new.missing else News.RETURNED
        elif (new.size, new.mtime_ns) != (old.size, old.mtime_ns):
            yield new.path, News.CHANGED

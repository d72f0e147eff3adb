"""What a scan's sightings mean: new, changed, stable, missing, moved by hand (domain.md, *Discovery*)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from attrs import evolve, field, frozen

from .actors import SYSTEM
from .assets import Asset, AttachedSidecar, Flag, advanced, flagged, relocated, without_results
from .identifiers import AssetId, ProfileName, RelPath, StorageId
from .lifecycle import Action, State
from .media import MediaType

QUIET_PERIOD = timedelta(seconds=300)
STABLE_SIGHTINGS = 2

SKIPPED_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".tmp", ".filepart", "~")
SKIPPED_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "lost+found", "@eaDir"})


class Skip(StrEnum):
    """Why a scan passes an entry over."""

    HIDDEN = "hidden"
    TEMPORARY = "temporary_copy"
    NOT_MEDIA = "not_media"
    LINK_OUTSIDE = "link_leaves_root"
    BROKEN_LINK = "broken_link"
    NOT_A_FILE = "not_a_regular_file"
    UNDECODABLE = "name_is_no_valid_text"
    UNREADABLE = "unreadable"
    EMPTY = "empty_file"


def skip_reason(name: str) -> Skip | None:
    """Why a name alone makes a scan pass an entry over; None where it does not.

    >>> skip_reason("._A001.MOV"), skip_reason("A001.mov.part"), skip_reason("A001.mov")
    (<Skip.HIDDEN: 'hidden'>, <Skip.TEMPORARY: 'temporary_copy'>, None)
    """
    if name.startswith("."):
        return Skip.HIDDEN
    if name in SKIPPED_NAMES:
        return Skip.HIDDEN
    if name.lower().endswith(SKIPPED_SUFFIXES):
        return Skip.TEMPORARY
    return None


_SIGNS = (
    "\0.",
    *(f"{suffix}\0" for suffix in SKIPPED_SUFFIXES),
    *(f"\0{name.lower()}\0" for name in sorted(SKIPPED_NAMES)),
)


def any_skipped(names: Iterable[str]) -> bool:
    """Whether `skip_reason` may have something to say of one of these names; most folders have none.

    >>> any_skipped(["A001.mov", "A002.mov"]), any_skipped(["A001.mov", "A001.mov.PART"])
    (False, True)
    """
    text = "\0".join(("", *names, "")).lower()
    return any(sign in text for sign in _SIGNS)


@frozen(kw_only=True)
class SeenFile:
    """A file as a scan saw it; ``size`` in bytes, ``mtime_ns`` in nanoseconds since 1970."""

    path: RelPath
    size: int
    mtime_ns: int


class FoundFile(NamedTuple):
    """A media file that nobody knows, and the identity that it gets; see `Found`."""

    uuid: AssetId
    folder: str
    name: str
    media_type: MediaType
    size: int
    mtime_ns: int
    sidecars: tuple[AttachedSidecar, ...] = ()


@frozen(kw_only=True)
class Found:
    """Files of one storage that become assets: what a first scan makes by the hundred thousand.

    ``profiles`` has the one that each media type gets.
    """

    storage_id: StorageId
    at: datetime
    profiles: Mapping[MediaType, ProfileName]
    files: Sequence[FoundFile]


def discovered(found: Found) -> Iterator[Asset]:
    """The assets that found files become."""
    for file in found.files:
        yield Asset(
            uuid=file.uuid,
            storage_id=found.storage_id,
            path=RelPath(f"{file.folder}/{file.name}" if file.folder else file.name),
            media_type=file.media_type,
            size=file.size,
            mtime_ns=file.mtime_ns,
            profile=found.profiles[file.media_type],
            created_at=found.at,
            updated_at=found.at,
            state_since=found.at,
            sidecars=file.sidecars,
        )


class Noted(StrEnum):
    """What a scan found out about a known asset."""

    SAME = "same"
    SIGHTED = "sighted"
    STABLE = "became_ready"
    CHANGED = "changed"
    REPLACED = "replaced"
    RETURNED = "returned"
    MISSING = "missing"
    MOVED = "moved_by_hand"


@frozen(kw_only=True)
class Finding:
    """A known asset after the scan, and what was noted (in order)."""

    asset: Asset
    noted: tuple[Noted, ...]


@frozen(kw_only=True)
class Changes:
    """The outcome of `reconcile`: files that nobody knows yet, and findings about known assets.

    ``unmatched`` lists moves by hand that could not be proven: several candidates fit.
    """

    new: tuple[SeenFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    ambiguous: tuple[RelPath, ...] = ()


def _age(asset: Asset, now: datetime) -> timedelta:
    """How long the file has been left alone; a clock ahead of ours counts from when we saw it."""
    if asset.mtime_ns > now.timestamp() * 1e9:
        return now - asset.updated_at
    return now - datetime.fromtimestamp(asset.mtime_ns / 1e9, UTC)


def _is_stable(asset: Asset, now: datetime, quiet: timedelta) -> bool:
    return asset.sightings >= STABLE_SIGHTINGS and _age(asset, now) >= quiet


def _sight_same(asset: Asset, now: datetime, quiet: timedelta) -> Finding:
    waits = asset.state is State.DISCOVERED or (
        asset.state is State.READY and {Flag.CHANGED, Flag.UNPROCESSABLE} <= asset.flags
    )
    if not waits:
        return Finding(asset=asset, noted=(Noted.SAME,))
    seen = evolve(asset, sightings=min(asset.sightings + 1, STABLE_SIGHTINGS))
    if not _is_stable(seen, now, quiet):
        return Finding(asset=seen, noted=(Noted.SIGHTED,))
    if seen.state is State.DISCOVERED:
        ready = advanced(seen, Action.STABILISE, SYSTEM, now)
        return Finding(asset=ready, noted=(Noted.STABLE,))
    renewed = evolve(without_results(seen), fingerprint=None, updated_at=now)
    return Finding(asset=renewed, noted=(Noted.REPLACED,))


def _sight_changed(asset: Asset, seen: SeenFile, now: datetime) -> Finding:
    fresh = evolve(asset, size=seen.size, mtime_ns=seen.mtime_ns, sightings=1, updated_at=now)
    if asset.state is State.DISCOVERED:
        return Finding(asset=fresh, noted=(Noted.SIGHTED,))
    return Finding(
        asset=flagged(evolve(fresh, fingerprint=None), Flag.CHANGED, on=True),
        noted=(Noted.CHANGED,),
    )


def sight(asset: Asset, seen: SeenFile, *, now: datetime, quiet: timedelta) -> Finding:
    """Say what seeing a known asset's file again means.

    Stable is: the same size and mtime on two consecutive scans, and left alone for the quiet period.
    An unprocessable READY asset whose file was replaced starts anew once the new file is stable.
    """
    same = (asset.size, asset.mtime_ns) == (seen.size, seen.mtime_ns)
    finding = _sight_same(asset, now, quiet) if same else _sight_changed(asset, seen, now)
    if Flag.MISSING not in asset.flags:
        return finding
    back = flagged(finding.asset, Flag.MISSING, on=False)
    noted = (Noted.RETURNED, *(n for n in finding.noted if n is not Noted.SAME))
    return Finding(asset=evolve(back, updated_at=now), noted=noted)


def miss(asset: Asset, now: datetime) -> Finding:
    """Say what not seeing a known asset's file means: a flag, nothing more."""
    if Flag.MISSING in asset.flags or asset.state in (State.PURGED, State.MOVE_QUEUED):
        return Finding(asset=asset, noted=(Noted.SAME,))
    gone = evolve(flagged(asset, Flag.MISSING, on=True), updated_at=now)
    return Finding(asset=gone, noted=(Noted.MISSING,))


@frozen(kw_only=True)
class Arrival:
    """A file that nobody knows, with its quick content fingerprint where one was taken."""

    seen: SeenFile
    fingerprint: str | None = None


@frozen(kw_only=True)
class Matches:
    """Which arrivals are known assets that were moved by hand."""

    moved: Mapping[RelPath, AssetId] = field(factory=dict)
    ambiguous: tuple[RelPath, ...] = ()


def match_moves(gone: Iterable[Asset], arrivals: Sequence[Arrival]) -> Matches:
    """Match assets whose file is gone with files that appeared: same size, mtime and fingerprint.

    Only a pair in which each fits the other alone is a match; where two candidates fit, nothing is
    guessed, and the arrival is named as ambiguous.
    """
    by_key: dict[tuple[int, int, str], list[Asset]] = defaultdict(list)
    for asset in gone:
        if asset.fingerprint:
            by_key[asset.size, asset.mtime_ns, asset.fingerprint].append(asset)
    fits: dict[tuple[int, int, str], list[RelPath]] = defaultdict(list)
    for arrival in arrivals:
        key = (arrival.seen.size, arrival.seen.mtime_ns, arrival.fingerprint or "")
        if key in by_key:
            fits[key].append(arrival.seen.path)
    moved = {
        paths[0]: by_key[key][0].uuid
        for key, paths in fits.items()
        if len(paths) == len(by_key[key]) == 1
    }
    unsure = sorted(path for paths in fits.values() for path in paths if path not in moved)
    return Matches(moved=moved, ambiguous=tuple(unsure))


def moved_by_hand(asset: Asset, path: RelPath, now: datetime) -> Finding:
    """The same asset at its new path: UUID kept, history grown."""
    there = flagged(relocated(asset, path, cause="moved_by_hand", now=now), Flag.MISSING, on=False)
    return Finding(asset=there, noted=(Noted.MOVED,))


def reconcile(
    known: Iterable[Asset],
    arrived: Iterable[Arrival],
    *,
    now: datetime,
    quiet: timedelta = QUIET_PERIOD,
) -> Changes:
    """Compare what is known with what a scan of an online storage saw; the whole rule as one function.

    ``known`` are the assets of the scanned folders, ``arrived`` every media file seen in them. The scan
    uses the parts (`sight`, `miss`, `match_moves`) folder by folder; their sum is this.
    """
    assets = list(known)
    here = {asset.path: asset for asset in assets if asset.state is not State.PURGED}
    seen = {arrival.seen.path: arrival for arrival in arrived}
    strangers = [a for path, a in seen.items() if path not in here]
    absent = [asset for path, asset in here.items() if path not in seen]
    matches = match_moves(absent, strangers)
    targets = {uuid: path for path, uuid in matches.moved.items()}
    findings = [miss(asset, now) for asset in assets if asset.state is State.PURGED]
    for path, asset in here.items():
        if path in seen:
            findings.append(sight(asset, seen[path].seen, now=now, quiet=quiet))
        elif asset.uuid in targets:
            findings.append(moved_by_hand(asset, targets[asset.uuid], now))
        else:
            findings.append(miss(asset, now))
    return Changes(
        new=tuple(a.seen for a in strangers if a.seen.path not in matches.moved),
        findings=tuple(findings),
        ambiguous=matches.ambiguous,
    )

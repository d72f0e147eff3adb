"""An asset as a row, and back; what lists are filtered and sorted by is derived here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from retaia_core.domain.assets import (
    Asset,
    AttachedSidecar,
    DecisionRecord,
    DerivedRef,
    Flag,
    LastChange,
    PathRecord,
    Source,
    Suggestion,
    Transcript,
)
from retaia_core.domain.discovery import Found
from retaia_core.domain.facts import Facts
from retaia_core.domain.identifiers import AssetId, RelPath
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.media import MediaType
from retaia_core.domain.moves import Candidate, Expected
from retaia_core.domain.query import AssetSummary, SortKey

from .dialects import Row
from .schema import assets
from .values import EPOCH, dump, maybe_micros, maybe_time, micros, time_of

SEPARATOR = "\uffff"
"""Stands between the texts that are searched, and in none of them."""

_UNSEARCHABLE = {0: "\ufffd", ord(SEPARATOR): "\ufffd"}

COLUMNS = tuple(column.name for column in assets.c if column.name != "seq")
SUMMARY_COLUMNS = (
    *("uuid", "storage_id", "folder", "name", "media_type", "state", "flags", "created_at"),
    *("updated_at", "captured_at", "duration_ms", "tags", "has_proxy", "thumbs"),
)
CANDIDATE_COLUMNS = (
    *("uuid", "storage_id", "folder", "name", "verdict", "flags", "size", "mtime_ns", "document"),
)
SOURCE_COLUMNS = ("uuid", "storage_id", "folder", "name", "state", "flags", "document")
SORT_COLUMNS = {
    SortKey.NAME: "name",
    SortKey.CREATED_AT: "created_at",
    SortKey.UPDATED_AT: "updated_at",
    SortKey.CAPTURED_AT: "captured_at",
    SortKey.DURATION: "duration_ms",
    SortKey.MEDIA_TYPE: "media_type",
    SortKey.STATE: "state",
}


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is neither filtered nor sorted; what has its default is left out."""

    sidecars: tuple[AttachedSidecar, ...] = ()
    facts: Facts = msgspec.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    derived: tuple[DerivedRef, ...] = ()
    transcript: Transcript | None = None
    suggestions: tuple[Suggestion, ...] = ()
    notes: str = ""
    fields: Mapping[str, object] = msgspec.field(default_factory=dict)
    last_changes: Mapping[str, LastChange] = msgspec.field(default_factory=dict)
    decisions: tuple[DecisionRecord, ...] = ()
    path_history: tuple[PathRecord, ...] = ()


class _Mate(msgspec.Struct, frozen=True, gc=False):
    """Of a sidecar what moving it needs."""

    path: RelPath
    size: int
    mtime_ns: int


class _Mates(msgspec.Struct, frozen=True, gc=False):
    """Of a document the sidecars; nothing else of it is built."""

    sidecars: tuple[_Mate, ...] = ()


_PARTS = _Document.__struct_fields__
_decoder = msgspec.json.Decoder(_Document)
_mates = msgspec.json.Decoder(_Mates)
_tags = msgspec.json.Decoder(tuple[str, ...])
_NOTHING = _Document()
_STATES = {state.value: state for state in State}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_MEDIA = {media.value: media for media in MediaType}
_NO_FLAGS: frozenset[Flag] = frozenset()
_candidate: Callable[[tuple[object, ...]], Candidate] = partial(tuple.__new__, Candidate)
_summary: Callable[[tuple[object, ...]], AssetSummary] = partial(tuple.__new__, AssetSummary)


def fold(text: str) -> str:
    """The form in which texts are compared without case."""
    folded = text.casefold()
    return folded if folded.isascii() and "\0" not in folded else folded.translate(_UNSEARCHABLE)


def flags_text(flags: frozenset[Flag]) -> str:
    """Flags as one text, each between spaces; empty where there is none.

    >>> flags_text(frozenset({Flag.MISSING, Flag.CHANGED}))
    ' changed missing '
    """
    return f" {' '.join(sorted(flags))} " if flags else ""


def _flags(text: str) -> frozenset[Flag]:
    return frozenset(map(Flag, text.split())) if text else _NO_FLAGS


def captured_at(facts: Facts) -> datetime | None:
    """When it was captured; a time without an offset is taken as UTC, an impossible one as unknown."""
    stated = facts.get("captured_at")
    if not isinstance(stated, str):
        return None
    try:
        time = datetime.fromisoformat(stated)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # the fact's form is checked, not its calendar: 31 February is unknown


def _number(facts: Facts, name: str) -> float | None:
    value = facts.get(name)
    return None if isinstance(value, str) else value


def _place(asset: Asset, key: str) -> str | None:
    value = asset.fields.get(key)
    return fold(value) if isinstance(value, str) else None


def _search(asset: Asset, name: str) -> str:
    said = asset.transcript.text if asset.transcript else ""
    if not (asset.notes or said):
        return fold(name)
    return SEPARATOR.join(map(fold, (name, asset.notes, said)))


def _document(asset: Asset) -> str:
    parts = {name: getattr(asset, name) for name in _PARTS}
    return dump(_Document(**parts)) if any(parts.values()) else ""


def _projection(asset: Asset) -> tuple[object, ...]:
    """The columns from ``captured_at`` to ``city``; a new asset knows none of them."""
    facts, derived = asset.facts, asset.derived
    if not (facts or derived or asset.fields):
        return (None, None, False, 0, None, None, None, None)
    duration = facts.get("duration_ms")
    return (
        maybe_micros(captured_at(facts)),
        duration if isinstance(duration, int) else None,
        any(ref.kind.startswith("proxy_") for ref in derived),
        sum(ref.kind == "thumb" for ref in derived),
        _number(facts, "gps_latitude"),
        _number(facts, "gps_longitude"),
        _place(asset, "location_country"),
        _place(asset, "location_city"),
    )


def row_of(asset: Asset, revision: int) -> tuple[object, ...]:
    """The asset's row, in the order of `COLUMNS`."""
    folder, _, name = asset.path.rpartition("/")
    created = micros(asset.created_at)
    updated = created if asset.updated_at is asset.created_at else micros(asset.updated_at)
    return (
        asset.uuid,
        asset.storage_id,
        folder,
        name,
        asset.media_type.value,
        asset.state.value,
        flags_text(asset.flags),
        asset.size,
        asset.mtime_ns,
        asset.profile,
        created,
        updated,
        maybe_micros(asset.state_since),
        asset.sightings,
        asset.fingerprint,
        asset.verdict.value if asset.verdict else None,
        asset.review_version,
        revision,
        *_projection(asset),
        dump(asset.tags),
        _search(asset, name),
        _document(asset),
    )


NEW: Mapping[str, object] = {
    "flags": "",
    "sightings": 1,
    "fingerprint": None,
    "verdict": None,
    "review_version": 1,
    "revision": 0,
    "captured_at": None,
    "duration_ms": None,
    "has_proxy": False,
    "thumbs": 0,
    "latitude": None,
    "longitude": None,
    "country": None,
    "city": None,
    "tags": "",
    "document": "",
}
"""What a file that was just discovered has in these columns."""


def is_new(asset: Asset) -> bool:
    """Whether the columns of `NEW` hold what it says."""
    a = asset
    touched = a.revision or a.flags or a.sidecars or a.facts or a.derived or a.fingerprint
    said = a.tags or a.notes or a.fields or a.suggestions or a.warnings or a.transcript
    acted = a.verdict or a.decisions or a.path_history or a.last_changes
    return not (touched or said or acted) and a.sightings == a.review_version == 1


def new_row_of(asset: Asset) -> tuple[object, ...]:
    """The row of an asset that `is_new`, without the columns of `NEW`."""
    folder, _, name = asset.path.rpartition("/")
    created = micros(asset.created_at)
    updated = created if asset.updated_at is asset.created_at else micros(asset.updated_at)
    since = created if asset.state_since is asset.created_at else maybe_micros(asset.state_since)
    return (
        asset.uuid,
        asset.storage_id,
        folder,
        name,
        asset.media_type._value_,
        asset.state._value_,
        asset.size,
        asset.mtime_ns,
        asset.profile,
        created,
        updated,
        since,
        fold(name),
    )


NEW_BUT_DOCUMENT = {name: value for name, value in NEW.items() if name != "document"}
"""The same of a file that a scan found, which may have sidecars."""


def found_rows_of(found: Found) -> list[tuple[object, ...]]:
    """The rows of files that a scan found, without the columns of `NEW_BUT_DOCUMENT`."""
    at, storage = micros(found.at), found.storage_id
    profiles, state = found.profiles, State.DISCOVERED.value
    kinds = {media_type: (media_type.value, profiles[media_type]) for media_type in profiles}
    rows: list[tuple[object, ...]] = []
    for uuid, folder, name, media_type, size, mtime, sidecars in found.files:
        kind, profile = kinds[media_type]
        document = dump(_Document(sidecars=sidecars)) if sidecars else ""
        place = (uuid, storage, folder, name, kind, state, size, mtime, profile)
        rows.append((*place, at, at, at, fold(name), document))
    return rows


def path_of(folder: str, name: str) -> RelPath:
    """The path of a name in a folder, which is empty at the root."""
    return RelPath(f"{folder}/{name}" if folder else name)


def asset_of(row: Row) -> Asset:
    """The asset back from its row, whose columns are `COLUMNS`."""
    (uuid, storage_id, folder, name, media_type, state, flags, size, mtime_ns, profile) = row[:10]
    (created, updated, since, sightings, fingerprint, verdict, review, revision) = row[10:18]
    tags, document = row[26], row[28]
    rest = _decoder.decode(document) if document else _NOTHING
    return Asset(
        uuid=uuid,
        storage_id=storage_id,
        path=path_of(folder, name),
        media_type=_MEDIA[media_type],
        size=size,
        mtime_ns=mtime_ns,
        profile=profile,
        created_at=time_of(created),
        updated_at=time_of(updated),
        state=_STATES[state],
        state_since=maybe_time(since),
        sightings=sightings,
        fingerprint=fingerprint,
        flags=_flags(flags),
        verdict=_VERDICTS[verdict] if verdict else None,
        review_version=review,
        revision=revision,
        tags=tags_of(tags),
        sidecars=rest.sidecars,
        facts=rest.facts,
        warnings=rest.warnings,
        derived=rest.derived,
        transcript=rest.transcript,
        suggestions=rest.suggestions,
        notes=rest.notes,
        fields=rest.fields,
        last_changes=rest.last_changes,
        decisions=rest.decisions,
        path_history=rest.path_history,
    )


def candidates_of(state: State, rows: Iterable[Row]) -> list[Candidate]:
    """What plans of moves depend on from rows, whose columns are `CANDIDATE_COLUMNS`.

    A person waits for the plan of everything that is decided; so this is as short as `summaries_of`.
    """
    found: list[Candidate] = []
    for uuid, storage_id, folder, name, verdict, flags, size, mtime_ns, document in rows:
        path = f"{folder}/{name}" if folder else name
        found.append(
            _candidate(
                (
                    uuid,
                    storage_id,
                    path,
                    state,
                    _VERDICTS[verdict] if verdict else None,
                    _flags(flags) if flags else _NO_FLAGS,
                    ((path, size, mtime_ns), *_sidecars(document)),
                )
            )
        )
    return found


def _sidecars(document: str) -> list[Expected]:
    """The sidecars of a document, by path."""
    if not document:
        return []
    mates = [(mate.path, mate.size, mate.mtime_ns) for mate in _mates.decode(document).sidecars]
    mates.sort()
    return mates


def sources_of(rows: Iterable[Row]) -> dict[AssetId, Source]:
    """Where files are from rows, whose columns are `SOURCE_COLUMNS`."""
    found: dict[AssetId, Source] = {}
    for uuid, storage_id, folder, name, state, flags, document in rows:
        mates = _mates.decode(document).sidecars if document else ()
        sidecars = tuple(mate.path for mate in mates)
        path = path_of(folder, name)
        found[uuid] = Source(uuid, storage_id, path, _STATES[state], _flags(flags), sidecars)
    return found


def tags_of(text: str) -> tuple[str, ...]:
    """The tags back from their column."""
    return _tags.decode(text) if text else ()


def summaries_of(rows: Iterable[Row]) -> list[AssetSummary]:
    """The lines of a list from rows, whose columns are `SUMMARY_COLUMNS`.

    What is the same in most rows is made once, and nothing is called that need not be: this runs for
    every row that anybody looks at.
    """
    items: list[AssetSummary] = []
    epoch = EPOCH
    # fmt: off
    for (
        uuid, storage_id, folder, name, media_type, state, flags, created, updated, captured,
        duration, tags, has_proxy, thumbs,
    ) in rows:
        # fmt: on
        created_at = epoch + timedelta(0, 0, created)
        items.append(
            _summary(
                (
                    uuid,
                    storage_id,
                    f"{folder}/{name}" if folder else name,
                    name,
                    _MEDIA[media_type],
                    _STATES[state],
                    _flags(flags) if flags else _NO_FLAGS,
                    created_at,
                    created_at if updated == created else epoch + timedelta(0, 0, updated),
                    None if captured is None else epoch + timedelta(0, 0, captured),
                    duration,
                    _tags.decode(tags) if tags else (),
                    has_proxy == 1,
                    thumbs,
                )
            )
        )
    return items


def sort_value(summary: AssetSummary, key: SortKey) -> Any:
    """What a line is sorted by, as a `Position` holds it."""
    if key is SortKey.DURATION:
        return summary.duration_ms
    value = getattr(summary, SORT_COLUMNS[key])
    return maybe_micros(value) if isinstance(value, datetime) else value

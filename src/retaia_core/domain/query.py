"""Asking for assets: filters, sort, and keyset pagination that is stable under inserts (protocol.md)."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from attrs import frozen

from ..errors import ValidationFailed
from .assets import Flag
from .identifiers import AssetId, RelPath, StorageId, parse_asset_id
from .lifecycle import State
from .media import MediaType

_encode = json.JSONEncoder(separators=(",", ":")).encode

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class SortKey(StrEnum):
    """What a list can be sorted by; ties are broken by the UUID."""

    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    CAPTURED_AT = "captured_at"
    DURATION = "duration"
    MEDIA_TYPE = "media_type"
    STATE = "state"


class TagsMode(StrEnum):
    """Whether an asset must have all the tags, or any."""

    AND = "AND"
    OR = "OR"


@frozen(kw_only=True)
class Sort:
    """A sort order; unknown values (no capture time, no duration) come last in both directions."""

    key: SortKey = SortKey.CREATED_AT
    descending: bool = False


@frozen(kw_only=True)
class Position:
    """Where a page ended: the sort value (None where unknown) and the UUID of its last row.

    Times are integer microseconds since 1970, durations integer milliseconds, names as they are.
    """

    value: str | int | None
    uuid: AssetId


@frozen(kw_only=True)
class Box:
    """A geographic box in degrees; ``min_lon > max_lon`` means that it crosses the date line."""

    min_lon: float
    min_lat: float
    max_lon: float
    max_lat: float


@frozen(kw_only=True)
class AssetQuery:
    """What is asked for; an empty query is everything that was not purged, purged included by state."""

    states: tuple[State, ...] = ()
    media_type: MediaType | None = None
    storage_id: StorageId | None = None
    has_proxy: bool | None = None
    tags: tuple[str, ...] = ()
    tags_mode: TagsMode = TagsMode.AND
    text: str = ""
    location_country: str = ""
    location_city: str = ""
    box: Box | None = None
    captured_from: datetime | None = None
    captured_to: datetime | None = None
    flag: Flag | None = None
    sort: Sort = Sort()
    after: Position | None = None
    limit: int = DEFAULT_LIMIT


class AssetSummary(NamedTuple):
    """One row of a list; ``duration_ms`` in milliseconds; ``thumbs`` counts the thumbnails.

    A tuple, since making them is most of what a page costs beside its query.
    """

    uuid: AssetId
    storage_id: StorageId
    path: RelPath
    name: str
    media_type: MediaType
    state: State
    flags: frozenset[Flag]
    created_at: datetime
    updated_at: datetime
    captured_at: datetime | None
    duration_ms: int | None
    tags: tuple[str, ...]
    has_proxy: bool
    thumbs: int


@frozen(kw_only=True)
class AssetPage:
    """A page, and where the next one begins (None at the end)."""

    items: tuple[AssetSummary, ...]
    next: Position | None


TAGS_COUNTED = 1000
"""Assets of one tag are counted so far and no farther, so that a completion is quick in any library."""


@frozen(kw_only=True)
class TagUse:
    """A tag, and how many assets have it; `TAGS_COUNTED` of them means: so many at least."""

    tag: str
    assets: int


def encode_cursor(sort: Sort, position: Position) -> str:
    """Write a position as an opaque cursor, bound to its sort order."""
    document = [sort.key.value, sort.descending, position.value, position.uuid]
    text = _encode(document)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


_TEXTS = (SortKey.NAME, SortKey.MEDIA_TYPE, SortKey.STATE)
_OPTIONAL = (SortKey.CAPTURED_AT, SortKey.DURATION)


def _is_text(value: str) -> bool:
    """Whether a store can compare this: no NUL, and no half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _sortable(key: SortKey, value: object) -> bool:
    """Whether a sort of this key can have ended at this value."""
    if value is None or isinstance(value, bool):
        return value is None and key in _OPTIONAL
    if isinstance(value, str):
        return key in _TEXTS and _is_text(value)
    return isinstance(value, int) and key not in _TEXTS and -(2**63) <= value < 2**63


def decode_cursor(sort: Sort, cursor: str) -> Position:
    """Read a cursor back.

    >>> where = Position(value="A001.mov", uuid=AssetId("6f9619ff-8b86-d011-b42d-00cf4fc964ff"))
    >>> decode_cursor(Sort(key=SortKey.NAME), encode_cursor(Sort(key=SortKey.NAME), where)) == where
    True

    Raises:
        ValidationFailed: it is no cursor of ours, or of another sort order.
    """
    refused = ValidationFailed(
        "the cursor is none of ours, or of another sort order; use next_cursor of a page as it is",
        fields={"cursor": "invalid"},
    )
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        document = json.loads(base64.b64decode(padded.encode(), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise refused from error
    if not isinstance(document, list) or len(document) != 4:
        raise refused
    key, descending, value, uuid = document
    if [key, descending] != [sort.key.value, sort.descending] or not _sortable(sort.key, value):
        raise refused
    try:
        return Position(value=value, uuid=parse_asset_id(uuid))
    except ValidationFailed as error:
        raise refused from error

"""The filters of ``GET /assets`` (protocol.md, *Conventions*): what is malformed is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from retaia_core.domain.assets import Flag
from retaia_core.domain.identifiers import parse_asset_id, parse_storage_id
from retaia_core.domain.lifecycle import State
from retaia_core.domain.media import MediaType
from retaia_core.domain.query import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AssetQuery,
    Box,
    Position,
    Sort,
    SortKey,
    TagsMode,
    decode_cursor,
)
from retaia_core.errors import ValidationFailed

from .errors import WireRefused, refused

MAX_TEXT = 1000
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
_TEXT_KEYS = (SortKey.NAME, SortKey.MEDIA_TYPE, SortKey.STATE)
_WITHIN_SECOND = timedelta(microseconds=999_999)


def _bad(name: str, said: str) -> WireRefused:
    return refused(400, f"parameter {name}: {said}", fields={name: said})


def _text(query: Mapping[str, Any], name: str) -> str:
    value = str(query.get(name, "")).strip()
    if len(value) > MAX_TEXT:
        raise _bad(name, f"at most {MAX_TEXT} characters")
    return value


def _tags(query: Mapping[str, Any]) -> tuple[str, ...]:
    if "tags" not in query:
        return ()
    tags = tuple(tag.strip() for tag in query["tags"].split(","))
    if not all(tags) or len(tags) > 100:
        raise _bad("tags", "it must be 1 to 100 tags with commas between them")
    return tuple(dict.fromkeys(tags))


def _box(query: Mapping[str, Any]) -> Box | None:
    if "geo_bbox" not in query:
        return None
    refusal = _bad(
        "geo_bbox",
        "it must be min_lon,min_lat,max_lon,max_lat in degrees, with min_lat not above max_lat",
    )
    try:
        min_lon, min_lat, max_lon, max_lat = (float(n) for n in query["geo_bbox"].split(","))
    except ValueError as error:
        raise refusal from error
    fits = all(math.isfinite(n) for n in (min_lon, min_lat, max_lon, max_lat)) and (
        -180 <= min_lon <= 180 and -180 <= max_lon <= 180 and -90 <= min_lat <= max_lat <= 90
    )
    if not fits:
        raise refusal
    return Box(min_lon=min_lon, min_lat=min_lat, max_lon=max_lon, max_lat=max_lat)


def _time(query: Mapping[str, Any], name: str, *, inclusive: bool = False) -> datetime | None:
    """A bound; an inclusive one without a fraction means the whole of its second."""
    if name not in query:
        return None
    text = query[name]
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        time = datetime.fromisoformat(text.upper()).astimezone(UTC)
        return time + _WITHIN_SECOND if inclusive and not match[1] else time
    except (ValueError, OverflowError) as error:
        raise _bad(
            name, "it must be a time such as 2026-01-31T12:00:00Z (write + as %2B)"
        ) from error


def _sort(query: Mapping[str, Any]) -> Sort:
    text = query.get("sort", "created_at")
    return Sort(key=SortKey(text.removeprefix("-")), descending=text.startswith("-"))


def _after(query: Mapping[str, Any], sort: Sort) -> Position | None:
    """The position in a cursor; its value must be one that this sort order has."""
    if "cursor" not in query:
        return None
    refusal = _bad("cursor", "it is none of ours, or of another sort order; begin without one")
    try:
        position = decode_cursor(sort, query["cursor"])
        parse_asset_id(position.uuid)
    except (ValidationFailed, RecursionError) as error:
        raise refusal from error
    value = position.value
    fits = (
        value is None
        or (isinstance(value, str) and sort.key in _TEXT_KEYS and "\0" not in value)
        or (isinstance(value, int) and sort.key not in _TEXT_KEYS and abs(value) < 2**63)
    )
    if not fits:
        raise refusal
    return position


def _limit(query: Mapping[str, Any]) -> int:
    limit = int(query.get("limit", DEFAULT_LIMIT))
    if not 1 <= limit <= MAX_LIMIT:
        raise _bad("limit", f"it must be 1 to {MAX_LIMIT}")
    return limit


def asset_query(query: Mapping[str, Any]) -> AssetQuery:
    """What a validated query string asks for.

    Raises:
        WireRefused: 400; a value is malformed.
    """
    sort = _sort(query)
    storage = query.get("storage_id")
    try:
        storage_id = parse_storage_id(storage) if storage is not None else None
    except ValidationFailed as error:
        raise _bad("storage_id", error.message) from error
    media_type = query.get("media_type")
    flag = query.get("flag")
    return AssetQuery(
        states=tuple(State(state) for state in query.get("state", ())),
        media_type=MediaType(media_type) if media_type else None,
        storage_id=storage_id,
        has_proxy=query.get("has_proxy"),
        tags=_tags(query),
        tags_mode=TagsMode(query.get("tags_mode", "AND")),
        text=_text(query, "q"),
        location_country=_text(query, "location_country"),
        location_city=_text(query, "location_city"),
        box=_box(query),
        captured_from=_time(query, "captured_at_from"),
        captured_to=_time(query, "captured_at_to", inclusive=True),
        flag=Flag(flag) if flag else None,
        sort=sort,
        after=_after(query, sort),
        limit=_limit(query),
    )

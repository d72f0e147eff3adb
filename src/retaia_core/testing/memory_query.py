"""The reference meaning of `AssetQuery`: filters, sort order and pages, over assets in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ..domain.assets import Asset
from ..domain.lifecycle import State
from ..domain.query import (
    TAGS_COUNTED,
    AssetPage,
    AssetQuery,
    AssetSummary,
    Box,
    Position,
    Sort,
    SortKey,
    TagsMode,
    TagUse,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Whole microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def captured_at(asset: Asset) -> datetime | None:
    """When the asset was captured, in UTC; a time without an offset is taken as UTC."""
    stated = asset.facts.get("captured_at")
    if not isinstance(stated, str):
        return None
    try:
        time = datetime.fromisoformat(stated)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # the fact's form is checked, not its calendar: 2024-02-31 is unknown


def duration_ms(asset: Asset) -> int | None:
    """The asset's duration, where it is known."""
    stated = asset.facts.get("duration_ms")
    return stated if isinstance(stated, int) else None


def has_proxy(asset: Asset) -> bool:
    """Whether a proxy of any kind is there."""
    return any(ref.kind.startswith("proxy_") for ref in asset.derived)


def summary(asset: Asset) -> AssetSummary:
    """One row of a list."""
    return AssetSummary(
        uuid=asset.uuid,
        storage_id=asset.storage_id,
        path=asset.path,
        name=asset.name,
        media_type=asset.media_type,
        state=asset.state,
        flags=asset.flags,
        created_at=asset.created_at,
        updated_at=asset.updated_at,
        captured_at=captured_at(asset),
        duration_ms=duration_ms(asset),
        tags=asset.tags,
        has_proxy=has_proxy(asset),
        thumbs=len(asset.derived_of("thumb")),
    )


def sort_value(asset: Asset, key: SortKey) -> str | int | None:
    """What an asset is sorted by, as a `Position` holds it."""
    if key is SortKey.CAPTURED_AT:
        captured = captured_at(asset)
        return None if captured is None else microseconds(captured)
    values: dict[SortKey, str | int | None] = {
        SortKey.NAME: asset.name,
        SortKey.CREATED_AT: microseconds(asset.created_at),
        SortKey.UPDATED_AT: microseconds(asset.updated_at),
        SortKey.DURATION: duration_ms(asset),
        SortKey.MEDIA_TYPE: asset.media_type.value,
        SortKey.STATE: asset.state.value,
    }
    return values[key]


def _has_tags(asset: Asset, query: AssetQuery) -> bool:
    if not query.tags:
        return True
    wanted, there = set(query.tags), set(asset.tags)
    return wanted <= there if query.tags_mode is TagsMode.AND else bool(wanted & there)


def _has_text(asset: Asset, text: str) -> bool:
    places = (asset.name, asset.notes, asset.transcript.text if asset.transcript else "")
    return any(text.casefold() in place.casefold() for place in places)


def _located(asset: Asset, key: str, wanted: str) -> bool:
    value = asset.fields.get(key)
    return not wanted or (isinstance(value, str) and value.casefold() == wanted.casefold())


def _in_box(asset: Asset, box: Box) -> bool:
    lat, lon = asset.facts.get("gps_latitude"), asset.facts.get("gps_longitude")
    if isinstance(lat, str) or isinstance(lon, str) or lat is None or lon is None:
        return False
    if not box.min_lat <= lat <= box.max_lat:
        return False
    if box.min_lon <= box.max_lon:
        return box.min_lon <= lon <= box.max_lon
    return lon >= box.min_lon or lon <= box.max_lon


def _captured_within(asset: Asset, query: AssetQuery) -> bool:
    if query.captured_from is None and query.captured_to is None:
        return True
    captured = captured_at(asset)
    return (
        captured is not None
        and (query.captured_from is None or captured >= query.captured_from)
        and (query.captured_to is None or captured <= query.captured_to)
    )


def matches(asset: Asset, query: AssetQuery) -> bool:
    """Whether an asset passes every filter; purged ones only where their state is asked for."""
    states = set(query.states) or set(State) - {State.PURGED}
    return (
        asset.state in states
        and query.media_type in (None, asset.media_type)
        and query.storage_id in (None, asset.storage_id)
        and query.has_proxy in (None, has_proxy(asset))
        and (query.flag is None or query.flag in asset.flags)
        and _has_tags(asset, query)
        and _has_text(asset, query.text)
        and _located(asset, "location_country", query.location_country)
        and _located(asset, "location_city", query.location_city)
        and (query.box is None or _in_box(asset, query.box))
        and _captured_within(asset, query)
    )


def ordered(assets: Iterable[Asset], sort: Sort) -> list[Asset]:
    """Known values in the sort's direction, unknown ones last; ties by ascending UUID."""

    def value(asset: Asset) -> str | int:
        found = sort_value(asset, sort.key)
        assert found is not None
        return found

    by_uuid = sorted(assets, key=lambda asset: asset.uuid)
    unknown = [asset for asset in by_uuid if sort_value(asset, sort.key) is None]
    known = [asset for asset in by_uuid if sort_value(asset, sort.key) is not None]
    # A sort is stable in both directions, so equal values keep their order by UUID.
    return sorted(known, key=value, reverse=sort.descending) + unknown


def _follows(asset: Asset, sort: Sort, position: Position) -> bool:
    value = sort_value(asset, sort.key)
    if value == position.value:
        return asset.uuid > position.uuid
    if value is None or position.value is None:
        return value is None
    if isinstance(value, str) or isinstance(position.value, str):
        later = str(value) > str(position.value)
    else:
        later = value > position.value
    return later is not sort.descending


def page(assets: Iterable[Asset], query: AssetQuery) -> AssetPage:
    """The page of a query: what matches, in order, after the position, up to the limit."""
    found = ordered((asset for asset in assets if matches(asset, query)), query.sort)
    if query.after is not None:
        after = query.after
        found = [asset for asset in found if _follows(asset, query.sort, after)]
    items = found[: query.limit]
    more = len(found) > len(items)
    last = items[-1] if more and items else None
    return AssetPage(
        items=tuple(map(summary, items)),
        next=Position(value=sort_value(last, query.sort.key), uuid=last.uuid) if last else None,
    )


def tags(assets: Iterable[Asset], prefix: str, after: str | None) -> list[TagUse]:
    """The tags that begin so without case, by their folded and then their own form, after the one given."""

    def place(tag: str) -> tuple[str, str]:
        return tag.casefold(), tag

    uses = Counter(tag for asset in assets for tag in set(asset.tags))
    found = [tag for tag in uses if tag.casefold().startswith(prefix.casefold())]
    return [
        TagUse(tag=tag, assets=min(uses[tag], TAGS_COUNTED))
        for tag in sorted(found, key=place)
        if after is None or place(tag) > place(after)
    ]

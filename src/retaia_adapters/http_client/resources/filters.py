"""What assets are chosen by, in lists and for decisions in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from ..ask import QueryValue
from ..values.assets import AssetFlag, AssetState, MediaType
from ..values.times import wire_time


class AssetFilters(TypedDict, total=False):
    """What assets are chosen by; all of it must hold.

    ``state``: one or several; ``tags``: human tags, all of them or (``tags_mode="OR"``) any;
    ``q``: words of the file name, the notes or the transcript; ``geo_bbox``:
    ``min_lon,min_lat,max_lon,max_lat``; ``captured_at_*``: both included;
    ``sort``: ``name, created_at, updated_at, captured_at, duration, media_type, state``, with ``-`` for
    descending.
    """

    state: AssetState | Sequence[AssetState]
    media_type: MediaType
    has_proxy: bool
    tags: Sequence[str]
    tags_mode: Literal["AND", "OR"]
    q: str
    location_country: str
    location_city: str
    geo_bbox: str
    captured_at_from: datetime
    captured_at_to: datetime
    sort: str
    storage_id: str
    flag: AssetFlag


def wire_filters(filters: AssetFilters) -> dict[str, QueryValue]:
    """The filters as the wire has them."""
    plain: dict[str, Any] = dict(filters)
    if "tags" in filters:
        plain["tags"] = ",".join(filters["tags"])
    for name in ("captured_at_from", "captured_at_to"):
        if name in plain:
            plain[name] = wire_time(plain[name])
    return plain

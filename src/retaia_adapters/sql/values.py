"""How single values are written: times as microseconds, the rest of a value as a JSON document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encoder = msgspec.json.Encoder()
_json_object = msgspec.json.Decoder(dict[str, Any])


def micros(time: datetime) -> int:
    """Whole microseconds since 1970.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (time - EPOCH) // _MICROSECOND


def maybe_micros(time: datetime | None) -> int | None:
    """The same, for a time that may be unknown."""
    return None if time is None else (time - EPOCH) // _MICROSECOND


def time_of(value: int) -> datetime:
    """The time back from `micros`, aware and exact."""
    return EPOCH + timedelta(0, 0, value)


def maybe_time(value: int | None) -> datetime | None:
    """The same, for a time that may be unknown."""
    return None if value is None else EPOCH + timedelta(0, 0, value)


def dump(value: object) -> str:
    """Write a value as JSON; what is empty is an empty text.

    >>> dump({"a": (1, 2)}), dump(()), dump(None)
    ('{"a":[1,2]}', '', '')
    """
    return _encoder.encode(value).decode() if value else ""


def load_object(text: str) -> dict[str, Any]:
    """Read a JSON object back from `dump`."""
    return _json_object.decode(text) if text else {}

"""Opaque cursors over a place in an order: the values that the order compares."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import WireRefused, refused

DEFAULT_LIMIT = 50


def encode_place(*values: str | int) -> str:
    """Write a place as a cursor."""
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def bad_cursor() -> WireRefused:
    """The refusal of a cursor that was not answered here."""
    said = "it is none of ours; begin without one"
    return refused(400, f"parameter cursor: {said}", fields={"cursor": said})


def decode_place(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Read a place back, whose values have these types.

    >>> decode_place(encode_place("nas", 3), (str, int))
    ('nas', 3)

    Raises:
        WireRefused: 400; it is no cursor of ours.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise bad_cursor() from error
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise bad_cursor()
    if not all(_comparable(value) for value in values):
        raise bad_cursor()
    return tuple(values)


def _comparable(value: str | int) -> bool:
    """Whether a store can compare this: no NUL, no half of a surrogate pair, 63 bits."""
    if isinstance(value, int):
        return abs(value) < 2**62
    return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def limit_of(query: Mapping[str, Any]) -> int:
    """How many items a page may have; the document bounds it."""
    return int(query.get("limit", DEFAULT_LIMIT))

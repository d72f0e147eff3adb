"""JSON of the wire: strict reading, one way of writing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from .errors import refused

JSON = "application/json"

_encode = msgspec.json.Encoder(enc_hook=str).encode
_canonical = msgspec.json.Encoder(enc_hook=str, order="deterministic").encode
_ODD = re.compile(rb"\\u0000|[0-9]{19}")
_MOST = 2**63 - 1


def encode(value: object) -> bytes:
    """Write a document; what JSON has no type for becomes text."""
    return _encode(value)


def canonical(value: object) -> bytes:
    """Write a document so that equal ones have equal bytes."""
    return _canonical(value)


def instant(time: datetime) -> str:
    """Write a time as the wire does: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _odd(value: object) -> bool:
    """Whether some text has a NUL, or some integer more than 64 bits: no store takes these."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, int):
        return not -_MOST - 1 <= value <= _MOST
    if isinstance(value, list):
        return any(_odd(item) for item in value)
    if isinstance(value, dict):
        return any(_odd(key) or _odd(item) for key, item in value.items())
    return False


def decode(raw: bytes) -> Any:
    """Read a document.

    Raises:
        WireRefused: 400 where it is no JSON, 422 where it has a NUL or an integer beyond 64 bits.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(400, "the body is no JSON document", reason="MALFORMED_JSON") from error
    if _ODD.search(raw) and _odd(value):
        raise refused(422, "the body has a NUL character or an integer beyond 64 bits")
    return value


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON; nothing on the way may keep it."""
    return raw_json(encode(body), status, headers)


def raw_json(
    content: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer whose JSON is written already."""
    return Response(
        content,
        status,
        {"Content-Type": JSON, "Cache-Control": "no-store", **(headers or {})},
    )

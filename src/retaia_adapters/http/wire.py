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
_SECONDS = slice(1, 20)
"""From the year to the seconds, in a time as the encoder writes it."""

MAX_DEPTH = 64


def encode(value: object) -> bytes:
    """Write a document; what JSON has no type for becomes text."""
    return _encode(value)


def canonical(value: object) -> bytes:
    """Write a document so that equal ones have equal bytes."""
    return _canonical(value)


def instant(time: datetime) -> str:
    """Write a time as the wire does: UTC, whole seconds."""
    # The encoder writes a time many times as fast as `strftime`; a page of a list has a hundred.
    written = _encode(time if time.tzinfo is UTC else time.astimezone(UTC))
    return str(written[_SECONDS], "ascii") + "Z"


def _is_odd(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, int) and not -_MOST - 1 <= value <= _MOST


def _problem(document: object) -> str | None:
    """What no store takes: a NUL in a text, an integer beyond 64 bits, or too many levels."""
    level = [document]
    for _ in range(MAX_DEPTH):
        if any(_is_odd(value) for value in level):
            return "it has a NUL character or an integer beyond 64 bits"
        keys = [key for value in level if isinstance(value, dict) for key in value]
        inner = [item for value in level if isinstance(value, dict) for item in value.values()]
        items = [item for value in level if isinstance(value, list) for item in value]
        level = [*keys, *inner, *items]
        if not level:
            return None
    return f"it is nested more than {MAX_DEPTH} levels deep"


def _suspicious(raw: bytes) -> bool:
    """Whether a look at the bytes cannot rule a problem out; of ordinary bodies it can."""
    return bool(_ODD.search(raw)) or raw.count(b"[") + raw.count(b"{") >= MAX_DEPTH


def decode(raw: bytes) -> Any:
    """Read a document.

    Raises:
        WireRefused: 400 where it is no JSON; 422 where it has a NUL, an integer beyond 64 bits, or
            more than `MAX_DEPTH` levels.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(400, "the body is no JSON document", reason="MALFORMED_JSON") from error
    problem = _problem(value) if _suspicious(raw) else None
    if problem:
        raise refused(422, f"the body is refused: {problem}")
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

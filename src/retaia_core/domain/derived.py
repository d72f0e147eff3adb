"""Derived kinds, and the checks that a file is what it says (domain.md, *Derived files*)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from attrs import field, frozen

from ..errors import ValidationFailed

HEAD_BYTES = 4096
"""How many leading bytes of a file the format checks may look at."""

JSON = "application/json"


@frozen(kw_only=True)
class Sample:
    """What a check sees: the leading bytes, the size, and the whole content where it is small."""

    head: bytes
    size_bytes: int
    content: bytes | None = None


Check = Callable[[Sample], str | None]
"""Returns what is wrong in a few words, or None."""


@frozen(kw_only=True)
class DerivedKind:
    """One row of the table.

    ``suffixes`` maps each content type that is allowed to its file suffix. ``many`` allows several,
    told apart by an index. ``checks`` are run on every upload before it is published;
    ``whole`` says that they need the whole content (kept below `WHOLE_LIMIT`).
    """

    name: str
    suffixes: Mapping[str, str]
    many: bool = False
    whole: bool = False
    checks: Mapping[str, Check] = field(factory=dict)
    max_bytes: int = 64 * 2**30


WHOLE_LIMIT = 16 * 2**20


def sniff(head: bytes) -> str | None:
    r"""Tell a content type by its leading bytes; None where it is none of ours.

    >>> sniff(b"\xff\xd8\xff\xe0....")
    'image/jpeg'
    """
    if head[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:12] in (b"M4A ", b"M4B ") else "video/mp4"
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2):
        return "audio/mpeg"
    if head[:1] in (b"{", b"["):
        return JSON
    return None


def _is(*content_types: str) -> Check:
    def check(sample: Sample) -> str | None:
        found = sniff(sample.head)
        return None if found in content_types else f"its content is {found or 'of an unknown type'}"

    return check


def _boxes(head: bytes) -> list[bytes]:
    """The types of the top-level boxes of an MP4 that begin within the leading bytes."""
    types: list[bytes] = []
    at = 0
    while at + 8 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        types.append(head[at + 4 : at + 8])
        if size == 1 and at + 16 <= len(head):
            size = int.from_bytes(head[at + 8 : at + 16], "big")
        if size < 8:
            break
        at += size
    return types


def _faststart(sample: Sample) -> str | None:
    boxes = _boxes(sample.head)
    if boxes[:1] != [b"ftyp"]:
        return "it is no MP4 file"
    before = boxes[1 : boxes.index(b"mdat")] if b"mdat" in boxes else boxes[1:]
    return None if b"moov" in before else "its index (moov) is not before the media data"


def _waveform(sample: Sample) -> str | None:
    try:
        document = json.loads(sample.content or b"")
    except (ValueError, RecursionError):
        return "it is no JSON document"
    if not isinstance(document, dict):
        return "it is no JSON object"
    duration, count = document.get("duration_ms"), document.get("bucket_count")
    peaks = document.get("peaks")
    if not isinstance(duration, int) or isinstance(duration, bool) or duration < 0:
        return "duration_ms must be an integer of at least 0"
    if not isinstance(count, int) or isinstance(count, bool) or count < 100:
        return "bucket_count must be an integer of at least 100"
    if not isinstance(peaks, list) or len(peaks) != count:
        return "peaks must have bucket_count entries"
    good = all(
        isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p <= 1 for p in peaks
    )
    return None if good else "peaks must be numbers from 0 to 1"


_PICTURES = {"image/jpeg": ".jpg", "image/webp": ".webp"}
_PICTURE_CHECKS = {"image/jpeg": _is("image/jpeg"), "image/webp": _is("image/webp")}

DERIVED_KINDS: tuple[DerivedKind, ...] = (
    DerivedKind(
        name="proxy_video", suffixes={"video/mp4": ".mp4"}, checks={"video/mp4": _faststart}
    ),
    DerivedKind(
        name="proxy_audio",
        suffixes={"audio/mp4": ".m4a", "audio/mpeg": ".mp3"},
        checks={"audio/mp4": _faststart, "audio/mpeg": _is("audio/mpeg")},
    ),
    DerivedKind(name="proxy_photo", suffixes=_PICTURES, checks=_PICTURE_CHECKS),
    DerivedKind(name="thumb", suffixes=_PICTURES, checks=_PICTURE_CHECKS, many=True),
    DerivedKind(name="waveform", suffixes={JSON: ".json"}, checks={JSON: _waveform}, whole=True),
)
"""The built-in derived kinds; plugins add rows through the ``retaia_derived_kinds`` hook."""


def check_declared(kind: DerivedKind, *, content_type: str, size_bytes: int) -> None:
    """Check what an upload says before its first byte.

    Raises:
        ValidationFailed: another content type than the kind allows, an empty file, or one too large.
    """
    if content_type not in kind.suffixes:
        raise ValidationFailed(
            f"{kind.name} cannot be {content_type!r}; allowed: {', '.join(kind.suffixes)}",
            fields={"content_type": "not allowed"},
        )
    limit = min(kind.max_bytes, WHOLE_LIMIT) if kind.whole else kind.max_bytes
    if not 0 < size_bytes <= limit:
        raise ValidationFailed(
            f"{kind.name} must have 1 to {limit} bytes, not {size_bytes}",
            fields={"size_bytes": "out of range"},
        )


def check_content(kind: DerivedKind, content_type: str, sample: Sample) -> None:
    """Check that a file is what it says, before it is published.

    Raises:
        ValidationFailed: it is something else.
    """
    check = kind.checks.get(content_type)
    problem = check(sample) if check else None
    if problem:
        raise ValidationFailed(
            f"this is no {kind.name} of type {content_type}: {problem}",
            fields={"content": problem},
        )

"""Technical facts: the closed table of what may be stated about a source (domain.md, *Jobs*).

A fact is what the file itself says or what was measured on it; it can be computed again at any time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from attrs import frozen

from ..errors import ValidationFailed
from .media import MediaType

_TYPE_NAMES = {int: "an integer", float: "a number", str: "a text"}

FactValue = int | float | str
Facts = Mapping[str, FactValue]
"""Facts that passed the table, by name."""


@frozen(kw_only=True)
class FactField:
    """One row of the table: name, type, unit, and the closed range of a number."""

    name: str
    type: type[int] | type[float] | type[str]
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None


_BIG = 2**63
"""Whole numbers beyond this are no fact about a file, and fit into no database."""

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?"
_TIMECODE = r"\d\d:\d\d:\d\d[:;]\d\d"

FACTS: Mapping[str, FactField] = {
    row.name: row
    for row in (
        FactField(name="duration_ms", type=int, unit="ms", minimum=0),
        FactField(name="media_format", type=str),
        FactField(name="video_codec", type=str),
        FactField(name="audio_codec", type=str),
        FactField(name="width", type=int, unit="px", minimum=1),
        FactField(name="height", type=int, unit="px", minimum=1),
        FactField(name="fps", type=float, unit="1/s", minimum=0),
        FactField(name="captured_at", type=str, unit="ISO 8601", pattern=_TIME),
        FactField(name="timecode_start", type=str, unit="HH:MM:SS:FF", pattern=_TIMECODE),
        FactField(name="rotation_deg", type=int, unit="°", minimum=0, maximum=359),
        FactField(name="orientation", type=int, unit="EXIF", minimum=1, maximum=8),
        FactField(name="bitrate_kbps", type=int, unit="kbit/s", minimum=0),
        FactField(name="sample_rate_hz", type=int, unit="Hz", minimum=1),
        FactField(name="channel_count", type=int, minimum=1),
        FactField(name="bits_per_sample", type=int, unit="bit", minimum=1),
        FactField(name="pixel_format", type=str),
        FactField(name="color_space", type=str),
        FactField(name="color_transfer", type=str),
        FactField(name="color_primaries", type=str),
        FactField(name="color_range", type=str),
        FactField(name="camera_make", type=str),
        FactField(name="camera_model", type=str),
        FactField(name="lens_model", type=str),
        FactField(name="recorder_model", type=str),
        FactField(name="exposure_time_s", type=float, unit="s", minimum=0),
        FactField(name="aperture_f_number", type=float, minimum=0),
        FactField(name="iso", type=int, minimum=0),
        FactField(name="focal_length_mm", type=float, unit="mm", minimum=0),
        FactField(name="gps_latitude", type=float, unit="°", minimum=-90, maximum=90),
        FactField(name="gps_longitude", type=float, unit="°", minimum=-180, maximum=180),
        FactField(name="gps_altitude_m", type=float, unit="m"),
    )
}
"""The table: every fact that may be stated, by name."""

_MINIMUM: Mapping[MediaType, tuple[str, ...]] = {
    MediaType.PHOTO: ("media_format", "width", "height"),
    MediaType.AUDIO: ("duration_ms", "media_format", "audio_codec"),
    MediaType.VIDEO: ("duration_ms", "media_format", "video_codec", "width", "height", "fps"),
}


def minimum_facts(media_type: MediaType) -> tuple[str, ...]:
    """Name the facts that ``extract_facts`` must state for a media type.

    ``audio_codec`` of a video is stated where there is a track, and so is not in this list.

    >>> minimum_facts(MediaType.PHOTO)
    ('media_format', 'width', 'height')
    """
    return _MINIMUM[media_type]


def _problem(name: str, value: object) -> str | None:
    row = FACTS.get(name)
    if row is None:
        return f"unknown fact; allowed: {', '.join(FACTS)}"
    accepted = (int, float) if row.type is float else row.type
    if isinstance(value, bool) or not isinstance(value, accepted):
        return f"must be {_TYPE_NAMES[row.type]}"
    if isinstance(value, str):
        if not value or len(value) > 1000 or not value.isprintable():
            return "must be a printable text of 1 to 1000 characters"
        if row.pattern and not re.fullmatch(row.pattern, value, re.ASCII):
            return f"must read {row.unit}"
        return None
    assert isinstance(value, int | float)
    if not (-_BIG < value < _BIG if isinstance(value, int) else math.isfinite(value)):
        return "must be finite, and below 2^63"
    if row.minimum is not None and value < row.minimum:
        return f"must be at least {row.minimum:g}"
    if row.maximum is not None and value > row.maximum:
        return f"must be at most {row.maximum:g}"
    return None


def parse_facts(raw: Mapping[str, object]) -> Facts:
    """Check a mapping against the table and return it as facts.

    >>> parse_facts({"width": 1920, "fps": 25})
    {'width': 1920, 'fps': 25.0}
    >>> parse_facts({"width": "1920"})
    Traceback (most recent call last):
    ...
    retaia_core.errors.ValidationFailed: facts are not valid: width must be an integer

    Raises:
        ValidationFailed: a name is not in the table, or a value is of another type or out of range;
            ``details["fields"]`` names each.
    """
    problems = {name: text for name, value in raw.items() if (text := _problem(name, value))}
    if problems:
        said = "; ".join(f"{name} {text}" for name, text in problems.items())
        raise ValidationFailed(f"facts are not valid: {said}", fields=problems)
    facts: dict[str, FactValue] = {}
    for name, value in raw.items():
        assert isinstance(value, int | float | str)
        facts[name] = float(value) if FACTS[name].type is float else value
    return facts


def missing_facts(facts: Facts, media_type: MediaType) -> tuple[str, ...]:
    """Name the minimum facts that are not stated.

    >>> missing_facts({"media_format": "jpeg"}, MediaType.PHOTO)
    ('width', 'height')
    """
    return tuple(name for name in minimum_facts(media_type) if name not in facts)

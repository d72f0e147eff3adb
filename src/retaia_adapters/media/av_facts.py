"""Facts that a recording states in its tags, in the words of the fact table (domain.md, *Jobs*)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from retaia_core.domain.facts import Facts, FactValue

Tags = Mapping[str, str]
T = TypeVar("T")

_COORDINATES = re.compile(r"([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?")
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")
_TIME = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?\d*\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)

_TEXT_TAGS: Mapping[str, tuple[str, ...]] = {
    "camera_make": ("com.apple.quicktime.make", "com.android.manufacturer", "make", "manufacturer"),
    "camera_model": ("com.apple.quicktime.model", "com.android.model", "model"),
    "lens_model": ("com.apple.quicktime.camera.lens_model", "lens_model"),
}
_TIME_TAGS = ("com.apple.quicktime.creationdate", "date_recorded", "creation_time", "date")
_PLACE_TAGS = ("com.apple.quicktime.location.iso6709", "location", "location-eng", "xyz", "©xyz")

# ITU-T H.273, in the names that ffprobe prints.
COLOR_SPACES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
COLOR_TRANSFERS = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
COLOR_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
COLOR_RANGES = {1: "tv", 2: "pc"}


def tag_facts(tags: Iterable[Tags]) -> Facts:
    """Read what tags state: time, timecode, camera, lens and place; the first that states it wins.

    >>> tag_facts([{"timecode": "01:00:00;02"}, {"com.apple.quicktime.make": "Apple"}])
    {'timecode_start': '01:00:00;02', 'camera_make': 'Apple'}
    """
    folded = [{name.lower(): value.strip() for name, value in one.items()} for one in tags]
    facts: dict[str, FactValue | None] = {
        "captured_at": _first(folded, _TIME_TAGS, time_of),
        "timecode_start": _first(folded, ("timecode",), timecode_of),
    }
    for name, keys in _TEXT_TAGS.items():
        facts[name] = _first(folded, keys, text_of)
    place = _first(folded, _PLACE_TAGS, place_of)
    if place is not None:
        facts |= place
    return {name: value for name, value in facts.items() if value is not None}


def _first(tags: Iterable[Tags], keys: Iterable[str], read: Callable[[str], T | None]) -> T | None:
    """The first value that can be read, in the order of the keys and then of the sets of tags."""
    known = list(tags)
    for key in keys:
        for one in known:
            value = read(one[key]) if key in one else None
            if value is not None:
                return value
    return None


def text_of(text: str) -> str | None:
    """A text that the fact table takes, or None: printable, 1 to 1000 characters."""
    clean = "".join(c for c in text if c.isprintable()).strip()[:1000]
    return clean or None


def time_of(text: str) -> str | None:
    """A moment as ISO 8601, with its zone where it is stated; None where it is none, or a clock never set.

    >>> time_of("2026-02-24T15:25:36.000000Z"), time_of("1904-01-01T00:00:00.000000Z")
    ('2026-02-24T15:25:36Z', None)
    >>> time_of("2024-05-01 10:20:30+0200")
    '2024-05-01T10:20:30+02:00'
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, clock, fraction, zone = match.groups()
    moment = f"{year}-{month}-{day}T{clock}{_fraction(fraction)}{_zone(zone)}"
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    # 1904 and 1970 are the zero of clocks that were never set.
    unset = parsed.replace(tzinfo=None) < datetime(1970, 1, 2)  # noqa: DTZ001 - compared without zone
    return None if unset else moment


def _fraction(text: str | None) -> str:
    return "" if text is None or not text.strip(".0") else text


def _zone(text: str | None) -> str:
    if text in {None, ""}:
        return ""
    assert text is not None
    if text in {"Z", "UTC"}:
        return "Z"
    return text if ":" in text else f"{text[:3]}:{text[3:]}"


def timecode_of(text: str) -> str | None:
    """A timecode, or None; drop-frame is told by ``;`` before the frames.

    >>> timecode_of("10:11:12;04"), timecode_of("10:11:12.04"), timecode_of("now")
    ('10:11:12;04', '10:11:12;04', None)
    """
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, mark, frames = match.groups()
    return f"{hours}:{minutes}:{seconds}{':' if mark == ':' else ';'}{frames}"


def place_of(text: str) -> Facts | None:
    """A position as ISO 6709 in degrees, with the height in metres where it is stated; None where it is none.

    >>> place_of("+48.8577+002.2950+035.1/")
    {'gps_latitude': 48.8577, 'gps_longitude': 2.295, 'gps_altitude_m': 35.1}
    """
    match = _COORDINATES.match(text.strip())
    if match is None:
        return None
    latitude, longitude = float(match[1]), float(match[2])
    # Degrees only; the forms with minutes have more digits, and no recorder that writes them is known.
    if abs(latitude) > 90 or abs(longitude) > 180 or latitude == longitude == 0:
        return None
    place: dict[str, FactValue] = {"gps_latitude": latitude, "gps_longitude": longitude}
    if match[3]:
        place["gps_altitude_m"] = float(match[3])
    return place


def color_facts(*, space: int, transfer: int, primaries: int, color_range: int) -> Facts:
    """Name the colours of a picture (numbers of ITU-T H.273); what the file leaves open is left out.

    >>> color_facts(space=1, transfer=2, primaries=2, color_range=1)
    {'color_space': 'bt709', 'color_range': 'tv'}
    """
    names = {
        "color_space": COLOR_SPACES.get(space),
        "color_transfer": COLOR_TRANSFERS.get(transfer),
        "color_primaries": COLOR_PRIMARIES.get(primaries),
        "color_range": COLOR_RANGES.get(color_range),
    }
    return {name: value for name, value in names.items() if value is not None}

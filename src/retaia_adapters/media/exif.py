"""From EXIF tags to facts: units, signs and times as `retaia_core.domain.facts` states them.

A value that makes no sense is dropped with a warning; it never takes the others with it. Values that
cameras write for *not known* (zeros, blanks, x/0) are dropped in silence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from retaia_core.domain.facts import FactValue, parse_facts
from retaia_core.errors import ValidationFailed

from .photo_tiff import Buffer, Directory, Entry, NotTiff, TiffReader

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_ORIENTATION = 0x0112
_ADOBE_RGB = 2
_ISO_OVERFLOW = 65535
_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?")
_OFFSET = re.compile(r"Z|[+-]\d\d:\d\d")
_BLANK_TIME = re.compile(r"[0 :]*")


@frozen(kw_only=True)
class ExifReading:
    """What EXIF says: facts, the orientation (1 to 8), the colour space meant, and what is wrong."""

    facts: Mapping[str, FactValue] = field(factory=dict)
    orientation: int | None = None
    adobe_rgb: bool = False
    srgb: bool = False
    picture_size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()


def read_exif(data: Buffer, *, base: int = 0) -> ExifReading:
    """Read an EXIF block: a TIFF structure, with or without the ``Exif`` prefix of JPEG."""
    if not base and bytes(data[:6]) == b"Exif\0\0":
        base = 6
    try:
        reader = TiffReader(data, base=base)
    except NotTiff:
        return ExifReading(warnings=("damaged metadata: the EXIF block cannot be read",))
    return read_directories(reader, reader.directory(reader.first, "IFD0"))


def read_directories(reader: TiffReader, main: Directory) -> ExifReading:
    """Read the EXIF directories that hang on a main directory."""
    exif = reader.directory(_link(main, _EXIF_IFD), "Exif")
    gps = reader.directory(_link(main, _GPS_IFD), "GPS")
    interop = reader.directory(_link(exif, _INTEROP_IFD), "Interoperability")
    return interpret(main, exif, gps, interop, reader.problems)


def interpret(
    main: Directory,
    exif: Directory,
    gps: Directory,
    interop: Directory | None = None,
    problems: Sequence[str] = (),
) -> ExifReading:
    """Turn directories into facts. ``problems`` are what the reader could not read."""
    warnings = list(_damage(problems))
    raw: dict[str, FactValue | None] = {}
    for name, source in _SOURCES.items():
        raw[name] = source(main, exif)
    raw["captured_at"] = _captured_at(exif, warnings)
    raw.update(_position(gps, warnings))
    orientation = _orientation(main, warnings)
    raw["orientation"] = orientation
    index = (interop or {}).get(1)
    meant = _integer(exif, 0xA001)
    return ExifReading(
        facts=checked({k: v for k, v in raw.items() if v is not None}, warnings),
        orientation=orientation,
        adobe_rgb=meant == _ADOBE_RGB or (index is not None and index.text == "R03"),
        srgb=meant == 1,
        picture_size=_picture_size(exif),
        warnings=tuple(warnings),
    )


def checked(raw: Mapping[str, FactValue], warnings: list[str]) -> dict[str, FactValue]:
    """Keep the values that the table of facts accepts; each of the others becomes a warning."""
    kept: dict[str, FactValue] = {}
    for name, value in raw.items():
        try:
            kept.update(parse_facts({name: value}))
        except ValidationFailed:
            warnings.append(f"{name} left out: the file states {value!r}")
    return kept


def _damage(problems: Sequence[str]) -> Sequence[str]:
    if not problems:
        return ()
    more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
    return (f"damaged metadata: {'; '.join(problems[:3])}{more}",)


def _link(directory: Directory, tag: int) -> int | None:
    entry = directory.get(tag)
    return entry.integer if entry else None


def _integer(directory: Directory, tag: int) -> int | None:
    entry = directory.get(tag)
    return entry.integer if entry else None


def _number(directory: Directory, tag: int) -> float | None:
    """The tag's number where it is finite."""
    entry = directory.get(tag)
    value = entry.number if entry else None
    return float(value) if value is not None and math.isfinite(value) else None


def _positive(directory: Directory, tag: int) -> float | None:
    value = _number(directory, tag)
    return value if value is not None and value > 0 else None


def _text(directory: Directory, tag: int) -> str | None:
    entry = directory.get(tag)
    said = entry.text if entry else ""
    return "".join(c if c.isprintable() else " " for c in said).strip()[:1000] or None


def _picture_size(exif: Directory) -> tuple[int, int] | None:
    width, height = _integer(exif, 0xA002), _integer(exif, 0xA003)
    return (width, height) if width and height else None


def _orientation(main: Directory, warnings: list[str]) -> int | None:
    value = _integer(main, _ORIENTATION)
    if value in (None, 0):  # some cameras write 0 for "not known"
        return None
    if not 1 <= value <= 8:
        warnings.append(f"orientation left out: the file states {value}, 1 to 8 are defined")
        return None
    return value


def _exposure(main: Directory, exif: Directory) -> float | None:
    stated = _positive(exif, 0x829A)
    apex = _number(exif, 0x9201)
    if stated is None and apex is not None and abs(apex) < 64:
        return float(2.0**-apex)
    return stated


def _aperture(main: Directory, exif: Directory) -> float | None:
    stated = _positive(exif, 0x829D)
    apex = _positive(exif, 0x9202)
    if stated is None and apex is not None and apex < 64:
        return round(float(2.0 ** (apex / 2)), 2)
    return stated


def _iso(main: Directory, exif: Directory) -> int | None:
    """The 16-bit tag overflows at 65535; the newer tags then hold the true value."""
    stated = _integer(exif, 0x8827)
    if stated in (None, 0, _ISO_OVERFLOW):
        wider = (_integer(exif, tag) for tag in (0x8833, 0x8832, 0x8831))
        stated = next((value for value in wider if value), stated)
    return stated or None


_SOURCES: Mapping[str, Callable[[Directory, Directory], FactValue | None]] = {
    "camera_make": lambda main, exif: _text(main, 0x010F),
    "camera_model": lambda main, exif: _text(main, 0x0110),
    "lens_model": lambda main, exif: _text(exif, 0xA434),
    "exposure_time_s": _exposure,
    "aperture_f_number": _aperture,
    "iso": _iso,
    "focal_length_mm": lambda main, exif: _positive(exif, 0x920A),
}


def _captured_at(exif: Directory, warnings: list[str]) -> str | None:
    """When the picture was taken, else when it was digitised; never when the file was edited."""
    for time_tag, offset_tag, fraction_tag in ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292)):
        said = _text(exif, time_tag)
        if not said or _BLANK_TIME.fullmatch(said):
            continue
        time = parse_time(said, _text(exif, offset_tag) or "", _text(exif, fraction_tag) or "")
        if time is not None:
            return time
        warnings.append(f"captured_at left out: the file states {said!r}")
    return None


def parse_time(said: str, offset: str = "", fraction: str = "") -> str | None:
    """Turn EXIF's date, offset and sub-seconds into ISO 8601; None where that is no date.

    Without an offset the time is local time of an unknown place, and stays so.

    >>> parse_time("2022:03:31 11:31:56", "+02:00", "18")
    '2022-03-31T11:31:56.18+02:00'
    >>> parse_time("2022:13:31 11:31:56") is None
    True
    """
    match = _TIME.match(said.strip())
    if match is None:
        return None
    try:
        time = datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*match.groups()[:6]))
    except ValueError:
        return None
    digits = (match[7] or (fraction if fraction.isascii() and fraction.isdigit() else ""))[:6]
    zone = offset.strip()
    known = _OFFSET.fullmatch(zone) is not None and (zone == "Z" or int(zone[1:3]) < 24)
    tail = ("." + digits if digits else "") + (zone if known else "")
    return time.isoformat() + tail


def _position(gps: Directory, warnings: list[str]) -> dict[str, FactValue | None]:
    latitude = _angle(gps, 2, 1, "NS", 90, warnings)
    longitude = _angle(gps, 4, 3, "EW", 180, warnings)
    found: dict[str, FactValue | None] = {}
    if latitude is not None and longitude is not None:
        found |= {"gps_latitude": latitude, "gps_longitude": longitude}
    elif (latitude is None) != (longitude is None):
        warnings.append("gps position left out: only one of its two angles can be read")
    altitude = _number(gps, 6)
    if altitude is not None:
        below = gps[5].data[:1] == b"\x01" if 5 in gps else False
        found["gps_altitude_m"] = round(-altitude if below else altitude, 3)
    return found


def _angle(
    gps: Directory, value_tag: int, ref_tag: int, refs: str, limit: int, warnings: list[str]
) -> float | None:
    value, ref = gps.get(value_tag), gps.get(ref_tag)
    if value is None or all(math.isnan(number) for number in value.numbers):
        return None
    degrees = parse_angle(value.numbers, ref.text if ref else "", refs=refs, limit=limit)
    if degrees is None:
        said = f"{_said(value)} {(ref.text if ref else '') or '(no direction)'}"
        warnings.append(f"gps position left out: the file states {said}")
    return degrees


def _said(entry: Entry) -> str:
    return " ".join(f"{number:g}" for number in entry.numbers[:4]) or repr(entry.data[:12])


def parse_angle(numbers: Sequence[float], ref: str, *, refs: str, limit: int) -> float | None:
    """Degrees, minutes and seconds with a direction as signed degrees; None where that is nonsense.

    ``refs`` are the positive and the negative direction.

    >>> parse_angle((41, 13, 13.08), "N", refs="NS", limit=90)
    41.2203
    >>> parse_angle((96.5,), "W", refs="EW", limit=180)
    -96.5
    >>> parse_angle((41, 75, 0), "N", refs="NS", limit=90) is None
    True
    """
    direction = ref[:1].upper()
    if not direction or direction not in refs or not 1 <= len(numbers) <= 3:
        return None
    degrees, minutes, seconds = (*map(float, numbers), 0.0, 0.0)[:3]
    if math.isnan(seconds) and not math.isnan(minutes):
        seconds = 0.0  # 0/0 seconds: the minutes carry the fraction
    if not (0 <= degrees <= limit and 0 <= minutes < 60 and 0 <= seconds <= 60):
        return None
    total = degrees + minutes / 60 + seconds / 3600
    if total > limit:
        return None
    return round(total if direction == refs[0] else -total, 7)

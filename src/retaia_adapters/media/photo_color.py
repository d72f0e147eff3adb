"""Colours to sRGB, through the profile that a picture carries or the colour space that it names.

Where only numbers are stated (EXIF's Adobe RGB flag, the ``nclx`` box of HEIC and AVIF, PNG's gamma
and chromaticities), a matrix profile is built from them, so that one engine does every conversion.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from attrs import field, frozen
from PIL import Image, ImageCms

from retaia_core.domain.facts import FactValue

from .exif import ExifReading
from .photo_bmff import CodedColor, coded_color
from .photo_tiff import Buffer

Curve = Callable[[float], float]
Point = tuple[float, float]

_CURVE_POINTS = 1024
_D65: Point = (0.3127, 0.3290)
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_CREATED = (2026, 1, 1, 0, 0, 0)
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
_SDR_WHITE_NITS = 203.0
"""Diffuse white of an HDR picture (ITU-R BT.2408), which becomes the white of the toned one."""
_KNEE = 0.75
"""Toned brightness up to here is untouched; what is above, up to `_PEAK`, is compressed into the rest."""
_PEAK = 1000.0 / _SDR_WHITE_NITS

Matrix = tuple[tuple[float, float, float], ...]


@frozen
class Primaries:
    """Chromaticities of red, green, blue and white."""

    red: Point
    green: Point
    blue: Point
    white: Point = _D65


SRGB = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020 = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
CODED_PRIMARIES = {1: SRGB, 9: BT2020, 12: DISPLAY_P3}
"""Primaries by their number in ISO/IEC 23091-2."""
_PRIMARIES_NAMES = {1: "bt709", 9: "bt2020", 12: "smpte432"}
_TRANSFER_NAMES = {1: "bt709", 8: "linear", 13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"}


def gamma_curve(gamma: float) -> Curve:
    """A power curve."""
    return lambda x: x**gamma


def srgb_curve(x: float) -> float:
    """The transfer function of sRGB and Display P3, to light."""
    return float(x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4)


def _toned(light: float) -> float:
    """Compress light relative to SDR white, which may be brighter than it, into 0 to 1."""
    if light <= _KNEE:
        return light
    over = (min(light, _PEAK) - _KNEE) / (_PEAK - _KNEE)
    return _KNEE + (1 - _KNEE) * float(1 - (1 - over) ** 3)


def pq_curve(x: float) -> float:
    """The PQ transfer function (SMPTE ST 2084), toned to SDR."""
    power = x ** (1 / 78.84375)
    base = max(power - 0.8359375, 0.0) / (18.8515625 - 18.6875 * power)
    return _toned(10_000 * float(base ** (1 / 0.1593017578125)) / _SDR_WHITE_NITS)


def hlg_curve(x: float) -> float:
    """The HLG transfer function (ARIB STD-B67) on a 1000 nit display, toned to SDR."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = x * x / 3 if x <= 0.5 else (2.718281828459045 ** ((x - c) / a) + b) / 12
    return _toned(1000 * float(scene**1.2) / _SDR_WHITE_NITS)


CODED_CURVES: dict[int, Curve] = {13: srgb_curve, 16: pq_curve, 18: hlg_curve, 8: gamma_curve(1.0)}
"""Curves by the transfer's number in ISO/IEC 23091-2; the others are taken as the sRGB curve."""
HDR_TRANSFERS = frozenset({16, 18})


def _times(a: Matrix, b: Matrix) -> Matrix:
    columns = tuple(zip(*b, strict=True))
    rows = (tuple(sum(x * y for x, y in zip(r, c, strict=True)) for c in columns) for r in a)
    return tuple((row[0], row[1], row[2]) for row in rows)


def _apply(matrix: Matrix, v: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (sum(a * b for a, b in zip(row, v, strict=True)) for row in matrix)
    return x, y, z


def _inverse(m: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    if abs(determinant) < 1e-9:
        raise ValueError("the primaries lie on one line")
    return tuple((r[0] / determinant, r[1] / determinant, r[2] / determinant) for r in cofactors)


def _xyz(point: Point) -> tuple[float, float, float]:
    x, y = point
    if y <= 0:
        raise ValueError("a chromaticity must have y above 0")
    return x / y, 1.0, (1 - x - y) / y


def colorants(primaries: Primaries) -> Matrix:
    """The matrix from linear RGB to XYZ under D50, the white of ICC profiles (Bradford adaptation).

    Raises:
        ValueError: the chromaticities span no colour space.
    """
    white = _xyz(primaries.white)
    points = tuple(zip(*map(_xyz, (primaries.red, primaries.green, primaries.blue)), strict=True))
    gains = _apply(_inverse(points), white)
    to_xyz = tuple((r[0] * gains[0], r[1] * gains[1], r[2] * gains[2]) for r in points)
    source, target = _apply(_BRADFORD, white), _apply(_BRADFORD, _D50)
    ratio = [t / s for t, s in zip(target, source, strict=True)]
    scale: Matrix = ((ratio[0], 0, 0), (0, ratio[1], 0), (0, 0, ratio[2]))
    return _times(_times(_times(_inverse(_BRADFORD), scale), _BRADFORD), to_xyz)


def matrix_profile(primaries: Primaries, curve: Curve, description: str) -> bytes:
    """Build an ICC (version 2) display profile.

    Raises:
        ValueError: the chromaticities span no colour space.
    """
    name = description.encode("ascii") + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": _xyz_tag(_D50),
    }
    for kind, column in zip(
        (b"rXYZ", b"gXYZ", b"bXYZ"), zip(*colorants(primaries), strict=True), strict=True
    ):
        tags[kind] = _xyz_tag(column)
    table = [round(65535 * curve(i / (_CURVE_POINTS - 1))) for i in range(_CURVE_POINTS)]
    shape = struct.pack(f">4s4xI{_CURVE_POINTS}H", b"curv", _CURVE_POINTS, *table)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), shape)
    return assemble_profile(tags, device=b"mntr", space=b"RGB ", connection=b"XYZ ")


def _xyz_tag(values: Sequence[float]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


def assemble_profile(
    tags: dict[bytes, bytes], *, device: bytes, space: bytes, connection: bytes
) -> bytes:
    """Put tags together into an ICC profile; equal tags share their bytes."""
    body, table, places = b"", b"", {}
    start = 128 + 4 + 12 * len(tags)
    for kind, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", kind, places[data], len(data))
    header = struct.pack(
        ">I4sI4s4s4s6H4s28x3i48x",
        start + len(body),
        bytes(4),
        0x02400000,
        device,
        space,
        connection,
        *_CREATED,
        b"acsp",
        *(round(value * 65536) for value in _D50),
    )
    return header + struct.pack(">I", len(tags)) + table + body


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The sRGB profile that goes into every proxy and thumbnail, always the same bytes."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[24:36] = struct.pack(">6H", *_CREATED)  # the engine stamps the time of the call
    data[84:100] = bytes(16)
    return bytes(data)


def describe_profile(icc: bytes) -> str | None:
    """A profile's own name; None where it has none or cannot be read."""
    try:
        said = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except (OSError, ImageCms.PyCMSError):
        return None
    return "".join(c for c in said if c.isprintable()).strip()[:200] or None


@frozen(kw_only=True)
class SourceColor:
    """The profile that describes a picture's colours, stated or built, and the facts about them."""

    icc: bytes | None = None
    facts: Mapping[str, FactValue] = field(factory=dict)
    warnings: tuple[str, ...] = ()


def color_of(image: Image.Image, data: Buffer, exif: ExifReading) -> SourceColor:
    """Find out which colours a picture means; without any statement they are sRGB."""
    icc = image.info.get("icc_profile")
    if icc:
        name = describe_profile(icc)
        return SourceColor(icc=icc, facts={"color_space": name} if name else {})
    if image.mode in ("CMYK", "LAB"):
        return SourceColor(facts={"color_space": {"CMYK": "CMYK", "LAB": "CIELAB"}[image.mode]})
    if image.format in ("HEIF", "AVIF") and (coded := coded_color(data)):
        return _from_code(coded)
    if exif.adobe_rgb and image.mode == "RGB":
        icc = matrix_profile(ADOBE_RGB, gamma_curve(563 / 256), "Adobe RGB (1998)")
        return SourceColor(icc=icc, facts={"color_space": "Adobe RGB (1998)"})
    if exif.srgb or image.info.get("srgb") is not None:
        return SourceColor(facts={"color_space": "sRGB"})
    return _from_png(image) if image.format == "PNG" else SourceColor()


def _from_code(coded: CodedColor) -> SourceColor:
    facts: dict[str, FactValue] = {}
    if coded.primaries in _PRIMARIES_NAMES:
        facts["color_primaries"] = _PRIMARIES_NAMES[coded.primaries]
    if coded.transfer in _TRANSFER_NAMES:
        facts["color_transfer"] = _TRANSFER_NAMES[coded.transfer]
    primaries = CODED_PRIMARIES.get(coded.primaries, SRGB)
    curve = CODED_CURVES.get(coded.transfer, srgb_curve)
    if primaries is SRGB and curve is srgb_curve:
        return SourceColor(facts={**facts, "color_space": "sRGB"})
    hdr = coded.transfer in HDR_TRANSFERS
    return SourceColor(
        icc=matrix_profile(primaries, curve, "coded colour"),
        facts=facts,
        warnings=("high dynamic range was toned down to sRGB",) if hdr else (),
    )


def _from_png(image: Image.Image) -> SourceColor:
    """Gamma and chromaticities of a PNG, where they are not those of sRGB."""
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    if gamma is None and points is None:
        return SourceColor()
    primaries = SRGB
    if points is not None and len(points) == 8:
        white, red, green, blue = zip(points[::2], points[1::2], strict=True)
        primaries = Primaries(red, green, blue, white)
    gamma = gamma if gamma and 0.01 < gamma < 10 else 1 / 2.2
    usual = abs(gamma - 1 / 2.2) < 0.01
    if usual and _close(primaries, SRGB):
        return SourceColor()
    try:
        curve = srgb_curve if usual else gamma_curve(1 / gamma)
        return SourceColor(icc=matrix_profile(primaries, curve, "PNG colour"))
    except ValueError as error:
        return SourceColor(warnings=(f"the PNG's colour statement makes no sense: {error}",))


def _close(a: Primaries, b: Primaries) -> bool:
    pairs = zip((a.red, a.green, a.blue, a.white), (b.red, b.green, b.blue, b.white), strict=True)
    return all(abs(p[0] - q[0]) + abs(p[1] - q[1]) < 0.01 for p, q in pairs)


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an L, RGB, CMYK or LAB picture to sRGB, and say what could not be done exactly."""
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transform(image, lab), ()
    warnings: list[str] = []
    if icc is not None:
        try:
            return _through_profile(image, icc), ()
        except (OSError, ValueError, ImageCms.PyCMSError) as error:
            warnings.append(f"the colour profile cannot be used, colours may be off: {error}")
    elif image.mode == "CMYK":
        warnings.append("CMYK without a colour profile: colours are approximate")
    return image.convert("RGB"), tuple(warnings)


def _through_profile(image: Image.Image, icc: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    if image.mode == "L" and space == "RGB":
        image = image.convert("RGB")
    if _SPACES[image.mode] != space:
        raise ValueError(f"a {space} profile on a {_SPACES[image.mode]} picture")
    return _transform(image, profile)


def _transform(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ValueError("no conversion")
    return converted

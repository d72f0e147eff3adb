"""Opens a still picture, proves that it is whole, and decodes it once.

What comes out is no larger than what is asked for: a JPEG is decoded at a fraction of its size where
that is enough, and everything else is reduced strip by strip, so that memory beyond the decoded
picture stays small.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, NoReturn
from warnings import WarningMessage, catch_warnings, simplefilter

import pillow_heif
from attrs import frozen
from PIL import Image, UnidentifiedImageError

from retaia_core.domain.facts import FactValue

from . import photo_bmff
from .exif import ExifReading, checked, read_directories, read_exif
from .photo_color import SourceColor, color_of, to_srgb
from .photo_jpeg import JpegStructure, blank_share, has_broken_data, walk_jpeg
from .photo_pixels import Pixels, flatten, grey_rows_at_bottom, reduced, upright
from .photo_tiff import Buffer, NotTiff, TiffReader, strips_end
from .problems import MediaProblem, SourceTruncated, SourceUnreadable

MAX_PIXELS = 300_000_000
"""Larger pictures are refused before anything is decoded. The largest sensors have 200 million pixels.
A decoded pixel takes 4 bytes, and less in a JPEG that is decoded small."""

MAX_PIXELS_OF = {"HEIF": 220_000_000, "WEBP": 120_000_000, "AVIF": 120_000_000}
"""Formats whose decoders hold several copies, up to 16 bytes a pixel, have limits of their own."""

_IN_MEMORY = 256 << 20
_BLANK_TAIL = 512
_LOST_SHARE = 1 / 16
"""A picture that lacks more than this share of its rows is called truncated, not damaged."""

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "GIF", "BMP")
_NAMES = {"MPO": "jpeg"}
_ALREADY_UPRIGHT = frozenset({"HEIF", "TIFF"})  # their decoders apply the rotation
_EXTENSIONS: Mapping[str, frozenset[str]] = {
    "jpeg": frozenset({"jpg", "jpeg"}),
    "tiff": frozenset({"tif", "tiff"}),
    "heif": frozenset({"heic", "heif"}),
}
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "an MP4 or QuickTime video"),
    (8, b"WAVE", "a WAV sound"),
    (8, b"AVI ", "an AVI video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"ID3", "an MP3 sound"),
    (0, b"OggS", "an Ogg sound"),
    (0, b"fLaC", "a FLAC sound"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"<", "a text or web page"),
    (0, b"\xff\xd8", "a damaged JPEG"),
    (0, b"\x89PNG", "a damaged PNG"),
)
_MODE_NAMES = {"1": "mono", "L": "gray", "LA": "graya", "P": "pal", "PA": "pala", "F": "grayf"}
_MODE_BITS = {"1": 1, "F": 32, "I": 32}

Size = tuple[int, int]
Wanted = Callable[[int, int], Size]
"""From the size of a picture as displayed to the size that is needed of it."""


class SourceTooLarge(MediaProblem):
    """The picture has more pixels than are decoded here."""

    code: ClassVar[str] = "SOURCE_TOO_LARGE"


class SourceOutOfReach(MediaProblem):
    """The file cannot be read at present: it vanished, or the disk or the network failed."""

    code: ClassVar[str] = "SOURCE_UNREADABLE"
    retryable: ClassVar[bool] = True


@frozen(kw_only=True)
class Photo:
    """A decoded picture: upright, sRGB, of the wanted size; and what its source states.

    ``width`` and ``height`` are those of the source as displayed.
    """

    image: Image.Image
    width: int
    height: int
    media_format: str
    facts: Mapping[str, FactValue]
    warnings: tuple[str, ...] = ()


@contextmanager
def opened(path: Path) -> Iterator[Buffer]:
    """Give the bytes of a source: read at once, or mapped where it is larger than 256 MiB.

    Raises:
        SourceUnreadable: it is empty.
        SourceOutOfReach: it cannot be read at present.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if size == 0:
                raise SourceUnreadable("the file is empty")
            whole = size <= _IN_MEMORY
            data = (
                stream.read() if whole else mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            )
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise SourceOutOfReach(f"the file cannot be read: {said}") from error
    yield data
    # A mapping ends with its last reference: a decoder may still hold one.


def load_still(
    data: Buffer, wanted: Wanted, *, extension: str = "", orientation: int | None = None
) -> Photo:
    """Decode a picture to the wanted size. ``orientation`` overrides what the picture itself says.

    Raises:
        MediaProblem: it is no picture, damaged beyond use, truncated, or too large.
    """
    with _pillow() as said, _decoder():
        image = _open(data)
        media_format = _NAMES.get(image.format or "", (image.format or "").lower())
        refuse_huge(image.size, image.format or "")
        _refuse_missing_bytes(image.format, data)
        exif = _exif(image, data)
        color = color_of(image, data, exif)
        facts = _facts(image, data, exif, color, media_format)
        notes = [*_mismatch(media_format, extension), *exif.warnings, *_frames(image)]
        turn = (orientation or exif.orientation or 1) if not _is_upright(image) else 1
        size = image.size if turn < 5 else (image.height, image.width)
        need = wanted(*size)
        pixels = _decode(image, data, need if turn < 5 else need[::-1], notes)
        notes += [f"the decoder says: {one.message}" for one in said]
    rgb, color_notes = to_srgb(pixels.base, color.icc)
    finished = upright(flatten(rgb, pixels.alpha), turn)
    facts |= {"width": size[0], "height": size[1]}
    notes += color.warnings + color_notes
    return Photo(
        image=finished,
        width=size[0],
        height=size[1],
        media_format=media_format,
        facts=checked(facts, notes),
        warnings=tuple(notes),
    )


_PILLOW = Lock()


@contextmanager
def _pillow() -> Iterator[list[WarningMessage]]:
    """Lift Pillow's own pixel limit, for ours is stricter in time, and collect what it warns of.

    Both are settings of the whole process, so one picture is decoded at a time.
    """
    with _PILLOW, catch_warnings(record=True) as caught:
        simplefilter("ignore")
        simplefilter("always", UserWarning)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield caught
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(data: Buffer) -> Image.Image:
    pillow_heif.register_heif_opener()
    stream = io.BytesIO(data) if isinstance(data, bytes) else io.BufferedReader(_MappedFile(data))
    try:
        return Image.open(stream, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise SourceUnreadable(_what_it_is(bytes(data[:64]))) from error


class _MappedFile(io.RawIOBase):
    """A mapping as a file of its own position, which closing does not unmap."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped, self._at = mapped, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._mapped)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, target: Any) -> int:
        taken = self._mapped[self._at : self._at + len(target)]
        target[: len(taken)] = taken
        self._at += len(taken)
        return len(taken)


@contextmanager
def _decoder() -> Iterator[None]:
    """Turn what a decoder raises into a problem of the source.

    Decoders meet damage with nearly every kind of exception; here they stop. They work on bytes that
    were read already, so that none of them means a failing disk.
    """
    try:
        yield
    except (MediaProblem, MemoryError):
        raise
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        if "truncated" in said.lower() or isinstance(error, EOFError):
            raise SourceTruncated("the file is cut off: the picture data ends too early") from error
        raise SourceUnreadable(f"the picture cannot be decoded: {said}") from error


def _what_it_is(head: bytes) -> str:
    for offset, signature, name in _SIGNATURES:
        if head[offset:].startswith(signature):
            return f"no picture that can be read: the content looks like {name}"
    return "no picture that can be read: the content is of no known format"


def refuse_huge(size: Size, kind: str = "") -> None:
    """Refuse a picture with more pixels than are decoded of its format (Pillow's name).

    Raises:
        SourceTooLarge: it has.
    """
    width, height = size
    limit = MAX_PIXELS_OF.get(kind, MAX_PIXELS)
    if width * height > limit:
        raise SourceTooLarge(
            f"{width} x {height} pixels are more than the limit of {limit:,} pixels"
        )


def _refuse_missing_bytes(kind: str | None, data: Buffer) -> None:
    """Refuse a file that is shorter than its own structure says, or whose end was never written."""
    missing = 0
    if kind in ("HEIF", "AVIF"):
        missing = photo_bmff.missing_bytes(data)
    elif kind == "WEBP":
        missing = 8 + int.from_bytes(data[4:8], "little") - len(data)
    elif kind == "TIFF":
        missing = _tiff_end(data) - len(data)
    if missing > 0:
        _truncated(f"{missing:,} bytes are missing at its end")
    if kind in ("WEBP", "AVIF") and bytes(data[-_BLANK_TAIL:]) == bytes(_BLANK_TAIL):
        _truncated("its end is blank")
    if kind == "HEIF" and (blank := photo_bmff.blank_items(data)):
        _truncated(f"{blank} of its tiles are blank or cut")


def _truncated(said: str) -> NoReturn:
    raise SourceTruncated(f"the file is cut off: {said}")


def _tiff_end(data: Buffer) -> int:
    try:
        reader = TiffReader(data)
    except NotTiff:  # a BigTIFF: Pillow's own checks have to do
        return 0
    return strips_end(reader.directory(reader.first, "IFD0"))


def _exif(image: Image.Image, data: Buffer) -> ExifReading:
    if image.format == "TIFF":
        try:
            reader = TiffReader(data)
        except NotTiff:
            return read_exif(image.getexif().tobytes())
        return read_directories(reader, reader.directory(reader.first, "IFD0"))
    block = image.info.get("exif") or (image.getexif().tobytes() if image.getexif() else None)
    return read_exif(block) if block else ExifReading()


def _is_upright(image: Image.Image) -> bool:
    return image.format in _ALREADY_UPRIGHT


def _mismatch(media_format: str, extension: str) -> list[str]:
    if not extension or extension in _EXTENSIONS.get(media_format, {media_format}):
        return []
    return [f"the file is named .{extension} but holds {media_format.upper()}"]


def _frames(image: Image.Image) -> list[str]:
    """A camera's JPEG carries previews as further frames; these are no news."""
    count = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
    shown = "primary" if image.format == "HEIF" else "first"
    return [f"the file holds {count} pictures; the {shown} one stands for it"] if count > 1 else []


def _facts(
    image: Image.Image, data: Buffer, exif: ExifReading, color: SourceColor, media_format: str
) -> dict[str, FactValue]:
    facts = {**exif.facts, **color.facts, "media_format": media_format}
    facts["bits_per_sample"] = _bits(image, data)
    facts["pixel_format"] = _MODE_NAMES.get(image.mode, image.mode.split(";")[0].lower())
    if image.mode.startswith("I"):
        facts["pixel_format"] = "gray"
    original = image.info.get("original_orientation")
    if isinstance(original, int) and 1 <= original <= 8:
        facts["orientation"] = original
    return facts


def _bits(image: Image.Image, data: Buffer) -> int:
    stated: object = None
    if image.format == "PNG" and image.mode not in ("P", "1"):
        stated = data[24]
    elif image.format == "TIFF":
        stated = next(iter(getattr(image, "tag_v2", {}).get(258, ())), None)
    elif image.format == "HEIF":
        stated = image.info.get("bit_depth")
    elif image.format == "AVIF":
        stated = photo_bmff.bit_depth(data)
    usual = 16 if image.mode.startswith("I;16") else _MODE_BITS.get(image.mode, 8)
    return stated if isinstance(stated, int) and stated > 0 else usual


def _decode(image: Image.Image, data: Buffer, need: Size, notes: list[str]) -> Pixels:
    """Decode and reduce; for a JPEG, prove that the picture data is whole."""
    structure = walk_jpeg(data) if image.format in ("JPEG", "MPO") else None
    if structure is not None:
        image.draft(None, (need[0] * 3 // 2, need[1] * 3 // 2))
    image.load()
    if structure is not None:
        notes += _jpeg_damage(image, data, structure)
    return reduced(image, need, notes)


def _jpeg_damage(image: Image.Image, data: Buffer, structure: JpegStructure) -> list[str]:
    """Tell damage that leaves a picture (a warning) from a picture that is cut off (refused)."""
    if not structure.complete:
        _truncated("the last passes of the picture are missing")
    if not structure.has_end and bytes(data[-_BLANK_TAIL:]) == bytes(_BLANK_TAIL):
        _truncated("its end is blank")
    picture = bytes(data[: structure.end])
    blank = blank_share(picture)
    if blank == 0 and not (structure.precision == 8 and has_broken_data(picture)):
        return [] if structure.has_end else ["the end marker is missing; the picture is complete"]
    lost = max(blank, grey_rows_at_bottom(image) / image.height)
    if lost > _LOST_SHARE:
        _truncated(f"about {lost:.0%} of the picture is missing")
    return [
        "the picture data is damaged: parts of the picture may be missing, displaced or discoloured"
    ]

"""Camera RAW files: the picture that the camera put inside, and the sensor's size and facts.

The embedded JPEG is preferred, for it is what the camera's maker thinks the picture looks like, and
costs no development. It is found through the directories of TIFF-like files (DNG, CR2, NEF, ARW, RW2,
ORF), through the header of RAF, and otherwise by searching for JPEGs (CR3, maker notes). Where it is
smaller than what is needed and LibRaw (the optional ``rawpy``) is there, the sensor data is developed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from PIL import Image

from . import photo_bmff
from .exif import ExifReading, checked, interpret, read_directories
from .photo_jpeg import JpegStructure, walk_jpeg
from .photo_pixels import reduced
from .photo_source import Photo, Size, Wanted, load_still, refuse_huge
from .photo_tiff import Buffer, Directory, NotTiff, TiffReader, strips_end
from .problems import SourceTruncated, SourceUnreadable

_DNG_VERSION, _DEFAULT_CROP, _SUB_IFDS = 0xC612, 0xC620, 0x014A
_SENSOR_PHOTOMETRIC = frozenset({32803, 34892})
_RAF_MAGIC = b"FUJIFILMCCD-RAW"
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_TIFF_EXTENSIONS = frozenset({"dng", "cr2", "nef", "arw"})
_MAKERS = {"NIKON": "nef", "SONY": "arw"}
_MAX_DIRECTORIES = 32
_MAX_CANDIDATES = 256
_BLANK = 4096
_OTHER_CROP = 0.03
_OF_THE_PREVIEW = frozenset(
    {
        "media_format",
        "width",
        "height",
        "bits_per_sample",
        "pixel_format",
        "color_space",
        "orientation",
    }
)


@frozen(kw_only=True)
class RawFile:
    """What a RAW file's structure says.

    ``size`` is that of the picture before it is turned; ``end`` is where the last thing that the file
    names ends, ``sensor_end`` where the sensor data does (0 where that is not known).
    """

    flavour: str
    size: Size | None = None
    exif: ExifReading = field(factory=ExifReading)
    bits: int | None = None
    previews: tuple[int, ...] = ()
    end: int = 0
    sensor_end: int = 0
    compressed: bool = False


@frozen
class Preview:
    """An embedded JPEG that was walked from start to end."""

    start: int
    structure: JpegStructure

    @property
    def size(self) -> Size:
        return self.structure.width, self.structure.height

    @property
    def area(self) -> int:
        return self.structure.width * self.structure.height


def identify_raw(data: Buffer, extension: str) -> str | None:
    """Tell the RAW format of a file's content (``dng``, ``cr3``, …); None where it is none.

    NEF and ARW are TIFF files through and through: there the extension decides, then the maker.
    """
    if bytes(data[: len(_RAF_MAGIC)]) == _RAF_MAGIC:
        return "raf"
    if bytes(data[4:12]) == b"ftypcrx ":
        return "cr3"
    try:
        reader = TiffReader(data)
    except NotTiff:
        return None
    if reader.flavour != "tiff":
        return reader.flavour
    if bytes(data[8:10]) == b"CR":
        return "cr2"
    directories = _directories(reader)
    if any(_DNG_VERSION in directory for directory in directories):
        return "dng"
    if not any(map(_is_sensor, directories)):
        return None
    maker = directories[0][0x010F].text.upper() if 0x010F in directories[0] else ""
    by_maker = next((name for start, name in _MAKERS.items() if maker.startswith(start)), None)
    return extension if extension in _TIFF_EXTENSIONS else by_maker


def load_raw(
    path: Path, data: Buffer, flavour: str, wanted: Wanted, *, extension: str = ""
) -> Photo:
    """Make a picture of a RAW file, as large as wanted where the file has one so large.

    Raises:
        MediaProblem: it is cut off, or holds no picture that can be shown.
    """
    raw = _describe(data, flavour)
    notes = (
        []
        if extension == flavour
        else [f"the file is named .{extension} but holds {flavour.upper()}"]
    )
    _refuse_cut(raw, data, notes)
    if raw.size is not None:
        refuse_huge(raw.size)
    photo = _picture(path, data, raw, wanted, notes)
    return _stated(photo, raw, notes)


def _picture(path: Path, data: Buffer, raw: RawFile, wanted: Wanted, notes: list[str]) -> Photo:
    best = _best_preview(data, raw, wanted)
    if best is None or (raw.size and not _covers(best.size, wanted(*raw.size))):
        developed = _develop(path, wanted)
        if developed is not None:
            return developed
    if best is None:
        raise SourceUnreadable(
            f"the {raw.flavour.upper()} file holds no preview that can be shown, and its sensor data "
            "cannot be developed; the extra retaia[raw] adds that for most cameras"
        )
    turn = _turn(raw, best.size)
    jpeg = bytes(data[best.start : best.structure.end])
    photo = load_still(jpeg, wanted, orientation=turn)
    if raw.size and not _covers(best.size, wanted(*raw.size)):
        notes.append(
            f"made from the embedded preview of {best.size[0]} x {best.size[1]} pixels, "
            f"the picture has {raw.size[0]} x {raw.size[1]}"
        )
    if raw.size and _differ(best.size, raw.size):
        notes.append("the embedded preview shows another section than the sensor's picture")
    return photo


def _stated(photo: Photo, raw: RawFile, notes: list[str]) -> Photo:
    """State the RAW file's own facts over those of the picture inside."""
    facts = {k: v for k, v in photo.facts.items() if k not in _OF_THE_PREVIEW} | dict(
        raw.exif.facts
    )
    orientation = raw.exif.orientation or photo.facts.get("orientation")
    width, height = raw.size or (photo.width, photo.height)
    if raw.size is None:
        notes.append(
            "the file does not state its picture's size: that of the preview stands for it"
        )
    elif isinstance(orientation, int) and orientation > 4:
        width, height = height, width
    facts |= {"media_format": raw.flavour, "width": width, "height": height, "pixel_format": "raw"}
    if orientation is not None:
        facts["orientation"] = orientation
    if raw.bits:
        facts["bits_per_sample"] = raw.bits
    notes += [*raw.exif.warnings, *photo.warnings]
    return evolve(
        photo,
        media_format=raw.flavour,
        facts=checked(facts, notes),
        warnings=tuple(dict.fromkeys(notes)),
    )


def _turn(raw: RawFile, size: Size) -> int | None:
    """The turn that a preview still needs: none where it lies the way the turned picture would."""
    turn = raw.exif.orientation
    if turn is not None and turn > 4 and raw.size is not None:
        already = (size[0] > size[1]) != (raw.size[0] > raw.size[1])
        return 1 if already else turn
    return turn


def _covers(size: Size, need: Size) -> bool:
    return max(size) >= max(need) * 0.95


def _differ(a: Size, b: Size) -> bool:
    first, second = max(a) / min(a), max(b) / min(b)
    return abs(first / second - 1) > _OTHER_CROP


# previews


def _best_preview(data: Buffer, raw: RawFile, wanted: Wanted) -> Preview | None:
    """The largest embedded JPEG: of those that the file names, else of all that can be found."""
    named = list(_walked(data, raw.previews))
    best = max(named, key=lambda preview: preview.area, default=None)
    need = wanted(*raw.size) if raw.size else None
    if best is None or (need is not None and not _covers(best.size, need)):
        found = [*named, *_walked(data, _search(data))]
        best = max(found, key=lambda preview: preview.area, default=None)
    return best


def _walked(data: Buffer, starts: Iterable[int]) -> Iterator[Preview]:
    for start in starts:
        structure = walk_jpeg(data, start)
        if structure and structure.displayable and structure.has_end and structure.complete:
            yield Preview(start, structure)


def _search(data: Buffer) -> Iterator[int]:
    """Where JPEGs may start, anywhere in the file; inside a whole one nothing is searched."""
    at = 0
    for _ in range(_MAX_CANDIDATES):
        at = data.find(b"\xff\xd8\xff", at)
        if at < 0:
            return
        yield at
        structure = walk_jpeg(data, at)
        at = structure.end if structure and structure.has_end else at + 2


def _develop(path: Path, wanted: Wanted) -> Photo | None:
    """Develop the sensor data with LibRaw; None where it is not installed or does not know the camera."""
    try:
        import rawpy
    except ImportError:
        return None
    try:
        with rawpy.imread(str(path)) as sensor:
            sizes = sensor.sizes
            refuse_huge((sizes.width, sizes.height))
            full = (
                (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)
            )
            need = wanted(*full)
            pixels = sensor.postprocess(
                use_camera_wb=True, half_size=max(need) * 2 <= max(full), output_bps=8
            )
    except rawpy.LibRawError:
        return None
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    small = reduced(image, (min(need[0], image.width), min(need[1], image.height)), [])
    return Photo(
        image=small.base,
        width=full[0],
        height=full[1],
        media_format="",
        facts={},
        warnings=("developed from the sensor data; the camera's own picture may look different",),
    )


# structure


def _describe(data: Buffer, flavour: str) -> RawFile:
    if flavour == "raf":
        return _describe_raf(data)
    if flavour == "cr3":
        return _describe_cr3(data)
    return _describe_tiff(data, flavour)


def _refuse_cut(raw: RawFile, data: Buffer, notes: list[str]) -> None:
    if raw.end > len(data):
        raise SourceTruncated(
            f"the file is cut off: {raw.end - len(data):,} bytes are missing at its end"
        )
    end = raw.sensor_end
    if end >= _BLANK and bytes(data[end - _BLANK : end]) == bytes(_BLANK):
        if raw.compressed:
            raise SourceTruncated("the file is cut off: its end is blank")
        notes.append("the sensor data ends in blank bytes: the copy may be incomplete")


def _directories(reader: TiffReader) -> Sequence[Directory]:
    """The main chain and the sub-directories that it names."""
    found: list[Directory] = []
    for directory in reader.chain(reader.first, "IFD"):
        found.append(directory)
        links = directory[_SUB_IFDS].integers if _SUB_IFDS in directory else ()
        found += [reader.directory(offset, "SubIFD") for offset in links[:_MAX_DIRECTORIES]]
        if len(found) > _MAX_DIRECTORIES:
            break
    return found or [{}]


def _integer(directory: Directory, tag: int) -> int | None:
    entry = directory.get(tag)
    return entry.integer if entry else None


def _is_sensor(directory: Directory) -> bool:
    return _integer(directory, 0x0106) in _SENSOR_PHOTOMETRIC


def _describe_tiff(data: Buffer, flavour: str) -> RawFile:
    reader = TiffReader(data)
    directories = _directories(reader)
    sensors = [directory for directory in directories if _is_sensor(directory)]
    sensor = max(sensors, key=lambda one: _integer(one, 0x0100) or 0, default={})
    exif = read_directories(reader, directories[0])
    size = _rw2_size(directories[0]) if flavour == "rw2" else _sensor_size(sensor)
    bits = _integer(sensor, 0x0102) or _integer(
        directories[0], 0x000A if flavour == "rw2" else 0x0102
    )
    starts = [start for directory in directories for start in _named_previews(directory)]
    ends = [0] if flavour == "rw2" else [_end(directory) for directory in directories]
    return RawFile(
        flavour=flavour,
        size=size or exif.picture_size or _plain_size(directories[0]),
        exif=exif,
        bits=bits,
        previews=tuple(dict.fromkeys(starts)),
        end=max(ends),
        sensor_end=strips_end(sensor),
        compressed=_integer(sensor, 0x0103) not in (None, 1),
    )


def _named_previews(directory: Directory) -> Iterator[int]:
    """Where a directory says that a JPEG starts; walking it shows whether one does."""
    for tag in (0x0201, 0x0111):
        start = _integer(directory, tag)
        entry = directory.get(tag)
        if start and entry and len(entry.numbers) == 1:
            yield start
    if 0x002E in directory:  # Panasonic keeps the JPEG as the value of a tag
        yield directory[0x002E].offset


def _end(directory: Directory) -> int:
    start, length = _integer(directory, 0x0201), _integer(directory, 0x0202)
    return max(strips_end(directory), start + length if start and length else 0)


def _plain_size(directory: Directory) -> Size | None:
    width, height = _integer(directory, 0x0100), _integer(directory, 0x0101)
    return (width, height) if width and height and width > 0 and height > 0 else None


def _sensor_size(sensor: Directory) -> Size | None:
    """The part of the sensor that makes the picture, where it is stated, else all of it."""
    crop = sensor[_DEFAULT_CROP].numbers if _DEFAULT_CROP in sensor else ()
    if len(crop) == 2 and all(1 <= side <= 1_000_000 for side in crop):
        return round(crop[0]), round(crop[1])
    return _plain_size(sensor)


def _rw2_size(main: Directory) -> Size | None:
    top, left, bottom, right = (_integer(main, tag) for tag in (4, 5, 6, 7))
    if top is None or left is None or bottom is None or right is None:
        return None
    return (right - left, bottom - top) if right > left and bottom > top else None


def _describe_raf(data: Buffer) -> RawFile:
    if len(data) < 108:
        raise SourceTruncated("the file is cut off within its header")
    preview, length, tags, tags_length, sensor, sensor_length = struct.unpack(">6I", data[84:108])
    size = _raf_size(bytes(data[tags : tags + min(tags_length, 65536)]))
    return RawFile(
        flavour="raf",
        size=size,
        previews=(preview,) if preview else (),
        end=max(preview + length, tags + tags_length, sensor + sensor_length),
        sensor_end=sensor + sensor_length,
        compressed=True,
    )


def _raf_size(table: bytes) -> Size | None:
    """The cropped size of the picture (tag 0x0111), else the full one (0x0100); height first."""
    found: dict[int, Size] = {}
    count = int.from_bytes(table[:4], "big")
    at = 4
    for _ in range(min(count, 255)):
        if at + 4 > len(table):
            break
        tag, length = struct.unpack_from(">HH", table, at)
        if length == 4 and at + 8 <= len(table):
            height, width = struct.unpack_from(">HH", table, at + 4)
            found[tag] = (width, height)
        at += 4 + length
    size = found.get(0x0111) or found.get(0x0100)
    return size if size and all(size) else None


def _describe_cr3(data: Buffer) -> RawFile:
    tables = dict(_canon_tables(data))
    main, exif, gps = (
        reader.directory(reader.first, name) if (reader := tables.get(kind)) else {}
        for kind, name in ((b"CMT1", "IFD0"), (b"CMT2", "Exif"), (b"CMT4", "GPS"))
    )
    problems = [problem for reader in tables.values() for problem in reader.problems]
    reading = interpret(main, exif, gps, None, problems)
    return RawFile(
        flavour="cr3",
        size=_plain_size(main) or reading.picture_size,
        exif=reading,
        end=len(data) + photo_bmff.missing_bytes(data),
        sensor_end=len(data),
        compressed=True,
    )


def _canon_tables(data: Buffer) -> Iterator[tuple[bytes, TiffReader]]:
    movie = photo_bmff.find(data, b"moov")
    for box in photo_bmff.boxes(data, movie.start, movie.end) if movie else ():
        if box.kind != b"uuid" or bytes(data[box.start : box.start + 16]) != _CANON_UUID:
            continue
        for table in photo_bmff.boxes(data, box.start + 16, box.end):
            if table.kind.startswith(b"CMT"):
                try:
                    yield table.kind, TiffReader(bytes(data[table.start : table.end]))
                except NotTiff:
                    return

"""Camera RAW: the embedded picture is found and shown, sizes are honest, cut files fail.

The files are laid out by hand as the formats' descriptions say: what cameras write, in small.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from retaia_tests import photos
from retaia_tests.photos import TiffBuilder, Typed, Value

from retaia_adapters.media.photo_source import load_still
from retaia_adapters.media.problems import MediaProblem
from retaia_adapters.media.raw import identify_raw, load_raw

SENSOR = (600, 400)
CFA = 32803


def _corners(size: tuple[int, int], **options: object) -> bytes:
    return photos.jpeg(photos.corners(*size), quality=95, **options)


def _mosaic(width: int, height: int) -> bytes:
    """Sensor data of the four corners' colours, 16 bits, in an RGGB pattern."""
    rgb = np.asarray(photos.corners(width, height)).astype(np.uint16) * 200 + 500
    plane = rgb[:, :, 1].copy()
    plane[0::2, 0::2] = rgb[0::2, 0::2, 0]
    plane[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return plane.astype("<u2").tobytes()


def dng(
    *,
    preview: bytes | None = None,
    thumb: bytes | None = None,
    orientation: int = 1,
    size: tuple[int, int] = SENSOR,
    crop: tuple[int, int] | None = None,
    sensor: bytes | None = None,
) -> bytes:
    """A DNG as converters write it: thumbnail first, then sensor data and preview as sub-directories."""
    builder = TiffBuilder()
    data = _mosaic(*size) if sensor is None else sensor
    tags: dict[int, Value] = {
        0xFE: 0, 0x100: size[0], 0x101: size[1], 0x102: 16, 0x103: 1, 0x106: CFA,
        0x111: builder.blob(data), 0x115: 1, 0x116: size[1], 0x117: len(data),
    }  # fmt: skip
    if crop is not None:
        tags[0xC620] = [(crop[0], 1), (crop[1], 1)]
    subs = [builder.directory(tags)]
    if preview is not None:
        subs.append(
            builder.directory(
                {0xFE: 1, 0x103: 7, 0x106: 6, 0x111: builder.blob(preview), 0x117: len(preview)}
            )
        )
    exif = builder.directory({0x829A: [(1, 100)], 0x8827: 200, 0x9003: "2024:02:29 23:59:59"})
    main: dict[int, Value] = {
        0x010F: "Maker", 0x0110: "Model One", 0x0112: orientation, 0x8769: exif,
        0x014A: tuple(subs), 0xC612: b"\1\4\0\0",
    }  # fmt: skip
    if thumb is not None:
        main |= {0x201: builder.blob(thumb), 0x202: len(thumb)}
    return builder.finish(builder.directory(main))


def _process(content: bytes, tmp_path: Path, name: str) -> photos.Result:
    (tmp_path / name).write_bytes(content)
    return photos.process(tmp_path / name, tmp_path / "out")


@pytest.fixture
def without_libraw(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the extra ``raw``."""
    monkeypatch.setitem(sys.modules, "rawpy", None)


def _shows_corners(path: Path) -> bool:
    expected = (photos.RED, photos.GREEN, photos.BLUE, photos.YELLOW)
    with Image.open(path) as made:
        found = photos.corner_colors(made)
    return all(photos.near(a, b, 14) for a, b in zip(found, expected, strict=True))


@pytest.mark.usefixtures("without_libraw")
class TestDng:
    """DNG: sub-directories hold the sensor data and the preview."""

    def test_full_preview(self, tmp_path: Path, ffprobe: Any) -> None:
        """The largest preview becomes the proxy; the size is the sensor's, facts are the camera's."""
        content = dng(preview=_corners(SENSOR), thumb=_corners((60, 40)))
        result = _process(content, tmp_path, "a.dng")
        said = photos.stream_of(ffprobe(result.proxy))
        assert (said["width"], said["height"]) == SENSOR
        assert _shows_corners(result.proxy)
        assert result.facts == {
            "media_format": "dng", "width": 600, "height": 400, "orientation": 1, "pixel_format": "raw",
            "bits_per_sample": 16, "camera_make": "Maker", "camera_model": "Model One",
            "exposure_time_s": 0.01, "iso": 200, "captured_at": "2024-02-29T23:59:59",
        }  # fmt: skip
        assert result.warnings == ""

    def test_small_preview(self, tmp_path: Path, ffprobe: Any) -> None:
        """A small preview is shown as it is, never enlarged, and the warning states both sizes."""
        result = _process(dng(preview=_corners((150, 100))), tmp_path, "a.dng")
        said = photos.stream_of(ffprobe(result.proxy))
        assert (said["width"], said["height"]) == (150, 100)
        assert (result.facts["width"], result.facts["height"]) == SENSOR
        assert "embedded preview of 150 x 100 pixels, the picture has 600 x 400" in result.warnings

    def test_crop(self, tmp_path: Path) -> None:
        """The part of the sensor that makes the picture is its size."""
        result = _process(dng(preview=_corners((592, 396)), crop=(592, 396)), tmp_path, "a.dng")
        assert (result.facts["width"], result.facts["height"]) == (592, 396)
        assert result.warnings == ""

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation(self, orientation: int, tmp_path: Path) -> None:
        """The file's orientation turns the preview, and the stated size with it."""
        shown = (600, 400) if orientation < 5 else (400, 600)
        preview = photos.jpeg(photos.stored(photos.corners(*shown), orientation), quality=95)
        result = _process(dng(preview=preview, orientation=orientation), tmp_path, "a.dng")
        assert (result.facts["width"], result.facts["height"]) == shown
        assert result.facts["orientation"] == orientation
        assert _shows_corners(result.proxy)

    def test_turned_preview(self, tmp_path: Path) -> None:
        """A preview that the camera turned already is not turned again."""
        result = _process(dng(preview=_corners((400, 600)), orientation=6), tmp_path, "a.dng")
        assert (result.facts["width"], result.facts["height"]) == (400, 600)
        assert _shows_corners(result.proxy)

    def test_other_section(self, tmp_path: Path) -> None:
        """A preview of another shape is shown, with a word about it."""
        result = _process(dng(preview=_corners((600, 300))), tmp_path, "a.dng")
        assert "another section" in result.warnings

    def test_unnamed_preview(self, tmp_path: Path) -> None:
        """A preview that no directory names is found by its markers."""
        content = (
            dng(thumb=_corners((60, 40))) + b"\xff\xd8\xff noise " + _corners(SENSOR) + b"tail"
        )
        result = _process(content, tmp_path, "a.dng")
        assert _shows_corners(result.proxy)
        with Image.open(result.proxy) as made:
            assert made.size == SENSOR

    def test_lossless_data_is_no_preview(self, tmp_path: Path) -> None:
        """Sensor data packed as lossless JPEG is not mistaken for a picture."""
        lossless = bytearray(photos.jpeg(photos.scene(*SENSOR)))
        at = lossless.index(b"\xff\xc0")
        lossless[at + 1] = 0xC3
        result = _process(
            dng(preview=_corners((60, 40)), sensor=bytes(lossless)), tmp_path, "a.dng"
        )
        with Image.open(result.proxy) as made:
            assert made.size == (60, 40)

    def test_no_preview(self, tmp_path: Path) -> None:
        """Without a preview and without LibRaw the message says what would help."""
        result = _process(dng(), tmp_path, "a.dng")
        assert result.failures == {("SOURCE_UNREADABLE", False)}
        assert "retaia[raw]" in result.message

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_cut(self, share: float, tmp_path: Path) -> None:
        """A cut file fails for good, even where its preview is whole."""
        content = dng(thumb=_corners((60, 40)))
        result = _process(content[: int(len(content) * share)], tmp_path, "a.dng")
        assert {retryable for _, retryable in result.failures} == {False}
        assert result.left_behind == []

    def test_cut_behind_the_preview(self, tmp_path: Path) -> None:
        """Where directories and preview come first, missing sensor data is still noticed."""
        builder = TiffBuilder()
        preview = builder.blob(_corners(SENSOR))
        sensor = builder.directory(
            {
                0x100: 600,
                0x101: 400,
                0x102: 16,
                0x103: 1,
                0x106: CFA,
                0x111: 400_000,
                0x117: 480_000,
            }
        )
        main = {0x201: preview, 0x202: 9_000, 0x014A: sensor, 0xC612: b"\1\4\0\0"}
        result = _process(
            builder.finish(builder.directory(main)) + bytes(60_000), tmp_path, "a.dng"
        )
        assert result.failures == {("SOURCE_TRUNCATED", False)}
        assert "bytes are missing at its end" in result.message

    def test_blank_end(self, tmp_path: Path) -> None:
        """Sensor data that ends in zeros may be an interrupted copy: a warning."""
        data = _mosaic(*SENSOR)
        blank = data[: len(data) // 2] + bytes(len(data) // 2)
        result = _process(dng(preview=_corners(SENSOR), sensor=blank), tmp_path, "a.dng")
        assert "the copy may be incomplete" in result.warnings


@pytest.mark.usefixtures("without_libraw")
class TestOtherMakers:
    """The other formats: each is known by its content, and states its picture's size its own way."""

    def _check(self, result: photos.Result, flavour: str) -> None:
        assert result.facts["media_format"] == flavour
        assert (result.facts["width"], result.facts["height"]) == SENSOR
        assert _shows_corners(result.proxy)
        assert result.warnings == ""

    @pytest.mark.parametrize(("maker", "flavour"), [("NIKON CORPORATION", "nef"), ("SONY", "arw")])
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_nef_and_arw(self, maker: str, flavour: str, order: str, tmp_path: Path) -> None:
        """NEF and ARW: the full-size JPEG hangs on a sub-directory."""
        builder = TiffBuilder(order=order)
        picture, data = _corners(SENSOR), b"\x5a" * 9000
        jpeg_dir = builder.directory({0x103: 6, 0x201: builder.blob(picture), 0x202: len(picture)})
        sensor = builder.directory(
            {
                0x100: 600,
                0x101: 400,
                0x102: 14,
                0x103: 34713,
                0x106: CFA,
                0x111: builder.blob(data),
                0x117: 9000,
            }
        )
        main = builder.directory({0x010F: maker, 0x0112: 1, 0x014A: (jpeg_dir, sensor)})
        result = _process(builder.finish(main), tmp_path, f"a.{flavour}")
        self._check(result, flavour)
        assert result.facts["bits_per_sample"] == 14

    def test_cr2(self, tmp_path: Path) -> None:
        """CR2: the JPEG is the strip of the first directory; EXIF states the picture's size."""
        builder = TiffBuilder()
        builder.data += b"CR\2\0" + bytes(4)
        picture = _corners(SENSOR)
        exif = builder.directory({0xA002: 600, 0xA003: 400})
        sensor = builder.directory({0x103: 6, 0x111: builder.blob(b"\x5a" * 9000), 0x117: 9000})
        tags: dict[int, Value] = {
            0x100: 600, 0x101: 400, 0x103: 6, 0x111: builder.blob(picture), 0x117: len(picture), 0x8769: exif,
        }  # fmt: skip
        content = builder.finish(builder.directory(tags, next_offset=sensor))
        self._check(_process(content, tmp_path, "a.cr2"), "cr2")

    def test_rw2(self, tmp_path: Path) -> None:
        """RW2: the JPEG is the value of a tag, the size follows from the sensor's borders."""
        builder = TiffBuilder(magic=0x55)
        main = {2: 620, 3: 412, 4: 6, 5: 10, 6: 406, 7: 610, 0x2E: _corners(SENSOR), 0x0112: 1}
        self._check(_process(builder.finish(builder.directory(main)), tmp_path, "a.rw2"), "rw2")

    def test_orf(self, tmp_path: Path) -> None:
        """ORF: the preview hangs on maker notes, and is found by its markers."""
        builder = TiffBuilder(magic=0x4F52)
        note = b"OLYMPUS\0II\3\0" + b"\x10" * 40 + _corners(SENSOR)
        exif = builder.directory({0xA002: 600, 0xA003: 400, 0x927C: note})
        main = {
            0x100: 610,
            0x101: 408,
            0x8769: exif,
            0x111: builder.blob(b"\x5a" * 9000),
            0x117: 9000,
        }
        self._check(_process(builder.finish(builder.directory(main)), tmp_path, "a.orf"), "orf")

    def test_raf(self, tmp_path: Path) -> None:
        """RAF: a header names the JPEG, whose EXIF are the file's facts, and a table the size."""
        exif = photos.exif_block({0x010F: "FUJIFILM", 0x0112: 3}, {0x8827: 640})
        picture = photos.jpeg(photos.stored(photos.corners(*SENSOR), 3), quality=95, exif=exif)
        table = struct.pack(">I", 2) + struct.pack(">HHHH", 0x100, 4, 420, 640)
        table += struct.pack(">HHHH", 0x111, 4, SENSOR[1], SENSOR[0])
        at = 160
        offsets = (at, len(picture), at + len(picture), len(table))
        sensor = (sum(offsets[2:]), 9000)
        head = b"FUJIFILMCCD-RAW 0201FF389501X-T3".ljust(84, b"\0") + struct.pack(
            ">6I", *offsets, *sensor
        )
        content = head.ljust(at, b"\0") + picture + table + b"\x5a" * 9000
        result = _process(content, tmp_path, "a.raf")
        self._check(result, "raf")
        assert (result.facts["camera_make"], result.facts["iso"]) == ("FUJIFILM", 640)
        assert result.facts["orientation"] == 3
        cut = _process(content[:-100], tmp_path, "b.raf")
        assert cut.failures == {("SOURCE_TRUNCATED", False)}

    def test_cr3(self, tmp_path: Path) -> None:
        """CR3: boxes of a movie file; facts in Canon's tables, the JPEG in the data."""

        def box(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I4s", len(body) + 8, kind) + body

        def table(tags: dict[int, Value]) -> bytes:
            builder = TiffBuilder()
            return builder.finish(builder.directory(tags))

        canon = box(b"CMT1", table({0x100: 600, 0x101: 400, 0x010F: "Canon", 0x0112: 1}))
        canon += box(b"CMT2", table({0x829D: [(28, 10)]}))
        canon += box(b"CMT4", table({1: "S", 2: [(33, 1)] * 3, 3: "E", 4: [(18, 1)] * 3}))
        uuid = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
        content = box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", uuid + canon))
        content += box(b"mdat", _corners(SENSOR) + b"\x5a" * 9000)
        result = _process(content, tmp_path, "a.cr3")
        self._check(result, "cr3")
        assert result.facts["camera_make"] == "Canon"
        assert result.facts["aperture_f_number"] == 2.8
        assert result.facts["gps_latitude"] == pytest.approx(-(33 + 33 / 60 + 33 / 3600))
        cut = _process(content[:-100], tmp_path, "b.cr3")
        assert cut.failures == {("SOURCE_TRUNCATED", False)}

    def test_wrong_name(self, tmp_path: Path) -> None:
        """A RAW file under another name is known by its content, and the warning says so."""
        result = _process(dng(preview=_corners(SENSOR)), tmp_path, "a.tif")
        assert result.facts["media_format"] == "dng"
        assert "named .tif but holds DNG" in result.warnings


class TestDevelopment:
    """With LibRaw, sensor data is developed where the preview is too small."""

    def _dng(self, orientation: int = 1) -> bytes:
        """A DNG that LibRaw accepts: with pattern, levels and colour matrix."""
        builder = TiffBuilder()
        size = SENSOR
        data = _mosaic(*size)
        identity = [
            value for row in range(3) for value in ((row == column, 1) for column in range(3))
        ]
        matrix = struct.pack("<18i", *(int(number) for pair in identity for number in pair))
        tags: dict[int, Value] = {
            0xFE: 0, 0x100: size[0], 0x101: size[1], 0x102: 16, 0x103: 1, 0x106: CFA, 0x010F: "Maker",
            0x0110: "Model One", 0x111: builder.blob(data), 0x0112: orientation, 0x115: 1, 0x116: size[1],
            0x117: len(data), 0x11C: 1, 0x828D: Typed(3, 2, b"\2\0\2\0"), 0x828E: Typed(1, 4, b"\0\1\1\2"),
            0xC612: Typed(1, 4, b"\1\4\0\0"), 0xC614: "Maker Model One", 0xC61D: 65535,
            0xC621: Typed(10, 9, matrix), 0xC65A: 21,
        }  # fmt: skip
        return builder.finish(builder.directory(tags))

    def test_developed(self, tmp_path: Path, ffprobe: Any) -> None:
        """The proxy has the sensor's size, and says how it was made."""
        pytest.importorskip("rawpy")
        result = _process(self._dng(), tmp_path, "a.dng")
        said = photos.stream_of(ffprobe(result.proxy))
        assert abs(int(said["width"]) - SENSOR[0]) <= 8
        assert abs(int(said["height"]) - SENSOR[1]) <= 8
        assert (result.facts["width"], result.facts["height"]) == SENSOR
        assert "developed from the sensor data" in result.warnings
        with Image.open(result.proxy) as made:
            colors = photos.corner_colors(made)
        assert [max(range(3), key=color.__getitem__) for color in colors[:3]] == [0, 1, 2]

    def test_turned(self, tmp_path: Path) -> None:
        """A developed picture is upright as well."""
        pytest.importorskip("rawpy")
        result = _process(self._dng(orientation=6), tmp_path, "a.dng")
        assert (result.facts["width"], result.facts["height"]) == SENSOR[::-1]
        with Image.open(result.proxy) as made:
            assert made.height > made.width
            colors = photos.corner_colors(made)
        assert max(range(3), key=colors[1].__getitem__) == 0

    def test_libraw_cannot(self, tmp_path: Path) -> None:
        """Where LibRaw gives up, the small preview is used after all."""
        pytest.importorskip("rawpy")
        content = dng(preview=_corners((150, 100)), sensor=b"\x5a" * 64)
        result = _process(content, tmp_path, "a.dng")
        with Image.open(result.proxy) as made:
            assert made.size in {(150, 100), SENSOR}


_SAMPLE = dng(preview=_corners((64, 48)), size=(64, 48))


class TestAnyBytes:
    """No bytes upset the readers."""

    @settings(max_examples=150)
    @given(
        st.integers(0, len(_SAMPLE) - 1),
        st.binary(min_size=1, max_size=16),
        st.integers(0, len(_SAMPLE)),
    )
    def test_damaged_dng(self, at: int, patch: bytes, keep: int) -> None:
        """Damage anywhere ends in a picture or in a problem with a code."""
        content = bytearray(_SAMPLE)
        content[at : at + len(patch)] = patch
        data = bytes(content[:keep])
        with pytest.MonkeyPatch.context() as patching:
            patching.setitem(sys.modules, "rawpy", None)
            flavour = identify_raw(data, "dng")
            try:
                if flavour is None:
                    photo = load_still(data, lambda w, h: (min(w, 9), min(h, 9)))
                else:
                    photo = load_raw(
                        Path("unused"), data, flavour, lambda w, h: (min(w, 9), min(h, 9))
                    )
            except MediaProblem:
                return
        assert photo.image.mode == "RGB"

    @given(
        st.sampled_from(
            [
                b"FUJIFILMCCD-RAW",
                b"\0\0\0\x18ftypcrx ",
                b"IIRO\x08\0\0\0",
                b"IIU\0\x08\0\0\0",
                b"II*\0\x10\0\0\0CR",
            ]
        ),
        st.binary(max_size=300),
    )
    def test_noise(self, head: bytes, tail: bytes) -> None:
        """Noise behind a known head is no picture."""
        data = head + tail
        flavour = identify_raw(data, "dng")
        if flavour is not None:
            with pytest.MonkeyPatch.context() as patching:
                patching.setitem(sys.modules, "rawpy", None)
                with pytest.raises(MediaProblem):
                    load_raw(Path("unused"), data, flavour, lambda w, h: (9, 9))

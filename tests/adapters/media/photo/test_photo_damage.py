"""Damaged, cut, lying and huge sources: a clear failure or an honest warning, never a half-made file."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from retaia_tests import photos

from retaia_adapters.media import photo_source
from retaia_adapters.media.photo import load_photo
from retaia_adapters.media.photo_bmff import bit_depth, blank_items, coded_color, missing_bytes
from retaia_adapters.media.photo_jpeg import has_broken_data, walk_jpeg
from retaia_adapters.media.photo_source import load_still
from retaia_adapters.media.problems import MediaProblem
from retaia_core.ports.processor import Done

CUT = {("SOURCE_TRUNCATED", False)}
UNREADABLE = {("SOURCE_UNREADABLE", False)}


def _encoded(kind: str, width: int = 400, height: int = 300) -> bytes:
    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    options: dict[str, object] = {"TIFF": {"compression": "tiff_lzw"}}.get(kind, {"quality": 90})
    photos.scene(width, height).save(stream, kind, **({} if kind == "PNG" else options))
    return stream.getvalue()


def _process(content: bytes, tmp_path: Path, name: str) -> photos.Result:
    source = tmp_path / name
    source.write_bytes(content)
    return photos.process(source, tmp_path / "out")


SUFFIX = {
    "JPEG": "jpg",
    "PNG": "png",
    "TIFF": "tif",
    "WEBP": "webp",
    "AVIF": "avif",
    "HEIF": "heic",
}


class TestCutFiles:
    """A truncated source never yields a proxy that looks whole."""

    @pytest.mark.parametrize("kind", SUFFIX)
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_cut(self, kind: str, share: float, tmp_path: Path) -> None:
        """A file of each format, cut anywhere, fails every task for good and leaves nothing."""
        content = _encoded(kind)
        result = _process(content[: int(len(content) * share)], tmp_path, f"a.{SUFFIX[kind]}")
        assert {retryable for _, retryable in result.failures} == {False}
        assert {code for code, _ in result.failures} <= {"SOURCE_TRUNCATED", "SOURCE_UNREADABLE"}
        assert result.left_behind == []

    @pytest.mark.parametrize("kind", SUFFIX)
    @pytest.mark.parametrize("share", [0.4, 0.8])
    def test_blank_end(self, kind: str, share: float, tmp_path: Path) -> None:
        """A file of full size whose end was never written (an interrupted copy) fails as well."""
        content = _encoded(kind)
        keep = int(len(content) * share)
        blank = content[:keep] + bytes(len(content) - keep)
        result = _process(blank, tmp_path, f"a.{SUFFIX[kind]}")
        assert {retryable for _, retryable in result.failures} == {False}
        assert result.left_behind == []

    @pytest.mark.parametrize("progressive", [False, True])
    def test_cut_jpeg_with_end_marker(self, progressive: bool, tmp_path: Path) -> None:
        """A JPEG that was cut and given an end marker decodes in silence elsewhere; here it fails."""
        content = photos.jpeg(photos.scene(800, 600), progressive=progressive)
        result = _process(content[: len(content) * 6 // 10] + b"\xff\xd9", tmp_path, "a.jpg")
        assert result.failures == CUT
        assert "missing" in result.message

    def test_message_names_the_loss(self, tmp_path: Path) -> None:
        """The message says how much is missing."""
        content = photos.jpeg(photos.scene(800, 600))
        result = _process(content[: len(content) // 2] + b"\xff\xd9", tmp_path, "a.jpg")
        assert "% of the picture is missing" in result.message

    def test_missing_end_marker_alone(self, tmp_path: Path) -> None:
        """A JPEG that lacks nothing but its end marker comes through, with a warning."""
        content = photos.jpeg(photos.scene(400, 300))
        assert content.endswith(b"\xff\xd9")
        result = _process(content[:-2] + bytes(16), tmp_path, "a.jpg")
        assert "end marker is missing" in result.warnings

    def test_no_leniency(self) -> None:
        """Pillow's switch for loading truncated files stays off."""
        assert ImageFile.LOAD_TRUNCATED_IMAGES is False


class TestDamage:
    """Damage inside: the picture comes through with a warning where there still is one."""

    def test_hole_in_jpeg(self, tmp_path: Path) -> None:
        """A blank hole in the middle of a JPEG is noticed and told."""
        content = photos.jpeg(photos.scene(800, 600))
        half = len(content) // 2
        result = _process(content[:half] + bytes(2048) + content[half + 2048 :], tmp_path, "a.jpg")
        assert "the picture data is damaged" in result.warnings
        assert isinstance(result.outcomes["generate_proxy"], Done)

    def test_few_rows_lost(self, tmp_path: Path) -> None:
        """A JPEG that lacks its very last rows is damaged, not cut off."""
        content = photos.jpeg(photos.scene(800, 600))
        result = _process(content[: int(len(content) * 0.98)] + b"\xff\xd9", tmp_path, "a.jpg")
        assert "the picture data is damaged" in result.warnings

    def test_grey_photo_is_no_damage(self, tmp_path: Path) -> None:
        """A photo of middle grey is whole."""
        result = _process(photos.jpeg(Image.new("RGB", (400, 300), (128,) * 3)), tmp_path, "a.jpg")
        assert result.warnings == ""

    def test_flat_picture_is_no_hole(self, tmp_path: Path) -> None:
        """A flat picture, packed so well that it is coded as zeros, is whole."""
        flat = Image.new("L", (4000, 1000), 255)
        content = photos.jpeg(flat, optimize=True)
        assert bytes(64) in content
        assert _process(content, tmp_path, "a.jpg").warnings == ""

    def test_flipped_bytes(self, tmp_path: Path) -> None:
        """Damage in a PNG is found by its check sums."""
        content = bytearray(_encoded("PNG"))
        for at in range(len(content) // 2, len(content) // 2 + 64):
            content[at] ^= 0xA5
        result = _process(bytes(content), tmp_path, "a.png")
        assert {retryable for _, retryable in result.failures} == {False}

    def test_damaged_exif(self, tmp_path: Path) -> None:
        """Damaged metadata is told, and neither the picture nor the other facts are lost."""
        block = bytearray(photos.exif_block({0x010F: "Maker of cameras", 0x0112: 6}))
        at = block.index(struct.pack("<HH", 0x010F, 2))
        struct.pack_into("<I", block, at + 8, 0xFFFFFF)
        result = _process(photos.jpeg(photos.scene(90, 60), exif=bytes(block)), tmp_path, "a.jpg")
        assert "damaged metadata: entry 0x010f of IFD0 points outside the data" in result.warnings
        assert (result.facts["width"], result.facts["height"]) == (60, 90)

    def test_exif_of_noise(self, tmp_path: Path) -> None:
        """An EXIF block of noise is told."""
        content = photos.jpeg(photos.scene(90, 60), exif=b"Exif\0\0" + b"noise" * 20)
        assert "damaged metadata" in _process(content, tmp_path, "a.jpg").warnings


class TestLyingFiles:
    """Wrong names, no content, other content."""

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("PNG", "a.jpg"),
            ("JPEG", "a.heic"),
            ("WEBP", "a.png"),
            ("JPEG", "a.dng"),
            ("TIFF", "a.nef"),
        ],
    )
    def test_wrong_extension(self, kind: str, name: str, tmp_path: Path) -> None:
        """A picture of another format than its name says comes through, and the warning names it."""
        result = _process(_encoded(kind), tmp_path, name)
        assert f"named {name[1:]} but holds {kind}" in result.warnings
        assert result.facts["media_format"] == kind.lower()

    @pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.JPEG"])
    def test_usual_spellings(self, name: str, tmp_path: Path) -> None:
        """The usual spellings of an extension are no news."""
        assert _process(_encoded("JPEG"), tmp_path, name).warnings == ""

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(4096), "an MP4 or QuickTime video"),
            (b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), "a WAV sound"),
            (b"%PDF-1.7\n" + bytes(64), "a PDF document"),
            (b"just some words, and no picture at all", "no known format"),
            (b"\xff\xd8\xff\xe0" + bytes(64), "cannot be decoded|damaged JPEG"),
            (b"\x89PNG\r\n\x1a\n" + bytes(64), "cannot be decoded|damaged PNG"),
            (bytes(10_000), "no known format"),
            (b"\xff", "no known format"),
        ],
    )
    @pytest.mark.parametrize("name", ["a.jpg", "a.dng"])
    def test_no_picture(self, content: bytes, said: str, name: str, tmp_path: Path) -> None:
        """What is no picture fails for good, and the message says what it looks like."""
        result = _process(content, tmp_path, name)
        assert result.failures == UNREADABLE
        assert any(one in result.message for one in said.split("|")), result.message

    def test_empty(self, tmp_path: Path) -> None:
        """An empty file is called empty."""
        result = _process(b"", tmp_path, "a.jpg")
        assert result.failures == UNREADABLE
        assert result.message == "the file is empty"

    def test_vanished(self, tmp_path: Path) -> None:
        """A file that is not there any more may be there again: retryable."""
        result = photos.process(tmp_path / "gone.jpg", tmp_path / "out")
        assert result.failures == {("SOURCE_UNREADABLE", True)}
        assert str(tmp_path) not in result.message

    def test_folder(self, tmp_path: Path) -> None:
        """A folder with a photo's name is no photo."""
        (tmp_path / "a.jpg").mkdir()
        result = photos.process(tmp_path / "a.jpg", tmp_path / "out")
        assert {code for code, _ in result.failures} == {"SOURCE_UNREADABLE"}


class TestSeveralFrames:
    """The first picture stands for a file with several, and that is said."""

    @pytest.mark.parametrize("extension", ["tif", "webp", "png", "avif", "gif"])
    def test_frames(self, extension: str, tmp_path: Path) -> None:
        """Pages of a TIFF and frames of an animation."""
        frames = [Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
        frames[0].save(tmp_path / f"a.{extension}", save_all=True, append_images=frames[1:])
        result = photos.process(tmp_path / f"a.{extension}", tmp_path / "out")
        assert "holds 3 pictures; the first one stands for it" in result.warnings
        with Image.open(result.proxy) as made:
            assert photos.near(made.getpixel((32, 24)), (255, 0, 0), 6)

    def test_previews_of_cameras_are_no_frames(self, tmp_path: Path) -> None:
        """A camera's JPEG with a second picture behind it (MPO) is an ordinary JPEG."""
        main, preview = photos.scene(640, 480), photos.scene(160, 120)
        main.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
        result = photos.process(tmp_path / "a.jpg", tmp_path / "out")
        assert result.warnings == ""
        assert (result.facts["media_format"], result.facts["width"]) == ("jpeg", 640)


class TestHugePictures:
    """Bounded memory: refused before decoding, or decoded small."""

    def _bomb(self, width: int, height: int) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )

    def test_bomb(self, tmp_path: Path) -> None:
        """A small file that unpacks to a gigapixel is refused, with the limit named."""
        result = _process(self._bomb(40_000, 25_000), tmp_path, "a.png")
        assert result.failures == {("SOURCE_TOO_LARGE", False)}
        assert "40000 x 25000 pixels are more than the limit of 300,000,000" in result.message

    def test_above_the_library_s_own_limit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A legitimate picture beyond Pillow's limit is no error, and the limit is put back."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
        for kind, suffix in SUFFIX.items():
            photo = _process(_encoded(kind), tmp_path, f"a.{suffix}")
            assert photo.warnings == ""
        assert Image.MAX_IMAGE_PIXELS == 10_000

    def test_two_hundred_megapixels(self, tmp_path: Path) -> None:
        """A 200-megapixel JPEG is decoded at a fraction of its size."""
        tile = photos.jpeg(Image.new("L", (16_320, 12_240), 90), quality=30)
        (tmp_path / "a.jpg").write_bytes(tile)
        photo = load_photo(tmp_path / "a.jpg", lambda width, height: (480, 360))
        assert (photo.width, photo.height) == (16_320, 12_240)
        assert photo.image.size == (480, 360)

    def test_mapped_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is too large to be read at once is mapped, with the same result."""
        for kind, suffix in SUFFIX.items():
            source = tmp_path / f"a.{suffix}"
            source.write_bytes(_encoded(kind))
            read = photos.process(source, tmp_path / f"{kind}-read")
            with monkeypatch.context() as patch:
                patch.setattr(photo_source, "_IN_MEMORY", 16)
                mapped = photos.process(source, tmp_path / f"{kind}-mapped")
            assert mapped.facts == read.facts
            assert mapped.proxy.read_bytes() == read.proxy.read_bytes()

    def test_out_of_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too little memory is retryable, on a machine with more."""

        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        monkeypatch.setattr(photo_source, "reduced", fail)
        result = _process(_encoded("JPEG"), tmp_path, "a.jpg")
        assert result.failures == {("OUT_OF_MEMORY", True)}


class TestStructure:
    """The readers of structure, on files that are known."""

    def test_walk(self) -> None:
        """A whole JPEG is walked to its end, and what lies behind it is no part of it."""
        content = photos.jpeg(photos.scene(320, 200), progressive=True)
        structure = walk_jpeg(content + b"trailer")
        assert structure is not None
        assert (structure.width, structure.height, structure.components) == (320, 200, 3)
        assert (structure.has_end, structure.end) == (True, len(content))
        assert structure.progressive
        assert structure.complete

    def test_whole_data(self) -> None:
        """Whole picture data of every sampling is not called broken."""
        for options in (
            {},
            {"progressive": True},
            {"subsampling": 0},
            {"subsampling": 1},
            {"optimize": True},
        ):
            assert not has_broken_data(photos.jpeg(photos.scene(333, 211), **options))
        assert not has_broken_data(photos.jpeg(photos.scene(100, 100).convert("L")))
        assert not has_broken_data(photos.jpeg(photos.scene(100, 100).convert("CMYK")))

    @settings(max_examples=60)
    @given(st.binary(max_size=400))
    def test_any_bytes(self, content: bytes) -> None:
        """No bytes upset the readers of structure."""
        for prefix in (b"", b"\xff\xd8\xff", b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x90meta\0\0\0\0"):
            data = prefix + content
            walk_jpeg(data)
            missing_bytes(data)
            blank_items(data)
            coded_color(data)
            bit_depth(data)

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(
        kind=st.sampled_from(sorted(SUFFIX)),
        at=st.floats(0, 1, exclude_max=True),
        patch=st.binary(min_size=1, max_size=24),
        keep=st.floats(0.02, 1),
    )
    def test_any_damage(self, kind: str, at: float, patch: bytes, keep: float) -> None:
        """Damage anywhere ends in a picture of the size asked for, or in a problem with a code."""
        content = bytearray(_SAMPLES[kind])
        start = int(len(content) * at)
        content[start : start + len(patch)] = patch
        with contextlib.suppress(MediaProblem):
            damaged = bytes(content[: int(len(content) * keep)])
            photo = load_still(damaged, lambda w, h: (min(w, 20), min(h, 20)))
            assert photo.image.mode == "RGB"
            assert max(photo.image.size) <= 20


_SAMPLES = {kind: _encoded(kind, 64, 48) for kind in SUFFIX}

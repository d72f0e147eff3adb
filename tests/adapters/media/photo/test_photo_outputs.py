"""Proxies and thumbnails of photos, checked by ffprobe and by their pixels (domain.md, *Derived files*)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from retaia_tests import photos

from retaia_adapters.media.photo import proxy_size, thumb_size
from retaia_adapters.media.photo_color import describe_profile
from retaia_core.domain.facts import missing_facts, parse_facts
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Done

Probe = Callable[[Path], Mapping[str, Any]]

FORMATS = {
    "jpg": ("JPEG", "jpeg", {"quality": 92}),
    "png": ("PNG", "png", {}),
    "tif": ("TIFF", "tiff", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", "webp", {"quality": 92}),
    "avif": ("AVIF", "avif", {"quality": 92}),
    "heic": ("HEIF", "heif", {"quality": 92}),
}


def _save(image: Image.Image, path: Path, orientation: int | None = None) -> Path:
    pillow_heif.register_heif_opener()
    kind, _, options = FORMATS[path.suffix[1:]]
    if orientation is not None and kind == "TIFF":
        options = {**options, "tiffinfo": {274: orientation}}
    elif orientation is not None:
        exif = Image.Exif()
        exif[274] = orientation
        options = {**options, "exif": exif.tobytes()}
    image.save(path, kind, **options)
    return path


class TestEveryFormat:
    """proxy_photo: JPEG, sRGB, orientation applied, aspect kept, never upscaled; thumb: 480 px wide."""

    @pytest.mark.parametrize("extension", FORMATS)
    def test_large_picture(self, extension: str, tmp_path: Path, ffprobe: Probe) -> None:
        """A large picture of each format becomes a proxy of 2048 px and a thumbnail 480 px wide."""
        source = _save(photos.corners(2200, 1100), tmp_path / f"a.{extension}")
        result = photos.process(source, tmp_path / "out")
        proxy, thumb = (
            photos.stream_of(ffprobe(result.proxy)),
            photos.stream_of(ffprobe(result.thumb)),
        )
        assert (proxy["width"], proxy["height"]) == (2048, 1024)
        assert (thumb["width"], thumb["height"]) == (480, 240)
        assert {proxy["codec_name"], thumb["codec_name"]} == {"mjpeg"}
        assert {proxy["pix_fmt"], thumb["pix_fmt"]} == {"yuvj420p"}
        assert result.warnings == ""
        assert result.facts["media_format"] == FORMATS[extension][1]
        assert (result.facts["width"], result.facts["height"]) == (2200, 1100)
        assert result.facts["bits_per_sample"] == 8
        assert result.facts["pixel_format"] == "rgb"
        assert result.left_behind == ["proxy_photo.jpg", "thumb.jpg"]

    @pytest.mark.parametrize("extension", FORMATS)
    def test_small_picture(self, extension: str, tmp_path: Path, ffprobe: Probe) -> None:
        """A picture smaller than a thumbnail keeps its size in both."""
        result = photos.process(
            _save(photos.scene(90, 60), tmp_path / f"a.{extension}"), tmp_path / "out"
        )
        for path in (result.proxy, result.thumb):
            said = photos.stream_of(ffprobe(path))
            assert (said["width"], said["height"]) == (90, 60)

    @pytest.mark.parametrize("extension", FORMATS)
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation(self, extension: str, orientation: int, tmp_path: Path) -> None:
        """Each of the eight orientations is applied once, and the size is stated as displayed."""
        displayed = photos.corners(96, 64)
        picture = photos.stored(displayed, orientation)
        source = _save(picture, tmp_path / f"a.{extension}", orientation)
        result = photos.process(source, tmp_path / "out")
        assert (result.facts["width"], result.facts["height"]) == (96, 64)
        assert result.facts.get("orientation", 1) == orientation
        for path in (result.proxy, result.thumb):
            with Image.open(path) as made:
                assert made.size == (96, 64)
                expected = (photos.RED, photos.GREEN, photos.BLUE, photos.YELLOW)
                for found, color in zip(photos.corner_colors(made), expected, strict=True):
                    assert photos.near(found, color, 16)

    def test_facts_are_valid(self, tmp_path: Path) -> None:
        """The facts pass the table and name the minimum for photos."""
        result = photos.process(_save(photos.scene(64, 48), tmp_path / "a.png"), tmp_path / "out")
        facts = parse_facts(dict(result.facts))
        assert missing_facts(facts, MediaType.PHOTO) == ()

    def test_made_again(self, tmp_path: Path) -> None:
        """The same source gives the same bytes."""
        source = _save(photos.scene(700, 500), tmp_path / "a.jpg")
        first = photos.process(source, tmp_path / "one")
        second = photos.process(source, tmp_path / "two")
        assert first.proxy.read_bytes() == second.proxy.read_bytes()
        assert first.thumb.read_bytes() == second.thumb.read_bytes()

    def test_source_is_only_read(self, tmp_path: Path) -> None:
        """The source keeps its content and time, and nothing appears beside it."""
        source = _save(photos.scene(64, 48), tmp_path / "a.jpg")
        source.chmod(0o444)
        before = source.read_bytes(), source.stat().st_mtime_ns
        photos.process(source, tmp_path / "out")
        assert (source.read_bytes(), source.stat().st_mtime_ns) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "out"]


class TestSizes:
    """Aspect kept, never upscaled, and never smaller than the thumbnail."""

    @pytest.mark.parametrize(
        ("source", "proxy", "thumb"),
        [
            ((6000, 4000), (2048, 1365), (480, 320)),
            ((4000, 6000), (1365, 2048), (480, 720)),
            ((2048, 2048), (2048, 2048), (480, 480)),
            ((479, 2000), (479, 2000), (479, 2000)),
            ((20000, 1000), (9600, 480), (480, 24)),
            ((1000, 30000), (480, 14400), (480, 14400)),
            ((60000, 100), (16384, 27), (480, 1)),
            ((1, 60000), (1, 16384), (1, 16384)),
            ((1, 1), (1, 1), (1, 1)),
        ],
    )
    def test_sizes(
        self, source: tuple[int, int], proxy: tuple[int, int], thumb: tuple[int, int]
    ) -> None:
        """Sizes follow from those of the source alone."""
        assert (proxy_size(*source), thumb_size(*source)) == (proxy, thumb)

    @pytest.mark.parametrize("size", [(3000, 200), (200, 3000), (1, 900), (900, 1)])
    def test_extreme_aspects(self, size: tuple[int, int], tmp_path: Path, ffprobe: Probe) -> None:
        """Long and thin pictures come through with the sizes that were promised."""
        result = photos.process(_save(photos.scene(*size), tmp_path / "a.png"), tmp_path / "out")
        for path, expected in (
            (result.proxy, proxy_size(*size)),
            (result.thumb, thumb_size(*size)),
        ):
            said = photos.stream_of(ffprobe(path))
            assert (said["width"], said["height"]) == expected


class TestPrivacy:
    """Nothing of the source's metadata is in what is made of it."""

    def test_no_metadata(self, tmp_path: Path) -> None:
        """Position, times, camera and embedded thumbnails stay in the original."""
        exif = photos.exif_block(
            {0x010F: "SecretMake", 0x013B: "SecretArtist"},
            {0x9003: "2024:05:06 07:08:09"},
            {1: "N", 2: [(41, 1), (0, 1), (0, 1)], 3: "W", 4: [(96, 1), (0, 1), (0, 1)]},
        )
        options = {"exif": exif, "comment": b"SecretComment", "xmp": b"<x>SecretXmp</x>"}
        source = tmp_path / "a.jpg"
        source.write_bytes(photos.jpeg(photos.scene(600, 400), **options))
        result = photos.process(source, tmp_path / "out")
        assert result.facts["gps_latitude"] == 41.0
        for path in (result.proxy, result.thumb):
            content = path.read_bytes()
            assert b"Secret" not in content
            assert b"Exif" not in content
            with Image.open(path) as made:
                assert set(made.info) <= {
                    "jfif", "jfif_version", "jfif_unit", "jfif_density", "icc_profile",
                    "progressive", "progression",
                }  # fmt: skip

    def test_proxy_is_progressive_and_tagged(self, tmp_path: Path) -> None:
        """The proxy shows early, and says that it is sRGB."""
        result = photos.process(_save(photos.scene(600, 400), tmp_path / "a.jpg"), tmp_path / "out")
        with Image.open(result.proxy) as made:
            assert made.info["progressive"]
            assert describe_profile(made.info["icc_profile"]) == "sRGB built-in"


class TestTasks:
    """One decode feeds all tasks; facts do not wait."""

    def test_order(self, tmp_path: Path) -> None:
        """Facts come first and the proxy last, whatever the order of the tasks."""
        source = _save(photos.scene(64, 48), tmp_path / "a.jpg")
        result = photos.process(source, tmp_path / "out", *reversed(photos.JOBS))
        assert result.order == photos.JOBS
        assert {one.job_id for one in result.progress} == set(photos.JOBS)

    @pytest.mark.parametrize("job", photos.JOBS)
    def test_alone(self, job: str, tmp_path: Path) -> None:
        """Each task works alone, and makes nothing that was not asked for."""
        source = _save(photos.scene(1200, 800), tmp_path / "a.jpg")
        alone = photos.process(source, tmp_path / "one", job)
        together = photos.process(source, tmp_path / "all")
        assert isinstance(alone.outcomes[job], Done)
        assert alone.done(job).facts == together.done(job).facts
        names = [path.path.name for path in together.done(job).files]
        assert alone.left_behind == names

    def test_same_thumb_alone(self, tmp_path: Path) -> None:
        """A thumbnail made alone looks like one made beside a proxy."""
        source = _save(photos.scene(2400, 400), tmp_path / "a.png")
        alone = photos.process(source, tmp_path / "one", "generate_thumbnails")
        together = photos.process(source, tmp_path / "all")
        with Image.open(alone.thumb) as a, Image.open(together.thumb) as b:
            difference = np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int))
        assert difference.mean() < 2

    def test_unknown_job_type(self, tmp_path: Path) -> None:
        """A job type that photos do not have is a mistake of the caller."""
        source = _save(photos.scene(8, 8), tmp_path / "a.png")
        with pytest.raises(ValueError, match="transcribe_audio is no work on photos"):
            photos.process(source, tmp_path / "out", "transcribe_audio")


class TestWorkspaceFailures:
    """What fails while writing is retryable, and leaves nothing."""

    def test_unwritable_names(self, tmp_path: Path) -> None:
        """Outputs that cannot be written fail with their code; the facts stand."""
        source = _save(photos.scene(64, 48), tmp_path / "a.jpg")
        workspace = tmp_path / "out"
        workspace.mkdir()
        (workspace / "thumb.jpg").mkdir()
        (workspace / ".proxy_photo.jpg.part").mkdir()
        result = photos.process(source, workspace, "generate_thumbnails", "extract_facts")
        assert isinstance(result.outcomes["extract_facts"], Done)
        failed = photos.process(source, workspace, "generate_thumbnails")
        assert failed.failures == {("RENDERING_ERROR", True)}
        assert failed.left_behind == [".proxy_photo.jpg.part", "thumb.jpg"]

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk is named as such, can be tried again, and no half file stays."""

        def save(self: Image.Image, stream: BinaryIO, *_: object, **__: object) -> None:
            stream.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        source = _save(photos.scene(64, 48), tmp_path / "a.jpg")
        monkeypatch.setattr(Image.Image, "save", save)
        jobs = ("generate_thumbnails", "generate_proxy")
        result = photos.process(source, tmp_path / "out", *jobs)
        assert result.failures == {("WORKSPACE_FULL", True)}
        assert result.left_behind == []


class TestRealPhotos:
    """Over the photos of real cameras and phones."""

    def test_all(self, real_media: Path, tmp_path: Path, ffprobe: Probe) -> None:
        """Every readable photo gives facts, a proxy and a thumbnail whose aspects agree."""
        sources = [
            path for path in sorted(real_media.iterdir())
            if path.suffix in {".jpg", ".heic", ".webp", ".png"} and path.name != "truncated.jpg"
        ]  # fmt: skip
        assert len(sources) == 8
        for source in sources:
            result = photos.process(source, tmp_path / source.name)
            width, height = result.facts["width"], result.facts["height"]
            assert isinstance(width, int)
            assert isinstance(height, int)
            for path, size in ((result.proxy, proxy_size), (result.thumb, thumb_size)):
                said = photos.stream_of(ffprobe(path))
                assert (said["width"], said["height"]) == size(width, height)
            damaged = "damaged" in result.warnings
            assert damaged == (source.name == "corrupted.jpg"), (source.name, result.warnings)

    def test_truncated(self, real_media: Path, tmp_path: Path) -> None:
        """The truncated photo fails for every task, for good, and leaves nothing."""
        result = photos.process(real_media / "truncated.jpg", tmp_path / "out")
        assert result.failures == {("SOURCE_TRUNCATED", False)}
        assert result.left_behind == []

    def test_phone_photo(self, real_media: Path, tmp_path: Path) -> None:
        """A phone's HEIC states its camera, lens, time, position and colours."""
        facts = photos.process(real_media / "IMG_2682.heic", tmp_path, "extract_facts").facts
        assert facts["camera_model"] == "iPhone 7"
        assert facts["lens_model"] == "iPhone 7 back camera 3.99mm f/1.8"
        assert facts["captured_at"] == "2019-03-21T11:04:22.348"
        assert facts["gps_latitude"] == pytest.approx(41 + 13 / 60 + 13.08 / 3600)
        assert facts["gps_longitude"] == pytest.approx(-(96 + 4 / 60 + 17.85 / 3600))
        assert facts["gps_altitude_m"] == pytest.approx(351.267)
        assert facts["color_space"] == "Display P3"
